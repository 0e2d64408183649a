#ifndef SITE_H
#define SITE_H

#include <stddef.h>

/* The pages of one directory, in memory: a request opens no file, and can
 * name none elsewhere. Nothing changes between site_load() and site_free():
 * any thread may look. */
typedef struct Site Site;

typedef struct Page {
    struct Page *next;
    char *path;       /* what follows the first / in a request's path */
    const char *type; /* its Content-Type */
    size_t size;      /* of the body, in bytes */
    char body[];
} Page;

/* Reads the files of a directory, but no subdirectories, symbolic links, and
 * names that begin with a dot. The paths / and /sleep are hello.html's, too.
 * Returns NULL and sets errno if that is missing, or any is unreadable. */
Site *site_load(const char *name);

/* Returns the page of a path that is still percent-encoded, or NULL. */
const Page *site_find(const Site *site, const char *path, size_t length);

/* Frees the site, or NULL, and its pages. */
void site_free(Site *site);

#endif
