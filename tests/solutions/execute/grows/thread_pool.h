#ifndef THREAD_POOL_H
#define THREAD_POOL_H

#include <stddef.h>

/* A fixed number of threads that run the jobs handed to them. */
typedef struct ThreadPool ThreadPool;

/* Creates a pool of size threads, at least one, or ends the program. */
ThreadPool *thread_pool_new(size_t size);

/* Has one of the threads call function(arg). Does not wait for it. */
void thread_pool_execute(ThreadPool *pool, void (*function)(void *arg),
                         void *arg);

#endif
