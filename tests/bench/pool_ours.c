/* The pool of final/, for the bench. */
#include "pool.h"
#include "thread_pool.h"

#include <stdlib.h>

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

const Side ours = {"ours", start, submit, finish};
