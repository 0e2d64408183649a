# The tests of the pool of final/: make -f tests/final/pool.mk pool-test …
POOL_ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/../..)
POOL_OUT := $(POOL_ROOT)/build/final
POOL_SRC := $(addprefix $(POOL_ROOT)/final/,job_queue.c thread_pool.c)
POOL_DEPS := $(POOL_SRC) $(POOL_SRC:.c=.h) $(POOL_ROOT)/tests/final/pool.mk
POOL_CC = $(CC) -std=c17 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic \
    -g -pthread -I$(POOL_ROOT)/final
POOL_WRAP = $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc aligned_alloc free \
    pthread_create pthread_cond_wait)
comma = ,

# Unit tests (Criterion).
pool-test: $(POOL_OUT)/pool_test
	$<

$(POOL_OUT)/pool_test: $(POOL_ROOT)/tests/final/pool_test.c $(POOL_DEPS)
	mkdir -p $(@D)
	$(POOL_CC) -O2 $(POOL_WRAP) -o $@ $< $(POOL_SRC) -lcriterion

.PHONY: pool-test
