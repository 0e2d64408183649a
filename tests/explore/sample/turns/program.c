/* Small programs, of which one can say how many schedules they have. */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

static sem_t semaphores[3];
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t other = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go = PTHREAD_COND_INITIALIZER;
static atomic_int atomic;
static int plain, number = 1;

void post(int which, int times)
{
    for (int i = 0; i < times; i++)
        sem_post(&semaphores[which]);
}

void lock_both(int first)
{
    pthread_mutex_t *a = first ? &one : &other, *b = first ? &other : &one;
    pthread_mutex_lock(a);
    pthread_mutex_lock(b);
    pthread_mutex_unlock(b);
    pthread_mutex_unlock(a);
}

void lock_one(void)
{
    pthread_mutex_lock(&one);
    pthread_mutex_unlock(&one);
}

/* Returns when it has been woken once. */
void wait_once(void)
{
    pthread_mutex_lock(&one);
    pthread_cond_wait(&go, &one);
    pthread_mutex_unlock(&one);
}

void wake(void)
{
    pthread_cond_signal(&go);
}

/* Loses what another thread adds meanwhile. */
int add_atomic(void)
{
    int seen = atomic_load(&atomic);
    atomic_store(&atomic, seen + 1);
    return atomic_load(&atomic);
}

void add_plain(void)
{
    plain++;
}

/* Is 1 again in each run. */
int count_runs(void)
{
    return number++;
}

void rest_of_the_world(void)
{
    static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    pthread_rwlock_rdlock(&lock);
}
