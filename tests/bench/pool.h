#ifndef BENCH_POOL_H
#define BENCH_POOL_H

#include <stdbool.h>
#include <stddef.h>

typedef void Function(void *arg);

/* One of the pools to compare. Each measurement has a process of its own. */
typedef struct {
    const char *name;
    /* Starts that many threads; capacity: jobs that will wait at once. */
    void (*start)(size_t workers, size_t capacity);
    /* Hands over a job; waits while there is no room. arg is not NULL. */
    void (*submit)(Function *function, void *arg);
    /* Runs all jobs, joins all threads. */
    void (*finish)(void);
    bool one_function; /* submit() ignores function: it is always bench_job */
} Side;

extern const Side ours, textbook, glib, libuv;

/* What all jobs do; not inlined, because it is in another file. */
void bench_job(void *arg);

#endif
