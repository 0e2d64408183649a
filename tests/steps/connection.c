/* One connection, many requests: what all servers that keep them have to do. */

#define _GNU_SOURCE /* strcasestr */
#include "shared.h"

#include "answer.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(connection, SUITE);

#define HOST "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST "\r\n"
#define LAST "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"

static void say(int client, const char *text)
{
    client_send(client, text, strlen(text));
}

/* Lets time pass: that is what the client does here. */
static void pause_for(double seconds)
{
    for (double start = now(); now() < start + seconds;)
        moment();
}

/* The statuses of the answers in data, as text: "200 404 ". */
static char *statuses(const Answer *answer)
{
    char *list = words("%*s", (int)(answer->length / 15 * 4 + 1), ""),
         *end = list;
    const char *data = answer->data;
    for (size_t left = answer->length; left > 0;) {
        Head head = answer_head(data, left);
        if (head.body < 0)
            break;
        end += sprintf(end, "%d ", head.status);
        size_t size = head.size + (size_t)head.body;
        size = size < left ? size : left;
        data += size;
        left -= size;
    }
    *end = '\0';
    return list;
}

/* What came of a connection, for a message. */
static char *outcome(const Answer *answer)
{
    return words("%s%s",
                 answer->length > 0 ? words("the answers %s", statuses(answer))
                                    : "nothing",
                 answer->timed_out ? ", and then silence"
                 : answer->reset   ? ", and then a reset"
                                   : ", and then the end of the connection");
}

/* Whether the head of an answer says that the connection ends. */
static bool says_close(const char *data)
{
    const char *end = strstr(data, "\r\n\r\n");
    const char *found = strcasestr(data, "\r\nConnection: close\r\n");
    return found != NULL && found < end;
}

Test(connection, many_requests_one_after_the_other)
{
    Server server = server_start((Options){0});
    doing("a client asked for / a hundred times on one connection, each time "
          "when it had the answer");
    int client = client_connect(&server);
    for (int i = 0; i < 100; i++) {
        say(client, GET);
        Answer answer = client_receive_some(client, 1, patience());
        check(answer.complete, .expected = "a hundred answers",
              .got = words("%d, and then %s", i,
                           answer.timed_out ? "silence"
                                            : "the connection was closed"),
              .cause =
                  answer.timed_out
                      ? "what is left of a request stays in the buffer: its "
                        "size is request.size"
                      : "the connection is closed after an answer, though the "
                        "client did not ask for that",
              .key = "one-request", .read = "Many requests, one buffer");
        check(!says_close(answer.data),
              .expected = "Connection: keep-alive, for it stays open",
              .got = "Connection: close",
              .cause = "HttpAnswer.keep_alive is not set to what "
                       "http_parse() says",
              .key = "says-close", .read = "Many requests, one buffer");
        check_answer(&(Answer){.data = answer.data,
                               .length = answer.length,
                               .complete = true},
                     "GET / HTTP/1.1 (on a connection that stays)",
                     "HTTP/1.1 200 OK", "hello.html");
        free(answer.data);
    }
    close(client);
    server_stop(&server);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

Test(connection, no_answer_waits_for_an_acknowledgement)
{
    enum { COUNT = 51 };
    double took[COUNT];
    Server server = server_start((Options){0});
    doing(words("a client asked for / %d times on one connection, each time "
                "when it had the answer",
                COUNT));
    int client = client_connect(&server);
    for (int i = 0; i < COUNT; i++) {
        double start = now();
        say(client, GET);
        free(client_receive_some(client, 1, patience()).data);
        took[i] = now() - start;
    }
    qsort(took, COUNT, sizeof *took, compare);
    check(took[COUNT / 2] < 0.03,
          .expected = "most are answered in less than a millisecond",
          .got = words("most take %.0f ms", 1000 * took[COUNT / 2]),
          .cause = "head and body are two writes, and the second waits until "
                   "the first is acknowledged: TCP_NODELAY",
          .key = "nagle", .read = "Forty milliseconds");
    close(client);
    server_stop(&server);
}

#define LOST                                                                   \
    .cause = "what came behind a request is thrown away, or moved by another " \
             "size: all that follows its request.size bytes moves to the "     \
             "front of the buffer; and the next request is looked for there, " \
             "before anything is waited for",                                  \
    .key = "pipelining", .read = "Many requests, one buffer"

Test(connection, requests_in_one_piece)
{
    Server server = server_start((Options){0});
    doing("a client sent 20 requests in one piece");
    char text[20 * 100] = "";
    for (int i = 0; i < 20; i++)
        strcat(text, i == 19      ? LAST
                     : i % 3 == 1 ? "GET /nothing HTTP/1.1\r\n" HOST "\r\n"
                                  : GET);
    int client = client_connect(&server);
    say(client, text);
    Answer answer = client_receive(client, patience());
    char *expected = words("%s", "200 404 200 200 404 200 200 404 200 200 404 "
                                 "200 200 404 200 200 404 200 200 200 ");
    check(strcmp(statuses(&answer), expected) == 0,
          .expected = words("the answers %sin this order", expected),
          .got = outcome(&answer), LOST);
    free(answer.data);
    server_stop(&server);
}

/* The second fits into the buffer, but not behind the first. */
Test(connection, a_long_request_behind_a_short_one)
{
    static char text[9000];
    Server server = server_start((Options){0});
    doing("a client sent a short request and one of 8,000 bytes in one piece");
    int length = sprintf(text,
                         GET "GET / HTTP/1.1\r\n" HOST
                             "Connection: close\r\nX: %7900s\r\n\r\n",
                         "x");
    int client = client_connect(&server);
    client_send(client, text, (size_t)length);
    Answer answer = client_receive(client, patience());
    check(strcmp(statuses(&answer), "200 200 ") == 0,
          .expected = "the answers 200 200", .got = outcome(&answer),
          .cause = "what follows a request must move to the front of the "
                   "buffer, or there is no room for its end",
          .key = "pipelining", .read = "Many requests, one buffer");
    free(answer.data);
    server_stop(&server);
}

Test(connection, two_requests_cut_anywhere)
{
    Server server = server_start((Options){0});
    const char *text = GET GET;
    int client = client_connect(&server);
    for (size_t size = 1; size < strlen(text); size++) {
        doing(words("a client sent two requests: first %zu bytes of them, then "
                    "the rest",
                    size));
        client_send(client, text, size);
        moment(); /* so that they travel apart */
        client_send(client, text + size, strlen(text) - size);
        Answer answer = client_receive_some(client, 2, patience());
        check(strcmp(statuses(&answer), "200 200 ") == 0,
              .expected = "the answers 200 200", .got = outcome(&answer), LOST);
        free(answer.data);
    }
    close(client);
    server_stop(&server);
}

/* Sends a request and a second one behind it. */
static void check_stays(const Server *server, const char *text, int status,
                        bool stays)
{
    int client = client_connect(server);
    say(client, text);
    say(client, LAST);
    Answer answer = client_receive(client, patience());
    char *expected = words("%d %s", status, stays ? "200 " : "");
    check(strcmp(statuses(&answer), expected) == 0,
          .expected = words("the answer %d, and then %s", status,
                            stays ? "that of the next request"
                                  : "the end of the connection"),
          .got = outcome(&answer),
          .cause =
              stays ? "the connection is closed, though http_parse() says that "
                      "it may stay"
                    : "keep_alive, as http_parse() says it, is not looked at",
          .key = stays ? "closes" : "stays",
          .read = "Many requests, one buffer");
    check(says_close(answer.data) == !stays,
          .expected = words("the header Connection: %s",
                            stays ? "keep-alive" : "close"),
          .got = "the other one",
          .cause = "the header must say what will be done: one variable for "
                   "both",
          .key = "header", .read = "Many requests, one buffer");
    free(answer.data);
}

Test(connection, who_may_ask_again)
{
    static const struct {
        const char *what, *text;
        int status;
        bool stays;
    } cases[] = {
        {"GET, HTTP/1.1", GET, 200, true},
        {"GET of what is not there", "GET /nothing HTTP/1.1\r\n" HOST "\r\n",
         404, true},
        {"GET with `Connection: close`", LAST, 200, false},
        {"GET with `Connection: Close, x`",
         "GET / HTTP/1.1\r\n" HOST "Connection: Close, x\r\n\r\n", 200, false},
        {"GET, HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 200, false},
        {"GET, HTTP/1.0, with `Connection: keep-alive`",
         "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, true},
        {"GET with a body",
         "GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 200,
         false},
        {"POST", "POST / HTTP/1.1\r\n" HOST "\r\n", 405, false},
        {"something that is no request", "hello\r\n\r\n", 400, false},
    };
    Server server = server_start((Options){0});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        doing(words("a client sent %s, and another request behind it",
                    cases[i].what));
        check_stays(&server, cases[i].text, cases[i].status, cases[i].stays);
    }
    server_stop(&server);
}

/* A body that nobody expects would be taken for the next answer. */
Test(connection, head_in_between)
{
    Server server = server_start((Options){0});
    doing("a client sent HEAD and GET in one piece");
    int client = client_connect(&server);
    say(client, "HEAD / HTTP/1.1\r\n" HOST "\r\n" LAST);
    Answer answer = client_receive(client, patience());
    Head head = answer_head(answer.data, answer.length);
    check(head.status == 200
              && strncmp(answer.data + head.size, "HTTP/1.1 200 OK\r\n", 17)
                     == 0,
          .expected = "two heads, and the page once",
          .got = answer.length == head.size
                     ? "one answer only"
                     : words("behind the first head `%.40s`",
                             answer.data + head.size),
          .cause = answer.length == head.size
                       ? "the connection is closed after HEAD"
                       : "an answer to HEAD has no body",
          .key = "head", .read = "Many requests, one buffer");
    free(answer.data);
    server_stop(&server);
}

/* Sends `before` and then a letter each half second, until it ends. */
static void check_letters(const Server *server, const char *before, int answers)
{
    int client = client_connect(server);
    say(client, before);
    free(client_receive_some(client, answers, patience()).data);
    double start = now();
    Wait wait = {0};
    Answer answer = {.data = calloc(1, 1), .timed_out = true};
    while (answer.timed_out && answer.length == 0
           && still_waiting(&wait, SILENCE + patience())) {
        client_send(client, "x", 1);
        free(answer.data);
        answer = client_receive_some(client, 1, 0.4);
    }
    double took = now() - start;
    check(!answer.timed_out, .expected = "after 5 s it is told 408, and closed",
          .got = words("it is still waited for after %.0f s", took),
          .cause = "the limit begins anew with each read: set a deadline when "
                   "the first byte of a request has come",
          .key = "letters", .read = "A letter a second");
    check(took > 4, .expected = "it has 5 s",
          .got = words("it was cut off after %.1f s", took),
          .cause = "the time is counted in another unit, or from something "
                   "earlier than the first byte of the request",
          .key = "too-early", .read = "A letter a second");
    Head head = answer_head(answer.data, answer.length);
    check(head.status == 408, .expected = "the status 408",
          .got = answer.length == 0 ? "the connection was closed without a word"
                                    : words("`%.30s`", answer.data),
          .cause = "who has begun a request is told why it ends",
          .key = "no-408", .read = "A letter a second");
    close(client);
    free(answer.data);
}

Test(connection, a_letter_at_a_time, TAKES_TIME)
{
    Server server = server_start((Options){0});
    doing("a client sent a letter each half second, and never the end of a "
          "line");
    check_letters(&server, "", 0);
    server_stop(&server);
}

Test(connection, a_letter_at_a_time_in_a_second_request, TAKES_TIME)
{
    Server server = server_start((Options){0});
    doing("a client had its answer; then it sent half a request and a letter "
          "each half second");
    check_letters(&server, GET "GET / HTTP/1.1\r\nX: ", 1);
    server_stop(&server);
}

/* Connects, has a request answered, and stays. */
static int connect_idle(const Server *server)
{
    int client = client_connect(server);
    say(client, GET);
    Answer answer = client_receive_some(client, 1, patience());
    check(answer.complete, .expected = "each client is answered",
          .got = outcome(&answer), .key = "no-answer",
          .read = "Many requests, one buffer");
    free(answer.data);
    return client;
}

#define LIMITS                                                                 \
    .cause = "there are two limits: 5 s until a request begins, and 5 s from " \
             "its first byte to its last",                                     \
    .key = "one-limit", .read = "A letter a second"

/* Pauses for three seconds. Returns false if it took so much longer, on a busy
 * machine, that a limit of five has passed. */
static bool three_seconds(void)
{
    double start = now();
    pause_for(3);
    return now() - start < 4;
}

/* Two clients ask, slowly, one for the first time and one that has its answer
 * to a first request: they wait, and begin; wait, and end. Returns false if
 * this machine was too slow. */
static bool ask_slowly(const Server *server)
{
    const int clients[] = {client_connect(server), connect_idle(server)};
    static const char *const parts[] = {"GET / HT", "TP/1.1\r\n" HOST "\r\n"};
    bool in_time = true;
    for (int part = 0; part < 2; part++) {
        in_time = three_seconds() && in_time;
        for (int i = 0; i < 2; i++)
            say(clients[i], parts[part]);
    }
    for (int i = 0; i < 2; i++) {
        Answer answer = client_receive_some(clients[i], 1, patience());
        check(!in_time || strcmp(statuses(&answer), "200 ") == 0,
              .expected = "the answer 200, on both connections",
              .got =
                  words("%s: %s",
                        i == 0 ? "to a first request" : "to a second request",
                        outcome(&answer)),
              LIMITS);
        free(answer.data);
        close(clients[i]);
    }
    return in_time;
}

Test(connection, a_slow_beginning_is_no_slow_request, TAKES_TIME)
{
    Server server = server_start((Options){0});
    doing("a client waited for 3 s, sent half a request, waited for 3 s, and "
          "sent the rest; another did so after its first answer");
    for (int tries = 0; tries < 3 && !ask_slowly(&server); tries++)
        ;
    server_stop(&server);
}

/* Asks three times, with pauses. Returns false if this machine was too slow. */
static bool ask_with_pauses(const Server *server)
{
    int client = client_connect(server);
    bool in_time = true;
    for (int i = 0; i < 3 && in_time; i++) {
        in_time = i == 0 || three_seconds();
        say(client, GET);
        Answer answer = client_receive_some(client, 1, patience());
        check(!in_time || strcmp(statuses(&answer), "200 ") == 0,
              .expected = "the answer 200, each time",
              .got = words("number %d: %s", i + 1, outcome(&answer)), LIMITS);
        free(answer.data);
    }
    close(client);
    return in_time;
}

Test(connection, each_request_has_its_own_time, TAKES_TIME)
{
    Server server = server_start((Options){0});
    doing("a client asked three times on one connection, with 3 s in between");
    for (int tries = 0; tries < 3 && !ask_with_pauses(&server); tries++)
        ;
    server_stop(&server);
}

Test(connection, an_idle_one_is_closed_without_a_word, TAKES_TIME)
{
    Server server = server_start((Options){0});
    doing("a client had its answer, and said nothing any more");
    int client = client_connect(&server);
    say(client, GET);
    free(client_receive_some(client, 1, patience()).data);
    double start = now();
    Answer answer = client_receive(client, SILENCE + patience());
    check(!answer.timed_out, .expected = "it is closed after 5 s",
          .got = words("it is open after %.0f s", answer.at - start),
          .cause = "there is no limit for the time between two requests",
          .key = "idle", .read = "A letter a second");
    check(answer.at - start > 4, .expected = "it is closed after 5 s",
          .got = words("it was closed after %.1f s", answer.at - start),
          .cause = "the time is counted in another unit, or from something "
                   "earlier than the answer",
          .key = "too-early", .read = "A letter a second");
    check(answer.length == 0, .expected = "it is closed without a word",
          .got = words("it was told `%.30s`", answer.data),
          .cause = "408 is for a request that was begun: an idle client could "
                   "take it for the answer to its next one",
          .key = "idle-408", .read = "A letter a second");
    free(answer.data);
    server_stop(&server);
}

Test(connection, they_leave_nothing_behind)
{
    /* Or else 64 MB for another thread's malloc() look like growth. */
    setenv("MALLOC_ARENA_MAX", "1", 1);
    Server server = server_start((Options){0});
    doing("a thousand clients asked twice each, on a connection each");
    check_hello(&server);
    int descriptors = server_descriptors(&server);
    long memory = 0;
    for (int i = 0; i < 1100; i++) {
        if (i == 100)
            memory = server_memory(&server);
        int client = client_connect(&server);
        say(client, GET LAST);
        Answer answer = client_receive(client, patience());
        check(strcmp(statuses(&answer), "200 200 ") == 0,
              .expected = "the answers 200 200", .got = outcome(&answer), LOST);
        free(answer.data);
    }
    server_wait_descriptors(&server, 0, descriptors);
    check(server_memory(&server) - memory < 4000,
          .expected = "each connection gives back what it has taken",
          .got = words("the server has grown by %ld KB",
                       server_memory(&server) - memory),
          .cause = "the struct of a connection is not freed when it ends",
          .key = "grows", .read = "What belongs to a connection");
    server_stop(&server);
}

Test(connection, ctrl_c_does_not_wait_for_idle_ones, TAKES_TIME)
{
    Server server = server_start((Options){0});
    int clients[3];
    for (int i = 0; i < 3; i++)
        clients[i] = connect_idle(&server);
    doing("three clients had their answer and kept the connection, and Ctrl-C "
          "came");
    double start = now();
    kill(server.pid, SIGINT);
    check_ends_well(&server, 0,
                    "a connection on which nothing is asked is waited for, "
                    "until its time is up: who waits between two requests must "
                    "look at the byte in the pipe, too",
                    "The byte that stays");
    check(now() - start < SILENCE - 1, .expected = "it ends at once",
          .got = words("it ended after %.1f s", now() - start),
          .cause = "a connection on which nothing is asked is waited for, "
                   "until its time is up: who waits between two requests must "
                   "look at the byte in the pipe, too",
          .key = "idle-end", .read = "The byte that stays");
    for (int i = 0; i < 3; i++) {
        Answer answer = client_receive(clients[i], patience());
        check(answer.length == 0,
              .expected = "their connections are closed without a word",
              .got = words("one was told `%.30s`", answer.data),
              .key = "idle-408", .read = "The byte that stays");
        free(answer.data);
    }
}

/* Sends requests without a pause, and throws the answers away. Returns whether
 * the connection was closed. */
static bool flood(int client, double seconds)
{
    static const char requests[] = GET GET GET GET GET GET GET GET;
    size_t sent = 0;
    Wait wait = {0};
    while (still_waiting(&wait, seconds)) {
        char block[65536];
        struct pollfd both = {.fd = client, .events = POLLIN | POLLOUT};
        poll(&both, 1, 50);
        if ((both.revents & POLLOUT) != 0) {
            ssize_t n =
                send(client, requests + sent, sizeof requests - 1 - sent,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n > 0)
                sent = (sent + (size_t)n) % (sizeof requests - 1);
        }
        if ((both.revents & (POLLIN | POLLHUP | POLLERR)) != 0
            && recv(client, block, sizeof block, 0) <= 0)
            return true;
    }
    return false;
}

Test(connection, ctrl_c_does_not_wait_for_a_busy_one, TAKES_TIME)
{
    Server server = server_start((Options){0});
    doing("a client sent one request behind the other without a pause, and "
          "Ctrl-C came");
    int client = client_connect(&server);
    bool closed = flood(client, 0.3);
    check(!closed, .expected = "they are answered",
          .got = "the connection was closed before Ctrl-C", LOST);
    kill(server.pid, SIGINT);
    closed = flood(client, patience());
    check(closed, .expected = "its next answer is the last",
          .got = "it goes on as long as it likes",
          .cause = "who answers has to ask whether the server is to end: the "
                   "byte in the pipe says so, as long as nobody reads it",
          .key = "busy-end", .read = "The byte that stays");
    close(client);
    check_ends_well(&server, 0, "something is still waited for",
                    "The byte that stays");
}

Test(connection, ctrl_c_lets_those_finish_who_were_let_in, TAKES_TIME)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int half = client_connect(&server), other = connect_idle(&server),
        silent = client_connect(&server);
    say(half, "GET / HT");
    say(other, "GET / HT");
    await_connections(&server, descriptors, 3);
    doing("Ctrl-C came; then a client sent the second half of its request");
    kill(server.pid, SIGINT);
    for (Wait wait = {0}; still_waiting(&wait, patience()); moment()) {
        char *output = server_output(&server);
        bool said = strstr(output, "Shutting down.\n") != NULL;
        free(output);
        if (said)
            break;
    }
    const int clients[] = {half, other, silent};
    say(half, "TP/1.1\r\n" HOST "\r\n");
    say(other, "TP/1.1\r\n" HOST "\r\n");
    say(silent, GET);
    for (int i = 0; i < 3; i++) {
        if (i == 2)
            doing("a client had connected, Ctrl-C came, and then it asked");
        Answer answer = client_receive(clients[i], patience());
        check(strcmp(statuses(&answer), "200 ") == 0,
              .expected = "it is answered: 200", .got = outcome(&answer),
              .cause = "only between two requests may a connection be closed: "
                       "not in the middle of one, and not before the first",
              .key = "cut", .read = "The byte that stays");
        check(says_close(answer.data),
              .expected = "the answer says Connection: close",
              .got = "keep-alive",
              .cause = "the last answer must say so, before it is closed",
              .key = "last-says-close", .read = "The byte that stays");
        free(answer.data);
    }
    check_ends_well(&server, 0, "something is still waited for",
                    "The byte that stays");
}
