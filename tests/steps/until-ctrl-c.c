/* A signal ends the server gently, a second one at once. */

#include "shared.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(until_ctrl_c, SUITE);

#define NOT_TOLD                                                               \
    "nobody tells main, which waits: the handler must do something that ends " \
    "the wait, on whichever thread it runs; and the signal must not stay "     \
    "blocked in every thread"

/* Returns the id of one of its threads that is not main's. Linux hands a
 * signal for the process to the thread that is named, if that does not block
 * it. */
static pid_t one_worker(const Server *server)
{
    char *folder = words("/proc/%d/task", (int)server->pid);
    pid_t worker = server->pid;
    DIR *list = opendir(folder);
    for (struct dirent *entry; list != NULL && (entry = readdir(list));)
        if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != server->pid)
            worker = atoi(entry->d_name);
    closedir(list);
    free(folder);
    return worker;
}

/* Six clients: four are served, two wait in the queue. */
static void check_graceful(int number, const char *name)
{
    if (!step("workers_serve")) /* nobody says that a job was begun */
        return;
    enum { CLIENTS = 6 };
    Server server = server_start((Options){0});
    int clients[CLIENTS], descriptors = server_descriptors(&server);
    Answer answers[CLIENTS];
    doing(words("six clients asked for /sleep, and %s came", name));
    double asked = now();
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET /sleep HTTP/1.1");
    }
    await_jobs(&server, 4);
    await_connections(&server, descriptors, CLIENTS);

    kill(one_worker(&server), number);
    bool said = says_goodbye(&server, CLIENTS, clients);
    bool ended = !server_alive(&server);
    bool refused = false;
    for (Wait wait = {0}; said && !refused && still_waiting(&wait, 1);
         moment()) {
        int client = client_try_connect(&server);
        refused = client == -1;
        if (!refused)
            close(client);
    }
    clients_receive(CLIENTS, clients, answers, 2 * SLEEP + patience());
    int answered = 0;
    for (int i = 0; i < CLIENTS; i++)
        answered += answers[i].complete;

    check(!ended, .expected = "they are answered, and then it ends",
          .got =
              words("it ended at once, and %d of six were answered", answered),
          .cause = "nobody has asked for this signal with sigaction, or main "
                   "ends without thread_pool_destroy, which waits for the "
                   "workers",
          .key = "not-graceful", .read = "A byte in a pipe");
    check(said, .expected = "at once the line `Shutting down.`",
          .got = "it does not come", .cause = NOT_TOLD,
          .detail = server_output(&server), .key = "not-told",
          .read = "A byte in a pipe");
    check(refused && client_try_connect(&server) == -1,
          .expected = "while they are being answered, newcomers are refused",
          .got = "another client can connect",
          .cause = "the listener is still open: close it before the pool is "
                   "destroyed, which takes as long as the slowest request",
          .key = "still-listens", .read = "Two requests, then home");
    for (int i = 0; i < CLIENTS; i++) {
        check(!answers[i].complete || answers[i].at - asked > SLEEP - 0.5,
              .expected = "/sleep takes five seconds, whatever comes",
              .got = words("one took %.1f s", answers[i].at - asked),
              .cause = "the signal's handler ran in a worker, and ended its "
                       "sleep: the workers must block the signals",
              .key = "not-blocked", .read = "Whose signal is it?");
        check_answer(&answers[i], "GET /sleep HTTP/1.1", "HTTP/1.1 200 OK",
                     "hello.html");
    }
    check_ends_well(&server, 0,
                    "all clients are answered, and something is still waited "
                    "for",
                    "A byte in a pipe");

    char *output = server_output(&server);
    for (int id = 0; id < 4; id++) {
        char *line = words("Worker %d disconnected; shutting down.\n", id);
        check(occurrences(output, line) == 1,
              .expected = words("once the line `Worker %d disconnected; "
                                "shutting down.`",
                                id),
              .got = words("%d times", occurrences(output, line)),
              .cause = "the program ends before its workers have: destroy the "
                       "pool at the end of main",
              .detail = output, .key = "lines", .read = "Telling them");
        free(line);
    }
    free(output);
}

Test(until_ctrl_c, sigint_ends_it_when_all_are_answered)
{
    check_graceful(SIGINT, "Ctrl-C (SIGINT)");
}

Test(until_ctrl_c, sigterm_does_the_same)
{
    check_graceful(SIGTERM, "SIGTERM");
}

Test(until_ctrl_c, nobody_there)
{
    Server server = server_start((Options){0});
    server_wait_threads(&server, 0, step("threads"));
    doing("Ctrl-C came while the server waited for its first client");
    kill(server.pid, SIGINT);
    check_ends_well(&server, 0, NOT_TOLD, "A byte in a pipe");
}

/* Whether the signal has come that watch/calls.c sends. */
static bool signal_came(const Server *server)
{
    char *errors = server_errors(server);
    bool came = strstr(errors, "SIGINT, just before") != NULL;
    free(errors);
    return came;
}

static bool wait_for_signal(Server *server)
{
    for (Wait wait = {0}; !signal_came(server) && still_waiting(&wait, 0.5);
         moment())
        ;
    return signal_came(server);
}

/* After a first client; or, if the call is made only then, after a second. */
static void check_gap(const char *call)
{
    Server server = server_start((Options){.signal_before = call});
    check_hello(&server);
    doing(words("Ctrl-C came just before main called %s", call));
    if (!wait_for_signal(&server))
        free(client_get(&server, "GET / HTTP/1.1").data);
    if (wait_for_signal(&server))
        check_ends_well(&server, 0,
                        "main looks whether a signal has come, then waits: one "
                        "that comes in between is lost. A byte in a pipe stays",
                        "The gap");
    else /* it never calls this */
        server_stop(&server);
}

Test(until_ctrl_c, a_signal_just_before_accept_counts)
{
    check_gap("accept");
}

Test(until_ctrl_c, a_signal_just_before_poll_counts)
{
    check_gap("poll");
}

Test(until_ctrl_c, a_signal_just_before_select_counts)
{
    check_gap("select");
    check_gap("pselect");
}

Test(until_ctrl_c, a_signal_during_the_start_counts)
{
    doing("Ctrl-C came just before main called listen");
    Server server =
        server_start((Options){.signal_before = "listen", .may_end = true});
    for (Wait wait = {0}; server_alive(&server); moment())
        check(still_waiting(&wait, patience()),
              .expected = "the server ends, at once or when it has started",
              .got = "it waits for clients",
              .cause = "the signal is thrown away: one that is blocked waits, "
                       "one that is ignored does not",
              .read = "Whose signal is it?");
}

/* How many of its threads a signal may interrupt. */
static int open_to(const Server *server, int number)
{
    char *command = words("cat /proc/%d/task/*/status", (int)server->pid);
    FILE *list = popen(command, "r");
    char line[256];
    int count = 0;
    free(command);
    while (list != NULL && fgets(line, sizeof line, list) != NULL)
        if (strncmp(line, "SigBlk:", 7) == 0)
            count += (strtoull(line + 7, NULL, 16) >> (number - 1) & 1) == 0;
    pclose(list);
    return count;
}

/* Sends two signals, at the same moment or the second when the first has been
 * heard; meanwhile a client is being served. */
static void check_second(int first, int second, bool at_once)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int client = client_connect(&server);
    client_ask(client, "GET /sleep HTTP/1.1");
    if (step("workers_serve"))
        await_jobs(&server, 1);
    else /* nobody says that a job was begun */
        await_connections(&server, descriptors, 1);
    doing("a client asked for /sleep, and Ctrl-C came");
    if (at_once && open_to(&server, second) > 1) { /* see below */
        close(client);
        server_stop(&server);
        return;
    }
    if (at_once) /* while it is stopped, both wait for it */
        kill(server.pid, SIGSTOP);
    kill(server.pid, first);
    if (!at_once) {
        check(says_goodbye(&server, 1, &client),
              .expected = "at once the line `Shutting down.`",
              .got = "it does not come", .cause = NOT_TOLD, .key = "not-told",
              .read = "A byte in a pipe");
        check(server_alive(&server), .expected = "its client is answered first",
              .got = "it has ended", .key = "not-graceful",
              .read = "A byte in a pipe");
    }
    doing(at_once ? "a client asked for /sleep; SIGINT and SIGTERM came at the "
                    "same moment"
                  : "a client asked for /sleep; Ctrl-C came, and then a second "
                    "time");
    kill(server.pid, second);
    kill(server.pid, SIGCONT);
    Answer answer = client_receive(client, SLEEP + patience());
    char *output = server_output(&server);
    bool heard = strstr(output, "Shutting down.\n") != NULL;
    check(!answer.complete && !answer.timed_out,
          .expected = "the second signal ends the program at once",
          .got = heard ? "it answers its client first"
                       : "it goes on as if nothing had happened",
          .cause = !heard ? NOT_TOLD
                   : at_once
                       ? "while the handler runs for one signal, the other "
                         "must wait (sa_mask): else both run it before it has "
                         "restored anything"
                       : "the handler must restore what a signal does by "
                         "default, SIG_DFL, for both signals",
          .key = !heard    ? "not-told"
                 : at_once ? "both-signals"
                           : "second-signal",
          .read = heard && !at_once ? "The second one ends it at once"
                                    : "Whose signal is it?");
    free(output);
    free(answer.data);
    int status = server_wait(&server);
    check(!(WIFEXITED(status) && WEXITSTATUS(status) == 0),
          .expected = "a status other than 0: a client was let down",
          .got = "status 0", .read = "The second one ends it at once");
}

Test(until_ctrl_c, a_second_ctrl_c_ends_it_at_once)
{
    check_second(SIGINT, SIGINT, false);
}

Test(until_ctrl_c, sigterm_after_ctrl_c_ends_it_at_once)
{
    check_second(SIGINT, SIGTERM, false);
}

Test(until_ctrl_c, two_signals_at_the_same_moment_are_two)
{
    check_second(SIGINT, SIGTERM, true);
}

Test(until_ctrl_c, one_thread_alone_receives_signals)
{
    Server server = server_start((Options){0});
    server_wait_threads(&server, 0, step("threads"));
    const int numbers[] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++)
        check(open_to(&server, numbers[i]) <= 1,
              .did = "the server had started",
              .expected = words("one thread alone receives SIG%s",
                                i == 0 ? "INT" : "TERM"),
              .got = words("%d threads do, and whichever gets it is "
                           "interrupted in its job",
                           open_to(&server, numbers[i])),
              .cause = "a thread inherits what is blocked from the one that "
                       "creates it: block the signals before the pool is "
                       "created, and let them in afterwards, in main",
              .read = "Whose signal is it?");
    server_stop(&server);
}

/* What each client of a crowd got must be what the workers did. */
Test(until_ctrl_c, under_load_nobody_who_was_let_in_is_forgotten)
{
    if (!step("workers_serve")) /* nobody says that a job was begun */
        return;
    enum { CLIENTS = 300 };
    static int clients[CLIENTS];
    static Answer answers[CLIENTS];
    Server server = server_start((Options){0});
    doing(words("%d clients asked for /, and Ctrl-C came in the middle",
                CLIENTS));
    int count = 0;
    for (int i = 0; i < CLIENTS; i++) {
        int client = client_try_connect(&server);
        if (client == -1) /* the door is closed */
            break;
        client_ask(client, "GET / HTTP/1.1");
        clients[count++] = client;
        if (i == CLIENTS / 2)
            kill(server.pid, SIGINT);
    }
    clients_receive((size_t)count, clients, answers, patience());
    int served = 0;
    for (int i = 0; i < count; i++)
        served += answers[i].complete
                  && strncmp(answers[i].data, "HTTP/1.1 200", 12) == 0;
    check_ends_well(&server, 0, "something is still waited for",
                    "A byte in a pipe");
    char *output = server_output(&server);
    int jobs = occurrences(output, " got a job; executing.\n");
    check(jobs == served,
          .expected = "every client that was let in is answered",
          .got = words("%d were let in, %d got their answer", jobs, served),
          .cause = "the program ends before its workers have",
          .key = "not-graceful", .read = "A byte in a pipe");
    free(output);
}
