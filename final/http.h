#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>

/* HTTP/1.1 on buffers: knows no socket, keeps no state, never waits. */

#define HTTP_HEAD_MAX 8192  /* bytes of a request's line and headers */
#define HTTP_ANSWER_MAX 320 /* bytes of an answer's line and headers */

typedef struct {
    size_t size;      /* bytes of the whole head */
    const char *path; /* in the buffer: percent-encoded, without the query */
    size_t path_length;
    bool head_only;  /* HEAD: the answer has no body */
    bool keep_alive; /* another request may follow */
    bool last;       /* the client has said that it sends nothing more */
} HttpRequest;

/* Reads the head of a request that the buffer begins with. Returns 0 while its
 * end is missing; 200 if it can be served; or the status to refuse it with,
 * and then nothing that follows has a meaning. */
int http_parse(const char *buffer, size_t size, HttpRequest *request);

/* Decodes each %XX of a text into decoded, of length + 1 bytes, with a NUL at
 * its end. Returns false if one is broken, or a NUL itself. */
bool http_percent_decode(const char *text, size_t length, char *decoded);

/* Returns the words for a status that these functions use. */
const char *http_reason(int status);

/* Writes an answer's head, without NUL, to a buffer of HTTP_ANSWER_MAX bytes.
 * Returns its size. The type and length are the body's. */
size_t http_format_head(char *buffer, int status, const char *date,
                        const char *type, size_t length, bool keep_alive);

#endif
