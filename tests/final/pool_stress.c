/*
 * The pool of final/ under stress, for the sanitizers: they cannot be linked
 * into Criterion's tests. Usage: pool_stress ROUNDS CREATIONS. Says nothing
 * and exits 0 if all is well.
 *
 * What the jobs write are plain variables: ThreadSanitizer finds out if the
 * pool does not order what it promises to order.
 */
#include "thread_pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define PRODUCERS 4
#define JOBS 200 /* of each producer */

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            abort();                                                           \
        }                                                                      \
    } while (0)

typedef struct {
    ThreadPool *pool;
    int ran;
    int child; /* what handing over its child returned; -1: it has none */
    int child_ran;
} Slot;

static void child_job(void *arg)
{
    Slot *slot = arg;
    slot->child_ran++;
}

/* Some jobs hand over another job. */
static void slot_job(void *arg)
{
    Slot *slot = arg;
    int which = slot->ran++;
    CHECK(which == 0);
    if (slot->child == 0) {
        slot->child = thread_pool_execute(slot->pool, child_job, slot);
        CHECK(slot->child == 0 || slot->child == EDEADLK
              || slot->child == ECANCELED);
    } else if (slot->child == 1) {
        slot->child = thread_pool_try_execute(slot->pool, child_job, slot);
        CHECK(slot->child == 0 || slot->child == EAGAIN
              || slot->child == ECANCELED); /* destroy has begun */
    }
}

typedef struct {
    ThreadPool *pool;
    Slot slots[JOBS];
    pthread_t thread;
} Producer;

static void *produce(void *arg)
{
    Producer *producer = arg;
    for (int i = 0; i < JOBS; i++) {
        Slot *slot = &producer->slots[i];
        *slot = (Slot){.pool = producer->pool, .child = i % 4 < 2 ? i % 4 : -1};
        int error = EAGAIN;
        while (i % 3 == 0 && error == EAGAIN) {
            error = thread_pool_try_execute(producer->pool, slot_job, slot);
            sched_yield();
        }
        if (i % 3 != 0)
            error = thread_pool_execute(producer->pool, slot_job, slot);
        CHECK(error == 0);
    }
    return NULL;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, arg) == 0);
    return thread;
}

/* Producers, and jobs that produce jobs; then the end. */
static void mixed(size_t workers, size_t capacity)
{
    static Producer producers[PRODUCERS];
    ThreadPool *pool;
    CHECK(thread_pool_build(&pool, workers, capacity) == 0);
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i].pool = pool;
        producers[i].thread = start(produce, &producers[i]);
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    thread_pool_destroy(pool);

    for (int i = 0; i < PRODUCERS; i++)
        for (int j = 0; j < JOBS; j++) {
            Slot *slot = &producers[i].slots[j];
            CHECK(slot->ran == 1);
            CHECK(slot->child_ran == (slot->child == 0));
        }
}

static void end_job(void *arg)
{
    int *ran = arg;
    ++*ran;
}

/* Creates and destroys a pool, with and without a job. */
static void create_and_destroy(int i)
{
    ThreadPool *pool;
    CHECK(thread_pool_build(&pool, 1 + (size_t)i % 2, 4) == 0);
    int ran = 0;
    if (i % 3 != 0)
        CHECK(thread_pool_execute(pool, end_job, &ran) == 0);
    thread_pool_destroy(pool);
    CHECK(ran == (i % 3 != 0));
}

int main(int argc, char *argv[])
{
    if (argc != 3) {
        fprintf(stderr, "Usage: pool_stress ROUNDS CREATIONS\n");
        return EXIT_FAILURE;
    }
    static const size_t capacities[] = {1, 2, 64};
    for (int round = atoi(argv[1]); round > 0; round--)
        for (size_t workers = 1; workers <= 4; workers++)
            for (int c = 0; c < 3; c++) {
                mixed(workers, capacities[c]);
            }
    for (int i = atoi(argv[2]); i > 0; i--)
        create_and_destroy(i);
}
