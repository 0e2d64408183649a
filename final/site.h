#ifndef SITE_H
#define SITE_H

#include <stddef.h>

/* The pages of one directory, in memory: a request opens no file, and can
 * name none elsewhere. */
typedef struct Page {
    struct Page *next;
    char *path;       /* what follows the first / of a request's path */
    const char *type; /* its Content-Type */
    size_t size;      /* of the body, in bytes */
    char body[];
} Page;

/* Reads the files of a directory, but not its subdirectories, its symbolic
 * links, and names that begin with a dot; / and /sleep are its hello.html.
 * Returns the first page; ends the program if anything cannot be read. */
Page *site_load(const char *directory);

/* Returns the page of a path that is still percent-encoded, or NULL. */
const Page *site_find(const Page *site, const char *path, size_t length);

/* Frees all the pages. */
void site_free(Page *site);

#endif
