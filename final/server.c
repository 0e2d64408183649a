/* DESIGN to be written */

#include "server.h"
#include "poller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 16384
#define ACCEPT_BATCH 64 /* connections accepted before others have a turn */
#define STOP_SECONDS 10 /* to finish in */
#define SLEEP_SECONDS 5 /* that /sleep takes */

#ifndef TIMEOUTS /* in seconds, for the first four states of a connection */
#define TIMEOUTS 30, 10, 30, 2
#endif

struct Server {
    int listener; /* -1 once it is closed */
    bool paused;  /* the listener is not watched: no room for connections */
    int pipe[2];  /* carries connections back from the workers; NULL: stop */
    Poller *poller;
    ThreadPool *pool;
    Service service;
    time_t date;           /* what service.date says */
    int64_t now;           /* ms, like all times here */
    int64_t stop_deadline; /* once stops > 0 */
    int stops;             /* calls of server_stop() */
    size_t count;          /* of connections */
    Connection rings[4];   /* of those that wait in the same state: the one
                              that came first, and so times out first, is
                              next; no ring is ever searched */
};

static const int timeouts[] = {TIMEOUTS};

/* Hands a connection, or NULL, to the server's thread. So small a write to a
 * pipe is never split, nor does it wait: the pipe has room for more messages
 * than the pool for jobs. */
static void tell(const Server *server, const Connection *connection)
{
    while (write(server->pipe[1], &connection, sizeof connection) == -1
           && errno == EINTR)
        continue;
}

/* The work that a page takes, in a worker, which owns the connection. */
static void make_page(void *arg)
{
    Connection *connection = arg;
    sleep(SLEEP_SECONDS);
    tell(connection->server, connection);
}

static void unlink_from_ring(Connection *connection)
{
    connection->previous->next = connection->next;
    connection->next->previous = connection->previous;
    connection->previous = connection->next = connection;
}

static void resume_accepting(Server *server)
{
    if (server->paused && server->listener != -1)
        server->paused = poller_watch(server->poller, server->listener,
                                      POLLER_READ, &server->listener)
                         == -1;
}

/* Sees to it that a connection whose state was before gets what it waits for
 * now, or comes to its end. It must not be used any more. */
static void settle(Server *server, Connection *connection,
                   ConnectionState before)
{
    static const PollerInterest interests[] = {
        POLLER_READ, POLLER_READ,    POLLER_WRITE,
        POLLER_READ, POLLER_NOTHING, POLLER_NOTHING,
    };
    if (connection->state == CONNECTION_WORK) {
        unlink_from_ring(connection);
        if (interests[before] != POLLER_NOTHING)
            poller_watch(server->poller, connection->socket, POLLER_NOTHING,
                         NULL);
        if (thread_pool_try_execute(server->pool, make_page, connection) == 0)
            return; /* it is the worker's now */
        connection_refuse(connection, &server->service, 503);
        before = CONNECTION_WORK;
    }

    if (server->service.stopping
        && (connection->state == CONNECTION_IDLE
            || connection->state == CONNECTION_HEAD))
        connection->state = CONNECTION_CLOSED;
    if (connection->state == before && connection->deadline != 0)
        return;
    unlink_from_ring(connection);
    if (connection->state != CONNECTION_CLOSED
        && interests[connection->state] != interests[before]
        && poller_watch(server->poller, connection->socket,
                        interests[connection->state], connection)
               == -1)
        connection->state = CONNECTION_CLOSED;
    if (connection->state == CONNECTION_CLOSED) {
        poller_forget(server->poller, connection->socket);
        connection_destroy(connection);
        server->count--;
        resume_accepting(server);
        return;
    }
    Connection *ring = &server->rings[connection->state];
    connection->previous = ring->previous;
    connection->next = ring;
    ring->previous->next = connection;
    ring->previous = connection;
    connection->deadline = server->now + timeouts[connection->state] * 1000;
}

static void advance(Server *server, Connection *connection)
{
    ConnectionState before = connection->state;
    connection_advance(connection, &server->service);
    settle(server, connection, before);
}

static void end(Server *server, Connection *connection)
{
    ConnectionState before = connection->state;
    connection->state = CONNECTION_CLOSED;
    settle(server, connection, before);
}

/* Ends those whose time is up. */
static void expire(Server *server)
{
    for (int state = CONNECTION_IDLE; state <= CONNECTION_DRAIN; state++) {
        Connection *ring = &server->rings[state];
        while (ring->next != ring && ring->next->deadline <= server->now) {
            Connection *connection = ring->next;
            if (state != CONNECTION_HEAD) {
                end(server, connection);
                continue;
            }
            connection_refuse(connection, &server->service, 408);
            settle(server, connection, CONNECTION_HEAD);
        }
    }
}

/* Makes room for a connection: one that has been idle for a second can go
 * (RFC 9112 9.5). If there is none, pauses until one closes. */
static bool make_room(Server *server)
{
    Connection *oldest = server->rings[CONNECTION_IDLE].next;
    int64_t idle_since = oldest->deadline - timeouts[CONNECTION_IDLE] * 1000;
    if (oldest != &server->rings[CONNECTION_IDLE]
        && server->now - idle_since >= 1000) {
        end(server, oldest);
        return true;
    }
    poller_watch(server->poller, server->listener, POLLER_NOTHING, NULL);
    server->paused = true;
    return false;
}

/* Accepts what has come in. Returns false when that is all, or all for now. */
static bool accept_batch(Server *server)
{
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int socket = -1;
        errno = EMFILE;
        if (server->count < CONNECTIONS_MAX)
            socket = accept(server->listener, NULL, NULL);
        if (socket == -1) {
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                return false;
            if ((errno == EMFILE || errno == ENFILE || errno == ENOBUFS
                 || errno == ENOMEM)
                && !make_room(server))
                return false;
            continue; /* EINTR, ECONNABORTED: the client has gone */
        }
        Connection *connection = connection_new(socket);
        if (connection == NULL) {
            close(socket);
            continue;
        }
        server->count++;
        connection->server = server;
        connection->previous = connection->next = connection;
        connection_advance(connection, &server->service);
        settle(server, connection, CONNECTION_WORK);
    }
    return true;
}

/* Stops listening, and ends the connections that have nothing to ask. */
static void stop(Server *server)
{
    if (server->stops++ > 0)
        return;
    printf("Shutting down.\n");
    server->service.stopping = true;
    server->stop_deadline = server->now + STOP_SECONDS * 1000;
    while (accept_batch(server))
        continue;
    poller_forget(server->poller, server->listener);
    close(server->listener);
    server->listener = -1;
    for (int state = CONNECTION_IDLE; state <= CONNECTION_HEAD; state++)
        while (server->rings[state].next != &server->rings[state])
            advance(server, server->rings[state].next);
}

/* Takes what tell() sent. */
static void take_messages(Server *server)
{
    Connection *messages[64];
    ssize_t size = read(server->pipe[0], messages, sizeof messages);
    for (ssize_t i = 0; i < size / (ssize_t)sizeof *messages; i++) {
        if (messages[i] != NULL)
            advance(server, messages[i]);
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
    if (date != server->date)
        http_format_date(server->service.date, date);
    server->date = date;
}

/* Returns how long to wait, in ms, or -1: until something happens. */
static int time_left(const Server *server)
{
    int64_t first = server->stops > 0 ? server->stop_deadline : INT64_MAX;
    if (server->paused && first > server->now + 1000)
        first = server->now + 1000; /* to see whether there is room again */
    for (int state = CONNECTION_IDLE; state <= CONNECTION_DRAIN; state++) {
        const Connection *ring = &server->rings[state];
        if (ring->next != ring && first > ring->next->deadline)
            first = ring->next->deadline;
    }
    if (first == INT64_MAX)
        return -1;
    return first > server->now ? (int)(first - server->now) : 0;
}

Server *server_new(int listener, const Site *site, ThreadPool *pool,
                   bool quiet)
{
    Server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return NULL;
    server->listener = listener;
    server->pool = pool;
    server->service.site = site;
    server->service.quiet = quiet;
    for (int state = CONNECTION_IDLE; state <= CONNECTION_DRAIN; state++) {
        Connection *ring = &server->rings[state];
        ring->previous = ring->next = ring;
    }
    server->poller = poller_new();
    if (server->poller != NULL && pipe(server->pipe) == 0
        && fcntl(listener, F_SETFL, O_NONBLOCK) == 0
        && poller_watch(server->poller, server->pipe[0], POLLER_READ,
                        server->pipe) == 0
        && poller_watch(server->poller, listener, POLLER_READ,
                        &server->listener) == 0)
        return server;
    return NULL; /* TODO */
}

bool server_run(Server *server)
{
    read_clocks(server);
    while (server->stops == 0 || server->count > 0) {
        if (server->stops > 1
            || (server->stops > 0 && server->now >= server->stop_deadline))
            return false;
        fflush(stdout);
        void **users;
        size_t ready = poller_wait(server->poller, time_left(server), &users);
        read_clocks(server);
        bool accepting = false, told = false;
        for (size_t i = 0; i < ready; i++) {
            if (users[i] == &server->listener)
                accepting = true;
            else if (users[i] == server->pipe)
                told = true;
            else
                advance(server, users[i]);
        }
        /* Only now, as all that follows may end any connection. */
        if (accepting)
            accept_batch(server);
        if (told)
            take_messages(server);
        expire(server);
        if (ready == 0)
            resume_accepting(server);
    }
    return true;
}

void server_stop(Server *server)
{
    tell(server, NULL);
}

void server_destroy(Server *server)
{
    close(server->pipe[0]);
    close(server->pipe[1]);
    poller_destroy(server->poller);
    free(server);
}
