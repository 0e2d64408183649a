# The pool of final/ beside that of step 10 and others: make -f tests/bench/pool.mk bench-pool
BENCH_ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/../..)
BENCH_OUT := $(BENCH_ROOT)/build/bench
BENCH_SRC := $(addprefix $(BENCH_ROOT)/,\
    tests/bench/measure.c $(addprefix tests/bench/pool,.c _ours.c _textbook.c) \
    final/job_queue.c final/thread_pool.c)

BENCH_RING := $(wildcard $(BENCH_ROOT)/steps/??-bounded-queue)
BENCH_CC = $(CC) -std=c17 -D_POSIX_C_SOURCE=200809L -O2 -g -Wall -Wextra -pthread

bench-pool: $(BENCH_OUT)/pool
	$< $(BENCH_OUT)/pool.tsv

# The ring has the names that the pool of final/ has: nobody else sees them.
$(BENCH_OUT)/ring.o: $(BENCH_ROOT)/tests/bench/pool_ring.c $(wildcard $(BENCH_RING)/*.[ch])
	mkdir -p $(@D)
	$(BENCH_CC) -I$(BENCH_RING) -c -o $@ $<
	objcopy --keep-global-symbol=ring $@

# One side more for each library that pkg-config finds. Without one the bench
# says so, and fails where it must be complete.
$(BENCH_OUT)/pool: $(wildcard $(BENCH_ROOT)/tests/bench/*.[ch]) \
    $(BENCH_SRC) $(BENCH_OUT)/ring.o $(wildcard $(BENCH_ROOT)/final/*.h)
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
	$(BENCH_CC) -I$(BENCH_ROOT)/final -o $@ $(BENCH_SRC) $(BENCH_OUT)/ring.o $$more

.PHONY: bench-pool
