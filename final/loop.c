#include "loop.h"
#include "poller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READY_MAX 256 /* connections served between two looks at the clock */
#define ALARM_MIN 100 /* ms between two searches for deadlines */

struct Loop {
    int inbox, outbox; /* the two ends of a pipe: through it they come */
    /* What follows is used by the loop's own thread only. */
    Poller *poller;
    int64_t now;              /* when it last looked at the clock */
    Connection **connections; /* all that it owns, in no order */
    size_t count, room;       /* of the array */
    int64_t alarm;            /* when to look for those whose time is up */
    bool stopping;
    time_t second; /* that the date is of */
    char date[HTTP_DATE_MAX];
};

int64_t loop_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

Loop *loop_new(void)
{
    Loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return NULL;
    int ends[2] = {-1, -1};
    loop->alarm = INT64_MAX;
    loop->poller = poller_new();
    if (loop->poller == NULL || pipe(ends) == -1
        || !poller_add(loop->poller, ends[0], POLLIN, NULL)) {
        int error = errno;
        close(ends[0]);
        close(ends[1]);
        poller_destroy(loop->poller);
        free(loop);
        errno = error;
        return NULL;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK); /* the loop waits in poll() only */
    loop->inbox = ends[0];
    loop->outbox = ends[1];
    return loop;
}

void loop_destroy(Loop *loop)
{
    close(loop->inbox);
    close(loop->outbox);
    poller_destroy(loop->poller);
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

void loop_look_around(Loop *loop)
{
    loop_hand_over(loop, NULL);
}

void loop_stop(Loop *loop)
{
    loop_hand_over(loop, (Connection *)loop); /* which is none: the end */
}

/* Tells whether there is still somebody to work for: not if the client has
 * gone; nor, if others wait, if it may have gone. */
static bool is_wanted(Connection *connection)
{
    Service *service = connection->service;
    return !atomic_load(&connection->gone)
           && (!atomic_load(&connection->ended)
               || atomic_load(&service->works) <= service->threads);
}

/* What /sleep asks for. Runs in a worker. */
static void work(void *arg)
{
    Connection *connection = arg;
    Service *service = connection->service;
    int64_t left = atomic_load(&service->stop_deadline) - loop_clock();
    bool wanted =
        left > INT64_C(1000) * (WORK_TIME + 1); /* or it would be too late */
    for (int second = 0; second < WORK_TIME && wanted; second++) {
        wanted = is_wanted(connection);
        if (wanted)
            sleep(1);
    }
    connection->worked = wanted;
    atomic_fetch_sub(&service->works, 1);
    loop_hand_over(connection->loop, connection);
}

/* Lends a connection to a worker. Returns false if there is no room. */
static bool lend(Connection *connection)
{
    Service *service = connection->service;
    atomic_store(&connection->ended, false);
    atomic_store(&connection->gone, false);
    connection->lent = true;
    if (atomic_fetch_add(&service->works, 1) < service->works_max
        && thread_pool_try_execute(service->workers, work, connection) == 0)
        return true;
    atomic_fetch_sub(&service->works, 1);
    connection->lent = false;
    return false;
}

/* Keeps a connection, and watches it. Returns false on failure. */
static bool keep(Loop *loop, Connection *connection)
{
    if (loop->count == loop->room) {
        size_t room = loop->room * 2 + 16;
        void *connections =
            realloc(loop->connections, room * sizeof(Connection *));
        if (connections == NULL)
            return false;
        loop->connections = connections;
        loop->room = room;
    }
    connection->loop = loop;
    connection->date = loop->date;
    connection->events = POLLIN;
    if (!poller_add(loop->poller, connection->socket, POLLIN, connection))
        return false;
    connection->place = loop->count;
    loop->connections[loop->count++] = connection;
    return true;
}

/* Drops a connection out of those that the loop owns. */
static void forget(Loop *loop, Connection *connection)
{
    Connection *last = loop->connections[--loop->count];
    loop->connections[connection->place] = last;
    last->place = connection->place;
    if (connection->socket != -1)
        poller_forget(loop->poller, connection->socket);
}

/* Has look_around() called then, but not all the time. */
static void set_alarm(Loop *loop, int64_t when, int64_t now)
{
    if (when < now + ALARM_MIN)
        when = now + ALARM_MIN;
    if (when < loop->alarm)
        loop->alarm = when;
}

/* Watches a connection for other events. Returns false on failure. */
static bool watch(Loop *loop, Connection *connection, short events)
{
    bool same = connection->events == events;
    connection->events = events;
    return same
           || poller_change(loop->poller, connection->socket, events,
                            connection);
}

/* Hangs up on a client that has gone, though a worker has the connection. */
static void hang_up(Loop *loop, Connection *connection)
{
    atomic_store(&connection->gone, true);
    poller_forget(loop->poller, connection->socket);
    connection_hang_up(connection);
}

/* Looks why a connection is ready that a worker has. */
static void look_at_lent(Loop *loop, Connection *connection)
{
    ssize_t got = recv(connection->socket, connection->input + connection->size,
                       HTTP_HEAD_MAX - connection->size, MSG_DONTWAIT);
    bool error = got == -1 && errno != EAGAIN && errno != EINTR;
    if (got > 0)
        connection->size += (size_t)got;
    if (got == 0) /* or there is more than we have room for */
        atomic_store(&connection->ended, true);
    /* If nothing is watched for, only a failure makes it ready. */
    if (error || connection->events == 0
        || (got == 0 && !watch(loop, connection, 0)))
        hang_up(loop, connection);
}

/* Sees to it that a connection gets what it waits for. It may be a worker's
 * afterwards, or gone. */
static void settle(Loop *loop, Connection *connection, int64_t now)
{
    if (connection->state == CONNECTION_WORK) {
        if (lend(connection)) {
            if (!watch(loop, connection, POLLIN))
                hang_up(loop, connection);
            return;
        }
        connection_refuse(connection, now);
    }
    short events = connection->state == CONNECTION_WRITE ? POLLOUT : POLLIN;
    if (connection->state != CONNECTION_CLOSED
        && !watch(loop, connection, events))
        connection->state = CONNECTION_CLOSED;
    if (connection->state == CONNECTION_CLOSED) {
        forget(loop, connection);
        connection_destroy(connection);
    } else {
        bool hurried = connection_is_hurried(connection);
        set_alarm(loop, hurried ? now : connection->deadline, now);
    }
}

/* Serves a connection that is ready. */
static void serve(Loop *loop, Connection *connection, int64_t now)
{
    if (connection->lent) {
        look_at_lent(loop, connection);
        return;
    }
    connection_advance(connection, now);
    settle(loop, connection, now);
}

/* Goes on with a connection that is new, or comes back from a worker. */
static void welcome(Loop *loop, Connection *connection, int64_t now)
{
    if (connection->lent && connection->socket == -1)
        connection->state = CONNECTION_CLOSED;
    else if (connection->lent && !connection->worked)
        connection_refuse(connection, now);
    else
        connection_advance(connection, now);
    connection->lent = false;
    settle(loop, connection, now);
}

/* Notes what time it is. */
static void look_at_clock(Loop *loop)
{
    loop->now = loop_clock();
    if (time(NULL) != loop->second) {
        loop->second = time(NULL);
        http_format_date(loop->date, loop->second);
    }
}

void loop_take(Loop *loop, Connection *connection)
{
    look_at_clock(loop); /* perhaps for the first time */
    if (keep(loop, connection))
        welcome(loop, connection, loop->now);
    else
        connection_destroy(connection);
}

/* Takes in connections that were handed over, to be served at once. */
static void take_in(Loop *loop, int64_t now)
{
    Connection *arrived[64];
    ssize_t size = read(loop->inbox, arrived, sizeof arrived);
    for (ssize_t i = 0; i < size / (ssize_t)sizeof(Connection *); i++) {
        if (arrived[i] == NULL || arrived[i] == (Connection *)loop) {
            loop->stopping = loop->stopping || arrived[i] != NULL;
            set_alarm(loop, now, now);
            continue;
        }
        if (arrived[i]->state == CONNECTION_NEW)
            loop_take(loop, arrived[i]);
        else
            welcome(loop, arrived[i], now);
    }
}

/* Tells whether the time is up for what a connection waits for. */
static bool is_late(const Connection *connection, int64_t now)
{
    return now >= connection->deadline && connection->state != CONNECTION_CLOSED
           && connection->state != CONNECTION_WORK;
}

/* Looks at all connections, for those whose time is up. */
static void look_around(Loop *loop, int64_t now)
{
    loop->alarm = INT64_MAX;
    /* Backwards: the last, which takes the place of one that ends, had its
     * turn. */
    for (size_t i = loop->count; i-- > 0;) {
        Connection *connection = loop->connections[i];
        if (connection->lent) {
            if (atomic_load(&connection->service->full)
                && connection->socket != -1 && atomic_load(&connection->ended))
                hang_up(loop, connection);
            continue;
        }
        connection_hurry(connection, now);
        if (is_late(connection, now)) /* or has it come just now? */
            connection_advance(connection, now);
        if (is_late(connection, now))
            connection_expire(connection, now);
        settle(loop, connection, now);
    }
}

bool loop_turn(Loop *loop, int timeout)
{
    void *ready[READY_MAX];
    int64_t left = loop->alarm > loop->now ? loop->alarm - loop->now : 0;
    if (loop->alarm != INT64_MAX && (timeout == -1 || left < timeout))
        timeout = (int)left;
    int count = poller_wait(loop->poller, ready, READY_MAX, timeout);
    look_at_clock(loop);
    bool mail = false, other = false;
    for (int i = 0; i < count; i++)
        if (ready[i] == NULL)
            mail = true;
        else if (ready[i] == loop)
            other = true;
        else
            serve(loop, ready[i], loop->now);
    if (mail) /* the last, as it may end a connection that was ready */
        take_in(loop, loop->now);
    if (loop->now >= loop->alarm)
        look_around(loop, loop->now);
    return other;
}

bool loop_watch(Loop *loop, int descriptor, bool wanted)
{
    if (wanted)
        return poller_add(loop->poller, descriptor, POLLIN, loop);
    poller_remove(loop->poller, descriptor);
    return true;
}

void loop_run(void *arg)
{
    Loop *loop = arg;
    while (!loop->stopping || loop->count > 0)
        loop_turn(loop, -1);
}
