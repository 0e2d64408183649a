/*
 * Linked with the server in place of some functions (ld --wrap): the call
 * that FAULT="name N errno times" says, the Nth of that name, fails, and so do
 * those after it, so many times in all. So is every call in the program made to
 * fail once, on every path that comes to it.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Tells whether this call is the one, and then has set errno. */
static bool fails(const char *name)
{
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
    static const char done[] = "fault injected\n";
    if (write(STDERR_FILENO, done, sizeof done - 1) == -1)
        abort();
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
WRAP(int, listen, -1)
WRAP(void *, malloc, NULL)
WRAP(void *, calloc, NULL)
WRAP(void *, aligned_alloc, NULL)
WRAP(char *, strdup, NULL)
WRAP(int, pthread_create, errno)

/* And nobody has time for five seconds of work. */
unsigned __wrap_sleep(unsigned seconds);
unsigned __wrap_sleep(unsigned seconds)
{
    (void)seconds;
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    return 0;
}
