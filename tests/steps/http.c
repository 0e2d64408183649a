/* The server speaks HTTP, and serves the pages of a folder and nothing else. */

#define _GNU_SOURCE /* memmem, strcasestr, strptime */
#include "shared.h"

#include "answer.h"
#include "http_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

TestSuite(http, SUITE);

/* Sends some bytes on a connection of their own, and returns the answer. */
static Answer say(const Server *server, const char *text, size_t size)
{
    int client = client_connect(server);
    client_send(client, text, size);
    return client_receive(client, patience());
}

static Answer get(const Server *server, const char *path)
{
    char *request = words("GET %s HTTP/1.1\r\n" HOST END, path);
    doing(words("a client asked for %s", path));
    return say(server, request, strlen(request));
}

/* Returns the value of a header, which ends where the head does, or NULL. */
static const char *header(const Answer *answer, const char *name)
{
    char *line = words("\r\n%s: ", name);
    const char *found = strcasestr(answer->data, line);
    const char *end = strstr(answer->data, "\r\n\r\n");
    return found != NULL && found < end ? found + strlen(line) : NULL;
}

static void check_status(const Answer *answer, int expected, const char *cause,
                         const char *heading)
{
    Head head = answer_head(answer->data, answer->length);
    check(head.status == expected, .expected = words("the status %d", expected),
          .got = answer->timed_out     ? "nothing: the server says nothing"
                 : answer->length == 0 ? "nothing: the connection was closed"
                                       : words("%.40s", answer->data),
          .cause = cause, .key = words("status-%d", expected), .read = heading);
}

/* Checks all that each answer must have. */
static void check_form(const Answer *answer, bool head_only)
{
    Head head = answer_head(answer->data, answer->length);
    check(head.size > 0 && head.body >= 0,
          .expected = "a whole head, with one Content-Length",
          .got = words("%.200s", answer->data), .key = "head",
          .read = "The answer");
    size_t body = answer->length - head.size;
    check(body == (head_only ? 0 : (size_t)head.body),
          .expected =
              head_only ? "no body: the method is HEAD"
                        : words("a body of %ld bytes, as announced", head.body),
          .got = words("%zu bytes", body),
          .cause = head_only ? "head_only must be looked at before the body is "
                               "sent, whatever the status"
                             : "the length announced is not that of what is "
                               "sent",
          .key = head_only ? "head-only" : "length",
          .read = "The server speaks HTTP");
    const char *value = header(answer, "Connection");
    check(value != NULL && strncasecmp(value, "close", 5) == 0,
          .expected = "Connection: close, for it is closed",
          .got = value != NULL ? words("Connection: %.20s", value) : "none",
          .key = "connection", .read = "The answer");
    value = header(answer, "Date");
    struct tm utc = {0};
    const char *end =
        value != NULL ? strptime(value, "%a, %d %b %Y %T GMT", &utc) : NULL;
    check(end != NULL && end - value == 29
              && labs(timegm(&utc) - time(NULL)) < 100,
          .expected = "Date: the time now, as Sun, 06 Nov 1994 08:49:37 GMT",
          .got = value != NULL ? words("Date: %.29s", value) : "none",
          .key = "date", .read = "A date for each answer");
    check(header(answer, "Content-Type") != NULL, .expected = "a Content-Type",
          .got = "none", .key = "type", .read = "The answer");
}

/* A folder with all that may lie around in one. */
static char *full_folder(char **outside)
{
    char *folder = folder_new();
    *outside = folder_new();
    file_write(*outside, "secret.txt", "secret\n", 7);
    file_write(folder, "hello.html", "hello\n", 6);
    file_write(folder, "404.html", "gone\n", 5);
    file_write(folder, "empty.txt", "", 0);
    file_write(folder, "with nul.bin", "a\0b\n", 4);
    file_write(folder, "a%20b.txt", "percent\n", 8);
    file_write(folder, ".hidden", "secret\n", 7);
    mkdir(words("%s/sub", folder), 0700);
    file_write(words("%s/sub", folder), "page.html", "secret\n", 7);
    symlink(words("%s/secret.txt", *outside), words("%s/link.txt", folder));
    symlink(*outside, words("%s/up", folder));
    mkfifo(words("%s/fifo", folder), 0600);
    file_write(folder, "locked.txt", "secret\n", 7);
    chmod(words("%s/locked.txt", folder), 0);
    return folder;
}

static void remove_all(char *folder, char *outside)
{
    char *command = words("rm -rf '%s' '%s'", folder, outside);
    if (system(command) == -1)
        perror("rm");
}

static void check_page(const Server *server, const char *path,
                       const char *contents, size_t size)
{
    Answer answer = get(server, path);
    check_status(&answer, 200,
                 "the path is decoded, once, and looked up among the files of "
                 "the folder",
                 "The pages of a folder");
    check_form(&answer, false);
    Head head = answer_head(answer.data, answer.length);
    check((size_t)head.body == size
              && memcmp(answer.data + head.size, contents, size) == 0,
          .expected = words("its %zu bytes", size),
          .got =
              words("%ld bytes: %s", head.body,
                    show(answer.data + head.size, answer.length - head.size)),
          .cause = "a page is as long as its file, and may have a NUL in it: "
                   "its length is a number, not strlen()",
          .key = "page", .read = "The pages of a folder");
    free(answer.data);
}

#define GET_PAGE(server, path, contents)                                       \
    check_page(server, path, contents, sizeof contents - 1)

Test(http, the_pages_of_a_folder)
{
    char *outside, *folder = full_folder(&outside);
    doing(
        "the server was started in a folder with a FIFO, a link, a folder and "
        "a hidden file beside the pages");
    Server server = server_start((Options){.folder = folder});
    GET_PAGE(&server, "/", "hello\n");
    GET_PAGE(&server, "/hello.html", "hello\n");
    GET_PAGE(&server, "/%68ello%2ehtml", "hello\n");
    GET_PAGE(&server, "/404.html", "gone\n");
    GET_PAGE(&server, "/empty.txt", "");
    GET_PAGE(&server, "/with%20nul.bin", "a\0b\n");
    GET_PAGE(&server, "/a%2520b.txt", "percent\n");
    GET_PAGE(&server, "/hello.html?query", "hello\n");
    GET_PAGE(&server, "http://a/hello.html", "hello\n");
    server_stop(&server);
    remove_all(folder, outside);
}

Test(http, nothing_outside_the_folder)
{
    char *outside, *folder = full_folder(&outside);
    Server server = server_start((Options){.folder = folder});
    const char *paths[] = {
        "//etc/passwd",
        "/../../../../../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/%2fetc%2fpasswd",
        "/./hello.html",
        "/sub/../hello.html",
        "/sub/page.html",
        "/sub",
        "/sub/",
        "/up/secret.txt",
        "/link.txt",
        "/.hidden",
        "/.",
        "/..",
        "/fifo",
        "/hello.html/",
        "/hello.html%00",
        "/hello.html%00.txt",
        "/HELLO.HTML",
        "/hello",
        "/%",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        Answer answer = get(&server, paths[i]);
        Head head = answer_head(answer.data, answer.length);
        bool secret = memmem(answer.data, answer.length, "secret", 6) != NULL
                      || memmem(answer.data, answer.length, "root:", 5) != NULL;
        check(!secret && (head.status == 404 || head.status == 400),
              .expected = "404: there is no such page",
              .got = secret ? words("the file: %s",
                                    show(answer.data + head.size,
                                         answer.length - head.size))
                            : words("%.40s", answer.data),
              .cause = "a path is no file name: the files of the folder are "
                       "read at the start, without links, folders and names "
                       "that begin with a dot, and a path is only compared",
              .key = "outside", .read = "A path is no file name");
        if (head.status == 404)
            check((size_t)head.body == 5
                      && memcmp(answer.data + head.size, "gone\n", 5) == 0,
                  .expected = "the page 404.html",
                  .got =
                      show(answer.data + head.size, answer.length - head.size),
                  .key = "page-404", .read = "The server speaks HTTP");
        free(answer.data);
    }
    server_stop(&server);
    remove_all(folder, outside);
}

Test(http, a_type_for_each_ending)
{
    static const char *const types[][2] = {
        {"a.html", "text/html"},
        {"a.css", "text/css"},
        {"a.js", "text/javascript"},
        {"a.txt", "text/plain"},
        {"a.svg", "image/svg+xml"},
        {"a.png", "image/png"},
        {"a.jpg", "image/jpeg"},
        {"a.gif", "image/gif"},
        {"a.json", "application/json"},
        {"A.HTML", "text/html"},
        {"a.b.css", "text/css"},
        {"a", "application/octet-stream"},
        {"a.xyz", "application/octet-stream"},
    };
    enum { COUNT = sizeof types / sizeof *types };
    char *folder = folder_new();
    for (int i = 0; i < COUNT; i++)
        file_write(folder, types[i][0], "x", 1);
    Server server = server_start((Options){.folder = folder});
    for (int i = 0; i < COUNT; i++) {
        Answer answer = get(&server, words("/%s", types[i][0]));
        const char *type = header(&answer, "Content-Type");
        check(type != NULL
                  && strncmp(type, types[i][1], strlen(types[i][1])) == 0
                  && strchr(";\r", type[strlen(types[i][1])]) != NULL,
              .expected = words("Content-Type: %s", types[i][1]),
              .got = words("%.40s", type != NULL ? type : "none"),
              .cause = "what counts is the end of the name, in small letters "
                       "or capitals; what nobody knows is octet-stream",
              .key = "type", .read = "The pages of a folder");
        free(answer.data);
    }
    server_stop(&server);
    remove_all(folder, folder);
}

Test(http, index_html_comes_before_hello_html)
{
    char *folder = folder_new();
    doing("the server was started in an empty folder");
    Server server = server_start((Options){.folder = folder});
    Answer answer = get(&server, "/");
    check_status(&answer, 404, "a folder without a page is a folder, too",
                 "The pages of a folder");
    check_form(&answer, false);
    free(answer.data);
    server_stop(&server);

    file_write(folder, "hello.html", "hello\n", 6);
    server = server_start((Options){.folder = folder});
    GET_PAGE(&server, "/", "hello\n");
    server_stop(&server);

    file_write(folder, "index.html", "index\n", 6);
    server = server_start((Options){.folder = folder});
    GET_PAGE(&server, "/", "index\n");
    GET_PAGE(&server, "/hello.html", "hello\n");
    server_stop(&server);
    remove_all(folder, folder);
}

Test(http, a_page_stays_while_the_server_runs)
{
    char *folder = folder_with_page(100);
    Server server = server_start((Options){.folder = folder});
    doing("hello.html was changed while the server ran");
    int descriptors = server_descriptors(&server);
    file_write(folder, "hello.html", "secret\n", 7);
    Answer answer = get(&server, "/");
    check(answer.complete
              && memmem(answer.data, answer.length, "secret", 6) == NULL,
          .expected = "the page as it was when the server started",
          .got = "another one",
          .cause = "a file is opened for a request: all are read at the start",
          .key = "file-opened", .read = "The pages of a folder");
    free(answer.data);
    server_wait_descriptors(&server, 0, descriptors);
    server_stop(&server);
    folder_remove(folder);
}

/* 2,000 names, so that the table grows, and each is found. */
Test(http, a_folder_of_many_pages)
{
    char *folder = folder_new();
    for (int i = 0; i < 2000; i++) {
        char *name = words("%d.txt", i * 7919 % 2000);
        file_write(folder, name, name, strlen(name));
    }
    Server server = server_start((Options){.folder = folder});
    for (int i = 0; i < 2000; i += 37) {
        char *name = words("%d.txt", i);
        check_page(&server, words("/%s", name), name, strlen(name));
    }
    Answer answer = get(&server, "/2000.txt");
    check_status(&answer, 404, "a path between two names is none of them",
                 "The pages of a folder");
    free(answer.data);
    server_stop(&server);
    remove_all(folder, folder);
}

/* Over a connection each, as clients come. */
Test(http, the_table_of_the_standard)
{
    Server server = server_start((Options){0});
    for (size_t i = 0; i < CASES; i++) {
        const HttpCase *c = &cases[i];
        if (strstr(c->text, "/sleep") != NULL)
            continue;
        bool known = c->path != NULL
                     && (strcmp(c->path, "/") == 0
                         || strcmp(c->path, "/hello.html") == 0);
        doing(words("a client sent %s", show(c->text, c->size)));
        Answer answer = say(&server, c->text, c->size);
        check_status(&answer, c->status == 200 && !known ? 404 : c->status,
                     answer.length == 0 && memchr(c->text, '\0', c->size)
                         ? "what searches a string stops at a NUL, and what a "
                           "client sends is no string: http_parse gets all of "
                           "it, with its length"
                         : words("the rule is %s%s",
                                 strstr(c->rule, "RFC") ? "" : "RFC ",
                                 c->rule[0] == '9' && c->rule[1] == '1'
                                     ? c->rule
                                     : words("9112, %s", c->rule)),
                     "The server speaks HTTP");
        check_form(&answer, c->head_only);
        free(answer.data);
    }
    server_stop(&server);
}

Test(http, head_is_get_without_the_page)
{
    Server server = server_start((Options){0});
    const char *paths[] = {"/", "/hello.html", "/404.html", "/nothing"};
    for (int i = 0; i < 4; i++) {
        char *request = words("HEAD %s HTTP/1.1\r\n" HOST END, paths[i]);
        doing(words("a client asked HEAD %s, another GET", paths[i]));
        Answer head = say(&server, request, strlen(request));
        Answer page = get(&server, paths[i]);
        Head of_head = answer_head(head.data, head.length);
        Head of_page = answer_head(page.data, page.length);
        check(of_head.status == of_page.status && of_head.body == of_page.body,
              .expected = words("the same head: status %d, Content-Length: %ld",
                                of_page.status, of_page.body),
              .got = words("%d, %ld", of_head.status, of_head.body),
              .key = "head-differs", .read = "The server speaks HTTP");
        check_form(&head, true);
        free(head.data);
        free(page.data);
    }
    server_stop(&server);
}

/* Two writes, with the gap at each place. */
Test(http, a_request_in_two_pieces)
{
    static const char request[] = "\r\nGET /?a HTTP/1.1\r\nHost: a\r\n\r\n";
    Server server = server_start((Options){0});
    for (size_t cut = 1; cut < sizeof request - 1; cut++) {
        int client = client_connect(&server);
        doing(words("a client sent %s, and a moment later the rest",
                    show(request, cut)));
        client_send(client, request, cut);
        moment();
        client_send(client, request + cut, sizeof request - 1 - cut);
        Answer answer = client_receive(client, patience());
        check_status(&answer, 200,
                     "one read is not one request: read on until the parser "
                     "has an opinion",
                     "The server speaks HTTP");
        free(answer.data);
    }
    server_stop(&server);
}

Test(http, sleep_sleeps_whatever_its_spelling, TAKES_TIME)
{
    Server server = server_start((Options){0});
    const char *lines[] = {"GET /sleep HTTP/1.0", "HEAD /sleep HTTP/1.1",
                           "GET /%73leep?x HTTP/1.1"};
    int clients[3];
    Answer answers[3];
    double start = now();
    for (int i = 0; i < 3; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], lines[i]);
    }
    clients_receive(3, clients, answers, SLEEP + patience());
    for (int i = 0; i < 3; i++) {
        doing(words("a client asked: %s", lines[i]));
        check_status(&answers[i], 200, NULL, "The server speaks HTTP");
        check(answers[i].begun - start > SLEEP - 0.2,
              .expected = "an answer after 5 seconds",
              .got = words("after %.1f s", answers[i].begun - start),
              .cause = "the path is compared when it is decoded, without its "
                       "query; method and version do not matter to it",
              .key = "sleep", .read = "The server speaks HTTP");
        free(answers[i].data);
    }
    server_stop(&server);
}

/* The refusals are as much HTTP as the pages. */
Test(http, what_is_refused_for_want_of_room)
{
    enum { CLIENTS = 14 }; /* 4 workers, 8 places */
    Server server = server_start((Options){0});
    int clients[CLIENTS];
    doing("fourteen clients asked for /sleep");
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(&server);
        client_ask(clients[i], "GET /sleep HTTP/1.1");
        if (i == 3)
            await_jobs(&server, 4);
    }
    for (int i = CLIENTS - 2; i < CLIENTS; i++) {
        Answer answer = client_receive(clients[i], patience());
        check_status(&answer, 503, "a full queue is told at once",
                     "A job with two things to carry");
        check_form(&answer, false);
        check(header(&answer, "Retry-After") != NULL,
              .expected = "a header Retry-After", .got = "none",
              .key = "retry-after", .read = "The answer");
        free(answer.data);
    }
    for (int i = 0; i < CLIENTS - 2; i++)
        client_reset(clients[i]);
    server_stop(&server);
}
