/*
 * What the tests of the pool share. Nothing in them sleeps and hopes: they wait
 * for events, and Criterion's time-out ends those that wait for ever.
 */

#ifndef HELP_H
#define HELP_H

#include "job_queue.h"
#include "thread_pool.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

/* What stands between the pool and libc counts, and fails when told. */
extern atomic_long allocated;  /* blocks, less those that were freed */
extern atomic_int fail_alloc;  /* this one fails, counted from 1; 0: none */
extern atomic_int fail_create; /* the same for threads */
extern atomic_bool spurious;   /* every second wait ends for no reason */
extern atomic_int in_wait;     /* waits of threads that are watched */
extern _Thread_local bool watched;

/* Creates a pool that the test cannot do without. */
ThreadPool *build(size_t size, size_t capacity);

/* Hands a job to a pool that must take it. */
void submit(ThreadPool *pool, void (*function)(void *arg), void *arg);

/* Starts a thread that the test cannot do without. */
pthread_t start(void *(*run)(void *), void *arg);

/* Waits until watched threads sleep in that many waits. */
void until_waiting(int count);

/* How many threads this process has. */
int count_threads(void);

/* A job that says that it runs, and goes on only when told. */
typedef struct {
    sem_t started, go_on;
    bool ended;
} Hold;

/* Returns a new one, which nobody frees. */
Hold *hold_new(void);

/* Waits at a semaphore, whatever signals come. */
void wait_sem(sem_t *sem);

/* The job itself; its argument is the Hold. */
void hold_job(void *arg);

/* Returns a job that keeps one worker of the pool busy: it runs already. */
Hold *occupy(ThreadPool *pool);

/* A job that adds 1 to the atomic_int that it is given. */
void count_job(void *arg);

/* Sizes of a queue that differ in how they wrap around. */
static const size_t capacities[] = {1, 2, 3, 64};
enum { CAPACITIES = sizeof capacities / sizeof *capacities };

/* A call of thread_pool_execute in a thread of its own, watched. */
typedef struct {
    ThreadPool *pool;
    void (*function)(void *arg);
    void *arg;
    int error;
    sem_t *post; /* when the call has returned, unless NULL */
} Call;

/* The thread, which is given a Call. */
void *watched_execute(void *arg);

#endif
