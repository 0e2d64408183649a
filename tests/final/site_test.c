/* The pages: which there are, and which there are not in any spelling. */

#define _DEFAULT_SOURCE /* S_IFSOCK */
#include "site.h"

#include "http.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/redirect.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROOT "assets" /* from the top folder, where the tests run */

/* Finds a page as the server does. */
static const Page *find(const Site *site, const char *path)
{
    char decoded[256];
    return http_percent_decode(path, strlen(path), decoded)
               ? site_find(site, decoded)
               : NULL;
}

/* Makes an empty folder. */
static char *folder(void)
{
    static char name[4096];
    const char *parent = getenv("TMPDIR");
    snprintf(name, sizeof name, "%s/site-XXXXXX", parent ? parent : "/tmp");
    cr_assert(mkdtemp(name) != NULL);
    return name;
}

/* Writes a file into it. */
static void put(const char *folder, const char *name, const char *text)
{
    char path[8192];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL);
    fputs(text, file);
    fclose(file);
}

/* Removes it again. */
static void drop(const char *folder)
{
    char command[8192];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert(system(command) == 0);
}

Test(site, the_pages_of_the_course)
{
    Site *site = site_load(ROOT);
    FILE *file = fopen(ROOT "/hello.html", "r");
    char hello[4096];
    size_t size = fread(hello, 1, sizeof hello, file);
    fclose(file);
    static const char *const names[] = {"/", "/hello.html", "/%68ello%2ehtml"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const Page *page = find(site, names[i]);
        cr_assert(page != NULL, "%s", names[i]);
        cr_expect(eq(sz, page->size, size));
        cr_expect(memcmp(page->body, hello, size) == 0);
        cr_expect(strcmp(page->type, "text/html; charset=utf-8") == 0);
    }
    cr_expect(find(site, "/404.html") != NULL);
    site_free(site);
}

Test(site, nothing_else_in_any_spelling)
{
    char *root = folder();
    put(root, "hello.html", "hello");
    put(root, ".secret", "secret");
    put(root, "passwd", "ours");
    char path[8192];
    snprintf(path, sizeof path, "%s/inner", root);
    mkdir(path, 0700);
    put(root, "inner/hidden.html", "hidden");
    snprintf(path, sizeof path, "%s/link.html", root);
    cr_assert(symlink("/etc/passwd", path) == 0);
    snprintf(path, sizeof path, "%s/pipe", root);
    cr_assert(mkfifo(path, 0600) == 0); /* to open it must not wait */
    snprintf(path, sizeof path, "%s/socket", root);
    cr_assert(mknod(path, S_IFSOCK | 0600, 0) == 0); /* nobody can open it */
    Site *site = site_load(root);
    drop(root);

    static const char *const names[] = {
        "//",
        "//hello.html",
        "/hello.html/",
        "/./hello.html",
        "/HELLO.html",
        "/hello",
        "/hello.htm",
        "/hello.html%00",
        "/hello.html%00.png",
        "/%",
        "/%6",
        "/%zz",
        "/inner",
        "/inner/",
        "/inner/hidden.html",
        "/inner%2fhidden.html",
        "/.secret",
        "/%2esecret",
        "/./.secret",
        "/link.html",
        "/pipe",
        "/socket",
        "/../etc/passwd",
        "/../../../../etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/%2e%2e%2fetc%2fpasswd",
        "/%252e%252e/etc/passwd",
        "/..%c0%af..%c0%afetc/passwd",
        "/%c0%ae%c0%ae/etc/passwd",
        "/..\\..\\etc\\passwd",
        "/..%5c..%5cetc%5cpasswd",
        "/....//....//etc/passwd",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/etc/passwd",
        "/.",
        "/..",
        "/proc/self/environ",
        "/passwd/../passwd",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_expect(find(site, names[i]) == NULL, "%s", names[i]);
    const Page *page = find(site, "/passwd");
    cr_assert(page != NULL);
    cr_expect(eq(sz, page->size, 4));
    cr_expect(memcmp(page->body, "ours", 4) == 0);
    site_free(site);
}

Test(site, types)
{
    static const char *const types[][2] = {
        {"hello.html", "text/html; charset=utf-8"},
        {"a.css", "text/css; charset=utf-8"},
        {"a.js", "text/javascript; charset=utf-8"},
        {"a.b.svg", "image/svg+xml"},
        {"a.png", "image/png"},
        {"B.PNG", "image/png"},
        {"a.jpg", "image/jpeg"},
        {"a.jpeg", "image/jpeg"},
        {"a.gif", "image/gif"},
        {"a.webp", "image/webp"},
        {"a.ico", "image/x-icon"},
        {"a.json", "application/json"},
        {"a.pdf", "application/pdf"},
        {"a.woff2", "font/woff2"},
        {"a.wasm", "application/wasm"},
        {"a.txt", "text/plain; charset=utf-8"},
        {"a", "application/octet-stream"},
        {"html", "application/octet-stream"},
        {"a.html.x", "application/octet-stream"},
    };
    enum { TYPES = sizeof types / sizeof *types };
    char *root = folder(), path[64];
    for (size_t i = 0; i < TYPES; i++)
        put(root, types[i][0], "");
    Site *site = site_load(root);
    drop(root);
    for (size_t i = 0; i < TYPES; i++) {
        snprintf(path, sizeof path, "/%s", types[i][0]);
        const Page *page = find(site, path);
        cr_assert(page != NULL, "%s", path);
        cr_expect(strcmp(page->type, types[i][1]) == 0, "%s", path);
        cr_expect(eq(sz, page->size, 0));
    }
    site_free(site);
}

Test(site, a_large_page_and_a_name_with_spaces)
{
    char *root = folder(), *text = malloc(3000001);
    memset(text, 'x', 3000000);
    text[3000000] = '\0';
    put(root, "hello.html", "");
    put(root, "a b\xc3\xa9.txt", text);
    Site *site = site_load(root);
    drop(root);
    const Page *page = find(site, "/a%20b%C3%A9.txt");
    cr_assert(page != NULL);
    cr_expect(eq(sz, page->size, 3000000));
    cr_expect(memcmp(page->body, text, 3000000) == 0);
    site_free(site);
    free(text);
}

/* Start-up failures end the program, with the name that is at fault. */
Test(site, no_such_folder, .init = cr_redirect_stderr, .exit_code = 1)
{
    site_load("/no/such/folder");
}

/* / is index.html, or else hello.html, or else nothing. */
Test(site, what_the_root_is)
{
    static const char *const files[] = {NULL, "hello.html", "index.html"};
    char *root = folder();
    for (int i = 0; i < 3; i++) {
        if (files[i] != NULL)
            put(root, files[i], files[i]);
        Site *site = site_load(root);
        const Page *page = find(site, "/");
        cr_assert(eq(int, page != NULL, i > 0));
        if (page != NULL)
            cr_expect(memcmp(page->body, files[i], page->size) == 0);
        site_free(site);
    }
    drop(root);
}

/* Each of many is found, and at once. */
Test(site, many_pages)
{
    char *root = folder(), name[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "%d.txt", i * 7919 % 2000);
        put(root, name, name);
    }
    Site *site = site_load(root);
    drop(root);
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "/%d.txt", i);
        const Page *page = find(site, name);
        cr_assert(page != NULL, "%s", name);
        cr_expect(memcmp(page->body, name + 1, page->size) == 0);
    }
    cr_expect(find(site, "/2000.txt") == NULL);
    site_free(site);
}

/* Never later than now: RFC 9110 8.8.2.1; and in a year of four digits. */
Test(site, when_a_page_was_modified)
{
    static const struct {
        const char *name;
        time_t time;
    } files[] = {{"old", 784111777}, {"future", 33000000000}, {"older", -9}};
    char *root = folder(), path[8192], now[HTTP_DATE_MAX];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct timespec times[] = {{0}, {.tv_sec = files[i].time}};
        put(root, files[i].name, "");
        snprintf(path, sizeof path, "%s/%s", root, files[i].name);
        utimensat(AT_FDCWD, path, times, 0);
    }
    Site *site = site_load(root);
    drop(root);
    http_format_date(now, time(NULL));
    cr_expect(eq(str, (char *)find(site, "/old")->modified,
                 "Sun, 06 Nov 1994 08:49:37 GMT"));
    cr_expect(memcmp(find(site, "/future")->modified, now, 16) == 0);
    cr_expect(eq(str, (char *)find(site, "/older")->modified,
                 "Thu, 01 Jan 1970 00:00:00 GMT"));
    site_free(site);
}
