/* The server of step 07 on GLib's GThreadPool: `diff` it with step 07. */

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define POOL_SIZE 4
#define REQUEST_LINE_MAX 8192 /* bytes, with the CR LF and a NUL */

/* Returns the port that text names, or ends the program. */
static in_port_t parse_port(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);
    if (end == text || *end != '\0' || port < 0 || port > 65535) {
        fprintf(stderr, "Not a port from 0 to 65535: %s\n", text);
        exit(EXIT_FAILURE);
    }
    return (in_port_t)port;
}

/* Returns a socket that listens on 127.0.0.1, or ends the program. */
static int listen_on(in_port_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = inet_addr("127.0.0.1"),
    };
    socklen_t size = sizeof address;
    int yes = 1; /* a restart need not wait until old connections expire */
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (listener == -1
        || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes)
        || bind(listener, (struct sockaddr *)&address, size)
        || listen(listener, SOMAXCONN)
        || getsockname(listener, (struct sockaddr *)&address, &size)) {
        fprintf(stderr, "Port %d: %s\n", port, strerror(errno));
        exit(EXIT_FAILURE);
    }
    printf("Listening on http://127.0.0.1:%d\n", ntohs(address.sin_port));
    return listener;
}

/* Returns a file's text, up to any NUL, which the caller frees, or NULL. */
static char *read_file(const char *filename)
{
    FILE *file = fopen(filename, "r");
    if (file == NULL)
        return NULL;
    struct stat info;
    char *text = NULL;
    if (fstat(fileno(file), &info) == 0 && S_ISREG(info.st_mode))
        text = malloc((size_t)info.st_size + 1);
    if (text != NULL)
        text[fread(text, 1, (size_t)info.st_size, file)] = '\0';
    fclose(file);
    return text;
}

/* Sends the page that the request line asks for. */
static void respond(int connection, const char *request_line)
{
    const char *status_line, *filename;
    if (strcmp(request_line, "GET / HTTP/1.1\r\n") == 0) {
        status_line = "HTTP/1.1 200 OK";
        filename = "hello.html";
    } else if (strcmp(request_line, "GET /sleep HTTP/1.1\r\n") == 0) {
        sleep(5);
        status_line = "HTTP/1.1 200 OK";
        filename = "hello.html";
    } else {
        status_line = "HTTP/1.1 404 NOT FOUND";
        filename = "404.html";
    }

    char *contents = read_file(filename);
    if (contents == NULL) {
        perror(filename);
        return;
    }
    dprintf(connection, "%s\r\nContent-Length: %zu\r\n\r\n%s", status_line,
            strlen(contents), contents);
    free(contents);
}

/* Answers the one request of a connection, and closes the connection. */
static void handle_connection(int connection)
{
    struct timeval limit = {.tv_sec = 5}; /* a silent client's time */
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);

    FILE *stream = fdopen(connection, "r");
    if (stream == NULL) {
        perror("fdopen");
        close(connection);
        return;
    }

    char request_line[REQUEST_LINE_MAX];
    if (fgets(request_line, sizeof request_line, stream) != NULL)
        respond(connection, request_line);
    fclose(stream); /* and with it the connection */
}

/* Serves a connection: a pool of GLib has one function for all its jobs. Its
 * argument must not be NULL, as descriptor 0 would be: hence the 1. */
static void run(gpointer arg, gpointer unused)
{
    (void)unused;
    handle_connection(GPOINTER_TO_INT(arg) - 1);
}

int main(int argc, char *argv[])
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN); /* a client that left must not end the server */
    GError *error = NULL;
    GThreadPool *pool = g_thread_pool_new(run, NULL, POOL_SIZE, TRUE, &error);
    if (error != NULL) {
        fprintf(stderr, "GThreadPool: %s\n", error->message);
        exit(EXIT_FAILURE);
    }
    int listener = listen_on(argc > 1 ? parse_port(argv[1]) : 7878);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection == -1) {
            perror("accept");
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
            continue;
        }
        g_thread_pool_push(pool, GINT_TO_POINTER(connection + 1), NULL);
    }
}
