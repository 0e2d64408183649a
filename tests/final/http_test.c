/* The parser and its table: what each request must be answered with, and the
 * rule that says so. A bare number is a section of RFC 9112. */

#include "http.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST "Host: a\r\n"
#define END "\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST
#define ROOT "/"

/* Shorthands for the columns keep_alive and head_only. */
#define KEEP true, false
#define CLOSE false, false
#define KEEP_HEAD true, true
#define CLOSE_HEAD false, true

#define OK(rule, text, path, flags) {rule, text, sizeof text - 1, 200, path, flags}
#define NO(rule, text, status) {rule, text, sizeof text - 1, status, NULL, false, false}

static const struct {
    const char *rule, *text;
    size_t size;
    int status;
    const char *path;
    bool keep_alive, head_only;
} cases[] = {
    /* Requests as clients write them. */
    OK("3", GET END, ROOT, KEEP),
    OK("3, curl", "GET /hello.html HTTP/1.1\r\nHost: 127.0.0.1:7878\r\n"
       "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n", "/hello.html", KEEP),
    OK("3, ab", "GET / HTTP/1.0\r\nHost: 127.0.0.1:7878\r\n"
       "User-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n", ROOT, CLOSE),
    OK("3, ab -k", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n"
       "Host: 127.0.0.1:7878\r\n\r\n", ROOT, KEEP),
    OK("3, a browser", "GET /favicon.ico HTTP/1.1\r\nHost: localhost:7878\r\n"
       "Connection: keep-alive\r\nsec-ch-ua: \"A\";v=\"99\", \"B\"\r\n"
       "User-Agent: Mozilla/5.0 (X11; Linux x86_64) (like Gecko)\r\n"
       "Accept: image/avif,*/*;q=0.8\r\nReferer: http://localhost:7878/\r\n"
       "Accept-Encoding: gzip, deflate, br\r\nCookie: a=b; c=\"d e\"\r\n\r\n",
       "/favicon.ico", KEEP),
    OK("9110 9.3.2", "HEAD / HTTP/1.1\r\n" HOST END, ROOT, KEEP_HEAD),
    OK("9110 9.3.2", "HEAD /x HTTP/1.0\r\n\r\n", "/x", CLOSE_HEAD),

    /* Methods. */
    NO("9110 9.1", "get / HTTP/1.1\r\n" HOST END, 501),
    NO("9110 9.1", "Head / HTTP/1.1\r\n" HOST END, 501),
    NO("9110 9.1", "GETS / HTTP/1.1\r\n" HOST END, 501),
    NO("9110 9.1", "GE / HTTP/1.1\r\n" HOST END, 501),
    NO("9110 9.1", "BREW / HTTP/1.1\r\n" HOST END, 501),
    NO("9110 9.1", "X!#$%&'*+-.^_`|~9 / HTTP/1.1\r\n" HOST END, 501),
    NO("9110 15.5.6", "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi",
       405),
    NO("9110 15.5.6", "PUT / HTTP/1.1\r\n" HOST END, 405),
    NO("9110 15.5.6", "DELETE / HTTP/1.1\r\n" HOST END, 405),
    NO("9110 15.5.6", "OPTIONS / HTTP/1.1\r\n" HOST END, 405),
    NO("3.2.4", "OPTIONS * HTTP/1.1\r\n" HOST END, 405),
    NO("9110 15.5.6", "TRACE / HTTP/1.1\r\n" HOST END, 405),
    NO("RFC 5789", "PATCH / HTTP/1.1\r\n" HOST END, 405),
    NO("3.2.3", "CONNECT a:80 HTTP/1.1\r\n" HOST END, 405),
    NO("3.1", "G(T / HTTP/1.1\r\n" HOST END, 400),
    NO("3.1", "G\"T / HTTP/1.1\r\n" HOST END, 400),
    NO("3.1", "GET: / HTTP/1.1\r\n" HOST END, 400),
    NO("3.1", "G\xc3\x89T / HTTP/1.1\r\n" HOST END, 400),
    NO("3.1", "G\0T / HTTP/1.1\r\n" HOST END, 400),
    NO("3.1", "\x16\x03\x01\x02\n", 400),

    /* The request line's form. */
    NO("3", "GET /\r\n", 400),
    NO("3", "GET\r\n", 400),
    NO("3", " \r\n", 400),
    NO("3", "hello\r\n", 400),
    NO("3", "hello\n", 400),
    NO("3", "GET  / HTTP/1.1\r\n" HOST END, 400),
    NO("3", "GET /  HTTP/1.1\r\n" HOST END, 400),
    NO("3", "GET / HTTP/1.1 \r\n" HOST END, 400),
    NO("3", " GET / HTTP/1.1\r\n" HOST END, 400),
    NO("3", "GET\t/\tHTTP/1.1\r\n" HOST END, 400),
    NO("3", "GET / HTTP/1.1\t\r\n" HOST END, 400),
    NO("3", "GET /a b HTTP/1.1\r\n" HOST END, 400),
    NO("3", "GET / HTTP/1.1 x\r\n" HOST END, 400),
    NO("3", "GET  HTTP/1.1\r\n" HOST END, 400),
    NO("3", " / HTTP/1.1\r\n" HOST END, 400),
    NO("3", "/ HTTP/1.1\r\n" HOST END, 400),
    NO("2.2", "GET / HTTP/1.1\rHost: a\r\r\n\r\n", 400),
    NO("2.2", "GET /\r HTTP/1.1\r\n" HOST END, 400),
    NO("2.2", "\rGET / HTTP/1.1\r\n" HOST END, 400),
    NO("2.2", "GET / HTTP/1.1\r\r\n" HOST END, 400),

    /* Versions. */
    OK("2.3", "GET / HTTP/1.0\r\n\r\n", ROOT, CLOSE),
    OK("2.3", "GET / HTTP/1.9\r\n" HOST END, ROOT, KEEP),
    NO("2.3", "GET / http/1.1\r\n" HOST END, 400),
    NO("2.3", "GET / Http/1.1\r\n" HOST END, 400),
    NO("2.3", "GET / HTTP/1\r\n" HOST END, 400),
    NO("2.3", "GET / HTTP/1.\r\n" HOST END, 400),
    NO("2.3", "GET / HTTP/1.10\r\n" HOST END, 400),
    NO("2.3", "GET / HTTP/11.1\r\n" HOST END, 400),
    NO("2.3", "GET / HTTP/1,1\r\n" HOST END, 400),
    NO("2.3", "GET / HTTP/a.1\r\n" HOST END, 400),
    NO("2.3", "GET / HTTP/1.a\r\n" HOST END, 400),
    NO("2.3", "GET / HTTP/\r\n" HOST END, 400),
    NO("2.3", "GET / HTTP\r\n" HOST END, 400),
    NO("2.3", "GET / HTTPS/1.1\r\n" HOST END, 400),
    NO("9110 15.6.6", "GET / HTTP/2.0\r\n" HOST END, 505),
    NO("9110 15.6.6", "GET / HTTP/0.9\r\n" HOST END, 505),
    NO("9110 15.6.6", "GET / HTTP/3.0\r\n" HOST END, 505),
    NO("RFC 9113 3.4", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),

    /* Targets. */
    OK("3.2.1", "GET /a/b%20c.html HTTP/1.1\r\n" HOST END, "/a/b%20c.html",
       KEEP),
    OK("3.2.1", "GET /?a=b HTTP/1.1\r\n" HOST END, ROOT, KEEP),
    OK("3.2.1", "GET /sleep?2 HTTP/1.1\r\n" HOST END, "/sleep", KEEP),
    OK("3.2.1", "GET /x?a?b/c HTTP/1.1\r\n" HOST END, "/x", KEEP),
    OK("3.2.1", "GET /? HTTP/1.1\r\n" HOST END, ROOT, KEEP),
    OK("3.2.1", "GET //x HTTP/1.1\r\n" HOST END, "//x", KEEP),
    OK("3.2.1", "GET /../x HTTP/1.1\r\n" HOST END, "/../x", KEEP),
    OK("3.2.1", "GET /~a;b=c,d@e:f!$&'()*+ HTTP/1.1\r\n" HOST END,
       "/~a;b=c,d@e:f!$&'()*+", KEEP),
    OK("3.2.2", "GET http://a/ HTTP/1.1\r\n" HOST END, ROOT, KEEP),
    OK("3.2.2", "GET http://a HTTP/1.1\r\n" HOST END, ROOT, KEEP),
    OK("3.2.2", "GET http://a?b HTTP/1.1\r\n" HOST END, ROOT, KEEP),
    OK("3.2.2", "GET http://a:80/b?c HTTP/1.1\r\n" HOST END, "/b", KEEP),
    OK("3.2.2", "GET HTTP://a/b HTTP/1.1\r\n" HOST END, "/b", KEEP),
    OK("3.2.2", "GET http://[::1]:80/b HTTP/1.1\r\n" HOST END, "/b", KEEP),
    NO("3.2.2", "GET http://a/b HTTP/1.1\r\n" END, 400),
    NO("9110 4.2.1", "GET http:///b HTTP/1.1\r\n" HOST END, 400),
    NO("9110 4.2.1", "GET http:// HTTP/1.1\r\n" HOST END, 400),
    NO("9110 4.2.4", "GET http://u@a/ HTTP/1.1\r\n" HOST END, 400),
    NO("9110 4.2.1", "GET http://a\\b/ HTTP/1.1\r\n" HOST END, 400),
    NO("3.2.2", "GET http:/b HTTP/1.1\r\n" HOST END, 400),
    NO("3.2.2", "GET ftp://a/b HTTP/1.1\r\n" HOST END, 400),
    NO("3.2.1", "GET hello.html HTTP/1.1\r\n" HOST END, 400),
    NO("3.2.1", "GET ../x HTTP/1.1\r\n" HOST END, 400),
    NO("3.2.3", "GET a:80 HTTP/1.1\r\n" HOST END, 400),
    NO("3.2.4", "GET * HTTP/1.1\r\n" HOST END, 400),
    NO("3.2", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST END, 400),
    NO("3.2", "GET /a\x01 HTTP/1.1\r\n" HOST END, 400),
    NO("3.2", "GET /a\x7f HTTP/1.1\r\n" HOST END, 400),
    NO("3.2", "GET /a\0b HTTP/1.1\r\n" HOST END, 400),
    NO("3.2", "GET /a\tb HTTP/1.1\r\n" HOST END, 400),

    /* Lines. */
    OK("2.2", "\r\nGET / HTTP/1.1\r\n" HOST END, ROOT, KEEP),
    OK("2.2", "\nGET / HTTP/1.1\r\n" HOST END, ROOT, KEEP),
    NO("2.2", "\r\n\r\nGET / HTTP/1.1\r\n" HOST END, 400),
    OK("2.2", "GET / HTTP/1.1\nHost: a\n\n", ROOT, KEEP),
    OK("2.2", "GET / HTTP/1.1\r\nHost: a\n\r\n", ROOT, KEEP),
    NO("2.2", GET "X: a\rb\r\n\r\n", 400),
    NO("2.2", GET "X: a\r\r\n\r\n", 400),
    NO("2.2", GET "\rX: a\r\n\r\n", 400),

    /* Headers' form. */
    OK("5", GET "X-y.z!#$%&'*+^_`|~: 1\r\n\r\n", ROOT, KEEP),
    OK("5", GET "X:\r\n\r\n", ROOT, KEEP),
    OK("5", GET "X:y\r\n\r\n", ROOT, KEEP),
    OK("5", GET "X: \t y z \t \r\n\r\n", ROOT, KEEP),
    OK("9110 5.5", GET "X: \xc3\xa9\xff\r\n\r\n", ROOT, KEEP),
    OK("5", GET "X: a:b::c\r\n\r\n", ROOT, KEEP),
    NO("5.1", GET "X : y\r\n\r\n", 400),
    NO("5.1", GET "X\t: y\r\n\r\n", 400),
    NO("5.1", GET " X: y\r\n\r\n", 400),
    NO("5.2", GET "X: y\r\n z\r\n\r\n", 400),
    NO("5.2", GET "X: y\r\n\tz: a\r\n\r\n", 400),
    NO("2.2", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    NO("5", GET "X\r\n\r\n", 400),
    NO("5", GET ": y\r\n\r\n", 400),
    NO("5", GET ":\r\n\r\n", 400),
    NO("5", GET "X y: z\r\n\r\n", 400),
    NO("5", GET "X(y): z\r\n\r\n", 400),
    NO("5", GET "X\xc3\xa9: z\r\n\r\n", 400),
    NO("9110 5.5", GET "X: a\0b\r\n\r\n", 400),
    NO("9110 5.5", GET "X: \0\r\n\r\n", 400),
    NO("9110 5.5", GET "X\0: a\r\n\r\n", 400),
    NO("9110 5.5", GET "\0\r\n\r\n", 400),
    NO("9110 5.5", GET "X: a\x01\r\n\r\n", 400),
    NO("9110 5.5", GET "X: a\x7f\r\n\r\n", 400),
    NO("9110 5.5", GET "X: a\x1b[31m\r\n\r\n", 400),

    /* Host. */
    OK("3.2", "GET / HTTP/1.1\r\nhOsT: a\r\n\r\n", ROOT, KEEP),
    OK("3.2", "GET / HTTP/1.1\r\nHost:\r\n\r\n", ROOT, KEEP),
    OK("3.2", "GET / HTTP/1.1\r\nHost: [::1]:7878\r\n\r\n", ROOT, KEEP),
    OK("3.2", "GET / HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n", ROOT, KEEP),
    NO("3.2", "GET / HTTP/1.1\r\n\r\n", 400),
    NO("3.2", "GET / HTTP/1.1\r\nX: y\r\n\r\n", 400),
    NO("3.2", "GET / HTTP/1.1\r\nHosts: a\r\n\r\n", 400),
    NO("3.2", "GET / HTTP/1.1\r\nHos: a\r\n\r\n", 400),
    NO("3.2", GET "Host: a\r\n\r\n", 400),
    NO("3.2", GET "Host: b\r\n\r\n", 400),
    NO("3.2", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    NO("3.2", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    NO("3.2", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    NO("3.2", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    NO("3.2", "GET / HTTP/1.1\r\nHost: <a>\r\n\r\n", 400),

    /* Connection. */
    OK("9.3", GET "Connection: close\r\n\r\n", ROOT, CLOSE),
    OK("9110 7.6.1", GET "connection: CLOSE\r\n\r\n", ROOT, CLOSE),
    OK("9.3", GET "Connection: keep-alive\r\n\r\n", ROOT, KEEP),
    OK("9110 5.6.1", GET "Connection: upgrade , close\r\n\r\n", ROOT, CLOSE),
    OK("9110 5.6.1", GET "Connection: ,, close\t,\r\n\r\n", ROOT, CLOSE),
    OK("9110 5.6.1", GET "Connection: closed, xclose\r\n\r\n", ROOT, KEEP),
    OK("9110 5.6.1", GET "Connection:\r\n\r\n", ROOT, KEEP),
    OK("9.3", GET "Connection: keep-alive, close\r\n\r\n", ROOT, CLOSE),
    OK("9.3", GET "Connection: close\r\nConnection: keep-alive\r\n\r\n", ROOT,
       CLOSE),
    OK("9.3", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ROOT, KEEP),
    OK("9.3", "GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n", ROOT,
       CLOSE),

    /* Bodies, which are not read: the connection ends with the answer. */
    OK("6.3", GET "Content-Length: 0\r\n\r\n", ROOT, KEEP),
    OK("6.3", GET "Content-Length: 000\r\n\r\n", ROOT, KEEP),
    OK("6.3", GET "Content-Length: 5\r\n\r\nhello", ROOT, CLOSE),
    OK("6.3", GET "Content-Length: 99999999999999999999999\r\n\r\n", ROOT,
       CLOSE),
    OK("6.1", GET "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ROOT, CLOSE),
    OK("7", GET "transfer-encoding:  Chunked \r\n\r\n", ROOT, CLOSE),
    NO("6.3", GET "Content-Length:\r\n\r\n", 400),
    NO("6.3", GET "Content-Length: -1\r\n\r\n", 400),
    NO("6.3", GET "Content-Length: +1\r\n\r\n", 400),
    NO("6.3", GET "Content-Length: 0x5\r\n\r\n", 400),
    NO("6.3", GET "Content-Length: 1 2\r\n\r\n", 400),
    NO("6.3", GET "Content-Length: 5, 5\r\n\r\n", 400),
    NO("6.3", GET "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
    NO("6.3", GET "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400),
    NO("6.1", GET "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
       400),
    NO("6.1", GET "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
       400),
    NO("6.1", GET "Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
    NO("6.3", GET "Transfer-Encoding: gzip\r\n\r\n", 400),
    NO("6.3", GET "Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
    NO("6.3", GET "Transfer-Encoding: xchunked\r\n\r\n", 400),
    NO("6.3", GET "Transfer-Encoding:\r\n\r\n", 400),
    NO("7.1", GET "Transfer-Encoding: chunked\r\n"
       "Transfer-Encoding: chunked\r\n\r\n", 400),

    /* What follows a head is not its business. */
    OK("9.3.2", GET END "GET /next HTTP/1.1\r\n", ROOT, KEEP),
    OK("9.3.2", GET END "\0\0\0", ROOT, KEEP),
};

enum { CASES = sizeof cases / sizeof *cases };

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
    cr_assert(ge(int, CASES, 120));
}

Test(http, every_request_has_its_status)
{
    for (size_t i = 0; i < CASES; i++) {
        HttpRequest request;
        int status = parse(cases[i].text, cases[i].size, &request,
                           cases[i].path);
        cr_expect(eq(int, status, cases[i].status), "%s: %s", cases[i].rule,
                  show(cases[i].text, cases[i].size));
        if (status == 200)
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
        size_t whole = cases[i].status == 200 ? request.size : cases[i].size;
        int last = 0;
        for (size_t size = 0; size <= cases[i].size; size++) {
            int status = parse(cases[i].text, size, &request, NULL);
            if (size < whole && cases[i].status == 200)
                cr_expect(eq(int, status, 0), "%s, %zu bytes of %s",
                          cases[i].rule, size,
                          show(cases[i].text, cases[i].size));
            else if (last != 0)
                cr_expect(eq(int, status, last), "%s, %zu bytes of %s",
                          cases[i].rule, size,
                          show(cases[i].text, cases[i].size));
            else
                cr_expect(status == 0 || status == cases[i].status,
                          "%s: %d after %zu bytes of %s", cases[i].rule, status,
                          size, show(cases[i].text, cases[i].size));
            last = status;
        }
        cr_expect(eq(int, last, cases[i].status));
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
    cr_assert(eq(int, http_parse(text + request.size,
                                 sizeof text - 1 - request.size, &request),
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
        {"", ""},          {"/", "/"},           {"/a%20b", "/a b"},
        {"%41%61", "Aa"},  {"%2F%2f", "//"},     {"%25", "%"},
        {"%2525", "%25"},  {"%ff", "\xff"},      {"a+b", "a+b"},
        {"%", NULL},       {"%4", NULL},         {"a%4", NULL},
        {"%zz", NULL},     {"%4z", NULL},        {"%z4", NULL},
        {"%00", NULL},     {"a%00b", NULL},      {"%%41", NULL},
        {"%+1", NULL},     {"% 1", NULL},        {"%-1", NULL},
        {"%0x41", NULL},   {"%2e%2E/", "../"},
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
    static const int statuses[] = {200, 400, 404, 405, 408, 414,
                                   431, 501, 503, 505};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        char expected[8];
        snprintf(expected, sizeof expected, " %d ", statuses[i]);
        size_t size = http_format_head(
            head, statuses[i], "Sun, 06 Nov 1994 08:49:37 GMT",
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
