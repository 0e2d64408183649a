/* Two requests, then a graceful shutdown. */

#include "shared.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(graceful_shutdown, .timeout = TIMEOUT);

/* Checks the two answers, and that the server ends after them. */
static void check_two_and_end(const char *first, const char *second)
{
    Server server = server_start((Options){0});
    check_two("graceful-shutdown", &server, first, second);
    server_wait_clean(&server);
    check("graceful-shutdown", client_try_connect(&server) == -1,
          "After its end the server should accept nothing");
}

Test(graceful_shutdown, two_quick_requests)
{
    check_two_and_end("GET / HTTP/1.1", "GET / HTTP/1.1");
}

Test(graceful_shutdown, slow_requests_are_finished)
{
    check_two_and_end("GET /sleep HTTP/1.1", "GET /sleep HTTP/1.1");
}

Test(graceful_shutdown, the_slow_one_is_first)
{
    check_two_and_end("GET /sleep HTTP/1.1", "GET / HTTP/1.1");
}

Test(graceful_shutdown, the_slow_one_is_second)
{
    check_two_and_end("GET / HTTP/1.1", "GET /sleep HTTP/1.1");
}

Test(graceful_shutdown, a_third_connection_is_refused)
{
    Server server = server_start((Options){0});
    int clients[2];
    Answer answers[2];
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
    clients_receive(2, clients, answers, patience());
    for (int i = 0; i < 2; i++)
        check_answer("graceful-shutdown", &answers[i], "GET /sleep HTTP/1.1",
                     "HTTP/1.1 200 OK", "hello.html");
    check(
        "graceful-shutdown",
        refused != 0 && refused < answers[0].begun
            && refused < answers[1].begun,
        "A third connection should be refused while the first two are still "
        "being answered: the listener is closed before the pool is destroyed");
    server_wait_clean(&server);
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
    check_hello(&server, "graceful-shutdown");
    check_hello(&server, "graceful-shutdown");
    server_wait_clean(&server);

    char *output = server_output(&server);
    int down = line_number(output, "Shutting down.\n"), before = 0;
    check("graceful-shutdown", down != 0,
          "Expected the line `Shutting down.`; the output:\n%s", output);
    check(
        "graceful-shutdown",
        occurrences(output, " got a job; executing.\n") == 2,
        "Expected two lines `Worker N got a job; executing.`; the output:\n%s",
        output);
    for (int id = 0; id < 4; id++) {
        char ended[64], joining[64];
        snprintf(ended, sizeof ended,
                 "Worker %d disconnected; shutting down.\n", id);
        snprintf(joining, sizeof joining, "Shutting down worker %d\n", id);
        check("graceful-shutdown", occurrences(output, ended) == 1,
              "Expected one line `Worker %d disconnected; shutting down.`; the "
              "output:\n%s",
              id, output);
        int line = line_number(output, joining);
        check("graceful-shutdown", line > down && line > before,
              "Expected `Shutting down worker %d` after `Shutting down.`, the "
              "workers in order; the output:\n%s",
              id, output);
        before = line;
    }
    free(output);
}

Test(graceful_shutdown, it_waits_for_its_requests_alone)
{
    Server server = server_start((Options){0});
    server_wait_threads(&server, "graceful-shutdown", 5);
    check_hello(&server, "graceful-shutdown");
    check("graceful-shutdown", server_alive(&server),
          "The server should shut down after two connections; it ended after "
          "one");
    check_idle("graceful-shutdown", &server);
    check_hello(&server, "graceful-shutdown");
    server_wait_clean(&server);
}

Test(graceful_shutdown, two_silent_clients_delay_it_and_no_longer)
{
    Server server = server_start((Options){0});
    int first = client_connect(&server), second = client_connect(&server);
    server_wait_clean(&server);
    close(first);
    close(second);
}

Test(graceful_shutdown, two_requests_do_not_mix)
{
    check_no_mixing("graceful-shutdown");
}

/* With one descriptor to spare, accept() fails as long as it is in use. */
Test(graceful_shutdown, a_failed_accept_is_no_request)
{
    Server server = server_start((Options){0});
    unsigned descriptors = (unsigned)server_descriptors(&server);
    server_stop(&server);

    server = server_start((Options){.descriptors = descriptors + 1});
    int first = client_connect(&server), second = client_connect(&server);
    for (double start = now(); now() < start + 1;)
        moment();
    /* A program that needs more than a descriptor a client drops the first. */
    char byte;
    bool held =
        recv(first, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EAGAIN;
    char *output = server_output(&server);
    check(
        "graceful-shutdown",
        !held
            || (server_alive(&server)
                && strstr(output, "Shutting down.") == NULL),
        "accept() failed, for want of a descriptor, and the server counted it "
        "as one of its two connections. It said:\n%s",
        output);
    free(output);
    close(first);
    close(second);
    server_wait_clean(&server);
}

Test(graceful_shutdown, a_worker_that_cannot_be_created_is_reported)
{
    check_failing_worker("graceful-shutdown");
}

Test(graceful_shutdown, threads_that_begin_late)
{
    check_late_threads("graceful-shutdown");
}
