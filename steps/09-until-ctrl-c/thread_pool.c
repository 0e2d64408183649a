#include "thread_pool.h"
#include "job_queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    Job job;
    while (job_queue_pop(worker->queue, &job)) {
        printf("Worker %zu got a job; executing.\n", worker->id);
        job.function(job.arg);
    }
    printf("Worker %zu disconnected; shutting down.\n", worker->id);
    return NULL;
}

ThreadPool *thread_pool_new(size_t size)
{
    assert(size > 0);

    ThreadPool *pool = malloc(sizeof *pool);
    Worker *workers = calloc(size, sizeof *workers);
    if (pool == NULL || workers == NULL) {
        perror("thread_pool_new");
        exit(EXIT_FAILURE);
    }
    *pool = (ThreadPool){.size = size, .workers = workers};
    pool->queue = job_queue_new();
    for (size_t id = 0; id < size; id++) {
        Worker *worker = &workers[id];
        worker->id = id;
        worker->queue = pool->queue;
        int error = pthread_create(&worker->thread, NULL, worker_run, worker);
        if (error != 0) {
            fprintf(stderr, "Worker %zu: %s\n", id, strerror(error));
            exit(EXIT_FAILURE);
        }
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
    for (size_t id = 0; id < pool->size; id++) {
        printf("Shutting down worker %zu\n", id);
        pthread_join(pool->workers[id].thread, NULL);
    }
    job_queue_destroy(pool->queue);
    free(pool->workers);
    free(pool);
}
