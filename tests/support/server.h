/*
 * The program under test: to start it on a free port, and to look at its
 * threads, descriptors, processor time, output and exit.
 *
 * From the environment: SERVER, the program; PAGES, the folder with hello.html.
 * All functions fail the running test themselves when what they need does not
 * happen. Call them from the test's own thread only.
 */

#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct {
    pid_t pid;
    int port; /* 0: it ended before it listened */
    double started;
    int out; /* files with all that it wrote on stdout and stderr */
    int err;
    int pipe;   /* the end of the unread pipe, or 0 */
    int status; /* as from waitpid(), once ended */
    bool ended;
} Server;

typedef struct {
    const char *port;     /* the argument; NULL means "0", "" means none */
    const char *loops;    /* how many, with --loops; NULL: as many as it has */
    const char *folder;   /* where it runs; NULL means PAGES */
    unsigned descriptors; /* its limit of open files; 0 means the usual */
    int failing_thread;   /* its pthread_create that fails, from 1; 0: none */
    bool hurry;           /* server_hurry() cuts its sleeps short */
    bool gone_visitor;    /* the first whom it accepts has gone */
    bool failing_accept;  /* its accept fails for 0.4 s */
    bool slow_start;      /* its listen, pthread_create take 0.2 s longer */
    bool late_threads;    /* its threads begin 0.3 s after their creation */
    bool faster;          /* its sockets' time-outs take a fifth of the time */
    bool short_calls; /* its sockets take, and give, a few bytes at a time */
    bool may_end;     /* do not insist that it listens */
    bool unread;      /* stdout and stderr are a pipe, of which nobody reads
                       * more than a line; see server_read_pipe() */
    const char *host; /* it says that it listens on; NULL: 127.0.0.1 */
    const char *signal_before; /* a call: see watch/watch.h; NULL: none */
} Options;

/* Starts the program and waits until it listens. */
Server server_start(Options options);

/* From here on, nothing in it sleeps for more than a second. */
void server_hurry(void);

/* Waits until the program ends by itself and returns its exit status; the
 * second knows that it needs so many seconds for that. */
int server_wait(Server *server);
int server_wait_within(Server *server, double seconds);

/* The same, for a program that ends after two connections: with status 0. */
void server_wait_clean(Server *server, double seconds);

/*
 * Ends a program that must still be running, and fails the test if it is not,
 * or if a sanitizer complained.
 */
void server_stop(Server *server);

/* Fails the test if the program has ended, and says how. */
void check_alive(const Server *server);

/* The same, for a server whose connections end a moment before it does. */
void check_soon_alive(const Server *server);

/* Returns false once the program has ended. */
bool server_alive(Server *server);

/* Returns what the program has written so far; to be freed. */
char *server_output(const Server *server);
char *server_errors(const Server *server);

/* What the server that was started last has written on stderr; to be freed. */
char *server_last_errors(void);

/* Moves what the unread pipe holds to what server_output() returns. */
void server_read_pipe(Server *server);

/* Waits until the output holds the text count times. */
void server_wait_output(Server *server, const char *text, int count);

/* Returns how many times a text occurs in another. */
int occurrences(const char *text, const char *part);

/* Number of threads, of open descriptors; processor time in seconds; KiB. */
int server_threads(const Server *server);
int server_descriptors(const Server *server);
double server_cpu(const Server *server);
long server_memory(const Server *server); /* its address space */
long server_peak(const Server *server);   /* the most memory it has used */

/* Wait until the number is the given one, or at most that; it may need so many
 * seconds for that. */
void server_wait_threads(const Server *server, double seconds, int threads);
void server_wait_descriptors(const Server *server, double seconds,
                             int descriptors);

/* Whether the program runs, on a CPU or waiting for one, and does not sleep. */
bool server_running(const Server *server);

/* How often its threads have gone to sleep so far. */
long server_sleeps(const Server *server);

#endif
