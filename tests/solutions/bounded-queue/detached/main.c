/* A web server for two pages, on 127.0.0.1. */

#include "thread_pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define POOL_SIZE 4
#define QUEUE_CAPACITY 8      /* connections that may wait for a worker */
#define REQUEST_LINE_MAX 8192 /* bytes, with the CR LF and a NUL */

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
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1
        || fcntl(ends[1], F_SETFL, O_NONBLOCK) == -1) {
        perror("socketpair");
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

/* Returns a file's text, up to any NUL, which the caller frees, or NULL. */
static char *read_file(const char *filename)
{
    FILE *file = fopen(filename, "r");
    if (file == NULL)
        return NULL;
    struct stat info;
    char *text = NULL;
    if (fstat(fileno(file), &info) == 0 && S_ISREG(info.st_mode))
        text = malloc((size_t)info.st_size + 1);
    if (text != NULL)
        text[fread(text, 1, (size_t)info.st_size, file)] = '\0';
    fclose(file);
    return text;
}

/* Sends the page that the request line asks for. */
static void respond(int connection, const char *request_line)
{
    const char *status_line, *filename;
    if (strcmp(request_line, "GET / HTTP/1.1\r\n") == 0) {
        status_line = "HTTP/1.1 200 OK";
        filename = "hello.html";
    } else if (strcmp(request_line, "GET /sleep HTTP/1.1\r\n") == 0) {
        sleep(5);
        status_line = "HTTP/1.1 200 OK";
        filename = "hello.html";
    } else {
        status_line = "HTTP/1.1 404 NOT FOUND";
        filename = "404.html";
    }

    char *contents = read_file(filename);
    if (contents == NULL) {
        perror(filename);
        return;
    }
    dprintf(connection, "%s\r\nContent-Length: %zu\r\n\r\n%s", status_line,
            strlen(contents), contents);
    free(contents);
}

/* Answers the one request of a connection, and closes the connection. */
static void handle_connection(int connection)
{
    struct timeval limit = {.tv_sec = 5}; /* a silent client's time */
    fcntl(connection, F_SETFL, 0); /* on some systems it is as the listener */
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);

    FILE *stream = fdopen(connection, "r");
    if (stream == NULL) {
        perror("fdopen");
        close(connection);
        return;
    }

    char request_line[REQUEST_LINE_MAX];
    if (fgets(request_line, sizeof request_line, stream) != NULL)
        respond(connection, request_line);
    fclose(stream); /* and with it the connection */
}

/* Serves the connection that arg is: a number, not a pointer to one. */
static void serve(void *arg)
{
    handle_connection((int)(intptr_t)arg);
}

/* Says which call of main's loop has failed, and pauses: what fails at once
 * may fail again at once. */
static void report(const char *call)
{
    perror(call);
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* Tells a client that there is no room. Does not wait: so little text always
 * has room in a new connection. */
static void refuse(int connection)
{
    dprintf(connection, "HTTP/1.1 503 SERVICE UNAVAILABLE\r\n"
                        "Content-Length: 0\r\n\r\n");
    close(connection);
}

int main(int argc, char *argv[])
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN); /* a client that left must not end the server */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* the workers inherit this */
    ThreadPool *pool;
    int error = thread_pool_build(&pool, POOL_SIZE, QUEUE_CAPACITY);
    if (error != 0) {
        fprintf(stderr, "%d threads: %s\n", POOL_SIZE, strerror(error));
        exit(EXIT_FAILURE);
    }
    int stop = catch_signals(&signals);
    int listener = listen_on(argc > 1 ? parse_port(argv[1]) : 7878);
    for (;;) {
        fd_set ready;
        FD_ZERO(&ready);
        FD_SET(stop, &ready);
        FD_SET(listener, &ready);
        if (select((stop > listener ? stop : listener) + 1, &ready, NULL, NULL,
                   NULL)
            < 0) {
            if (errno != EINTR)
                report("select");
            continue;
        }
        if (FD_ISSET(stop, &ready))
            break;
        int connection = accept(listener, NULL, NULL);
        if (connection == -1) {
            if (errno != EAGAIN) /* the visitor has gone meanwhile */
                report("accept");
            continue;
        }
        void *arg = (void *)(intptr_t)connection;
        if (thread_pool_try_execute(pool, serve, arg) != 0)
            refuse(connection);
    }
    printf("Shutting down.\n");
    close(listener);
    thread_pool_destroy(pool);
}
