#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct Loop {
    int inbox, outbox; /* the two ends of a pipe: through it they come */
    /* What follows is used by the loop's own thread only. */
    struct pollfd *polls;     /* of the inbox, then of each connection */
    Connection **connections; /* with the same indices: the first is not used */
    size_t count, room;       /* of both arrays */
    size_t lent;              /* connections that workers have */
    bool stopping;
};

/* Returns the time in ms, by a clock that nobody sets. */
static int64_t read_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Sees to it that the arrays have room for one more. Returns false without
 * memory. */
static bool make_room(Loop *loop)
{
    if (loop->count < loop->room)
        return true;
    size_t room = loop->room * 2 + 16;
    void *polls = realloc(loop->polls, room * sizeof *loop->polls);
    if (polls != NULL)
        loop->polls = polls;
    void *connections = realloc(loop->connections, room * sizeof(Connection *));
    if (connections != NULL)
        loop->connections = connections;
    if (polls == NULL || connections == NULL)
        return false;
    loop->room = room;
    return true;
}

Loop *loop_new(void)
{
    Loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return NULL;
    int ends[2];
    if (!make_room(loop) || pipe(ends) == -1) {
        free(loop->polls);
        free(loop->connections);
        free(loop);
        return NULL;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK); /* the loop waits in poll() only */
    loop->inbox = ends[0];
    loop->outbox = ends[1];
    loop->polls[0] = (struct pollfd){.fd = ends[0], .events = POLLIN};
    loop->count = 1;
    return loop;
}

void loop_destroy(Loop *loop)
{
    close(loop->inbox);
    close(loop->outbox);
    free(loop->polls);
    free(loop->connections);
    free(loop);
}

void loop_hand_over(Loop *loop, Connection *connection)
{
    /* So few bytes are never split. If the pipe is full, this waits; but the
     * loop waits for nobody, so it will come to empty it. */
    while (write(loop->outbox, &connection, sizeof(Connection *)) == -1
           && errno == EINTR)
        ;
}

void loop_stop(Loop *loop)
{
    loop_hand_over(loop, NULL);
}

/* Takes in connections that were handed over, to be served at once. */
static void take_in(Loop *loop)
{
    Connection *arrived[64];
    ssize_t size = read(loop->inbox, arrived, sizeof arrived);
    for (ssize_t i = 0; i < size / (ssize_t)sizeof(Connection *); i++) {
        if (arrived[i] == NULL) {
            loop->stopping = true;
            continue;
        }
        if (arrived[i]->state == CONNECTION_WORK)
            loop->lent--;
        if (make_room(loop)) {
            arrived[i]->loop = loop;
            loop->connections[loop->count] = arrived[i];
            loop->polls[loop->count++] =
                (struct pollfd){.fd = arrived[i]->socket, .revents = POLLIN};
        } else {
            connection_destroy(arrived[i]);
        }
    }
}

/* What /sleep asks for. Runs in a worker. */
static void work(void *arg)
{
    Connection *connection = arg;
    sleep(5);
    loop_hand_over(connection->loop, connection);
}

/* Lends a connection to a worker. Returns false if there is no room. */
static bool lend(Loop *loop, Connection *connection)
{
    if (thread_pool_try_execute(connection->service->workers, work, connection)
        != 0)
        return false;
    loop->lent++; /* the connection is not ours any more */
    return true;
}

/* Stops watching a connection. */
static void forget(Loop *loop, size_t i)
{
    loop->count--;
    loop->connections[i] = loop->connections[loop->count];
    loop->polls[i] = loop->polls[loop->count];
}

/* Serves the connections that are ready, and ends those whose time is up.
 * Returns for how many ms to wait then, as poll() wants it. */
static int serve(Loop *loop, int64_t now)
{
    int64_t next = INT64_MAX; /* deadline */
    /* Backwards: the last, which takes the place of one that ends, had its
     * turn. */
    for (size_t i = loop->count - 1; i > 0; i--) {
        Connection *connection = loop->connections[i];
        if (loop->polls[i].revents != 0 || loop->stopping)
            connection_advance(connection, now, loop->stopping);
        if (connection->state == CONNECTION_WORK) {
            if (lend(loop, connection)) {
                forget(loop, i);
                continue;
            }
            connection_refuse(connection, now);
        }
        if (now >= connection->deadline
            && connection->state != CONNECTION_CLOSED)
            connection_expire(connection, now);
        if (connection->state == CONNECTION_CLOSED) {
            connection_destroy(connection);
            forget(loop, i);
            continue;
        }
        bool writes = connection->state == CONNECTION_WRITE;
        loop->polls[i].events = writes ? POLLOUT : POLLIN;
        if (connection->deadline < next)
            next = connection->deadline;
    }
    return next == INT64_MAX ? -1 : (int)(next - now);
}

void loop_run(void *arg)
{
    Loop *loop = arg;
    int timeout = -1;
    while (!loop->stopping || loop->count > 1 || loop->lent > 0) {
        poll(loop->polls, loop->count, timeout);
        if (loop->polls[0].revents != 0)
            take_in(loop);
        timeout = serve(loop, read_clock());
    }
}
