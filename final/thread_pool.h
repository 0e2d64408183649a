#ifndef THREAD_POOL_H
#define THREAD_POOL_H

#include <stddef.h>

/*
 * A fixed number of threads, the workers, that run the jobs handed to them,
 * and a queue with room for a fixed number of jobs (16 bytes each).
 *
 * Jobs start in the order in which they came. A job sees what was written
 * before it was handed over; what it writes is seen after thread_pool_wait()
 * or thread_pool_destroy(). No lock is held while it runs: it may use this
 * pool, as said below, and any other. It must return (no pthread_exit()).
 *
 * Any thread may call these functions, jobs included, but no signal handler.
 * Errors are returned, not stored in errno. Workers receive no signals but
 * SIGSEGV and its like; on Linux their names are worker-0, worker-1, …
 * After fork() the child has no workers: there, do not touch the pool.
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
int thread_pool_build(ThreadPool **pool, size_t size, size_t capacity);

/* Has one of the threads call function(arg). Does not wait for it, but for
 * room: if the queue is full, until it is half empty. Returns 0; or an error,
 * and then the call will not happen, and arg is still the caller's:
 *   ECANCELED  thread_pool_destroy() was called, if only during the wait
 *   EDEADLK    the queue is full and the caller is a job of this pool: if all
 *              jobs waited for room, none would ever make any */
int thread_pool_execute(ThreadPool *pool, void (*function)(void *arg),
                        void *arg);

/* The same without waiting. Returns 0, ECANCELED, or EAGAIN: no room. (Jobs
 * that start give their room back several at a time, at most half of it.) */
int thread_pool_try_execute(ThreadPool *pool, void (*function)(void *arg),
                            void *arg);

/* Waits until no job is queued or running, whoever handed it over. Returns 0,
 * or EDEADLK if the caller is a job of this pool: it would wait for itself. */
int thread_pool_wait(ThreadPool *pool);

/* Waits until all jobs have run and all threads have ended; frees the pool.
 * Meanwhile jobs may still use it, and threads that wait in a function above
 * still return from it; nothing else may touch it any more. Returns 0; or
 * EDEADLK if the caller is a job of this pool, and then nothing happens. */
int thread_pool_destroy(ThreadPool *pool);

#endif
