/* hello.html on libmicrohttpd, from memory.
 *
 *     server_mhd PORT PAGE THREADS
 */

#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char page[4096];
static size_t size;

static enum MHD_Result answer(void *user, struct MHD_Connection *connection,
                              const char *url, const char *method,
                              const char *version, const char *data,
                              size_t *data_size, void **state)
{
    (void)method, (void)version, (void)data, (void)data_size;
    if (*state == NULL) { /* an answer at the first call ends keep-alive */
        *state = user;
        return MHD_YES;
    }
    return MHD_queue_response(
        connection, strcmp(url, "/") == 0 ? MHD_HTTP_OK : MHD_HTTP_NOT_FOUND,
        user);
}

int main(int argc, char *argv[])
{
    sigset_t signals;
    int number;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    FILE *file = argc > 3 ? fopen(argv[2], "r") : NULL;
    if (file == NULL)
        return EXIT_FAILURE;
    size = fread(page, 1, sizeof page, file);
    fclose(file);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, page, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type",
                            "text/html; charset=utf-8");
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO, (uint16_t)atoi(argv[1]),
        NULL, NULL, answer, response, MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned)atoi(argv[3]), MHD_OPTION_CONNECTION_LIMIT, 16000U,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096U, MHD_OPTION_END);
    if (daemon == NULL)
        return EXIT_FAILURE;
    sigwait(&signals, &number);
    MHD_stop_daemon(daemon);
    MHD_destroy_response(response);
    return EXIT_SUCCESS;
}
