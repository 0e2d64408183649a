/*
 * How fast is the pool? It is run beside other pools, in turns, each run in a
 * process of its own. Prints medians, and ratios: the median over the runs
 * of what another pool needed, divided by what ours needed right before it.
 * CPU time is that of all threads together: on a busy machine it tells more.
 * All single results go to the file that is named as the argument. RUNS in the
 * environment: so many runs, instead of 9.
 */
#include "measure.h"
#include "thread_pool.h" /* THREAD_POOL_CAPACITY */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS_MAX 99
#define JOBS 1000000
#define SMALL_QUEUE 1024
#define SIDES_MAX 5

static const Side *const sides[] = {
    &ours,  &textbook, &ring,
#ifdef WITH_GLIB
    &glib,
#endif
#ifdef WITH_UV
    &libuv,
#endif
};
enum { SIDES = sizeof sides / sizeof *sides };

static FILE *raw;
static int rounds = 9;

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(const double *values)
{
    double sorted[ROUNDS_MAX];
    memcpy(sorted, values, sizeof sorted);
    qsort(sorted, (size_t)rounds, sizeof *sorted, compare);
    return sorted[rounds / 2];
}

static double median_ratio(const double *values, const double *base)
{
    double ratios[ROUNDS_MAX];
    for (int round = 0; round < rounds; round++)
        ratios[round] = values[round] / base[round];
    return median(ratios);
}

typedef struct {
    Measurement *measure;
    Setup setup;
    double results[ROUNDS_MAX], cpu[ROUNDS_MAX];
} Column;

/* Measures all columns, in turns. */
static void measure(const char *title, Column *columns, size_t count)
{
    for (int round = 0; round < rounds; round++)
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

static void jobs_of_4_us(void)
{
    let_jobs_take(4e-6);
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
    let_jobs_take(0);

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
    if (getenv("RUNS") != NULL)
        rounds = atoi(getenv("RUNS"));
    if (rounds < 1 || rounds > ROUNDS_MAX)
        die("RUNS must be from 1 to 99");
    fprintf(stderr, "The pool, %d runs: about %d minutes\n", rounds,
            rounds / 6 + 1);
    printf("The pool of final/ against others: medians of %d runs, %ld CPUs\n",
           rounds, sysconf(_SC_NPROCESSORS_ONLN));
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
