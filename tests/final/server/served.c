/* What is served. */

#define _GNU_SOURCE /* strptime, timegm */
#include "help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

TestSuite(server, .timeout = TIMEOUT);

Test(server, pages_and_heads)
{
    Server server = start();
    check_pages(&server);
    Client one = client(&server);
    say(&one, "GET /nope HTTP/1.1\r\n" H "\r\n");
    Reply answer = reply(&one);
    cr_expect(eq(int, answer.status, 404));
    cr_expect(strstr(answer.body, "Oops!") != NULL);
    char length[64];
    say(&one, "HEAD / HTTP/1.1\r\n" H "\r\n");
    answer = reply_to(&one, true, patience());
    cr_expect(eq(int, answer.status, 200));
    size_t size;
    free(file_read(NULL, "hello.html", &size));
    snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", size);
    cr_expect(strstr(answer.head, length) != NULL);
    cr_expect(strstr(answer.head, "\r\nDate: ") != NULL);
    say(&one, GET); /* nothing of a body stands between */
    cr_expect(eq(int, reply(&one).status, 200));
    leave(&one);
    finish(&server);
}

Test(server, keep_alive)
{
    Server server = start();
    Client one = client(&server);
    for (int i = 0; i < 1000; i++) {
        say(&one, GET);
        Reply answer = reply(&one);
        cr_assert(eq(int, answer.status, 200), "request %d", i);
        free(answer.body);
    }
    cr_expect(not(one.ended));
    say(&one, LAST);
    Reply answer = reply(&one);
    cr_expect(strstr(answer.head, "\r\nConnection: close\r\n") != NULL);
    closed_after(&one);
    cr_expect(not(one.reset));
    leave(&one);
    finish(&server);
}

Test(server, http_1_0)
{
    Server server = start();
    Client one = client(&server);
    say(&one, "GET / HTTP/1.0\r\n\r\n");
    cr_expect(eq(int, reply(&one).status, 200));
    closed_after(&one);
    leave(&one);
    one = client(&server);
    say(&one, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    Reply answer = reply(&one);
    cr_expect(strstr(answer.head, "\r\nConnection: keep-alive\r\n") != NULL);
    say(&one, GET);
    cr_expect(eq(int, reply(&one).status, 200));
    leave(&one);
    finish(&server);
}

Test(server, pipelining)
{
    Server server = start();
    Client one = client(&server);
    for (int i = 0; i < 5000; i++)
        say(&one, i % 3 == 0 ? "GET /nope HTTP/1.1\r\n" H "\r\n" : GET);
    for (int i = 0; i < 5000; i++) {
        Reply answer = reply(&one);
        cr_assert(eq(int, answer.status, i % 3 == 0 ? 404 : 200), "%d", i);
        free(answer.body);
    }
    leave(&one);
    finish(&server);
}

Test(server, a_large_page_in_small_pieces)
{
    char *folder = large_site();
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client one = ask_for_large(&server, 16384);
    say(&one, GET);
    Reply answer = reply(&one);
    cr_assert(eq(int, answer.status, 200));
    cr_assert(eq(sz, answer.size, 8000000));
    for (size_t i = 0; i < answer.size; i++)
        cr_assert(answer.body[i] == (char)('a' + i % 23), "byte %zu", i);
    answer = reply(&one);
    cr_expect(eq(str, answer.body, "small"));
    leave(&one);
    finish(&server);
    drop_site(folder);
}

Test(server, no_request_leaves_the_folder)
{
    Server server = start();
    static const char *const paths[] = {"/../LICENSE",
                                        "/../../../../../../etc/passwd",
                                        "/%2e%2e/LICENSE",
                                        "/..%2fLICENSE",
                                        "/%2e%2e%2fLICENSE",
                                        "/%252e%252e/LICENSE",
                                        "/..%c0%afLICENSE",
                                        "/..%5cLICENSE",
                                        "//etc/passwd",
                                        "/etc/passwd",
                                        "/hello.html/../../LICENSE",
                                        "/.",
                                        "/..",
                                        "/hello.html%00.png",
                                        "http://a/../LICENSE",
                                        "http://a/%2e%2e/LICENSE"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char request[256];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" H "\r\n",
                 paths[i]);
        cr_expect(eq(int, ask(&server, request), 404), "%s", paths[i]);
    }
    finish(&server);
}

Test(server, errors_are_answered_whole_and_end_the_connection)
{
    static char line[20000], header[20000];
    snprintf(line, sizeof line, "GET /%010000d HTTP/1.1\r\n" H "\r\n", 0);
    snprintf(header, sizeof header,
             "GET / HTTP/1.1\r\n" H "X: %010000d\r\n\r\n", 0);
    const struct {
        const char *request;
        int status;
    } errors[] = {
        {"nonsense\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\n\r\n", 505},
        {"BREW / HTTP/1.1\r\n" H "\r\n", 501},
        {"DELETE / HTTP/1.1\r\n" H "\r\n", 405},
        {line, 414},
        {header, 431},
    };
    Server server = start();
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        Client one = client(&server);
        say(&one, errors[i].request);
        Reply answer = reply(&one);
        cr_expect(eq(int, answer.status, errors[i].status));
        cr_expect(answer.size > 0);
        shutdown(one.socket, SHUT_WR);
        closed_after(&one);
        cr_expect(not(one.reset));
        leave(&one);
    }
    finish(&server);
}

/* The answer must arrive though megabytes are still on their way to us. */
Test(server, no_answer_is_lost_to_a_reset)
{
    Server server = start();
    char *body = calloc(1, 2000000);
    for (int i = 0; i < 20; i++) {
        Client one = client(&server);
        say(&one, i % 2 ? "GET /"
                        : "POST / HTTP/1.1\r\n" H
                          "Content-Length: 2000000\r\n\r\n");
        client_send(one.socket, body, 2000000);
        Reply answer = reply(&one);
        cr_expect(eq(int, answer.status, i % 2 ? 414 : 405));
        cr_expect(not(one.reset));
        leave(&one);
    }
    free(body);
    finish(&server);
}

/* It is looked up seldom, but not too seldom: RFC 9110 6.6.1. */
Test(server, the_date_is_now)
{
    Server server = start();
    for (int i = 0; i < 3; i++) {
        Client one = client(&server);
        long before = (long)time(NULL);
        say(&one, GET);
        Reply answer = reply(&one);
        struct tm date = {0};
        char *field = strstr(answer.head, "\r\nDate: ");
        cr_assert(field != NULL);
        cr_assert(strptime(field + 8, "%a, %d %b %Y %T GMT\r\n", &date) != NULL,
                  "%s", answer.head);
        long said = (long)timegm(&date);
        cr_expect(said >= before - 1 && said <= (long)time(NULL),
                  "%ld s too late", before - said);
        leave(&one);
        pass(2.3);
    }
    finish(&server);
}
