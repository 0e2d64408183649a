/* Step 01: one connection at a time, in one thread, for ever. */

#include "harness.h"

#include <stdlib.h>

TestSuite(step01, .timeout = TIMEOUT);

Test(step01, a_thousand_requests_leave_nothing_open)
{
    Server server = server_start((Options){0});
    int descriptors = server_descriptors(&server);
    for (int i = 0; i < 500; i++) {
        check_hello(&server, 1);
        Answer answer = client_get(&server, "GET /foo HTTP/1.1");
        check_answer(1, &answer, "GET /foo HTTP/1.1", "HTTP/1.1 404 NOT FOUND",
                     "404.html");
        free(answer.data);
    }
    server_wait_descriptors(&server, descriptors);
    check(1, server_threads(&server) == 1,
          "The server has %d threads; step 01 is single-threaded",
          server_threads(&server));
    server_stop(&server);
}

Test(step01, an_idle_server_burns_no_cpu)
{
    Server server = server_start((Options){0});
    check_hello(&server, 1);
    double cpu = server_cpu(&server), start = now();
    while (now() < start + 1)
        moment();
    double share = (server_cpu(&server) - cpu) / (now() - start);
    check(1, share < 0.1,
          "An idle server should wait in accept(); it uses %.0f %% of a CPU",
          100 * share);
    server_stop(&server);
}
