/* One connection, many requests; and what that costs a pool. */

#include "shared.h"

#include <stdlib.h>
#include <string.h>

TestSuite(keep_alive, SUITE);

Test(keep_alive, two_requests_on_one_connection)
{
    Server server = server_start((Options){0});
    doing("a client asked for /, and again for / on the same connection");
    const char *first = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    int client = client_connect(&server);
    client_send(client, first, strlen(first));
    client_ask(client, "GET / HTTP/1.1"); /* with Connection: close */
    Answer answer = client_receive(client, patience());
    check(occurrences(answer.data, "HTTP/1.1 200 OK") == 2,
          .expected = "two answers", .got = words("%.400s", answer.data),
          .key = "one-answer", .read = "Step 12");
    free(answer.data);
    server_stop(&server);
}
