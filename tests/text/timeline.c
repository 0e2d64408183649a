/*
 * Who waits for whom: sends requests to a server, and draws when each was
 * sent and when it was answered.
 *
 *     timeline measure SERVER FOLDER TITLE >DATA.tsv
 *     timeline draw <DATA.tsv            in the terminal
 *     timeline svg <DATA.tsv >FIGURE.svg the same picture from the same data
 *
 * `measure` starts SERVER twice in FOLDER (where its pages are), on free
 * ports, and plays two scenes at once: one /sleep and then three /, and four
 * /sleep and then one /, half a second apart. It gives up on a server that has
 * answered nobody for SILENCE seconds, for /sleep takes five.
 *
 * A client sees two moments only: when it has sent, and when the answer is
 * complete. The picture adds what we know from the code: that a /sleep is
 * served for five seconds and a / in no time. What is left is waiting.
 *
 * The data: a line with the title, then for each request, parted by tabs: the
 * scene (1 or 2), the path, the seconds at which it was sent and answered, and
 * the outcome: the status, or what happened in its place.
 */

#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SILENCE 8.0 /* seconds without any answer: there will be none */
#define SERVICE 5.0 /* what /sleep takes */
#define APART 0.5   /* seconds between two requests */
#define REQUESTS 9
#define START_SECONDS 10

typedef struct {
    int scene; /* 1 or 2 */
    char path[16];
    double sent, answered;
    char outcome[32]; /* "200", "no answer", "refused", … */
} Request;

typedef struct {
    pid_t pid;
    int port;
} Server;

typedef struct {
    int fd;
    char reply[64]; /* its beginning */
    size_t length;
} Connection;

static const char *const scenes[] = {"", "one /sleep, then three /",
                                     "four /sleep, then one /"};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- measuring */

static void stop(Server *servers)
{
    for (int i = 0; i < 2; i++)
        if (servers[i].pid > 0) {
            kill(servers[i].pid, SIGKILL);
            waitpid(servers[i].pid, NULL, 0);
        }
}

/* Starts the server on a free port. Returns false if it says none. */
static bool start(Server *server, const char *program, const char *folder)
{
    int out[2];
    if (pipe(out) == -1)
        return false;
    server->pid = fork();
    if (server->pid == -1)
        return false;
    if (server->pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        if (chdir(folder) == 0)
            execl(program, program, "0", (char *)NULL);
        perror(program);
        _exit(127);
    }
    close(out[1]);

    char text[256] = "";
    size_t length = 0;
    double end = now() + START_SECONDS;
    struct pollfd fd = {.fd = out[0], .events = POLLIN};
    while (strchr(text, '\n') == NULL && now() < end && !interrupted) {
        if (poll(&fd, 1, 100) <= 0)
            continue;
        ssize_t n = read(out[0], text + length, sizeof text - 1 - length);
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    /* the pipe stays open: the server may go on printing, within its 64 KiB */
    const char *colon = strrchr(text, ':');
    return colon != NULL && sscanf(colon, ":%d", &server->port) == 1;
}

static void fill_in(Request *requests)
{
    for (int i = 0; i < REQUESTS; i++) {
        bool first = i < 4;
        bool slow = first ? i == 0 : i < 8;
        requests[i] = (Request){.scene = first ? 1 : 2,
                                .sent = (first ? i : i - 4) * APART};
        strcpy(requests[i].path, slow ? "/sleep" : "/");
    }
}

/* Opens a connection and sends the request, without waiting. */
static void ask(Request *request, Connection *connection, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((in_port_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[64];
    int length =
        snprintf(text, sizeof text,
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", request->path);
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address)
            == -1
        || send(connection->fd, text, (size_t)length, MSG_NOSIGNAL) == -1) {
        strcpy(request->outcome, errno == ECONNREFUSED ? "refused" : "reset");
        close(connection->fd);
        connection->fd = -1;
    }
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
}

/* Reads what has come. Returns true when the request has its outcome. */
static bool receive(Request *request, Connection *connection)
{
    char rest[4096];
    size_t room = sizeof connection->reply - 1 - connection->length;
    ssize_t n = room > 0 ? read(connection->fd,
                                connection->reply + connection->length, room)
                         : read(connection->fd, rest, sizeof rest);
    if (n > 0) {
        connection->length += room > 0 ? (size_t)n : 0;
        return false;
    }
    if (n == -1 && errno == EAGAIN)
        return false;
    if (sscanf(connection->reply, "HTTP/1.1 %3s", request->outcome) != 1)
        strcpy(request->outcome, n == 0 ? "closed" : "reset");
    close(connection->fd);
    connection->fd = -1;
    return true;
}

static int measure(const char *program, const char *folder, const char *title)
{
    Request requests[REQUESTS];
    Connection connections[REQUESTS] = {0};
    Server servers[2] = {{0}, {0}};
    fill_in(requests);
    for (int i = 0; i < 2; i++)
        if (!start(&servers[i], program, folder)) {
            fprintf(stderr,
                    "timeline: `%s 0` did not print where it listens: "
                    "http://127.0.0.1:PORT, a free one\n",
                    program);
            stop(servers);
            return 1;
        }

    int sent = 0, open = 0;
    bool asked[REQUESTS] = {false};
    double begin = now(), last = 0;
    while ((sent < REQUESTS || open > 0) && !interrupted) {
        double t = now() - begin;
        if (sent == REQUESTS && t - last > SILENCE)
            break;
        for (int i = 0; i < REQUESTS; i++)
            if (!asked[i] && t >= requests[i].sent) {
                asked[i] = true;
                sent++;
                requests[i].sent = requests[i].answered = last = now() - begin;
                ask(&requests[i], &connections[i],
                    servers[requests[i].scene - 1].port);
                open += connections[i].fd != -1;
            }
        struct pollfd fds[REQUESTS];
        for (int i = 0; i < REQUESTS; i++)
            fds[i] = (struct pollfd){.fd = asked[i] ? connections[i].fd : -1,
                                     .events = POLLIN};
        poll(fds, REQUESTS, 5);
        for (int i = 0; i < REQUESTS; i++)
            if (fds[i].fd != -1 && fds[i].revents != 0
                && receive(&requests[i], &connections[i])) {
                requests[i].answered = last = now() - begin;
                open--;
            }
    }
    double end = now() - begin;
    stop(servers);
    if (interrupted)
        return 130;

    printf("%s\n", title);
    for (int i = 0; i < REQUESTS; i++) {
        if (connections[i].fd != -1) {
            strcpy(requests[i].outcome, "no answer");
            requests[i].answered = end;
        }
        printf("%d\t%s\t%.3f\t%.3f\t%s\n", requests[i].scene, requests[i].path,
               requests[i].sent, requests[i].answered, requests[i].outcome);
    }
    return 0;
}

/* ---- drawing */

/* Reads the data. Returns the number of requests, or -1. */
static int read_data(char *title, size_t size, Request *requests)
{
    char line[256];
    int n = 0;
    if (fgets(title, (int)size, stdin) == NULL)
        return -1;
    title[strcspn(title, "\n")] = '\0';
    while (n < REQUESTS && fgets(line, sizeof line, stdin) != NULL) {
        Request *r = &requests[n++];
        if (sscanf(line, "%d\t%15s\t%lf\t%lf\t%31[^\n]", &r->scene, r->path,
                   &r->sent, &r->answered, r->outcome)
                != 5
            || r->scene < 1 || r->scene > 2)
            return -1;
    }
    return n;
}

/* When did the server begin with it, as far as a client can tell? */
static double served_from(const Request *r)
{
    if (strcmp(r->outcome, "no answer") == 0)
        return r->answered;
    bool slept = strcmp(r->path, "/sleep") == 0
                 && strcmp(r->outcome, "200") == 0
                 && r->answered - r->sent > SERVICE - 0.5;
    return fmax(r->sent, r->answered - (slept ? SERVICE : 0));
}

static double longest(const Request *requests, int n)
{
    double end = 1;
    for (int i = 0; i < n; i++)
        end = fmax(end, requests[i].answered);
    return ceil(end - 0.1);
}

static void describe(const Request *r, char *text, size_t size)
{
    bool answered = r->outcome[0] >= '0' && r->outcome[0] <= '9';
    if (answered && r->answered - r->sent < 0.1)
        snprintf(text, size, "%s at once", r->outcome);
    else if (answered)
        snprintf(text, size, "%s after %.1f s", r->outcome,
                 r->answered - r->sent);
    else if (strcmp(r->outcome, "no answer") == 0)
        snprintf(text, size, "no answer, %.0f s", r->answered - r->sent);
    else /* refused, reset, closed */
        snprintf(text, size, "%s", r->outcome);
}

static void draw(const char *title, const Request *requests, int n)
{
    setlocale(LC_CTYPE, "");
    bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    const char *waiting = utf8 ? "░" : ".", *served = utf8 ? "█" : "#";
    double end = longest(requests, n);
    /* so many columns to a second that a picture fits in 80 */
    int scale = end <= 6 ? 8 : end <= 12 ? 4 : end <= 24 ? 2 : 1;

    printf("%s\n", title);
    for (int i = 0; i < n; i++) {
        const Request *r = &requests[i];
        char text[64];
        if (i == 0 || r->scene != requests[i - 1].scene) {
            printf("\n%s:\n\n           ", scenes[r->scene]);
            int step = scale >= 4 ? 1 : 5;
            for (int s = 0; s <= (int)end; s += step)
                printf("%-*d", s + step <= (int)end ? step * scale : 1, s);
            printf(" s\n");
        }
        describe(r, text, sizeof text);
        int from = (int)lround(r->sent * scale);
        int middle = (int)lround(served_from(r) * scale);
        int to = (int)lround(r->answered * scale);
        if (to == from) /* a moment is a column wide */
            to++;
        printf("%-6s     %*s", r->path, from, "");
        bool answered = r->outcome[0] >= '0' && r->outcome[0] <= '9';
        for (int c = from; c < to; c++)
            printf("%s", c < middle ? waiting : answered ? served : "x");
        printf(" %s\n", text);
    }
    printf("\n%s waits  %s is served (a /sleep for 5 s, a / for a moment)\n",
           waiting, served);
    for (int i = 0; i < n; i++)
        if (strcmp(requests[i].outcome, "no answer") == 0) {
            printf("Nobody was answered for %.0f s: given up.\n", SILENCE);
            break;
        }
}

static void svg(const char *title, const Request *requests, int n)
{
    double end = longest(requests, n);
    const int left = 66, row = 26; /* as narrow as a phone is */
    double scale = 214 / end;
    int height = 40 + 2 * 58 + n * row + 26;

    printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"400\" "
           "height=\"%d\" viewBox=\"0 0 400 %d\" role=\"img\">\n"
           "<title>%s</title>\n<desc>",
           height, height, title);
    for (int i = 0; i < n; i++) {
        char text[64];
        describe(&requests[i], text, sizeof text);
        if (i == 0 || requests[i].scene != requests[i - 1].scene)
            printf("%s%s: ", i == 0 ? "" : " ", scenes[requests[i].scene]);
        printf("%s sent at %.1f s: %s%s", requests[i].path, requests[i].sent,
               text,
               i + 1 == n || requests[i + 1].scene != requests[i].scene ? "."
                                                                        : "; ");
    }
    printf("</desc>\n"
           "<style>\n"
           "  text { font: 14px ui-sans-serif, system-ui, \"DejaVu Sans\", "
           "sans-serif; fill: #1f2328 }\n"
           "  .head { font-weight: bold }\n"
           "  .small { font-size: 12px; fill: #59636e; stroke: #ffffff; "
           "stroke-width: 4px; paint-order: stroke }\n"
           "  .card { fill: #ffffff; stroke: #d1d9e0 }\n"
           "  .grid { stroke: #d1d9e0 }\n"
           "  .served { fill: #2f6fb7 }\n"
           "  .waits { fill: url(#hatch); stroke: #bf7a1f }\n"
           "  .line { stroke: #bf7a1f }\n"
           "  @media (prefers-color-scheme: dark) {\n"
           "    text { fill: #e6edf3 }\n"
           "    .small { fill: #9198a1; stroke: #0d1117 }\n"
           "    .card { fill: #0d1117; stroke: #3d444d }\n"
           "    .grid { stroke: #3d444d }\n"
           "    .served { fill: #4f94e0 }\n"
           "    .waits { stroke: #d29922 }\n"
           "    .line { stroke: #d29922 }\n"
           "  }\n"
           "</style>\n"
           "<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" "
           "patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">"
           "<line class=\"line\" y2=\"6\" stroke-width=\"3\"/></pattern>"
           "</defs>\n"
           "<rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"399\" "
           "height=\"%d\" rx=\"6\"/>\n"
           "<text class=\"head\" x=\"16\" y=\"26\">%s</text>\n",
           height - 1, title);

    int y = 40;
    for (int i = 0; i < n; i++) {
        const Request *r = &requests[i];
        char text[64];
        if (i == 0 || r->scene != requests[i - 1].scene) {
            int rows = 0;
            while (i + rows < n && requests[i + rows].scene == r->scene)
                rows++;
            printf("<text x=\"16\" y=\"%d\">%s</text>\n", y + 20,
                   scenes[r->scene]);
            y += 46;
            int step = end > 12 ? 5 : 1;
            for (int s = 0; s <= (int)end; s += step) {
                double x = left + s * scale;
                printf("<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" "
                       "y1=\"%d\" y2=\"%d\"/>"
                       "<text class=\"small\" x=\"%.1f\" y=\"%d\" "
                       "text-anchor=\"middle\">%d%s</text>\n",
                       x, x, y, y + rows * row, x, y - 5, s,
                       s + step > (int)end ? " s" : "");
            }
        }
        describe(r, text, sizeof text);
        double from = left + r->sent * scale;
        double middle = left + served_from(r) * scale;
        double to = fmax(left + r->answered * scale, middle + 4);
        printf("<text x=\"16\" y=\"%d\">%s</text>\n", y + 18, r->path);
        if (middle - from >= 4)
            printf("<rect class=\"waits\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" "
                   "height=\"15\"/>\n",
                   from, y + 6, middle - from);
        if (strcmp(r->outcome, "no answer") == 0)
            to = middle;
        else
            printf("<rect class=\"served\" x=\"%.1f\" y=\"%d\" "
                   "width=\"%.1f\" height=\"15\"/>\n",
                   middle, y + 6, to - middle);
        printf("<text class=\"small\" x=\"%.1f\" y=\"%d\">%s</text>\n", to + 8,
               y + 18, text);
        y += row;
        if (i + 1 == n || requests[i + 1].scene != r->scene)
            y += 12;
    }
    printf("<rect class=\"waits\" x=\"16\" y=\"%d\" width=\"30\" "
           "height=\"12\"/><text class=\"small\" x=\"54\" y=\"%d\">waits"
           "</text>\n<rect class=\"served\" x=\"110\" y=\"%d\" width=\"30\" "
           "height=\"12\"/><text class=\"small\" x=\"148\" y=\"%d\">is served"
           "</text>\n</svg>\n",
           y + 6, y + 16, y + 6, y + 16);
}

int main(int argc, char *argv[])
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    if (argc == 5 && strcmp(argv[1], "measure") == 0)
        return measure(argv[2], argv[3], argv[4]);

    char title[128];
    Request requests[REQUESTS];
    if (argc != 2 || (strcmp(argv[1], "draw") && strcmp(argv[1], "svg"))) {
        fprintf(stderr, "usage: see the head of timeline.c\n");
        return 2;
    }
    int n = read_data(title, sizeof title, requests);
    if (n < 1) {
        fprintf(stderr, "timeline: these are no data of `timeline measure`\n");
        return 1;
    }
    if (strcmp(argv[1], "draw") == 0)
        draw(title, requests, n);
    else
        svg(title, requests, n);
    return 0;
}
