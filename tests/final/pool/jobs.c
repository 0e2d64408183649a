/* Jobs run: each once, in order, side by side. */

#include "help.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

typedef struct {
    ThreadPool *pool;
    atomic_uchar *ran; /* one for each job */
    size_t jobs;
    int error; /* of the call that failed first, or 0 */
    bool try;
} Producer;

static void mark_job(void *arg)
{
    atomic_fetch_add((atomic_uchar *)arg, 1);
}

static void *produce(void *arg)
{
    Producer *producer = arg;
    for (size_t i = 0; i < producer->jobs && producer->error == 0; i++) {
        do {
            producer->error =
                producer->try ? thread_pool_try_execute(
                    producer->pool, mark_job, &producer->ran[i])
                              : thread_pool_execute(producer->pool, mark_job,
                                                    &producer->ran[i]);
            if (producer->error == EAGAIN)
                sched_yield();
        } while (producer->try && producer->error == EAGAIN);
    }
    return NULL;
}

/* Has that many producers hand over jobs; each must run exactly once. */
static void check_each_once(size_t producers, size_t workers, size_t capacity,
                            size_t jobs, bool try)
{
    ThreadPool *pool = build(workers, capacity);
    atomic_uchar *ran = calloc(producers * jobs, sizeof *ran);
    Producer all[4];
    pthread_t threads[4];
    for (size_t i = 0; i < producers; i++) {
        all[i] = (Producer){pool, ran + i * jobs, jobs, 0, try};
        threads[i] = start(produce, &all[i]);
    }
    for (size_t i = 0; i < producers; i++) {
        pthread_join(threads[i], NULL);
        cr_assert(eq(int, all[i].error, 0));
    }
    thread_pool_destroy(pool);
    for (size_t i = 0; i < producers * jobs; i++)
        cr_assert(eq(int, ran[i], 1), "job %zu, %zu workers, capacity %zu", i,
                  workers, capacity);
    free(ran);
}

static void check_all_sizes(size_t jobs)
{
    for (size_t workers = 1; workers <= 4; workers++)
        for (size_t i = 0; i < CAPACITIES; i++)
            for (size_t producers = 1; producers <= 4; producers += 3) {
                check_each_once(producers, workers, capacities[i], jobs, false);
                check_each_once(producers, workers, capacities[i], jobs, true);
            }
}

Test(pool, each_job_runs_once)
{
    check_all_sizes(500);
}

Test(pool, spurious_wake_ups_do_no_harm)
{
    spurious = true;
    check_all_sizes(200);
}

typedef struct {
    int *next; /* only one worker touches it */
    int index;
    bool in_order;
} Numbered;

static void numbered_job(void *arg)
{
    Numbered *numbered = arg;
    numbered->in_order = (*numbered->next)++ == numbered->index;
}

Test(pool, jobs_start_in_order)
{
    enum { JOBS = 1000 };
    static Numbered jobs[JOBS];
    for (size_t c = 0; c < CAPACITIES; c++) {
        int next = 0;
        ThreadPool *pool = build(1, capacities[c]);
        for (int i = 0; i < JOBS; i++) {
            jobs[i] = (Numbered){&next, i, false};
            submit(pool, numbered_job, &jobs[i]);
        }
        thread_pool_destroy(pool);
        for (int i = 0; i < JOBS; i++)
            cr_assert(jobs[i].in_order, "job %d, capacity %zu", i,
                      capacities[c]);
    }
}

static void meet_job(void *arg)
{
    pthread_barrier_wait(arg);
}

/* If a wake-up were lost, one of four jobs that need each other would wait in
   the queue beside a sleeping worker. */
Test(pool, all_workers_run_at_once)
{
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 4);
    for (size_t c = 0; c < CAPACITIES; c++) {
        ThreadPool *pool = build(4, capacities[c]);
        for (int i = 0; i < 4 * 1000; i++)
            submit(pool, meet_job, &barrier);
        thread_pool_destroy(pool);
    }
}

Test(pool, has_exactly_its_threads)
{
    int before = count_threads();
    ThreadPool *pool = build(3, 8);
    cr_assert(eq(int, count_threads(), before + 3));
    for (int i = 0; i < 100; i++) {
        static atomic_int any;
        submit(pool, count_job, &any);
    }
    cr_assert(eq(int, count_threads(), before + 3));
    thread_pool_destroy(pool);
    while (count_threads() != before) /* the kernel takes its time */
        sched_yield();
}

static void mask_job(void *arg)
{
    pthread_sigmask(SIG_BLOCK, NULL, arg);
}

/* Workers block what their creator blocks, and nothing else: SIGPROF, say. */
Test(pool, workers_block_the_signals_of_their_creator)
{
    sigset_t blocked, seen;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    ThreadPool *pool = build(1, 1);
    submit(pool, mask_job, &seen);
    thread_pool_destroy(pool);
    for (int i = 1; i < SIGRTMIN; i++)
        cr_assert(eq(int, sigismember(&seen, i), i == SIGTERM), "signal %d", i);
}
