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

/* How many of its threads catch this signal, or block it, as name says: SigCgt,
 * SigBlk. */
static int threads_that(const Server *server, const char *name, int number)
{
    char *command = words("cat /proc/%d/task/*/status", (int)server->pid);
    FILE *list = popen(command, "r");
    char line[256];
    int count = 0;
    free(command);
    while (list != NULL && fgets(line, sizeof line, list) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            count += strtoull(line + 7, NULL, 16) >> (number - 1) & 1;
    pclose(list);
    return count;
}

/* How many of its threads a signal may interrupt. */
static int open_to(const Server *server, int number)
{
    return server_threads(server) - threads_that(server, "SigBlk:", number);
}

/* If any catches it: else others say more. */
Test(until_ctrl_c, one_thread_alone_receives_signals)
{
    Server server = server_start((Options){0});
    server_wait_threads(&server, 0, step("threads"));
    const int numbers[] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++)
        check(open_to(&server, numbers[i]) <= 1
                  || threads_that(&server, "SigCgt:", numbers[i]) == 0,
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

/* Six clients: four are served, two wait in the queue. Where /sleep stops the
 * one loop, one client. */
static void check_graceful(int number, const char *name)
{
    enum { MOST = 6 };
    bool one = step("loops") == 1;
    int count = one ? 1 : MOST;
    Server server = server_start((Options){.hurry = true});
    int clients[MOST], descriptors = server_descriptors(&server);
    Answer answers[MOST];
    doing(words("%s asked for /sleep, and %s came",
                one ? "a client" : "six clients", name));
    for (int i = 0; i < count; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET /sleep HTTP/1.1");
    }
    if (step("workers_serve")) /* else nobody says that a job was begun */
        await_jobs(&server, 4);
    await_connections(&server, descriptors, count);

    kill(one_worker(&server), number);
    bool said = says_goodbye(&server, (size_t)count, clients);
    bool ended = !server_alive(&server);
    bool refused = false;
    for (Wait wait = {0}; said && !refused && still_waiting(&wait, 1);
         moment()) {
        int client = client_try_connect(&server);
        refused = client == -1;
        if (!refused)
            close(client);
    }
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    double hurried = now();
    server_hurry();
    clients_receive((size_t)count, clients, answers, 2 * SLEEP + patience());
    int answered = 0;
    for (int i = 0; i < count; i++)
        answered += answers[i].complete;

    check(!ended, .expected = "they are answered, and then it ends",
          .got = words("it ended at once, and %d of %d were answered", answered,
                       count),
          .cause = WIFSIGNALED(server.status)
                       ? "nobody has asked for this signal with sigaction, so "
                         "that it ends the program"
                       : "exit, or the end of main, comes before "
                         "thread_pool_destroy, which waits for the workers; a "
                         "handler only tells main, and main ends",
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
    for (int i = 0; i < count; i++) {
        check(!answers[i].complete || answers[i].begun >= hurried,
              .expected = "/sleep takes five seconds, whatever comes",
              .got = "one was answered as soon as the signal came",
              .cause = "the signal's handler ran in a worker, and ended its "
                       "sleep: the workers must block the signals",
              .key = "not-blocked", .read = "Whose signal is it?");
        check(answers[i].length > 0 || answers[i].timed_out,
              .expected = "each of them is answered",
              .got = "one of their connections is closed without an answer",
              .cause = "what the workers still need is freed or closed before "
                       "they have ended: first thread_pool_destroy, which "
                       "waits for them, then all else",
              .key = "freed-too-early", .read = "A byte in a pipe");
        check_answer(&answers[i], "GET /sleep HTTP/1.1", "HTTP/1.1 200 OK",
                     "hello.html");
    }
    check_ends_well(&server, 0,
                    "all clients are answered, and something is still waited "
                    "for",
                    "A byte in a pipe");

    char *output = server_output(&server);
    for (int id = 0; id < 4 && step("workers_serve"); id++) {
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

Test(until_ctrl_c, sigint_ends_it_when_all_are_answered, TAKES_TIME)
{
    check_graceful(SIGINT, "Ctrl-C (SIGINT)");
}

Test(until_ctrl_c, sigterm_does_the_same, TAKES_TIME)
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

/* Between poll and accept, who has connected may go again. */
Test(until_ctrl_c, a_visitor_who_has_gone_does_not_hold_main_up)
{
    Server server = server_start((Options){.gone_visitor = true});
    doing("a client connected, and had gone when main called accept; then "
          "Ctrl-C came");
    free(client_receive(client_connect(&server), patience()).data);
    kill(server.pid, SIGINT);
    check_ends_well(&server, 0,
                    "accept waits for the next client: the listener must be "
                    "O_NONBLOCK, so that main waits nowhere but in poll",
                    "A byte in a pipe");
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

Test(until_ctrl_c, a_signal_just_before_select_counts, TAKES_TIME)
{
    check_gap("select");
}

Test(until_ctrl_c, a_signal_just_before_pselect_counts, TAKES_TIME)
{
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

/* What each client of a crowd got must be what the workers did. Where they do
 * not say that, nobody may get a part of an answer. */
Test(until_ctrl_c, under_load_nobody_who_was_let_in_is_forgotten, TAKES_TIME)
{
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
    int served = 0, parts = 0;
    for (int i = 0; i < count; i++) {
        served += answers[i].complete
                  && strncmp(answers[i].data, "HTTP/1.1 200", 12) == 0;
        parts += answers[i].length > 0 && !answers[i].complete;
    }
    check_ends_well(&server, 0, "something is still waited for",
                    "A byte in a pipe");
    check(parts == 0, .expected = "each answer that is begun comes whole",
          .got = words("%d clients got a part of theirs", parts),
          .cause =
              "what is being sent when the signal comes is sent to its end",
          .key = "not-graceful", .read = "A byte in a pipe");
    char *output = server_output(&server);
    int jobs = occurrences(output, " got a job; executing.\n");
    check(jobs == served || !step("workers_serve"),
          .expected = "every client that was let in is answered",
          .got = words("%d were let in, %d got their answer", jobs, served),
          .cause = "the program ends before its workers have",
          .key = "not-graceful", .read = "A byte in a pipe");
    free(output);
}
