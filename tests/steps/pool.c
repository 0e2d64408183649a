/* The pool, by its header alone: from the step that declares it on. */

#include "unit.h"

#include "thread_pool.h"

#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(pool, .timeout = TIMEOUT, .init = quiet);

Test(pool, size_zero_aborts, .timeout = TIMEOUT, .init = quiet,
     .signal = SIGABRT)
{
    freopen("/dev/null", "w", stderr);
    thread_pool_new(0);
    check("thread-pool-stub", false,
          "thread_pool_new(0) should abort: a pool without threads "
          "would never run a job, so assert(size > 0)");
}

Test(pool, has_as_many_threads_as_asked)
{
    const int sizes[] = {1, 2, 3, 8, 64};
    for (int i = 0; i < 5; i++) {
        int before = threads_created();
        ThreadPool *pool = thread_pool_new((size_t)sizes[i]);
        int created = threads_created() - before;
        check("worker", pool != NULL, "thread_pool_new(%d) returned NULL",
              sizes[i]);
#if !STEP_HAS_WORKERS
        check("thread-pool-stub", created == 0,
              "thread_pool_new(%d) created %d threads; in "
              "this step it creates none yet",
              sizes[i], created);
#else
        check("worker", created == sizes[i],
              "thread_pool_new(%d) created %d threads", sizes[i], created);
#endif
    }
}

static atomic_int runs;

static void count(void *arg)
{
    (void)arg;
    runs++;
}

#if !STEP_EXECUTES

Test(pool, runs_nothing_yet)
{
    ThreadPool *pool = thread_pool_new(4);
    int before = threads_created();
    for (int i = 0; i < 100; i++)
        thread_pool_execute(pool, count, NULL);
    settle();
    check(step_name(), runs == 0,
          "thread_pool_execute ran %d jobs; in this step it "
          "runs none yet",
          runs);
    check(step_name(), threads_created() == before,
          "thread_pool_execute created a thread; only thread_pool_new may");
}

#else

/* One for each job: how often it has run. */
enum { JOBS = 20000 };
static atomic_uchar ran[JOBS];

static void mark(void *arg)
{
    ran[(intptr_t)arg]++;
    runs++;
}

Test(pool, each_job_runs_exactly_once)
{
    const size_t sizes[] = {1, 2, 8};
    for (int i = 0; i < 3; i++) {
        ThreadPool *pool = thread_pool_new(sizes[i]);
        runs = 0;
        for (int j = 0; j < JOBS; j++)
            ran[j] = 0;
        for (intptr_t j = 0; j < JOBS; j++)
            thread_pool_execute(pool, mark, (void *)j);
        check("execute", wait_until(runs >= JOBS),
              "%zu workers: of %d jobs %d have run", sizes[i], JOBS, runs);
        settle();
        for (int j = 0; j < JOBS; j++)
            check("execute", ran[j] == 1,
                  "%zu workers: job %d has run %d times, not "
                  "once",
                  sizes[i], j, ran[j]);
    }
}

static intptr_t next;
static atomic_int late;

static void in_order(void *arg)
{
    late += (intptr_t)arg != next;
    next = (intptr_t)arg + 1;
    runs++;
}

Test(pool, one_worker_runs_jobs_in_order)
{
    ThreadPool *pool = thread_pool_new(1);
    for (intptr_t i = 0; i < JOBS; i++)
        thread_pool_execute(pool, in_order, (void *)i);
    check("execute", wait_until(runs == JOBS), "Of %d jobs %d have run", JOBS,
          runs);
    check("execute", late == 0,
          "%d of %d jobs started out of order: first in, first "
          "out",
          late, JOBS);
}

/* Jobs that end only when as many of them as wanted run at the same time. */
static atomic_int inside, wanted;

static void meet(void *arg)
{
    (void)arg;
    inside++;
    while (inside < wanted)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    runs++;
}

Test(pool, as_many_jobs_as_workers_run_side_by_side)
{
    const int sizes[] = {1, 2, 4, 8};
    for (int i = 0; i < 4; i++) {
        ThreadPool *pool = thread_pool_new((size_t)sizes[i]);
        inside = runs = 0;
        wanted = sizes[i];
        for (int j = 0; j < sizes[i]; j++)
            thread_pool_execute(pool, meet, NULL);
        check("execute", wait_until(runs == wanted),
              "Only %d of %d jobs run at the same time, on %d workers: does a "
              "worker hold the lock while it runs its job?",
              inside, sizes[i], sizes[i]);
    }
}

/* A gate that holds jobs until it is opened. */
static atomic_bool open_gate;
static atomic_int at_gate, most_at_gate;

static void pass_gate(void *arg)
{
    (void)arg;
    int here = ++at_gate, most = most_at_gate;
    while (here > most
           && !atomic_compare_exchange_weak(&most_at_gate, &most, here))
        ;
    while (!open_gate)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    at_gate--;
    runs++;
}

Test(pool, execute_does_not_wait_and_workers_are_not_more)
{
    ThreadPool *pool = thread_pool_new(3);
    int before = threads_created();
    for (int i = 0; i < 1000; i++) /* would hang here if execute waited */
        thread_pool_execute(pool, pass_gate, NULL);
    check("execute", wait_until(at_gate == 3),
          "%d jobs run on 3 workers; 3 "
          "should",
          at_gate);
    settle();
    open_gate = true;
    check("execute", wait_until(runs == 1000), "Of 1000 jobs %d have run",
          runs);
    check("execute", most_at_gate == 3,
          "%d jobs ran at the same time on 3 workers", most_at_gate);
    check("execute", threads_created() == before,
          "thread_pool_execute created %d threads; only thread_pool_new may",
          threads_created() - before);
}

/* Whoever is idle takes the next job; none is bound to a busy worker. */
Test(pool, a_busy_worker_delays_nobody)
{
    ThreadPool *pool = thread_pool_new(4);
    thread_pool_execute(pool, pass_gate, NULL);
    check("execute", wait_until(at_gate == 1), "The first job is not run");
    for (int i = 0; i < 100; i++)
        thread_pool_execute(pool, count, NULL);
    check("execute", wait_until(runs == 100),
          "One of four workers is busy; of 100 more jobs only %d were run: the "
          "others wait for that one worker, though three are idle",
          runs);
    open_gate = true;
    check("execute", wait_until(runs == 101), "The first job never ended");
}

static void add(void *arg)
{
    ++*(atomic_int *)arg;
}

Test(pool, a_job_gets_its_argument)
{
    ThreadPool *pool = thread_pool_new(2);
    atomic_int number = 0;
    thread_pool_execute(pool, add, &number);
    thread_pool_execute(pool, count, NULL);
    check("execute", wait_until(number == 1 && runs == 1),
          "A job should be called with the argument that it was given");
}

/* Each burst finds the workers asleep. */
Test(pool, idle_workers_are_woken_again_and_again)
{
    ThreadPool *pool = thread_pool_new(4);
    for (int round = 1; round <= 2000; round++) {
        thread_pool_execute(pool, count, NULL);
        bool done = false;
        for (int i = 0; i < 1000 && !done; i++)
            done = runs == round;
        check("execute", done || wait_until(runs == round),
              "Job %d was never run: a wake-up was lost", round);
    }
}

static ThreadPool *shared;

static void *submit(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2000; i++)
        thread_pool_execute(shared, count, NULL);
    return NULL;
}

Test(pool, many_threads_may_submit)
{
    pthread_t threads[8];
    shared = thread_pool_new(4);
    for (int i = 0; i < 8; i++)
        threads[i] = start(submit, NULL);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    check("execute", wait_until(runs == 16000), "Of 16000 jobs %d have run",
          runs);
    settle();
    check("execute", runs == 16000, "16000 jobs have run %d times", runs);
}

static void submit_more(void *arg)
{
    intptr_t left = (intptr_t)arg;
    if (left > 0) {
        thread_pool_execute(shared, submit_more, (void *)(left - 1));
        thread_pool_execute(shared, count, NULL);
    }
}

Test(pool, jobs_may_submit_jobs)
{
    shared = thread_pool_new(1);
    thread_pool_execute(shared, submit_more, (void *)(intptr_t)1000);
    check("execute", wait_until(runs == 1000),
          "Jobs submitted 1000 jobs; %d have run", runs);
}

Test(pool, two_pools_are_two)
{
    ThreadPool *one = thread_pool_new(2), *other = thread_pool_new(2);
    for (int i = 0; i < 2; i++)
        thread_pool_execute(one, pass_gate, NULL);
    check("execute", wait_until(at_gate == 2),
          "The first pool's jobs do not run");
    for (int i = 0; i < 100; i++)
        thread_pool_execute(other, count, NULL);
    check("execute", wait_until(runs == 100),
          "While one pool is busy, another should run its jobs");
    open_gate = true;
    check("execute", wait_until(runs == 102),
          "The first pool's jobs never ended");
}

#endif

#if STEP_CLOSES

static int my_threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    int number = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        number += entry->d_name[0] != '.';
    closedir(folder);
    return number;
}

static void slow(void *arg)
{
    (void)arg;
    settle();
    runs++;
}

Test(pool, destroy_waits_for_running_jobs)
{
    for (int slow_one = 0; slow_one < 4; slow_one++) {
        ThreadPool *pool = thread_pool_new(4);
        runs = 0;
        for (int i = 0; i < 4; i++)
            thread_pool_execute(pool, i == slow_one ? slow : count, NULL);
        thread_pool_destroy(pool);
        check("graceful-shutdown", runs == 4,
              "thread_pool_destroy returned while %d of 4 jobs "
              "were still running: it must join the workers, all of them",
              4 - runs);
    }
}

Test(pool, destroy_runs_what_is_queued)
{
    ThreadPool *pool = thread_pool_new(2);
    for (int i = 0; i < 2; i++)
        thread_pool_execute(pool, slow, NULL);
    for (int i = 0; i < 5000; i++)
        thread_pool_execute(pool, count, NULL);
    thread_pool_destroy(pool);
    check("graceful-shutdown", runs == 5002,
          "thread_pool_destroy returned when %d of 5002 jobs "
          "had run: those in the queue must not be dropped",
          runs);
}

static atomic_bool destroyed;

static void *destroy(void *arg)
{
    thread_pool_destroy(arg);
    destroyed = true;
    return NULL;
}

Test(pool, destroy_ends_idle_workers)
{
    int before = my_threads();
    ThreadPool *pool = thread_pool_new(8);
    settle();
    pthread_t thread = start(destroy, pool);
    check("graceful-shutdown", wait_until(destroyed),
          "thread_pool_destroy never returns: the workers wait for jobs that "
          "never come");
    pthread_join(thread, NULL);
    check("graceful-shutdown", wait_until(my_threads() == before),
          "After thread_pool_destroy %d of its threads are still there",
          my_threads() - before);
}

Test(pool, new_and_destroy_ten_thousand_times)
{
    expecting(
        "10,000 times, a pool is created and destroyed. That takes a "
        "second or two, and must not depend on which worker wakes first.");
    for (int i = 0; i < 10000; i++) {
        ThreadPool *pool = thread_pool_new(2);
        if (i % 2)
            thread_pool_execute(pool, count, NULL);
        thread_pool_destroy(pool);
    }
    check("graceful-shutdown", runs == 5000, "Of 5000 jobs %d have run", runs);
}

Test(pool, destroying_one_leaves_the_other)
{
    ThreadPool *one = thread_pool_new(2), *other = thread_pool_new(2);
    thread_pool_destroy(one);
    for (int i = 0; i < 100; i++)
        thread_pool_execute(other, count, NULL);
    thread_pool_destroy(other);
    check("graceful-shutdown", runs == 100,
          "After one pool was destroyed, the other ran %d of "
          "100 jobs",
          runs);
}

#endif
