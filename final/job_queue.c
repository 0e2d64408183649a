/*
 * A ring of jobs. To wake a thread costs as much as a hundred small jobs, so:
 * - a push wakes a consumer only if the queue was empty; a consumer that was
 *   woken and leaves jobs behind wakes the next;
 * - a pop wakes a producer only when the queue has become half empty; a
 *   producer that was woken and leaves room behind wakes the next;
 * - a thread is woken before the mutex is unlocked. Afterwards, others would
 *   have emptied the queue before it comes, and it would have come in vain.
 */
#include "job_queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct JobQueue {
    pthread_mutex_t mutex; /* guards all that follows */
    Job *jobs;
    size_t capacity, first, length;
    size_t busy;   /* consumers that do not wait: they have a job */
    size_t guests; /* other threads that wait */
    bool closed;
    pthread_cond_t not_empty, not_full, idle;
};

JobQueue *job_queue_new(size_t capacity, size_t consumers)
{
    JobQueue *queue = malloc(sizeof *queue);
    Job *jobs = calloc(capacity, sizeof *jobs);
    if (queue == NULL || jobs == NULL) {
        free(jobs);
        free(queue);
        return NULL;
    }
    *queue = (JobQueue){
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .jobs = jobs,
        .capacity = capacity,
        .busy = consumers,
        .not_empty = PTHREAD_COND_INITIALIZER,
        .not_full = PTHREAD_COND_INITIALIZER,
        .idle = PTHREAD_COND_INITIALIZER,
    };
    return queue;
}

/* Waits as one whom job_queue_destroy() must let out. */
static void wait_as_guest(JobQueue *queue, pthread_cond_t *condition)
{
    queue->guests++;
    pthread_cond_wait(condition, &queue->mutex);
    if (--queue->guests == 0 && queue->closed)
        pthread_cond_signal(&queue->idle);
}

int job_queue_push(JobQueue *queue, Job job, bool wait)
{
    bool woken = false;
    int error = 0;

    pthread_mutex_lock(&queue->mutex);
    while (wait && queue->length == queue->capacity && !queue->closed) {
        wait_as_guest(queue, &queue->not_full);
        woken = true;
    }
    if (queue->closed) {
        error = ECANCELED;
    } else if (queue->length == queue->capacity) {
        error = EAGAIN;
    } else {
        size_t end = queue->first + queue->length++;
        queue->jobs[end < queue->capacity ? end : end - queue->capacity] = job;
        if (queue->length == 1)
            pthread_cond_signal(&queue->not_empty);
        if (woken && queue->length < queue->capacity)
            pthread_cond_signal(&queue->not_full);
    }
    pthread_mutex_unlock(&queue->mutex);
    return error;
}

bool job_queue_pop(JobQueue *queue, Job *job)
{
    bool woken = false;

    pthread_mutex_lock(&queue->mutex);
    if (--queue->busy == 0 && queue->length == 0)
        pthread_cond_broadcast(&queue->idle);
    while (queue->length == 0 && !queue->closed) { /* a wake-up is no job */
        pthread_cond_wait(&queue->not_empty, &queue->mutex);
        woken = true;
    }
    bool popped = queue->length > 0;
    if (popped) {
        *job = queue->jobs[queue->first];
        queue->first = (queue->first + 1) % queue->capacity;
        queue->length--;
        queue->busy++;
        if (woken && queue->length > 0)
            pthread_cond_signal(&queue->not_empty);
        if (queue->length == queue->capacity / 2)
            pthread_cond_signal(&queue->not_full);
    }
    pthread_mutex_unlock(&queue->mutex);
    return popped;
}

void job_queue_wait_idle(JobQueue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    while (queue->length > 0 || queue->busy > 0)
        wait_as_guest(queue, &queue->idle);
    pthread_mutex_unlock(&queue->mutex);
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
    pthread_mutex_lock(&queue->mutex);
    while (queue->guests > 0)
        pthread_cond_wait(&queue->idle, &queue->mutex);
    pthread_mutex_unlock(&queue->mutex);

    pthread_cond_destroy(&queue->idle);
    pthread_cond_destroy(&queue->not_full);
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->mutex);
    free(queue->jobs);
    free(queue);
}
