/* Do the headers of the folder under test declare what the course declares? */

#if STEP_HAS_THREAD_POOL
#include "thread_pool.h"

ThreadPool *(*const pool_new)(size_t size) = thread_pool_new;
#if STEP_BOUNDED
int (*const pool_build)(ThreadPool **pool, size_t size,
                        size_t capacity) = thread_pool_build;
int (*const pool_execute)(ThreadPool *pool, void (*function)(void *arg),
                          void *arg) = thread_pool_execute;
int (*const pool_try)(ThreadPool *pool, void (*function)(void *arg),
                      void *arg) = thread_pool_try_execute;
#else
void (*const pool_execute)(ThreadPool *pool, void (*function)(void *arg),
                           void *arg) = thread_pool_execute;
#endif
#endif
#if STEP_HAS_JOB_QUEUE
#include "job_queue.h"

const Job job = {.function = (void (*)(void *arg))0, .arg = (void *)0};
#if STEP_BOUNDED
JobQueue *(*const queue_new)(size_t capacity) = job_queue_new;
int (*const queue_push)(JobQueue *queue, Job job) = job_queue_push;
int (*const queue_try_push)(JobQueue *queue, Job job) = job_queue_try_push;
#else
JobQueue *(*const queue_new)(void) = job_queue_new;
void (*const queue_push)(JobQueue *queue, Job job) = job_queue_push;
#endif
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
