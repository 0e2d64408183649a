/* What keep-alive costs a pool. What it has to do is in connection.c. */

#include "shared.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(keep_alive, SUITE);

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

enum { WORKERS = 4 };

/* Has four clients ask for the page and keep the connection. */
static void connect_idle(const Server *server, int clients[WORKERS])
{
    for (int i = 0; i < WORKERS; i++) {
        clients[i] = client_connect(server);
        client_send(clients[i], GET, strlen(GET));
        free(client_receive_some(clients[i], 1, patience()).data);
    }
}

Test(keep_alive, four_idle_clients_starve_it, TAKES_TIME)
{
    Server server = server_start((Options){0});
    int idle[WORKERS];
    connect_idle(&server, idle);
    doing("four clients had their answer and kept the connection; a fifth "
          "asked for /");
    int fifth = client_connect(&server);
    client_ask(fifth, "GET / HTTP/1.1");
    Answer answer = client_receive_some(fifth, 1, 1);
    check(answer.length == 0,
          .expected = "it waits: all four workers wait for their clients. In "
                      "this step that is right",
          .got = "it was answered at once",
          .cause = "the connection is closed after an answer, or somebody else "
                   "than the four workers serves clients",
          .key = "not-starved", .read = "Fast, and it starves");
    check(answer.timed_out, .expected = "it waits in the queue",
          .got = "its connection was closed", .key = "closed",
          .read = "Fast, and it starves");
    free(answer.data);

    doing("four clients had their answer and kept the connection, a fifth "
          "asked for /, and then one of the four left");
    close(idle[2]);
    answer = client_receive(fifth, patience());
    check_answer(&answer, "GET / HTTP/1.1 (behind four who keep theirs)",
                 "HTTP/1.1 200 OK", "hello.html");
    free(answer.data);
    server_stop(&server);
}

Test(keep_alive, behind_four_idle_ones_eight_wait_and_one_is_refused)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int idle[WORKERS], waiting[16], count = step("bounded");
    connect_idle(&server, idle);
    doing("four clients had their answer and kept the connection, eight "
          "waited, and one more came");
    for (int i = 0; i < count; i++) {
        waiting[i] = client_connect(&server);
        client_send(waiting[i], GET, strlen(GET));
    }
    await_connections(&server, descriptors, WORKERS + count);
    Answer answer = client_get(&server, "GET / HTTP/1.1");
    check(strncmp(answer.data, "HTTP/1.1 503 ", 13) == 0 && answer.complete,
          .expected = "at once an answer: 503, and the end of the connection",
          .got = answer.timed_out ? "nothing: the server says nothing"
                                  : words("`%.30s`", answer.data),
          .cause = "who could not hand over a connection owns it still: main "
                   "turns the client away, and destroys it",
          .key = "not-refused", .read = "What belongs to a connection");
    free(answer.data);
    server_wait_descriptors(&server, 0, descriptors + WORKERS + count);
    server_stop(&server);
}

/* Ctrl-C comes while /sleep sleeps: its answer is the last, and says so. */
Test(keep_alive, ctrl_c_during_sleep, TAKES_TIME)
{
    Server server = server_start((Options){0});
    int client = client_connect(&server);
    doing("a client asked for /sleep, and Ctrl-C came");
    const char *sleep = "GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n";
    client_send(client, sleep, strlen(sleep));
    await_jobs(&server, 1);
    kill(server.pid, SIGINT);
    Answer answer = client_receive(client, SLEEP + patience());
    check(answer.complete && !answer.timed_out,
          .expected = "it is answered, and its connection is closed",
          .got = answer.complete ? "the connection stays open"
                                 : "it is not answered",
          .key = "sleep-end", .read = "The byte that stays");
    check(strstr(answer.data, "\r\nConnection: close\r\n") != NULL,
          .expected = "the answer says Connection: close",
          .got = "Connection: keep-alive, and then it is closed",
          .cause = "who answers has to ask whether the server is to end, and "
                   "that late: after the sleep, not before",
          .key = "last-says-close", .read = "The byte that stays");
    free(answer.data);
    check_ends_well(&server, 0, "something is still waited for",
                    "The byte that stays");
}
