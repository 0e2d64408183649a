/* Reads one request from the socket, answers it, and closes the socket. */
void *answer(void *socket);
