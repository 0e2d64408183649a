/*
 * The pool of every textbook, and of step 08: a list of nodes from malloc(),
 * a mutex and a condition variable, one signal for each job.
 */
#include "pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct Node {
    Function *function;
    void *arg;
    struct Node *next;
} Node;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER;
static Node *first, *last;
static bool closed;
static pthread_t threads[64];
static size_t size;

static void *run(void *arg)
{
    for (;;) {
        pthread_mutex_lock(&mutex);
        while (first == NULL && !closed)
            pthread_cond_wait(&not_empty, &mutex);
        Node *node = first;
        if (node != NULL)
            first = node->next;
        pthread_mutex_unlock(&mutex);
        if (node == NULL)
            return arg;
        Function *function = node->function;
        void *job_arg = node->arg;
        free(node);
        function(job_arg);
    }
}

static void start(size_t workers, size_t capacity)
{
    (void)capacity; /* unbounded */
    for (size = 0; size < workers; size++)
        if (pthread_create(&threads[size], NULL, run, NULL) != 0)
            abort();
}

static void submit(Function *function, void *arg)
{
    Node *node = malloc(sizeof *node);
    if (node == NULL)
        abort();
    *node = (Node){function, arg, NULL};
    pthread_mutex_lock(&mutex);
    if (first == NULL)
        first = node;
    else
        last->next = node;
    last = node;
    pthread_cond_signal(&not_empty);
    pthread_mutex_unlock(&mutex);
}

static void finish(void)
{
    pthread_mutex_lock(&mutex);
    closed = true;
    pthread_cond_broadcast(&not_empty);
    pthread_mutex_unlock(&mutex);
    for (size_t i = 0; i < size; i++)
        pthread_join(threads[i], NULL);
}

const Side textbook = {"textbook", start, submit, finish};
