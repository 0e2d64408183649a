#ifndef SERVER_H
#define SERVER_H

#include "site.h"
#include "thread_pool.h"

#include <stdbool.h>

/* Serves a port of 127.0.0.1 (0: any that is free) until SIGINT or SIGTERM, and
 * then finishes what was asked. Returns false if that takes more than 10
 * seconds, or at a second signal: workers may still hold connections then, so
 * that only to end the program is left. Ends the program if it cannot begin. To
 * be called once, with SIGPIPE ignored; the site and the pool stay the
 * caller's. */
bool server_run(int port, const Page *site, ThreadPool *pool, bool quiet);

#endif
