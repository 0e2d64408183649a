/*
 * What threads call, done by us: the mutexes, condition variables, semaphores
 * and threads of POSIX and C11, as the standards describe them, without a real
 * thread. The calls of the program under test are renamed, so that they come
 * here: pthread_mutex_lock is model_pthread_mutex_lock.
 */
#define _GNU_SOURCE
#include "explore.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <string.h>
#include <threads.h>
#include <time.h>

#define OBJECTS 1024

#define KEYS 8

static Object objects[OBJECTS];
static int object_count;
static const void *values[THREADS][KEYS]; /* of pthread_setspecific */
static unsigned key_count;

Object *objects_begin(int *count)
{
    *count = object_count;
    return objects;
}

void objects_reset(void)
{
    object_count = 0;
    key_count = 0;
    memset(values, 0, sizeof values);
}

static Object *new_object(const void *address, const char *type)
{
    if (object_count == OBJECTS)
        not_explored("more objects than there is room for");
    Object *object = &objects[object_count++];
    *object = (Object){
        .type = type, .address = address, .history = memory_name(address)};
    return object;
}

static Object *find(const void *address)
{
    for (int i = object_count; i-- > 0;)
        if (objects[i].address == address && !objects[i].gone)
            return &objects[i];
    return NULL;
}

/* Returns what is at an address. Unless it was initialised, it must be zero,
 * as PTHREAD_MUTEX_INITIALIZER and its like are. */
Object *object_at(const void *address, const char *type, const void *pc)
{
    Object *object = find(address);
    if (object != NULL && strcmp(object->type, type) == 0)
        return object;
    if (strcmp(type, "memory") == 0 || strcmp(type, "atomic") == 0
        || strcmp(type, "gate") == 0)
        return new_object(address, type);
    for (int i = 0; i < object_count; i++)
        if (objects[i].address == address && strcmp(objects[i].type, type) == 0)
            fail("destroyed", pc, "uses a %s that was destroyed", type);
    access_memory(address, 1, false, pc);
    const unsigned char *bytes = address;
    for (size_t i = 0; i < 16; i++)
        if (bytes[i] != 0)
            fail("not-initialised", pc, "uses a %s that was never initialised",
                 type);
    return new_object(address, type);
}

/* A use of an object that must be alive: its memory, too. */
static Object *use(const void *address, const char *type, const void *pc)
{
    access_memory(address, 1, false, pc);
    return object_at(address, type, pc);
}

static void initialise(const void *address, size_t size, const char *type,
                       const void *pc)
{
    access_memory(address, size, true, pc);
    memset((void *)address, 0, size);
    Object *old = find(address);
    if (old != NULL)
        old->gone = true;
    new_object(address, type);
}

bool held_by(const Thread *thread, const Object **mutex)
{
    for (int i = 0; i < object_count; i++)
        if (objects[i].owner == thread && !objects[i].gone) {
            *mutex = &objects[i];
            return true;
        }
    return false;
}

static Thread *waits_on(const Object *object)
{
    for (Thread *t = threads; t < threads + THREADS; t++)
        if (t->used && !t->done && t->action == WAKE && t->object == object
            && !t->signalled)
            return t;
    return NULL;
}

/* An object ends: nobody may hold it, or wait for it. */
static void finish_object(Object *object, const char *does, const void *pc)
{
    if (object->owner != NULL)
        fail("destroyed-locked", pc, "%s a %s that %s holds, since {%p}", does,
             object->type, object->owner->name, object->locked_at);
    Thread *waits = waits_on(object);
    if (waits != NULL)
        fail("destroyed-waited", pc, "%s a %s that %s waits on, at {%p}", does,
             object->type, waits->name, waits->pc);
    object->gone = true;
}

void objects_freed(const void *start, size_t size, const void *pc)
{
    for (int i = 0; i < object_count; i++)
        if (!objects[i].gone
            && (size_t)((const char *)objects[i].address - (const char *)start)
                   < size)
            finish_object(&objects[i], "frees", pc);
}

static int destroy(const void *address, size_t size, const char *type,
                   const void *pc)
{
    Object *object = use(address, type, pc);
    step(DESTROY, object, pc);
    access_memory(address, size, true, pc);
    if (object->gone)
        fail("destroyed", pc, "destroys a %s twice", type);
    finish_object(object, "destroys", pc);
    return 0;
}

/* What the one did before is known to the other from now on. */
void acquire(const Clock *clock)
{
    for (int i = 0; i < THREADS; i++)
        if (self->clock.at[i] < clock->at[i])
            self->clock.at[i] = clock->at[i];
}

void release(Clock *clock)
{
    for (int i = 0; i < THREADS; i++)
        if (clock->at[i] < self->clock.at[i])
            clock->at[i] = self->clock.at[i];
    self->clock.at[self->id]++;
}

/* --- mutexes --- */

static void take(Object *mutex, const void *pc)
{
    mutex->owner = self;
    mutex->depth++;
    mutex->locked_at = pc;
    acquire(&mutex->clock);
}

/* The memory of an object may go, or it be destroyed, while we wait for our
 * turn. */
static void still_there(const Object *object, const void *pc)
{
    access_memory(object->address, 1, false, pc);
    if (object->gone)
        fail("destroyed", pc, "uses a %s that was destroyed", object->type);
}

static int lock(void *address, bool timed, const void *pc)
{
    Object *mutex = use(address, "mutex", pc);
    if (mutex->owner == self && mutex->checks)
        return EDEADLK;
    self->timed = timed;
    step(LOCK, mutex, pc);
    if (self->outcome == TIMED_OUT)
        return ETIMEDOUT;
    still_there(mutex, pc);
    take(mutex, pc);
    return 0;
}

static int try_lock(void *address, const void *pc)
{
    Object *mutex = use(address, "mutex", pc);
    step(TRYLOCK, mutex, pc);
    still_there(mutex, pc);
    if (mutex->owner != NULL && !(mutex->owner == self && mutex->recursive)) {
        came_out(BUSY, mutex->owner->id);
        return EBUSY;
    }
    take(mutex, pc);
    return 0;
}

static void give_back(Object *mutex, const void *pc, const char *does)
{
    if (mutex->owner == NULL)
        fail("not-owner", pc, "%s a mutex that is not locked", does);
    if (mutex->owner != self)
        fail("not-owner", pc, "%s a mutex that %s has locked, at {%p}", does,
             mutex->owner->name, mutex->locked_at);
    if (--mutex->depth == 0)
        mutex->owner = NULL;
    release(&mutex->clock);
}

static int unlock(void *address, const void *pc)
{
    Object *mutex = use(address, "mutex", pc);
    step(UNLOCK, mutex, pc);
    still_there(mutex, pc);
    if (mutex->checks && mutex->owner != self)
        return EPERM;
    give_back(mutex, pc, "unlocks");
    return 0;
}

int model_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a)
{
    int type = PTHREAD_MUTEX_DEFAULT;
    if (a != NULL)
        pthread_mutexattr_gettype(a, &type);
    initialise(m, sizeof *m, "mutex", HERE);
    Object *mutex = find(m);
    mutex->recursive = type == PTHREAD_MUTEX_RECURSIVE;
    mutex->checks = type != PTHREAD_MUTEX_NORMAL && a != NULL;
    return 0;
}

int model_pthread_mutex_destroy(pthread_mutex_t *m)
{
    return destroy(m, sizeof *m, "mutex", HERE);
}

int model_pthread_mutex_lock(pthread_mutex_t *m)
{
    return lock(m, false, HERE);
}

int model_pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *t)
{
    (void)t;
    return lock(m, true, HERE);
}

int model_pthread_mutex_trylock(pthread_mutex_t *m)
{
    return try_lock(m, HERE);
}

int model_pthread_mutex_unlock(pthread_mutex_t *m)
{
    return unlock(m, HERE);
}

/* --- condition variables --- */

static int wait(void *address, void *mutex_address, bool timed, const void *pc)
{
    Object *condition = use(address, "condition variable", pc);
    Object *mutex = use(mutex_address, "mutex", pc);
    step(WAIT, condition, pc);
    still_there(condition, pc);
    still_there(mutex, pc);
    touch(mutex, WAIT);
    if (mutex->depth > 1)
        fail("not-owner", pc, "waits with a mutex that it has locked twice");
    give_back(mutex, pc, "waits with");
    for (Thread *t = threads; t < threads + THREADS; t++)
        if (t != self && t->used && !t->done && t->action == WAKE
            && t->object == condition && t->mutex != mutex)
            fail("two-mutexes", pc,
                 "waits with another mutex than %s, which "
                 "waits on the same condition variable at {%p}",
                 t->name, t->pc);

    self->mutex = mutex;
    self->signalled = false;
    self->timed = timed;
    static long arrivals;
    self->arrived = ++arrivals;
    step(WAKE, condition, pc);
    still_there(mutex, pc);
    touch(mutex, 2 * WAKE + (uint64_t)self->outcome);
    take(mutex, pc);
    return self->outcome == TIMED_OUT ? ETIMEDOUT : 0;
}

/* Wakes one of those who wait, any of them. Returns its id, or -1. */
static int wake_one(Object *condition)
{
    Thread *waiting[THREADS];
    int count = 0;
    for (Thread *t = threads; t < threads + THREADS; t++)
        if (t->used && !t->done && t->action == WAKE && t->object == condition
            && !t->signalled)
            waiting[count++] = t;
    if (count == 0)
        return -1;
    for (int i = 1; i < count; i++) /* who came first is tried first */
        for (int j = i; j > 0 && waiting[j]->arrived < waiting[j - 1]->arrived;
             j--) {
            Thread *other = waiting[j];
            waiting[j] = waiting[j - 1];
            waiting[j - 1] = other;
        }
    Thread *woken = waiting[choose(count)];
    woken->signalled = true;
    touch(condition, (uint64_t)woken->id + 1);
    return woken->id;
}

static int wake(void *address, Action action, const void *pc)
{
    Object *condition = use(address, "condition variable", pc);
    step(action, condition, pc);
    still_there(condition, pc);
    int woken = wake_one(condition);
    came_out(woken < 0 ? NOBODY_WAITED : USUAL, woken);
    while (action == BROADCAST && woken >= 0)
        woken = waits_on(condition) != NULL ? wake_one(condition) : -1;
    return 0;
}

int model_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *a)
{
    (void)a;
    initialise(c, sizeof *c, "condition variable", HERE);
    return 0;
}

int model_pthread_cond_destroy(pthread_cond_t *c)
{
    return destroy(c, sizeof *c, "condition variable", HERE);
}

int model_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    return wait(c, m, false, HERE);
}

int model_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                 const struct timespec *t)
{
    (void)t;
    return wait(c, m, true, HERE);
}

int model_pthread_cond_signal(pthread_cond_t *c)
{
    return wake(c, SIGNAL, HERE);
}

int model_pthread_cond_broadcast(pthread_cond_t *c)
{
    return wake(c, BROADCAST, HERE);
}

/* --- semaphores --- */

static int take_semaphore(sem_t *s, bool timed, bool tries, const void *pc)
{
    Object *semaphore = use(s, "semaphore", pc);
    self->timed = timed;
    if (tries)
        step(TRYLOCK, semaphore, pc);
    else
        step(TAKE, semaphore, pc);
    still_there(semaphore, pc);
    if (self->outcome == TIMED_OUT || semaphore->value == 0) {
        errno = tries ? EAGAIN : ETIMEDOUT;
        return -1;
    }
    semaphore->value--;
    acquire(&semaphore->clock);
    return 0;
}

int model_sem_init(sem_t *s, int shared, unsigned value)
{
    (void)shared;
    initialise(s, sizeof *s, "semaphore", HERE);
    find(s)->value = value;
    return 0;
}

int model_sem_destroy(sem_t *s)
{
    return destroy(s, sizeof *s, "semaphore", HERE);
}

int model_sem_wait(sem_t *s)
{
    return take_semaphore(s, false, false, HERE);
}

int model_sem_timedwait(sem_t *s, const struct timespec *t)
{
    (void)t;
    return take_semaphore(s, true, false, HERE);
}

int model_sem_trywait(sem_t *s)
{
    return take_semaphore(s, false, true, HERE);
}

int model_sem_post(sem_t *s)
{
    Object *semaphore = use(s, "semaphore", HERE);
    step(POST, semaphore, HERE);
    still_there(semaphore, HERE);
    release(&semaphore->clock);
    semaphore->value++;
    return 0;
}

int model_sem_getvalue(sem_t *s, int *value)
{
    Object *semaphore = use(s, "semaphore", HERE);
    step(TRYLOCK, semaphore, HERE);
    *value = (int)semaphore->value;
    return 0;
}

/* --- threads --- */

static int create(void *handle, size_t size, bool detached,
                  void *(*function)(void *), void *arg, const void *pc)
{
    step(CREATE, NULL, pc);
    Thread *thread = start(NULL, function, arg);
    thread->by_reader = true;
    thread->detached = detached;
    came_out(USUAL, thread->id);
    access_memory(handle, size, true, pc);
    *(unsigned long *)handle = (unsigned long)thread->id + 1;
    return 0;
}

static Thread *thread_of(unsigned long handle, const void *pc)
{
    if (handle == 0 || handle > THREADS || !threads[handle - 1].used)
        fail("no-thread", pc, "names a thread that does not exist");
    return &threads[handle - 1];
}

static int join(unsigned long handle, void **result, const void *pc)
{
    Thread *thread = thread_of(handle, pc);
    if (thread == self)
        return EDEADLK;
    self->other = thread;
    if (!thread->joined && !thread->detached)
        step(JOIN, NULL, pc);
    came_out(USUAL, thread->id);
    if (thread->joined)
        fail("joined-twice", pc, "joins %s, which was joined already",
             thread->name);
    if (thread->detached)
        fail("joined-detached", pc, "joins %s, which was detached",
             thread->name);
    thread->joined = true;
    self->history = mix(self->history, thread->history);
    acquire(&thread->clock);
    if (result != NULL)
        *result = thread->result;
    return 0;
}

static int detach(unsigned long handle, const void *pc)
{
    Thread *thread = thread_of(handle, pc);
    if (thread->joined || thread->detached)
        fail("detached-twice", pc, "detaches %s, which was %s already",
             thread->name, thread->joined ? "joined" : "detached");
    thread->detached = true;
    return 0;
}

int model_pthread_create(pthread_t *handle, const pthread_attr_t *attributes,
                         void *(*function)(void *), void *arg)
{
    int state = PTHREAD_CREATE_JOINABLE;
    if (attributes != NULL)
        pthread_attr_getdetachstate(attributes, &state);
    return create(handle, sizeof *handle, state == PTHREAD_CREATE_DETACHED,
                  function, arg, HERE);
}

int model_pthread_join(pthread_t handle, void **result)
{
    return join(handle, result, HERE);
}

int model_pthread_detach(pthread_t handle)
{
    return detach(handle, HERE);
}

void model_pthread_exit(void *result)
{
    end_thread(result);
}

pthread_t model_pthread_self(void)
{
    return (pthread_t)self->id + 1;
}

int model_pthread_equal(pthread_t one, pthread_t other)
{
    return one == other;
}

int model_pthread_once(pthread_once_t *control, void (*function)(void))
{
    Object *once = use(control, "once", HERE);
    step(ONCE, once, HERE);
    if (once->value == 0) {
        once->value = 1;
        once->owner = self;
        function();
        once->owner = NULL;
        release(&once->clock);
    }
    acquire(&once->clock);
    return 0;
}

/* --- what each thread has for itself --- */

int model_pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    if (destructor != NULL || key_count == KEYS)
        not_explored("pthread_key_create with a destructor, or many times");
    access_memory(key, sizeof *key, true, HERE);
    *key = key_count++;
    return 0;
}

int model_pthread_key_delete(pthread_key_t key)
{
    return key < key_count ? 0 : EINVAL;
}

int model_pthread_setspecific(pthread_key_t key, const void *value)
{
    if (key >= key_count)
        return EINVAL;
    values[self->id][key] = value;
    return 0;
}

void *model_pthread_getspecific(pthread_key_t key)
{
    return key < key_count ? (void *)values[self->id][key] : NULL;
}

/* --- the same in C11: only what they return for busy and so on differs --- */

#define SAME(name, other)                                                      \
    int model_##name(void) __attribute__((alias("model_" #other)))

static int c11(int error)
{
    return error == 0           ? thrd_success
           : error == EBUSY     ? thrd_busy
           : error == ETIMEDOUT ? thrd_timedout
                                : thrd_error;
}

SAME(mtx_lock, pthread_mutex_lock);
SAME(mtx_unlock, pthread_mutex_unlock);
SAME(mtx_destroy, pthread_mutex_destroy);
SAME(cnd_init, pthread_cond_init);
SAME(cnd_destroy, pthread_cond_destroy);
SAME(cnd_wait, pthread_cond_wait);
SAME(cnd_signal, pthread_cond_signal);
SAME(cnd_broadcast, pthread_cond_broadcast);
SAME(thrd_current, pthread_self);
SAME(thrd_equal, pthread_equal);
SAME(thrd_detach, pthread_detach);

int model_mtx_init(mtx_t *m, int type)
{
    initialise(m, sizeof *m, "mutex", HERE);
    find(m)->recursive = (type & mtx_recursive) != 0;
    return thrd_success;
}

int model_mtx_timedlock(mtx_t *m, const struct timespec *t)
{
    (void)t;
    return c11(lock(m, true, HERE));
}

int model_mtx_trylock(mtx_t *m)
{
    return c11(try_lock(m, HERE));
}

int model_cnd_timedwait(cnd_t *c, mtx_t *m, const struct timespec *t)
{
    (void)t;
    return c11(wait(c, m, true, HERE));
}

/* A thread of C11 returns an int: in the same register as a pointer. */
int model_thrd_create(thrd_t *handle, thrd_start_t function, void *arg)
{
    return c11(create(handle, sizeof *handle, false,
                      (void *(*)(void *))(void (*)(void))function, arg, HERE));
}

int model_thrd_join(thrd_t handle, int *result)
{
    void *value;
    int error = join(handle, &value, HERE);
    if (error == 0 && result != NULL)
        *result = (int)(intptr_t)value;
    return c11(error);
}

void model_thrd_exit(int result)
{
    end_thread((void *)(intptr_t)result);
}

/* --- time: others go first, or, as a surprise, it has passed already --- */

static int pause_for_others(Action action, const void *pc)
{
    step(action, NULL, pc);
    return 0;
}

int model_sched_yield(void)
{
    return pause_for_others(YIELD, HERE);
}

unsigned model_sleep(unsigned seconds)
{
    (void)seconds;
    return (unsigned)pause_for_others(SLEEP, HERE);
}

SAME(thrd_yield, sched_yield);
SAME(usleep, sleep);
SAME(nanosleep, sleep);
SAME(thrd_sleep, sleep);

/* --- the end of the program --- */

void model_exit(int status)
{
    fail("exit", HERE, "ends the program, with status %d", status);
}

SAME(_exit, exit);
SAME(_Exit, exit);

void model_abort(void)
{
    fail("abort", HERE, "ends the program: abort()");
}

void model___assert_fail(const char *condition, const char *file, unsigned line,
                         const char *function)
{
    (void)file, (void)line, (void)function;
    fail("assert", HERE, "assert(%s) fails", condition);
}
