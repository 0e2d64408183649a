#include "connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* What a connection needs only from a request's first byte to its answer's
 * last: an idle one, and there may be 10,000, is small. */
typedef struct Exchange {
    char input[HTTP_HEAD_MAX];
    size_t start, end; /* what is still to be parsed: from start up to end */
    HttpRequest request;
    const Page *page;
    char head[HTTP_ANSWER_MAX];
    struct iovec unsent[2]; /* what is still to be sent, of head and body */
} Exchange;

Connection *connection_new(int socket)
{
    Connection *connection = malloc(sizeof *connection);
    if (connection != NULL)
        *connection = (Connection){.socket = socket};
    return connection;
}

void connection_destroy(Connection *connection)
{
    close(connection->socket);
    free(connection->exchange);
    free(connection);
}

/* Tells whether a call that did not succeed may when the socket is ready. */
static bool may_retry(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Reads what has come in, once. Returns how many bytes; 0 if there were none,
 * or if the connection is at its end. */
static size_t receive(Connection *connection, char *buffer, size_t size)
{
    ssize_t got = recv(connection->socket, buffer, size, MSG_DONTWAIT);
    if (got == 0 || (got == -1 && !may_retry()))
        connection->state = CONNECTION_CLOSED;
    return got > 0 ? (size_t)got : 0;
}

/* Sends what the socket takes of the answer. Once it took all of it: the next
 * request, or the end in stages (RFC 9112 9.6). To close while the client
 * still sends would reset the connection, and cost it the answer. */
static void send_rest(Connection *connection)
{
    Exchange *exchange = connection->exchange;
    struct iovec *unsent = exchange->unsent;
    struct msghdr message = {.msg_iov = unsent, .msg_iovlen = 2};
    ssize_t sent = sendmsg(connection->socket, &message,
                           MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == -1 && !may_retry()) {
        connection->state = CONNECTION_CLOSED;
        return;
    }
    for (size_t i = 0, rest = sent > 0 ? (size_t)sent : 0; i < 2; i++) {
        size_t part = rest < unsent[i].iov_len ? rest : unsent[i].iov_len;
        unsent[i].iov_base = (char *)unsent[i].iov_base + part;
        unsent[i].iov_len -= part;
        rest -= part;
    }
    if (unsent[0].iov_len + unsent[1].iov_len > 0) {
        connection->state = CONNECTION_WRITE;
        return;
    }
    connection->deadline = 0;
    if (exchange->request.keep_alive) {
        connection->state = CONNECTION_IDLE;
    } else if (shutdown(connection->socket, SHUT_WR) == 0) {
        connection->state = CONNECTION_DRAIN;
    } else {
        connection->state = CONNECTION_CLOSED;
    }
}

/* Answers the request with the page, or if that is NULL with the status. */
static void answer(Connection *connection, const Service *service, int status,
                   const Page *page)
{
    Exchange *exchange = connection->exchange;
    HttpRequest *request = &exchange->request;
    request->keep_alive = request->keep_alive && !service->stopping;
    const char *body = page != NULL ? page->body : http_reason(status);
    HttpAnswer head = {
        .status = status,
        .type = page != NULL ? page->type : "text/plain",
        .length = page != NULL ? page->size : strlen(body),
        .date = service->date,
        .keep_alive = request->keep_alive,
    };
    exchange->unsent[0].iov_base = exchange->head;
    exchange->unsent[0].iov_len = http_format_head(exchange->head, &head);
    exchange->unsent[1].iov_base = (char *)body;
    exchange->unsent[1].iov_len = request->head_only ? 0 : head.length;
    if (!service->quiet)
        printf("%s %.*s %d\n", request->head_only ? "HEAD" : "GET",
               (int)request->path_length, request->path, status);
    send_rest(connection);
}

/* Takes the next request from the input, and answers it unless it takes time.
 * Returns false if there is none. */
static bool take_request(Connection *connection, const Service *service)
{
    Exchange *exchange = connection->exchange;
    HttpRequest *request = &exchange->request;
    int status = http_parse(exchange->input + exchange->start,
                            exchange->end - exchange->start, request);
    if (status == 0)
        return false;
    exchange->start += request->size;
    const Page *page = NULL;
    if (status == 200) {
        page = site_find(service->site, request->path, request->path_length);
        if (page == NULL) {
            status = 404;
            page = site_find(service->site, "/404.html", 9);
        }
    }
    exchange->page = page;
    if (page != NULL && strcmp(page->path, "sleep") == 0)
        connection->state = CONNECTION_WORK;
    else
        answer(connection, service, status, page);
    return true;
}

/* Reads what has come in, once, into an exchange that is made if need be. */
static void read_input(Connection *connection)
{
    Exchange *exchange = connection->exchange;
    if (exchange == NULL) {
        exchange = malloc(sizeof *exchange);
        if (exchange == NULL) {
            connection->state = CONNECTION_CLOSED;
            return;
        }
        exchange->start = exchange->end = 0;
        connection->exchange = exchange;
    }
    size_t got = receive(connection, exchange->input + exchange->end,
                         sizeof exchange->input - exchange->end);
    exchange->end += got;
    if (got > 0)
        connection->state = CONNECTION_IDLE; /* to look for requests */
}

/* Keeps half a request for later, or gives back the empty exchange. */
static void tidy(Connection *connection)
{
    Exchange *exchange = connection->exchange;
    if (connection->state == CONNECTION_IDLE
        && exchange->end > exchange->start) {
        exchange->end -= exchange->start;
        memmove(exchange->input, exchange->input + exchange->start,
                exchange->end);
        exchange->start = 0;
        connection->state = CONNECTION_HEAD;
    } else if (connection->state == CONNECTION_IDLE
               || connection->state == CONNECTION_DRAIN) {
        free(exchange);
        connection->exchange = NULL;
    }
}

void connection_advance(Connection *connection, const Service *service)
{
    char waste[4096];
    switch (connection->state) {
    case CONNECTION_IDLE:
    case CONNECTION_HEAD:
        read_input(connection);
        break;
    case CONNECTION_WRITE:
        send_rest(connection);
        break;
    case CONNECTION_WORK:
        answer(connection, service, 200, connection->exchange->page);
        break;
    case CONNECTION_DRAIN:
        receive(connection, waste, sizeof waste);
        return;
    case CONNECTION_CLOSED:
        return;
    }
    while (connection->state == CONNECTION_IDLE) /* 9.3.2: pipelined ones */
        if (!take_request(connection, service))
            break;
    tidy(connection);
}

void connection_refuse(Connection *connection, const Service *service,
                       int status)
{
    connection->exchange->request.keep_alive = false;
    answer(connection, service, status, NULL);
    tidy(connection);
}
