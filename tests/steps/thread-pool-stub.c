/* A pool that compiles and does nothing. */

#include "shared.h"

TestSuite(thread_pool_stub, SUITE);

Test(thread_pool_stub, root_is_not_answered_by_the_main_thread)
{
    Server server = server_start((Options){0});
    doing("the server was started");
    check(server_threads(&server) == 1,
          .expected = "one thread: this step creates none yet",
          .got = words("there are %d", server_threads(&server)),
          .key = "threads");
    server_stop(&server);
}

Test(thread_pool_stub, accepts_and_never_answers)
{
    check_silence();
}
