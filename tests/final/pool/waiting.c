/* Those who wait until all jobs have run. */

#include "help.h"

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

static void slow_flag_job(void *arg)
{
    for (int i = 0; i < 20; i++)
        sched_yield();
    *(bool *)arg = true;
}

Test(pool, wait_right_after_execute)
{
    for (size_t workers = 1; workers <= 4; workers++) {
        ThreadPool *pool = build(workers, 2);
        cr_assert(eq(int, thread_pool_wait(pool), 0)); /* with nothing to do */
        for (int i = 0; i < 2000; i++) {
            bool done = false;
            thread_pool_execute(pool, slow_flag_job, &done);
            thread_pool_wait(pool);
            cr_assert(done);
        }
        thread_pool_destroy(pool);
    }
}

static void *wait_for_pool(void *arg)
{
    watched = true;
    return (void *)(intptr_t)thread_pool_wait(arg);
}

/* Has three threads wait, and lets the job that they wait for end; destroys the
   pool before or after they have returned. */
static void check_those_who_wait(bool destroy_first)
{
    ThreadPool *pool = build(2, 4);
    Hold *hold = occupy(pool);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = start(wait_for_pool, pool);
    until_waiting(3);
    sem_post(&hold->go_on);
    if (destroy_first)
        cr_assert(eq(int, thread_pool_destroy(pool), 0));
    for (int i = 0; i < 3; i++) {
        void *error;
        pthread_join(threads[i], &error);
        cr_assert(eq(int, (int)(intptr_t)error, 0));
    }
    cr_assert(hold->ended);
    if (!destroy_first)
        thread_pool_destroy(pool);
    free(hold);
}

Test(pool, wait_wakes_all_who_wait)
{
    for (int round = 0; round < 200; round++)
        check_those_who_wait(false);
}

/* Threads that are still about to return from wait do not touch a freed pool:
   the sanitizers see to that in the stress program, too. */
Test(pool, destroy_lets_those_out_who_wait)
{
    for (int round = 0; round < 200; round++)
        check_those_who_wait(true);
}

typedef struct {
    ThreadPool *pool;
    int left; /* jobs of the chain that are still to come */
    atomic_int ran;
    int error;
} Chain;

static void chain_job(void *arg)
{
    Chain *chain = arg;
    chain->ran++;
    if (--chain->left > 0)
        chain->error |= thread_pool_execute(chain->pool, chain_job, chain);
}

Test(pool, wait_includes_the_jobs_of_jobs)
{
    for (int round = 0; round < 100; round++) {
        Chain chain = {build(2, 2), 100, 0, 0};
        thread_pool_execute(chain.pool, chain_job, &chain);
        thread_pool_wait(chain.pool);
        cr_assert(eq(int, chain.ran, 100));
        cr_assert(eq(int, chain.error, 0));
        thread_pool_destroy(chain.pool);
    }
}
