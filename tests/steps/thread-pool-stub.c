/* Step 04: a pool that compiles and does nothing. */

#include "harness.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(step04, .timeout = TIMEOUT);

Test(step04, accepts_and_never_answers)
{
    check_silence(4);
}

Test(step04, root_is_not_answered_by_the_main_thread)
{
    Server server = server_start((Options){0});
    check(4, server_threads(&server) == 1,
          "The server has %d threads; step 04 creates none yet",
          server_threads(&server));
    server_stop(&server);
}
