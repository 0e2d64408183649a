#ifndef CONNECTION_H
#define CONNECTION_H

#include "http.h"
#include "site.h"
#include "thread_pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* What all connections share. */
typedef struct {
    const Site *site;
    ThreadPool *workers; /* for what takes time */
} Service;

/* What a connection waits for. */
typedef enum {
    CONNECTION_NEW,   /* connection_advance(), for the first time */
    CONNECTION_IDLE,  /* the first byte of another request */
    CONNECTION_HEAD,  /* the rest of a request's head */
    CONNECTION_WRITE, /* the client to take the rest of an answer */
    CONNECTION_WORK,  /* a worker to do what the request asks for */
    CONNECTION_CLOSED /* connection_destroy() */
} ConnectionState;

/* One client, and how far we got. One thread at a time owns it: while it is
 * lent to a worker, its loop does not look at it. */
typedef struct {
    int socket;
    struct Loop *loop; /* to which a worker gives it back */
    ConnectionState state;
    int64_t deadline; /* for what it waits for: a time in ms */
    const Service *service;
    char input[HTTP_HEAD_MAX]; /* what came, and is not answered yet */
    size_t size;               /* of the input */
    HttpRequest request;       /* the last that was parsed */
    char head[HTTP_ANSWER_MAX];
    struct iovec unsent[2]; /* of the head and of the body */
} Connection;

/* Returns a connection that owns the socket and waits for a request; or NULL
 * without memory, and then the socket is still the caller's. The service must
 * live longer. */
Connection *connection_new(int socket, const Service *service);

/* Does all that can be done without waiting, but reads or writes only once, so
 * that others have their turn. To be called when what it waits for may be
 * there. now is the time in ms; if the server is stopping, the answers are the
 * last. */
void connection_advance(Connection *connection, int64_t now, bool stopping);

/* Answers a request that waits for a worker with 503, and ends. */
void connection_refuse(Connection *connection, int64_t now);

/* Ends what has waited until its deadline: with 408, if a request was begun. */
void connection_expire(Connection *connection, int64_t now);

/* Closes the socket, and frees the connection. */
void connection_destroy(Connection *connection);

#endif
