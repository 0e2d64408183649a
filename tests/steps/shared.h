/* What the tests of more than one step check. */

#ifndef SHARED_H
#define SHARED_H

#include "client.h"
#include "files.h"
#include "report.h"
#include "server.h"

/* Checks that an answer is the status line and the page, to the byte. */
void check_answer(const char *from, const Answer *answer, const char *request,
                  const char *status_line, const char *page);

/* Asks for `/` and checks the answer. */
void check_hello(const Server *server, const char *from);

/* Checks that threads find what they were given, though they begin late. */
void check_late_threads(const char *from);

/* Checks that a program with nothing to do does nothing, for two seconds. */
void check_idle(const char *from, const Server *server);

/* Checks that two requests served at the same time are kept apart. */
void check_no_mixing(const char *from);

/*
 * Asks for two pages on a connection each, and checks that both answers are
 * hello.html. Returns by how many seconds the second was answered later than
 * the first.
 */
double check_two(const char *from, const Server *server, const char *first,
                 const char *second);

/*
 * Asks for `/sleep`, then for `/` on a connection of its own, and checks
 * both answers. Returns by how many seconds `/` was
 * answered later than `/sleep`.
 */
double check_sleep_then_root(const char *from);

/* Checks that connections are accepted and nothing is answered. */
void check_silence(const char *from);

/* Has each pthread_create fail in turn: the program must say so and end. */
void check_failing_worker(const char *from);

#endif
