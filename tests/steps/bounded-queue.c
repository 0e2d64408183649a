/* As many may wait as the queue has room for; the next is told at once. */

#include "shared.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(bounded_queue, SUITE);

enum { RUNNING = 4, MOST = 16 };

/* Has clients ask for /sleep until all workers sleep and the queue is full;
 * returns how many. */
static int fill(Server *server, int clients[])
{
    int descriptors = server_descriptors(server);
    int count = RUNNING + step("bounded");
    for (int i = 0; i < count; i++) {
        clients[i] = client_connect(server);
        client_ask(clients[i], "GET /sleep HTTP/1.1");
        if (i == RUNNING - 1) /* a job that is taken leaves its place */
            await_jobs(server, RUNNING);
    }
    await_connections(server, descriptors, count);
    return count;
}

#define REFUSED                                                                \
    .read = "A full queue says so",                                            \
    .did = "four clients were being served and eight waited; one more asked"

/* Whether main goes on to accept though one waits for room: another is
 * refused, or waits, too. full: how many descriptors the server had before that
 * one came. */
static bool accepts_another(Server *server, int full)
{
    int client = client_connect(server);
    client_ask(client, "GET / HTTP/1.1");
    Answer answer = client_receive(client, 2);
    return answer.length > 0 || server_descriptors(server) >= full + 2;
}

/* Checks that one more client is told that there is no room. */
static void check_refused(Server *server, int full, const char *request)
{
    int client = client_connect(server);
    client_ask(client, request);
    Answer answer = client_receive(client, patience());
    bool silent = answer.timed_out && answer.length == 0;
    check(!silent || !accepts_another(server, full),
          .expected = "at once an answer: there is no room",
          .got = "nothing: this one waits, too, and main goes on",
          .cause = "the queue has no bound, or has room for more than eight",
          .key = "not-refused", REFUSED);
    check(!silent, .expected = "at once an answer: there is no room",
          .got = "nothing: the server says nothing",
          .cause = "main waits for room: job_queue_push instead of "
                   "job_queue_try_push, or the queue has no bound, "
                   "or one above eight",
          .key = "not-refused", REFUSED);
    check(answer.length > 0, .expected = "at once an answer: there is no room",
          .got = "the connection was closed without a word",
          .cause = "who could not hand over the connection owns it still: main "
                   "answers, then closes",
          .key = "not-refused", REFUSED);
    check(!answer.timed_out,
          .expected = "an answer, and then the end of the connection",
          .got = words("`%.30s`, and the connection stays open", answer.data),
          .cause = "who could not hand over the connection owns it still: main "
                   "answers, then closes",
          .key = "refused-open", REFUSED);
    check(strncmp(answer.data, "HTTP/1.1 503 ", 13) == 0,
          .expected = "a status line with 503",
          .got = words("`%.30s`", answer.data),
          .cause = "the queue has room for more than eight", .key = "no-503",
          REFUSED);
    check(answer.complete, .expected = "a whole answer, with Content-Length",
          .got = words("`%s`", answer.data),
          .cause = "its head ends in an empty line, \\r\\n\\r\\n, and the body "
                   "has as many bytes as Content-Length says",
          .key = "503-whole", REFUSED);
    free(answer.data);
}

/* Checks what those who were let in have got. */
static void check_served(int count, Answer answers[])
{
    for (int i = 0; i < count; i++) {
        check(!is_refusal(&answers[i]),
              .did = "four clients asked for /sleep; eight more followed",
              .expected = "the eight wait until a worker is free",
              .got = words("number %d was refused: 503", i + 1),
              .cause =
                  "the bound: eight jobs may wait that no worker has taken",
              .key = "too-few", .read = "A full queue says so");
        check_answer(&answers[i], "GET /sleep HTTP/1.1", "HTTP/1.1 200 OK",
                     "hello.html");
    }
}

Test(bounded_queue, exactly_the_bound_waits_and_the_next_gets_503)
{
    int clients[MOST];
    Answer answers[MOST];
    Server server = server_start((Options){.hurry = true});
    int descriptors = server_descriptors(&server);
    int count = fill(&server, clients);
    check_refused(&server, descriptors + count, "GET /sleep HTTP/1.1");
    check_refused(&server, descriptors + count, "GET / HTTP/1.1");
    server_wait_descriptors(&server, 0, descriptors + count);

    server_hurry();
    clients_receive((size_t)count, clients, answers, 3 * SLEEP + patience());
    check_served(count, answers);
    for (int i = RUNNING; i < count; i++)
        for (int j = i + RUNNING; j < count; j++)
            check(answers[i].at < answers[j].at,
                  .did = "four clients asked for /sleep; eight more followed",
                  .expected = "who came earlier is served earlier",
                  .got = words("number %d was served before number %d", j + 1,
                               i + 1),
                  .cause = "pop must take the oldest job", .key = "order",
                  .read = "A ring");
    doing("all of them had been answered, and a client asked for /");
    check_hello(&server);
    server_stop(&server);
}

Test(bounded_queue, ctrl_c_is_heard_though_the_queue_is_full, TAKES_TIME)
{
    int clients[MOST];
    Answer answers[MOST];
    Server server = server_start((Options){.hurry = true});
    int count = fill(&server, clients);
    int late = client_connect(&server);
    client_ask(late, "GET /sleep HTTP/1.1");
    doing("four clients were being served and eight waited, one more came, and "
          "then Ctrl-C");
    kill(server.pid, SIGINT);
    check(says_goodbye(&server, (size_t)count, clients),
          .expected = "at once the line `Shutting down.`",
          .got = "it does not come before a worker is free",
          .cause = "main waits for room, and hears nothing: it must not wait "
                   "for anybody but in poll",
          .key = "deaf", .read = "A ring");
    server_hurry();
    clients_receive((size_t)count, clients, answers, 3 * SLEEP + patience());
    check_served(count, answers);
    close(late);
    check_ends_well(&server, 0, "something is still waited for",
                    "A byte in a pipe");
}

/* Whoever is refused leaves nothing behind. */
Test(bounded_queue, a_thousand_refused_cost_nothing, TAKES_TIME)
{
    int clients[MOST];
    Answer answers[MOST];
    Server server = server_start((Options){.hurry = true});
    int count = fill(&server, clients);
    int descriptors = server_descriptors(&server);
    long memory = server_memory(&server);
    int refused = 0;
    for (int i = 0; i == refused && i < 1000; i++) { /* until a job has ended */
        Answer answer = client_get_within(&server, "GET / HTTP/1.1", SLEEP);
        refused += is_refusal(&answer);
        free(answer.data);
    }
    server_hurry();
    clients_receive((size_t)count, clients, answers, 3 * SLEEP + patience());
    check(refused > 0, .expected = "they are refused: 503",
          .got = "the first of them was not",
          .cause = "the queue has no bound, or one above eight; or main waits "
                   "for room",
          .key = "not-refused", REFUSED);
    doing("four clients were being served, eight waited, and a thousand more "
          "asked");
    server_wait_descriptors(&server, 0, descriptors);
    check(server_memory(&server) - memory < 1000,
          .expected = "who is refused costs nothing",
          .got = words("the server grew by %ld KB",
                       server_memory(&server) - memory),
          .cause = "something is allocated for a client and not freed when "
                   "there is no room",
          .read = "A full queue says so");
    check_hello(&server);
    server_stop(&server);
}
