#include "help.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
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

Server start_crowded(const char *options, const char *folder)
{
    char *all = words("--quiet %s", options);
    return start_with(all, (Options){.descriptors = FEW, .folder = folder});
}

int capacity(void)
{
    enum { MANY = FEW + 16 };
    Server server = start_crowded("", NULL);
    pass(0.1); /* it has all that it needs itself */
    int before = server_descriptors(&server);
    Client clients[MANY];
    for (int i = 0; i < MANY; i++) {
        clients[i] = client(&server);
        say(&clients[i], "GET / HT");
    }
    int most = before;
    for (double begun = now(); now() < begun + 0.5; moment())
        if (server_descriptors(&server) > most)
            most = server_descriptors(&server);
    server_stop(&server);
    for (int i = 0; i < MANY; i++)
        leave(&clients[i]);
    cr_assert(ge(int, most - before, ROOM));
    return most - before;
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

double finished_after(Server *server)
{
    double begun = now();
    finish(server);
    return now() - begun;
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

/* Adds what recv() returned. */
static void take(Client *client, const char *part, ssize_t got)
{
    client->ended = got <= 0;
    client->reset = got == -1;
    if (got <= 0)
        return;
    client->data = realloc(client->data, client->size + (size_t)got + 1);
    memcpy(client->data + client->size, part, (size_t)got);
    client->size += (size_t)got;
    client->data[client->size] = '\0';
}

void take_in(Client *client, double seconds)
{
    char part[65536];
    struct pollfd ready = {.fd = client->socket, .events = POLLIN};
    if (client->ended || poll(&ready, 1, (int)(seconds * 1000)) <= 0)
        return;
    take(client, part, recv(client->socket, part, sizeof part, 0));
}

Client narrow_client(const Server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((in_port_t)server->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int room = 4096, narrow = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(narrow, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    cr_assert(connect(narrow, (struct sockaddr *)&address, sizeof address)
              == 0);
    return (Client){.socket = narrow, .data = calloc(1, 1)};
}

void sip(Client *client, double rate, double seconds, size_t size)
{
    char part[65536];
    double begun = now(), taken = 0;
    while (now() < begun + seconds && client->size < size && !client->ended) {
        size_t due = (size_t)(rate * (now() - begun) - taken);
        ssize_t got = recv(client->socket, part,
                           due < sizeof part ? due : sizeof part, MSG_DONTWAIT);
        if (due == 0 || (got == -1 && errno == EAGAIN)) {
            moment();
            continue;
        }
        take(client, part, got);
        taken += (double)got;
    }
}

Queues queues(const Server *server)
{
    char line[512];
    Queues found = {0};
    FILE *table = fopen("/proc/net/tcp", "r");
    cr_assert(table != NULL);
    while (fgets(line, sizeof line, table) != NULL) {
        int port;
        unsigned long unsent, unread;
        if (sscanf(line, " %*d: %*8x:%x %*s %*x %lx:%lx", (unsigned *)&port,
                   &unsent, &unread)
                != 3
            || port != server->port)
            continue;
        found.deaf += unsent > 0;
        found.unread += (long)unread;
        if ((long)unsent > found.unsent)
            found.unsent = (long)unsent;
    }
    fclose(table);
    return found;
}

void all_is_read(const Server *server)
{
    for (Wait wait = {0}; queues(server).unread > 0; moment())
        cr_assert(still_waiting(&wait, patience()), "it does not read");
}

void pass(double seconds)
{
    for (double begun = now(); now() < begun + seconds;)
        moment();
}

void check_large(Client *client, size_t size)
{
    Reply answer = reply(client);
    cr_assert(eq(int, answer.status, 200), "%zu bytes of %zu came%s",
              client->size, size, client->reset ? ", then a reset" : "");
    cr_assert(eq(sz, answer.size, size));
    for (size_t i = 0; i < size; i++)
        cr_assert(answer.body[i] == (char)('a' + i % 23), "byte %zu", i);
    free(answer.body);
}

Reply reply_to(Client *client, bool head_only, double seconds)
{
    double deadline = now() + seconds;
    Reply reply = {0};
    take_in(client, 0);
    for (;;) {
        Head head = answer_head(client->data, client->size);
        if (head.size > 0 && (head.body >= 0 || head.status == 304)) {
            size_t body =
                head_only || head.status == 304 ? 0 : (size_t)head.body;
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

double asking(const Server *server, const char *request, int status)
{
    double begun = now();
    cr_assert(eq(int, ask(server, request), status), "after %.1f s: %s",
              now() - begun, request);
    return now() - begun;
}

double asking_until_taken(const Server *server, const char *request)
{
    double begun = now();
    int status;
    while ((status = ask(server, request)) == 503 && now() < begun + 3)
        moment();
    cr_assert(eq(int, status, 200), "after %.1f s: %s", now() - begun, request);
    return now() - begun;
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

enum { LARGE = 8000000 };

char *large_site(void)
{
    return site_of(LARGE);
}

double ended_beside_slow(Server *server)
{
    Client slow = narrow_client(server);
    say(&slow, "GET /large.txt HTTP/1.1\r\n" H "\r\n");
    sip(&slow, 10 * RATE, patience(), 1);
    double begun = now();
    kill(server->pid, SIGTERM);
    while (!slow.ended && now() < begun + 10 + SLACK)
        sip(&slow, 10 * RATE, 0.1, LARGE);
    int status = ended(server);
    double took = now() - begun;
    cr_expect(eq(int, status, 1));
    leave(&slow);
    return took;
}

char *site_of(size_t size)
{
    char *folder = folder_new(), *page = malloc(size);
    for (size_t i = 0; i < size; i++)
        page[i] = (char)('a' + i % 23);
    file_write(folder, "hello.html", "small", 5);
    file_write(folder, "large.txt", page, size);
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
    DIR *stream = opendir(folder);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        unlinkat(dirfd(stream), entry->d_name, 0);
    closedir(stream);
    rmdir(folder);
    free(folder);
}

bool within(double seconds, double from, double to)
{
    return seconds >= from && seconds <= to;
}
