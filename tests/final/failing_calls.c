/*
 * Linked with the server in place of some functions (ld --wrap): the call
 * that FAULT="name N errno times" says, the Nth of that name, fails, and so do
 * those after it, so many times in all. So is every call in the program made to
 * fail once, on every path that comes to it. With FAULT_SIGNAL none fails, but
 * SIGTERM comes then. With JITTER=seed none fails, but many come late, each
 * time others: so the threads meet in many orders.
 */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void tell(void)
{
    static const char done[] = "fault injected\n";
    if (write(STDERR_FILENO, done, sizeof done - 1) == -1)
        abort();
}

/* Has every fourth call or so wait for a millisecond at most. */
static void dawdle(void)
{
    static _Thread_local unsigned long long state;
    const char *seed = getenv("JITTER");
    if (seed == NULL)
        return;
    if (state == 0)
        state = (unsigned long long)(atoi(seed) + 1) * (uintptr_t)&state;
    state = state * 6364136223846793005u + 1442695040888963407u;
    if (state >> 62 == 0)
        nanosleep(&(struct timespec){.tv_nsec = (long)(state >> 33) % 1000000},
                  NULL);
}

/* Tells whether this call is the one, and then has set errno. */
static bool fails(const char *name)
{
    dawdle();
    static atomic_int calls;
    char wanted[32];
    int first, error, times;
    const char *fault = getenv("FAULT");
    if (fault == NULL
        || sscanf(fault, "%31s %d %d %d", wanted, &first, &error, &times) != 4
        || strcmp(name, wanted) != 0)
        return false;
    int call = atomic_fetch_add(&calls, 1) + 1;
    if (call < first || call >= first + times)
        return false;
    tell();
    if (getenv("FAULT_SIGNAL") != NULL)
        return kill(getpid(), SIGTERM) != 0;
    errno = error;
    return true;
}

/* The functions differ in their parameters only, all of which fit a long. */
#define WRAP(type, name, failure)                                              \
    type __real_##name(long, long, long, long);                                \
    type __wrap_##name(long, long, long, long);                                \
    type __wrap_##name(long a, long b, long c, long d)                         \
    {                                                                          \
        return fails(#name) ? (failure) : __real_##name(a, b, c, d);           \
    }

WRAP(int, accept, -1)
WRAP(int, socket, -1)
WRAP(long, recv, -1)
WRAP(long, sendmsg, -1)
WRAP(int, shutdown, -1)
WRAP(int, epoll_create1, -1)
WRAP(int, epoll_ctl, -1)
WRAP(int, epoll_wait, -1)
WRAP(int, pipe, -1)
WRAP(int, fcntl, -1)
WRAP(long, read, -1)
WRAP(long, write, -1)
WRAP(int, fstat, -1)
WRAP(int, ferror, 1)
WRAP(int, listen, -1)
WRAP(void *, malloc, NULL)
WRAP(void *, calloc, NULL)
WRAP(void *, realloc, NULL)
WRAP(void *, aligned_alloc, NULL)
WRAP(char *, strdup, NULL)
WRAP(int, pthread_create, errno)

/* The file that FAULT_PIPE names becomes a pipe just before it is opened. */
int __real_openat(int folder, const char *name, int flags, int mode);
int __wrap_openat(int folder, const char *name, int flags, int mode);
int __wrap_openat(int folder, const char *name, int flags, int mode)
{
    const char *path = getenv("FAULT_PIPE");
    const char *end = path != NULL ? strrchr(path, '/') + 1 : "";
    if (strcmp(name, end) == 0 && unlink(path) == 0 && mkfifo(path, 0600) == 0)
        tell();
    return fails("openat") ? -1 : __real_openat(folder, name, flags, mode);
}

/* And nobody has time for five seconds of work. */
unsigned __wrap_sleep(unsigned seconds);
unsigned __wrap_sleep(unsigned seconds)
{
    (void)seconds;
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    return 0;
}
