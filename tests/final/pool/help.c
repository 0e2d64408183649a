#include "help.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

TestSuite(pool, .timeout = 60);

/* --- what the linker puts between the pool and libc (--wrap) ------------- */

atomic_long allocated;  /* blocks, less those that were freed */
atomic_int fail_alloc;  /* this one fails, counted from 1; 0: none */
atomic_int fail_create; /* the same for threads */
atomic_bool spurious;   /* every second wait ends for no reason */
atomic_int in_wait;     /* waits of threads that are watched */
_Thread_local bool watched;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *arg);
int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);

/* Tells whether the call is the one that shall fail. */
static bool countdown(atomic_int *counter)
{
    return *counter > 0 && atomic_fetch_sub(counter, 1) == 1;
}

static void *counted(void *block)
{
    if (block != NULL)
        allocated++;
    return block;
}

void *__wrap_malloc(size_t size)
{
    return countdown(&fail_alloc) ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return countdown(&fail_alloc) ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return countdown(&fail_alloc)
               ? NULL
               : counted(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *block)
{
    if (block != NULL)
        allocated--;
    __real_free(block);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *arg)
{
    if (countdown(&fail_create))
        return EAGAIN;
    return __real_pthread_create(thread, attributes, run, arg);
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    static atomic_uint calls;
    if (watched)
        in_wait++;
    int error = 0;
    if (spurious && calls++ % 2 == 0) {
        pthread_mutex_unlock(mutex);
        sched_yield();
        pthread_mutex_lock(mutex);
    } else {
        error = __real_pthread_cond_wait(condition, mutex);
    }
    if (watched)
        in_wait--;
    return error;
}

/* --- helpers ------------------------------------------------------------- */

ThreadPool *build(size_t size, size_t capacity)
{
    ThreadPool *pool = NULL;
    cr_assert(eq(int, thread_pool_build(&pool, size, capacity), 0));
    return pool;
}

void submit(ThreadPool *pool, void (*function)(void *arg), void *arg)
{
    cr_assert(eq(int, thread_pool_execute(pool, function, arg), 0));
}

pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    cr_assert(eq(int, pthread_create(&thread, NULL, run, arg), 0));
    return thread;
}

void until_waiting(int count)
{
    while (in_wait != count)
        sched_yield();
}

int count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *task; (task = readdir(tasks)) != NULL;)
        count += task->d_name[0] != '.';
    closedir(tasks);
    return count;
}

Hold *hold_new(void)
{
    Hold *hold = calloc(1, sizeof *hold);
    sem_init(&hold->started, 0, 0);
    sem_init(&hold->go_on, 0, 0);
    return hold;
}

void wait_sem(sem_t *sem)
{
    while (sem_wait(sem) != 0)
        ;
}

void hold_job(void *arg)
{
    Hold *hold = arg;
    sem_post(&hold->started);
    wait_sem(&hold->go_on);
    hold->ended = true;
}

Hold *occupy(ThreadPool *pool)
{
    Hold *hold = hold_new();
    submit(pool, hold_job, hold);
    wait_sem(&hold->started);
    return hold;
}

void count_job(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

void *watched_execute(void *arg)
{
    Call *call = arg;
    watched = true;
    call->error = thread_pool_execute(call->pool, call->function, call->arg);
    if (call->post != NULL)
        sem_post(call->post);
    return NULL;
}
