/*
 * What the unit tests share. They are linked to the folder under test, without
 * its main, and know only its headers. STEP is the step, a number.
 */

#ifndef UNIT_H
#define UNIT_H

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

/* Criterion's own limit. The same for every suite: a mixture loses limits. */
#define TIMEOUT 90

/* Asserts the condition, or says what was expected, and where to read on. */
#define check(from, condition, ...)                                            \
    do {                                                                       \
        if (!(condition)) {                                                    \
            char text[512];                                                    \
            snprintf(text, sizeof text, __VA_ARGS__);                          \
            cr_assert_fail("%s\n  -> TUTORIAL.md, step %d; make diff-%02d",    \
                           text, from, from);                                  \
        }                                                                      \
    } while (0)

/* Waits until the condition holds. Is false if it does not within 25 s. */
#define wait_until(condition)                                                  \
    ({                                                                         \
        time_t deadline = time(NULL) + 25;                                     \
        while (!(condition) && time(NULL) < deadline)                          \
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);           \
        (condition);                                                           \
    })

/* Waits long enough that what was going to happen would have happened. */
void settle(void);

/* Starts a thread of the tests' own. */
pthread_t start(void *(*function)(void *), void *arg);

/* Sends stdout to nowhere: the workers' lines are not of interest here. */
void quiet(void);

/* How many threads the folder under test has created so far. */
int threads_created(void);

/* Wakes, for no reason, all who wait for a condition variable. */
void wake_all_waiters(void);

#endif
