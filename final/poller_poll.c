#include "poller.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

struct Poller {
    nfds_t count;                      /* sockets at and above it are unused */
    struct pollfd sockets[POLLER_MAX]; /* at its number; fd is -1 if unused */
    void *users[POLLER_MAX];
    void *ready[POLLER_MAX]; /* the users of those that are ready */
};

Poller *poller_new(void)
{
    return calloc(1, sizeof(Poller));
}

int poller_watch(Poller *poller, int socket, PollerInterest interest,
                 void *user)
{
    if (socket >= POLLER_MAX) {
        errno = EMFILE;
        return -1;
    }
    while (poller->count <= (nfds_t)socket)
        poller->sockets[poller->count++].fd = -1;
    poller->sockets[socket] = (struct pollfd){
        .fd = interest == POLLER_NOTHING ? -1 : socket,
        .events = interest == POLLER_READ ? POLLIN : POLLOUT,
    };
    poller->users[socket] = user;
    return 0;
}

void poller_forget(Poller *poller, int socket)
{
    poller_watch(poller, socket, POLLER_NOTHING, NULL);
}

size_t poller_wait(Poller *poller, int timeout, void ***users)
{
    size_t count = 0;
    int left = poll(poller->sockets, poller->count, timeout);
    for (nfds_t i = 0; left > 0 && i < poller->count; i++) {
        if (poller->sockets[i].fd != -1 && poller->sockets[i].revents != 0) {
            poller->ready[count++] = poller->users[i];
            left--;
        }
    }
    *users = poller->ready;
    return count;
}

void poller_destroy(Poller *poller)
{
    free(poller);
}
