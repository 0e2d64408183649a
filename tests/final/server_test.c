/*
 * The server from outside, as its clients see it. The program under test has
 * shorter time-outs (see the Makefile here): IDLE, HEAD, DRAIN, WRITE seconds.
 */

#define _GNU_SOURCE /* memmem */
#include "answer.h"
#include "client.h"
#include "files.h"
#include "report.h"

#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define H "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" H "\r\n"
#define LAST "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n"
#define SLEEP "GET /sleep HTTP/1.1\r\n" H "\r\n"

static const int timeouts[] = {TIMEOUTS};
enum { IDLE, HEAD, DRAIN, WRITE };

TestSuite(server, .timeout = TIMEOUT);

/* --- helpers ------------------------------------------------------------- */

/* Starts the server with more options. */
static Server start_with(const char *options, Options how)
{
    setenv("OPTIONS", options, 1);
    return server_start(how);
}

static Server start(void)
{
    return start_with("--quiet", (Options){0});
}

/* Waits until the server ends. Returns its exit status, -1 after a signal. */
static int ended(Server *server)
{
    int status = server_wait(server);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Ends the server as its user does, and checks that it ended well. */
static void finish(Server *server)
{
    cr_assert(server_alive(server), "the server ended: %s",
              server_errors(server));
    kill(server->pid, SIGTERM);
    int status = ended(server);
    cr_assert(eq(int, status, 0), "%s", server_errors(server));
}

/* A connection, and what has come in on it. */
typedef struct {
    int socket;
    char *data;
    size_t size;
    bool ended, reset;
} Client;

typedef struct {
    int status; /* 0: none came */
    char head[1024];
    char *body;
    size_t size;
} Reply;

static Client client(const Server *server)
{
    return (Client){.socket = client_connect(server), .data = calloc(1, 1)};
}

static void say(Client *client, const char *text)
{
    client_send(client->socket, text, strlen(text));
}

static void leave(Client *client)
{
    close(client->socket);
    free(client->data);
}

/* Takes in what has come, waiting for at most that long. */
static void take_in(Client *client, double seconds)
{
    char part[65536];
    struct pollfd ready = {.fd = client->socket, .events = POLLIN};
    if (client->ended || poll(&ready, 1, (int)(seconds * 1000)) <= 0)
        return;
    ssize_t got = recv(client->socket, part, sizeof part, 0);
    client->ended = got <= 0;
    client->reset = got == -1;
    if (got > 0) {
        client->data = realloc(client->data, client->size + (size_t)got + 1);
        memcpy(client->data + client->size, part, (size_t)got);
        client->size += (size_t)got;
        client->data[client->size] = '\0';
    }
}

/* Returns the next answer on a connection; its status is 0 if none came whole
 * within that time. The answer to HEAD has no body. */
static Reply reply_to(Client *client, bool head_only, double seconds)
{
    double deadline = now() + seconds;
    Reply reply = {0};
    for (;;) {
        Head head = answer_head(client->data, client->size);
        if (head.size > 0 && head.body >= 0) {
            size_t body = head_only ? 0 : (size_t)head.body;
            size_t whole = head.size + body;
            if (client->size >= whole) {
                snprintf(reply.head, sizeof reply.head, "%.*s",
                         (int)head.size, client->data);
                reply.status = head.status;
                reply.size = body;
                reply.body = malloc(body + 1);
                memcpy(reply.body, client->data + head.size, body);
                reply.body[body] = '\0';
                client->size -= whole;
                memmove(client->data, client->data + whole, client->size + 1);
                return reply;
            }
        }
        if (client->ended || now() > deadline)
            return reply;
        take_in(client, 0.1);
    }
}

static Reply reply(Client *client)
{
    return reply_to(client, false, patience());
}

/* Returns how long it takes until the server closes, having said nothing. */
static double closed_after(Client *client)
{
    double start = now();
    while (!client->ended && now() < start + patience())
        take_in(client, 0.1);
    cr_assert(client->ended, "still open after %.0f s", patience());
    return now() - start;
}

/* Asks on a new connection. Returns the status. */
static int ask(const Server *server, const char *request)
{
    Client one = client(server);
    say(&one, request);
    Reply answer = reply(&one);
    free(answer.body);
    leave(&one);
    return answer.status;
}

static void check_pages(const Server *server)
{
    Client one = client(server);
    say(&one, GET);
    Reply answer = reply(&one);
    size_t size;
    char *page = file_read(NULL, "hello.html", &size);
    cr_assert(eq(int, answer.status, 200));
    cr_assert(eq(sz, answer.size, size));
    cr_assert(memcmp(answer.body, page, size) == 0);
    free(page);
    free(answer.body);
    leave(&one);
}

/* Makes a folder with hello.html and a large page. */
static char *large_site(void)
{
    enum { LARGE = 8000000 };
    char *folder = folder_new(), *page = malloc(LARGE);
    for (int i = 0; i < LARGE; i++)
        page[i] = (char)('a' + i % 23);
    file_write(folder, "hello.html", "small", 5);
    file_write(folder, "large.txt", page, LARGE);
    free(page);
    return folder;
}

/* Asks for the large page on a new connection, with so little room for what
 * comes; 0: with the usual. */
static Client ask_for_large(const Server *server, int room)
{
    Client one = client(server);
    if (room > 0)
        setsockopt(one.socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    say(&one, "GET /large.txt HTTP/1.1\r\n" H "\r\n");
    return one;
}

static void drop_site(char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/hello.html", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/large.txt", folder);
    unlink(path);
    rmdir(folder);
    free(folder);
}

static bool within(double seconds, double from, double to)
{
    return seconds >= from && seconds <= to;
}

/* How much later than at its deadline a thing may be noticed on a machine
 * with other things to do. */
#define SLACK 5

/* --- what is served ------------------------------------------------------ */

Test(server, pages_and_heads)
{
    Server server = start();
    check_pages(&server);
    Client one = client(&server);
    say(&one, "GET /nope HTTP/1.1\r\n" H "\r\n");
    Reply answer = reply(&one);
    cr_expect(eq(int, answer.status, 404));
    cr_expect(strstr(answer.body, "Oops!") != NULL);
    char length[64];
    say(&one, "HEAD / HTTP/1.1\r\n" H "\r\n");
    answer = reply_to(&one, true, patience());
    cr_expect(eq(int, answer.status, 200));
    size_t size;
    free(file_read(NULL, "hello.html", &size));
    snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", size);
    cr_expect(strstr(answer.head, length) != NULL);
    cr_expect(strstr(answer.head, "\r\nDate: ") != NULL);
    say(&one, GET); /* nothing of a body stands between */
    cr_expect(eq(int, reply(&one).status, 200));
    leave(&one);
    finish(&server);
}

Test(server, keep_alive)
{
    Server server = start();
    Client one = client(&server);
    for (int i = 0; i < 1000; i++) {
        say(&one, GET);
        Reply answer = reply(&one);
        cr_assert(eq(int, answer.status, 200), "request %d", i);
        free(answer.body);
    }
    cr_expect(not(one.ended));
    say(&one, LAST);
    Reply answer = reply(&one);
    cr_expect(strstr(answer.head, "\r\nConnection: close\r\n") != NULL);
    closed_after(&one);
    cr_expect(not(one.reset));
    leave(&one);
    finish(&server);
}

Test(server, http_1_0)
{
    Server server = start();
    Client one = client(&server);
    say(&one, "GET / HTTP/1.0\r\n\r\n");
    cr_expect(eq(int, reply(&one).status, 200));
    closed_after(&one);
    leave(&one);
    one = client(&server);
    say(&one, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    Reply answer = reply(&one);
    cr_expect(strstr(answer.head, "\r\nConnection: keep-alive\r\n") != NULL);
    say(&one, GET);
    cr_expect(eq(int, reply(&one).status, 200));
    leave(&one);
    finish(&server);
}

Test(server, pipelining)
{
    Server server = start();
    Client one = client(&server);
    for (int i = 0; i < 5000; i++)
        say(&one, i % 3 == 0 ? "GET /nope HTTP/1.1\r\n" H "\r\n" : GET);
    for (int i = 0; i < 5000; i++) {
        Reply answer = reply(&one);
        cr_assert(eq(int, answer.status, i % 3 == 0 ? 404 : 200), "%d", i);
        free(answer.body);
    }
    leave(&one);
    finish(&server);
}

Test(server, a_large_page_in_small_pieces)
{
    char *folder = large_site();
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client one = ask_for_large(&server, 16384);
    say(&one, GET);
    Reply answer = reply(&one);
    cr_assert(eq(int, answer.status, 200));
    cr_assert(eq(sz, answer.size, 8000000));
    for (size_t i = 0; i < answer.size; i++)
        cr_assert(answer.body[i] == (char)('a' + i % 23), "byte %zu", i);
    answer = reply(&one);
    cr_expect(eq(str, answer.body, "small"));
    leave(&one);
    finish(&server);
    drop_site(folder);
}

Test(server, no_request_leaves_the_folder)
{
    Server server = start();
    static const char *const paths[] = {
        "/../LICENSE", "/../../../../../../etc/passwd", "/%2e%2e/LICENSE",
        "/..%2fLICENSE", "/%2e%2e%2fLICENSE", "/%252e%252e/LICENSE",
        "/..%c0%afLICENSE", "/..%5cLICENSE", "//etc/passwd", "/etc/passwd",
        "/hello.html/../../LICENSE", "/.", "/..", "/hello.html%00.png",
        "http://a/../LICENSE", "http://a/%2e%2e/LICENSE"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char request[256];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" H "\r\n",
                 paths[i]);
        cr_expect(eq(int, ask(&server, request), 404), "%s", paths[i]);
    }
    finish(&server);
}

Test(server, errors_are_answered_whole_and_end_the_connection)
{
    static char line[20000], header[20000];
    snprintf(line, sizeof line, "GET /%010000d HTTP/1.1\r\n" H "\r\n", 0);
    snprintf(header, sizeof header, "GET / HTTP/1.1\r\n" H "X: %010000d\r\n\r\n",
             0);
    const struct {
        const char *request;
        int status;
    } errors[] = {
        {"nonsense\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\n\r\n", 505},
        {"BREW / HTTP/1.1\r\n" H "\r\n", 501},
        {"DELETE / HTTP/1.1\r\n" H "\r\n", 405},
        {line, 414},
        {header, 431},
    };
    Server server = start();
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        Client one = client(&server);
        say(&one, errors[i].request);
        Reply answer = reply(&one);
        cr_expect(eq(int, answer.status, errors[i].status));
        cr_expect(answer.size > 0);
        shutdown(one.socket, SHUT_WR);
        closed_after(&one);
        cr_expect(not(one.reset));
        leave(&one);
    }
    finish(&server);
}

/* The answer must arrive though megabytes are still on their way to us. */
Test(server, no_answer_is_lost_to_a_reset)
{
    Server server = start();
    char *body = calloc(1, 2000000);
    for (int i = 0; i < 20; i++) {
        Client one = client(&server);
        say(&one, i % 2 ? "GET /" : "POST / HTTP/1.1\r\n" H
                          "Content-Length: 2000000\r\n\r\n");
        client_send(one.socket, body, 2000000);
        Reply answer = reply(&one);
        cr_expect(eq(int, answer.status, i % 2 ? 414 : 405));
        cr_expect(not(one.reset));
        leave(&one);
    }
    free(body);
    finish(&server);
}

Test(server, one_line_of_log_for_each_request)
{
    Server server = start_with("", (Options){0});
    cr_expect(eq(int, ask(&server, GET), 200));
    cr_expect(eq(int, ask(&server, "GET /x HTTP/1.1\r\n" H "\r\n"), 404));
    cr_expect(eq(int, ask(&server, "GET /\x1b[31m HTTP/1.1\r\n" H "\r\n"), 400));
    server_wait_output(&server, "400", 1);
    char *output = server_output(&server);
    cr_expect(eq(int, occurrences(output, "\n"), 4));
    cr_expect(strchr(output, '\x1b') == NULL); /* nothing a terminal obeys */
    cr_expect(strstr(output, "\n200 /\n404 /x\n400") != NULL, "%s", output);
    finish(&server);
    server = start();
    ask(&server, GET);
    finish(&server);
    output = server_output(&server);
    cr_expect(eq(int, occurrences(output, "\n"), 2), "%s", output);
}

/* --- work that takes time ------------------------------------------------ */

Test(server, slow_requests_do_not_hold_up_others)
{
    Server server = start();
    Client slow[4];
    double begun = now();
    for (int i = 0; i < 4; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
    }
    for (int i = 0; i < 20; i++)
        check_pages(&server);
    cr_expect(eq(int, server_threads(&server), 5));
    cr_assert(lt(dbl, now() - begun, 5));
    for (int i = 0; i < 4; i++)
        cr_expect(eq(int, reply(&slow[i]).status, 200));
    cr_expect(within(now() - begun, 4.9, 5 + SLACK), "%f s", now() - begun);
    for (int i = 0; i < 4; i++) { /* and they live on */
        say(&slow[i], GET);
        cr_expect(eq(int, reply(&slow[i]).status, 200));
        leave(&slow[i]);
    }
    finish(&server);
}

/* One worker has one, 128 wait for it, and that is enough. */
Test(server, too_many_slow_requests_are_refused)
{
    Server server = start_with("--quiet --threads 1", (Options){0});
    Client slow[140];
    for (int i = 0; i < 140; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
    }
    int refused = 0;
    for (int i = 0; i < 140; i++) {
        Reply answer = reply_to(&slow[i], false, i < 129 ? 0 : 2);
        if (answer.status == 503) {
            refused++;
            cr_expect(strstr(answer.head, "\r\nRetry-After: ") != NULL);
            cr_expect(strstr(answer.head, "\r\nConnection: close\r\n") != NULL);
        }
    }
    cr_expect(within(refused, 10, 11), "%d refused", refused);
    check_pages(&server);
    server_stop(&server);
}

/* While a worker has the connection, the server does not look at it: neither
 * at what else it says nor at its end. */
Test(server, clients_that_talk_or_leave_during_their_work)
{
    Server server = start();
    int descriptors = server_descriptors(&server);
    Client slow[4];
    for (int i = 0; i < 4; i++) {
        slow[i] = client(&server);
        say(&slow[i], GET);
        cr_assert(eq(int, reply(&slow[i]).status, 200));
    }
    for (int i = 0; i < 4; i++)
        say(&slow[i], SLEEP);
    check_pages(&server); /* so it has read what came before */
    double cpu = server_cpu(&server), begun = now();
    say(&slow[0], GET);
    client_reset(slow[1].socket);
    client_reset(slow[2].socket);
    shutdown(slow[3].socket, SHUT_WR);
    cr_assert(eq(int, reply(&slow[0]).status, 200));
    cr_expect(now() - begun > 4.5);
    cr_assert(eq(int, reply(&slow[0]).status, 200));
    cr_assert(eq(int, reply(&slow[3]).status, 200));
    cr_expect(lt(dbl, server_cpu(&server) - cpu, 0.1)); /* no spinning */
    leave(&slow[0]);
    leave(&slow[3]);
    server_wait_descriptors(&server, descriptors);
    finish(&server);
}

/* --- deadlines ----------------------------------------------------------- */

Test(server, silence_ends)
{
    Server server = start();
    Client fresh = client(&server), used = client(&server);
    say(&used, GET);
    cr_expect(eq(int, reply(&used).status, 200));
    double seconds = closed_after(&fresh);
    cr_expect(within(seconds, timeouts[IDLE] - 0.5, timeouts[IDLE] + SLACK),
              "%f s", seconds);
    closed_after(&used);
    cr_expect(eq(sz, fresh.size, 0)); /* without a word */
    cr_expect(eq(sz, used.size, 0));
    leave(&fresh);
    leave(&used);
    finish(&server);
}

/* The time is that of the whole head, however many bytes keep coming. */
Test(server, a_trickle_is_cut_off)
{
    Server server = start();
    Client slow = client(&server);
    double begun = now();
    while (!slow.ended && slow.size == 0 && now() < begun + patience()) {
        say(&slow, "G");
        take_in(&slow, 0.1);
    }
    double seconds = now() - begun;
    cr_expect(within(seconds, timeouts[HEAD] - 0.1, timeouts[HEAD] + SLACK),
              "%f s", seconds);
    cr_expect(eq(int, reply(&slow).status, 408));
    leave(&slow);

    Client second = client(&server); /* and so is one after a whole request */
    say(&second, GET "GET");
    cr_expect(eq(int, reply(&second).status, 200));
    cr_expect(eq(int, reply(&second).status, 408));
    leave(&second);
    finish(&server);
}

/* What has come in time counts, though the server was not there to see it. */
Test(server, time_spent_stopped_is_forgiven)
{
    Server server = start();
    Client one = client(&server);
    say(&one, GET "GET / HT");
    cr_assert(eq(int, reply(&one).status, 200));
    double begun = now();
    kill(server.pid, SIGSTOP);
    cr_assert(waitpid(server.pid, NULL, WUNTRACED) == server.pid);
    say(&one, "TP/1.1\r\n" H "\r\n");
    while (now() < begun + timeouts[HEAD] + 0.5)
        moment();
    kill(server.pid, SIGCONT);
    cr_expect(eq(int, reply(&one).status, 200));
    leave(&one);
    finish(&server);
}

/* Of a head that stays incomplete, only what is well-formed is logged. */
Test(server, the_log_cannot_be_forged)
{
    Server server = start_with("", (Options){0});
    Client one = client(&server);
    say(&one, GET "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n"
        "X: x\n200 /forged\x1b[31m");
    cr_expect(eq(int, reply(&one).status, 200));
    cr_expect(eq(int, reply(&one).status, 408));
    server_wait_output(&server, "\n408", 1);
    char *output = server_output(&server);
    cr_expect(strstr(output, "\n408 /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n") != NULL,
              "%s", output);
    cr_expect(strstr(output, "forged") == NULL);
    leave(&one);
    finish(&server);
}

/* A busy client has new time for each head. */
Test(server, a_new_head_has_new_time)
{
    Server server = start();
    Client one = client(&server);
    double begun = now();
    say(&one, "GE");
    while (now() < begun + 2 * timeouts[HEAD]) {
        say(&one, "T / HTTP/1.1\r\n" H "\r\nGE");
        cr_assert(eq(int, reply(&one).status, 200));
        moment();
    }
    leave(&one);
    finish(&server);
}

Test(server, a_client_that_never_reads_is_cut_off)
{
    char *folder = large_site();
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    int descriptors = server_descriptors(&server);
    double begun = now();
    Client deaf = ask_for_large(&server, 0);
    take_in(&deaf, 1);
    server_wait_descriptors(&server, descriptors + 1);
    server_wait_descriptors(&server, descriptors);
    cr_expect(within(now() - begun, timeouts[WRITE] - 0.1,
                     timeouts[WRITE] + SLACK),
              "%f s", now() - begun);
    leave(&deaf);
    finish(&server);
    drop_site(folder);
}

/* But who reads slowly is not: there is new time for each part. */
Test(server, a_client_that_reads_slowly_gets_all)
{
    char *folder = large_site();
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client slow = ask_for_large(&server, 65536);
    double begun = now();
    while (slow.size < 8000000 && !slow.ended) {
        take_in(&slow, patience());
        if (now() - begun < 4 * timeouts[WRITE]) /* then it may hurry */
            nanosleep(&(struct timespec){.tv_nsec = 250000000}, NULL);
    }
    cr_expect(now() - begun > 2 * timeouts[WRITE]);
    Reply answer = reply(&slow);
    cr_expect(eq(sz, answer.size, 8000000));
    leave(&slow);
    finish(&server);
    drop_site(folder);
}

Test(server, a_client_that_does_not_close_is_closed)
{
    Server server = start();
    int descriptors = server_descriptors(&server);
    Client one = client(&server);
    double begun = now();
    say(&one, "nonsense\r\n");
    cr_expect(eq(int, reply(&one).status, 400));
    while (server_descriptors(&server) > descriptors
           && now() < begun + patience()) {
        say(&one, "and more, and more"); /* does not help */
        moment();
    }
    cr_expect(within(now() - begun, timeouts[DRAIN] - 0.1,
                     timeouts[DRAIN] + SLACK),
              "%f s", now() - begun);
    leave(&one);
    finish(&server);
}

Test(server, idle_costs_nothing)
{
    Server server = start();
    Client idle[100];
    for (int i = 0; i < 100; i++) {
        idle[i] = client(&server);
        say(&idle[i], GET);
        cr_assert(eq(int, reply(&idle[i]).status, 200));
    }
    double cpu = server_cpu(&server), begun = now();
    while (now() < begun + 0.9 * timeouts[IDLE])
        moment();
    cr_expect(lt(dbl, server_cpu(&server) - cpu, 0.05));
    for (int i = 0; i < 100; i++)
        leave(&idle[i]);
    finish(&server);
}

/* --- limits -------------------------------------------------------------- */

enum { CROWD = 1000 };

/* Opens so many connections at once, without waiting for any. */
static void crowd_in(const Server *server, Client clients[])
{
    for (int i = 0; i < CROWD; i++)
        clients[i] = client(server);
}

Test(server, a_crowd_with_256_descriptors)
{
    Server server = start_with("--quiet", (Options){.descriptors = 256});
    static Client clients[CROWD];
    crowd_in(&server, clients);
    for (int i = 0; i < CROWD; i++)
        say(&clients[i], LAST);
    for (int i = 0; i < CROWD; i++)
        cr_assert(eq(int, reply(&clients[i]).status, 200), "client %d", i);
    for (int i = 0; i < CROWD; i++)
        leave(&clients[i]);
    check_pages(&server);
    cr_expect(eq(int, server_threads(&server), 5));
    finish(&server);
}

/* Those that say nothing have to make room for those that ask. */
Test(server, a_silent_crowd_with_256_descriptors)
{
    Server server = start_with("--quiet", (Options){.descriptors = 256});
    static Client clients[CROWD];
    crowd_in(&server, clients);
    double begun = now(), cpu = server_cpu(&server);
    check_pages(&server);
    cr_expect(lt(dbl, now() - begun, CROWD / 256 + 1 + SLACK));
    cr_expect(lt(dbl, server_cpu(&server) - cpu, 0.5)); /* no spinning */
    for (int i = 0; i < CROWD; i++)
        leave(&clients[i]);
    check_pages(&server);
    finish(&server);
}

/* Connections that have been idle for a second end before their time. */
Test(server, an_idle_connection_makes_room)
{
    Server server = start_with("--quiet", (Options){.descriptors = 16});
    Client clients[16];
    double begun = now();
    for (int i = 0; i < 16; i++) {
        clients[i] = client(&server);
        say(&clients[i], GET);
        cr_assert(eq(int, reply(&clients[i]).status, 200), "client %d", i);
    }
    cr_expect(lt(dbl, now() - begun, timeouts[IDLE] - 1));
    closed_after(&clients[0]);
    for (int i = 0; i < 16; i++)
        leave(&clients[i]);
    finish(&server);
}

/* All descriptors are taken by clients who cannot be sent away. */
Test(server, out_of_descriptors_without_spinning)
{
    Server server = start_with("--quiet", (Options){.descriptors = 16});
    Client slow[16];
    for (int i = 0; i < 16; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
    }
    double cpu = server_cpu(&server), begun = now();
    while (now() < begun + 3)
        moment();
    cr_expect(lt(dbl, server_cpu(&server) - cpu, 0.1));
    for (int i = 0; i < 16; i++) {
        cr_expect(eq(int, reply(&slow[i]).status, 200), "client %d", i);
        leave(&slow[i]);
    }
    finish(&server);
}

/* That there is room again is noticed at once, not when all is quiet. */
Test(server, room_is_noticed_while_another_keeps_it_busy)
{
    Server server = start_with("--quiet", (Options){.descriptors = 12});
    Client busy = client(&server), slow[4], waiting;
    say(&busy, GET);
    cr_assert(eq(int, reply(&busy).status, 200));
    for (int i = 0; i < 4; i++) {
        slow[i] = client(&server);
        say(&slow[i], "GET /sleep HTTP/1.0\r\n\r\n");
    }
    waiting = client(&server);
    say(&waiting, GET);
    for (double begun = now(); now() < begun + 5 + SLACK && waiting.size == 0;) {
        say(&busy, GET);
        Reply answer = reply(&busy);
        cr_assert(eq(int, answer.status, 200));
        free(answer.body);
        take_in(&waiting, 0);
    }
    cr_expect(ne(sz, waiting.size, 0), "it was not noticed");
    for (int i = 0; i < 4; i++)
        leave(&slow[i]);
    leave(&busy);
    leave(&waiting);
    finish(&server);
}

/* Nor only when it is looked for, once a second. */
Test(server, room_is_noticed_at_once)
{
    Server server = start_with("--quiet", (Options){.descriptors = 16});
    Client waiting, half[9];
    double begun = now();
    for (int i = 0; i < 9; i++) {
        half[i] = client(&server);
        say(&half[i], "GET / HT");
    }
    for (int round = 0; round < 18; round++) {
        for (int i = 0; i < 9; i++) { /* none is idle, none is late */
            say(&half[i], "TP/1.1\r\n" H "\r\nGET / HT");
            cr_assert(eq(int, reply(&half[i]).status, 200));
        }
        waiting = client(&server);
        say(&waiting, "GET / HT");
        moment();
        leave(&half[round % 9]);
        half[round % 9] = waiting;
    }
    cr_expect(lt(dbl, now() - begun, SLACK));
    for (int i = 0; i < 9; i++)
        leave(&half[i]);
    finish(&server);
}

Test(server, takes_as_many_descriptors_as_it_may)
{
    setenv("SOFT_LIMIT", "32", 1);
    Server server = start();
    Client clients[64];
    for (int i = 0; i < 64; i++) {
        clients[i] = client(&server);
        say(&clients[i], GET);
    }
    for (int i = 0; i < 64; i++)
        cr_expect(eq(int, reply(&clients[i]).status, 200), "client %d", i);
    cr_expect(server_descriptors(&server) > 64);
    for (int i = 0; i < 64; i++)
        leave(&clients[i]);
    finish(&server);
}

Test(server, nothing_is_left_open)
{
    Server server = start();
    int descriptors = server_descriptors(&server);
    for (int i = 0; i < 1000; i++)
        cr_assert(eq(int, ask(&server, i % 2 ? LAST : GET), 200));
    server_wait_descriptors(&server, descriptors);
    finish(&server);
}

/* --- hostile clients, ten of each kind at once, and honest ones ---------- */

static void hostile(void (*attack)(Client *client))
{
    Server server = start();
    int descriptors = server_descriptors(&server);
    Client bad[10];
    for (int i = 0; i < 10; i++)
        bad[i] = client(&server);
    double begun = now();
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 10; i++)
            attack(&bad[i]);
        double asked = now();
        check_pages(&server);
        cr_expect(lt(dbl, now() - asked, SLACK));
    }
    (void)begun;
    for (int i = 0; i < 10; i++)
        leave(&bad[i]);
    check_pages(&server);
    server_wait_descriptors(&server, descriptors);
    cr_expect(eq(int, server_threads(&server), 5));
    finish(&server);
}

/* The same connection comes up in each round; -1 once it is closed. */
static void nothing_and_open(Client *client)
{
    (void)client;
}

static void half_a_line(Client *client)
{
    say(client, "GET / HT");
}

static void a_byte_at_a_time(Client *client)
{
    say(client, "G");
}

static void an_endless_line(Client *client)
{
    static char block[100000];
    memset(block, 'a', sizeof block);
    client_send(client->socket, block, sizeof block);
}

static void endless_headers(Client *client)
{
    say(client, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 2000; i++)
        say(client, "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n");
}

static void nuls(Client *client)
{
    static const char block[5000];
    client_send(client->socket, block, sizeof block);
    say(client, "\r\n\r\n");
}

static void bytes_above_127(Client *client)
{
    char block[256];
    for (int i = 0; i < 256; i++)
        block[i] = (char)(255 - i);
    client_send(client->socket, block, sizeof block);
}

static void asks_and_never_reads(Client *client)
{
    for (int i = 0; i < 50; i++)
        send(client->socket, GET, strlen(GET), MSG_DONTWAIT | MSG_NOSIGNAL);
}

Test(server, hostile_nothing_and_open)
{
    hostile(nothing_and_open);
}

Test(server, hostile_half_a_line)
{
    hostile(half_a_line);
}

Test(server, hostile_a_byte_at_a_time)
{
    hostile(a_byte_at_a_time);
}

Test(server, hostile_an_endless_line)
{
    hostile(an_endless_line);
}

Test(server, hostile_endless_headers)
{
    hostile(endless_headers);
}

Test(server, hostile_nuls)
{
    hostile(nuls);
}

Test(server, hostile_bytes_above_127)
{
    hostile(bytes_above_127);
}

Test(server, hostile_asks_and_never_reads)
{
    hostile(asks_and_never_reads);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Asks honestly for that long. Prints and returns how long 99 % took at most. */
static double honest_p99(const Server *server, double seconds,
                         const char *when, void (*meanwhile)(const Server *))
{
    enum { MOST = 1000000 };
    static double took[MOST];
    size_t count = 0;
    for (double begun = now(); now() < begun + seconds && count < MOST;) {
        double asked = now();
        check_pages(server); /* not one is lost */
        took[count++] = now() - asked;
        meanwhile(server);
    }
    qsort(took, count, sizeof *took, compare);
    double p99 = took[count * 99 / 100];
    printf("%zu requests %s: all answered, 99 %% within %.1f ms\n", count, when,
           p99 * 1e3);
    return p99;
}

static void wait_a_moment(const Server *server)
{
    (void)server;
    moment();
}

/* Each time another of 10 clients of each of 8 kinds misbehaves. */
static void misbehave(const Server *server)
{
    static void (*const kinds[])(Client *) = {
        nothing_and_open, half_a_line,     a_byte_at_a_time, an_endless_line,
        endless_headers,  bytes_above_127, nuls,             asks_and_never_reads};
    enum { BAD = 80 };
    static Client bad[BAD];
    static int next;
    Client *one = &bad[next % BAD];
    if (one->data != NULL && next / BAD % 4 == 0) { /* in time, a new one */
        if (next % 3 == 0)
            client_reset(one->socket);
        else
            close(one->socket);
        free(one->data);
        one->data = NULL;
    }
    if (one->data == NULL)
        *one = client(server);
    kinds[next % 8](one);
    next++;
}

Test(server, hostile_clients_of_all_kinds_at_once)
{
    const char *setting = getenv("HOSTILE_SECONDS");
    double seconds = setting != NULL ? atof(setting) : 8;
    Server server = start();
    double before = honest_p99(&server, 1, "alone", wait_a_moment);
    double during =
        honest_p99(&server, seconds, "beside 80 hostile clients", misbehave);
    cr_expect(lt(dbl, during, 10 * before + 0.1));
    finish(&server);
}

/* Those that need a new connection each time. */
static void come_and_go(const Server *server, const char *text, bool reset)
{
    for (int i = 0; i < 10; i++) {
        Client one = client(server);
        say(&one, text);
        if (reset)
            client_reset(one.socket);
        else
            close(one.socket);
        free(one.data);
    }
}

Test(server, hostile_comers_and_goers)
{
    Server server = start();
    int descriptors = server_descriptors(&server);
    static const char *const texts[] = {"", "GET / HT", GET, GET GET GET, SLEEP,
                                        "nonsense\r\n"};
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            come_and_go(&server, texts[i], round % 2 == 0);
            check_pages(&server);
        }
    server_wait_descriptors(&server, descriptors + 4 + 128);
    server_stop(&server); /* the sleepers' work would take minutes */
}

/* --- shutdown ------------------------------------------------------------ */

Test(server, shutdown_finishes_what_was_asked)
{
    Server server = start();
    Client slow = client(&server), idle = client(&server),
           half = client(&server);
    say(&idle, GET);
    cr_expect(eq(int, reply(&idle).status, 200));
    say(&half, "GET / HT");
    say(&slow, SLEEP);
    check_pages(&server); /* so it has read what came before */
    double begun = now();
    kill(server.pid, SIGTERM);
    closed_after(&idle);
    closed_after(&half);
    cr_expect(lt(dbl, now() - begun, 4));
    for (int socket; (socket = client_try_connect(&server)) != -1;) {
        cr_assert(now() - begun < 4, "it still listens");
        close(socket);
    }
    Reply answer = reply(&slow);
    cr_expect(eq(int, answer.status, 200));
    cr_expect(strstr(answer.head, "\r\nConnection: close\r\n") != NULL);
    leave(&slow);
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
    cr_expect(eq(sz, half.size, 0));
    leave(&idle);
    leave(&half);
}

Test(server, interrupt_is_a_shutdown_too)
{
    Server server = start();
    check_pages(&server);
    kill(server.pid, SIGINT);
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
}

Test(server, a_second_signal_ends_at_once)
{
    Server server = start();
    Client slow = client(&server);
    say(&slow, SLEEP);
    check_pages(&server);
    kill(server.pid, SIGTERM);
    server_wait_output(&server, "Shutting down.", 1);
    double begun = now();
    kill(server.pid, SIGINT);
    int status = ended(&server);
    cr_expect(eq(int, status, 1));
    cr_expect(lt(dbl, now() - begun, 4));
    leave(&slow);
}

Test(server, shutdown_has_a_bound)
{
    Server server = start_with("--quiet --threads 1", (Options){0});
    Client idle = client(&server);
    say(&idle, GET);
    cr_assert(eq(int, reply(&idle).status, 200));
    closed_after(&idle); /* so that there is no other deadline any more */
    leave(&idle);
    Client slow[4]; /* 20 s of work: the next is done 5 s after the bound */
    for (int i = 0; i < 4; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
    }
    cr_assert(eq(int, ask(&server, LAST), 200)); /* nor does this leave one */
    double begun = now();
    while (now() < begun + 0.3) /* so that no work ends right at the bound */
        moment();
    begun = now();
    kill(server.pid, SIGTERM);
    for (int i = 0; i < 4; i++)
        client_reset(slow[i].socket); /* so that nothing else is waited for */
    int status = ended(&server);
    cr_expect(eq(int, status, 1));
    cr_expect(within(now() - begun, 9.95, 10 + SLACK - 1), "%f s", now() - begun);
    for (int i = 0; i < 4; i++)
        free(slow[i].data);
}

/* What the client sends in the middle of an answer does not cost it the rest. */
Test(server, shutdown_finishes_an_answer)
{
    char *folder = large_site();
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client one = ask_for_large(&server, 0);
    take_in(&one, patience());
    say(&one, GET);
    kill(server.pid, SIGTERM);
    Reply answer = reply(&one);
    cr_expect(eq(sz, answer.size, 8000000));
    cr_expect(eq(int, reply(&one).status, 200));
    closed_after(&one);
    cr_expect(not(one.reset));
    leave(&one);
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
    drop_site(folder);
}

/* Those who wait to be accepted have asked, too; idle ones make room. */
Test(server, shutdown_answers_who_waits_at_the_limit)
{
    Server server = start_with("--quiet", (Options){.descriptors = 16});
    Client idle[9], waiting[3];
    for (int i = 0; i < 9; i++) {
        idle[i] = client(&server);
        say(&idle[i], GET);
        cr_assert(eq(int, reply(&idle[i]).status, 200));
    }
    for (int i = 0; i < 3; i++) {
        waiting[i] = client(&server);
        say(&waiting[i], GET);
    }
    kill(server.pid, SIGTERM);
    for (int i = 0; i < 3; i++) {
        cr_expect(eq(int, reply(&waiting[i]).status, 200));
        leave(&waiting[i]);
    }
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
    for (int i = 0; i < 9; i++)
        leave(&idle[i]);
}

/* Every answer whole, or not begun: while 16 clients ask all the time. */
Test(server, shutdown_under_load)
{
    for (int round = 0; round < 10; round++) {
        Server server = start();
        Client clients[16];
        long answers = 0;
        for (int i = 0; i < 16; i++)
            clients[i] = client(&server);
        bool told = false;
        int open = 16;
        double begun = now();
        while (open > 0 && now() < begun + patience()) {
            open = 0;
            for (int i = 0; i < 16; i++) {
                if (clients[i].ended)
                    continue;
                open++;
                say(&clients[i], i % 2 ? GET : GET GET);
            }
            for (int i = 0; i < 16; i++)
                while (!clients[i].ended) {
                    Reply answer = reply_to(&clients[i], false, 1);
                    free(answer.body);
                    answers += answer.status == 200;
                    if (clients[i].size == 0)
                        break;
                }
            if (!told && now() > begun + 0.05 + 0.01 * round) {
                kill(server.pid, SIGTERM);
                told = true;
            }
        }
        int status = ended(&server);
        cr_expect(eq(int, status, 0));
        cr_expect(answers > 16);
        for (int i = 0; i < 16; i++) {
            cr_expect(eq(sz, clients[i].size, 0), "half an answer: %s",
                      clients[i].data);
            leave(&clients[i]);
        }
    }
}

Test(server, stopped_and_continued)
{
    Server server = start();
    Client one = client(&server);
    for (int i = 0; i < 3; i++) {
        kill(server.pid, SIGSTOP);
        say(&one, GET);
        moment();
        kill(server.pid, SIGCONT);
        cr_expect(eq(int, reply(&one).status, 200));
    }
    leave(&one);
    finish(&server);
}

/* --- injected faults: see faults.c --------------------------------------- */

/* Does a bit of everything. Each request is answered or its connection ended,
 * whatever fails inside: none is forgotten. */
static void exercise(const Server *server)
{
    static const char *const texts[] = {
        GET GET LAST, "nonsense\r\n", "GET / HT", SLEEP LAST, "",
        "HEAD / HTTP/1.0\r\n\r\n"};
    enum { TEXTS = sizeof texts / sizeof *texts };
    Client clients[TEXTS];
    for (int i = 0; i < TEXTS; i++) {
        clients[i] = client(server);
        say(&clients[i], texts[i]);
    }
    say(&clients[2], "TP/1.1\r\n" H "\r\n");
    shutdown(clients[4].socket, SHUT_WR);
    for (int i = 0; i < TEXTS; i++) {
        Reply answer = reply_to(&clients[i], i == 5, patience());
        cr_assert(answer.status != 0 || clients[i].ended, "`%s` is forgotten",
                  texts[i]);
        free(answer.body);
        leave(&clients[i]);
    }
}

/* Has some calls of a function fail in the server that is started next, from
 * the first on; see faults.c. Returns how the fault is called. */
static const char *set_fault(const char *name, int first, int error, int times)
{
    static char fault[64];
    if (getenv("FAULTS") == NULL)
        cr_skip_test("only the program of make faults can fail on demand");
    snprintf(fault, sizeof fault, "%s %d %d %d", name, first, error, times);
    setenv("FAULT", fault, 1);
    return fault;
}

/* Has the 1st, 2nd, ... call of a function fail, until there are no more. If it
 * may not start then, it must say why. */
static void fail_each(const char *name, int error, bool starts)
{
    for (int number = 1;; number++) {
        const char *fault = set_fault(name, number, error, 1);
        Server server = start_with("--quiet", (Options){.may_end = true});
        if (server.port == 0) {
            int status = ended(&server);
            char *errors = server_errors(&server);
            cr_assert(starts, "%s: it does not start: %s", fault, errors);
            cr_assert(eq(int, status, 1), "%s: %s", fault, errors);
            cr_assert(eq(int, occurrences(errors, "\n"), 2), "%s: %s", fault,
                      errors);
            free(errors);
            continue;
        }
        int before = server_descriptors(&server);
        exercise(&server);
        char *errors = server_errors(&server);
        bool done = strstr(errors, "fault injected\n") != NULL;
        free(errors);
        if (!done) {
            server_stop(&server);
            cr_assert(number > 1, "%s is never called", name);
            return;
        }
        check_pages(&server);
        server_wait_descriptors(&server, before);
        double cpu = server_cpu(&server), begun = now();
        while (now() < begun + 0.2)
            moment();
        cr_assert(lt(dbl, server_cpu(&server) - cpu, 0.1), "%s: it spins",
                  fault);
        finish(&server);
        close(server.out);
        close(server.err);
    }
}

#define FAULT(name, error, starts)                                             \
    Test(faults, name##_##error, .timeout = TIMEOUT)                           \
    {                                                                          \
        fail_each(#name, error, starts);                                       \
    }

FAULT(accept, EINTR, false)
FAULT(accept, ECONNABORTED, false)
FAULT(accept, EPROTO, false)
FAULT(accept, EMFILE, false)
FAULT(accept, ENFILE, false)
FAULT(accept, ENOMEM, false)
FAULT(recv, EINTR, false)
FAULT(recv, EAGAIN, false)
FAULT(recv, ECONNRESET, false)
FAULT(recv, ETIMEDOUT, false)
FAULT(sendmsg, EINTR, false)
FAULT(sendmsg, EAGAIN, false)
FAULT(sendmsg, EPIPE, false)
FAULT(sendmsg, ECONNRESET, false)
FAULT(sendmsg, ENOBUFS, false)
FAULT(shutdown, ENOTCONN, false)
FAULT(epoll_wait, EINTR, false)
FAULT(epoll_ctl, ENOMEM, true)
FAULT(epoll_ctl, ENOSPC, true)
FAULT(epoll_create1, EMFILE, true)
FAULT(pipe, EMFILE, true)
FAULT(fcntl, EBADF, true)
FAULT(read, EINTR, true)
FAULT(write, EINTR, false)
FAULT(openat, EACCES, true)
FAULT(fstatat, EIO, true)
FAULT(listen, EADDRINUSE, true)
FAULT(malloc, ENOMEM, true)
FAULT(calloc, ENOMEM, true)
FAULT(aligned_alloc, ENOMEM, true)
FAULT(strdup, ENOMEM, true)
FAULT(pthread_create, EAGAIN, true)

/* A connection that cannot be watched ends, and does not wait for a time-out. */
Test(faults, epoll_ctl_fails_for_a_connection, .timeout = TIMEOUT)
{
    set_fault("epoll_ctl", 3, ENOSPC, 1); /* after the listener, the pipe */
    Server server = start();
    Client one = client(&server);
    say(&one, "GET / HT");
    closed_after(&one);
    cr_expect(eq(sz, one.size, 0), "%s", one.data);
    leave(&one);
    check_pages(&server);
    finish(&server);
}

/* To listen again, when there is room again, may fail, too, and not just once:
 * no event comes then that would have it tried again. */
Test(faults, epoll_ctl_fails_for_seconds, .timeout = TIMEOUT)
{
    /* after the listener, the pipe, the five, and the pause */
    set_fault("epoll_ctl", 9, ENOSPC, 8);
    Server server = start_with("--quiet", (Options){.descriptors = 12});
    Client idle[5], waiting;
    for (int i = 0; i < 5; i++) {
        idle[i] = client(&server);
        say(&idle[i], GET);
        cr_assert(eq(int, reply(&idle[i]).status, 200), "client %d", i);
    }
    waiting = client(&server);
    say(&waiting, GET);
    cr_expect(eq(int, reply(&waiting).status, 200));
    char *errors = server_errors(&server);
    cr_expect(eq(int, occurrences(errors, "fault injected"), 8));
    free(errors);
    for (int i = 0; i < 5; i++)
        leave(&idle[i]);
    leave(&waiting);
    finish(&server);
}

/* --- start --------------------------------------------------------------- */

/* Starts with these options. Returns the exit status; one line must say why. */
static int fails_with(const char *options, const char *word)
{
    Server server = start_with(
        options, (Options){.port = "", .may_end = true});
    cr_assert(eq(int, server.port, 0), "it listens with %s", options);
    int status = ended(&server);
    char *errors = server_errors(&server);
    cr_expect(strstr(errors, word) != NULL, "%s: %s", options, errors);
    cr_expect(eq(int, occurrences(errors, "\n"), 1), "%s: %s", options, errors);
    free(errors);
    return status;
}

Test(server, options_that_make_no_sense)
{
    static const char *const bad[][2] = {
        {"--port x", "x"},          {"--port 65536", "65536"},
        {"--port -1", "-1"},        {"--port=", "port"},
        {"--threads 0", "0"},       {"--threads 1000000", "1000000"},
        {"--root /nowhere", "/nowhere"},
        {"x", "x"},                 {"99999999999999999999", "9999"},
        {"0x10", "0x10"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(eq(int, fails_with(bad[i][0], bad[i][1]), 1), "%s",
                  bad[i][0]);
}

Test(server, a_port_that_is_taken)
{
    Server server = start();
    char options[32];
    snprintf(options, sizeof options, "--port %d", server.port);
    cr_expect(eq(int, fails_with(options, "use"), 1));
    finish(&server);
}

Test(server, help)
{
    Server server = start_with("--help", (Options){.port = "", .may_end = true});
    int status = server_wait(&server);
    cr_expect(eq(int, status, 0));
    char *output = server_output(&server);
    cr_expect(strstr(output, "--threads") != NULL);
    free(output);
}

Test(server, options)
{
    char *folder = large_site(), options[4200];
    snprintf(options, sizeof options, "--quiet --threads 7 --port 0 --root %s",
             folder);
    Server server = start_with(options, (Options){.port = ""});
    cr_expect(eq(int, server_threads(&server), 8));
    Client one = client(&server);
    say(&one, GET);
    cr_expect(eq(str, reply(&one).body, "small"));
    leave(&one);
    finish(&server);
    drop_site(folder);
}

/* Only this machine can connect. */
Test(server, listens_on_the_loopback_only)
{
    Server server = start();
    char line[512], local[64], state[8], wanted[16];
    int found = 0;
    snprintf(wanted, sizeof wanted, ":%04X", server.port);
    static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    for (int i = 0; i < 2; i++) {
        FILE *table = fopen(tables[i], "r");
        while (table != NULL && fgets(line, sizeof line, table) != NULL)
            if (sscanf(line, " %*d: %63s %*s %7s", local, state) == 2
                && strcmp(state, "0A") == 0 && strstr(local, wanted) != NULL) {
                found++;
                cr_expect(strncmp(local, "0100007F:", 9) == 0, "%s", local);
            }
        if (table != NULL)
            fclose(table);
    }
    cr_expect(eq(int, found, 1));
    finish(&server);
}
