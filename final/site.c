#include "site.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct Site {
    Page *pages; /* sorted by their paths */
    size_t count;
};

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
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},
        {".webp", "image/webp"},
        {".ico", "image/x-icon"},
        {".json", "application/json"},
        {".pdf", "application/pdf"},
        {".woff2", "font/woff2"},
        {".wasm", "application/wasm"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++)
        if (strcasecmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

/* Reads a file into a page. Returns false if it is not an ordinary file, or
 * cannot be read: then that is told. */
static bool read_page(int directory, const char *name, Page *page)
{
    /* A link may lead anywhere; a FIFO would have open() wait. */
    int file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (file == -1) {
        perror(name);
        return false;
    }
    FILE *stream = fdopen(file, "r");
    struct stat info;
    if (stream == NULL || fstat(file, &info) == -1)
        die(name);
    bool ordinary = S_ISREG(info.st_mode);
    if (ordinary) {
        *page = (Page){.path = strdup(name), .type = type_of(name)};
        page->body = malloc((size_t)info.st_size + 1);
        if (page->path == NULL || page->body == NULL)
            die(name);
        time_t now = time(NULL); /* 9110 8.8.2.1: it is never later than that */
        time_t modified = info.st_mtime < now ? info.st_mtime : now;
        http_format_date(page->modified, modified > 0 ? modified : 0);
        page->size = fread(page->body, 1, (size_t)info.st_size, stream);
        if (ferror(stream)) {
            perror(name);
            free(page->path);
            free(page->body);
            ordinary = false;
        }
    }
    fclose(stream);
    return ordinary;
}

static int compare_pages(const void *a, const void *b)
{
    return strcmp(((const Page *)a)->path, ((const Page *)b)->path);
}

Site *site_load(const char *directory)
{
    Site *site = calloc(1, sizeof *site);
    DIR *stream = opendir(directory);
    if (site == NULL || stream == NULL)
        die(directory);
    size_t room = 0;
    const struct dirent *entry;
    while ((errno = 0, entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        if (site->count == room) {
            room = room * 2 + 16;
            site->pages = realloc(site->pages, room * sizeof *site->pages);
            if (site->pages == NULL)
                die(directory);
        }
        Page page;
        if (read_page(dirfd(stream), entry->d_name, &page))
            site->pages[site->count++] = page;
    }
    if (errno != 0)
        die(directory);
    closedir(stream);
    if (site->count > 0)
        qsort(site->pages, site->count, sizeof *site->pages, compare_pages);
    return site;
}

const Page *site_find(const Site *site, const char *path)
{
    if (strcmp(path, "/") == 0) {
        const Page *page = site_find(site, "/index.html");
        return page != NULL ? page : site_find(site, "/hello.html");
    }
    if (site->count == 0)
        return NULL;
    const Page wanted = {.path = (char *)path + 1};
    return bsearch(&wanted, site->pages, site->count, sizeof wanted,
                   compare_pages);
}

void site_free(Site *site)
{
    for (size_t i = 0; i < site->count; i++) {
        free(site->pages[i].path);
        free(site->pages[i].body);
    }
    free(site->pages);
    free(site);
}
