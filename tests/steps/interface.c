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
#if STEP_HAS_HTTP
#include "http.h"

const HttpRequest http_request = {.size = (size_t)0,
                                  .path = (const char *)0,
                                  .path_length = (size_t)0,
                                  .head_only = (_Bool)0,
                                  .keep_alive = (_Bool)0};
const HttpAnswer http_answer = {.status = 0,
                                .date = (const char *)0,
                                .type = (const char *)0,
                                .length = (size_t)0,
                                .keep_alive = (_Bool)0};
int (*const http_parsed)(const char *buffer, size_t size,
                         HttpRequest *request) = http_parse;
_Bool (*const http_decoded)(const char *text, size_t length,
                            char *decoded) = http_percent_decode;
const char *(*const http_words)(int status) = http_reason;
void (*const http_dated)(char *date, time_t time) = http_format_date;
size_t (*const http_formatted)(char *head,
                               const HttpAnswer *answer) = http_format_head;
#endif
