#ifndef JOB_QUEUE_H
#define JOB_QUEUE_H

#include <stdbool.h>

typedef struct {
    void (*function)(void *arg);
    void *arg;
} Job;

typedef struct JobQueue JobQueue;

JobQueue *job_queue_new(void);
void job_queue_push(JobQueue *queue, Job job);
bool job_queue_pop(JobQueue *queue, Job *job);
void job_queue_close(JobQueue *queue);
void job_queue_destroy(JobQueue *queue);

#endif
