#include "log.h"
#include "thread_pool.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOM 65536 /* bytes of lines that are not yet in the file */

struct Log {
    int file;
    ThreadPool *writer;    /* of one thread, which alone may have to wait */
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t filled;
    char *lines, *spare; /* not taken by the writer yet; being written */
    size_t size;         /* of the lines, in bytes */
    long dropped;
    bool closed;
};

/* Writes to a file. Returns how many bytes it has taken before it failed. */
static size_t write_all(int file, const char *lines, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t written = write(file, lines + done, size - done);
        if (written > 0)
            done += (size_t)written;
        else if (errno == EAGAIN) /* somebody else has made it non-blocking */
            poll(&(struct pollfd){.fd = file, .events = POLLOUT}, 1, -1);
        else if (errno != EINTR)
            break;
    }
    return done;
}

/* Runs in the writer's thread: writes what there is, while others go on adding
 * to another buffer. */
static void write_lines(void *arg)
{
    Log *log = arg;
    pthread_mutex_lock(&log->mutex);
    for (;;) {
        while (log->size == 0 && !log->closed)
            pthread_cond_wait(&log->filled, &log->mutex);
        if (log->size == 0)
            break;
        char *lines = log->lines;
        size_t size = log->size, told = 0;
        long dropped = log->dropped;
        if (dropped > 0)
            told =
                (size_t)sprintf(lines + size, "%ld lines dropped\n", dropped);
        log->lines = log->spare;
        log->spare = lines;
        log->size = 0;
        pthread_mutex_unlock(&log->mutex);
        size_t done = write_all(log->file, lines, size + told);
        pthread_mutex_lock(&log->mutex);
        if (done == size + told)
            log->dropped -= dropped;
        for (; done < size; done++) /* it has failed */
            log->dropped += lines[done] == '\n';
    }
    pthread_mutex_unlock(&log->mutex);
}

Log *log_new(int file)
{
    Log *log = malloc(sizeof *log);
    char *lines = malloc(ROOM + LOG_LINE_MAX);
    char *spare = malloc(ROOM + LOG_LINE_MAX);
    int error = ENOMEM;
    if (log != NULL && lines != NULL && spare != NULL) {
        *log = (Log){.file = file, .lines = lines, .spare = spare};
        pthread_mutex_init(&log->mutex, NULL);
        pthread_cond_init(&log->filled, NULL);
        error = thread_pool_build(&log->writer, 1, 1);
        if (error == 0
            && thread_pool_execute(log->writer, write_lines, log) == 0)
            return log;
    }
    free(spare);
    free(lines);
    free(log);
    errno = error;
    return NULL;
}

void log_line(Log *log, const char *format, ...)
{
    char line[LOG_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    size_t size = length < LOG_LINE_MAX ? (size_t)length : LOG_LINE_MAX - 1;
    pthread_mutex_lock(&log->mutex);
    if (log->size + size <= ROOM) {
        if (log->size == 0)
            pthread_cond_signal(&log->filled);
        memcpy(log->lines + log->size, line, size);
        log->size += size;
    } else {
        log->dropped++;
    }
    pthread_mutex_unlock(&log->mutex);
}

void log_destroy(Log *log)
{
    pthread_mutex_lock(&log->mutex);
    log->closed = true;
    pthread_cond_signal(&log->filled);
    pthread_mutex_unlock(&log->mutex);
    thread_pool_destroy(log->writer);
    pthread_cond_destroy(&log->filled);
    pthread_mutex_destroy(&log->mutex);
    free(log->spare);
    free(log->lines);
    free(log);
}
