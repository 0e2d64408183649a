/* Section numbers are those of RFC 9112, unless another RFC is named. */

#include "http.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A piece of the buffer: from start up to, but without, end. */
typedef struct {
    const char *start, *end;
} Text;

/* What the headers say that matters here. */
typedef struct {
    int hosts, lengths, codings; /* how many of each there were */
    bool body, close, keep_alive;
} Fields;

static size_t size_of(Text text)
{
    return (size_t)(text.end - text.start);
}

static bool equals(Text text, const char *word)
{
    size_t size = strlen(word);
    return size_of(text) == size && memcmp(text.start, word, size) == 0;
}

static bool equals_ignoring_case(Text text, const char *word)
{
    size_t size = strlen(word);
    return size_of(text) == size && strncasecmp(text.start, word, size) == 0;
}

/* Moves what stands before the separator from text to part, and drops the
 * separator. Returns false, having moved nothing, if there is none. */
static bool take(Text *text, char separator, Text *part)
{
    const char *end = memchr(text->start, separator, size_of(*text));
    if (end == NULL)
        return false;
    *part = (Text){text->start, end};
    text->start = end + 1;
    return true;
}

/* Takes a line. It ends in CR LF, or in LF alone (2.2). */
static bool take_line(Text *text, Text *line)
{
    if (!take(text, '\n', line))
        return false;
    if (line->end > line->start && line->end[-1] == '\r')
        line->end--;
    return true;
}

/* Returns text without the spaces and tabs around it (RFC 9110 5.6.3). */
static Text trim(Text text)
{
    while (text.start < text.end && isblank((unsigned char)*text.start))
        text.start++;
    while (text.start < text.end && isblank((unsigned char)text.end[-1]))
        text.end--;
    return text;
}

/* Tells whether a list has the word as a member (RFC 9110 5.6.1). */
static bool has_member(Text list, const char *word)
{
    Text member;
    while (take(&list, ',', &member))
        if (equals_ignoring_case(trim(member), word))
            return true;
    return equals_ignoring_case(trim(list), word);
}

/* The alphabets of RFC 9110 5.6.2 and 5.5, and RFC 3986 3.2.2. */
static int is_token(int c)
{
    return isalnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static int is_field(int c)
{
    return (c >= ' ' && c != 0x7f) || c == '\t';
}

static int is_host(int c)
{
    return isalnum(c) || (c != '\0' && strchr("-._~%!$&'()*+,;=:[]", c));
}

/* Tells whether text has characters, and only such ones. */
static bool is_made_of(Text text, int (*allowed)(int))
{
    const char *c = text.start;
    while (c < text.end && allowed((unsigned char)*c))
        c++;
    return c == text.end && c > text.start;
}

static bool is_other_method(Text method)
{
    static const char *const others[] = {"POST",    "PUT",   "DELETE", "CONNECT",
                                         "OPTIONS", "TRACE", "PATCH"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (equals(method, others[i]))
            return true;
    return false;
}

/* Returns 200, or the status to refuse the line with. */
static int parse_request_line(Text line, HttpRequest *request, int *minor)
{
    static const char root[] = "/";
    Text method, target, version;
    if (!take(&line, ' ', &method) || !take(&line, ' ', &target))
        return 400; /* 3: one space between the three, and none elsewhere */
    version = line;
    if (!is_made_of(method, is_token) || !is_made_of(target, isgraph)
        || size_of(version) != 8
        || memcmp(version.start, "HTTP/", 5) != 0 /* 2.3: capitals only */
        || !isdigit((unsigned char)version.start[5]) || version.start[6] != '.'
        || !isdigit((unsigned char)version.start[7]))
        return 400;
    if (version.start[5] != '1')
        return 505; /* RFC 9110 15.6.6 */
    *minor = version.start[7] - '0';
    request->head_only = equals(method, "HEAD"); /* RFC 9110 9.1: capitals */
    if (!request->head_only && !equals(method, "GET"))
        return is_other_method(method) ? 405 : 501;

    /* 3.2.2: http://host/path must be accepted; the host says nothing new */
    if (size_of(target) >= 7 && strncasecmp(target.start, "http://", 7) == 0) {
        Text host = {target.start + 7, target.start + 7};
        while (host.end < target.end && is_host((unsigned char)*host.end))
            host.end++;
        if (size_of(host) == 0)
            return 400; /* RFC 9110 4.2.1 */
        target.start = host.end;
        if (target.start == target.end || *target.start == '?')
            target = (Text){root, root + 1}; /* 3.2.1 */
    }
    if (target.start == target.end || *target.start != '/')
        return 400; /* 3.2: the other two forms are for other methods */
    Text path = target;
    take(&target, '?', &path);
    request->path = path.start;
    request->path_length = size_of(path);
    return 200;
}

/* Returns 200, or the status to refuse the header with. */
static int parse_field(Text line, Fields *fields)
{
    Text name, value = line;
    if (!is_made_of(line, is_field) || !take(&value, ':', &name)
        || !is_made_of(name, is_token))
        return 400; /* 5.1: no space before the colon; 5.2: no folded line */
    value = trim(value);

    if (equals_ignoring_case(name, "Host")) { /* 3.2: one; it may be empty */
        bool valid = size_of(value) == 0 || is_made_of(value, is_host);
        return valid && fields->hosts++ == 0 ? 200 : 400;
    }
    if (equals_ignoring_case(name, "Connection")) { /* 9.3 */
        fields->close |= has_member(value, "close");
        fields->keep_alive |= has_member(value, "keep-alive");
    } else if (equals_ignoring_case(name, "Content-Length")) { /* 6.3 */
        if (!is_made_of(value, isdigit) || fields->lengths++ > 0)
            return 400;
        while (value.start < value.end && *value.start == '0')
            value.start++;
        fields->body = size_of(value) > 0;
    } else if (equals_ignoring_case(name, "Transfer-Encoding")) { /* 6.1 */
        fields->body = true;
        if (fields->codings++ > 0)
            return 400;
        if (!equals_ignoring_case(value, "chunked")) {
            while (take(&value, ',', &name)) /* 6.3: the last must be it */
                continue;
            return equals_ignoring_case(trim(value), "chunked") ? 501 : 400;
        }
    }
    return 200;
}

int http_parse(const char *buffer, size_t size, HttpRequest *request)
{
    *request = (HttpRequest){.path = ""};
    if (size > HTTP_HEAD_MAX)
        size = HTTP_HEAD_MAX;
    int too_large = size < HTTP_HEAD_MAX ? 0 : 414; /* RFC 9110 15.5.15 */
    Text rest = {buffer, buffer + size}, line;
    if (!take_line(&rest, &line)
        || (size_of(line) == 0 && !take_line(&rest, &line)))
        return too_large; /* 2.2: one empty line may come first */
    int minor;
    int status = parse_request_line(line, request, &minor);
    if (status != 200)
        return status;

    Fields fields = {0};
    for (;;) {
        if (!take_line(&rest, &line))
            return size < HTTP_HEAD_MAX ? 0 : 431; /* RFC 6585 5 */
        if (size_of(line) == 0)
            break;
        status = parse_field(line, &fields);
        if (status != 200)
            return status;
    }
    if ((minor > 0 && fields.hosts == 0) /* 3.2 */
        || (fields.lengths > 0 && fields.codings > 0)) /* 6.1: smuggling */
        return 400;
    request->size = (size_t)(rest.start - buffer);
    /* A body is not read: the connection ends instead (RFC 9110 9.3.1). */
    request->keep_alive = !fields.body && !fields.close /* 9.3 */
                          && (minor > 0 || fields.keep_alive);
    return 200;
}

bool http_percent_decode(const char *text, size_t length, char *decoded)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '%') { /* RFC 3986 2.1 */
            if (length - i < 3 || !isxdigit((unsigned char)text[i + 1])
                || !isxdigit((unsigned char)text[i + 2]))
                return false;
            char digits[] = {text[i + 1], text[i + 2], '\0'};
            c = (char)strtol(digits, NULL, 16);
            i += 2;
        }
        if (c == '\0')
            return false;
        *decoded++ = c;
    }
    *decoded = '\0';
    return true;
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {414, "URI Too Long"},
        {431, "Request Header Fields Too Large"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}

void http_format_date(char date[static HTTP_DATE_SIZE], time_t now)
{
    struct tm utc; /* RFC 9110 5.6.7 */
    if (gmtime_r(&now, &utc) == NULL
        || strftime(date, HTTP_DATE_SIZE, "%a, %d %b %Y %T GMT", &utc) == 0)
        date[0] = '\0';
}

size_t http_format_head(char *buffer, const HttpAnswer *answer)
{
    int size = snprintf(
        buffer, HTTP_ANSWER_MAX,
        "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\n"
        "Content-Length: %zu\r\nConnection: %s\r\n%s%s\r\n",
        answer->status, http_reason(answer->status), answer->date,
        answer->type, answer->length,
        answer->keep_alive ? "keep-alive" : "close",
        answer->status == 405 ? "Allow: GET, HEAD\r\n" : "", /* 9110 15.5.6 */
        answer->status == 503 ? "Retry-After: 5\r\n" : "");
    return (size_t)size;
}
