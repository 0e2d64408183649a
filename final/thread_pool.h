#ifndef THREAD_POOL_H
#define THREAD_POOL_H

#include <stddef.h>

/*
 * A fixed number of threads, the workers, that run the jobs handed to them,
 * and a queue with room for a fixed number of jobs that wait their turn.
 *
 * A job is a function and its argument. Jobs start in the order in which they
 * were handed over; with more than one worker they end in any order. What a
 * thread wrote before it handed over a job, the job sees; what the jobs
 * wrote, a thread sees that returns from thread_pool_wait() or _destroy().
 * No lock is held while a job runs: it may use the pool, as said below, and
 * any other. It must return: pthread_exit() and longjmp() out of it are
 * errors.
 *
 * Errors are returned as numbers of <errno.h>; errno itself is not set.
 * All functions may be called from any thread, jobs included; none from a
 * signal handler. Workers receive no signals, except those that report a
 * fault of their own (SIGSEGV and the like); on Linux they are named
 * worker-0, worker-1, … .
 * After fork() the child has no workers: there, the pool must not be used,
 * nor destroyed.
 */
typedef struct ThreadPool ThreadPool;

/* The queue's capacity in a pool of thread_pool_new(): 16 KiB of it. */
#define THREAD_POOL_CAPACITY 1024

/*
 * Creates a pool of size threads, at least one (an assertion), and a queue
 * for THREAD_POOL_CAPACITY jobs; or ends the program with a line on stderr.
 * Free it with thread_pool_destroy().
 */
ThreadPool *thread_pool_new(size_t size);

/*
 * The same for a program that must go on without: stores in *pool a pool of
 * size threads and a queue for capacity jobs. Returns
 *   0       success: free *pool with thread_pool_destroy()
 *   EINVAL  size or capacity is 0
 *   ENOMEM  no memory
 *   EAGAIN  the system gives no more threads
 * After an error nothing is left behind, and *pool is unchanged.
 */
int thread_pool_build(ThreadPool **pool, size_t size, size_t capacity);

/*
 * Has one of the workers call function(arg), once. Waits while the queue is
 * full, and then until it is half empty; does not wait for the job. Returns
 *   0          success: arg belongs to the job
 *   ECANCELED  thread_pool_destroy() was called, maybe while this waited
 *   EDEADLK    the queue is full and the caller is one of this pool's own
 *              jobs: if all of them waited for room, none would make any
 * After an error the job will not run, and arg is still the caller's.
 */
int thread_pool_execute(ThreadPool *pool, void (*function)(void *arg),
                        void *arg);

/* The same without waiting: returns 0, ECANCELED, or EAGAIN: queue full. */
int thread_pool_try_execute(ThreadPool *pool, void (*function)(void *arg),
                            void *arg);

/*
 * Waits until the pool is idle: nothing queued and nothing running, including
 * what jobs or other threads hand over in the meantime. Several threads may
 * wait at once. Returns
 *   0        success
 *   EDEADLK  the caller is one of this pool's own jobs: it would wait for
 *            itself
 */
int thread_pool_wait(ThreadPool *pool);

/*
 * Takes no more jobs, runs those in the queue, waits until all workers have
 * ended, and frees the pool. Jobs that still run may call the functions
 * above, and threads may still be waiting in them: those in
 * thread_pool_execute() get ECANCELED. Any other use of the pool from here
 * on is an error, and so is a second call. Returns
 *   0        success
 *   EDEADLK  the caller is one of this pool's own jobs: nothing was done
 */
int thread_pool_destroy(ThreadPool *pool);

#endif
