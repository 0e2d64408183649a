/* What the steps that answer have in common: the right page, to the byte. */

#include "shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(answers, .timeout = TIMEOUT);

#define OK "HTTP/1.1 200 OK"
#define NOT_FOUND "HTTP/1.1 404 NOT FOUND"

/*
 * Asks one thing and checks the answer. Where the server ends after two
 * requests, each question starts one of its own.
 */
static void check_request(Server *server, const char *request,
                          const char *status_line, const char *page)
{
    if (step("ends_after_two"))
        *server = server_start((Options){0});
    Answer answer = client_get(server, request);
    check_answer("single-threaded", &answer, request, status_line, page);
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
    if (!step("ends_after_two"))
        server_stop(&server);
}

Test(answers, root_is_hello)
{
    const char *requests[] = {"GET / HTTP/1.1", "GET / HTTP/1.1"};
    check_requests(2, requests, OK, "hello.html");
}

Test(answers, all_else_is_not_found)
{
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
        "GET /sleep HTTP/1.1", /* until it sleeps */
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
    check_answer("single-threaded", &answer, "GET / HTTP/1.1 (a page of 3 MB)",
                 OK, page);
    free(answer.data);
    answer = client_get(&server, "GET /foo HTTP/1.1");
    check_answer("single-threaded", &answer, "GET /foo HTTP/1.1 (a short page)",
                 NOT_FOUND, "gone\n");
    free(answer.data);
    if (!step("ends_after_two"))
        server_stop(&server);
    else
        server_wait_clean(&server);

    folder_remove(folder);
}

/* A request may come in pieces as small as a byte. */
Test(answers, byte_by_byte)
{
    Server server = server_start((Options){0});
    int client = client_connect(&server);
    const char *request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    for (const char *byte = request; *byte != '\0'; byte++) {
        client_send(client, byte, 1);
        moment(); /* so that the bytes travel one by one */
    }
    Answer answer = client_receive(client, patience());
    check_answer("single-threaded", &answer, "GET / HTTP/1.1 (byte by byte)",
                 OK, "hello.html");
    free(answer.data);
    server_stop(&server);
}

/* A client may think for a while, but not for ever. */
Test(answers, a_slow_client_is_waited_for)
{
    Server server = server_start((Options){0});
    int slow = client_connect(&server);
    client_send(slow, "GET / HT", 8);
    for (double start = now(); now() < start + 3;)
        moment();
    client_send(slow, "TP/1.1\r\n\r\n", 10);
    Answer answer = client_receive(slow, patience());
    check_answer("single-threaded", &answer,
                 "GET / HTTP/1.1 (with a pause of 3 s in it)", OK,
                 "hello.html");
    free(answer.data);

    int silent = client_connect(&server);
    double start = now();
    answer = client_receive(silent, patience());
    check("single-threaded",
          !answer.timed_out && answer.at - start > 4.5 && answer.at - start < 9,
          "A client that says nothing should be given up after 5 s; it was "
          "%s after %.1f s",
          answer.timed_out ? "still connected" : "cut off", answer.at - start);
    free(answer.data);
    if (step("ends_after_two"))
        server_wait_clean(&server);
    else
        server_stop(&server);
}

/* What a request needs is given back: 300 times 2 MB would be seen. */
Test(answers, requests_leave_no_memory_behind)
{
    char *folder = folder_with_page(2000000);

    /* One that ends after two: its leaks are AddressSanitizer's to find. */
    Server server = server_start((Options){.folder = folder});
    long before = 0;
    int requests = step("ends_after_two") ? 2 : 330;
    for (int i = 0; i < requests; i++) {
        if (i == 30)
            before = server_memory(&server);
        Answer answer = client_get(&server, "GET / HTTP/1.1");
        check("single-threaded", answer.complete,
              "`/` was not answered in full");
        free(answer.data);
    }
    if (step("ends_after_two")) {
        server_wait_clean(&server);
    } else {
        long growth = server_memory(&server) - before;
        check("single-threaded", growth < 400 * 1024L,
              "300 requests for a page of 2 MB made the server grow by %ld MB: "
              "does each request free what it has allocated?",
              growth / 1024);
        server_stop(&server);
    }

    folder_remove(folder);
}

/* Where a buffer of 8 KiB ends: nothing may be written behind it. */
Test(answers, a_line_as_long_as_the_buffer)
{
    Server server;
    for (int length = 8189; length <= 8194; length++) {
        char line[9000];
        memset(line, 'a', sizeof line);
        memcpy(line, "GET /", 5);
        memcpy(line + length - 11, " HTTP/1.1\r\n", 11);
        if (length == 8189 || step("ends_after_two"))
            server = server_start((Options){0});
        int client = client_connect(&server);
        client_send(client, line, (size_t)length);
        Answer answer = client_receive(client, patience());
        check("single-threaded",
              answer.length == 0
                  || strncmp(answer.data, NOT_FOUND, strlen(NOT_FOUND)) == 0,
              "A request line of %d bytes should be answered with `%s`, or not "
              "at all; got `%.30s`",
              length, NOT_FOUND, answer.data);
        free(answer.data);
        if (length == 8194 || step("ends_after_two"))
            server_stop(&server);
    }
}
