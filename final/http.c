/* Numbers are sections of RFC 9112, or with four more digits of another RFC.
 * A line is looked at once its LF is there: as no alphabet below has LF in it,
 * nothing looks beyond. */

#include "http.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int is_token(int c) /* 9110 5.6.2 */
{
    return isalnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static int is_value(int c) /* 9110 5.5 */
{
    return (c >= ' ' && c != 0x7f) || c == '\t';
}

static int is_host(int c) /* 3986 3.2.2 */
{
    return isalnum(c) || (c != '\0' && strchr("-._~!$&'()*+,;=", c) != NULL);
}

static int is_path(int c) /* 3986 3.3 */
{
    return is_host(c) || c == ':' || c == '@' || c == '/';
}

static int is_query(int c) /* 3986 3.4, and what browsers leave as it is */
{
    return is_path(c) || (c != '\0' && strchr("?%[]\\^`{|}", c) != NULL);
}

/* Returns how many characters of an alphabet a text begins with. */
static size_t span(const char *text, int (*alphabet)(int))
{
    size_t length = 0;
    while (alphabet((unsigned char)text[length]))
        length++;
    return length;
}

/* Tells whether a text begins with a byte as %XX (3986 2.1). */
static bool at_encoded(const char *text)
{
    return text[0] == '%' && isxdigit((unsigned char)text[1])
           && isxdigit((unsigned char)text[2]);
}

/* The same as span(), but %XX counts as well. */
static size_t span_encoded(const char *text, int (*alphabet)(int))
{
    size_t length = span(text, alphabet);
    while (at_encoded(text + length)) {
        length += 3;
        length += span(text + length, alphabet);
    }
    return length;
}

/* Returns the length of the host, and perhaps port, that a text begins with; 0
 * if it begins with none (3986 3.2). */
static size_t span_authority(const char *text)
{
    size_t length = span_encoded(text, is_host);
    if (*text == '[') { /* an IPv6 address */
        char address[INET6_ADDRSTRLEN];
        struct in6_addr binary;
        size_t size = strcspn(text + 1, "]\n");
        if (text[1 + size] != ']' || size >= sizeof address)
            return 0;
        memcpy(address, text + 1, size);
        address[size] = '\0';
        if (inet_pton(AF_INET6, address, &binary) != 1)
            return 0;
        length = size + 2;
    }
    if (length > 0 && text[length] == ':')
        length += 1 + span(text + length + 1, isdigit);
    return length;
}

/* Tells whether a line ends here: with CR LF, or LF alone (2.2). */
static bool at_end(const char *text)
{
    return text[0] == '\n' || (text[0] == '\r' && text[1] == '\n');
}

/* Returns the line that a text begins with, and moves the text behind it; or
 * returns NULL if the line has no end yet. */
static const char *take_line(const char **text, const char *end)
{
    const char *line = *text;
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    if (newline == NULL)
        return NULL;
    *text = newline + 1;
    return line;
}

/* Compares a text with a word, in small letters or capitals. */
static bool equals(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && strncasecmp(text, word, length) == 0;
}

/* Tells whether a list has the word for a member (9110 5.6.1). */
static bool lists(const char *list, const char *word)
{
    size_t length;
    do {
        list += strspn(list, ", \t");
        length = strcspn(list, ", \t\r\n");
        if (equals(list, length, word))
            return true;
        list += length;
    } while (length > 0);
    return false;
}

/* Finds the path in a target. Returns 200, or 400. */
static int parse_target(const char *target, HttpRequest *request)
{
    const char *path = target;
    if (strncasecmp(target, "http://", 7) == 0) { /* 3.2.2 */
        size_t authority = span_authority(target + 7);
        if (authority == 0)
            return 400; /* 9110 4.2.1 */
        path += 7 + authority;
    }
    size_t length = span_encoded(path, is_path);
    const char *end = path + length;
    if (*end == '?')
        end += 1 + span(end + 1, is_query);
    if (length == 0 && path != target) { /* 3.2.1 */
        path = "/";
        length = 1;
    }
    request->path = path;
    request->path_length = length;
    return *path == '/' && *end == ' ' ? 200 : 400; /* 3.2.3, 3.2.4 */
}

/* Reads a request line. Returns 200, or the status to refuse it with. */
static int parse_request_line(const char *line, HttpRequest *request,
                              int *minor)
{
    size_t method = span(line, is_token);
    if (method == 0 || line[method] != ' ')
        return 400; /* 3: three parts, and one space between two */
    const char *target = line + method + 1;
    size_t length = span(target, isgraph);
    const char *version = target + length + 1;
    if (length == 0 || target[length] != ' '
        || strncmp(version, "HTTP/", 5) != 0 /* 2.3: not http/ */
        || !isdigit((unsigned char)version[5]) || version[6] != '.'
        || !isdigit((unsigned char)version[7]) || !at_end(version + 8))
        return 400;
    if (version[5] != '1')
        return 505; /* 9110 15.6.6 */
    *minor = version[7] - '0';

    if (request->head_only || strncmp(line, "GET ", 4) == 0) /* 9110 9.1 */
        return parse_target(target, request);
    char word[16];
    snprintf(word, sizeof word, " %.*s ", (int)method, line);
    return strstr(" POST PUT DELETE CONNECT OPTIONS TRACE PATCH ", word)
               ? 405  /* 9110 15.5.6 */
               : 501; /* 9110 15.6.2 */
}

typedef struct {
    int hosts, lengths, codings; /* how many such headers there are */
    int conditions;
    const char *modified_since; /* or NULL */
    bool body, close, keep_alive;
} Fields;

/* Reads a header. Returns 200, or 400. */
static int parse_field(const char *line, Fields *fields)
{
    size_t name = span(line, is_token);
    if (name == 0 || line[name] != ':')
        return 400; /* 5.1: no space before the colon; 5.2: no folded line */
    const char *value = line + name + 1;
    value += span(value, isblank);
    size_t length = span(value, is_value);
    if (!at_end(value + length))
        return 400;
    while (length > 0 && isblank((unsigned char)value[length - 1]))
        length--;

    if (equals(line, name, "Host")) { /* 3.2: exactly one */
        if (span_authority(value) != length || fields->hosts++ > 0)
            return 400;
    } else if (equals(line, name, "Connection")) { /* 9.3 */
        fields->close |= lists(value, "close");
        fields->keep_alive |= lists(value, "keep-alive");
    } else if (equals(line, name, "Content-Length")) { /* 6.3 */
        size_t digits = span(value, isdigit);
        if (digits == 0 || digits != length || fields->lengths++ > 0)
            return 400;
        fields->body |= strspn(value, "0") < length;
    } else if (equals(line, name, "Transfer-Encoding")) { /* 6.1 */
        fields->body = true;
        if (!equals(value, length, "chunked") || fields->codings++ > 0)
            return 400; /* 6.3: the one coding that must come last */
    } else if (equals(line, name, "If-Modified-Since")) { /* 9110 13.1.3 */
        fields->conditions++;
        if (length == HTTP_DATE_MAX - 1)
            fields->modified_since = value;
    } else if (equals(line, name, "If-None-Match")) {
        fields->conditions++; /* that counts more, but we give no tags */
    }
    return 200;
}

int http_parse(const char *buffer, size_t size, HttpRequest *request)
{
    *request = (HttpRequest){.path = ""};
    if (size > HTTP_HEAD_MAX)
        size = HTTP_HEAD_MAX;
    const char *end = buffer + size, *rest = buffer;
    const char *line = take_line(&rest, end);
    if (line != NULL && at_end(line)) /* 2.2: an empty line may come first */
        line = take_line(&rest, end);
    const char *start = line != NULL ? line : rest;
    request->head_only = end - start >= 5 && memcmp(start, "HEAD ", 5) == 0;
    if (line == NULL)
        return size < HTTP_HEAD_MAX ? 0 : 414; /* 9110 15.5.15 */

    Fields fields = {0};
    int minor = 0; /* of a version that is not ours, too */
    int status = parse_request_line(line, request, &minor);
    if (status == 400)
        return 400;
    while ((line = take_line(&rest, end)) != NULL && !at_end(line))
        if (parse_field(line, &fields) != 200)
            return 400;
    if (line == NULL)
        return size < HTTP_HEAD_MAX ? 0 : 431;         /* 6585 5 */
    if ((minor > 0 && fields.hosts == 0)               /* 3.2 */
        || (fields.lengths > 0 && fields.codings > 0)) /* 6.1: smuggling */
        return 400;
    if (fields.modified_since != NULL && fields.conditions == 1)
        memcpy(request->modified_since, fields.modified_since,
               HTTP_DATE_MAX - 1);
    request->size = (size_t)(rest - buffer);
    bool last = fields.close || (minor == 0 && !fields.keep_alive); /* 9.3 */
    /* A body is not read, so nothing can follow it. */
    request->keep_alive = status == 200 && !last && !fields.body;
    return status;
}

bool http_percent_decode(const char *text, size_t length, char *decoded)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '%') {
            if (length - i < 3 || !at_encoded(text + i))
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
    static const char *const reasons[] = {
        [200] = "OK",
        [304] = "Not Modified",
        [400] = "Bad Request",
        [404] = "Not Found",
        [405] = "Method Not Allowed",
        [408] = "Request Timeout",
        [414] = "URI Too Long",
        [431] = "Request Header Fields Too Large",
        [501] = "Not Implemented",
        [503] = "Service Unavailable",
        [505] = "HTTP Version Not Supported",
    };
    return reasons[status];
}

void http_format_date(char date[HTTP_DATE_MAX], time_t time)
{
    struct tm utc; /* gmtime() has one for all threads */
    gmtime_r(&time, &utc);
    strftime(date, HTTP_DATE_MAX, "%a, %d %b %Y %T GMT", &utc); /* 9110 5.6.7 */
}

size_t http_format_head(char head[HTTP_ANSWER_MAX], const HttpAnswer *answer)
{
    return (size_t)snprintf(
        head, HTTP_ANSWER_MAX,
        "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\n"
        "Content-Length: %zu\r\nConnection: %s\r\n%s%s%s%s%s\r\n",
        answer->status, http_reason(answer->status), answer->date, answer->type,
        answer->length, answer->keep_alive ? "keep-alive" : "close",
        answer->modified != NULL ? "Last-Modified: " : "",
        answer->modified != NULL ? answer->modified : "",
        answer->modified != NULL ? "\r\n" : "",
        answer->status == 405 ? "Allow: GET, HEAD\r\n" : "", /* 9110 15.5.6 */
        answer->status == 503 ? "Retry-After: 5\r\n" : "");  /* 9110 15.6.4 */
}
