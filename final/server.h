#ifndef SERVER_H
#define SERVER_H

#include "site.h"
#include "thread_pool.h"

#include <stdbool.h>

/* Serves the connections that a listening socket accepts. */
typedef struct Server Server;

/* Returns a server that owns the socket, or ends the program. The site and
 * the pool stay the caller's, and must outlive it. */
Server *server_new(int listener, const Page *site, ThreadPool *pool,
                   bool quiet);

/* Serves until server_stop(), and then finishes what was asked. Returns false
 * if that takes more than 10 seconds, or at a second server_stop(): workers
 * may still hold connections then, so that only to end the program is left. */
bool server_run(Server *server);

/* Has server_run() return. May be called by a signal handler, too. */
void server_stop(Server *server);

/* Frees a server whose server_run() returned true, and whose pool is idle. */
void server_destroy(Server *server);

#endif
