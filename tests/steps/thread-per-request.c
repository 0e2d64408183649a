/* A thread per request. */

#include "shared.h"

#include <stdlib.h>
#include <string.h>

TestSuite(thread_per_request, SUITE);

enum { SLOW = 20 };

/* What a thread is given must not change under it. */
Test(thread_per_request, each_thread_serves_its_own_connection)
{
    enum { ROUNDS = 10, CLIENTS = 100 };
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int clients[CLIENTS];
    Answer answers[CLIENTS];

    doing("100 clients connected, then asked, for / and /foo by turns");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++)
            clients[i] = client_connect(&server);
        for (int i = 0; i < CLIENTS; i++)
            client_ask(clients[i],
                       i % 2 ? "GET /foo HTTP/1.1" : "GET / HTTP/1.1");
        clients_receive(CLIENTS, clients, answers, patience());
        check_alive(&server);
        for (int i = 0; i < CLIENTS; i++) {
            check_answer(&answers[i],
                         i % 2 ? "GET /foo HTTP/1.1" : "GET / HTTP/1.1",
                         i % 2 ? "HTTP/1.1 404 NOT FOUND" : "HTTP/1.1 200 OK",
                         i % 2 ? "404.html" : "hello.html");
            free(answers[i].data);
        }
    }
    server_wait_threads(&server, 0, 1);
    server_wait_descriptors(&server, 0, descriptors);
    check_one_process(&server);
    server_stop(&server);
}

Test(thread_per_request, threads_that_begin_late)
{
    check_late_threads();
}

Test(thread_per_request, two_requests_do_not_mix)
{
    check_no_mixing();
}

Test(thread_per_request, root_does_not_wait_for_sleep, TAKES_TIME)
{
    double later = check_sleep_then_root();
    check(
        later < 0, .expected = "/ is answered at once, by a thread of its own",
        .got = words("/ was answered %.1f s after /sleep", later),
        .cause = "main waits for the thread (pthread_join?), or answers itself",
        .key = "waits", .read = "Pass the value");
}

Test(thread_per_request, each_slow_request_has_a_thread_until_it_is_answered,
     TAKES_TIME)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int clients[SLOW];
    Answer answers[SLOW];
    double start = now();

    doing(words("%d clients asked for /sleep", SLOW));
    for (int i = 0; i < SLOW; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET /sleep HTTP/1.1");
    }
    check_one_process(&server);
    server_wait_threads(&server, 0, 1 + SLOW);
    clients_receive(SLOW, clients, answers, SLEEP + patience());
    double first = answers[0].at, last = answers[0].at;
    for (int i = 0; i < SLOW; i++) {
        check_answer(&answers[i], "GET /sleep HTTP/1.1", "HTTP/1.1 200 OK",
                     "hello.html");
        first = answers[i].at < first ? answers[i].at : first;
        last = answers[i].at > last ? answers[i].at : last;
    }
    check(last - start < 2 * (first - start),
          .expected = "they sleep side by side",
          .got = words("the last answer came %.1f s after the first",
                       last - first),
          .key = "waits");
    server_wait_threads(&server, 0, 1);
    server_wait_descriptors(&server, 0, descriptors);
    server_stop(&server);
}

/* A thread that nobody joins must be detached, or its stack stays for ever. */
Test(thread_per_request, threads_leave_no_memory_behind)
{
    Server server = server_start((Options){0});
    for (int i = 0; i < 100; i++)
        check_hello(&server);
    doing("600 clients were answered, one after the other");
    server_wait_threads(&server, 0, 1);
    long before = server_memory(&server);
    for (int i = 0; i < 500; i++)
        check_hello(&server);
    server_wait_threads(&server, 0, 1);
    long growth = server_memory(&server) - before;
    check(
        growth < 500 * 1024L, .expected = "a thread that ended leaves nothing",
        .got = words("the server's address space has grown by %ld MB",
                     growth / 1024),
        .cause = "a thread that nobody joins must be detached: pthread_detach",
        .key = "not-detached", .read = "Pass the value");
    server_stop(&server);
}

Test(thread_per_request, a_thread_that_cannot_be_created)
{
    Server server = server_start((Options){.failing_thread = 2});
    int descriptors = server_descriptors(&server);
    check_hello(&server);
    doing("pthread_create was made to fail for the second of three clients");
    Answer answer = client_get(&server, "GET / HTTP/1.1");
    check(answer.length == 0 && !answer.timed_out,
          .expected = "its connection is closed",
          .got = answer.length > 0 ? "it was answered" : "it stays open",
          .cause = "what pthread_create returns is not looked at: 0 is success",
          .key = "create-error", .read = "Pass the value");
    char *errors = server_errors(&server);
    check(strchr(errors, '\n') != NULL, .expected = "a line on stderr",
          .got = "no word", .key = "create-error", .read = "Pass the value");
    check_hello(&server);
    server_wait_descriptors(&server, 0, descriptors);
    server_stop(&server);
}
