#include "site.h"
#include "http.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static _Noreturn void die(const char *name)
{
    perror(name);
    exit(EXIT_FAILURE);
}

/* Returns the Content-Type that the end of a name stands for. */
static const char *type_of(const char *name)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++)
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

/* Adds the page that a file holds in front of the others. Returns the first
 * page. */
static Page *add(Page *site, int directory, const char *name, const char *path)
{
    struct stat info;
    if (fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == -1)
        die(name);
    if (!S_ISREG(info.st_mode))
        return site; /* a link, say: it may lead anywhere */
    int file = openat(directory, name, O_RDONLY | O_NOFOLLOW);
    FILE *stream = file != -1 ? fdopen(file, "r") : NULL;
    Page *page = malloc(sizeof *page + (size_t)info.st_size);
    if (stream == NULL || page == NULL)
        die(name);
    *page = (Page){site, strdup(path), type_of(name), 0};
    page->size = fread(page->body, 1, (size_t)info.st_size, stream);
    if (page->path == NULL || ferror(stream))
        die(name);
    fclose(stream);
    return page;
}

Page *site_load(const char *directory)
{
    Page *site = NULL;
    DIR *stream = opendir(directory);
    if (stream == NULL)
        die(directory);
    const struct dirent *entry;
    while ((errno = 0, entry = readdir(stream)) != NULL)
        if (entry->d_name[0] != '.')
            site = add(site, dirfd(stream), entry->d_name, entry->d_name);
    if (errno != 0)
        die(directory);
    site = add(site, dirfd(stream), "hello.html", "sleep");
    site = add(site, dirfd(stream), "hello.html", "");
    closedir(stream);
    return site;
}

const Page *site_find(const Page *site, const char *path, size_t length)
{
    char name[HTTP_HEAD_MAX];
    if (length >= sizeof name || !http_percent_decode(path, length, name)
        || name[0] != '/')
        return NULL;
    while (site != NULL && strcmp(site->path, name + 1) != 0)
        site = site->next;
    return site;
}

void site_free(Page *site)
{
    while (site != NULL) {
        Page *next = site->next;
        free(site->path);
        free(site);
        site = next;
    }
}
