/* The workers wait at the queue. */

#include "shared.h"

#include <stdlib.h>
#include <string.h>

TestSuite(shared_queue, .timeout = TIMEOUT);

Test(shared_queue, accepts_and_never_answers)
{
    check_silence("shared-queue");
}

Test(shared_queue, four_workers_wait_and_burn_no_cpu)
{
    Server server = server_start((Options){0});
    server_wait_threads(&server, "shared-queue", 5);
    check_idle("shared-queue", &server);
    check("shared-queue", server_threads(&server) == 5,
          "The idle server should have 1 + 4 threads; it has %d",
          server_threads(&server));
    server_stop(&server);
}

Test(shared_queue, a_worker_that_cannot_be_created_is_reported)
{
    check_failing_worker("shared-queue");
}

Test(shared_queue, threads_that_begin_late)
{
    check_late_threads("shared-queue");
}
