#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TIME_LIMIT 5000 /* ms to begin a request, to end it, to take of it */

/* Changes what a connection waits for, from now on. */
static void set_state(Connection *connection, ConnectionState state,
                      int64_t now)
{
    connection->state = state;
    connection->deadline = now + TIME_LIMIT;
}

Connection *connection_new(int socket, const Service *service)
{
    Connection *connection = malloc(sizeof *connection);
    if (connection == NULL)
        return NULL;
    connection->socket = socket;
    connection->state = CONNECTION_NEW;
    connection->service = service;
    connection->size = 0;

    int yes = 1; /* no answer waits until the last has arrived */
    fcntl(socket, F_SETFL, O_NONBLOCK);
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return connection;
}

void connection_destroy(Connection *connection)
{
    close(connection->socket);
    free(connection);
}

/* Tells whether a call failed for good, not because it would have to wait. */
static bool failed(ssize_t result)
{
    return result == -1 && errno != EAGAIN && errno != EINTR;
}

/* Reads what the client has sent, if anything. */
static void receive(Connection *connection, int64_t now)
{
    ssize_t got = read(connection->socket, connection->input + connection->size,
                       HTTP_HEAD_MAX - connection->size);
    if (got == 0 || failed(got)) {
        connection->state = CONNECTION_CLOSED;
    } else if (got > 0) {
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
    ssize_t sent = sendmsg(connection->socket, &message, 0);
    if (failed(sent)) {
        connection->state = CONNECTION_CLOSED;
        return;
    }
    if (sent > 0 || connection->state != CONNECTION_WRITE)
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
        connection->state = CONNECTION_CLOSED;
    else
        set_state(connection, idle ? CONNECTION_IDLE : CONNECTION_HEAD, now);
}

/* Sends the page that the request asks for, or says with a status why not. */
static void respond(Connection *connection, int status, int64_t now, bool last)
{
    HttpRequest *request = &connection->request;
    request->keep_alive = request->keep_alive && !last;
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

    char date[HTTP_DATE_MAX];
    http_format_date(date, time(NULL));
    const char *body = page != NULL ? page->body : http_reason(status);
    HttpAnswer answer = {
        .status = status,
        .date = date,
        .type = page != NULL ? page->type : "text/plain",
        .length = page != NULL ? page->size : strlen(body),
        .keep_alive = request->keep_alive,
    };
    size_t head = http_format_head(connection->head, &answer);
    size_t length = request->head_only ? 0 : answer.length;
    connection->unsent[0] = (struct iovec){connection->head, head};
    connection->unsent[1] = (struct iovec){(char *)body, length};
    connection->size -= request->size;
    memmove(connection->input, connection->input + request->size,
            connection->size);
    send_rest(connection, now);
}

void connection_advance(Connection *connection, int64_t now, bool stopping)
{
    if (connection->state == CONNECTION_NEW)
        set_state(connection, CONNECTION_HEAD, now);
    if (connection->state == CONNECTION_WRITE)
        send_rest(connection, now);
    else if (connection->state == CONNECTION_WORK)
        respond(connection, 200, now, stopping);
    else
        receive(connection, now);
    while (connection->state == CONNECTION_HEAD) {
        int status = http_parse(connection->input, connection->size,
                                &connection->request);
        if (status == 0)
            break;
        respond(connection, status, now, stopping);
    }
    if (stopping && connection->state == CONNECTION_IDLE)
        connection->state = CONNECTION_CLOSED;
}

void connection_refuse(Connection *connection, int64_t now)
{
    respond(connection, 503, now, true);
}

void connection_expire(Connection *connection, int64_t now)
{
    if (connection->state == CONNECTION_HEAD && connection->size > 0)
        respond(connection, 408, now, true);
    else
        connection->state = CONNECTION_CLOSED;
}
