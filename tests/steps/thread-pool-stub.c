/* A pool that compiles and does nothing. */

#include "shared.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(thread_pool_stub, .timeout = TIMEOUT);

Test(thread_pool_stub, accepts_and_never_answers)
{
    check_silence("thread-pool-stub");
}

Test(thread_pool_stub, root_is_not_answered_by_the_main_thread)
{
    Server server = server_start((Options){0});
    check("thread-pool-stub", server_threads(&server) == 1,
          "The server has %d threads; this step creates none yet",
          server_threads(&server));
    server_stop(&server);
}
