/* Limits. */

#include "help.h"

#include <stdlib.h>

enum { CROWD = 1000 };

/* Opens so many connections at once, without waiting for any. */
static void crowd_in(const Server *server, Client clients[])
{
    for (int i = 0; i < CROWD; i++)
        clients[i] = client(server);
}

Test(server, a_crowd_with_256_descriptors)
{
    Server server =
        start_with("--quiet --loops 1", (Options){.descriptors = 256});
    static Client clients[CROWD];
    asking(&server, GET, 200);
    int threads = server_threads(&server);
    for (int i = 0; i < CROWD; i++) {
        clients[i] = client(&server);
        say(&clients[i], LAST);
    }
    for (int i = 0; i < CROWD; i++)
        cr_assert(eq(int, reply(&clients[i]).status, 200), "client %d", i);
    for (int i = 0; i < CROWD; i++)
        leave(&clients[i]);
    check_pages(&server);
    cr_expect(eq(int, server_threads(&server), threads));
    finish(&server);
}

/* Those that say nothing have to make room for those that ask: all that have
 * been idle for a second, not one after the other. */
static void crowd_silently(const char *options)
{
    Server server = start_with(options, (Options){.descriptors = 256});
    static Client clients[CROWD];
    crowd_in(&server, clients);
    double begun = now(), cpu = server_cpu(&server);
    check_pages(&server);
    cr_expect(lt(dbl, now() - begun, CROWD / 256 + 1 + SLACK));
    cr_expect(lt(dbl, server_cpu(&server) - cpu, 0.5)); /* no spinning */
    for (int i = 0; i < CROWD; i++)
        leave(&clients[i]);
    check_pages(&server);
    finish(&server);
}

Test(server, a_silent_crowd_with_256_descriptors)
{
    crowd_silently("--quiet --loops 1");
}

Test(server, a_silent_crowd_and_two_loops)
{
    crowd_silently("--quiet --loops 2");
}

/* Connections that have been idle for a second end before their time. */
Test(server, an_idle_connection_makes_room)
{
    enum { CLIENTS = FEW + 16 };
    Server server = start_crowded("", NULL);
    Client clients[CLIENTS];
    double begun = now();
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client(&server);
        say(&clients[i], GET);
        cr_assert(eq(int, reply(&clients[i]).status, 200), "client %d", i);
    }
    cr_expect(lt(dbl, now() - begun, timeouts[IDLE] - 1));
    closed_after(&clients[0]);
    for (int i = 0; i < CLIENTS; i++)
        leave(&clients[i]);
    finish(&server);
}

/* But not if nobody waits: all places may be taken. */
Test(server, a_full_house_is_no_crowd)
{
    int room = capacity();
    Server server = start_crowded("", NULL);
    Client clients[FEW];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < room; i++) {
            if (round == 0)
                clients[i] = client(&server);
            say(&clients[i], GET);
            cr_assert(eq(int, reply(&clients[i]).status, 200), "client %d", i);
        }
        pass(timeouts[IDLE] / 4);
    }
    for (int i = 0; i < room; i++)
        leave(&clients[i]);
    finish(&server);
}

/* All descriptors are taken by clients in the middle of their requests. */
Test(server, out_of_descriptors_without_spinning)
{
    enum { CLIENTS = FEW + 16 };
    Server server = start_crowded("", NULL);
    Client half[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        half[i] = client(&server);
        say(&half[i], "GET / HT");
    }
    pass(0.3);
    double cpu = server_cpu(&server);
    pass(timeouts[HEAD] - 1);
    cr_expect(lt(dbl, server_cpu(&server) - cpu, 0.1));
    for (int i = 0; i < CLIENTS; i++)
        say(&half[i], "TP/1.1\r\n" H "\r\n");
    for (int i = 0; i < CLIENTS; i++) {
        int status = reply(&half[i]).status;
        cr_expect(status == 200 || status == 408, "client %d: %d", i, status);
        leave(&half[i]);
    }
    finish(&server);
}

/* That there is room again is noticed at once, not when all is quiet. */
Test(server, room_is_noticed_while_another_keeps_it_busy)
{
    int room = capacity();
    Server server = start_crowded("", NULL);
    Client busy = client(&server), half[FEW], waiting;
    say(&busy, "GET / HTTP/1.1\r\nX: ");
    for (int i = 0; i < room - 1; i++) {
        half[i] = client(&server);
        say(&half[i], "GET / HT");
    }
    waiting = client(&server);
    say(&waiting, GET);
    double begun = now();
    for (; now() < begun + 0.2; take_in(&waiting, 0.001))
        say(&busy, "x");
    cr_assert(eq(sz, waiting.size, 0), "there was room for another");
    for (int i = 0; i < room - 1; i++)
        leave(&half[i]);
    for (begun = now(); now() < begun + SLACK && waiting.size == 0;) {
        say(&busy, "x");
        take_in(&waiting, 0.001);
    }
    cr_expect(lt(dbl, now() - begun, 0.9)); /* not after the next second */
    leave(&busy);
    leave(&waiting);
    finish(&server);
}

/* Nor only when it is looked for, once a second. */
Test(server, room_is_noticed_at_once)
{
    int room = capacity();
    Server server = start_crowded("", NULL);
    Client waiting, half[FEW];
    for (int i = 0; i < room; i++) {
        half[i] = client(&server);
        say(&half[i], "GET / HT");
    }
    double begun = now();
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < room; i++) { /* none is idle, none is late */
            say(&half[i], "TP/1.1\r\n" H "\r\nGET / HT");
            cr_assert(eq(int, reply(&half[i]).status, 200));
        }
        waiting = client(&server);
        say(&waiting, GET "GET / HT");
        moment();
        leave(&half[round]);
        cr_assert(eq(int, reply(&waiting).status, 200));
        half[round] = waiting;
    }
    cr_expect(lt(dbl, now() - begun, SLACK));
    for (int i = 0; i < room; i++)
        leave(&half[i]);
    finish(&server);
}

Test(server, takes_as_many_descriptors_as_it_may)
{
    setenv("SOFT_LIMIT", "32", 1);
    Server server = start();
    Client clients[64];
    for (int i = 0; i < 64; i++) {
        clients[i] = client(&server);
        say(&clients[i], GET);
    }
    for (int i = 0; i < 64; i++)
        cr_expect(eq(int, reply(&clients[i]).status, 200), "client %d", i);
    cr_expect(server_descriptors(&server) > 64);
    for (int i = 0; i < 64; i++)
        leave(&clients[i]);
    finish(&server);
}

Test(server, nothing_is_left_open)
{
    Server server = start();
    int descriptors = server_descriptors(&server);
    for (int i = 0; i < 1000; i++)
        cr_assert(eq(int, ask(&server, i % 2 ? LAST : GET), 200));
    server_wait_descriptors(&server, 0, descriptors);
    finish(&server);
}
