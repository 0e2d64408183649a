/* libFuzzer on the parser. The input ends where its memory ends. */

#include "http.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                       \
    if (!(condition))                                                          \
    abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    HttpRequest request, prefix;
    int status = http_parse(text, size, &request);
    if (status == 0 || status != 200) {
        CHECK(status == 0 || *http_reason(status) != '\0');
        CHECK(!request.keep_alive);
        CHECK(size < HTTP_HEAD_MAX || status != 0);
        return 0;
    }
    /* A good request: its parts are where they should be. */
    CHECK(request.size <= size && request.size <= HTTP_HEAD_MAX);
    CHECK(text[request.size - 1] == '\n');
    CHECK(request.path_length > 0 && request.path[0] == '/');
    for (size_t i = 0; i < request.path_length; i++)
        CHECK(request.path[i] > ' ' && request.path[i] < 0x7f);
    CHECK(memchr(text, '\0', request.size) == NULL);
    /* It does not depend on what follows, and is incomplete before its end. */
    char *copy = malloc(request.size);
    memcpy(copy, text, request.size);
    CHECK(http_parse(copy, request.size, &prefix) == 200);
    CHECK(prefix.size == request.size);
    free(copy);
    for (size_t cut = 0; cut < request.size; cut += 1 + request.size / 8) {
        copy = malloc(cut + 1);
        memcpy(copy, text, cut);
        CHECK(http_parse(copy, cut, &prefix) == 0);
        free(copy);
    }
    char *decoded = malloc(request.path_length + 1);
    if (http_percent_decode(request.path, request.path_length, decoded))
        CHECK(strlen(decoded) <= request.path_length);
    free(decoded);
    return 0;
}
