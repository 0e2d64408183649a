/* Step 03: a thread per request. */

#include "harness.h"

#include <stdlib.h>
#include <string.h>

TestSuite(step03, .timeout = TIMEOUT);

enum { SLOW = 20 };

Test(step03, root_does_not_wait_for_sleep)
{
    double later = check_sleep_then_root(3);
    check(3, later < 0,
          "`/` waited for `/sleep`: it was answered %.1f s after it; step 03 "
          "gives each request a thread of its own", later);
}

Test(step03, each_slow_request_has_a_thread_until_it_is_answered)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int clients[SLOW];
    Answer answers[SLOW];
    double start = now();

    for (int i = 0; i < SLOW; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET /sleep HTTP/1.1");
    }
    server_wait_threads(&server, 3, 1 + SLOW);
    clients_receive(SLOW, clients, answers, PATIENCE);
    double first = answers[0].at, last = answers[0].at;
    for (int i = 0; i < SLOW; i++) {
        check_answer(3, &answers[i], "GET /sleep HTTP/1.1", "HTTP/1.1 200 OK",
                     "hello.html");
        first = answers[i].at < first ? answers[i].at : first;
        last = answers[i].at > last ? answers[i].at : last;
    }
    check(3, last - start < 2 * (first - start),
          "%d slow requests sleep side by side; the last answer came %.1f s "
          "after the first", SLOW, last - first);
    server_wait_threads(&server, 3, 1);
    server_wait_descriptors(&server, descriptors);
    server_stop(&server);
}

/* What a thread is given must not change under it. */
Test(step03, each_thread_serves_its_own_connection)
{
    enum { ROUNDS = 10, CLIENTS = 100 };
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int clients[CLIENTS];
    Answer answers[CLIENTS];

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++)
            clients[i] = client_connect(&server);
        for (int i = 0; i < CLIENTS; i++)
            client_ask(clients[i], i % 2 ? "GET /foo HTTP/1.1"
                                         : "GET / HTTP/1.1");
        clients_receive(CLIENTS, clients, answers, PATIENCE);
        check_alive(&server);
        for (int i = 0; i < CLIENTS; i++) {
            check_answer(3, &answers[i], i % 2 ? "GET /foo HTTP/1.1"
                                               : "GET / HTTP/1.1",
                         i % 2 ? "HTTP/1.1 404 NOT FOUND" : "HTTP/1.1 200 OK",
                         i % 2 ? "404.html" : "hello.html");
            free(answers[i].data);
        }
    }
    server_wait_threads(&server, 3, 1);
    server_wait_descriptors(&server, descriptors);
    server_stop(&server);
}

/* A thread that nobody joins must be detached, or its stack stays for ever. */
Test(step03, threads_leave_no_memory_behind)
{
    Server server = server_start((Options){0});
    for (int i = 0; i < 100; i++)
        check_hello(&server, 3);
    server_wait_threads(&server, 3, 1);
    long before = server_memory(&server);
    for (int i = 0; i < 500; i++)
        check_hello(&server, 3);
    server_wait_threads(&server, 3, 1);
    long after = server_memory(&server);
    check(3, after - before < 500 * 1024L,
          "After 500 more requests the server's address space has grown by %ld "
          "KiB: is every thread detached?", after - before);
    server_stop(&server);
}

Test(step03, two_requests_do_not_mix)
{
    check_no_mixing(3);
}

Test(step03, a_thread_that_cannot_be_created)
{
    Server server = server_start((Options){.failing_thread = 2});
    int descriptors = server_descriptors(&server);
    check_hello(&server, 3);
    Answer answer = client_get(&server, "GET / HTTP/1.1");
    check(3, answer.length == 0 && !answer.timed_out,
          "When pthread_create fails, its connection should be closed");
    char *errors = server_errors(&server);
    check(3, strchr(errors, '\n') != NULL,
          "When pthread_create fails, the server should say so on stderr");
    check_hello(&server, 3);
    server_wait_descriptors(&server, descriptors);
    server_stop(&server);
}

Test(step03, threads_that_begin_late)
{
    check_late_threads(3);
}
