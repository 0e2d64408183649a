/* The pool, by its header alone. */

#include "unit.h"

#include "thread_pool.h"

#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if STEP_BOUNDED
/* Its result must be looked at; what a full queue does: bounds.c. */
#define thread_pool_execute(...) ((void)!thread_pool_execute(__VA_ARGS__))
#endif

TestSuite(pool, .init = quiet, SUITE);

Test(pool, size_zero_aborts)
{
    doing("thread_pool_new(0) was called");
    pid_t child = fork_test();
    if (child == 0) {
        freopen("/dev/null", "w", stderr);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        thread_pool_new(0);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
          .expected = "the program aborts: a pool without threads would never "
                      "run a job",
          .got =
              WIFSIGNALED(status) ? "it crashed in another way" : "it went on",
          .cause = "there is no assert(size > 0), or it comes too late",
          .read = "A pool of no threads");
}

static ThreadPool *new_pool(size_t size)
{
    ThreadPool *pool = thread_pool_new(size);
    check(!on_my_stack(pool), .expected = "a pool that stays",
          .got = "thread_pool_new returned the address of a local variable",
          .cause =
              "the variable is gone when the function returns: a pool that "
              "outlives its creator is allocated",
          .key = "local");
    check(pool != NULL, .did = words("thread_pool_new(%zu) was called", size),
          .expected = "it returns the pool", .got = "it returned NULL",
          .read = "Step 4");
    return pool;
}

Test(pool, has_as_many_threads_as_asked)
{
    const size_t sizes[] = {1, 2, 3, 8, 64};
    for (int i = 0; i < 5; i++) {
        expecting(
            words("thread_pool_new(%zu) was called", sizes[i]),
            "thread_pool_new waits for its threads: they are joined at the "
            "end of the pool's life, not here",
            "A thread that waits for "
            "work");
        crash_means(
            words("thread_pool_new(%zu) was called", sizes[i]),
            "a worker begins before what it needs is there (create the "
            "queue and set all of its Worker before pthread_create), or "
            "there is too little room for the workers",
            "A thread that waits for work");
        int before = watch_created();
        new_pool(sizes[i]);
        int created = watch_created() - before;
#if STEP_HAS_WORKERS
        check(created == (int)sizes[i],
              .expected = words("%zu threads", sizes[i]),
              .got = words("%d were created", created),
              .cause = "the loop over the workers begins or ends at the wrong "
                       "one",
              .read = "A thread that waits for work");
#else
        check(created == 0, .expected = "no thread yet: that is the next step",
              .got = words("%d threads were created", created));
#endif
    }
}

#if !STEP_EXECUTES /* later, jobs show it */
Test(pool, two_calls_give_two_pools)
{
    doing("thread_pool_new(1) was called twice");
    check(new_pool(1) != new_pool(1), .expected = "two pools",
          .got = "the same address twice",
          .cause = "the pool is a static or a global variable: each call must "
                   "allocate a pool of its own",
          .key = "static-pool", .read = "Step 4");
}
#endif

#if STEP_HAS_WORKERS
Test(pool, workers_are_given_what_stays)
{
    doing("thread_pool_new(4) was called");
    new_pool(4);
    check(watch_on_the_stack() == 0,
          .expected =
              "each thread is given an address that stays valid: that of "
              "its Worker",
          .got = "a thread was given the address of a local variable of "
                 "thread_pool_new",
          .cause = "the variable changes while the threads start, and is gone "
                   "when the function returns",
          .read = "The address of a loop's variable");
    check(watch_joined() == 0, .expected = "the threads are left to work",
          .got = words("%d were joined before thread_pool_new returned",
                       watch_joined()),
          .cause =
              "pthread_join waits for a thread's end, and a worker has none "
              "before the pool has one",
          .read = "A thread that waits for work");
}

#if !STEP_CLOSES
/* Step 8 waits for their ends. Where that is done, how is open. */
Test(pool, workers_can_be_waited_for)
{
    doing("thread_pool_new(4) was called");
    new_pool(4);
    check(watch_detached() == 0,
          .expected = "a later step waits for the workers' ends, with "
                      "pthread_join",
          .got = "they are detached, so that nobody can",
          .cause = "a thread is either detached or joined: a worker is joined, "
                   "in step 8; so no pthread_detach here",
          .read = "A thread that waits for work");
    int forgotten = watch_forgotten();
    check(forgotten == 0,
          .expected = "the pool keeps what pthread_create stores for each of "
                      "them: only with it can a thread be joined",
          .got = words("what it stored for %d of them is nowhere in the pool's "
                       "memory",
                       forgotten),
          .cause = "pthread_create stores it in a local variable, in a copy of "
                   "a Worker, or each time in the same place: give it the "
                   "address in the pool's own array, &worker->thread with "
                   "Worker *worker = &workers[id]",
          .read = "A thread that waits for work");
}
#endif
#endif

#if STEP_HAS_JOB_QUEUE
Test(pool, workers_wait_at_one_queue)
{
    doing("thread_pool_new(4) was called");
    new_pool(4);
    wait_until(watch_waiters() == 4);
    check(watch_waited_for() <= 1,
          .expected = "all workers wait at the same queue, the pool's",
          .got = words("they wait for %d different conditions",
                       watch_waited_for()),
          .cause = "each worker has a queue of its own: the pool creates one "
                   "queue, and hands its address to all of them",
          .key = "own-queue", .read = "A queue");
}
#endif

static atomic_int runs;

static void count(void *arg)
{
    (void)arg;
    runs++;
}

#if !STEP_EXECUTES

Test(pool, runs_nothing_yet)
{
    doing("100 jobs were given to a pool");
    ThreadPool *pool = new_pool(4);
    int before = watch_created();
    for (int i = 0; i < 100; i++)
        thread_pool_execute(pool, count, NULL);
    settle();
    check(runs == 0, .expected = "in this step none of them is run yet",
          .got = words("%d were run", runs));
    check(watch_created() == before, .expected = "no new thread",
          .got = "thread_pool_execute created a thread",
          .cause = "only thread_pool_new may create threads");
}

#else

#define NOT_RUN                                                                \
    .cause = "execute must push the job; a worker must pop it and call "       \
             "job.function(job.arg); and the push must wake a worker",         \
    .key = "not-run", .read = "The worker's loop"
#define LOCK_HELD                                                              \
    .cause = "a worker holds a mutex while it runs its job, so that no other " \
             "worker can take one",                                            \
    .key = "lock-held", .read = "The lock that is held too long"

static pthread_t runner;

static void note_runner(void *arg)
{
    (void)arg;
    runner = pthread_self();
    runs++;
}

Test(pool, a_worker_runs_the_job)
{
    expecting("a job was given to a pool of 2",
              "thread_pool_execute does not return: it may only push the job, "
              "and must not wait for it",
              "Execute");
    crash_means(
        "a job was given to a pool of 2",
        "the worker calls what is not the job that was pushed: does pop "
        "hand it over, and is it kept in a copy until then?",
        "The worker's loop");
    ThreadPool *pool = new_pool(2);
    int before = watch_created();
    thread_pool_execute(pool, note_runner, NULL);
    watch_nothing_held("thread_pool_execute");
    check(wait_until(runs >= 1), .expected = "a worker runs it",
          .got = "it is never run", NOT_RUN);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    check(runs == 1, .expected = "it is run once",
          .got = words("it was run %d times", runs),
          .cause = "the worker calls job.function(job.arg) more than once, or "
                   "execute pushes the job more than once",
          .key = "run-twice", .read = "The worker's loop");
    check(
        !pthread_equal(runner, pthread_self()), .expected = "a worker runs it",
        .got = "thread_pool_execute ran it itself, on the thread that called "
               "it",
        .cause = "execute must push the job, not call the function: else every "
                 "client waits for the one before",
        .key = "caller-runs", .read = "Execute");
    check(watch_created() == before, .expected = "a worker of the pool runs it",
          .got = "a new thread was created for it",
          .cause =
              "only thread_pool_new may create threads: execute pushes the "
              "job, and a worker that is there takes it",
          .key = "more-workers", .read = "Execute");
}

static void *_Atomic given[2];

static void note_argument(void *arg)
{
    given[runs] = arg;
    runs++;
}

Test(pool, a_job_gets_its_argument)
{
    expecting("two jobs were given to a pool, each with an argument", NULL,
              "Execute");
    ThreadPool *pool = new_pool(1);
    thread_pool_execute(pool, note_argument, &given[0]);
    thread_pool_execute(pool, note_argument, &given[1]);
    check(wait_until(runs == 2), .expected = "each is run",
          .got = words("%d were", runs), NOT_RUN);
    const char *came = "another address";
    for (int i = 0; i < 2; i++)
        if (given[i] == NULL)
            came = "NULL";
    check(given[0] == &given[0] && given[1] == &given[1],
          .expected = "each is called with its own",
          .got = words("one was called with %s", came),
          .cause = "the argument of execute is what the worker calls the "
                   "function with: both are kept in a Job that is copied, not "
                   "in variables that the next call overwrites",
          .key = "argument", .read = "Execute");
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
        expecting(words("%d jobs that wait for each other were given to a pool "
                        "of %d",
                        sizes[i], sizes[i]),
                  NULL, "Execute");
        ThreadPool *pool = new_pool((size_t)sizes[i]);
        inside = runs = 0;
        wanted = sizes[i];
        for (int j = 0; j < sizes[i]; j++)
            thread_pool_execute(pool, meet, NULL);
        check(wait_until(runs == wanted),
              .expected = words("all %d run at the same time", wanted),
              .got = words("only %d of them", inside), LOCK_HELD);
    }
}

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
        expecting_within(patience() + 6,
                         words("%d jobs were given to a pool of "
                               "%zu",
                               JOBS, sizes[i]),
                         NULL, "The worker's loop");
        ThreadPool *pool = new_pool(sizes[i]);
        runs = 0;
        for (int j = 0; j < JOBS; j++)
            ran[j] = 0;
        for (intptr_t j = 0; j < JOBS; j++)
            thread_pool_execute(pool, mark, (void *)j);
        wait_until(runs >= JOBS);
        check(runs > 0, .expected = "each is run", .got = "none is", NOT_RUN);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        for (int j = 0; j < JOBS; j++)
            check(ran[j] == 1, .expected = "each is run once",
                  .got = words("job %d was run %d times; in all %d were run", j,
                               ran[j], runs),
                  .cause = ran[j] > 1 ? "two workers take the same job: it "
                                        "must be taken out of "
                                        "the queue under the mutex"
                                      : "a worker stops after some jobs, a job "
                                        "is overwritten or "
                                        "dropped, or a wake-up is lost",
                  .key = ran[j] > 1 ? "twice" : "not-all",
                  .read = "The worker's loop");
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
    doing(words("%d jobs were given to a pool of one worker", JOBS));
    ThreadPool *pool = new_pool(1);
    for (intptr_t i = 0; i < JOBS; i++)
        thread_pool_execute(pool, in_order, (void *)i);
    check(wait_until(runs == JOBS), .expected = "all are run",
          .got = words("%d were run", runs),
          .cause = "a worker stops after some "
                   "jobs, or a job is overwritten or dropped",
          .key = "not-all", .read = "The worker's loop");
    check(late == 0, .expected = "in their order: first in, first out",
          .got = words("%d began before an earlier one", late),
          .cause = "push must add at one end, pop take from the other",
          .key = "order", .read = "A queue");
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
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    at_gate--;
    runs++;
}

Test(pool, execute_does_not_wait_and_workers_are_not_more)
{
    expecting(
        "200 jobs that wait were given to a pool of 3",
        "thread_pool_execute waits for the jobs, or for room: it may only "
        "push",
        "Execute");
    ThreadPool *pool = new_pool(3);
    int before = watch_created();
    for (int i = 0; i < 200; i++) /* would hang here if execute waited */
        thread_pool_execute(pool, pass_gate, NULL);
    check(wait_until(at_gate == 3), .expected = "3 of them run, one per worker",
          .got = words("%d run", at_gate), LOCK_HELD);
    settle();
    open_gate = true;
    check(wait_until(runs == 200), .expected = "in the end all have run",
          .got = words("%d have", runs),
          .cause =
              "the queue is too small, or drops what comes when it is full",
          .key = "not-all", .read = "Execute");
    check(most_at_gate == 3, .expected = "never more than 3 at the same time",
          .got = words("%d ran", most_at_gate),
          .cause = "somebody else than the 3 workers runs jobs",
          .key = "more-workers", .read = "Execute");
    check(watch_created() == before, .expected = "no new thread",
          .got =
              words("thread_pool_execute created %d", watch_created() - before),
          .cause = "only thread_pool_new may create threads",
          .key = "more-workers", .read = "Execute");
}

/* Whoever is idle takes the next job; none is bound to a busy worker. */
Test(pool, a_busy_worker_delays_nobody)
{
    doing("one of four workers was kept busy, and 100 more jobs came");
    ThreadPool *pool = new_pool(4);
    thread_pool_execute(pool, pass_gate, NULL);
    check(wait_until(at_gate == 1), .expected = "the first one is run",
          .got = "it is not", NOT_RUN);
    for (int i = 0; i < 100; i++)
        thread_pool_execute(pool, count, NULL);
    check(wait_until(runs == 100), .expected = "the three others run them",
          .got = words("%d were run; the rest waits for the busy one", runs),
          .cause =
              "each worker has a queue (or a lock) of its own, or the lock "
              "is held while a job runs: there must be one queue for all",
          .key = "lock-held", .read = "The lock that is held too long");
    open_gate = true;
    wait_until(runs == 101);
}

/* Each burst finds the workers asleep. */
Test(pool, idle_workers_are_woken_again_and_again)
{
    expecting_within(patience() + 4,
                     "a job was given to idle workers, 1,000 times", NULL,
                     "Waiting without running");
    ThreadPool *pool = new_pool(4);
    for (int round = 1; round <= 1000; round++) {
        thread_pool_execute(pool, count, NULL);
        bool done = false;
        for (int i = 0; i < 1000 && !done; i++)
            done = runs == round;
        check(done || wait_until(runs == round), .expected = "each is run",
              .got = words("job %d never was", round),
              .cause = "a wake-up was lost: the look at the queue and the wait "
                       "belong under one lock",
              .key = "no-wake-up", .read = "Waiting without running");
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
    expecting("8 threads gave 2,000 jobs each to a pool of 4", NULL, "Execute");
    pthread_t threads[8];
    shared = new_pool(4);
    for (int i = 0; i < 8; i++)
        threads[i] = start(submit, NULL);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    wait_until(runs >= 16000);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    check(runs == 16000, .expected = "16,000 are run",
          .got = words("%d were", runs),
          .cause = "push changes the queue without the mutex", .key = "not-all",
          .read = "One at a time");
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
    doing("a job gave two more to its pool, and so on, 1,000 times");
    shared = new_pool(1);
    thread_pool_execute(shared, submit_more, (void *)(intptr_t)1000);
    check(wait_until(runs == 1000), .expected = "all are run",
          .got = words("%d of 1,000 were", runs),
          .cause =
              "execute drops a job while the workers are busy, or a worker "
              "holds a mutex while it runs its job",
          .key = "from-a-job", .read = "Execute");
}

static atomic_int strangers;

/* The first pool has the threads 0 and 1, the other 2 and 3. */
static void check_pool(void *arg)
{
    strangers += watch_number() / 2 != (int)(intptr_t)arg;
    runs++;
}

Test(pool, two_pools_are_two)
{
    doing("jobs were given to two pools");
    watch_count_from_zero();
    ThreadPool *one = new_pool(2), *other = new_pool(2);
    for (int i = 0; i < 200; i++) {
        thread_pool_execute(one, check_pool, (void *)0);
        thread_pool_execute(other, check_pool, (void *)1);
    }
    check(wait_until(runs == 400), .expected = "all are run",
          .got = words("%d of 400 were", runs), NOT_RUN);
    check(strangers == 0, .expected = "each on a worker of its own pool",
          .got = words("%d on a worker of the other", strangers),
          .cause =
              "the pools share a queue: it must belong to the pool's struct, "
              "and not be global or static",
          .key = "shared-queue", .read = "A queue");
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

static atomic_int begun;

static void slow(void *arg)
{
    (void)arg;
    begun++;
    settle();
    runs++;
}

#define NO_END                                                                 \
    "the workers never end, so that their join waits for ever: the queue "     \
    "must "                                                                    \
    "be closed first, a close must wake all of them, and their loop must end " \
    "when pop says false; the queue is destroyed after the joins"

#define NO_JOB                                                                 \
    "of a queue that is closed and empty pop must say false, and the "         \
    "worker's loop must end there, before it runs a job"

static atomic_bool destroyed;

static void *destroy(void *arg)
{
    thread_pool_destroy(arg);
    destroyed = true;
    return NULL;
}

Test(pool, destroy_ends_idle_workers)
{
    doing("a pool of 8 idle workers was destroyed");
    crash_means("a pool of 8 idle workers was destroyed", NO_JOB,
                "Telling them");
    int before = my_threads();
    ThreadPool *pool = new_pool(8);
    settle();
    pthread_t thread = start(destroy, pool);
    check(wait_until(destroyed), .expected = "thread_pool_destroy returns",
          .got = "it never does", .cause = NO_END, .key = "no-end",
          .read = "Telling them");
    pthread_join(thread, NULL);
    check(wait_until(my_threads() == before),
          .expected = "its threads are gone",
          .got = words("%d are still there", my_threads() - before),
          .cause =
              "destroy must join the workers, each of them, and let them end "
              "by themselves: pthread_cancel does not wait for a job",
          .key = "not-joined", .read = "Waiting for the workers");
}

Test(pool, destroy_waits_for_running_jobs)
{
    for (int slow_one = 0; slow_one < 4; slow_one++) {
        expecting("a pool with four jobs, one of them slow, was destroyed",
                  NO_END, "Telling them");
        crash_means("a pool with four jobs, one of them slow, was destroyed",
                    NO_JOB, "Telling them");
        ThreadPool *pool = new_pool(4);
        runs = begun = 0;
        for (int i = 0; i < 4; i++)
            thread_pool_execute(pool, i == slow_one ? slow : count, NULL);
        wait_until(begun == 1 && runs == 3);
        thread_pool_destroy(pool);
        check(
            runs == 4,
            .expected = "thread_pool_destroy returns when all have "
                        "run",
            .got = words("%d had not", 4 - runs),
            .cause =
                "destroy must join the workers, each of them, and let them end "
                "by themselves: pthread_cancel does not wait for a job",
            .key = "not-joined", .read = "Waiting for the workers");
    }
}

Test(pool, destroy_runs_what_is_queued)
{
    expecting("a pool with 5,002 jobs in its queue was destroyed", NO_END,
              "Telling them");
    crash_means("a pool with 5,002 jobs in its queue was destroyed", NO_JOB,
                "Telling them");
    ThreadPool *pool = new_pool(2);
    for (int i = 0; i < 2; i++)
        thread_pool_execute(pool, slow, NULL);
    for (int i = 0; i < 5000; i++)
        thread_pool_execute(pool, count, NULL);
    thread_pool_destroy(pool);
    check(runs == 5002, .expected = "those in the queue are run first",
          .got = words("%d were", runs),
          .cause = "pop says `closed` before the queue is empty, or a worker "
                   "looks at `closed` instead of at what pop returned",
          .key = "drops", .read = "Telling them");
}

Test(pool, new_and_destroy_ten_thousand_times)
{
    expecting_within(
        patience() + 8,
        "10,000 times, a pool was created and "
        "destroyed",
        "it takes too long (destroy waits by the clock, and does not join?), "
        "or it depends on which worker wakes first: " NO_END,
        "Telling them");
    crash_means("10,000 times, a pool was created and destroyed", NO_JOB,
                "Telling them");
    size_t before = allocated();
    for (int i = 0; i < 10000; i++) {
        ThreadPool *pool = thread_pool_new(2);
        if (i % 2)
            thread_pool_execute(pool, count, NULL);
        thread_pool_destroy(pool);
    }
    check(runs == 5000, .expected = "5,000 jobs are run",
          .got = words("%d were", runs), .key = "drops",
          .read = "Telling them");
    /* Whatever libc keeps for itself, it is not as much for each of them. */
    long kept = (long)(allocated() - before) / 10000;
    check(kept < 16, .expected = "all memory is given back",
          .got = words("each pool leaves about %ld bytes behind", kept),
          .cause = "thread_pool_destroy frees all that thread_pool_new has "
                   "allocated: the queue, the workers, and the pool itself",
          .key = "leak", .read = "Telling them");
}

Test(pool, destroying_one_leaves_the_other)
{
    expecting("of two pools one was destroyed", NO_END, "Telling them");
    crash_means("of two pools one was destroyed", NO_JOB, "Telling them");
    ThreadPool *one = new_pool(2), *other = new_pool(2);
    thread_pool_destroy(one);
    for (int i = 0; i < 100; i++)
        thread_pool_execute(other, count, NULL);
    wait_until(runs == 100);
    thread_pool_destroy(other);
    check(runs == 100, .expected = "the other still runs its jobs",
          .got = words("%d of 100", runs),
          .cause = "the pools share something: it must belong to the pool's "
                   "struct",
          .key = "shared-queue", .read = "A queue");
}

#endif
