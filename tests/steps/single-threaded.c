/* One connection at a time, in one thread, for ever. */

#include "shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(single_threaded, SUITE);

static void check_one_thread(const Server *server)
{
    check(server_threads(server) == 1, .expected = "a single thread",
          .got = words("there are %d", server_threads(server)),
          .key = "threads");
}

/* While one client makes up its mind, the next one waits. */
Test(single_threaded, one_connection_at_a_time)
{
    Server server = server_start((Options){0});
    int clients[2];
    Answer answers[2];
    doing("a client connected and said nothing yet; a second asked for /; then "
          "the "
          "first asked, too");
    clients[0] = client_connect(&server);
    clients[1] = client_connect(&server);
    client_ask(clients[1], "GET / HTTP/1.1");
    for (double start = now(); now() < start + 1;) {
        check_one_thread(&server);
        moment();
    }
    double asked = now();
    client_ask(clients[0], "GET /foo HTTP/1.1");
    clients_receive(2, clients, answers, patience());
    check_answer(&answers[0], "GET /foo HTTP/1.1", "HTTP/1.1 404 NOT FOUND",
                 "404.html");
    check_answer(&answers[1], "GET / HTTP/1.1", "HTTP/1.1 200 OK",
                 "hello.html");
    check(answers[1].begun > asked,
          .expected = "one connection after the other",
          .got = "the second was answered before the first had asked",
          .key = "order");
    server_stop(&server);
}

Test(single_threaded, a_thousand_requests_leave_nothing_open)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    for (int i = 0; i < 500; i++) {
        check_hello(&server);
        Answer answer = client_get(&server, "GET /foo HTTP/1.1");
        check_answer(&answer, "GET /foo HTTP/1.1", "HTTP/1.1 404 NOT FOUND",
                     "404.html");
        free(answer.data);
    }
    doing("1,000 clients were answered, one after the other");
    server_wait_descriptors(&server, 0, descriptors);
    check_one_thread(&server);
    server_stop(&server);
}

Test(single_threaded, an_idle_server_burns_no_cpu, TAKES_TIME)
{
    Server server = server_start((Options){0});
    check_hello(&server);
    check_idle(&server);
    server_stop(&server);
}

TestSuite(hostile_reader, SUITE);

/* Asks for more than fits into any buffer, and leaves it there: 10 or 15 s, as
 * a write may give up late; where the socket has a time-out, 2 or 3 s. */
Test(hostile_reader, a_client_that_does_not_read_delays_it_and_no_longer,
     TAKES_TIME)
{
    char *folder = folder_with_page(20000000);

    Server server = server_start((Options){.folder = folder, .faster = true});
    doing("a client asked for a page of 20 MB and did not read it; a second "
          "asked for /foo (a socket's time-outs were a fifth of what was set)");
    int lazy = client_connect(&server);
    client_ask(lazy, "GET / HTTP/1.1");
    Answer answer =
        client_get_within(&server, "GET /foo HTTP/1.1", 3 * SILENCE);
    check(!answer.timed_out || answer.length > 0,
          .expected =
              "the first is given up after a while, and the second answered",
          .got = "nothing: the server waits for the first for ever",
          .cause = "a write waits as long as the client does not read: "
                   "SO_SNDTIMEO, 5 seconds, beside SO_RCVTIMEO",
          .key = "no-send-timeout", .read = "The visitor who leaves");
    check_answer(&answer,
                 "GET /foo HTTP/1.1 (while another does not read its "
                 "answer)",
                 "HTTP/1.1 404 NOT FOUND", "gone\n");
    free(answer.data);
    server_stop(&server);
    close(lazy);

    folder_remove(folder);
}
