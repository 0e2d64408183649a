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
    JobQueue *queue;
} Worker;

struct ThreadPool {
    size_t size;
    Worker *workers;
    JobQueue *queue;
};

/* Runs in each worker's thread. */
static void *worker_run(void *arg)
{
    Worker *worker = arg;
#ifdef __linux__ /* each other system has its own way to name a thread */
    char name[16];
    snprintf(name, sizeof name, "worker-%zu", worker->id);
    prctl(PR_SET_NAME, name);
#endif
    Job job;
    while (job_queue_pop(worker->queue, &job))
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
        worker->queue = pool->queue;
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

    ThreadPool *pool = malloc(sizeof *pool);
    Worker *workers = calloc(size, sizeof *workers);
    JobQueue *queue = job_queue_new(capacity, size);
    if (pool == NULL || workers == NULL || queue == NULL) {
        job_queue_destroy(queue);
        free(workers);
        free(pool);
        return ENOMEM;
    }
    *pool = (ThreadPool){.workers = workers, .queue = queue};
    int error = start_workers(pool, size);
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

/* Tells whether the calling thread is one of the pool's workers. */
static bool is_worker(const ThreadPool *pool)
{
    for (size_t id = 0; id < pool->size; id++)
        if (pthread_equal(pool->workers[id].thread, pthread_self()))
            return true;
    return false;
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
    if (is_worker(pool))
        return EDEADLK;
    return job_queue_push(pool->queue, (Job){function, arg}, true);
}

int thread_pool_wait(ThreadPool *pool)
{
    if (is_worker(pool))
        return EDEADLK;
    job_queue_wait_idle(pool->queue);
    return 0;
}

int thread_pool_destroy(ThreadPool *pool)
{
    if (is_worker(pool))
        return EDEADLK;
    job_queue_close(pool->queue);
    for (size_t id = 0; id < pool->size; id++)
        pthread_join(pool->workers[id].thread, NULL);
    job_queue_destroy(pool->queue);
    free(pool->workers);
    free(pool);
    return 0;
}
