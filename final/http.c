/* Numbers are sections of RFC 9112, or with four more digits of another RFC.
 * A line is looked at once its LF is there: as no alphabet below has LF in it,
 * nothing looks beyond. */

#include "http.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct {
    int hosts, lengths, codings; /* how many such headers there are */
    bool body, close, keep_alive;
} Fields;

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
    return isalnum(c) || (c != '\0' && strchr("-._~%!$&'()*+,;=:[]", c));
}

/* Returns how many characters of an alphabet a text begins with. */
static size_t span(const char *text, int (*alphabet)(int))
{
    size_t length = 0;
    while (alphabet((unsigned char)text[length]))
        length++;
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
    if (target[length] != ' '
        || strncmp(version, "HTTP/", 5) != 0 /* 2.3: not http/ */
        || !isdigit((unsigned char)version[5]) || version[6] != '.'
        || !isdigit((unsigned char)version[7]) || !at_end(version + 8))
        return 400;
    if (version[5] != '1')
        return 505; /* 9110 15.6.6 */
    *minor = version[7] - '0';

    request->head_only = strncmp(line, "HEAD ", 5) == 0; /* 9110 9.1 */
    if (!request->head_only && strncmp(line, "GET ", 4) != 0) {
        char word[16];
        snprintf(word, sizeof word, " %.*s ", (int)method, line);
        return strstr(" POST PUT DELETE CONNECT OPTIONS TRACE PATCH ", word)
                   ? 405  /* 9110 15.5.6 */
                   : 501; /* 9110 15.6.2 */
    }

    bool absolute = strncasecmp(target, "http://", 7) == 0; /* 3.2.2 */
    if (absolute) {
        size_t host = span(target + 7, is_host);
        if (host == 0)
            return 400; /* 9110 4.2.1 */
        target += 7 + host;
    }
    request->path = target;
    request->path_length = strcspn(target, "? ");
    if (absolute && request->path_length == 0) {
        request->path = "/"; /* 3.2.1 */
        request->path_length = 1;
    }
    return *request->path == '/' ? 200 : 400; /* 3.2.3, 3.2.4 */
}

/* Reads a header. Returns 200, or the status to refuse it with. */
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
        if (span(value, is_host) != length || fields->hosts++ > 0)
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
    if (line == NULL)
        return size < HTTP_HEAD_MAX ? 0 : 414; /* 9110 15.5.15 */
    Fields fields = {0};
    int minor, status = parse_request_line(line, request, &minor);
    while (status == 200 && (line = take_line(&rest, end)) && !at_end(line))
        status = parse_field(line, &fields);
    if (status != 200)
        return status;
    if (line == NULL)
        return size < HTTP_HEAD_MAX ? 0 : 431;         /* 6585 5 */
    if ((minor > 0 && fields.hosts == 0)               /* 3.2 */
        || (fields.lengths > 0 && fields.codings > 0)) /* 6.1: smuggling */
        return 400;
    request->size = (size_t)(rest - buffer);
    bool last = fields.close || (minor == 0 && !fields.keep_alive); /* 9.3 */
    request->last = last && !fields.body; /* 9110 9.3.1: it is not read */
    request->keep_alive = !last && !fields.body;
    return 200;
}

bool http_percent_decode(const char *text, size_t length, char *decoded)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '%') { /* 3986 2.1 */
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
    static const char *const reasons[] = {
        [200] = "OK",
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

size_t http_format_head(char *buffer, int status, const char *date,
                        const char *type, size_t length, bool keep_alive)
{
    return (size_t)snprintf(
        buffer, HTTP_ANSWER_MAX,
        "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\n"
        "Content-Length: %zu\r\nConnection: %s\r\n%s%s\r\n",
        status, http_reason(status), date, type, length,
        keep_alive ? "keep-alive" : "close",
        status == 405 ? "Allow: GET, HEAD\r\n" : "", /* 9110 15.5.6 */
        status == 503 ? "Retry-After: 5\r\n" : "");  /* 9110 15.6.4 */
}
