/* Start. */

#include "help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Starts with these options. Returns the exit status; one line must say why. */
static int fails_with(const char *options, const char *word)
{
    Server server = start_with(options, (Options){.port = "", .may_end = true});
    cr_assert(eq(int, server.port, 0), "it listens with %s", options);
    int status = ended(&server);
    char *errors = server_errors(&server);
    cr_expect(strstr(errors, word) != NULL, "%s: %s", options, errors);
    cr_expect(eq(int, occurrences(errors, "\n"), 1), "%s: %s", options, errors);
    free(errors);
    return status;
}

Test(server, options_that_make_no_sense)
{
    static const char *const bad[][2] = {
        {"--port x", "x"},
        {"--port 65536", "65536"},
        {"--port -1", "-1"},
        {"--port=", "port"},
        {"--threads 0", "0"},
        {"--loops 0", "0"},
        {"--host nobody.invalid", "nobody.invalid"},
        {"--nonsense", "nonsense"},
        {"--threads 1000000", "1000000"},
        {"--root /nowhere", "/nowhere"},
        {"x", "x"},
        {"99999999999999999999", "9999"},
        {"0x10", "0x10"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(eq(int, fails_with(bad[i][0], bad[i][1]), 1), "%s",
                  bad[i][0]);
}

Test(server, a_port_that_is_taken)
{
    Server server = start();
    char options[32];
    snprintf(options, sizeof options, "--port %d", server.port);
    cr_expect(eq(int, fails_with(options, "use"), 1));
    finish(&server);
}

Test(server, help)
{
    Server server =
        start_with("--help", (Options){.port = "", .may_end = true});
    int status = server_wait(&server);
    cr_expect(eq(int, status, 0));
    char *output = server_output(&server);
    static const char *const options[] = {"--port",    "--host",  "--root",
                                          "--threads", "--loops", "--quiet"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        cr_expect(strstr(output, options[i]) != NULL, "%s", options[i]);
    free(output);
}

Test(server, options)
{
    char *folder = large_site(), options[4200];
    snprintf(options, sizeof options,
             "--quiet --threads 7 --loops 3 --port 0 --root %s", folder);
    Server server = start_with(options, (Options){.port = ""});
    cr_expect(eq(int, server_threads(&server), 1 + 7 + 3 + 1));
    Client one = client(&server);
    say(&one, GET);
    cr_expect(eq(str, reply(&one).body, "small"));
    leave(&one);
    finish(&server);
    drop_site(folder);
}

/* Only this machine can connect. */
Test(server, listens_on_the_loopback_only)
{
    Server server = start();
    char line[512], local[64], state[8], wanted[16];
    int found = 0;
    snprintf(wanted, sizeof wanted, ":%04X", server.port);
    static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    for (int i = 0; i < 2; i++) {
        FILE *table = fopen(tables[i], "r");
        while (table != NULL && fgets(line, sizeof line, table) != NULL)
            if (sscanf(line, " %*d: %63s %*s %7s", local, state) == 2
                && strcmp(state, "0A") == 0 && strstr(local, wanted) != NULL) {
                found++;
                cr_expect(strncmp(local, "0100007F:", 9) == 0, "%s", local);
            }
        if (table != NULL)
            fclose(table);
    }
    cr_expect(eq(int, found, 1));
    finish(&server);
}
