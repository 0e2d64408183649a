/* One thread serves all clients, and waits for none of them. */

#include "shared.h"

#include "answer.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(event_loop, SUITE);

#define OK "HTTP/1.1 200 OK"
#define FIELDS "Host: a\r\n"
#define ASK "GET / HTTP/1.1\r\n" FIELDS "\r\n"
#define ASK_LAST "GET / HTTP/1.1\r\n" FIELDS "Connection: close\r\n\r\n"
#define AT_ONCE 2.0 /* s: much less than any time limit */

#define READ_WAITS                                                             \
    "somebody waits for a client that says nothing: each socket must be "      \
    "O_NONBLOCK, and nothing in the loop may wait but its one poll"
#define WRITE_WAITS                                                            \
    "somebody waits for a client that does not read: what is left of an "      \
    "answer is noted, and sent when poll says that there is room (POLLOUT)"
#define NO_DEADLINE                                                            \
    "poll waits until the next deadline, not for ever (-1); and each client "  \
    "whose deadline has passed is ended, whatever else it does"

#define NOT_THE_END                                                            \
    "a call that would have to wait fails with EAGAIN: that is not the end "   \
    "of "                                                                      \
    "the connection"
#define NO_ROOM                                                                \
    "the loop has no room for so many: its two arrays grow, both of them, "    \
    "before a connection is taken in"
#define NO_NEWS                                                                \
    "what has been read already is no news for poll: after an answer, look "   \
    "for the next request in the buffer, before anything is waited for"
#define LEFT_OUT                                                               \
    "the array changes while it is gone through: the last takes the place of " \
    "one that ends, and must not be left out. Go backwards"

static int ask(const Server *server, const char *text)
{
    int client = client_connect(server);
    client_send(client, text, strlen(text));
    return client;
}

static void wait_for(double seconds)
{
    for (double start = now(); now() < start + seconds;)
        moment();
}

/* Asks for /, which must be answered at once, whatever others do. */
static void check_prompt(const Server *server, const char *closed)
{
    double asked = now();
    Answer answer = client_get_within(server, "GET / HTTP/1.1", SILENCE);
    check(answer.length > 0 || answer.timed_out,
          .expected = "/ is answered at once",
          .got = "the connection was closed, without an answer",
          .cause = closed, .key = closed, .read = "A socket that never waits");
    check(!answer.timed_out && answer.at - asked < AT_ONCE,
          .expected = "/ is answered at once",
          .got = answer.timed_out ? "it is not answered"
                                  : words("after %.1f s", answer.at - asked),
          .cause = READ_WAITS, .key = "read-waits",
          .read = "A socket that never waits");
    check_answer(&answer, "GET / HTTP/1.1", OK, "hello.html");
    free(answer.data);
}

/* A crowd that says nothing, or half of something. */
static void check_silent(int count)
{
    Server server = server_start((Options){0});
    server_wait_threads(&server, 0, step("threads"));
    int clients[200], descriptors = server_descriptors(&server);
    for (int i = 0; i < count; i++)
        clients[i] = ask(&server, i % 2 == 0 ? "" : "GET / HT");
    doing(words("%d clients connected, and said nothing, or half of a line; "
                "then one asked for /",
                count));
    for (int i = 0; i < 3; i++)
        check_prompt(&server, count > 10 ? NO_ROOM : NOT_THE_END);
    check(server_threads(&server) == step("threads"),
          .expected = "one thread serves them all, beside main",
          .got = words("there are %d threads", server_threads(&server)),
          .cause = "a thread for each client, or more than one worker",
          .key = "threads", .read = "One loop for all of them");
    for (Wait wait = {0}; server_descriptors(&server) > descriptors; moment())
        check(still_waiting(&wait, SILENCE + patience()),
              .expected = "after five seconds they are given up",
              .got = words("%d of them are still connected",
                           server_descriptors(&server) - descriptors),
              .cause = server_descriptors(&server) - descriptors < count
                           ? LEFT_OUT
                           : NO_DEADLINE,
              .key = "no-deadline", .read = "A loop");
    for (int i = 0; i < count; i++)
        close(clients[i]);
    server_stop(&server);
}

Test(event_loop, four_silent_clients_delay_nobody, TAKES_TIME)
{
    check_silent(4);
}

Test(event_loop, two_hundred_silent_clients_delay_nobody, TAKES_TIME)
{
    check_silent(200);
}

/* Returns how many whole answers there are, each of them 200 with this page;
 * or fails. *rest: the bytes of one that is not whole. */
static int count_answers(const Answer *answer, const char *page, size_t size,
                         size_t *rest)
{
    int count = 0;
    const char *data = answer->data;
    for (*rest = answer->length; *rest > 0; count++) {
        Head head = answer_head(data, *rest);
        bool begun =
            memcmp(data, OK, *rest < strlen(OK) ? *rest : strlen(OK)) == 0;
        bool whole = head.size > 0 && *rest - head.size >= size;
        check((head.size == 0 && begun)
                  || (head.status == 200 && head.body == (long)size
                      && (!whole || memcmp(data + head.size, page, size) == 0)),
              .expected = words("answer number %d is the page", count + 1),
              .got = words("%.60s …", data),
              .cause = head.status == 408
                           ? NO_NEWS
                           : "what is noted of an answer must stay where it is "
                             "until its last byte is sent, its head, too; and "
                             "what has been sent must be taken off",
              .key = head.status == 408 ? "pipelining" : "garbled",
              .read = head.status == 408 ? "Inside out"
                                         : "An answer is a state, too");
        if (!whole)
            break;
        data += head.size + size;
        *rest -= head.size + size;
    }
    return count;
}

/* Receives to the end of a connection, which must bring so many pages. */
static void check_pages(int client, int expected, const char *page, size_t size,
                        double seconds)
{
    size_t rest;
    Answer answer = client_receive(client, seconds + patience());
    int count = count_answers(&answer, page, size, &rest);
    check(count == expected && rest == 0,
          .expected = words("%d answer%s", expected, expected == 1 ? "" : "s"),
          .got =
              words("%d%s%s", count, rest > 0 ? ", and a part of another" : "",
                    answer.timed_out ? ", and then nothing more"
                                     : ", and then the end"),
          .cause = rest > 0 ? "the rest of an answer is not sent: as long as "
                              "something is left, poll is asked for room to "
                              "write, POLLOUT"
                            : NO_NEWS,
          .key = rest > 0 ? "no-rest" : "pipelining",
          .read = rest > 0 ? "An answer is a state, too" : "Inside out");
    free(answer.data);
}

/* As a slow network would do it. The clients ask for different pages, so that
 * what is mixed up is seen. */
Test(event_loop, a_few_bytes_at_a_time)
{
    enum { CLIENTS = 6, REQUESTS = 8 };
    static const char *const names[] = {"hello.html", "404.html"};
    int clients[CLIENTS];
    size_t sizes[2];
    char *pages[2];
    Server server = server_start((Options){.short_calls = true});
    doing("six clients sent eight requests each, at once; the calls that read "
          "and write moved a few bytes each time, or said EAGAIN");
    for (int i = 0; i < 2; i++)
        pages[i] = file_read(NULL, names[i], &sizes[i]);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(&server);
        for (int j = 1; j <= REQUESTS; j++) {
            char *request =
                words("GET /%s HTTP/1.1\r\n" FIELDS "%s\r\n", names[i % 2],
                      j == REQUESTS ? "Connection: close\r\n" : "");
            client_send(clients[i], request, strlen(request));
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        check_pages(clients[i], REQUESTS, pages[i % 2], sizes[i % 2], 0);
    server_stop(&server);
}

enum { LARGE = 20000000 };

/* Asks for a large page, and waits for its first byte only. */
static int ask_and_do_not_read(const Server *server, const char *text)
{
    int client = ask(server, text);
    struct pollfd list = {.fd = client, .events = POLLIN};
    for (Wait wait = {0}; poll(&list, 1, 0) == 0;)
        check(still_waiting(&wait, patience()),
              .expected = "the page begins to come", .got = "nothing",
              .key = "no-answer", .read = "An answer is a state, too");
    return client;
}

Test(event_loop, a_client_that_does_not_read_delays_nobody, TAKES_TIME)
{
    char *folder = folder_with_page(LARGE);
    Server server = server_start((Options){.folder = folder});
    int descriptors = server_descriptors(&server);
    int lazy = ask_and_do_not_read(&server, ASK);
    doing("a client asked for a page of 20 MB, and did not read it; another "
          "asked for /foo");
    double asked = now();
    Answer answer = client_get_within(&server, "GET /foo HTTP/1.1", SILENCE);
    check(answer.complete && answer.at - asked < AT_ONCE,
          .expected = "/foo is answered at once",
          .got = answer.complete ? words("after %.1f s", answer.at - asked)
                                 : "it is not answered",
          .cause = WRITE_WAITS, .key = "write-waits",
          .read = "An answer is a state, too");
    free(answer.data);
    doing("a client asked for a page of 20 MB, and did not read it");
    for (Wait wait = {0}; server_descriptors(&server) > descriptors; moment())
        check(still_waiting(&wait, SILENCE + patience()),
              .expected = "it is given up when it has taken nothing for five "
                          "seconds",
              .got = "it is still connected", .cause = NO_DEADLINE,
              .key = "no-deadline", .read = "An answer is a state, too");
    close(lazy);
    server_stop(&server);
    folder_remove(folder);
}

Test(event_loop, a_slow_reader_gets_all_and_then_the_next_page, TAKES_TIME)
{
    char *folder = folder_with_page(LARGE);
    size_t size;
    char *page = file_read(folder, "hello.html", &size);
    Server server = server_start((Options){.folder = folder});
    int slow = ask_and_do_not_read(&server, ASK ASK_LAST);
    doing("a client asked for a page of 20 MB, and for it once more at the "
          "same time; it began to read two seconds later");
    wait_for(2);
    check_pages(slow, 2, page, size, 2);
    server_stop(&server);
    folder_remove(folder);
}

Test(event_loop, a_letter_after_the_other_delays_nobody_and_has_an_end,
     TAKES_TIME)
{
    enum { CLIENTS = 5 };
    int clients[CLIENTS];
    Server server = server_start((Options){0});
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = ask(&server, "GET /");
    doing("five clients sent a letter now and then, and no end of the line");
    struct pollfd list[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        list[i] = (struct pollfd){.fd = clients[i], .events = POLLIN};
    double start = now(), first = 0, prompt = start + 1;
    int open = CLIENTS;
    for (Wait wait = {0}; open > 0; moment()) {
        for (int i = 0; i < CLIENTS; i++)
            if (list[i].fd != -1)
                send(clients[i], "a", 1, MSG_NOSIGNAL);
        poll(list, CLIENTS, 0);
        for (int i = 0; i < CLIENTS; i++) {
            if (list[i].fd == -1 || list[i].revents == 0)
                continue;
            char answer[16] = "";
            ssize_t got = recv(clients[i], answer, 12, MSG_WAITALL);
            check(got <= 0 || strcmp(answer, "HTTP/1.1 408") == 0,
                  .expected = "408 Request Timeout", .got = words("%s", answer),
                  .key = "408", .read = "Inside out");
            first = first > 0 ? first : now() - start;
            close(clients[i]);
            list[i].fd = -1;
            open--;
        }
        if (now() > prompt && open == CLIENTS) { /* once a second */
            check_prompt(&server, NOT_THE_END);
            prompt = now() + 1;
        }
        check(still_waiting(&wait, SILENCE + patience()),
              .expected = "five seconds after its first letter each is ended",
              .got = words("%d of them are still there after %.1f s", open,
                           now() - start),
              .cause = "the deadline is that of the whole request: a letter "
                       "more does not renew it; and it is looked at whether or "
                       "not something has come",
              .key = "letters", .read = "A loop");
    }
    check(first > 4.5, .expected = "they have five seconds",
          .got = words("one was ended after %.1f s", first), .key = "letters",
          .read = "Inside out");
    server_stop(&server);
}

/* Waits until main has accepted so many, and perhaps handed them over. */
static void await(const Server *server, int descriptors, int count)
{
    await_connections(server, descriptors, count);
    wait_for(0.1);
}

/* What waits longest is what the loop does itself. */
Test(event_loop, a_sleep_in_the_loop_stops_everybody, TAKES_TIME)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int busy = ask(&server, "GET /sleep HTTP/1.1\r\n" FIELDS
                            "Connection: close\r\n\r\n");
    await(&server, descriptors, 1);
    double asked = now();
    Answer answer = client_get_within(&server, "GET / HTTP/1.1", SLEEP);
    check_answer(&answer, "GET / HTTP/1.1 (while the loop sleeps)", OK,
                 "hello.html");
    doing("a client asked for /sleep, then another for /");
    check(answer.at - asked > SLEEP - 2,
          .expected = "in this step / is answered after it: the loop sleeps",
          .got = words("/ was answered after %.1f s", answer.at - asked),
          .cause = "somebody else sleeps for the loop: that comes in step 14",
          .key = "order", .read = "What is still wrong");
    free(answer.data);
    close(busy);
    server_stop(&server);
}

/* All that has happened meanwhile is there at once: some go, others come. */
Test(event_loop, who_came_while_the_loop_was_busy_is_served, TAKES_TIME)
{
    enum { GOING = 4, COMING = 4 };
    int going[GOING], coming[COMING];
    Answer answers[COMING];
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    for (int i = 0; i < GOING; i++)
        going[i] = client_connect(&server);
    await(&server, descriptors, GOING);
    int busy = ask(&server, "GET /sleep HTTP/1.1\r\n" FIELDS
                            "Connection: close\r\n\r\n");
    await(&server, descriptors, GOING + 1);
    for (int i = 0; i < GOING; i++)
        close(going[i]);
    for (int i = 0; i < COMING; i++)
        coming[i] = ask(&server, ASK_LAST);
    doing("four clients were connected, and a fifth asked for /sleep; "
          "meanwhile the four left, and four others asked for /");
    clients_receive(COMING, coming, answers, SLEEP + patience());
    for (int i = 0; i < COMING; i++) {
        check(answers[i].complete, .expected = "each of them is answered",
              .got = words("number %d is not", i + 1), .cause = LEFT_OUT,
              .key = "left-out", .read = "A loop");
        free(answers[i].data);
    }
    close(busy);
    server_stop(&server);
}

/* It has something for the loop whenever that looks. */
Test(event_loop, a_deadline_counts_though_something_has_come, TAKES_TIME)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int talker = ask(&server, "GET /");
    await(&server, descriptors, 1);
    int busy = ask(&server, "GET /sleep HTTP/1.1\r\n" FIELDS
                            "Connection: close\r\n\r\n");
    doing("a client sent a letter now and then, and no end of the line; "
          "another asked for /sleep, so that the loop looked at nobody until "
          "the time of the first was up");
    struct pollfd list = {.fd = talker, .events = POLLIN};
    for (Wait wait = {0}; poll(&list, 1, 0) == 0; moment()) {
        check(still_waiting(&wait, SLEEP + patience()),
              .expected = "it is ended, with 408", .got = "it goes on for ever",
              .cause = "a client whose time is up is ended, whether something "
                       "has come or not: no else between the two questions; "
                       "and a deadline that has passed is not to be waited for",
              .key = "letters", .read = "A loop");
        send(talker, "a", 1, MSG_NOSIGNAL);
    }
    close(talker);
    close(busy);
    server_stop(&server);
}

/* Nothing to do, though somebody is there: the loop must sleep. */
Test(event_loop, clients_that_do_nothing_cost_nothing, TAKES_TIME)
{
    char *folder = folder_with_page(LARGE);
    Server server = server_start((Options){.folder = folder});
    int lazy = ask_and_do_not_read(&server, ASK);
    client_send(lazy, ASK, strlen(ASK)); /* which nobody reads yet */
    ask(&server, "GET / HT");
    ask(&server, "GET /foo HTTP/1.1\r\n" FIELDS "\r\n"); /* and is idle then */
    wait_for(0.5);
    doing("one client did not read its answer, and asked again; one had sent "
          "half of a request, "
          "one was idle after its answer; the server was watched for 2 s");
    double cpu = server_cpu(&server), start = now();
    int looks = 0, busy = 0;
    while (now() < start + 2) {
        looks++;
        busy += server_running(&server);
        moment();
    }
    /* On a busy machine even who never sleeps gets little of a CPU. */
    double share = (server_cpu(&server) - cpu) / (now() - start);
    if (busy > looks / 2)
        share = (double)busy / looks;
    check(share < 0.2, .expected = "it sleeps, in poll",
          .got = words("it uses %.0f %% of a CPU", 100 * share),
          .cause = "poll returns at once, again and again: POLLOUT may be "
                   "asked for only while something is left to send, and POLLIN "
                   "only by who would read it",
          .key = "busy", .read = "An answer is a state, too");
    server_stop(&server);
    folder_remove(folder);
}

Test(event_loop, idle_clients_do_not_delay_ctrl_c, TAKES_TIME)
{
    enum { CLIENTS = 20 };
    Server server = server_start((Options){0});
    for (int i = 0; i < CLIENTS; i++) {
        int client = ask(&server, ASK);
        struct pollfd list = {.fd = client, .events = POLLIN};
        poll(&list, 1, (int)(1000 * patience()));
    }
    wait_for(0.2);
    doing("twenty clients had their answers, and kept their connections; then "
          "Ctrl-C came");
    double asked = now();
    kill(server.pid, SIGINT);
    check_ends_well(&server, SILENCE,
                    "the loop is not told, or does not end: it ends when it "
                    "was told to stop and nobody is left",
                    "One loop for all of them");
    check(now() - asked < SILENCE - 1.5,
          .expected = "it ends at once: nobody waits for an answer",
          .got = words("it took %.1f s", now() - asked),
          .cause = "a client between two requests is closed when the loop is "
                   "told to stop, not when its time is up",
          .key = "idle-at-the-end", .read = "Inside out");
}

Test(event_loop, ctrl_c_finishes_the_answers_that_were_begun, TAKES_TIME)
{
    char *folder = folder_with_page(LARGE);
    size_t size;
    char *page = file_read(folder, "hello.html", &size);
    Server server = server_start((Options){.folder = folder});
    int slow = ask_and_do_not_read(&server, ASK);
    int half = ask(&server, "GET /foo HT");
    int lazy = ask_and_do_not_read(&server, ASK);
    wait_for(0.3);
    kill(server.pid, SIGINT);
    wait_for(0.7);
    doing("one client was in the middle of its answer, of 20 MB, one in the "
          "middle of its request, one did not read; then Ctrl-C came");
    check(server_alive(&server), .expected = "what was begun is finished",
          .got = "it ended at once",
          .cause = "the loop ends only when nobody is left",
          .key = "not-finished", .read = "A loop");
    const char *rest = "TP/1.1\r\n" FIELDS "\r\n";
    client_send(half, rest, strlen(rest));
    Answer answer = client_receive(half, patience());
    check(answer.complete, .expected = "the half request is answered",
          .got = answer.timed_out ? "it is not"
                                  : words("%zu bytes came", answer.length),
          .cause = "stopping means: this answer is the last",
          .key = "not-finished", .read = "Inside out");
    check(strstr(answer.data, "\r\nConnection: close\r\n") != NULL,
          .expected = "it says Connection: close, for it is the last",
          .got = words("%.200s", answer.data), .key = "not-last",
          .read = "Inside out");
    check_pages(slow, 1, page, size, 1);
    check_ends_well(&server, SILENCE,
                    "a client that does not read holds it: a call that moves "
                    "nothing (EAGAIN) is no progress, and renews no deadline; "
                    "and a deadline counts whether something has come or not "
                    "(no else between the two questions)",
                    "An answer is a state, too");
    close(lazy);
    folder_remove(folder);
}
