#ifndef JOB_QUEUE_H
#define JOB_QUEUE_H

/* A function to call, once, with the argument that it then owns. */
typedef struct {
    void (*function)(void *arg);
    void *arg;
} Job;

/* Jobs on their way between threads: the first in is the first out. */
typedef struct JobQueue JobQueue;

/* Creates an empty queue, or ends the program. */
JobQueue *job_queue_new(void);

/* Adds a job, wakes a waiting thread; ends the program if out of memory. */
void job_queue_push(JobQueue *queue, Job job);

/* Takes the oldest job, and waits for one while there is none. */
Job job_queue_pop(JobQueue *queue);

#endif
