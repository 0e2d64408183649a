/*
 * A step under load: a client that checks each answer whole.
 *
 *     steps requests SERVER PAGE 20000 16    20,000 requests, 16 at a time
 *     steps flood SERVER PAGE 3000           3,000 connections opened at once
 *
 * Prints one line of figures, tab-separated, for the script to take medians of:
 * seconds, failures, microseconds of the server's CPU per request, most
 * threads, and the peak of its memory in KiB.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
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

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Starts the server in the current folder; returns its port. */
static in_port_t start(const char *program, pid_t *pid)
{
    int ends[2];
    char line[128];

    if (pipe(ends) == -1 || (*pid = fork()) == -1)
        die("fork");
    if (*pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        execl(program, program, "0", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    if (fgets(line, sizeof line, output) == NULL || strrchr(line, ':') == NULL)
        die(program);
    /* The workers' lines must go on being read: a child does that. */
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        char block[65536];
        while (read(ends[0], block, sizeof block) > 0)
            ;
        _exit(0);
    }
    fclose(output);
    return (in_port_t)atoi(strrchr(line, ':') + 1);
}

/* Returns the number behind a name in the server's /proc/PID/status. */
static long status(pid_t pid, const char *name)
{
    char path[64], line[256];
    long value = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtol(line + strlen(name) + 1, NULL, 10);
    if (file != NULL)
        fclose(file);
    return value;
}

typedef struct {
    int socket;
    size_t length;
    char answer[4096];
} Client;

static struct sockaddr_in server;
static char expected[4096];
static size_t expected_length;

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/* Opens a connection, and asks as soon as it stands. */
static void begin(Client *client, int poller)
{
    client->length = 0;
    client->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (client->socket == -1)
        die("socket");
    if (connect(client->socket, (struct sockaddr *)&server, sizeof server) == -1
        && errno != EINPROGRESS)
        die("connect");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    epoll_ctl(poller, EPOLL_CTL_ADD, client->socket, &event);
}

/* Goes on with a client; returns 0 while it lasts, 1 if well ended, else -1. */
static int go_on(Client *client, int poller, unsigned events)
{
    if (events & EPOLLOUT) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        if (send(client->socket, request, sizeof request - 1, MSG_NOSIGNAL)
            != sizeof request - 1)
            return -1;
        epoll_ctl(poller, EPOLL_CTL_MOD, client->socket, &event);
        return 0;
    }
    ssize_t n = recv(client->socket, client->answer + client->length,
                     sizeof client->answer - client->length, 0);
    if (n > 0) {
        client->length += (size_t)n;
        return client->length < sizeof client->answer ? 0 : -1;
    }
    return n == 0 && client->length == expected_length
                   && memcmp(client->answer, expected, expected_length) == 0
               ? 1
               : -1;
}

int main(int argc, char *argv[])
{
    if (argc < 5)
        return EXIT_FAILURE;
    int count = atoi(argv[4]);
    int at_a_time = argc > 5 ? atoi(argv[5]) : count;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    /* The answer, as the steps send it. */
    char page[2048];
    FILE *file = fopen(argv[3], "r");
    if (file == NULL)
        die(argv[3]);
    size_t length = fread(page, 1, sizeof page, file);
    fclose(file);
    expected_length = (size_t)snprintf(
        expected, sizeof expected,
        "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%.*s", length,
        (int)length, page);

    pid_t pid;
    server = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(start(argv[2], &pid)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    Client *clients = calloc((size_t)at_a_time, sizeof *clients);
    struct epoll_event events[256];
    int poller = epoll_create1(0), begun = 0, ended = 0, failed = 0;
    long threads = 0;
    double deadline = now() + 60, looked = 0, begin_at = now();

    while (begun < at_a_time)
        begin(&clients[begun++], poller);
    while (ended < count && now() < deadline) {
        int ready = epoll_wait(poller, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            Client *client = events[i].data.ptr;
            int result = go_on(client, poller, events[i].events);
            if (result == 0)
                continue;
            ended++;
            failed += result == -1;
            close(client->socket);
            if (begun < count) {
                begin(client, poller);
                begun++;
            }
        }
        if (now() > looked + 0.002) {
            long seen = status(pid, "Threads:");
            threads = seen > threads ? seen : threads;
            looked = now();
        }
    }
    double seconds = now() - begin_at;
    failed += count - ended; /* neither answered nor closed in a minute */
    long memory = status(pid, "VmHWM:");

    struct rusage usage;
    kill(pid, SIGKILL);
    wait4(pid, NULL, 0, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6
                 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    printf("%.3f\t%d\t%.1f\t%ld\t%ld\n", seconds, failed, cpu / count, threads,
           memory);
    return EXIT_SUCCESS;
}
