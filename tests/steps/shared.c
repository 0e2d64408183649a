#include "shared.h"

#include "answer.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const char *blamed, *blamed_read;

void blame_for_silence(const char *cause, const char *heading)
{
    blamed = cause;
    blamed_read = heading;
}

void blame_the_read(void)
{
    blame_for_silence(
        step("executes") && !step("workers_serve")
            ? "a read waits for a silent client, and the loop with it: each "
              "connection must be O_NONBLOCK, and is read from when poll says "
              "so"
        : step("keeps_alive")
            ? "reading waits for a silent client for ever: poll, before each "
              "read, with what is left of the 5 seconds as its time-out"
            : "reading waits for a silent client for ever: SO_RCVTIMEO, "
              "5 seconds, set on each connection before it is read",
        "The visitor who says nothing");
}

/* Why a request may have got no answer at all. */
static const char *cause_of_silence(const Answer *answer, const char *request)
{
    if (blamed != NULL && answer->timed_out)
        return blamed;
    if (strncmp(request, "GET /sleep", 10) == 0 && answer->timed_out)
        return "it sleeps longer than 5 s (sleep counts in seconds), or the "
               "answer is never sent";
    if (!answer->timed_out)
        return answer->reset
                   ? "the connection is closed while there is still something "
                     "to read, "
                     "or by two owners"
               : step("executes") && !step("workers_serve")
                   ? "the connection is closed before the answer is sent: "
                     "EAGAIN is not its end, and half a request is no reason"
               : step("speaks_http")
                   ? "the connection is closed before the answer is sent; or "
                     "one read is taken for one request: read on until the "
                     "parser has an opinion"
               : step("ends_on_signal")
                   ? "the connection is closed before the answer is sent: by "
                     "main, on an error, or because it is non-blocking, and a "
                     "read that finds nothing yet is taken for the end"
                   : "the connection is closed before the answer is sent (by "
                     "main, or on "
                     "an error?), or the request is not read as a line";
    if (step("executes") && !step("workers_serve"))
        return "something in the loop waits, or the loop does not ask poll for "
               "what this connection waits for: POLLIN, or POLLOUT while an "
               "answer is not all sent";
    return step("executes")
               ? "no worker runs the job: it is not pushed, not taken, not "
                 "called "
                 "(job.function(job.arg)), nobody is woken, or all workers are "
                 "held up"
               : "the server waits for more of the request than its first "
                 "line, never "
                 "calls what answers, or is held up by the connection before";
}

/* Why a request may have got another status. */
static const char *cause_of_status(const Answer *answer, Head head,
                                   const char *request, const char *status_line,
                                   const char *page)
{
    if (head.status == 400 && strstr(request, "byte by byte") != NULL)
        return "what one read() returns must be put behind what has come "
               "before, and the parser be asked about all of it";
    if (head.status == 408 && strstr(request, "byte by byte") != NULL)
        return "what one read() returns must be put behind what has come "
               "before; or the time is counted in another unit";
    if (head.status == 408)
        return "the time is counted in another unit, or from something earlier "
               "than the first byte of the request";
    if (head.status == 404 && strstr(request, "byte by byte") != NULL)
        return "what one read() returns is taken for the whole line: read "
               "until "
               "the line ends";
    if (head.status == 404 && step("speaks_http"))
        return "the page is not found: look at the path that is searched (with "
               "or without its first /, decoded, without the query), and at "
               "how pages are compared; bsearch finds only what is sorted";
    if (head.status == 200 && strstr(status_line, "404") != NULL) {
        if (strcmp(answer->data + head.size, page) == 0)
            return "the right page, with the other page's status line";
        if (strncmp(request, "GET /sleep ", 11) == 0)
            return "/sleep comes with the next step";
        return "the whole request line must be compared, to its end: not only "
               "how "
               "it begins";
    }
    return "a status line is misspelt, or another branch answers: the whole "
           "request line is compared, and strcmp returns 0 for what is equal; "
           "the line ends in CR LF, and what follows is no part of it";
}

void check_answer(const Answer *answer, const char *request,
                  const char *status_line, const char *page)
{
    char *did =
        words("a client asked: %s", *request ? request : "(an empty line)");
    /* Its words have no meaning there: RFC 9112, 4. */
    char status[] = "HTTP/1.1 000";
    if (step("speaks_http"))
        status_line = memcpy(status, status_line, sizeof status - 1);
    char *expected = words("%s, and the page", status_line);
    size_t page_length;
    char *body =
        strchr(page, '\n') ? strdup(page) : file_read(NULL, page, &page_length);
    if (strchr(page, '\n'))
        page_length = strlen(page);

    char *errors = server_last_errors();
    check(answer->length > 0 || strstr(errors, "No such file") == NULL,
          .did = did, .expected = expected,
          .got = "nothing: the server did not find the page",
          .cause = "the name of the file is misspelt: it is hello.html or "
                   "404.html, without a folder",
          .detail = errors, .key = "no-such-page", .read = "A real page");
    free(errors);
    check(answer->length > 0, .did = did, .expected = expected,
          .got = answer->timed_out ? "nothing: the server says nothing"
                 : answer->reset   ? "nothing: the connection was reset"
                                   : "nothing: the connection was closed",
          .cause = cause_of_silence(answer, request),
          .key = !answer->timed_out ? "closed-without-answer"
                 : blamed != NULL   ? blamed
                                    : "no-answer",
          .read = blamed != NULL && answer->timed_out ? blamed_read
                  : strncmp(request, "GET /sleep", 10) == 0 && answer->timed_out
                      ? "Step 2"
                  : step("executes") ? "The worker's loop"
                                     : "The smallest response");
    Head head = answer_head(answer->data, answer->length);
    char *end = strstr(answer->data, "\r\n");
    check(head.size > 0 && end != NULL, .did = did,
          .expected = "a head that ends in an empty line, CR LF CR LF",
          .got = words("it begins: %.80s", answer->data),
          .cause = "a \\r\\n\\r\\n is missing between the head and the page",
          .key = "head", .read = "The smallest response");
    const char *cause =
        cause_of_status(answer, head, request, status_line, body);
    size_t length = (size_t)(end - answer->data);
    if (step("speaks_http") && length > strlen(status_line))
        length = strlen(status_line)
                 + strcspn(answer->data + strlen(status_line), " \r");
    check(length == strlen(status_line)
              && strncmp(answer->data, status_line, length) == 0,
          .did = did, .expected = status_line,
          .got = words("%.*s", (int)(end - answer->data), answer->data),
          .cause = cause, .key = cause,
          .read = "Only one page has this address");
    check(head.body != -1, .did = did, .expected = "a head with Content-Length",
          .got = "it has none", .key = "content-length", .read = "A real page");
    check(head.body != -2, .did = did, .expected = "one Content-Length",
          .got = "there are two", .key = "content-length",
          .read = "A real page");
    check(
        (size_t)head.body == page_length, .did = did,
        .expected = words("Content-Length: %zu, the page's bytes", page_length),
        .got = words("Content-Length: %ld", head.body),
        .cause =
            head.body == sizeof(char *)
                ? "sizeof a pointer is the pointer's own size, 8, whatever it "
                  "points to: strlen, or what fread returned"
            : head.body >= 0 && head.body + 100 < (long)page_length
                ? "the page is read into a buffer that is too small for it, or "
                  "its "
                  "characters are counted, not its bytes"
                : "it counts bytes of the page alone: no NUL, no head, and not "
                  "characters",
        .key = "content-length", .read = "A real page");
    check(answer->length - head.size == page_length
              && memcmp(answer->data + head.size, body, page_length) == 0,
          .did = did, .expected = words("the page, %zu bytes", page_length),
          .got = answer->length - head.size == page_length
                     ? "other bytes"
                     : words("%zu bytes", answer->length - head.size),
          .cause =
              "the buffer is too small, one read or write does not take all, "
              "or another file is sent",
          .key = "page", .read = "A real page");
    check(!answer->timed_out, .did = did,
          .expected = "the connection is closed after the answer",
          .got = "it stays open", .cause = "close() (or fclose()) is missing",
          .key = "not-closed", .read = "The smallest response");
    free(did);
    free(expected);
    free(body);
}

bool is_refusal(const Answer *answer)
{
    return step("bounded") && answer->complete
           && strncmp(answer->data, "HTTP/1.1 503 ", 13) == 0;
}

void check_hello_within(const Server *server, double seconds)
{
    Answer answer = client_get_within(server, "GET / HTTP/1.1", seconds);
    /* Those who came before may still fill a bounded queue. */
    for (Wait wait = {0};
         is_refusal(&answer) && still_waiting(&wait, seconds + patience());
         moment()) {
        free(answer.data);
        answer = client_get_within(server, "GET / HTTP/1.1", seconds);
    }
    check_answer(&answer, "GET / HTTP/1.1", "HTTP/1.1 200 OK", "hello.html");
    free(answer.data);
}

void check_hello(const Server *server)
{
    check_hello_within(server, 0);
}

void check_idle(const Server *server)
{
    while (now() < server->started + 0.5) /* it may still be starting */
        moment();
    double cpu = server_cpu(server), start = now();
    long before = server_sleeps(server);
    int threads = server_threads(server), looks = 0, busy = 0;
    doing("the server was left alone for two seconds");
    while (now() < start + 2) {
        check(server_threads(server) == threads,
              .expected = words("its %d threads wait", threads),
              .got = words("it has %d threads now", server_threads(server)),
              .key = "idle-threads");
        looks++;
        busy += server_running(server);
        moment();
    }
    /* On a busy machine even who never sleeps gets little of a CPU. */
    double share = (server_cpu(server) - cpu) / (now() - start);
    if (busy > looks / 2)
        share = (double)busy / looks;
    long sleeps = server_sleeps(server) - before;
    check(share < 0.1, .expected = "it does nothing",
          .got = words("it uses %.0f %% of a CPU", 100 * share),
          .cause = "a loop that looks again and again: who has nothing to do "
                   "should wait, in accept() or at a condition variable",
          .key = "busy", .read = "Waiting without running");
    check(sleeps < 8 || getenv("EXTRA_THREAD") != NULL,
          .expected = "it does nothing",
          .got =
              words("it woke up %ld times to look whether there is anything to "
                    "do",
                    sleeps),
          .cause =
              "a loop that sleeps and looks: it should wait until it is woken",
          .key = "busy", .read = "Waiting without running");
}

void check_late_threads(void)
{
    Server server = server_start((Options){.late_threads = true});
    bool answers = step("answers");
    int clients[2];
    Answer received[2];
    doing("the threads were made to begin 0.3 s after pthread_create; two "
          "clients "
          "came before that");
    for (int i = 0; i < 2; i++) { /* both before the first thread begins */
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET / HTTP/1.1");
    }
    clients_receive(2, clients, received, answers ? 1 + patience() : 1);
    bool ended = !step("ends_after_two") && !server_alive(&server);
    for (int i = 0; i < 2; i++) {
        check(!ended && (!answers || received[i].complete),
              .expected = answers ? "both are served" : "the server goes on",
              .got = ended ? "the server crashed" : "one of them is not",
              .cause =
                  "what a thread is given must still be there, and still be "
                  "the same, when it looks at it: pass the value, or memory "
                  "of its own; not the address of a variable that changes",
              .detail = server_errors(&server), .key = "late-threads",
              .read = "The address of a loop's variable");
        free(received[i].data);
    }
    if (step("ends_after_two")) {
        server_wait_clean(&server, 0);
        return;
    }
    server_wait_threads(&server, 0, step("threads"));
    server_stop(&server);
}

/* The halves of two requests come by turns: each needs a buffer of its own. */
void check_no_mixing(void)
{
    Server server = server_start((Options){0});
    const char *halves[] = {"GET / HTTP/1",
                            ".1\r\nHost: a\r\nConnection: close\r\n\r\n"};
    int slow = client_connect(&server);
    doing(
        "a client sent half of `GET / HTTP/1.1`; another asked for /foo; then "
        "the first sent the rest");
    client_send(slow, halves[0], strlen(halves[0]));
    for (double start = now(); now() < start + 0.3;) /* let it be read */
        moment();
    Answer other = client_get(&server, "GET /foo HTTP/1.1");
    char byte;
    check(
        other.length > 0 && recv(slow, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1,
        .expected = "the second is answered at once",
        .got = "it waits until the server has given up the first",
        .cause = "a thread holds a lock while it serves a client, or there is "
                 "one thread only",
        .key = "lock-held",
        .read = step("executes") ? "The lock that is held too long" : "Step 3");
    client_send(slow, halves[1], strlen(halves[1]));
    Answer answer = client_receive(slow, patience());
    check_answer(&other,
                 "GET /foo HTTP/1.1 (while another client's request is "
                 "half sent)",
                 "HTTP/1.1 404 NOT FOUND", "404.html");
    check(strncmp(answer.data, "HTTP/1.1 200 OK\r\n", 17) == 0,
          .expected = "the first gets `HTTP/1.1 200 OK`",
          .got = words("`%.22s`", answer.data),
          .cause =
              "the threads share a buffer: it must be a local variable, not "
              "global or static",
          .key = "shared-buffer", .read = "Step 3");
    if (step("ends_after_two"))
        server_wait_clean(&server, 0);
    else
        server_stop(&server);
}

double check_two(const Server *server, const char *first, const char *second,
                 double seconds)
{
    const char *requests[] = {first, second};
    int clients[2];
    Answer answers[2];

    for (int i = 0; i < 2; i++) {
        clients[i] = client_connect(server);
        client_ask(clients[i], requests[i]);
    }
    clients_receive(2, clients, answers, seconds + patience());
    for (int i = 0; i < 2; i++) {
        check_answer(&answers[i], requests[i], "HTTP/1.1 200 OK", "hello.html");
        free(answers[i].data);
    }
    return answers[1].at - answers[0].at;
}

double check_sleep_then_root(void)
{
    Server server = server_start((Options){0});
    double later =
        check_two(&server, "GET /sleep HTTP/1.1", "GET / HTTP/1.1", SLEEP);
    doing("a client asked for /sleep, then another for /");
    server_stop(&server);
    return later;
}

void check_silence(void)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int clients[20];
    Answer answers[20];
    doing("20 clients asked for /");
    for (int i = 0; i < 20; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET / HTTP/1.1");
    }
    clients_receive(20, clients, answers, 1.5);
    int accepted = 0;
    for (Wait wait = {0};
         (accepted = server_descriptors(&server) - descriptors) < 20
         && still_waiting(&wait, patience());)
        moment();
    for (int i = 0; i < 20; i++) {
        check(
            answers[i].timed_out && answers[i].length == 0,
            .expected = "in this step they are accepted, and nothing more "
                        "happens",
            .got =
                answers[i].length > 0 ? "one was answered" : "one was closed",
            .cause =
                answers[i].length > 0
                    ? "somebody already runs what is given to "
                      "thread_pool_execute: that comes in step 7"
                    : "nobody owns the connection yet, so nobody may close it",
            .key = "no-silence");
        free(answers[i].data);
    }
    /* Those that wait in the kernel's queue are connected, too. */
    check(accepted == 20,
          .expected = "main accepts each, and hands it to the pool, which does "
                      "nothing with it yet",
          .got = words("the server holds %d connections", accepted),
          .cause = "main does not come back to accept()",
          .key = "not-accepted");
    check_one_process(&server);
    server_stop(&server);
}

void check_failing_worker(void)
{
    for (int failing = 1; failing <= 4; failing++) {
        doing(words("pthread_create was made to fail for worker %d of 4",
                    failing));
        Server server =
            server_start((Options){.failing_thread = failing, .may_end = true});
        check(server.port == 0, .expected = "the server says so, and ends",
              .got = "it listens as if nothing had happened",
              .cause = "what pthread_create returns is not looked at: 0 is "
                       "success, all else the error's number",
              .key = "create-error", .read = "Threads that cannot be created");
        int status = server_wait(&server);
        char *errors = server_errors(&server);
        check(WIFEXITED(status) && WEXITSTATUS(status) != 0
                  && strchr(errors, '\n') != NULL,
              .expected = "a line on stderr, and a status other than 0",
              .got = WIFEXITED(status)
                         ? words("status %d, and %s", WEXITSTATUS(status),
                                 *errors ? "these words" : "no word")
                         : words("signal %d", WTERMSIG(status)),
              .detail = errors, .key = "create-error",
              .read = "Threads that cannot be created");
        check(strstr(errors, "uccess") == NULL,
              .expected =
                  "the reason on stderr: Resource temporarily unavailable",
              .got = "the reason that is said is `Success`",
              .cause =
                  "pthread_create returns its error, and does not set errno: "
                  "strerror(error), not perror",
              .detail = errors, .key = "create-errno",
              .read = "Threads that cannot be created");
        free(errors);
    }
}

void await_jobs(Server *server, int count)
{
    server_wait_output(server, " got a job; executing.\n", count);
}

void await_connections(const Server *server, int descriptors, int count)
{
    for (Wait wait = {0}; server_descriptors(server) < descriptors + count
                          && still_waiting(&wait, patience());)
        moment();
}

bool says_goodbye(Server *server, size_t count, const int clients[])
{
    struct pollfd polls[16];
    for (size_t i = 0; i < count; i++)
        polls[i] = (struct pollfd){.fd = clients[i], .events = POLLIN};
    bool said = false, alive = true;
    for (Wait wait = {0}; !said && alive && poll(polls, count, 0) == 0
                          && still_waiting(&wait, SLEEP + patience());
         moment()) {
        alive = server_alive(server);
        char *output = server_output(server);
        said = strstr(output, "Shutting down.\n") != NULL;
        free(output);
    }
    return said;
}

void check_ends_well(Server *server, double seconds, const char *cause,
                     const char *heading)
{
    for (Wait wait = {0}; server_alive(server); moment()) {
        if (still_waiting(&wait, seconds + patience()))
            continue;
        char *output = server_output(server);
        server_stop(server);
        complain(&(Finding){
            .expected = "the server ends, with status 0",
            .got = words("it still runs after %.0f s", seconds + patience()),
            .cause = cause,
            .detail = output,
            .key = cause,
            .read = heading});
    }
    int status = server_wait(server); /* and no sanitizer complained */
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0,
          .expected = "the server ends, with status 0",
          .got = WIFEXITED(status)
                     ? words("status %d", WEXITSTATUS(status))
                     : words("signal %d ended it", WTERMSIG(status)),
          .cause =
              WIFSIGNALED(status)
                      && (WTERMSIG(status) == SIGINT
                          || WTERMSIG(status) == SIGTERM)
                  ? "nobody has asked for this signal with sigaction, so it "
                    "ends the program at once"
                  : "main does not come to its end, or crashes on the way",
          .detail = server_errors(server), .key = "unclean-end",
          .read = "A byte in a pipe");
}

void check_one_process(const Server *server)
{
    int children = 0;
    FILE *list = popen("cat /proc/[0-9]*/stat 2>/dev/null", "r");
    char line[1024];
    while (list != NULL && fgets(line, sizeof line, list) != NULL) {
        char *end = strrchr(line, ')');
        int parent = 0;
        if (end != NULL && sscanf(end + 1, " %*c %d", &parent) == 1)
            children += parent == server->pid;
    }
    if (list != NULL)
        pclose(list);
    check(children == 0, .expected = "one process serves all",
          .got = words("the server has started %d more", children),
          .cause = "it calls fork(): this course is about threads",
          .key = "processes", .read = "Ways out");
}
