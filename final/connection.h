#ifndef CONNECTION_H
#define CONNECTION_H

#include "http.h"
#include "log.h"
#include "site.h"
#include "thread_pool.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifndef SECOND
#define SECOND INT64_C(1000) /* ms; in tests it can be shorter */
#endif

#define STOP_TIME 10000 /* ms that the server may take to end */
#define WORK_TIME 5     /* seconds that /sleep takes */

/* What all connections share. */
typedef struct {
    const Site *site;
    Log *log;               /* or NULL */
    ThreadPool *workers;    /* for what takes time */
    int threads;            /* the workers */
    int works_max;          /* that may wait for them, or be at work */
    atomic_int works;       /* that do so now */
    atomic_int connections; /* that are open */
    atomic_bool full;       /* somebody waits for one to end, */
    int bell;               /* and for a byte in this pipe */
    atomic_int cut;         /* answers that the end of the server cut off */
    /* When the server has to end; until it knows, INT64_MAX. */
    _Atomic int64_t stop_deadline;
} Service;

/* What a connection waits for. */
typedef enum {
    CONNECTION_NEW,   /* connection_advance(), for the first time */
    CONNECTION_IDLE,  /* the first byte of another request */
    CONNECTION_HEAD,  /* the rest of a request's head */
    CONNECTION_WRITE, /* the client to take the rest of an answer */
    CONNECTION_WORK,  /* a worker to do what the request asks for */
    CONNECTION_TAKE,  /* the last answer to arrive */
    CONNECTION_DRAIN, /* the client to close */
    CONNECTION_CLOSED /* connection_destroy() */
} ConnectionState;

/* One client, and how far we got. Its loop owns it. While it is lent, a worker
 * has the next four members, and the loop the rest: it sees who hangs up. */
typedef struct {
    struct Loop *loop; /* to which a worker gives it back */
    atomic_bool ended; /* the client says no more: has it gone? */
    atomic_bool gone;  /* it has */
    bool worked;       /* the worker has done what was asked for */
    bool lent;
    int socket;   /* -1 once closed */
    size_t place; /* in the loop's array */
    short events; /* for which the loop watches the socket */
    ConnectionState state;
    int64_t deadline; /* for what it waits for: a time in ms */
    Service *service;
    const char *date; /* of its loop: now */
    char *input;      /* what came, and is not answered yet; NULL while idle */
    size_t size;      /* of the input */
    HttpRequest request;    /* the last that was parsed */
    char *head;             /* of the answer; in the same block */
    struct iovec unsent[2]; /* of the head and of the body */
    int64_t begun;          /* when all before was acknowledged, */
    int64_t total;          /* and what was to be sent since, in bytes */
} Connection;

/* Returns a connection that owns the socket and waits for a request; or NULL
 * without memory, and then the socket is still the caller's. The service must
 * live longer. */
Connection *connection_new(int socket, Service *service);

/* Does all that can be done without waiting, but reads or writes only once, so
 * that others have their turn. To be called when what it waits for may be
 * there. now is the time in ms, by loop_clock(). */
void connection_advance(Connection *connection, int64_t now);

/* Answers a request that waits for a worker with 503, and then those behind it.
 */
void connection_refuse(Connection *connection, int64_t now);

/* Ends what has waited until its deadline: with 408, if a request was begun;
 * but not who takes an answer fast enough. */
void connection_expire(Connection *connection, int64_t now);

/* Tells whether others have no room or the server stops. */
bool connection_is_hurried(const Connection *connection);

/* If that is so, ends what can be ended now. To be called again soon. */
void connection_hurry(Connection *connection, int64_t now);

/* Closes the socket. Nothing can be done with the connection any more. */
void connection_hang_up(Connection *connection);

/* Closes the socket, and frees the connection. */
void connection_destroy(Connection *connection);

#endif
