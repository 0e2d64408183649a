/* Reads an answer of HTTP, as far as a test or a bench must understand it. */

#ifndef ANSWER_H
#define ANSWER_H

#include <stddef.h>

typedef struct {
    int status;  /* 200, …; 0 if the answer does not begin as HTTP/1.1 does */
    size_t size; /* of the head, with the empty line: where the body begins; 0
                  * as long as that line has not come */
    long body;   /* what Content-Length says, -1 without one, -2 with two */
} Head;

/* Reads the head of what has come so far, which a NUL must follow. */
Head answer_head(const char *data, size_t size);

#endif
