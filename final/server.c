/*
 * DESIGN. One thread, that of server_run(), owns the connections: it accepts,
 * reads, answers, and waits for no client, only for epoll. As pages are in
 * memory, an answer is ready sooner than a worker could be woken. The pool does
 * what takes time (here /sleep). A worker owns the connection meanwhile, but
 * does not touch its socket: so no client holds up a worker, and no work holds
 * up the clients. The way back is a pipe, which epoll can watch like a socket,
 * and which the signal handler uses, too.
 */

#include "server.h"
#include "connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef USE_poll
#include <poll.h>
#else
#include <sys/epoll.h>
#endif
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 10240 /* all are below it */
#define EVENTS_MAX 256        /* taken at once */
#define ALARM_MIN 100         /* ms between two searches for deadlines */
#define STOP_TIME 10000       /* ms to finish in */
#define SLEEP_SECONDS 5       /* that /sleep takes */
#define STOP (-1)             /* a message: a signal came */

#ifndef TIMEOUTS /* seconds to be idle, to send a head, to drain, to write */
#define TIMEOUTS 30, 10, 2, 30
#endif
static const int64_t timeouts[] = {TIMEOUTS};

/* static for the signal handler, to which nothing can be handed */
static struct {
    int epoll;
    Connection listener, inbox; /* not really connections, but watched, too */
    int outbox;                 /* the other end of the inbox: a pipe */
    ThreadPool *pool;
    Service service;
    time_t date;                              /* that the service's is */
    int64_t now;                              /* in ms, like all times here */
    int64_t alarm;                            /* when to look for deadlines */
    int64_t stop_deadline;                    /* when to give up */
    int count;                                /* of connections */
    Connection *connections[DESCRIPTORS_MAX]; /* by their descriptors */
} server;

static void handle(Connection *connection, int ready);

static void read_clocks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    server.now = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    time_t date = time(NULL);
    struct tm utc;
    if (date != server.date && gmtime_r(&date, &utc) != NULL)
        strftime(server.service.date, sizeof server.service.date,
                 "%a, %d %b %Y %T GMT", &utc); /* RFC 9110 5.6.7 */
    server.date = date;
}

#ifdef USE_poll

#define EPOLLIN POLLIN
#define EPOLLOUT POLLOUT
#define epoll_create1(flags) open("/dev/null", O_RDONLY) /* not used */

static bool watch(Connection *connection, uint32_t events)
{
    connection->events = events;
    return true;
}

static void wait_and_handle(int timeout)
{
    static struct pollfd polls[DESCRIPTORS_MAX];
    nfds_t count = 0;
    for (int i = 0; i < DESCRIPTORS_MAX; i++)
        if (server.connections[i] && server.connections[i]->events != 0)
            polls[count++] =
                (struct pollfd){i, (short)server.connections[i]->events, 0};
    int ready = poll(polls, count, timeout);
    read_clocks();
    for (nfds_t i = 0; ready > 0 && i < count; i++)
        if (polls[i].revents != 0)
            handle(server.connections[polls[i].fd], ready);
}

#else

/* Has epoll watch for these events, 0 for none. Returns false on failure. */
static bool watch(Connection *connection, uint32_t events)
{
    struct epoll_event event = {.events = events,
                                .data.fd = connection->socket};
    int operation = connection->events == 0 ? EPOLL_CTL_ADD
                    : events == 0           ? EPOLL_CTL_DEL
                                            : EPOLL_CTL_MOD;
    if (connection->events != events
        && epoll_ctl(server.epoll, operation, connection->socket, &event) != 0)
        return false;
    connection->events = events;
    return true;
}

/* Waits for events, at most for timeout milliseconds, and handles them. */
static void wait_and_handle(int timeout)
{
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(server.epoll, events, EVENTS_MAX, timeout);
    read_clocks();
    for (int i = 0; i < ready; i++)
        handle(server.connections[events[i].data.fd], ready);
}

#endif

/* Hands a connection, or STOP, to the server's thread: so small a message is
 * never split, and a pipe has room for far more of them than the pool for jobs.
 */
static void tell(int message)
{
    ssize_t size;
    do
        size = write(server.outbox, &message, sizeof message);
    while (size == -1 && errno == EINTR);
}

/* What /sleep asks for. Runs in a worker, which owns the connection. */
static void work(void *arg)
{
    Connection *connection = arg;
    sleep(SLEEP_SECONDS);
    tell(connection->socket);
}

/* Has expire() called then, but not all the time. */
static void set_alarm(int64_t when)
{
    if (when < server.now + ALARM_MIN)
        when = server.now + ALARM_MIN;
    if (when < server.alarm)
        server.alarm = when;
}

/* Watches the listener again, as there may be room for a connection. */
static void resume(void)
{
    if (!server.service.stopping && !watch(&server.listener, EPOLLIN))
        set_alarm(server.now + 1000);
}

/* Sees to it that a connection gets what it waits for, unless it still waits
 * for the same. It may be a worker's afterwards, or gone. */
static void park(Connection *connection)
{
    ConnectionState *state = &connection->state;
    if (*state == CONNECTION_WORK) {
        connection->deadline = INT64_MAX;
        if (watch(connection, 0)
            && thread_pool_try_execute(server.pool, work, connection) == 0)
            return;
        connection_refuse(connection, &server.service, 503);
    }
    if (server.service.stopping && *state <= CONNECTION_HEAD)
        *state = CONNECTION_CLOSED;
    if (*state != CONNECTION_CLOSED && connection->deadline == 0) {
        connection->deadline = server.now + timeouts[*state] * 1000;
        set_alarm(connection->deadline);
        if (!watch(connection, *state == CONNECTION_WRITE ? EPOLLOUT : EPOLLIN))
            *state = CONNECTION_CLOSED;
    }
    if (*state == CONNECTION_CLOSED) {
        server.connections[connection->socket] = NULL;
        connection_destroy(connection);
        server.count--;
        resume();
    }
}

static void advance(Connection *connection)
{
    connection_advance(connection, &server.service);
    if (server.service.stopping && connection->state <= CONNECTION_HEAD)
        connection_advance(connection, &server.service); /* what came since */
    park(connection);
}

/* Accepts so many connections, or those there are. If there is no room for
 * more, the listener is not watched until one ends or a second is over. */
static void accept_connections(int most)
{
    for (int i = 0; i < most; i++) {
        int socket = accept(server.listener.socket, NULL, NULL);
        Connection *connection = socket != -1 ? connection_new(socket) : NULL;
        if (connection != NULL) {
            server.connections[socket] = connection;
            server.count++;
            advance(connection);
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            watch(&server.listener, 0);
            set_alarm(server.now + 1000);
            break;
        }
    }
}

/* Stops listening, and ends the connections that ask for nothing. */
static void stop(void)
{
    if (server.service.stopping) { /* for the second time: at once */
        server.stop_deadline = server.now;
        return;
    }
    printf("Shutting down.\n");
    server.service.stopping = true;
    server.stop_deadline = server.now + STOP_TIME;
    set_alarm(server.stop_deadline);
    for (int i = 0; i < DESCRIPTORS_MAX; i++)
        if (server.connections[i] != NULL
            && server.connections[i]->state <= CONNECTION_HEAD)
            advance(server.connections[i]);
    accept_connections(SOMAXCONN); /* that wait in the kernel's queue */
    watch(&server.listener, 0);
    close(server.listener.socket);
}

/* Handles one event of those that are ready. Its connection may just have ended
 * (NULL), and another may have the descriptor: to look at that one, too, does
 * not harm, unless a worker has it, and then it is not watched. */
static void handle(Connection *connection, int ready)
{
    if (connection == NULL || connection->events == 0)
        return;
    if (connection == &server.listener) {
        accept_connections(ready); /* so that all get their turn */
    } else if (connection == &server.inbox) {
        int message;
        if (read(connection->socket, &message, sizeof message)
            != sizeof message)
            return;
        if (message == STOP)
            stop();
        else /* a worker is done */
            advance(server.connections[message]);
    } else {
        advance(connection);
    }
}

/* Ends what has waited for too long: while there is no room for another
 * connection, a second to be idle is too long (RFC 9112 9.5). */
static void expire(void)
{
    bool crowded = server.listener.events == 0;
    server.alarm = server.stop_deadline;
    resume();
    for (int i = 0; i < DESCRIPTORS_MAX; i++) {
        Connection *connection = server.connections[i];
        if (connection == NULL)
            continue;
        int64_t deadline = connection->deadline;
        if (crowded && connection->state == CONNECTION_IDLE)
            deadline -= (timeouts[CONNECTION_IDLE] - 1) * 1000;
        if (deadline > server.now) {
            set_alarm(connection->deadline);
            continue;
        }
        connection_advance(connection, &server.service); /* the last chance */
        if (connection->deadline != 0 && connection->state == CONNECTION_HEAD)
            connection_refuse(connection, &server.service, 408);
        else if (connection->deadline != 0)
            connection->state = CONNECTION_CLOSED;
        park(connection);
    }
}

/* The first signal ends the server gently, the second at once. */
static void handle_signal(int number)
{
    (void)number;
    int error = errno;
    tell(STOP);
    errno = error;
}

/* Returns a socket that listens on 127.0.0.1, or ends the program. */
static int listen_on(int *port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t)*port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof address;
    int yes = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

#ifdef TCP_DEFER_ACCEPT
    /* On Linux accept() gets a connection when its first bytes are there. */
    setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &yes, sizeof yes);
#endif
    /* Connections inherit this: no answer waits until the last has arrived. */
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (listener == -1
        || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes)
        || bind(listener, (struct sockaddr *)&address, size)
        || listen(listener, SOMAXCONN)
        || getsockname(listener, (struct sockaddr *)&address, &size)) {
        fprintf(stderr, "Port %d: %s\n", *port, strerror(errno));
        exit(EXIT_FAILURE);
    }
    *port = ntohs(address.sin_port);
    return listener;
}

/* Has the loop look at a descriptor of the server itself, too. */
static bool watch_own(Connection *own, int descriptor)
{
    *own = (Connection){descriptor, CONNECTION_WORK, .deadline = INT64_MAX};
    server.connections[descriptor] = own;
    return watch(own, EPOLLIN);
}

bool server_run(int port, const Page *site, ThreadPool *pool, bool quiet)
{
    int inbox[2], listener = listen_on(&port);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur =
        limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
    server.epoll = epoll_create1(0);
    if (server.epoll == -1 || pipe(inbox) == -1
        || fcntl(listener, F_SETFL, O_NONBLOCK) == -1
        || !watch_own(&server.listener, listener)
        || !watch_own(&server.inbox, inbox[0])
        || setrlimit(RLIMIT_NOFILE, &limit) == -1) {
        perror("server_run");
        exit(EXIT_FAILURE);
    }
    server.outbox = inbox[1];
    server.pool = pool;
    server.service = (Service){.site = site, .quiet = quiet};
    server.alarm = server.stop_deadline = INT64_MAX;
    read_clocks();
    struct sigaction action = {.sa_handler = handle_signal};
    sigaction(SIGINT, &action, NULL); /* in this thread: workers block it */
    sigaction(SIGTERM, &action, NULL);
    printf("Listening on http://127.0.0.1:%d\n", port);
    while (server.now < server.stop_deadline) {
        fflush(stdout); /* the log */
        int64_t rest = server.alarm - server.now;
        wait_and_handle(rest <= INT_MAX ? (int)rest : -1);
        if (server.now >= server.alarm)
            expire();
        if (server.service.stopping && server.count == 0)
            return true;
    }
    return false;
}
