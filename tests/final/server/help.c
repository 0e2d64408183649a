#include "help.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

const double timeouts[] = {30 * SECOND / 1e3, 10 * SECOND / 1e3,
                           2 * SECOND / 1e3, 30 * SECOND / 1e3};

Server start_with(const char *options, Options how)
{
    setenv("OPTIONS", options, 1);
    return server_start(how);
}

Server start(void)
{
    return start_with("--quiet --loops 2", (Options){0});
}

int ended(Server *server)
{
    int status = server_wait(server);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void finish(Server *server)
{
    cr_assert(server_alive(server), "the server ended: %s",
              server_errors(server));
    kill(server->pid, SIGTERM);
    int status = ended(server);
    cr_assert(eq(int, status, 0), "%s", server_errors(server));
}

Client client(const Server *server)
{
    return (Client){.socket = client_connect(server), .data = calloc(1, 1)};
}

void say(Client *client, const char *text)
{
    client_send(client->socket, text, strlen(text));
}

void leave(Client *client)
{
    close(client->socket);
    free(client->data);
}

void take_in(Client *client, double seconds)
{
    char part[65536];
    struct pollfd ready = {.fd = client->socket, .events = POLLIN};
    if (client->ended || poll(&ready, 1, (int)(seconds * 1000)) <= 0)
        return;
    ssize_t got = recv(client->socket, part, sizeof part, 0);
    client->ended = got <= 0;
    client->reset = got == -1;
    if (got > 0) {
        client->data = realloc(client->data, client->size + (size_t)got + 1);
        memcpy(client->data + client->size, part, (size_t)got);
        client->size += (size_t)got;
        client->data[client->size] = '\0';
    }
}

Reply reply_to(Client *client, bool head_only, double seconds)
{
    double deadline = now() + seconds;
    Reply reply = {0};
    for (;;) {
        Head head = answer_head(client->data, client->size);
        if (head.size > 0 && head.body >= 0) {
            size_t body = head_only ? 0 : (size_t)head.body;
            size_t whole = head.size + body;
            if (client->size >= whole) {
                snprintf(reply.head, sizeof reply.head, "%.*s", (int)head.size,
                         client->data);
                reply.status = head.status;
                reply.size = body;
                reply.body = malloc(body + 1);
                memcpy(reply.body, client->data + head.size, body);
                reply.body[body] = '\0';
                client->size -= whole;
                memmove(client->data, client->data + whole, client->size + 1);
                return reply;
            }
        }
        if (client->ended || now() > deadline)
            return reply;
        take_in(client, 0.1);
    }
}

Reply reply(Client *client)
{
    return reply_to(client, false, patience());
}

double closed_after(Client *client)
{
    double start = now();
    while (!client->ended && now() < start + patience())
        take_in(client, 0.1);
    cr_assert(client->ended, "still open after %.0f s", patience());
    return now() - start;
}

int ask(const Server *server, const char *request)
{
    Client one = client(server);
    say(&one, request);
    Reply answer = reply(&one);
    free(answer.body);
    leave(&one);
    return answer.status;
}

void check_pages(const Server *server)
{
    Client one = client(server);
    say(&one, GET);
    Reply answer = reply(&one);
    size_t size;
    char *page = file_read(NULL, "hello.html", &size);
    cr_assert(eq(int, answer.status, 200));
    cr_assert(eq(sz, answer.size, size));
    cr_assert(memcmp(answer.body, page, size) == 0);
    free(page);
    free(answer.body);
    leave(&one);
}

char *large_site(void)
{
    enum { LARGE = 8000000 };
    char *folder = folder_new(), *page = malloc(LARGE);
    for (int i = 0; i < LARGE; i++)
        page[i] = (char)('a' + i % 23);
    file_write(folder, "hello.html", "small", 5);
    file_write(folder, "large.txt", page, LARGE);
    free(page);
    return folder;
}

Client ask_for_large(const Server *server, int room)
{
    Client one = client(server);
    if (room > 0)
        setsockopt(one.socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    say(&one, "GET /large.txt HTTP/1.1\r\n" H "\r\n");
    return one;
}

void drop_site(char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/hello.html", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/large.txt", folder);
    unlink(path);
    rmdir(folder);
    free(folder);
}

bool within(double seconds, double from, double to)
{
    return seconds >= from && seconds <= to;
}
