#ifndef LOOP_H
#define LOOP_H

#include "connection.h"

/* One thread that serves many connections, and waits for none of them alone.
 * What takes time is lent to the workers of their service. */
typedef struct Loop Loop;

/* Creates a loop. Returns NULL on failure, and then errno says why. */
Loop *loop_new(void);

/* Serves the connections that are handed to the loop that arg points to, until
 * loop_stop() was called and the last of them has ended. To be called once. */
void loop_run(void *arg);

/* One turn of that: waits until something is ready, at most for timeout ms (-1:
 * for ever), and serves it. Returns whether a descriptor is ready that
 * loop_watch() was told of. This and the next two are for the thread that calls
 * loop_run(). */
bool loop_turn(Loop *loop, int timeout);

/* Has loop_turn() wait for this descriptor, too, until it is readable; or, if
 * wanted is false, no more. Returns false on failure. */
bool loop_watch(Loop *loop, int descriptor, bool wanted);

/* Like loop_hand_over(), but serves the connection at once. */
void loop_take(Loop *loop, Connection *connection);

/* Gives a connection to a loop, which owns it from here on. Any thread may call
 * this, and the next two, but no signal handler. */
void loop_hand_over(Loop *loop, Connection *connection);

/* Tells a loop to look at its service: others wait for room, or it stops. */
void loop_look_around(Loop *loop);

/* Tells a loop that no new connection is to come: it ends with its last. */
void loop_stop(Loop *loop);

/* Returns the time in ms, by a clock that nobody sets. */
int64_t loop_clock(void);

/* Frees a loop that does not run any more, or never did. */
void loop_destroy(Loop *loop);

#endif
