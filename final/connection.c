#include "connection.h"
#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* What is needed only from a request's first byte to its answer's last. */
typedef struct Exchange {
    char input[HTTP_HEAD_MAX];
    size_t start, end; /* of the input that is still to be parsed */
    HttpRequest request;
    const Page *page;
    char head[HTTP_ANSWER_MAX];
    struct iovec unsent[2]; /* of the head and of the body */
} Exchange;

Connection *connection_new(int socket)
{
    Connection *connection = calloc(1, sizeof *connection);
    if (connection != NULL)
        connection->socket = socket;
    else
        close(socket);
    return connection;
}

void connection_destroy(Connection *connection)
{
    close(connection->socket);
    free(connection->exchange);
    free(connection);
}

/* Changes the state. A new one has a deadline of its own. */
static void enter(Connection *connection, ConnectionState state)
{
    if (connection->state != state)
        connection->deadline = 0;
    connection->state = state;
}

/* Tells whether a call failed for good, not because it would have to wait. */
static bool failed(ssize_t result)
{
    return result == -1 && errno != EAGAIN && errno != EINTR;
}

/* Reads what the client has sent, if anything. */
static void receive(Connection *connection)
{
    Exchange *exchange = connection->exchange;
    ssize_t got = 0;
    if (exchange == NULL && (exchange = malloc(sizeof *exchange)) != NULL) {
        exchange->start = exchange->end = 0;
        connection->exchange = exchange;
    }
    if (exchange != NULL) {
        exchange->end -= exchange->start;
        memmove(exchange->input, exchange->input + exchange->start,
                exchange->end);
        exchange->start = 0;
        got = recv(connection->socket, exchange->input + exchange->end,
                   sizeof exchange->input - exchange->end, MSG_DONTWAIT);
    }
    if (got == 0 || failed(got))
        enter(connection, CONNECTION_CLOSED);
    else if (got > 0 && connection->state != CONNECTION_DRAIN)
        exchange->end += (size_t)got;
}

/* Sends as much of the answer as the socket takes. After the last byte comes
 * the next request; or the end, in stages (RFC 9112 9.6) unless the client has
 * said all it has to say: to close while it still sends would reset the
 * connection, and take the answer away. */
static void send_rest(Connection *connection)
{
    Exchange *exchange = connection->exchange;
    struct iovec *part = exchange->unsent;
    struct msghdr message = {.msg_iov = part, .msg_iovlen = 2};
    int flags = MSG_DONTWAIT;
#ifdef MSG_MORE /* on Linux the end can go with the last bytes */
    flags |= exchange->request.keep_alive ? 0 : MSG_MORE;
#endif
    ssize_t sent = sendmsg(connection->socket, &message, flags);
    if (failed(sent)) {
        enter(connection, CONNECTION_CLOSED);
        return;
    }
    if (sent > 0)
        connection->deadline = 0;
    for (; sent > 0; part++) {
        size_t size =
            (size_t)sent < part->iov_len ? (size_t)sent : part->iov_len;
        part->iov_base = (char *)part->iov_base + size;
        part->iov_len -= size;
        sent -= (ssize_t)size;
    }
    if (exchange->unsent[0].iov_len + exchange->unsent[1].iov_len > 0) {
        enter(connection, CONNECTION_WRITE);
    } else if (exchange->request.keep_alive) {
        enter(connection, CONNECTION_IDLE);
    } else if (exchange->request.last && exchange->start == exchange->end) {
        enter(connection, CONNECTION_CLOSED);
    } else {
        enter(connection, CONNECTION_DRAIN);
        exchange->end = exchange->start;
        shutdown(connection->socket, SHUT_WR);
    }
}

/* Answers the request with its page, or if there is none with the status. */
static void answer(Connection *connection, const Service *service, int status)
{
    Exchange *exchange = connection->exchange;
    HttpRequest *request = &exchange->request;
    const Page *page = exchange->page;
    request->keep_alive = request->keep_alive && !service->stopping;
    const char *type = page != NULL ? page->type : "text/plain";
    const char *body = page != NULL ? page->body : http_reason(status);
    size_t length = page != NULL ? page->size : strlen(body);
    size_t head = http_format_head(exchange->head, status, service->date, type,
                                   length, request->keep_alive);
    exchange->unsent[0] = (struct iovec){exchange->head, head};
    exchange->unsent[1] =
        (struct iovec){(char *)body, request->head_only ? 0 : length};
    if (!service->quiet)
        printf("%d %.*s\n", status, (int)request->path_length, request->path);
    send_rest(connection);
}

void connection_advance(Connection *connection, const Service *service)
{
    if (connection->state == CONNECTION_WRITE)
        send_rest(connection);
    else if (connection->state == CONNECTION_WORK)
        answer(connection, service, 200);
    else
        receive(connection);
    while (connection->state <= CONNECTION_HEAD) { /* 9.3.2: pipelined */
        Exchange *exchange = connection->exchange;
        HttpRequest *request = &exchange->request;
        int status = http_parse(exchange->input + exchange->start,
                                exchange->end - exchange->start, request);
        if (status == 0 && exchange->start < exchange->end) {
            enter(connection, CONNECTION_HEAD);
            break;
        }
        if (status == 0) {
            enter(connection, CONNECTION_IDLE);
            free(exchange);
            connection->exchange = NULL;
            break;
        }
        exchange->start += request->size;
        exchange->page = NULL;
        if (status == 200)
            exchange->page =
                site_find(service->site, request->path, request->path_length);
        if (status == 200 && exchange->page == NULL) {
            status = 404;
            exchange->page = site_find(service->site, "/404.html", 9);
        }
        if (status == 200 && strcmp(exchange->page->path, "sleep") == 0)
            enter(connection, CONNECTION_WORK);
        else
            answer(connection, service, status);
    }
}

void connection_refuse(Connection *connection, const Service *service,
                       int status)
{
    connection->exchange->request.keep_alive = false;
    connection->exchange->page = NULL;
    answer(connection, service, status);
}
