/* How every step starts: its line, its port, its errors. */

#include "shared.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(start, .timeout = TIMEOUT);

/* Checks that the program ends with status 1 and one line on stderr. */
static void check_refuses(const char *port, const char *why)
{
    Server server = server_start((Options){.port = port, .may_end = true});
    if (server.port != 0) {
        server_stop(&server);
        complain("single-threaded", __FILE__, __LINE__,
                 "`./server %s` should end: %s. It listens on port %d", port,
                 why, server.port);
    }
    int status = server_wait(&server);
    char *errors = server_errors(&server);
    check("single-threaded", WIFEXITED(status) && WEXITSTATUS(status) == 1,
          "`./server %s` should exit with status 1: %s. It ended with %s %d",
          port, why, WIFEXITED(status) ? "status" : "signal",
          WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    check("single-threaded", occurrences(errors, "\n") == 1,
          "`./server %s` should say why on stderr, in one line. It said:\n%s",
          port, errors);
    free(errors);
}

Test(start, says_where_it_listens)
{
    Server server = server_start((Options){0});
    char *output = server_output(&server);
    check("single-threaded",
          strncmp(output, "Listening on ", 13) == 0
              && occurrences(output, "\n") == 1,
          "Expected one line, `Listening on http://127.0.0.1:PORT`; got:\n%s",
          output);
    free(output);
    close(client_connect(&server));
    server_stop(&server);
}

/* With a slow listen, and slow threads, that what is too early is seen. */
Test(start, is_ready_when_it_says_so)
{
    Server server = server_start((Options){.slow_start = true});
    int client = client_try_connect(&server), threads = server_threads(&server);
    check("single-threaded", client != -1,
          "The server says `Listening on ...`, and a connection is refused: it "
          "should print the line after listen(), not before");
    check(
        "shared-queue", step("threads") == 1 || threads == step("threads"),
        "When the server says `Listening on ...` it should be ready: the pool "
        "started, and 1 + 4 threads there; there are %d",
        threads);
    close(client);
    server_stop(&server);
}

Test(start, refuses_what_is_no_port)
{
    const char *ports[] = {"abc", "80x", "-1", "65536", "99999999999999999999"};
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++)
        check_refuses(ports[i], "this is no port from 0 to 65535");
}

Test(start, refuses_a_taken_port)
{
    Server server = server_start((Options){0});
    char port[16];
    snprintf(port, sizeof port, "%d", server.port);
    check_refuses(port, "the port is taken");
    server_stop(&server);
}

Test(start, takes_the_port_it_is_given)
{
    /* A port that was free a moment ago. */
    Server first = server_start((Options){0});
    char port[16];
    snprintf(port, sizeof port, "%d", first.port);
    server_stop(&first);

    Server server = server_start((Options){.port = port});
    check("single-threaded", server.port == first.port,
          "`./server %s` listens on port %d instead", port, server.port);
    server_stop(&server);
}

Test(start, takes_7878_by_default)
{
    /* One test at a time; others on this machine may have the port, too. */
    int lock = open("/tmp/hello-7878.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    cr_assert(lock != -1 && flock(lock, LOCK_EX) == 0);

    Server server = server_start((Options){.port = "", .may_end = true});
    if (server.port == 0) {
        char *errors = server_errors(&server);
        int status = server_wait(&server);
        check("single-threaded",
              WIFEXITED(status) && WEXITSTATUS(status) == 1
                  && strstr(errors, "in use") != NULL,
              "`./server` should listen on port 7878, or say that it is "
              "taken. It said:\n%s",
              errors);
        return;
    }
    check("single-threaded", server.port == 7878,
          "`./server` should listen on port 7878; it listens on %d",
          server.port);
    server_stop(&server);
}

Test(start, listens_on_this_machine_only)
{
    Server server = server_start((Options){0});
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t)server.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1), /* 127.0.0.2 */
    };
    int client = socket(AF_INET, SOCK_STREAM, 0);
    check("single-threaded",
          connect(client, (struct sockaddr *)&address, sizeof address) == -1,
          "The server should listen on 127.0.0.1 only; it listens on every "
          "address of the machine");
    close(client);
    server_stop(&server);
}

Test(start, can_be_restarted_at_once)
{
    /* A connection that the server closed first lingers in TIME_WAIT. */
    Server first = server_start((Options){0});
    char port[16];
    snprintf(port, sizeof port, "%d", first.port);
    int client = client_connect(&first);
    client_ask(client, "GET / HTTP/1.1");
    if (step("answers"))
        free(client_receive(client, patience()).data);
    server_stop(&first);

    Server second = server_start((Options){.port = port, .may_end = true});
    char *errors = server_errors(&second);
    check("single-threaded", second.port == first.port,
          "Restarted after a request, the server should take its port again "
          "(SO_REUSEADDR). It said:\n%s",
          errors);
    free(errors);
    server_stop(&second);
}
