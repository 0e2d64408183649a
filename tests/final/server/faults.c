/* Injected faults: see ../failing_calls.c. */

#include "help.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Does a bit of everything. Each request is answered or its connection ended,
 * whatever fails inside: none is forgotten. */
static void exercise(const Server *server)
{
    static const char *const texts[] = {
        GET GET LAST, "nonsense\r\n",           "GET / HT", SLEEP LAST,
        "",           "HEAD / HTTP/1.0\r\n\r\n"};
    enum { TEXTS = sizeof texts / sizeof *texts };
    Client clients[TEXTS];
    for (int i = 0; i < TEXTS; i++) {
        clients[i] = client(server);
        say(&clients[i], texts[i]);
    }
    say(&clients[2], "TP/1.1\r\n" H "\r\n");
    shutdown(clients[4].socket, SHUT_WR);
    for (int i = 0; i < TEXTS; i++) {
        Reply answer = reply_to(&clients[i], i == 5, patience());
        cr_assert(answer.status != 0 || clients[i].ended, "`%s` is forgotten",
                  texts[i]);
        free(answer.body);
        leave(&clients[i]);
    }
}

/* Has some calls of a function fail in the server that is started next, from
 * the first on; see failing_calls.c. Returns how the fault is called. */
static const char *set_fault(const char *name, int first, int error, int times)
{
    static char fault[64];
    if (getenv("FAULTS") == NULL)
        cr_skip_test("only the program of make faults can fail on demand");
    snprintf(fault, sizeof fault, "%s %d %d %d", name, first, error, times);
    setenv("FAULT", fault, 1);
    return fault;
}

/* Checks that the fault came to pass. */
static void check_injected(const Server *server)
{
    char *errors = server_errors(server);
    cr_assert(strstr(errors, "fault injected\n") != NULL, "%s", errors);
    free(errors);
}

/* Has the 1st, 2nd, ... call of a function fail, until there are no more. If it
 * may not start then, it must say why. */
static void fail_each(const char *name, int error, bool starts)
{
    for (int number = 1;; number++) {
        const char *fault = set_fault(name, number, error, 1);
        Server server =
            start_with("--quiet --loops 1", (Options){.may_end = true});
        if (server.port == 0) {
            int status = ended(&server);
            char *errors = server_errors(&server);
            cr_assert(starts, "%s: it does not start: %s", fault, errors);
            cr_assert(eq(int, status, 1), "%s: %s", fault, errors);
            cr_assert(eq(int, occurrences(errors, "\n"), 2), "%s: %s", fault,
                      errors);
            cr_assert(strstr(errors, strerror(error)) != NULL, "%s: %s", fault,
                      errors);
            free(errors);
            continue;
        }
        int before = server_descriptors(&server);
        exercise(&server);
        char *errors = server_errors(&server);
        bool done = strstr(errors, "fault injected\n") != NULL;
        free(errors);
        if (!done) {
            server_stop(&server);
            cr_assert(number > 1, "%s is never called", name);
            return;
        }
        check_pages(&server);
        server_wait_descriptors(&server, 0, before);
        double cpu = server_cpu(&server), begun = now();
        while (now() < begun + 0.2)
            moment();
        cr_assert(lt(dbl, server_cpu(&server) - cpu, 0.1), "%s: it spins",
                  fault);
        finish(&server);
        close(server.out);
        close(server.err);
    }
}

#define FAULT(name, error, starts)                                             \
    Test(faults, name##_##error, .timeout = TIMEOUT)                           \
    {                                                                          \
        fail_each(#name, error, starts);                                       \
    }

FAULT(accept, EINTR, false)
FAULT(accept, ECONNABORTED, false)
FAULT(accept, EPROTO, false)
FAULT(accept, EMFILE, false)
FAULT(accept, ENFILE, false)
FAULT(accept, ENOMEM, false)
FAULT(socket, EAFNOSUPPORT, true)
FAULT(socket, EMFILE, true)
FAULT(recv, EINTR, false)
FAULT(recv, EAGAIN, false)
FAULT(recv, ECONNRESET, false)
FAULT(recv, ETIMEDOUT, false)
FAULT(sendmsg, EINTR, false)
FAULT(sendmsg, EAGAIN, false)
FAULT(sendmsg, EPIPE, false)
FAULT(sendmsg, ECONNRESET, false)
FAULT(sendmsg, ENOBUFS, false)
FAULT(shutdown, ENOTCONN, false)
FAULT(epoll_wait, EINTR, false)
FAULT(epoll_ctl, ENOMEM, true)
FAULT(epoll_ctl, ENOSPC, true)
FAULT(epoll_create1, EMFILE, true)
FAULT(pipe, EMFILE, true)
FAULT(fcntl, EBADF, true)
FAULT(read, EINTR, true)
FAULT(write, EINTR, false)
FAULT(fstat, EIO, true)
FAULT(listen, EADDRINUSE, true)
FAULT(malloc, ENOMEM, true)
FAULT(calloc, ENOMEM, true)
FAULT(aligned_alloc, ENOMEM, true)
FAULT(strdup, ENOMEM, true)
FAULT(pthread_create, EAGAIN, true)

/* At the start the program ends then: it need not free what it has. */
Test(faults, realloc_ENOMEM, .timeout = TIMEOUT)
{
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    fail_each("realloc", ENOMEM, true);
}

/* A page that cannot be read is told, and left out; the other is there. */
static void fail_for_a_page(const char *name, int error)
{
    char *folder = site_of(1000);
    set_fault(name, 1, error, 1);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    int small = ask(&server, GET);
    int large = ask(&server, "GET /large.txt HTTP/1.1\r\n" H "\r\n");
    cr_expect(eq(int, small + large, 200 + 404));
    char *errors = server_errors(&server);
    cr_expect(strstr(errors, strerror(error)) != NULL, "%s", errors);
    free(errors);
    finish(&server);
    drop_site(folder);
}

Test(faults, openat_fails_for_a_page, .timeout = TIMEOUT)
{
    fail_for_a_page("openat", EACCES);
}

Test(faults, reading_a_page_fails, .timeout = TIMEOUT)
{
    fail_for_a_page("ferror", EIO);
}

/* However long it takes to read all pages, Ctrl-C ends that. */
Test(faults, a_signal_while_pages_are_read, .timeout = TIMEOUT)
{
    set_fault("openat", 1, 0, 1);
    setenv("FAULT_SIGNAL", "1", 1);
    Server server = start_with("--quiet", (Options){.may_end = true});
    cr_expect(eq(int, server.port, 0));
    int status = ended(&server);
    cr_expect(eq(int, status, -1));
}

/* A connection that cannot be watched ends, and does not wait for a time-out.
 */
Test(faults, epoll_ctl_fails_for_a_connection, .timeout = TIMEOUT)
{
    set_fault("epoll_ctl", 5, ENOSPC, 1); /* after three pipes and the door */
    Server server = start_with("--quiet --loops 1", (Options){0});
    Client one = client(&server);
    say(&one, "GET / HT");
    closed_after(&one);
    cr_expect(eq(sz, one.size, 0), "%s", one.data);
    leave(&one);
    check_pages(&server);
    finish(&server);
}

/* To accept may fail for longer: no event comes then that would have it tried
 * again, and to try all the time would help nobody. */
Test(faults, accept_fails_for_seconds, .timeout = TIMEOUT)
{
    set_fault("accept", 1, ENFILE, 6);
    Server server = start();
    double cpu = server_cpu(&server);
    cr_expect(lt(dbl, asking(&server, GET, 200), 6 + SLACK));
    cr_expect(lt(dbl, server_cpu(&server) - cpu, 0.1)); /* no spinning */
    char *errors = server_errors(&server);
    cr_expect(eq(int, occurrences(errors, "fault injected"), 6));
    free(errors);
    finish(&server);
}

/* What accept(2) says of a connection that failed before we had it concerns
 * that connection alone: nobody waits a second because of it. */
Test(faults, accept_fails_for_one_alone, .timeout = TIMEOUT)
{
    static const int errors[] = {ENETDOWN,   EPROTO,      ENOPROTOOPT,
                                 EHOSTDOWN,  ENONET,      EHOSTUNREACH,
                                 EOPNOTSUPP, ENETUNREACH, ECONNABORTED};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        double least = 10;
        for (int round = 0; round < 3 && least > 0.5; round++) {
            set_fault("accept", 1, errors[i], 1);
            Server server = start();
            double took = asking(&server, GET, 200);
            least = took < least ? took : least;
            check_injected(&server);
            finish(&server);
        }
        cr_expect(lt(dbl, least, 0.5), "%s", strerror(errors[i]));
    }
}

/* Between the look at a file and its opening it becomes a pipe: whoever opens
 * that waits for somebody who writes into it. */
Test(faults, a_page_becomes_a_pipe, .timeout = TIMEOUT)
{
    char *folder = large_site(), path[4200];
    set_fault("openat", 0, 0, 0); /* none of these, but this one: */
    snprintf(path, sizeof path, "%s/large.txt", folder);
    setenv("FAULT_PIPE", path, 1);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    check_injected(&server);
    cr_expect(
        eq(int, ask(&server, "GET /large.txt HTTP/1.1\r\n" H "\r\n"), 404));
    finish(&server);
    drop_site(folder);
}

/* Threads hand connections to each other, and the signal comes at any time:
 * whatever the order, every request that was sent before it is answered. */
static void in_any_order(const char *options)
{
    static const struct {
        const char *text;
        int answers;
    } kinds[] = {{GET, 1},           {SLEEP GET, 2},  {LAST, 1},
                 {GET GET GET, 3},   {"GET / HT", 0}, {SLEEP, 1},
                 {GET SLEEP LAST, 3}};
    enum { KINDS = sizeof kinds / sizeof *kinds, CLIENTS = 6 * KINDS };
    if (getenv("FAULTS") == NULL)
        cr_skip_test("only the program of make faults can be late");
    for (int seed = 1; seed <= 8; seed++) {
        setenv("JITTER", words("%d", seed), 1);
        Server server = start_with(options, (Options){0});
        Client clients[CLIENTS];
        for (int i = 0; i < CLIENTS; i++) {
            clients[i] = client(&server);
            say(&clients[i], kinds[i % KINDS].text);
            if (i % (KINDS + 1) == 0) /* of each kind, one leaves */
                client_reset(clients[i].socket);
        }
        pass(0.004 * (seed - 1));
        double begun = now();
        kill(server.pid, SIGTERM);
        for (int i = 0; i < CLIENTS; i++) {
            bool left = i % (KINDS + 1) == 0;
            for (int k = 0; !left && k < kinds[i % KINDS].answers; k++) {
                Reply answer = reply(&clients[i]);
                cr_assert(answer.status == 200 || answer.status == 503,
                          "seed %d: client %d, answer %d: %d%s", seed, i, k,
                          answer.status, clients[i].reset ? ", a reset" : "");
                free(answer.body);
                if (answer.status == 503)
                    break; /* and that was the last */
            }
            if (!left)
                leave(&clients[i]);
            else
                free(clients[i].data);
        }
        int status = ended(&server);
        cr_assert(eq(int, status, 0), "seed %d: %s", seed,
                  server_errors(&server));
        cr_assert(lt(dbl, now() - begun, 10 + SLACK), "seed %d", seed);
        close(server.out);
        close(server.err);
    }
}

Test(faults, hand_overs_in_any_order, .timeout = TIMEOUT)
{
    in_any_order("--quiet --loops 3 --threads 8");
}

Test(faults, hand_overs_of_one_loop_in_any_order, .timeout = TIMEOUT)
{
    in_any_order("--quiet --loops 1 --threads 4");
}
