/* Work that takes time. */

#include "help.h"

#include <string.h>
#include <sys/socket.h>

Test(server, slow_requests_do_not_hold_up_others)
{
    Server server = start();
    Client slow[4];
    double begun = now();
    for (int i = 0; i < 4; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
    }
    for (int i = 0; i < 20; i++)
        check_pages(&server);
    cr_expect(eq(int, server_threads(&server), THREADS));
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

/* One worker has one, 128 wait for it, and that is enough. */
Test(server, too_many_slow_requests_are_refused)
{
    Server server = start_with("--quiet --threads 1 --loops 1", (Options){0});
    Client slow[140];
    for (int i = 0; i < 140; i++) {
        slow[i] = client(&server);
        say(&slow[i], SLEEP);
    }
    int refused = 0;
    for (int i = 0; i < 140; i++) {
        Reply answer = reply_to(&slow[i], false, i < 129 ? 0 : 2);
        if (answer.status == 503) {
            refused++;
            cr_expect(strstr(answer.head, "\r\nRetry-After: ") != NULL);
            cr_expect(strstr(answer.head, "\r\nConnection: close\r\n") != NULL);
        }
    }
    cr_expect(eq(int, refused, 11));
    check_pages(&server);
    server_stop(&server);
}

/* What a client says while a worker has its connection waits; who only stops
 * talking is answered, if nobody waits; who leaves is forgotten. */
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
    for (int i = 0; i < 4; i++)
        say(&slow[i], SLEEP);
    check_pages(&server); /* so it has read what came before */
    double cpu = server_cpu(&server), begun = now();
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
