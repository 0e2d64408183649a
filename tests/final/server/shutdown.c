/* Shutdown. */

#include "help.h"

#include <signal.h>
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
    say(&half, "GET / HT");
    say(&slow, SLEEP);
    check_pages(&server); /* so it has read what came before */
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
    cr_expect(eq(int, reply(&half).status, 503)); /* it had begun */
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
    check_pages(&server);
    kill(server.pid, SIGTERM);
    server_wait_output(&server, "Shutting down.", 1);
    double begun = now();
    kill(server.pid, SIGINT);
    int status = ended(&server);
    cr_expect(eq(int, status, -1));
    cr_expect(lt(dbl, now() - begun, 4));
    leave(&slow);
}

/* Ends the server while a client takes so many bytes of a large page each time;
 * checks its status, and how long it takes. */
static void check_end(size_t bytes, int expected, double from, double to)
{
    char *folder = large_site();
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client slow = ask_for_large(&server, 16384);
    char part[65536];
    cr_assert(recv(slow.socket, part, 1, 0) == 1);
    kill(server.pid, SIGTERM);
    double begun = now();
    while (now() < begun + to && server_alive(&server)) {
        if (bytes > 0)
            recv(slow.socket, part, bytes, MSG_DONTWAIT);
        moment();
    }
    double took = now() - begun;
    int status = ended(&server);
    cr_expect(eq(int, status, expected));
    cr_expect(within(took, from, to), "%f s", took);
    leave(&slow);
    drop_site(folder);
}

/* Who is too slow does not hold up the end, and is no reason to complain. */
Test(server, shutdown_does_not_wait_for_who_does_not_read)
{
    check_end(0, 0, 0, 5);
}

/* Who is not, but has not everything at the bound, is. */
Test(server, shutdown_has_a_bound)
{
    check_end(2000, 1, 9.3, 10 + SLACK - 1);
}

/* Four slow requests for one worker: it is too late for all but the first. */
Test(server, shutdown_answers_what_was_read)
{
    Server server = start_with("--quiet --threads 1 --loops 1", (Options){0});
    Client slow[4];
    for (int i = 0; i < 4; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP GET);
    }
    cr_assert(eq(int, ask(&server, LAST), 200));
    double begun = now();
    kill(server.pid, SIGTERM);
    for (int i = 0; i < 4; i++) {
        cr_expect(eq(int, reply(&slow[i]).status, i == 0 ? 200 : 503));
        cr_expect(eq(int, reply(&slow[i]).status, 200));
        closed_after(&slow[i]);
        cr_expect(not(slow[i].reset));
        leave(&slow[i]);
    }
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
    cr_expect(lt(dbl, now() - begun, 10));
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

/* Those who wait to be accepted have asked, too; idle ones make room. */
Test(server, shutdown_answers_who_waits_at_the_limit)
{
    Server server =
        start_with("--quiet --loops 1", (Options){.descriptors = 20});
    Client idle[9], waiting[3];
    for (int i = 0; i < 9; i++) {
        idle[i] = client(&server);
        say(&idle[i], GET);
        cr_assert(eq(int, reply(&idle[i]).status, 200));
    }
    for (int i = 0; i < 3; i++) {
        waiting[i] = client(&server);
        say(&waiting[i], GET);
    }
    kill(server.pid, SIGTERM);
    for (int i = 0; i < 3; i++) {
        cr_expect(eq(int, reply(&waiting[i]).status, 200));
        leave(&waiting[i]);
    }
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
    for (int i = 0; i < 9; i++)
        leave(&idle[i]);
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
                while (!clients[i].ended) {
                    Reply answer = reply_to(&clients[i], false, 1);
                    free(answer.body);
                    answers += answer.status == 200;
                    if (clients[i].size == 0)
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
