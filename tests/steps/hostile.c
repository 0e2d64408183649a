/*
 * Clients that behave badly. Nothing they do may end the server or one of its
 * workers, or make it keep a descriptor or a thread.
 */

#include "shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(hostile, SUITE);

/* What ends the wait for a client that says nothing. */
static const char *no_time_out(void)
{
    return step("keeps_alive")
               ? "each connection has a deadline: poll gets what is left of it "
                 "as its time-out, and who has used it up is closed"
               : "the time-out of a read: SO_RCVTIMEO, 5 seconds, set on each "
                 "connection before it is read from";
}

#define NO_TIME_OUT                                                            \
    .expected = "after 5 s of silence it is given up", .cause = no_time_out(), \
    .key = "silent-client", .read = "The visitor who says nothing"

/* Checks what must hold after an attack, which may hold the server up for so
 * many seconds; the step says what that is. */
static void check_survived(Server *server, double seconds, int descriptors)
{
    if (step("answers") && !step("ends_after_two")) {
        check_hello_within(server, seconds);
        server_wait_threads(server, seconds, step("threads"));
        server_wait_descriptors(server, seconds, descriptors);
        check_one_process(server);
        server_stop(server);
    } else if (step("ends_after_two")) { /* the attack was the first of two */
        check_hello_within(server, seconds);
        server_wait_clean(server, seconds);
    } else { /* nothing is answered yet, but it still accepts */
        close(client_connect(server));
        server_wait_threads(server, seconds, step("threads"));
        server_stop(server);
    }
}

/* Starts a server, has count clients behave badly, checks. */
static void attack(int count, void (*behave)(const Server *server),
                   const char *what)
{
    Server server = server_start((Options){0});
    server_wait_threads(&server, 0, step("threads"));
    int descriptors = server_descriptors(&server);
    if (step("ends_after_two"))
        count = 1; /* the second connection is an honest one */
    doing(words("%d client%s %s; then one asked for /", count,
                count == 1 ? "" : "s", what));
    /* Where the backlog is full, each takes a second: then fewer will do. */
    Wait wait = {0};
    for (int i = 0; i < count && still_waiting(&wait, patience()); i++)
        behave(&server);
    check_survived(&server, 0, descriptors);
}

static void say_nothing(const Server *server)
{
    close(client_connect(server));
}

/*
 * More clients at once than the server has descriptors; or, where it accepts
 * one at a time, as many as a backlog of 128 holds.
 */
Test(hostile, a_crowd_at_once, TAKES_TIME)
{
    enum { CLIENTS = 350 };
    static int clients[CLIENTS];
    static Answer answers[CLIENTS];
    int crowd = step("accepts_on") && !step("ends_after_two") ? CLIENTS : 100;
    Server server = server_start((Options){.descriptors = 256});
    int descriptors = server_descriptors(&server);
    int count = 0, answered = 0;

    doing(words("%d clients came at once; the server may have 256 descriptors",
                crowd));
    Wait wait = {0};
    for (int i = 0; i < crowd && still_waiting(&wait, patience()); i++) {
        int client = client_try_connect(&server);
        if (client != -1)
            clients[count++] = client;
    }
    /* Main accepts on, until it has no descriptor left. */
    if (crowd == CLIENTS)
        while (server_descriptors(&server) < 250
               && still_waiting(&wait, patience())) {
            check_alive(&server);
            moment();
        }
    for (int i = 0; i < count; i++)
        client_ask(clients[i], "GET / HTTP/1.1");
    if (!step("ends_after_two")) {
        if (count < crowd)
            check_soon_alive(&server);
        check(count == crowd,
              .expected = "all are let in, or wait in the backlog",
              .got = words("%d of them were", count),
              .cause =
                  "the backlog of listen() is small: SOMAXCONN is as large as "
                  "it can be",
              .key = "backlog", .read = "Listening");
    }
    if (!step("answers")) {
        for (int i = 0; i < count; i++)
            close(clients[i]);
        check_soon_alive(&server);
        server_wait_threads(&server, 0, step("threads"));
        server_stop(&server);
        return;
    }
    clients_receive((size_t)count, clients, answers, 2 * patience());
    if (!step("ends_after_two"))
        check_soon_alive(&server);
    for (int i = 0; i < count; i++) {
        check(!answers[i].timed_out, .expected = "each is answered, or closed",
              .got = "some are neither",
              .cause =
                  "when accept() fails, for want of a descriptor, the loop "
                  "must go on",
              .key = "crowd", .read = "No descriptor left");
        answered += answers[i].complete;
        free(answers[i].data);
    }
    check(answered >= (step("ends_after_two") ? 2 : 90),
          .expected = "most are answered", .got = words("%d were", answered),
          .key = "crowd", .read = "No descriptor left");
    check(!step("ends_after_two") || answered == 2,
          .expected = "two are answered, then it shuts down",
          .got = words("%d were answered", answered), .key = "not-two",
          .read = "Two requests, then home");
    if (step("ends_after_two"))
        server_wait_clean(&server, 0);
    else
        check_survived(&server, 0, descriptors);
}

Test(hostile, nothing_sent_and_closed)
{
    attack(1000, say_nothing, "connected, said nothing, and closed");
}

static void reset_at_once(const Server *server)
{
    client_reset(client_connect(server));
}

Test(hostile, reset_before_the_request)
{
    attack(500, reset_at_once, "connected, and left with a reset");
}

static void leave_after_asking(const Server *server)
{
    int client = client_connect(server);
    client_ask(client, "GET / HTTP/1.1");
    client_reset(client);
}

Test(hostile, reset_before_the_answer)
{
    attack(500, leave_after_asking, "asked for /, and left with a reset");
}

static void ask_and_close(const Server *server)
{
    int client = client_connect(server);
    client_ask(client, "GET /foo HTTP/1.1");
    close(client);
}

Test(hostile, asked_and_gone)
{
    attack(500, ask_and_close, "asked for /foo, and left without waiting");
}

static void half_a_line(const Server *server)
{
    int client = client_connect(server);
    client_send(client, "GET / HT", 8);
    close(client);
}

Test(hostile, half_a_request_line)
{
    attack(100, half_a_line, "sent half of a request line, and left");
}

static void endless_line(const Server *server)
{
    static char block[100000];
    int client = client_connect(server);
    memset(block, 'A', sizeof block);
    /* A server that does not answer may never read: do not wait for it. */
    struct timeval limit = {.tv_sec = 2};
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    for (int i = 0; i < 1000; i++) /* 100 MB, or until the server has enough */
        if (send(client, block, sizeof block, MSG_NOSIGNAL) <= 0)
            break;
    close(client);
}

Test(hostile, a_line_of_100_mb)
{
    Server server = server_start((Options){0});
    server_wait_threads(&server, 0, step("threads"));
    int descriptors = server_descriptors(&server);
    long before = server_peak(&server);
    doing(
        "a client sent 100 MB without the end of a line; then one asked for /");
    endless_line(&server);
    if (step("answers")
        && !step("ends_after_two")) /* it has had enough of it */
        check_hello_within(&server, SILENCE);
    long growth = server_peak(&server) - before;
    check(growth < 20000, .expected = "the server reads at most 8 KiB of it",
          .got = words("it has grown by %ld KiB", growth),
          .cause = "the request line is not bounded", .key = "unbounded",
          .read = "Reading the request");
    check_survived(&server, SILENCE, descriptors);
}

static void binary(const Server *server)
{
    static const char nuls[] = "GET /\0 HTTP/1.1\0\r\n\r\n\0\0\0\0";
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)(255 - i);

    int client = client_connect(server);
    client_send(client, nuls, sizeof nuls);
    close(client);
    if (step("ends_after_two"))
        return;
    client = client_connect(server);
    client_send(client, bytes, sizeof bytes);
    client_send(client, "\r\n\r\n", 4);
    close(client);
}

Test(hostile, nuls_and_bytes_above_127)
{
    attack(50, binary, "sent bytes that are no text");
}

/* What it is answered with is open: C's strings end at a NUL. */
Test(hostile, a_nul_in_the_line)
{
    if (!step("answers")) {
        attack(1, binary, "sent bytes that are no text");
        return;
    }
    static const char request[] = "GET / HTTP/1.1\0, or so\r\n\r\n";
    Server server = server_start((Options){0});
    doing("a client sent a request line with a NUL byte in it");
    int client = client_connect(&server);
    client_send(client, request, sizeof request - 1);
    shutdown(client, SHUT_WR);
    Answer answer = client_receive(client, patience());
    check(answer.length == 0 || strncmp(answer.data, "HTTP/1.1 ", 9) == 0,
          .expected = "an answer of HTTP, or none",
          .got = words("`%.40s`", answer.data), .key = "nul");
    check(!answer.timed_out,
          .expected = "an answer, or the end of the connection",
          .got = "nothing: the server says nothing", .key = "nul");
    free(answer.data);
    if (step("ends_after_two")) {
        check_hello(&server);
        server_wait_clean(&server, 0);
    } else {
        server_stop(&server);
    }
}

Test(hostile, a_silent_client_is_given_up, TAKES_TIME)
{
    if (!step("answers"))
        return;
    Server server = server_start((Options){0});
    doing("a client connected and said nothing");
    int silent = client_connect(&server);
    double start = now();
    Answer answer = client_receive(silent, SILENCE + patience());
    check(!answer.timed_out,
          .got = words("it is still connected after %.1f s", answer.at - start),
          NO_TIME_OUT);
    check(answer.at - start > 4.5,
          .got = words("it was cut off after %.1f s", answer.at - start),
          NO_TIME_OUT);
    free(answer.data);
    server_stop(&server);
}

/* A client may think for a while, but not for ever. */
Test(hostile, a_slow_client_is_waited_for, TAKES_TIME)
{
    if (!step("answers"))
        return;
    Server server = server_start((Options){0});
    int slow = client_connect(&server);
    client_send(slow, "GET / HT", 8);
    for (double start = now(); now() < start + 3;)
        moment();
    const char *rest = "TP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client_send(slow, rest, strlen(rest));
    Answer answer = client_receive(slow, patience());
    check_answer(&answer, "GET / HTTP/1.1 (with a pause of 3 s in it)",
                 "HTTP/1.1 200 OK", "hello.html");
    free(answer.data);
    server_stop(&server);
}

/* A silent client may be waited for, but not for ever. */
Test(hostile, nothing_sent_and_kept_open, TAKES_TIME)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int silent = client_connect(&server);
    doing("a client connected and said nothing; then another asked for /");
    blame_the_read();
    check_survived(&server, SILENCE, descriptors);
    close(silent);
}

Test(hostile, half_a_line_and_kept_open, TAKES_TIME)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int silent = client_connect(&server);
    client_send(silent, "GET / HTTP", 10);
    doing("a client sent half of a line, no more; then another asked for /");
    blame_the_read();
    /* Who reads on after the half, for the headers, waits twice. */
    check_survived(&server, 2 * SILENCE, descriptors);
    close(silent);
}

/* Leaves while the answer is being sent: a page larger than any buffer. */
Test(hostile, reset_during_the_answer)
{
    char *folder = folder_with_page(20000000);

    Server server = server_start((Options){.folder = folder});
    int descriptors = server_descriptors(&server);
    doing("clients asked for a page of 20 MB, and left while it was sent");
    for (int i = 0; i < (step("ends_after_two") ? 1 : 10); i++) {
        int client = client_connect(&server);
        client_ask(client, "GET / HTTP/1.1");
        if (i % 2 == 0) /* that it has ended is known: writing is SIGPIPE */
            shutdown(client, SHUT_WR);
        if (step("answers")) { /* wait for the first bytes */
            char byte;
            bool answered = recv(client, &byte, 1, 0) > 0;
            if (!answered)
                check_soon_alive(&server);
            check(answered, .expected = "it is answered", .got = "nothing",
                  .key = "no-answer");
        }
        client_reset(client);
        moment();
        if (!step("ends_after_two"))
            check_alive(&server);
    }
    if (!step("answers")) {
        check_survived(&server, 0, descriptors);
    } else {
        Answer answer = client_get(&server, "GET /foo HTTP/1.1");
        check_answer(&answer,
                     "GET /foo HTTP/1.1, after others had left while they "
                     "were answered",
                     "HTTP/1.1 404 NOT FOUND", "gone\n");
        if (step("ends_after_two")) {
            server_wait_clean(&server, 0);
        } else {
            server_wait_descriptors(&server, 0, descriptors);
            server_stop(&server);
        }
    }
    folder_remove(folder);
}

/* The page is gone, then back: the server must outlive it, and say so. */
Test(hostile, hello_html_removed)
{
    if (step("speaks_http")) /* the pages are in memory */
        return;
    char *folder = folder_new(), path[4096];
    file_write(folder, "hello.html", "hello\n", 6);
    file_write(folder, "404.html", "gone\n", 5);
    snprintf(path, sizeof path, "%s/hello.html", folder);

    Server server = server_start((Options){.folder = folder});
    unlink(path);
    doing("hello.html was removed, and a client asked for /");
    bool answers = step("answers");
    int client = client_connect(&server);
    client_ask(client, "GET / HTTP/1.1");
    if (answers) {
        Answer answer = client_receive(client, patience());
        check(!answer.timed_out
                  && (answer.length == 0
                      || strncmp(answer.data, "HTTP/1.1 500", 12) == 0),
              .expected = "an answer with status 500, or the end of the "
                          "connection",
              .got = answer.timed_out ? "nothing: the server says nothing"
                                      : words("%.80s", answer.data),
              .cause = "on an error the connection must be closed, too",
              .key = "missing-page", .read = "A real page");
        if (answer.length == 0)
            check_soon_alive(&server);
        free(answer.data);
        char *errors = server_errors(&server);
        check(strstr(errors, "hello.html") != NULL,
              .expected = "a line on stderr that names the page",
              .got = *errors ? "other words" : "no word", .detail = errors,
              .key = "missing-page", .read = "A real page");
        free(errors);
    }
    file_write(folder, "hello.html", "hello\n", 6);
    if (answers) {
        Answer answer = client_get(&server, "GET / HTTP/1.1");
        check_answer(&answer,
                     "GET / HTTP/1.1 (hello.html had been removed, and "
                     "was back)",
                     "HTTP/1.1 200 OK", "hello\n");
        free(answer.data);
    }
    if (step("ends_after_two"))
        server_wait_clean(&server, 0);
    else
        server_stop(&server);
    folder_remove(folder);
}

/* As when no descriptor is left, but that the clients have no part in it. */
Test(hostile, accept_fails_for_a_while)
{
    Server server = server_start((Options){.failing_accept = true});
    int descriptors = server_descriptors(&server);
    doing("accept was made to fail for 0.4 s; then a client asked for /");
    while (now() < server.started + 0.5)
        moment();
    check_soon_alive(&server);
    if (step("ends_after_two"))
        check_hello(&server);
    check_survived(&server, 0, descriptors);
}
