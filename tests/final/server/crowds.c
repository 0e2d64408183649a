/* Crowds that want all there is: descriptors, workers, memory, turns. Beside
 * each, somebody honest asks. */

#include "help.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Opens so many connections that ask for the same. */
static void crowd_in(const Server *server, Client clients[], int count,
                     const char *request)
{
    for (int i = 0; i < count; i++) {
        clients[i] = client(server);
        say(&clients[i], request);
    }
}

/* Who hangs up frees what he held, though his work is still queued. */
Test(server, sleepers_that_left_hold_nothing)
{
    Server server = start_crowded("", NULL);
    Client sleepers[100];
    crowd_in(&server, sleepers, 100, SLEEP);
    pass(0.3);
    for (int i = 0; i < 100; i++) {
        client_reset(sleepers[i].socket);
        free(sleepers[i].data);
    }
    cr_expect(lt(dbl, asking(&server, GET, 200), 2));
    cr_expect(lt(dbl, asking_until_taken(&server, SLEEP), 5 + 5 + 1));
    finish(&server);
}

/* The same without a reset: clients that just close, perhaps with a word left.
 * What they asked for may still be wanted, but not when others wait. */
static void sleepers_close(const char *request, const char *later)
{
    Server server = start_crowded("", NULL);
    Client sleepers[100];
    crowd_in(&server, sleepers, 100, request);
    pass(0.3);
    for (int i = 0; i < 100; i++) {
        say(&sleepers[i], later);
        leave(&sleepers[i]);
    }
    for (int i = 0; i < 5; i++)
        cr_expect(lt(dbl, asking(&server, GET, 200), 2));
    cr_expect(lt(dbl, asking_until_taken(&server, SLEEP), 5 + 5 + 1));
    kill(server.pid, SIGTERM);
    double begun = now();
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
    cr_expect(lt(dbl, now() - begun, 10 + SLACK));
}

Test(server, sleepers_that_closed_hold_nothing)
{
    sleepers_close(SLEEP, "");
}

Test(server, sleepers_that_closed_with_a_word_left_hold_nothing)
{
    sleepers_close(SLEEP GET, "");
}

Test(server, sleepers_that_closed_with_a_late_word_hold_nothing)
{
    sleepers_close(SLEEP, GET);
}

/* Who stays has work done, but not with the last descriptor. */
Test(server, sleepers_leave_room_for_others)
{
    enum { SLEEPERS = 100 };
    Server server = start_crowded("", NULL);
    Client sleepers[SLEEPERS];
    crowd_in(&server, sleepers, SLEEPERS, SLEEP);
    for (int i = 0; i < 5; i++)
        cr_expect(lt(dbl, asking(&server, GET, 200), 2));
    int done = 0, refused = 0;
    for (Wait wait = {0}; done < 4 && still_waiting(&wait, 5 + SLACK); moment())
        for (int i = 0; i < SLEEPERS; i++) {
            int status = reply_to(&sleepers[i], false, 0).status;
            done += status == 200;
            refused += status == 503;
        }
    cr_expect(done >= 4 && refused >= SLEEPERS - FEW, "%d done, %d refused",
              done, refused);
    server_stop(&server);
}

/* Exactly so many are taken as is promised: one for each worker, and 128. When
 * some of them are done, there is room for as many. */
Test(server, slow_requests_are_refused_exactly)
{
    enum { WORKERS = 4, TAKEN = WORKERS + 128 };
    Server server = start();
    Client slow[TAKEN], more[2 * WORKERS];
    crowd_in(&server, slow, WORKERS, SLEEP);
    pass(0.2); /* so the workers have them */
    crowd_in(&server, slow + WORKERS, TAKEN - WORKERS, SLEEP);
    all_is_read(&server);
    for (int i = 0; i < 3; i++)
        cr_expect(lt(dbl, asking(&server, SLEEP, 503), 2), "%d", i);
    for (int i = 0; i < TAKEN; i++) {
        take_in(&slow[i], 0);
        cr_assert(eq(sz, slow[i].size, 0), "%d: %s", i, slow[i].data);
    }
    for (int i = 0; i < WORKERS; i++)
        cr_assert(eq(int, reply(&slow[i]).status, 200));
    pass(0.2); /* so that each worker has taken the next */
    crowd_in(&server, more, 2 * WORKERS, SLEEP);
    int refused = 0;
    for (int i = 0; i < 2 * WORKERS; i++)
        refused += reply_to(&more[i], false, 0.3).status == 503;
    cr_expect(eq(int, refused, WORKERS));
    server_stop(&server);
}

/* 140 of one client, which leaves: the next one need not wait for them. */
Test(server, one_client_that_left_takes_no_turns)
{
    Server server = start_with("--quiet --threads 1", (Options){0});
    Client slow[140];
    crowd_in(&server, slow, 140, SLEEP);
    all_is_read(&server);
    for (int i = 0; i < 140; i++) {
        client_reset(slow[i].socket);
        free(slow[i].data);
    }
    pass(0.2);
    cr_expect(lt(dbl, asking_until_taken(&server, SLEEP), 5 + 5 + 1));
    finish(&server);
}

/* They have all descriptors, as they have asked for a large page, of which they
 * take so much at first; then little. Whoever comes then is answered after 5 s,
 * and some more on a busy machine. This server has its real limits. */
static void readers_make_room(size_t first)
{
    enum { CROWD = 80 };
    char *folder = large_site();
    setenv("PROGRAM", setting("PROGRAM_REAL"), 1);
    Server server = start_crowded("--root .", folder);
    Client crowd[CROWD], honest[3];
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = first > 0 ? client(&server) : narrow_client(&server);
        say(&crowd[i], "GET /large.txt HTTP/1.1\r\n" H "\r\n");
        sip(&crowd[i], 1e9, 0.3, first);
    }
    pass(0.3);
    for (int i = 0; i < 3; i++) {
        honest[i] = client(&server);
        say(&honest[i], GET);
        double begun = now();
        while (honest[i].size == 0 && now() < begun + 3 * SLACK) {
            for (int k = 0; k < CROWD; k++)
                sip(&crowd[k], 1e6, 0.0005, crowd[k].size + 1000);
            take_in(&honest[i], 0.2);
        }
        cr_expect(eq(int, reply_to(&honest[i], false, 0).status, 200));
        cr_expect(lt(dbl, now() - begun, i == 0 ? 5 + SLACK : SLACK), "%d", i);
        leave(&honest[i]);
    }
    for (int i = 0; i < CROWD; i++)
        leave(&crowd[i]);
    finish(&server);
    drop_site(folder);
}

Test(server, dribbling_readers_make_room)
{
    readers_make_room(0);
}

Test(server, fast_readers_that_dribble_then_make_room)
{
    readers_make_room(4000000);
}

/* But who takes an answer fast enough keeps his place: at the rate, if what he
 * takes is acknowledged little by little; with the usual room, which the system
 * acknowledges in steps, at four times the rate. */
Test(server, steady_readers_keep_their_place_in_a_crowd)
{
    enum { CROWD = 80, SIZE = 1000000 };
    char *folder = site_of(SIZE);
    setenv("PROGRAM", setting("PROGRAM_REAL"), 1);
    Server server = start_crowded("--root .", folder);
    Client narrow = narrow_client(&server), too_slow = narrow_client(&server);
    Client usual = ask_for_large(&server, 0), crowd[CROWD];
    say(&narrow, "GET /large.txt HTTP/1.1\r\n" H "\r\n");
    say(&too_slow, "GET /large.txt HTTP/1.1\r\n" H "\r\n");
    crowd_in(&server, crowd, CROWD, "GET / HT");
    double begun = now(), gone = 0;
    for (; gone < 18; gone = now() - begun) { /* the crowd stays 20 */
        sip(&usual, 1e9, 0.01, (size_t)(4.0 * RATE * gone));
        sip(&narrow, 1e9, 0.01, (size_t)(1.2 * RATE * gone));
        sip(&too_slow, 1e9, 0.01, (size_t)(0.3 * RATE * gone));
        moment();
    }
    cr_expect(not(usual.ended), "after %zu bytes", usual.size);
    cr_expect(not(narrow.ended), "after %zu bytes", narrow.size);
    cr_expect(too_slow.ended, "it was not crowded");
    leave(&usual);
    leave(&narrow);
    leave(&too_slow);
    for (int i = 0; i < CROWD; i++)
        leave(&crowd[i]);
    finish(&server);
    drop_site(folder);
}

/* Each asks in time, and has always begun to ask for more: so it is never idle.
 * Whoever comes then waits for the rest of one request, and not for ever. */
Test(server, who_always_asks_again_makes_room)
{
    enum { CROWD = 80 };
    Server server = start_crowded("", NULL);
    Client crowd[CROWD];
    crowd_in(&server, crowd, CROWD, GET "G");
    pass(0.3);
    Client honest = client(&server);
    say(&honest, GET);
    double begun = now();
    while (honest.size == 0 && now() < begun + 2 * timeouts[HEAD] + SLACK) {
        take_in(&honest, timeouts[HEAD] / 2);
        for (int i = 0; i < CROWD; i++)
            send(crowd[i].socket, &GET "G"[1], strlen(GET), MSG_NOSIGNAL);
    }
    cr_expect(eq(int, reply_to(&honest, false, 0).status, 200));
    leave(&honest);
    for (int i = 0; i < CROWD; i++)
        leave(&crowd[i]);
    finish(&server);
}

/* What is on its way to a client that says that it says no more, and reads
 * nothing, is the system's to send; but not for longer than an answer has. */
Test(server, who_never_reads_is_forgotten_by_the_system)
{
    enum { DEAF = 8 };
    char *folder = site_of(300000);
    setenv("PROGRAM", setting("PROGRAM_REAL"), 1);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client deaf[DEAF];
    for (int i = 0; i < DEAF; i++) {
        deaf[i] = ask_for_large(&server, 4096);
        shutdown(deaf[i].socket, SHUT_WR);
    }
    for (Wait wait = {0}; queues(&server).deaf < DEAF; moment())
        cr_assert(still_waiting(&wait, patience()));
    for (Wait wait = {0}; queues(&server).deaf > 0; moment())
        cr_assert(still_waiting(&wait, 30 + SLACK), "%d are kept",
                  queues(&server).deaf);
    for (int i = 0; i < DEAF; i++)
        leave(&deaf[i]);
    finish(&server);
    drop_site(folder);
}

/* The system's memory is ours to bound, too: 512 KB for each client. */
Test(server, who_never_reads_costs_little_memory)
{
    enum { DEAF = 8 };
    char *folder = large_site();
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client deaf[DEAF];
    for (int i = 0; i < DEAF; i++)
        deaf[i] = ask_for_large(&server, 0);
    int clients = 0;
    long most = 0;
    for (double begun = now(); now() < begun + 1.5;) {
        for (int i = 0; i < DEAF; i++) /* it has the system give it more room */
            sip(&deaf[i], 1e9, 0.001, deaf[i].size + 100000);
        Queues kept = queues(&server);
        most = kept.unsent > most ? kept.unsent : most;
        clients = kept.deaf > clients ? kept.deaf : clients;
    }
    cr_expect(ge(int, clients, DEAF));
    cr_expect(le(dbl, most, 600e3));
    for (int i = 0; i < DEAF; i++)
        leave(&deaf[i]);
    finish(&server);
    drop_site(folder);
}

/* A turn has an end, however much one client asks for at once. 1,000 have sent
 * as much as the system takes; whose single request came after theirs has not
 * to wait until all that is answered. (What counts is the time that the server
 * has worked by then, not how busy this machine is otherwise.) */
Test(server, pipelining_crowd_does_not_delay_others)
{
    enum { CROWD = 1000, EACH = 65536 };
    static char block[EACH + sizeof GET];
    static int crowd[CROWD];
    for (size_t size = 0; size < EACH; size += strlen(GET))
        memcpy(block + size, GET, sizeof GET);
    setenv("PROGRAM", setting("PROGRAM_REAL"), 1);
    Server server = start();
    for (int i = 0; i < CROWD; i++)
        crowd[i] = client_connect(&server);
    Client honest = client(&server);
    say(&honest, GET);
    cr_assert(eq(int, reply(&honest).status, 200));
    for (int i = 0; i < CROWD; i++) /* now it has accepted all of them */
        send(crowd[i], GET, strlen(GET), 0);
    all_is_read(&server);

    kill(server.pid, SIGSTOP);
    for (int i = 0; i < CROWD; i++)
        send(crowd[i], block, EACH, MSG_DONTWAIT);
    say(&honest, GET);
    double cpu = server_cpu(&server), begun = now();
    kill(server.pid, SIGCONT);
    cr_assert(eq(int, reply(&honest).status, 200));
    cpu = server_cpu(&server) - cpu;
    printf("after 1,000 that pipeline: %.0f ms, of which it worked %.0f\n",
           (now() - begun) * 1e3, cpu * 1e3);
    cr_expect(lt(dbl, cpu, 0.55));
    for (int i = 0; i < CROWD; i++)
        client_reset(crowd[i]);
    leave(&honest);
    finish(&server);
}

/* 5,000 that connect at once, each with its request; the server was not even
 * there when they came. */
Test(server, five_thousand_at_once)
{
    enum { BURST = 5000 };
    static int clients[BURST];
    static bool asked[BURST], done[BURST];
    Server server = start();
    kill(server.pid, SIGSTOP);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((in_port_t)server.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < BURST; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        cr_assert(ne(int, clients[i], -1));
        connect(clients[i], (struct sockaddr *)&address, sizeof address);
        asked[i] = send(clients[i], GET, strlen(GET), MSG_NOSIGNAL) > 0;
    }
    double begun = now();
    kill(server.pid, SIGCONT);
    cr_expect(lt(dbl, asking(&server, GET, 200), SLACK));
    int answered = 0;
    while (answered < BURST && now() < begun + 2 * SLACK) {
        char part[1024];
        for (int i = 0; i < BURST; i++)
            if (!asked[i]) /* the system let it wait, for a second or more */
                asked[i] = send(clients[i], GET, strlen(GET), MSG_NOSIGNAL) > 0;
            else if (!done[i] && recv(clients[i], part, sizeof part, 0) > 12) {
                done[i] = true;
                answered += strncmp(part, "HTTP/1.1 200", 12) == 0;
            }
        moment();
    }
    for (int i = 0; i < BURST; i++)
        close(clients[i]);
    printf("%d of %d at once were answered in %.1f s\n", answered, BURST,
           now() - begun);
    cr_expect(eq(int, answered, BURST));
    finish(&server);
}
