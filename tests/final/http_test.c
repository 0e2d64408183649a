/* The parser, and its table of requests. */

#include "http.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_cases.h"

/* Parses a copy that ends where its memory does, so that AddressSanitizer
 * sees every look beyond it. The path is checked here, as it is in the copy. */
static int parse(const char *text, size_t size, HttpRequest *request,
                 const char *path)
{
    char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, text, size);
    int status = http_parse(copy, size, request);
    if (path != NULL)
        cr_expect(request->path_length == strlen(path)
                      && memcmp(request->path, path, strlen(path)) == 0,
                  "The path is %.*s, not %s", (int)request->path_length,
                  request->path, path);
    free(copy);
    return status;
}

Test(http, table_is_large_enough)
{
    cr_assert(ge(int, CASES, 500));
}

Test(http, every_request_has_its_status)
{
    for (size_t i = 0; i < CASES; i++) {
        HttpRequest request;
        int status =
            parse(cases[i].text, cases[i].size, &request, cases[i].path);
        cr_expect(eq(int, status, cases[i].status), "%s: %s", cases[i].rule,
                  show(cases[i].text, cases[i].size));
        cr_expect(request.head_only == cases[i].head_only, "%s: %s",
                  cases[i].rule, show(cases[i].text, cases[i].size));
        cr_expect(request.keep_alive == cases[i].keep_alive, "%s: %s",
                  cases[i].rule, show(cases[i].text, cases[i].size));
    }
}

/* A good request is incomplete until its last byte, and then stays good
 * whatever follows; a bad one is incomplete until it is bad, once and for
 * all, in the same way. */
Test(http, every_prefix_is_incomplete)
{
    for (size_t i = 0; i < CASES; i++) {
        HttpRequest request;
        parse(cases[i].text, cases[i].size, &request, NULL);
        int expected = cases[i].status;
        size_t whole = expected == 200 ? request.size : cases[i].size;
        int last = 0;
        for (size_t size = 0; size <= cases[i].size; size++) {
            int status = parse(cases[i].text, size, &request, NULL);
            if (size < whole && expected == 200)
                cr_expect(eq(int, status, 0), "%s, %zu bytes of %s",
                          cases[i].rule, size,
                          show(cases[i].text, cases[i].size));
            else if (last != 0)
                cr_expect(eq(int, status, last), "%s, %zu bytes of %s",
                          cases[i].rule, size,
                          show(cases[i].text, cases[i].size));
            else
                cr_expect(status == 0 || status == expected,
                          "%s: %d after %zu bytes of %s", cases[i].rule, status,
                          size, show(cases[i].text, cases[i].size));
            last = status;
        }
        cr_expect(eq(int, last, expected));
    }
}

/* A condition is one date of the one length, or it does not count. */
Test(http, if_modified_since) /* RFC 9110 13.1.3 */
{
#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define SINCE "If-Modified-Since: "
    static const char *const requests[][2] = {
        {GET END, ""},
        {GET SINCE DATE "\r\n\r\n", DATE},
        {GET "if-modified-since:\t" DATE " \r\n\r\n", DATE},
        {GET SINCE "\r\n\r\n", ""},
        {GET SINCE DATE "x\r\n\r\n", ""},
        {GET SINCE DATE "\r\n" SINCE DATE "\r\n\r\n", ""},
        {GET SINCE DATE "\r\nIf-None-Match: *\r\n\r\n", ""},
        {GET "If-None-Match: \"a\"\r\n" SINCE DATE "\r\n\r\n", ""},
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        HttpRequest request;
        int status =
            parse(requests[i][0], strlen(requests[i][0]), &request, NULL);
        cr_expect(eq(int, status, 200));
        cr_expect(eq(str, request.modified_since, (char *)requests[i][1]), "%s",
                  requests[i][0]);
    }
}

Test(http, size_ends_with_the_empty_line)
{
    static const char text[] = GET END "GET /2 HTTP/1.1\r\n" HOST END;
    HttpRequest request;
    cr_assert(eq(int, http_parse(text, sizeof text - 1, &request), 200));
    cr_assert(eq(sz, request.size, sizeof(GET END) - 1));
    cr_assert(eq(int,
                 http_parse(text + request.size, sizeof text - 1 - request.size,
                            &request),
                 200));
    cr_assert(eq(sz, request.path_length, 2));
}

/* Makes before, count times fill, after. Returns the status. */
static int parse_long(const char *before, char fill, size_t count,
                      const char *after)
{
    size_t size = strlen(before) + count + strlen(after);
    char *text = malloc(size + 1);
    strcpy(text, before);
    memset(text + strlen(before), fill, count);
    strcpy(text + strlen(before) + count, after);
    HttpRequest request;
    int status = parse(text, size, &request, NULL);
    free(text);
    return status;
}

Test(http, a_line_too_long_is_414) /* RFC 9110 15.5.15 */
{
    const char *end = " HTTP/1.1\r\n" HOST END;
    size_t room = HTTP_HEAD_MAX - strlen("GET /") - strlen(end);
    cr_expect(eq(int, parse_long("GET /", 'a', room, end), 200));
    cr_expect(eq(int, parse_long("GET /", 'a', room + 1, end), 431));
    cr_expect(eq(int, parse_long("GET /", 'a', HTTP_HEAD_MAX, end), 414));
    cr_expect(eq(int, parse_long("GET /", 'a', HTTP_HEAD_MAX - 6, ""), 0));
    cr_expect(eq(int, parse_long("GET /", 'a', HTTP_HEAD_MAX - 5, ""), 414));
    cr_expect(eq(int, parse_long("GET /", 'a', 100000, ""), 414));
    cr_expect(eq(int, parse_long("", 'a', 100000, ""), 414));
    cr_expect(eq(int, parse_long("", '\0', 100000, ""), 414));
    cr_expect(eq(int, parse_long("\r\n", ' ', 100000, ""), 414));
}

Test(http, headers_too_large_are_431) /* RFC 6585 5 */
{
    size_t room = HTTP_HEAD_MAX - strlen(GET "X: ") - 4;
    cr_expect(eq(int, parse_long(GET "X: ", 'a', room, "\r\n\r\n"), 200));
    cr_expect(eq(int, parse_long(GET "X: ", 'a', room + 1, "\r\n\r\n"), 431));
    cr_expect(eq(int, parse_long(GET "X: ", 'a', room + 3, ""), 0));
    cr_expect(eq(int, parse_long(GET "X: ", 'a', room + 4, ""), 431));
    cr_expect(eq(int, parse_long(GET "X: ", 'a', 100000, ""), 431));
    cr_expect(eq(int, parse_long(GET, 'a', 100000, ""), 431));
}

Test(http, percent_decoding) /* RFC 3986 2.1 */
{
    static const struct {
        const char *text, *decoded;
    } codes[] = {
        {"", ""},         {"/", "/"},      {"/a%20b", "/a b"}, {"%41%61", "Aa"},
        {"%2F%2f", "//"}, {"%25", "%"},    {"%2525", "%25"},   {"%ff", "\xff"},
        {"a+b", "a+b"},   {"%", NULL},     {"%4", NULL},       {"a%4", NULL},
        {"%zz", NULL},    {"%4z", NULL},   {"%z4", NULL},      {"%00", NULL},
        {"a%00b", NULL},  {"%%41", NULL},  {"%+1", NULL},      {"% 1", NULL},
        {"%-1", NULL},    {"%0x41", NULL}, {"%2e%2E/", "../"},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        size_t size = strlen(codes[i].text);
        char *text = malloc(size), *decoded = malloc(size + 1);
        memcpy(text, codes[i].text, size);
        bool valid = http_percent_decode(text, size, decoded);
        cr_expect(valid == (codes[i].decoded != NULL), "%s", codes[i].text);
        if (valid && codes[i].decoded != NULL)
            cr_expect(eq(str, decoded, (char *)codes[i].decoded));
        free(text);
        free(decoded);
    }
}

Test(http, the_head_of_an_answer)
{
    char head[HTTP_ANSWER_MAX + 1];
    HttpAnswer answer = {.status = 200,
                         .date = "now",
                         .type = "text/html",
                         .length = 12,
                         .keep_alive = true};
    size_t end = http_format_head(head, &answer);
    head[end] = '\0';
    cr_expect(eq(str, head,
                 "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Type: text/html\r\n"
                 "Content-Length: 12\r\nConnection: keep-alive\r\n\r\n"));
    static const int statuses[] = {200, 304, 400, 404, 405, 408,
                                   414, 431, 501, 503, 505};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        char expected[8];
        snprintf(expected, sizeof expected, " %d ", statuses[i]);
        answer = (HttpAnswer){.status = statuses[i],
                              .date = DATE,
                              .modified = DATE,
                              .type = "text/html; charset=utf-8",
                              .length = SIZE_MAX};
        size_t size = http_format_head(head, &answer);
        cr_assert(lt(sz, size, HTTP_ANSWER_MAX)); /* so nothing was cut off */
        head[size] = '\0';
        cr_expect(strncmp(head + 8, expected, 5) == 0);
        cr_expect(ne(str, (char *)http_reason(statuses[i]), ""));
        cr_expect(strstr(head, "\r\nConnection: close\r\n") != NULL);
        cr_expect(strcmp(head + size - 4, "\r\n\r\n") == 0);
        bool allow = strstr(head, "\r\nAllow: GET, HEAD\r\n") != NULL;
        bool retry = strstr(head, "\r\nRetry-After: ") != NULL;
        cr_expect(strstr(head, "\r\nLast-Modified: " DATE "\r\n") != NULL);
        cr_expect(allow == (statuses[i] == 405)); /* RFC 9110 10.2.1 */
        cr_expect(retry == (statuses[i] == 503)); /* RFC 9110 10.2.3 */
    }
}
