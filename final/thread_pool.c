#include "thread_pool.h"
#include "job_queue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

typedef struct {
    size_t id;
    pthread_t thread;
    ThreadPool *pool;
} Worker;

struct ThreadPool {
    size_t size;
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
#ifdef __linux__ /* each other system has its own way to name a thread */
    char name[16];
    snprintf(name, sizeof name, "worker-%zu", worker->id);
    prctl(PR_SET_NAME, name);
#endif
    Job job;
    while (job_queue_pop(own_pool->queue, &job))
        job.function(job.arg);
    return NULL;
}

/* Starts the workers: returns 0, or what pthread_create() returned. */
static int start_workers(ThreadPool *pool, size_t size)
{
    sigset_t blocked, before; /* a thread inherits what its creator blocks */
    sigfillset(&blocked);
    sigdelset(&blocked, SIGBUS); /* must not be blocked when it comes from */
    sigdelset(&blocked, SIGFPE); /* a fault of the thread itself */
    sigdelset(&blocked, SIGILL);
    sigdelset(&blocked, SIGSEGV);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int error = 0;
    while (error == 0 && pool->size < size) {
        Worker *worker = &pool->workers[pool->size];
        worker->id = pool->size;
        worker->pool = pool;
        error = pthread_create(&worker->thread, NULL, worker_run, worker);
        if (error == 0)
            pool->size++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
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
    pool->queue = job_queue_new(capacity, size);
    int error = ENOMEM;
    if (pool->workers != NULL && pool->queue != NULL)
        error = start_workers(pool, size);
    if (error == 0)
        *result = pool;
    else
        thread_pool_destroy(pool);
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

int thread_pool_try_execute(ThreadPool *pool, void (*function)(void *arg),
                            void *arg)
{
    return job_queue_push(pool->queue, (Job){function, arg}, false);
}

int thread_pool_execute(ThreadPool *pool, void (*function)(void *arg),
                        void *arg)
{
    int error = thread_pool_try_execute(pool, function, arg);
    if (error != EAGAIN)
        return error;
    if (own_pool == pool)
        return EDEADLK;
    return job_queue_push(pool->queue, (Job){function, arg}, true);
}

int thread_pool_wait(ThreadPool *pool)
{
    if (own_pool == pool)
        return EDEADLK;
    job_queue_wait_idle(pool->queue);
    return 0;
}

int thread_pool_destroy(ThreadPool *pool)
{
    if (own_pool == pool)
        return EDEADLK;
    if (pool->queue != NULL)
        job_queue_close(pool->queue);
    for (size_t id = 0; id < pool->size; id++)
        pthread_join(pool->workers[id].thread, NULL);
    job_queue_destroy(pool->queue);
    free(pool->workers);
    free(pool);
    return 0;
}
