/*
 * A server under load: starts it, talks to it, ends it, and counts its CPU.
 *
 *     server close PORT 20000 16 COMMAND...   a connection for each request
 *     server flood PORT 3000 3000 COMMAND...  all connections at once
 *     server keep PORT 20000 16 COMMAND...    connections that stay
 *     server idle PORT 2000 10000 COMMAND...  the same on one connection,
 *                                             while so many others are idle
 *
 * SLEEPERS=4 in the environment: beside so many clients that have asked for
 * /sleep; SILENT=4: beside so many that say nothing.
 *
 * Each answer is checked: its status, and that it is as long as it says.
 * Prints one line, tab-separated: seconds, failures, microseconds of CPU (user
 * and system, of all the server's processes) per request, microseconds that
 * half and 99 % of the requests took at most, most threads, bytes of memory
 * that an idle connection costs the server, CPU microseconds of a quiet second,
 * KiB of memory at the most.
 */

#define _GNU_SOURCE
#include "../support/answer.h"
#include "../support/clock.h"

#include <arpa/inet.h>
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
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDOUT_FILENO);
        execvp(command[0], command);
        _exit(127);
    }
    int client;
    double deadline = now() + 10;
    while ((client = client_connect(0)) == -1 && now() < deadline)
        usleep(10000);
    if (client == -1)
        die(command[0]);
    close(client);
    usleep(100000);
    return pid;
}

/* Sums up a field of /proc/PID/status for a process and its children. */
static long total(pid_t pid, const char *field)
{
    char path[64], line[256];
    long sum = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            sum = strtol(line + strlen(field), NULL, 10);
    if (file != NULL)
        fclose(file);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid,
             (int)pid);
    file = fopen(path, "r");
    for (int child; file != NULL && fscanf(file, "%d", &child) == 1;)
        sum += total(child, field);
    if (file != NULL)
        fclose(file);
    return sum;
}

/* Microseconds of CPU that a process and its children have used, threads that
 * have ended included. */
static double cpu(pid_t pid)
{
    char path[64];
    clockid_t clock;
    struct timespec used = {0};
    if (clock_getcpuclockid(pid, &clock) == 0)
        clock_gettime(clock, &used);
    double sum = (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid,
             (int)pid);
    FILE *file = fopen(path, "r");
    for (int child; file != NULL && fscanf(file, "%d", &child) == 1;)
        sum += cpu(child);
    if (file != NULL)
        fclose(file);
    return sum;
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

int main(int argc, char *argv[])
{
    if (argc < 6)
        return EXIT_FAILURE;
    const char *mode = argv[1];
    int count = atoi(argv[3]), at_a_time = atoi(argv[4]), idlers = 0;
    address.sin_port = htons((in_port_t)atoi(argv[2]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    closing = mode[0] == 'c' || mode[0] == 'f';
    request = closing ? "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                      : "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    if (mode[0] == 'i') {
        idlers = at_a_time;
        at_a_time = 1;
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    pid_t pid = start(argv + 5);
    Client *clients = calloc((size_t)at_a_time, sizeof *clients);
    Client *idle = calloc((size_t)idlers + 1, sizeof *idle);
    double *took = calloc((size_t)count, sizeof *took);
    struct epoll_event events[512];
    int poller = epoll_create1(0), begun = 0, ended = 0, failed = 0;

    long memory = total(pid, "RssAnon:"), threads = total(pid, "Threads:");
    for (int i = 0; i < idlers; i++) {
        idle[i].socket = client_connect(0);
        if (idle[i].socket == -1 || !ask(&idle[i])
            || recv(idle[i].socket, idle[i].answer, sizeof idle[i].answer, 0)
                   <= 0)
            die("idle");
    }
    double bytes =
        idlers == 0 ? 0
                    : (double)(total(pid, "RssAnon:") - memory) * 1024 / idlers;
    keep_company("SLEEPERS", "GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n");
    keep_company("SILENT", "");
    double before = cpu(pid);
    if (idlers > 0)
        sleep(1);
    double quiet = cpu(pid) - before;

    before = cpu(pid);
    double deadline = now() + 60, begin_at = now(), looked = begin_at;
    while (begun < at_a_time && begun < count)
        begin(&clients[begun++], poller);
    while (ended < count && now() < deadline) {
        int ready = epoll_wait(poller, events, 512, 100);
        for (int i = 0; i < ready; i++) {
            Client *client = events[i].data.ptr;
            int result = go_on(client, poller, events[i].events);
            if (result == 0)
                continue;
            took[ended++] = (now() - client->begun) * 1e6;
            failed += result == -1;
            if (closing || result == -1) {
                close(client->socket);
                if (begun < count) {
                    begin(client, poller);
                    begun++;
                }
            } else if (begun < count) {
                client->size = 0;
                client->begun = now();
                if (!ask(client))
                    failed++;
                begun++;
            }
        }
        if (now() > looked + 0.005) {
            long seen = total(pid, "Threads:");
            threads = seen > threads ? seen : threads;
            looked = now();
        }
    }
    double seconds = now() - begin_at, used = cpu(pid) - before;
    long peak = total(pid, "VmHWM:");
    failed += count - ended; /* neither answered nor closed in a minute */
    qsort(took, (size_t)ended, sizeof *took, compare);
    kill(pid, SIGTERM);
    usleep(200000);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    printf("%.3f\t%d\t%.2f\t%.0f\t%.0f\t%ld\t%.0f\t%.0f\t%ld\n", seconds,
           failed, used / count, took[ended / 2], took[ended * 99 / 100],
           threads, bytes, quiet, peak);
    return EXIT_SUCCESS;
}
