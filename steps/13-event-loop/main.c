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

/* Returns the port that text names, or ends the program. */
static in_port_t parse_port(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);
    if (end == text || *end != '\0' || port < 0 || port > 65535) {
        fprintf(stderr, "Not a port from 0 to 65535: %s\n", text);
        exit(EXIT_FAILURE);
    }
    return (in_port_t)port;
}

/* Returns a socket that listens on 127.0.0.1, or ends the program. */
static int listen_on(in_port_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
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
    signal(SIGPIPE, SIG_IGN); /* a client that left must not end the server */
    Site *site = site_load("."); /* before Ctrl-C has to wait for anything */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* other threads inherit this */
    ThreadPool *pool = NULL;
    Loop *loop = loop_new();
    int error = loop == NULL ? errno : thread_pool_build(&pool, 1, 1);
    if (error == 0)
        error = thread_pool_execute(pool, loop_run, loop);
    if (error != 0) {
        fprintf(stderr, "The loop: %s\n", strerror(error));
        exit(EXIT_FAILURE);
    }
    const Service service = {.site = site};
    int stop = catch_signals(&signals);
    int listener = listen_on(argc > 1 ? parse_port(argv[1]) : 7878);
    struct pollfd polls[] = {{.fd = stop, .events = POLLIN},
                             {.fd = listener, .events = POLLIN}};
    for (;;) {
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
            loop_hand_over(loop, connection);
        } else {
            perror("connection_new");
            close(socket);
        }
    }
    printf("Shutting down.\n");
    close(listener);
    loop_stop(loop);
    thread_pool_destroy(pool);
    loop_destroy(loop);
    site_free(site);
}
