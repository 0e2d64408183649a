#ifndef CONNECTION_H
#define CONNECTION_H

#include "site.h"

/* What all connections share. */
typedef struct {
    const Site *site;
    int stop; /* becomes readable, and stays so, when the server is to end */
} Service;

/* One client. One thread at a time owns it. */
typedef struct Connection Connection;

/* Returns a connection that owns the socket; or NULL without memory, and then
 * the socket is still the caller's. The service must live longer. */
Connection *connection_new(int socket, const Service *service);

/* Answers one request after the other. Waits for the client, but not longer
 * than 5 s for a request to begin, 5 s for it to end, and 5 s each time that
 * the client does not take an answer. When the server is to end, the answer to
 * a request that was begun is the last. */
void connection_serve(Connection *connection);

/* Answers with 503, whatever is asked. Does not wait, if nothing was sent to
 * the client before: so little text always has room. */
void connection_turn_away(Connection *connection);

/* Closes the socket, and frees the connection. */
void connection_destroy(Connection *connection);

#endif
