/* A right queue and pool of another kind: a semaphore counts the jobs. */
#include "job_queue.h"
#include "thread_pool.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

struct JobQueue {
    sem_t jobs, turn;
    Job ring[64];
    unsigned first, end;
};

JobQueue *job_queue_new(void)
{
    JobQueue *queue = calloc(1, sizeof *queue);
    if (queue == NULL)
        exit(1);
    sem_init(&queue->jobs, 0, 0);
    sem_init(&queue->turn, 0, 1);
    return queue;
}

void job_queue_push(JobQueue *queue, Job job)
{
    while (sem_wait(&queue->turn) != 0)
        continue;
    queue->ring[queue->end++ % 64] = job;
    sem_post(&queue->turn);
    sem_post(&queue->jobs);
}

Job job_queue_pop(JobQueue *queue)
{
    while (sem_wait(&queue->jobs) != 0)
        continue;
    while (sem_wait(&queue->turn) != 0)
        continue;
    Job job = queue->ring[queue->first++ % 64];
    sem_post(&queue->turn);
    return job;
}

struct ThreadPool {
    JobQueue *queue;
};

static void *work(void *arg)
{
    ThreadPool *pool = arg;
    for (;;) {
        Job job = job_queue_pop(pool->queue);
        job.function(job.arg);
    }
    return NULL;
}

ThreadPool *thread_pool_new(size_t size)
{
    ThreadPool *pool = malloc(sizeof *pool);
    pool->queue = job_queue_new();
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    while (size-- > 0) {
        pthread_t thread;
        if (pthread_create(&thread, &detached, work, pool) != 0)
            abort();
    }
    pthread_attr_destroy(&detached);
    return pool;
}

void thread_pool_execute(ThreadPool *pool, void (*function)(void *arg),
                         void *arg)
{
    job_queue_push(pool->queue, (Job){function, arg});
}
