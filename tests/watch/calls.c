/* Watches calls that may take long, and what is closed: see watch.h. */

#define _GNU_SOURCE
#include "table.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNPACK(...) __VA_ARGS__

/* SIGNAL_BEFORE: just before the first listen, or the second accept, poll,
 * select or pselect, whichever it names, a SIGINT comes, and stderr says so. */
static void signal_before(const char *call, int number)
{
    static int calls; /* of the main thread: it waits for connections */
    const char *named = getenv("SIGNAL_BEFORE");
    if (named == NULL || strcmp(named, call) != 0 || gettid() != getpid()
        || ++calls != number)
        return;
    fprintf(stderr, "SIGINT, just before %s\n", call);
    kill(getpid(), SIGINT);
}

/* Wraps a function that only waits: its type, its name, what it is given. */
#define WAITS(type, name, parameters, arguments)                               \
    type __real_##name(UNPACK parameters);                                     \
    type __wrap_##name(UNPACK parameters);                                     \
    type __wrap_##name(UNPACK parameters)                                      \
    {                                                                          \
        signal_before(#name, 2);                                               \
        watch_begin(A_CALL, NULL, #name, HERE);                                \
        type result = __real_##name arguments;                                 \
        watch_end();                                                           \
        return result;                                                         \
    }

/* The same; who holds a mutex meanwhile makes others wait. */
#define TAKES_LONG(type, name, parameters, arguments)                          \
    type __real_##name(UNPACK parameters);                                     \
    type __wrap_##name(UNPACK parameters);                                     \
    type __wrap_##name(UNPACK parameters)                                      \
    {                                                                          \
        watch_busy(#name, HERE);                                               \
        watch_begin(A_CALL, NULL, #name, HERE);                                \
        type result = __real_##name arguments;                                 \
        watch_end();                                                           \
        return result;                                                         \
    }

/* WATCH_SHORT: what may be moved of so many bytes, of a socket: one to seven;
 * or none, and then it fails, as if there were nothing, or no room. */
static bool shorten(int descriptor, size_t *size)
{
    static atomic_uint calls;
    struct stat status;
    const char *wanted = getenv("WATCH_SHORT");
    if (wanted == NULL || *wanted == '\0' || *size == 0
        || fstat(descriptor, &status) == -1 || !S_ISSOCK(status.st_mode))
        return true;
    unsigned mixed = atomic_fetch_add(&calls, 1) * 2654435761u;
    size_t most = (mixed >> 16) % 8;
    if (most == 0 && (fcntl(descriptor, F_GETFL) & O_NONBLOCK) != 0) {
        errno = EAGAIN;
        return false;
    }
    most = most == 0 ? 1 : most;
    *size = *size < most ? *size : most;
    return true;
}

/* Returns the first part that is not empty, of so many, shortened; an empty one
 * if there is none. May fail as shorten() does. */
static bool shorten_parts(int descriptor, const struct iovec *parts, int count,
                          struct iovec *first)
{
    *first = (struct iovec){0};
    for (int i = 0; i < count && first->iov_len == 0; i++)
        *first = parts[i];
    return shorten(descriptor, &first->iov_len);
}

static void not_open_any_more(const char *call, int descriptor,
                              const void *line);

/* Wraps what moves bytes; a lock that is held meanwhile is noticed, or not. */
#define MOVES(name, notice, parameters, arguments)                             \
    ssize_t __real_##name(UNPACK parameters);                                  \
    ssize_t __wrap_##name(UNPACK parameters);                                  \
    ssize_t __wrap_##name(UNPACK parameters)                                   \
    {                                                                          \
        if (notice)                                                            \
            watch_busy(#name, HERE);                                           \
        if (!shorten(descriptor, &size))                                       \
            return -1;                                                         \
        watch_begin(A_CALL, NULL, #name, HERE);                                \
        ssize_t result = __real_##name arguments;                              \
        watch_end();                                                           \
        if (result == -1 && errno == EBADF)                                    \
            not_open_any_more(#name, descriptor, HERE);                        \
        return result;                                                         \
    }

WAITS(int, poll, (struct pollfd * list, nfds_t count, int limit),
      (list, count, limit))
WAITS(int, select,
      (int count, fd_set *in, fd_set *out, fd_set *other,
       struct timeval *limit),
      (count, in, out, other, limit))
WAITS(int, pselect,
      (int count, fd_set *in, fd_set *out, fd_set *other,
       const struct timespec *limit, const sigset_t *mask),
      (count, in, out, other, limit, mask))
WAITS(int, epoll_wait,
      (int epoll, struct epoll_event *events, int most, int limit),
      (epoll, events, most, limit))
WAITS(pid_t, waitpid, (pid_t child, int *status, int options),
      (child, status, options))
WAITS(int, sem_wait, (sem_t * semaphore), (semaphore))
WAITS(int, sem_timedwait, (sem_t * semaphore, const struct timespec *until),
      (semaphore, until))
MOVES(write, false, (int descriptor, const void *bytes, size_t size),
      (descriptor, bytes, size))
MOVES(send, true, (int descriptor, const void *bytes, size_t size, int flags),
      (descriptor, bytes, size, flags))
MOVES(read, true, (int descriptor, void *bytes, size_t size),
      (descriptor, bytes, size))
MOVES(recv, true, (int descriptor, void *bytes, size_t size, int flags),
      (descriptor, bytes, size, flags))

ssize_t __real_sendmsg(int descriptor, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int descriptor, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int descriptor, const struct msghdr *message, int flags)
{
    struct msghdr cut = *message;
    struct iovec first;
    watch_busy("sendmsg", HERE);
    if (getenv("WATCH_SHORT") != NULL && *getenv("WATCH_SHORT") != '\0') {
        if (!shorten_parts(descriptor, message->msg_iov,
                           (int)message->msg_iovlen, &first))
            return -1;
        cut.msg_iov = &first;
        cut.msg_iovlen = 1;
    }
    watch_begin(A_CALL, NULL, "sendmsg", HERE);
    ssize_t result = __real_sendmsg(descriptor, &cut, flags);
    watch_end();
    return result;
}

ssize_t __real_writev(int descriptor, const struct iovec *parts, int count);
ssize_t __wrap_writev(int descriptor, const struct iovec *parts, int count);
ssize_t __wrap_writev(int descriptor, const struct iovec *parts, int count)
{
    struct iovec first;
    watch_busy("writev", HERE);
    if (getenv("WATCH_SHORT") != NULL && *getenv("WATCH_SHORT") != '\0') {
        if (!shorten_parts(descriptor, parts, count, &first))
            return -1;
        parts = &first;
        count = 1;
    }
    watch_begin(A_CALL, NULL, "writev", HERE);
    ssize_t result = __real_writev(descriptor, parts, count);
    watch_end();
    return result;
}

TAKES_LONG(char *, fgets, (char *text, int size, FILE *file),
           (text, size, file))
TAKES_LONG(int, fgetc, (FILE * file), (file))
TAKES_LONG(int, getc, (FILE * file), (file))
TAKES_LONG(ssize_t, getline, (char **text, size_t *size, FILE *file),
           (text, size, file))
WAITS(size_t, fread, (void *bytes, size_t size, size_t count, FILE *file),
      (bytes, size, count, file))

int __wrap_dprintf(int descriptor, const char *format, ...);
int __wrap_dprintf(int descriptor, const char *format, ...)
{
    va_list args;
    watch_busy("dprintf", HERE);
    watch_begin(A_CALL, NULL, "dprintf", HERE);
    va_start(args, format);
    int result = vdprintf(descriptor, format, args);
    va_end(args);
    watch_end();
    return result;
}

/* --- what is shortened, or takes longer, for a test ----------------------- */

static double seconds(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value ? atof(value) : 0;
}

/* The given time, or WATCH_SLEEP, if that is less. */
static struct timespec shorter(struct timespec length)
{
    double most = seconds("WATCH_SLEEP");
    if (most > 0 && (double)length.tv_sec + (double)length.tv_nsec / 1e9 > most)
        return (struct timespec){(time_t)most,
                                 (long)((most - (double)(time_t)most) * 1e9)};
    return length;
}

int __real_nanosleep(const struct timespec *length, struct timespec *rest);

/* Sleeps; but not longer than until the file is there that HURRY names, and a
 * second, so that what slept earlier is still done earlier. */
static int sleep_for(struct timespec time, struct timespec *rest)
{
    const char *hurry = getenv("HURRY");
    if (hurry == NULL || *hurry == '\0' || time.tv_sec == 0)
        return __real_nanosleep(&time, rest);
    const struct timespec part = {.tv_nsec = 50000000};
    struct timespec left = time;
    for (; left.tv_sec >= 0
           && (left.tv_sec > time.tv_sec - 2 || access(hurry, F_OK) == -1);
         left.tv_nsec -= part.tv_nsec) {
        if (left.tv_nsec < part.tv_nsec) {
            left.tv_sec--;
            left.tv_nsec += 1000000000;
        }
        if (left.tv_sec >= 0 && __real_nanosleep(&part, NULL) == -1) {
            if (rest != NULL)
                *rest = left;
            return -1;
        }
    }
    return 0;
}

int __wrap_nanosleep(const struct timespec *length, struct timespec *rest);
int __wrap_nanosleep(const struct timespec *length, struct timespec *rest)
{
    struct timespec time = shorter(*length);
    watch_begin(A_CALL, NULL, "nanosleep", HERE);
    int result = sleep_for(time, rest);
    watch_end();
    return result;
}

int __real_clock_nanosleep(clockid_t clock, int flags,
                           const struct timespec *length,
                           struct timespec *rest);
int __wrap_clock_nanosleep(clockid_t clock, int flags,
                           const struct timespec *length,
                           struct timespec *rest);
int __wrap_clock_nanosleep(clockid_t clock, int flags,
                           const struct timespec *length, struct timespec *rest)
{
    struct timespec time = flags == 0 ? shorter(*length) : *length;
    watch_begin(A_CALL, NULL, "clock_nanosleep", HERE);
    int result = __real_clock_nanosleep(clock, flags, &time, rest);
    watch_end();
    return result;
}

int __real_usleep(useconds_t length);
int __wrap_usleep(useconds_t length);
int __wrap_usleep(useconds_t length)
{
    struct timespec time = shorter(
        (struct timespec){length / 1000000, (long)(length % 1000000) * 1000});
    watch_begin(A_CALL, NULL, "usleep", HERE);
    int result = __real_nanosleep(&time, NULL);
    watch_end();
    return result;
}

unsigned __real_sleep(unsigned length);
unsigned __wrap_sleep(unsigned length);
unsigned __wrap_sleep(unsigned length)
{
    struct timespec time = shorter((struct timespec){(time_t)length, 0}), rest;
    watch_busy("sleep", HERE);
    watch_begin(A_CALL, NULL, "sleep", HERE);
    int result = sleep_for(time, &rest);
    watch_end();
    return result == 0 ? 0 : (unsigned)rest.tv_sec + (rest.tv_nsec > 0);
}

/* FAIL_ACCEPT: accept fails for so many seconds, from its first call on. Who
 * tries again at once burns a processor; the -1 is no connection. */
static atomic_int failures;

static bool accept_fails(const void *line)
{
    static _Atomic double until;
    double length = seconds("FAIL_ACCEPT");
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    if (length <= 0 || table == NULL)
        return false;
    if (until == 0)
        until = time + length;
    if (time > until)
        return false;
    if (++failures > 2000 * length)
        watch_finding("key: no-pause\n"
                      "did: accept failed for a while, as it does when no "
                      "descriptor is left\n"
                      "expected: the loop pauses for a moment before it tries "
                      "again\n"
                      "got: accept was called %d times in %.2f s, in "
                      "{line:%lx}\n"
                      "cause: what fails for want of a descriptor fails at "
                      "once, again and again: a loop without a pause takes a "
                      "whole processor, and fills the log\n"
                      "read: No descriptor left\n"
                      "source: {line:%lx}",
                      (int)failures, time - (until - length), AT(line),
                      AT(line));
    return true;
}

static void check_connection(int descriptor, const char *call, const void *line)
{
    if (descriptor == -1 && failures > 0)
        watch_finding("key: accept-unchecked\n"
                      "did: accept failed, as it does when no descriptor is "
                      "left, and returned -1\n"
                      "expected: the loop says so, and tries again after a "
                      "pause\n"
                      "got: the -1 is used as a connection: %s(-1), in "
                      "{line:%lx}\n"
                      "cause: what accept returns is not looked at: -1 is no "
                      "connection\n"
                      "read: No descriptor left\n"
                      "source: {line:%lx}",
                      call, AT(line), AT(line));
}

/* A socket's time-out, or WATCH_SLEEP, if that is less; and if FASTER is set, a
 * fifth of it. */
static struct timeval sooner(struct timeval limit)
{
    double given = (double)limit.tv_sec + (double)limit.tv_usec / 1e6;
    double most = seconds("WATCH_SLEEP");
    double wanted = seconds("FASTER") > 0 ? given / 5 : given;
    if (most > 0 && wanted > most)
        wanted = most;
    if (wanted == given) /* or it is none: that is for the system to say */
        return limit;
    return (struct timeval){
        (time_t)wanted, (suseconds_t)((wanted - (double)(time_t)wanted) * 1e6)};
}

/* In which line each socket was given a time-out for reading. */
static _Atomic(const void *) timed_at[DESCRIPTORS];

int __real_setsockopt(int socket, int level, int name, const void *value,
                      socklen_t size);
int __wrap_setsockopt(int socket, int level, int name, const void *value,
                      socklen_t size);
int __wrap_setsockopt(int socket, int level, int name, const void *value,
                      socklen_t size)
{
    struct timeval time;
    check_connection(socket, "setsockopt", HERE);
    if (level == SOL_SOCKET && name == SO_RCVTIMEO && socket >= 0
        && socket < DESCRIPTORS)
        timed_at[socket] = HERE;
    if (value != NULL && level == SOL_SOCKET && size == sizeof time
        && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) {
        memcpy(&time, value, sizeof time);
        time = sooner(time);
        value = &time;
    }
    return __real_setsockopt(socket, level, name, value, size);
}

int __real_listen(int listener, int backlog);
int __wrap_listen(int listener, int backlog);
int __wrap_listen(int listener, int backlog)
{
    if (seconds("SLOW_START") > 0)
        __real_nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    signal_before("listen", 1);
    int result = __real_listen(listener, backlog);
    if (table != NULL && result == 0)
        table->listening = 1;
    return result;
}

/* --- descriptors ---------------------------------------------------------- */

/* Where each descriptor was closed last, and by which call. */
static _Atomic(const void *) closed_at[DESCRIPTORS];

static void opened(int descriptor)
{
    if (descriptor >= 0 && descriptor < DESCRIPTORS)
        closed_at[descriptor] = NULL;
}

static void closed(int descriptor, const void *line)
{
    if (descriptor >= 0 && descriptor < DESCRIPTORS) {
        closed_at[descriptor] = line;
        timed_at[descriptor] = NULL;
    }
}

#define NO_DESCRIPTOR (1 << 20) /* more than a system gives out */

static void not_open(const char *call, int descriptor, const void *line)
{
    char before[80] = "";
    Name name;
    if (table == NULL || descriptor < 0)
        return;
    if (descriptor >= NO_DESCRIPTOR)
        watch_finding("key: no-descriptor\n"
                      "did: a connection or a file was closed, in {line:%lx}\n"
                      "got: %s(%d): there is no such descriptor (%s did it)\n"
                      "cause: the number was read from memory that had been "
                      "freed, or had "
                      "changed meanwhile: who is given an address owns what it "
                      "points to, "
                      "and alone frees it\n"
                      "read: Pass the value | Reading the request\n"
                      "source: {line:%lx}",
                      AT(line), call, descriptor,
                      watch_name(watch_self(), &name), AT(line));
    if (descriptor < DESCRIPTORS && closed_at[descriptor] != NULL)
        snprintf(before, sizeof before, "; it was closed in {line:%lx}",
                 AT(closed_at[descriptor]));
    watch_finding(
        "key: closed-twice\n"
        "did: a connection or a file was closed, in {line:%lx}\n"
        "got: %s(%d): it is not open%s. Is it closed twice? (%s did it)\n"
        "cause: a connection has one owner, and only the owner closes it, "
        "once%s"
        "\n"
        "read: The life of a connection | Pass the value | Reading the "
        "request\n"
        "source: {line:%lx}",
        AT(line), call, descriptor, before, watch_name(watch_self(), &name),
        watch_created() == 0
            ? ""
            : ". Or two threads were given the same one: the address of a "
              "variable, not the connection itself",
        AT(line));
}

/* The same, of what is used. It may be open, and for something else. */
static void not_open_any_more(const char *call, int descriptor,
                              const void *line)
{
    Name name;
    if (table == NULL || descriptor < 0 || descriptor >= DESCRIPTORS
        || closed_at[descriptor] == NULL || fcntl(descriptor, F_GETFD) != -1)
        return;
    watch_finding("key: used-closed\n"
                  "did: %s was called in {line:%lx}\n"
                  "expected: the descriptor is open\n"
                  "got: %s(%d): it was closed in {line:%lx} (%s calls)\n"
                  "cause: who closes a descriptor must be its one owner, and "
                  "the last to use it: by now the number may be somebody "
                  "else's\n"
                  "read: The life of a connection | Pass the value | Reading "
                  "the request\n"
                  "source: {line:%lx}",
                  call, AT(line), call, descriptor, AT(closed_at[descriptor]),
                  watch_name(watch_self(), &name), AT(closed_at[descriptor]));
}

int __real_close(int descriptor);
int __wrap_close(int descriptor);
int __wrap_close(int descriptor)
{
    const void *line = HERE;
    check_connection(descriptor, "close", line);
    int result = __real_close(descriptor);
    if (result == -1 && errno == EBADF)
        not_open("close", descriptor, line);
    else
        closed(descriptor, line);
    return result;
}

int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file);
int __wrap_fclose(FILE *file)
{
    const void *line = HERE;
    int descriptor = fileno(file);
    int result = __real_fclose(file);
    if (result == EOF && errno == EBADF)
        not_open("fclose", descriptor, line);
    else
        closed(descriptor, line);
    return result;
}

__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

/* The listener's time-out is accept's, and need not be the connection's. */
static void check_listener(int listener, const void *line)
{
    if (table == NULL || listener < 0 || listener >= DESCRIPTORS
        || timed_at[listener] == NULL)
        return;
    watch_finding("key: timeout-on-listener\n"
                  "did: the server waits for a connection, in {line:%lx}\n"
                  "expected: it waits until one comes, and gives each a "
                  "time-out\n"
                  "got: SO_RCVTIMEO is set on the listener, so that accept "
                  "itself gives up\n"
                  "cause: set it on each connection, which accept returns; "
                  "whether a connection takes over what its listener has is "
                  "up to the system\n"
                  "read: The visitor who says nothing\n"
                  "source: {line:%lx}",
                  AT(line), AT(timed_at[listener]));
}

/* A connection was accepted: is it the moment to look for lost memory? */
static void accepted(int connection)
{
    const char *now = getenv("WATCH_LEAKS");
    opened(connection);
    if (table == NULL || connection == -1)
        return;
    table->accepted++;
    if (now != NULL && __lsan_do_recoverable_leak_check
        && access(now, F_OK) == 0)
        __lsan_do_recoverable_leak_check();
}

int __real_accept(int listener, struct sockaddr *address, socklen_t *size);

/* GONE_VISITOR: the first that is accepted has gone in this moment. */
static void take_away_the_first(int listener)
{
    static atomic_flag taken = ATOMIC_FLAG_INIT;
    if (seconds("GONE_VISITOR") == 0 || atomic_flag_test_and_set(&taken))
        return;
    int visitor = __real_accept(listener, NULL, NULL);
    if (visitor != -1)
        __real_close(visitor);
}

int __wrap_accept(int listener, struct sockaddr *address, socklen_t *size);
int __wrap_accept(int listener, struct sockaddr *address, socklen_t *size)
{
    check_listener(listener, HERE);
    if (accept_fails(HERE)) {
        errno = EMFILE;
        return -1;
    }
    signal_before("accept", 2);
    watch_begin(A_CALL, NULL, "accept", HERE);
    take_away_the_first(listener);
    int result = __real_accept(listener, address, size);
    watch_end();
    accepted(result);
    return result;
}

int __real_accept4(int listener, struct sockaddr *address, socklen_t *size,
                   int flags);
int __wrap_accept4(int listener, struct sockaddr *address, socklen_t *size,
                   int flags);
int __wrap_accept4(int listener, struct sockaddr *address, socklen_t *size,
                   int flags)
{
    check_listener(listener, HERE);
    if (accept_fails(HERE)) {
        errno = EMFILE;
        return -1;
    }
    watch_begin(A_CALL, NULL, "accept4", HERE);
    int result = __real_accept4(listener, address, size, flags);
    watch_end();
    accepted(result);
    return result;
}

/* --- what is right for one thread only, or for what lies apart ------------ */

void *__real_memcpy(void *to, const void *from, size_t size);
void *__wrap_memcpy(void *to, const void *from, size_t size);
void *__wrap_memcpy(void *to, const void *from, size_t size)
{
    uintptr_t a = (uintptr_t)to, b = (uintptr_t)from;
    if (table != NULL && a != b && a < b + size && b < a + size)
        watch_finding("key: memcpy-overlaps\n"
                      "did: memcpy was called in {line:%lx}, for %lu bytes\n"
                      "expected: where they are, and where they go to, lie "
                      "apart\n"
                      "got: they overlap\n"
                      "cause: memcpy may begin at either end, and overwrite "
                      "what it has not copied yet: memmove does it right\n"
                      "read: Many requests, one buffer | Reading the request\n"
                      "source: {line:%lx}",
                      AT(HERE), size, AT(HERE));
    return __real_memcpy(to, from, size);
}

/* Two threads that live at the same time call a function that has one variable
 * for all of them, and hold no mutex. What main does may be before them. */
static void not_for_threads(_Atomic(Thread *) *first, const char *call,
                            const char *instead, const void *line)
{
    Thread *me = watch_self(), *other = NULL;
    Name one, two;
    if (me == NULL || me->held > 0 || me->flags & MAIN
        || atomic_compare_exchange_strong(first, &other, me) || other == me)
        return;
    if (other->state != LIVES) {
        *first = me;
        return;
    }
    watch_finding("key: not-for-threads\n"
                  "did: %s called %s in {line:%lx}, and before it %s did\n"
                  "expected: threads call what each of them may call at any "
                  "time\n"
                  "got: %s keeps what it does in one variable, for all "
                  "threads: one changes it while another uses it\n"
                  "cause: call %s, which is given the place for it\n"
                  "read: What threads share without asking\n"
                  "source: {line:%lx}",
                  watch_name(me, &one), call, AT(line), watch_name(other, &two),
                  call, instead, AT(line));
}

#define ONE_THREAD(type, name, instead, parameters, arguments)                 \
    type __real_##name(UNPACK parameters);                                     \
    type __wrap_##name(UNPACK parameters);                                     \
    type __wrap_##name(UNPACK parameters)                                      \
    {                                                                          \
        static _Atomic(Thread *) first;                                        \
        not_for_threads(&first, #name, instead, HERE);                         \
        return __real_##name arguments;                                        \
    }

ONE_THREAD(char *, strtok, "strtok_r", (char *text, const char *marks),
           (text, marks))
ONE_THREAD(struct tm *, localtime, "localtime_r", (const time_t *time), (time))
ONE_THREAD(char *, asctime, "strftime", (const struct tm *time), (time))
ONE_THREAD(char *, ctime, "strftime", (const time_t *time), (time))
