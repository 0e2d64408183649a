/*
 * A server under load: starts it, talks to it, ends it, and counts its CPU.
 *
 *     server close PORT 20000 16 COMMAND...   a connection for each request
 *     server flood PORT 3000 3000 COMMAND...  all connections at once
 *     server keep PORT 20000 16 COMMAND...    connections that stay
 *     server idle PORT 2000 10000 COMMAND...  the same on one connection,
 *                                             while so many others are idle
 *     server wrk PORT 2 16 COMMAND...         wrk asks, for so many seconds
 *
 * SLEEPERS=4 in the environment: beside so many clients that have asked for
 * /sleep; SILENT=4: beside so many that say nothing. WRK: more options of wrk;
 * PAGE: what it asks for.
 *
 * Each answer is checked (by wrk: its status): that it is whole, and no error.
 * Prints one line, tab-separated:
 *   1 seconds
 *   2 failures
 *   3 microseconds of CPU per request: user and system, of all the server's
 *     processes
 *   4 microseconds that half of the requests took at most
 *   5 the same of 99 %
 *   6 threads, at the most (wrk: at the end)
 *   7 bytes of memory that an idle connection costs the server
 *   8 microseconds of CPU in a quiet second
 *   9 KiB of memory, at the most
 *  10 pages a second
 *  11 the share of all CPU that the busiest thread used, in percent
 */

#define _GNU_SOURCE
#include "../support/answer.h"
#include "../support/clock.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

#define FAMILY_MAX 64   /* processes of a server */
#define THREADS_MAX 256 /* that are looked at one by one */

static struct sockaddr_in address = {.sin_family = AF_INET};
static bool closing; /* a connection for each request */
static const char *request;

typedef struct {
    int socket;
    size_t size;
    double begun;
    char answer[4096];
} Client;

static int client_connect(int flags)
{
    int client = socket(AF_INET, SOCK_STREAM | flags, 0), yes = 1;
    if (client == -1)
        die("socket");
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(client, (struct sockaddr *)&address, sizeof address) == -1
        && errno != EINPROGRESS) {
        close(client);
        return -1;
    }
    return client;
}

/* Starts the command, and waits until it listens. */
static pid_t start(char *command[])
{
    int client = client_connect(0);
    if (client != -1) {
        fprintf(stderr, "Somebody else listens on this port\n");
        exit(EXIT_FAILURE);
    }
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDOUT_FILENO);
        execvp(command[0], command);
        _exit(127);
    }
    double deadline = now() + 10;
    while ((client = client_connect(0)) == -1 && now() < deadline)
        moment();
    if (client == -1)
        die(command[0]);
    close(client);
    usleep(100000);
    return pid;
}

/* Ends it; without mercy if it takes its time. */
static void stop(pid_t pid)
{
    kill(pid, SIGTERM);
    double deadline = now() + 0.5;
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (now() > deadline)
            kill(pid, SIGKILL);
        moment();
    }
}

/* Adds a process and all that it started to those that are known. */
static size_t add_family(pid_t *pids, size_t count, pid_t pid)
{
    char path[64];
    if (count == FAMILY_MAX)
        return count;
    pids[count++] = pid;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid,
             (int)pid);
    FILE *file = fopen(path, "r");
    for (int child; file != NULL && fscanf(file, "%d", &child) == 1;)
        count = add_family(pids, count, child);
    if (file != NULL)
        fclose(file);
    return count;
}

/* Sums up a field of /proc/PID/status for a process and its children. */
static long total(pid_t pid, const char *field)
{
    char path[64], line[256];
    pid_t pids[FAMILY_MAX];
    long sum = 0;
    for (size_t i = add_family(pids, 0, pid); i-- > 0;) {
        snprintf(path, sizeof path, "/proc/%d/status", (int)pids[i]);
        FILE *file = fopen(path, "r");
        while (file != NULL && fgets(line, sizeof line, file) != NULL)
            if (strncmp(line, field, strlen(field)) == 0)
                sum += strtol(line + strlen(field), NULL, 10);
        if (file != NULL)
            fclose(file);
    }
    return sum;
}

/* Microseconds of CPU that a process and its children have used, threads that
 * have ended included. */
static double cpu(pid_t pid)
{
    pid_t pids[FAMILY_MAX];
    double sum = 0;
    for (size_t i = add_family(pids, 0, pid); i-- > 0;) {
        clockid_t clock;
        struct timespec used = {0};
        if (clock_getcpuclockid(pids[i], &clock) == 0)
            clock_gettime(clock, &used);
        sum += (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
    }
    return sum;
}

/* How much CPU a thread has used. */
typedef struct {
    long thread, ticks;
} Usage;

/* Stores it for each thread of a process and its children; returns how many
 * they are. */
static size_t look_at_threads(pid_t pid, Usage *threads)
{
    pid_t pids[FAMILY_MAX];
    size_t count = 0;
    for (size_t i = add_family(pids, 0, pid); i-- > 0;) {
        char path[320], line[512];
        snprintf(path, sizeof path, "/proc/%d/task", (int)pids[i]);
        DIR *folder = opendir(path);
        struct dirent *entry;
        while (folder != NULL && (entry = readdir(folder)) != NULL) {
            snprintf(path, sizeof path, "/proc/%d/task/%s/stat", (int)pids[i],
                     entry->d_name);
            FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
            long user, system; /* the 14th and 15th word; the 2nd ends in ) */
            if (file != NULL && fgets(line, sizeof line, file) != NULL
                && count < THREADS_MAX
                && sscanf(strrchr(line, ')') + 1,
                          "%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%ld%ld", &user,
                          &system)
                       == 2)
                threads[count++] = (Usage){atol(entry->d_name), user + system};
            if (file != NULL)
                fclose(file);
        }
        if (folder != NULL)
            closedir(folder);
    }
    return count;
}

/* The busiest thread's share of the CPU that all have used since they were
 * looked at, in percent. */
static double busiest(pid_t pid, const Usage *before, size_t known)
{
    Usage after[THREADS_MAX];
    long sum = 0, most = 0;
    for (size_t i = look_at_threads(pid, after); i-- > 0;) {
        long ticks = after[i].ticks;
        for (size_t j = 0; j < known; j++)
            if (before[j].thread == after[i].thread)
                ticks -= before[j].ticks;
        sum += ticks;
        most = ticks > most ? ticks : most;
    }
    return sum > 0 ? 100 * (double)most / (double)sum : 0;
}

/* Tells whether a whole answer is there, or with -1 that it is none. */
static int complete(const Client *client)
{
    Head head = answer_head(client->answer, client->size);
    if (head.size == 0)
        return 0;
    if (head.status != 200 || head.body < 0)
        return -1;
    size_t size = head.size + (size_t)head.body;
    return client->size < size ? 0 : client->size == size ? 1 : -1;
}

static void begin(Client *client, int poller)
{
    client->size = 0;
    client->begun = now();
    client->socket = client_connect(SOCK_NONBLOCK);
    if (client->socket == -1)
        die("connect");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    epoll_ctl(poller, EPOLL_CTL_ADD, client->socket, &event);
}

static bool ask(Client *client)
{
    ssize_t size = (ssize_t)strlen(request);
    return send(client->socket, request, (size_t)size, MSG_NOSIGNAL) == size;
}

/* Goes on with a client; 0 while it lasts, 1 if well ended, else -1. */
static int go_on(Client *client, int poller, unsigned events)
{
    if (events & EPOLLOUT) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        epoll_ctl(poller, EPOLL_CTL_MOD, client->socket, &event);
        return ask(client) ? 0 : -1;
    }
    ssize_t n = recv(client->socket, client->answer + client->size,
                     sizeof client->answer - 1 - client->size, 0);
    if (n > 0) {
        client->size += (size_t)n;
        client->answer[client->size] = '\0';
        return closing ? 0 : complete(client);
    }
    return closing && n == 0 ? complete(client) : -1;
}

/* Opens as many connections as the environment says, and sends a text. */
static void keep_company(const char *name, const char *text)
{
    const char *number = getenv(name);
    for (int i = number != NULL ? atoi(number) : 0; i > 0; i--) {
        int client = client_connect(0);
        if (client == -1
            || send(client, text, strlen(text), MSG_NOSIGNAL) == -1)
            die(name);
    }
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* What came of a load. */
typedef struct {
    int count, failed;
    double seconds;
    double half, most; /* microseconds that half and 99 % took at most */
    long threads;
} Result;

/* Asks count times, with so many clients. */
static Result ask_all(pid_t pid, int count, int at_a_time)
{
    Client *clients = calloc((size_t)at_a_time, sizeof *clients);
    double *took = calloc((size_t)count, sizeof *took);
    struct epoll_event events[512];
    int poller = epoll_create1(0), begun = 0, ended = 0;
    Result result = {.count = count, .threads = total(pid, "Threads:")};
    double begin_at = now(), deadline = begin_at + 60, looked = begin_at;
    while (begun < at_a_time && begun < count)
        begin(&clients[begun++], poller);
    while (ended < count && now() < deadline) {
        int ready = epoll_wait(poller, events, 512, 100);
        for (int i = 0; i < ready; i++) {
            Client *client = events[i].data.ptr;
            int outcome = go_on(client, poller, events[i].events);
            if (outcome == 0)
                continue;
            took[ended++] = (now() - client->begun) * 1e6;
            result.failed += outcome == -1;
            if (closing || outcome == -1) {
                close(client->socket);
                if (begun < count) {
                    begin(client, poller);
                    begun++;
                }
            } else if (begun < count) {
                client->size = 0;
                client->begun = now();
                if (!ask(client))
                    result.failed++;
                begun++;
            }
        }
        if (now() > looked + 0.005) {
            long seen = total(pid, "Threads:");
            result.threads = seen > result.threads ? seen : result.threads;
            looked = now();
        }
    }
    result.seconds = now() - begin_at;
    result.failed += count - ended; /* neither answered nor closed */
    qsort(took, (size_t)ended, sizeof *took, compare);
    result.half = took[ended / 2];
    result.most = took[ended * 99 / 100];
    return result;
}

/* Has wrk ask, for so many seconds. */
static Result let_wrk_ask(pid_t pid, int seconds, int connections)
{
    char command[256], line[256];
    const char *options = getenv("WRK"), *page = getenv("PAGE");
    Result result = {0};
    snprintf(command, sizeof command,
             "wrk --latency -d %d -c %d %s http://127.0.0.1:%d%s", seconds,
             connections, options != NULL ? options : "-t 1",
             ntohs(address.sin_port), page != NULL ? page : "/");
    FILE *said = popen(command, "r");
    double rate = 0;
    while (said != NULL && fgets(line, sizeof line, said) != NULL) {
        double took;
        char unit[3];
        int errors[4], percent;
        if (sscanf(line, " %d%% %lf%2s", &percent, &took, unit) == 3) {
            took *= unit[0] == 'u' ? 1 : unit[0] == 'm' ? 1e3 : 1e6;
            if (percent == 50)
                result.half = took;
            if (percent == 99)
                result.most = took;
        } else if (strstr(line, " requests in ") != NULL) {
            result.count = atoi(line);
        } else if (sscanf(line,
                          " Socket errors: connect %d, read %d, write %d,"
                          " timeout %d",
                          &errors[0], &errors[1], &errors[2], &errors[3])
                   == 4) {
            for (int i = 0; i < 4; i++)
                result.failed += errors[i];
        } else if (sscanf(line, " Non-2xx or 3xx responses: %d", &errors[0])
                   == 1) {
            result.failed += errors[0];
        } else {
            sscanf(line, "Requests/sec: %lf", &rate);
        }
    }
    if (said == NULL || pclose(said) != 0 || rate == 0) {
        fprintf(stderr, "Failed: %s\n", command);
        exit(EXIT_FAILURE);
    }
    result.seconds = result.count / rate;
    result.threads = total(pid, "Threads:");
    return result;
}

/* Opens so many connections that have asked once, and say no more. */
static void open_idle(int count)
{
    for (int i = 0; i < count; i++) {
        Client idle = {.socket = client_connect(0)};
        if (idle.socket == -1 || !ask(&idle)
            || recv(idle.socket, idle.answer, sizeof idle.answer, 0) <= 0)
            die("idle");
    }
}

int main(int argc, char *argv[])
{
    if (argc < 6)
        return EXIT_FAILURE;
    const char *mode = argv[1];
    int count = atoi(argv[3]), clients = atoi(argv[4]), idlers = 0;
    address.sin_port = htons((in_port_t)atoi(argv[2]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    closing = mode[0] == 'c' || mode[0] == 'f';
    request = closing ? "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                      : "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    if (mode[0] == 'i') {
        idlers = clients;
        clients = 1;
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    pid_t pid = start(argv + 5);
    long memory = total(pid, "RssAnon:");
    open_idle(idlers);
    double bytes =
        idlers == 0 ? 0
                    : (double)(total(pid, "RssAnon:") - memory) * 1024 / idlers;
    keep_company("SLEEPERS", "GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n");
    keep_company("SILENT", "");
    double before = cpu(pid);
    if (mode[0] == 'i')
        sleep(1);
    double quiet = cpu(pid) - before;

    Usage threads[THREADS_MAX];
    size_t known = look_at_threads(pid, threads);
    before = cpu(pid);
    Result result = mode[0] == 'w' ? let_wrk_ask(pid, count, clients)
                                   : ask_all(pid, count, clients);
    double used = cpu(pid) - before;
    printf("%.3f\t%d\t%.2f\t%.0f\t%.0f\t%ld\t%.0f\t%.0f\t%ld\t%.0f\t%.0f\n",
           result.seconds, result.failed, used / result.count, result.half,
           result.most, result.threads, bytes, quiet, total(pid, "VmHWM:"),
           (result.count - result.failed) / result.seconds,
           busiest(pid, threads, known));
    stop(pid);
    return EXIT_SUCCESS;
}
