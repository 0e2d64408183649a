/* The site: which pages it has, of which type, and whether they are new. */

#include "help.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Asks for a path, with more headers. */
static Reply page(const Server *server, const char *path, const char *headers)
{
    Client one = client(server);
    char *request = words("GET %s HTTP/1.1\r\n" H "%s\r\n", path, headers);
    say(&one, request);
    Reply answer = reply(&one);
    free(request);
    leave(&one);
    return answer;
}

/* Returns whether an answer's head has such a line. */
static bool has(const Reply *answer, const char *line)
{
    char *wanted = words("\r\n%s\r\n", line);
    bool found = strstr(answer->head, wanted) != NULL;
    free(wanted);
    return found;
}

Test(server, types_by_name)
{
    static const char *const types[][2] = {
        {"a.html", "text/html; charset=utf-8"},
        {"a.css", "text/css; charset=utf-8"},
        {"a.js", "text/javascript; charset=utf-8"},
        {"a.txt", "text/plain; charset=utf-8"},
        {"a.svg", "image/svg+xml"},
        {"a.png", "image/png"},
        {"a.jpg", "image/jpeg"},
        {"A.JPG", "image/jpeg"},
        {"a.gif", "image/gif"},
        {"a.webp", "image/webp"},
        {"a.ico", "image/x-icon"},
        {"a.json", "application/json"},
        {"a.pdf", "application/pdf"},
        {"a.Woff2", "font/woff2"},
        {"a.wasm", "application/wasm"},
        {"a.tar.gz", "application/octet-stream"},
        {"a", "application/octet-stream"},
        {"html", "application/octet-stream"},
    };
    enum { TYPES = sizeof types / sizeof *types };
    char *folder = folder_new();
    file_write(folder, "hello.html", "x", 1);
    for (int i = 0; i < TYPES; i++)
        file_write(folder, types[i][0], "x", 1);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    for (int i = 0; i < TYPES; i++) {
        char *path = words("/%s", types[i][0]);
        char *line = words("Content-Type: %s", types[i][1]);
        Reply answer = page(&server, path, "");
        cr_expect(eq(int, answer.status, 200), "%s", path);
        cr_expect(has(&answer, line), "%s: %s", path, answer.head);
    }
    finish(&server);
    drop_site(folder);
}

/* Without hello.html it starts; index.html is the first page, then. */
Test(server, the_first_page)
{
    char *folder = folder_new();
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Reply answer = page(&server, "/", "");
    cr_expect(eq(int, answer.status, 404));
    cr_expect(answer.size > 0);
    finish(&server);
    file_write(folder, "hello.html", "hello", 5);
    server = start_with("--quiet --root .", (Options){.folder = folder});
    cr_expect(eq(str, page(&server, "/", "").body, "hello"));
    finish(&server);
    file_write(folder, "index.html", "index", 5);
    server = start_with("--quiet --root .", (Options){.folder = folder});
    cr_expect(eq(str, page(&server, "/", "").body, "index"));
    cr_expect(eq(str, page(&server, "/hello.html", "").body, "hello"));
    cr_expect(eq(str, page(&server, "/index.html", "").body, "index"));
    finish(&server);
    drop_site(folder);
}

/* Who has the page already is told so, without the page. RFC 9110 13.1.3 */
Test(server, a_page_that_is_known)
{
    static const struct {
        const char *header;
        int status;
    } cases[] = {
        {"", 200},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304},
        {"if-modified-since:Sun, 06 Nov 1994 08:49:37 GMT  \r\n", 304},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200},
        {"If-Modified-Since: Sat, 05 Nov 1994 09:49:37 GMT\r\n", 200},
        {"If-Modified-Since: yesterday\r\n", 200},
        {"If-Modified-Since:\r\n", 200},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37\r\n", 200},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT x\r\n", 200},
    };
    char *folder = site_of(1000), path[4200];
    snprintf(path, sizeof path, "%s/large.txt", folder);
    const struct timespec times[2] = {{784111777, 0}, {784111777, 5}};
    cr_assert(utimensat(AT_FDCWD, path, times, 0) == 0);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client one = client(&server); /* all of them, on one connection */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int head_only = 0; head_only < 2; head_only++) {
            char *request = words("%s /large.txt HTTP/1.1\r\n" H "%s\r\n",
                                  head_only ? "HEAD" : "GET", cases[i].header);
            say(&one, request);
            Reply answer = reply_to(&one, head_only, patience());
            cr_assert(eq(int, answer.status, cases[i].status), "%s", request);
            cr_expect(
                has(&answer, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"),
                "%s", answer.head);
            cr_expect(strstr(answer.head, "\r\nDate: ") != NULL);
            if (answer.status == 304 || head_only)
                cr_expect(eq(sz, answer.size, 0));
            else
                cr_expect(eq(sz, answer.size, 1000));
            free(answer.body);
            free(request);
        }
    say(&one, "GET /x HTTP/1.1\r\n" H
              "If-Modified-Since: Wed, 01 Jan 2020 00:00:00 GMT\r\n\r\n");
    Reply answer = reply(&one);
    cr_expect(eq(int, answer.status, 404));
    cr_expect(strstr(answer.head, "Last-Modified") == NULL);
    leave(&one);
    finish(&server);
    drop_site(folder);
}

/* What is no file is no page, and nothing to wait for. */
Test(server, only_files_are_pages)
{
    char *folder = site_of(1000), path[4200];
    snprintf(path, sizeof path, "%s/pipe.html", folder);
    cr_assert(mkfifo(path, 0600) == 0);
    snprintf(path, sizeof path, "%s/link.html", folder);
    cr_assert(symlink("/etc/passwd", path) == 0);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    cr_expect(eq(int, page(&server, "/pipe.html", "").status, 404));
    cr_expect(eq(int, page(&server, "/link.html", "").status, 404));
    cr_expect(eq(int, page(&server, "/large.txt", "").status, 200));
    finish(&server);
    drop_site(folder);
}

/* 100,000 files: links to a few, as a file may have 65,000 names. */
Test(server, many_files)
{
    enum { FILES = 100000, EACH = 30000, REQUESTS = 2000 };
    char *folder = site_of(10), name[32];
    int place = open(folder, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%d", i);
        char from[32];
        snprintf(from, sizeof from, "%d", i / EACH * EACH);
        if (i % EACH == 0)
            file_write(folder, name, "x", 1);
        else
            cr_assert(linkat(place, from, place, name, 0) == 0);
    }
    close(place);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client one = client(&server);
    double cpu = server_cpu(&server);
    for (int i = 0; i < REQUESTS; i++) {
        bool there = i % 4 != 0;
        char *request = words("GET /%d HTTP/1.1\r\n" H "\r\n",
                              (there ? 0 : FILES) + i * 7919 % FILES);
        say(&one, request);
        free(request);
        Reply answer = reply(&one);
        cr_assert(eq(int, answer.status, there ? 200 : 404));
        free(answer.body);
    }
    cpu = server_cpu(&server) - cpu;
    printf("%d files: %.0f us a request\n", FILES, cpu / REQUESTS * 1e6);
    cr_expect(lt(dbl, cpu, REQUESTS * 100e-6));
    leave(&one);
    finish(&server);
    drop_site(folder);
}
