/* A right queue and pool of another kind: C11's threads, an atomic count, waits
 * with a time limit, a recursive mutex; the last worker tells destroy. */
#include "job_queue.h"
#include "thread_pool.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

struct JobQueue {
    mtx_t mutex;
    cnd_t changed;
    Job *jobs;
    size_t count, room;
    bool closed;
};

JobQueue *job_queue_new(void)
{
    JobQueue *queue = calloc(1, sizeof *queue);
    if (queue == NULL || mtx_init(&queue->mutex, mtx_plain | mtx_recursive) != 0
        || cnd_init(&queue->changed) != thrd_success)
        exit(1);
    return queue;
}

static void add(JobQueue *queue, Job job)
{
    mtx_lock(&queue->mutex);
    if (queue->count == queue->room) {
        queue->room = 2 * queue->room + 1;
        queue->jobs = realloc(queue->jobs, queue->room * sizeof job);
    }
    queue->jobs[queue->count++] = job;
    mtx_unlock(&queue->mutex);
}

void job_queue_push(JobQueue *queue, Job job)
{
    mtx_lock(&queue->mutex);
    add(queue, job);
    cnd_broadcast(&queue->changed);
    mtx_unlock(&queue->mutex);
}

bool job_queue_pop(JobQueue *queue, Job *job)
{
    mtx_lock(&queue->mutex);
    while (queue->count == 0 && !queue->closed) {
        struct timespec limit;
        timespec_get(&limit, TIME_UTC);
        limit.tv_sec += 1;
        cnd_timedwait(&queue->changed, &queue->mutex, &limit);
    }
    bool popped = queue->count > 0;
    if (popped) {
        *job = queue->jobs[0];
        queue->count--;
        for (size_t i = 0; i < queue->count; i++)
            queue->jobs[i] = queue->jobs[i + 1];
    }
    mtx_unlock(&queue->mutex);
    return popped;
}

void job_queue_close(JobQueue *queue)
{
    mtx_lock(&queue->mutex);
    queue->closed = true;
    cnd_broadcast(&queue->changed);
    mtx_unlock(&queue->mutex);
}

void job_queue_destroy(JobQueue *queue)
{
    mtx_destroy(&queue->mutex);
    cnd_destroy(&queue->changed);
    free(queue->jobs);
    free(queue);
}

struct ThreadPool {
    JobQueue *queue;
    atomic_size_t at_work;
    mtx_t mutex;
    cnd_t idle;
};

static int work(void *arg)
{
    ThreadPool *pool = arg;
    Job job;
    while (job_queue_pop(pool->queue, &job))
        job.function(job.arg);
    mtx_lock(&pool->mutex);
    if (atomic_fetch_sub(&pool->at_work, 1) == 1)
        cnd_signal(&pool->idle);
    mtx_unlock(&pool->mutex);
    return 0;
}

ThreadPool *thread_pool_new(size_t size)
{
    ThreadPool *pool = malloc(sizeof *pool);
    pool->queue = job_queue_new();
    pool->at_work = size;
    mtx_init(&pool->mutex, mtx_plain);
    cnd_init(&pool->idle);
    while (size-- > 0) {
        thrd_t thread;
        if (thrd_create(&thread, work, pool) != thrd_success)
            abort();
        thrd_detach(thread);
    }
    return pool;
}

void thread_pool_execute(ThreadPool *pool, void (*function)(void *arg),
                         void *arg)
{
    job_queue_push(pool->queue, (Job){function, arg});
}

void thread_pool_destroy(ThreadPool *pool)
{
    job_queue_close(pool->queue);
    mtx_lock(&pool->mutex);
    while (pool->at_work > 0)
        cnd_wait(&pool->idle, &pool->mutex);
    mtx_unlock(&pool->mutex);
    mtx_destroy(&pool->mutex);
    cnd_destroy(&pool->idle);
    job_queue_destroy(pool->queue);
    free(pool);
}
