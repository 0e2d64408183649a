/*
 * Somebody else's step 07, written from the contract alone: read and write,
 * a ring buffer, other file names. It proves that the tests take any program.
 */

#include "thread_pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { POOL_SIZE = 4, LINE_SIZE = 8192, SILENCE = 5 };

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        length -= (size_t)n;
    }
    return true;
}

/* Returns the length of the line without its end, or -1 if none came. */
static ssize_t read_line(int fd, char *line)
{
    size_t used = 0;
    while (used < LINE_SIZE) {
        ssize_t n = read(fd, line + used, LINE_SIZE - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        char *end = memchr(line + used, '\n', (size_t)n);
        used += (size_t)n;
        if (end)
            return end > line && end[-1] == '\r' ? end - 1 - line : end - line;
    }
    return -1;
}

/* Copies the page through a small buffer, so that it may have any size. */
static void send_page(int client, const char *status, const char *path)
{
    char buffer[4096];
    struct stat about = {0};
    int page = open(path, O_RDONLY);
    if (page < 0 || fstat(page, &about) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        status = "500 INTERNAL SERVER ERROR";
    }
    ssize_t n = snprintf(buffer, sizeof buffer,
                         "HTTP/1.1 %s\r\nContent-Length: %lld\r\n\r\n", status,
                         (long long)about.st_size);
    while (n > 0 && write_all(client, buffer, (size_t)n))
        n = page < 0 ? 0 : read(page, buffer, sizeof buffer);
    if (page >= 0)
        close(page);
}

static bool is(const char *line, ssize_t length, const char *text)
{
    return length == (ssize_t)strlen(text)
           && memcmp(line, text, strlen(text)) == 0;
}

static void serve(void *arg)
{
    int client = (int)(intptr_t)arg;
    char line[LINE_SIZE];
    ssize_t length = read_line(client, line);
    if (is(line, length, "GET / HTTP/1.1")) {
        send_page(client, "200 OK", "hello.html");
    } else if (is(line, length, "GET /sleep HTTP/1.1")) {
        sleep(5);
        send_page(client, "200 OK", "hello.html");
    } else if (length >= 0) {
        send_page(client, "404 NOT FOUND", "404.html");
    }
    close(client);
}

static int listen_on(const char *port)
{
    char *end;
    errno = 0;
    long number = strtol(port, &end, 10);
    if (end == port || *end || number < 0 || number > 65535) {
        errno = EINVAL;
        die(port);
    }
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)number),
        .sin_addr.s_addr = inet_addr("127.0.0.1"),
    };
    socklen_t size = sizeof address;
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0
        || bind(fd, (struct sockaddr *)&address, size) < 0
        || listen(fd, SOMAXCONN) < 0
        || getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        die(port);
    printf("Listening on http://127.0.0.1:%d\n", ntohs(address.sin_port));
    return fd;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    ThreadPool *pool = thread_pool_new(POOL_SIZE);
    int listener = listen_on(argc > 1 ? argv[1] : "7878");
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) {
            /* Out of descriptors: the workers will close some. */
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
            continue;
        }
        struct timeval silence = {.tv_sec = SILENCE};
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
        thread_pool_execute(pool, serve, (void *)(intptr_t)client);
    }
}
