#ifndef JOB_QUEUE_H
#define JOB_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

/* A function to call, once, with the argument that it then owns. */
typedef struct {
    void (*function)(void *arg);
    void *arg;
} Job;

/*
 * Jobs on their way between threads: the first in is the first out. It holds
 * a fixed number of them, in one block of memory, 16 bytes each on a 64-bit
 * system. All functions may be called from any thread at any time, except
 * that nothing may be called once job_queue_destroy() was.
 */
typedef struct JobQueue JobQueue;

/*
 * Creates an empty queue for up to capacity jobs, at least one, which that
 * many consumers, threads that call job_queue_pop() over and over, will take
 * out. Returns NULL when there is no memory. Free it with
 * job_queue_destroy().
 */
JobQueue *job_queue_new(size_t capacity, size_t consumers);

/*
 * Adds a job and wakes a consumer if all wait. While the queue is full it
 * waits; and once it waits, until the queue is half empty, because a thread
 * woken for each single place would cost more than most jobs.
 * Returns 0, or ECANCELED once the queue is closed: then the job was not
 * added, and its arg is still the caller's.
 */
int job_queue_push(JobQueue *queue, Job job);

/* The same without waiting: returns EAGAIN when the queue is full. */
int job_queue_try_push(JobQueue *queue, Job job);

/* Takes the oldest job, or waits. Returns false once closed and empty. */
bool job_queue_pop(JobQueue *queue, Job *job);

/* Waits until the queue is empty and every consumer waits for a job. */
void job_queue_wait_idle(JobQueue *queue);

/* Tells all who wait, or will, that no job is to come. */
void job_queue_close(JobQueue *queue);

/*
 * Frees the queue, which must be closed and empty, and its consumers gone.
 * Waits for threads still on their way out of job_queue_push() or
 * job_queue_wait_idle().
 */
void job_queue_destroy(JobQueue *queue);

#endif
