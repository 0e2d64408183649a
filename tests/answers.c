/* What the steps that answer have in common: the right page, to the byte. */

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(answers, .timeout = TIMEOUT);

#define OK "HTTP/1.1 200 OK"
#define NOT_FOUND "HTTP/1.1 404 NOT FOUND"

/*
 * Asks one thing and checks the answer. Step 08 ends after two requests, so
 * each question starts a server of its own there.
 */
static void check_request(Server *server, const char *request,
                          const char *status_line, const char *page)
{
    if (step() == 8)
        *server = server_start((Options){0});
    Answer answer = client_get(server, request);
    check_answer(1, &answer, request, status_line, page);
    free(answer.data);
    if (step() == 8)
        server_stop(server);
}

static void check_requests(size_t count, const char *const requests[],
                           const char *status_line, const char *page)
{
    Server server;
    if (step() != 8)
        server = server_start((Options){0});
    for (size_t i = 0; i < count; i++)
        check_request(&server, requests[i], status_line, page);
    if (step() != 8)
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
        "GET /foo HTTP/1.1",   "GET /hello.html HTTP/1.1", "GET // HTTP/1.1",
        "GET /sleepy HTTP/1.1", "GET /?q HTTP/1.1",
        "POST / HTTP/1.1",     "get / HTTP/1.1",           "GET / HTTP/1.0",
        "GET / HTTP/1.11",     "GET  / HTTP/1.1",          "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",     "GET /",                    "GET",
        "",                    "GET /../../etc/passwd HTTP/1.1",
    };
    check_requests(sizeof requests / sizeof *requests, requests, NOT_FOUND,
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
    check_answer(1, &answer, "GET / HTTP/1.1 (a page of 3 MB)", OK, page);
    free(answer.data);
    answer = client_get(&server, "GET /foo HTTP/1.1");
    check_answer(1, &answer, "GET /foo HTTP/1.1 (a short page)", NOT_FOUND,
                 "gone\n");
    free(answer.data);
    if (step() != 8)
        server_stop(&server);
    else
        server_wait(&server);

    unlink(strcat(strcpy(page, folder), "/hello.html"));
    unlink(strcat(strcpy(page, folder), "/404.html"));
    rmdir(folder);
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
    Answer answer = client_receive(client, PATIENCE);
    check_answer(1, &answer, "GET / HTTP/1.1 (byte by byte)", OK,
                 "hello.html");
    free(answer.data);
    server_stop(&server);
}
