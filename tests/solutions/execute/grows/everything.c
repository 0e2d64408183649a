/*
 * Somebody else's step 07: pool and queue in one file, a ring that grows, a
 * push that signals only if somebody sleeps, a worker's function without a
 * return. Nothing is ever freed: a pool lives as long as the program.
 */
#include "job_queue.h"
#include "thread_pool.h"
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct JobQueue {
    pthread_mutex_t m;
    pthread_cond_t c;
    size_t head, n, cap; /* n jobs from head on, in a ring that grows */
    size_t sleepers;
    Job *ring;
};

static void must(int rc, const char *what)
{
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(rc));
        exit(EXIT_FAILURE);
    }
}

JobQueue *job_queue_new(void)
{
    JobQueue *q = malloc(sizeof(JobQueue));
    if (!q)
        must(12, "job_queue_new");
    q->head = q->n = q->sleepers = 0;
    q->cap = 4;
    q->ring = malloc(q->cap * sizeof(Job));
    if (!q->ring)
        must(12, "job_queue_new");
    must(pthread_mutex_init(&q->m, NULL), "mutex");
    must(pthread_cond_init(&q->c, NULL), "cond");
    return q;
}

void job_queue_push(JobQueue *q, Job j)
{
    pthread_mutex_lock(&q->m);
    if (q->n == q->cap) {
        Job *bigger = malloc(2 * q->cap * sizeof(Job));
        if (!bigger)
            must(12, "job_queue_push");
        for (size_t i = 0; i < q->n; i++)
            bigger[i] = q->ring[(q->head + i) % q->cap];
        free(q->ring);
        q->ring = bigger;
        q->head = 0;
        q->cap *= 2;
    }
    q->ring[(q->head + q->n++) % q->cap] = j;
    int wake = q->sleepers > 0;
    pthread_mutex_unlock(&q->m);
    if (wake)
        pthread_cond_signal(&q->c);
}

Job job_queue_pop(JobQueue *q)
{
    Job j;
    pthread_mutex_lock(&q->m);
    q->sleepers++;
    while (q->n == 0)
        pthread_cond_wait(&q->c, &q->m);
    q->sleepers--;
    j = q->ring[q->head];
    q->head = (q->head + 1) % q->cap;
    q->n--;
    pthread_mutex_unlock(&q->m);
    return j;
}

struct ThreadPool {
    JobQueue *queue;
    pthread_mutex_t m;
    size_t next_id, size;
    pthread_t threads[];
};

static void *work(void *arg)
{
    ThreadPool *p = arg;
    pthread_mutex_lock(&p->m);
    size_t id = p->next_id++;
    pthread_mutex_unlock(&p->m);
    do {
        Job j = job_queue_pop(p->queue);
        printf("Worker %zu got a job; executing.\n", id);
        (*j.function)(j.arg);
    } while (1);
}

ThreadPool *thread_pool_new(size_t size)
{
    pthread_attr_t attr;
    assert(size != 0);
    ThreadPool *p = calloc(1, sizeof *p + size * sizeof(pthread_t));
    if (!p)
        must(12, "thread_pool_new");
    p->queue = job_queue_new();
    must(pthread_mutex_init(&p->m, NULL), "mutex");
    must(pthread_attr_init(&attr), "attr");
    must(pthread_attr_setstacksize(&attr, 1 << 20), "attr");
    for (p->size = 0; p->size < size; p->size++)
        must(pthread_create(&p->threads[p->size], &attr, work, p),
             "pthread_create");
    pthread_attr_destroy(&attr);
    return p;
}

void thread_pool_execute(ThreadPool *p, void (*f)(void *), void *a)
{
    Job j;
    j.function = f;
    j.arg = a;
    job_queue_push(p->queue, j);
}
