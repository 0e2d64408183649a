/* Hostile clients, ten of each kind at once, and honest ones. */

#include "help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void hostile(void (*attack)(Client *client))
{
    Server server = start();
    check_pages(&server);
    int descriptors = server_descriptors(&server);
    int threads = server_threads(&server);
    Client bad[10];
    for (int i = 0; i < 10; i++)
        bad[i] = client(&server);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 10; i++)
            attack(&bad[i]);
        double asked = now();
        check_pages(&server);
        cr_expect(lt(dbl, now() - asked, SLACK));
    }
    for (int i = 0; i < 10; i++)
        leave(&bad[i]);
    check_pages(&server);
    server_wait_descriptors(&server, 0, descriptors);
    cr_expect(eq(int, server_threads(&server), threads));
    finish(&server);
}

/* The same connection comes up in each round; -1 once it is closed. */
static void nothing_and_open(Client *client)
{
    (void)client;
}

static void half_a_line(Client *client)
{
    say(client, "GET / HT");
}

static void a_byte_at_a_time(Client *client)
{
    say(client, "G");
}

static void an_endless_line(Client *client)
{
    static char block[100000];
    memset(block, 'a', sizeof block);
    client_send(client->socket, block, sizeof block);
}

static void endless_headers(Client *client)
{
    say(client, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 2000; i++)
        say(client, "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n");
}

static void nuls(Client *client)
{
    static const char block[5000];
    client_send(client->socket, block, sizeof block);
    say(client, "\r\n\r\n");
}

static void bytes_above_127(Client *client)
{
    char block[256];
    for (int i = 0; i < 256; i++)
        block[i] = (char)(255 - i);
    client_send(client->socket, block, sizeof block);
}

static void asks_and_never_reads(Client *client)
{
    for (int i = 0; i < 50; i++)
        send(client->socket, GET, strlen(GET), MSG_DONTWAIT | MSG_NOSIGNAL);
}

Test(server, hostile_nothing_and_open)
{
    hostile(nothing_and_open);
}

Test(server, hostile_half_a_line)
{
    hostile(half_a_line);
}

Test(server, hostile_a_byte_at_a_time)
{
    hostile(a_byte_at_a_time);
}

Test(server, hostile_an_endless_line)
{
    hostile(an_endless_line);
}

Test(server, hostile_endless_headers)
{
    hostile(endless_headers);
}

Test(server, hostile_nuls)
{
    hostile(nuls);
}

Test(server, hostile_bytes_above_127)
{
    hostile(bytes_above_127);
}

Test(server, hostile_asks_and_never_reads)
{
    hostile(asks_and_never_reads);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Asks honestly for that long. Prints and returns how long 99 % took at most.
 */
static double honest_p99(const Server *server, double seconds, const char *when,
                         void (*meanwhile)(const Server *))
{
    enum { MOST = 1000000 };
    static double took[MOST];
    size_t count = 0;
    for (double begun = now(); now() < begun + seconds && count < MOST;) {
        double asked = now();
        check_pages(server); /* not one is lost */
        took[count++] = now() - asked;
        meanwhile(server);
    }
    qsort(took, count, sizeof *took, compare);
    double p99 = took[count * 99 / 100];
    printf("%zu requests %s: all answered, 99 %% within %.1f ms\n", count, when,
           p99 * 1e3);
    return p99;
}

static void wait_a_moment(const Server *server)
{
    (void)server;
    moment();
}

/* Each time another of 10 clients of each of 8 kinds misbehaves. */
static void misbehave(const Server *server)
{
    static void (*const kinds[])(Client *) = {nothing_and_open,
                                              half_a_line,
                                              a_byte_at_a_time,
                                              an_endless_line,
                                              endless_headers,
                                              bytes_above_127,
                                              nuls,
                                              asks_and_never_reads};
    enum { BAD = 80 };
    static Client bad[BAD];
    static int next;
    Client *one = &bad[next % BAD];
    if (one->data != NULL && next / BAD % 4 == 0) { /* in time, a new one */
        if (next % 3 == 0)
            client_reset(one->socket);
        else
            close(one->socket);
        free(one->data);
        one->data = NULL;
    }
    if (one->data == NULL)
        *one = client(server);
    kinds[next % 8](one);
    next++;
}

Test(server, hostile_clients_of_all_kinds_at_once)
{
    const char *setting = getenv("HOSTILE_SECONDS");
    double seconds = setting != NULL ? atof(setting) : 8;
    Server server = start();
    double before = honest_p99(&server, 1, "alone", wait_a_moment);
    double during =
        honest_p99(&server, seconds, "beside 80 hostile clients", misbehave);
    cr_expect(lt(dbl, during, 10 * before + 0.1));
    finish(&server);
}

/* Those that need a new connection each time. */
static void come_and_go(const Server *server, const char *text, bool reset)
{
    for (int i = 0; i < 10; i++) {
        Client one = client(server);
        say(&one, text);
        if (reset)
            client_reset(one.socket);
        else
            close(one.socket);
        free(one.data);
    }
}

Test(server, hostile_comers_and_goers)
{
    Server server = start();
    int descriptors = server_descriptors(&server);
    static const char *const texts[] = {"",    "GET / HT",    GET, GET GET GET,
                                        SLEEP, "nonsense\r\n"};
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            come_and_go(&server, texts[i], round % 2 == 0);
            check_pages(&server);
        }
    server_wait_descriptors(&server, 0, descriptors + 4 + 128);
    server_stop(&server); /* the sleepers' work would take minutes */
}
