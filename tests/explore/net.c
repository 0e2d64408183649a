/*
 * As much of a network as a server's main() needs: two clients connect, say
 * nothing, and hang up. What counts is who closes which connection, and when.
 */
#define _GNU_SOURCE
#include "explore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#define FIRST 4 /* the first connection's number; 3 is the listener */
#define DESCRIPTORS 16

static enum { UNUSED, OPEN, CLOSED } state[DESCRIPTORS];
static int connections, accepted;
static char streams[DESCRIPTORS]; /* their addresses are our FILEs */

void net_reset(void)
{
    memset(state, 0, sizeof state);
    connections = accepted = 0;
}

bool net_has_clients(void)
{
    return accepted < CLIENTS;
}

/* Every connection must have been closed, once. */
void net_check(void)
{
    for (int fd = FIRST; fd < FIRST + connections; fd++)
        if (state[fd] == OPEN)
            fail("never-closed", NULL, "connection %d is never closed",
                 fd - FIRST + 1);
}

static int new_connection(void)
{
    if (FIRST + connections == DESCRIPTORS) {
        errno = EMFILE;
        return -1;
    }
    state[FIRST + connections] = OPEN;
    return FIRST + connections++;
}

static bool is_connection(int fd)
{
    return fd >= FIRST && fd < FIRST + connections;
}

/* A connection is used: it must be open. */
static void use(int fd, const char *does, const void *pc)
{
    if (fd >= FIRST && (!is_connection(fd) || state[fd] != OPEN))
        fail("closed-twice", pc,
             "%s connection %d, which is not open: is it "
             "closed twice?",
             does, fd - FIRST + 1);
}

static int close_it(int fd, const void *pc)
{
    use(fd, "closes", pc);
    if (is_connection(fd)) {
        state[fd] = CLOSED;
        note("closes connection %d", fd - FIRST + 1);
    }
    return 0;
}

static int nothing_to_read(int fd, const void *pc)
{
    use(fd, "reads from", pc);
    return 0;
}

int model_socket(void)
{
    return 3;
}

int model_accept(int listener)
{
    (void)listener;
    step(ACCEPT, NULL, HERE);
    accepted++;
    came_out(USUAL, connections + 1);
    return new_connection();
}

int model_dup(int fd)
{
    use(fd, "copies", HERE);
    return new_connection();
}

int model_close(int fd)
{
    return close_it(fd, HERE);
}

ssize_t model_read(int fd)
{
    return nothing_to_read(fd, HERE);
}

ssize_t model_recv(int fd)
{
    return nothing_to_read(fd, HERE);
}

FILE *model_fdopen(int fd)
{
    use(fd, "opens a stream for", HERE);
    return fd < 0 || fd >= DESCRIPTORS ? NULL : (FILE *)(void *)&streams[fd];
}

static int number_of(const FILE *stream)
{
    return (int)((const char *)stream - streams);
}

int model_fclose(FILE *stream)
{
    return close_it(number_of(stream), HERE);
}

char *model_fgets(char *line, int size, FILE *stream)
{
    (void)line, (void)size;
    nothing_to_read(number_of(stream), HERE);
    return NULL;
}

ssize_t model_getline(char **line, size_t *size, FILE *stream)
{
    (void)line, (void)size;
    return nothing_to_read(number_of(stream), HERE) - 1;
}

int model_getc(FILE *stream)
{
    return nothing_to_read(number_of(stream), HERE) + EOF;
}

int model_fgetc(FILE *stream)
{
    return nothing_to_read(number_of(stream), HERE) + EOF;
}
