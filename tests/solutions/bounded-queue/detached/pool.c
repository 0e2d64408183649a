/* Detached workers, and a number of those that live: destroy waits until it is
 * zero. The last one out says so under the lock, and touches nothing after it.
 */
#include "job_queue.h"
#include "thread_pool.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ThreadPool {
    JobQueue *jobs;
    pthread_mutex_t lock;
    pthread_cond_t gone;
    size_t alive, numbers;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t whose;

static void make_key(void)
{
    if (pthread_key_create(&whose, NULL) != 0)
        abort();
}

static void *labour(void *arg)
{
    ThreadPool *pool = arg;
    Job job;
    pthread_mutex_lock(&pool->lock);
    size_t number = pool->numbers++;
    pthread_mutex_unlock(&pool->lock);
    pthread_setspecific(whose, pool);
    while (job_queue_pop(pool->jobs, &job)) {
        printf("Worker %zu got a job; executing.\n", number);
        job.function(job.arg);
    }
    printf("Worker %zu disconnected; shutting down.\n", number);
    pthread_mutex_lock(&pool->lock);
    if (--pool->alive == 0)
        pthread_cond_signal(&pool->gone);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void wait_for_all(ThreadPool *pool)
{
    job_queue_close(pool->jobs);
    pthread_mutex_lock(&pool->lock);
    while (pool->alive > 0)
        pthread_cond_wait(&pool->gone, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

int thread_pool_build(ThreadPool **result, size_t size, size_t capacity)
{
    if (!size || !capacity)
        return EINVAL;
    pthread_once(&once, make_key);
    ThreadPool *pool = malloc(sizeof *pool);
    if (pool == NULL)
        return ENOMEM;
    memset(pool, 0, sizeof *pool);
    pool->jobs = job_queue_new(capacity);
    if (pool->jobs == NULL) {
        free(pool);
        return ENOMEM;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->gone, NULL);
    int error = 0;
    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < size && !error; i++) {
        pthread_t thread;
        error = pthread_create(&thread, NULL, labour, pool);
        if (!error) {
            pthread_detach(thread);
            pool->alive++;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    if (error)
        thread_pool_destroy(pool);
    else
        *result = pool;
    return error;
}

ThreadPool *thread_pool_new(size_t size)
{
    assert(size > 0);
    ThreadPool *pool;
    int error = thread_pool_build(&pool, size, THREAD_POOL_CAPACITY);
    if (!error)
        return pool;
    fprintf(stderr, "no pool: %s\n", strerror(error));
    exit(1);
}

int thread_pool_execute(ThreadPool *pool, void (*function)(void *), void *arg)
{
    pthread_once(&once, make_key);
    if (pthread_getspecific(whose) != pool)
        return job_queue_push(pool->jobs, (Job){function, arg});
    int error = thread_pool_try_execute(pool, function, arg);
    return error == EAGAIN ? EDEADLK : error;
}

int thread_pool_try_execute(ThreadPool *pool, void (*function)(void *),
                            void *arg)
{
    return job_queue_try_push(pool->jobs, (Job){function, arg});
}

void thread_pool_destroy(ThreadPool *pool)
{
    assert(pthread_getspecific(whose) != pool);
    wait_for_all(pool);
    job_queue_destroy(pool->jobs);
    pthread_cond_destroy(&pool->gone);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
