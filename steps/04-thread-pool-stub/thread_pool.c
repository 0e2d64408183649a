#include "thread_pool.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct ThreadPool {
    size_t size;
};

ThreadPool *thread_pool_new(size_t size)
{
    assert(size > 0);

    ThreadPool *pool = malloc(sizeof *pool);
    if (pool == NULL) {
        perror("thread_pool_new");
        exit(EXIT_FAILURE);
    }
    *pool = (ThreadPool){.size = size};
    return pool;
}

void thread_pool_execute(ThreadPool *pool, void (*function)(void *arg),
                         void *arg)
{
    (void)pool;
    (void)function;
    (void)arg;
}
