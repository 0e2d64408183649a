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
    check_idle(6, &server);
    check(6, server_threads(&server) == 5,
          "The idle server should have 1 + 4 threads; it has %d",
          server_threads(&server));
    server_stop(&server);
}

Test(step06, a_worker_that_cannot_be_created_is_reported)
{
    check_failing_worker(6);
}

Test(step06, threads_that_begin_late)
{
    check_late_threads(6);
}
