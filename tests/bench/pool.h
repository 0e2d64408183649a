#ifndef BENCH_POOL_H
#define BENCH_POOL_H

#include <stddef.h>

typedef void Function(void *arg);

/* One of the pools to compare. Each measurement has a process of its own. */
typedef struct {
    const char *name;
    /* Starts that many threads; capacity: jobs that will wait at once. */
    void (*start)(size_t workers, size_t capacity);
    /* Hands over a job; waits while there is no room. arg is not NULL, and
       function is bench_job(). */
    void (*submit)(Function *function, void *arg);
    /* Runs all jobs, joins all threads. */
    void (*finish)(void);
} Side;

extern const Side ours, textbook, ring, glib, libuv;

/* What all jobs do; not inlined, because it is in another file. */
void bench_job(void *arg);

#endif
