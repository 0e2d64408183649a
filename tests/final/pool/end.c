/* The end of a pool. */

#include "help.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct {
    ThreadPool *pool;
    int wait, destroy; /* what they returned */
} Suicide;

static void suicide_job(void *arg)
{
    Suicide *suicide = arg;
    suicide->wait = thread_pool_wait(suicide->pool);
    suicide->destroy = thread_pool_destroy(suicide->pool);
}

Test(pool, a_job_cannot_wait_for_itself)
{
    for (size_t workers = 1; workers <= 4; workers++) {
        Suicide suicide = {build(workers, 2), 0, 0};
        for (int i = 0; i < 10; i++) { /* the pool works as before */
            suicide.wait = suicide.destroy = 0;
            thread_pool_execute(suicide.pool, suicide_job, &suicide);
            cr_assert(eq(int, thread_pool_wait(suicide.pool), 0));
            cr_assert(eq(int, suicide.wait, EDEADLK));
            cr_assert(eq(int, suicide.destroy, EDEADLK));
        }
        cr_assert(eq(int, thread_pool_destroy(suicide.pool), 0));
    }
}

Test(pool, a_job_may_wait_for_another_pool)
{
    ThreadPool *pool = build(1, 2), *other = build(1, 2);
    atomic_int ran = 0;
    thread_pool_execute(other, count_job, &ran);
    Suicide murder = {other, -1, -1};
    thread_pool_execute(pool, suicide_job, &murder);
    thread_pool_destroy(pool);
    cr_assert(eq(int, murder.wait, 0));
    cr_assert(eq(int, murder.destroy, 0));
    cr_assert(eq(int, ran, 1));
}

Test(pool, destroy_stops_no_other_pool)
{
    ThreadPool *pool = build(2, 2), *other = build(2, 2);
    Hold *hold = occupy(other);
    thread_pool_destroy(pool);
    atomic_int ran = 0;
    for (int i = 0; i < 100; i++)
        cr_assert(eq(int, thread_pool_execute(other, count_job, &ran), 0));
    sem_post(&hold->go_on);
    cr_assert(eq(int, thread_pool_wait(other), 0));
    cr_assert(eq(int, ran, 100));
    thread_pool_destroy(other);
    free(hold);
}

static void *destroy(void *arg)
{
    return (void *)(intptr_t)thread_pool_destroy(arg);
}

typedef struct {
    ThreadPool *pool;
    sem_t started;
    int accepted, try_error, execute_error;
    atomic_int ran;
} Late;

static void late_job(void *arg)
{
    Late *late = arg;
    sem_post(&late->started);
    do { /* until the shutdown has begun */
        late->try_error =
            thread_pool_try_execute(late->pool, count_job, &late->ran);
        late->accepted += late->try_error == 0;
        sched_yield();
    } while (late->try_error == 0 || late->try_error == EAGAIN);
    late->execute_error =
        thread_pool_execute(late->pool, count_job, &late->ran);
}

Test(pool, nothing_is_accepted_once_shutdown_began)
{
    for (size_t workers = 1; workers <= 4; workers++)
        for (size_t c = 0; c < CAPACITIES; c++) {
            Late late = {.pool = build(workers, capacities[c])};
            sem_init(&late.started, 0, 0);
            thread_pool_execute(late.pool, late_job, &late);
            wait_sem(&late.started);
            cr_assert(eq(int, thread_pool_destroy(late.pool), 0));
            cr_assert(eq(int, late.try_error, ECANCELED));
            cr_assert(eq(int, late.execute_error, ECANCELED));
            cr_assert(eq(int, late.ran, late.accepted));
        }
}

Test(pool, destroy_runs_what_is_queued)
{
    for (size_t workers = 1; workers <= 4; workers++)
        for (size_t c = 0; c < CAPACITIES; c++) {
            ThreadPool *pool = build(workers, capacities[c]);
            Hold *holds[4];
            for (size_t i = 0; i < workers; i++)
                holds[i] = occupy(pool);
            atomic_int ran = 0;
            for (size_t i = 0; i < capacities[c]; i++)
                thread_pool_execute(pool, count_job, &ran);
            pthread_t thread = start(destroy, pool);
            for (size_t i = 0; i < workers; i++)
                sem_post(&holds[i]->go_on);
            void *error;
            pthread_join(thread, &error);
            cr_assert(eq(int, (int)(intptr_t)error, 0));
            cr_assert(eq(int, ran, (int)capacities[c]));
            for (size_t i = 0; i < workers; i++)
                free(holds[i]);
        }
}

Test(pool, destroy_sends_those_away_who_wait_for_room)
{
    for (size_t c = 0; c < CAPACITIES; c++) {
        ThreadPool *pool = build(1, capacities[c]);
        Hold *hold = occupy(pool);
        atomic_int ran = 0, never = 0;
        for (size_t i = 0; i < capacities[c]; i++)
            thread_pool_execute(pool, count_job, &ran);
        Call calls[3];
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) { /* only they let the job go on */
            calls[i] = (Call){pool, count_job, &never, -1, &hold->go_on};
            threads[i] = start(watched_execute, &calls[i]);
        }
        until_waiting(3);
        cr_assert(eq(int, thread_pool_destroy(pool), 0));
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
            cr_assert(eq(int, calls[i].error, ECANCELED));
        }
        cr_assert(eq(int, ran, (int)capacities[c]));
        cr_assert(eq(int, never, 0));
        free(hold);
    }
}
