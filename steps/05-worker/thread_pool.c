#include "thread_pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    size_t id;
    pthread_t thread;
} Worker;

struct ThreadPool {
    size_t size;
    Worker *workers;
};

/* Runs in each worker's thread. There is nothing to do yet. */
static void *worker_run(void *arg)
{
    (void)arg;
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
    for (size_t id = 0; id < size; id++) {
        Worker *worker = &workers[id];
        worker->id = id;
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
    (void)pool;
    (void)function;
    (void)arg;
}
