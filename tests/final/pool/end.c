/* The end of a pool. */

#include "help.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

static void destroy_job(void *arg)
{
    thread_pool_destroy(arg);
}

/* It would wait for itself. */
Test(pool, a_job_cannot_destroy_its_pool, .signal = SIGABRT)
{
    ThreadPool *pool = build(2, 2);
    submit(pool, destroy_job, pool);
    thread_pool_destroy(pool);
}

Test(pool, a_job_may_destroy_another_pool)
{
    ThreadPool *pool = build(1, 2), *other = build(1, 2);
    atomic_int ran = 0;
    submit(other, count_job, &ran);
    submit(pool, destroy_job, other);
    thread_pool_destroy(pool);
    cr_assert(eq(int, ran, 1));
}

Test(pool, destroy_stops_no_other_pool)
{
    ThreadPool *pool = build(2, 2), *other = build(2, 2);
    Hold *hold = occupy(other);
    thread_pool_destroy(pool);
    atomic_int ran = 0;
    for (int i = 0; i < 100; i++)
        submit(other, count_job, &ran);
    sem_post(&hold->go_on);
    thread_pool_destroy(other);
    cr_assert(eq(int, ran, 100));
    free(hold);
}

static void *destroy(void *arg)
{
    thread_pool_destroy(arg);
    return NULL;
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
            submit(late.pool, late_job, &late);
            wait_sem(&late.started);
            thread_pool_destroy(late.pool);
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
                submit(pool, count_job, &ran);
            pthread_t thread = start(destroy, pool);
            for (size_t i = 0; i < workers; i++)
                sem_post(&holds[i]->go_on);
            pthread_join(thread, NULL);
            cr_assert(eq(int, ran, (int)capacities[c]));
            for (size_t i = 0; i < workers; i++)
                free(holds[i]);
        }
}
