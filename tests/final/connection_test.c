/* The connection on a pair of sockets, without a server around it. */

#define _GNU_SOURCE /* memmem */
#include "connection.h"
#include "http.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOT "assets" /* from the top folder, where the tests run */

typedef struct {
    Connection *connection;
    int client;
    Service service;
    Site *site;
    char *output; /* all that the client has received, and a NUL */
    size_t size;
} Talk;

static Talk *begin(void)
{
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    Talk *talk = calloc(1, sizeof *talk);
    *talk = (Talk){.client = ends[1],
                   .site = site_load(ROOT),
                   .output = calloc(1, 1),
                   .service.stop_deadline = INT64_MAX};
    talk->service.site = talk->site;
    talk->connection = connection_new(ends[0], &talk->service);
    talk->connection->date = "now";
    return talk;
}

/* Has the connection do what it can. The time is always 0. */
static void advance(Talk *talk)
{
    connection_advance(talk->connection, 0);
}

/* Tells whether the connection has ended, or is to when the client has. */
static bool is_ending(const Talk *talk)
{
    ConnectionState state = talk->connection->state;
    return state == CONNECTION_TAKE || state == CONNECTION_DRAIN
           || state == CONNECTION_CLOSED;
}

/* Receives what has come. Returns whether there was anything. */
static bool receive(Talk *talk)
{
    char part[4096];
    ssize_t got = recv(talk->client, part, sizeof part, MSG_DONTWAIT);
    if (got <= 0)
        return false;
    talk->output = realloc(talk->output, talk->size + (size_t)got + 1);
    memcpy(talk->output + talk->size, part, (size_t)got);
    talk->size += (size_t)got;
    talk->output[talk->size] = '\0';
    return true;
}

/* Sends bytes, and lets the connection do all that it can. */
static void say(Talk *talk, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(talk->client, bytes, size, MSG_DONTWAIT);
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        }
        if (talk->connection->state != CONNECTION_CLOSED)
            advance(talk);
        if (!receive(talk) && sent <= 0)
            return; /* it does not read any more */
    }
    for (int still = 0; still < 3; still++) {
        if (talk->connection->state != CONNECTION_CLOSED)
            advance(talk);
        if (receive(talk))
            still = 0;
    }
}

static void end(Talk *talk)
{
    connection_destroy(talk->connection);
    close(talk->client);
    site_free(talk->site);
    free(talk->output);
    free(talk);
}

static int count(const Talk *talk, const char *part)
{
    int found = 0;
    const char *at = talk->output, *stop = talk->output + talk->size;
    while ((at = memmem(at, (size_t)(stop - at), part, strlen(part)))) {
        at++;
        found++;
    }
    return found;
}

#define H "Host: a\r\n"
#define G "GET / HTTP/1.1\r\n" H "\r\n"
static const struct {
    const char *text;
    size_t size;
} streams[] = {
#define STREAM(text)                                                           \
    {                                                                          \
        text, sizeof text - 1                                                  \
    }
    STREAM(G),
    STREAM(G G G),
    STREAM(G "HEAD / HTTP/1.1\r\n" H "\r\n" G),
    STREAM("GET /nope HTTP/1.1\r\n" H "\r\n" G),
    STREAM("GET /%68ello.html?x HTTP/1.1\r\n" H "Connection: close\r\n\r\n" G),
    STREAM("GET / HTTP/1.0\r\n\r\n" G),
    STREAM("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\r\n" G),
    STREAM("GET /sleep HTTP/1.1\r\n" H "\r\n" G),
    STREAM(G "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello" G),
    STREAM(G "GET / HTTP/1.1\r\n\r\n" G),
    STREAM(G "nonsense\r\n" G),
    STREAM(G "BREW / HTTP/1.1\r\n" H "\r\n" G),
    STREAM("GET / HTTP/1.1\nHost: a\n\n\nGET / HTTP/1.1\nHost:a\n\n"),
    STREAM("GET / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc" G),
    STREAM("\0\0\r\n" G),
    STREAM("GET / HTTP/2.0\r\n\r\n" G),
};
enum { STREAMS = sizeof streams / sizeof *streams };

/* The answers do not depend on how the bytes came. */
Test(connection, every_split_in_two)
{
    for (size_t i = 0; i < STREAMS; i++) {
        Talk *whole = begin();
        say(whole, streams[i].text, streams[i].size);
        cr_assert(whole->size > 0);
        for (size_t split = 1; split < streams[i].size; split++) {
            Talk *talk = begin();
            say(talk, streams[i].text, split);
            say(talk, streams[i].text + split, streams[i].size - split);
            cr_expect(eq(str, talk->output, whole->output),
                      "stream %zu, split after %zu", i, split);
            end(talk);
        }
        end(whole);
    }
}

Test(connection, a_byte_at_a_time)
{
    for (size_t i = 0; i < STREAMS; i++) {
        Talk *whole = begin(), *talk = begin();
        say(whole, streams[i].text, streams[i].size);
        for (size_t at = 0; at < streams[i].size; at++)
            say(talk, streams[i].text + at, 1);
        cr_expect(eq(str, talk->output, whole->output), "stream %zu", i);
        end(talk);
        end(whole);
    }
}

Test(connection, pipelined_requests_are_answered_in_order)
{
    Talk *talk = begin();
    const char *text = "GET /1 HTTP/1.1\r\n" H "\r\n" G "GET /sleep HTTP/1.1"
                       "\r\n" H "\r\n"
                       "HEAD / HTTP/1.1\r\n" H "\r\n" G;
    say(talk, text, strlen(text));
    cr_expect(eq(int, count(talk, "HTTP/1.1 "), 5));
    cr_expect(eq(int, count(talk, "HTTP/1.1 404 Not Found\r\n"), 1));
    cr_expect(eq(int, count(talk, "<h1>Hello!</h1>"), 3));
    cr_expect(strncmp(talk->output, "HTTP/1.1 404", 12) == 0);
    cr_expect(eq(int, talk->connection->state, CONNECTION_IDLE));
    cr_expect(talk->connection->input == NULL); /* idle means small */
    end(talk);
}

/* 8 KiB of requests at once, and so often that no buffer takes the answers. */
Test(connection, answers_that_the_client_does_not_take)
{
    Talk *talk = begin();
    int small = 1;
    setsockopt(talk->connection->socket, SOL_SOCKET, SO_SNDBUF, &small,
               sizeof small);
    setsockopt(talk->client, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    int asked = 0, blocked = 0;
    for (int i = 0; i < 2000; i++) {
        if (send(talk->client, G, strlen(G), MSG_DONTWAIT)
            == (ssize_t)strlen(G))
            asked++;
        advance(talk);
        blocked += talk->connection->state == CONNECTION_WRITE;
        if (i % 7 == 0)
            receive(talk);
    }
    cr_assert(blocked > 0);
    say(talk, "", 0);
    cr_expect(eq(int, count(talk, "HTTP/1.1 200 OK\r\n"), asked));
    cr_expect(eq(int, count(talk, "</html>\n"), asked));
    cr_expect(eq(int, talk->connection->state, CONNECTION_IDLE));
    end(talk);
}

Test(connection, an_end_without_a_request)
{
    Talk *talk = begin();
    shutdown(talk->client, SHUT_WR);
    advance(talk);
    cr_expect(eq(int, talk->connection->state, CONNECTION_CLOSED));
    end(talk);
}

Test(connection, half_a_request_and_the_end)
{
    Talk *talk = begin();
    say(talk, "GET / HT", 8);
    cr_expect(eq(int, talk->connection->state, CONNECTION_HEAD));
    shutdown(talk->client, SHUT_WR);
    advance(talk);
    cr_expect(eq(int, talk->connection->state, CONNECTION_CLOSED));
    cr_expect(eq(sz, talk->size, 0));
    end(talk);
}

/* nc does this: the request, the end of what it says, and then it listens. */
Test(connection, a_request_and_the_end)
{
    Talk *talk = begin();
    send(talk->client, G, strlen(G), 0);
    shutdown(talk->client, SHUT_WR);
    say(talk, "", 0);
    cr_expect(eq(int, count(talk, "</html>"), 1));
    cr_expect(eq(int, talk->connection->state, CONNECTION_CLOSED));
    end(talk);
}

/* The last answer is followed by the end of what we say, then by patience. */
static void check_end_in_stages(const char *request, size_t size,
                                const char *status)
{
    Talk *talk = begin();
    say(talk, request, size);
    cr_expect(eq(int, count(talk, status), 1));
    cr_expect(eq(int, count(talk, "\r\nConnection: close\r\n"), 1));
    char byte;
    cr_expect(recv(talk->client, &byte, 1, MSG_DONTWAIT) == 0); /* the end */
    connection_expire(talk->connection, 0); /* it looks: all has arrived */
    cr_expect(eq(int, talk->connection->state, CONNECTION_DRAIN));
    for (int i = 0; i < 300; i++)
        say(talk, G G G, 3 * strlen(G)); /* it is read, and thrown away */
    cr_expect(eq(int, talk->connection->state, CONNECTION_DRAIN));
    cr_expect(eq(int, count(talk, "HTTP/1.1 "), 1));
    shutdown(talk->client, SHUT_WR);
    advance(talk);
    cr_expect(eq(int, talk->connection->state, CONNECTION_CLOSED));
    end(talk);
}

Test(connection, an_end_in_stages)
{
    static char line[HTTP_HEAD_MAX]; /* all the room that there is */
    memset(line, 'x', sizeof line);
    check_end_in_stages("nonsense\r\n", 10, "HTTP/1.1 400 Bad Request\r\n");
    check_end_in_stages(line, sizeof line, "HTTP/1.1 414 URI Too Long\r\n");
}

Test(connection, refused)
{
    Talk *talk = begin();
    say(talk, "GET / HT", 8);
    connection_expire(talk->connection, 0);
    receive(talk);
    cr_expect(eq(int, count(talk, "HTTP/1.1 408 Request Timeout\r\n"), 1));
    cr_expect(is_ending(talk));
    end(talk);
}

/* A slow page waits for a worker, and so does what was asked after it. */
Test(connection, work)
{
    const char *text = "GET /sleep HTTP/1.1\r\n" H "\r\n" G;
    Talk *done = begin(), *refused = begin();
    send(done->client, text, strlen(text), 0);
    advance(done);
    cr_expect(eq(int, done->connection->state, CONNECTION_WORK));
    cr_expect(not(receive(done)));
    advance(done);
    receive(done);
    cr_expect(eq(int, count(done, "HTTP/1.1 200 OK\r\n"), 2));
    cr_expect(eq(int, done->connection->state, CONNECTION_IDLE));
    end(done);

    send(refused->client, text, strlen(text), 0);
    advance(refused);
    connection_refuse(refused->connection, 0);
    receive(refused);
    cr_expect(eq(int, count(refused, "HTTP/1.1 200 OK"), 0)); /* next turn */
    advance(refused);
    receive(refused);
    cr_expect(eq(int, count(refused, "HTTP/1.1 503 Service Unav"), 1));
    cr_expect(eq(int, count(refused, "HTTP/1.1 200 OK"), 1));
    cr_expect(eq(int, refused->connection->state, CONNECTION_IDLE));
    end(refused);
}

/* What ends a connection, and what does not. */
Test(connection, how_a_connection_ends)
{
    static const struct {
        const char *text;
        bool ends;
    } ends[] = {
        {"GET / HTTP/1.0\r\n\r\n", true},
        {"GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", true},
        {"GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n" G, true},
        {"GET / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", true},
        {"nonsense\r\n\r\n", true},
        {G, false},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        Talk *talk = begin();
        say(talk, ends[i].text, strlen(ends[i].text));
        cr_expect(is_ending(talk) == ends[i].ends, "%s", ends[i].text);
        cr_expect(ne(int, talk->connection->state, CONNECTION_CLOSED));
        end(talk);
    }
}

/* All that has come whole is answered, and the last answer says that it is. */
Test(connection, the_last_answers_of_a_server_that_stops)
{
    Talk *talk = begin();
    talk->service.stop_deadline = 10000;
    say(talk, G G G "GET / HT", strlen(G G G "GET / HT"));
    cr_expect(eq(int, count(talk, "HTTP/1.1 200 OK\r\n"), 3));
    cr_expect(eq(int, count(talk, "\r\nConnection: keep-alive\r\n"), 2));
    cr_expect(eq(int, count(talk, "\r\nConnection: close\r\n"), 1));
    cr_expect(is_ending(talk));
    end(talk);
}

/* The rate counts from the last time that nothing was missing: no new request
 * and no byte of progress buys new time. */
Test(connection, a_slow_client_is_cut_off)
{
    Talk *talk = begin();
    say(talk, G, strlen(G));
    send(talk->client, G, strlen(G), 0);
    connection_advance(talk->connection, 10000); /* not received any more */
    for (int64_t now = 10000; now < 39000; now += 4000) {
        send(talk->client, G, strlen(G), 0);
        connection_advance(talk->connection, now);
        connection_expire(talk->connection, now);
        cr_assert(eq(int, talk->connection->state, CONNECTION_IDLE));
    }
    connection_expire(talk->connection, 41000);
    cr_expect(eq(int, talk->connection->state, CONNECTION_CLOSED));
    end(talk);
}

/* Others who wait for room end who is idle, and nobody else. */
Test(connection, who_makes_room)
{
    Talk *idle = begin(), *busy = begin();
    say(idle, G, strlen(G));
    say(busy, G "GET / HT", strlen(G "GET / HT"));
    connection_hurry(idle->connection, 2000);
    cr_expect(eq(int, idle->connection->state, CONNECTION_IDLE));
    idle->service.full = busy->service.full = true;
    connection_hurry(idle->connection, 900);
    cr_expect(eq(int, idle->connection->state, CONNECTION_IDLE));
    connection_hurry(idle->connection, 1100);
    connection_hurry(busy->connection, 1100);
    cr_expect(eq(int, idle->connection->state, CONNECTION_TAKE));
    cr_expect(eq(int, busy->connection->state, CONNECTION_HEAD));
    end(idle);
    end(busy);
}
