/* The clients of the program under test: to talk to it byte by byte. */

#ifndef CLIENT_H
#define CLIENT_H

#include "server.h"

#include <stddef.h>

/* Opens a connection; the second returns -1 if it is refused. */
int client_connect(const Server *server);
int client_try_connect(const Server *server);

/* Sends bytes as far as the server takes them. */
void client_send(int client, const char *data, size_t length);

/* Sends a whole request: the request line and a few headers. */
void client_ask(int client, const char *request_line);

typedef struct {
    char *data;     /* what came, with a NUL behind it; to be freed */
    size_t length;  /* of data */
    double begun;   /* when its first byte came */
    double at;      /* when it ended */
    bool complete;  /* a head, and a body as long as the head says */
    bool reset;     /* ended by a reset, not by an orderly end */
    bool timed_out; /* still open at the deadline */
} Answer;

/* Receives until the server closes; waits for it for the given seconds. */
Answer client_receive(int client, double seconds);

/* Receives so many whole answers, to requests other than HEAD, and leaves the
 * connection open. complete: all came; timed_out: not all, and it is open. */
Answer client_receive_some(int client, int count, double seconds);

/* Receives from many at once, which closes them: answers[i] is clients[i]'s. */
void clients_receive(size_t count, const int clients[], Answer answers[],
                     double seconds);

/* Asks for one thing on a connection of its own; the second knows that the
 * answer needs so many seconds. */
Answer client_get(const Server *server, const char *request_line);
Answer client_get_within(const Server *server, const char *request_line,
                         double seconds);

/* Closes at once with a reset instead of an orderly end. */
void client_reset(int client);

#endif
