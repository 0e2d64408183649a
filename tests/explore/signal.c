/*
 * A server's main(), a visitor, and Ctrl-C at any moment. The pool is left out:
 * it takes each connection, and ends at once.
 *
 * The handler is a thread of its own, for it may come between any two steps;
 * while it runs, main stands still. accept and poll are two steps each: to call
 * it, and to come back. A signal makes those come back that it finds waiting;
 * to all others it does nothing but run the handler.
 */
#include "explore.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

enum { LISTENER = 3, VISITOR, READ_END, WRITE_END };

int main_of_the_server(int argc, char *argv[]);

static bool visitor, waiting, by_signals, interrupted;
static int bytes; /* in the pipe */
static int ready; /* main can come back */
static struct sigaction action;

void net_reset(void)
{
    visitor = waiting = by_signals = interrupted = false;
    bytes = ready = 0;
    action = (struct sigaction){0};
}

bool net_has_clients(void)
{
    return visitor;
}

/* What main, the visitor and the signal meet at. */
static Object *meet(void)
{
    return object_at(&ready, "gate", NULL);
}

static void now_ready(const char *why)
{
    touch(meet(), 1);
    ready = 1;
    if (waiting)
        threads[0].awaits = why;
}

/* Calls something that waits. Returns false if a signal ended it. */
static bool call(const char *what, bool is_ready(void), bool ends_by_signal,
                 const void *pc)
{
    self->awaits = what;
    step(CALL, meet(), pc);
    self->flag = &ready;
    self->awaits = "somebody comes";
    ready = is_ready();
    if (ready)
        self->awaits = "the wait is over";
    by_signals = ends_by_signal;
    interrupted = false;
    waiting = true;
    step(AWAIT, meet(), pc);
    waiting = false;
    if (interrupted) {
        note("%s returns -1, EINTR", what);
        errno = EINTR;
    }
    return !interrupted;
}

/* --- what main calls --- */

static void *connect_once(void *arg)
{
    visitor = true;
    now_ready("a visitor has come");
    return arg;
}

/* The handler, and what the system does after it. */
static void *interrupt(void *arg)
{
    Thread *main = &threads[0];
    main->paused = true;
    touch(meet(), 2);
    note("a signal: the handler begins");
    action.sa_handler(SIGINT);
    main->paused = false;
    if (waiting && by_signals) {
        interrupted = true;
        now_ready("a signal has come");
    }
    return arg;
}

int model_sigaction(int number, const struct sigaction *new)
{
    if (number == SIGINT && new != NULL) {
        action = *new;
        start("Ctrl-C", interrupt, NULL)->awaits = "is pressed";
    }
    return 0;
}

int model_socket(void)
{
    return LISTENER;
}

int model_listen(void)
{
    start("visitor", connect_once, NULL)->awaits = "connects";
    return 0;
}

static bool has_visitor(void)
{
    return visitor;
}

static bool has_any(void)
{
    return visitor || bytes > 0;
}

int model_accept(void)
{
    bool restarts = (action.sa_flags & SA_RESTART) != 0;
    if (!call("accept", has_visitor, !restarts, HERE))
        return -1;
    visitor = false;
    note("accept returns the visitor's connection");
    return VISITOR;
}

int model_poll(struct pollfd *polls, nfds_t count)
{
    if (!call("poll", has_any, true, HERE))
        return -1;
    for (nfds_t i = 0; i < count; i++)
        polls[i].revents =
            (polls[i].fd == READ_END ? bytes > 0 : visitor) ? POLLIN : 0;
    note("poll returns: %s", bytes > 0 ? "a byte in the pipe" : "a visitor");
    return 1;
}

int model_pipe(int ends[2])
{
    ends[0] = READ_END;
    ends[1] = WRITE_END;
    return 0;
}

ssize_t model_write(int fd)
{
    self->awaits = "write";
    step(CALL, meet(), HERE);
    if (fd == WRITE_END) {
        bytes++;
        now_ready("a byte has come");
        note("a byte is in the pipe");
    }
    return 1;
}

int model_fcntl(void)
{
    return 0;
}

int model_close(void)
{
    return 0;
}

void *model_thread_pool_new(void)
{
    return &ready;
}

void model_thread_pool_execute(void)
{
    note("hands the connection to the pool");
}

void model_thread_pool_destroy(void)
{
    note("destroys the pool");
}

static void serve(void)
{
    static char name[] = "./server", *arguments[] = {name, NULL};
    main_of_the_server(1, arguments);
}

const Scenario scenarios[] = {
    {"signal", "main, a visitor, and Ctrl-C", serve, NULL, false},
};
const int scenario_count = 1;
