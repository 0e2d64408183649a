# The tests of the pool of final/: make -f tests/final/pool.mk pool-test …
POOL_ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/../..)
POOL_OUT := $(POOL_ROOT)/build/final
POOL_SRC := $(addprefix $(POOL_ROOT)/final/,job_queue.c thread_pool.c)
POOL_DEPS := $(POOL_SRC) $(POOL_SRC:.c=.h) $(POOL_ROOT)/tests/final/pool.mk
POOL_CREATIONS = 100000
POOL_CC = $(CC) -std=c17 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic \
    -g -pthread -I$(POOL_ROOT)/final
POOL_WRAP = $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc aligned_alloc free \
    pthread_create pthread_cond_wait)
comma = ,

# Unit tests (Criterion).
pool-test: $(POOL_OUT)/pool_test
	$<

$(POOL_OUT)/pool_test: $(wildcard $(POOL_ROOT)/tests/final/pool/*) $(POOL_DEPS)
	mkdir -p $(@D)
	$(POOL_CC) -O2 $(POOL_WRAP) -o $@ $(filter %.c,$^) -lcriterion

# A plain program under sanitizers, for those two that exclude each other, and
# under helgrind, which understands less but sees lock orders.
pool-stress: $(addprefix $(POOL_OUT)/pool_stress_,plain thread address)
	$(POOL_OUT)/pool_stress_plain 20 $(POOL_CREATIONS)
	TSAN_OPTIONS=halt_on_error=1 $(POOL_OUT)/pool_stress_thread 5 $(POOL_CREATIONS)
	$(POOL_OUT)/pool_stress_address 5 2000

pool-helgrind: $(POOL_OUT)/pool_stress_plain
	valgrind -q --tool=helgrind --error-exitcode=1 $< 1 50

POOL_STRESS = $(POOL_CC) -o $@ $< $(POOL_SRC)

$(POOL_OUT)/pool_stress_%: $(POOL_ROOT)/tests/final/pool_stress.c $(POOL_DEPS)
	mkdir -p $(@D)
	$(POOL_STRESS) $(POOL_FLAGS_$*)

POOL_FLAGS_plain = -O2
POOL_FLAGS_thread = -O1 -fsanitize=thread
POOL_FLAGS_address = -O1 -fsanitize=address,undefined -fno-sanitize-recover

.PHONY: pool-test pool-stress pool-helgrind
