/* Start. */

#define _GNU_SOURCE /* prlimit */
#include "help.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Starts with these options. Returns the exit status; one line must say why. */
static int fails_with(const char *options, const char *word)
{
    Server server = start_with(options, (Options){.port = "", .may_end = true});
    cr_assert(eq(int, server.port, 0), "it listens with %s", options);
    int status = ended(&server);
    char *errors = server_errors(&server);
    cr_expect(strstr(errors, word) != NULL, "%s: %s", options, errors);
    cr_expect(eq(int, occurrences(errors, "\n"), 1), "%s: %s", options, errors);
    free(errors);
    return status;
}

Test(server, options_that_make_no_sense)
{
    static const char *const bad[][2] = {
        {"--port x", "x"},
        {"--port 65536", "65536"},
        {"--port -1", "-1"},
        {"--port=", "port"},
        {"--threads 0", "0"},
        {"--loops 0", "0"},
        {"--loops x", "x"},
        {"--loops 1000000", "1000000"},
        {"--nonsense", "nonsense"},
        {"--host nowhere", "nowhere"},
        {"--host 300.0.0.1", "300.0.0.1"},
        {"--host 203.0.113.1", "assign"}, /* that of somebody else */
        {"--threads 1000000", "1000000"},
        {"--root /nowhere", "/nowhere"},
        {"x", "x"},
        {"0 x", "x"},
        {"99999999999999999999", "9999"},
        {"0x10", "0x10"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(eq(int, fails_with(bad[i][0], bad[i][1]), 1), "%s",
                  bad[i][0]);
}

Test(server, a_port_that_is_taken)
{
    Server server = start();
    char options[32];
    snprintf(options, sizeof options, "--port %d", server.port);
    cr_expect(eq(int, fails_with(options, "use"), 1));
    finish(&server);
}

/* It explains each option, and what the server promises. */
Test(server, help)
{
    Server server =
        start_with("--help", (Options){.port = "", .may_end = true});
    int status = server_wait(&server);
    cr_expect(eq(int, status, 0));
    char *output = server_output(&server);
    static const char *const words[] = {
        "--host",  "--port", "--root",    "--loops", "--threads",
        "--quiet", "--help", "127.0.0.1", "7878",    "503"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        cr_expect(strstr(output, words[i]) != NULL, "%s: %s", words[i], output);
    cr_expect(ge(int, occurrences(output, "\n"), 8), "%s", output);
    for (char *line = strtok(output, "\n"); line != NULL;
         line = strtok(NULL, "\n"))
        cr_expect(le(sz, strlen(line), 80), "%s", line);
    cr_expect(eq(str, server_errors(&server), ""));
    free(output);
}

Test(server, options)
{
    char *folder = large_site(), options[4200];
    snprintf(options, sizeof options, "--quiet --loops 1 --port 0 --root %s",
             folder);
    Server server = start_with(options, (Options){.port = ""});
    int threads = server_threads(&server);
    Client one = client(&server);
    say(&one, GET);
    cr_expect(eq(str, reply(&one).body, "small"));
    leave(&one);
    finish(&server);
    strcat(options, " --threads 7 --loops 3"); /* not 4 and 1 */
    server = start_with(options, (Options){.port = ""});
    cr_expect(eq(int, server_threads(&server), threads + 3 + 2));
    finish(&server);
    drop_site(folder);
}

/* By default, as many loops as there are processors serve. */
Test(server, a_loop_for_each_processor)
{
    Server server = start_with("--quiet --loops 1", (Options){0});
    int threads = server_threads(&server);
    finish(&server);
    server = start();
    cr_expect(eq(int, server_threads(&server),
                 threads - 1 + (int)sysconf(_SC_NPROCESSORS_ONLN)));
    finish(&server);
}

/* Another address of this machine: 127.0.0.1 is not answered then. */
Test(server, listens_where_it_is_told)
{
    Server server =
        start_with("--quiet --host 127.0.0.2", (Options){.host = "127.0.0.2"});
    cr_expect(eq(int, client_try_connect(&server), -1));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((in_port_t)server.port)};
    inet_pton(AF_INET, "127.0.0.2", &address.sin_addr);
    Client one = {.socket = socket(AF_INET, SOCK_STREAM, 0),
                  .data = calloc(1, 1)};
    cr_assert(connect(one.socket, (struct sockaddr *)&address, sizeof address)
              == 0);
    say(&one, GET);
    cr_expect(eq(int, reply(&one).status, 200));
    leave(&one);
    finish(&server);
}

/* An address of IPv6: it is served, and the log shows it. */
Test(server, listens_on_ipv6)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6,
                                   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int there = socket(AF_INET6, SOCK_STREAM, 0);
    if (bind(there, (struct sockaddr *)&address, sizeof address) != 0) {
        fprintf(stderr, "SKIPPED: listens_on_ipv6: no IPv6 here\n");
        cr_skip_test("no IPv6 here");
    }
    close(there);
    Server server = start_with("--host ::1", (Options){.host = "[::1]"});
    cr_expect(eq(int, client_try_connect(&server), -1));
    address.sin6_port = htons((in_port_t)server.port);
    Client one = {.socket = socket(AF_INET6, SOCK_STREAM, 0),
                  .data = calloc(1, 1)};
    cr_assert(connect(one.socket, (struct sockaddr *)&address, sizeof address)
              == 0);
    say(&one, GET);
    cr_expect(eq(int, reply(&one).status, 200));
    leave(&one);
    server_wait_output(&server, " ::1 \"GET / HTTP/1.1\" 200 ", 1);
    finish(&server);
}

/* Only this machine can connect. */
Test(server, listens_on_the_loopback_only)
{
    Server server = start();
    char line[512], local[64], state[8], wanted[16];
    int found = 0;
    snprintf(wanted, sizeof wanted, ":%04X", server.port);
    static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    for (int i = 0; i < 2; i++) {
        FILE *table = fopen(tables[i], "r");
        while (table != NULL && fgets(line, sizeof line, table) != NULL)
            if (sscanf(line, " %*d: %63s %*s %7s", local, state) == 2
                && strcmp(state, "0A") == 0 && strstr(local, wanted) != NULL) {
                found++;
                cr_expect(strncmp(local, "0100007F:", 9) == 0, "%s", local);
            }
        if (table != NULL)
            fclose(table);
    }
    cr_expect(eq(int, found, 1));
    finish(&server);
}

/* Returns a port that is free just now. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(bind(listener, (struct sockaddr *)&address, size) == 0);
    getsockname(listener, (struct sockaddr *)&address, &size);
    close(listener);
    return ntohs(address.sin_port);
}

/* As some supervisors start it: what it opens itself must not become its
 * stdout. It cannot say where it listens. */
Test(server, started_with_nothing_open)
{
    for (unsigned kept = 0; kept < 2; kept++) { /* the others are closed */
        Server server = {.port = free_port(),
                         .err = open("/dev/null", O_RDONLY)};
        char port[8];
        snprintf(port, sizeof port, "%d", server.port);
        server.pid = fork();
        if (server.pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close_range(kept, ~0U, 0);
            if (chdir(setting("PAGES")) == 0)
                execl(setting("PROGRAM"), "server", port, (char *)NULL);
            _exit(127);
        }
        int first;
        for (Wait wait = {0}; (first = client_try_connect(&server)) == -1;
             moment())
            cr_assert(server_alive(&server) && still_waiting(&wait, patience()),
                      "it does not listen");
        close(first);
        for (int i = 0; i < 5; i++)
            check_pages(&server);
        finish(&server);
    }
}

/* With as few descriptors as may be, it serves, or says that it cannot. */
Test(server, hardly_any_descriptors)
{
    int served = 0, refused = 0;
    for (unsigned limit = 5; limit < 40; limit++) {
        Server server =
            start_with("--quiet --loops 2",
                       (Options){.descriptors = limit, .may_end = true});
        char *errors = server_errors(&server);
        if (server.port == 0) {
            int status = ended(&server);
            refused++;
            cr_expect(ne(int, status, 0), "%u: %s", limit, errors);
            cr_expect(eq(int, occurrences(errors, "\n"), 1), "%u: %s", limit,
                      errors);
        } else {
            served++;
            for (int i = 0; i < 3; i++)
                cr_assert(lt(dbl, asking(&server, GET, 200), SLACK), "%u",
                          limit);
            cr_assert(lt(dbl, finished_after(&server), SLACK), "%u", limit);
        }
        free(errors);
        close(server.out);
        close(server.err);
    }
    cr_expect(served > 10 && refused > 0, "%d %d", served, refused);
}

/* Somebody started it with all these open, and raises its limit later: it has
 * descriptors then that are larger than any limit of its own. */
Test(server, descriptors_beyond_its_limit)
{
    enum { LIMIT = 10240, CLIENTS = 1200 };
    struct rlimit more = {LIMIT + 2 * CLIENTS, LIMIT + 2 * CLIENTS};
    static Client clients[CLIENTS];
    struct rlimit all;
    getrlimit(RLIMIT_NOFILE, &all);
    all.rlim_cur = all.rlim_max;
    setrlimit(RLIMIT_NOFILE, &all);
    cr_assert(all.rlim_max >= more.rlim_max, "ulimit -Hn is too small");
    int null = open("/dev/null", O_RDONLY);
    for (int i = 1024; i < LIMIT; i++) /* server_start() closes those below */
        cr_assert(dup2(null, i) == i);
    Server server = start();
    for (int i = 1024; i < LIMIT; i++)
        close(i);
    cr_assert(prlimit(server.pid, RLIMIT_NOFILE, &more, NULL) == 0);
    int answered = 0;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client(&server);
        say(&clients[i], GET);
    }
    for (int i = 0; i < CLIENTS; i++)
        answered +=
            reply_to(&clients[i], false, i < 1000 ? SLACK : 0).status == 200;
    cr_expect(ge(int, answered, 1000));
    cr_expect(lt(dbl, finished_after(&server), 4));
    for (int i = 0; i < CLIENTS; i++)
        leave(&clients[i]);
}
