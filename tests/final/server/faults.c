/* Injected faults: see ../failing_calls.c. */

#include "help.h"

#include <errno.h>
#include <fcntl.h>
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

/* A connection that cannot be watched ends, and does not wait for a time-out.
 */
Test(faults, epoll_ctl_fails_for_a_connection, .timeout = TIMEOUT)
{
    set_fault("epoll_ctl", 2, ENOSPC, 1); /* after the loop's pipe */
    Server server = start_with("--quiet --loops 1", (Options){0});
    Client one = client(&server);
    say(&one, "GET / HT");
    closed_after(&one);
    cr_expect(eq(sz, one.size, 0), "%s", one.data);
    leave(&one);
    check_pages(&server);
    finish(&server);
}
