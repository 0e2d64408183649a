/* What the steps that answer have in common: the right page, to the byte. */

#include "shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(answers, SUITE);
TestSuite(memory, SUITE);

#define OK "HTTP/1.1 200 OK"
#define NOT_FOUND "HTTP/1.1 404 NOT FOUND"

/*
 * Asks one thing and checks the answer. A program that ends after two requests
 * is started anew for each question.
 */
static void check_request(Server *server, const char *request,
                          const char *status_line, const char *page)
{
    if (step("ends_after_two"))
        *server = server_start((Options){0});
    double asked = now();
    Answer answer = client_get_within(server, request, SLEEP);
    check_answer(&answer, request, status_line, page);
    check(!step("keeps_alive") || answer.at - asked < 4.5
              || answer.begun - asked > 4.5,
          .did = words("a client asked with `Connection: close`: %s", request),
          .expected = "the connection is closed after the answer",
          .got = words("it was closed %.1f s later", answer.at - answer.begun),
          .cause = "keep_alive, as http_parse() says it, is not looked at",
          .key = "stays", .read = "Many requests, one buffer");
    check(answer.at - asked < 4.5, .did = words("a client asked: %s", request),
          .expected = "an answer at once",
          .got = words("it came after %.1f s", answer.at - asked),
          .cause = "only the branch of /sleep may sleep",
          .key = "sleeps-too-much", .read = "Step 2");
    free(answer.data);
    if (step("ends_after_two"))
        server_stop(server);
}

static void check_requests(size_t count, const char *const requests[],
                           const char *status_line, const char *page)
{
    Server server;
    if (!step("ends_after_two"))
        server = server_start((Options){0});
    for (size_t i = 0; i < count; i++)
        check_request(&server, requests[i], status_line, page);
    if (step("ends_after_two"))
        return;
    check_one_process(&server);
    server_stop(&server);
}

Test(answers, root_is_hello)
{
    const char *requests[] = {"GET / HTTP/1.1", "GET / HTTP/1.1"};
    check_requests(2, requests, OK, "hello.html");
}

Test(answers, all_else_is_not_found)
{
    if (step("speaks_http")) /* http.c asks more, and expects more */
        return;
    const char *requests[] = {
        "GET /foo HTTP/1.1",
        "GET /hello.html HTTP/1.1",
        "GET // HTTP/1.1",
        "GET /sleepy HTTP/1.1",
        "GET /?q HTTP/1.1",
        "POST / HTTP/1.1",
        "get / HTTP/1.1",
        "GET / HTTP/1.0",
        "GET / HTTP/1.11",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET /",
        "GET",
        "",
        "GET /../../etc/passwd HTTP/1.1",
        "GET /sleep HTTP/1.1", /* until a step sleeps */
    };
    size_t count = sizeof requests / sizeof *requests;
    check_requests(step("sleeps") ? count - 1 : count, requests, NOT_FOUND,
                   "404.html");
}

/* Bytes that are no ASCII count one each, and a send may be partial. */
Test(answers, any_page_is_sent_whole)
{
    char *folder = folder_new();
    size_t length = 3000001;
    char *page = malloc(length + 1);
    for (size_t i = 0; i < length; i++)
        page[i] = "h\xc3\xa9llo, \xe4\xb8\x96\n"[i % 12];
    page[length] = '\0';
    file_write(folder, "hello.html", page, length);
    file_write(folder, "404.html", "gone\n", 5);

    Server server = server_start((Options){.folder = folder});
    Answer answer = client_get(&server, "GET / HTTP/1.1");
    check_answer(&answer, "GET / HTTP/1.1 (a page of 3 MB)", OK, page);
    free(answer.data);
    answer = client_get(&server, "GET /foo HTTP/1.1");
    check_answer(&answer, "GET /foo HTTP/1.1 (a page of 5 bytes)", NOT_FOUND,
                 "gone\n");
    free(answer.data);
    if (!step("ends_after_two"))
        server_stop(&server);
    else
        server_wait_clean(&server, 0);

    folder_remove(folder);
}

/* A request may come in pieces as small as a byte. */
Test(answers, byte_by_byte)
{
    Server server = server_start((Options){0});
    int client = client_connect(&server);
    const char *request = "GET / HTTP/1.1\r\nHost: a\r\n"
                          "Connection: close\r\n\r\n";
    for (const char *byte = request; *byte != '\0'; byte++) {
        client_send(client, byte, 1);
        moment(); /* so that the bytes travel one by one */
    }
    Answer answer = client_receive(client, (step("keeps_alive") ? SILENCE : 0)
                                               + patience());
    check_answer(&answer, "GET / HTTP/1.1 (sent byte by byte)", OK,
                 "hello.html");
    free(answer.data);
    server_stop(&server);
}

/* What a request needs is given back: 300 times 2 MB would be seen. */
Test(memory, requests_leave_no_memory_behind)
{
    char *folder = folder_with_page(2000000);

    /* The leaks of what ends after two are AddressSanitizer's to find. */
    Server server = server_start((Options){.folder = folder});
    long before = 0;
    int requests = step("ends_after_two") ? 2 : 330;
    doing("300 clients asked for a page of 2 MB, one after the other");
    for (int i = 0; i < requests; i++) {
        if (i == 30)
            before = server_memory(&server);
        Answer answer = client_get(&server, "GET / HTTP/1.1");
        check(answer.complete, .expected = "each gets it, in full",
              .got = words("number %d did not", i + 1), .key = "page");
        free(answer.data);
    }
    if (step("ends_after_two")) {
        server_wait_clean(&server, 0);
    } else {
        long growth = server_memory(&server) - before;
        check(growth < 400 * 1024L,
              .expected = "each request gives back what it has taken",
              .got = words("the server has grown by %ld MB", growth / 1024),
              .cause = "what malloc() returned is not freed on each way out of "
                       "the function",
              .key = "grows", .read = "A real page");
        server_stop(&server);
    }

    folder_remove(folder);
}

/* Where a buffer of 8 KiB ends: nothing may be written behind it. */
Test(memory, a_line_as_long_as_the_buffer)
{
    if (step("speaks_http")) /* see parser.c */
        return;
    Server server;
    for (int length = 8189; length <= 8194; length++) {
        char line[9000];
        memset(line, 'a', sizeof line);
        memcpy(line, "GET /", 5);
        memcpy(line + length - 11, " HTTP/1.1\r\n", 11);
        if (length == 8189 || step("ends_after_two"))
            server = server_start((Options){0});
        doing(words("a client sent a request line of %d bytes", length));
        int client = client_connect(&server);
        client_send(client, line, (size_t)length);
        shutdown(client, SHUT_WR); /* who reads on need not wait */
        Answer answer = client_receive(client, patience());
        check(answer.length == 0
                  || strncmp(answer.data, NOT_FOUND, strlen(NOT_FOUND)) == 0,
              .expected = "`" NOT_FOUND "`, or no answer",
              .got = words("`%.30s`", answer.data),
              .cause = "the end of the buffer is not looked at",
              .key = "buffer", .read = "Reading the request");
        free(answer.data);
        if (length == 8194 || step("ends_after_two"))
            server_stop(&server);
    }
}
