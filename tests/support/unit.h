/*
 * What the unit tests share. They are linked to the folder under test, without
 * its main, and know only its headers.
 */

#ifndef UNIT_H
#define UNIT_H

#include "report.h"
#include "watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* The folder under test may well have functions of these names, too. */
#define settle unit_settle
#define start unit_start
#define expecting unit_expecting
#define begin unit_begin
#define quiet unit_quiet
#define on_my_stack unit_on_my_stack
#define fork_test unit_fork_test
#define wait_a_little unit_wait_a_little

/* Sleeps for a millisecond; the test waits, and does not hang. */
void wait_a_little(void);

/* Waits until the condition holds. Is false if it does not for too long. */
#define wait_until(condition)                                                  \
    ({                                                                         \
        Wait waited = {0};                                                     \
        while (!(condition) && still_waiting(&waited, patience()))             \
            wait_a_little();                                                   \
        (condition);                                                           \
    })

/* Waits long enough that what was going to happen would have happened. */
void settle(void);

/* Starts a thread of the tests' own. */
pthread_t start(void *(*function)(void *), void *arg);

/*
 * Says what the code under test does from here on, and what is found if it
 * crashes, or hangs: a call of it may take patience() and 2 seconds, or as many
 * as are given.
 */
void expecting(const char *what, const char *cause, const char *heading);
void expecting_within(double seconds, const char *what, const char *cause,
                      const char *heading);

/* Expects nothing in particular. */
void begin(void);

/* The same, and sends stdout to nowhere: the workers' lines do not matter. */
void quiet(void);

/* Whether an address lies on the calling thread's stack. */
bool on_my_stack(const void *address);

/* As fork(), for a test: the folder under test may not call it. */
pid_t fork_test(void);

#endif
