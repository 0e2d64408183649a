/*
 * Somebody else's step 10: a list whose links are there from the start; who
 * waits for room and who waits for a job wait on one condition variable, so
 * that all are woken. The workers are detached and counted; main waits in
 * select.
 */
#include "job_queue.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct link {
    struct link *next;
    Job job;
};

struct JobQueue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct link *block, *spare, *oldest, **end;
    size_t left; /* room */
    size_t capacity;
    int open;
};

JobQueue *job_queue_new(size_t capacity)
{
    JobQueue *q = malloc(sizeof *q);
    if (q == NULL)
        return NULL;
    if (pthread_mutex_init(&q->lock, NULL) != 0) {
        free(q);
        return NULL;
    }
    if (pthread_cond_init(&q->changed, NULL) != 0) {
        pthread_mutex_destroy(&q->lock);
        free(q);
        return NULL;
    }
    q->oldest = NULL;
    q->end = &q->oldest;
    q->left = q->capacity = capacity;
    q->open = 1;
    q->spare = NULL;
    q->block = calloc(capacity, sizeof *q->block);
    if (q->block == NULL) {
        pthread_cond_destroy(&q->changed);
        pthread_mutex_destroy(&q->lock);
        free(q);
        return NULL;
    }
    for (size_t i = 0; i < capacity; i++) {
        q->block[i].next = q->spare;
        q->spare = &q->block[i];
    }
    return q;
}

static int push(JobQueue *q, Job job, int wait)
{
    int result = 0;
    pthread_mutex_lock(&q->lock);
    while (q->open && q->left == 0 && wait)
        pthread_cond_wait(&q->changed, &q->lock);
    if (!q->open)
        result = ECANCELED;
    else if (q->left == 0)
        result = EAGAIN;
    else {
        struct link *one = q->spare;
        q->spare = one->next;
        one->job = job;
        one->next = NULL;
        *q->end = one;
        q->end = &one->next;
        q->left--;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return result;
}

int job_queue_push(JobQueue *q, Job job)
{
    return push(q, job, 1);
}

int job_queue_try_push(JobQueue *q, Job job)
{
    return push(q, job, 0);
}

bool job_queue_pop(JobQueue *q, Job *job)
{
    pthread_mutex_lock(&q->lock);
    while (q->oldest == NULL && q->open)
        pthread_cond_wait(&q->changed, &q->lock);
    struct link *one = q->oldest;
    if (one != NULL) {
        *job = one->job;
        q->oldest = one->next;
        if (q->oldest == NULL)
            q->end = &q->oldest;
        one->next = q->spare;
        q->spare = one;
        q->left++;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return one != NULL;
}

void job_queue_close(JobQueue *q)
{
    pthread_mutex_lock(&q->lock);
    q->open = 0;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

void job_queue_destroy(JobQueue *q)
{
    if (q == NULL)
        return;
    free(q->block);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    free(q);
}
