#ifndef THREAD_POOL_H
#define THREAD_POOL_H

#include <stddef.h>

typedef struct ThreadPool ThreadPool;

ThreadPool *thread_pool_new(size_t size);
void thread_pool_execute(ThreadPool *pool, void (*function)(void *arg),
                         void *arg);
void thread_pool_destroy(ThreadPool *pool);

#endif
