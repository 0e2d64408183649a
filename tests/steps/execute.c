/* The pool works. */

#define _GNU_SOURCE /* F_ADD_SEALS */
#include "shared.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(execute, SUITE);

#define HELD                                                                   \
    .cause =                                                                   \
        "a worker holds a lock while it runs its job, so that the others "     \
        "cannot take one; or jobs are bound to one worker",                    \
    .key = "lock-held", .read = "The lock that is held too long"

/* Has count clients ask for `/sleep`, one ask for `/`, and waits for all. */
static void ask_for_sleep_then_root(int count, int clients[], Answer answers[],
                                    double seconds)
{
    Server server = server_start((Options){0});
    for (int i = 0; i < count; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET /sleep HTTP/1.1");
    }
    /* Until the workers sleep; if they never do, the answers will tell. */
    for (double start = now(); now() < start + 1; moment()) {
        char *output = server_output(&server);
        int begun = occurrences(output, " got a job; executing.");
        free(output);
        if (begun >= (count < 4 ? count : 4))
            break;
    }
    clients[count] = client_connect(&server);
    client_ask(clients[count], "GET / HTTP/1.1");
    clients_receive((size_t)count + 1, clients, answers, seconds + patience());
    server_stop(&server);
}

/* Checks what they got; when, must have been checked before. */
static void check_answers(int count, const Answer answers[])
{
    for (int i = 0; i <= count; i++)
        check_answer(&answers[i],
                     i < count ? "GET /sleep HTTP/1.1" : "GET / HTTP/1.1",
                     "HTTP/1.1 200 OK", "hello.html");
}

Test(execute, a_burst_is_served_by_four_workers)
{
    enum { CLIENTS = 500 };
    static int clients[CLIENTS];
    static Answer answers[CLIENTS];
    Server server = server_start((Options){0});
    doing(words("%d clients asked at once", CLIENTS));
    server_wait_threads(&server, 0, 5);
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
    int served = 0;
    for (int i = 0; i < CLIENTS; i++) {
        if (is_refusal(&answers[i]))
            continue;
        check_answer(&answers[i],
                     i % 2 ? "GET /foo HTTP/1.1" : "GET / HTTP/1.1",
                     i % 2 ? "HTTP/1.1 404 NOT FOUND" : "HTTP/1.1 200 OK",
                     i % 2 ? "404.html" : "hello.html");
        served++;
    }
    check(most == 5 && least == 5, .expected = "1 + 4 threads, always",
          .got = words("%d to %d threads", least, most),
          .cause = most > 5 ? "a thread is created for a request; only "
                              "thread_pool_new may create threads"
                            : "a worker ends after a job: its loop must go on",
          .key = "threads", .read = "The worker's loop");
    server_wait_descriptors(&server, 0, descriptors);
    check_one_process(&server);

    char *output = server_output(&server);
    int mine = 0, jobs = occurrences(output, " got a job; executing.\n");
    for (int id = 0; id < 4; id++) {
        char line[64];
        snprintf(line, sizeof line, "Worker %d got a job; executing.\n", id);
        mine += occurrences(output, line);
    }
    check(mine == served && jobs == served,
          .expected = words("%d times a line like `Worker 0 got a job; "
                            "executing.`, of workers 0 to 3",
                            served),
          .got = mine == jobs ? words("%d times", mine)
                              : words("%d times, and %d lines of other workers",
                                      mine, jobs - mine),
          .cause = mine == jobs ? "the line is worded in another way, has no "
                                  "`\\n` at its end, or is printed more than "
                                  "once for a job"
                                : "a Worker's id is not set, or counts from 1; "
                                  "or another number is printed",
          .detail = words("%.300s...", output), .key = "lines",
          .read = "The worker's loop");
    free(output);
    server_stop(&server);
}

Test(execute, a_worker_says_who_it_is_before_it_runs_the_job)
{
    Server server = server_start((Options){0});
    doing("four clients asked for /sleep");
    double start = now();
    for (int i = 0; i < 4; i++)
        client_ask(client_connect(&server), "GET /sleep HTTP/1.1");
    char *output = server_output(&server);
    while (occurrences(output, " got a job; executing.\n") < 4
           && now() < start + SLEEP - 0.5) {
        free(output);
        moment();
        output = server_output(&server);
    }
    int lines = occurrences(output, " got a job; executing.\n");
    check(lines > 0,
          .expected =
              "`Worker 0 got a job; executing.` comes before the job is "
              "run",
          .got = words("no such line in the first %.1f s of it", now() - start),
          .cause = "the line is missing, or printed after the job",
          .key = "lines", .read = "The worker's loop");
    for (int id = 0; lines == 4 && id < 4; id++)
        check(
            occurrences(output, words("Worker %d got a job; executing.\n", id))
                == 1,
            .expected = "a line of each of the workers 0 to 3: all four sleep",
            .got = words("%d of worker %d",
                         occurrences(output, words("Worker %d got a job; "
                                                   "executing.\n",
                                                   id)),
                         id),
            .cause = "a Worker's id is not set, or not its own",
            .detail = output, .key = "lines", .read = "The worker's loop");
    free(output);
    server_stop(&server);
}

Test(execute, two_requests_do_not_mix)
{
    check_no_mixing();
}

Test(execute, threads_that_begin_late)
{
    check_late_threads();
}

Test(execute, a_worker_that_cannot_be_created_is_reported)
{
    check_failing_worker();
}

Test(execute, idle_workers_burn_no_cpu, TAKES_TIME)
{
    Server server = server_start((Options){0});
    for (int i = 0; i < 10; i++)
        check_hello(&server);
    check_idle(&server);
    server_stop(&server);
}

Test(execute, root_during_three_sleeps_is_answered_at_once, TAKES_TIME)
{
    int clients[4];
    Answer answers[4];
    double start = now();
    ask_for_sleep_then_root(3, clients, answers, SLEEP);
    doing("three clients asked for /sleep, then one for /");
    for (int i = 0; i < 3; i++) {
        check(answers[3].length > 0
                      && answers[3]
                             .at<answers[i].at,
                                 .expected = "/ is answered at once: a fourth "
                                             "worker is free",
                                 .got = answers[3].length> 0
                  ? words("/ was answered %.1f s after /sleep",
                          answers[3].at - answers[i].at)
                  : "/ got no answer",
              HELD);
        check(answers[i].length > 0
                      && answers[i].at
                             - start<2 * (answers[0].at - start),
                                     .expected = "the three sleep side by side",
                                     .got = answers[i].length> 0
                  ? words("number %d was answered %.1f s after the first",
                          i + 1, answers[i].at - answers[0].at)
                  : words("number %d got no answer in %.0f s", i + 1,
                          answers[i].at - start),
              HELD);
    }
    check_answers(3, answers);
}

Test(execute, root_during_four_sleeps_is_answered_after_one, TAKES_TIME)
{
    int clients[5];
    Answer answers[5];
    double start = now();
    ask_for_sleep_then_root(4, clients, answers, SLEEP);
    doing("four clients asked for /sleep, then one for /");
    double first = answers[0].at, last = answers[0].at;
    for (int i = 1; i < 4; i++) {
        first = answers[i].at < first ? answers[i].at : first;
        last = answers[i].at > last ? answers[i].at : last;
    }
    check(answers[4].at - start > 4.9,
          .expected = "/ waits: all four workers sleep",
          .got = words("/ was answered after %.1f s", answers[4].at - start),
          .cause = "somebody else than the four workers serves clients",
          .key = "more-workers", .read = "The worker's loop");
    check(last - start < 2 * (first - start),
          .expected = "the four sleep side by side, on four workers",
          .got = words("the last was answered %.1f s after the first",
                       last - first),
          HELD);
    check(answers[4].at - start < 2 * (first - start),
          .expected = "/ is answered as soon as one of the four is free",
          .got = words("it was answered %.1f s after the first /sleep",
                       answers[4].at - first),
          HELD);
    check_answers(4, answers);
}

Test(execute, workers_go_on_when_nobody_reads_their_lines)
{
    Server server = server_start((Options){0});
    server_wait_threads(&server, 0, 5);
    doing("stdout could no longer be written, as when its reader has left");
    check(fcntl(server.out, F_ADD_SEALS, F_SEAL_WRITE) == 0,
          .got = "the test cannot seal stdout");
    for (int i = 0; i < 5; i++)
        check_hello(&server);
    server_wait_threads(&server, 0, 5);
    server_stop(&server);
}

TestSuite(hostile_pool, SUITE);

Test(hostile_pool, four_silent_clients_hold_it_up_and_no_longer, TAKES_TIME)
{
    Server server = server_start((Options){0});
    int silent[4];
    doing("four clients connected and said nothing; then one asked for /");
    blame_the_read();
    for (int i = 0; i < 4; i++)
        silent[i] = client_connect(&server);
    check_hello_within(&server, SILENCE);
    free(client_receive(silent[0], patience()).data);
    server_wait_threads(&server, 0, 5);
    server_stop(&server);
}
