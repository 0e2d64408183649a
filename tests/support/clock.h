/* The time, for tests and benches: no part of anything else. */

#ifndef CLOCK_H
#define CLOCK_H

#include <time.h>

/* Seconds since some fixed moment. */
static inline double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Waits a moment: for loops that look for an event until a deadline. */
static inline void moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

#endif
