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
    crowd_in(&server, clients);
    for (int i = 0; i < CROWD; i++)
        say(&clients[i], LAST);
    for (int i = 0; i < CROWD; i++)
        cr_assert(eq(int, reply(&clients[i]).status, 200), "client %d", i);
    for (int i = 0; i < CROWD; i++)
        leave(&clients[i]);
    check_pages(&server);
    finish(&server);
}

/* Those that say nothing have to make room for those that ask. */
Test(server, a_silent_crowd_with_256_descriptors)
{
    Server server =
        start_with("--quiet --loops 1", (Options){.descriptors = 256});
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

/* Connections that have been idle for a second end before their time. */
Test(server, an_idle_connection_makes_room)
{
    Server server =
        start_with("--quiet --loops 1", (Options){.descriptors = 20});
    Client clients[16];
    double begun = now();
    for (int i = 0; i < 16; i++) {
        clients[i] = client(&server);
        say(&clients[i], GET);
        cr_assert(eq(int, reply(&clients[i]).status, 200), "client %d", i);
    }
    cr_expect(lt(dbl, now() - begun, timeouts[IDLE] - 1));
    closed_after(&clients[0]);
    for (int i = 0; i < 16; i++)
        leave(&clients[i]);
    finish(&server);
}

/* All descriptors are taken by clients who cannot be sent away. */
Test(server, out_of_descriptors_without_spinning)
{
    Server server =
        start_with("--quiet --loops 1", (Options){.descriptors = 20});
    Client slow[16];
    for (int i = 0; i < 16; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
    }
    double cpu = server_cpu(&server), begun = now();
    while (now() < begun + 3)
        moment();
    cr_expect(lt(dbl, server_cpu(&server) - cpu, 0.1));
    for (int i = 0; i < 16; i++) {
        int status = reply(&slow[i]).status; /* refused by descriptors, too */
        cr_expect(status == 200 || status == 503, "client %d", i);
        leave(&slow[i]);
    }
    finish(&server);
}

/* That there is room again is noticed at once, not when all is quiet. */
Test(server, room_is_noticed_while_another_keeps_it_busy)
{
    Server server =
        start_with("--quiet --loops 1", (Options){.descriptors = 16});
    Client busy = client(&server), slow[4], waiting;
    say(&busy, GET);
    cr_assert(eq(int, reply(&busy).status, 200));
    for (int i = 0; i < 4; i++) {
        slow[i] = client(&server);
        say(&slow[i], i < 2 ? "GET /sleep HTTP/1.0\r\n\r\n" : "GET / HT");
    }
    waiting = client(&server);
    say(&waiting, GET);
    for (double begun = now();
         now() < begun + 5 + SLACK && waiting.size == 0;) {
        say(&busy, GET);
        Reply answer = reply(&busy);
        cr_assert(eq(int, answer.status, 200));
        free(answer.body);
        take_in(&waiting, 0);
    }
    cr_expect(ne(sz, waiting.size, 0), "it was not noticed");
    for (int i = 0; i < 4; i++)
        leave(&slow[i]);
    leave(&busy);
    leave(&waiting);
    finish(&server);
}

/* Nor only when it is looked for, once a second. */
Test(server, room_is_noticed_at_once)
{
    Server server =
        start_with("--quiet --loops 1", (Options){.descriptors = 20});
    Client waiting, half[9];
    double begun = now();
    for (int i = 0; i < 9; i++) {
        half[i] = client(&server);
        say(&half[i], "GET / HT");
    }
    for (int round = 0; round < 18; round++) {
        for (int i = 0; i < 9; i++) { /* none is idle, none is late */
            say(&half[i], "TP/1.1\r\n" H "\r\nGET / HT");
            cr_assert(eq(int, reply(&half[i]).status, 200));
        }
        waiting = client(&server);
        say(&waiting, "GET / HT");
        moment();
        leave(&half[round % 9]);
        half[round % 9] = waiting;
    }
    cr_expect(lt(dbl, now() - begun, SLACK));
    for (int i = 0; i < 9; i++)
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
