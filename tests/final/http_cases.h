/* The table of http_test.c: what each request must be answered with, and the
 * rule that says so. A bare number is a section of RFC 9112. */

#define HOST "Host: a\r\n"
#define END "\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST
#define ROOT "/"

/* Shorthands for the columns keep_alive and head_only. */
#define KEEP true, false
#define CLOSE false, false
#define KEEP_HEAD true, true
#define CLOSE_HEAD false, true

#define OK(rule, text, path, flags)                                            \
    {                                                                          \
        rule, text, sizeof text - 1, 200, path, flags                          \
    }
#define NO(rule, text, status)                                                 \
    {                                                                          \
        rule, text, sizeof text - 1, status, NULL, false, false                \
    }

static const struct {
    const char *rule, *text;
    size_t size;
    int status;
    const char *path;
    bool keep_alive, head_only;
} cases[] = {
    /* Requests as clients write them. */
    OK("3", GET END, ROOT, KEEP),
    OK("3, curl",
       "GET /hello.html HTTP/1.1\r\nHost: 127.0.0.1:7878\r\n"
       "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
       "/hello.html", KEEP),
    OK("3, ab",
       "GET / HTTP/1.0\r\nHost: 127.0.0.1:7878\r\n"
       "User-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n",
       ROOT, CLOSE),
    OK("3, ab -k",
       "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n"
       "Host: 127.0.0.1:7878\r\n\r\n",
       ROOT, KEEP),
    OK("3, a browser",
       "GET /favicon.ico HTTP/1.1\r\nHost: localhost:7878\r\n"
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
    NO("7.1",
       GET "Transfer-Encoding: chunked\r\n"
           "Transfer-Encoding: chunked\r\n\r\n",
       400),

    /* What follows a head is not its business. */
    OK("9.3.2", GET END "GET /next HTTP/1.1\r\n", ROOT, KEEP),
    OK("9.3.2", GET END "\0\0\0", ROOT, KEEP),
};

enum { CASES = sizeof cases / sizeof *cases };
