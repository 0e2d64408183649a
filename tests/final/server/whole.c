/* No answer that was begun is cut by us: whoever crowds, idles, stops, or says
 * something in the meantime. The clients read slowly, and have so little room
 * that nearly all of the page is still with the server. */

#include "help.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>

enum { SIZE = 640000, SPEED = 80000 }; /* 8 s, and no time-out of the server */

static const char *const large = "GET /large.txt HTTP/1.1\r\n" H "\r\n";

/* Its next request comes when the answer has long been written, as far as
 * write() can tell, and the time to be idle is over. */
Test(server, idle_begins_when_the_answer_has_arrived)
{
    enum { LONGER = SIZE / 4 * 5 };
    char *folder = site_of(LONGER);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client one = narrow_client(&server);
    say(&one, large);
    sip(&one, SPEED, timeouts[IDLE] + 1, LONGER);
    cr_assert(lt(sz, one.size, LONGER - SIZE / 10));
    say(&one, GET);
    sip(&one, SPEED, patience(), LONGER);
    check_large(&one, LONGER);
    cr_expect(eq(int, reply(&one).status, 200));
    leave(&one);
    finish(&server);
    drop_site(folder);
}

/* Of four clients two say something more after the signal. */
Test(server, shutdown_lets_slow_readers_finish)
{
    char *folder = site_of(SIZE);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client clients[4];
    for (int i = 0; i < 4; i++) {
        clients[i] = narrow_client(&server);
        say(&clients[i], large);
    }
    for (int round = 0; round < 85; round++)
        for (int i = 0; i < 4; i++) {
            if (round == 10 && i == 0)
                kill(server.pid, SIGTERM);
            if (round == 15 && i % 2)
                say(&clients[i], i == 1 ? GET : "\r\n");
            sip(&clients[i], SPEED * 4, 0.025, SIZE + 1);
        }
    for (int i = 0; i < 4; i++) {
        check_large(&clients[i], SIZE);
        leave(&clients[i]);
    }
    int status = ended(&server);
    cr_expect(eq(int, status, 0), "%s", server_errors(&server));
    drop_site(folder);
}

/* An attacker opens one connection after the other, and takes all the room
 * there is; some of the honest ask for more already. */
Test(server, a_crowd_cuts_no_answer)
{
    enum { HONEST = 4, CROWD = 300 };
    char *folder = site_of(SIZE);
    Server server = start_crowded("--root .", folder);
    Client honest[HONEST], crowd[CROWD];
    for (int i = 0; i < HONEST; i++) {
        honest[i] = narrow_client(&server);
        say(&honest[i], large);
    }
    int count = 0;
    for (int round = 0; round < 90; round++)
        for (int i = 0; i < HONEST; i++) {
            if (round == 30 && i % 2)
                say(&honest[i], GET);
            sip(&honest[i], SPEED * HONEST, 0.1 / HONEST, SIZE + 1);
            if (count < CROWD) {
                crowd[count] = client(&server);
                say(&crowd[count], count % 2 ? "GET / HT" : GET);
                count++;
            }
        }
    for (int i = 0; i < HONEST; i++) {
        check_large(&honest[i], SIZE);
        leave(&honest[i]);
    }
    for (int i = 0; i < count; i++)
        leave(&crowd[i]);
    finish(&server);
    drop_site(folder);
}

/* What a client says after its last request: a stray line, or a body that we
 * do not read. It comes late, while the answer is on its way. */
Test(server, late_words_cut_no_answer)
{
    static const struct {
        const char *request, *later;
    } cases[] = {
        {"GET /large.txt HTTP/1.0\r\n\r\n", "\r\n"},
        {"GET /large.txt HTTP/1.1\r\n" H "Connection: close\r\n\r\n", "\r\n"},
        {"GET /large.txt HTTP/1.1\r\n" H "Content-Length: 50\r\n\r\n", "x"},
        {"GET /large.txt HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n",
         "1\r\nx\r\n"},
        {"GET /large.txt HTTP/1.1\r\n" H "\r\nnonsense\r\n", "more of it"},
        {"GET /large.txt HTTP/1.1\r\n" H "\r\nPOST / HTTP/1.1\r\n" H
         "Content-Length: 9999999\r\n\r\n",
         "body"},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    char *folder = site_of(SIZE);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client clients[CASES];
    for (int i = 0; i < CASES; i++) {
        clients[i] = narrow_client(&server);
        say(&clients[i], cases[i].request);
    }
    for (int round = 0; round < 90; round++)
        for (int i = 0; i < CASES; i++) {
            sip(&clients[i], SPEED * CASES, 0.1 / CASES, SIZE + 1);
            if (round % 10 == 5 && round < 60)
                say(&clients[i], cases[i].later);
        }
    for (int i = 0; i < CASES; i++) {
        doing(cases[i].request);
        check_large(&clients[i], SIZE);
        if (i >= 4)
            cr_expect(eq(int, reply(&clients[i]).status, i == 4 ? 400 : 405));
        leave(&clients[i]);
    }
    finish(&server);
    drop_site(folder);
}

/* Who has said all, and says so, is answered: that is no hang-up. */
Test(server, half_closed_clients_are_answered)
{
    static const struct {
        const char *request;
        int answers;
    } cases[] = {{GET, 1},    {GET GET GET, 3}, {LAST, 1},
                 {SLEEP, 1},  {SLEEP GET, 2},   {"GET / HTTP/1.0\r\n\r\n", 1},
                 {"x\r\n", 1}};
    enum { CASES = sizeof cases / sizeof *cases };
    char *folder = site_of(SIZE);
    Server server = start_with("--quiet --root .", (Options){.folder = folder});
    Client clients[CASES], reader = narrow_client(&server);
    for (int i = 0; i < CASES; i++) {
        clients[i] = client(&server);
        say(&clients[i], cases[i].request);
        shutdown(clients[i].socket, SHUT_WR);
    }
    say(&reader, large);
    shutdown(reader.socket, SHUT_WR);
    for (int i = 0; i < CASES; i++) {
        for (int answer = 0; answer < cases[i].answers; answer++)
            cr_expect(ne(int, reply(&clients[i]).status, 0), "%s, answer %d",
                      cases[i].request, answer);
        closed_after(&clients[i]);
        cr_expect(not(clients[i].reset), "%s", cases[i].request);
        leave(&clients[i]);
    }
    sip(&reader, 4 * SPEED, patience(), SIZE + 1);
    check_large(&reader, SIZE);
    leave(&reader);
    finish(&server);
    drop_site(folder);
}
