/* The loop without main. */

#include "connection.h"
#include "loop.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Returns the client of a new connection, who has sent a text. */
static int come(Connection **connection, Service *service, const char *text)
{
    int ends[2];
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    cr_assert(write(ends[1], text, strlen(text)) == (ssize_t)strlen(text));
    *connection = connection_new(ends[0], service);
    return ends[1];
}

/* Hands over such a connection. */
static int hand_over(Loop *loop, Service *service, const char *text)
{
    Connection *connection;
    int client = come(&connection, service, text);
    loop_hand_over(loop, connection);
    return client;
}

/* It had other things to do while it was told to look around, was given more
 * connections than it takes at once, and was stopped. None is forgotten:
 * neither who has gone already nor who comes after them. */
Test(loop, what_came_before_the_end_is_served, .timeout = 20)
{
    enum { GONE = 200 };
    signal(SIGPIPE, SIG_IGN);
    Site *site = site_load("assets");
    Service service = {.site = site, .stop_deadline = INT64_MAX};
    Loop *loop = loop_new();
    loop_look_around(loop);
    for (int i = 0; i < GONE; i++)
        close(hand_over(loop, &service, ""));
    int client = hand_over(loop, &service,
                           "GET / HTTP/1.1\r\nHost: a\r\n"
                           "Connection: close\r\n\r\n");
    shutdown(client, SHUT_WR);
    loop_stop(loop);
    loop_run(loop);
    char answer[4096] = "";
    cr_assert(recv(client, answer, sizeof answer - 1, MSG_DONTWAIT) > 0);
    cr_expect(strncmp(answer, "HTTP/1.1 200 OK\r\n", 17) == 0, "%s", answer);
    cr_expect(eq(int, service.connections, 0));
    close(client);
    loop_destroy(loop);
    site_free(site);
}

/* The first may come before its first turn: the answer has its date. */
Test(loop, who_comes_first_gets_the_date, .timeout = 20)
{
    Site *site = site_load("assets");
    Service service = {.site = site, .stop_deadline = INT64_MAX};
    Loop *loop = loop_new();
    Connection *connection;
    int client = come(&connection, &service, "GET /x HTTP/1.0\r\n\r\n");
    loop_take(loop, connection);
    char answer[4096] = "";
    cr_assert(recv(client, answer, sizeof answer - 1, MSG_DONTWAIT) > 0);
    cr_expect(strstr(answer, " GMT\r\n") != NULL, "%s", answer);
    close(client);
    loop_stop(loop);
    loop_run(loop);
    loop_destroy(loop);
    site_free(site);
}

/* It had nobody when it was told that the server stops. Who is let in then, and
 * says nothing, takes the room of others: he is not forgotten either. */
Test(loop, who_comes_after_the_signal_is_looked_at, .timeout = 20)
{
    Service service = {.stop_deadline = loop_clock() + STOP_TIME / 2};
    Loop *loop = loop_new();
    loop_look_around(loop);
    for (int64_t end = loop_clock() + 500; loop_clock() < end;)
        loop_turn(loop, 10); /* it looks around, for the last time */
    int client = hand_over(loop, &service, "");
    for (int64_t end = loop_clock() + 5000;
         loop_clock() < end && service.connections > 0;)
        loop_turn(loop, 10);
    cr_expect(eq(int, service.connections, 0));
    close(client);
    loop_stop(loop);
    loop_run(loop);
    loop_destroy(loop);
}
