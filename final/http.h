#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* HTTP/1.1 on buffers: knows no socket, keeps no state, never waits. Any
 * number of threads may call these functions, each with buffers of its own. */

#define HTTP_HEAD_MAX 8192  /* bytes of a request's line and headers */
#define HTTP_ANSWER_MAX 384 /* bytes of an answer's line and headers */
#define HTTP_DATE_MAX 30    /* bytes of a date, with its NUL */

typedef struct {
    size_t size;      /* bytes of the whole head */
    const char *path; /* in the buffer: percent-encoded, without the query */
    size_t path_length;
    bool head_only;  /* HEAD: the answer has no body, whatever its status */
    bool keep_alive; /* another request may follow */
    /* The client has the page as it was then; "" if it does not say so. */
    char modified_since[HTTP_DATE_MAX];
} HttpRequest;

typedef struct {
    int status;
    const char *date;     /* now, by http_format_date() */
    const char *type;     /* of the body */
    const char *modified; /* when it was, by http_format_date(); or NULL */
    size_t length;        /* of the body, in bytes, even if it is not sent */
    bool keep_alive;      /* the connection stays open */
} HttpAnswer;

/* Reads the head of a request that the buffer begins with. Returns 0 while its
 * end is missing; 200 if it can be served; or the status to refuse it with:
 * then head_only says how, keep_alive is false, and nothing else counts, nor
 * does what follows in the buffer. */
int http_parse(const char *buffer, size_t size, HttpRequest *request);

/* Decodes each %XX of a text into decoded, of length + 1 bytes, with a NUL at
 * its end. Returns false if one is broken, or a NUL itself. */
bool http_percent_decode(const char *text, size_t length, char *decoded);

/* Returns the words for a status that http_parse() returns, or 304, 404, 408,
 * 503. */
const char *http_reason(int status);

/* Writes a time as HTTP wants it, with a NUL. */
void http_format_date(char date[HTTP_DATE_MAX], time_t time);

/* Writes an answer's head, without a NUL. Returns its size. */
size_t http_format_head(char head[HTTP_ANSWER_MAX], const HttpAnswer *answer);

#endif
