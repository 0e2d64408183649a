#include "job_queue.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Node {
    Job job;
    struct Node *next;
} Node;

struct JobQueue {
    pthread_mutex_t mutex; /* guards all that follows */
    pthread_cond_t not_empty;
    Node *first, *last; /* last has no meaning while first is NULL */
    bool closed;
};

JobQueue *job_queue_new(void)
{
    JobQueue *queue = calloc(1, sizeof *queue);
    if (queue == NULL) {
        perror("job_queue_new");
        exit(EXIT_FAILURE);
    }
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->not_empty, NULL);
    return queue;
}

void job_queue_push(JobQueue *queue, Job job)
{
    Node *node = malloc(sizeof *node);
    if (node == NULL) {
        perror("job_queue_push");
        exit(EXIT_FAILURE);
    }
    *node = (Node){.job = job};

    pthread_mutex_lock(&queue->mutex);
    if (queue->first == NULL)
        queue->first = node;
    else
        queue->last->next = node;
    queue->last = node;
    pthread_cond_signal(&queue->not_empty);
    pthread_mutex_unlock(&queue->mutex);
}

bool job_queue_pop(JobQueue *queue, Job *job)
{
    pthread_mutex_lock(&queue->mutex);
    while (queue->first == NULL && !queue->closed) /* a wake-up is no job */
        pthread_cond_wait(&queue->not_empty, &queue->mutex);
    Node *node = queue->first;
    bool popped = node != NULL;
    if (popped) {
        queue->first = node->next;
        *job = node->job;
    }
    pthread_mutex_unlock(&queue->mutex);

    free(node);
    return popped;
}

void job_queue_close(JobQueue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    pthread_cond_broadcast(&queue->not_empty);
    pthread_mutex_unlock(&queue->mutex);
}

void job_queue_destroy(JobQueue *queue)
{
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}
