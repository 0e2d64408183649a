#define _GNU_SOURCE /* pthread_getattr_np */
/* The unit tests' helpers. */

#include "unit.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

pid_t __real_fork(void);
pid_t __wrap_fork(void);

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);

static _Thread_local int until_failure; /* allocations; 0: none fails */
static _Thread_local bool failed;

bool fail_allocation(int number)
{
    bool before = failed;
    failed = false;
    until_failure = number;
    return before;
}

/* Whether this is the allocation that is to fail. */
static bool fails(void)
{
    bool now = until_failure > 0 && --until_failure == 0;
    failed = failed || now;
    return now;
}

/* Who writes beyond a block is told so by the explorer, or by the sanitizers,
 * in the very line; here it must not spoil what lies behind, and mislead. */
static size_t padded(size_t size)
{
    const size_t padding = 256;
    return size < SIZE_MAX - padding ? size + padding : size;
}

/* What malloc returns is often zero by chance, and so a program right that sets
 * nothing there: here it never is. */
void *__wrap_malloc(size_t size)
{
    void *block = fails() ? NULL : __real_malloc(padded(size));
    return block == NULL ? NULL : memset(block, 0xa5, size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (fails())
        return NULL;
    size_t product;
    return __builtin_mul_overflow(count, size, &product)
               ? __real_calloc(count, size)
               : __real_calloc(1, padded(product));
}

void *__wrap_realloc(void *block, size_t size)
{
    return fails() ? NULL : __real_realloc(block, padded(size));
}

void fail_thread(int number)
{
    static int calls; /* that were counted, see watch.h */
    static char entry[48] = "FAIL_PTHREAD_CREATE="; /* setenv allocates */
    static const size_t name = sizeof "FAIL_PTHREAD_CREATE=" - 1;
    if (number > 0)
        snprintf(entry + name, sizeof entry - name, "%d", calls += number);
    else
        entry[name] = '\0';
    putenv(entry);
}

size_t allocated(void)
{
#if __GLIBC_PREREQ(2, 33)
    return mallinfo2().uordblks;
#else
    return (size_t)mallinfo().uordblks;
#endif
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

struct tm *__real_gmtime(const time_t *time);
struct tm *__wrap_gmtime(const time_t *time);

/* Long enough for another thread to call it, too: they share the struct. */
struct tm *__wrap_gmtime(const time_t *time)
{
    struct tm *utc = __real_gmtime(time);
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    return utc;
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

static char when_it_hangs[2048], when_it_crashes[2048];

static _Atomic double limit; /* seconds, for what is expected now */
static atomic_int expected;

/* Called in a signal: says what was expected, and where it was, and dies of the
 * signal. Other threads that crash wait for that. */
static void die(int signal_number, siginfo_t *info, void *context)
{
    static atomic_flag dying = ATOMIC_FLAG_INIT;
    static _Thread_local bool it_is_me;
    if (!it_is_me && atomic_flag_test_and_set(&dying))
        for (;;)
            pause();
    if (!it_is_me) {
        it_is_me = true;
        complain_in_a_signal(when_it_crashes);
        watch_crashed(info, context);
    }
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
    finding.cause = "memory that is not, or no longer, valid: freed before its "
                    "last use, the address of a local variable, too little "
                    "allocated, or NULL";
    prepare(&finding, when_it_crashes, sizeof when_it_crashes);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(
            numbers[i],
            &(struct sigaction){.sa_sigaction = die, .sa_flags = SA_SIGINFO},
            NULL);
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

void crash_means(const char *what, const char *cause, const char *heading)
{
    prepare(&(Finding){.did = what,
                       .cause = cause,
                       .read = heading,
                       .got = "it crashed: it took a job that was not there"},
            when_it_crashes, sizeof when_it_crashes);
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
    cr_assert(watch_start(&thread, function, arg) == 0);
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
