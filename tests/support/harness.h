/*
 * What the black-box tests need: to start the program under test on a free
 * port, to talk to it byte by byte, and to look at its threads, descriptors,
 * processor time, output and exit.
 *
 * The program and the step it has reached come from the environment: SERVER,
 * PAGES (the folder with hello.html) and STEP; tests/run sets them.
 *
 * All functions fail the running test themselves when what they need does not
 * happen. Call them from the test's own thread only.
 */

#ifndef HARNESS_H
#define HARNESS_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Seconds that anything may take before a test gives up on it: 25, or what
 * the environment says in PATIENCE. */
#define PATIENCE patience()
double patience(void);

/* Criterion's own limit. The same for every suite: a mixture loses limits. */
#define TIMEOUT 90

/* The step that the program under test has reached: 1 to 8. */
int step(void);

/*
 * Asserts the condition, or says what was expected and what came. The rule
 * comes from the given step: that is where to read on.
 */
#define check(from, condition, ...)                                            \
    do {                                                                       \
        if (!(condition))                                                      \
            complain(from, __FILE__, __LINE__, __VA_ARGS__);                   \
    } while (0)
void complain(int from, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5), noreturn));

/* Seconds since some fixed moment. */
double now(void);

/* Waits a moment: for loops that look for an event until a deadline. */
void moment(void);

typedef struct {
    pid_t pid;
    int port; /* 0: it ended before it listened */
    double started;
    int out;  /* files with all that it wrote on stdout and stderr */
    int err;
    int status; /* as from waitpid(), once ended */
    bool ended;
} Server;

typedef struct {
    const char *port;      /* the argument; NULL means "0", "" means none */
    const char *folder;    /* where it runs; NULL means PAGES */
    unsigned descriptors;  /* its limit of open files; 0 means the usual */
    int failing_thread;    /* its pthread_create that fails, from 1; 0: none */
    bool slow_start;       /* its listen, pthread_create take 0.2 s longer */
    bool late_threads;     /* its threads begin 0.3 s after their creation */
    bool may_end;          /* do not insist that it listens */
} Options;

/* Starts the program and waits until it listens. */
Server server_start(Options options);

/* Waits until the program ends by itself and returns its exit status. */
int server_wait(Server *server);

/* Waits until step 08's program ends by itself, which must be with status 0. */
void server_wait_clean(Server *server);

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

/* Wait until the number is the given one, or at most that. */
void server_wait_threads(const Server *server, int from, int threads);
void server_wait_descriptors(const Server *server, int descriptors);

/* Opens a connection; the second returns -1 if it is refused. */
int client_connect(const Server *server);
int client_try_connect(const Server *server);

/* Sends bytes as far as the server takes them. */
void client_send(int client, const char *data, size_t length);

/* Sends a whole request: the request line and a few headers. */
void client_ask(int client, const char *request_line);

typedef struct {
    char *data;      /* what came, with a NUL behind it; to be freed */
    size_t length;   /* of data */
    double begun;    /* when its first byte came */
    double at;       /* when it ended */
    bool complete;   /* a head, and a body as long as the head says */
    bool reset;      /* ended by a reset, not by an orderly end */
    bool timed_out;  /* still open at the deadline */
} Answer;

/* Receives until the server closes; waits for it for the given seconds. */
Answer client_receive(int client, double seconds);

/* Receives from many at once, which closes them: answers[i] is clients[i]'s. */
void clients_receive(size_t count, const int clients[], Answer answers[],
                     double seconds);

/* Asks for one thing on a connection of its own. */
Answer client_get(const Server *server, const char *request_line);

/* Closes at once with a reset instead of an orderly end. */
void client_reset(int client);

/* Checks that an answer is the status line and the page, to the byte. */
void check_answer(int from, const Answer *answer, const char *request,
                  const char *status_line, const char *page);

/* Asks for `/` and checks the answer. */
void check_hello(const Server *server, int from);

/* Checks that threads find what they were given, though they begin late. */
void check_late_threads(int from);

/* Whether the program runs, on a CPU or waiting for one, and does not sleep. */
bool server_running(const Server *server);

/* Checks that a program with nothing to do does nothing, for two seconds. */
void check_idle(int from, const Server *server);

/* Checks that two requests served at the same time are kept apart. */
void check_no_mixing(int from);

/*
 * Asks for two pages on a connection each, in the step of that number, and
 * checks that both answers are hello.html. Returns by how many seconds the
 * second was answered later than the first.
 */
double check_two(int from, const Server *server, const char *first,
                 const char *second);

/*
 * Asks for `/sleep`, then for `/` on a connection of its own, in the step of
 * the same number, and checks both answers. Returns by how many seconds `/` was
 * answered later than `/sleep`.
 */
double check_sleep_then_root(int from);

/* Checks that connections are accepted and nothing is answered (04 to 06). */
void check_silence(int from);

/* Has each pthread_create fail in turn: the program must say so and end. */
void check_failing_worker(int from);

/* Returns a file's bytes, with a NUL behind them; to be freed. */
char *file_read(const char *folder, const char *name, size_t *length);

/* Makes an empty folder for a test, to be ended by folder_remove(). */
char *folder_new(void);

/* Removes a test's folder with the two pages in it, and frees its name. */
void folder_remove(char *folder);

/* Writes a file into a folder. */
void file_write(const char *folder, const char *name, const void *data,
                size_t length);

#endif
