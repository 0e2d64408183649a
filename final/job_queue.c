/*
 * A ring of jobs with a mutex for each end, so that producers and consumers
 * seldom meet. A consumer that finds no more jobs at its end takes over, as a
 * batch, those that the producers have put in: at most half of the ring, so
 * that the other half can be filled meanwhile. The places of a batch are given
 * back together, when it is used up, or when a producer finds no other.
 *
 * To wake a thread costs far more than a small job does. So a push wakes a
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
    Job *jobs; /* a ring: after the last place comes the first */
    size_t capacity;
    /* Consumers hold this mutex. It guards what stands before the next. */
    _Alignas(CACHE_LINE) pthread_mutex_t out;
    size_t first; /* index of the batch's next job */
    size_t batch; /* jobs that are left of the batch */
    size_t used;  /* places of jobs that were taken, not given back yet */
    /* Producers hold this one. Who needs both locks it last. */
    _Alignas(CACHE_LINE) pthread_mutex_t in;
    size_t end;     /* index of the next free place */
    size_t room;    /* free places */
    size_t waiting; /* jobs that no batch has taken over */
    bool closed;
    pthread_cond_t not_empty, not_full;
};

JobQueue *job_queue_new(size_t capacity)
{
    JobQueue *queue = aligned_alloc(CACHE_LINE, sizeof *queue);
    Job *jobs = calloc(capacity, sizeof *jobs);
    if (queue == NULL || jobs == NULL) {
        free(jobs);
        free(queue);
        return NULL;
    }
    *queue = (JobQueue){.jobs = jobs, .capacity = capacity, .room = capacity};
    pthread_mutex_init(&queue->out, NULL);
    pthread_mutex_init(&queue->in, NULL);
    pthread_cond_init(&queue->not_empty, NULL);
    pthread_cond_init(&queue->not_full, NULL);
    return queue;
}

/* Gives used places back. To be called with both mutexes locked. */
static void give_back(JobQueue *queue)
{
    if (queue->room == 0 && queue->used > 0)
        pthread_cond_signal(&queue->not_full);
    queue->room += queue->used;
    queue->used = 0;
}

/* If the batch is used up, takes over the next. Tells whether there is one. To
 * be called with both mutexes locked. */
static bool take_over(JobQueue *queue)
{
    if (queue->batch > 0)
        return true;
    give_back(queue);
    size_t half = (queue->capacity + 1) / 2;
    queue->batch = queue->waiting < half ? queue->waiting : half;
    queue->waiting -= queue->batch;
    return queue->batch > 0;
}

/* Sees to it that there is room, or the queue is closed; waits for that if it
 * may. Tells whether it has. To be called with the mutex of producers locked.
 */
static bool find_room(JobQueue *queue, bool wait)
{
    bool woken = false;
    while (queue->room == 0 && !queue->closed) {
        pthread_mutex_unlock(&queue->in); /* it must be locked last */
        pthread_mutex_lock(&queue->out);
        pthread_mutex_lock(&queue->in);
        give_back(queue);
        pthread_mutex_unlock(&queue->out);
        if (queue->room > 0 || queue->closed || !wait)
            break;
        pthread_cond_wait(&queue->not_full, &queue->in);
        woken = true;
    }
    return woken;
}

/* Adds a job, or returns why not. */
static int add(JobQueue *queue, Job job, bool wait)
{
    pthread_mutex_lock(&queue->in);
    bool woken = find_room(queue, wait);
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
    }
    pthread_mutex_unlock(&queue->in);
    return error;
}

int job_queue_push(JobQueue *queue, Job job)
{
    return add(queue, job, true);
}

int job_queue_try_push(JobQueue *queue, Job job)
{
    return add(queue, job, false);
}

/* Waits for a job with both mutexes unlocked, and locks them again. */
static void wait_for_job(JobQueue *queue)
{
    pthread_mutex_unlock(&queue->out);
    pthread_cond_wait(&queue->not_empty, &queue->in);
    pthread_mutex_unlock(&queue->in); /* it must be locked last */
    pthread_mutex_lock(&queue->out);
    pthread_mutex_lock(&queue->in);
}

bool job_queue_pop(JobQueue *queue, Job *job)
{
    bool woken = false;

    pthread_mutex_lock(&queue->out);
    bool last = queue->batch <= 1; /* of the batch: time for the next one */
    if (last) {
        pthread_mutex_lock(&queue->in);
        while (!take_over(queue) && !queue->closed) { /* a wake-up is no job */
            wait_for_job(queue);
            woken = true;
        }
    }
    bool popped = queue->batch > 0;
    if (popped) {
        *job = queue->jobs[queue->first++];
        if (queue->first == queue->capacity)
            queue->first = 0;
        queue->batch--;
        queue->used++;
    }
    if (last) {
        if (take_over(queue) && woken)
            pthread_cond_signal(&queue->not_empty);
        pthread_mutex_unlock(&queue->in);
    }
    pthread_mutex_unlock(&queue->out);
    return popped;
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
    pthread_cond_destroy(&queue->not_full);
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->in);
    pthread_mutex_destroy(&queue->out);
    free(queue->jobs);
    free(queue);
}
