/*
 * Queue and pool under load, as a plain program: for the sanitizers and for
 * valgrind, which do not go with a test runner. Linked to the folder under
 * test, without its main. Ends with status 0, or says what went wrong; a run
 * that takes longer than the given seconds is ended by SIGALRM.
 *
 *     stress JOBS SECONDS
 */

#include "job_queue.h"
#include "thread_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 8 };

static int jobs;
static int *plain; /* each job's own cell, without any lock */
static atomic_int runs;
static void *volatile kept[64]; /* some steps cannot free a queue or pool */
static int kept_count;

static void wait_for(int count, const char *what)
{
    while (runs < count)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (runs != count) {
        fprintf(stderr, "%s: %d jobs ran, not %d\n", what, runs, count);
        exit(EXIT_FAILURE);
    }
}

/* What the submitter wrote before must be seen here: the queue's promise. */
static void touch(void *arg)
{
    ++*(int *)arg;
    runs++;
}

static void check_cells(const char *what)
{
    for (int i = 0; i < jobs; i++) {
        if (plain[i] != i + 1) {
            fprintf(stderr, "%s: job %d ran %d times\n", what, i, plain[i] - i);
            exit(EXIT_FAILURE);
        }
        plain[i] = 0;
    }
    runs = 0;
}

#if STEP_BOUNDED
#define job_queue_new() job_queue_new(8) /* it is full again and again */

/* A job that finds no room in its own pool is done by its caller. */
#define thread_pool_execute(pool, function, arg)                               \
    ((thread_pool_execute)(pool, function, arg) != 0 ? (function)(arg)         \
                                                     : (void)0)
#endif

/* --- the queue ----------------------------------------------------------- */

static JobQueue *queue;

static void *consume(void *arg)
{
    Job job;
    (void)arg;
#if STEP_CLOSES
    while (job_queue_pop(queue, &job))
        job.function(job.arg);
#else
    while ((job = job_queue_pop(queue)).function != NULL)
        job.function(job.arg);
#endif
    return NULL;
}

typedef struct {
    int first, step;
    void (*submit)(void *arg);
} Producer;

static void push(void *arg)
{
    job_queue_push(queue, (Job){touch, arg});
}

static void *produce(void *arg)
{
    const Producer *producer = arg;
    for (int i = producer->first; i < jobs; i += producer->step) {
        plain[i] = i;
        producer->submit(&plain[i]);
    }
    return NULL;
}

/* Runs producers of all jobs and waits for them. */
static void run_producers(int count, void (*submit)(void *arg))
{
    pthread_t threads[MOST];
    Producer producers[MOST];
    for (int i = 0; i < count; i++) {
        producers[i] = (Producer){i, count, submit};
        pthread_create(&threads[i], NULL, produce, &producers[i]);
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void stress_queue(int producers, int consumers)
{
    pthread_t threads[MOST];
    kept[kept_count++] = queue = job_queue_new();
    for (int i = 0; i < consumers; i++)
        pthread_create(&threads[i], NULL, consume, NULL);
    run_producers(producers, push);
#if STEP_CLOSES
    job_queue_close(queue);
#else
    for (int i = 0; i < consumers; i++)
        job_queue_push(queue, (Job){NULL, NULL});
#endif
    for (int i = 0; i < consumers; i++)
        pthread_join(threads[i], NULL);
    wait_for(jobs, "queue");
    check_cells("queue");
#if STEP_CLOSES
    job_queue_destroy(queue);
#endif
}

/* --- the pool ------------------------------------------------------------ */

#if STEP_EXECUTES

static ThreadPool *pool;

static void submit(void *arg)
{
    thread_pool_execute(pool, touch, arg);
}

static void submit_again(void *arg)
{
    thread_pool_execute(pool, touch, arg);
    runs++;
}

static void stress_pool(int producers, size_t workers)
{
    kept[kept_count++] = pool = thread_pool_new(workers);
    run_producers(producers, submit);
#if STEP_CLOSES
    thread_pool_destroy(pool);
#endif
    wait_for(jobs, "pool");
    check_cells("pool");
}

/* Jobs that submit jobs; the pool must stay until the last has run. */
static void stress_nested(void)
{
    kept[kept_count++] = pool = thread_pool_new(4);
    for (int i = 0; i < jobs; i++) {
        plain[i] = i;
        thread_pool_execute(pool, submit_again, &plain[i]);
    }
    wait_for(2 * jobs, "nested");
#if STEP_CLOSES
    thread_pool_destroy(pool);
#endif
    check_cells("nested");
}

#endif

int main(int argc, char *argv[])
{
    jobs = argc > 1 ? atoi(argv[1]) : 10000;
    alarm(argc > 2 ? (unsigned)atoi(argv[2]) : 60);
    plain = calloc((size_t)jobs, sizeof *plain);
    if (plain == NULL || freopen("/dev/null", "w", stdout) == NULL)
        return EXIT_FAILURE;

    const int counts[] = {1, 2, 8};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            stress_queue(counts[i], counts[j]);
#if STEP_EXECUTES
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            stress_pool(counts[i], (size_t)counts[j]);
    stress_nested();
#endif
#if STEP_CLOSES
    for (int i = 0; i < jobs / 10; i++) {
        pool = thread_pool_new(2);
        plain[0] = 0;
        thread_pool_execute(pool, touch, &plain[0]);
        thread_pool_destroy(pool);
    }
    wait_for(jobs / 10, "new and destroy");
#endif
    free(plain);
#if STEP_CLOSES /* what was not freed is a leak */
    for (int i = 0; i < kept_count; i++)
        kept[i] = NULL;
    queue = NULL;
    pool = NULL;
#endif
    return EXIT_SUCCESS;
}
