#define _GNU_SOURCE /* prctl, struct linger */
#include "harness.h"

#include <arpa/inet.h>
#include <criterion/hooks.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
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

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "%s is not set: run the tests with make test-NN\n",
                name);
        abort();
    }
    return value;
}

int step(void)
{
    return atoi(setting("STEP"));
}

double patience(void)
{
    const char *seconds = getenv("PATIENCE");
    return seconds != NULL ? atof(seconds) : 25;
}

void complain(int from, const char *file, int line, const char *format, ...)
{
    char text[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* make diff-01 is no diff: there is no step before the first. */
    if (from > 1)
        cr_assert_fail("%s\n  -> TUTORIAL.md, step %d; make diff-%02d\n"
                       "  (checked in %s, line %d)",
                       text, from, from, file, line);
    cr_assert_fail("%s\n  -> TUTORIAL.md, step %d\n  (checked in %s, line %d)",
                   text, from, file, line);
    abort();
}

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* --- the program under test -------------------------------------------- */

/* A file without a name. */
static int scratch_file(void)
{
    FILE *file = tmpfile();
    cr_assert(file != NULL, "tmpfile: %s", strerror(errno));
    return fileno(file); /* the FILE goes with the test's process */
}

static char *read_all(int file)
{
    struct stat info;
    fstat(file, &info);
    char *text = calloc(1, (size_t)info.st_size + 1);
    ssize_t length = pread(file, text, (size_t)info.st_size, 0);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

/* Returns the port that a line names, the line being what it should be. */
static int parse_port(const char *line)
{
    char *end;
    long port = strtol(strrchr(line, ':') + 1, &end, 10);
    check(1, *end == '\0' && port > 0 && port <= 65535,
          "Expected `Listening on http://127.0.0.1:PORT`, and nothing more on "
          "the line; got `%s`", line);
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
    double deadline = server.started + PATIENCE;
    while (server.port == 0 && server_alive(&server) && now() < deadline) {
        char *output = read_all(server.out);
        char *line = strstr(output, "Listening on http://127.0.0.1:");
        if (line != NULL && (line == output || line[-1] == '\n')
            && strchr(line, '\n') != NULL)
            server.port = parse_port(strtok(line, "\n"));
        free(output);
        moment();
    }
    if (server.port == 0 && !options.may_end)
        complain(1, __FILE__, __LINE__,
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
    if (waitid(P_PID, (id_t)server->pid, &end, WEXITED | WNOHANG | WNOWAIT)
        != 0 || end.si_pid == 0)
        return;
    complain(step(), __FILE__, __LINE__,
             "The server has ended (%s %d); %s. It said:\n%s",
             end.si_code == CLD_EXITED ? "status" : "signal", end.si_status,
             step() == 8 ? "it should, but only after two connections"
                         : "nothing a client does may end it",
             server_errors(server));
}

/* Fails the test if the server ran under a sanitizer that has found a fault. */
static void check_sanitizers(const Server *server)
{
    char *errors = server_errors(server);
    check(step(), strstr(errors, "Sanitizer") == NULL
          && strstr(errors, "runtime error:") == NULL, "%s", errors);
    free(errors);
}

int server_wait(Server *server)
{
    double deadline = now() + PATIENCE;
    while (server_alive(server)) {
        if (now() > deadline) {
            kill(server->pid, SIGKILL);
            complain(step(), __FILE__, __LINE__,
                     "The server is still running after %.0f s; it should "
                     "have ended by itself. Its output:\n%s",
                     PATIENCE, server_output(server));
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
    check(8, WIFEXITED(status) && WEXITSTATUS(status) == 0,
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
    check(1, alive, "The server ended (%s %d) though nothing a client does may "
          "end it. It said:\n%s",
          WIFSIGNALED(server->status) ? "signal" : "status",
          WIFSIGNALED(server->status) ? WTERMSIG(server->status)
                                      : WEXITSTATUS(server->status),
          server_errors(server));
}

char *server_output(const Server *server)
{
    return read_all(server->out);
}

char *server_errors(const Server *server)
{
    return read_all(server->err);
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
    double deadline = now() + PATIENCE;
    for (;;) {
        char *output = server_output(server);
        int found = occurrences(output, text);
        if (found >= count) {
            free(output);
            return;
        }
        check(step(), now() < deadline,
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

void server_wait_threads(const Server *server, int from, int threads)
{
    double deadline = now() + PATIENCE;
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
    double deadline = now() + PATIENCE;
    int count;
    while ((count = server_descriptors(server)) > descriptors) {
        check(1, now() < deadline,
              "The server holds %d descriptors open, %d more than when it "
              "started: a connection or a file is never closed",
              count, count - descriptors);
        moment();
    }
}

/* --- the clients --------------------------------------------------------- */

int client_try_connect(const Server *server)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t)server->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(client != -1, "socket: %s", strerror(errno));
    if (connect(client, (struct sockaddr *)&address, sizeof address) == 0)
        return client;
    close(client);
    return -1;
}

void check_soon_alive(const Server *server)
{
    for (double start = now(); now() < start + 0.2;) {
        check_alive(server);
        moment();
    }
}

int client_connect(const Server *server)
{
    int client = client_try_connect(server);
    int error = errno;
    if (client == -1)
        check_soon_alive(server);
    check(1, client != -1, "The server does not accept a connection: %s",
          strerror(error));
    return client;
}

void client_send(int client, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(client, data, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        data += sent;
        length -= (size_t)sent;
    }
}

void client_ask(int client, const char *request_line)
{
    char request[512];
    int length = snprintf(request, sizeof request,
                          "%s\r\nHost: 127.0.0.1\r\nUser-Agent: tests\r\n"
                          "Accept: */*\r\n\r\n",
                          request_line);
    client_send(client, request, (size_t)length);
}

/* Returns the value of Content-Length and where the body begins, or -1. */
static long parse_head(const Answer *answer, size_t *body)
{
    char *end = answer->data ? strstr(answer->data, "\r\n\r\n") : NULL;
    long length = -1;

    if (end == NULL)
        return -1;
    *body = (size_t)(end + 4 - answer->data);
    for (char *line = strstr(answer->data, "\r\n"); line < end;
         line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, "Content-Length:", 15) == 0)
            length = length == -1 ? strtol(line + 17, NULL, 10) : -2;
    return length;
}

void clients_receive(size_t count, const int clients[], Answer answers[],
                     double seconds)
{
    struct pollfd *polls = calloc(count, sizeof *polls);
    double deadline = now() + seconds;
    size_t open = count;

    for (size_t i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = clients[i], .events = POLLIN};
        answers[i] = (Answer){.data = calloc(1, 1)};
    }
    while (open > 0 && now() < deadline) {
        poll(polls, count, 50);
        for (size_t i = 0; i < count; i++) {
            char block[65536];
            Answer *answer = &answers[i];
            if (polls[i].fd == -1 || polls[i].revents == 0)
                continue;
            ssize_t n = recv(clients[i], block, sizeof block, 0);
            if (n > 0) {
                size_t length = answer->length + (size_t)n;
                if (answer->length == 0)
                    answer->begun = now();
                answer->data = realloc(answer->data, length + 1);
                memcpy(answer->data + answer->length, block, (size_t)n);
                answer->length = length;
                answer->data[length] = '\0';
                continue;
            }
            answer->reset = n == -1;
            answer->at = now();
            close(clients[i]);
            polls[i].fd = -1;
            open--;
        }
    }
    for (size_t i = 0; i < count; i++) {
        size_t body = 0;
        long length = parse_head(&answers[i], &body);
        answers[i].complete =
            length >= 0 && answers[i].length - body == (size_t)length;
        answers[i].timed_out = polls[i].fd != -1;
        if (answers[i].timed_out) {
            answers[i].at = now();
            close(clients[i]);
        }
    }
    free(polls);
}

Answer client_receive(int client, double seconds)
{
    Answer answer;
    clients_receive(1, &client, &answer, seconds);
    return answer;
}

Answer client_get(const Server *server, const char *request_line)
{
    int client = client_connect(server);
    client_ask(client, request_line);
    Answer answer = client_receive(client, PATIENCE);
    if (answer.length == 0)
        check_soon_alive(server);
    return answer;
}

void client_reset(int client)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(client);
}

void check_answer(int from, const Answer *answer, const char *request,
                  const char *status_line, const char *page)
{
    size_t body = 0, page_length;
    char *expected = strchr(page, '\n') ? strdup(page)
                                        : file_read(NULL, page, &page_length);
    if (strchr(page, '\n'))
        page_length = strlen(page);

    /* From step 07 on it is the pool that answers. */
    check(step() >= 7 ? 7 : from, answer->length > 0,
          "`%s` got no answer: %s", request,
          answer->timed_out ? "the server says nothing"
          : answer->reset   ? "the connection was reset"
                            : "the connection was closed");
    long length = parse_head(answer, &body);
    char *end = strstr(answer->data, "\r\n");
    check(from, body > 0 && end != NULL,
          "`%s`: the answer has no head that ends in an empty line "
          "(CR LF CR LF). It begins: %.80s",
          request, answer->data);
    check(from,
          (size_t)(end - answer->data) == strlen(status_line)
              && strncmp(answer->data, status_line, strlen(status_line)) == 0,
          "`%s`: expected `%s`, got `%.*s`", request, status_line,
          (int)(end - answer->data), answer->data);
    check(from, length != -1, "`%s`: the answer has no Content-Length",
          request);
    check(from, length != -2, "`%s`: the answer has two Content-Lengths",
          request);
    check(from, (size_t)length == page_length,
          "`%s`: Content-Length is %ld, the page has %zu bytes", request,
          length, page_length);
    check(from,
          answer->length - body == page_length
              && memcmp(answer->data + body, expected, page_length) == 0,
          "`%s`: the body is not the page: %zu bytes came, %zu expected",
          request, answer->length - body, page_length);
    check(from, !answer->timed_out,
          "`%s`: the connection is not closed after the answer", request);
    free(expected);
}

void check_hello(const Server *server, int from)
{
    Answer answer = client_get(server, "GET / HTTP/1.1");
    check_answer(from, &answer, "GET / HTTP/1.1", "HTTP/1.1 200 OK",
                 "hello.html");
    free(answer.data);
}

void check_idle(int from, const Server *server)
{
    while (now() < server->started + 0.5) /* it may still be starting */
        moment();
    double cpu = server_cpu(server), start = now();
    long before, sleeps;
    int threads = server_threads(server), running, looks = 0, busy = 0;
    look_at_threads(server, &running, &before);
    while (now() < start + 2) {
        check(from, server_threads(server) == threads,
              "The idle server had %d threads, and now has %d", threads,
              server_threads(server));
        looks++;
        busy += server_running(server);
        moment();
    }
    /* On a busy machine even who never sleeps gets little of a CPU. */
    double share = (server_cpu(server) - cpu) / (now() - start);
    if (busy > looks / 2)
        share = (double)busy / looks;
    look_at_threads(server, &running, &sleeps);
    sleeps -= before;
    check(from, share < 0.1,
          "The idle server uses %.0f %% of a CPU: who has nothing to do should "
          "wait, in accept() or at a condition variable", 100 * share);
    check(from, sleeps < 8 || getenv("EXTRA_THREAD") != NULL,
          "In 2 s the idle server woke up %ld times to look whether there is "
          "anything to do: it should wait until it is woken", sleeps);
}

void check_late_threads(int from)
{
    Server server = server_start((Options){.late_threads = true});
    bool answers = step() < 4 || step() > 6;
    int clients[2];
    Answer received[2];
    for (int i = 0; i < 2; i++) { /* both before the first thread begins */
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET / HTTP/1.1");
    }
    clients_receive(2, clients, received, answers ? PATIENCE : 1);
    bool ended = step() != 8 && !server_alive(&server);
    for (int i = 0; i < 2; i++) {
        check(from, !ended && (!answers || received[i].complete),
              "Threads that begin late, 0.3 s after pthread_create, %s: is what "
              "they are given still there, and still the same, when they look "
              "at it? The server said:\n%s",
              ended ? "made the server crash"
                    : "did not serve both of two connections",
              server_errors(&server));
        free(received[i].data);
    }
    if (step() == 8) {
        server_wait_clean(&server);
        return;
    }
    server_wait_threads(&server, from, step() >= 6 ? 5 : 1);
    server_stop(&server);
}

/* The halves of two requests come by turns: each needs a buffer of its own. */
void check_no_mixing(int from)
{
    Server server = server_start((Options){0});
    const char *halves[] = {"GET / HTTP/1", ".1\r\n\r\n"};
    int slow = client_connect(&server);
    client_send(slow, halves[0], strlen(halves[0]));
    for (double start = now(); now() < start + 0.3;) /* let it be read */
        moment();
    Answer other = client_get(&server, "GET /foo HTTP/1.1");
    char byte;
    check(from, recv(slow, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1,
          "While one client had sent half of `GET / HTTP/1.1`, another asked "
          "for `/foo`: it was answered only when the server had given up the "
          "first. Does a thread hold a lock while it serves a client?");
    client_send(slow, halves[1], strlen(halves[1]));
    Answer answer = client_receive(slow, PATIENCE);
    check_answer(from, &other, "GET /foo HTTP/1.1", "HTTP/1.1 404 NOT FOUND",
                 "404.html");
    check(from, strncmp(answer.data, "HTTP/1.1 200 OK\r\n", 17) == 0,
          "While one client had sent half of `GET / HTTP/1.1`, another asked "
          "for `/foo`; then the rest of the first request came, and the "
          "answer was `%.22s`: do the threads share a buffer with each other?",
          answer.data);
    if (from == 8)
        server_wait_clean(&server);
    else
        server_stop(&server);
}

double check_two(int from, const Server *server, const char *first,
                 const char *second)
{
    const char *requests[] = {first, second};
    int clients[2];
    Answer answers[2];

    for (int i = 0; i < 2; i++) {
        clients[i] = client_connect(server);
        client_ask(clients[i], requests[i]);
    }
    clients_receive(2, clients, answers, PATIENCE);
    for (int i = 0; i < 2; i++) {
        check_answer(from, &answers[i], requests[i], "HTTP/1.1 200 OK",
                     "hello.html");
        free(answers[i].data);
    }
    return answers[1].at - answers[0].at;
}

double check_sleep_then_root(int from)
{
    Server server = server_start((Options){0});
    double later =
        check_two(from, &server, "GET /sleep HTTP/1.1", "GET / HTTP/1.1");
    server_stop(&server);
    return later;
}

/* How long a silence must be to be believed, in seconds. */
#define SILENCE 2.0

void check_silence(int from)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int clients[20];
    Answer answers[20];
    for (int i = 0; i < 20; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET / HTTP/1.1");
    }
    clients_receive(20, clients, answers, SILENCE);
    double deadline = now() + PATIENCE;
    int accepted = 0;
    while ((accepted = server_descriptors(&server) - descriptors) < 20
           && now() < deadline)
        moment();
    for (int i = 0; i < 20; i++) {
        check(from, answers[i].timed_out && answers[i].length == 0,
              "In this step a connection is accepted and nothing more happens; "
              "it was %s", answers[i].length > 0 ? "answered" : "closed");
        free(answers[i].data);
    }
    /* Those that wait in the kernel's queue are connected, too. */
    check(from, accepted == 20,
          "Of 20 connections main should accept each, and hand it to the pool, "
          "which does nothing with it yet; the server holds %d", accepted);
    server_stop(&server);
}

void check_failing_worker(int from)
{
    for (int failing = 1; failing <= 4; failing++) {
        Server server = server_start(
            (Options){.failing_thread = failing, .may_end = true});
        check(from, server.port == 0,
              "pthread_create failed for worker %d of 4, and the server "
              "listens as if nothing had happened", failing);
        int status = server_wait(&server);
        char *errors = server_errors(&server);
        check(from,
              WIFEXITED(status) && WEXITSTATUS(status) != 0
                  && strchr(errors, '\n') != NULL,
              "When pthread_create fails, the server should say so on stderr "
              "and exit with a status other than 0; it ended with %s %d and "
              "said: %s",
              WIFEXITED(status) ? "status" : "signal",
              WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
              errors);
        free(errors);
    }
}

/* --- files --------------------------------------------------------------- */

char *file_read(const char *folder, const char *name, size_t *length)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder ? folder : setting("PAGES"),
             name);
    int file = open(path, O_RDONLY);
    cr_assert(file != -1, "%s: %s", path, strerror(errno));
    struct stat info;
    fstat(file, &info);
    *length = (size_t)info.st_size;
    char *data = read_all(file);
    close(file);
    return data;
}

char *folder_new(void)
{
    const char *parent = getenv("TMPDIR");
    char *folder = NULL;
    cr_assert(asprintf(&folder, "%s/hello-XXXXXX", parent ? parent : "/tmp")
              != -1);
    cr_assert(mkdtemp(folder) != NULL, "%s: %s", folder, strerror(errno));
    return folder;
}

void folder_remove(char *folder)
{
    const char *pages[] = {"hello.html", "404.html"};
    for (int i = 0; i < 2; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, pages[i]);
        unlink(path);
    }
    rmdir(folder);
    free(folder);
}

void file_write(const char *folder, const char *name, const void *data,
                size_t length)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    cr_assert(file != NULL && fwrite(data, 1, length, file) == length
              && fclose(file) == 0, "%s: %s", path, strerror(errno));
}
