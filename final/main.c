/* A web server for the pages of a folder. */

#include "connection.h"
#include "loop.h"
#include "site.h"
#include "thread_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 10240
#define BATCH 64                 /* connections that are accepted at once */
#define SEND_BUFFER (256 * 1024) /* bytes the kernel keeps for a client */
#define QUEUE_CAPACITY 128       /* slow requests that may wait for a worker */
#define THREADS_MAX 64
#define LOOPS_MAX 64

static const char help[] =
    "Usage: server [OPTION]... [PORT]\n"
    "Serves the files of a folder, until Ctrl-C.\n\n"
    "  --port N     listen on port N; 0 takes a free one (7878)\n"
    "  --host NAME  listen on this address (127.0.0.1: only this machine can\n"
    "               connect; 0.0.0.0 or ::, and others can)\n"
    "  --root DIR   serve the files that are in DIR at the start (.)\n"
    "  --threads N  run N threads for what takes time: /sleep (4)\n"
    "  --loops N    run N threads for the connections (one for each CPU)\n"
    "  --quiet      do not log on stdout who asked for what\n"
    "  --help       print this\n\n"
    "A client has 30 s to begin a request and 10 s to send it, in 8 KB; for\n"
    "an answer 30 s, and one more for each 10 KB that has arrived. While\n"
    "there is no room for another: 1 s to begin, and 5 for an answer instead\n"
    "of 30. 128 requests may wait for a thread (and half of the connections);\n"
    "the next is refused with 503.\n"
    "Ctrl-C: what was asked for is answered, within 10 s; again: ends at "
    "once.\n";

typedef struct {
    const char *host, *root;
    int port, threads, loops;
    bool quiet;
} Options;

static int stop_writer; /* global: a signal handler can be handed nothing */

/* Makes the pipe's other end readable. A second signal ends the program. */
static void handle_signal(int number)
{
    (void)number;
    int error = errno; /* of the code that is interrupted */
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    ssize_t written = write(stop_writer, "", 1);
    (void)written; /* an empty pipe has room for a byte */
    alarm(STOP_TIME / 1000);
    errno = error;
}

/* Ends the program, whatever waits for whatever. */
static void give_up(int number)
{
    (void)number;
    _exit(EXIT_FAILURE);
}

/* The same, after everything was answered. */
static void succeed(int number)
{
    (void)number;
    _exit(EXIT_SUCCESS);
}

/* Returns a pipe's end that becomes readable when one of the signals comes,
 * or ends the program. Lets them in, to this thread only. */
static int catch_signals(const sigset_t *signals)
{
    int ends[2];
    if (pipe(ends) == -1 || fcntl(ends[1], F_SETFL, O_NONBLOCK) == -1) {
        perror("pipe");
        exit(EXIT_FAILURE);
    }
    stop_writer = ends[1];
    struct sigaction action = {
        .sa_handler = handle_signal,
        .sa_mask = *signals, /* the handler is not interrupted itself */
        .sa_flags = SA_RESTART,
    };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = give_up;
    sigaction(SIGALRM, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    return ends[0];
}

/* Returns the number that text names, or ends the program. */
static int parse_number(const char *name, const char *text, int min, int max)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < min || number > max) {
        fprintf(stderr, "Not a %s from %d to %d: %s\n", name, min, max, text);
        exit(EXIT_FAILURE);
    }
    return (int)number;
}

/* Returns what the command line asks for, or ends the program. */
static Options parse_options(int argc, char *argv[])
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},
        {"host", required_argument, NULL, 'a'},
        {"root", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"loops", required_argument, NULL, 'l'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    Options options = {.host = "127.0.0.1",
                       .root = ".",
                       .port = 7878,
                       .threads = 4,
                       .loops = cpus < LOOPS_MAX ? (int)cpus : LOOPS_MAX};
    int name;
    while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (name == 'p')
            options.port = parse_number("port", optarg, 0, 65535);
        else if (name == 'a')
            options.host = optarg;
        else if (name == 'r')
            options.root = optarg;
        else if (name == 't')
            options.threads =
                parse_number("number of threads", optarg, 1, THREADS_MAX);
        else if (name == 'l')
            options.loops =
                parse_number("number of loops", optarg, 1, LOOPS_MAX);
        else if (name == 'q')
            options.quiet = true;
        else if (name == 'h')
            printf("%s", help);
        if (name == 'h' || name == '?')
            exit(name == 'h' ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    while (optind < argc)
        options.port = parse_number("port", argv[optind++], 0, 65535);
    return options;
}

/* Returns a socket that listens there, or ends the program. */
static int listen_on(const char *host, int port)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *address;
    char service[6];
    snprintf(service, sizeof service, "%d", port);
    int error = getaddrinfo(host, service, &hints, &address);
    if (error != 0) {
        fprintf(stderr, "Host %s: %s\n", host, gai_strerror(error));
        exit(EXIT_FAILURE);
    }
    struct sockaddr_in6 bound = {0}; /* the port of IPv4 is there, too */
    socklen_t size = sizeof bound;
    int yes = 1; /* a restart need not wait until old connections expire */
    int buffer = SEND_BUFFER; /* connections inherit it, and the next */
    int listener = socket(address->ai_family, SOCK_STREAM, 0);

    if (listener == -1
        || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes)
        || setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer)
        || setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes)
        || bind(listener, address->ai_addr, address->ai_addrlen)
        || listen(listener, SOMAXCONN)
        || fcntl(listener, F_SETFL, O_NONBLOCK) == -1
        || getsockname(listener, (struct sockaddr *)&bound, &size)) {
        fprintf(stderr, "Port %d: %s\n", port, strerror(errno));
        exit(EXIT_FAILURE);
    }
    freeaddrinfo(address);
    bool colons = strchr(host, ':') != NULL;
    printf("Listening on http://%s%s%s:%d\n", colons ? "[" : "", host,
           colons ? "]" : "", ntohs(bound.sin6_port));
    return listener;
}

/* What main's functions share. */
typedef struct {
    int listener;
    int bell; /* readable when there may be room again */
    int room; /* for connections */
    Loop *loops[LOOPS_MAX];
    int loop_count, next; /* next: gets the next connection */
    Service service;
} Server;

/* Makes count loops: the first for main, the others each in a thread of a new
 * pool. Returns 0, or an error. */
static int start_loops(Loop **loops, int count, ThreadPool **pool)
{
    loops[0] = loop_new();
    int error = loops[0] == NULL ? errno : 0;
    if (error == 0 && count > 1)
        error = thread_pool_build(pool, (size_t)count - 1, (size_t)count - 1);
    for (int i = 1; i < count && error == 0; i++) {
        loops[i] = loop_new();
        error = loops[i] == NULL
                    ? errno
                    : thread_pool_execute(*pool, loop_run, loops[i]);
    }
    return error;
}

/* Returns how many more descriptors the system lets us have: as many as it
 * can, within reason. */
static int count_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur =
        limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
    setrlimit(RLIMIT_NOFILE, &limit);
    int lowest = dup(STDERR_FILENO); /* those below are taken */
    close(lowest);
    return (int)limit.rlim_cur - lowest;
}

/* Accepts connections and hands them round, at most a batch of them. Returns
 * false if somebody waits for whom there is no room. */
static bool let_in(Server *server)
{
    struct pollfd waiting = {.fd = server->listener, .events = POLLIN};
    for (int i = 0; i < BATCH; i++) {
        Service *service = &server->service;
        if (atomic_load(&service->connections) >= server->room)
            return poll(&waiting, 1, 0) == 0;
        int socket = accept(server->listener, NULL, NULL);
        Connection *connection =
            socket != -1 ? connection_new(socket, service) : NULL;
        if (connection != NULL) {
            if (server->next == 0)
                loop_take(server->loops[0], connection);
            else
                loop_hand_over(server->loops[server->next], connection);
            server->next = (server->next + 1) % server->loop_count;
        } else if (socket != -1) {
            close(socket); /* there is no memory */
            return false;
        } else if (errno == EAGAIN) {
            return true;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM
                   || errno == ENOBUFS) {
            return false;
        } /* else this one has failed before it was ours */
    }
    return true;
}

/* Lets in who comes, and serves a share of them, until a byte comes through the
 * pipe. */
static void serve(Server *server, int stop)
{
    Loop *own = server->loops[0];
    struct pollfd polls[] = {{.fd = stop, .events = POLLIN},
                             {.fd = server->bell, .events = POLLIN}};
    bool full = true; /* while it is, the listener is not watched */
    for (;;) {
        bool was_full = full;
        atomic_store(&server->service.full, false);
        full = !let_in(server);
        if (full) { /* one may have ended before it could know that */
            atomic_store(&server->service.full, true);
            for (int i = 0; i < server->loop_count; i++)
                loop_look_around(server->loops[i]);
            full = !let_in(server);
            if (!full)
                atomic_store(&server->service.full, false);
        }
        if (full != was_full && !loop_watch(own, server->listener, !full))
            full = true;
        int64_t again = full ? loop_clock() + 1000 : INT64_MAX;
        while (!loop_turn(own, full ? 1000 : -1) && loop_clock() < again)
            ;
        if (poll(polls, 2, 0) < 1)
            continue;
        if (polls[0].revents != 0)
            break;
        char bytes[64];
        ssize_t size = read(server->bell, bytes, sizeof bytes);
        (void)size; /* it does not matter how often it rang */
    }
    loop_watch(own, stop, false);
    loop_watch(own, server->bell, false);
    if (!full)
        loop_watch(own, server->listener, false);
}

/* Lets in those who waited when the signal came, as long as there is time to
 * answer them. */
static void let_in_the_rest(Server *server)
{
    struct pollfd listener = {.fd = server->listener, .events = POLLIN};
    int64_t end = loop_clock() + STOP_TIME / 2;
    while (poll(&listener, 1, 0) == 1 && loop_clock() < end) {
        bool room = let_in(server);
        atomic_store(&server->service.full, !room);
        loop_turn(server->loops[0], room ? 0 : 10);
    }
    atomic_store(&server->service.full, false);
    close(server->listener);
}

int main(int argc, char *argv[])
{
    for (int i = 0; i <= STDERR_FILENO; i++) /* or a pipe of ours is stdout */
        if (fcntl(i, F_GETFD) == -1)
            open("/dev/null", O_RDWR); /* takes the lowest number: i */
    setvbuf(stdout, NULL, _IOLBF, 0);
    const Options options = parse_options(argc, argv);
    signal(SIGPIPE, SIG_IGN); /* a client that left must not end the server */
    signal(SIGXFSZ, SIG_IGN); /* nor a log that may not grow (ulimit -f) */
    Site *site = site_load(options.root); /* before Ctrl-C has to wait */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* other threads inherit this */
    ThreadPool *workers, *loop_pool = NULL;
    Server server = {.loop_count = options.loops};
    int works = options.threads + QUEUE_CAPACITY;
    int error =
        thread_pool_build(&workers, (size_t)options.threads, (size_t)works);
    if (error == 0)
        error = start_loops(server.loops, options.loops, &loop_pool);
    if (error != 0) {
        fprintf(stderr, "%d threads, %d loops: %s\n", options.threads,
                options.loops, strerror(error));
        exit(EXIT_FAILURE);
    }
    int stop = catch_signals(&signals), bell[2];
    if (pipe(bell) == -1 || fcntl(bell[1], F_SETFL, O_NONBLOCK) == -1) {
        perror("pipe");
        exit(EXIT_FAILURE);
    }
    server.bell = bell[0];
    if (!loop_watch(server.loops[0], stop, true)
        || !loop_watch(server.loops[0], server.bell, true)) {
        perror("loop_watch");
        exit(EXIT_FAILURE);
    }
    fflush(stdout); /* from here on, whoever reads it must not stop us */
    Log *log = log_new(STDOUT_FILENO);
    if (log == NULL) {
        perror("log_new");
        exit(EXIT_FAILURE);
    }
    server.service = (Service){.site = site,
                               .log = options.quiet ? NULL : log,
                               .workers = workers,
                               .bell = bell[1],
                               .threads = options.threads,
                               .stop_deadline = INT64_MAX};
    server.room = count_descriptors() - 1; /* the listener */
    if (server.room < 1) {
        fprintf(stderr, "Too few open files are allowed (ulimit -n)\n");
        exit(EXIT_FAILURE);
    }
    if (works > server.room / 2) /* the others are for what is quick */
        works = server.room / 2;
    server.service.works_max = works;
    server.listener = listen_on(options.host, options.port);
    serve(&server, stop);
    log_line(log, "Shutting down.\n");
    atomic_store(&server.service.stop_deadline, loop_clock() + STOP_TIME);
    for (int i = 0; i < options.loops; i++)
        loop_look_around(server.loops[i]);
    let_in_the_rest(&server);
    for (int i = 0; i < options.loops; i++)
        loop_stop(server.loops[i]);
    loop_run(server.loops[0]);
    if (loop_pool != NULL)
        thread_pool_destroy(loop_pool); /* waits for what was lent, too */
    thread_pool_destroy(workers);
    for (int i = 0; i < options.loops; i++)
        loop_destroy(server.loops[i]);
    site_free(site);
    int cut = atomic_load(&server.service.cut);
    if (cut > 0)
        log_line(log, "%d answers were cut off.\n", cut);
    else
        signal(SIGALRM, succeed);
    if (loop_clock() < atomic_load(&server.service.stop_deadline) - 1000)
        alarm(1); /* if nobody reads the log: sooner than the ten seconds */
    log_destroy(log);
    return cut == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
