#include "connection.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAKE_TIME (30 * SECOND) /* before an answer is due at the rate of */
#define HURRIED (5 * SECOND)    /* the same, while others wait for room */
#define TURN_MAX 16    /* requests that are answered one after the other */
#define LOGGED_MAX 200 /* bytes of a request that are logged */
#define REQUEST_TIME (3 * SECOND) /* to send one after the signal, in ms */
#define CUT_TIME 500 /* before the end of the server: the rest is cut off */
#define RATE 10      /* bytes a millisecond that a client has to take of it */

/* How long to wait in each state, in ms. */
static const int64_t times[] = {
    [CONNECTION_IDLE] = 30 * SECOND,
    [CONNECTION_HEAD] = 10 * SECOND,
    [CONNECTION_WRITE] = TAKE_TIME,
    [CONNECTION_TAKE] = SECOND / 5, /* to look again */
    [CONNECTION_DRAIN] = 2 * SECOND,
};

/* Changes what a connection waits for, from now on. */
static void set_state(Connection *connection, ConnectionState state,
                      int64_t now)
{
    connection->state = state;
    connection->deadline = now + times[state];
}

/* Returns how many bytes of the answers have not arrived. */
static int64_t count_missing(const Connection *connection)
{
    int sent = 0; /* and not acknowledged; where no system tells: 0 */
#ifdef TIOCOUTQ
    ioctl(connection->socket, TIOCOUTQ, &sent);
#endif
    return sent + (int64_t)connection->unsent[0].iov_len
           + (int64_t)connection->unsent[1].iov_len;
}

/* Returns when a client is too slow, if no more than now has arrived by then.
 */
static int64_t due(Connection *connection, int64_t grace, int64_t now)
{
    int64_t arrived = connection->total - count_missing(connection);
    if (connection->begun + arrived / RATE > now) /* nobody saves up time */
        connection->begun = now - arrived / RATE;
    return connection->begun + grace + arrived / RATE;
}

Connection *connection_new(int socket, Service *service)
{
    Connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return NULL;
    connection->socket = socket;
    connection->state = CONNECTION_NEW;
    connection->service = service;
    atomic_fetch_add(&service->connections, 1);

    return connection;
}

void connection_hang_up(Connection *connection)
{
    Service *service = connection->service;
#ifdef TCP_USER_TIMEOUT /* for what the system has still to send */
    int limit = 30000;  /* ms */
    setsockopt(connection->socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit,
               sizeof limit);
#endif
    close(connection->socket);
    connection->socket = -1;
    atomic_fetch_sub(&service->connections, 1);
    if (atomic_load(&service->full)) {
        ssize_t written = write(service->bell, "", 1);
        (void)written; /* if the pipe is full, it has rung often enough */
    }
}

void connection_destroy(Connection *connection)
{
    if (connection->socket != -1)
        connection_hang_up(connection);
    free(connection->input);
    free(connection);
}

/* Tells whether a call failed for good, not because it would have to wait. */
static bool failed(ssize_t result)
{
    return result == -1 && errno != EAGAIN && errno != EINTR;
}

/* Ends a connection in stages (RFC 9112 9.6): says that no more is to come, and
 * waits until the client has closed, too. To close while it still sends would
 * reset the connection, and what it has not read yet would be lost. */
static void finish(Connection *connection, int64_t now)
{
    shutdown(connection->socket, SHUT_WR);
    connection->size = 0;
    set_state(connection, CONNECTION_TAKE, now);
    if (connection->total == 0) /* there was no answer */
        connection->state = CONNECTION_CLOSED;
}

/* Ends a connection at once, whatever is under way. */
static void cut(Connection *connection)
{
    struct linger reset = {.l_onoff = 1};
    setsockopt(connection->socket, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    connection->state = CONNECTION_CLOSED;
}

/* Reads what the client has sent, if anything. */
static void receive(Connection *connection, int64_t now)
{
    if (connection->input == NULL)
        connection->input = malloc(HTTP_HEAD_MAX + HTTP_ANSWER_MAX);
    if (connection->input == NULL) {
        connection->state = CONNECTION_CLOSED;
        return;
    }
    connection->head = connection->input + HTTP_HEAD_MAX;
    ssize_t got = recv(connection->socket, connection->input + connection->size,
                       HTTP_HEAD_MAX - connection->size, MSG_DONTWAIT);
    if (got == 0 || failed(got)) {
        connection->state = CONNECTION_CLOSED;
    } else if (got > 0 && connection->state != CONNECTION_TAKE
               && connection->state != CONNECTION_DRAIN) {
        if (connection->size == 0)
            set_state(connection, CONNECTION_HEAD, now);
        connection->size += (size_t)got;
    }
}

/* Sends as much of the answer as the client takes. After the last byte comes
 * the next request, of which a part may be there; or the end. */
static void send_rest(Connection *connection, int64_t now)
{
    struct iovec *part = connection->unsent;
    struct msghdr message = {.msg_iov = part, .msg_iovlen = 2};
    int flags = MSG_DONTWAIT;
#ifdef MSG_MORE /* on Linux the end can go with the last bytes */
    flags |= connection->request.keep_alive ? 0 : MSG_MORE;
#endif
    ssize_t sent = sendmsg(connection->socket, &message, flags);
    if (failed(sent)) {
        connection->state = CONNECTION_CLOSED;
        return;
    }
    if (connection->state != CONNECTION_WRITE)
        set_state(connection, CONNECTION_WRITE, now);
    for (; sent > 0; part++) {
        size_t size =
            (size_t)sent < part->iov_len ? (size_t)sent : part->iov_len;
        part->iov_base = (char *)part->iov_base + size;
        part->iov_len -= size;
        sent -= (ssize_t)size;
    }
    if (connection->unsent[0].iov_len + connection->unsent[1].iov_len > 0)
        return;
    bool idle = connection->size == 0;
    if (!connection->request.keep_alive)
        finish(connection, now);
    else
        set_state(connection, idle ? CONNECTION_IDLE : CONNECTION_HEAD, now);
}

/* Tells the log of an answer: when, who, what was asked for, status, bytes. */
static void log_answer(const Connection *connection, int status, size_t bytes)
{
    Log *log = connection->service->log;
    char client[INET6_ADDRSTRLEN] = "-", line[LOGGED_MAX];
    struct sockaddr_in6 address; /* or sockaddr_in, which is smaller */
    socklen_t size = sizeof address;
    if (log == NULL)
        return;
    if (getpeername(connection->socket, (struct sockaddr *)&address, &size)
        == 0)
        getnameinfo((struct sockaddr *)&address, size, client, sizeof client,
                    NULL, 0, NI_NUMERICHOST);
    int length = 0; /* of the request's first line, without its end */
    for (size_t i = 0; i < connection->size && length < LOGGED_MAX; i++) {
        unsigned char c = (unsigned char)connection->input[i];
        if ((c == '\r' || c == '\n') && length > 0)
            break;
        if (c != '\r' && c != '\n')
            line[length++] = isprint(c) && c != '"' ? (char)c : '?';
    }
    log_line(log, "%s %s \"%.*s\" %d %zu\n", connection->date, client, length,
             line, status, bytes);
}

/* Tells whether the server is to end soon. */
static bool stopping(const Connection *connection)
{
    return atomic_load(&connection->service->stop_deadline) != INT64_MAX;
}

/* Tells whether another request has come behind this one. */
static bool another(const Connection *connection)
{
    size_t size = connection->request.size;
    HttpRequest next;
    return http_parse(connection->input + size, connection->size - size, &next)
           != 0;
}

/* Sends the page that the request asks for, or says with a status why not. */
static void respond(Connection *connection, int status, int64_t now, bool last)
{
    HttpRequest *request = &connection->request;
    last = last || atomic_load(&connection->service->full); /* others wait */
    if (last && !another(connection))
        request->keep_alive = false;
    char path[HTTP_HEAD_MAX];
    const Site *site = connection->service->site;
    const Page *page = NULL;
    if (status == 200
        && http_percent_decode(request->path, request->path_length, path)) {
        bool sleeps = strcmp(path, "/sleep") == 0;
        if (sleeps && connection->state != CONNECTION_WORK) {
            connection->state = CONNECTION_WORK;
            return;
        }
        page = site_find(site, sleeps ? "/" : path);
    }
    if (status == 200 && page == NULL) {
        status = 404;
        page = site_find(site, "/404.html");
    }

    if (status == 200 && strcmp(request->modified_since, page->modified) == 0)
        status = 304; /* 9110 15.4.5 */

    const char *body = page != NULL ? page->body : http_reason(status);
    HttpAnswer answer = {
        .status = status,
        .date = connection->date,
        .modified = status < 400 ? page->modified : NULL,
        .type = page != NULL ? page->type : "text/plain",
        .length = page != NULL ? page->size : strlen(body),
        .keep_alive = request->keep_alive,
    };
    size_t head = http_format_head(connection->head, &answer);
    bool head_only = request->head_only || status == 304;
    size_t length = head_only ? 0 : answer.length;
    log_answer(connection, status, length);
    bool soon = now < connection->begun + SECOND; /* to ask costs a call */
    if (connection->total == 0 || (!soon && count_missing(connection) == 0)) {
        connection->begun = now;
        connection->total = 0;
    }
    connection->total += (int64_t)(head + length);
    connection->unsent[0] = (struct iovec){connection->head, head};
    connection->unsent[1] = (struct iovec){(char *)body, length};
    connection->size -= request->size;
    memmove(connection->input, connection->input + request->size,
            connection->size);
    send_rest(connection, now);
}

void connection_advance(Connection *connection, int64_t now)
{
    if (connection->state == CONNECTION_NEW)
        set_state(connection, CONNECTION_IDLE, now);
    if (connection->state == CONNECTION_WRITE)
        send_rest(connection, now);
    else if (connection->state == CONNECTION_WORK)
        respond(connection, 200, now, stopping(connection));
    else
        receive(connection, now);
    for (int i = 0; connection->state == CONNECTION_HEAD; i++) {
        if (i == TURN_MAX) { /* the others first, then the next request */
            set_state(connection, CONNECTION_WRITE, now);
            break;
        }
        int status = http_parse(connection->input, connection->size,
                                &connection->request);
        if (status == 0)
            break;
        respond(connection, status, now, stopping(connection));
    }
    if (connection->state == CONNECTION_IDLE) {
        free(connection->input); /* so that who is idle costs little */
        connection->input = NULL;
    }
}

void connection_refuse(Connection *connection, int64_t now)
{
    respond(connection, 503, now, true);
    if (connection->state == CONNECTION_HEAD) /* another: in the next turn */
        set_state(connection, CONNECTION_WRITE, now);
}

void connection_expire(Connection *connection, int64_t now)
{
    bool missing = count_missing(connection) > 0;
    int64_t later = due(connection, TAKE_TIME, now);
    if (connection->state == CONNECTION_HEAD)
        respond(connection, stopping(connection) ? 503 : 408, now, true);
    else if (connection->state == CONNECTION_DRAIN)
        connection->state = CONNECTION_CLOSED;
    else if (missing && now >= later)
        cut(connection);
    else if (connection->state == CONNECTION_TAKE)
        set_state(connection, missing ? CONNECTION_TAKE : CONNECTION_DRAIN,
                  now);
    else if (missing)
        connection->deadline = later;
    else
        finish(connection, now);
}

/* For others who have no room: ends what has been idle for a second, and who
 * takes an answer too slowly. */
static void make_room(Connection *connection, int64_t now)
{
    int64_t since = connection->deadline - times[CONNECTION_IDLE];
    bool idle = connection->state == CONNECTION_IDLE && now >= since + SECOND;
    if (idle) /* or has something come just now? */
        connection_advance(connection, now);
    bool missing = count_missing(connection) > 0;
    if (missing && now >= due(connection, HURRIED, now))
        cut(connection);
    else if (connection->state == CONNECTION_DRAIN)
        connection->state = CONNECTION_CLOSED;
    else if (idle && !missing && connection->state == CONNECTION_IDLE)
        finish(connection, now);
}

/* As the server ends by then: ends what asks for nothing, and in time all. */
static void stop(Connection *connection, int64_t deadline, int64_t now)
{
    bool late = now >= deadline - STOP_TIME + REQUEST_TIME;
    if (connection->state == CONNECTION_IDLE)
        connection_advance(connection, now); /* what has come since */
    if (connection->state == CONNECTION_IDLE && (late || connection->total > 0))
        finish(connection, now);
    if (connection->state == CONNECTION_HEAD && late)
        connection_expire(connection, now);

    if (connection->state == CONNECTION_DRAIN)
        connection->state = CONNECTION_CLOSED;

    bool missing = count_missing(connection) > 0;
    bool slow = missing && now >= due(connection, HURRIED, now);
    if (slow || now >= deadline - CUT_TIME) {
        if (missing && !slow)
            atomic_fetch_add(&connection->service->cut, 1);
        connection->state = CONNECTION_CLOSED;
        if (missing)
            cut(connection);
    }
}

bool connection_is_hurried(const Connection *connection)
{
    return stopping(connection) || atomic_load(&connection->service->full);
}

void connection_hurry(Connection *connection, int64_t now)
{
    int64_t deadline = atomic_load(&connection->service->stop_deadline);
    if (deadline != INT64_MAX)
        stop(connection, deadline, now);
    else if (atomic_load(&connection->service->full))
        make_room(connection, now);
}
