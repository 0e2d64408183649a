/* One connection at a time, in one thread, for ever. */

#include "shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(single_threaded, .timeout = TIMEOUT);

Test(single_threaded, a_thousand_requests_leave_nothing_open)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    for (int i = 0; i < 500; i++) {
        check_hello(&server, "single-threaded");
        Answer answer = client_get(&server, "GET /foo HTTP/1.1");
        check_answer("single-threaded", &answer, "GET /foo HTTP/1.1",
                     "HTTP/1.1 404 NOT FOUND", "404.html");
        free(answer.data);
    }
    server_wait_descriptors(&server, descriptors);
    check("single-threaded", server_threads(&server) == 1,
          "The server has %d threads; this step is single-threaded",
          server_threads(&server));
    server_stop(&server);
}

Test(single_threaded, an_idle_server_burns_no_cpu)
{
    Server server = server_start((Options){0});
    check_hello(&server, "single-threaded");
    check_idle("single-threaded", &server);
    server_stop(&server);
}

/* While one client makes up its mind, the next one waits. */
Test(single_threaded, one_connection_at_a_time)
{
    Server server = server_start((Options){0});
    int clients[2];
    Answer answers[2];
    clients[0] = client_connect(&server);
    clients[1] = client_connect(&server);
    client_ask(clients[1], "GET / HTTP/1.1");
    for (double start = now(); now() < start + 1;) {
        check("single-threaded", server_threads(&server) == 1,
              "The server has %d threads; this step is single-threaded",
              server_threads(&server));
        moment();
    }
    double asked = now();
    client_ask(clients[0], "GET /foo HTTP/1.1");
    clients_receive(2, clients, answers, patience());
    check_answer("single-threaded", &answers[0], "GET /foo HTTP/1.1",
                 "HTTP/1.1 404 NOT FOUND", "404.html");
    check_answer("single-threaded", &answers[1], "GET / HTTP/1.1",
                 "HTTP/1.1 200 OK", "hello.html");
    check("single-threaded", answers[1].begun > asked,
          "A client was answered while another, which had come first, had not "
          "asked yet: this step serves one connection after the other");
    server_stop(&server);
}

/* Asks for more than fits into any buffer, and leaves it there. */
Test(single_threaded, a_client_that_does_not_read_delays_it_and_no_longer)
{
    char *folder = folder_with_page(20000000);

    Server server = server_start((Options){.folder = folder});
    int lazy = client_connect(&server);
    client_ask(lazy, "GET / HTTP/1.1");
    Answer answer = client_get(&server, "GET /foo HTTP/1.1");
    check_answer("single-threaded", &answer,
                 "GET /foo HTTP/1.1 (while another client does not "
                 "read its answer)",
                 "HTTP/1.1 404 NOT FOUND", "gone\n");
    free(answer.data);
    server_stop(&server);
    close(lazy);

    folder_remove(folder);
}
