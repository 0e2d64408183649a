/* Shutdown. */

#include "help.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

Test(server, shutdown_finishes_what_was_asked)
{
    Server server = start();
    Client slow = client(&server), idle = client(&server),
           half = client(&server);
    say(&idle, GET);
    cr_expect(eq(int, reply(&idle).status, 200));
    double said = now();
    say(&half, "GET / HT");
    say(&slow, SLEEP);
    all_is_read(&server);
    double begun = now();
    kill(server.pid, SIGTERM);
    closed_after(&idle);
    closed_after(&half);
    cr_expect(lt(dbl, now() - begun, 4));
    for (int socket; (socket = client_try_connect(&server)) != -1;) {
        cr_assert(now() - begun < 4, "it still listens");
        close(socket);
    }
    Reply answer = reply(&slow);
    cr_expect(eq(int, answer.status, 200));
    cr_expect(strstr(answer.head, "\r\nConnection: close\r\n") != NULL);
    leave(&slow);
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
    /* A word, though none is owed; on a busy machine its time was up before. */
    if (half.size > 0 && begun - said < 10 * SECOND / 1e3)
        cr_expect(strncmp(half.data, "HTTP/1.1 503 ", 13) == 0, "%s",
                  half.data);
    leave(&idle);
    leave(&half);
}

Test(server, interrupt_is_a_shutdown_too)
{
    Server server = start();
    check_pages(&server);
    kill(server.pid, SIGINT);
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
}

Test(server, a_second_signal_ends_at_once)
{
    Server server = start();
    Client slow = client(&server);
    say(&slow, SLEEP);
    all_is_read(&server);
    kill(server.pid, SIGTERM);
    server_wait_output(&server, "Shutting down.", 1);
    double begun = now();
    kill(server.pid, SIGINT);
    int status = ended(&server);
    cr_expect(ne(int, status, 0));
    cr_expect(lt(dbl, now() - begun, 4));
    leave(&slow);
}

/* 20 s of work for one worker, and who asked for it is still there: what cannot
 * be done in time is refused, so that everybody has an answer. */
Test(server, shutdown_answers_what_was_read)
{
    enum { SLEEPERS = 5 };
    Server server = start_with("--quiet --threads 1", (Options){0});
    Client slow[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP GET);
    }
    all_is_read(&server);
    double begun = now();
    kill(server.pid, SIGTERM);
    int done = 0;
    for (int i = 0; i < SLEEPERS; i++) {
        int status = reply(&slow[i]).status;
        cr_expect(status == 503 || status == 200, "client %d: %d", i, status);
        done += status == 200;
        leave(&slow[i]);
    }
    cr_expect(done > 0); /* what was begun is done */
    int status = ended(&server);
    cr_expect(eq(int, status, 0), "%s", server_errors(&server));
    cr_expect(lt(dbl, now() - begun, 10 + SLACK));
}

/* Work that nobody waits for any more does not hold it up. */
Test(server, shutdown_does_not_wait_for_who_left)
{
    Server server = start_with("--quiet --threads 1", (Options){0});
    Client slow[20];
    for (int i = 0; i < 20; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
    }
    all_is_read(&server);
    kill(server.pid, SIGTERM);
    for (int i = 0; i < 20; i++) {
        client_reset(slow[i].socket);
        free(slow[i].data);
    }
    double begun = now();
    int status = ended(&server);
    cr_expect(eq(int, status, 0), "%s", server_errors(&server));
    cr_expect(lt(dbl, now() - begun, 5 + SLACK - 1));
}

/* What the client sends in the middle of an answer does not cost it the rest.
 */
Test(server, shutdown_finishes_an_answer)
{
    char *folder = large_site();
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client one = ask_for_large(&server, 0);
    take_in(&one, patience());
    say(&one, GET);
    kill(server.pid, SIGTERM);
    Reply answer = reply(&one);
    cr_expect(eq(sz, answer.size, 8000000));
    cr_expect(eq(int, reply(&one).status, 200));
    closed_after(&one);
    cr_expect(not(one.reset));
    leave(&one);
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
    drop_site(folder);
}

/* Those who wait to be accepted have asked, too. No descriptor is free, and
 * those who have them are in the middle of a request, or idle. */
static void waiting_at_the_limit(const char *told)
{
    enum { HOLDERS = FEW, WAITING = 60 };
    Server server = start_crowded("", NULL);
    Client holders[HOLDERS], waiting[WAITING];
    for (int i = 0; i < HOLDERS; i++) {
        holders[i] = client(&server);
        say(&holders[i], told);
    }
    pass(0.2); /* shorter than an idle one must wait to be sent away */
    for (int i = 0; i < WAITING; i++) {
        waiting[i] = client(&server);
        say(&waiting[i], i % 2 ? GET : LAST);
    }
    kill(server.pid, SIGTERM);
    double begun = now();
    int answered = 0;
    for (int i = 0; i < WAITING; i++) {
        Reply answer = reply(&waiting[i]);
        answered += answer.status == 200 || answer.status == 503;
        free(answer.body);
        leave(&waiting[i]);
    }
    cr_expect(eq(int, answered, WAITING));
    int status = ended(&server);
    cr_expect(eq(int, status, 0), "%s", server_errors(&server));
    cr_expect(lt(dbl, now() - begun, 10 + SLACK));
    for (int i = 0; i < HOLDERS; i++)
        leave(&holders[i]);
}

Test(server, shutdown_answers_who_waits_behind_idle_ones)
{
    waiting_at_the_limit(GET);
}

Test(server, shutdown_answers_who_waits_behind_half_requests)
{
    waiting_at_the_limit("GET / HT");
}

Test(server, shutdown_answers_who_waits_behind_sleepers)
{
    waiting_at_the_limit(SLEEP);
}

/* 120 jobs are queued, and 5 honest ones behind them: 30 s of work for each
 * worker. Everybody has an answer, if only 503. */
Test(server, shutdown_answers_all_that_it_has_read)
{
    enum { SLEEPERS = 125 };
    Server server = start();
    Client slow[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
    }
    all_is_read(&server);
    double begun = now();
    kill(server.pid, SIGTERM);
    int done = 0, refused = 0;
    for (int i = 0; i < SLEEPERS; i++) {
        Reply answer = reply(&slow[i]);
        done += answer.status == 200;
        refused += answer.status == 503;
        free(answer.body);
        closed_after(&slow[i]);
        cr_expect(not(slow[i].reset));
        leave(&slow[i]);
    }
    cr_expect(eq(int, done + refused, SLEEPERS), "%d done, %d refused", done,
              refused);
    cr_expect(ge(int, done, 4));
    int status = ended(&server);
    cr_expect(eq(int, status, 0), "%s", server_errors(&server));
    cr_expect(lt(dbl, now() - begun, 10 + SLACK));
}

/* They all came in one piece: so it has read all of them. */
Test(server, shutdown_answers_a_whole_pipeline)
{
    Server server = start();
    Client one = client(&server), two = client(&server);
    say(&one, SLEEP GET "GET /nope HTTP/1.1\r\n" H "\r\n" GET);
    say(&two, SLEEP GET "nonsense\r\n" GET);
    all_is_read(&server);
    kill(server.pid, SIGTERM);
    static const int statuses[] = {200, 200, 404, 200};
    for (int i = 0; i < 4; i++) {
        Reply answer = reply(&one);
        cr_expect(answer.status == statuses[i] || answer.status == 503,
                  "request %d: %d", i, answer.status);
        bool last = strstr(answer.head, "\r\nConnection: close\r\n") != NULL;
        cr_expect(last == (i == 3), "request %d: %s", i, answer.head);
    }
    for (int i = 0; i < 3; i++)
        cr_expect(ne(int, reply(&two).status, 0), "request %d", i);
    closed_after(&one);
    cr_expect(not(one.reset));
    leave(&one);
    leave(&two);
    int status = ended(&server);
    cr_expect(eq(int, status, 0), "%s", server_errors(&server));
}

/* Whether it ends well is not for a stranger to choose, who reads nothing, or
 * nothing more. */
static void deaf_at_the_end(size_t first)
{
    char *folder = large_site();
    setenv("PROGRAM", setting("PROGRAM_REAL"), 1);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client deaf = first > 0 ? client(&server) : narrow_client(&server);
    Client honest = client(&server);
    say(&deaf, "GET /large.txt HTTP/1.1\r\n" H "\r\n");
    sip(&deaf, 1e9, patience(), first);
    say(&honest, SLEEP);
    all_is_read(&server);
    double begun = now();
    kill(server.pid, SIGTERM);
    cr_expect(eq(int, reply(&honest).status, 200));
    int status = ended(&server);
    cr_expect(eq(int, status, 0), "%s", server_errors(&server));
    cr_expect(lt(dbl, now() - begun, 10 + SLACK));
    leave(&deaf);
    leave(&honest);
    drop_site(folder);
}

Test(server, shutdown_does_not_wait_for_who_never_reads)
{
    deaf_at_the_end(0);
}

Test(server, shutdown_does_not_wait_for_who_stops_reading)
{
    deaf_at_the_end(4000000);
}

/* The same for who gets a large page from a worker, and is the only one: its
 * loop has had nobody to look at until then. */
Test(server, shutdown_does_not_wait_for_a_sleeper_who_never_reads)
{
    char *folder = large_site(), large[4200], hello[4200];
    snprintf(large, sizeof large, "%s/large.txt", folder);
    snprintf(hello, sizeof hello, "%s/hello.html", folder);
    cr_assert(rename(large, hello) == 0);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client deaf = narrow_client(&server);
    say(&deaf, SLEEP);
    all_is_read(&server);
    cr_expect(lt(dbl, finished_after(&server), 5 + timeouts[WRITE] / 6 + 2));
    leave(&deaf);
    drop_site(folder);
}

/* But who is fast enough, and has not all of it at the bound, is cut off; and
 * that is told. */
Test(server, shutdown_has_a_bound)
{
    char *folder = large_site();
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    double took = ended_beside_slow(&server);
    cr_expect(within(took, 9, 10 + SLACK), "%f s", took);
    drop_site(folder);
}

/* Starts it with room for two connections. */
static Server start_with_room_for_two(const char *folder)
{
    setenv("PROGRAM", setting("PROGRAM_REAL"), 1);
    Options how = {.descriptors = 5, .folder = folder, .may_end = true};
    for (;; how.descriptors++) {
        Server server = start_with("--quiet --loops 1", how);
        if (server.port != 0) { /* it has room for one */
            server_stop(&server);
            how.descriptors++;
            return start_with("--quiet --loops 1 --root .", how);
        }
        cr_assert(lt(int, how.descriptors, 40));
        ended(&server);
    }
}

/* One still waits at the door when it closes; nobody does afterwards. So who
 * says then that he says no more is not taken for one who has gone. */
Test(server, shutdown_answers_who_half_closes_after_the_door)
{
    enum { ALL = 1000000000 };
    char *folder = large_site();
    Server server = start_with_room_for_two(folder);
    Client reader = narrow_client(&server), slow = client(&server);
    say(&reader, "GET /large.txt HTTP/1.1\r\n" H "\r\n");
    sip(&reader, 10 * RATE, patience(), 1);
    say(&slow, "GET /sleep");
    all_is_read(&server);
    Client waiting = client(&server);
    double begun = now();
    kill(server.pid, SIGTERM);
    sip(&reader, 10 * RATE, 1.5, ALL);
    say(&slow, " HTTP/1.1\r\n" H "\r\n");
    for (int socket; (socket = client_try_connect(&server)) != -1;) {
        close(socket);
        cr_assert(lt(dbl, now() - begun, 5 + SLACK));
        sip(&reader, 10 * RATE, 0.1, ALL);
    }
    shutdown(slow.socket, SHUT_WR);
    sip(&reader, 10 * RATE, 0.5, ALL);
    cr_expect(eq(int, reply(&slow).status, 200));
    leave(&reader);
    leave(&slow);
    leave(&waiting);
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
    drop_site(folder);
}

/* Nor does who goes on asking, or goes on coming, make it any longer. */
Test(server, shutdown_ends_though_they_keep_coming)
{
    Server server = start_crowded("", NULL);
    Client busy[8];
    for (int i = 0; i < 8; i++)
        busy[i] = client(&server);
    all_is_read(&server);
    double begun = now();
    kill(server.pid, SIGTERM);
    while (server_alive(&server) && now() < begun + 10 + SLACK) {
        for (int i = 0; i < 8; i++) {
            if (busy[i].ended) {
                leave(&busy[i]);
                int socket = client_try_connect(&server);
                busy[i] = (Client){.socket = socket,
                                   .data = calloc(1, 1),
                                   .ended = socket == -1};
            }
            if (busy[i].socket != -1)
                say(&busy[i], i % 2 ? GET GET GET : "GET / HT");
            take_in(&busy[i], 0.001);
        }
    }
    cr_assert(not(server_alive(&server)), "it still runs");
    int status = ended(&server);
    cr_expect(eq(int, status, 0), "%s", server_errors(&server));
}

/* In any moment: while connections come and are handed on, 200 ask, and the
 * signal comes after the first, the second … of them. Who has asked before it
 * is answered. */
static void stopped_while_they_come(const char *options)
{
    enum { CLIENTS = 200, ROUNDS = 8 };
    for (int round = 0; round < ROUNDS; round++) {
        Server server = start_with(options, (Options){0});
        Client clients[CLIENTS];
        int asked = 1 + round * (CLIENTS - 1) / (ROUNDS - 1);
        for (int i = 0; i < asked; i++) {
            clients[i] = client(&server);
            say(&clients[i], i % 2 ? GET : LAST);
        }
        kill(server.pid, SIGTERM);
        for (int i = 0; i < asked; i++) {
            Reply answer = reply_to(&clients[i], false, SLACK);
            cr_expect(eq(int, answer.status, 200), "%d of %d%s", i, asked,
                      clients[i].reset ? ": a reset" : "");
            free(answer.body);
            leave(&clients[i]);
        }
        int status = ended(&server);
        cr_expect(eq(int, status, 0), "%s", server_errors(&server));
    }
}

Test(server, shutdown_while_they_come)
{
    stopped_while_they_come("--quiet");
}

/* What is on its way from one thread to another counts as read. */
Test(server, shutdown_at_once_after_work_is_done)
{
    for (int round = 0; round < 2; round++) {
        Server server = start();
        Client slow[4];
        double begun = now();
        for (int i = 0; i < 4; i++) {
            slow[i] = client(&server);
            say(&slow[i], SLEEP GET);
        }
        pass(begun + 4.98 - now());
        while (now() < begun + 4.999 + 0.002 * round)
            ;
        kill(server.pid, SIGTERM);
        for (int i = 0; i < 4; i++) {
            cr_expect(eq(int, reply(&slow[i]).status, 200), "client %d", i);
            cr_expect(eq(int, reply(&slow[i]).status, 200), "client %d", i);
            leave(&slow[i]);
        }
        int status = ended(&server);
        cr_expect(eq(int, status, 0), "%s", server_errors(&server));
    }
}

/* Every answer whole, or not begun: while 16 clients ask all the time. */
Test(server, shutdown_under_load)
{
    for (int round = 0; round < 10; round++) {
        Server server = start();
        Client clients[16];
        long answers = 0;
        for (int i = 0; i < 16; i++)
            clients[i] = client(&server);
        bool told = false;
        int open = 16;
        double begun = now();
        while (open > 0 && now() < begun + patience()) {
            open = 0;
            for (int i = 0; i < 16; i++) {
                if (clients[i].ended)
                    continue;
                open++;
                say(&clients[i], i % 2 ? GET : GET GET);
            }
            for (int i = 0; i < 16; i++)
                for (Reply answer;;) {
                    answer = reply_to(&clients[i], false, 1);
                    free(answer.body);
                    answers += answer.status == 200;
                    if (answer.status == 0 || clients[i].size == 0)
                        break;
                }
            if (!told && now() > begun + 0.05 + 0.01 * round) {
                kill(server.pid, SIGTERM);
                told = true;
            }
        }
        int status = ended(&server);
        cr_expect(eq(int, status, 0));
        cr_expect(answers > 16);
        for (int i = 0; i < 16; i++) {
            cr_expect(eq(sz, clients[i].size, 0), "half an answer: %s",
                      clients[i].data);
            leave(&clients[i]);
        }
    }
}

Test(server, stopped_and_continued)
{
    Server server = start();
    Client one = client(&server);
    for (int i = 0; i < 3; i++) {
        kill(server.pid, SIGSTOP);
        say(&one, GET);
        moment();
        kill(server.pid, SIGCONT);
        cr_expect(eq(int, reply(&one).status, 200));
    }
    leave(&one);
    finish(&server);
}
