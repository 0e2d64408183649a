/*
 * A ring of jobs with a mutex for each end, so that producers and consumers
 * seldom meet. A consumer that finds no more jobs at its end takes over, as a
 * batch, those that the producers have put in. Its places are free again when
 * all of it is used up; it is at most half of the ring, so that the other half
 * can be filled meanwhile.
 *
 * To wake a thread costs as much as a hundred small jobs. So a push wakes a
 * consumer only if no other job was waiting, and a used up batch a producer
 * only if the ring was full; those who were woken, and leave jobs or room
 * behind, wake the next. They are woken before the mutex is unlocked, or else
 * other threads would be faster and the wake-up often in vain.
 */
#include "job_queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define CACHE_LINE 64 /* bytes that two CPUs cannot write to at once */

struct JobQueue {
    Job *jobs;
    size_t capacity;
    /* Consumers hold this mutex. It guards what stands before the next. */
    _Alignas(CACHE_LINE) pthread_mutex_t out;
    size_t first;      /* index of the batch's next job */
    size_t batch;      /* jobs that are left of the batch */
    size_t batch_size; /* jobs that were in it at first */
    size_t busy;       /* consumers that do not wait: they have a job */
    /* Producers hold this one. Who needs both locks it last. */
    _Alignas(CACHE_LINE) pthread_mutex_t in;
    size_t end;     /* index of the next free place */
    size_t room;    /* free places */
    size_t waiting; /* jobs that no batch has taken over */
    size_t guests;  /* threads that wait for room, or for idleness */
    bool closed;
    pthread_cond_t not_empty, not_full, idle;
};

JobQueue *job_queue_new(size_t capacity, size_t consumers)
{
    JobQueue *queue = aligned_alloc(CACHE_LINE, sizeof *queue);
    Job *jobs = calloc(capacity, sizeof *jobs);
    if (queue == NULL || jobs == NULL) {
        free(jobs);
        free(queue);
        return NULL;
    }
    *queue = (JobQueue){.jobs = jobs,
                        .capacity = capacity,
                        .busy = consumers,
                        .room = capacity};
    pthread_mutex_init(&queue->out, NULL);
    pthread_mutex_init(&queue->in, NULL);
    pthread_cond_init(&queue->not_empty, NULL);
    pthread_cond_init(&queue->not_full, NULL);
    pthread_cond_init(&queue->idle, NULL);
    return queue;
}

/* Waits for a condition with both mutexes unlocked. */
static void wait_unlocked(JobQueue *queue, pthread_cond_t *condition)
{
    pthread_mutex_unlock(&queue->out);
    pthread_cond_wait(condition, &queue->in);
    pthread_mutex_unlock(&queue->in); /* it must be locked last */
    pthread_mutex_lock(&queue->out);
    pthread_mutex_lock(&queue->in);
}

int job_queue_push(JobQueue *queue, Job job, bool wait)
{
    bool woken = false;

    pthread_mutex_lock(&queue->in);
    while (wait && queue->room == 0 && !queue->closed) {
        queue->guests++;
        pthread_cond_wait(&queue->not_full, &queue->in);
        queue->guests--;
        woken = true;
    }
    int error = queue->closed ? ECANCELED : queue->room == 0 ? EAGAIN : 0;
    if (error == 0) {
        queue->jobs[queue->end++] = job;
        if (queue->end == queue->capacity)
            queue->end = 0;
        queue->room--;
        if (++queue->waiting == 1)
            pthread_cond_signal(&queue->not_empty);
        if (woken && queue->room > 0)
            pthread_cond_signal(&queue->not_full);
    } else if (woken) {
        pthread_cond_broadcast(&queue->idle); /* a guest leaves */
    }
    pthread_mutex_unlock(&queue->in);
    return error;
}

/* If the batch is used up, takes over the next. Tells whether there is one. */
static bool take_over(JobQueue *queue)
{
    if (queue->batch > 0)
        return true;
    if (queue->room == 0 && queue->batch_size > 0)
        pthread_cond_signal(&queue->not_full);
    queue->room += queue->batch_size;
    size_t half = (queue->capacity + 1) / 2;
    queue->batch = queue->waiting < half ? queue->waiting : half;
    queue->batch_size = queue->batch;
    queue->waiting -= queue->batch;
    return queue->batch > 0;
}

bool job_queue_pop(JobQueue *queue, Job *job)
{
    bool woken = false;

    pthread_mutex_lock(&queue->out);
    queue->busy--;
    bool last = queue->batch <= 1; /* of the batch: time for the next one */
    if (last) {
        pthread_mutex_lock(&queue->in);
        if (!take_over(queue) && queue->busy == 0)
            pthread_cond_broadcast(&queue->idle);
        while (!take_over(queue) && !queue->closed) { /* a wake-up is no job */
            wait_unlocked(queue, &queue->not_empty);
            woken = true;
        }
    }
    bool popped = queue->batch > 0;
    if (popped) {
        *job = queue->jobs[queue->first++];
        if (queue->first == queue->capacity)
            queue->first = 0;
        queue->batch--;
        queue->busy++;
    }
    if (last) {
        if (take_over(queue) && woken)
            pthread_cond_signal(&queue->not_empty);
        pthread_mutex_unlock(&queue->in);
    }
    pthread_mutex_unlock(&queue->out);
    return popped;
}

void job_queue_wait_idle(JobQueue *queue)
{
    pthread_mutex_lock(&queue->out);
    pthread_mutex_lock(&queue->in);
    queue->guests++;
    while (queue->room < queue->capacity || queue->busy > 0)
        wait_unlocked(queue, &queue->idle);
    queue->guests--;
    pthread_cond_broadcast(&queue->idle);
    pthread_mutex_unlock(&queue->out);
    pthread_mutex_unlock(&queue->in); /* from here on it may be destroyed */
}

void job_queue_close(JobQueue *queue)
{
    pthread_mutex_lock(&queue->in);
    queue->closed = true;
    pthread_cond_broadcast(&queue->not_empty);
    pthread_cond_broadcast(&queue->not_full);
    pthread_mutex_unlock(&queue->in);
}

void job_queue_destroy(JobQueue *queue)
{
    if (queue == NULL)
        return;
    pthread_mutex_lock(&queue->in);
    while (queue->guests > 0)
        pthread_cond_wait(&queue->idle, &queue->in);
    pthread_mutex_unlock(&queue->in);
    pthread_cond_destroy(&queue->idle);
    pthread_cond_destroy(&queue->not_full);
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->in);
    pthread_mutex_destroy(&queue->out);
    free(queue->jobs);
    free(queue);
}
