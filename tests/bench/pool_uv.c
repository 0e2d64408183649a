/*
 * libuv's uv_queue_work(), for the bench. The pool belongs to the process, its
 * size comes from the environment. A loop belongs to one thread: each producer
 * has its own.
 */
#include "pool.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

typedef struct {
    uv_work_t work;
    Function *function;
    void *arg;
} Work;

static _Thread_local uv_loop_t loop;
static _Thread_local bool opened;

static void call(uv_work_t *work)
{
    Work *self = (Work *)work;
    self->function(self->arg);
}

static void done(uv_work_t *work, int status)
{
    (void)status;
    free(work);
}

static void start(size_t workers, size_t capacity)
{
    char text[24];
    (void)capacity; /* unbounded */
    snprintf(text, sizeof text, "%zu", workers);
    setenv("UV_THREADPOOL_SIZE", text, 1);
}

static void submit(Function *function, void *arg)
{
    if (!opened)
        opened = uv_loop_init(&loop) == 0;
    Work *self = malloc(sizeof *self);
    if (!opened || self == NULL)
        abort();
    self->function = function;
    self->arg = arg;
    if (uv_queue_work(&loop, &self->work, call, done) != 0)
        abort();
}

/* Called by each thread that submitted. */
static void finish(void)
{
    if (opened)
        uv_run(&loop, UV_RUN_DEFAULT);
}

const Side libuv = {"libuv", start, submit, finish};
