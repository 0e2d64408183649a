#define _GNU_SOURCE /* prctl */
#include "server.h"

#include "files.h"
#include "report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Why a program may have ended by a signal. */
static const char *cause_of(int signal_number)
{
    return signal_number == SIGPIPE ? "it wrote to a client that had left, "
                                      "which raises SIGPIPE: ignore it, "
                                      "signal(SIGPIPE, SIG_IGN)"
           : signal_number == SIGSEGV || signal_number == SIGBUS
               ? "it used NULL, or an address that is not (or no longer) valid"
           : signal_number == SIGABRT ? "an assert() failed, memory was freed "
                                        "twice, or a descriptor closed twice"
                                      : NULL;
}

/* `it ended, with status 1`, or by which signal. */
static char *how_it_ended(const Server *server, const char *what)
{
    if (WIFSIGNALED(server->status))
        return words("%s, by signal %d (%s)", what, WTERMSIG(server->status),
                     strsignal(WTERMSIG(server->status)));
    return words("%s, with status %d", what, WEXITSTATUS(server->status));
}

/* Says that a server has ended which should not have. */
static void complain_of_end(const Server *server)
{
    char *errors = server_errors(server);
    bool twice = strstr(errors, "Is it closed twice") != NULL;
    int by = WIFSIGNALED(server->status) ? WTERMSIG(server->status) : 0;
    complain(&(Finding){
        .expected =
            step("ends_after_two")
                ? "the server goes on until it has accepted two connections"
                : "the server goes on: nothing a client does may end it",
        .got =
            twice
                ? "a descriptor was closed that is not open any more; by then "
                  "it may be somebody else's"
                : how_it_ended(server, "it ended"),
        .cause =
            twice ? "a connection has one owner, and only the owner closes it "
                    "(fclose closes it, too): here two do"
            : by  ? cause_of(by)
            : step("ends_after_two")
                ? "it ends after one connection, not two, or an error calls "
                  "exit()"
            : step("ends_on_signal")
                ? "it still ends after two connections, or an error of one "
                  "calls exit(): from this step on a signal ends it"
                : "an error of one connection calls exit(), or ends main",
        .detail = errors,
        .key = twice ? "closed-twice" : words("ended-%d", by),
        .read = by == SIGPIPE ? "The visitor who leaves"
                : twice       ? "The life of a connection | Pass the value | "
                                "Reading the request"
                              : NULL});
}

/* A file without a name, which a test can seal: see F_ADD_SEALS. */
static int scratch_file(void)
{
    int file = memfd_create("scratch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    cr_assert(file != -1, "memfd_create: %s", strerror(errno));
    return file;
}

/* Returns the port that a line names, the line being what it should be. */
static int parse_port(const char *line)
{
    char *end;
    long port = strtol(strrchr(line, ':') + 1, &end, 10);
    check(*end == '\0' && port > 0 && port <= 65535,
          .did = "the server was started",
          .expected =
              "the line `Listening on http://127.0.0.1:PORT`, and nothing "
              "more on it",
          .got = words("`%s`", line), .key = "listening",
          .read = "Another port");
    return (int)port;
}

/* Says why a server that should listen does not. */
static void complain_of_start(const Server *server)
{
    char *output = server_output(server), *errors = server_errors(server);
    bool said = strstr(output, "Listening on ") != NULL;
    complain(&(Finding){
        .did = "the server was started, on a free port",
        .expected = "the line `Listening on http://127.0.0.1:PORT` on stdout",
        .got = said            ? words("another line: %.200s", output)
               : server->ended ? how_it_ended(server, "it ended")
                               : "nothing: it runs, and says nothing",
        .cause = said            ? NULL
                 : server->ended ? "what it said last tells more"
                                 : "the line comes too late or never (does a "
                                   "call before it wait?), or "
                                   "it stays in stdout's buffer: "
                                   "setvbuf(stdout, NULL, _IOLBF, 0)",
        .detail = words("%s%s", output, errors),
        .key = "listening",
        .read = "Another port"});
}

static int last_errors = -1;

/* The file that ends all sleeps. */
static const char *hurry_file(void)
{
    static char path[300];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/hurry.%d", folder ? folder : "/tmp",
             (int)getpid());
    return path;
}

void server_hurry(void)
{
    close(open(hurry_file(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

/* Takes so many bytes at most out of the unread pipe. Returns the last of them,
 * or 0 if there was none. */
static char read_pipe(Server *server, size_t most)
{
    char part[4096];
    ssize_t got = read(server->pipe, part, most);
    return got > 0 && write(server->out, part, (size_t)got) == got
               ? part[got - 1]
               : '\0';
}

void server_read_pipe(Server *server)
{
    while (read_pipe(server, 4096) != '\0')
        ;
}

Server server_start(Options options)
{
    const char *program = setting("SERVER");
    const char *folder = options.folder ? options.folder : setting("PAGES");
    const char *port = options.port ? options.port : "0";
    char failing[16] = "";
    Server server = {.out = scratch_file(), .err = scratch_file()};
    int said[] = {server.out, server.err};
    char *ready = words("Listening on http://%s:",
                        options.host != NULL ? options.host : "127.0.0.1");
    struct rlimit all;
    last_errors = server.err;

    /* The tests themselves may need many descriptors. */
    getrlimit(RLIMIT_NOFILE, &all);
    all.rlim_cur = all.rlim_max;
    setrlimit(RLIMIT_NOFILE, &all);
    struct rlimit few = {options.descriptors, options.descriptors};
    if (options.failing_thread > 0)
        snprintf(failing, sizeof failing, "%d", options.failing_thread);
    setenv("FAIL_PTHREAD_CREATE", failing, 1);
    unlink(hurry_file());
    setenv("HURRY", options.hurry ? hurry_file() : "", 1);
    setenv("GONE_VISITOR", options.gone_visitor ? "1" : "", 1);
    setenv("FAIL_ACCEPT", options.failing_accept ? "0.4" : "", 1);
    setenv("LATE_THREADS", options.late_threads ? "1" : "", 1);
    setenv("WATCH_SHORT", options.short_calls ? "1" : "", 1);
    setenv("FASTER", options.faster ? "1" : "", 1);
    setenv("SLOW_START", options.slow_start ? "1" : "", 1);
    setenv("SIGNAL_BEFORE",
           options.signal_before != NULL ? options.signal_before : "", 1);

    if (options.unread) {
        int ends[2];
        cr_assert(pipe2(ends, O_CLOEXEC) == 0, "pipe: %s", strerror(errno));
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        server.pipe = ends[0];
        said[0] = said[1] = ends[1];
    }

    pid_t parent = getpid();
    server.pid = fork();
    if (server.pid == 0) { /* nothing but system calls from here to exec */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(126);
        dup2(said[0], STDOUT_FILENO);
        dup2(said[1], STDERR_FILENO);
        for (int fd = 3; fd < 1024; fd++)
            close(fd);
        if (options.descriptors > 0)
            setrlimit(RLIMIT_NOFILE, &few);
        if (chdir(folder) != 0)
            _exit(127);
        if (options.loops != NULL)
            execl(program, program, "--loops", options.loops, port,
                  (char *)NULL);
        else
            execl(program, program, port[0] ? port : NULL, (char *)NULL);
        _exit(127);
    }
    cr_assert(server.pid > 0, "fork: %s", strerror(errno));
    if (options.unread)
        close(said[0]);

    server.started = now();
    bool waits = true;
    for (Wait wait = {0}; server.port == 0 && waits; moment()) {
        /* then it is looked at once more */
        waits = server_alive(&server) && still_waiting(&wait, patience());
        while (options.unread && read_pipe(&server, 1) > '\n')
            ;
        char *output = file_contents(server.out);
        char *line = strstr(output, ready);
        if (line != NULL && (line == output || line[-1] == '\n')
            && strchr(line, '\n') != NULL)
            server.port = parse_port(strtok(line, "\n"));
        free(output);
    }
    if (server.port == 0 && !options.may_end)
        complain_of_start(&server);
    return server;
}

bool server_alive(Server *server)
{
    if (!server->ended
        && waitpid(server->pid, &server->status, WNOHANG) == server->pid)
        server->ended = true;
    return !server->ended;
}

void check_alive(const Server *server)
{
    siginfo_t end = {0};
    if (server->ended)
        complain_of_end(server);
    if (waitid(P_PID, (id_t)server->pid, &end, WEXITED | WNOHANG | WNOWAIT) != 0
        || end.si_pid == 0)
        return;
    Server copy = *server;
    waitpid(copy.pid, &copy.status, 0);
    complain_of_end(&copy);
}

/* Fails the test if the server ran under a sanitizer that has found a fault. */
static void check_sanitizers(const Server *server)
{
    char *errors = server_errors(server);
    check(strstr(errors, "Sanitizer") == NULL
              && strstr(errors, "runtime error:") == NULL,
          .expected = "the sanitizer finds nothing", .got = "it found a fault",
          .detail = errors, .key = "sanitizer");
    free(errors);
}

int server_wait_within(Server *server, double seconds)
{
    for (Wait wait = {0}; server_alive(server); moment()) {
        if (still_waiting(&wait, seconds + patience()))
            continue;
        kill(server->pid, SIGKILL);
        complain(&(Finding){
            .expected = "the server ends by itself",
            .got = words("it still runs after %.0f s", seconds + patience()),
            .cause =
                step("ends_after_two")
                    ? "it waits for more than two connections, or for a worker "
                      "that "
                      "never ends"
                    : "the error is not looked at, or does not end the program",
            .detail = server_output(server),
            .key = "still-runs"});
    }
    check_sanitizers(server);
    return server->status;
}

int server_wait(Server *server)
{
    return server_wait_within(server, 0);
}

void server_wait_clean(Server *server, double seconds)
{
    int status = server_wait_within(server, seconds);
    char *errors = server_errors(server);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0,
          .expected = "after two connections the server ends, with status 0",
          .got = how_it_ended(server, "it ended"),
          .cause = WIFSIGNALED(status) ? cause_of(WTERMSIG(status)) : NULL,
          .detail = errors, .key = "unclean-end");
    free(errors);
}

void server_stop(Server *server)
{
    bool alive = server_alive(server);
    if (alive) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, &server->status, 0);
        server->ended = true;
    }
    check_sanitizers(server);
    if (!alive)
        complain_of_end(server);
}

char *server_output(const Server *server)
{
    return file_contents(server->out);
}

char *server_errors(const Server *server)
{
    return file_contents(server->err);
}

char *server_last_errors(void)
{
    return last_errors != -1 ? file_contents(last_errors) : strdup("");
}

int occurrences(const char *text, const char *part)
{
    int count = 0;
    while ((text = strstr(text, part)) != NULL) {
        count++;
        text += strlen(part);
    }
    return count;
}

void server_wait_output(Server *server, const char *text, int count)
{
    for (Wait wait = {0};; moment()) {
        char *output = server_output(server);
        if (occurrences(output, text) >= count) {
            free(output);
            return;
        }
        check(still_waiting(&wait, patience()),
              .expected = words("the server prints `%.*s`",
                                (int)strcspn(text, "\n"), text),
              .got = "it does not; this is what it printed", .detail = output,
              .key = text);
        free(output);
    }
}

/* Counts the entries of a folder in /proc. */
static int count_entries(const Server *server, const char *what)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)server->pid, what);
    DIR *folder = opendir(path);
    int count = 0;

    if (folder == NULL)
        check_alive(server);
    cr_assert(folder != NULL, "%s: %s (these tests need Linux's /proc)", path,
              strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

int server_threads(const Server *server)
{
    int threads = count_entries(server, "task");
    /* ThreadSanitizer adds one of its own with the program's first. */
    return getenv("EXTRA_THREAD") && threads > 1 ? threads - 1 : threads;
}

int server_descriptors(const Server *server)
{
    return count_entries(server, "fd");
}

double server_cpu(const Server *server)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)server->pid);
    int file = open(path, O_RDONLY);
    if (file != -1 && read(file, text, sizeof text - 1) > 0)
        sscanf(strrchr(text, ')') + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system);
    close(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

long server_memory(const Server *server)
{
    char path[64], text[64] = "";
    long pages = 0;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)server->pid);
    int file = open(path, O_RDONLY);
    if (file != -1 && read(file, text, sizeof text - 1) > 0)
        pages = strtol(text, NULL, 10);
    close(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Returns a number in a process' or thread's status, or a first character. */
static long read_status(const char *folder, const char *name, char *character)
{
    char path[420], line[256];
    long number = 0;
    snprintf(path, sizeof path, "%s/status", folder);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0) {
            number = strtol(line + strlen(name), NULL, 10);
            if (character != NULL)
                *character = line[strlen(name)];
        }
    if (file != NULL)
        fclose(file);
    return number;
}

long server_peak(const Server *server)
{
    char folder[64];
    snprintf(folder, sizeof folder, "/proc/%d", (int)server->pid);
    return read_status(folder, "VmHWM:", NULL);
}

/* Counts its threads that run, and how often they have gone to sleep so far. */
static void look_at_threads(const Server *server, int *running, long *sleeps)
{
    char tasks[64], folder[400];
    *running = 0;
    *sleeps = 0;
    snprintf(tasks, sizeof tasks, "/proc/%d/task", (int)server->pid);
    DIR *list = opendir(tasks);
    cr_assert(list != NULL, "%s: %s", tasks, strerror(errno));
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        snprintf(folder, sizeof folder, "%s/%s", tasks, entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        *sleeps += read_status(folder, "voluntary_ctxt_switches:", NULL);
        char state = ' ';
        read_status(folder, "State:\t", &state);
        *running += state == 'R';
    }
    closedir(list);
}

bool server_running(const Server *server)
{
    int running;
    long sleeps;
    look_at_threads(server, &running, &sleeps);
    return running > 0;
}

long server_sleeps(const Server *server)
{
    int running;
    long sleeps;
    look_at_threads(server, &running, &sleeps);
    return sleeps;
}

void server_wait_threads(const Server *server, double seconds, int threads)
{
    int count;
    for (Wait wait = {0}; (count = server_threads(server)) != threads; moment())
        check(still_waiting(&wait, seconds + patience()),
              .expected = words("the server has %d thread%s: %s", threads,
                                threads == 1 ? "" : "s",
                                threads == 1 ? "main's"
                                             : "main's, and one for each "
                                               "worker or each request"),
              .got = words("it has %d", count),
              .cause = count > threads
                           ? "a thread does not end, or more are created "
                             "than there should be"
                           : "a thread has ended, or was never created: does "
                             "main wait for one before it creates the next?",
              .key = count > threads ? "too-many-threads" : "too-few-threads");
}

void server_wait_descriptors(const Server *server, double seconds,
                             int descriptors)
{
    int count;
    for (Wait wait = {0}; (count = server_descriptors(server)) > descriptors;
         moment())
        check(
            still_waiting(&wait, seconds + patience()),
            .expected = "in the end every connection and every file is closed",
            .got = words("%d descriptors are open, %d more than at the start",
                         count, count - descriptors),
            .cause = "a close() or fclose() is missing: on an error, or on the "
                     "way out of a function",
            .key = "descriptors", .read = "No descriptor left");
}
