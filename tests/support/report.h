/* How a test says what is wrong, and how long it waits for what is right. */

#ifndef REPORT_H
#define REPORT_H

#include "clock.h"
#include "step.h"

#include <criterion/criterion.h>

/* The folder under test may well have functions of these names, too. */
#define patience tests_patience
#define complain tests_complain

/* Seconds that anything may take before a test gives up on it: 25, or what
 * the environment says in PATIENCE. */
double patience(void);

/* Criterion's own limit. The same for every suite: a mixture loses limits. */
#define TIMEOUT 90

/*
 * Asserts the condition, or says what was expected and what came. The rule
 * comes from the step of the given name: that is where to read on. Call it
 * from the test's own thread only.
 */
#define check(from, condition, ...)                                            \
    do {                                                                       \
        if (!(condition))                                                      \
            complain(from, __FILE__, __LINE__, __VA_ARGS__);                   \
    } while (0)
void complain(const char *from, const char *file, int line, const char *format,
              ...) __attribute__((format(printf, 4, 5), noreturn));

#endif
