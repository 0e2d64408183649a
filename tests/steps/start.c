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

TestSuite(start, SUITE);

Test(start, says_where_it_listens)
{
    Server server = server_start((Options){0});
    doing("the server was started, and a client connected");
    close(client_connect(&server));
    if (!step("ends_after_two"))
        check_soon_alive(&server);
    server_stop(&server);
}

/* With a slow listen, and slow threads, that what is too early is seen. */
Test(start, is_ready_when_it_says_so)
{
    Server server = server_start((Options){.slow_start = true});
    int client = client_try_connect(&server), threads = server_threads(&server);
    doing("the server was started, and had said `Listening on ...`");
    check(client != -1, .expected = "a client can connect",
          .got = "the connection is refused",
          .cause = "the line is printed before listen(): print it after",
          .key = "too-early", .read = "Another port");
    check(step("threads") == 1 || threads == step("threads"),
          .expected =
              words("the pool is started: 1 + %d threads", step("threads") - 1),
          .got = words("there are %d threads", threads),
          .cause =
              step("executes") && !step("workers_serve")
                  ? "the loop's thread, and the workers if there are any, are "
                    "started before the line is printed, no more and no fewer"
                  : "thread_pool_new is called after the line is printed, "
                    "creates another number of threads, or they end at once",
          .key = "threads", .read = "A thread that waits for work");
    close(client);
    server_stop(&server);
}

/* Whether somebody listens on a port. */
static bool answers_on(int port)
{
    int client = client_try_connect(&(Server){.port = port});
    if (client != -1)
        close(client);
    return client != -1;
}

#define SWAPPED                                                                \
    "the two bytes of the port are swapped: htons(port) when it is stored, "   \
    "ntohs when it is printed"

/* Whatever else a test asks: checks that the port has not its bytes swapped. */
static void check_not_swapped(const Server *server, int number)
{
    int swapped = htons((in_port_t)number);
    check(server->port == 0 || number < 1 || number > 65535 || swapped == number
              || (server->port != swapped
                  && (server->port != number || answers_on(number)
                      || !answers_on(swapped))),
          .expected = words("it listens on port %d", number),
          .got = words("it listens on port %d", swapped), .cause = SWAPPED,
          .key = "swapped", .read = "Listening");
}

/* Starts the program on a port and checks that it is that one. */
static Server start_on(const char *port, int number)
{
    doing(*port ? words("`./server %s`", port) : "`./server`, without a port");
    Server server = server_start((Options){.port = port, .may_end = true});
    check_not_swapped(&server, number);
    check(server.port == 0 || server.port == number,
          .expected = words("it listens on port %d", number),
          .got = words("it listens on port %d", server.port), .key = "port",
          .read = "Another port");
    return server;
}

Test(start, takes_the_port_it_is_given)
{
    /* A port that was free a moment ago. */
    Server first = server_start((Options){0});
    int number = first.port;
    server_stop(&first);
    Server server = start_on(words("%d", number), number);
    check(server.port != 0, .expected = words("it listens on port %d", number),
          .got = "it does not", .detail = server_errors(&server),
          .cause = "bind() got another port: if its two bytes are swapped, "
                   "htons(port) is missing",
          .key = "port", .read = "Another port");
    server_stop(&server);
}

/* Checks that the program ends with status 1 and one line on stderr. */
static void check_refuses(const char *port, const char *why, const char *cause)
{
    char *did = words("`./server %s`: %s", port, why);
    doing(did);
    Server server = server_start((Options){.port = port, .may_end = true});
    int listens = server.port;
    check_not_swapped(&server, atoi(port));
    if (listens != 0)
        server_stop(&server);
    check(listens == 0, .expected = "it ends, and says why",
          .got = words("it listens on port %d", listens), .cause = cause,
          .key = cause, .read = "Another port");
    int status = server_wait(&server);
    char *errors = server_errors(&server);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 1,
          .expected = "it ends with status 1",
          .got = words(
              "it ended with %s %d", WIFEXITED(status) ? "status" : "signal",
              WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status)),
          .detail = errors, .key = "exit-status", .read = "Another port");
    check(occurrences(errors, "\n") == 1, .expected = "one line on stderr",
          .got = *errors ? "several" : "none", .detail = errors,
          .key = "one-line", .read = "Another port");
    free(errors);
}

Test(start, refuses_what_is_no_port)
{
    const char *ports[] = {"abc", "80x", "-1", "65536", "99999999999999999999"};
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++)
        check_refuses(
            ports[i], "that is no port from 0 to 65535",
            "strtol: the end of the number must be the end of the text, "
            "and the number in range");
}

Test(start, refuses_a_taken_port)
{
    Server server = server_start((Options){0});
    char port[16];
    snprintf(port, sizeof port, "%d", server.port);
    check_refuses(port, "that port is taken",
                  "what bind() and listen() return is not looked at");
    server_stop(&server);
}

Test(start, takes_7878_by_default)
{
    /* One test at a time; others on this machine may have the port, too. */
    const char *file = getenv("LOCK");
    if (file != NULL) {
        int lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        cr_assert(lock != -1 && flock(lock, LOCK_EX) == 0);
    }
    Server server = start_on("", 7878);
    if (server.port != 0) {
        server_stop(&server);
        return;
    }
    char *errors = server_errors(&server);
    int status = server_wait(&server);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 1
              && strstr(errors, "in use") != NULL,
          .expected = "it listens on port 7878, or says that it is in use",
          .got = *errors ? "it says something else" : "it says nothing",
          .detail = errors, .key = "port", .read = "Another port");
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
    check(connect(client, (struct sockaddr *)&address, sizeof address) == -1,
          .did = "a client connected to 127.0.0.2",
          .expected = "it is refused: the server listens on 127.0.0.1 only",
          .got =
              "it is accepted: everybody in the network can reach the server",
          .cause = "the address is INADDR_ANY (0), or is not set",
          .key = "every-address", .read = "Listening");
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
    check_not_swapped(&second, first.port);
    check(second.port == first.port,
          .did = "the server was ended after a request, and started again",
          .expected = "it takes its port again", .got = "it does not",
          .cause = "SO_REUSEADDR must be set before bind()", .detail = errors,
          .key = "restart", .read = "Another port");
    free(errors);
    server_stop(&second);
}
