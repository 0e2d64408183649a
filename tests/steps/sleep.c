/* A slow request, and everybody waits. */

#include "shared.h"

#include <stdlib.h>

TestSuite(sleep, SUITE);

Test(sleep, sleep_is_hello_after_five_seconds, TAKES_TIME)
{
    Server server = server_start((Options){0});
    double start = now();
    Answer answer = client_get_within(&server, "GET /sleep HTTP/1.1", SLEEP);
    check_answer(&answer, "GET /sleep HTTP/1.1", "HTTP/1.1 200 OK",
                 "hello.html");
    doing("a client asked for /sleep");
    check(answer.at - start > 4.9, .expected = "the answer after 5 seconds",
          .got = words("after %.1f", answer.at - start),
          .cause = "sleep counts in seconds: sleep(5); and it must be called",
          .key = "sleep");
    check(answer.begun - start > 4.9, .expected = "sleep first, then answer",
          .got = words("the answer began after %.1f s", answer.begun - start),
          .key = "sleep");
    free(answer.data);
    server_stop(&server);
}

Test(sleep, root_waits_for_sleep, TAKES_TIME)
{
    double later = check_sleep_then_root();
    check(later >= 0,
          .expected = "/ is answered after it: there is a single thread, which "
                      "serves one connection after the other",
          .got = words("/ was answered %.1f s before it", -later),
          .cause = "somebody else than main serves connections",
          .key = "order");
}

Test(sleep, the_server_has_one_thread_while_it_sleeps, TAKES_TIME)
{
    Server server = server_start((Options){0});
    int client = client_connect(&server);
    doing("a client asked for /sleep; the server was watched while it slept");
    client_ask(client, "GET /sleep HTTP/1.1");
    int most = 0, looks = 0, busy = 0;
    double start = now();
    while (now() < start + 2) {
        int threads = server_threads(&server);
        most = threads > most ? threads : most;
        looks++;
        busy += server_running(&server);
        moment();
    }
    check(most == 1, .expected = "one thread", .got = words("%d threads", most),
          .key = "threads");
    check(busy < looks / 2, .expected = "it sleeps, and others may run",
          .got = "it burns a CPU",
          .cause = "a loop that looks at the clock: sleep(5) waits",
          .key = "busy");
    check_one_process(&server);
    server_stop(&server);
}

/* A line may begin like another. */
Test(sleep, only_sleep_sleeps)
{
    Server server = server_start((Options){0});
    const char *requests[] = {"GET /sleep/ HTTP/1.1", "GET /sleep HTTP/1.0",
                              "GET /asleep HTTP/1.1", "POST /sleep HTTP/1.1",
                              "GET /foo HTTP/1.1"};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        double start = now();
        Answer answer = client_get_within(&server, requests[i], SLEEP);
        check_answer(&answer, requests[i], "HTTP/1.1 404 NOT FOUND",
                     "404.html");
        check(answer.at - start < 4.5,
              .did = words("a client asked: %s", requests[i]),
              .expected = "an answer at once: only /sleep sleeps",
              .got = words("it came after %.1f s", answer.at - start),
              .cause =
                  "the whole request line must be compared, and only its own "
                  "branch may sleep",
              .key = "sleeps-too-much");
        free(answer.data);
    }
    server_stop(&server);
}
