#ifndef CONNECTION_H
#define CONNECTION_H

#include "site.h"

#include <stdbool.h>
#include <stdint.h>

/* What a connection waits for. */
typedef enum {
    CONNECTION_IDLE,  /* the first byte of a request */
    CONNECTION_HEAD,  /* the rest of a request's head */
    CONNECTION_DRAIN, /* the client to close, as all is said */
    CONNECTION_WRITE, /* the client to take the rest of an answer */
    CONNECTION_WORK,  /* a worker to do what the request asks for */
    CONNECTION_CLOSED /* connection_destroy() */
} ConnectionState;

/* One client. One thread at a time owns it: a worker, while its state is WORK,
 * needs no more of it than the number of the socket. */
typedef struct Connection {
    int socket;
    ConnectionState state;
    struct Exchange *exchange; /* NULL while idle */
    /* What follows is the server's own. */
    int64_t deadline; /* in ms; 0: to be set anew */
    uint32_t events;  /* that epoll watches for; 0: not watched */
} Connection;

/* What all connections share. */
typedef struct {
    const Page *site;
    char date[30]; /* now, as the Date header wants it */
    bool quiet;    /* no log line for each request */
    bool stopping; /* each answer is the last of its connection */
} Service;

/* Returns an idle connection that owns the socket; or NULL without memory, and
 * then the socket is closed. */
Connection *connection_new(int socket);

/* Does all that can be done without waiting, but reads only once, so that
 * others have their turn. To be called when what it waits for may be there. */
void connection_advance(Connection *connection, const Service *service);

/* Answers a request, of which a part is there, with a status, and ends. */
void connection_refuse(Connection *connection, const Service *service,
                       int status);

/* Closes the socket, and frees the connection. */
void connection_destroy(Connection *connection);

#endif
