#ifndef POLLER_H
#define POLLER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

/* Says which of many descriptors are ready. One thread may use it. */
typedef struct Poller Poller;

/* Returns a poller that watches nothing; or NULL, and then errno says why. */
Poller *poller_new(void);

/* Watches a descriptor for POLLIN or POLLOUT; if events is 0, only for failures
 * and a hang-up, of which poller_wait() always tells. Returns false on failure.
 */
bool poller_add(Poller *poller, int descriptor, short events, void *owner);

/* The same for a descriptor that is watched already. */
bool poller_change(Poller *poller, int descriptor, short events, void *owner);

/* Stops watching a descriptor. It has to be closed next. */
void poller_forget(Poller *poller, int descriptor);

/* The same for a descriptor that stays open. */
void poller_remove(Poller *poller, int descriptor);

/* Waits until something is ready, at most for timeout ms (-1: for ever). Stores
 * at most that many owners of what is ready, and returns their number; 0 if the
 * time is up, or a signal came. */
int poller_wait(Poller *poller, void *owners[], int most, int timeout);

/* Frees a poller, or NULL. */
void poller_destroy(Poller *poller);

#endif
