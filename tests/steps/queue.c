/* The queue, by its header alone: from the step that declares it on. */

#include "unit.h"

#include "job_queue.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(queue, .timeout = TIMEOUT, .init = begin);

#if STEP_CLOSES
/* Takes a job; a queue that is closed and empty gives one with no function. */
static Job pop(JobQueue *queue)
{
    Job job = {NULL, NULL};
    if (!job_queue_pop(queue, &job))
        return (Job){NULL, NULL};
    return job;
}
#else
static Job pop(JobQueue *queue)
{
    return job_queue_pop(queue);
}
#endif

static void nothing(void *arg)
{
    (void)arg;
}

/* A job that is known by its number. */
static void push(JobQueue *queue, intptr_t number)
{
    job_queue_push(queue, (Job){nothing, (void *)number});
}

Test(queue, first_in_first_out)
{
    JobQueue *queue = job_queue_new();
    for (intptr_t i = 0; i < 100000; i++)
        push(queue, i);
    for (intptr_t i = 0; i < 100000; i++) {
        Job job = pop(queue);
        check("shared-queue", job.function == nothing && (intptr_t)job.arg == i,
              "Job %ld should come out; job %ld came: first in, first out",
              (long)i, (long)(intptr_t)job.arg);
    }
}

Test(queue, full_and_empty_by_turns)
{
    JobQueue *queue = job_queue_new();
    intptr_t in = 0, out = 0;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < round % 17 + 1; i++)
            push(queue, in++);
        while (out < in
                         - (round % 3 == 0         ? 0
                            : round % 5 < in - out ? round % 5
                                                   : 0)) {
            Job job = pop(queue);
            check("shared-queue", (intptr_t)job.arg == out,
                  "Job %ld should come out; job "
                  "%ld came",
                  (long)out, (long)(intptr_t)job.arg);
            out++;
        }
    }
}

Test(queue, both_parts_of_a_job_arrive)
{
    JobQueue *queue = job_queue_new();
    int number;
    job_queue_push(queue, (Job){nothing, &number});
    job_queue_push(queue, (Job){free, NULL});
    Job first = pop(queue), second = pop(queue);
    check("shared-queue",
          first.function == nothing && first.arg == &number
              && second.function == free && second.arg == NULL,
          "A job should come out as it went in: its function and its argument");
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

Test(queue, an_empty_pop_waits_and_a_push_wakes_it)
{
    Popper popper = {.queue = job_queue_new()};
    pthread_t thread = start(pop_one, &popper);
    settle();
    check("shared-queue", !popper.done,
          "A pop from an empty queue returned, with nothing "
          "to return: it should wait");
    push(popper.queue, 7);
    check("shared-queue", wait_until(popper.done),
          "A thread waits in pop; a job was pushed, and the thread still "
          "waits: pop waits for what push signals");
    pthread_join(thread, NULL);
    check("shared-queue", (intptr_t)popper.job.arg == 7,
          "The woken thread got another job");
}

/* POSIX lets pthread_cond_wait return for no reason at all. */
Test(queue, a_spurious_wake_up_is_no_job)
{
    enum { WAITERS = 4 };
    JobQueue *queue = job_queue_new();
    static Popper poppers[WAITERS];
    pthread_t threads[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        poppers[i].queue = queue;
        threads[i] = start(pop_one, &poppers[i]);
    }
    expecting("a thread that is woken without a job looks again, and waits: "
              "the wait must stand in a while, not in an if.");
    for (int round = 0; round < 5; round++) {
        settle();
        wake_all_waiters();
    }
    settle();
    for (int i = 0; i < WAITERS; i++)
        check("shared-queue", !poppers[i].done,
              "Woken without a job, pop returned: the wait must stand in a "
              "while, not in an if");
    for (int i = 0; i < WAITERS; i++)
        push(queue, i + 1);
    intptr_t sum = 0;
    for (int i = 0; i < WAITERS; i++) {
        check("shared-queue", wait_until(poppers[i].done),
              "A thread still waits in pop, "
              "though there is a job for each");
        pthread_join(threads[i], NULL);
        sum += (intptr_t)poppers[i].job.arg;
    }
    check("shared-queue", sum == 1 + 2 + 3 + 4,
          "Each of 4 jobs should be popped once");
}

Test(queue, each_of_eight_waiters_is_woken)
{
    enum { WAITERS = 8, ROUNDS = 50 };
    JobQueue *queue = job_queue_new();
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
            check("shared-queue", wait_until(poppers[i].done),
                  "Eight threads wait, eight jobs were pushed, and one thread "
                  "still waits: a wake-up was lost");
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
    to = job_queue_new();
    fro = job_queue_new();
    start(hop, NULL);
    start(hop_back, NULL);
    check("shared-queue", wait_until(hops == 20000),
          "A job went to and fro between two threads %d times, then one was "
          "not woken",
          hops);
}

static void *pop_one_slowly(void *arg)
{
    dawdle();
    return pop_one(arg);
}

/* Between the look at the queue and the wait, no push may slip in. */
Test(queue, who_is_about_to_wait_is_woken)
{
    for (int late = 0; late < 2; late++) {
        Popper popper = {.queue = job_queue_new()};
        int before = waits();
        pthread_t thread = start(pop_one_slowly, &popper);
        if (late) /* it has looked, and may have the mutex */
            wait_until(waits() > before);
        else /* it may have looked; it has not the mutex */
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        push(popper.queue, 1);
        check(
            "shared-queue", wait_until(popper.done),
            "A thread found the queue empty, and was about to wait; a job was "
            "pushed, and the thread waits for ever: to look and to wait must "
            "be one, under the mutex, and the signal must come after the job");
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
    for (int i = party->first; i < party->last; i += party->step)
        push(party->queue, i);
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

static void check_exactly_once(int producers, int consumers)
{
    static atomic_uchar seen[JOBS];
    static atomic_int popped;
    JobQueue *queue = job_queue_new();
    Party makers[8], takers[8];
    pthread_t making[8], taking[8];

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
    check("shared-queue", wait_until(popped >= JOBS),
          "%d producers, %d consumers: of %d jobs %d came out", producers,
          consumers, JOBS, popped);
    for (int i = 0; i < consumers; i++)
        pthread_join(taking[i], NULL);
    for (int i = 0; i < JOBS; i++)
        check("shared-queue", seen[i] == 1,
              "%d producers, %d consumers: job %d came out %d times, not once",
              producers, consumers, i, seen[i]);
    for (int i = 0; i < consumers; i++)
        check("shared-queue", takers[i].order_broken == 0,
              "%d producers, %d consumers: a consumer got two jobs of one "
              "producer in the wrong order",
              producers, consumers);
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
    JobQueue *one = job_queue_new(), *other = job_queue_new();
    push(one, 1);
    push(other, 2);
    push(one, 3);
    check("shared-queue",
          (intptr_t)pop(other).arg == 2 && (intptr_t)pop(one).arg == 1
              && (intptr_t)pop(one).arg == 3,
          "Two queues should not mix their jobs");
}

#if STEP_CLOSES

Test(queue, close_wakes_all_who_wait)
{
    enum { WAITERS = 8 };
    JobQueue *queue = job_queue_new();
    static Popper poppers[WAITERS];
    pthread_t threads[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        poppers[i].queue = queue;
        threads[i] = start(pop_one, &poppers[i]);
    }
    settle();
    job_queue_close(queue);
    for (int i = 0; i < WAITERS; i++) {
        check("graceful-shutdown", wait_until(poppers[i].done),
              "Eight threads wait in pop; the queue was closed, and one still "
              "waits: closing must wake all of them");
        pthread_join(threads[i], NULL);
        check("graceful-shutdown", poppers[i].job.function == NULL,
              "Pop from a closed, empty queue should return false");
    }
    job_queue_destroy(queue);
}

Test(queue, close_wakes_who_is_about_to_wait)
{
    Popper popper = {.queue = job_queue_new()};
    pthread_t thread = start(pop_one_slowly, &popper);
    check("graceful-shutdown", wait_until(waits() > 0),
          "Empty, but not closed: pop should wait");
    job_queue_close(popper.queue);
    check("graceful-shutdown", wait_until(popper.done),
          "A thread had looked whether the queue is closed, and was about to "
          "wait; it was closed, and the thread waits for ever: close must lock "
          "the mutex");
    pthread_join(thread, NULL);
    job_queue_destroy(popper.queue);
}

Test(queue, closed_is_not_empty)
{
    JobQueue *queue = job_queue_new();
    for (int i = 0; i < 1000; i++)
        push(queue, i);
    job_queue_close(queue);
    for (int i = 0; i < 1000; i++) {
        Job job = {NULL, NULL};
        check("graceful-shutdown",
              job_queue_pop(queue, &job) && (intptr_t)job.arg == i,
              "What was queued before close should still come out; job %d of "
              "1000 did not",
              i);
    }
    Job job;
    for (int i = 0; i < 3; i++)
        check("graceful-shutdown", !job_queue_pop(queue, &job),
              "Closed and empty: pop should return false, each time");
    job_queue_destroy(queue);
}

Test(queue, open_and_empty_is_not_closed)
{
    JobQueue *queue = job_queue_new();
    Job job;
    push(queue, 1);
    check("graceful-shutdown", job_queue_pop(queue, &job), "There was a job");
    Popper popper = {.queue = queue};
    pthread_t thread = start(pop_one, &popper);
    settle();
    check("graceful-shutdown", !popper.done,
          "Empty, but not closed: pop should wait");
    job_queue_close(queue);
    check("graceful-shutdown", wait_until(popper.done),
          "Closing should end the wait");
    pthread_join(thread, NULL);
    job_queue_destroy(queue);
}

#endif
