/* The pool works. */

#include "shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(execute, .timeout = TIMEOUT);

/* Has count clients ask for `/sleep`, one ask for `/`, and waits for all. */
static void ask_for_sleep_then_root(int count, int clients[], Answer answers[])
{
    Server server = server_start((Options){0});
    for (int i = 0; i < count; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET /sleep HTTP/1.1");
    }
    /* Until the workers sleep; if they never do, the answers will tell. */
    for (double start = now(); now() < start + 3; moment()) {
        char *output = server_output(&server);
        int begun = occurrences(output, " got a job; executing.");
        free(output);
        if (begun >= (count < 4 ? count : 4))
            break;
    }
    clients[count] = client_connect(&server);
    client_ask(clients[count], "GET / HTTP/1.1");
    clients_receive((size_t)count + 1, clients, answers, patience());
    server_stop(&server);
}

/* Checks what they got; when, must have been checked before. */
static void check_answers(int count, const Answer answers[])
{
    for (int i = 0; i <= count; i++)
        check_answer("execute", &answers[i],
                     i < count ? "GET /sleep HTTP/1.1" : "GET / HTTP/1.1",
                     "HTTP/1.1 200 OK", "hello.html");
}

Test(execute, root_during_three_sleeps_is_answered_at_once)
{
    int clients[4];
    Answer answers[4];
    double start = now();
    ask_for_sleep_then_root(3, clients, answers);
    for (int i = 0; i < 3; i++) {
        check("execute", answers[3].at < answers[i].at,
              "`/` waited for `/sleep` (answered %.1f s after it) though only "
              "three of four workers should sleep: does a worker hold the "
              "lock while it runs its job?",
              answers[3].at - answers[i].at);
        check("execute", answers[i].at - start < 2 * (answers[0].at - start),
              "Three `/sleep`s should sleep side by side; number %d was "
              "answered %.1f s after the first",
              i + 1, answers[i].at - answers[0].at);
    }
    check_answers(3, answers);
}

Test(execute, root_during_four_sleeps_is_answered_after_one)
{
    int clients[5];
    Answer answers[5];
    double start = now();
    ask_for_sleep_then_root(4, clients, answers);
    double first = answers[0].at, last = answers[0].at;
    for (int i = 1; i < 4; i++) {
        first = answers[i].at < first ? answers[i].at : first;
        last = answers[i].at > last ? answers[i].at : last;
    }
    check("execute", answers[4].at - start > 4.9,
          "`/` was answered after %.1f s, while all four workers slept: who "
          "served it?",
          answers[4].at - start);
    check("execute", last - start < 2 * (first - start),
          "Four `/sleep`s should sleep side by side, on four workers; the last "
          "was answered %.1f s after the first",
          last - first);
    check("execute", answers[4].at - start < 2 * (first - start),
          "`/` should be answered as soon as one of four workers is free; it "
          "was answered %.1f s after the first `/sleep`",
          answers[4].at - first);
    check_answers(4, answers);
}

Test(execute, a_burst_is_served_by_four_workers)
{
    enum { CLIENTS = 500 };
    static int clients[CLIENTS];
    static Answer answers[CLIENTS];
    Server server = server_start((Options){0});
    server_wait_threads(&server, "execute", 5);
    int descriptors = server_descriptors(&server);
    int most = 5, least = 5;

    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], i % 2 ? "GET /foo HTTP/1.1" : "GET / HTTP/1.1");
        int threads = server_threads(&server);
        most = threads > most ? threads : most;
        least = threads < least ? threads : least;
    }
    clients_receive(CLIENTS, clients, answers, patience());
    for (int i = 0; i < CLIENTS; i++)
        check_answer("execute", &answers[i],
                     i % 2 ? "GET /foo HTTP/1.1" : "GET / HTTP/1.1",
                     i % 2 ? "HTTP/1.1 404 NOT FOUND" : "HTTP/1.1 200 OK",
                     i % 2 ? "404.html" : "hello.html");
    check("execute", most == 5 && least == 5,
          "Under a burst of %d requests the server had %d to %d threads; it "
          "should have 1 + 4, always",
          CLIENTS, least, most);
    server_wait_descriptors(&server, descriptors);

    char *output = server_output(&server);
    int jobs = occurrences(output, " got a job; executing.\n");
    check("execute", jobs == CLIENTS,
          "%d connections are %d jobs; the workers say that they got %d",
          CLIENTS, CLIENTS, jobs);
    int mine = 0;
    for (int id = 0; id < 4; id++) {
        char line[64];
        snprintf(line, sizeof line, "Worker %d got a job; executing.\n", id);
        mine += occurrences(output, line);
    }
    check("execute", mine == CLIENTS,
          "Only workers 0 to 3 may get jobs, and say `Worker 0 got a job; "
          "executing.`; the output:\n%.400s",
          output);
    free(output);
    server_stop(&server);
}

Test(execute, four_silent_clients_hold_it_up_and_no_longer)
{
    Server server = server_start((Options){0});
    int silent[4];
    for (int i = 0; i < 4; i++)
        silent[i] = client_connect(&server);
    check_hello(&server, "single-threaded");
    free(client_receive(silent[0], patience()).data);
    server_wait_threads(&server, "execute", 5);
    server_stop(&server);
}

Test(execute, idle_workers_burn_no_cpu)
{
    Server server = server_start((Options){0});
    for (int i = 0; i < 10; i++)
        check_hello(&server, "execute");
    check_idle("execute", &server);
    server_stop(&server);
}

Test(execute, two_requests_do_not_mix)
{
    check_no_mixing("execute");
}

Test(execute, a_worker_that_cannot_be_created_is_reported)
{
    check_failing_worker("execute");
}

Test(execute, threads_that_begin_late)
{
    check_late_threads("execute");
}
