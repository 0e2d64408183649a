#include "job_queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct JobQueue {
    pthread_mutex_t mutex; /* guards all that follows */
    pthread_cond_t not_empty, not_full;
    Job *jobs; /* a ring: after the last place comes the first */
    size_t capacity;
    size_t first; /* index of the oldest job */
    size_t count; /* of jobs */
    bool closed;
};

JobQueue *job_queue_new(size_t capacity)
{
    JobQueue *queue = calloc(1, sizeof *queue);
    Job *jobs = calloc(capacity, sizeof *jobs);
    if (queue == NULL || jobs == NULL) {
        free(jobs);
        free(queue);
        return NULL;
    }
    queue->jobs = jobs;
    queue->capacity = capacity;
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->not_empty, NULL);
    pthread_cond_init(&queue->not_full, NULL);
    return queue;
}

/* Adds a job, or returns why not. To be called with the mutex locked. */
static int add_if_room(JobQueue *queue, Job job)
{
    if (queue->closed)
        return ECANCELED;
    if (queue->count == queue->capacity)
        return EAGAIN;
    queue->jobs[(queue->first + queue->count) % queue->capacity] = job;
    queue->count++;
    pthread_cond_signal(&queue->not_empty);
    return 0;
}

int job_queue_push(JobQueue *queue, Job job)
{
    int error;
    pthread_mutex_lock(&queue->mutex);
    while ((error = add_if_room(queue, job)) == EAGAIN)
        pthread_cond_wait(&queue->not_full, &queue->mutex);
    pthread_mutex_unlock(&queue->mutex);
    return error;
}

int job_queue_try_push(JobQueue *queue, Job job)
{
    pthread_mutex_lock(&queue->mutex);
    int error = add_if_room(queue, job);
    pthread_mutex_unlock(&queue->mutex);
    return error;
}

bool job_queue_pop(JobQueue *queue, Job *job)
{
    pthread_mutex_lock(&queue->mutex);
    while (queue->count == 0 && !queue->closed) /* a wake-up is no job */
        pthread_cond_wait(&queue->not_empty, &queue->mutex);
    bool popped = queue->count > 0;
    if (popped) {
        *job = queue->jobs[queue->first];
        queue->first = (queue->first + 1) % queue->capacity;
        queue->count--;
        pthread_cond_signal(&queue->not_full);
    }
    pthread_mutex_unlock(&queue->mutex);
    return popped;
}

void job_queue_close(JobQueue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    pthread_cond_broadcast(&queue->not_empty);
    pthread_cond_broadcast(&queue->not_full);
    pthread_mutex_unlock(&queue->mutex);
}

void job_queue_destroy(JobQueue *queue)
{
    if (queue == NULL)
        return;
    pthread_cond_destroy(&queue->not_full);
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->mutex);
    free(queue->jobs);
    free(queue);
}
