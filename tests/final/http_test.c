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

/* Returns a text as a C literal, for a message. */
static const char *show(const char *text, size_t size)
{
    static char shown[512];
    size_t end = 0;
    for (size_t i = 0; i < size && end < sizeof shown - 5; i++) {
        unsigned char c = (unsigned char)text[i];
        const char *form = c >= ' ' && c < 0x7f ? "%c" : "\\x%02x";
        end += (size_t)snprintf(shown + end, sizeof shown - end, form, c);
    }
    return shown;
}

Test(http, table_is_large_enough)
{
    cr_assert(ge(int, CASES, 500));
}

/* What final does: the column `final` says where that is known to be wrong. */
static int status_of(const HttpCase *c)
{
    return c->final > 0 ? c->final : c->status;
}

Test(http, what_is_known_to_be_wrong)
{
    int known = 0;
    for (size_t i = 0; i < CASES; i++)
        known += cases[i].final != 0;
    cr_assert(eq(int, known, 334)); /* to become 0 */
}

Test(http, every_request_has_its_status)
{
    for (size_t i = 0; i < CASES; i++) {
        HttpRequest request;
        int status =
            parse(cases[i].text, cases[i].size, &request, cases[i].path);
        cr_expect(eq(int, status, status_of(&cases[i])), "%s: %s",
                  cases[i].rule, show(cases[i].text, cases[i].size));
        if (cases[i].final > 0)
            continue;
        bool head_only = cases[i].head_only && cases[i].final != UNSEEN_HEAD;
        cr_expect(request.head_only == head_only, "%s: %s", cases[i].rule,
                  show(cases[i].text, cases[i].size));
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
        int expected = status_of(&cases[i]);
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

/* Only who has announced the end, and no body, has nothing more to say. */
Test(http, the_last_request_of_a_client) /* 9.6 */
{
    static const struct {
        const char *text;
        bool last;
    } ends[] = {
        {GET END, false},
        {GET "Connection: close\r\n\r\n", true},
        {"GET / HTTP/1.0\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false},
        {GET "Content-Length: 5\r\n\r\n", false},
        {GET "Connection: close\r\nContent-Length: 5\r\n\r\n", false},
        {GET "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n", false},
        {GET "Connection: close\r\nTransfer-Encoding: x\r\n\r\n", false},
        {GET "Connection: close\r\n", false},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        HttpRequest request;
        http_parse(ends[i].text, strlen(ends[i].text), &request);
        cr_expect(request.last == ends[i].last, "%s", ends[i].text);
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
    size_t end = http_format_head(head, 200, "now", "text/html", 12, true);
    head[end] = '\0';
    cr_expect(eq(str, head,
                 "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Type: text/html\r\n"
                 "Content-Length: 12\r\nConnection: keep-alive\r\n\r\n"));
    static const int statuses[] = {200, 400, 404, 405, 408,
                                   414, 431, 501, 503, 505};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        char expected[8];
        snprintf(expected, sizeof expected, " %d ", statuses[i]);
        size_t size =
            http_format_head(head, statuses[i], "Sun, 06 Nov 1994 08:49:37 GMT",
                             "text/html; charset=utf-8", SIZE_MAX, false);
        cr_assert(lt(sz, size, HTTP_ANSWER_MAX)); /* so nothing was cut off */
        head[size] = '\0';
        cr_expect(strncmp(head + 8, expected, 5) == 0);
        cr_expect(ne(str, (char *)http_reason(statuses[i]), ""));
        cr_expect(strstr(head, "\r\nConnection: close\r\n") != NULL);
        cr_expect(strcmp(head + size - 4, "\r\n\r\n") == 0);
        bool allow = strstr(head, "\r\nAllow: GET, HEAD\r\n") != NULL;
        bool retry = strstr(head, "\r\nRetry-After: ") != NULL;
        cr_expect(allow == (statuses[i] == 405)); /* RFC 9110 10.2.1 */
        cr_expect(retry == (statuses[i] == 503)); /* RFC 9110 10.2.3 */
    }
}
