#define _GNU_SOURCE /* struct linger */
#include "client.h"

#include "answer.h"
#include "report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int client_try_connect(const Server *server)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t)server->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(client != -1, "socket: %s", strerror(errno));
    /* Linux waits for minutes where a backlog is full. */
    double seconds = patience();
    struct timeval limit = {(time_t)seconds, 0};
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(client, (struct sockaddr *)&address, sizeof address) == 0)
        return client;
    close(client);
    return -1;
}

void check_soon_alive(const Server *server)
{
    for (double start = now(); now() < start + 0.2;) {
        check_alive(server);
        moment();
    }
}

int client_connect(const Server *server)
{
    int client = client_try_connect(server);
    int error = errno;
    if (client == -1)
        check_soon_alive(server);
    check(client != -1, .expected = "the server accepts a connection",
          .got = error == EINPROGRESS || error == EAGAIN
                     ? "nothing happens: the connection is not even queued"
                     : words("it is refused: %s", strerror(error)),
          .cause = error == ECONNREFUSED
                       ? "nobody listens on the port that the line names: is "
                         "it printed "
                         "before listen(), are its bytes swapped (htons, "
                         "ntohs), or is the "
                         "listener closed?"
                       : "main does not come back to accept(), and the backlog "
                         "of listen() "
                         "is small",
          .key = "no-connection", .read = "Listening");
    return client;
}

void client_send(int client, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(client, data, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        data += sent;
        length -= (size_t)sent;
    }
}

void client_ask(int client, const char *request_line)
{
    char request[512];
    int length = snprintf(request, sizeof request,
                          "%s\r\nHost: 127.0.0.1\r\nUser-Agent: tests\r\n"
                          "Accept: */*\r\nConnection: close\r\n\r\n",
                          request_line);
    client_send(client, request, (size_t)length);
}

void clients_receive(size_t count, const int clients[], Answer answers[],
                     double seconds)
{
    struct pollfd *polls = calloc(count, sizeof *polls);
    Wait wait = {0};
    size_t open = count;

    for (size_t i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = clients[i], .events = POLLIN};
        answers[i] = (Answer){.data = calloc(1, 1)};
    }
    while (open > 0 && still_waiting(&wait, seconds)) {
        poll(polls, count, 50);
        for (size_t i = 0; i < count; i++) {
            char block[65536];
            Answer *answer = &answers[i];
            if (polls[i].fd == -1 || polls[i].revents == 0)
                continue;
            ssize_t n = recv(clients[i], block, sizeof block, 0);
            if (n > 0) {
                size_t length = answer->length + (size_t)n;
                if (answer->length == 0)
                    answer->begun = now();
                answer->data = realloc(answer->data, length + 1);
                memcpy(answer->data + answer->length, block, (size_t)n);
                answer->length = length;
                answer->data[length] = '\0';
                continue;
            }
            answer->reset = n == -1;
            answer->at = now();
            close(clients[i]);
            polls[i].fd = -1;
            open--;
        }
    }
    for (size_t i = 0; i < count; i++) {
        Head head = answer_head(answers[i].data, answers[i].length);
        answers[i].complete =
            head.body >= 0
            && answers[i].length - head.size == (size_t)head.body;
        answers[i].timed_out = polls[i].fd != -1;
        if (answers[i].timed_out) {
            answers[i].at = now();
            close(clients[i]);
        }
    }
    free(polls);
}

/* Whether an answer's data begin with so many whole answers. */
static bool holds(const Answer *answer, int count)
{
    const char *data = answer->data;
    size_t length = answer->length;
    for (; count > 0; count--) {
        Head head = answer_head(data, length);
        if (head.body < 0 || length < head.size + (size_t)head.body)
            return false;
        data += head.size + (size_t)head.body;
        length -= head.size + (size_t)head.body;
    }
    return true;
}

Answer client_receive_some(int client, int count, double seconds)
{
    Answer answer = {.data = calloc(1, 1)};
    bool open = true;
    Wait wait = {0};
    while (!(answer.complete = holds(&answer, count)) && open
           && still_waiting(&wait, seconds)) {
        struct pollfd input = {.fd = client, .events = POLLIN};
        char block[65536];
        if (poll(&input, 1, 50) <= 0)
            continue;
        ssize_t n = recv(client, block, sizeof block, 0);
        open = n > 0;
        answer.reset = n == -1;
        if (!open)
            break;
        if (answer.length == 0)
            answer.begun = now();
        answer.data = realloc(answer.data, answer.length + (size_t)n + 1);
        memcpy(answer.data + answer.length, block, (size_t)n);
        answer.length += (size_t)n;
        answer.data[answer.length] = '\0';
    }
    answer.at = now();
    answer.timed_out = open && !answer.complete;
    return answer;
}

Answer client_receive(int client, double seconds)
{
    Answer answer;
    clients_receive(1, &client, &answer, seconds);
    return answer;
}

Answer client_get_within(const Server *server, const char *request_line,
                         double seconds)
{
    int client = client_connect(server);
    client_ask(client, request_line);
    Answer answer = client_receive(client, seconds + patience());
    if (answer.length == 0)
        check_soon_alive(server);
    return answer;
}

Answer client_get(const Server *server, const char *request_line)
{
    return client_get_within(server, request_line, 0);
}

void client_reset(int client)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(client);
}
