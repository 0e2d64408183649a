/*
 * GLib's GThreadPool, for the bench. It calls one and the same function for
 * every job. It gets bench_job() itself, and so need not allocate a pair of
 * function and argument for each job as a program would have to do that has
 * several kinds of jobs: the comparison favours GLib.
 */
#include "pool.h"

#include <glib.h>

static GThreadPool *pool;

static void call(gpointer arg, gpointer unused)
{
    (void)unused;
    bench_job(arg);
}

static void start(size_t workers, size_t capacity)
{
    (void)capacity; /* unbounded */
    pool = g_thread_pool_new(call, NULL, (gint)workers, TRUE, NULL);
}

static void submit(Function *function, void *arg)
{
    (void)function;
    g_thread_pool_push(pool, arg, NULL);
}

static void finish(void)
{
    g_thread_pool_free(pool, FALSE, TRUE);
}

const Side glib = {"GLib", start, submit, finish};
