#ifndef EPOLL_POLL_H
#define EPOLL_POLL_H

/* As much of Linux's epoll as server.c uses, on top of poll(2), for systems
 * without: slower the more sockets there are, but with the same results. */

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#define EPOLLIN POLLIN
#define EPOLLOUT POLLOUT
#define EPOLL_SOCKETS 32768 /* a socket's number is below it */

enum { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD };

struct epoll_event {
    uint32_t events;
    union {
        void *ptr;
    } data;
};

static struct pollfd epoll_sockets[EPOLL_SOCKETS]; /* fd is -1 if unwatched */
static void *epoll_users[EPOLL_SOCKETS];
static nfds_t epoll_count;

/* There is one; what it returns is only to be closed. */
static int epoll_create1(int flags)
{
    return flags == 0 ? dup(STDERR_FILENO) : -1;
}

static int epoll_ctl(int epoll, int operation, int socket,
                     struct epoll_event *event)
{
    (void)epoll;
    if (socket >= EPOLL_SOCKETS) {
        errno = ENOSPC;
        return -1;
    }
    while (epoll_count <= (nfds_t)socket)
        epoll_sockets[epoll_count++].fd = -1;
    epoll_sockets[socket].fd = operation == EPOLL_CTL_DEL ? -1 : socket;
    epoll_sockets[socket].events = (short)event->events;
    epoll_users[socket] = event->data.ptr;
    return 0;
}

/* Begins after the last socket that it returned, so that none is left out. */
static int epoll_wait(int epoll, struct epoll_event *events, int max,
                      int timeout)
{
    static nfds_t next;
    (void)epoll;
    int ready = poll(epoll_sockets, epoll_count, timeout), found = 0;
    for (nfds_t i = 0; i < epoll_count && found < ready && found < max; i++) {
        next = (next + 1) % epoll_count;
        if (epoll_sockets[next].fd != -1 && epoll_sockets[next].revents != 0)
            events[found++].data.ptr = epoll_users[next];
    }
    return ready > 0 ? found : ready;
}

#endif
