/* A web server for the pages of one directory, on 127.0.0.1. */

#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_CAPACITY 128 /* slow requests that may wait for a worker */

static Server *server; /* static for the signal handler, which has no arg */

/* The first signal ends the server gently, the second at once. */
static void handle_signal(int number)
{
    (void)number;
    int error = errno;
    server_stop(server);
    errno = error;
}

static void handle_signals(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* Returns the number that text names, or ends the program. */
static int parse_number(const char *name, const char *text, int min, int max)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < min || number > max) {
        fprintf(stderr, "Not a %s from %d to %d: %s\n", name, min, max, text);
        exit(EXIT_FAILURE);
    }
    return (int)number;
}

/* Returns a socket that listens on 127.0.0.1, or ends the program. */
static int listen_on(int *port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t)*port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof address;
    int yes = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

#ifdef TCP_DEFER_ACCEPT
    /* On Linux accept() gets a connection when its first bytes are there. */
    setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &yes, sizeof yes);
#endif
    /* Connections inherit this: no answer waits until the last has arrived. */
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (listener == -1
        || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes)
        || bind(listener, (struct sockaddr *)&address, size)
        || listen(listener, SOMAXCONN)
        || getsockname(listener, (struct sockaddr *)&address, &size)) {
        fprintf(stderr, "Port %d: %s\n", *port, strerror(errno));
        exit(EXIT_FAILURE);
    }
    *port = ntohs(address.sin_port);
    return listener;
}

int main(int argc, char *argv[])
{
    static const struct option options[] = {
        {"port", 1, NULL, 'p'}, {"threads", 1, NULL, 't'},
        {"root", 1, NULL, 'r'}, {"quiet", 0, NULL, 'q'},
        {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
    const char *root = access("assets", F_OK) == 0 ? "assets" : ".";
    int port = 7878, threads = 4, option;
    bool quiet = false;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            port = parse_number("port", optarg, 0, 65535);
        else if (option == 't')
            threads = parse_number("number", optarg, 1, 64);
        else if (option == 'r')
            root = optarg;
        else if (option == 'q')
            quiet = true;
        else {
            fprintf(option == 'h' ? stdout : stderr,
                    "Usage: server [--port N] [--threads N] [--root DIR]"
                    " [--quiet] [PORT]\n");
            return option == 'h' ? EXIT_SUCCESS : EXIT_FAILURE;
        }
    }
    if (optind < argc)
        port = parse_number("port", argv[optind], 0, 65535);

    signal(SIGPIPE, SIG_IGN); /* who reads the log may leave */

    ThreadPool *pool;
    int error = thread_pool_build(&pool, (size_t)threads, QUEUE_CAPACITY);
    if (error != 0) {
        fprintf(stderr, "%d threads: %s\n", threads, strerror(error));
        return EXIT_FAILURE;
    }
    Page *site = site_load(root);
    int listener = listen_on(&port);
    server = server_new(listener, site, pool, quiet);
    handle_signals(handle_signal); /* in this thread: workers block them */
    printf("Listening on http://127.0.0.1:%d\n", port);
    if (!server_run(server))
        return EXIT_FAILURE; /* and that ends the workers, too */
    handle_signals(SIG_IGN); /* the handler's server is about to go */
    thread_pool_destroy(pool);
    server_destroy(server);
    site_free(site);
}
