/*
 * What the unit tests share. They are linked to the folder under test, without
 * its main, and know only its headers.
 */

#ifndef UNIT_H
#define UNIT_H

#include "report.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* The folder under test may well have functions of these names, too. */
#define settle unit_settle
#define start unit_start
#define expecting unit_expecting
#define begin unit_begin
#define quiet unit_quiet
#define threads_created unit_threads_created
#define dawdle unit_dawdle
#define waits unit_waits
#define wake_all_waiters unit_wake_all_waiters

/* Waits until the condition holds. Is false if it does not for too long. */
#define wait_until(condition)                                                  \
    ({                                                                         \
        double deadline = now() + patience();                                  \
        while (!(condition) && now() < deadline)                               \
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);           \
        (condition);                                                           \
    })

/* Waits long enough that what was going to happen would have happened. */
void settle(void);

/* Starts a thread of the tests' own. */
pthread_t start(void *(*function)(void *), void *arg);

/*
 * Says what is expected of the code under test from here on, in case that it
 * crashes, or hangs; it has patience() + 15 seconds.
 */
void expecting(const char *what);

/* Expects nothing in particular. */
void begin(void);

/* The same, and sends stdout to nowhere: the workers' lines do not matter. */
void quiet(void);

/* How many threads the folder under test has created so far. */
int threads_created(void);

/*
 * Makes the calling thread slow where others must not slip in: it takes 50 ms
 * longer to lock a mutex, and 50 ms longer to begin to wait for a condition.
 */
void dawdle(void);

/* How many times it has been about to wait for a condition variable. */
int waits(void);

/* Wakes, for no reason, all who wait for a condition variable. */
void wake_all_waiters(void);

#endif
