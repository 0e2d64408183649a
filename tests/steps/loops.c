/* What takes time is lent to workers, and several loops share the rest. */

#include "shared.h"

#include "answer.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(loops, SUITE);

enum { WORKERS = 4, ROOM = 8, MANY = 200 };

#define HOST "Host: 127.0.0.1\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define GET_LAST(path)                                                         \
    "GET " path " HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"
#define OK "HTTP/1.1 200 OK"

#define IN_THE_LOOP                                                            \
    .cause =                                                                   \
        "the loop itself sleeps, or waits for a worker; or what is quick "     \
        "waits for a worker, too: only what takes time is handed over, "       \
        "and the loop tries that, without waiting",                            \
    .key = "in-the-loop", .read = "Everybody waits, once more"
#define TOUCHED                                                                \
    .cause = "who has lent a connection must forget it: while a worker has "   \
             "it, the loop neither watches, reads nor closes it",              \
    .key = "touched", .read = "Lent is not ours"

static void send_text(int client, const char *text)
{
    client_send(client, text, strlen(text));
}

/* Connects, and sends a text. */
static int ask(const Server *server, const char *text)
{
    int client = client_connect(server);
    send_text(client, text);
    return client;
}

/* Whether something has come for a client, or does within some ms. */
static bool has_come(int client, int ms)
{
    struct pollfd list = {.fd = client, .events = POLLIN};
    return poll(&list, 1, ms) > 0;
}

/* Receives one answer of a connection that stays open: its status; 0 if it does
 * not come in time, -1 if the connection is closed before. *last: it says that
 * it is the last. */
static int receive_one(int client, double seconds, bool *last)
{
    static char data[65536];
    size_t length = 0;
    for (Wait wait = {0}; still_waiting(&wait, seconds + patience());) {
        Head head = answer_head(data, length);
        if (head.size > 0 && length == head.size + (size_t)head.body) {
            data[head.size] = '\0';
            *last = strstr(data, "\r\nConnection: close\r\n") != NULL;
            return head.status;
        }
        if (!has_come(client, 50))
            continue;
        /* Not a byte of the next: as long as the head is not whole, one. */
        size_t more =
            head.size == 0 ? 1 : head.size + (size_t)head.body - length;
        if (length + more >= sizeof data
            || recv(client, data + length, more, 0) <= 0)
            return -1;
        length = length + more;
        data[length] = '\0';
    }
    return 0;
}

/* Closes who has got something, and returns how many are left. */
static int drop_answered(int count, int clients[])
{
    for (int i = 0; i < count; i++) {
        if (!has_come(clients[i], 0))
            continue;
        close(clients[i]);
        clients[i--] = clients[--count];
    }
    return count;
}

/* Has clients ask for /sleep until so many of them are let in, and none of them
 * is refused; who is, asks again. Returns how many it has come to. */
static int fill(const Server *server, int count, int clients[])
{
    int held = 0;
    for (Wait wait = {0}; held < count && still_waiting(&wait, patience());) {
        clients[held] = ask(server, GET_LAST("/sleep"));
        has_come(clients[held], 30);
        held = drop_answered(held + 1, clients);
        if (held == count) { /* on a busy machine a refusal takes longer */
            has_come(clients[held - 1], 200);
            held = drop_answered(held, clients);
        }
    }
    return held;
}

/* Checks that / is answered at once, by each of the loops: they take turns. */
static void check_others(const Server *server, const char *did)
{
    for (int i = 0; i < 2 * step("loops"); i++) {
        double asked = now();
        Answer answer = client_get_within(server, "GET / HTTP/1.1", SLEEP);
        doing(did);
        check(answer.complete && answer.at - asked < SLEEP - 1,
              .expected = "/ is answered at once",
              .got = answer.complete
                         ? words("it took %.1f s", answer.at - asked)
                         : "it is not answered",
              IN_THE_LOOP);
        check_answer(&answer, "GET / HTTP/1.1", OK, "hello.html");
        free(answer.data);
    }
}

/* Checks what those have got who asked for /sleep. */
static void check_slept(int count, Answer answers[])
{
    for (int i = 0; i < count; i++) {
        check(!is_refusal(&answers[i]), .expected = "each is answered: 200",
              .got = "one was refused: 503",
              .cause = "four are at work and eight may wait; what was let in "
                       "is answered",
              .key = "too-few", .read = "Lent is not ours");
        check_answer(&answers[i], "GET /sleep HTTP/1.1", OK, "hello.html");
        free(answers[i].data);
    }
}

Test(loops, four_sleeps_delay_nobody, TAKES_TIME)
{
    int clients[WORKERS];
    Answer answers[WORKERS];
    const char *did = "four clients asked for /sleep, then others for /";
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    double begun = now();
    for (int i = 0; i < WORKERS; i++)
        clients[i] = ask(&server, GET_LAST("/sleep"));
    await_connections(&server, descriptors, WORKERS);
    check_others(&server, did);
    clients_receive(WORKERS, clients, answers, 4 * SLEEP + patience());
    doing(did);
    for (int i = 0; i < WORKERS; i++) {
        double took = answers[i].at - begun;
        check(answers[i].length > 0 || answers[i].timed_out,
              .expected = "they are answered, after five seconds",
              .got =
                  words("one was closed without an answer, after %.1f s", took),
              .cause =
                  "the time that a worker takes is not the client's: look "
                  "at the deadline when the answer has been sent, which "
                  "sets it anew; or the connection was closed while it "
                  "was lent, or changed by a worker that had given it back",
              .key = "expired", .read = "Lent is not ours");
        check(answers[i].length == 0 || took > SLEEP - 0.5,
              .expected = "/sleep takes five seconds",
              .got = words("one took %.1f s", took), TOUCHED);
        check(answers[i].length == 0 || took < 2 * (answers[0].at - begun) - 1,
              .expected = "the four sleep side by side, in four workers",
              .got = words("the last was answered %.1f s after the first",
                           answers[i].at - answers[0].at),
              .cause = "there are fewer than four workers, or their lock is "
                       "held meanwhile",
              .key = "side-by-side", .read = "Lent is not ours");
    }
    check_slept(WORKERS, answers);
    server_wait_descriptors(&server, 0, descriptors);
    check_idle(&server);
    server_stop(&server);
}

/* Four at work, eight wait; then there is no room, for /sleep alone. */
Test(loops, a_full_pool_says_503_and_delays_nobody, TAKES_TIME)
{
    int clients[WORKERS + ROOM];
    Answer answers[WORKERS + ROOM];
    const char *did = "twelve clients asked for /sleep: four were at work, "
                      "eight waited; then one more asked";
    Server server;
    int descriptors, late, status;
    bool last, over = true;
    for (int tries = 0; over && tries < 3; tries++) {
        server = server_start((Options){.hurry = true});
        descriptors = server_descriptors(&server);
        int held = fill(&server, WORKERS + ROOM, clients);
        doing("twelve clients asked for /sleep");
        check(held == WORKERS + ROOM,
              .expected = "four are at work, and eight wait",
              .got = words("not more than %d are let in", held),
              .cause =
                  "the bound: eight jobs may wait that no worker has taken",
              .key = "too-few", .read = "Lent is not ours");
        doing(did);
        last = over = false;
        late = ask(&server, GET("/sleep"));
        status = receive_one(late, 0, &last);
        /* On a busy machine five seconds may be over: then once more. */
        for (int i = 0; i < held; i++)
            over |= status != 503 && has_come(clients[i], 0);
        if (over && tries < 2) {
            for (int i = 0; i < held; i++)
                close(clients[i]);
            close(late);
            server_stop(&server);
        }
    }
    status = over ? 0 : status; /* each time: it waits until they are over */
    check(status == 503, .expected = "at once the status 503",
          .got = status > 0   ? words("the status %d", status)
                 : status < 0 ? "the connection was closed without a word"
                              : "nothing: the server says nothing",
          .cause = status < 0 ? "a connection that could not be lent is still "
                                "the loop's: it answers, with 503"
                   : status == 0
                       ? "the loop waits for room (thread_pool_execute: it may "
                         "only try), or nobody looks whether there was room"
                       : "the queue of the workers has room for more than "
                         "eight, or none is asked",
          .key = "no-503", .read = "Lent is not ours");
    check(last, .expected = "with Connection: close, and the connection ends",
          .got = "it says that the connection stays", .key = "503-stays",
          .read = "Lent is not ours");
    close(late);
    check_others(&server, "twelve clients asked for /sleep, then others for /");
    double cpu = server_cpu(&server);
    has_come(clients[0], 1000 * (SLEEP + (int)patience())); /* the first four */
    server_hurry();
    clients_receive(WORKERS + ROOM, clients, answers, 3 * SLEEP + patience());
    doing("twelve clients asked for /sleep, and waited");
    check(server_cpu(&server) - cpu < 2,
          .expected = "meanwhile the server has nothing to do",
          .got = words("it used %.1f s of a CPU", server_cpu(&server) - cpu),
          .cause = "poll() returns again and again for a connection that is "
                   "lent: it must not stand in its list",
          .key = "busy", .read = "Lent is not ours");
    check_slept(WORKERS + ROOM, answers);
    server_wait_descriptors(&server, 0, descriptors);
    server_stop(&server);
}

/* What clients do meanwhile must not reach who has the connection. */
Test(loops, nothing_is_touched_while_lent, TAKES_TIME)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    const char *did = "four clients asked for /sleep, and did not wait: one "
                      "asked for more, one said that it had ended, one left, "
                      "one left with a reset";
    doing(did);
    double asked = now();
    int more = ask(&server, GET("/sleep"));
    int half = ask(&server, GET("/sleep"));
    int gone = ask(&server, GET("/sleep"));
    int reset = ask(&server, GET("/sleep"));
    await_connections(&server, descriptors, 4);
    check_others(&server, did);
    send_text(more, GET("/nothing") GET_LAST("/"));
    shutdown(half, SHUT_WR);
    close(gone);
    client_reset(reset);
    double cpu = server_cpu(&server);
    check_others(&server, did);

    bool last = false;
    int status = receive_one(more, SLEEP, &last);
    check_alive(&server);
    doing(did);
    check(status == 200, .expected = "who asked for more gets /sleep's answer",
          .got = words("the status %d", status), TOUCHED);
    check(now() - asked > SLEEP - 0.5,
          .expected = "its answer comes after five seconds",
          .got = words("it came after %.1f s", now() - asked), TOUCHED);
    check(receive_one(more, 0, &last) == 404 && !last
              && receive_one(more, 0, &last) == 200 && last,
          .expected = "then the answers to what it asked meanwhile",
          .got = "they do not come",
          .cause = "what came meanwhile waits in the socket, or in the input: "
                   "the connection goes on where it was when it comes back",
          .key = "behind", .read = "Lent is not ours");
    close(more);
    status = receive_one(half, SLEEP, &last);
    doing(did);
    check(status == 200,
          .expected = "who said that it had ended gets its answer",
          .got = words("the status %d", status), TOUCHED);
    close(half);
    server_wait_descriptors(&server, SLEEP, descriptors);
    check_alive(&server);
    doing(did);
    check(server_cpu(&server) - cpu < 2,
          .expected = "meanwhile the server has nothing to do",
          .got = words("it used %.1f s of a CPU", server_cpu(&server) - cpu),
          .cause = "poll() returns again and again for a connection that is "
                   "lent: it must not stand in its list",
          .key = "busy", .read = "Lent is not ours");
    check_others(&server, did);
    server_stop(&server);
}

Test(loops, what_follows_a_sleep_comes_after_it, TAKES_TIME)
{
    Server server = server_start((Options){0});
    doing("a client sent four requests at once: /, /sleep, /nothing, /");
    double asked = now();
    int client =
        ask(&server, GET("/") GET("/sleep") GET("/nothing") GET_LAST("/"));
    static const int expected[] = {200, 200, 404, 200};
    for (int i = 0; i < 4; i++) {
        bool last = false;
        int status = receive_one(client, i == 1 ? SLEEP : 0, &last);
        double took = now() - asked;
        check_alive(&server);
        check(status == expected[i],
              .expected =
                  words("answer %d has the status %d", i + 1, expected[i]),
              .got = status ? words("the status %d", status) : "it is missing",
              .cause = "a connection has one request at a time: the next one "
                       "is looked at when the answer has been sent",
              .key = "order", .read = "Lent is not ours");
        check(i == 0 ? took < SLEEP - 2 : took > SLEEP - 0.5,
              .expected = i == 0 ? "the first is answered at once"
                                 : "the others come after the sleep",
              .got = words("answer %d came after %.1f s", i + 1, took),
              .cause = "a connection has one request at a time: the next one "
                       "is looked at when the answer has been sent",
              .key = "order", .read = "Lent is not ours");
        check(last == (i == 3),
              .expected = "the fourth alone says Connection: close",
              .got = words("answer %d says %s", i + 1,
                           last ? "so" : "that the connection stays"),
              .key = "last", .read = "Lent is not ours");
    }
    close(client);
    server_stop(&server);
}

/* Six are lent, of each loop some; one has connected and not yet asked. */
Test(loops, ctrl_c_while_lent_finishes_the_answers)
{
    enum { LENT = 6 };
    int clients[LENT + 1];
    Answer answers[LENT + 1];
    Server server = server_start((Options){.hurry = true});
    int descriptors = server_descriptors(&server);
    const char *did = "six clients asked for /sleep, and Ctrl-C came";
    doing(did);
    for (int i = 0; i < LENT; i++)
        clients[i] = ask(&server, GET("/sleep"));
    clients[LENT] = client_connect(&server);
    await_connections(&server, descriptors, LENT + 1);
    check_others(&server, did);
    kill(server.pid, SIGINT);
    bool said = says_goodbye(&server, LENT, clients);
    check(said, .expected = "at once the line `Shutting down.`",
          .got = "it does not come", .key = "not-told",
          .read = "A byte in a pipe");
    send_text(clients[LENT], GET("/sleep"));
    server_hurry();
    clients_receive(LENT + 1, clients, answers, 2 * SLEEP + patience());
    for (int i = 0; i < LENT; i++) {
        check(answers[i].complete,
              .expected = "what is lent comes back, and is answered",
              .got = answers[i].length > 0
                         ? "one got a part of its answer, or two"
                         : "one got no answer",
              .cause = "a loop ends when it has no connection left, those "
                       "that are lent among them: it must count them, and "
                       "get back what it has lent",
              .key = "lent-forgotten", .read = "Lent, and still watched");
        check(strstr(answers[i].data, "\r\nConnection: close\r\n") != NULL,
              .expected = "with Connection: close: the server ends",
              .got = "it says that the connection stays",
              .cause = "whether it is the last answer is to be decided when "
                       "it is sent, not when the request is lent; and each "
                       "loop must be told to stop",
              .key = "last-too-early", .read = "Lent, and still watched");
        check_answer(&answers[i], "GET /sleep HTTP/1.1", OK, "hello.html");
        free(answers[i].data);
    }
    doing("a client connected, Ctrl-C came, and then it asked for /sleep");
    check(answers[LENT].complete && !is_refusal(&answers[LENT]),
          .expected = "it is answered, with 200: it was let in, and there is "
                      "room",
          .got = is_refusal(&answers[LENT]) ? "503" : "it is not answered",
          .cause = "the workers end before the loops have: first the loops, "
                   "which lend to them",
          .key = "workers-first", .read = "Several loops");
    free(answers[LENT].data);
    check_ends_well(&server, 0,
                    "a loop waits for a connection that another one has, or "
                    "has had: what is lent comes back to who has lent it, "
                    "and is counted as lent no longer",
                    "Several loops");
}

/* What each of the program's threads has used of a CPU, in ticks. */
static int thread_ticks(const Server *server, long ticks[], int most)
{
    char *folder = words("/proc/%d/task", (int)server->pid);
    DIR *list = opendir(folder);
    int count = 0;
    for (struct dirent *entry;
         list != NULL && count < most && (entry = readdir(list)) != NULL;) {
        char line[1024] = "";
        long user, system;
        FILE *file = fopen(words("%s/%s/stat", folder, entry->d_name), "r");
        if (entry->d_name[0] != '.' && file != NULL
            && fgets(line, sizeof line, file) != NULL
            && sscanf(strrchr(line, ')') + 1,
                      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld",
                      &user, &system)
                   == 2)
            ticks[count++] = user + system;
        if (file != NULL)
            fclose(file);
    }
    closedir(list);
    return count;
}

static int more_first(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return (x < y) - (x > y);
}

/* Asks on 16 connections, again and again, until the server has worked for a
 * second; returns by thread how much, those with most first. */
static int measure(const Server *server, long ticks[], int most)
{
    enum { CLIENTS = 16, BATCH = 20 };
    int clients[CLIENTS];
    double begun = server_cpu(server);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = client_connect(server);
    for (Wait wait = {0}; server_cpu(server) - begun < 1
                          && still_waiting(&wait, 4 * patience());) {
        for (int i = 0; i < CLIENTS; i++)
            for (int j = 0; j < BATCH; j++)
                send_text(clients[i], GET("/nothing"));
        for (int i = 0; i < CLIENTS; i++) {
            static char data[65536];
            size_t got = 0, all = 0;
            do {
                if (!has_come(clients[i], 5000))
                    break;
                ssize_t n = recv(clients[i], data + got, sizeof data - got, 0);
                if (n <= 0)
                    break;
                got += (size_t)n;
                Head head = answer_head(data, got < 1000 ? got : 1000);
                all = head.size + (size_t)head.body;
            } while (all == 0 || got < BATCH * all);
        }
    }
    int count = thread_ticks(server, ticks, most);
    qsort(ticks, (size_t)count, sizeof *ticks, more_first);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    return count;
}

Test(loops, the_work_is_spread_evenly, TAKES_TIME)
{
    long ticks[64] = {0};
    Server server = server_start((Options){0});
    int count = measure(&server, ticks, 64);
    doing("16 clients asked again and again, each on its connection");
    long all = ticks[0] + ticks[1], sum = 0;
    for (int i = 0; i < count; i++)
        sum += ticks[i];
    check(100 * ticks[0] <= 60 * all,
          .expected = "both loops work: the busiest does at most 60 % of it",
          .got = words("it did %ld %%", 100 * ticks[0] / (all + (all == 0))),
          .cause = "the connections are to be handed to the loops by turns",
          .key = "uneven", .read = "Several loops");
    check(10 * all >= 8 * sum, .expected = "the loops alone serve clients",
          .got = words("other threads did %ld %% of the work",
                       100 * (sum - all) / (sum + (sum == 0))),
          .cause = "each request is handed to a worker: only what takes time "
                   "is worth that",
          .key = "others", .read = "Lent, and still watched");
    server_stop(&server);
}

Test(loops, as_many_as_asked_for)
{
    static const char *const counts[] = {"1", "3"};
    for (int i = 0; i < 2; i++) {
        int loops = atoi(counts[i]), threads = 1 + loops + WORKERS;
        Server server =
            server_start((Options){.loops = counts[i], .hurry = true});
        doing(words("`./server --loops %d`", loops));
        for (Wait wait = {0}; server_threads(&server) != threads
                              && still_waiting(&wait, patience());)
            moment();
        check(server_threads(&server) == threads,
              .expected = words("%d threads: main, %d loop%s, four workers",
                                threads, loops, loops == 1 ? "" : "s"),
              .got = words("%d threads", server_threads(&server)),
              .cause = "a thread for each loop, by a pool of as many",
              .key = "threads", .read = "Several loops");
        check_others(&server, words("`./server --loops %d`, and clients asked "
                                    "for /",
                                    loops));
        int sleeper = ask(&server, GET_LAST("/sleep"));
        check_others(&server, words("`./server --loops %d`: a client asked for "
                                    "/sleep, others for /",
                                    loops));
        kill(server.pid, SIGTERM);
        server_hurry();
        Answer answer = client_receive(sleeper, SLEEP + patience());
        check_slept(1, &answer);
        check_ends_well(&server, 0, "each of the loops must be told to stop",
                        "Several loops");
    }
}

Test(loops, a_number_that_is_none_is_refused)
{
    static const char *const counts[] = {"0", "-1", "two", "2x", "", "100000"};
    for (int i = 0; i < 6; i++) {
        Server server =
            server_start((Options){.loops = counts[i], .may_end = true});
        doing(words("`./server --loops '%s'`", counts[i]));
        check(server.port == 0, .expected = "it ends, and says why",
              .got = "it listens", .key = "loops-number",
              .read = "Several loops");
        int status = server_wait(&server);
        char *errors = server_errors(&server);
        check(WIFEXITED(status) && WEXITSTATUS(status) == 1
                  && occurrences(errors, "\n") == 1,
              .expected = "one line on stderr, and status 1",
              .got = WIFEXITED(status) ? words("status %d", WEXITSTATUS(status))
                                       : words("signal %d", WTERMSIG(status)),
              .detail = errors, .key = "loops-number", .read = "Several loops");
        free(errors);
    }
}

/* More than there are workers, or ever were. */
Test(loops, two_hundred_silent_clients_delay_nobody, TAKES_TIME)
{
    static int silent[MANY];
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    for (int i = 0; i < MANY; i++)
        silent[i] = client_connect(&server);
    await_connections(&server, descriptors, MANY);
    const char *did = "200 clients connected and said nothing; others asked";
    check_others(&server, did);
    int sleeper = ask(&server, GET_LAST("/sleep"));
    check_others(&server, did);
    Answer answer = client_receive(sleeper, SLEEP + patience());
    check_slept(1, &answer);
    server_wait_descriptors(&server, SILENCE, descriptors);
    for (int i = 0; i < MANY; i++)
        close(silent[i]);
    check_idle(&server);
    server_stop(&server);
}
