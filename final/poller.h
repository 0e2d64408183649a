#ifndef POLLER_H
#define POLLER_H

#include <stddef.h>

/* Waits until some of many sockets are ready: with epoll on Linux, poll(2)
 * elsewhere. The Makefile chooses the file. For one thread only. */
typedef struct Poller Poller;

typedef enum { POLLER_NOTHING, POLLER_READ, POLLER_WRITE } PollerInterest;

#define POLLER_MAX 16448 /* sockets are numbers below it */

/* Returns a poller, or NULL and sets errno. */
Poller *poller_new(void);

/* From now on waits until the socket is ready for that, or broken; user is
 * what poller_wait() then returns. Returns 0, or -1 and sets errno. */
int poller_watch(Poller *poller, int socket, PollerInterest interest,
                 void *user);

/* To be called before a watched socket is closed. */
void poller_forget(Poller *poller, int socket);

/* Waits at most that many ms, or without end if -1. Returns how many sockets
 * are ready, 0 also after a signal; *users are theirs, until the next call. */
size_t poller_wait(Poller *poller, int timeout, void ***users);

void poller_destroy(Poller *poller);

#endif
