/* A web server for the pages of a folder, on 127.0.0.1. */

#include "connection.h"
#include "loop.h"
#include "site.h"
#include "thread_pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define POOL_SIZE 4
#define QUEUE_CAPACITY 8 /* slow requests that may wait for a worker */
#define LOOPS 2
#define LOOPS_MAX 64

static int stop_writer; /* global: a signal handler can be handed nothing */

/* Makes the pipe's other end readable. A second signal ends the program. */
static void handle_signal(int number)
{
    (void)number;
    int error = errno; /* of the code that is interrupted */
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    ssize_t written = write(stop_writer, "", 1);
    (void)written; /* an empty pipe has room for a byte */
    errno = error;
}

/* Returns a pipe's end that becomes readable when one of the signals comes,
 * or ends the program. Lets them in, to this thread only. */
static int catch_signals(const sigset_t *signals)
{
    int ends[2];
    if (pipe(ends) == -1 || fcntl(ends[1], F_SETFL, O_NONBLOCK) == -1) {
        perror("pipe");
        exit(EXIT_FAILURE);
    }
    stop_writer = ends[1];
    struct sigaction action = {
        .sa_handler = handle_signal,
        .sa_mask = *signals, /* the handler is not interrupted itself */
        .sa_flags = SA_RESTART,
    };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    return ends[0];
}

/* Returns the number that text names, or ends the program. */
static int parse_number(const char *name, const char *text, int min, int max)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < min || number > max) {
        fprintf(stderr, "Not a %s from %d to %d: %s\n", name, min, max, text);
        exit(EXIT_FAILURE);
    }
    return (int)number;
}

/* Returns a socket that listens on 127.0.0.1, or ends the program. */
static int listen_on(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t)port),
        .sin_addr.s_addr = inet_addr("127.0.0.1"),
    };
    socklen_t size = sizeof address;
    int yes = 1; /* a restart need not wait until old connections expire */
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (listener == -1
        || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes)
        || bind(listener, (struct sockaddr *)&address, size)
        || listen(listener, SOMAXCONN)
        || fcntl(listener, F_SETFL, O_NONBLOCK) == -1
        || getsockname(listener, (struct sockaddr *)&address, &size)) {
        fprintf(stderr, "Port %d: %s\n", port, strerror(errno));
        exit(EXIT_FAILURE);
    }
    printf("Listening on http://127.0.0.1:%d\n", ntohs(address.sin_port));
    return listener;
}

/* Starts count loops, each in a thread of a new pool. Returns 0, or an error.
 */
static int start_loops(Loop **loops, int count, ThreadPool **pool)
{
    int error = thread_pool_build(pool, (size_t)count, (size_t)count);
    for (int i = 0; i < count && error == 0; i++) {
        loops[i] = loop_new();
        error = loops[i] == NULL
                    ? errno
                    : thread_pool_execute(*pool, loop_run, loops[i]);
    }
    return error;
}

/* Says which call of main's loop has failed, and pauses: what fails at once
 * may fail again at once. */
static void report(const char *call)
{
    perror(call);
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

int main(int argc, char *argv[])
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    int loop_count = LOOPS;
    if (argc > 2 && strcmp(argv[1], "--loops") == 0) {
        loop_count = parse_number("number of loops", argv[2], 1, LOOPS_MAX);
        argc -= 2;
        argv += 2;
    }
    int port = argc > 1 ? parse_number("port", argv[1], 0, 65535) : 7878;
    signal(SIGPIPE, SIG_IGN); /* a client that left must not end the server */
    Site *site = site_load("."); /* before Ctrl-C has to wait for anything */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* other threads inherit this */
    ThreadPool *workers, *loop_pool;
    Loop *loops[LOOPS_MAX];
    int error = thread_pool_build(&workers, POOL_SIZE, QUEUE_CAPACITY);
    if (error == 0)
        error = start_loops(loops, loop_count, &loop_pool);
    if (error != 0) {
        fprintf(stderr, "%d threads, %d loops: %s\n", POOL_SIZE, loop_count,
                strerror(error));
        exit(EXIT_FAILURE);
    }
    const Service service = {.site = site, .workers = workers};
    int stop = catch_signals(&signals);
    int listener = listen_on(port);
    struct pollfd polls[] = {{.fd = stop, .events = POLLIN},
                             {.fd = listener, .events = POLLIN}};
    for (int next = 0;;) {
        if (poll(polls, 2, -1) == -1) {
            if (errno != EINTR) /* a signal: now its byte is in the pipe */
                report("poll");
            continue;
        }
        if (polls[0].revents != 0)
            break;
        int socket = accept(listener, NULL, NULL);
        if (socket == -1) {
            if (errno != EAGAIN) /* the visitor has gone meanwhile */
                report("accept");
            continue;
        }
        Connection *connection = connection_new(socket, &service);
        if (connection != NULL) {
            loop_hand_over(loops[next], connection);
            next = (next + 1) % loop_count;
        } else {
            perror("connection_new");
            close(socket);
        }
    }
    printf("Shutting down.\n");
    close(listener);
    for (int i = 0; i < loop_count; i++)
        loop_stop(loops[i]);
    thread_pool_destroy(loop_pool); /* waits for what was lent, too */
    thread_pool_destroy(workers);
    for (int i = 0; i < loop_count; i++)
        loop_destroy(loops[i]);
    site_free(site);
}
