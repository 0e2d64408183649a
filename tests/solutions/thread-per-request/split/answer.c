#include "answer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Returns the whole file for the caller to free, or NULL. */
static char *load(const char *path, size_t *length)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return NULL;
    char *text = NULL, *larger;
    size_t n, room = 0;
    *length = 0;
    do {
        if (!(larger = realloc(text, room += 65536)))
            break;
        text = larger;
        n = fread(text + *length, 1, room - *length, file);
        *length += n;
    } while (n > 0 && *length == room);
    fclose(file);
    if (larger)
        return text;
    free(text);
    return NULL;
}

static void put(int client, const char *bytes, size_t left)
{
    for (ssize_t n; left > 0 && (n = write(client, bytes, left)) > 0;
         bytes += n)
        left -= (size_t)n;
}

/* Reads up to the end of the first line, one byte at a time. */
static int read_line(int client, char *line, size_t size)
{
    size_t used = 0;
    while (used < size - 1 && read(client, line + used, 1) == 1)
        if (line[used++] == '\n') {
            line[used] = '\0';
            return 1;
        }
    return 0;
}

void *answer(void *socket)
{
    int client = (int)(intptr_t)socket;
    char line[8192], head[100];
    if (read_line(client, line, sizeof line)) {
        const char *status = "200 OK", *path = "hello.html";
        if (strcmp(line, "GET /sleep HTTP/1.1\r\n") == 0) {
            for (unsigned left = 5; left > 0;)
                left = sleep(left);
        } else if (strcmp(line, "GET / HTTP/1.1\r\n") != 0) {
            status = "404 NOT FOUND";
            path = "404.html";
        }
        size_t length = 0;
        char *page = load(path, &length);
        if (!page) {
            perror(path);
            status = "500 INTERNAL SERVER ERROR";
        }
        int n = snprintf(head, sizeof head,
                         "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", status,
                         page ? length : 0);
        put(client, head, (size_t)n);
        if (page)
            put(client, page, length);
        free(page);
        /* Closed with headers unread, the connection would be reset. */
        recv(client, line, sizeof line, MSG_DONTWAIT);
    }
    close(client);
    return NULL;
}
