#define _GNU_SOURCE /* asprintf */
#include "files.h"

#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *file_contents(int file)
{
    struct stat info;
    fstat(file, &info);
    char *text = calloc(1, (size_t)info.st_size + 1);
    ssize_t length = pread(file, text, (size_t)info.st_size, 0);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

char *file_read(const char *folder, const char *name, size_t *length)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder ? folder : setting("PAGES"),
             name);
    int file = open(path, O_RDONLY);
    cr_assert(file != -1, "%s: %s", path, strerror(errno));
    struct stat info;
    fstat(file, &info);
    *length = (size_t)info.st_size;
    char *data = file_contents(file);
    close(file);
    return data;
}

char *folder_new(void)
{
    const char *parent = getenv("TMPDIR");
    char *folder = NULL;
    cr_assert(asprintf(&folder, "%s/hello-XXXXXX", parent ? parent : "/tmp")
              != -1);
    cr_assert(mkdtemp(folder) != NULL, "%s: %s", folder, strerror(errno));
    return folder;
}

char *folder_with_page(size_t length)
{
    char *folder = folder_new(), *page = malloc(length);
    memset(page, 'x', length);
    file_write(folder, "hello.html", page, length);
    file_write(folder, "404.html", "gone\n", 5);
    free(page);
    return folder;
}

void folder_remove(char *folder)
{
    const char *pages[] = {"hello.html", "404.html"};
    for (int i = 0; i < 2; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, pages[i]);
        unlink(path);
    }
    rmdir(folder);
    free(folder);
}

void file_write(const char *folder, const char *name, const void *data,
                size_t length)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    cr_assert(file != NULL && fwrite(data, 1, length, file) == length
                  && fclose(file) == 0,
              "%s: %s", path, strerror(errno));
}
