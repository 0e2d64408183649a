#include "connection.h"
#include "http.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TIME_LIMIT 5000 /* ms to begin a request, to end it, to take of it */

struct Connection {
    int socket;
    const Service *service;
    bool answered;             /* at least one request */
    char input[HTTP_HEAD_MAX]; /* what came, and is not answered yet */
    size_t size;               /* of the input */
};

Connection *connection_new(int socket, const Service *service)
{
    Connection *connection = malloc(sizeof *connection);
    if (connection == NULL)
        return NULL;
    connection->socket = socket;
    connection->service = service;
    connection->answered = false;
    connection->size = 0;

    struct timeval limit = {.tv_sec = TIME_LIMIT / 1000};
    int yes = 1;               /* no answer waits until the last has arrived */
    fcntl(socket, F_SETFL, 0); /* on some systems it is as the listener */
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return connection;
}

void connection_destroy(Connection *connection)
{
    close(connection->socket);
    free(connection);
}

/* Returns the time in ms, by a clock that nobody sets. */
static int64_t read_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Tells whether the server is to end. */
static bool stopping(const Connection *connection)
{
    struct pollfd stop = {.fd = connection->service->stop, .events = POLLIN};
    return poll(&stop, 1, 0) > 0;
}

/* Waits for something to read. Returns false if nothing comes before the
 * deadline; or, between two requests, before the server is to end. */
static bool wait_for_input(const Connection *connection, int64_t deadline)
{
    struct pollfd polls[] = {
        {.fd = connection->socket, .events = POLLIN},
        {.fd = connection->service->stop, .events = POLLIN},
    };
    bool idle = connection->answered && connection->size == 0;
    int64_t rest = deadline - read_clock();
    return rest > 0 && poll(polls, idle ? 2 : 1, (int)rest) > 0
           && polls[0].revents != 0;
}

/* Reads and parses a request. Returns what http_parse() does; 408 if it does
 * not end in time; 0 if there is none. */
static int read_request(Connection *connection, HttpRequest *request)
{
    int64_t deadline = read_clock() + TIME_LIMIT; /* to begin it */
    int status;
    while ((status = http_parse(connection->input, connection->size, request))
           == 0) {
        if (!wait_for_input(connection, deadline))
            return connection->size > 0 ? 408 : 0;
        ssize_t got =
            read(connection->socket, connection->input + connection->size,
                 HTTP_HEAD_MAX - connection->size);
        if (got <= 0)
            return 0;
        if (connection->size == 0)
            deadline = read_clock() + TIME_LIMIT; /* to end it */
        connection->size += (size_t)got;
    }
    return status;
}

/* Writes all of a buffer, unless the client does not take it. */
static bool write_all(int socket, const char *buffer, size_t size)
{
    while (size > 0) {
        ssize_t written = write(socket, buffer, size);
        if (written == -1)
            return false;
        buffer += written;
        size -= (size_t)written;
    }
    return true;
}

/* Sends the page that a request asks for, or says with a status why not.
 * Returns whether another request may follow. */
static bool respond(const Connection *connection, const HttpRequest *request,
                    int status)
{
    char path[HTTP_HEAD_MAX];
    const Site *site = connection->service->site;
    const Page *page = NULL;
    if (status == 200
        && http_percent_decode(request->path, request->path_length, path)) {
        bool sleeps = strcmp(path, "/sleep") == 0;
        if (sleeps)
            sleep(5);
        page = site_find(site, sleeps ? "/" : path);
    }
    bool keep_alive = request->keep_alive && !stopping(connection);
    if (status == 200 && page == NULL) {
        status = 404;
        page = site_find(site, "/404.html");
    }

    char head[HTTP_ANSWER_MAX], date[HTTP_DATE_MAX];
    http_format_date(date, time(NULL));
    const char *body = page != NULL ? page->body : http_reason(status);
    HttpAnswer answer = {
        .status = status,
        .date = date,
        .type = page != NULL ? page->type : "text/plain",
        .length = page != NULL ? page->size : strlen(body),
        .keep_alive = keep_alive,
    };
    size_t size = http_format_head(head, &answer);
    return write_all(connection->socket, head, size)
           && (request->head_only
               || write_all(connection->socket, body, answer.length))
           && keep_alive;
}

void connection_serve(Connection *connection)
{
    HttpRequest request;
    int status;
    while ((status = read_request(connection, &request)) != 0
           && respond(connection, &request, status)) {
        connection->answered = true;
        connection->size -= request.size;
        memmove(connection->input, connection->input + request.size,
                connection->size);
    }
}

void connection_turn_away(Connection *connection)
{
    HttpRequest request = {.head_only = false};
    respond(connection, &request, 503);
}
