/* A slow request, and everybody waits. */

#include "shared.h"

#include <stdlib.h>

TestSuite(sleep, .timeout = TIMEOUT);

Test(sleep, sleep_is_hello_after_five_seconds)
{
    Server server = server_start((Options){0});
    double start = now();
    Answer answer = client_get(&server, "GET /sleep HTTP/1.1");
    check_answer("sleep", &answer, "GET /sleep HTTP/1.1", "HTTP/1.1 200 OK",
                 "hello.html");
    check("sleep", answer.at - start > 4.9,
          "`/sleep` should take 5 seconds; it took %.1f", answer.at - start);
    check("sleep", answer.begun - start > 4.9,
          "The answer to `/sleep` came after %.1f s, before the sleep: sleep "
          "first, then answer",
          answer.begun - start);
    free(answer.data);
    server_stop(&server);
}

Test(sleep, root_waits_for_sleep)
{
    double later = check_sleep_then_root("sleep");
    check(
        "sleep", later >= 0,
        "`/` was answered %.1f s before the `/sleep` that came first: this "
        "step has a single thread, which serves one connection after the other",
        -later);
}

Test(sleep, the_server_has_one_thread_while_it_sleeps)
{
    Server server = server_start((Options){0});
    int client = client_connect(&server);
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
    check("sleep", most == 1, "The server has %d threads; it should have one",
          most);
    check("sleep", busy < looks / 2,
          "While it sleeps, the server burns a CPU: sleep(5) lets others run");
    free(client_receive(client, patience()).data);
    server_stop(&server);
}

/* A line may begin like another. */
Test(sleep, only_sleep_sleeps)
{
    Server server = server_start((Options){0});
    const char *requests[] = {"GET /sleep/ HTTP/1.1", "GET /sleep HTTP/1.0",
                              "GET /asleep HTTP/1.1", "POST /sleep HTTP/1.1"};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        double start = now();
        Answer answer = client_get(&server, requests[i]);
        check_answer("sleep", &answer, requests[i], "HTTP/1.1 404 NOT FOUND",
                     "404.html");
        check("sleep", answer.at - start < 4.5,
              "`%s` took %.1f s: only `/sleep` should sleep", requests[i],
              answer.at - start);
        free(answer.data);
    }
    server_stop(&server);
}
