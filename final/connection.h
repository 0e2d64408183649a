#ifndef CONNECTION_H
#define CONNECTION_H

#include "http.h"
#include "site.h"

#include <stdbool.h>
#include <stdint.h>

/* What a connection waits for. */
typedef enum {
    CONNECTION_IDLE,  /* the first byte of a request */
    CONNECTION_HEAD,  /* the rest of a request's head */
    CONNECTION_WRITE, /* the client to take more of an answer */
    CONNECTION_DRAIN, /* the client to close: all is said */
    CONNECTION_WORK,  /* a worker to make its page */
    CONNECTION_CLOSED /* nothing but connection_destroy() */
} ConnectionState;

/* One client. Has one owner at a time, a thread that alone may touch it. */
typedef struct Connection {
    int socket;
    ConnectionState state;
    struct Exchange *exchange; /* NULL while idle, which is most of the time */

    /* The rest is for the server, connection.c does not use it, except that
     * a deadline is set to 0 when the client has earned a new one. */
    struct Connection *previous, *next; /* in a ring of those that wait */
    int64_t deadline;                   /* ms */
    struct Server *server;
} Connection;

/* What all connections share. */
typedef struct {
    const Site *site;
    char date[HTTP_DATE_SIZE];
    bool stopping; /* every answer is the last on its connection */
    bool quiet;    /* no log line per request */
} Service;

/* Returns a connection that is idle, and owns the socket; NULL if memory is
 * lacking, and then the socket is still the caller's. */
Connection *connection_new(int socket);

/* Does whatever can be done without waiting, at most one read among it. To be
 * called when what the state waits for may have come. Sets the state. */
void connection_advance(Connection *connection, const Service *service);

/* Answers with an error status instead, and then ends the connection. */
void connection_refuse(Connection *connection, const Service *service,
                       int status);

/* Closes the socket, frees the connection. */
void connection_destroy(Connection *connection);

#endif
