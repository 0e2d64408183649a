#define _GNU_SOURCE
#include "report.h"

#include <criterion/hooks.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Criterion's runner puts itself in a process group of its own; back in its
 * parent's, Ctrl-C reaches it under make, too.
 */
ReportHook(PRE_ALL)(struct criterion_test_set *tests)
{
    (void)tests;
    setpgid(0, getpgid(getppid()));
}

double patience(void)
{
    const char *seconds = getenv("PATIENCE");
    return seconds != NULL ? atof(seconds) : 25;
}

void complain(const char *from, const char *file, int line, const char *format,
              ...)
{
    char text[2048], more[64] = "";
    int number = step_number(from);
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (number > 1) /* there is no step before the first to differ from */
        snprintf(more, sizeof more, "; make diff-%02d", number);
    cr_assert_fail("%s\n  -> TUTORIAL.md, step %d%s\n"
                   "  (checked in %s, line %d)",
                   text, number, more, file, line);
    abort();
}
