/* The table of HTTP: what each request must be answered with, and the rule that
 * says so. A bare number is a section of RFC 9112, with four more digits in
 * front of another RFC. The tests of step 11 and of final run it. */

#include <stdio.h>

/* Returns bytes as they may stand in a message; those of the last two calls
 * stay there. */
static const char *show(const char *text, size_t size)
{
    static char both[2][256];
    static int turn;
    char *shown = both[turn ^= 1], *end = shown;
    *end = '\0';
    for (size_t i = 0; i < size && end < shown + sizeof *both - 5; i++) {
        unsigned char c = (unsigned char)text[i];
        const char *form = c == '\r'              ? "\\r"
                           : c == '\n'            ? "\\n"
                           : c >= ' ' && c < 0x7f ? "%c"
                                                  : "\\x%02x";
        end += sprintf(end, form, c);
    }
    return shown;
}

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
        rule, text, sizeof text - 1, status, NULL, CLOSE                       \
    }
#define NO_HEAD(rule, text, status)                                            \
    {                                                                          \
        rule, text, sizeof text - 1, status, NULL, CLOSE_HEAD                  \
    }

/* Lists, of which each member stands in several places of a request. */
/* clang-format off */

/* Hosts, perhaps with a port: 3986 3.2. */
#define GOOD_HOSTS(X) \
    X("a") X("A.b-C_d~") X("example.org") X("example.org.") X("-") \
    X("127.0.0.1") X("1.2.3") X("999.1.1.1") X("xn--bcher-kva.example") \
    X("a%41") X("%41") X("a%c3%a9") X("!$&'()*+,;=") X("a:") X("a:0") \
    X("a:80") X("a:08") X("a:99999") X("%41:1") X("[::]") X("[::1]") \
    X("[::1]:") X("[::1]:80") X("[2001:DB8::ff]") X("[1:2:3:4:5:6:7:8]") \
    X("[::ffff:1.2.3.4]") X("[1::8]:65535")

#define BAD_HOSTS(X) \
    X("[ ::1]") X("u@a") X("u:p@a") X("@") X("a\\b") X("a^b") X("a|b") \
    X("a{b}") X("<a>") X("a\"b") X("a`b") X("a b") X("a\tb") X("a:8 0") \
    X("a, b") X("a#b") X("\xc3\xa9") X("a\xff") X("a\x01") X("a\x7f") \
    X("a\0b")

/* The same, though they are of the right letters. */
#define SHAPELESS_HOSTS(X) \
    X("a:x") X("a:-1") X("a:+1") X("a:1:2") X("a:1x") X("a:%31") X("a::") \
    X("::1") X("1:2:3") X(":80") X(":") X("[::1") X("[::1]x") X("[::1]:x") \
    X("[::1]:80:80") X("[::1]80") X("[]") X("[]:80") X("[zz]") X("[:]") \
    X("[:::1]") X("[1::2::3]") X("[12345::]") X("[1:2:3:4:5:6:7]") \
    X("[1:2:3:4:5:6:7:8:9]") X("[::1.2.3]") X("[::1.2.3.256]") X("[1.2.3.4]") \
    X("[a]") X("[::1%eth0]") X("[::1%25eth0]") X("[[::1]]") X("::1]") X("]") \
    X("%") X("%4") X("%zz") X("a%") X("a%4") X("a%4z") X("a%%41")

/* Targets. */
#define GOOD_TARGETS(X) \
    X("/", "/") X("/a", "/a") X("/a/", "/a/") X("//", "//") X("/.", "/.") \
    X("/..", "/..") X("/%2e%2E/", "/%2e%2E/") X("/a:b@c", "/a:b@c") \
    X("/-._~", "/-._~") X("/%00", "/%00") X("/;a=b,c", "/;a=b,c") \
    X("/a?", "/a") X("/a??", "/a") X("/a?/:@", "/a") X("/a?%41", "/a") \
    X("/a?b|c", "/a") X("/a?{b}[c]", "/a") X("http://h", "/") \
    X("http://h/", "/") X("http://h?q", "/") X("http://h:80/x", "/x") \
    X("http://h//x", "//x") X("HttP://h/x?y", "/x") X("http://[::1]/x", "/x") \
    X("http://h%41/x", "/x")

#define BAD_TARGETS(X) \
    X("#") X("http://h#b") X("*") X("**") X("a") X("a/b") X("../a") X("./a") \
    X(".") X("?") X("?a") X("a:80") X("h:80/a") X(":80") X("http:") \
    X("http:/") X("http:a") X("http:/a") X("http//a") X("http:///") \
    X("http:///a") X("http://?a") X("http://") X("http://u@h/") X("ttp://h/") \
    X("ftp://h/") X("file:///etc/passwd")

/* The same, of other kinds. */
#define UNENCODED_TARGETS(X) \
    X("/#") X("/a#b") X("/a?b#c") X("http://h/#b") X("http://h/a?b#c") \
    X("/%") X("/%4") X("/foo%") X("/%zz") X("/%4z") X("/%z4") X("/%%41") \
    X("/%-1") X("http://h/%") X("http://h/%zz") X("/\"") X("/a?\"") X("/<a>") \
    X("/a?<") X("/a?>") X("/^") X("/`") X("/{a}") X("/a|b") X("/[a]") \
    X("/\\") X("/a\\..\\b") X("http://:80/")

#define UNPRINTABLE_TARGETS(X) \
    X("/% 41") X("//\x80") X("/\xc3\xa9") X("/\x01") X("/\x1f") X("/\x7f") \
    X("/a\tb") X("/a\rb") X("/a\0b") X("/a b") X("/ ")

/* Headers that are refused whatever is asked for. */
#define BAD_FIELDS(X) \
    X("5.1", "X : y") X("5.1", "X\t: y") X("5.2", " X: y") X("5.2", "\tX: y") \
    X("5.2", "X: y\r\n z") X("5", "X") X("5", ":") X("5", ": y") \
    X("5", "X y: z") X("5", "X(y): z") X("5", "\"X\": y") X("5", "X/y: z") \
    X("5", "X@y: z") X("5", "[X]: y") X("5", "X\xc3\xa9: y") X("5", "=y") \
    X("9110 5.5", "X: a\rb") X("9110 5.5", "X: \r") X("9110 5.5", "X: a\0b") \
    X("9110 5.5", "X: a\x01") X("9110 5.5", "X: a\x1f") \
    X("9110 5.5", "X: a\x7f") X("9110 5.5", "X: a\x0b") X("9110 5.5", "\0") \
    X("3.2", "Host: a") X("3.2", "Host: b") X("3.2", "Host:") \
    X("3.2", "host: A") X("6.3", "Content-Length:") \
    X("6.3", "Content-Length: x") X("6.3", "Content-Length: -1") \
    X("6.3", "Content-Length: +1") X("6.3", "Content-Length: 1.0") \
    X("6.3", "Content-Length: 0x1") X("6.3", "Content-Length: 1e1") \
    X("6.3", "Content-Length: 1 1") X("6.3", "Content-Length: 1,1") \
    X("6.3", "Content-Length: 1;") X("6.3", "Content-Length: \"1\"") \
    X("6.3", "Content-Length: 1\r\nContent-Length: 1") \
    X("6.3", "Content-Length: 0\r\nContent-Length: 1") \
    X("6.3", "Content-Length : 1") \
    X("6.1", "Content-Length: 1\r\nTransfer-Encoding: chunked") \
    X("6.1", "Transfer-Encoding: chunked\r\nContent-Length: 1") \
    X("6.1", "Transfer-Encoding:") X("6.1", "Transfer-Encoding: gzip") \
    X("6.1", "Transfer-Encoding: identity") \
    X("6.3", "Transfer-Encoding: chunked, gzip") \
    X("6.3", "Transfer-Encoding: xchunked") \
    X("6.3", "Transfer-Encoding: chunkedx") \
    X("6.3", "Transfer-Encoding: \"chunked\"") \
    X("7.1", "Transfer-Encoding: chunked, chunked") \
    X("7.1", "Transfer-Encoding: chunked;a=b") \
    X("6.1", "Transfer-Encoding: \x0b" "chunked") \
    X("7.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked") \
    X("5.1", "Transfer-Encoding : chunked")

#define KNOWN_METHODS(X) \
    X("POST", 405) X("PUT", 405) X("DELETE", 405) X("CONNECT", 405) \
    X("OPTIONS", 405) X("TRACE", 405) X("PATCH", 405)
#define UNKNOWN_METHODS(X) \
    X("get", 501) X("GETS", 501) X("Post", 501) X("POS", 501) X("PURGE", 501) \
    X("M-SEARCH", 501) X("!", 501)
/* clang-format on */

#define IN_TARGET(host) "GET http://" host "/x HTTP/1.1\r\n" HOST END
#define GOOD_HOST(host)                                                        \
    OK("3.2", "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n", ROOT, KEEP),         \
        OK("3.2", "GET / HTTP/1.0\r\nHost:\t" host " \r\n\r\n", ROOT, CLOSE),  \
        OK("3.2.2", IN_TARGET(host), "/x", KEEP),
#define BAD_HOST(host)                                                         \
    NO("3.2", "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n", 400),                \
        NO_HEAD("3.2", "HEAD / HTTP/1.0\r\nHost: " host "\r\n\r\n", 400),      \
        NO("3.2.2", IN_TARGET(host), 400),
#define GOOD_TARGET(target, path)                                              \
    OK("3.2", "GET " target " HTTP/1.1\r\n" HOST END, path, KEEP),             \
        OK("3.2", "HEAD " target " HTTP/1.0\r\n\r\n", path, CLOSE_HEAD),
#define BAD_TARGET(target)                                                     \
    NO("3.2", "GET " target " HTTP/1.1\r\n" HOST END, 400),                    \
        NO_HEAD("3.2", "HEAD " target " HTTP/1.0\r\n\r\n", 400),
#define BAD_FIELD(rule, field)                                                 \
    NO(rule, GET field "\r\n\r\n", 400),                                       \
        NO(rule, "GET / HTTP/1.1\r\n" field "\r\n" HOST END, 400),             \
        NO_HEAD(rule, "HEAD / HTTP/1.0\r\n" HOST field "\r\n\r\n", 400),       \
        NO(rule, "POST / HTTP/1.1\r\n" HOST field "\r\n\r\n", 400),            \
        NO(rule, "BREW / HTTP/1.1\r\n" HOST field "\r\n\r\n", 400),
#define METHOD(method, status)                                                 \
    NO("9110 9.1", method " / HTTP/1.0\r\n\r\n", status),                      \
        NO("3.2", method " / HTTP/1.1\r\nX: y\r\n\r\n", 400),                  \
        NO("3.2", method " / HTTP/1.1\r\n" HOST HOST END, 400),

typedef struct {
    const char *rule, *text;
    size_t size;
    int status;
    const char *path;
    bool keep_alive, head_only;
} HttpCase;

static const HttpCase cases[] = {
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

    /* The lists. A refusal that says "understood" comes after the headers have
     * been read: one of them may be worse. */
    /* clang-format off */
    GOOD_HOSTS(GOOD_HOST) BAD_HOSTS(BAD_HOST) SHAPELESS_HOSTS(BAD_HOST)
    GOOD_TARGETS(GOOD_TARGET) BAD_TARGETS(BAD_TARGET)
    UNENCODED_TARGETS(BAD_TARGET) UNPRINTABLE_TARGETS(BAD_TARGET)
    BAD_FIELDS(BAD_FIELD) KNOWN_METHODS(METHOD) UNKNOWN_METHODS(METHOD)
    /* clang-format on */

    /* HEAD is seen, whatever else is wrong. */
    NO_HEAD("9110 9.3.2", "HEAD / HTTP/2.0\r\n\r\n", 505),
    NO_HEAD("9110 9.3.2", "HEAD / HTTP/1.1\r\n\r\n", 400),
    NO_HEAD("9110 9.3.2", "\r\nHEAD / HTTP/1.1\r\n\r\n", 400),
    NO_HEAD("9110 9.3.2", "HEAD a HTTP/1.1\r\n" HOST END, 400),
    NO_HEAD("9110 9.3.2", "HEAD /\r\n", 400),
    NO_HEAD("9110 9.3.2", "HEAD  / HTTP/1.1\r\n" HOST END, 400),
    NO_HEAD("9110 9.3.2", "HEAD / http/1.1\r\n", 400),
    NO("9110 9.1", "HEADS / HTTP/1.1\r\n" HOST END, 501),
    NO("9110 9.1", "HEA / HTTP/1.1\r\n" HOST END, 501),

    /* What follows a head is not its business. */
    OK("9.3.2", GET END "GET /next HTTP/1.1\r\n", ROOT, KEEP),
    OK("9.3.2", GET END "\0\0\0", ROOT, KEEP),
};

enum { CASES = sizeof cases / sizeof *cases };
