/* A web server for the pages of one directory, on 127.0.0.1. */

#include "server.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_CAPACITY 128 /* slow requests that may wait for a worker */

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
            threads = parse_number("number of threads", optarg, 1, 64);
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

    signal(SIGPIPE, SIG_IGN); /* a client, or who reads the log, may leave */

    ThreadPool *pool;
    int error = thread_pool_build(&pool, (size_t)threads, QUEUE_CAPACITY);
    if (error != 0) {
        fprintf(stderr, "%d threads: %s\n", threads, strerror(error));
        return EXIT_FAILURE;
    }
    Page *site = site_load(root);
    if (!server_run(port, site, pool, quiet))
        return EXIT_FAILURE; /* and that ends the workers, too */
    thread_pool_destroy(pool);
    site_free(site);
}
