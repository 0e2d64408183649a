/* A thread per request. */

#include "shared.h"

#include <stdlib.h>
#include <string.h>

TestSuite(thread_per_request, .timeout = TIMEOUT);

enum { SLOW = 20 };

Test(thread_per_request, root_does_not_wait_for_sleep)
{
    double later = check_sleep_then_root("thread-per-request");
    check("thread-per-request", later < 0,
          "`/` waited for `/sleep`: it was answered %.1f s after it; this step "
          "gives each request a thread of its own",
          later);
}

Test(thread_per_request, each_slow_request_has_a_thread_until_it_is_answered)
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
    server_wait_threads(&server, "thread-per-request", 1 + SLOW);
    clients_receive(SLOW, clients, answers, patience());
    double first = answers[0].at, last = answers[0].at;
    for (int i = 0; i < SLOW; i++) {
        check_answer("thread-per-request", &answers[i], "GET /sleep HTTP/1.1",
                     "HTTP/1.1 200 OK", "hello.html");
        first = answers[i].at < first ? answers[i].at : first;
        last = answers[i].at > last ? answers[i].at : last;
    }
    check("thread-per-request", last - start < 2 * (first - start),
          "%d slow requests sleep side by side; the last answer came %.1f s "
          "after the first",
          SLOW, last - first);
    server_wait_threads(&server, "thread-per-request", 1);
    server_wait_descriptors(&server, descriptors);
    server_stop(&server);
}

/* What a thread is given must not change under it. */
Test(thread_per_request, each_thread_serves_its_own_connection)
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
            client_ask(clients[i],
                       i % 2 ? "GET /foo HTTP/1.1" : "GET / HTTP/1.1");
        clients_receive(CLIENTS, clients, answers, patience());
        check_alive(&server);
        for (int i = 0; i < CLIENTS; i++) {
            check_answer("thread-per-request", &answers[i],
                         i % 2 ? "GET /foo HTTP/1.1" : "GET / HTTP/1.1",
                         i % 2 ? "HTTP/1.1 404 NOT FOUND" : "HTTP/1.1 200 OK",
                         i % 2 ? "404.html" : "hello.html");
            free(answers[i].data);
        }
    }
    server_wait_threads(&server, "thread-per-request", 1);
    server_wait_descriptors(&server, descriptors);
    server_stop(&server);
}

/* A thread that nobody joins must be detached, or its stack stays for ever. */
Test(thread_per_request, threads_leave_no_memory_behind)
{
    Server server = server_start((Options){0});
    for (int i = 0; i < 100; i++)
        check_hello(&server, "thread-per-request");
    server_wait_threads(&server, "thread-per-request", 1);
    long before = server_memory(&server);
    for (int i = 0; i < 500; i++)
        check_hello(&server, "thread-per-request");
    server_wait_threads(&server, "thread-per-request", 1);
    long after = server_memory(&server);
    check("thread-per-request", after - before < 500 * 1024L,
          "After 500 more requests the server's address space has grown by %ld "
          "KiB: is every thread detached?",
          after - before);
    server_stop(&server);
}

Test(thread_per_request, two_requests_do_not_mix)
{
    check_no_mixing("thread-per-request");
}

Test(thread_per_request, a_thread_that_cannot_be_created)
{
    Server server = server_start((Options){.failing_thread = 2});
    int descriptors = server_descriptors(&server);
    check_hello(&server, "thread-per-request");
    Answer answer = client_get(&server, "GET / HTTP/1.1");
    check("thread-per-request", answer.length == 0 && !answer.timed_out,
          "When pthread_create fails, its connection should be closed");
    char *errors = server_errors(&server);
    check("thread-per-request", strchr(errors, '\n') != NULL,
          "When pthread_create fails, the server should say so on stderr");
    check_hello(&server, "thread-per-request");
    server_wait_descriptors(&server, descriptors);
    server_stop(&server);
}

Test(thread_per_request, threads_that_begin_late)
{
    check_late_threads("thread-per-request");
}
