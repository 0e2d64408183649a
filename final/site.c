#include "site.h"
#include "http.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct Site {
    Page *first;
};

/* Returns the Content-Type that the end of a name stands for. */
static const char *type_of(const char *name)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".ico", "image/vnd.microsoft.icon"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++)
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

/* Adds a page with what the file holds. Returns 0, or an errno. */
static int read_page(Site *site, int file, const char *path, const char *type)
{
    struct stat info;
    if (fstat(file, &info) == -1)
        return errno;
    if (!S_ISREG(info.st_mode))
        return 0; /* a directory, a device: no page */
    size_t size = (size_t)info.st_size;
    Page *page = malloc(sizeof *page + size);
    char *copy = strdup(path);
    if (page == NULL || copy == NULL) {
        free(page);
        free(copy);
        return ENOMEM;
    }
    *page = (Page){.next = site->first, .path = copy, .type = type};
    site->first = page; /* site_free() frees it from here on */
    while (page->size < size) {
        ssize_t got = read(file, page->body + page->size, size - page->size);
        if (got <= 0)
            return got == 0 ? 0 : errno;
        page->size += (size_t)got;
    }
    return 0;
}

/* Adds a page for a file of the directory. Returns 0, or an errno. */
static int add_file(Site *site, DIR *directory, const char *name,
                    const char *path)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
    int file = openat(dirfd(directory), name, flags);
    if (file == -1)
        return errno == ELOOP ? 0 : errno; /* no symbolic links: see site.h */
    int error = read_page(site, file, path, type_of(name));
    close(file);
    return error;
}

Site *site_load(const char *name)
{
    DIR *directory = opendir(name);
    if (directory == NULL)
        return NULL;
    Site *site = calloc(1, sizeof *site);
    int error = site == NULL ? ENOMEM : 0;
    const struct dirent *entry;
    while (error == 0 && (errno = 0, entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            error = add_file(site, directory, entry->d_name, entry->d_name);
    if (error == 0)
        error = errno; /* of readdir() */
    if (error == 0)
        error = add_file(site, directory, "hello.html", "sleep");
    if (error == 0)
        error = add_file(site, directory, "hello.html", "");
    closedir(directory);
    if (error == 0)
        return site;
    site_free(site);
    errno = error;
    return NULL;
}

const Page *site_find(const Site *site, const char *path, size_t length)
{
    char name[HTTP_HEAD_MAX];
    if (length >= sizeof name || !http_percent_decode(path, length, name)
        || name[0] != '/')
        return NULL;
    const Page *page = site->first;
    while (page != NULL && strcmp(page->path, name + 1) != 0)
        page = page->next;
    return page;
}

void site_free(Site *site)
{
    while (site != NULL && site->first != NULL) {
        Page *page = site->first;
        site->first = page->next;
        free(page->path);
        free(page);
    }
    free(site);
}
