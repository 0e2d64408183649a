/* The log without a server: each line is in the file, or counted as lost. */

#include "log.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LINE "a line of which all is there, or nothing\n"

/* Counts the lines that came whole, and those that are said to be lost. The
 * beginning of one whose rest is lost may stand before either. */
static int count(const char *text)
{
    static const char told[] = " lines dropped\n";
    const size_t whole = sizeof LINE - 1, tail = sizeof told - 1;
    int lines = 0;
    const char *end = text;
    while ((end = strchr(end, '\n')) != NULL) {
        end++;
        size_t size = (size_t)(end - text);
        if (size >= whole && strncmp(end - whole, LINE, whole) == 0)
            lines++;
        if (size > tail && strncmp(end - tail, told, tail) == 0) {
            const char *number = end - tail;
            while (number > text && isdigit((unsigned char)number[-1]))
                number--;
            lines += atoi(number);
        }
    }
    return lines;
}

/* Somebody who shares it has made it so: a write fails then, though the reader
 * is slow only. */
Test(log, a_pipe_that_never_has_its_writer_wait, .timeout = 20)
{
    enum { LINES = 5000 };
    static char text[LINES * sizeof LINE];
    int ends[2];
    cr_assert(pipe(ends) == 0 && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    Log *log = log_new(ends[1]);
    for (int i = 0; i < LINES; i++)
        log_line(log, LINE);
    size_t size = 0;
    while (count(text) < LINES && size + 4096 < sizeof text) {
        log_line(log, "\n"); /* with the next line it tells */
        size += (size_t)read(ends[0], text + size, 4096);
    }
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    log_destroy(log);
    int found = count(text);
    cr_expect(found >= LINES, "%d", found);
}

/* As on a disk that is full, until somebody has made room. */
Test(log, a_file_that_may_not_grow_for_a_while, .timeout = 20)
{
    enum { LINES = 100, MOST = 1000 };
    struct rlimit usual, small;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &usual);
    small = (struct rlimit){MOST, usual.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    FILE *file = tmpfile();
    Log *log = log_new(fileno(file));
    for (int i = 0; i < LINES; i++)
        log_line(log, LINE);
    while (lseek(fileno(file), 0, SEEK_END) < MOST)
        poll(NULL, 0, 1);
    setrlimit(RLIMIT_FSIZE, &usual);
    log_line(log, "\n" LINE);
    log_destroy(log);
    static char text[2 * LINES * sizeof LINE];
    rewind(file);
    cr_assert(fread(text, 1, sizeof text - 1, file) > MOST);
    cr_expect(eq(int, count(text), LINES + 1), "%s", text);
    fclose(file);
}
