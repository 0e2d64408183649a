/* What a bounded queue, and a pool that has one, say when there is no room, no
 * memory or no thread; by their headers alone. */

#include "unit.h"

#include "job_queue.h"
#include "thread_pool.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(queue_bounds, .init = begin, SUITE);
TestSuite(pool_bounds, .init = quiet, SUITE);

static void nothing(void *arg)
{
    (void)arg;
}

/* How a result reads. */
static const char *name(int error)
{
    return error == 0           ? "0"
           : error == EAGAIN    ? "EAGAIN"
           : error == ECANCELED ? "ECANCELED"
           : error == EDEADLK   ? "EDEADLK"
           : error == EINVAL    ? "EINVAL"
           : error == ENOMEM    ? "ENOMEM"
                                : words("%d", error);
}

/* Checks what a call has returned. */
static void check_result(const char *call, int wanted, int result,
                         const char *cause)
{
    check(result == wanted,
          .expected = words("%s returns %s", call, name(wanted)),
          .got = words("it returned %s", name(result)), .cause = cause,
          .read = "A full queue says so");
    watch_nothing_held(call);
}

#define ONE_OFF                                                                \
    "the bound: with `capacity` jobs it is full, and with one less it is not"

static void try_push(JobQueue *queue, intptr_t number, int wanted,
                     const char *cause)
{
    check_result("job_queue_try_push", wanted,
                 job_queue_try_push(queue, (Job){nothing, (void *)number}),
                 cause);
}

static void pop(JobQueue *queue, intptr_t number)
{
    Job job = {NULL, NULL};
    bool popped = job_queue_pop(queue, &job);
    watch_nothing_held("job_queue_pop");
    check(popped && job.function == nothing && (intptr_t)job.arg == number,
          .expected =
              words("job %ld comes out: first in, first out", (long)number),
          .got = !popped ? "pop said that the queue is closed"
                 : job.function == nothing
                     ? words("job %ld came out", (long)(intptr_t)job.arg)
                     : "something that was never pushed",
          .cause = "the ring: after the last place comes the first, for who "
                   "pushes and for who pops (% capacity)",
          .key = "ring", .read = "A ring");
}

static JobQueue *new_queue(size_t capacity)
{
    JobQueue *queue = job_queue_new(capacity);
    check(queue != NULL, .expected = "job_queue_new returns a queue",
          .got = "it returned NULL", .read = "A ring");
    return queue;
}

Test(queue_bounds, room_for_exactly_as_many_as_said)
{
    const size_t capacities[] = {1, 2, 3, 8, 100};
    for (int i = 0; i < 5; i++) {
        size_t capacity = capacities[i];
        expecting(
            words("jobs were pushed to a queue with room for %zu, each "
                  "with job_queue_try_push",
                  capacity),
            "a push that waits, where it should say that there is no room",
            "A full queue says so");
        JobQueue *queue = new_queue(capacity);
        for (size_t n = 0; n < capacity; n++)
            try_push(queue, (intptr_t)n, 0, ONE_OFF);
        try_push(queue, -1, EAGAIN, ONE_OFF);
        try_push(queue, -1, EAGAIN, ONE_OFF);
        pop(queue, 0);
        try_push(queue, (intptr_t)capacity, 0, "a pop makes room for one");
        try_push(queue, -1, EAGAIN, ONE_OFF);
        for (size_t n = 1; n <= capacity; n++)
            pop(queue, (intptr_t)n);
        job_queue_destroy(queue);
    }
}

/* Round and round, so that each place was once the first and once the last. */
Test(queue_bounds, the_order_is_kept_round_the_ring)
{
    expecting("jobs were pushed and popped by turns, many times round the ring",
              NULL, "A ring");
    for (size_t capacity = 1; capacity <= 7; capacity++) {
        JobQueue *queue = new_queue(capacity);
        intptr_t in = 0, out = 0;
        for (int round = 0; round < 500; round++) {
            for (int n = round % 5; n >= 0; n--)
                if (in - out < (intptr_t)capacity)
                    try_push(queue, in++, 0, ONE_OFF);
            if (in - out < (intptr_t)capacity) {
                check_result("job_queue_push", 0,
                             job_queue_push(queue, (Job){nothing, (void *)in}),
                             "there is room, so it has nothing to report");
                in++;
            }
            for (int n = round % 3; n >= 0; n--)
                if (out < in)
                    pop(queue, out++);
        }
        while (out < in)
            pop(queue, out++);
        job_queue_destroy(queue);
    }
}

/* A thread that pushes one job. */
typedef struct {
    JobQueue *queue;
    intptr_t number;
    int result;
    atomic_bool done;
} Pusher;

static void *push_one(void *arg)
{
    Pusher *pusher = arg;
    pusher->result =
        job_queue_push(pusher->queue, (Job){nothing, (void *)pusher->number});
    pusher->done = true;
    return NULL;
}

Test(queue_bounds, a_full_push_waits_and_a_pop_wakes_it)
{
    expecting("a thread pushed to a full queue; then a job was popped", NULL,
              "A ring");
    JobQueue *queue = new_queue(2);
    try_push(queue, 1, 0, ONE_OFF);
    try_push(queue, 2, 0, ONE_OFF);
    Pusher pusher = {.queue = queue, .number = 3};
    pthread_t thread = start(push_one, &pusher);
    settle();
    watch_wake_all(); /* and for no reason */
    settle();
    check(!pusher.done, .expected = "job_queue_push waits for room",
          .got = words("it returned %s", name(pusher.result)),
          .cause = "the wait must stand in a while, not in an if; or there is "
                   "none",
          .read = "A ring");
    pop(queue, 1);
    check(wait_until(pusher.done),
          .expected = "job_queue_push goes on when there is room",
          .got = "it still waits",
          .cause = "pop makes room, and must signal those who wait for it",
          .key = "not-full", .read = "A ring");
    pthread_join(thread, NULL);
    check_result("job_queue_push", 0, pusher.result, NULL);
    pop(queue, 2);
    pop(queue, 3);
    job_queue_destroy(queue);
}

/* Eight wait for room; four places become free before they can take one. */
static void wait_for_room(void)
{
    enum { PUSHERS = 8 };
    JobQueue *queue = new_queue(4);
    expecting("eight threads pushed to a full queue; then as many jobs were "
              "popped, one after the other at once",
              NULL, "A ring");
    for (int i = 0; i < 4; i++)
        try_push(queue, 100 + i, 0, ONE_OFF);
    static Pusher pushers[PUSHERS];
    pthread_t threads[PUSHERS];
    for (int i = 0; i < PUSHERS; i++) {
        pushers[i] = (Pusher){.queue = queue, .number = i};
        threads[i] = start(push_one, &pushers[i]);
    }
    settle();
    Job job;
    for (int i = 0; i < 4; i++) /* before those who are woken have pushed */
        job_queue_pop(queue, &job);
    for (int i = 4; i < 4 + PUSHERS; i++) {
        int done = 0;
        wait_until((done = pushers[0].done + pushers[1].done + pushers[2].done
                           + pushers[3].done + pushers[4].done + pushers[5].done
                           + pushers[6].done + pushers[7].done)
                   >= (i < PUSHERS ? i : PUSHERS));
        check(done >= (i < PUSHERS ? i : PUSHERS),
              .expected = "each place that becomes free is given to one who "
                          "waits",
              .got = words("%d jobs were popped, and %d of eight have pushed",
                           i, done),
              .cause = "each pop makes room, so each must signal: not only the "
                       "one that found the queue full",
              .key = "not-full", .read = "A ring");
        job_queue_pop(queue, &job);
    }
    for (int i = 0; i < PUSHERS; i++)
        pthread_join(threads[i], NULL);
    job_queue_destroy(queue);
}

Test(queue_bounds, each_who_waits_for_room_is_woken)
{
    for (int i = 0; i < 3; i++) /* one of them may be faster than our pops */
        wait_for_room();
}

Test(queue_bounds, closing_ends_the_wait_for_room)
{
    enum { PUSHERS = 4 };
    JobQueue *queue = new_queue(1);
    doing("four threads pushed to a full queue; then it was closed");
    try_push(queue, 1, 0, ONE_OFF);
    static Pusher pushers[PUSHERS];
    pthread_t threads[PUSHERS];
    for (int i = 0; i < PUSHERS; i++) {
        pushers[i] = (Pusher){.queue = queue, .number = 2};
        threads[i] = start(push_one, &pushers[i]);
    }
    settle();
    job_queue_close(queue);
    for (int i = 0; i < PUSHERS; i++) {
        check(wait_until(pushers[i].done), .expected = "all of them are told",
              .got = "one still waits",
              .cause = "close must wake all who wait for room, too: broadcast; "
                       "and who is woken must look at `closed` before it looks "
                       "for room",
              .read = "A full queue says so");
        pthread_join(threads[i], NULL);
        check_result("job_queue_push", ECANCELED, pushers[i].result,
                     "who is woken must look whether the queue is closed "
                     "before it pushes");
    }
    pop(queue, 1);
    Job job;
    check(!job_queue_pop(queue, &job),
          .expected = "what was in the queue comes out, and nothing else",
          .got = "a job that was refused came out",
          .cause = "a push that returns an error must not push",
          .read = "A full queue says so");
    job_queue_destroy(queue);
}

Test(queue_bounds, closed_is_said_before_full)
{
    for (int jobs = 0; jobs < 2; jobs++) {
        JobQueue *queue = new_queue(1);
        expecting(jobs ? "a full queue was closed, and then pushed to"
                       : "an empty queue was closed, and then pushed to",
                  "a closed queue gets no room any more: who waits for that "
                  "waits for ever",
                  "A full queue says so");
        if (jobs)
            try_push(queue, 1, 0, ONE_OFF);
        job_queue_close(queue);
        try_push(queue, 2, ECANCELED, "look at closed first");
        check_result("job_queue_push", ECANCELED,
                     job_queue_push(queue, (Job){nothing, NULL}),
                     "look at closed first");
        if (jobs)
            pop(queue, 1);
        job_queue_destroy(queue);
    }
}

/* Whatever fails, nothing may stay behind. What libc keeps for itself it has
 * after the first few, or it is not as much for each of so many. */
enum { FEW = 50, TIMES = 300 };

static void check_nothing_left(size_t before, const char *heading)
{
    long kept = ((long)allocated() - (long)before) / TIMES;
    check(kept < 16, .expected = "nothing is left behind",
          .got = words("about %ld bytes each time", kept),
          .cause = "what could be allocated must be freed when the rest "
                   "cannot",
          .key = "left-behind", .read = heading);
}

Test(queue_bounds, without_memory_there_is_no_queue)
{
    bool failed = true;
    for (int number = 1; failed; number++) {
        expecting(words("allocation number %d in job_queue_new failed", number),
                  "NULL is used as if it were memory", "A ring");
        size_t before = 0;
        for (int i = -FEW; i < TIMES; i++) {
            before = i == 0 ? allocated() : before;
            fail_allocation(number);
            JobQueue *queue = job_queue_new(64);
            failed = fail_allocation(0);
            check((queue == NULL) == failed,
                  .expected = failed ? "NULL" : "a queue",
                  .got = failed ? "something else" : "NULL", .read = "A ring");
            if (!failed) {
                doing("a queue was created and destroyed");
                job_queue_destroy(queue);
            }
        }
        check_nothing_left(before, "A ring");
    }
}

Test(queue_bounds, a_product_too_large_is_noticed)
{
    doing("job_queue_new was asked for more places than memory has");
    JobQueue *queue = job_queue_new(SIZE_MAX / sizeof(Job) + 2);
    check(queue == NULL, .expected = "NULL", .got = "a queue",
          .cause = "capacity * sizeof(Job) is more than a size_t holds, and is "
                   "cut: calloc looks at that, malloc cannot",
          .read = "A ring");
}

/* --- the pool ------------------------------------------------------------ */

static ThreadPool *build(size_t size, size_t capacity)
{
    ThreadPool *pool = NULL;
    int error = thread_pool_build(&pool, size, capacity);
    check(error == 0 && pool != NULL,
          .did = words("thread_pool_build(&pool, %zu, %zu) was called", size,
                       capacity),
          .expected = "0, and a pool",
          .got = error != 0 ? name(error) : "no pool is stored",
          .read = "Errors are returned");
    return pool;
}

static atomic_int runs, at_gate;
static atomic_bool open_gate;

static void count(void *arg)
{
    (void)arg;
    runs++;
}

static void pass_gate(void *arg)
{
    (void)arg;
    at_gate++;
    while (!open_gate)
        wait_a_little();
    runs++;
}

/* Has all workers of a pool wait at the gate. */
static void hold_up(ThreadPool *pool, int workers)
{
    int before = at_gate;
    for (int i = 0; i < workers; i++) {
        check_result("thread_pool_execute", 0,
                     thread_pool_execute(pool, pass_gate, NULL), NULL);
        check(wait_until(at_gate == before + i + 1),
              .expected = "the workers run their jobs",
              .got = "one of them does not", .key = "not-run");
    }
}

Test(pool_bounds, room_for_exactly_as_many_as_said)
{
    const size_t capacities[] = {1, 3, 8};
    for (int i = 0; i < 3; i++) {
        size_t capacity = capacities[i];
        ThreadPool *pool = build(2, capacity);
        runs = 0;
        open_gate = false;
        hold_up(pool, 2);
        expecting(words("both workers of a pool had a job; more jobs came by "
                        "thread_pool_try_execute, with room for %zu",
                        capacity),
                  "it waits, where it should say that there is no room",
                  "A full queue says so");
        for (size_t n = 0; n < capacity; n++)
            check_result("thread_pool_try_execute", 0,
                         thread_pool_try_execute(pool, count, NULL), ONE_OFF);
        for (int n = 0; n < 3; n++)
            check_result("thread_pool_try_execute", EAGAIN,
                         thread_pool_try_execute(pool, count, NULL), ONE_OFF);
        open_gate = true;
        thread_pool_destroy(pool);
        check(runs == 2 + (int)capacity,
              .expected = "those that were taken run, the refused do not",
              .got = words("%d of %zu have run", runs, 2 + capacity),
              .cause = "an error means that the call will not happen",
              .read = "A full queue says so");
    }
}

static void *open_the_gate(void *arg)
{
    settle();
    open_gate = true;
    return arg;
}

Test(pool_bounds, execute_waits_for_room)
{
    ThreadPool *pool = build(1, 1);
    hold_up(pool, 1);
    expecting("the only worker had a job, and one waited; another came by "
              "thread_pool_execute",
              "nobody wakes who waits for room", "A ring");
    check_result("thread_pool_execute", 0,
                 thread_pool_execute(pool, count, NULL), NULL);
    pthread_t thread = start(open_the_gate, NULL);
    int error = thread_pool_execute(pool, count, NULL);
    check(error == 0 && open_gate,
          .expected = "it waits for room, and returns 0",
          .got = words("it returned %s%s", name(error),
                       open_gate ? "" : " before there was any"),
          .cause = "thread_pool_execute waits (job_queue_push), "
                   "thread_pool_try_execute does not",
          .read = "A full queue says so");
    pthread_join(thread, NULL);
    thread_pool_destroy(pool);
    check(runs == 3, .expected = "all three have run",
          .got = words("%d have", runs));
}

static ThreadPool *shared;
static atomic_int result;

/* Hands on jobs to its own pool until that refuses one. */
static void hand_on(void *arg)
{
    (void)arg;
    int error = 0;
    for (int i = 0; i < 10 && error == 0; i++)
        error = thread_pool_execute(shared, count, NULL);
    result = error;
    runs++;
}

Test(pool_bounds, a_job_does_not_wait_for_its_own_pool)
{
    shared = build(1, 4);
    result = -1;
    expecting("a job handed on ten jobs to its own pool, which has one worker, "
              "and room for four",
              "the job waits for room that only its own worker could make",
              "A job that waits for its own pool");
    check_result("thread_pool_execute", 0,
                 thread_pool_execute(shared, hand_on, NULL), NULL);
    wait_until(runs == 5);
    check(result == EDEADLK, .expected = "the fifth gets EDEADLK at once",
          .got = result == -1 ? "it waits for ever"
                              : words("it got %s", name(result)),
          .cause = "the pool must know who is calling: a worker of its own "
                   "must never wait for room",
          .key = "own-pool", .read = "A job that waits for its own pool");
    thread_pool_destroy(shared);
}

Test(pool_bounds, a_job_may_wait_for_another_pool)
{
    shared = build(1, 1);
    ThreadPool *other = build(1, 1);
    result = -1;
    expecting("a job handed on ten jobs to another pool, with room for one",
              NULL, "A job that waits for its own pool");
    check_result("thread_pool_execute", 0,
                 thread_pool_execute(other, hand_on, NULL), NULL);
    check(wait_until(result != -1) && result == 0,
          .expected = "it waits for room each time, and each is taken",
          .got = result == -1 ? "it waits for ever"
                              : words("it got %s", name(result)),
          .cause = "only a job's own pool must not be waited for: compare the "
                   "two pools, it is not enough that somebody is a worker",
          .key = "other-pool", .read = "A job that waits for its own pool");
    thread_pool_destroy(other);
    thread_pool_destroy(shared);
}

/* Hands on jobs while its pool is being destroyed. */
static void hand_on_late(void *arg)
{
    (void)arg;
    int error = 0;
    for (Wait wait = {0}; error != ECANCELED && still_waiting(&wait, 1);) {
        wait_a_little();
        error = thread_pool_try_execute(shared, nothing, NULL);
    }
    result = error;
    error = thread_pool_execute(shared, count, NULL);
    if (error != ECANCELED)
        result = error;
}

Test(pool_bounds, a_job_is_told_that_its_pool_ends)
{
    shared = build(1, 4);
    expecting("a job handed on jobs to its pool while that was destroyed", NULL,
              "A full queue says so");
    check_result("thread_pool_execute", 0,
                 thread_pool_execute(shared, hand_on_late, NULL), NULL);
    thread_pool_destroy(shared);
    check(result == ECANCELED, .expected = "it gets ECANCELED",
          .got = words("it got %s", name(result)),
          .cause = "destroy closes the queue, and a closed queue says so, "
                   "before it says that it is full",
          .read = "A full queue says so");
    check(runs == 0, .expected = "what was refused does not run",
          .got = "it did",
          .cause = "a push that returns an error must not push",
          .read = "A full queue says so");
}

static void destroy_own(void *arg)
{
    (void)arg;
    thread_pool_destroy(shared);
}

Test(pool_bounds, a_job_that_destroys_its_own_pool_aborts)
{
    doing("a job called thread_pool_destroy for its own pool");
    pid_t child = fork_test();
    if (child == 0) {
        freopen("/dev/null", "w", stderr);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        if (thread_pool_build(&shared, 2, 1) == 0
            && thread_pool_execute(shared, destroy_own, NULL) == 0)
            settle();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
          .expected = "the program aborts: the job would wait for itself",
          .got =
              WIFSIGNALED(status) ? "it crashed in another way" : "it went on",
          .cause = "there is no assert, or it comes after the wait",
          .read = "A job that waits for its own pool");
}

Test(pool_bounds, a_pool_of_nothing_is_refused)
{
    ThreadPool *pool = NULL;
    doing("thread_pool_build was called with size 0, and with capacity 0");
    check_result("thread_pool_build(&pool, 0, 1)", EINVAL,
                 thread_pool_build(&pool, 0, 1), "both must be looked at");
    check_result("thread_pool_build(&pool, 1, 0)", EINVAL,
                 thread_pool_build(&pool, 1, 0), "both must be looked at");
}

#define UNDONE .read = "Errors are returned"

/* Checks what a build has returned that failed. */
static void check_undone(int wanted, int error, const ThreadPool *pool)
{
    int threads = watch_unjoined();
    check(error == wanted, .expected = words("it returns %s", name(wanted)),
          .got = words("it returned %s", name(error)),
          .cause = "each result must be looked at, and handed on",
          .key = "build-result", UNDONE);
    check(pool == NULL, .expected = "no pool is stored",
          .got = "the caller's pointer was changed", .key = "stored", UNDONE);
    check(threads == 0, .expected = "the threads that were there have ended",
          .got = words("%d of them %s not been joined", threads,
                       threads == 1 ? "has" : "have"),
          .cause = "half a pool is a pool: close its queue, join those threads "
                   "that have been created, and no others",
          .key = "not-joined", UNDONE);
    check(wait_until(watch_created() == watch_ended()),
          .expected = "the threads that were there have ended",
          .got = "one goes on",
          .cause = "half a pool is a pool: close its queue, and wait for those "
                   "threads that have been created",
          .key = "not-joined", UNDONE);
}

Test(pool_bounds, a_thread_that_is_refused_undoes_the_pool)
{
    for (int number = 1; number <= 4; number++) {
        expecting(words("thread_pool_build for 4 threads, and the creation of "
                        "thread %d failed",
                        number),
                  "a thread is joined that was never created, or those that "
                  "were are never told to end",
                  "Errors are returned");
        size_t before = 0;
        for (int i = -FEW; i < TIMES; i++) {
            before = i == 0 ? allocated() : before;
            ThreadPool *pool = NULL;
            fail_thread(number);
            int error = thread_pool_build(&pool, 4, 64);
            fail_thread(0);
            check_undone(EAGAIN, error, pool);
        }
        check_nothing_left(before, "Errors are returned");
    }
}

Test(pool_bounds, memory_that_is_refused_undoes_the_pool)
{
    bool failed = true;
    for (int number = 1; failed; number++) {
        expecting(
            words("thread_pool_build, and its allocation number %d failed",
                  number),
            "NULL is used as if it were memory", "Errors are returned");
        size_t before = 0;
        for (int i = -FEW; i < TIMES; i++) {
            before = i == 0 ? allocated() : before;
            ThreadPool *pool = NULL;
            fail_allocation(number);
            int error = thread_pool_build(&pool, 2, 64);
            failed = fail_allocation(0);
            if (failed) {
                check_undone(ENOMEM, error, pool);
                continue;
            }
            check_result("thread_pool_build", 0, error, NULL);
            doing("a pool was built and destroyed");
            thread_pool_destroy(pool);
        }
        check_nothing_left(before, "Errors are returned");
    }
}
