/*
 * What the tests of the server share: the server from outside, as its clients
 * see it. The program under test has shorter time-outs (see the Makefile here),
 * in seconds: IDLE, HEAD, DRAIN, and WRITE, which is the time for an answer
 * beyond that which it may take at the promised RATE.
 */

#ifndef HELP_H
#define HELP_H

#include "answer.h"
#include "client.h"
#include "files.h"
#include "report.h"
#include "server.h"

#include <criterion/new/assert.h>

#define H "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" H "\r\n"
#define LAST "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n"
#define SLEEP "GET /sleep HTTP/1.1\r\n" H "\r\n"

extern const double timeouts[];
enum { IDLE, HEAD, DRAIN, WRITE };

#define RATE 10000 /* bytes a second */

/* How much later than at its deadline a thing may be noticed on a machine
 * with other things to do. */
#define SLACK 5

/* A connection, and what has come in on it. */
typedef struct {
    int socket;
    char *data;
    size_t size;
    bool ended, reset;
} Client;

typedef struct {
    int status; /* 0: none came */
    char head[1024];
    char *body;
    size_t size;
} Reply;

/* Starts the server with more options. */
Server start_with(const char *options, Options how);

/* Starts it as most tests want it. */
Server start(void);

/* Waits until the server ends. Returns its exit status, -1 after a signal. */
int ended(Server *server);

/* Ends the server as its user does, and checks that it ended well. */
void finish(Server *server);

/* Opens a connection, to be ended by leave(). */
Client client(const Server *server);

/* Sends a text. */
void say(Client *client, const char *text);

/* Closes a connection. */
void leave(Client *client);

/* Takes in what has come, waiting for at most that long. */
void take_in(Client *client, double seconds);

/* Returns the next answer on a connection; its status is 0 if none came whole
 * within that time. The answer to HEAD has no body. */
Reply reply_to(Client *client, bool head_only, double seconds);

/* The same, for any request but HEAD, and with all patience. */
Reply reply(Client *client);

/* Returns how long it takes until the server closes, having said nothing. */
double closed_after(Client *client);

/* Asks on a new connection. Returns the status. */
int ask(const Server *server, const char *request);

/* Checks that / is hello.html. */
void check_pages(const Server *server);

/* The same, and returns how many seconds it took. Checks the status. */
double asking(const Server *server, const char *request, int status);

/* The same, but asks again for up to 3 s while that is refused with 503. */
double asking_until_taken(const Server *server, const char *request);

/* Starts it with 64 descriptors, of which this many, at least, are left for
 * connections; and with more options. */
enum { FEW = 64, ROOM = 40 };
Server start_crowded(const char *options, const char *folder);

/* Returns how many connections such a server takes. */
int capacity(void);

/* Opens a connection that has little room for what comes: so most of a page
 * stays with the server. */
Client narrow_client(const Server *server);

/* Takes in what comes at so many bytes a second, for so long, or until so much
 * is there. */
void sip(Client *client, double rate, double seconds, size_t size);

/* What the system keeps for a server's connections. */
typedef struct {
    int deaf;    /* clients that have not taken all */
    long unsent; /* the most bytes that one of them has to take */
    long unread; /* bytes that the server has to read, and clients to accept */
} Queues;
Queues queues(const Server *server);

/* Waits until the server has read all that was sent. */
void all_is_read(const Server *server);

/* Waits for so long. */
void pass(double seconds);

/* Checks that the large page is whole, and there is no more in the answer. */
void check_large(Client *client, size_t size);

/* Ends the server as its user does. Checks that it ended well, and returns how
 * many seconds it took. */
double finished_after(Server *server);

/* Makes a folder with hello.html and a large page, of that size. */
char *large_site(void);
char *site_of(size_t size);

/* Ends a server of a large_site() beside a client that is fast enough but has
 * not all of the page at the bound: it is cut off, and the status must say so.
 * Returns how many seconds the end took. */
double ended_beside_slow(Server *server);

/* Asks for the large page on a new connection, with so little room for what
 * comes; 0: with the usual. */
Client ask_for_large(const Server *server, int room);

/* Removes a folder with all its files, and frees its name. */
void drop_site(char *folder);

/* Whether seconds lie between two others. */
bool within(double seconds, double from, double to);

#endif
