/*
 * Linked to the program under test with --wrap=pthread_create: the call whose
 * number, from 1, is in FAIL_PTHREAD_CREATE fails as if there were too many
 * threads. All others go through.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg)
{
    static int calls; /* only the main thread creates threads here */
    const char *failing = getenv("FAIL_PTHREAD_CREATE");
    if (failing != NULL && atoi(failing) == ++calls)
        return EAGAIN;
    return __real_pthread_create(thread, attributes, start, arg);
}
