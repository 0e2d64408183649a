/* A web server for the pages of one directory, on 127.0.0.1. */

#include "server.h"
#include "site.h"
#include "thread_pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_CAPACITY 128 /* slow requests; more are answered with 503 */
#define THREADS_MAX 64

static Server *running; /* for the handler: the one global, as it has no arg */

static void on_signal(int number)
{
    (void)number;
    int saved = errno;
    server_stop(running);
    errno = saved;
}

/* Returns the number that text is, from first to last, or ends the program. */
static int parse_number(const char *text, int first, int last)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < first || number > last) {
        fprintf(stderr, "Not a number from %d to %d: %s\n", first, last, text);
        exit(EXIT_FAILURE);
    }
    return (int)number;
}

/* Returns a socket that listens on 127.0.0.1, or ends the program. */
static int listen_on(int port, int *bound)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof address;
    int yes = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (listener == -1
        || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes)
        || setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes)
        || bind(listener, (struct sockaddr *)&address, size)
        || listen(listener, SOMAXCONN)
        || getsockname(listener, (struct sockaddr *)&address, &size)) {
        fprintf(stderr, "Port %d: %s\n", port, strerror(errno));
        exit(EXIT_FAILURE);
    }
    *bound = ntohs(address.sin_port);
    return listener;
}

int main(int argc, char *argv[])
{
    int port = 7878, threads = 4;
    const char *root = NULL;
    bool quiet = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--quiet") == 0) {
            quiet = true;
        } else if (strcmp(argv[i], "--port") == 0) {
            port = parse_number(value, 0, 65535);
            i++;
        } else if (strcmp(argv[i], "--threads") == 0) {
            threads = parse_number(value, 1, THREADS_MAX);
            i++;
        } else if (strcmp(argv[i], "--root") == 0) {
            root = value;
            i++;
        } else if (strcmp(argv[i], "--help") == 0) {
            printf("Usage: %s ...\n", argv[0]);
            return 0;
        } else {
            port = parse_number(argv[i], 0, 65535);
        }
    }

    signal(SIGPIPE, SIG_IGN);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    Site *site = site_load(root != NULL ? root : "assets");
    if (site == NULL && root == NULL)
        site = site_load(".");
    if (site == NULL) { perror("site"); return 1; }
    ThreadPool *pool;
    int error = thread_pool_build(&pool, (size_t)threads, QUEUE_CAPACITY);
    if (error) { fprintf(stderr, "%s\n", strerror(error)); return 1; }
    int listener = listen_on(port, &port);
    running = server_new(listener, site, pool, quiet);
    if (!running) return 1;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    printf("Listening on http://127.0.0.1:%d\n", port);
    if (!server_run(running))
        _exit(EXIT_FAILURE);
    thread_pool_destroy(pool);
    server_destroy(running);
    site_free(site);
}
