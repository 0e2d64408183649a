/*
 * Mistakes with threads, one a function, and things that look like mistakes,
 * and are none. tests/watch/test calls each in a process of its own, and
 * compares what is told with the comment above the function; A, B, … there
 * are the lines with these comments. `Hint:` is for hints, `Picture:` for a
 * program that hangs, `Nothing.` for what is right.
 */

#define _GNU_SOURCE
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty;
    int jobs;
    bool closed;
    atomic_bool locked;
    atomic_int waiting;
} Queue;

static Queue *new_queue(void)
{
    Queue *queue = calloc(1, sizeof *queue);
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->not_empty, NULL);
    return queue;
}

static void a_moment(void)
{
    usleep(20000);
}

static pthread_t create(void *(*function)(void *), void *arg)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, arg) != 0)
        exit(9);
    return thread;
}

/* Locks the queue, and keeps it. */
static void *holds(void *arg)
{
    Queue *queue = arg;
    pthread_mutex_lock(&queue->mutex); /* HOLDS */
    queue->locked = true;
    for (;;)
        pause();
    return NULL;
}

/* Takes a job, or waits for one. */
static void *pops(void *arg)
{
    Queue *queue = arg;
    pthread_mutex_lock(&queue->mutex);
    queue->waiting++;
    while (queue->jobs == 0 && !queue->closed)
        pthread_cond_wait(&queue->not_empty, &queue->mutex); /* WAITS */
    queue->jobs--;
    pthread_mutex_unlock(&queue->mutex);
    return NULL;
}

/* Starts a thread, and waits until it waits. */
static pthread_t start_popping(Queue *queue)
{
    int before = queue->waiting;
    pthread_t thread = create(pops, queue);
    while (queue->waiting == before)
        a_moment();
    pthread_mutex_lock(&queue->mutex); /* it has let go of it */
    pthread_mutex_unlock(&queue->mutex);
    return thread;
}

static void *nothing(void *arg)
{
    return arg;
}

static void *for_ever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

/* --- mutexes ------------------------------------------------------------- */

__attribute__((noinline)) static int pop_and_return(Queue *queue)
{
    pthread_mutex_lock(&queue->mutex); /* A */
    if (queue->jobs == 0)
        return 0;
    pthread_mutex_unlock(&queue->mutex);
    return 1;
}

/*
 * key: returned-locked
 * got: pop_and_return returned with `mutex` locked (locked in A); now main
 * wants to lock it, and would wait for itself, for ever
 * source: A
 */
static void returned_locked(void)
{
    Queue *queue = new_queue();
    pop_and_return(queue);
    pop_and_return(queue);
}

/*
 * key: returned-locked
 * got: job_queue_pop returned with `mutex` locked (locked in A)
 * source: A
 */
static void returned_locked_to_a_test(void)
{
    Queue *queue = new_queue();
    watch_nothing_held("job_queue_pop");
    pop_and_return(queue);
    watch_nothing_held("job_queue_pop");
}

/*
 * key: returned-locked
 * got: job_queue_pop returned with `mutex` locked (locked in EA)
 * source: EA
 */
static void returned_locked_after_a_wait(void)
{
    Queue *queue = new_queue();
    pthread_mutex_lock(&queue->mutex);
    pthread_cond_timedwait(&queue->not_empty, &queue->mutex, /* EA */
                           &(struct timespec){0});
    watch_nothing_held("job_queue_pop");
}

static void *pops_and_ends(void *arg)
{
    pop_and_return(arg);
    return NULL;
}

/*
 * key: ended-locked
 * got: worker 0 has ended with `mutex` locked (in A): nobody can lock it any
 * more
 * source: A
 */
static void ended_locked(void)
{
    pthread_join(create(pops_and_ends, new_queue()), NULL);
}

static void inner(Queue *queue)
{
    pthread_mutex_lock(&queue->mutex); /* B */
    queue->jobs++;
    pthread_mutex_unlock(&queue->mutex);
}

/*
 * key: locked-twice
 * got: main has locked `mutex` already, in C: it would wait for itself, for
 * ever
 * source: B
 */
static void locked_twice(void)
{
    Queue *queue = new_queue();
    pthread_mutex_lock(&queue->mutex); /* C */
    inner(queue);
    pthread_mutex_unlock(&queue->mutex);
}

/*
 * key: unlocked-by-another
 * got: main unlocks `mutex`, which it has not locked: worker 0 has, in HOLDS
 * source: D
 */
static void unlocked_by_another(void)
{
    Queue *queue = new_queue();
    create(holds, queue);
    while (!queue->locked)
        a_moment();
    pthread_mutex_unlock(&queue->mutex); /* D */
}

/*
 * key: unlocked-unlocked
 * got: `mutex` was not locked
 * source: E
 */
static void unlocked_unlocked(void)
{
    Queue *queue = new_queue();
    pthread_mutex_unlock(&queue->mutex); /* E */
}

/*
 * key: unlocked-unlocked
 * got: `mutex` was not locked any more: it was unlocked in F
 * source: G
 */
static void unlocked_twice(void)
{
    Queue *queue = new_queue();
    pthread_mutex_lock(&queue->mutex);
    pthread_mutex_unlock(&queue->mutex); /* F */
    pthread_mutex_unlock(&queue->mutex); /* G */
}

/*
 * key: destroyed-too-early
 * did: a mutex was destroyed in H
 * got: it is locked: worker 0 has locked it, in HOLDS
 * source: H
 */
static void destroyed_locked(void)
{
    Queue *queue = new_queue();
    create(holds, queue);
    while (!queue->locked)
        a_moment();
    pthread_mutex_destroy(&queue->mutex); /* H */
}

/*
 * key: destroyed-too-early
 * did: a condition variable was destroyed in I
 * got: two threads wait for it: worker 0, in WAITS; worker 1, in WAITS
 * source: I
 */
static void destroyed_waiting(void)
{
    Queue *queue = new_queue();
    start_popping(queue);
    start_popping(queue);
    pthread_cond_destroy(&queue->not_empty); /* I */
}

/*
 * key: destroyed-too-early
 * did: a mutex was destroyed in J
 * got: one thread waits for it: worker 0, in WAITS
 * source: J
 */
static void mutex_destroyed_waiting(void)
{
    Queue *queue = new_queue();
    start_popping(queue);
    pthread_mutex_destroy(&queue->mutex); /* J */
}

/*
 * key: destroyed-too-early
 * did: a mutex was freed in K
 * got: one thread waits for it: worker 0, in WAITS
 * source: K
 */
static void freed_waiting(void)
{
    Queue *queue = new_queue();
    start_popping(queue);
    free(queue); /* K */
}

/*
 * key: destroyed-too-early
 * did: a mutex was used in M
 * got: `mutex` was destroyed before, in L, and main still uses it
 * source: L
 */
static void used_destroyed(void)
{
    Queue *queue = new_queue();
    pthread_mutex_destroy(&queue->mutex); /* L */
    pthread_mutex_lock(&queue->mutex);    /* M */
}

/*
 * key: destroyed-too-early
 * did: a condition variable was used in O
 * got: `not_empty` was destroyed before, in N, and main still uses it
 * source: N
 */
static void destroyed_twice(void)
{
    Queue *queue = new_queue();
    pthread_cond_destroy(&queue->not_empty); /* N */
    pthread_cond_destroy(&queue->not_empty); /* O */
}

/*
 * key: destroyed-too-early
 * did: a mutex was used in MB
 * got: `mutex` was freed before, in MA, and main still uses it
 * source: MA
 */
static void used_freed(void)
{
    Queue *queue = new_queue();
    free(queue);                       /* MA */
    pthread_mutex_lock(&queue->mutex); /* MB */
}

/*
 * key: not-initialised
 * got: `mutex` has not
 * source: P
 */
static void not_initialised(void)
{
    Queue *queue = malloc(sizeof *queue);
    memset(queue, 0x55, sizeof *queue);
    pthread_mutex_lock(&queue->mutex); /* P */
}

/*
 * key: initialised-twice
 * did: a mutex was initialised in Q
 * got: it is in use: worker 0 has locked it, in HOLDS
 * source: Q
 */
static void initialised_twice(void)
{
    Queue *queue = new_queue();
    create(holds, queue);
    while (!queue->locked)
        a_moment();
    pthread_mutex_init(&queue->mutex, NULL); /* Q */
}

/* --- condition variables ------------------------------------------------- */

/*
 * key: wait-unlocked
 * got: main has not locked it (nobody has)
 * source: R
 */
static void wait_unlocked(void)
{
    Queue *queue = new_queue();
    pthread_cond_wait(&queue->not_empty, &queue->mutex); /* R */
}

/*
 * key: two-mutexes
 * got: main waits with another one, in S
 * source: S
 */
static void two_mutexes(void)
{
    Queue *queue = new_queue(), *other = new_queue();
    start_popping(queue);
    pthread_mutex_lock(&other->mutex);
    pthread_cond_wait(&queue->not_empty, &other->mutex); /* S */
}

__attribute__((noinline)) static void job_queue_push(Queue *queue)
{
    queue->jobs++; /* PUSH */
}

/*
 * key: nobody-woken
 * did: job_queue_push was called, and one thread waits, in WAITS
 * got: job_queue_push returned, and no signal was sent
 * source: PUSH
 */
static void nobody_woken(void)
{
    Queue *queue = new_queue();
    start_popping(queue);
    int before = watch_signals();
    job_queue_push(queue);
    watch_somebody_was_woken(before, "job_queue_push",
                             (uintptr_t)job_queue_push);
}

/* --- threads ------------------------------------------------------------- */

/*
 * key: joined-twice
 * did: a thread was joined in U
 * got: worker 0 has been joined before, in T
 * source: U
 */
static void joined_twice(void)
{
    pthread_t thread = create(nothing, NULL);
    pthread_join(thread, NULL); /* T */
    pthread_join(thread, NULL); /* U */
}

/*
 * key: joined-and-detached
 * got: thread 0 is detached: it can neither be joined nor detached any more
 * source: V
 */
static void joined_and_detached(void)
{
    pthread_t thread = create(for_ever, NULL);
    pthread_detach(thread);
    pthread_join(thread, NULL); /* V */
}

/*
 * key: joins-itself
 * got: main waits for its own end, in W
 * source: W
 */
static void joins_itself(void)
{
    pthread_join(pthread_self(), NULL); /* W */
}

/*
 * key: worker-ended
 * got: worker 0 has ended: its function nothing returned
 */
static void worker_ended(void)
{
    watch_stay(true);
    create(nothing, NULL);
    sleep(9);
}

/*
 * key: thread-per-job
 * got: another thread is created, in DA
 * source: DA
 */
static void thread_per_job(void)
{
    pthread_t thread;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&address, &size);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    connect(client, (struct sockaddr *)&address, size);
    watch_stay(true);
    pthread_create(&thread, NULL, for_ever, NULL);
    accept(listener, NULL, NULL);
    pthread_create(&thread, NULL, for_ever, NULL); /* DA */
}

/*
 * key: not-joined
 * got: worker 1 was neither joined nor detached, and has ended (it was created
 * in X)
 * source: X
 */
static void not_joined(void)
{
    pthread_t threads[2];
    setenv("WATCH_JOIN", "1", 1);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, nothing, NULL); /* X */
    pthread_join(threads[0], NULL);
    while (watch_ended() < 2)
        a_moment();
}

typedef struct {
    pthread_t thread;
    int id;
} Worker;

/*
 * key: freed-running
 * did: memory was freed in Z
 * got: nobody has joined worker 0 yet, and this is what it was given when it
 * was created, in Y
 * source: Z
 */
static void freed_running(void)
{
    Worker *workers = calloc(4, sizeof *workers);
    pthread_create(&workers[1].thread, NULL, for_ever, &workers[1]); /* Y */
    while (workers[1].thread == 0)
        a_moment();
    a_moment();
    free(workers); /* Z */
}

/*
 * Hint: key: not-detached
 * got: 16 threads that were created in AA have ended, and nobody has joined
 * them
 * source: AA
 */
static void not_detached(void)
{
    pthread_t thread;
    for (int i = 0; i < 20; i++)
        pthread_create(&thread, NULL, nothing, NULL); /* AA */
    while (watch_ended() < 20)
        a_moment();
}

/* --- descriptors --------------------------------------------------------- */

/*
 * key: closed-twice
 * did: a connection or a file was closed, in AC
 * got: close(3): it is not open; it was closed in AB. Is it closed twice?
 * (main did it)
 * source: AC
 */
static void closed_twice(void)
{
    int file = open("/dev/null", O_RDONLY);
    dup2(file, 3);
    close(3); /* AB */
    close(3); /* AC */
}

/*
 * key: used-closed
 * did: write was called in NA
 * got: write(3): it was closed in NB (main calls)
 * source: NB
 */
static void used_closed(void)
{
    int file = open("/dev/null", O_WRONLY);
    dup2(file, 3);
    close(3);                  /* NB */
    if (write(3, "", 1) == -1) /* NA */
        abort();
}

/*
 * key: memcpy-overlaps
 * did: memcpy was called in NC, for 5 bytes
 * source: NC
 */
static void memcpy_overlaps(void)
{
    char *text = strdup("a text");
    volatile size_t five = 5;
    memcpy(text, text + 1, five); /* NC */
    if (text[0] == '\0')
        abort();
}

static void *take_apart(void *arg)
{
    if (strtok(arg, " ") == NULL) /* ND */
        abort();
    for (;;)
        a_moment();
    return NULL;
}

/*
 * key: not-for-threads
 * did: worker 1 called strtok in ND, and before it worker 0 did
 * source: ND
 */
static void not_for_threads(void)
{
    pthread_t thread;
    for (int i = 0; i < 2; i++) {
        pthread_create(&thread, NULL, take_apart, strdup("a text"));
        a_moment();
    }
    for (;;)
        a_moment();
}

/*
 * key: closed-twice
 * got: fclose(3): it is not open; it was closed in AD. Is it closed twice?
 * (main did it)
 * source: AE
 */
static void closed_under_a_stream(void)
{
    dup2(open("/dev/null", O_RDONLY), 3);
    FILE *stream = fdopen(3, "r");
    close(3);       /* AD */
    fclose(stream); /* AE */
}

/*
 * key: timeout-on-listener
 * did: the server waits for a connection, in EC
 * source: EB
 */
static void timeout_on_listener(void)
{
    struct timeval limit = {.tv_sec = 1};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, /* EB */
               sizeof limit);
    accept(listener, NULL, NULL); /* EC */
}

/*
 * key: accept-unchecked
 * got: the -1 is used as a connection: close(-1), in ED
 * source: ED
 */
static void accept_unchecked(void)
{
    setenv("FAIL_ACCEPT", "1", 1);
    int connection = accept(3, NULL, NULL);
    close(connection); /* ED */
}

/*
 * key: no-pause
 * source: EE
 */
static void no_pause(void)
{
    setenv("FAIL_ACCEPT", "1", 1);
    for (;;)
        accept(3, NULL, NULL); /* EE */
}

/*
 * Hint: key: worker-holds-lock
 * got: main calls sleep in AG, with `mutex` locked (in AF): everybody else
 * waits until it is done
 * source: AF
 */
static void holds_and_sleeps(void)
{
    Queue *queue = new_queue();
    setenv("WATCH_SLEEP", "0.01", 1);
    pthread_mutex_lock(&queue->mutex); /* AF */
    sleep(5);                          /* AG */
    pthread_mutex_unlock(&queue->mutex);
}

/* --- pictures ------------------------------------------------------------ */

static Queue *left, *right;

static void *right_first(void *arg)
{
    pthread_mutex_lock(&right->mutex); /* BA */
    right->locked = true;
    while (!left->locked)
        a_moment();
    pthread_mutex_lock(&left->mutex); /* BB */
    return arg;
}

/*
 * Picture:
 * main waits for `mutex`, in BD: worker 0 has locked it, in BA; it has locked
 * `mutex`, in BC
 * worker 0 waits for `mutex`, in BB: main has locked it, in BC; it has locked
 * `mutex`, in BA
 *
 * Nobody in this circle can go on:
 * ┌─▶ main waits for `mutex`, which worker 0 has locked, in BD
 * │ ▼
 * │ worker 0 waits for `mutex`, which main has locked, in BB
 * └───────┘
 */
static void a_circle(void)
{
    left = new_queue();
    right = new_queue();
    create(right_first, NULL);
    pthread_mutex_lock(&left->mutex); /* BC */
    left->locked = true;
    while (!right->locked)
        a_moment();
    pthread_mutex_lock(&right->mutex); /* BD */
}

/*
 * Picture:
 * main waits for the end of worker 0, in BE
 * worker 0 waits to be woken: `not_empty`, in WAITS
 * worker 1 waits to be woken: `not_empty`, in WAITS
 */
static void join_only(void)
{
    Queue *queue = new_queue();
    pthread_t thread = start_popping(queue);
    start_popping(queue);
    pthread_join(thread, NULL); /* BE */
}

static void *reads(void *arg)
{
    char byte;
    if (read(*(int *)arg, &byte, 1) == 1) /* BF */
        return arg;
    return NULL;
}

/*
 * Picture:
 * main sleeps, in sleep, in BG
 * worker 0 waits for its client to send something, in read, in BF
 */
static void a_silent_client(void)
{
    static int ends[2];
    if (pipe(ends) == 0)
        create(reads, &ends[0]);
    sleep(100); /* BG */
}

/*
 * Picture:
 * main waits for `mutex`, in BH: worker 0 has locked it, in HOLDS
 * worker 0 runs; it has locked `mutex`, in HOLDS
 */
static void somebody_keeps_it(void)
{
    Queue *queue = new_queue();
    create(holds, queue);
    while (!queue->locked)
        a_moment();
    pthread_mutex_lock(&queue->mutex); /* BH */
}

/* --- what is right ------------------------------------------------------- */

/* Nothing. */
static void right_pool(void)
{
    enum { WORKERS = 4, ROUNDS = 500 };
    for (int round = 0; round < ROUNDS; round++) {
        Queue *queue = new_queue();
        Worker *workers = calloc(WORKERS, sizeof *workers);
        for (int i = 0; i < WORKERS; i++)
            pthread_create(&workers[i].thread, NULL, pops, queue);
        pthread_mutex_lock(&queue->mutex);
        queue->jobs += 2;
        pthread_cond_signal(&queue->not_empty);
        pthread_mutex_unlock(&queue->mutex);
        pthread_cond_signal(&queue->not_empty);
        pthread_mutex_lock(&queue->mutex);
        queue->closed = true;
        pthread_cond_broadcast(&queue->not_empty);
        pthread_mutex_unlock(&queue->mutex);
        for (int i = 0; i < WORKERS; i++)
            pthread_join(workers[i].thread, NULL);
        pthread_cond_destroy(&queue->not_empty);
        pthread_mutex_destroy(&queue->mutex);
        free(workers);
        free(queue);
    }
}

/* Nothing. */
static void right_recursive(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t mutex;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&mutex, &attributes);
    for (int i = 0; i < 3; i++)
        pthread_mutex_lock(&mutex);
    pthread_mutex_trylock(&mutex);
    for (int i = 0; i < 4; i++)
        pthread_mutex_unlock(&mutex);
    pthread_mutex_destroy(&mutex);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&mutex, &attributes);
    pthread_mutex_lock(&mutex);
    if (pthread_mutex_lock(&mutex) != EDEADLK)
        abort();
    pthread_mutex_unlock(&mutex);
    pthread_mutex_destroy(&mutex);
}

/* Nothing. */
static void right_initialisers(void)
{
    for (int i = 0; i < 3; i++) {
        pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
        pthread_mutex_lock(&mutex);
        pthread_cond_signal(&condition);
        pthread_mutex_unlock(&mutex);
        pthread_mutex_destroy(&mutex);
        pthread_cond_destroy(&condition);
    }
    static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    pthread_mutex_lock(&recursive);
    pthread_mutex_lock(&recursive);
    pthread_mutex_unlock(&recursive);
    pthread_mutex_unlock(&recursive);
}

/* Nothing. */
static void right_time_out(void)
{
    Queue *queue = new_queue();
    struct timespec past = {0, 0};
    pthread_mutex_lock(&queue->mutex);
    for (int i = 0; i < 100; i++)
        if (pthread_cond_timedwait(&queue->not_empty, &queue->mutex, &past)
            != ETIMEDOUT)
            abort();
    pthread_mutex_unlock(&queue->mutex);
    if (pthread_mutex_trylock(&queue->mutex) != 0
        || pthread_mutex_trylock(&queue->mutex) != EBUSY)
        abort();
    pthread_mutex_unlock(&queue->mutex);
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->mutex);
}

static void unlock(void *mutex)
{
    pthread_mutex_unlock(mutex);
}

static void *waits_for_ever(void *arg)
{
    Queue *queue = arg;
    pthread_mutex_lock(&queue->mutex);
    pthread_cleanup_push(unlock, &queue->mutex);
    queue->waiting++;
    for (;;)
        pthread_cond_wait(&queue->not_empty, &queue->mutex);
    pthread_cleanup_pop(1);
    return NULL;
}

/* Nothing. */
static void right_cancelled(void)
{
    Queue *queue = new_queue();
    pthread_t thread = create(waits_for_ever, queue);
    while (queue->waiting == 0)
        a_moment();
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

static void *detaches_itself(void *arg)
{
    pthread_detach(pthread_self());
    pthread_exit(arg);
}

/* Nothing. */
static void right_many_threads(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < 2000; i++) {
        create(detaches_itself, NULL);
        pthread_create(&thread, &attributes, nothing, NULL);
        pthread_join(create(nothing, NULL), NULL);
        if (watch_start(&thread, nothing, NULL) != 0)
            exit(9);
        pthread_join(thread, NULL);
    }
    while (watch_ended() < 6000)
        a_moment();
    setenv("WATCH_JOIN", "1", 1);
}

static void *copies(void *arg)
{
    Queue *queue = arg;
    pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    pthread_cond_signal(&queue->not_empty);
    pthread_mutex_unlock(&queue->mutex);
    sleep(9);
    return NULL;
}

/* The argument is freed by who gave it, once the thread has said that it may
 * be. Nothing. */
static void right_handshake(void)
{
    Queue *queue = new_queue();
    create(copies, queue);
    pthread_mutex_lock(&queue->mutex);
    while (!queue->closed)
        pthread_cond_wait(&queue->not_empty, &queue->mutex);
    pthread_mutex_unlock(&queue->mutex);
    a_moment(); /* until it is out of unlock, too */
    pthread_mutex_destroy(&queue->mutex);
    pthread_cond_destroy(&queue->not_empty);
    free(queue);
}

/* Nothing. */
static void right_fork(void)
{
    Queue *queue = new_queue();
    pthread_mutex_lock(&queue->mutex);
    if (fork() == 0) {
        pthread_mutex_unlock(&queue->mutex);
        _exit(0);
    }
    pthread_mutex_unlock(&queue->mutex);
}

/* Nothing. */
static void right_woken(void)
{
    Queue *queue = new_queue();
    pthread_t thread = start_popping(queue);
    int before = watch_signals();
    if (watch_waiters() != 1 || watch_held() != 0 || watch_number() != -1)
        abort();
    pthread_mutex_lock(&queue->mutex);
    if (watch_held() != 1)
        abort();
    queue->jobs++;
    pthread_cond_signal(&queue->not_empty);
    pthread_mutex_unlock(&queue->mutex);
    watch_somebody_was_woken(before, "push", 0);
    pthread_join(thread, NULL);
    watch_nothing_held("push");
    if (watch_joined() != 1 || watch_created() != 1 || watch_waiters() != 0)
        abort();
}

#define CASE(name)                                                             \
    {                                                                          \
#name, name                                                            \
    }

int main(int argc, char *argv[])
{
    const struct {
        const char *name;
        void (*function)(void);
    } cases[] = {
        CASE(returned_locked),
        CASE(returned_locked_to_a_test),
        CASE(returned_locked_after_a_wait),
        CASE(ended_locked),
        CASE(locked_twice),
        CASE(unlocked_by_another),
        CASE(unlocked_unlocked),
        CASE(unlocked_twice),
        CASE(destroyed_locked),
        CASE(destroyed_waiting),
        CASE(mutex_destroyed_waiting),
        CASE(freed_waiting),
        CASE(used_destroyed),
        CASE(destroyed_twice),
        CASE(used_freed),
        CASE(not_initialised),
        CASE(initialised_twice),
        CASE(wait_unlocked),
        CASE(two_mutexes),
        CASE(nobody_woken),
        CASE(joined_twice),
        CASE(joined_and_detached),
        CASE(joins_itself),
        CASE(worker_ended),
        CASE(thread_per_job),
        CASE(not_joined),
        CASE(freed_running),
        CASE(not_detached),
        CASE(closed_twice),
        CASE(used_closed),
        CASE(memcpy_overlaps),
        CASE(not_for_threads),
        CASE(closed_under_a_stream),
        CASE(timeout_on_listener),
        CASE(accept_unchecked),
        CASE(no_pause),
        CASE(holds_and_sleeps),
        CASE(a_circle),
        CASE(join_only),
        CASE(a_silent_client),
        CASE(somebody_keeps_it),
        CASE(right_pool),
        CASE(right_recursive),
        CASE(right_initialisers),
        CASE(right_time_out),
        CASE(right_cancelled),
        CASE(right_many_threads),
        CASE(right_handshake),
        CASE(right_fork),
        CASE(right_woken),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (argc > 1 && strcmp(argv[1], cases[i].name) == 0) {
            cases[i].function();
            return 0;
        } else if (argc == 1) {
            puts(cases[i].name);
        }
    return argc > 1;
}
