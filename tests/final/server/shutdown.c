/* Shutdown. */

#include "help.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
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
    cr_expect(eq(sz, half.size, 0));
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
    cr_expect(eq(int, status, 1));
    cr_expect(lt(dbl, now() - begun, 4));
    leave(&slow);
}

Test(server, shutdown_has_a_bound)
{
    Server server = start_with("--quiet --threads 1", (Options){0});
    Client idle = client(&server);
    say(&idle, GET);
    cr_assert(eq(int, reply(&idle).status, 200));
    closed_after(&idle); /* so that there is no other deadline any more */
    leave(&idle);
    Client slow[4]; /* 20 s of work: the next is done 5 s after the bound */
    for (int i = 0; i < 4; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
    }
    cr_assert(eq(int, ask(&server, LAST), 200)); /* nor does this leave one */
    double begun = now();
    while (now() < begun + 0.3) /* so that no work ends right at the bound */
        moment();
    begun = now();
    kill(server.pid, SIGTERM);
    for (int i = 0; i < 4; i++)
        client_reset(slow[i].socket); /* so that nothing else is waited for */
    int status = ended(&server);
    cr_expect(eq(int, status, 1));
    cr_expect(within(now() - begun, 9.95, 10 + SLACK - 1), "%f s",
              now() - begun);
    for (int i = 0; i < 4; i++)
        free(slow[i].data);
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
    Server server = start_with("--quiet", (Options){.descriptors = 16});
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
