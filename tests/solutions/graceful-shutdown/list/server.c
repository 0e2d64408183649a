/*
 * Somebody else's step 08, written from the contract alone: stdio, a linked
 * list, everything in one file. It proves that the tests take any program.
 */

#include "job_queue.h"
#include "thread_pool.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void *or_die(void *memory)
{
    if (!memory) {
        perror("malloc");
        exit(1);
    }
    return memory;
}

/* ---- the queue: a list with a dummy node at its head ---- */

struct node {
    struct node *next;
    Job job;
};

struct JobQueue {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    struct node *head, *tail;
    bool closed;
};

JobQueue *job_queue_new(void)
{
    JobQueue *q = or_die(malloc(sizeof(JobQueue)));
    q->closed = false;
    pthread_mutex_init(&q->mutex, NULL);
    pthread_cond_init(&q->condition, NULL);
    q->head = q->tail = or_die(calloc(1, sizeof(struct node)));
    return q;
}

void job_queue_push(JobQueue *q, Job job)
{
    struct node *node = or_die(malloc(sizeof(struct node)));
    node->next = NULL;
    node->job = job;
    pthread_mutex_lock(&q->mutex);
    q->tail = q->tail->next = node;
    pthread_mutex_unlock(&q->mutex);
    pthread_cond_signal(&q->condition);
}

bool job_queue_pop(JobQueue *q, Job *job)
{
    struct node *dummy = NULL;
    pthread_mutex_lock(&q->mutex);
    while (!q->head->next && !q->closed)
        pthread_cond_wait(&q->condition, &q->mutex);
    if (q->head->next) {
        dummy = q->head;
        q->head = dummy->next;
        *job = q->head->job;
    }
    bool got_one = dummy != NULL;
    pthread_mutex_unlock(&q->mutex);
    free(dummy);
    return got_one;
}

void job_queue_close(JobQueue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->closed = true;
    pthread_mutex_unlock(&q->mutex);
    pthread_cond_broadcast(&q->condition);
}

void job_queue_destroy(JobQueue *q)
{
    while (q->head) {
        struct node *next = q->head->next;
        free(q->head);
        q->head = next;
    }
    pthread_cond_destroy(&q->condition);
    pthread_mutex_destroy(&q->mutex);
    free(q);
}

/* ---- the pool ---- */

struct Worker {
    size_t id;
    pthread_t thread;
    JobQueue *queue;
};

struct ThreadPool {
    JobQueue *queue;
    size_t size;
    struct Worker *workers;
};

static void *worker_main(void *arg)
{
    struct Worker *me = arg;
    Job job;
    while (job_queue_pop(me->queue, &job)) {
        printf("Worker %zu got a job; executing.\n", me->id);
        (*job.function)(job.arg);
    }
    printf("Worker %zu disconnected; shutting down.\n", me->id);
    return NULL;
}

ThreadPool *thread_pool_new(size_t size)
{
    assert(size > 0);
    ThreadPool *pool = or_die(malloc(sizeof(ThreadPool)));
    pool->queue = job_queue_new();
    pool->size = size;
    pool->workers = or_die(calloc(size, sizeof(struct Worker)));
    for (size_t id = 0; id < size; id++) {
        struct Worker *w = &pool->workers[id];
        *w = (struct Worker){.id = id, .queue = pool->queue};
        errno = pthread_create(&w->thread, NULL, worker_main, w);
        if (errno) {
            perror("pthread_create");
            exit(1);
        }
    }
    return pool;
}

void thread_pool_execute(ThreadPool *pool, void (*function)(void *arg),
                         void *arg)
{
    job_queue_push(pool->queue, (Job){.function = function, .arg = arg});
}

void thread_pool_destroy(ThreadPool *pool)
{
    job_queue_close(pool->queue);
    for (size_t id = 0; id < pool->size; id++) {
        printf("Shutting down worker %zu\n", id);
        pthread_join(pool->workers[id].thread, NULL);
    }
    job_queue_destroy(pool->queue);
    free(pool->workers);
    free(pool);
}

/* ---- the web ---- */

static void answer(FILE *out, const char *status, const char *path)
{
    FILE *page = fopen(path, "r");
    if (!page) {
        perror(path);
        return;
    }
    fseek(page, 0, SEEK_END);
    fprintf(out, "HTTP/1.1 %s\r\nContent-Length: %ld\r\n\r\n", status,
            ftell(page));
    rewind(page);
    for (int c; (c = getc(page)) != EOF && putc(c, out) != EOF;)
        continue;
    fclose(page);
}

/* Reads to the empty line; the answer depends on the first line alone. */
static bool read_request(FILE *in, char *line, int size)
{
    char header[1024];
    if (!fgets(line, size, in))
        return false;
    for (int n = 0; n < 100 && fgets(header, sizeof header, in); n++)
        if (strcmp(header, "\r\n") == 0)
            return true;
    return false;
}

static void handle_connection(void *arg)
{
    int *connection = arg;
    int copy = dup(*connection);
    FILE *in = fdopen(*connection, "r"), *out = fdopen(copy, "w");
    char line[8192];
    if (in && out && read_request(in, line, sizeof line)) {
        if (strcmp(line, "GET / HTTP/1.1\r\n") == 0) {
            answer(out, "200 OK", "hello.html");
        } else if (strcmp(line, "GET /sleep HTTP/1.1\r\n") == 0) {
            nanosleep(&(struct timespec){.tv_sec = 5}, NULL);
            answer(out, "200 OK", "hello.html");
        } else {
            answer(out, "404 NOT FOUND", "404.html");
        }
    }
    if (out)
        fclose(out);
    else if (copy >= 0)
        close(copy);
    if (in)
        fclose(in);
    else
        close(*connection);
    free(connection);
}

static int port_from(const char *text)
{
    int port, end = 0;
    if (strlen(text) > 5 || sscanf(text, "%d%n", &port, &end) != 1 || text[end]
        || port < 0 || port > 65535) {
        fprintf(stderr, "%s is not a port\n", text);
        exit(1);
    }
    return port;
}

int main(int argc, char *argv[])
{
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    signal(SIGPIPE, SIG_IGN);

    struct sockaddr_in where = {.sin_family = AF_INET};
    socklen_t size = sizeof where;
    where.sin_port = htons((in_port_t)port_from(argv[1] ? argv[1] : "7878"));
    inet_pton(AF_INET, "127.0.0.1", &where.sin_addr);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (struct sockaddr *)&where, size) != 0
        || listen(listener, SOMAXCONN) != 0) {
        perror("cannot listen");
        return 1;
    }
    getsockname(listener, (struct sockaddr *)&where, &size);

    ThreadPool *pool = thread_pool_new(4);
    printf("Listening on http://127.0.0.1:%u\n", ntohs(where.sin_port));
    (void)argc;
    int left = 2;
    while (left > 0) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) {
            perror("accept");
            nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
            continue;
        }
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO,
                   &(struct timeval){.tv_sec = 5}, sizeof(struct timeval));
        int *arg = or_die(malloc(sizeof(int)));
        *arg = connection;
        thread_pool_execute(pool, handle_connection, arg);
        left--;
    }
    close(listener);
    printf("Shutting down.\n");
    thread_pool_destroy(pool);
    return 0;
}
