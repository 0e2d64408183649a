/*
 * The ring of step 10, for the bench: its own code. But its workers say nothing
 * of each job, as that would take most of the time.
 */
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>

#define printf(...) ((void)0)
#include "job_queue.c" /* from the step's folder */
#include "thread_pool.c"

static ThreadPool *pool;

static void start(size_t workers, size_t capacity)
{
    if (thread_pool_build(&pool, workers, capacity) != 0)
        abort();
}

static void submit(Function *function, void *arg)
{
    if (thread_pool_execute(pool, function, arg) != 0)
        abort();
}

static void finish(void)
{
    thread_pool_destroy(pool);
}

const Side ring = {"ring", start, submit, finish};
