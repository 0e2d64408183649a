/* Deadlines. */

#include "help.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

Test(server, silence_ends)
{
    Server server = start();
    Client fresh = client(&server), used = client(&server);
    say(&used, GET);
    cr_expect(eq(int, reply(&used).status, 200));
    double seconds = closed_after(&fresh);
    cr_expect(within(seconds, timeouts[IDLE] - 0.5, timeouts[IDLE] + SLACK),
              "%f s", seconds);
    closed_after(&used);
    cr_expect(eq(sz, fresh.size, 0)); /* without a word */
    cr_expect(eq(sz, used.size, 0));
    leave(&fresh);
    leave(&used);
    finish(&server);
}

/* The time is that of the whole head, however many bytes keep coming. */
Test(server, a_trickle_is_cut_off)
{
    Server server = start();
    Client slow = client(&server);
    double begun = now();
    while (!slow.ended && slow.size == 0 && now() < begun + patience()) {
        say(&slow, "G");
        take_in(&slow, 0.1);
    }
    double seconds = now() - begun;
    cr_expect(within(seconds, timeouts[HEAD] - 0.1, timeouts[HEAD] + SLACK),
              "%f s", seconds);
    cr_expect(eq(int, reply(&slow).status, 408));
    leave(&slow);

    Client second = client(&server); /* and so is one after a whole request */
    say(&second, GET "GET");
    cr_expect(eq(int, reply(&second).status, 200));
    cr_expect(eq(int, reply(&second).status, 408));
    leave(&second);
    finish(&server);
}

/* What has come in time counts, though the server was not there to see it. */
Test(server, time_spent_stopped_is_forgiven)
{
    Server server = start();
    Client one = client(&server);
    say(&one, GET "GET / HT");
    cr_assert(eq(int, reply(&one).status, 200));
    double begun = now();
    kill(server.pid, SIGSTOP);
    cr_assert(waitpid(server.pid, NULL, WUNTRACED) == server.pid);
    say(&one, "TP/1.1\r\n" H "\r\n");
    while (now() < begun + timeouts[HEAD] + 0.5)
        moment();
    kill(server.pid, SIGCONT);
    cr_expect(eq(int, reply(&one).status, 200));
    leave(&one);
    finish(&server);
}

/* Also when others wait for room, and it seems to have been idle. */
Test(server, time_spent_stopped_is_forgiven_in_a_crowd)
{
    enum { CROWD = 100 };
    setenv("PROGRAM", setting("PROGRAM_REAL"), 1);
    Server server = start_crowded("--loops 1", NULL);
    Client one = client(&server), crowd[CROWD];
    say(&one, GET);
    cr_assert(eq(int, reply(&one).status, 200));
    double begun = now();
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = client(&server);
        say(&crowd[i], "GET / HT");
    }
    pass(0.2);
    kill(server.pid, SIGSTOP);
    cr_assert(waitpid(server.pid, NULL, WUNTRACED) == server.pid);
    if (now() > begun + 0.9)
        cr_skip_test("the machine is too busy: a second has passed");
    pass(1);
    say(&one, GET);
    kill(server.pid, SIGCONT);
    cr_expect(eq(int, reply(&one).status, 200));
    leave(&one);
    for (int i = 0; i < CROWD; i++)
        leave(&crowd[i]);
    finish(&server);
}

/* Of a head only the first line is logged. */
Test(server, the_log_cannot_be_forged)
{
    Server server = start_with("", (Options){0});
    Client one = client(&server);
    say(&one, GET "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n"
                  "X: x\n200 /forged\x1b[31m");
    cr_expect(eq(int, reply(&one).status, 200));
    cr_expect(eq(int, reply(&one).status, 408));
    server_wait_output(&server, "408", 1);
    char *output = server_output(&server);
    cr_expect(strstr(output,
                     " \"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\" 408 ")
                  != NULL,
              "%s", output);
    cr_expect(strstr(output, "forged") == NULL);
    leave(&one);
    finish(&server);
}

/* A busy client has new time for each head. */
Test(server, a_new_head_has_new_time)
{
    Server server = start();
    Client one = client(&server);
    double begun = now();
    say(&one, "GE");
    while (now() < begun + 2 * timeouts[HEAD]) {
        say(&one, "T / HTTP/1.1\r\n" H "\r\nGE");
        cr_assert(eq(int, reply(&one).status, 200));
        moment();
    }
    leave(&one);
    finish(&server);
}

Test(server, a_client_that_never_reads_is_cut_off)
{
    char *folder = large_site();
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    pass(0.1);
    int descriptors = server_descriptors(&server);
    double begun = now();
    Client deaf = narrow_client(&server);
    say(&deaf, "GET /large.txt HTTP/1.1\r\n" H "\r\n");
    pass(1);
    cr_expect(eq(int, server_descriptors(&server), descriptors + 1));
    server_wait_descriptors(&server, timeouts[WRITE], descriptors);
    cr_expect(
        within(now() - begun, timeouts[WRITE] - 0.1, timeouts[WRITE] + SLACK),
        "%f s", now() - begun);
    leave(&deaf);
    finish(&server);
    drop_site(folder);
}

/* But who reads slowly is not, if he is not slower than is promised; nobody is
 * faster for the one byte that he takes now and then. */
Test(server, a_client_that_reads_slowly_gets_all)
{
    enum { SIZE = 120000 };
    char *folder = site_of(SIZE);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client slow = narrow_client(&server), slower = narrow_client(&server);
    say(&slow, "GET /large.txt HTTP/1.1\r\n" H "\r\n");
    say(&slower, "GET /large.txt HTTP/1.1\r\n" H "\r\n");
    double begun = now();
    while (now() < begun + 0.9 * SIZE / RATE) {
        sip(&slow, 1.4 * RATE, 0.1, SIZE + 1);
        sip(&slower, 2.0 * RATE / 10, 0.1, SIZE + 1);
    }
    check_large(&slow, SIZE);
    cr_expect(now() - begun > 1.3 * timeouts[WRITE]);
    closed_after(&slower);
    cr_expect(lt(sz, slower.size, SIZE));
    leave(&slow);
    leave(&slower);
    finish(&server);
    drop_site(folder);
}

/* The same in real time: the system has limits of its own, in real seconds, and
 * sees no progress in windows that are smaller than what it wants to send. */
Test(server, a_client_with_little_room_gets_all)
{
    enum { SIZE = 500000 };
    char *folder = site_of(SIZE);
    setenv("PROGRAM", setting("PROGRAM_REAL"), 1);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client slow = narrow_client(&server);
    say(&slow, "GET /large.txt HTTP/1.1\r\n" H "\r\n");
    sip(&slow, 1.4 * RATE, SIZE / RATE, SIZE + 1);
    check_large(&slow, SIZE);
    leave(&slow);
    finish(&server);
    drop_site(folder);
}

Test(server, a_client_that_does_not_close_is_closed)
{
    Server server = start();
    int descriptors = server_descriptors(&server);
    Client one = client(&server);
    double begun = now();
    say(&one, "nonsense\r\n");
    cr_expect(eq(int, reply(&one).status, 400));
    while (server_descriptors(&server) > descriptors
           && now() < begun + patience()) {
        say(&one, "and more, and more"); /* does not help */
        moment();
    }
    cr_expect(
        within(now() - begun, timeouts[DRAIN] - 0.1, timeouts[DRAIN] + SLACK),
        "%f s", now() - begun);
    leave(&one);
    finish(&server);
}

Test(server, idle_costs_nothing)
{
    Server server = start();
    Client idle[100];
    for (int i = 0; i < 100; i++) {
        idle[i] = client(&server);
        say(&idle[i], GET);
        cr_assert(eq(int, reply(&idle[i]).status, 200));
    }
    double cpu = server_cpu(&server), begun = now();
    while (now() < begun + 0.9 * timeouts[IDLE])
        moment();
    cr_expect(lt(dbl, server_cpu(&server) - cpu, 0.05));
    for (int i = 0; i < 100; i++)
        leave(&idle[i]);
    finish(&server);
}

/* Nor much memory, though each has had a request. */
Test(server, idle_is_small)
{
    enum { IDLE_ONES = 2000 };
    static Client idle[IDLE_ONES];
    Server server = start();
    check_pages(&server);
    long before = server_peak(&server);
    for (int i = 0; i < IDLE_ONES; i++) {
        idle[i] = client(&server);
        say(&idle[i], GET);
        Reply answer = reply(&idle[i]);
        cr_assert(eq(int, answer.status, 200));
        free(answer.body);
    }
    long each = (server_peak(&server) - before) * 1024 / IDLE_ONES;
    printf("an idle connection: %ld bytes\n", each);
    cr_expect(lt(long, each, 1500));
    for (int i = 0; i < IDLE_ONES; i++)
        leave(&idle[i]);
    finish(&server);
}
