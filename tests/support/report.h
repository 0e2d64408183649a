/*
 * How a test says what is wrong, and how long it waits for what is right. What
 * it says is a record, as tests/README.md describes it: tests/run shows it to
 * the reader of the course, whose program failed.
 */

#ifndef REPORT_H
#define REPORT_H

#include "clock.h"
#include "step.h"

#include <criterion/criterion.h>
#include <stdbool.h>

/* The folder under test may well have functions of these names, too. */
#define patience tests_patience
#define still_waiting tests_still_waiting
#define complain tests_complain
#define complain_in_a_signal tests_complain_in_a_signal
#define prepare tests_prepare
#define doing tests_doing
#define words tests_words
#define test_ended tests_test_ended

/* Criterion's own limit. The same for every suite: a mixture loses limits. */
#define TIMEOUT 90

/* A suite's options. A test that did not come to its end has not passed. */
#define SUITE .timeout = TIMEOUT, .fini = test_ended
void test_ended(void);

/* The mark of a test that takes two seconds or more of a right program, or of
 * most wrong ones: Test(suite, name, TAKES_TIME). It begins early and is told
 * late: what is seen at once is not to wait for it. */
#define TAKES_TIME .description = "slow"

/* What a failing check says, in words that the reader knows. */
typedef struct {
    const char *did;      /* what was done; default: what doing() said */
    const char *expected; /* what should have come of it */
    const char *got;      /* what came; must be there */
    const char *cause;    /* what most likely is wrong in the program */
    const char *read;     /* a heading of TUTORIAL.md; default: the step's */
    const char *key;    /* findings of one key are told once; default: cause */
    const char *detail; /* printed as it is: what the program said */
} Finding;

/* Asserts the condition, or says what was found:
 *     check(runs == 1, .expected = "it runs once", .got = words("%d", runs));
 * It ends the test, from any thread. */
#define check(condition, ...)                                                  \
    do {                                                                       \
        if (!(condition))                                                      \
            complain(&(Finding){__VA_ARGS__});                                 \
    } while (0)
void complain(const Finding *finding) __attribute__((noreturn));

/* Says what the test does from here on, for all its findings. */
void doing(const char *what);

/* Returns a text as printf would print it; it is never freed. */
char *words(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes a finding as a record into memory, for complain_in_a_signal(), which
 * a signal handler may call. */
void prepare(const Finding *finding, char record[], size_t size);
void complain_in_a_signal(const char *record);

/*
 * Seconds that anything may take beyond the time that it needs: 3, or what the
 * environment says in PATIENCE.
 */
double patience(void);

/*
 * For loops that wait: is true until the given seconds have passed, of a
 * machine that has nothing else to do. While more threads want to run than
 * there are processors, time counts less. for (Wait wait = {0}; !done &&
 * still_waiting(&wait, patience());) moment();
 */
typedef struct {
    double last, spent, begun;
} Wait;
bool still_waiting(Wait *wait, double seconds);

#endif
