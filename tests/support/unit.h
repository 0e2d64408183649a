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
#define crash_means unit_crash_means
#define begin unit_begin
#define quiet unit_quiet
#define on_my_stack unit_on_my_stack
#define fork_test unit_fork_test
#define wait_a_little unit_wait_a_little
#define fail_allocation unit_fail_allocation
#define fail_thread unit_fail_thread
#define allocated unit_allocated

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

/* Behind expecting(): what a crash means, if it is not just any. */
void crash_means(const char *what, const char *cause, const char *heading);

/* Expects nothing in particular. */
void begin(void);

/* The same, and sends stdout to nowhere: the workers' lines do not matter. */
void quiet(void);

/*
 * The calling thread's allocation of that number, counted from 1 and from now
 * on, will fail, or the creation of a thread; 0: none. The first returns
 * whether the one that was named before has failed.
 */
bool fail_allocation(int number);
void fail_thread(int number);

/* Bytes that are allocated now. */
size_t allocated(void);

/* Whether an address lies on the calling thread's stack. */
bool on_my_stack(const void *address);

/* As fork(), for a test: the folder under test may not call it. */
pid_t fork_test(void);

#endif
