/*
 * The pool used for something else: counts primes, range by range, with 1, 2
 * and 4 workers, and prints how much faster that makes it.
 */
#include "../thread_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RANGE 10000 /* numbers: a millisecond or two for a job */

/* What one job works on. No other touches it: there is nothing to lock. */
typedef struct {
    unsigned long from, to; /* to itself is not in it */
    unsigned long primes;   /* the result */
} Range;

static void count_primes(void *arg)
{
    Range *range = arg;
    unsigned long primes = 0;
    for (unsigned long n = range->from; n < range->to; n++) {
        unsigned long divisor = 2;
        while (divisor * divisor <= n && n % divisor != 0)
            divisor++;
        primes += n > 1 && divisor * divisor > n;
    }
    range->primes = primes;
}

/* Seconds, from some point in time. */
static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char *argv[])
{
    unsigned long limit = argc > 1 ? strtoul(argv[1], NULL, 10) : 3000000;
    size_t count = limit / RANGE + 1;
    Range *ranges = calloc(count, sizeof *ranges);
    if (ranges == NULL) {
        perror("primes");
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < count; i++) {
        ranges[i].from = i * RANGE;
        ranges[i].to = i + 1 < count ? (i + 1) * RANGE : limit;
    }

    double alone = 0; /* seconds with one worker */
    for (size_t workers = 1; workers <= 4; workers *= 2) {
        double start = now();
        ThreadPool *pool = thread_pool_new(workers);
        for (size_t i = 0; i < count; i++)
            if (thread_pool_execute(pool, count_primes, &ranges[i]) != 0)
                abort(); /* it fails only during a destroy, and for a job */
        thread_pool_destroy(pool);
        double seconds = now() - start;

        unsigned long primes = 0;
        for (size_t i = 0; i < count; i++)
            primes += ranges[i].primes;
        if (workers == 1)
            alone = seconds;
        printf("%zu worker%s %lu primes below %lu, %.2f s, speed-up %.2f\n",
               workers, workers == 1 ? ": " : "s:", primes, limit, seconds,
               alone / seconds);
    }
    free(ranges);
}
