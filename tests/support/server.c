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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* A file without a name. */
static int scratch_file(void)
{
    FILE *file = tmpfile();
    cr_assert(file != NULL, "tmpfile: %s", strerror(errno));
    return fileno(file); /* the FILE goes with the test's process */
}

/* Returns the port that a line names, the line being what it should be. */
static int parse_port(const char *line)
{
    char *end;
    long port = strtol(strrchr(line, ':') + 1, &end, 10);
    check("single-threaded", *end == '\0' && port > 0 && port <= 65535,
          "Expected `Listening on http://127.0.0.1:PORT`, and nothing more on "
          "the line; got `%s`",
          line);
    return (int)port;
}

Server server_start(Options options)
{
    const char *program = setting("SERVER");
    const char *folder = options.folder ? options.folder : setting("PAGES");
    const char *port = options.port ? options.port : "0";
    char failing[16] = "";
    Server server = {.out = scratch_file(), .err = scratch_file()};
    struct rlimit all;

    /* The tests themselves may need many descriptors. */
    getrlimit(RLIMIT_NOFILE, &all);
    all.rlim_cur = all.rlim_max;
    setrlimit(RLIMIT_NOFILE, &all);
    struct rlimit few = {options.descriptors, options.descriptors};
    if (options.failing_thread > 0)
        snprintf(failing, sizeof failing, "%d", options.failing_thread);
    setenv("FAIL_PTHREAD_CREATE", failing, 1);
    setenv("LATE_THREADS", options.late_threads ? "1" : "", 1);
    setenv("SLOW_START", options.slow_start ? "1" : "", 1);

    pid_t parent = getpid();
    server.pid = fork();
    if (server.pid == 0) { /* nothing but system calls from here to exec */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(126);
        dup2(server.out, STDOUT_FILENO);
        dup2(server.err, STDERR_FILENO);
        for (int fd = 3; fd < 1024; fd++)
            close(fd);
        if (options.descriptors > 0)
            setrlimit(RLIMIT_NOFILE, &few);
        if (chdir(folder) == 0)
            execl(program, program, port[0] ? port : NULL, (char *)NULL);
        _exit(127);
    }
    cr_assert(server.pid > 0, "fork: %s", strerror(errno));

    server.started = now();
    double deadline = server.started + patience();
    while (server.port == 0 && server_alive(&server) && now() < deadline) {
        char *output = file_contents(server.out);
        char *line = strstr(output, "Listening on http://127.0.0.1:");
        if (line != NULL && (line == output || line[-1] == '\n')
            && strchr(line, '\n') != NULL)
            server.port = parse_port(strtok(line, "\n"));
        free(output);
        moment();
    }
    if (server.port == 0 && !options.may_end)
        complain("single-threaded", __FILE__, __LINE__,
                 "The server %s without the line `Listening on "
                 "http://127.0.0.1:PORT` on stdout. It said:\n%s%s",
                 server.ended ? "ended" : "went on for a while",
                 server_output(&server), server_errors(&server));
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
    if (waitid(P_PID, (id_t)server->pid, &end, WEXITED | WNOHANG | WNOWAIT) != 0
        || end.si_pid == 0)
        return;
    complain(step_name(), __FILE__, __LINE__,
             "The server has ended (%s %d); %s. It said:\n%s",
             end.si_code == CLD_EXITED ? "status" : "signal", end.si_status,
             step("ends_after_two")
                 ? "it should, but only after two connections"
                 : "nothing a client does may end it",
             server_errors(server));
}

/* Fails the test if the server ran under a sanitizer that has found a fault. */
static void check_sanitizers(const Server *server)
{
    char *errors = server_errors(server);
    check(step_name(),
          strstr(errors, "Sanitizer") == NULL
              && strstr(errors, "runtime error:") == NULL,
          "%s", errors);
    free(errors);
}

int server_wait(Server *server)
{
    double deadline = now() + patience();
    while (server_alive(server)) {
        if (now() > deadline) {
            kill(server->pid, SIGKILL);
            complain(step_name(), __FILE__, __LINE__,
                     "The server is still running after %.0f s; it should "
                     "have ended by itself. Its output:\n%s",
                     patience(), server_output(server));
        }
        moment();
    }
    check_sanitizers(server);
    return server->status;
}

void server_wait_clean(Server *server)
{
    int status = server_wait(server);
    char *errors = server_errors(server);
    check("graceful-shutdown", WIFEXITED(status) && WEXITSTATUS(status) == 0,
          "After two connections the server should exit with status 0; it "
          "ended with %s %d. On stderr:\n%s",
          WIFEXITED(status) ? "status" : "signal",
          WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), errors);
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
    check("single-threaded", alive,
          "The server ended (%s %d) though nothing a client does may "
          "end it. It said:\n%s",
          WIFSIGNALED(server->status) ? "signal" : "status",
          WIFSIGNALED(server->status) ? WTERMSIG(server->status)
                                      : WEXITSTATUS(server->status),
          server_errors(server));
}

char *server_output(const Server *server)
{
    return file_contents(server->out);
}

char *server_errors(const Server *server)
{
    return file_contents(server->err);
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
    double deadline = now() + patience();
    for (;;) {
        char *output = server_output(server);
        int found = occurrences(output, text);
        if (found >= count) {
            free(output);
            return;
        }
        check(step_name(), now() < deadline,
              "The server should have printed `%s` %d times; it printed:\n%s",
              text, count, output);
        free(output);
        moment();
    }
}

/* Counts the entries of a folder in /proc. */
static int count_entries(pid_t pid, const char *what)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    DIR *folder = opendir(path);
    int count = 0;

    cr_assert(folder != NULL, "%s: %s (these tests need Linux's /proc)", path,
              strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

int server_threads(const Server *server)
{
    int threads = count_entries(server->pid, "task");
    /* ThreadSanitizer adds one of its own with the program's first. */
    return getenv("EXTRA_THREAD") && threads > 1 ? threads - 1 : threads;
}

int server_descriptors(const Server *server)
{
    return count_entries(server->pid, "fd");
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

void server_wait_threads(const Server *server, const char *from, int threads)
{
    double deadline = now() + patience();
    int count;
    while ((count = server_threads(server)) != threads) {
        check(from, now() < deadline,
              "The server has %d threads; it should come to %d", count,
              threads);
        moment();
    }
}

void server_wait_descriptors(const Server *server, int descriptors)
{
    double deadline = now() + patience();
    int count;
    while ((count = server_descriptors(server)) > descriptors) {
        check("single-threaded", now() < deadline,
              "The server holds %d descriptors open, %d more than when it "
              "started: a connection or a file is never closed",
              count, count - descriptors);
        moment();
    }
}
