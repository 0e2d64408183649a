#ifndef THREAD_POOL_H
#define THREAD_POOL_H

#include <stddef.h>

#ifdef __GNUC__ /* gcc and clang warn of a call whose result is not used */
#define MUST_USE __attribute__((warn_unused_result))
#else
#define MUST_USE
#endif

/*
 * A fixed number of threads, the workers, that run the jobs handed to them,
 * and a queue with room for a fixed number of jobs that no worker has taken.
 *
 * Jobs are taken in the order in which they were handed over. A job sees what
 * was written before that; what it writes is seen after thread_pool_destroy().
 * No lock is held while it runs: it may use this pool, as said below, and any
 * other. It must return (no pthread_exit()).
 *
 * Any thread may call these functions, jobs included, but no signal handler.
 * Errors are returned, not stored in errno. Workers block the signals that the
 * thread blocks that creates the pool. After fork() the child has no workers:
 * there, do not touch the pool.
 */
typedef struct ThreadPool ThreadPool;

#define THREAD_POOL_CAPACITY 4096 /* jobs, in a pool of thread_pool_new() */

/* Creates a pool of size threads, at least one, or ends the program. */
ThreadPool *thread_pool_new(size_t size);

/* Creates a pool of size threads with room for capacity jobs in its queue.
 * Returns 0 and stores the pool, for thread_pool_destroy(); or, with nothing
 * stored and nothing left behind,
 *   EINVAL  size or capacity is 0
 *   ENOMEM  there is no memory
 *   EAGAIN  the system gives no more threads */
MUST_USE int thread_pool_build(ThreadPool **pool, size_t size, size_t capacity);

/* Has one of the threads call function(arg). Does not wait for it, but for
 * room in the queue. Returns 0; or an error, and then the call will not happen,
 * and arg is still the caller's:
 *   ECANCELED  thread_pool_destroy() has been called
 *   EDEADLK    there is no room, and the caller is a job of this pool: if all
 *              jobs waited for room, none would ever make any */
MUST_USE int thread_pool_execute(ThreadPool *pool, void (*function)(void *arg),
                                 void *arg);

/* The same without waiting. Returns 0, ECANCELED, or EAGAIN: no room. */
MUST_USE int thread_pool_try_execute(ThreadPool *pool,
                                     void (*function)(void *arg), void *arg);

/* Waits until all jobs have run and all threads have ended; frees the pool.
 * Meanwhile its jobs may still use it, but no other thread may be in one of
 * these functions, or call one. Aborts if the caller is a job of this pool: it
 * would wait for itself. */
void thread_pool_destroy(ThreadPool *pool);

#undef MUST_USE

#endif
