/* A queue with a bound: who waits for room, and who is told. */

#include "help.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

Test(pool, try_execute_says_when_the_queue_is_full)
{
    for (size_t c = 0; c < CAPACITIES; c++) {
        ThreadPool *pool = build(1, capacities[c]);
        Hold *hold = occupy(pool);
        atomic_int ran = 0;
        for (size_t i = 0; i < capacities[c]; i++)
            cr_assert(
                eq(int, thread_pool_try_execute(pool, count_job, &ran), 0));
        cr_assert(
            eq(int, thread_pool_try_execute(pool, count_job, &ran), EAGAIN));
        sem_post(&hold->go_on);
        while (ran != (int)capacities[c])
            sched_yield();
        cr_assert(eq(int, thread_pool_try_execute(pool, count_job, &ran), 0));
        thread_pool_destroy(pool);
        cr_assert(eq(int, ran, (int)capacities[c] + 1));
        free(hold);
    }
}

Test(pool, execute_waits_for_room)
{
    for (size_t c = 0; c < CAPACITIES; c++) {
        ThreadPool *pool = build(1, capacities[c]);
        Hold *hold = occupy(pool);
        atomic_int ran = 0;
        for (size_t i = 0; i < capacities[c]; i++)
            submit(pool, count_job, &ran);
        Call calls[3];
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) {
            calls[i] = (Call){pool, count_job, &ran, -1, NULL};
            threads[i] = start(watched_execute, &calls[i]);
        }
        until_waiting(3);
        cr_assert(eq(int, ran, 0));
        sem_post(&hold->go_on);
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
            cr_assert(eq(int, calls[i].error, 0));
        }
        thread_pool_destroy(pool);
        cr_assert(eq(int, ran, (int)capacities[c] + 3));
        free(hold);
    }
}

/* The only job in the queue is taken: there is room, though no job ends. */
Test(pool, room_is_seen_while_all_workers_are_busy)
{
    ThreadPool *pool = build(2, 1);
    Hold *first = occupy(pool), *second = occupy(pool), *third = hold_new();
    submit(pool, hold_job, third);
    atomic_int ran = 0;
    Call call = {pool, count_job, &ran, -1, NULL};
    pthread_t thread = start(watched_execute, &call);
    until_waiting(1);
    sem_post(&first->go_on); /* its worker takes the third */
    pthread_join(thread, NULL);
    cr_assert(eq(int, call.error, 0));
    cr_assert(eq(int, ran, 0));
    sem_post(&second->go_on);
    sem_post(&third->go_on);
    thread_pool_destroy(pool);
    cr_assert(eq(int, ran, 1));
    free(first);
    free(second);
    free(third);
}

/* The same when the queue is not empty yet. */
Test(pool, room_is_seen_while_a_job_of_many_runs)
{
    ThreadPool *pool = build(1, 4);
    Hold *holds[3] = {occupy(pool), hold_new(), hold_new()};
    submit(pool, hold_job, holds[1]);
    submit(pool, hold_job, holds[2]);
    atomic_int ran = 0;
    while (thread_pool_try_execute(pool, count_job, &ran) == 0)
        ;
    Call call = {pool, count_job, &ran, -1, NULL};
    pthread_t thread = start(watched_execute, &call);
    until_waiting(1);
    for (int i = 1; i < 3; i++) {
        sem_post(&holds[i - 1]->go_on);
        wait_sem(&holds[i]->started);
    }
    pthread_join(thread, NULL); /* half of the queue was taken out */
    cr_assert(eq(int, call.error, 0));
    cr_assert(eq(int, ran, 0));
    sem_post(&holds[2]->go_on);
    thread_pool_destroy(pool);
    cr_assert(eq(int, ran, 3));
    for (int i = 0; i < 3; i++)
        free(holds[i]);
}

typedef struct {
    ThreadPool *pool;
    sem_t started, full, done;
    int execute, try_execute; /* what they returned */
    atomic_int ran;
} Recursion;

static void submit_to_full_job(void *arg)
{
    Recursion *recursion = arg;
    ThreadPool *pool = recursion->pool;
    sem_post(&recursion->started);
    wait_sem(&recursion->full);
    recursion->execute = thread_pool_execute(pool, count_job, &recursion->ran);
    recursion->try_execute =
        thread_pool_try_execute(pool, count_job, &recursion->ran);
    sem_post(&recursion->done);
}

Test(pool, a_job_does_not_wait_for_its_own_full_queue)
{
    for (size_t c = 0; c < CAPACITIES; c++) {
        ThreadPool *pool = build(2, capacities[c]);
        Hold *hold = occupy(pool);
        Recursion recursion = {.pool = pool};
        sem_init(&recursion.started, 0, 0);
        sem_init(&recursion.full, 0, 0);
        sem_init(&recursion.done, 0, 0);
        submit(pool, submit_to_full_job, &recursion);
        wait_sem(&recursion.started);
        atomic_int filled = 0;
        while (thread_pool_try_execute(pool, count_job, &filled) == 0)
            ;
        sem_post(&recursion.full);
        wait_sem(&recursion.done);
        cr_assert(eq(int, recursion.execute, EDEADLK));
        cr_assert(eq(int, recursion.try_execute, EAGAIN));
        sem_post(&hold->go_on);
        thread_pool_destroy(pool);
        cr_assert(eq(int, filled, (int)capacities[c]));
        cr_assert(eq(int, recursion.ran, 0));
        free(hold);
    }
}
