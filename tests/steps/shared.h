/* What the tests of more than one step check. */

#ifndef SHARED_H
#define SHARED_H

#include "client.h"
#include "files.h"
#include "report.h"
#include "server.h"

/* How long `/sleep` sleeps, and how long a silent client is waited for: seconds
 * that a test must grant beside its patience. */
#define SLEEP 5
#define SILENCE 5

/* Checks that an answer is the status line and the page, to the byte. */
void check_answer(const Answer *answer, const char *request,
                  const char *status_line, const char *page);

/* From here on, what it most likely is if a request gets no answer. */
void blame_for_silence(const char *cause, const char *heading);

/* That it is a read that waits for a silent client. */
void blame_the_read(void);

/* Asks for `/` and checks the answer, which may need so many seconds. */
void check_hello(const Server *server);
void check_hello_within(const Server *server, double seconds);

/* Checks that threads find what they were given, though they begin late. */
void check_late_threads(void);

/* Checks that a program with nothing to do does nothing, for two seconds. */
void check_idle(const Server *server);

/* Checks that two requests served at the same time are kept apart. */
void check_no_mixing(void);

/*
 * Asks for two pages on a connection each, which may take so many seconds, and
 * checks that both answers are hello.html. Returns by how many seconds the
 * second was answered later than the first.
 */
double check_two(const Server *server, const char *first, const char *second,
                 double seconds);

/*
 * Asks for `/sleep`, then for `/` on a connection of its own, and checks both
 * answers. Returns by how many seconds `/` was answered later than `/sleep`.
 */
double check_sleep_then_root(void);

/* Checks that connections are accepted and nothing is answered. */
void check_silence(void);

/* Has each pthread_create fail in turn: the program must say so and end. */
void check_failing_worker(void);

/* Whether the answer is a 503, whole, in a step whose queue has a bound. */
bool is_refusal(const Answer *answer);

/* Waits until so many jobs have begun; until the server holds so many more
 * descriptors than those, or for too long: then the answers will tell. */
void await_jobs(Server *server, int count);
void await_connections(const Server *server, int descriptors, int count);

/* Waits for the line that says that the server ends, but not longer than until
 * the first of its clients has got something. Returns whether it has come. */
bool says_goodbye(Server *server, size_t count, const int clients[]);

/* Checks that the server ends by itself, with status 0. */
void check_ends_well(Server *server, double seconds, const char *cause,
                     const char *heading);

/* Checks that the program has started no further process. */
void check_one_process(const Server *server);

#endif
