#ifndef SITE_H
#define SITE_H

#include "http.h"

#include <stddef.h>

/* The pages of one directory, in memory: a request opens no file, and can
 * name none elsewhere. Nothing changes in it between site_load() and
 * site_free(), so any number of threads may look at it. */
typedef struct Site Site;

typedef struct {
    char *path;       /* what follows the first / of a request's path */
    const char *type; /* its Content-Type */
    char *body;
    size_t size; /* of the body, in bytes */
    char modified[HTTP_DATE_MAX];
} Page;

/* Reads the files of a directory, but not its subdirectories, its symbolic
 * links, and names that begin with a dot. A file that cannot be read is told
 * on stderr, and left out. Returns the site, for site_free(); ends the program
 * if the directory cannot be read, or without memory. */
Site *site_load(const char *directory);

/* Returns the page of a path, which begins with a / and is not encoded any
 * more; or NULL. / is index.html, or without one hello.html. */
const Page *site_find(const Site *site, const char *path);

/* Frees the site and its pages. */
void site_free(Site *site);

#endif
