/* The unit tests' helpers; linked with --wrap for the functions below. */

#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

static _Thread_local bool dawdling;
static atomic_int waiting;

void dawdle(void)
{
    dawdling = true;
}

int waits(void)
{
    return waiting;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (dawdling)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    return __real_pthread_mutex_lock(mutex);
}

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
    waiting++;
    if (dawdling)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
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

static char last_words[512];

/* Called in a signal: says what was expected, and dies of the signal. */
static void die(int number)
{
    const char *what =
        number == SIGALRM
            ? "\nYour code hangs: a call does not return, or a thread never "
              "ends."
            : "\nYour code crashed: to see where, run it under a sanitizer "
              "(-fsanitize=address -g) or a debugger.";
    if (write(STDERR_FILENO, what, strlen(what)) == -1
        || write(STDERR_FILENO, last_words, strlen(last_words)) == -1)
        _exit(1);
    signal(number, SIG_DFL);
    raise(number);
}

void expecting(const char *what)
{
    const int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGALRM};
    snprintf(last_words, sizeof last_words, "%s%s\n",
             *what ? "\nExpected: " : "", what);
    for (int i = 0; i < 4; i++)
        signal(numbers[i], die);
    alarm((unsigned)patience() + 15);
}

void begin(void)
{
    expecting("");
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
    begin();
    fflush(stdout);
    int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    close(nowhere);
}
