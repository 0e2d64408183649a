#ifndef SERVER_H
#define SERVER_H

#include "connection.h"
#include "thread_pool.h"

/* Accepts and serves the connections of one listening socket. */
typedef struct Server Server;

/* Returns a server, for server_destroy(), or NULL and sets errno. The socket,
 * which becomes non-blocking, is the server's from then on. */
Server *server_new(int listener, const Site *site, ThreadPool *pool,
                   bool quiet);

/* Serves until server_stop() is called, and then until every request that
 * came in is answered. Returns true; or false if that took more than 10
 * seconds, or server_stop() was called again, while jobs are still in the
 * pool: only to end the program is left. */
bool server_run(Server *server);

/* May be called by any thread or signal handler, and does not wait. */
void server_stop(Server *server);

/* Frees the server, after server_run() returned true and with the pool idle. */
void server_destroy(Server *server);

#endif
