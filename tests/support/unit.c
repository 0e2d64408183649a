#define _GNU_SOURCE /* pthread_getattr_np */
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
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __real_pthread_join(pthread_t thread, void **result);
pid_t __real_fork(void);
pid_t __wrap_fork(void);
int __wrap_pthread_join(pthread_t thread, void **result);

static _Thread_local bool dawdling;
static _Thread_local int held, number;
static atomic_int waiting, joined, on_the_stack, next_number;

void dawdle(void)
{
    dawdling = true;
}

int waits(void)
{
    return waiting;
}

int threads_joined(void)
{
    return joined;
}

int arguments_on_the_stack(void)
{
    return on_the_stack;
}

int locks_held(void)
{
    return held;
}

void number_threads(int new_number)
{
    next_number = new_number;
}

int my_number(void)
{
    return number;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (dawdling)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    int error = __real_pthread_mutex_lock(mutex);
    held += error == 0;
    return error;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    held--;
    return __real_pthread_mutex_unlock(mutex);
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
    joined++;
    return __real_pthread_join(thread, result);
}

typedef struct {
    void *(*start)(void *);
    void *arg;
    int number;
} Beginning;

static void *begin_numbered(void *arg)
{
    Beginning beginning = *(Beginning *)arg;
    free(arg);
    number = beginning.number;
    return beginning.start(beginning.arg);
}

bool on_my_stack(const void *address)
{
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return false;
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    return (const char *)address >= (const char *)low
           && (const char *)address < (const char *)low + size;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg)
{
    Beginning *beginning = malloc(sizeof *beginning);
    created++;
    on_the_stack += on_my_stack(arg);
    *beginning = (Beginning){start, arg, next_number};
    int error =
        __real_pthread_create(thread, attributes, begin_numbered, beginning);
    if (error != 0)
        free(beginning);
    return error;
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

pid_t fork_test(void)
{
    return __real_fork();
}

pid_t __wrap_fork(void)
{
    complain(&(Finding){.expected = "threads do all the work",
                        .got = "the code called fork()",
                        .cause = "a process of its own for each job needs no "
                                 "pool: this course is about threads",
                        .key = "fork"});
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

static char when_it_hangs[2048], when_it_crashes[2048];

static _Atomic double limit; /* seconds, for what is expected now */
static atomic_int expected;

/* Called in a signal: says what was expected, and dies of the signal. */
static void die(int signal_number)
{
    complain_in_a_signal(when_it_crashes);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* Runs in a thread of its own: ends a test that hangs. (An alarm would wake who
 * sleeps, and count wrong on a busy machine.) */
static void *watch(void *arg)
{
    (void)arg;
    for (;;) {
        int current = expected;
        for (Wait wait = {0}; current == expected;) {
            if (!still_waiting(&wait, limit)) {
                signal(SIGABRT, SIG_DFL);
                complain_in_a_signal(when_it_hangs);
                abort();
            }
            nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        }
    }
    return NULL;
}

void expecting_within(double seconds, const char *what, const char *cause,
                      const char *heading)
{
    const int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE};
    Finding finding = {.did = what, .cause = cause, .read = heading};

    doing(what);
    finding.got = "a call does not return, or a thread never ends: it hangs";
    if (cause == NULL)
        finding.key = "hangs";
    prepare(&finding, when_it_hangs, sizeof when_it_hangs);
    finding.got =
        "it crashed: an address that is not (or no longer) valid, or a "
        "failed assert()";
    finding.key = "crashes";
    finding.cause = "memory that was not allocated, is too small, or was freed "
                    "before it was used the last time";
    prepare(&finding, when_it_crashes, sizeof when_it_crashes);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], die);
    limit = seconds;
    static bool watched;
    expected++;
    if (!watched)
        start(watch, NULL);
    watched = true;
}

void wait_a_little(void)
{
    expected++;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

void expecting(const char *what, const char *cause, const char *heading)
{
    expecting_within(patience() + 2, what, cause, heading);
}

void begin(void)
{
    expecting_within(patience() + 6, NULL, NULL, NULL);
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
