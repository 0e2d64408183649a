#ifndef JOB_QUEUE_H
#define JOB_QUEUE_H

typedef struct {
    void (*function)(void *arg);
    void *arg;
} Job;

typedef struct JobQueue JobQueue;

JobQueue *job_queue_new(void);
void job_queue_push(JobQueue *queue, Job job);
Job job_queue_pop(JobQueue *queue);

#endif
