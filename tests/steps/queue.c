/* The queue, by its header alone. */

#include "unit.h"

#include "job_queue.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if STEP_BOUNDED
/* With room for all jobs of a test; what a full queue does: bounds.c. */
#define job_queue_new() job_queue_new(200000)
#endif

TestSuite(queue, .init = begin, SUITE);

/* What most mistakes in a queue come from. */
#define LOOK_AND_WAIT                                                          \
    "the look whether the queue is empty and the wait must be "                \
    "one, under the mutex that push locks, too; and the signal comes after "   \
    "the job is in the queue"

static _Thread_local bool refused; /* the last pop has returned false */

#if STEP_CLOSES
/* Takes a job; a queue that is closed and empty gives one with no function. */
static Job pop(JobQueue *queue)
{
    Job job = {NULL, NULL};
    bool popped = job_queue_pop(queue, &job);
    refused = !popped;
    watch_nothing_held("job_queue_pop");
    return popped ? job : (Job){NULL, NULL};
}
#else
static Job pop(JobQueue *queue)
{
    Job job = job_queue_pop(queue);
    watch_nothing_held("job_queue_pop");
    return job;
}
#endif

static void nothing(void *arg)
{
    (void)arg;
}

/* A job that is known by its number. */
static void push(JobQueue *queue, intptr_t number)
{
    int before = watch_signals();
    job_queue_push(queue, (Job){nothing, (void *)number});
    watch_nothing_held("job_queue_push");
    watch_somebody_was_woken(before, "job_queue_push",
                             (uintptr_t)job_queue_push);
}

static void check_number(Job job, intptr_t number)
{
    intptr_t came = (intptr_t)job.arg;
    check(job.function == nothing && came == number,
          .expected =
              words("job %ld comes out: first in, first out", (long)number),
          .got = job.function == nothing ? words("job %ld came out", (long)came)
                 : refused               ? "pop returned false"
                           : "something came out that was never pushed",
          .cause =
              refused
                  ? "false means closed and empty: here there is a job, and "
                    "nobody has closed the queue"
              : job.function != nothing
                  ? "a job is kept in a copy, in memory that is allocated for "
                    "it: not in a local variable of push, or in what was "
                    "freed; and pop may not go on when there is none"
              : came > number
                  ? "the last in is the first out, or the queue drops or "
                    "overwrites a job: push adds at one end, pop takes from "
                    "the other"
                  : "pop does not take its job out: look at first and last "
                    "after each pop",
          .key = "order", .read = "A queue");
}

Test(queue, a_job_goes_through)
{
    expecting("a job was pushed, and popped",
              "a lock that is never given back, or a wait although there is a "
              "job",
              "Waiting without running");
    JobQueue *queue = job_queue_new();
    check(queue != NULL, .expected = "job_queue_new returns a queue",
          .got = "it returned NULL", .read = "A queue");
    for (int i = 1; i <= 3; i++) {
        push(queue, i);
        check_number(pop(queue), i);
    }
}

Test(queue, first_in_first_out)
{
    expecting(
        "100,000 jobs were pushed, then popped",
        "the queue says that it is empty too early: it drops what it has no "
        "room for, or loses what stands behind a job",
        "A queue");
    JobQueue *queue = job_queue_new();
    for (intptr_t i = 0; i < 100000; i++)
        push(queue, i);
    for (intptr_t i = 0; i < 100000; i++)
        check_number(pop(queue), i);
}

Test(queue, both_parts_of_a_job_arrive)
{
    doing("a job was pushed, and popped");
    JobQueue *queue = job_queue_new();
    int number;
    job_queue_push(queue, (Job){nothing, &number});
    job_queue_push(queue, (Job){free, NULL});
    Job first = pop(queue), second = pop(queue);
    check(first.function == nothing && first.arg == &number
              && second.function == free && second.arg == NULL,
          .expected = "it comes out as it went in: its function, its argument",
          .got = "one of them is another",
          .cause =
              "the queue must keep a copy of the whole Job, not the address "
              "of one that is gone",
          .read = "A queue");
}

Test(queue, full_and_empty_by_turns)
{
    expecting("jobs were pushed and popped by turns, the queue empty between",
              NULL, "A queue");
    JobQueue *queue = job_queue_new();
    intptr_t in = 0, out = 0;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < round % 17 + 1; i++)
            push(queue, in++);
        int left = round % 3 == 0 ? 0 : round % 5 < in - out ? round % 5 : 0;
        while (out < in - left)
            check_number(pop(queue), out++);
    }
}

/* A thread that pops one job, and says so. */
typedef struct {
    JobQueue *queue;
    atomic_bool done;
    Job job;
} Popper;

static void *pop_one(void *arg)
{
    Popper *popper = arg;
    popper->job = pop(popper->queue);
    popper->done = true;
    return NULL;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

Test(queue, an_empty_pop_waits_and_a_push_wakes_it)
{
    doing("a thread popped from an empty queue; then a job was pushed");
    Popper popper = {.queue = job_queue_new()};
    struct rusage before, after;
    int waited = watch_waits();
    pthread_t thread = start(pop_one, &popper);
    getrusage(RUSAGE_SELF, &before);
    settle();
    getrusage(RUSAGE_SELF, &after);
    bool looks = after.ru_nvcsw - before.ru_nvcsw > 20
                 || seconds(after.ru_utime) + seconds(after.ru_stime)
                            - seconds(before.ru_utime)
                            - seconds(before.ru_stime)
                        > 0.1;
    check(popper.done || watch_waits() > waited || !looks,
          .expected = "the thread sleeps until there is a job",
          .got = "it looks again and again whether there is one",
          .cause = "pop must wait at a condition variable: pthread_cond_wait, "
                   "which push wakes",
          .key = "busy", .read = "Waiting without running");
    check(!popper.done, .expected = "the thread waits until there is a job",
          .got = "pop returned at once, with nothing to return",
          .cause =
              "pop does not wait: pthread_cond_wait, in a `while` that looks "
              "whether the queue is empty",
          .read = "Waiting without running");
    push(popper.queue, 7);
    check(wait_until(popper.done), .expected = "the push wakes the thread",
          .got = "it still waits",
          .cause =
              "nobody wakes it: push must signal the condition variable that "
              "pop waits for",
          .key = "no-wake-up", .read = "Waiting without running");
    pthread_join(thread, NULL);
    check_number(popper.job, 7);
}

/* POSIX lets pthread_cond_wait return for no reason at all. */
#define IF_FOR_WHILE                                                           \
    .expected = "who is woken without a job looks again, and waits",           \
    .cause = "the wait must stand in a `while`, not in an `if`: a wake-up is " \
             "no job",                                                         \
    .key = "if-for-while", .read = "Waiting without running"

Test(queue, a_spurious_wake_up_is_no_job)
{
    enum { WAITERS = 4 };
    JobQueue *queue = job_queue_new();
    static Popper poppers[WAITERS];
    pthread_t threads[WAITERS];
    expecting(
        "four threads waited in pop, and were woken without a job",
        "the wait must stand in a `while`, not in an `if`: a wake-up is no "
        "job",
        "Waiting without running");
    crash_means(
        "four threads waited in pop, and were woken without a job",
        "the wait must stand in a `while`, not in an `if`: a wake-up is "
        "no job",
        "Waiting without running");
    for (int i = 0; i < WAITERS; i++) {
        poppers[i].queue = queue;
        threads[i] = start(pop_one, &poppers[i]);
    }
    for (int round = 0; round < 3; round++) {
        settle();
        watch_wake_all();
    }
    settle();
    for (int i = 0; i < WAITERS; i++)
        check(!poppers[i].done, .got = "pop returned, with nothing to return",
              IF_FOR_WHILE);
    for (int i = 0; i < WAITERS; i++)
        push(queue, i + 1);
    intptr_t sum = 0;
    for (int i = 0; i < WAITERS; i++) {
        check(wait_until(poppers[i].done),
              .expected = "then four jobs were pushed: one for each",
              .got = "a thread still waits", .cause = LOOK_AND_WAIT,
              .key = "no-wake-up", .read = "Waiting without running");
        pthread_join(threads[i], NULL);
        sum += (intptr_t)poppers[i].job.arg;
    }
    check(sum == 1 + 2 + 3 + 4, .expected = "each of four jobs is popped once",
          .got = "one was popped twice, another never",
          .cause = "between the look at the first node and its removal another "
                   "thread may come: both belong under the mutex",
          .key = "race", .read = "One at a time");
}

Test(queue, each_of_eight_waiters_is_woken)
{
    enum { WAITERS = 8, ROUNDS = 50 };
    JobQueue *queue = job_queue_new();
    expecting_within(patience() + 4,
                     "eight threads waited in pop, and eight jobs "
                     "were pushed",
                     LOOK_AND_WAIT, "Waiting without running");
    for (int round = 0; round < ROUNDS; round++) {
        static Popper poppers[WAITERS];
        pthread_t threads[WAITERS];
        for (int i = 0; i < WAITERS; i++) {
            poppers[i] = (Popper){.queue = queue};
            threads[i] = start(pop_one, &poppers[i]);
        }
        if (round == 0)
            settle();
        for (int i = 0; i < WAITERS; i++)
            push(queue, i);
        for (int i = 0; i < WAITERS; i++) {
            check(wait_until(poppers[i].done),
                  .expected = "each thread gets one", .got = "one still waits",
                  .cause =
                      "a wake-up was lost: signal at each push, or hand it "
                      "on",
                  .key = "no-wake-up", .read = "Waiting without running");
            pthread_join(threads[i], NULL);
        }
    }
}

/* Hands one job to and fro, so that each pop has to wait. */
static JobQueue *to, *fro;
static atomic_int hops;

static void *hop(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        push(fro, (intptr_t)pop(to).arg);
        hops++;
    }
    return NULL;
}

static void *hop_back(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        push(to, i);
        pop(fro);
    }
    return NULL;
}

Test(queue, no_wake_up_is_lost)
{
    doing("a job went to and fro between two threads, 20,000 times");
    to = job_queue_new();
    fro = job_queue_new();
    start(hop, NULL);
    start(hop_back, NULL);
    check(wait_until(hops == 20000), .expected = "each is woken each time",
          .got = words("after %d times one was not woken", hops),
          .cause = LOOK_AND_WAIT, .key = "no-wake-up",
          .read = "Waiting without running");
}

static void *pop_one_slowly(void *arg)
{
    watch_dawdle();
    return pop_one(arg);
}

/* Between the look at the queue and the wait, no push may slip in. */
Test(queue, who_is_about_to_wait_is_woken)
{
    for (int late = 0; late < 2; late++) {
        doing("a thread found the queue empty, and was about to wait; in this "
              "moment a job was pushed");
        Popper popper = {.queue = job_queue_new()};
        int before = watch_waits();
        pthread_t thread = start(pop_one_slowly, &popper);
        if (late) /* it has looked, and may have the mutex */
            wait_until(watch_waits() > before);
        else /* it may have looked; it has not the mutex */
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        push(popper.queue, 1);
        check(wait_until(popper.done), .expected = "it gets the job",
              .got = "it waits for ever: the signal came before the wait",
              .cause = LOOK_AND_WAIT, .key = "no-wake-up",
              .read = "Waiting without running");
        pthread_join(thread, NULL);
    }
}

/* Producers and consumers: every job to exactly one of them. */
enum { JOBS = 20000 };
typedef struct {
    JobQueue *queue;
    int first, last, step; /* a producer's numbers */
    atomic_uchar *seen;
    atomic_int *popped;
    int order_broken; /* a number of one producer came after a later one */
    int producers;
} Party;

static void *produce(void *arg)
{
    Party *party = arg;
    for (int i = party->first; i < party->last; i += party->step) {
        job_queue_push(party->queue, (Job){nothing, (void *)(intptr_t)i});
        watch_nothing_held("job_queue_push");
    }
    return NULL;
}

static void *consume(void *arg)
{
    Party *party = arg;
    int last[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    for (;;) {
        Job job = pop(party->queue);
        if (job.function == NULL)
            return NULL;
        int number = (int)(intptr_t)job.arg;
        if (number < 0 || number >= JOBS) {
            party->order_broken++;
            continue;
        }
        party->order_broken += number <= last[number % party->producers];
        last[number % party->producers] = number;
        party->seen[number]++;
        ++*party->popped;
    }
}

#define UNGUARDED                                                              \
    "two threads change the queue at the same time: every look at "            \
    "it and every change of it belongs under the mutex"

static void check_exactly_once(int producers, int consumers)
{
    static atomic_uchar seen[JOBS];
    static atomic_int popped;
    JobQueue *queue = job_queue_new();
    Party makers[8], takers[8];
    pthread_t making[8], taking[8];

    expecting(words("%d threads pushed %d jobs, %d popped them", producers,
                    JOBS, consumers),
              UNGUARDED, "One at a time");
    popped = 0;
    for (int i = 0; i < JOBS; i++)
        seen[i] = 0;
    for (int i = 0; i < consumers; i++) {
        takers[i] = (Party){.queue = queue,
                            .seen = seen,
                            .popped = &popped,
                            .producers = producers};
        taking[i] = start(consume, &takers[i]);
    }
    for (int i = 0; i < producers; i++) {
        makers[i] = (Party){queue, i, JOBS, producers, NULL, NULL, 0, 0};
        making[i] = start(produce, &makers[i]);
    }
    for (int i = 0; i < producers; i++)
        pthread_join(making[i], NULL);
    for (int i = 0; i < consumers; i++) /* tell the consumers to end */
        job_queue_push(queue, (Job){NULL, NULL});
    check(wait_until(popped >= JOBS), .expected = "all come out",
          .got = words("%d came out", popped), .cause = UNGUARDED,
          .key = "race", .read = "One at a time");
    for (int i = 0; i < consumers; i++)
        pthread_join(taking[i], NULL);
    for (int i = 0; i < JOBS; i++)
        check(seen[i] == 1, .expected = "each comes out once",
              .got = words("job %d came out %d times", i, seen[i]),
              .cause = UNGUARDED, .key = "race", .read = "One at a time");
    for (int i = 0; i < consumers; i++)
        check(takers[i].order_broken == 0,
              .expected = "the jobs of one thread come out in their order",
              .got = "one came after a later one",
              .cause = "push must add at one end, pop take from the other",
              .key = "order", .read = "A queue");
}

Test(queue, each_job_to_exactly_one_of_many)
{
    const int numbers[] = {1, 2, 8};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            check_exactly_once(numbers[i], numbers[j]);
}

Test(queue, two_queues_are_two)
{
    doing("jobs were pushed to two queues");
    JobQueue *one = job_queue_new(), *other = job_queue_new();
    push(one, 1);
    push(other, 2);
    push(one, 3);
    check((intptr_t)pop(other).arg == 2 && (intptr_t)pop(one).arg == 1
              && (intptr_t)pop(one).arg == 3,
          .expected = "each queue gives back its own",
          .got = "a job of the other came out",
          .cause = "what belongs to a queue must stand in its struct, not in a "
                   "global or static variable",
          .read = "A queue");
}

#if STEP_CLOSES

static void close_queue(JobQueue *queue)
{
    job_queue_close(queue);
    watch_nothing_held("job_queue_close");
}

#define CLOSE_WAKES                                                            \
    .expected = "closing wakes all of them",                                   \
    .cause = "close must lock the mutex, set `closed`, and wake all: "         \
             "pthread_cond_broadcast, not signal; and the loop in pop must "   \
             "look at `closed`, too",                                          \
    .key = "close-wakes", .read = "Telling them"

Test(queue, closed_is_not_empty)
{
    expecting("1,000 jobs were pushed, the queue closed, then all were popped",
              "pop waits though the queue is closed: the `while` must look at "
              "`closed`, too",
              "Telling them");
    JobQueue *queue = job_queue_new();
    for (int i = 0; i < 1000; i++)
        push(queue, i);
    close_queue(queue);
    for (int i = 0; i < 1000; i++) {
        Job job = {NULL, NULL};
        bool popped = job_queue_pop(queue, &job);
        watch_nothing_held("job_queue_pop");
        check(popped && (intptr_t)job.arg == i,
              .expected = "what was in the queue still comes out",
              .got = words("job %d of 1,000 did not", i),
              .cause = "pop says `closed` before the queue is empty",
              .key = "drops", .read = "Telling them");
    }
    for (int i = 0; i < 3; i++)
        check(pop(queue).function == NULL,
              .expected = "closed and empty: pop returns false, each time",
              .got = "it returned true", .read = "Telling them",
              .key = "closed-is-false");
    job_queue_destroy(queue);
}

Test(queue, close_wakes_all_who_wait)
{
    enum { WAITERS = 8 };
    doing("eight threads waited in pop, and the queue was closed");
    JobQueue *queue = job_queue_new();
    static Popper poppers[WAITERS];
    pthread_t threads[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        poppers[i].queue = queue;
        threads[i] = start(pop_one, &poppers[i]);
    }
    settle();
    close_queue(queue);
    int done = 0;
    for (int i = 0; i < WAITERS; i++) {
        if (!wait_until(poppers[i].done))
            break;
        done++;
        pthread_join(threads[i], NULL);
    }
    check(done == WAITERS, .got = words("%d of 8 still wait", WAITERS - done),
          CLOSE_WAKES);
    for (int i = 0; i < WAITERS; i++)
        check(poppers[i].job.function == NULL,
              .expected = "pop returns false: closed, and empty",
              .got = "it returned a job that nobody had pushed",
              .key = "closed-is-false", .read = "Telling them");
    job_queue_destroy(queue);
}

Test(queue, close_wakes_who_is_about_to_wait)
{
    doing("a thread had looked whether the queue is closed, and was about to "
          "wait; in this moment it was closed");
    Popper popper = {.queue = job_queue_new()};
    pthread_t thread = start(pop_one_slowly, &popper);
    check(wait_until(watch_waits() > 0),
          .expected = "empty, but not closed: pop waits",
          .got = "it did not wait", .read = "Waiting without running");
    close_queue(popper.queue);
    check(wait_until(popper.done), .expected = "it is woken",
          .got = "it waits for ever: the broadcast came before the wait",
          .cause =
              "`closed` must be set under the mutex that pop holds while it "
              "looks",
          .key = "close-unlocked", .read = "Telling them");
    pthread_join(thread, NULL);
    job_queue_destroy(popper.queue);
}

/* What becomes of a job that comes too late is open: it may be run, or refused,
 * or end the program. It must not harm those that came in time. */
Test(queue, a_push_that_comes_too_late)
{
    doing("two jobs were pushed, the queue closed, and a third job pushed");
    pid_t child = fork_test();
    if (child == 0) {
        freopen("/dev/null", "w", stderr);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        alarm((unsigned)patience() + 2);
        JobQueue *queue = job_queue_new();
        Job job = {0};
        for (intptr_t i = 1; i <= 3; i++) {
            job_queue_push(queue, (Job){nothing, (void *)i});
            if (i == 2)
                job_queue_close(queue);
        }
        for (intptr_t i = 1; i <= 2; i++)
            if (!job_queue_pop(queue, &job) || (intptr_t)job.arg != i)
                _exit(1);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    check(WIFSIGNALED(status) ? WTERMSIG(status) == SIGABRT
                              : WEXITSTATUS(status) != 1,
          .expected = "the two that came in time come out, in their order",
          .got = WIFEXITED(status) ? "they do not" : "it crashed, or hangs",
          .cause =
              "push overwrites or loses what is in the queue when `closed` "
              "is set: only pop asks for it",
          .key = "late-push", .read = "Telling them");
}

Test(queue, open_and_empty_is_not_closed)
{
    doing("a thread popped from an empty queue that is not closed");
    JobQueue *queue = job_queue_new();
    push(queue, 1);
    check_number(pop(queue), 1);
    Popper popper = {.queue = queue};
    pthread_t thread = start(pop_one, &popper);
    settle();
    check(!popper.done, .expected = "it waits", .got = "pop returned",
          .cause =
              "empty is not closed: pop may say false only when it is both",
          .read = "Telling them");
    close_queue(queue);
    check(wait_until(popper.done),
          .got = "then it was closed, and the thread "
                 "still waits",
          CLOSE_WAKES);
    pthread_join(thread, NULL);
    job_queue_destroy(queue);
}

#endif
