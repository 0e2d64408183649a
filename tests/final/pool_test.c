/*
 * The pool of final/: what its header promises, and what other pools got
 * wrong. Nothing here sleeps and hopes: tests wait for events, and Criterion's
 * time-out ends those that wait for ever.
 */
#include "job_queue.h"
#include "thread_pool.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

TestSuite(pool, .timeout = 60);

/* --- what the linker puts between the pool and libc (--wrap) ------------- */

static atomic_long allocated;  /* blocks, less those that were freed */
static atomic_int fail_alloc;  /* this one fails, counted from 1; 0: none */
static atomic_int fail_create; /* the same for threads */
static atomic_bool spurious;   /* every second wait ends for no reason */
static atomic_int in_wait;     /* waits of threads that are watched */
static _Thread_local bool watched;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *arg);
int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);

/* Tells whether the call is the one that shall fail. */
static bool countdown(atomic_int *counter)
{
    return *counter > 0 && atomic_fetch_sub(counter, 1) == 1;
}

static void *counted(void *block)
{
    if (block != NULL)
        allocated++;
    return block;
}

void *__wrap_malloc(size_t size)
{
    return countdown(&fail_alloc) ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return countdown(&fail_alloc) ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return countdown(&fail_alloc)
               ? NULL
               : counted(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *block)
{
    if (block != NULL)
        allocated--;
    __real_free(block);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *arg)
{
    if (countdown(&fail_create))
        return EAGAIN;
    return __real_pthread_create(thread, attributes, run, arg);
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    static atomic_uint calls;
    if (watched)
        in_wait++;
    int error = 0;
    if (spurious && calls++ % 2 == 0) {
        pthread_mutex_unlock(mutex);
        sched_yield();
        pthread_mutex_lock(mutex);
    } else {
        error = __real_pthread_cond_wait(condition, mutex);
    }
    if (watched)
        in_wait--;
    return error;
}

/* --- helpers ------------------------------------------------------------- */

/* Creates a pool that the test cannot do without. */
static ThreadPool *build(size_t size, size_t capacity)
{
    ThreadPool *pool = NULL;
    cr_assert(eq(int, thread_pool_build(&pool, size, capacity), 0));
    return pool;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    cr_assert(eq(int, pthread_create(&thread, NULL, run, arg), 0));
    return thread;
}

/* Waits until watched threads sleep in that many waits. */
static void until_waiting(int count)
{
    while (in_wait != count)
        sched_yield();
}

static int count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *task; (task = readdir(tasks)) != NULL;)
        count += task->d_name[0] != '.';
    closedir(tasks);
    return count;
}

/* A job that says that it runs, and goes on only when told. */
typedef struct {
    sem_t started, go_on;
    bool ended;
} Hold;

static Hold *hold_new(void)
{
    Hold *hold = calloc(1, sizeof *hold);
    sem_init(&hold->started, 0, 0);
    sem_init(&hold->go_on, 0, 0);
    return hold;
}

static void wait_sem(sem_t *sem)
{
    while (sem_wait(sem) != 0)
        ;
}

static void hold_job(void *arg)
{
    Hold *hold = arg;
    sem_post(&hold->started);
    wait_sem(&hold->go_on);
    hold->ended = true;
}

/* Returns a job that keeps one worker of the pool busy: it runs already. */
static Hold *occupy(ThreadPool *pool)
{
    Hold *hold = hold_new();
    cr_assert(eq(int, thread_pool_execute(pool, hold_job, hold), 0));
    wait_sem(&hold->started);
    return hold;
}

static void count_job(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* --- jobs run ------------------------------------------------------------ */

typedef struct {
    ThreadPool *pool;
    atomic_uchar *ran; /* one for each job */
    size_t jobs;
    int error; /* of the call that failed first, or 0 */
    bool try;
} Producer;

static void mark_job(void *arg)
{
    atomic_fetch_add((atomic_uchar *)arg, 1);
}

static void *produce(void *arg)
{
    Producer *producer = arg;
    for (size_t i = 0; i < producer->jobs && producer->error == 0; i++) {
        do {
            producer->error =
                producer->try ? thread_pool_try_execute(
                    producer->pool, mark_job, &producer->ran[i])
                              : thread_pool_execute(producer->pool, mark_job,
                                                    &producer->ran[i]);
            if (producer->error == EAGAIN)
                sched_yield();
        } while (producer->try && producer->error == EAGAIN);
    }
    return NULL;
}

/* Has that many producers hand over jobs; each must run exactly once. */
static void check_each_once(size_t producers, size_t workers, size_t capacity,
                            size_t jobs, bool try)
{
    ThreadPool *pool = build(workers, capacity);
    atomic_uchar *ran = calloc(producers * jobs, sizeof *ran);
    Producer all[4];
    pthread_t threads[4];
    for (size_t i = 0; i < producers; i++) {
        all[i] = (Producer){pool, ran + i * jobs, jobs, 0, try};
        threads[i] = start(produce, &all[i]);
    }
    for (size_t i = 0; i < producers; i++) {
        pthread_join(threads[i], NULL);
        cr_assert(eq(int, all[i].error, 0));
    }
    cr_assert(eq(int, thread_pool_destroy(pool), 0));
    for (size_t i = 0; i < producers * jobs; i++)
        cr_assert(eq(int, ran[i], 1), "job %zu, %zu workers, capacity %zu", i,
                  workers, capacity);
    free(ran);
}

static const size_t capacities[] = {1, 2, 3, 64};
enum { CAPACITIES = sizeof capacities / sizeof *capacities };

static void check_all_sizes(size_t jobs)
{
    for (size_t workers = 1; workers <= 4; workers++)
        for (size_t i = 0; i < CAPACITIES; i++)
            for (size_t producers = 1; producers <= 4; producers += 3) {
                check_each_once(producers, workers, capacities[i], jobs, false);
                check_each_once(producers, workers, capacities[i], jobs, true);
            }
}

Test(pool, each_job_runs_once)
{
    check_all_sizes(500);
}

Test(pool, spurious_wake_ups_do_no_harm)
{
    spurious = true;
    check_all_sizes(200);
}

typedef struct {
    int *next; /* only one worker touches it */
    int index;
    bool in_order;
} Numbered;

static void numbered_job(void *arg)
{
    Numbered *numbered = arg;
    numbered->in_order = (*numbered->next)++ == numbered->index;
}

Test(pool, jobs_start_in_order)
{
    enum { JOBS = 1000 };
    static Numbered jobs[JOBS];
    for (size_t c = 0; c < CAPACITIES; c++) {
        int next = 0;
        ThreadPool *pool = build(1, capacities[c]);
        for (int i = 0; i < JOBS; i++) {
            jobs[i] = (Numbered){&next, i, false};
            thread_pool_execute(pool, numbered_job, &jobs[i]);
        }
        thread_pool_destroy(pool);
        for (int i = 0; i < JOBS; i++)
            cr_assert(jobs[i].in_order, "job %d, capacity %zu", i,
                      capacities[c]);
    }
}

static void meet_job(void *arg)
{
    pthread_barrier_wait(arg);
}

/* If a wake-up were lost, one of four jobs that need each other would wait in
   the queue beside a sleeping worker. */
Test(pool, all_workers_run_at_once)
{
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 4);
    for (size_t c = 0; c < CAPACITIES; c++) {
        ThreadPool *pool = build(4, capacities[c]);
        for (int i = 0; i < 4 * 1000; i++)
            cr_assert(
                eq(int, thread_pool_execute(pool, meet_job, &barrier), 0));
        cr_assert(eq(int, thread_pool_wait(pool), 0));
        for (int i = 0; i < 1000; i++) { /* from idle, each time */
            for (int j = 0; j < 4; j++)
                thread_pool_execute(pool, meet_job, &barrier);
            thread_pool_wait(pool);
        }
        thread_pool_destroy(pool);
    }
}

Test(pool, has_exactly_its_threads)
{
    int before = count_threads();
    ThreadPool *pool = build(3, 8);
    cr_assert(eq(int, count_threads(), before + 3));
    for (int i = 0; i < 100; i++) {
        static atomic_int any;
        thread_pool_execute(pool, count_job, &any);
    }
    cr_assert(eq(int, count_threads(), before + 3));
    thread_pool_destroy(pool);
    while (count_threads() != before) /* the kernel takes its time */
        sched_yield();
}

typedef struct {
    sigset_t mask;
    char name[16];
} Self;

static void self_job(void *arg)
{
    Self *self = arg;
    pthread_sigmask(SIG_BLOCK, NULL, &self->mask);
    prctl(PR_GET_NAME, self->name);
}

Test(pool, workers_have_names_and_get_no_signals)
{
    sigset_t before, after;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    ThreadPool *pool = build(1, 1);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    for (int i = 1; i < SIGRTMIN; i++)
        cr_assert(eq(int, sigismember(&after, i), sigismember(&before, i)));

    static Self self;
    thread_pool_execute(pool, self_job, &self);
    thread_pool_destroy(pool);
    cr_assert(eq(str, self.name, "worker-0"));
    const int blocked[] = {SIGINT,  SIGTERM, SIGHUP, SIGUSR1,
                           SIGPIPE, SIGALRM, SIGCHLD};
    for (size_t i = 0; i < sizeof blocked / sizeof *blocked; i++)
        cr_assert(sigismember(&self.mask, blocked[i]), "signal %d", blocked[i]);
    const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        cr_assert(not(sigismember(&self.mask, open[i])), "signal %d", open[i]);
}

/* --- room ---------------------------------------------------------------- */

Test(pool, try_execute_says_when_the_queue_is_full)
{
    for (size_t c = 0; c < CAPACITIES; c++) {
        ThreadPool *pool = build(1, capacities[c]);
        Hold *hold = occupy(pool);
        atomic_int ran = 0;
        for (size_t i = 0; i < capacities[c]; i++)
            cr_assert(
                eq(int, thread_pool_try_execute(pool, count_job, &ran), 0));
        cr_assert(
            eq(int, thread_pool_try_execute(pool, count_job, &ran), EAGAIN));
        sem_post(&hold->go_on);
        thread_pool_wait(pool);
        cr_assert(eq(int, ran, (int)capacities[c]));
        cr_assert(eq(int, thread_pool_try_execute(pool, count_job, &ran), 0));
        thread_pool_destroy(pool);
        cr_assert(eq(int, ran, (int)capacities[c] + 1));
        free(hold);
    }
}

typedef struct {
    ThreadPool *pool;
    void (*function)(void *arg);
    void *arg;
    int error;
    sem_t *post; /* when the call has returned, unless NULL */
} Call;

static void *watched_execute(void *arg)
{
    Call *call = arg;
    watched = true;
    call->error = thread_pool_execute(call->pool, call->function, call->arg);
    if (call->post != NULL)
        sem_post(call->post);
    return NULL;
}

Test(pool, execute_waits_for_room)
{
    for (size_t c = 0; c < CAPACITIES; c++) {
        ThreadPool *pool = build(1, capacities[c]);
        Hold *hold = occupy(pool);
        atomic_int ran = 0;
        for (size_t i = 0; i < capacities[c]; i++)
            thread_pool_execute(pool, count_job, &ran);
        Call calls[3];
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) {
            calls[i] = (Call){pool, count_job, &ran, -1, NULL};
            threads[i] = start(watched_execute, &calls[i]);
        }
        until_waiting(3);
        cr_assert(eq(int, ran, 0));
        sem_post(&hold->go_on);
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
            cr_assert(eq(int, calls[i].error, 0));
        }
        thread_pool_destroy(pool);
        cr_assert(eq(int, ran, (int)capacities[c] + 3));
        free(hold);
    }
}

/* The only job in the queue is taken: there is room, though no job ends. */
Test(pool, room_is_seen_while_all_workers_are_busy)
{
    ThreadPool *pool = build(2, 1);
    Hold *first = occupy(pool), *second = occupy(pool), *third = hold_new();
    thread_pool_execute(pool, hold_job, third);
    atomic_int ran = 0;
    Call call = {pool, count_job, &ran, -1, NULL};
    pthread_t thread = start(watched_execute, &call);
    until_waiting(1);
    sem_post(&first->go_on); /* its worker takes the third */
    pthread_join(thread, NULL);
    cr_assert(eq(int, call.error, 0));
    cr_assert(eq(int, ran, 0));
    sem_post(&second->go_on);
    sem_post(&third->go_on);
    thread_pool_destroy(pool);
    cr_assert(eq(int, ran, 1));
    free(first);
    free(second);
    free(third);
}

/* The same when the queue is not empty yet. */
Test(pool, room_is_seen_while_a_job_of_many_runs)
{
    ThreadPool *pool = build(1, 4);
    Hold *holds[3] = {occupy(pool), hold_new(), hold_new()};
    thread_pool_execute(pool, hold_job, holds[1]);
    thread_pool_execute(pool, hold_job, holds[2]);
    atomic_int ran = 0;
    while (thread_pool_try_execute(pool, count_job, &ran) == 0)
        ;
    Call call = {pool, count_job, &ran, -1, NULL};
    pthread_t thread = start(watched_execute, &call);
    until_waiting(1);
    for (int i = 1; i < 3; i++) {
        sem_post(&holds[i - 1]->go_on);
        wait_sem(&holds[i]->started);
    }
    pthread_join(thread, NULL); /* half of the queue was taken out */
    cr_assert(eq(int, call.error, 0));
    cr_assert(eq(int, ran, 0));
    sem_post(&holds[2]->go_on);
    thread_pool_destroy(pool);
    cr_assert(eq(int, ran, 3));
    for (int i = 0; i < 3; i++)
        free(holds[i]);
}

typedef struct {
    ThreadPool *pool;
    sem_t started, full, done;
    int execute, try_execute; /* what they returned */
    atomic_int ran;
} Recursion;

static void submit_to_full_job(void *arg)
{
    Recursion *recursion = arg;
    ThreadPool *pool = recursion->pool;
    sem_post(&recursion->started);
    wait_sem(&recursion->full);
    recursion->execute = thread_pool_execute(pool, count_job, &recursion->ran);
    recursion->try_execute =
        thread_pool_try_execute(pool, count_job, &recursion->ran);
    sem_post(&recursion->done);
}

Test(pool, a_job_does_not_wait_for_its_own_full_queue)
{
    for (size_t c = 0; c < CAPACITIES; c++) {
        ThreadPool *pool = build(2, capacities[c]);
        Hold *hold = occupy(pool);
        Recursion recursion = {.pool = pool};
        sem_init(&recursion.started, 0, 0);
        sem_init(&recursion.full, 0, 0);
        sem_init(&recursion.done, 0, 0);
        thread_pool_execute(pool, submit_to_full_job, &recursion);
        wait_sem(&recursion.started);
        atomic_int filled = 0;
        while (thread_pool_try_execute(pool, count_job, &filled) == 0)
            ;
        sem_post(&recursion.full);
        wait_sem(&recursion.done);
        cr_assert(eq(int, recursion.execute, EDEADLK));
        cr_assert(eq(int, recursion.try_execute, EAGAIN));
        sem_post(&hold->go_on);
        thread_pool_destroy(pool);
        cr_assert(eq(int, filled, (int)capacities[c]));
        cr_assert(eq(int, recursion.ran, 0));
        free(hold);
    }
}

/* --- waiting ------------------------------------------------------------- */

static void slow_flag_job(void *arg)
{
    for (int i = 0; i < 20; i++)
        sched_yield();
    *(bool *)arg = true;
}

Test(pool, wait_right_after_execute)
{
    for (size_t workers = 1; workers <= 4; workers++) {
        ThreadPool *pool = build(workers, 2);
        cr_assert(eq(int, thread_pool_wait(pool), 0)); /* with nothing to do */
        for (int i = 0; i < 2000; i++) {
            bool done = false;
            thread_pool_execute(pool, slow_flag_job, &done);
            thread_pool_wait(pool);
            cr_assert(done);
        }
        thread_pool_destroy(pool);
    }
}

static void *wait_for_pool(void *arg)
{
    watched = true;
    return (void *)(intptr_t)thread_pool_wait(arg);
}

/* Has three threads wait, and lets the job that they wait for end; destroys the
   pool before or after they have returned. */
static void check_those_who_wait(bool destroy_first)
{
    ThreadPool *pool = build(2, 4);
    Hold *hold = occupy(pool);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = start(wait_for_pool, pool);
    until_waiting(3);
    sem_post(&hold->go_on);
    if (destroy_first)
        cr_assert(eq(int, thread_pool_destroy(pool), 0));
    for (int i = 0; i < 3; i++) {
        void *error;
        pthread_join(threads[i], &error);
        cr_assert(eq(int, (int)(intptr_t)error, 0));
    }
    cr_assert(hold->ended);
    if (!destroy_first)
        thread_pool_destroy(pool);
    free(hold);
}

Test(pool, wait_wakes_all_who_wait)
{
    for (int round = 0; round < 200; round++)
        check_those_who_wait(false);
}

/* Threads that are still about to return from wait do not touch a freed pool:
   the sanitizers see to that in the stress program, too. */
Test(pool, destroy_lets_those_out_who_wait)
{
    for (int round = 0; round < 200; round++)
        check_those_who_wait(true);
}

typedef struct {
    ThreadPool *pool;
    int left; /* jobs of the chain that are still to come */
    atomic_int ran;
    int error;
} Chain;

static void chain_job(void *arg)
{
    Chain *chain = arg;
    chain->ran++;
    if (--chain->left > 0)
        chain->error |= thread_pool_execute(chain->pool, chain_job, chain);
}

Test(pool, wait_includes_the_jobs_of_jobs)
{
    for (int round = 0; round < 100; round++) {
        Chain chain = {build(2, 2), 100, 0, 0};
        thread_pool_execute(chain.pool, chain_job, &chain);
        thread_pool_wait(chain.pool);
        cr_assert(eq(int, chain.ran, 100));
        cr_assert(eq(int, chain.error, 0));
        thread_pool_destroy(chain.pool);
    }
}

/* --- the end ------------------------------------------------------------- */

typedef struct {
    ThreadPool *pool;
    int wait, destroy; /* what they returned */
} Suicide;

static void suicide_job(void *arg)
{
    Suicide *suicide = arg;
    suicide->wait = thread_pool_wait(suicide->pool);
    suicide->destroy = thread_pool_destroy(suicide->pool);
}

Test(pool, a_job_cannot_wait_for_itself)
{
    for (size_t workers = 1; workers <= 4; workers++) {
        Suicide suicide = {build(workers, 2), 0, 0};
        for (int i = 0; i < 10; i++) { /* the pool works as before */
            suicide.wait = suicide.destroy = 0;
            thread_pool_execute(suicide.pool, suicide_job, &suicide);
            cr_assert(eq(int, thread_pool_wait(suicide.pool), 0));
            cr_assert(eq(int, suicide.wait, EDEADLK));
            cr_assert(eq(int, suicide.destroy, EDEADLK));
        }
        cr_assert(eq(int, thread_pool_destroy(suicide.pool), 0));
    }
}

Test(pool, a_job_may_wait_for_another_pool)
{
    ThreadPool *pool = build(1, 2), *other = build(1, 2);
    atomic_int ran = 0;
    thread_pool_execute(other, count_job, &ran);
    Suicide murder = {other, -1, -1};
    thread_pool_execute(pool, suicide_job, &murder);
    thread_pool_destroy(pool);
    cr_assert(eq(int, murder.wait, 0));
    cr_assert(eq(int, murder.destroy, 0));
    cr_assert(eq(int, ran, 1));
}

Test(pool, destroy_stops_no_other_pool)
{
    ThreadPool *pool = build(2, 2), *other = build(2, 2);
    Hold *hold = occupy(other);
    thread_pool_destroy(pool);
    atomic_int ran = 0;
    for (int i = 0; i < 100; i++)
        cr_assert(eq(int, thread_pool_execute(other, count_job, &ran), 0));
    sem_post(&hold->go_on);
    cr_assert(eq(int, thread_pool_wait(other), 0));
    cr_assert(eq(int, ran, 100));
    thread_pool_destroy(other);
    free(hold);
}

static void *destroy(void *arg)
{
    return (void *)(intptr_t)thread_pool_destroy(arg);
}

typedef struct {
    ThreadPool *pool;
    sem_t started;
    int accepted, try_error, execute_error;
    atomic_int ran;
} Late;

static void late_job(void *arg)
{
    Late *late = arg;
    sem_post(&late->started);
    do { /* until the shutdown has begun */
        late->try_error =
            thread_pool_try_execute(late->pool, count_job, &late->ran);
        late->accepted += late->try_error == 0;
        sched_yield();
    } while (late->try_error == 0 || late->try_error == EAGAIN);
    late->execute_error =
        thread_pool_execute(late->pool, count_job, &late->ran);
}

Test(pool, nothing_is_accepted_once_shutdown_began)
{
    for (size_t workers = 1; workers <= 4; workers++)
        for (size_t c = 0; c < CAPACITIES; c++) {
            Late late = {.pool = build(workers, capacities[c])};
            sem_init(&late.started, 0, 0);
            thread_pool_execute(late.pool, late_job, &late);
            wait_sem(&late.started);
            cr_assert(eq(int, thread_pool_destroy(late.pool), 0));
            cr_assert(eq(int, late.try_error, ECANCELED));
            cr_assert(eq(int, late.execute_error, ECANCELED));
            cr_assert(eq(int, late.ran, late.accepted));
        }
}

Test(pool, destroy_runs_what_is_queued)
{
    for (size_t workers = 1; workers <= 4; workers++)
        for (size_t c = 0; c < CAPACITIES; c++) {
            ThreadPool *pool = build(workers, capacities[c]);
            Hold *holds[4];
            for (size_t i = 0; i < workers; i++)
                holds[i] = occupy(pool);
            atomic_int ran = 0;
            for (size_t i = 0; i < capacities[c]; i++)
                thread_pool_execute(pool, count_job, &ran);
            pthread_t thread = start(destroy, pool);
            for (size_t i = 0; i < workers; i++)
                sem_post(&holds[i]->go_on);
            void *error;
            pthread_join(thread, &error);
            cr_assert(eq(int, (int)(intptr_t)error, 0));
            cr_assert(eq(int, ran, (int)capacities[c]));
            for (size_t i = 0; i < workers; i++)
                free(holds[i]);
        }
}

Test(pool, destroy_sends_those_away_who_wait_for_room)
{
    for (size_t c = 0; c < CAPACITIES; c++) {
        ThreadPool *pool = build(1, capacities[c]);
        Hold *hold = occupy(pool);
        atomic_int ran = 0, never = 0;
        for (size_t i = 0; i < capacities[c]; i++)
            thread_pool_execute(pool, count_job, &ran);
        Call calls[3];
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) { /* only they let the job go on */
            calls[i] = (Call){pool, count_job, &never, -1, &hold->go_on};
            threads[i] = start(watched_execute, &calls[i]);
        }
        until_waiting(3);
        cr_assert(eq(int, thread_pool_destroy(pool), 0));
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
            cr_assert(eq(int, calls[i].error, ECANCELED));
        }
        cr_assert(eq(int, ran, (int)capacities[c]));
        cr_assert(eq(int, never, 0));
        free(hold);
    }
}

/* --- what cannot be built ------------------------------------------------ */

static ThreadPool *const unchanged = (ThreadPool *)&allocated;

Test(pool, build_refuses_nothing_and_too_much)
{
    ThreadPool *pool = unchanged;
    long before = allocated;
    cr_assert(eq(int, thread_pool_build(&pool, 0, 1), EINVAL));
    cr_assert(eq(int, thread_pool_build(&pool, 1, 0), EINVAL));
    cr_assert(eq(int, thread_pool_build(&pool, SIZE_MAX, 1), ENOMEM));
    cr_assert(eq(int, thread_pool_build(&pool, 1, SIZE_MAX), ENOMEM));
    cr_assert(eq(int, thread_pool_build(&pool, 1, SIZE_MAX / 16), ENOMEM));
    cr_assert(eq(ptr, pool, unchanged));
    cr_assert(eq(long, allocated, before));
}

Test(pool, build_undoes_itself_when_a_thread_is_refused)
{
    int threads = count_threads();
    long before = allocated;
    for (int i = 1; i <= 4; i++) {
        ThreadPool *pool = unchanged;
        fail_create = i;
        cr_assert(eq(int, thread_pool_build(&pool, 4, 4), EAGAIN));
        cr_assert(eq(int, fail_create, 0));
        cr_assert(eq(ptr, pool, unchanged));
        cr_assert(eq(long, allocated, before));
        while (count_threads() != threads) /* the kernel takes its time */
            sched_yield();
    }
}

Test(pool, build_undoes_itself_when_memory_is_refused)
{
    long before = allocated;
    for (int i = 1;; i++) {
        ThreadPool *pool = unchanged;
        fail_alloc = i;
        int error = thread_pool_build(&pool, 4, 4);
        if (error == 0) {
            cr_assert(i > 1, "no allocation was seen");
            fail_alloc = 0;
            thread_pool_destroy(pool);
            cr_assert(eq(long, allocated, before));
            return;
        }
        cr_assert(eq(int, error, ENOMEM));
        cr_assert(eq(ptr, pool, unchanged));
        cr_assert(eq(long, allocated, before));
    }
}

Test(pool, new_works_like_the_chapters)
{
    ThreadPool *pool = thread_pool_new(2);
    atomic_int ran = 0;
    for (int i = 0; i < 3 * THREAD_POOL_CAPACITY; i++)
        thread_pool_execute(pool, count_job, &ran);
    thread_pool_destroy(pool);
    cr_assert(eq(int, ran, 3 * THREAD_POOL_CAPACITY));
}

Test(pool, new_asserts_that_there_are_threads, .signal = SIGABRT)
{
    thread_pool_new(0);
}

Test(pool, new_ends_the_program_when_it_must, .exit_code = 1)
{
    fail_create = 2;
    thread_pool_new(4);
}

/* --- the queue by itself ------------------------------------------------- */

Test(pool, queue_first_in_first_out)
{
    static char args[64];
    for (size_t c = 0; c < CAPACITIES; c++) {
        JobQueue *queue = job_queue_new(capacities[c], 1);
        size_t in = 0, out = 0;
        for (int round = 0; round < 100; round++) {
            while (
                job_queue_push(queue, (Job){count_job, &args[in % 64]}, false)
                == 0)
                in++;
            for (size_t i = 0; out < in && i <= (size_t)round % 64; i++) {
                Job job;
                cr_assert(job_queue_pop(queue, &job));
                cr_assert(eq(ptr, job.arg, &args[out++ % 64]));
            }
        }
        job_queue_close(queue);
        Job job = {count_job, NULL};
        cr_assert(eq(int, job_queue_push(queue, job, true), ECANCELED));
        cr_assert(eq(int, job_queue_push(queue, job, false), ECANCELED));
        while (job_queue_pop(queue, &job))
            cr_assert(eq(ptr, job.arg, &args[out++ % 64]));
        cr_assert(eq(sz, out, in));
        cr_assert(not(job_queue_pop(queue, &job)));
        job_queue_destroy(queue);
    }
}
