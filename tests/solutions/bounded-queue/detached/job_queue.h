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

/* Creates an empty queue with room for capacity jobs, at least one. Returns
 * NULL without memory. */
JobQueue *job_queue_new(size_t capacity);

/* Adds a job, or waits for room. Returns 0, or ECANCELED once closed. */
int job_queue_push(JobQueue *queue, Job job);

/* Adds a job. Returns 0, EAGAIN if there is no room, ECANCELED once closed. */
int job_queue_try_push(JobQueue *queue, Job job);

/* Takes the oldest job, or waits. Returns false once closed and empty. */
bool job_queue_pop(JobQueue *queue, Job *job);

/* Tells all who wait, or will, that no job is to come. */
void job_queue_close(JobQueue *queue);

/* Frees the queue, or NULL. It must be empty, and used by no thread. */
void job_queue_destroy(JobQueue *queue);

#endif
