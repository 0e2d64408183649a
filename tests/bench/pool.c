/*
 * How fast is the pool? It is run beside other pools, in turns, each run in a
 * process of its own. Prints medians, and ratios: the median over the rounds
 * of what another pool needed, divided by what ours needed right before it.
 * CPU time is that of all threads together: on a busy machine it tells more.
 * All single results go to the file that is named as the argument.
 */
#define _GNU_SOURCE /* sched_setaffinity() */
#include "pool.h"
#include "../support/clock.h"
#include "thread_pool.h" /* THREAD_POOL_CAPACITY */

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define JOBS 1000000
#define SMALL_QUEUE 1024
#define MAX_THREADS 64
#define SIDES_MAX 5

static const Side *const sides[] = {
    &ours,
    &textbook,
#ifdef WITH_GLIB
    &glib,
#endif
#ifdef WITH_UV
    &libuv,
#endif
};
enum { SIDES = sizeof sides / sizeof *sides };

static FILE *raw;

static void die(const char *what)
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

/* --- measurements: each runs in a process of its own --------------------- */

typedef struct {
    const Side *side;
    size_t workers, producers, capacity, jobs;
} Setup;

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

/* Seconds for all jobs, from the first push to the last thread's end. */
static double throughput(const Setup *setup)
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

/* Seconds for all jobs, shared out beforehand, without a pool: the ideal. */
static double ideal(const Setup *setup)
{
    double seconds = in_threads(setup, compute);
    check_count(setup->jobs);
    return seconds;
}

/* Seconds for one job after the other, all on one CPU. */
static double round_trip(const Setup *setup)
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

/* Bytes of heap for all jobs while they wait in the queue. */
static double memory(const Setup *setup)
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

/* Seconds for all operations of threads that contend for one mutex. */
static double bare_mutex(const Setup *setup)
{
    double seconds = in_threads(setup, lock_and_unlock);
    if (bare_count != setup->jobs)
        die("the mutex does not exclude");
    return seconds;
}

/* --- running them -------------------------------------------------------- */

typedef double Measurement(const Setup *setup);

/* Returns what a measurement returns that has a process of its own, and stores
   the seconds of CPU time that all threads of the process needed. */
static double apart(Measurement *measure, const Setup *setup, double *cpu)
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

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(const double *values)
{
    double sorted[ROUNDS];
    memcpy(sorted, values, sizeof sorted);
    qsort(sorted, ROUNDS, sizeof *sorted, compare);
    return sorted[ROUNDS / 2];
}

static double median_ratio(const double *values, const double *base)
{
    double ratios[ROUNDS];
    for (int round = 0; round < ROUNDS; round++)
        ratios[round] = values[round] / base[round];
    return median(ratios);
}

typedef struct {
    Measurement *measure;
    Setup setup;
    double results[ROUNDS], cpu[ROUNDS];
} Column;

/* Measures all columns, in turns. */
static void measure(const char *title, Column *columns, size_t count)
{
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < count; i++) {
            Column *column = &columns[i];
            const Setup *setup = &column->setup;
            column->results[round] =
                apart(column->measure, setup, &column->cpu[round]);
            fprintf(raw, "%s\t%s\t%zu\t%zu\t%zu\t%zu\t%.9g\t%.9g\n", title,
                    setup->side ? setup->side->name : "-", setup->producers,
                    setup->workers, setup->capacity, setup->jobs,
                    column->results[round], column->cpu[round]);
        }
}

static void print_head(const char *title, const char *unit)
{
    printf("\n%s\n%-24s", title, unit);
    for (int i = 0; i < SIDES; i++)
        printf("%10s", sides[i]->name);
    for (int i = 1; i < SIDES; i++)
        printf("%9s/ours", sides[i]->name);
    printf("\n");
}

/* Measures and prints a line of a table in which each side has a column. */
static void print_line(const char *label, Measurement *measurement, Setup setup,
                       double scale)
{
    Column columns[SIDES_MAX];
    for (int i = 0; i < SIDES; i++) {
        columns[i] = (Column){.measure = measurement, .setup = setup};
        columns[i].setup.side = sides[i];
    }
    measure(label, columns, SIDES);
    for (int line = 0; line < (measurement == memory ? 1 : 2); line++) {
        printf("%-24s", line == 0 ? label : "  CPU time");
        for (int i = 0; i < SIDES; i++)
            printf("%10.1f", scale
                                 * median(line == 0 ? columns[i].results
                                                    : columns[i].cpu));
        for (int i = 1; i < SIDES; i++)
            printf("%13.2fx",
                   line == 0
                       ? median_ratio(columns[i].results, columns[0].results)
                       : median_ratio(columns[i].cpu, columns[0].cpu));
        printf("\n");
    }
    fflush(stdout);
}

static void trivial_jobs(void)
{
    static const struct {
        const char *label;
        size_t producers, workers, capacity;
    } rows[] = {
        {"1 to 1", 1, 1, THREAD_POOL_CAPACITY},
        {"1 to 2", 1, 2, THREAD_POOL_CAPACITY},
        {"1 to 4", 1, 4, THREAD_POOL_CAPACITY},
        {"4 to 4", 4, 4, THREAD_POOL_CAPACITY},
        {"1 to 4, room for all", 1, 4, JOBS},
    };
    print_head("Trivial jobs: nanoseconds a job"
               " (goals: 65; 3 x textbook, 4 x GLib, 4 x libuv)",
               "producers to workers");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        print_line(rows[i].label, throughput,
                   (Setup){.producers = rows[i].producers,
                           .workers = rows[i].workers,
                           .capacity = rows[i].capacity,
                           .jobs = JOBS},
                   1e9 / JOBS);

    Column column = {.measure = bare_mutex,
                     .setup = {.workers = 2, .jobs = 10 * JOBS}};
    measure("bare mutex", &column, 1);
    printf("%-24s%10.1f   (2 threads, ns an operation)\n", "one bare mutex",
           median(column.results) * 1e9 / (10 * JOBS));
}

/* Finds how many rounds of computing take 4 microseconds. */
static void calibrate(void)
{
    double best = 1;
    spin = 1000000;
    for (int i = 0; i < 20; i++) {
        double start = now();
        bench_job(NULL);
        double seconds = now() - start;
        if (seconds < best)
            best = seconds;
    }
    spin = (unsigned long)(4e-6 / best * 1e6);
    counters[0].jobs = 0;
    counter = NULL;
    counter_count = 0;
}

static void jobs_of_4_us(void)
{
    calibrate();
    Setup setup = {.producers = 1, .workers = 4, .jobs = 100000};
    Column columns[3] = {
        {.measure = ideal, .setup = setup},
        {.measure = throughput, .setup = setup},
        {.measure = throughput, .setup = setup},
    };
    columns[1].setup.side = columns[2].setup.side = &ours;
    columns[1].setup.capacity = setup.jobs;
    columns[2].setup.capacity = SMALL_QUEUE;
    measure("4 us jobs", columns, 3);
    spin = 0;

    static const char *const labels[] = {
        "no pool: the ideal", "ours, room for all", "ours, 1024, full"};
    printf("\nJobs of 4 microseconds, 1 producer, 4 workers (goal: 1.050x)\n");
    for (int i = 0; i < 3; i++)
        printf("%-24s%10.1f ms  %6.3fx\n", labels[i],
               median(columns[i].results) * 1e3,
               median_ratio(columns[i].results, columns[0].results));
}

int main(int argc, char *argv[])
{
    if (argc != 2 || (raw = fopen(argv[1], "w")) == NULL)
        die("usage: pool RESULTS");
    printf(
        "The pool of final/ against others: medians of %d rounds, %ld CPUs\n",
        ROUNDS, sysconf(_SC_NPROCESSORS_ONLN));
    trivial_jobs();
    jobs_of_4_us();

    print_head("Memory: bytes a queued job (goal: 24)", "");
    print_line("100,000 queued", memory,
               (Setup){.workers = 1, .capacity = 100000, .jobs = 100000}, 1e-5);

    print_head("Round trip of one job, all on one CPU: nanoseconds (goal: 1 x "
               "textbook)",
               "");
    print_line("1 worker", round_trip,
               (Setup){.workers = 1, .capacity = SMALL_QUEUE, .jobs = 100000},
               1e9 / 100000);
    return fclose(raw) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
