/* What takes time is lent to workers; several loops. */

#include "shared.h"

#include <stdlib.h>
#include <string.h>

TestSuite(loops, SUITE);

Test(loops, four_sleeps_delay_nobody)
{
    Server server = server_start((Options){0});
    doing("four clients asked for /sleep; then one for /");
    for (int i = 0; i < 4; i++)
        client_ask(client_connect(&server), "GET /sleep HTTP/1.1");
    double start = now();
    check_hello(&server);
    check(now() - start < SLEEP - 1, .expected = "/ is answered at once",
          .got = words("it was answered after %.1f s", now() - start),
          .read = "Step 14");
    server_stop(&server);
}
