/* The workers wait at the queue. */

#include "shared.h"

TestSuite(shared_queue, SUITE);

Test(shared_queue, accepts_and_never_answers)
{
    check_silence();
}

Test(shared_queue, four_workers_wait_and_burn_no_cpu, TAKES_TIME)
{
    Server server = server_start((Options){0});
    doing("the server was started");
    server_wait_threads(&server, 0, 5);
    check_idle(&server);
    server_wait_threads(&server, 0, 5);
    server_stop(&server);
}

Test(shared_queue, a_worker_that_cannot_be_created_is_reported)
{
    check_failing_worker();
}

Test(shared_queue, threads_that_begin_late, TAKES_TIME)
{
    check_late_threads();
}
