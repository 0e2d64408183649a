/* The pool and its queue in one file: the queue is a ring that doubles. */

#include "job_queue.h"
#include "thread_pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct JobQueue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    Job *ring;
    size_t capacity, first, count;
};

struct Worker {
    size_t id;
    pthread_t thread;
    JobQueue *jobs;
};

struct ThreadPool {
    JobQueue *jobs;
    struct Worker workers[];
};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory) {
        fputs("out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memory;
}

JobQueue *job_queue_new(void)
{
    JobQueue *queue = allocate(1, sizeof *queue);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, NULL);
    queue->capacity = 1;
    queue->ring = allocate(queue->capacity, sizeof *queue->ring);
    return queue;
}

static void grow(JobQueue *queue)
{
    Job *ring = allocate(2 * queue->capacity, sizeof *ring);
    for (size_t i = 0; i < queue->count; i++)
        ring[i] = queue->ring[(queue->first + i) % queue->capacity];
    free(queue->ring);
    queue->ring = ring;
    queue->capacity *= 2;
    queue->first = 0;
}

void job_queue_push(JobQueue *queue, Job job)
{
    pthread_mutex_lock(&queue->lock);
    if (queue->count == queue->capacity)
        grow(queue);
    queue->ring[(queue->first + queue->count) % queue->capacity] = job;
    queue->count++;
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

Job job_queue_pop(JobQueue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0)
        pthread_cond_wait(&queue->filled, &queue->lock);
    Job job = queue->ring[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
    pthread_mutex_unlock(&queue->lock);
    return job;
}

static void *work(void *arg)
{
    struct Worker *worker = arg;
    for (;;) {
        Job job = job_queue_pop(worker->jobs);
        printf("Worker %zu got a job; executing.\n", worker->id);
        job.function(job.arg);
    }
    return NULL;
}

ThreadPool *thread_pool_new(size_t size)
{
    assert(size > 0);
    ThreadPool *pool =
        allocate(1, sizeof *pool + size * sizeof pool->workers[0]);
    pool->jobs = job_queue_new();
    for (size_t i = 0; i < size; i++) {
        pool->workers[i].id = i;
        pool->workers[i].jobs = pool->jobs;
        int error = pthread_create(&pool->workers[i].thread, NULL, work,
                                   &pool->workers[i]);
        if (error) {
            fprintf(stderr, "worker %zu: %s\n", i, strerror(error));
            exit(EXIT_FAILURE);
        }
    }
    return pool;
}

void thread_pool_execute(ThreadPool *pool, void (*function)(void *arg),
                         void *arg)
{
    job_queue_push(pool->jobs, (Job){function, arg});
}
