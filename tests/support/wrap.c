/*
 * Linked to the program under test with --wrap for the functions below, so that
 * the tests can bring about what seldom happens by itself:
 *     FAIL_PTHREAD_CREATE=N   its pthread_create number N, from 1, fails as if
 *                             there were too many threads
 *     SLOW_START=1            its listen and pthread_create take 0.2 s longer
 *     LATE_THREADS=1          its threads begin 0.3 s after their creation
 *     SIGNAL_BEFORE=CALL      the first listen, or the second accept, poll,
 *                             select or pselect, whichever is named: just
 *                             before it a SIGINT comes, and stderr says so
 * A close of a descriptor that is not open ends the program: with more than one
 * thread that may be somebody else's by then.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg);
int __real_listen(int listener, int backlog);
int __wrap_listen(int listener, int backlog);
int __real_close(int descriptor);
int __wrap_close(int descriptor);
int __real_accept(int listener, struct sockaddr *address, socklen_t *size);
int __wrap_accept(int listener, struct sockaddr *address, socklen_t *size);
int __real_poll(struct pollfd *polls, nfds_t count, int limit);
int __wrap_poll(struct pollfd *polls, nfds_t count, int limit);
int __real_select(int count, fd_set *reads, fd_set *writes, fd_set *errors,
                  struct timeval *limit);
int __wrap_select(int count, fd_set *reads, fd_set *writes, fd_set *errors,
                  struct timeval *limit);
int __real_pselect(int count, fd_set *reads, fd_set *writes, fd_set *errors,
                   const struct timespec *limit, const sigset_t *mask);
int __wrap_pselect(int count, fd_set *reads, fd_set *writes, fd_set *errors,
                   const struct timespec *limit, const sigset_t *mask);

static int is_set(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0';
}

static void wait_if(const char *name, long milliseconds)
{
    if (is_set(name))
        nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
}

typedef struct {
    void *(*start)(void *);
    void *arg;
} Beginning;

static void *begin_late(void *arg)
{
    Beginning beginning = *(Beginning *)arg;
    free(arg);
    wait_if("LATE_THREADS", 300);
    return beginning.start(beginning.arg);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg)
{
    static int calls; /* only the main thread creates threads here */
    const char *failing = getenv("FAIL_PTHREAD_CREATE");
    wait_if("SLOW_START", 200);
    if (failing != NULL && atoi(failing) == ++calls)
        return EAGAIN;
    Beginning *beginning =
        is_set("LATE_THREADS") ? malloc(sizeof *beginning) : NULL;
    if (beginning != NULL) {
        *beginning = (Beginning){start, arg};
        return __real_pthread_create(thread, attributes, begin_late, beginning);
    }
    return __real_pthread_create(thread, attributes, start, arg);
}

/* Sends the signal if this is the call, of the given number, that it is for. */
static void signal_before(const char *call, int number, int *calls)
{
    const char *named = getenv("SIGNAL_BEFORE");
    if (named == NULL || strcmp(named, call) != 0 || ++*calls != number)
        return;
    fprintf(stderr, "SIGINT, just before %s\n", call);
    kill(getpid(), SIGINT);
}

int __wrap_accept(int listener, struct sockaddr *address, socklen_t *size)
{
    static int calls; /* only the main thread waits for connections here */
    signal_before("accept", 2, &calls);
    return __real_accept(listener, address, size);
}

int __wrap_poll(struct pollfd *polls, nfds_t count, int limit)
{
    static int calls;
    signal_before("poll", 2, &calls);
    return __real_poll(polls, count, limit);
}

int __wrap_select(int count, fd_set *reads, fd_set *writes, fd_set *errors,
                  struct timeval *limit)
{
    static int calls;
    signal_before("select", 2, &calls);
    return __real_select(count, reads, writes, errors, limit);
}

int __wrap_pselect(int count, fd_set *reads, fd_set *writes, fd_set *errors,
                   const struct timespec *limit, const sigset_t *mask)
{
    static int calls;
    signal_before("pselect", 2, &calls);
    return __real_pselect(count, reads, writes, errors, limit, mask);
}

int __wrap_listen(int listener, int backlog)
{
    static int calls;
    wait_if("SLOW_START", 200);
    signal_before("listen", 1, &calls);
    return __real_listen(listener, backlog);
}

int __wrap_close(int descriptor)
{
    int result = __real_close(descriptor);
    if (result == -1 && errno == EBADF && descriptor >= 0) {
        fprintf(stderr, "close(%d): it is not open. Is it closed twice?\n",
                descriptor);
        abort();
    }
    return result;
}
