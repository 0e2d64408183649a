/* Work that takes time. */

#include "help.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

Test(server, slow_requests_do_not_hold_up_others)
{
    Server server = start();
    check_pages(&server);
    int threads = server_threads(&server);
    Client slow[4];
    double begun = now();
    for (int i = 0; i < 4; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
    }
    for (int i = 0; i < 20; i++)
        check_pages(&server);
    cr_expect(eq(int, server_threads(&server), threads));
    cr_assert(lt(dbl, now() - begun, 5));
    for (int i = 0; i < 4; i++)
        cr_expect(eq(int, reply(&slow[i]).status, 200));
    cr_expect(within(now() - begun, 4.9, 5 + SLACK), "%f s", now() - begun);
    for (int i = 0; i < 4; i++) { /* and they live on */
        say(&slow[i], GET);
        cr_expect(eq(int, reply(&slow[i]).status, 200));
        leave(&slow[i]);
    }
    finish(&server);
}

/* One worker has one, 128 wait for it, and that is enough: exactly. */
Test(server, too_many_slow_requests_are_refused)
{
    enum { TAKEN = 1 + 128, CLIENTS = 140 };
    Server server = start_with("--quiet --threads 1", (Options){0});
    Client slow[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
        if (i == 0)
            pass(0.2); /* so the worker has it */
    }
    all_is_read(&server);
    pass(0.2); /* and has answered */
    int refused = 0;
    for (int i = 0; i < CLIENTS; i++) {
        Reply answer = reply_to(&slow[i], false, 0);
        if (answer.status == 503) {
            refused++;
            cr_expect(strstr(answer.head, "\r\nRetry-After: ") != NULL);
            cr_expect(strstr(answer.head, "\r\nConnection: close\r\n") != NULL);
        }
    }
    cr_expect(eq(int, refused, CLIENTS - TAKEN));
    check_pages(&server);
    server_stop(&server);
}

/* Who was refused has a right to his other answers, or to be told that there
 * are none. */
Test(server, what_follows_a_refusal_is_answered)
{
    enum { TAKEN = 1 + 128 };
    Server server = start_with("--quiet --threads 1", (Options){0});
    Client slow[TAKEN + 1];
    for (int i = 0; i <= TAKEN; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
    }
    all_is_read(&server);
    Client one = client(&server);
    say(&one, SLEEP GET SLEEP LAST);
    for (int i = 0; i < 4; i++) {
        double begun = now();
        Reply answer = reply(&one);
        cr_assert(eq(int, answer.status, i % 2 ? 200 : 503), "request %d", i);
        cr_expect(lt(dbl, now() - begun, 1), "request %d", i);
        free(answer.body);
        if (strstr(answer.head, "\r\nConnection: close\r\n") != NULL)
            break;
    }
    closed_after(&one);
    cr_expect(not(one.reset));
    leave(&one);
    server_stop(&server);
}

/* While a worker has the connection, the server does not look at it: neither
 * at what else it says nor at its end. */
Test(server, clients_that_talk_or_leave_during_their_work)
{
    Server server = start();
    int descriptors = server_descriptors(&server);
    Client slow[4];
    for (int i = 0; i < 4; i++) {
        slow[i] = client(&server);
        say(&slow[i], GET);
        cr_assert(eq(int, reply(&slow[i]).status, 200));
    }
    double begun = now();
    for (int i = 0; i < 4; i++)
        say(&slow[i], SLEEP);
    all_is_read(&server);
    double cpu = server_cpu(&server);
    say(&slow[0], GET);
    client_reset(slow[1].socket);
    client_reset(slow[2].socket);
    shutdown(slow[3].socket, SHUT_WR);
    cr_assert(eq(int, reply(&slow[0]).status, 200));
    cr_expect(now() - begun > 4.5);
    cr_assert(eq(int, reply(&slow[0]).status, 200));
    cr_assert(eq(int, reply(&slow[3]).status, 200));
    cr_expect(lt(dbl, server_cpu(&server) - cpu, 0.1)); /* no spinning */
    leave(&slow[0]);
    leave(&slow[3]);
    server_wait_descriptors(&server, 0, descriptors);
    finish(&server);
}
