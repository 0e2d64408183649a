/*
 * What the threads do, and what must come of it. A scenario is small: two or
 * three threads, one to three jobs. A mistake that needs more than that is
 * rare, and the orders of more would be too many.
 *
 * The interface of the program under test is looked up in its headers:
 * POP_PARAMETERS and so on are the number of parameters that they declare, and
 * missing for what they do not declare.
 */
#include "explore.h"

#if HAS_QUEUE
#include "job_queue.h"
#include "thread_pool.h"
#endif

#include <pthread.h>

int model_pthread_join(pthread_t handle, void **result);

#define JOBS 4
#define QUEUES 8

static int ran[JOBS + 1];    /* how often each job was taken, or ran */
static int last_of[THREADS]; /* the last job that a thread took */
static int gate[JOBS + 1];   /* open: 1 */
static int threads_then;     /* when the last pool was created */
static int first_of_second;  /* the first thread of the second pool */
static int consumers[THREADS], consumer_count;
static void *queue_or_pool[2];
static const void *queues[QUEUES]; /* that job_queue_new has returned */
static int queue_count;

static void begin(void)
{
    queue_count = 0;
    for (int i = 0; i <= JOBS; i++)
        ran[i] = gate[i] = 0;
    for (int i = 0; i < THREADS; i++)
        last_of[i] = 0;
    consumer_count = 0;
}

#if HAS_QUEUE

/* Opens a gate, for all who wait at it or will. */
static void open_gate(int number)
{
    Object *object = object_at(&gate[number], "gate", HERE);
    touch(object, 1);
    release(&object->clock);
    gate[number] = 1;
}

static void await_gate(int number, const char *what)
{
    Object *object = object_at(&gate[number], "gate", HERE);
    self->flag = &gate[number];
    self->awaits = what;
    note("waits until %s", what);
    step(AWAIT, object, NULL);
    acquire(&object->clock);
}

/* Whoever can goes on from here, and that is no surprise. */
static void all_go(void)
{
    step(GO, NULL, NULL);
}

/* A job was taken, or runs: each once, and in order. */
static void count(int number)
{
    if (++ran[number] > 1)
        fail("doubled", NULL, "job %d comes a second time", number);
    if (last_of[self->id] > number)
        fail("order", NULL, "job %d comes after job %d, and was there first",
             number, last_of[self->id]);
    last_of[self->id] = number;
}

/* All of them must have run by now. */
static void all_ran(int jobs, const char *when)
{
    for (int i = 1; i <= jobs; i++)
        if (ran[i] == 0)
            fail("lost", NULL, "%s, and job %d has not run", when, i);
}

static void job(void *arg)
{
    int number = (int)(intptr_t)arg;
    note("runs job %d", number);
    if (self->by_reader && self->id >= threads_then)
        fail("thread-per-job", NULL,
             "job %d runs on a thread that is not one "
             "of those that thread_pool_new has created",
             number);
    if (!self->by_reader)
        fail("caller-runs", NULL,
             "%s runs job %d itself: it called thread_pool_execute", self->name,
             number);
    count(number);
}

/* --- the queue --- */

#if PUSH_PARAMETERS == 3
#define PUSH(queue, job) job_queue_push(queue, job, true)
#else
#define PUSH(queue, job) job_queue_push(queue, job)
#endif
#if NEW_PARAMETERS == 2
#define NEW(consumers) job_queue_new(2, consumers)
#elif NEW_PARAMETERS == 1
#define NEW(consumers) ((void)(consumers), job_queue_new(2))
#else
#define NEW(consumers) ((void)(consumers), job_queue_new())
#endif

/* Remembers a queue that the program has created. */
static JobQueue *created(JobQueue *queue)
{
    if (queue_count < QUEUES)
        queues[queue_count++] = queue;
    return queue;
}

static void must_be_queue(const JobQueue *queue, const char *call,
                          const void *pc)
{
    self->called_at = pc;
    if (queue == NULL)
        fail("no-queue", pc, "calls %s with a queue that is NULL", call);
    for (int i = 0; i < queue_count; i++)
        if (queues[i] == queue)
            return;
    if (queue_count > 0 && queue_count < QUEUES)
        fail("no-queue", pc, "calls %s with what job_queue_new did not return",
             call);
}

/* Where pool and queue stand in files of their own, the pool's calls of the
 * queue come here first: that it has none is seen here best. */
#if NEW_PARAMETERS == 1
JobQueue *asked_job_queue_new(size_t capacity)
{
    return created(job_queue_new(capacity));
}
#elif NEW_PARAMETERS == 0
JobQueue *asked_job_queue_new(void)
{
    return created(job_queue_new());
}
#endif

#if PUSH_PARAMETERS == 2
__typeof__(job_queue_push(NULL, (Job){0})) asked_job_queue_push(JobQueue *queue,
                                                                Job job)
{
    must_be_queue(queue, "job_queue_push", HERE);
    return job_queue_push(queue, job);
}
#endif

#if POP_PARAMETERS == 2
bool asked_job_queue_pop(JobQueue *queue, Job *job)
{
    must_be_queue(queue, "job_queue_pop", HERE);
    bool popped = job_queue_pop(queue, job);
    self->told_end = !popped;
    return popped;
}
#else
Job asked_job_queue_pop(JobQueue *queue)
{
    must_be_queue(queue, "job_queue_pop", HERE);
    return job_queue_pop(queue);
}
#endif

#ifdef CLOSE_PARAMETERS
void asked_job_queue_close(JobQueue *queue)
{
    must_be_queue(queue, "job_queue_close", HERE);
    job_queue_close(queue);
}
#endif

static JobQueue *queue(void)
{
    return queue_or_pool[0];
}

static void push(int number)
{
    note("pushes job %d", number);
    PUSH(queue(), ((Job){job, (void *)(intptr_t)number}));
}

static bool pop(Job *result)
{
    note("asks for a job");
#if POP_PARAMETERS == 2
    return job_queue_pop(queue(), result);
#else
    *result = job_queue_pop(queue());
    return true;
#endif
}

/* Takes as many jobs as arg says; 0: until the queue is closed. */
static void *consume(void *arg)
{
    int wanted = (int)(intptr_t)arg;
    for (int taken = 0; wanted == 0 || taken < wanted; taken++) {
        Job taken_job = {0};
        if (!pop(&taken_job)) {
            note("is told that no job is to come");
            if (wanted != 0)
                fail("no-job", NULL,
                     "pop says that the queue is closed and "
                     "empty; it is neither");
            if (gate[0] == 0)
                fail("no-job", NULL,
                     "pop says that the queue is closed; it is open");
            return NULL;
        }
        if (taken_job.function == NULL && gate[0] == 1)
            fail("not-told", NULL,
                 "pop says that there is a job; the queue is closed and empty");
        int number = (int)(intptr_t)taken_job.arg;
        if (taken_job.function != job || number < 1 || number > JOBS)
            fail("no-job", NULL, "pop returns a job that nobody has pushed");
        note("has job %d", number);
        count(number);
    }
    return NULL;
}

static void *produce(void *arg)
{
    push((int)(intptr_t)arg);
    return NULL;
}

static void start_consumer(int jobs)
{
    char name[24];
    snprintf(name, sizeof name, "consumer %d", consumer_count + 1);
    consumers[consumer_count++] =
        start(name, consume, (void *)(intptr_t)jobs)->id;
}

static void begin_queue(int threads)
{
    begin();
    queue_or_pool[0] = NEW((size_t)threads);
}

/* Joins the consumers; closes and destroys the queue, if that can be done. */
static void end_queue(int jobs)
{
#ifdef CLOSE_PARAMETERS
    if (gate[0] == 0) {
        for (int i = 0; i < consumer_count; i++)
            model_pthread_join((pthread_t)consumers[i] + 1, NULL);
        open_gate(0);
        job_queue_close(queue());
    } else {
        for (int i = 0; i < consumer_count; i++)
            model_pthread_join((pthread_t)consumers[i] + 1, NULL);
    }
    all_ran(jobs, "all consumers are done");
    note("destroys the queue");
    job_queue_destroy(queue());
#else
    (void)jobs;
#endif
}

static void one_job(void)
{
    begin_queue(1);
    start_consumer(1);
    all_go();
    push(1);
    end_queue(1);
}

static void two_jobs(void)
{
    begin_queue(1);
    start_consumer(2);
    all_go();
    push(1);
    push(2);
    end_queue(2);
}

/* One of them waits for ever, and that is right. */
static void one_for_two(void)
{
    begin_queue(2);
    start_consumer(1);
    start_consumer(1);
    for (int i = 0; i < consumer_count; i++)
        threads[consumers[i]].may_wait = true;
    all_go();
    push(1);
}

/* What is left after each job must not become more and more. */
static void again_and_again(void)
{
    begin_queue(1);
    int left = 0, growing = 0;
    for (int i = 1; i <= JOBS; i++) {
        push(i);
        consume((void *)(intptr_t)1);
        growing += memory_in_use() > left;
        left = memory_in_use();
    }
    if (growing == JOBS)
        fail("leak-per-job", NULL,
             "each job leaves memory behind that is "
             "never freed");
    end_queue(JOBS);
}

#ifdef TRY_PUSH_PARAMETERS
/* A queue with room for two, and three jobs. */
static void full(void)
{
    begin_queue(1);
    push(1);
    push(2);
    note("tries to push job 3");
    if (job_queue_try_push(queue(), (Job){job, (void *)(intptr_t)3}) == 0)
        fail("full", NULL,
             "a third job is pushed to a queue with room for two");
    consume((void *)(intptr_t)2);
    end_queue(2);
}

/* Two producers wait for room, and room for two is made. */
static void two_wait_for_room(void)
{
    begin_queue(1);
    push(1);
    push(2);
    int one = start("producer 1", produce, (void *)(intptr_t)3)->id;
    int other = start("producer 2", produce, (void *)(intptr_t)4)->id;
    all_go();
    consume((void *)(intptr_t)2);
    model_pthread_join((pthread_t)one + 1, NULL);
    model_pthread_join((pthread_t)other + 1, NULL);
    last_of[self->id] = 0; /* which of the two comes first is open */
    consume((void *)(intptr_t)1);
    last_of[self->id] = 0;
    consume((void *)(intptr_t)1);
    end_queue(4);
}
#endif

static void two_consumers(void)
{
    begin_queue(2);
    start_consumer(1);
    start_consumer(1);
    all_go();
    push(1);
    push(2);
    end_queue(2);
}

static void three_jobs(void)
{
    begin_queue(2);
    start_consumer(2);
    start_consumer(1);
    all_go();
    push(1);
    push(2);
    push(3);
    end_queue(3);
}

static void two_producers(void)
{
    begin_queue(2);
    start_consumer(1);
    start_consumer(1);
    int other = start("producer", produce, (void *)(intptr_t)1)->id;
    all_go();
    push(2);
    model_pthread_join((pthread_t)other + 1, NULL);
    end_queue(2);
}

#ifdef CLOSE_PARAMETERS

static void close_queue(void)
{
    note("closes the queue");
    open_gate(0);
    job_queue_close(queue());
}

static void close_while_one_waits(void)
{
    begin_queue(1);
    start_consumer(0);
    all_go();
    close_queue();
    end_queue(0);
}

static void close_while_two_wait(void)
{
    begin_queue(2);
    start_consumer(0);
    start_consumer(0);
    all_go();
    close_queue();
    end_queue(0);
}

static void close_with_jobs(void)
{
    begin_queue(2);
    start_consumer(0);
    start_consumer(0);
    all_go();
    push(1);
    push(2);
    close_queue();
    end_queue(2);
}

#endif

/* --- the pool --- */

static ThreadPool *pool(int number)
{
    return queue_or_pool[number];
}

static void begin_pool(int number, size_t size)
{
    if (number == 0)
        begin();
    note("creates a pool of %zu", size);
    queue_or_pool[number] = thread_pool_new(size);
    threads_then = 0;
    while (threads_then < THREADS && threads[threads_then].used)
        threads_then++;
    all_go();
}

static void execute(int number, void (*function)(void *), int job_number)
{
    note("executes job %d", job_number);
    thread_pool_execute(pool(number), function, (void *)(intptr_t)job_number);
}

static void end_pool(int number, int jobs)
{
#ifdef DESTROY_PARAMETERS
    note("destroys the pool");
    thread_pool_destroy(pool(number));
    all_ran(jobs, "thread_pool_destroy returned");
#else
    (void)number, (void)jobs;
#endif
}

static void only_new(void)
{
    begin_pool(0, 2);
    end_pool(0, 0);
}

#if EXECUTES

static void in_order(void)
{
    begin_pool(0, 1);
    execute(0, job, 1);
    execute(0, job, 2);
    end_pool(0, 2);
}

static void two_workers(void)
{
    begin_pool(0, 2);
    execute(0, job, 1);
    execute(0, job, 2);
    end_pool(0, 2);
}

static void needs_another(void *arg)
{
    job(arg);
    await_gate(0, "the last job has run");
}

static void opens_for_another(void *arg)
{
    job(arg);
    open_gate(0);
}

static void side_by_side(void)
{
    begin_pool(0, 2);
    execute(0, needs_another, 1);
    execute(0, opens_for_another, 2);
    end_pool(0, 2);
}

/* The third job does not wait behind the first: another worker is free. */
static void third_is_needed(void)
{
    begin_pool(0, 2);
    execute(0, needs_another, 1);
    execute(0, job, 2);
    execute(0, opens_for_another, 3);
    end_pool(0, 3);
}

static void needs_main(void *arg)
{
    job(arg);
    await_gate(1, "main has handed job 2 over");
}

static void does_not_wait(void)
{
    begin_pool(0, 1);
    execute(0, needs_main, 1);
    execute(0, job, 2);
    open_gate(1);
    end_pool(0, 2);
}

static void executes_another(void *arg)
{
    job(arg);
    execute(0, opens_for_another, 2);
}

static void from_a_job(void)
{
    begin_pool(0, 1);
    execute(0, executes_another, 1);
    await_gate(0, "job 2 has run");
    end_pool(0, 2);
}

/* A job of the second pool must not run on a worker of the first. */
static void runs_in_the_second(void *arg)
{
    if (self->id < first_of_second)
        fail("other-pool", NULL,
             "a job of one pool runs on a worker of another");
    opens_for_another(arg);
}

static void two_pools(void)
{
    begin_pool(0, 1);
    first_of_second = threads_then;
    begin_pool(1, 1);
    execute(0, needs_another, 1);
    execute(1, runs_in_the_second, 2);
    end_pool(0, 1);
    end_pool(1, 2);
}

#ifdef WAIT_PARAMETERS
static void wait_for_jobs(void)
{
    begin_pool(0, 2);
    execute(0, job, 1);
    execute(0, job, 2);
    note("waits for the pool");
    thread_pool_wait(pool(0));
    all_ran(2, "thread_pool_wait returned");
    end_pool(0, 2);
}
#endif
#endif

/* --- what is left in the end: before step 08, threads that wait in pop --- */

static void after_one(void)
{
    all_ran(1, "nothing goes on");
}

static void after_two(void)
{
    all_ran(2, "nothing goes on");
}

static void after_three(void)
{
    all_ran(3, "nothing goes on");
}

#ifdef CLOSE_PARAMETERS
#define QUEUE_STAYS false
#else
#define QUEUE_STAYS true
#endif
#ifdef DESTROY_PARAMETERS
#define POOL_STAYS false
#else
#define POOL_STAYS true
#endif

#endif

/* --- the server --- */

#if SERVES
int main_of_the_server(int argc, char *argv[]);

static void serve(void)
{
    static char name[] = "./server", *arguments[] = {name, NULL};
    self->may_wait = true; /* for a third client */
    main_of_the_server(1, arguments);
}
#endif

const Scenario scenarios[] = {
#if HAS_QUEUE
    {"one-job", "a consumer, a job", one_job, after_one, QUEUE_STAYS},
    {"one-thread", "jobs pushed and popped in turn", again_and_again, NULL,
     QUEUE_STAYS},
#ifdef TRY_PUSH_PARAMETERS
    {"full", "a queue with room for two, and three jobs", full, NULL, false},
    {"two-wait", "a full queue, two producers, and room for two",
     two_wait_for_room, NULL, false},
#endif
    {"two-jobs", "a consumer, two jobs", two_jobs, after_two, QUEUE_STAYS},
    {"one-for-two", "two consumers, one job", one_for_two, after_one, true,
     true},
    {"two-consumers", "two consumers, two jobs", two_consumers, after_two,
     QUEUE_STAYS},
    {"two-producers", "two producers, two consumers", two_producers, after_two,
     QUEUE_STAYS},
    {"three-jobs", "two consumers, three jobs", three_jobs, after_three,
     QUEUE_STAYS},
#ifdef CLOSE_PARAMETERS
    {"close-one", "a consumer, the queue is closed", close_while_one_waits,
     NULL, false},
    {"close-two", "two consumers, the queue is closed", close_while_two_wait,
     NULL, false},
    {"close-jobs", "two consumers, two jobs, the queue is closed",
     close_with_jobs, after_two, false},
#endif
    {"new", "a pool of two, no job", only_new, NULL, POOL_STAYS},
#if EXECUTES
    {"in-order", "a pool of one, two jobs", in_order, after_two, POOL_STAYS},
    {"two-workers", "a pool of two, two jobs", two_workers, after_two,
     POOL_STAYS},
    {"side-by-side", "a pool of two, a job that needs the other", side_by_side,
     after_two, POOL_STAYS},
    {"third", "a pool of two, a job that needs the third", third_is_needed,
     after_three, POOL_STAYS},
    {"does-not-wait", "a pool of one that is busy while main executes another",
     does_not_wait, after_two, POOL_STAYS},
    {"from-a-job", "a job that executes another", from_a_job, after_two,
     POOL_STAYS},
    {"two-pools", "two pools, a job of one that needs the other's", two_pools,
     after_two, POOL_STAYS},
#ifdef WAIT_PARAMETERS
    {"wait", "a pool of two, two jobs, thread_pool_wait", wait_for_jobs,
     after_two, false},
#endif
#endif
#endif
#if SERVES
    {"server", "main, and two clients that say nothing", serve, net_check,
     CLOSES == 0},
#endif
};
const int scenario_count = sizeof scenarios / sizeof scenarios[0];
