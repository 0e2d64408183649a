#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void answer(int connection)
{
    char request[1024] = "";
    if (read(connection, request, sizeof request - 1) > 5 && request[5] == 's')
        sleep(1);
    dprintf(connection, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n");
    close(connection);
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(7878),
                                  .sin_addr.s_addr = inet_addr("127.0.0.1")};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) == -1
        || listen(listener, 8) == -1) {
        perror("port 7878");
        return 1;
    }
    printf("Listening.\n");
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        printf("A client.\n");
        answer(connection);
    }
}
