/*
 * libFuzzer on the connection, with a pair of sockets: what arrives, in
 * pieces, between them time-outs, a client that stops reading or leaves. The
 * first bytes of the input say what happens; the rest is what the client says.
 */

#include "connection.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(condition)                                                       \
    if (!(condition))                                                          \
    abort()

/* Takes what has come; checks that it is answers, from the first on. */
static void receive(int client, size_t *total)
{
    char part[16384];
    ssize_t got;
    while ((got = recv(client, part, sizeof part, MSG_DONTWAIT)) > 0) {
        if (*total == 0)
            CHECK(memcmp(part, "HTTP/1.1 ", got < 9 ? (size_t)got : 9) == 0);
        *total += (size_t)got;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Site *site;
    if (site == NULL) {
        site = site_load("assets");
        signal(SIGPIPE, SIG_IGN);
    }
    Service service = {.site = site, .stop_deadline = INT64_MAX};
    int64_t now = 0;
    int ends[2], small = 1;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return 0;
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    Connection *connection = connection_new(ends[0], &service);
    connection->date = "now";
    size_t total = 0, script = size / 4 < 16 ? size / 4 : 16;
    const uint8_t *said = data + script;
    size -= script;

    for (size_t i = 0; connection->state != CONNECTION_CLOSED; i++) {
        unsigned act = i < script ? data[i] : 255;
        size_t piece = act < 128 ? act : size;
        piece = piece < size ? piece : size;
        if (ends[1] != -1 && piece > 0) {
            ssize_t sent = send(ends[1], said, piece, MSG_DONTWAIT);
            if (sent > 0) {
                said += sent;
                size -= (size_t)sent;
            }
        }
        if (act == 200 && connection->state != CONNECTION_NEW
            && connection->state != CONNECTION_WORK) {
            now = now > connection->deadline ? now : connection->deadline;
            connection_expire(connection, now);
        } else if (act == 201 && connection->state == CONNECTION_WORK)
            connection_refuse(connection, now);
        else if (act == 202 && service.stop_deadline == INT64_MAX)
            service.stop_deadline = now + STOP_TIME;
        else if (act == 205 || act == 206) {
            service.full = act == 205;
            now += 1000;
            if (connection->state != CONNECTION_WORK)
                connection_hurry(connection, now);
        } else if (act == 203 && ends[1] != -1) {
            close(ends[1]);
            ends[1] = -1;
        } else if (act == 204 && ends[1] != -1)
            shutdown(ends[1], SHUT_WR);
        if (connection->state != CONNECTION_CLOSED)
            connection_advance(connection, now);
        CHECK(connection->input == NULL
              || connection->state != CONNECTION_IDLE);
        if (ends[1] != -1 && act % 2 == 1)
            receive(ends[1], &total);
        if (i > script + 4 && size == 0 && ends[1] != -1)
            shutdown(ends[1], SHUT_WR);
        CHECK(i < 100000); /* it comes to an end */
    }
    connection_destroy(connection);
    if (ends[1] != -1)
        close(ends[1]);
    return 0;
}
