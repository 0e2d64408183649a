#include "thread_pool.h"
#include "job_queue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    pthread_t thread;
    ThreadPool *pool;
} Worker;

struct ThreadPool {
    size_t size; /* of the workers that have been started */
    Worker *workers;
    JobQueue *queue;
};

/* The pool that this thread works for, or NULL: each thread has its own. */
static _Thread_local ThreadPool *own_pool;

/* Runs in each worker's thread. */
static void *worker_run(void *arg)
{
    Worker *worker = arg;
    own_pool = worker->pool;
    Job job;
    while (job_queue_pop(own_pool->queue, &job))
        job.function(job.arg);
    return NULL;
}

/* Starts the workers. Returns 0, or what pthread_create() returned. */
static int start_workers(ThreadPool *pool, size_t size)
{
    int error = 0;
    while (error == 0 && pool->size < size) {
        Worker *worker = &pool->workers[pool->size];
        worker->pool = pool;
        error = pthread_create(&worker->thread, NULL, worker_run, worker);
        if (error == 0)
            pool->size++;
    }
    return error;
}

int thread_pool_build(ThreadPool **result, size_t size, size_t capacity)
{
    if (size == 0 || capacity == 0)
        return EINVAL;

    ThreadPool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return ENOMEM;
    pool->workers = calloc(size, sizeof *pool->workers);
    pool->queue = job_queue_new(capacity);
    int error = ENOMEM;
    if (pool->workers != NULL && pool->queue != NULL)
        error = start_workers(pool, size);
    if (error == 0)
        *result = pool;
    else
        thread_pool_destroy(pool); /* of those that it has */
    return error;
}

ThreadPool *thread_pool_new(size_t size)
{
    assert(size > 0);

    ThreadPool *pool;
    int error = thread_pool_build(&pool, size, THREAD_POOL_CAPACITY);
    if (error != 0) {
        fprintf(stderr, "thread_pool_new: %s\n", strerror(error));
        exit(EXIT_FAILURE);
    }
    return pool;
}

int thread_pool_execute(ThreadPool *pool, void (*function)(void *arg),
                        void *arg)
{
    Job job = {function, arg};
    if (own_pool != pool)
        return job_queue_push(pool->queue, job);
    int error = job_queue_try_push(pool->queue, job);
    return error == EAGAIN ? EDEADLK : error;
}

int thread_pool_try_execute(ThreadPool *pool, void (*function)(void *arg),
                            void *arg)
{
    return job_queue_try_push(pool->queue, (Job){function, arg});
}

void thread_pool_destroy(ThreadPool *pool)
{
    assert(own_pool != pool);

    if (pool->queue != NULL)
        job_queue_close(pool->queue);
    for (size_t i = 0; i < pool->size; i++)
        pthread_join(pool->workers[i].thread, NULL);
    job_queue_destroy(pool->queue);
    free(pool->workers);
    free(pool);
}
