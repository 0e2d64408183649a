#include "thread_pool.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct client {
    int fd;
    char line[8192];
    size_t len;
};

struct route {
    const char *line, *status, *file;
    unsigned nap;
};
static const struct route routes[] = {
    {"GET / HTTP/1.1", "HTTP/1.1 200 OK", "hello.html", 0},
    {"GET /sleep HTTP/1.1", "HTTP/1.1 200 OK", "hello.html", 5},
    {NULL, "HTTP/1.1 404 NOT FOUND", "404.html", 0},
};

static int put(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k < 0)
            return -1;
        p += k, n -= (size_t)k;
    }
    return 0;
}

static void answer(struct client *c)
{
    const struct route *r = routes;
    while (r->line && strcmp(r->line, c->line))
        r++;
    if (r->nap)
        sleep(r->nap);
    int in = open(r->file, O_RDONLY);
    off_t size = in < 0 ? -1 : lseek(in, 0, SEEK_END);
    char *body = size < 0 ? NULL : malloc((size_t)size + 1);
    if (body) {
        char head[256];
        ssize_t got = pread(in, body, (size_t)size, 0);
        if (got == size) {
            int n =
                snprintf(head, sizeof head, "%s\r\nContent-Length: %ld\r\n\r\n",
                         r->status, (long)size);
            if (put(c->fd, head, (size_t)n) == 0)
                put(c->fd, body, (size_t)size);
        }
    } else
        perror(r->file);
    free(body);
    if (in >= 0)
        close(in);
}

static void talk(void *arg)
{
    struct client *c = arg;
    struct timeval t = {5, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    for (;;) {
        ssize_t n =
            recv(c->fd, c->line + c->len, sizeof c->line - 1 - c->len, 0);
        if (n <= 0)
            break;
        char *end = memchr(c->line + c->len, '\n', (size_t)n);
        c->len += (size_t)n;
        if (end) {
            if (end > c->line && end[-1] == '\r'
                && !memchr(c->line, 0, (size_t)(end - c->line)))
                end[-1] = 0;
            else
                c->line[0] = 0;
            answer(c);
            break;
        }
        if (c->len == sizeof c->line - 1) {
            c->line[0] = 0;
            answer(c);
            break;
        }
    }
    close(c->fd);
    free(c);
}

int main(int argc, char **argv)
{
    char *end = "";
    long port = argc > 1 ? strtol(argv[1], &end, 10) : 7878;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if ((argc > 1 && argv[1][0] == 0) || *end || port < 0 || port > 65535) {
        fprintf(stderr, "usage: server [PORT]\n");
        return 1;
    }
    struct sockaddr_in a;
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_port = htons((unsigned short)port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof a;
    int on = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (s < 0 || bind(s, (void *)&a, len) < 0 || listen(s, 1024) < 0
        || getsockname(s, (void *)&a, &len) < 0) {
        perror("server");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    ThreadPool *pool = thread_pool_new(4);
    printf("Listening on http://127.0.0.1:%u\n", (unsigned)ntohs(a.sin_port));
    while (1) {
        int fd = accept(s, NULL, NULL);
        struct client *c = fd < 0 ? NULL : calloc(1, sizeof *c);
        if (c) {
            c->fd = fd;
            thread_pool_execute(pool, talk, c);
            continue;
        }
        perror("server");
        if (fd >= 0)
            close(fd);
        struct timespec nap = {0, 5000000};
        nanosleep(&nap, NULL);
    }
}
