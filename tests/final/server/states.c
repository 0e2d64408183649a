/* What a client may do to a connection in each of its states, on a server of
 * one loop and of several. */

#include "help.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How a client comes into each state, and what it says before it goes. */
static const char *const states[] = {
    "",                                     /* connected */
    GET,                                    /* idle */
    "GET / HT",                             /* in a head */
    GET "GET / HT",                         /* in a second one */
    "GET /large.txt HTTP/1.1\r\n" H "\r\n", /* in an answer */
    SLEEP,                                  /* at work, or queued for it */
    SLEEP GET GET,                          /* with more to come */
    "nonsense\r\n",                         /* refused */
    LAST,                                   /* at the end */
    "GET /large.txt HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\n",
};
enum { STATES = sizeof states / sizeof *states };

/* Some go with a reset, some with an end, some half, some with words left. */
static void go(Client *client, int how)
{
    if (how == 0)
        say(client, "and more");
    if (how == 1)
        shutdown(client->socket, SHUT_WR);
    if (how % 2)
        client_reset(client->socket);
    else
        close(client->socket);
    free(client->data);
}

static void leave_in_each_state(const char *options)
{
    char *folder = large_site();
    Server server = start_with(options, (Options){.folder = folder});
    asking(&server, GET, 200);
    int descriptors = server_descriptors(&server);
    int threads = server_threads(&server);
    for (int round = 0; round < 8; round++) {
        Client clients[STATES];
        for (int i = 0; i < STATES; i++) {
            clients[i] = narrow_client(&server);
            say(&clients[i], states[i]);
        }
        if (round < 4) /* or at once, before it has looked */
            asking(&server, GET, 200);
        for (int i = 0; i < STATES; i++)
            go(&clients[i], round % 4);
        cr_expect(lt(dbl, asking(&server, GET, 200), SLACK));
    }
    server_wait_descriptors(&server, 5 + 5, descriptors);
    cr_expect(eq(int, server_threads(&server), threads));
    cr_expect(lt(dbl, finished_after(&server), SLACK));
    drop_site(folder);
}

Test(server, left_in_each_state)
{
    leave_in_each_state("--quiet --root .");
}

/* 20 clients send a byte at a time, each in a packet of its own. */
Test(server, a_byte_in_each_packet)
{
    enum { CLIENTS = 20 };
    static const char request[] = "\r\n" GET "GET /sleepy HTTP/1.1\r\n"
                                  "X: y\r\n" H "\r\n";
    Server server = start();
    Client clients[CLIENTS];
    int yes = 1;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client(&server);
        setsockopt(clients[i].socket, IPPROTO_TCP, TCP_NODELAY, &yes,
                   sizeof yes);
    }
    for (size_t at = 0; at < sizeof request - 1; at++)
        for (int i = 0; i < CLIENTS; i++)
            client_send(clients[i].socket, request + at, 1);
    for (int i = 0; i < CLIENTS; i++) {
        cr_expect(eq(int, reply(&clients[i]).status, 200));
        cr_expect(eq(int, reply(&clients[i]).status, 404));
        leave(&clients[i]);
    }
    finish(&server);
}

/* Answers come in the order of the requests, though one of them takes time. */
Test(server, work_keeps_its_place_in_a_pipeline)
{
    Server server = start();
    Client one = client(&server);
    say(&one, "GET /nope HTTP/1.1\r\n" H "\r\n" SLEEP
              "HEAD /nope HTTP/1.1\r\n" H "\r\n" SLEEP LAST);
    double begun = now();
    cr_expect(eq(int, reply(&one).status, 404));
    cr_expect(now() - begun < 4);
    cr_expect(eq(int, reply(&one).status, 200));
    cr_expect(eq(int, reply_to(&one, true, patience()).status, 404));
    cr_expect(eq(int, reply(&one).status, 200));
    cr_expect(now() - begun > 9.9);
    cr_expect(eq(int, reply(&one).status, 200));
    closed_after(&one);
    cr_expect(not(one.reset));
    leave(&one);
    finish(&server);
}

/* While a worker has the connection, its client sends 4 MB, or its end: nobody
 * reads that yet, and nobody may turn round and round because of it. */
Test(server, a_flood_during_work_burns_no_time)
{
    enum { FLOOD = 4000000 };
    static char block[FLOOD];
    Server server = start();
    Client one = client(&server), two = client(&server),
           three = client(&server);
    say(&one, SLEEP);
    say(&two, SLEEP);
    say(&three, SLEEP);
    all_is_read(&server);
    double cpu = server_cpu(&server);
    long memory = server_peak(&server);
    for (int i = 0; i < 50; i++)
        send(one.socket, block, FLOOD, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(two.socket, SHUT_WR);
    client_reset(three.socket);
    free(three.data);
    cr_expect(eq(int, reply(&one).status, 200));
    cr_expect(eq(int, reply(&two).status, 200));
    cr_expect(lt(dbl, server_cpu(&server) - cpu, 0.2));
    cr_expect(lt(long, server_peak(&server) - memory, 4096));
    cr_expect(eq(int, reply(&one).status, 414)); /* all those NULs */
    leave(&one);
    leave(&two);
    finish(&server);
}

/* Who announces a body and waits to be asked for it is answered at once. */
Test(server, who_waits_to_continue_is_answered)
{
    Server server = start();
    Client one = client(&server);
    say(&one, "GET / HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n");
    cr_expect(eq(int, reply_to(&one, false, SLACK).status, 200));
    say(&one, "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n"
              "Expect: 100-continue\r\n\r\n");
    cr_expect(eq(int, reply_to(&one, false, SLACK).status, 405));
    closed_after(&one);
    cr_expect(not(one.reset));
    leave(&one);
    cr_expect(eq(int,
                 ask(&server, "GET http://127.0.0.1:1/ HTTP/1.1\r\n" H "\r\n"),
                 200));
    finish(&server);
}

/* The longest head there may be, and another request behind it. */
Test(server, the_longest_head_and_the_next)
{
    Server server = start();
    static const char before[] = "GET / HTTP/1.1\r\n" H "X: ";
    char *request = words("%s%0*d\r\n\r\n%s", before,
                          8192 - (int)strlen(before) - 4, 0, GET);
    Client clients[10];
    for (int i = 0; i < 10; i++) {
        clients[i] = client(&server);
        for (int k = 0; k < 3; k++)
            say(&clients[i], request);
    }
    for (int i = 0; i < 10; i++) {
        for (int k = 0; k < 6; k++) {
            Reply answer = reply(&clients[i]);
            cr_expect(eq(int, answer.status, 200), "request %d", k);
            free(answer.body);
        }
        leave(&clients[i]);
    }
    free(request);
    finish(&server);
}

/* 500 that send a letter a second each, and 20 honest ones among them. */
Test(server, slow_heads_delay_nobody)
{
    enum { SLOW = 500 };
    static Client slow[SLOW];
    Server server = start();
    for (int i = 0; i < SLOW; i++)
        slow[i] = client(&server);
    for (int round = 0; round < 4; round++) {
        double begun = now();
        for (int i = 0; i < SLOW; i++)
            say(&slow[i], "G");
        for (int i = 0; i < 5; i++)
            cr_expect(lt(dbl, asking(&server, GET, 200), 2));
        pass(begun + 1 - now());
    }
    for (int i = 0; i < SLOW; i++) {
        closed_after(&slow[i]); /* after the time for a head, at last */
        cr_expect(strncmp(slow[i].data, "HTTP/1.1 408 ", 13) == 0, "%d: %.20s",
                  i, slow[i].data);
        leave(&slow[i]);
    }
    finish(&server);
}
