/* The table of HTTP, over the network: what each request is answered with, and
 * whether the connection goes on. */

#include "help.h"
#undef GET /* the table has its own, without the end */

#include "http_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Says what is wrong with the answer to a case; NULL: nothing. The page that a
 * good request names need not exist. */
static const char *fault(const HttpCase *c, const Client *one)
{
    Head head = answer_head(one->data, one->size);
    if (head.size == 0)
        return "no answer";
    if (head.status != c->status && !(c->status == 200 && head.status == 404))
        return words("%d, not %d", head.status, c->status);
    size_t body = c->head_only ? 0 : (size_t)head.body;
    if (head.body < 0 || one->size < head.size + body)
        return "not whole";
    bool closes =
        strstr(one->data, "\r\nConnection: close\r\n") < one->data + head.size
        && strstr(one->data, "\r\nConnection: close\r\n") != NULL;
    if (closes == c->keep_alive)
        return closes ? "it closes" : "it does not close";
    if (closes && one->size > head.size + body)
        return c->head_only ? "a body for HEAD" : "more than an answer";
    return one->reset ? "a reset" : NULL;
}

/* All of them at once, each on a connection of its own, and then the client
 * says no more. */
Test(server, every_request_of_the_table)
{
    static Client clients[CASES];
    Server server = start();
    for (int i = 0; i < CASES; i++) {
        clients[i] = client(&server);
        client_send(clients[i].socket, cases[i].text, cases[i].size);
        shutdown(clients[i].socket, SHUT_WR);
    }
    int violations = 0;
    for (int i = 0; i < CASES; i++) {
        closed_after(&clients[i]);
        const char *wrong = fault(&cases[i], &clients[i]);
        if (wrong != NULL && ++violations <= 40)
            printf("RFC %s: %s: %s\n", cases[i].rule, wrong,
                   show(cases[i].text, cases[i].size));
        leave(&clients[i]);
    }
    printf("%d requests, %d violations\n", CASES, violations);
    cr_expect(ge(int, CASES, 958));
    cr_expect(eq(int, violations, 0));
    finish(&server);
}
