/* Do the headers of the folder under test declare what the course declares? */

#if STEP_HAS_THREAD_POOL
#include "thread_pool.h"

ThreadPool *(*const pool_new)(size_t size) = thread_pool_new;
void (*const pool_execute)(ThreadPool *pool, void (*function)(void *arg),
                           void *arg) = thread_pool_execute;
#endif
#if STEP_HAS_JOB_QUEUE
#include "job_queue.h"

const Job job = {.function = (void (*)(void *arg))0, .arg = (void *)0};
JobQueue *(*const queue_new)(void) = job_queue_new;
void (*const queue_push)(JobQueue *queue, Job job) = job_queue_push;
#if !STEP_CLOSES
Job (*const queue_pop)(JobQueue *queue) = job_queue_pop;
#endif
#endif
#if STEP_CLOSES
void (*const pool_destroy)(ThreadPool *pool) = thread_pool_destroy;
_Bool (*const queue_pop)(JobQueue *queue, Job *job) = job_queue_pop;
void (*const queue_close)(JobQueue *queue) = job_queue_close;
void (*const queue_destroy)(JobQueue *queue) = job_queue_destroy;
#endif
