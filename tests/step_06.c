/* Step 06: the workers wait at the queue. */

#include "harness.h"

#include <stdlib.h>
#include <string.h>

TestSuite(step06, .timeout = TIMEOUT);

Test(step06, accepts_and_never_answers)
{
    check_silence(6);
}

Test(step06, four_workers_wait_and_burn_no_cpu)
{
    Server server = server_start((Options){0});
    server_wait_threads(&server, 6, 5);
    double cpu = server_cpu(&server), start = now();
    while (now() < start + 2) {
        check(6, server_threads(&server) == 5,
              "The idle server should have 1 + 4 threads; it has %d",
              server_threads(&server));
        moment();
    }
    double share = (server_cpu(&server) - cpu) / (now() - start);
    check(6, share < 0.1,
          "Workers with nothing to do should wait for the condition variable; "
          "the idle server uses %.0f %% of a CPU", 100 * share);
    server_stop(&server);
}

Test(step06, a_worker_that_cannot_be_created_is_reported)
{
    check_failing_worker(6);
}
