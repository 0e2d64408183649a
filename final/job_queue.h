#ifndef JOB_QUEUE_H
#define JOB_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

/* A function to call, once, with the argument that it then owns. */
typedef struct {
    void (*function)(void *arg);
    void *arg;
} Job;

/* Jobs on their way between threads: the first in is the first out. */
typedef struct JobQueue JobQueue;

/* Creates an empty queue with room for capacity jobs, at least one, which that
 * many consumers, threads that call job_queue_pop() in a loop, take out.
 * Returns NULL if memory is lacking. */
JobQueue *job_queue_new(size_t capacity, size_t consumers);

/* Adds a job. When the queue is full, returns EAGAIN; or, if wait is true,
 * waits until it is half empty. Returns 0, or ECANCELED once closed.
 * Jobs taken out give their room back several at a time, at most half of it. */
int job_queue_push(JobQueue *queue, Job job, bool wait);

/* Takes the oldest job, or waits. Returns false once closed and empty.
 * The job that the same consumer took before is done now. */
bool job_queue_pop(JobQueue *queue, Job *job);

/* Waits until the queue is empty, and what was taken out is done. */
void job_queue_wait_idle(JobQueue *queue);

/* Tells all who wait, or will, that no job is to come. */
void job_queue_close(JobQueue *queue);

/* Frees the queue, or NULL. It must be closed and empty, its consumers gone;
 * waits for others that are on their way out of a function above. */
void job_queue_destroy(JobQueue *queue);

#endif
