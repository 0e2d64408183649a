/* The parser of HTTP and what answers with it, by http.h alone. */

#define _GNU_SOURCE /* memmem */
#include "unit.h"

#include "http.h"
#include "http_cases.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(parser, .init = begin, SUITE);

#define MEMORY 65536

/* Returns a copy whose last byte is the last that may be read; it lives until
 * the next call. */
static char *copy(const char *text, size_t size)
{
    static char *memory;
    if (memory == NULL) {
        memory =
            mmap(NULL, MEMORY + (size_t)sysconf(_SC_PAGESIZE),
                 PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert(memory != MAP_FAILED && size <= MEMORY);
        mprotect(memory + MEMORY, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE);
    }
    return memcpy(memory + MEMORY - size, text, size);
}

/* Says what is parsed, and what is likely wrong if that crashes. */
static void parsing(const char *text, size_t size)
{
    static char did[512];
    snprintf(did, sizeof did, "http_parse was given %zu bytes: %s", size,
             show(text, size));
    expecting(did,
              "it looks behind the bytes that it was given: a line may be "
              "looked at only when its end has come",
              "A parser on a buffer");
}

static int parse(const char *text, size_t size, HttpRequest *request)
{
    *request = (HttpRequest){.path = "never written"};
    return http_parse(copy(text, size), size, request);
}

/* "400", or 0 in words. */
static char *status_words(int status)
{
    return status == 0 ? words("0: not complete yet") : words("%d", status);
}

/* RFC 9112, 3.2, for what the table calls 3.2; and RFC 9110, 5.5. */
static char *rule_words(const char *rule)
{
    bool other =
        strncmp(rule, "9110 ", 5) == 0 || strncmp(rule, "6585 ", 5) == 0;
    return strncmp(rule, "RFC", 3) == 0
               ? words("%s", rule)
               : words("RFC %.4s, %s", other ? rule : "9112",
                       other ? rule + 5 : rule);
}

/* Where the text speaks of a rule. */
static const char *heading_of(const HttpCase *c)
{
    if (strncmp(c->rule, "3.2", 3) == 0 && strstr(c->text, "Host: ") == NULL)
        return "The target";
    return strchr("56", c->rule[0]) != NULL || strncmp(c->rule, "3.2", 3) == 0
               ? "The headers"
               : "A parser on a buffer";
}

Test(parser, every_request_has_its_status)
{
    for (size_t i = 0; i < CASES; i++) {
        const HttpCase *c = &cases[i];
        HttpRequest request;
        parsing(c->text, c->size);
        int status = parse(c->text, c->size, &request);
        check(status == c->status,
              .expected = words("%d (%s)", c->status, rule_words(c->rule)),
              .got = status_words(status),
              .cause = status == 0
                           ? "its end is not found: lines end with CR LF, or "
                             "LF alone; a bad line is refused at once"
                           : NULL,
              .key = c->rule, .read = heading_of(c));
        check(request.head_only == c->head_only,
              .expected = c->head_only ? "head_only: the method is HEAD"
                                       : "not head_only",
              .got = c->head_only ? "head_only is false" : "head_only is true",
              .cause = "an answer to HEAD has no body, whatever its status: "
                       "find it out before anything is refused (RFC 9110, "
                       "9.3.2)",
              .key = "head-only", .read = "A parser on a buffer");
        check(request.keep_alive == c->keep_alive,
              .expected =
                  words("keep_alive is %s (%s)",
                        c->keep_alive ? "true" : "false", rule_words(c->rule)),
              .got = request.keep_alive ? "it is true" : "it is false",
              .cause = "HTTP/1.1 keeps the connection unless a header says "
                       "close; HTTP/1.0 closes it unless one says keep-alive; "
                       "after a body that nobody reads, or a refusal, nothing "
                       "can follow; capitals and small letters are the same",
              .key = "keep-alive", .read = "The headers");
        if (c->path == NULL)
            continue;
        check(request.path_length == strlen(c->path)
                  && memcmp(request.path, c->path, request.path_length) == 0,
              .expected = words("the path %s", c->path),
              .got = words("%.*s", (int)request.path_length, request.path),
              .cause = "the path begins behind the host, if there is one, and "
                       "ends before the ?",
              .key = "path", .read = "The target");
    }
}

/* A good request is incomplete until its last byte, and then stays good
 * whatever follows; a bad one is incomplete until it is bad, once and for all,
 * in the same way. */
Test(parser, each_beginning_of_a_request_is_incomplete)
{
    for (size_t i = 0; i < CASES; i++) {
        const HttpCase *c = &cases[i];
        HttpRequest request;
        if (parse(c->text, c->size, &request) != c->status)
            continue; /* told above */
        size_t whole = c->status == 200 ? request.size : c->size;
        int last = 0;
        parsing(c->text, c->size);
        for (size_t size = 0; size <= c->size; size++) {
            int status = parse(c->text, size, &request);
            bool good = size < whole && c->status == 200 ? status == 0
                        : last != 0                      ? status == last
                                    : status == 0 || status == c->status;
            check(good,
                  .did = words("http_parse was given the first %zu bytes of %s",
                               size, show(c->text, c->size)),
                  .expected =
                      words("0, not complete yet; or %d, at last", c->status),
                  .got = words("%d", status),
                  .cause = "what the parser says depends on bytes that have "
                           "not come: a line is looked at when its LF is there",
                  .key = "prefix", .read = "A parser on a buffer");
            last = status;
        }
    }
}

/* Places for a byte, and which bytes may stand there. */
static const struct {
    const char *rule, *before, *after, *others; /* beside letters and digits */
    int status;                                 /* with a byte that may */
} places[] = {
    {"9110 5.6.2", "G", "T / HTTP/1.1\r\n" HOST END, "!#$%&'*+-.^_`|~", 501},
    {"3986 3.3", "GET /", "a HTTP/1.1\r\n" HOST END, "-._~!$&'()*+,;=:@/?",
     200},
    {"3986 3.2.2", "GET http://a", "a/ HTTP/1.1\r\n" HOST END,
     "-._~!$&'()*+,;=/?", 200},
    {"3986 3.2.2", "GET / HTTP/1.1\r\nHost: a", "a" END END,
     "-._~!$&'()*+,;=", 200},
    {"9110 5.6.2", GET "X", "Y: z" END END, "!#$%&'*+-.^_`|~:", 200},
};

static bool may_stand(const char *others, int byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z')
           || (byte >= 'a' && byte <= 'z')
           || (byte != '\0' && byte < 0x80 && strchr(others, byte) != NULL);
}

Test(parser, each_byte_in_its_place)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (int byte = 0; byte < 256; byte++) {
            char text[256];
            size_t before = strlen(places[i].before);
            size_t size = before + 1 + strlen(places[i].after);
            strcpy(text, places[i].before);
            text[before] = (char)byte;
            strcpy(text + before + 1, places[i].after);
            if (i == 0 && byte == 'E') /* it is GET */
                continue;
            int expected =
                may_stand(places[i].others, byte) ? places[i].status : 400;
            HttpRequest request;
            parsing(text, size);
            int status = parse(text, size, &request);
            check(status == expected,
                  .expected =
                      words("%d (%s)", expected, rule_words(places[i].rule)),
                  .got = status_words(status),
                  .cause = "an alphabet has too many characters, or too few; "
                           "strchr finds the NUL, too; and a char above 127 "
                           "is negative",
                  .key = "alphabet", .read = "A parser on a buffer");
        }
}

Test(parser, what_follows_belongs_to_the_next)
{
    static const char text[] = GET END "GET /2 HTTP/1.1\r\n" HOST END;
    HttpRequest request;
    parsing(text, sizeof text - 1);
    int status = parse(text, sizeof text - 1, &request);
    check(status == 200 && request.size == sizeof(GET END) - 1,
          .expected = words("200, and a size of %zu bytes: to the empty line",
                            sizeof(GET END) - 1),
          .got = words("%d, and a size of %zu", status, request.size),
          .key = "size", .read = "A parser on a buffer");
}

/* Parses what comes before, so many letters, and what comes after. */
static int parse_long(const char *before, size_t count, const char *after,
                      HttpRequest *request)
{
    static char text[MEMORY];
    size_t size = strlen(before) + count + strlen(after);
    strcpy(text, before);
    memset(text + strlen(before), 'a', count);
    strcpy(text + strlen(before) + count, after);
    parsing(text, size);
    return parse(text, size, request);
}

static void check_long(const char *before, size_t count, const char *after,
                       int expected)
{
    HttpRequest request;
    int status = parse_long(before, count, after, &request);
    size_t size = strlen(before) + count + strlen(after);
    check(status == expected,
          .did =
              words("http_parse was given %s, %zu letters, and %s: %zu bytes",
                    show(before, strlen(before)), count,
                    show(after, strlen(after)), size),
          .expected = status_words(expected), .got = status_words(status),
          .cause = "a head has at most 8 KiB: a line without end is 414, too "
                   "many headers 431, and what fits is served",
          .key = "too-long", .read = "A parser on a buffer");
}

Test(parser, a_head_has_a_limit) /* RFC 9110, 15.5.15; RFC 6585, 5 */
{
    const char *end = " HTTP/1.1\r\n" HOST END;
    size_t room = HTTP_HEAD_MAX - strlen("GET /") - strlen(end);
    check_long("GET /", room, end, 200);
    check_long("GET /", room + 1, end, 431);
    check_long("GET /", HTTP_HEAD_MAX, end, 414);
    check_long("GET /", HTTP_HEAD_MAX - 6, "", 0);
    check_long("GET /", HTTP_HEAD_MAX - 5, "", 414);
    check_long("GET /", 60000, "", 414);
    check_long("", 60000, "", 414);
    room = HTTP_HEAD_MAX - strlen(GET "X: ") - 4;
    check_long(GET "X: ", room, "\r\n\r\n", 200);
    check_long(GET "X: ", room + 1, "\r\n\r\n", 431);
    check_long(GET "X: ", room + 3, "", 0);
    check_long(GET "X: ", room + 4, "", 431);
    check_long(GET "X: ", 60000, "", 431);

    HttpRequest request;
    parse_long("HEAD /", 60000, "", &request);
    check(request.head_only, .expected = "head_only: the method is HEAD",
          .got = "head_only is false",
          .cause = "an answer to HEAD has no body, whatever its status: find "
                   "it out before anything is refused (RFC 9110, 9.3.2)",
          .key = "head-only", .read = "A parser on a buffer");
}

Test(parser, percent_decoding) /* RFC 3986, 2.1 */
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
        const char *text = codes[i].text, *expected = codes[i].decoded;
        char decoded[16] = "";
        doing(words("http_percent_decode was given %s", text));
        bool valid = http_percent_decode(copy(text, strlen(text)), strlen(text),
                                         decoded);
        check(valid == (expected != NULL)
                  && (expected == NULL || strcmp(decoded, expected) == 0),
              .expected =
                  expected != NULL ? show(expected, strlen(expected)) : "false",
              .got = valid ? show(decoded, strlen(decoded)) : "false",
              .cause = "%XX is one byte, decoded once; a broken one is "
                       "refused, and a NUL",
              .key = "decode", .read = "The answer");
    }
}

/* Formats a head, and returns it as a text. */
static char *head_of(HttpAnswer answer)
{
    static char head[HTTP_ANSWER_MAX + 1];
    answer.date = "Sun, 06 Nov 1994 08:49:37 GMT";
    expecting(words("http_format_head was asked for a %d", answer.status),
              "a status has no words: is it in the table?", "The answer");
    size_t size = http_format_head(head, &answer);
    check(size < HTTP_ANSWER_MAX, .expected = "a head that fits",
          .got = words("%zu bytes", size), .key = "head", .read = "The answer");
    head[size] = '\0';
    return head;
}

static void check_has(const char *head, const char *line, bool expected)
{
    check((strstr(head, line) != NULL) == expected,
          .expected = words("%s the line %s", expected ? "with" : "without",
                            show(line + 2, strlen(line) - 4)),
          .got = expected ? "it is missing" : "it is there", .detail = head,
          .key = line, .read = "The answer");
}

Test(parser, the_head_of_an_answer)
{
    static const int statuses[] = {200, 400, 404, 405, 408,
                                   414, 431, 501, 503, 505};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        int status = statuses[i];
        const char *head = head_of((HttpAnswer){
            .status = status,
            .type = "text/html; charset=utf-8",
            .length = i == 0 ? SIZE_MAX : 12,
            .keep_alive = i % 2 == 1,
        });
        char *begins = words("HTTP/1.1 %d ", status);
        check(strncmp(head, begins, strlen(begins)) == 0
                  && strncmp(head + strlen(begins), "(null)", 6) != 0
                  && head[strlen(begins)] != '\r',
              .expected = words("it begins with `%s` and some words", begins),
              .got = words("`%.30s`", head), .key = "status-line",
              .read = "The answer");
        check(strcmp(head + strlen(head) - 4, "\r\n\r\n") == 0
                  && strstr(head, "\r\n\r\n") == head + strlen(head) - 4,
              .expected = "it ends with the only empty line",
              .got = "it does not", .detail = head, .key = "empty-line",
              .read = "The answer");
        check_has(head, "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n", true);
        check_has(head, "\r\nContent-Type: text/html; charset=utf-8\r\n", true);
        check_has(head, "\r\nContent-Length: 12\r\n", i != 0);
        check_has(head, "\r\nContent-Length: 18446744073709551615\r\n",
                  i == 0 && SIZE_MAX > 0xffffffff);
        check_has(head, "\r\nConnection: close\r\n", i % 2 == 0);
        check_has(head, "\r\nConnection: keep-alive\r\n", i % 2 == 1);
        check_has(head, "\r\nAllow: GET, HEAD\r\n", status == 405);
        check_has(head, "\r\nRetry-After: 5\r\n", status == 503);
    }
}

static const struct {
    time_t time;
    const char *date;
} dates[] = {
    {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
    {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
    {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
    {951825600, "Tue, 29 Feb 2000 12:00:00 GMT"},
    {4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"},
};
enum { DATES = sizeof dates / sizeof *dates };

Test(parser, dates) /* RFC 9110, 5.6.7 */
{
    for (int i = 0; i < DATES; i++) {
        char date[HTTP_DATE_MAX];
        http_format_date(date, dates[i].time);
        check(strcmp(date, dates[i].date) == 0,
              .did = words("http_format_date was asked for second %lld",
                           (long long)dates[i].time),
              .expected = dates[i].date, .got = words("%.40s", date),
              .cause = "a date of HTTP is of Greenwich, in English, with two "
                       "digits for the day",
              .key = "date", .read = "A date for each answer");
    }
}

/* Returns a wrong date, or NULL. */
static void *format_dates(void *arg)
{
    static _Thread_local char date[HTTP_DATE_MAX];
    int mine = *(int *)arg;
    for (int i = 0; i < 50; i++) {
        http_format_date(date, dates[mine].time);
        if (strcmp(date, dates[mine].date) != 0)
            return words("%s instead of %s", date, dates[mine].date);
    }
    return NULL;
}

/* gmtime() returns 2 ms later here: see unit.c. */
Test(parser, dates_of_many_threads)
{
    int numbers[DATES];
    pthread_t threads[DATES];
    doing("several threads asked for different dates at the same time");
    for (int i = 0; i < DATES; i++) {
        numbers[i] = i;
        threads[i] = start(format_dates, &numbers[i]);
    }
    for (int i = 0; i < DATES; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        check(wrong == NULL, .expected = "each gets its own",
              .got = words("a thread got %s", (char *)wrong),
              .cause = "gmtime() and localtime() have one struct for all "
                       "threads; so would a static buffer: gmtime_r() is given "
                       "one",
              .key = "gmtime", .read = "A date for each answer");
    }
}
