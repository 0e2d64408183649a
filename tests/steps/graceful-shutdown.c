/* Two requests, then a graceful shutdown. */

#include "shared.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(graceful_shutdown, SUITE);

/* Checks the two answers, and that the server ends after them. */
static void check_two_and_end(const char *first, const char *second,
                              double seconds)
{
    Server server = server_start((Options){0});
    check_two(&server, first, second, seconds);
    doing("two clients asked, and were answered");
    server_wait_clean(&server, 0);
    check(client_try_connect(&server) == -1,
          .expected = "the server has ended, and accepts nothing",
          .got = "a third client can connect", .key = "still-listens");
}

Test(graceful_shutdown, two_quick_requests)
{
    check_two_and_end("GET / HTTP/1.1", "GET / HTTP/1.1", 0);
}

Test(graceful_shutdown, slow_requests_are_finished, TAKES_TIME)
{
    check_two_and_end("GET /sleep HTTP/1.1", "GET /sleep HTTP/1.1", SLEEP);
}

Test(graceful_shutdown, the_slow_one_is_first, TAKES_TIME)
{
    check_two_and_end("GET /sleep HTTP/1.1", "GET / HTTP/1.1", SLEEP);
}

Test(graceful_shutdown, the_slow_one_is_second, TAKES_TIME)
{
    check_two_and_end("GET / HTTP/1.1", "GET /sleep HTTP/1.1", SLEEP);
}

/* The number of the line that is this text, from 1; 0 if there is none. */
static int line_number(const char *output, const char *text)
{
    const char *found = strstr(output, text);
    int number = 1;
    if (found == NULL)
        return 0;
    for (; output < found; output++)
        number += *output == '\n';
    return number;
}

Test(graceful_shutdown, it_says_what_it_does)
{
    Server server = server_start((Options){0});
    check_hello(&server);
    check_hello(&server);
    doing("two clients asked, and were answered");
    server_wait_clean(&server, 0);

    char *output = server_output(&server);
    int down = line_number(output, "Shutting down.\n"), before = 0;
    check(down != 0, .expected = "the line `Shutting down.`",
          .got = "it is not there", .detail = output, .key = "lines",
          .read = "Two requests, then home");
    check(occurrences(output, " got a job; executing.\n") == 2,
          .expected = "two lines `Worker N got a job; executing.`",
          .got = words("%d", occurrences(output, " got a job; executing.\n")),
          .detail = output, .key = "lines", .read = "The worker's loop");
    for (int id = 0; id < 4; id++) {
        char *done = words("Worker %d disconnected; shutting down.\n", id);
        char *joining = words("Shutting down worker %d\n", id);
        check(occurrences(output, done) == 1,
              .expected =
                  words("once the line `Worker %d disconnected; shutting "
                        "down.`",
                        id),
              .got = words("%d times", occurrences(output, done)),
              .cause = "a worker that leaves its loop must say so, and a pool "
                       "that is destroyed must wait for it",
              .detail = output, .key = "lines", .read = "Telling them");
        int line = line_number(output, joining);
        check(line > down && line > before,
              .expected = words("`Shutting down worker %d` after `Shutting "
                                "down.`, the workers in order",
                                id),
              .got = line == 0 ? "it is not there" : "it comes too early",
              .detail = output, .key = "lines",
              .read = "Waiting for the workers");
        before = line;
        free(done);
        free(joining);
    }
    free(output);
}

Test(graceful_shutdown, it_waits_for_its_requests_alone, TAKES_TIME)
{
    Server server = server_start((Options){0});
    server_wait_threads(&server, 0, 5);
    check_hello(&server);
    doing("a first client was answered");
    check(server_alive(&server), .expected = "the server waits for a second",
          .got = "it ended", .key = "not-two",
          .read = "Two requests, then home");
    check_idle(&server);
    check_hello(&server);
    doing("a second client was answered");
    server_wait_clean(&server, 0);
}

Test(graceful_shutdown, two_requests_do_not_mix)
{
    check_no_mixing();
}

Test(graceful_shutdown, threads_that_begin_late)
{
    check_late_threads();
}

Test(graceful_shutdown, a_worker_that_cannot_be_created_is_reported)
{
    check_failing_worker();
}

Test(graceful_shutdown, a_third_connection_is_refused, TAKES_TIME)
{
    Server server = server_start((Options){0});
    int clients[2];
    Answer answers[2];
    doing("two clients asked for /sleep; while they waited, a third tried to "
          "connect");
    for (int i = 0; i < 2; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET /sleep HTTP/1.1");
    }
    server_wait_output(&server, "Shutting down.\n", 1);
    double start = now(), refused = 0;
    while (refused == 0 && now() < start + 2) { /* the others take 5 s */
        int client = client_try_connect(&server);
        if (client == -1)
            refused = now();
        else
            close(client);
        moment();
    }
    clients_receive(2, clients, answers, SLEEP + patience());
    for (int i = 0; i < 2; i++)
        check_answer(&answers[i], "GET /sleep HTTP/1.1", "HTTP/1.1 200 OK",
                     "hello.html");
    check(refused != 0 && refused < answers[0].begun
              && refused < answers[1].begun,
          .expected = "it is refused", .got = "it is accepted",
          .cause = "the listener is still open: close it before the pool is "
                   "destroyed, which takes as long as the slowest request",
          .key = "still-listens", .read = "Two requests, then home");
    server_wait_clean(&server, 0);
}

/* With one descriptor to spare, accept() fails as long as it is in use. */
Test(graceful_shutdown, a_failed_accept_is_no_request)
{
    Server server = server_start((Options){0});
    unsigned descriptors = (unsigned)server_descriptors(&server);
    server_stop(&server);

    server = server_start((Options){.descriptors = descriptors + 1});
    doing("the server had descriptors for one client only, and two came");
    int first = client_connect(&server), second = client_connect(&server);
    for (double start = now(); now() < start + 1;)
        moment();
    /* A program that needs more than a descriptor a client drops the first. */
    char byte;
    bool held =
        recv(first, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EAGAIN;
    char *output = server_output(&server);
    check(!held
              || (server_alive(&server)
                  && strstr(output, "Shutting down.") == NULL),
          .expected = "accept() fails, and is tried again",
          .got = "the server counted the failure as one of its two connections",
          .cause = "only what accept() returned counts", .detail = output,
          .key = "counts-errors", .read = "Two requests, then home");
    free(output);
    close(first);
    close(second);
    server_wait_clean(&server, SILENCE);
}

TestSuite(hostile_shutdown, SUITE);

Test(hostile_shutdown, two_silent_clients_delay_it_and_no_longer, TAKES_TIME)
{
    Server server = server_start((Options){0});
    doing("two clients connected and said nothing");
    int first = client_connect(&server), second = client_connect(&server);
    server_wait_clean(&server, SILENCE);
    close(first);
    close(second);
}
