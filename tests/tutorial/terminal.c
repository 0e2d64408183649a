/*
 * Runs one job of the replay: what a reader does at two terminals between one
 * caption of the tutorial and the next.
 *
 *     terminal JOB SNAPSHOTS FOLDER NAME
 *
 * JOB holds one event a line: a line of the text, a tag, and words, parted by
 * tabs (written by parse.awk):
 *
 *     sync N         the folder becomes SNAPSHOTS/N
 *     build          the reader has built this before
 *     badge WORDS    what the caption claims
 *     example FILE   compiles alone, without a warning
 *     declared FILE  the same, and makes no program
 *     run COMMAND    in the second terminal, to its end
 *     server COMMAND in the first terminal, where it goes on running
 *     more, more-any what the first terminal prints next (any: in any order)
 *     interrupt      Ctrl-C in the first terminal
 *     line WORDS     a line that the event before it prints
 *
 * The commands run in FOLDER with their output on a pseudo-terminal, so that
 * programs buffer as they do for a reader. Port 7878 becomes a free port of
 * four digits, which is also the variable PORT of the commands, and is itself
 * again in what comes back. Every wait is bounded,
 * and nothing that was started outlives this program. Errors go to stdout as
 * "NAME:LINE: what"; the status is 1 if there were any.
 */

#define _GNU_SOURCE /* pseudo-terminals, strdup, prctl */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define PATIENCE 30      /* seconds for a command, or an awaited line */
#define END_SECONDS 6    /* for a server that ends by itself */
#define STARTED_MAX 1000 /* commands of one job */
#define OUTPUT_MAX 65536 /* bytes of one command that are looked at */
#define SHOWN_MAX 40     /* lines of an output shown in a message */

typedef struct {
    int line;
    char tag[16];
    char *text;
} Event;

typedef struct {
    int master, slave;
    pid_t pid;     /* of the command that runs, or 0 */
    int line;      /* where the text starts it */
    int status;    /* of the command before */
    char *output;  /* of the command that runs */
    size_t length; /* of output */
    size_t seen;   /* up to here the text has shown it */
    bool skip;     /* the text left something out here */
} Terminal;

typedef struct {
    const char *folder, *snapshots, *name;
    char port[8], port_pattern[16];
    Event *events;
    size_t count;
    Terminal first, second;
    double patience;
    pid_t started[STARTED_MAX]; /* not reaped: their ids stay ours */
    size_t started_count;
    int failures;
} Replay;

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static void *allocate(void *old, size_t size)
{
    void *memory = realloc(old, size);
    if (memory == NULL)
        die("realloc");
    return memory;
}

static void fail(Replay *r, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%s:%d: ", r->name, line);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    r->failures++;
}

/* ---- lines, and when two of them are the same */

typedef struct {
    char **line;
    size_t count;
} Lines;

static void lines_add(Lines *lines, const char *text, size_t length)
{
    lines->line =
        allocate(lines->line, (lines->count + 1) * sizeof *lines->line);
    lines->line[lines->count] = strndup(text, length);
    lines->count++;
}

static void lines_free(Lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->line[i]);
    free(lines->line);
    *lines = (Lines){0};
}

/* Replaces line by one with [from, to) exchanged for text. */
static void exchange(char **line, size_t from, size_t to, const char *text)
{
    size_t size = strlen(*line) + strlen(text) + 1;
    char *made = allocate(NULL, size);
    snprintf(made, size, "%.*s%s%s", (int)from, *line, text, *line + to);
    free(*line);
    *line = made;
}

/* Compiles a pattern at its first use, and keeps it. */
static const regex_t *compiled(const char *pattern)
{
    static struct {
        const char *pattern;
        regex_t regex;
    } known[32];
    size_t i = 0;
    while (known[i].pattern != NULL && known[i].pattern != pattern)
        i++;
    if (known[i].pattern == NULL) {
        known[i].pattern = pattern;
        if (regcomp(&known[i].regex, pattern, REG_EXTENDED) != 0)
            die(pattern);
    }
    return &known[i].regex;
}

/* Replaces every match of pattern; NULL rounds a number of seconds instead. */
static void replace(char **line, const char *pattern, const char *text)
{
    const regex_t *regex = compiled(pattern);
    regmatch_t match;
    size_t start = 0;
    while (regexec(regex, *line + start, 1, &match, start ? REG_NOTBOL : 0) == 0
           && match.rm_eo > match.rm_so) {
        char rounded[64];
        size_t from = start + (size_t)match.rm_so;
        size_t to = start + (size_t)match.rm_eo;
        snprintf(rounded, sizeof rounded, "%.0f.s",
                 round(strtod(*line + from, NULL)));
        exchange(line, from, to, text != NULL ? text : rounded);
        start = from + strlen(text != NULL ? text : rounded);
    }
}

/* What differs from one machine, or one run, to the next. */
static const char *const patterns[][2] = {
    {"\033\\[[0-9;]*[mK]", ""},         /* colours, and curl's bold headers */
    {"\xe2\x80\x98|\xe2\x80\x99", "'"}, /* gcc's quotes in UTF-8 */
    {"[[:space:]]+$", ""},
    {"^.*undefined reference to", "undefined reference to"},
    {"[^ ]*/hello/", ""}, /* the reader's folder */
    {" \\([^ ()]*\\+0x[0-9a-f]+\\)( \\(BuildId: [0-9a-f]+\\))?", ""},
    {"0x[0-9a-f]+", "0x"},
    {"[0-9]+\\.[0-9][0-9][0-9]+", NULL}, /* seconds: 4.998 and 5.003 are 5 */
    {"([pt]id)=[0-9]+", "pid="},
    {"==[0-9]+==", "==pid=="},
    {"Worker [0-9]+ got", "Worker N got"}, /* any may */
    {"thread T[0-9]+", "thread T"},
    {"Thread T[0-9]+", "Thread T"},
    {"curl/[0-9.]+", "curl/"},
    {"[Dd]ate: .*", "Date:"},
    {"[0-9][0-9]:[0-9][0-9]:[0-9][0-9]", "time"},
    {"127\\.0\\.0\\.1:[1-9][0-9][0-9][0-9][0-9]", "127.0.0.1:ephemeral"},
    {" \\(core dumped\\)", ""},
};

static void normalise(Replay *r, char **line)
{
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        replace(line, patterns[i][0], patterns[i][1]);
    replace(line, r->port_pattern, "7878");
}

static bool is_gap(const char *line)
{
    return strcmp(line, "…") == 0 || strcmp(line, "...") == 0;
}

static bool matches(const char *pattern, const char *text)
{
    return regexec(compiled(pattern), text, 0, NULL, 0) == 0;
}

static bool is_diagnosis(const char *line)
{
    return matches("^[^ :]+:[0-9]+:([0-9]+:)? (fatal )?(error|warning): ", line)
           || strstr(line, "undefined reference to") != NULL;
}

/* What a compiler prints around its errors changes from version to version. */
static void drop_decoration(Lines *lines)
{
    size_t kept = 0;
    for (size_t i = 0; i < lines->count; i++)
        if (!is_diagnosis(lines->line[i])
            && matches("^ +[0-9]* *\\||: note: |^[^ :]+: (In function|At top "
                       "level)|^In file included|^ +from |^compilation "
                       "termin|^collect2: |: in function `|^cc1: ",
                       lines->line[i]))
            free(lines->line[i]);
        else
            lines->line[kept++] = lines->line[i];
    lines->count = kept;
}

/*
 * Do the expected lines, where a gap stands for any number of lines, match
 * all of got, or, if prefix is set, its first lines? Sets *used to how many
 * of got they take, and *furthest to the first that found nothing. It is
 * enough to try the lines after the last gap at each later place.
 */
static bool match(const Lines *expected, const Lines *got, bool prefix,
                  size_t *used, size_t *furthest)
{
    size_t i = 0, j = 0;             /* the next of each */
    size_t after_gap = 0, place = 0; /* the last gap, and where it ends */
    bool gap = false;
    *furthest = 0;
    for (;;) {
        if (i > *furthest)
            *furthest = i;
        if (i == expected->count
            && (prefix || j == got->count || (gap && after_gap == i))) {
            *used = j;
            return true;
        }
        if (i < expected->count && is_gap(expected->line[i])) {
            gap = true;
            after_gap = ++i;
            place = j;
        } else if (i < expected->count && j < got->count
                   && strcmp(expected->line[i], got->line[j]) == 0) {
            i++;
            j++;
        } else if (gap && place < got->count) {
            i = after_gap;
            j = ++place;
        } else {
            return false;
        }
    }
}

/* The same for lines in any order: each is somewhere in got. */
static bool match_any_order(const Lines *expected, const Lines *got,
                            size_t *used, size_t *furthest)
{
    bool *taken = calloc(got->count + 1, sizeof *taken);
    size_t i = 0;
    bool gap = false;
    *used = 0;
    for (; taken != NULL && i < expected->count; i++) {
        size_t j = 0;
        if (is_gap(expected->line[i])) {
            gap = true;
            continue;
        }
        while (j < got->count
               && (taken[j] || strcmp(expected->line[i], got->line[j]) != 0))
            j++;
        if (j == got->count)
            break;
        taken[j] = true;
        if (j + 1 > *used)
            *used = j + 1;
    }
    *furthest = i;
    bool found = i == expected->count;
    for (size_t j = 0; found && !gap && j < *used; j++)
        found = taken[j];
    free(taken);
    return found;
}

/* ---- processes */

static void terminal_open(Terminal *t)
{
    struct termios mode;
    t->master = posix_openpt(O_RDWR | O_NOCTTY);
    if (t->master == -1 || grantpt(t->master) || unlockpt(t->master))
        die("posix_openpt");
    t->slave = open(ptsname(t->master), O_RDWR | O_NOCTTY);
    if (t->slave == -1 || tcgetattr(t->slave, &mode))
        die("ptsname");
    mode.c_oflag &= ~(tcflag_t)OPOST; /* no CR before LF */
    tcsetattr(t->slave, TCSANOW, &mode);
    fcntl(t->master, F_SETFL, O_NONBLOCK);
    fcntl(t->master, F_SETFD, FD_CLOEXEC);
    fcntl(t->slave, F_SETFD, FD_CLOEXEC);
    t->output = allocate(NULL, 1);
    t->output[0] = '\0';
}

static void start(Replay *r, Terminal *t, int line, const char *command)
{
    size_t size = strlen(command) + 64;
    char *whole = allocate(NULL, size);
    if (r->started_count == STARTED_MAX)
        die("too many commands");
    /* $? is the status of the command before, as in one long session */
    snprintf(whole, size, "(exit %d)\n%s", t->status, command);
    t->length = t->seen = 0;
    t->output[0] = '\0';
    t->skip = false;
    t->line = line;
    fflush(stdout);
    t->pid = fork();
    if (t->pid == -1)
        die("fork");
    if (t->pid == 0) {
        setpgid(0, 0);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        signal(SIGPIPE, SIG_DFL);
        int nothing = open("/dev/null", O_RDONLY);
        if (chdir(r->folder) == -1 || dup2(nothing, 0) == -1
            || dup2(t->slave, 1) == -1 || dup2(t->slave, 2) == -1)
            _exit(126);
        close(nothing);
        execl("/bin/sh", "sh", "-c", whole, (char *)NULL);
        _exit(127);
    }
    setpgid(t->pid, t->pid);
    r->started[r->started_count++] = t->pid;
    free(whole);
}

/* Takes what the terminal shows by now: not all, for a flood has no end. */
static void drain(Terminal *t)
{
    char part[4096];
    ssize_t n;
    for (int i = 0; i < 16 && (n = read(t->master, part, sizeof part)) > 0;
         i++) {
        if (t->length > OUTPUT_MAX)
            continue; /* a flood */
        t->output = allocate(t->output, t->length + (size_t)n + 1);
        memcpy(t->output + t->length, part, (size_t)n);
        t->length += (size_t)n;
        t->output[t->length] = '\0';
    }
}

/* Ends all that was started, and whatever that has started. */
static void clean_up(Replay *r)
{
    for (size_t i = 0; i < r->started_count; i++)
        kill(-r->started[i], SIGKILL);
#ifdef __linux__
    /* what left its group (timeout does) is our child now, or soon will be */
    for (double end = now() + 2; now() < end;) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
        FILE *children = fopen(path, "r");
        int pid;
        while (children != NULL && fscanf(children, "%d", &pid) == 1)
            kill(pid, SIGKILL);
        if (children != NULL)
            fclose(children);
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (pid == -1)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
#endif
    r->started_count = 0;
}

/* Reads both terminals for a moment. Ends the program when it is told to. */
static void pump(Replay *r, int milliseconds)
{
    static pid_t parent;
    if (parent == 0)
        parent = getppid();
    struct pollfd fds[] = {{.fd = r->first.master, .events = POLLIN},
                           {.fd = r->second.master, .events = POLLIN}};
    poll(fds, 2, milliseconds);
    drain(&r->first);
    drain(&r->second);
    if (interrupted || getppid() != parent) {
        clean_up(r);
        _exit(130);
    }
}

/* Has the command of t ended? If so its output is complete. */
static bool has_ended(Terminal *t)
{
    siginfo_t info = {0};
    if (t->pid == 0)
        return true;
    if (waitid(P_PID, (id_t)t->pid, &info, WEXITED | WNOHANG | WNOWAIT) == -1)
        die("waitid");
    if (info.si_pid == 0)
        return false;
    /* a pseudo-terminal hands over with a delay */
    struct pollfd fd = {.fd = t->master, .events = POLLIN};
    for (int i = 0; i < 64 && poll(&fd, 1, 50) > 0 && !interrupted; i++)
        drain(t);
    t->pid = 0;
    t->status =
        info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    if (info.si_code != CLD_EXITED && info.si_status != SIGINT) {
        /* an interactive shell says so */
        const char *what = strsignal(info.si_status);
        t->output = allocate(t->output, t->length + strlen(what) + 2);
        t->length += (size_t)sprintf(t->output + t->length, "%s\n", what);
    }
    return true;
}

static bool wait_end(Replay *r, Terminal *t, double seconds)
{
    for (double end = now() + seconds; !has_ended(t);) {
        if (now() > end)
            return false;
        pump(r, 20);
    }
    return true;
}

/* Runs a command whose output the text does not show. Returns its status. */
static int quietly(Replay *r, const char *format, ...)
{
    char command[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    int before = r->second.status;
    start(r, &r->second, 0, command);
    if (!wait_end(r, &r->second, 2 * PATIENCE))
        kill(-r->second.pid, SIGKILL);
    wait_end(r, &r->second, 1);
    int status = r->second.status;
    r->second.status = before;
    return status;
}

/* Does nobody listen on this port? (Old connections of it are no bar.) Only
   binds: to listen here, even for a moment, could be in a server's way. */
static bool port_is_free(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((in_port_t)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    bool is_free = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return is_free;
}

/*
 * Takes a free port of four digits: as long as 7878, so that a compiler's
 * columns stay. A byte of a shared file, locked, keeps it from all other
 * replays until this program ends.
 */
static void take_port(Replay *r)
{
    char path[256];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/tutorial-replay-ports",
             folder != NULL ? folder : "/tmp");
    int locks = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    for (int i = 0; i < 8000; i++) {
        int port = 2000 + ((int)getpid() * 37 + i) % 8000;
        struct flock lock = {.l_type = F_WRLCK,
                             .l_whence = SEEK_SET,
                             .l_start = port,
                             .l_len = 1};
        snprintf(r->port, sizeof r->port, "%04d", port);
        if ((locks == -1 || fcntl(locks, F_SETLK, &lock) == 0)
            && port_is_free(r->port))
            return;
    }
    die("no free port");
}

/* ---- events */

/* Collects the `line` events after event i. */
static Lines lines_after(Replay *r, size_t i)
{
    Lines lines = {0};
    while (++i < r->count && strcmp(r->events[i].tag, "line") == 0)
        lines_add(&lines, r->events[i].text, strlen(r->events[i].text));
    return lines;
}

/* Splits output into lines; *ends[i] is where line i ends in it. */
static Lines split(Replay *r, const char *output, bool partial, size_t **ends)
{
    Lines lines = {0};
    size_t start = 0, length = strlen(output);
    *ends = allocate(NULL, (length + 1) * sizeof **ends);
    while (start < length) {
        size_t n = strcspn(output + start, "\n");
        if (start + n == length && !partial)
            break;
        lines_add(&lines, output + start, n);
        start += n + (start + n < length);
        (*ends)[lines.count - 1] = start;
    }
    for (size_t i = 0; i < lines.count; i++)
        normalise(r, &lines.line[i]);
    return lines;
}

static void print_lines(const char *title, const char *text)
{
    printf("  %s\n", title);
    int shown = 0;
    for (size_t n; *text != '\0'; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        if (++shown > SHOWN_MAX) {
            printf("    and so on\n");
            return;
        }
        char *line = strndup(text, n);
        replace(&line, patterns[0][0], patterns[0][1]);
        printf("    %s\n", line);
        free(line);
    }
}

/* Says what is wrong after event: the first expected line that did not come,
   or, if all came, that there was more. */
static void show_difference(Replay *r, size_t event, const char *missing,
                            const char *got)
{
    size_t at = event;
    while (missing != NULL && ++at < r->count
           && strcmp(r->events[at].tag, "line") == 0) {
        char *line = strdup(r->events[at].text);
        normalise(r, &line);
        bool found = strcmp(line, missing) == 0;
        free(line);
        if (found)
            break;
    }
    if (missing == NULL)
        fail(r, r->events[at].line, "more was printed than the text shows");
    else
        fail(r, r->events[at].line,
             "expected this line, which did not come: %s", r->events[at].text);
    print_lines("what came:", got);
}

/* Compares what a command has printed with the lines after event i. */
static void compare(Replay *r, size_t i)
{
    size_t used = 0, furthest = 0, *ends;
    Lines expected = lines_after(r, i);
    Lines got = split(r, r->second.output, true, &ends);
    bool compiler = false;
    for (size_t k = 0; k < expected.count; k++) {
        normalise(r, &expected.line[k]);
        compiler = compiler || is_diagnosis(expected.line[k]);
    }
    if (compiler) {
        drop_decoration(&expected);
        drop_decoration(&got);
    }
    bool same = match(&expected, &got, false, &used, &furthest);
    if (!same && compiler && getenv("REPLAY_NOT_GCC") != NULL)
        same = true; /* ./replay has said so, loudly */
    if (!same)
        show_difference(
            r, i, furthest < expected.count ? expected.line[furthest] : NULL,
            r->second.output);
    free(ends);
    lines_free(&expected);
    lines_free(&got);
}

/* Waits for what the first terminal prints next. */
static bool expect_more(Replay *r, size_t event, bool any)
{
    Lines expected = lines_after(r, event);
    bool found = false, gap_last = false;
    size_t furthest = 0;
    if (r->first.skip)
        lines_add(&expected, "…", strlen("…"));
    for (size_t i = 0; i < expected.count; i++)
        normalise(r, &expected.line[i]);
    if (r->first.skip) { /* the gap at the end of the block before */
        char *gap = expected.line[expected.count - 1];
        memmove(expected.line + 1, expected.line,
                (expected.count - 1) * sizeof *expected.line);
        expected.line[0] = gap;
    }
    gap_last = expected.count > 0 && is_gap(expected.line[expected.count - 1]);
    for (double end = now() + r->patience; !found && now() < end;) {
        bool ended = has_ended(&r->first);
        size_t used = 0, *ends;
        Lines got = split(r, r->first.output + r->first.seen, ended, &ends);
        furthest = 0;
        found = any ? match_any_order(&expected, &got, &used, &furthest)
                    : match(&expected, &got, true, &used, &furthest);
        if (found && used > 0)
            r->first.seen += ends[used - 1];
        bool hopeless = got.count >= expected.count && !found && !any;
        for (size_t i = 0; i < expected.count; i++)
            hopeless = hopeless && !is_gap(expected.line[i]);
        free(ends);
        lines_free(&got);
        if (!found && (ended || hopeless))
            break;
        if (!found)
            pump(r, 20);
    }
    if (!found)
        show_difference(r, event,
                        furthest < expected.count ? expected.line[furthest]
                                                  : NULL,
                        r->first.output + r->first.seen);
    r->first.skip = gap_last;
    lines_free(&expected);
    return found;
}

/* The first terminal is free again: was everything it printed shown? */
static void check_rest(Replay *r, int line)
{
    Terminal *t = &r->first;
    if (!t->skip && t->seen < t->length) {
        fail(r, line, "the first terminal printed more than the text shows");
        print_lines("what came:", t->output + t->seen);
    }
    t->seen = t->length;
}

/* Starts a command in the first terminal, once that is free. */
static bool start_server(Replay *r, size_t i)
{
    Event *e = &r->events[i];
    if (r->first.line != 0) {
        if (!wait_end(r, &r->first, END_SECONDS)) {
            fail(r, e->line, "the command of line %d is still running",
                 r->first.line);
            return false;
        }
        check_rest(r, r->first.line);
    }
    start(r, &r->first, e->line, e->text);
    bool shown =
        i + 1 < r->count && strncmp(r->events[i + 1].tag, "more", 4) == 0;
    /* nothing to wait for but the port itself */
    for (double end = now() + 5; !shown && strstr(e->text, "./server")
                                 && port_is_free(r->port) && now() < end
                                 && !has_ended(&r->first);)
        pump(r, 20);
    return true;
}

static void interrupt(Replay *r, int line)
{
    if (r->first.pid == 0 || has_ended(&r->first)) {
        fail(r, line, "^C, but nothing runs in the first terminal any more");
        return;
    }
    kill(-r->first.pid, SIGINT);
    /* a server that shuts down gracefully may take its time, and say more */
    wait_end(r, &r->first, 1);
}

/* Makes a copy of the folder beside it, and builds that with a badge's eyes. */
static void check_badge(Replay *r, int line, const char *badge)
{
    quietly(r,
            "rm -rf ../badge && mkdir ../badge && cp *.c *.h Makefile "
            "../badge/; [ -e Makefile ] || cp '%s/Makefile' ../badge/",
            r->snapshots);
    int built = quietly(r, "cd ../badge && rm -f server && make -s");
    char *output = strdup(r->second.output);
    if (strcmp(badge, "does not compile") == 0) {
        if (built == 0)
            fail(r, line, "the badge says \"%s\", but it does compile", badge);
    } else if (strcmp(badge, "compiles with a warning") == 0) {
        if (built != 0 || strstr(output, "warning: ") == NULL)
            fail(r, line, "the badge says \"%s\", but it %s", badge,
                 built != 0 ? "does not compile" : "compiles without one");
    } else if (built != 0 || *output != '\0') {
        fail(r, line, "the badge says \"%s\", but the compiler says:", badge);
        print_lines("", output);
    }
    free(output);
}

/* Compiles a file, to a program or, if it is not alone, to an object. */
static void check_example(Replay *r, int line, const char *path, bool alone)
{
    if (quietly(r,
                "cc -std=c17 -D_POSIX_C_SOURCE=200809L -Wall -Wextra %s "
                "-pthread -O2 -o ../example '%s'",
                alone ? "-Wpedantic -Werror" : "-c", path)) {
        fail(r, line, "the compiler says of this:");
        print_lines("", r->second.output);
    }
}

/* Makes the folder that of a snapshot; a file that stays the same keeps its
   age, for make. */
static void sync_folder(Replay *r, int line, const char *number)
{
    if (quietly(r,
                "for f in *.c *.h *.html *.sh examples/*.c Makefile; do\n"
                "    [ -e '%s/%s/'\"$f\" ] || rm -f \"$f\"\n"
                "done\n"
                "from=$PWD; cd '%s/%s'\n"
                "for f in * */*; do\n"
                "    [ -f \"$f\" ] || continue\n"
                "    case $f in */*) mkdir -p \"$from/${f%%/*}\";; esac\n"
                "    sed s/7878/%s/g \"$f\" >\"$from/.new\"\n"
                "    cmp -s \"$from/.new\" \"$from/$f\" ||\n"
                "        cp \"$from/.new\" \"$from/$f\"\n"
                "done; rm -f \"$from/.new\"",
                r->snapshots, number, r->snapshots, number, r->port)) {
        fail(r, line, "cannot write the folder:");
        print_lines("", r->second.output);
    }
}

static void run_command(Replay *r, size_t i)
{
    Event *e = &r->events[i];
    start(r, &r->second, e->line, e->text);
    if (!wait_end(r, &r->second, r->patience)) {
        fail(r, e->line, "this command did not end within %.0f s: %s",
             r->patience, e->text);
        print_lines("what came:", r->second.output);
        kill(-r->second.pid, SIGKILL);
        wait_end(r, &r->second, 1);
        return;
    }
    compare(r, i);
}

/* Plays the job, until it ends or the first terminal leaves the text. */
static void run(Replay *r)
{
    for (size_t i = 0; i < r->count; i++) {
        Event *e = &r->events[i];
        bool go_on = true;
        if (strcmp(e->tag, "sync") == 0)
            sync_folder(r, e->line, e->text);
        else if (strcmp(e->tag, "build") == 0)
            quietly(r, "make -s");
        else if (strcmp(e->tag, "badge") == 0)
            check_badge(r, e->line, e->text);
        else if (strcmp(e->tag, "example") == 0)
            check_example(r, e->line, e->text, true);
        else if (strcmp(e->tag, "declared") == 0)
            check_example(r, e->line, e->text, false);
        else if (strcmp(e->tag, "run") == 0)
            run_command(r, i);
        else if (strcmp(e->tag, "server") == 0)
            go_on = start_server(r, i);
        else if (strcmp(e->tag, "more") == 0)
            go_on = expect_more(r, i, false);
        else if (strcmp(e->tag, "more-any") == 0)
            go_on = expect_more(r, i, true);
        else if (strcmp(e->tag, "interrupt") == 0)
            interrupt(r, e->line);
        if (!go_on)
            return;
    }
    if (r->first.line != 0 && !wait_end(r, &r->first, END_SECONDS))
        fail(r, r->first.line, "this is left running in the first terminal");
    else if (r->first.line != 0)
        check_rest(r, r->first.line);
}

/* Replaces 7878 in a command. */
static char *with_port(const char *text, const char *port)
{
    char *made = strdup(text);
    for (char *at = made; (at = strstr(at, "7878")) != NULL;)
        memcpy(at, port, 4);
    return made;
}

static void read_job(Replay *r, const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    if (file == NULL)
        die(path);
    while ((length = getline(&line, &size, file)) > 0) {
        Event e = {0};
        if (line[length - 1] == '\n')
            line[length - 1] = '\0';
        char *tab = strchr(line, '\t');
        char *text = tab != NULL ? strchr(tab + 1, '\t') : NULL;
        if (text == NULL || sscanf(line, "%d %15s", &e.line, e.tag) != 2)
            die("a job's line");
        bool is_line = strcmp(e.tag, "line") == 0;
        e.text = is_line ? strdup(text + 1) : with_port(text + 1, r->port);
        r->events = allocate(r->events, (r->count + 1) * sizeof e);
        r->events[r->count++] = e;
    }
    free(line);
    fclose(file);
}

int main(int argc, char *argv[])
{
    if (argc != 5) {
        fprintf(stderr, "usage: see the head of terminal.c\n");
        return 2;
    }
    Replay r = {.snapshots = argv[2], .folder = argv[3], .name = argv[4]};
    const char *patience = getenv("REPLAY_PATIENCE");
    r.patience = patience != NULL ? atof(patience) : PATIENCE;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
#ifdef __linux__
    prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif
    const char *const unwanted[] = {"MAKEFLAGS",  "MAKELEVEL", "MFLAGS",
                                    "http_proxy", "CFLAGS",    "CC",
                                    "ENV"};
    for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++)
        unsetenv(unwanted[i]);
    setenv("LC_ALL", "C", 1);
    setenv("TERM", "dumb", 1);
    setenv("NO_PROXY", "*", 1);

    take_port(&r);
    setenv("PORT", r.port, 1); /* as the text has its reader do */
    snprintf(r.port_pattern, sizeof r.port_pattern, "\\<%s\\>", r.port);
    terminal_open(&r.first);
    terminal_open(&r.second);
    read_job(&r, argv[1]);
    run(&r);
    clean_up(&r);
    for (size_t i = 0; i < r.count; i++)
        free(r.events[i].text);
    free(r.events);
    free(r.first.output);
    free(r.second.output);
    return r.failures > 0;
}
