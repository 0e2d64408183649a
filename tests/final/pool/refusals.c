/* What cannot be built. */

#include "help.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>

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
        submit(pool, count_job, &ran);
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
