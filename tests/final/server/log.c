/* The log: it may never stop the server, and what is lost of it is counted. */

#include "help.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Asks for something that is not there, with a path of 7 KB. */
static Client ask_long(const Server *server)
{
    Client one = client(server);
    char *request = words("GET /%07000d HTTP/1.1\r\n" H "\r\n", 0);
    say(&one, request);
    free(request);
    return one;
}

/* Has more logged than the pipe takes that nobody reads. */
static void fill_pipe(const Server *server)
{
    for (int i = 0; i < 500; i++) { /* of each 200 bytes are logged */
        Client one = ask_long(server);
        cr_assert(eq(int, reply_to(&one, false, SLACK).status, 404));
        leave(&one);
    }
}

/* Nobody reads what it writes: ./server | less, or a log collector that is
 * stopped. A pipe holds 64 KB, and so does each of the log's two buffers: that
 * is not for long. */
Test(server, an_unread_log_stops_nobody)
{
    enum { CLIENTS = 1500 };
    Server server = start_with("", (Options){.unread = true});
    double begun = now();
    for (int i = 0; i < CLIENTS; i++) {
        Client one = ask_long(&server);
        Reply answer = reply_to(&one, false, SLACK);
        cr_assert(eq(int, answer.status, 404), "client %d", i);
        free(answer.body);
        leave(&one);
    }
    cr_expect(lt(dbl, now() - begun, 2 * SLACK));
    check_pages(&server);
    begun = now();
    kill(server.pid, SIGTERM);
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
    cr_expect(lt(dbl, now() - begun, 10 + SLACK));
}

/* Nor does it when it is stopped in the middle of that. */
Test(server, an_unread_log_does_not_stop_a_shutdown)
{
    enum { CLIENTS = 64 };
    Server server = start_with("", (Options){.unread = true});
    Client clients[CLIENTS];
    fill_pipe(&server);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = ask_long(&server);
    double begun = now();
    kill(server.pid, SIGTERM);
    for (int i = 0; i < CLIENTS; i++) {
        cr_assert(eq(int, reply_to(&clients[i], false, SLACK).status, 404),
                  "client %d", i);
        leave(&clients[i]);
    }
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
    cr_expect(lt(dbl, now() - begun, 10 + SLACK));
}

/* Both at once: no descriptor is left, which may be worth a message, and nobody
 * reads the messages. */
Test(server, an_unread_log_in_a_crowd)
{
    enum { CROWD = 100 };
    Server server =
        start_with("", (Options){.unread = true, .descriptors = FEW});
    fill_pipe(&server);
    Client crowd[CROWD];
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = client(&server);
        say(&crowd[i], "GET / HT");
    }
    Client one = client(&server);
    say(&one, GET);
    cr_expect(
        eq(int, reply_to(&one, false, 2 * timeouts[HEAD] + SLACK).status, 200));
    leave(&one);
    double begun = now();
    kill(server.pid, SIGTERM);
    int status = ended(&server);
    cr_expect(eq(int, status, 0));
    cr_expect(lt(dbl, now() - begun, 10 + SLACK));
    for (int i = 0; i < CROWD; i++)
        leave(&crowd[i]);
}

/* Its last second is one of the ten: nobody reads it, and who takes an answer
 * just fast enough is cut off only shortly before. On a busy machine an end may
 * be seen late: one of three in time will do. */
Test(server, an_unread_log_gets_no_eleventh_second)
{
    char *folder = large_site();
    double took = 11;
    for (int i = 0; i < 3 && took > 10.4; i++) {
        Server server =
            start_with("--root .", (Options){.folder = folder, .unread = true});
        fill_pipe(&server);
        took = ended_beside_slow(&server);
    }
    cr_expect(lt(dbl, took, 10.4));
    drop_site(folder);
}

/* And a second signal is obeyed at once. */
Test(server, an_unread_log_and_two_signals)
{
    Server server = start_with("", (Options){.unread = true});
    fill_pipe(&server);
    Client slow = client(&server);
    say(&slow, SLEEP);
    all_is_read(&server);
    double begun = now();
    kill(server.pid, SIGTERM);
    pass(0.3);
    cr_assert(server_alive(&server), "it does not wait for /sleep");
    kill(server.pid, SIGTERM);
    int status = ended(&server);
    cr_expect(ne(int, status, 0));
    cr_expect(lt(dbl, now() - begun, 3));
    leave(&slow);
}

/* Who read the log has left: ./server | head -1. */
Test(server, a_log_without_a_reader)
{
    Server server = start_with("", (Options){.unread = true});
    close(server.pipe);
    for (int i = 0; i < 300; i++)
        cr_assert(eq(int, ask(&server, GET), 200), "client %d", i);
    finish(&server);
}

/* The system has a signal for a file that may not grow: it ends programs. */
Test(server, a_log_that_may_not_grow)
{
    struct rlimit usual, small;
    getrlimit(RLIMIT_FSIZE, &usual);
    small = (struct rlimit){4096, usual.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    Server server = start_with("", (Options){0});
    setrlimit(RLIMIT_FSIZE, &usual);
    for (int i = 0; i < 200; i++)
        cr_assert(eq(int, ask(&server, GET), 200), "client %d", i);
    finish(&server);
}

/* Once somebody reads again, it goes on, and says how much was lost: each
 * request is either in the log, or counted as lost. */
Test(server, what_the_log_lost_is_counted)
{
    enum { CLIENTS = 3000 };
    Server server = start_with("", (Options){.unread = true});
    Client one = client(&server);
    for (int i = 0; i < CLIENTS; i++) {
        say(&one, GET);
        Reply answer = reply_to(&one, false, SLACK);
        cr_assert(eq(int, answer.status, 200), "request %d", i);
        free(answer.body);
    }
    leave(&one);
    long lost = 0, told = 0;
    for (Wait wait = {0};
         lost + told < CLIENTS && still_waiting(&wait, patience()); moment()) {
        cr_assert(eq(int, ask(&server, "GET /x HTTP/1.1\r\n" H "\r\n"), 404));
        server_read_pipe(&server);
        char *output = server_output(&server);
        told = occurrences(output, "\"GET / ");
        lost = 0;
        for (char *line = strtok(output, "\n"); line != NULL;
             line = strtok(NULL, "\n"))
            if (strstr(line, "lost") != NULL || strstr(line, "dropped") != NULL)
                lost += strtol(line + strcspn(line, "0123456789"), NULL, 10);
        free(output);
    }
    cr_expect(lost > 0, "%ld lines are there", told);
    cr_expect(lost + told >= CLIENTS, "%ld lines and %ld lost", told, lost);
    finish(&server);
}

/* Returns the log's line, by its number, without what stands before it. */
static char *line_of(const char *output, int number)
{
    const char *line = strchr(output, '\n') + 1;
    for (; number > 0; number--)
        line = strchr(line, '\n') + 1;
    return strndup(line, strcspn(line, "\n"));
}

/* Time, client, request, status, bytes. */
Test(server, one_line_of_log_for_each_request)
{
    static const struct {
        const char *request, *line;
        int status;
    } cases[] = {
        {"GET /large.txt HTTP/1.1\r\n" H "\r\n",
         " 127.0.0.1 \"GET /large.txt HTTP/1.1\" 200 1000", 200},
        {"GET /x HTTP/1.1\r\n" H "\r\n", " 127.0.0.1 \"GET /x HTTP/1.1\" 404 ",
         404},
        {"HEAD / HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
         " 127.0.0.1 \"HEAD / HTTP/1.1\" 200 0", 200},
        {"GET /\x1b[31m HTTP/1.1\r\n" H "\r\n",
         " 127.0.0.1 \"GET /?[31m HTTP/1.1\" 400 ", 400},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    char *folder = site_of(1000);
    Server server = start_with("--root .", (Options){.folder = folder});
    for (int i = 0; i < CASES; i++) {
        Client one = client(&server);
        say(&one, cases[i].request);
        Reply answer = reply_to(&one, i == 2, patience());
        cr_expect(eq(int, answer.status, cases[i].status));
        free(answer.body);
        leave(&one);
        server_wait_output(&server, "\n", i + 2);
    }
    char *output = server_output(&server);
    cr_expect(strchr(output, '\x1b') == NULL); /* nothing a terminal obeys */
    cr_expect(eq(int, occurrences(output, "\n"), CASES + 1), "%s", output);
    for (int i = 0; i < CASES; i++) {
        char *line = line_of(output, i);
        size_t time = strlen("Sun, 06 Nov 1994 08:49:37 GMT");
        cr_assert(strlen(line) > time, "%s", line);
        cr_expect(strncmp(line + time - 4, " GMT", 4) == 0, "%s", line);
        cr_expect(strncmp(line + time, cases[i].line, strlen(cases[i].line))
                      == 0,
                  "%s", line);
    }
    finish(&server);
    server = start();
    ask(&server, GET);
    finish(&server);
    output = server_output(&server);
    cr_expect(eq(int, occurrences(output, "\n"), 2), "%s", output);
    drop_site(folder);
}

/* A long path is cut, so that a line of the log is never long. */
Test(server, a_line_of_log_is_short)
{
    Server server = start_with("", (Options){0});
    Client one = ask_long(&server);
    cr_expect(eq(int, reply(&one).status, 404));
    server_wait_output(&server, "\n", 2);
    char *line = line_of(server_output(&server), 0);
    cr_expect(lt(sz, strlen(line), 400));
    cr_expect(strstr(line, "0000") != NULL);
    cr_expect(strstr(line, "404") != NULL, "%s", line);
    leave(&one);
    finish(&server);
}

/* Nobody shares a line with another, whichever loop served him. */
Test(server, lines_of_log_are_whole)
{
    enum { CLIENTS = 16, ROUNDS = 20 }; /* 50 KB: none may be lost */
    Server server = start_with("", (Options){0});
    Client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client(&server);
        for (int round = 0; round < ROUNDS; round++) {
            char *request =
                words("GET /%c%0100d HTTP/1.1\r\n" H "\r\n", 'a' + i, round);
            say(&clients[i], request);
            free(request);
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        for (int round = 0; round < ROUNDS; round++) {
            Reply answer = reply(&clients[i]);
            cr_assert(eq(int, answer.status, 404));
            free(answer.body);
        }
        leave(&clients[i]);
    }
    server_wait_output(&server, "\n", 1 + CLIENTS * ROUNDS);
    char *output = server_output(&server);
    for (int i = 0; i < CLIENTS; i++)
        for (int round = 0; round < ROUNDS; round++) {
            char *wanted = words("127.0.0.1 \"GET /%c%0100d HTTP/1.1\" 404 ",
                                 'a' + i, round);
            cr_assert(eq(int, occurrences(output, wanted), 1), "%s", wanted);
            free(wanted);
        }
    finish(&server);
}
