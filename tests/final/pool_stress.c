/*
 * The pool of final/ under stress, for the sanitizers: they cannot be linked
 * into Criterion's tests. Usage: pool_stress ROUNDS CREATIONS. Says nothing
 * and exits 0 if all is well. Linked with --wrap=pthread_cond_wait.
 *
 * What the jobs write are plain variables: ThreadSanitizer finds out if the
 * pool does not order what it promises to order.
 */
#include "thread_pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define PRODUCERS 4
#define WAITERS 2
#define JOBS 200 /* of each producer */

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            abort();                                                           \
        }                                                                      \
    } while (0)

static atomic_int in_wait; /* waits of threads that are watched */
static _Thread_local bool watched;

int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    if (watched)
        in_wait++;
    int error = __real_pthread_cond_wait(condition, mutex);
    if (watched)
        in_wait--;
    return error;
}

static void until_waiting(int count)
{
    while (in_wait != count)
        sched_yield();
}

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

/* Some jobs hand over another job, some try what they must not. */
static void slot_job(void *arg)
{
    Slot *slot = arg;
    int which = slot->ran++;
    CHECK(which == 0);
    if (slot->child == 0) {
        slot->child = thread_pool_execute(slot->pool, child_job, slot);
        CHECK(slot->child == 0 || slot->child == EDEADLK);
    } else if (slot->child == 1) {
        slot->child = thread_pool_try_execute(slot->pool, child_job, slot);
        CHECK(slot->child == 0 || slot->child == EAGAIN);
    } else {
        CHECK(thread_pool_wait(slot->pool) == EDEADLK);
        CHECK(thread_pool_destroy(slot->pool) == EDEADLK);
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
        if (i % 50 == 49) {
            CHECK(thread_pool_wait(producer->pool) == 0);
            CHECK(slot->ran == 1);
        }
    }
    return NULL;
}

static void *wait_for_pool(void *arg)
{
    watched = true;
    CHECK(thread_pool_wait(arg) == 0);
    return NULL;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, arg) == 0);
    return thread;
}

/* Producers, jobs that produce jobs, threads that wait; then the end. */
static void mixed(size_t workers, size_t capacity)
{
    static Producer producers[PRODUCERS];
    ThreadPool *pool;
    CHECK(thread_pool_build(&pool, workers, capacity) == 0);
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i].pool = pool;
        producers[i].thread = start(produce, &producers[i]);
    }
    pthread_t waiters[WAITERS];
    for (int i = 0; i < WAITERS; i++)
        waiters[i] = start(wait_for_pool, pool);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    for (int i = 0; i < WAITERS; i++)
        pthread_join(waiters[i], NULL);
    CHECK(thread_pool_destroy(pool) == 0);

    for (int i = 0; i < PRODUCERS; i++)
        for (int j = 0; j < JOBS; j++) {
            Slot *slot = &producers[i].slots[j];
            CHECK(slot->ran == 1);
            CHECK(slot->child_ran == (slot->child == 0));
        }
}

typedef struct {
    ThreadPool *pool;
    sem_t started, go_on;
    int ran;
} End;

static void hold_job(void *arg)
{
    End *end = arg;
    sem_post(&end->started);
    while (sem_wait(&end->go_on) != 0)
        ;
}

static void end_job(void *arg)
{
    End *end = arg;
    end->ran++;
}

static void *execute_too_late(void *arg)
{
    End *end = arg;
    watched = true;
    CHECK(thread_pool_execute(end->pool, end_job, NULL) == ECANCELED);
    sem_post(&end->go_on);
    return NULL;
}

/* Destroys a pool while threads wait for room in it, and for its idleness. */
static void crowded_end(size_t capacity)
{
    End end = {0};
    sem_init(&end.started, 0, 0);
    sem_init(&end.go_on, 0, 0);
    CHECK(thread_pool_build(&end.pool, 1, capacity) == 0);
    CHECK(thread_pool_execute(end.pool, hold_job, &end) == 0);
    while (sem_wait(&end.started) != 0)
        ;
    for (size_t i = 0; i < capacity; i++)
        CHECK(thread_pool_execute(end.pool, end_job, &end) == 0);
    pthread_t threads[2 * WAITERS];
    for (int i = 0; i < 2 * WAITERS; i += 2) {
        threads[i] = start(execute_too_late, &end);
        threads[i + 1] = start(wait_for_pool, end.pool);
    }
    until_waiting(2 * WAITERS);
    CHECK(thread_pool_destroy(end.pool) == 0);
    CHECK(end.ran == (int)capacity);
    for (int i = 0; i < 2 * WAITERS; i++)
        pthread_join(threads[i], NULL);
    sem_destroy(&end.started);
    sem_destroy(&end.go_on);
}

/* Creates and destroys a pool, with and without a job. */
static void create_and_destroy(int i)
{
    ThreadPool *pool;
    CHECK(thread_pool_build(&pool, 1 + (size_t)i % 2, 4) == 0);
    End end = {.pool = pool};
    if (i % 3 != 0)
        CHECK(thread_pool_execute(pool, end_job, &end) == 0);
    if (i % 3 == 1)
        CHECK(thread_pool_wait(pool) == 0);
    CHECK(thread_pool_destroy(pool) == 0);
    CHECK(end.ran == (i % 3 != 0));
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
                crowded_end(capacities[c]);
            }
    for (int i = atoi(argv[2]); i > 0; i--)
        create_and_destroy(i);
}
