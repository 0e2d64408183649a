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

TestSuite(hostile, .timeout = TIMEOUT);

/* Checks what must hold after an attack; the step says what that is. */
static void check_survived(Server *server, int descriptors)
{
    if (step("answers") && !step("ends_after_two")) {
        check_hello(server, "single-threaded");
        server_wait_threads(server, step_name(), step("threads"));
        server_wait_descriptors(server, descriptors);
        server_stop(server);
    } else if (step("ends_after_two")) { /* the attack was the first of two */
        check_hello(server, "single-threaded");
        server_wait_clean(server);
    } else { /* nothing is answered yet, but it still accepts */
        close(client_connect(server));
        server_wait_threads(server, step_name(), step("threads"));
        server_stop(server);
    }
}

/* Starts a server, has count clients behave badly, checks. */
static void attack(int count, void (*behave)(const Server *server))
{
    Server server = server_start((Options){0});
    server_wait_threads(&server, step_name(), step("threads"));
    int descriptors = server_descriptors(&server);
    if (step("ends_after_two"))
        count = 1; /* the second connection is an honest one */
    for (int i = 0; i < count; i++)
        behave(&server);
    check_survived(&server, descriptors);
}

static void say_nothing(const Server *server)
{
    close(client_connect(server));
}

Test(hostile, nothing_sent_and_closed)
{
    attack(1000, say_nothing);
}

static void reset_at_once(const Server *server)
{
    client_reset(client_connect(server));
}

Test(hostile, reset_before_the_request)
{
    attack(500, reset_at_once);
}

static void leave_after_asking(const Server *server)
{
    int client = client_connect(server);
    client_ask(client, "GET / HTTP/1.1");
    client_reset(client);
}

Test(hostile, reset_before_the_answer)
{
    attack(500, leave_after_asking);
}

static void ask_and_close(const Server *server)
{
    int client = client_connect(server);
    client_ask(client, "GET /foo HTTP/1.1");
    close(client);
}

Test(hostile, asked_and_gone)
{
    attack(500, ask_and_close);
}

static void half_a_line(const Server *server)
{
    int client = client_connect(server);
    client_send(client, "GET / HT", 8);
    close(client);
}

Test(hostile, half_a_request_line)
{
    attack(100, half_a_line);
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
    server_wait_threads(&server, step_name(), step("threads"));
    int descriptors = server_descriptors(&server);
    long before = server_peak(&server);
    endless_line(&server);
    if (step("answers")
        && !step("ends_after_two")) /* it has had enough of it */
        check_hello(&server, "single-threaded");
    long growth = server_peak(&server) - before;
    check("single-threaded", growth < 20000,
          "A line without end made the server grow by %ld KiB: the request "
          "line must be bounded, to 8 KiB",
          growth);
    check_survived(&server, descriptors);
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
    attack(50, binary);
}

/* Bytes behind a NUL belong to the line, though C's strings end there. */
Test(hostile, a_nul_does_not_end_the_line)
{
    if (!step("answers")) {
        attack(1, binary);
        return;
    }
    static const char request[] = "GET / HTTP/1.1\0, or so\r\n\r\n";
    Server server = server_start((Options){0});
    int client = client_connect(&server);
    client_send(client, request, sizeof request - 1);
    shutdown(client, SHUT_WR);
    Answer answer = client_receive(client, patience());
    check("single-threaded", strncmp(answer.data, "HTTP/1.1 200", 12) != 0,
          "A request line with a NUL byte in it was answered like `GET /`");
    free(answer.data);
    if (step("ends_after_two")) {
        check_hello(&server, "single-threaded");
        server_wait_clean(&server);
    } else {
        server_stop(&server);
    }
}

/* A silent client may be waited for, but not for ever. */
Test(hostile, nothing_sent_and_kept_open)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int silent = client_connect(&server);
    check_survived(&server, descriptors);
    close(silent);
}

Test(hostile, half_a_line_and_kept_open)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int silent = client_connect(&server);
    client_send(silent, "GET / HTTP", 10);
    check_survived(&server, descriptors);
    close(silent);
}

/* Leaves while the answer is being sent: a page larger than any buffer. */
Test(hostile, reset_during_the_answer)
{
    char *folder = folder_with_page(20000000);

    Server server = server_start((Options){.folder = folder});
    int descriptors = server_descriptors(&server);
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
            check("single-threaded", answered, "`/` got no answer");
        }
        client_reset(client);
        moment();
        if (!step("ends_after_two"))
            check_alive(&server);
    }
    if (!step("answers")) {
        check_survived(&server, descriptors);
    } else {
        Answer answer = client_get(&server, "GET /foo HTTP/1.1");
        check_answer("single-threaded", &answer, "GET /foo HTTP/1.1",
                     "HTTP/1.1 404 NOT FOUND", "gone\n");
        if (step("ends_after_two")) {
            server_wait_clean(&server);
        } else {
            server_wait_descriptors(&server, descriptors);
            server_stop(&server);
        }
    }
    folder_remove(folder);
}

/* The page is gone, then back: the server must outlive it, and say so. */
Test(hostile, hello_html_removed)
{
    char *folder = folder_new(), path[64];
    file_write(folder, "hello.html", "hello\n", 6);
    file_write(folder, "404.html", "gone\n", 5);
    snprintf(path, sizeof path, "%s/hello.html", folder);

    Server server = server_start((Options){.folder = folder});
    unlink(path);
    bool answers = step("answers");
    int client = client_connect(&server);
    client_ask(client, "GET / HTTP/1.1");
    if (answers) {
        Answer answer = client_receive(client, patience());
        check("single-threaded",
              !answer.timed_out
                  && (answer.length == 0
                      || strncmp(answer.data, "HTTP/1.1 500", 12) == 0),
              "Without hello.html, `/` should be answered with a 500, or the "
              "connection closed; got: %.80s",
              answer.data);
        free(answer.data);
        char *errors = server_errors(&server);
        check("single-threaded", strstr(errors, "hello.html") != NULL,
              "A missing page should be logged on stderr, by its name; there "
              "stands:\n%s",
              errors);
        free(errors);
    }
    file_write(folder, "hello.html", "hello\n", 6);
    if (answers) {
        Answer answer = client_get(&server, "GET / HTTP/1.1");
        check_answer("single-threaded", &answer,
                     "GET / HTTP/1.1 (after hello.html came back)",
                     "HTTP/1.1 200 OK", "hello\n");
        free(answer.data);
    }
    if (step("ends_after_two"))
        server_wait_clean(&server);
    else
        server_stop(&server);
    folder_remove(folder);
}

/* More clients at once than the server has descriptors. */
Test(hostile, a_thousand_at_once)
{
    enum { CLIENTS = 1000 };
    static int clients[CLIENTS];
    static Answer answers[CLIENTS];
    Server server = server_start((Options){.descriptors = 256});
    int descriptors = server_descriptors(&server);
    int count = 0, answered = 0;
    double start = now();

    for (int i = 0; i < CLIENTS; i++) {
        int client = client_try_connect(&server);
        if (now() > start + patience())
            break;
        if (client != -1)
            clients[count++] = client;
    }
    double connected = now() - start;
    /* Main accepts on, until it has no descriptor left. */
    if (step("accepts_on") && !step("ends_after_two"))
        while (server_descriptors(&server) < 250
               && now() < start + patience()) {
            check_alive(&server);
            moment();
        }
    for (int i = 0; i < count; i++)
        client_ask(clients[i], "GET / HTTP/1.1");
    if (!step("ends_after_two")) {
        if (count < CLIENTS)
            check_alive(&server);
        check("single-threaded", count == CLIENTS,
              "Of 1,000 connections at once only %d were let in within %.1f s: "
              "does listen() get SOMAXCONN? (On an old system, see also "
              "/proc/sys/net/core/somaxconn.)",
              count, connected);
    }
    if (!step("answers")) {
        for (int i = 0; i < count; i++)
            close(clients[i]);
        check("thread-pool-stub", server_alive(&server),
              "The server ended under 1,000 connections at once: %s",
              server_errors(&server));
        server_wait_threads(&server, step_name(), step("threads"));
        server_stop(&server);
        return;
    }
    clients_receive((size_t)count, clients, answers, 2 * patience());
    for (int i = 0; i < count; i++) {
        check("single-threaded", !answers[i].timed_out,
              "Of 1,000 connections at once some are neither answered nor "
              "closed after %.0f s",
              2 * patience());
        answered += answers[i].complete;
        free(answers[i].data);
    }
    if (!step("ends_after_two"))
        check_alive(&server);
    check("single-threaded", answered >= (step("ends_after_two") ? 2 : 100),
          "Of 1,000 requests at once only %d were answered", answered);
    check("graceful-shutdown", !step("ends_after_two") || answered == 2,
          "Of 1,000 requests at once %d were answered; the server should shut "
          "down after two",
          answered);
    if (step("ends_after_two"))
        server_wait_clean(&server);
    else
        check_survived(&server, descriptors);
}
