#define _GNU_SOURCE
#include "report.h"

#include <criterion/hooks.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    return seconds != NULL && *seconds != '\0' ? atof(seconds) : 3;
}

/* By how much this machine is too busy: how many threads want to run for each
 * processor, but at most 4; looked at 20 times a second. */
static double crowd(void)
{
    static _Thread_local double looked, each = 1;
    char text[128] = "";
    int running = 1;
    if (now() < looked + 0.05)
        return each;
    int file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    if (file != -1 && read(file, text, sizeof text - 1) > 0)
        sscanf(text, "%*s %*s %*s %d", &running);
    close(file);
    each = (double)running / (double)sysconf(_SC_NPROCESSORS_ONLN);
    each = each < 1 ? 1 : each > 4 ? 4 : each;
    looked = now();
    return each;
}

bool still_waiting(Wait *wait, double seconds)
{
    double time = now();
    if (wait->last == 0) {
        *wait = (Wait){.last = time, .begun = time};
        return true;
    }
    wait->spent += (time - wait->last) / crowd();
    wait->last = time;
    return wait->spent < seconds && time - wait->begun < 4 * seconds;
}

static const char *activity;

void doing(const char *what)
{
    activity = what;
}

char *words(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) == -1)
        abort();
    va_end(args);
    return text;
}

/* Adds `name: text` to a record, the text's further lines indented. */
static size_t add(char record[], size_t size, size_t used, const char *name,
                  const char *text)
{
    if (text == NULL || *text == '\0' || used >= size)
        return used;
    used += (size_t)snprintf(record + used, size - used, "%s: ", name);
    for (; *text != '\0' && used + 4 < size; text++) {
        record[used++] = *text;
        if (*text == '\n' && text[1] != '\0') {
            record[used++] = ' ';
            record[used++] = ' ';
        }
    }
    if (used + 1 < size && record[used - 1] != '\n')
        record[used++] = '\n';
    if (used < size)
        record[used] = '\0';
    return used;
}

void prepare(const Finding *finding, char record[], size_t size)
{
    const struct criterion_test *test = criterion_current_test;
    char *name = words("%s/%s", test->category, test->name);
    char *chapter = words("Step %d", step_number(step_name()));
    size_t used = add(record, size, 0, "test", name);
    used = add(record, size, used, "key", finding->key);
    used =
        add(record, size, used, "did", finding->did ? finding->did : activity);
    used = add(record, size, used, "expected", finding->expected);
    used = add(record, size, used, "got", finding->got);
    used = add(record, size, used, "cause", finding->cause);
    used = add(record, size, used, "read",
               finding->read ? finding->read : chapter);
    add(record, size, used, "detail", finding->detail);
    free(name);
    free(chapter);
}

/* Writes a new file in the folder REPORT, or to stderr; open, write and close
 * may be called in a signal. */
static void put(const char *path, const char *record)
{
    int file = *path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : 2;
    if (write(file, record, strlen(record)) == -1)
        _exit(1);
    if (file != 2)
        close(file);
}

/* The file for a record: its name is there before any signal. */
static const char *place(const char *name)
{
    static char path[4096];
    const char *folder = getenv("REPORT");
    path[0] = '\0';
    if (folder != NULL)
        snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

void complain_in_a_signal(const char *record)
{
    put(place("check"), record);
}

void complain(const Finding *finding)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    char record[8192];
    if (atomic_flag_test_and_set(&told)) /* another thread is at it */
        pause();
    prepare(finding, record, sizeof record);
    put(place("check"), record);
    signal(SIGABRT, SIG_DFL);
    abort(); /* from any thread, which a failed assertion could not end */
}

void test_ended(void)
{
    const struct criterion_test *test = criterion_current_test;
    char *name = words("ended-%s-%s", test->category, test->name);
    if (*place(name))
        put(place(name), "yes\n");
    free(name);
}
