#define _GNU_SOURCE /* memmem */
#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

Head answer_head(const char *data, size_t size)
{
    static const char field[] = "\r\nContent-Length:";
    const size_t length = sizeof field - 1;
    Head head = {.body = -1};
    const char *end = memmem(data, size, "\r\n\r\n", 4);

    if (end == NULL)
        return head;
    head.size = (size_t)(end + 4 - data);
    sscanf(data, "HTTP/1.1 %d", &head.status);
    for (const char *line = data; line < end; line++)
        if (strncasecmp(line, field, length) == 0)
            head.body = head.body == -1 ? strtol(line + length, NULL, 10) : -2;
    return head;
}
