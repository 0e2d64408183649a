# The pool of final/ beside others: make -f tests/bench/pool.mk bench-pool
BENCH_ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/../..)
BENCH_OUT := $(BENCH_ROOT)/build/bench
BENCH_SRC := $(addprefix $(BENCH_ROOT)/,\
    tests/bench/measure.c $(addprefix tests/bench/pool,.c _ours.c _textbook.c) \
    final/job_queue.c final/thread_pool.c)

bench-pool: $(BENCH_OUT)/pool
	$< $(BENCH_OUT)/pool.tsv

# One side more for each library that pkg-config finds. Without one the bench
# says so, and fails where it must be complete.
$(BENCH_OUT)/pool: $(wildcard $(BENCH_ROOT)/tests/bench/*.[ch]) \
    $(BENCH_SRC) $(wildcard $(BENCH_ROOT)/final/*.h)
	mkdir -p $(@D)
	set -eu; more=; \
	for side in 'GLIB glib glib-2.0 libglib2.0-dev' 'UV uv libuv libuv1-dev'; do \
	    set -- $$side; \
	    if pkg-config --exists "$$3"; then \
	        more="$$more -DWITH_$$1 $(BENCH_ROOT)/tests/bench/pool_$$2.c"; \
	        more="$$more $$(pkg-config --cflags --libs "$$3")"; \
	    else \
	        echo "SKIPPED: $$3 is not installed (on Debian: $$4)" >&2; \
	        test "$${CI:-}" != true; \
	    fi; \
	done; \
	$(CC) -std=c17 -D_POSIX_C_SOURCE=200809L -O2 -g -Wall -Wextra -pthread \
	    -I$(BENCH_ROOT)/final -o $@ $(BENCH_SRC) $$more

.PHONY: bench-pool
