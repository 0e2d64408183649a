/*
 * DESIGN. One thread, that of server_run(), owns the connections: it accepts,
 * reads, answers and parks them in epoll, and waits for nothing but epoll. As
 * pages are in memory, an answer is ready sooner than a worker could be woken:
 * handing each request to the pool was measured to cost twice the CPU. The
 * pool does what takes time (here /sleep). A worker owns the connection
 * meanwhile, but does not touch its socket: so no client holds up a worker,
 * and no work holds up the clients. The way back is a pipe, which epoll can
 * watch like a socket, and which server_stop() uses, too.
 *
 * Who waits has a deadline. All that wait in the same state have the same time
 * for it, so each state's ring is in the order of the deadlines by itself.
 */

#include "server.h"
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef USE_poll
#include "epoll_poll.h"
#else
#include <sys/epoll.h>
#endif
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 16384
#define BATCH 256       /* events, or connections, taken at once */
#define STOP_TIME 10000 /* ms to finish in */
#define SLEEP_SECONDS 5 /* that /sleep takes */

#ifndef TIMEOUTS /* seconds to be idle, to send a head, to drain, to write */
#define TIMEOUTS 30, 10, 2, 30
#endif
static const int64_t timeouts[] = {TIMEOUTS};

typedef struct {
    Connection *connection; /* a worker is done with it; NULL: stop */
} Message;

struct Server {
    int epoll;
    Connection listener, inbox; /* not really connections: what epoll returns */
    int outbox;                 /* the other end of the inbox: a pipe */
    ThreadPool *pool;
    Service service;
    time_t date;           /* that the service's is */
    int64_t now;           /* in ms */
    int64_t stop_deadline; /* from the first stop on */
    int stops;             /* how often server_stop() was called */
    int count;             /* of connections */
    Connection rings[4];   /* of those in a state, the longest waiting next */
};

/* Hands a connection, or NULL, to the server's thread: so small a message is
 * never split, and a pipe has room for more of them than a pool has jobs. */
static void tell(const Server *server, Connection *connection)
{
    Message message = {connection};
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
    tell(connection->server, connection);
}

/* Has epoll watch for these events, 0 for none. Returns false on failure. */
static bool watch(Server *server, Connection *connection, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    int operation = connection->events == 0 ? EPOLL_CTL_ADD
                    : events == 0           ? EPOLL_CTL_DEL
                                            : EPOLL_CTL_MOD;
    if (connection->events == events)
        return true;
    if (epoll_ctl(server->epoll, operation, connection->socket, &event) != 0)
        return false;
    connection->events = events;
    return true;
}

/* Puts a connection at a ring's end; in none if the ring is itself. */
static void move(Connection *connection, Connection *ring)
{
    connection->previous->next = connection->next;
    connection->next->previous = connection->previous;
    connection->previous = connection;
    connection->previous = ring->previous;
    connection->next = ring;
    ring->previous->next = connection;
    ring->previous = connection;
}

/* Sees to it that a connection gets what it waits for, unless it still waits
 * for the same. It may be a worker's afterwards, or gone. */
static void park(Server *server, Connection *connection)
{
    ConnectionState *state = &connection->state;
    if (server->stops > 0 && *state <= CONNECTION_HEAD)
        *state = CONNECTION_CLOSED;
    if (connection->deadline != 0 && *state != CONNECTION_CLOSED)
        return;
    if (*state == CONNECTION_WORK) {
        bool unwatched = watch(server, connection, 0);
        move(connection, connection);
        if (unwatched
            && thread_pool_try_execute(server->pool, work, connection) == 0)
            return;
        connection_refuse(connection, &server->service, 503);
    }
    if (*state != CONNECTION_CLOSED
        && watch(server, connection,
                 *state == CONNECTION_WRITE ? EPOLLOUT : EPOLLIN)) {
        move(connection, &server->rings[*state]);
        connection->deadline = server->now + timeouts[*state] * 1000;
        return;
    }
    watch(server, connection, 0);
    move(connection, connection);
    connection_destroy(connection);
    server->count--;
    if (server->stops == 0) /* there is room for another */
        watch(server, &server->listener, EPOLLIN);
}

static void advance(Server *server, Connection *connection)
{
    connection_advance(connection, &server->service);
    park(server, connection);
}

/* Makes room: ends the connection that has been idle longest, but at least
 * for a second (RFC 9112 9.5). Returns false if there is none. */
static bool make_room(Server *server)
{
    Connection *ring = &server->rings[CONNECTION_IDLE], *oldest = ring->next;
    int64_t recent = server->now + (timeouts[CONNECTION_IDLE] - 1) * 1000;
    if (oldest == ring || oldest->deadline > recent)
        return false;
    oldest->state = CONNECTION_CLOSED;
    park(server, oldest);
    return true;
}

/* Accepts connections. Returns false when there are no more, or no room: then
 * the listener is not watched until a connection ends or a second is over. */
static bool accept_batch(Server *server)
{
    for (int i = 0; i < BATCH; i++) {
        int socket = -1;
        errno = EMFILE;
        if (server->count < CONNECTIONS_MAX)
            socket = accept(server->listener.socket, NULL, NULL);
        Connection *connection = socket != -1 ? connection_new(socket) : NULL;
        if (connection != NULL) {
            server->count++;
            connection->server = server;
            connection->previous = connection->next = connection;
            advance(server, connection);
        } else if (socket != -1) {
            close(socket);
        } else if (errno == EAGAIN) {
            return false;
        } else if ((errno == EMFILE || errno == ENFILE || errno == ENOBUFS
                    || errno == ENOMEM)
                   && !make_room(server)) {
            watch(server, &server->listener, 0);
            return false;
        } /* else the client has left, or a signal came: ECONNABORTED, EINTR */
    }
    return true;
}

/* Stops listening, and ends the connections that ask for nothing. */
static void stop(Server *server)
{
    if (server->stops++ > 0)
        return;
    printf("Shutting down.\n");
    server->service.stopping = true;
    server->stop_deadline = server->now + STOP_TIME;
    int batches = SOMAXCONN / BATCH; /* what is in the kernel's queue by now */
    while (batches > 0 && accept_batch(server))
        batches--;
    watch(server, &server->listener, 0);
    close(server->listener.socket);
    for (int state = CONNECTION_IDLE; state <= CONNECTION_HEAD; state++)
        while (server->rings[state].next != &server->rings[state])
            advance(server, server->rings[state].next);
}

/* Takes back the connections that workers are done with. */
static void read_inbox(Server *server)
{
    Message messages[BATCH];
    ssize_t size = read(server->inbox.socket, messages, sizeof messages);
    for (ssize_t i = 0; i < size / (ssize_t)sizeof *messages; i++) {
        if (messages[i].connection != NULL)
            advance(server, messages[i].connection);
        else
            stop(server);
    }
}

static void read_clocks(Server *server)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    server->now = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    time_t date = time(NULL);
    struct tm utc;
    if (date != server->date && gmtime_r(&date, &utc) != NULL)
        strftime(server->service.date, sizeof server->service.date,
                 "%a, %d %b %Y %T GMT", &utc); /* RFC 9110 5.6.7 */
    server->date = date;
}

/* Ends what has waited for too long. Returns when that will be the case for
 * another, or for the server itself. */
static int64_t expire(Server *server)
{
    int64_t first = server->stops > 0 ? server->stop_deadline : INT64_MAX;
    if (server->stops == 0 && server->listener.events == 0)
        first = server->now + 1000;
    for (int state = CONNECTION_IDLE; state <= CONNECTION_WRITE; state++) {
        Connection *ring = &server->rings[state], *oldest = ring->next;
        for (; oldest != ring && oldest->deadline <= server->now;
             oldest = ring->next) {
            if (state == CONNECTION_HEAD)
                connection_refuse(oldest, &server->service, 408);
            else
                oldest->state = CONNECTION_CLOSED;
            park(server, oldest);
        }
        if (oldest != ring && oldest->deadline < first)
            first = oldest->deadline;
    }
    return first;
}

Server *server_new(int listener, const Page *site, ThreadPool *pool, bool quiet)
{
    int inbox[2], epoll = epoll_create1(0);
    Server *server = calloc(1, sizeof *server);
    if (server == NULL || epoll == -1 || pipe(inbox) == -1
        || fcntl(listener, F_SETFL, O_NONBLOCK) == -1) {
        perror("server_new");
        exit(EXIT_FAILURE);
    }
    *server = (Server){
        .epoll = epoll,
        .listener.socket = listener,
        .inbox.socket = inbox[0],
        .outbox = inbox[1],
        .pool = pool,
        .service = {.site = site, .quiet = quiet},
    };
    for (int state = CONNECTION_IDLE; state <= CONNECTION_WRITE; state++) {
        Connection *ring = &server->rings[state];
        ring->previous = ring->next = ring;
    }
    if (!watch(server, &server->listener, EPOLLIN)
        || !watch(server, &server->inbox, EPOLLIN)) {
        perror("epoll_ctl");
        exit(EXIT_FAILURE);
    }
    return server;
}

bool server_run(Server *server)
{
    struct epoll_event events[BATCH];
    read_clocks(server);
    for (;;) {
        int64_t first = expire(server);
        if (server->stops > 0 && server->count == 0)
            return true;
        if (server->stops > 1 || (server->stops > 0 && first <= server->now))
            return false;
        int timeout = first < INT64_MAX ? (int)(first - server->now) : -1;
        fflush(stdout); /* the log */
        int ready = epoll_wait(server->epoll, events, BATCH, timeout);
        read_clocks(server);
        bool accepting = false, told = false;
        for (int i = 0; i < ready; i++) {
            Connection *connection = events[i].data.ptr;
            accepting |= connection == &server->listener;
            told |= connection == &server->inbox;
            if (connection->server != NULL)
                advance(server, connection);
        }
        /* Not before, as these may end any connection in events. */
        if (told)
            read_inbox(server);
        if (accepting && server->stops == 0)
            accept_batch(server);
        if (ready == 0 && server->stops == 0)
            watch(server, &server->listener, EPOLLIN);
    }
}

void server_stop(Server *server)
{
    tell(server, NULL);
}

void server_destroy(Server *server)
{
    close(server->inbox.socket);
    close(server->outbox);
    close(server->epoll);
    free(server);
}
