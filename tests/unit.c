/* The unit tests' helpers; linked with --wrap for the three functions below. */

#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define MOST_CONDITIONS 64

static atomic_int created;
static _Atomic(pthread_cond_t *) conditions[MOST_CONDITIONS];

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg);
int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg)
{
    created++;
    return __real_pthread_create(thread, attributes, start, arg);
}

/* Remembers the condition variable, so that it can be woken by hand. */
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    for (int i = 0; i < MOST_CONDITIONS; i++) {
        pthread_cond_t *none = NULL;
        if (atomic_compare_exchange_strong(&conditions[i], &none, condition)
            || none == condition)
            break;
    }
    return __real_pthread_cond_wait(condition, mutex);
}

void wake_all_waiters(void)
{
    for (int i = 0; i < MOST_CONDITIONS && conditions[i] != NULL; i++)
        pthread_cond_broadcast(conditions[i]);
}

int threads_created(void)
{
    return created;
}

void settle(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
}

pthread_t start(void *(*function)(void *), void *arg)
{
    pthread_t thread;
    cr_assert(__real_pthread_create(&thread, NULL, function, arg) == 0);
    return thread;
}

void quiet(void)
{
    fflush(stdout);
    int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    close(nowhere);
}
