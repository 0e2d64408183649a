/*
 * Somebody else's step 01, written from the contract alone: one function, a
 * table of the answers, recv and send. It proves that the tests take any
 * program.
 */

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const struct {
    const char *request, *status, *page;
} answers[] = {
    {"GET / HTTP/1.1\r\n", "200 OK", "hello.html"},
    {"", "404 NOT FOUND", "404.html"}, /* the start of every request */
};

int main(int argc, char **argv)
{
    const char *port = argc > 1 ? argv[1] : "7878";
    struct addrinfo *where, hints = {.ai_family = AF_INET,
                                     .ai_socktype = SOCK_STREAM,
                                     .ai_flags = AI_NUMERICSERV};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (port[0] == '\0' || strlen(port) > 5
        || strspn(port, "0123456789") != strlen(port) || atoi(port) > 65535
        || getaddrinfo("127.0.0.1", port, &hints, &where) != 0)
        return fprintf(stderr, "%s is not a port\n", port), EXIT_FAILURE;
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int taken = bind(listener, where->ai_addr, where->ai_addrlen);
    freeaddrinfo(where);
    if (taken || listen(listener, 128) != 0)
        return perror(port), EXIT_FAILURE;
    struct sockaddr_in bound;
    socklen_t length = sizeof bound;
    getsockname(listener, (struct sockaddr *)&bound, &length);
    printf("Listening on http://127.0.0.1:%hu\n", ntohs(bound.sin_port));

    for (int client; (client = accept(listener, NULL, NULL)) != -2;
         (void)(client == -1 || close(client))) {
        if (client == -1) {
            perror("accept");
            sleep(1);
            continue;
        }
        char buffer[8193];
        size_t used = 0;
        ssize_t n;
        struct timeval patience = {5, 0};
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        do {
            n = recv(client, buffer + used, sizeof buffer - 1 - used, 0);
            if (n > 0)
                used += (size_t)n;
        } while (n > 0 && !memchr(buffer, '\n', used));
        buffer[used] = '\0';
        if (n < 0 || used == 0)
            continue; /* silent or gone: nobody to answer */

        size_t i = 0;
        while (strncmp(buffer, answers[i].request, strlen(answers[i].request)))
            i++;
        FILE *page = fopen(answers[i].page, "rb");
        if (!page) {
            perror(answers[i].page);
            continue;
        }
        fseek(page, 0, SEEK_END);
        int head = snprintf(buffer, sizeof buffer,
                            "HTTP/1.1 %s\r\nContent-Length: %ld\r\n\r\n",
                            answers[i].status, ftell(page));
        rewind(page);
        for (size_t size = (size_t)head; size > 0;
             size = fread(buffer, 1, sizeof buffer, page))
            for (size_t sent = 0; sent < size; sent += (size_t)n)
                if ((n = send(client, buffer + sent, size - sent, MSG_NOSIGNAL))
                    < 0) {
                    fseek(page, 0, SEEK_END); /* no one reads the rest */
                    break;
                }
        fclose(page);
    }
}
