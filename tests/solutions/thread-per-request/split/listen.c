/*
 * Somebody else's step 03, written from the contract alone: detached by
 * attribute, a read per byte, two files. It proves that the tests take any
 * program.
 */

#include "answer.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
    unsigned port = 7878;
    char after;
    if (argc > 1
        && (sscanf(argv[1], "%5u%c", &port, &after) != 1 || port > 65535)) {
        fprintf(stderr, "%s: not a port\n", argv[1]);
        return 1;
    }

    struct sockaddr_in address = {0};
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = inet_addr("127.0.0.1");
    socklen_t size = sizeof address;
    int server = socket(PF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(server, (struct sockaddr *)&address, size)
        || listen(server, SOMAXCONN)
        || getsockname(server, (struct sockaddr *)&address, &size)) {
        perror("cannot listen");
        return 1;
    }

    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 128 * 1024);
    signal(SIGPIPE, SIG_IGN);
    printf("Listening on http://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);

    for (;;) {
        int client = accept(server, NULL, NULL);
        if (client < 0) {
            perror("accept");
            /* until some threads have closed theirs */
            nanosleep(&(struct timespec){0, 20000000}, NULL);
            continue;
        }
        struct timeval five = {5, 0};
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &five, sizeof five);
        pthread_t thread;
        if (pthread_create(&thread, &detached, answer,
                           (void *)(intptr_t)client)) {
            fputs("no thread for a connection\n", stderr);
            close(client);
        }
    }
}
