/*
 * DESIGN. One thread, that of server_run(), owns the connections: it accepts,
 * reads, answers, and waits for nothing but epoll. As pages are in memory, an
 * answer is ready sooner than a worker could be woken. The pool does what takes
 * time (here /sleep). A worker owns the connection meanwhile, but does not
 * touch its socket: so no client holds up a worker, and no work holds up the
 * clients. The way back is a pipe, which epoll can watch like a socket, and
 * which server_stop() uses, too.
 */

#include "server.h"
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef USE_poll
#include <poll.h>
#else
#include <sys/epoll.h>
#endif
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 16384
#define EVENTS_MAX 256  /* taken at once */
#define STOP_SECONDS 10 /* to finish in */
#define SLEEP_SECONDS 5 /* that /sleep takes */
#define STOP (-1)       /* a message: server_stop() was called */

#ifndef TIMEOUTS /* seconds to be idle, to send a head, to drain, to write */
#define TIMEOUTS 30, 10, 2, 30
#endif
static const int timeouts[] = {TIMEOUTS};

struct Server {
    int epoll;
    Connection listener, inbox; /* not really connections, but watched, too */
    int outbox;                 /* the other end of the inbox: a pipe */
    ThreadPool *pool;
    Service service;
    int64_t now;           /* in seconds, like all times here */
    int64_t alarm;         /* no deadline is before it */
    int64_t stop_deadline; /* when to give up */
    int count;             /* of connections */
    int descriptors;       /* all are below it */
    Connection *connections[DESCRIPTORS_MAX]; /* by their descriptors */
};

static void handle(Server *server, Connection *connection, int events);

static void read_clocks(Server *server)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == server->now)
        return;
    server->now = now.tv_sec;
    time_t date = time(NULL);
    struct tm utc;
    if (gmtime_r(&date, &utc) != NULL) /* RFC 9110 5.6.7 */
        strftime(server->service.date, sizeof server->service.date,
                 "%a, %d %b %Y %T GMT", &utc);
}

#ifdef USE_poll

#define EPOLLIN POLLIN
#define EPOLLOUT POLLOUT
#define epoll_create1(flags) dup(STDERR_FILENO) /* just to be closed */

static bool watch(Server *server, Connection *connection, uint32_t events)
{
    (void)server;
    connection->events = events;
    return true;
}

static void wait_and_handle(Server *server, int timeout)
{
    static struct pollfd polls[DESCRIPTORS_MAX];
    nfds_t count = 0;
    for (int i = 0; i < server->descriptors; i++)
        if (server->connections[i] && server->connections[i]->events != 0)
            polls[count++] =
                (struct pollfd){i, (short)server->connections[i]->events, 0};
    int ready = poll(polls, count, timeout);
    read_clocks(server);
    for (nfds_t i = 0; ready > 0 && i < count; i++)
        if (polls[i].revents != 0)
            handle(server, server->connections[polls[i].fd], ready);
}

#else

/* Has epoll watch for these events, 0 for none. Returns false on failure. */
static bool watch(Server *server, Connection *connection, uint32_t events)
{
    struct epoll_event event = {.events = events,
                                .data.fd = connection->socket};
    int operation = connection->events == 0 ? EPOLL_CTL_ADD
                    : events == 0           ? EPOLL_CTL_DEL
                                            : EPOLL_CTL_MOD;
    if (connection->events != events
        && epoll_ctl(server->epoll, operation, connection->socket, &event) != 0)
        return false;
    connection->events = events;
    return true;
}

/* Waits for events, at most for timeout milliseconds, and handles them. */
static void wait_and_handle(Server *server, int timeout)
{
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(server->epoll, events, EVENTS_MAX, timeout);
    read_clocks(server);
    for (int i = 0; i < ready; i++)
        handle(server, server->connections[events[i].data.fd], ready);
}

#endif

/* Hands a connection, or STOP, to the server's thread: so small a message is
 * never split, and a pipe has room for more of them than a pool has jobs. */
static void tell(const Server *server, int message)
{
    ssize_t size;
    do
        size = write(server->outbox, &message, sizeof message);
    while (size == -1 && errno == EINTR);
}

/* What /sleep asks for. Runs in a worker, which owns the connection. */
static void work(void *arg)
{
    Connection *connection = arg;
    sleep(SLEEP_SECONDS);
    tell(connection->server, connection->socket);
}

static void set_alarm(Server *server, int64_t when)
{
    if (when < server->alarm)
        server->alarm = when;
}

/* Sees to it that a connection gets what it waits for, unless it still waits
 * for the same. It may be a worker's afterwards, or gone. */
static void park(Server *server, Connection *connection)
{
    ConnectionState *state = &connection->state;
    if (*state == CONNECTION_WORK) {
        connection->deadline = INT64_MAX;
        if (watch(server, connection, 0)
            && thread_pool_try_execute(server->pool, work, connection) == 0)
            return;
        connection_refuse(connection, &server->service, 503);
    }
    if (server->service.stopping && *state <= CONNECTION_HEAD)
        *state = CONNECTION_CLOSED;
    if (*state != CONNECTION_CLOSED && connection->deadline == 0) {
        connection->deadline = server->now + timeouts[*state] + 1;
        set_alarm(server, connection->deadline);
        if (!watch(server, connection,
                   *state == CONNECTION_WRITE ? EPOLLOUT : EPOLLIN))
            *state = CONNECTION_CLOSED;
    }
    if (*state == CONNECTION_CLOSED) {
        server->connections[connection->socket] = NULL;
        connection_destroy(connection);
        server->count--;
        if (!server->service.stopping) /* there is room for another */
            watch(server, &server->listener, EPOLLIN);
    }
}

static void advance(Server *server, Connection *connection)
{
    connection_advance(connection, &server->service);
    park(server, connection);
}

/* Accepts so many connections, or those there are. If there is no room for
 * more, the listener is not watched until one ends or a second is over. */
static void accept_connections(Server *server, int most)
{
    for (int i = 0; i < most; i++) {
        int socket = accept(server->listener.socket, NULL, NULL);
        Connection *connection = socket != -1 ? connection_new(socket) : NULL;
        if (connection != NULL) {
            connection->server = server;
            server->connections[socket] = connection;
            server->count++;
            advance(server, connection);
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            watch(server, &server->listener, 0);
            set_alarm(server, server->now + 1);
            break;
        }
    }
}

/* Stops listening, and ends the connections that ask for nothing. */
static void stop(Server *server)
{
    if (server->service.stopping) { /* for the second time: at once */
        server->stop_deadline = server->now;
        return;
    }
    printf("Shutting down.\n");
    server->service.stopping = true;
    server->stop_deadline = server->now + STOP_SECONDS;
    set_alarm(server, server->stop_deadline);
    accept_connections(server, SOMAXCONN); /* all that are in the queue */
    watch(server, &server->listener, 0);
    close(server->listener.socket);
    for (int i = 0; i < server->descriptors; i++)
        if (server->connections[i] != NULL
            && server->connections[i]->state <= CONNECTION_HEAD)
            advance(server, server->connections[i]);
}

/* Handles one of several events. Its connection may just have ended (NULL), and
 * another may have the descriptor: to look at that one, too, does not harm,
 * unless a worker has it, and then it is not watched. */
static void handle(Server *server, Connection *connection, int events)
{
    if (connection == NULL || connection->events == 0)
        return;
    if (connection == &server->listener) {
        accept_connections(server, events); /* so that all get their turn */
    } else if (connection == &server->inbox) {
        int message;
        if (read(connection->socket, &message, sizeof message)
            != sizeof message)
            return;
        if (message == STOP)
            stop(server);
        else /* a worker is done */
            advance(server, server->connections[message]);
    } else {
        advance(server, connection);
    }
}

/* Ends what has waited for too long: while there is no room for another
 * connection, a second to be idle is too long (RFC 9112 9.5). */
static void expire(Server *server)
{
    bool crowded = !server->service.stopping && server->listener.events == 0;
    if (crowded)
        watch(server, &server->listener, EPOLLIN);
    server->alarm = server->stop_deadline;
    for (int i = 0; i < server->descriptors; i++) {
        Connection *connection = server->connections[i];
        if (connection == NULL)
            continue;
        bool idle = connection->state == CONNECTION_IDLE;
        int64_t spared = idle && crowded ? timeouts[CONNECTION_IDLE] : 0;
        if (connection->deadline - spared <= server->now) {
            if (connection->state == CONNECTION_HEAD)
                connection_refuse(connection, &server->service, 408);
            else
                connection->state = CONNECTION_CLOSED;
            park(server, connection);
        } else {
            set_alarm(server, connection->deadline);
        }
    }
}

Server *server_new(int listener, const Page *site, ThreadPool *pool, bool quiet)
{
    int inbox[2];
    struct rlimit limit; /* a connection needs a descriptor: many, please */
    Server *server = calloc(1, sizeof *server);
    if (server == NULL || pipe(inbox) == -1
        || fcntl(listener, F_SETFL, O_NONBLOCK) == -1
        || getrlimit(RLIMIT_NOFILE, &limit) == -1) {
        perror("server_new");
        exit(EXIT_FAILURE);
    }
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_cur > DESCRIPTORS_MAX)
        limit.rlim_cur = DESCRIPTORS_MAX;
    setrlimit(RLIMIT_NOFILE, &limit);
    /* Not connections of clients: nothing is known about their deadlines. */
    server->listener = (Connection){
        .socket = listener, .state = CONNECTION_WORK, .deadline = INT64_MAX};
    server->inbox = server->listener;
    server->inbox.socket = inbox[0];
    server->outbox = inbox[1];
    server->connections[listener] = &server->listener;
    server->connections[inbox[0]] = &server->inbox;
    server->pool = pool;
    server->service = (Service){.site = site, .quiet = quiet};
    server->alarm = server->stop_deadline = INT64_MAX;
    server->descriptors = (int)limit.rlim_cur;
    server->epoll = epoll_create1(0);
    if (server->epoll == -1 || !watch(server, &server->listener, EPOLLIN)
        || !watch(server, &server->inbox, EPOLLIN)) {
        perror("epoll");
        exit(EXIT_FAILURE);
    }
    return server;
}

bool server_run(Server *server)
{
    read_clocks(server);
    for (;;) {
        if (server->now >= server->alarm)
            expire(server);
        if (server->service.stopping && server->count == 0)
            return true;
        if (server->now >= server->stop_deadline)
            return false;
        int64_t rest = server->alarm - server->now;
        fflush(stdout); /* the log */
        wait_and_handle(server, rest < 3600 ? (int)rest * 1000 : -1);
    }
}

void server_stop(Server *server)
{
    tell(server, STOP);
}

void server_destroy(Server *server)
{
    close(server->inbox.socket);
    close(server->outbox);
    close(server->epoll);
    free(server);
}
