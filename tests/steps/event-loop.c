/* One thread waits for all clients at once. */

#include "shared.h"

#include <stdlib.h>
#include <string.h>

TestSuite(event_loop, SUITE);

Test(event_loop, silent_clients_delay_nobody)
{
    Server server = server_start((Options){0});
    doing("twenty clients connected and said nothing; then one asked for /");
    for (int i = 0; i < 20; i++)
        client_connect(&server);
    double start = now();
    check_hello(&server);
    check(now() - start < SILENCE - 1, .expected = "/ is answered at once",
          .got = words("it was answered after %.1f s", now() - start),
          .read = "Step 13");
    server_stop(&server);
}
