#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* HTTP/1.1 on buffers. Knows no socket, keeps no state, never waits: any
 * thread may call it. A request's texts point into the buffer it came in. */

#define HTTP_HEAD_MAX 8192  /* bytes of a request: its line and headers */
#define HTTP_ANSWER_MAX 320 /* bytes of an answer's line and headers */
#define HTTP_DATE_SIZE 30   /* bytes of a date, with its NUL */

typedef struct {
    size_t size;      /* bytes of the whole head, once it is complete */
    const char *path; /* still percent-encoded, without the query */
    size_t path_length;
    bool head_only;  /* HEAD: answer with the head alone */
    bool keep_alive; /* another request may follow on the connection */
} HttpRequest;

typedef struct {
    int status;
    const char *type;  /* Content-Type */
    size_t length;     /* Content-Length, in bytes */
    const char *date;  /* from http_format_date */
    bool keep_alive;
} HttpAnswer;

/* Reads the head of the request that the buffer begins with. Returns 0 while
 * its end is missing, 200 when it can be served, or the status to refuse it
 * with; then nothing after it can be trusted, and keep_alive is false. */
int http_parse(const char *buffer, size_t size, HttpRequest *request);

/* Decodes the %XX in text into decoded, of length + 1 bytes, and ends it with
 * a NUL. Returns false on a broken sequence, or one that hides a NUL. */
bool http_percent_decode(const char *text, size_t length, char *decoded);

/* Returns the phrase that belongs to a status, "" if it is not one of ours. */
const char *http_reason(int status);

/* Writes the date as a Date header wants it. */
void http_format_date(char date[static HTTP_DATE_SIZE], time_t now);

/* Writes an answer's head, of at most HTTP_ANSWER_MAX bytes, with no NUL.
 * Returns its size. */
size_t http_format_head(char *buffer, const HttpAnswer *answer);

#endif
