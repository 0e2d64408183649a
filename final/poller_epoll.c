#include "poller.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH 256 /* sockets that are ready at once; more have to wait */

struct Poller {
    int epoll;
    void *users[BATCH]; /* of those that are ready */
};

Poller *poller_new(void)
{
    Poller *poller = malloc(sizeof *poller);
    if (poller != NULL && (poller->epoll = epoll_create1(0)) == -1) {
        free(poller);
        poller = NULL;
    }
    return poller;
}

int poller_watch(Poller *poller, int socket, PollerInterest interest,
                 void *user)
{
    struct epoll_event event = {
        .events = interest == POLLER_READ ? EPOLLIN : EPOLLOUT,
        .data.ptr = user,
    };
    if (interest == POLLER_NOTHING) /* an error would be reported even so */
        return epoll_ctl(poller->epoll, EPOLL_CTL_DEL, socket, NULL);
    int error = epoll_ctl(poller->epoll, EPOLL_CTL_ADD, socket, &event);
    if (error != 0 && errno == EEXIST)
        error = epoll_ctl(poller->epoll, EPOLL_CTL_MOD, socket, &event);
    return error;
}

void poller_forget(Poller *poller, int socket)
{
    (void)poller; /* close() takes the socket out of the set */
    (void)socket;
}

size_t poller_wait(Poller *poller, int timeout, void ***users)
{
    struct epoll_event events[BATCH];
    int count = epoll_wait(poller->epoll, events, BATCH, timeout);
    for (int i = 0; i < count; i++)
        poller->users[i] = events[i].data.ptr;
    *users = poller->users;
    return count > 0 ? (size_t)count : 0;
}

void poller_destroy(Poller *poller)
{
    close(poller->epoll);
    free(poller);
}
