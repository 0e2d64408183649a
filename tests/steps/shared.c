#include "shared.h"

#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

void check_answer(const char *from, const Answer *answer, const char *request,
                  const char *status_line, const char *page)
{
    size_t page_length;
    char *expected =
        strchr(page, '\n') ? strdup(page) : file_read(NULL, page, &page_length);
    if (strchr(page, '\n'))
        page_length = strlen(page);

    /* It may be the pool that answers. */
    check(step("executes") ? "execute" : from, answer->length > 0,
          "`%s` got no answer: %s", request,
          answer->timed_out ? "the server says nothing"
          : answer->reset   ? "the connection was reset"
                            : "the connection was closed");
    Head head = answer_head(answer->data, answer->length);
    char *end = strstr(answer->data, "\r\n");
    check(from, head.size > 0 && end != NULL,
          "`%s`: the answer has no head that ends in an empty line "
          "(CR LF CR LF). It begins: %.80s",
          request, answer->data);
    check(from,
          (size_t)(end - answer->data) == strlen(status_line)
              && strncmp(answer->data, status_line, strlen(status_line)) == 0,
          "`%s`: expected `%s`, got `%.*s`", request, status_line,
          (int)(end - answer->data), answer->data);
    check(from, head.body != -1, "`%s`: the answer has no Content-Length",
          request);
    check(from, head.body != -2, "`%s`: the answer has two Content-Lengths",
          request);
    check(from, (size_t)head.body == page_length,
          "`%s`: Content-Length is %ld, the page has %zu bytes", request,
          head.body, page_length);
    check(from,
          answer->length - head.size == page_length
              && memcmp(answer->data + head.size, expected, page_length) == 0,
          "`%s`: the body is not the page: %zu bytes came, %zu expected",
          request, answer->length - head.size, page_length);
    check(from, !answer->timed_out,
          "`%s`: the connection is not closed after the answer", request);
    free(expected);
}

void check_hello(const Server *server, const char *from)
{
    Answer answer = client_get(server, "GET / HTTP/1.1");
    check_answer(from, &answer, "GET / HTTP/1.1", "HTTP/1.1 200 OK",
                 "hello.html");
    free(answer.data);
}

void check_idle(const char *from, const Server *server)
{
    while (now() < server->started + 0.5) /* it may still be starting */
        moment();
    double cpu = server_cpu(server), start = now();
    long before = server_sleeps(server);
    int threads = server_threads(server), looks = 0, busy = 0;
    while (now() < start + 2) {
        check(from, server_threads(server) == threads,
              "The idle server had %d threads, and now has %d", threads,
              server_threads(server));
        looks++;
        busy += server_running(server);
        moment();
    }
    /* On a busy machine even who never sleeps gets little of a CPU. */
    double share = (server_cpu(server) - cpu) / (now() - start);
    if (busy > looks / 2)
        share = (double)busy / looks;
    long sleeps = server_sleeps(server) - before;
    check(from, share < 0.1,
          "The idle server uses %.0f %% of a CPU: who has nothing to do should "
          "wait, in accept() or at a condition variable",
          100 * share);
    check(from, sleeps < 8 || getenv("EXTRA_THREAD") != NULL,
          "In 2 s the idle server woke up %ld times to look whether there is "
          "anything to do: it should wait until it is woken",
          sleeps);
}

void check_late_threads(const char *from)
{
    Server server = server_start((Options){.late_threads = true});
    bool answers = step("answers");
    int clients[2];
    Answer received[2];
    for (int i = 0; i < 2; i++) { /* both before the first thread begins */
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET / HTTP/1.1");
    }
    clients_receive(2, clients, received, answers ? patience() : 1);
    bool ended = !step("ends_after_two") && !server_alive(&server);
    for (int i = 0; i < 2; i++) {
        check(
            from, !ended && (!answers || received[i].complete),
            "Threads that begin late, 0.3 s after pthread_create, %s: is what "
            "they are given still there, and still the same, when they look "
            "at it? The server said:\n%s",
            ended ? "made the server crash"
                  : "did not serve both of two connections",
            server_errors(&server));
        free(received[i].data);
    }
    if (step("ends_after_two")) {
        server_wait_clean(&server);
        return;
    }
    server_wait_threads(&server, from, step("threads"));
    server_stop(&server);
}

/* The halves of two requests come by turns: each needs a buffer of its own. */
void check_no_mixing(const char *from)
{
    Server server = server_start((Options){0});
    const char *halves[] = {"GET / HTTP/1", ".1\r\n\r\n"};
    int slow = client_connect(&server);
    client_send(slow, halves[0], strlen(halves[0]));
    for (double start = now(); now() < start + 0.3;) /* let it be read */
        moment();
    Answer other = client_get(&server, "GET /foo HTTP/1.1");
    char byte;
    check(from, recv(slow, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1,
          "While one client had sent half of `GET / HTTP/1.1`, another asked "
          "for `/foo`: it was answered only when the server had given up the "
          "first. Does a thread hold a lock while it serves a client?");
    client_send(slow, halves[1], strlen(halves[1]));
    Answer answer = client_receive(slow, patience());
    check_answer(from, &other, "GET /foo HTTP/1.1", "HTTP/1.1 404 NOT FOUND",
                 "404.html");
    check(from, strncmp(answer.data, "HTTP/1.1 200 OK\r\n", 17) == 0,
          "While one client had sent half of `GET / HTTP/1.1`, another asked "
          "for `/foo`; then the rest of the first request came, and the "
          "answer was `%.22s`: do the threads share a buffer with each other?",
          answer.data);
    if (step("ends_after_two"))
        server_wait_clean(&server);
    else
        server_stop(&server);
}

double check_two(const char *from, const Server *server, const char *first,
                 const char *second)
{
    const char *requests[] = {first, second};
    int clients[2];
    Answer answers[2];

    for (int i = 0; i < 2; i++) {
        clients[i] = client_connect(server);
        client_ask(clients[i], requests[i]);
    }
    clients_receive(2, clients, answers, patience());
    for (int i = 0; i < 2; i++) {
        check_answer(from, &answers[i], requests[i], "HTTP/1.1 200 OK",
                     "hello.html");
        free(answers[i].data);
    }
    return answers[1].at - answers[0].at;
}

double check_sleep_then_root(const char *from)
{
    Server server = server_start((Options){0});
    double later =
        check_two(from, &server, "GET /sleep HTTP/1.1", "GET / HTTP/1.1");
    server_stop(&server);
    return later;
}

/* How long a silence must be to be believed, in seconds. */
#define SILENCE 2.0

void check_silence(const char *from)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    int clients[20];
    Answer answers[20];
    for (int i = 0; i < 20; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET / HTTP/1.1");
    }
    clients_receive(20, clients, answers, SILENCE);
    double deadline = now() + patience();
    int accepted = 0;
    while ((accepted = server_descriptors(&server) - descriptors) < 20
           && now() < deadline)
        moment();
    for (int i = 0; i < 20; i++) {
        check(from, answers[i].timed_out && answers[i].length == 0,
              "In this step a connection is accepted and nothing more happens; "
              "it was %s",
              answers[i].length > 0 ? "answered" : "closed");
        free(answers[i].data);
    }
    /* Those that wait in the kernel's queue are connected, too. */
    check(from, accepted == 20,
          "Of 20 connections main should accept each, and hand it to the pool, "
          "which does nothing with it yet; the server holds %d",
          accepted);
    server_stop(&server);
}

void check_failing_worker(const char *from)
{
    for (int failing = 1; failing <= 4; failing++) {
        Server server =
            server_start((Options){.failing_thread = failing, .may_end = true});
        check(from, server.port == 0,
              "pthread_create failed for worker %d of 4, and the server "
              "listens as if nothing had happened",
              failing);
        int status = server_wait(&server);
        char *errors = server_errors(&server);
        check(from,
              WIFEXITED(status) && WEXITSTATUS(status) != 0
                  && strchr(errors, '\n') != NULL,
              "When pthread_create fails, the server should say so on stderr "
              "and exit with a status other than 0; it ended with %s %d and "
              "said: %s",
              WIFEXITED(status) ? "status" : "signal",
              WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
              errors);
        free(errors);
    }
}
