#define _GNU_SOURCE /* sched_setaffinity() */
#include "measure.h"
#include "../support/clock.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_THREADS 64

void die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(EXIT_FAILURE);
}

/* --- what the jobs do ---------------------------------------------------- */

typedef struct {
    _Alignas(64) size_t jobs;
    char rest[56];
} Counter;

static Counter counters[MAX_THREADS]; /* one for each thread */
static atomic_size_t counter_count;
static _Thread_local Counter *counter;
static unsigned long spin; /* rounds of computing in a job */
static sem_t *announce;    /* posted by each job, unless NULL */
static sem_t gate;         /* what the job waits for whose arg it is */

void bench_job(void *arg)
{
    if (arg == &gate)
        sem_wait(&gate);
    if (counter == NULL)
        counter = &counters[atomic_fetch_add(&counter_count, 1)];
    counter->jobs++;
    uint64_t x = (uintptr_t)arg;
    for (unsigned long i = 0; i < spin; i++)
        __asm__ volatile("" : "+r"(x) : "r"(x * 6364136223846793005u + i));
    if (announce != NULL)
        sem_post(announce);
}

/* Ends the program unless so many jobs have run. */
static void check_count(size_t expected)
{
    size_t sum = 0;
    for (size_t i = 0; i < MAX_THREADS; i++)
        sum += counters[i].jobs;
    if (sum != expected)
        die("jobs were lost, or ran twice");
}

void let_jobs_take(double seconds)
{
    if (seconds == 0) {
        spin = 0;
        return;
    }
    double best = 1;
    spin = 1000000;
    for (int i = 0; i < 20; i++) {
        double start = now();
        bench_job(NULL);
        double took = now() - start;
        if (took < best)
            best = took;
    }
    spin = (unsigned long)(seconds / best * 1e6);
    counters[0].jobs = 0;
    counter = NULL;
    counter_count = 0;
}

/* --- the measurements ----------------------------------------------------- */

static const Setup *current;

static void *produce(void *arg)
{
    static char any;
    for (size_t i = 0; i < current->jobs / current->producers; i++)
        current->side->submit(bench_job, &any);
#ifdef WITH_UV
    if (current->side == &libuv)
        libuv.finish();
#endif
    return arg;
}

double throughput(const Setup *setup)
{
    current = setup;
    setup->side->start(setup->workers, setup->capacity);
    double start = now();
    pthread_t threads[MAX_THREADS];
    for (size_t i = 1; i < setup->producers; i++)
        if (pthread_create(&threads[i], NULL, produce, NULL) != 0)
            die("no thread");
    produce(NULL);
    for (size_t i = 1; i < setup->producers; i++)
        pthread_join(threads[i], NULL);
    setup->side->finish();
    double seconds = now() - start;
    check_count(setup->jobs);
    return seconds;
}

static void *compute(void *arg)
{
    for (size_t i = 0; i < current->jobs / current->workers; i++)
        bench_job(arg);
    return NULL;
}

/* Seconds that so many threads take, which run the same. */
static double in_threads(const Setup *setup, void *(*run)(void *))
{
    current = setup;
    double start = now();
    pthread_t threads[MAX_THREADS];
    for (size_t i = 0; i < setup->workers; i++)
        if (pthread_create(&threads[i], NULL, run, threads) != 0)
            die("no thread");
    for (size_t i = 0; i < setup->workers; i++)
        pthread_join(threads[i], NULL);
    return now() - start;
}

double ideal(const Setup *setup)
{
    double seconds = in_threads(setup, compute);
    check_count(setup->jobs);
    return seconds;
}

double round_trip(const Setup *setup)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(0, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    static sem_t done;
    sem_init(&done, 0, 0);
    announce = &done;
    setup->side->start(setup->workers, setup->capacity);
    double start = now();
    for (size_t i = 0; i < setup->jobs; i++) {
        setup->side->submit(bench_job, &done);
        while (sem_wait(&done) != 0)
            ;
    }
    double seconds = now() - start;
    setup->side->finish();
    check_count(setup->jobs);
    return seconds;
}

double memory(const Setup *setup)
{
    struct mallinfo2 before = mallinfo2();
    setup->side->start(setup->workers, setup->capacity);
    setup->side->submit(bench_job, &gate);
    for (size_t i = 1; i < setup->jobs; i++)
        setup->side->submit(bench_job, &before);
    struct mallinfo2 after = mallinfo2();
    sem_post(&gate);
    setup->side->finish();
    check_count(setup->jobs);
    return (double)(after.uordblks + after.hblkhd)
           - (double)(before.uordblks + before.hblkhd);
}

static pthread_mutex_t bare = PTHREAD_MUTEX_INITIALIZER;
static size_t bare_count;

static void *lock_and_unlock(void *arg)
{
    for (size_t i = 0; i < current->jobs / current->workers; i++) {
        pthread_mutex_lock(&bare);
        bare_count++;
        pthread_mutex_unlock(&bare);
    }
    return arg;
}

double bare_mutex(const Setup *setup)
{
    double seconds = in_threads(setup, lock_and_unlock);
    if (bare_count != setup->jobs)
        die("the mutex does not exclude");
    return seconds;
}

/* --- a process for each --------------------------------------------------- */

double apart(Measurement *measure, const Setup *setup, double *cpu)
{
    int ends[2];
    double result;
    fflush(NULL);
    if (pipe(ends) != 0)
        die("no pipe");
    pid_t child = fork();
    if (child == -1)
        die("no process");
    if (child == 0) {
        result = measure(setup);
        _exit(write(ends[1], &result, sizeof result) != sizeof result);
    }
    close(ends[1]);
    if (read(ends[0], &result, sizeof result) != sizeof result)
        die("a measurement failed");
    close(ends[0]);
    struct rusage usage;
    wait4(child, NULL, 0, &usage);
    *cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
           + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    return result;
}
