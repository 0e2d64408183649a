/* Watches mutexes, condition variables and threads: see watch.h. */

#define _GNU_SOURCE
#include "watch.h"

#include "table.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* Declares a wrapped function, and the one that it wraps. */
#define WRAP(type, name, ...)                                                  \
    type __real_##name(__VA_ARGS__);                                           \
    type __wrap_##name(__VA_ARGS__);                                           \
    type __wrap_##name(__VA_ARGS__)

int __real_close(int descriptor);
int __real_fclose(FILE *file);
int __real_nanosleep(const struct timespec *length, struct timespec *rest);
int __real_pthread_create(pthread_t *id, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg);

Table *table;
static _Thread_local Thread *self;
static _Thread_local bool dawdling;
static _Thread_local int calls; /* that it is in: one, or a handler's, too */
static _Thread_local uintptr_t stack_top; /* frames lie below */
static pthread_key_t at_the_end;
static atomic_flag busy = ATOMIC_FLAG_INIT; /* guards what is rarely changed */

/* The entries of objects that are in use. One stays that of its address. */
static _Atomic(Object *) places[OBJECTS];
static atomic_int used_objects;

static void enter(void)
{
    while (atomic_flag_test_and_set(&busy))
        ;
}

static void leave(void)
{
    atomic_flag_clear(&busy);
}

static void rest(long milliseconds)
{
    __real_nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000},
                     NULL);
}

/* --- records ------------------------------------------------------------- */

const char *watch_name(const Thread *thread, Name *name)
{
    if (thread == NULL)
        snprintf(name->text, sizeof name->text, "another thread");
    else
        snprintf(name->text, sizeof name->text, "{thread:%lu:%lu}",
                 thread->flags, thread->shown);
    return name->text;
}

static void say(char mark, const char *format, va_list args)
{
    char text[2048];
    int length = vsnprintf(text, sizeof text - 1, format, args);
    if (length >= (int)sizeof text - 1)
        length = sizeof text - 2;
    text[length++] = mark;
    uint64_t place = table->said_length;
    enter();
    if (place + (uint64_t)length < sizeof table->said) {
        memcpy(table->said + place, text, (size_t)length);
        table->said_length += (uint64_t)length;
    }
    leave();
    text[length - 1] = '\n';
    if (getenv("WATCH") == NULL && mark == 1
        && write(STDERR_FILENO, text, (size_t)length) == -1)
        return;
}

void watch_finding(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(1, format, args);
    va_end(args);
    abort();
}

void watch_hint(const char *format, ...)
{
    va_list args;
    if (table->said_length > sizeof table->said / 2)
        return; /* it has been said often enough */
    va_start(args, format);
    say(2, format, args);
    va_end(args);
}

/* --- crashes ------------------------------------------------------------- */

enum { FRAMES = 32 };

/* Which address was to be executed, and where the stack was. */
static void registers(const ucontext_t *context, void **at, void ***stack)
{
#ifdef __x86_64__
    *at = (void *)context->uc_mcontext.gregs[REG_RIP];
    *stack = (void **)context->uc_mcontext.gregs[REG_RSP];
#else
    (void)context, (void)at, (void)stack;
#endif
}

void watch_crashed(const siginfo_t *info, const void *context)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    void *frames[FRAMES], *at = NULL, **stack = NULL;
    char places[FRAMES * 32];
    size_t length = 0;
    if (table == NULL || atomic_flag_test_and_set(&told))
        return;
    registers(context, &at, &stack);
    int number = backtrace(frames, FRAMES - 1);
    if (stack != NULL
        && info->si_addr == at) /* it called what is no function */
        frames[number++] = *stack;
    /* The last one that is in the reader's files counts: the innermost. */
    for (int i = number; i-- > 0;)
        length += (size_t)snprintf(
            places + length, sizeof places - length, "source: {line:%lx}\n",
            (uint64_t)frames[i] - table->base + (frames[i] == at));
    const char *got = "";
    if (info->si_signo == SIGABRT)
        got = "got: it was aborted: free() got what malloc() had not returned, "
              "or what had been freed, or an assert() failed\n"
              "cause: memory is freed once, by its owner; too little was "
              "allocated; or what an assert() demands does not hold";
    else if (info->si_code == SI_KERNEL) /* no address at all, says the CPU */
        got = "got: it crashed: a pointer is followed that was never set, or "
              "means nothing any more\n"
              "cause: it stands in memory that was never set (malloc leaves "
              "that as it was, calloc clears it), or that has been freed and "
              "is still in use";
    else if (info->si_code > 0 && at == NULL)
        got = "got: it crashed: a function is called whose address is NULL\n"
              "cause: a job is run that nobody has pushed, or that was lost on "
              "its way";
    else if (info->si_code > 0 && (uint64_t)info->si_addr < 4096)
        got = "got: it crashed: a pointer that is NULL is followed\n"
              "cause: nothing is stored there yet, the list is empty, what a "
              "function returned is not looked at (malloc, fopen, strchr), or "
              "another thread came between the look and the use";
    else if (info->si_signo == SIGSEGV || info->si_signo == SIGBUS)
        got = "got: it crashed: an address is used that is not, or no longer, "
              "valid\n"
              "cause: memory was freed before its last use, too little was "
              "allocated, an index is beyond the end, or the address is that "
              "of a local variable that is gone";
    watch_hint("key: crashed\n%s%s", places, got);
}

/* --- threads ------------------------------------------------------------- */

/* The end of the places for threads that are in use. */
static Thread *last_thread(void)
{
    return table->threads + table->used_threads;
}

/* Returns a place in the table for a thread, or NULL. Call between enter and
 * leave. */
static Thread *new_thread(uint64_t flags)
{
    static unsigned next; /* in turn: what has ended is kept for a while */
    for (unsigned i = 0; i <= table->used_threads; i++) {
        Thread *thread = &table->threads[next++ % table->used_threads];
        if (thread->state == FREE
            || (thread->state == ENDED && !(thread->flags & IN_CREATE)
                && thread->flags & (DETACHED | JOINED | OF_THE_TEST))) {
            memset((void *)thread, 0, sizeof *thread);
            thread->flags = flags;
            thread->state = BEGINS;
            return thread;
        }
    }
    if (table->used_threads < THREADS) { /* more are free than are looked at */
        next = (unsigned)table->used_threads;
        table->used_threads *= 2;
        return new_thread(flags);
    }
    table->missed++;
    return NULL;
}

/* A new thread has this id: those that had it before are forgotten. Both the
 * thread and who creates it say so, whoever is first. */
static void takes_id(Thread *thread, pthread_t id)
{
    enter();
    if (thread->state == BEGINS) {
        for (Thread *old = table->threads; old < last_thread(); old++)
            if (old != thread && old->id == (uint64_t)id)
                old->id = 0;
        thread->id = (uint64_t)id;
        thread->state = LIVES;
    }
    leave();
}

/* Returns the end of the calling thread's stack, or NULL. */
static char *top_of_my_stack(void)
{
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return NULL;
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    return (char *)low + size;
}

Thread *watch_self(void)
{
    if (self == NULL && table != NULL) { /* a thread of the test's own */
        enter();
        self = new_thread(OF_THE_TEST);
        leave();
        if (self != NULL) {
            stack_top = (uintptr_t)top_of_my_stack();
            takes_id(self, pthread_self());
            pthread_setspecific(at_the_end, self);
        }
    }
    return self;
}

static Thread *thread_of(pthread_t id)
{
    for (Thread *thread = table->threads; thread < last_thread(); thread++)
        if (thread->state != FREE && thread->id == (uint64_t)id)
            return thread;
    return NULL;
}

static uint64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void watch_begin(uint64_t kind, const void *object, const void *with,
                 const void *line)
{
    if (watch_self() == NULL || calls++ > 0) /* in a signal's handler */
        return;
    if (kind == A_CALL) {
        uint64_t name[2] = {0, 0}; /* for those who see the table only */
        memcpy(name, with, strnlen(with, sizeof name));
        self->object = name[0];
        self->with = name[1];
    } else {
        self->object = (uint64_t)object;
        self->with = (uint64_t)with;
    }
    self->line = (uint64_t)line;
    if (kind != A_MUTEX) /* which is quick, most of the time */
        self->since = nanoseconds();
    self->waits = kind;
}

void watch_end(void)
{
    if (self != NULL && --calls == 0)
        self->waits = NOTHING;
}

/* Whether an address is that of a frame above the given one; where a function
 * was compiled without frames it is anything. */
static bool is_frame(const uintptr_t *address, const uintptr_t *below)
{
    return address > below && (uintptr_t)address % sizeof *address == 0
           && (uintptr_t)(address + 2) <= stack_top;
}

/* Whether the function that locked the mutex has not returned yet. */
static bool is_active(const Object *mutex)
{
    const uintptr_t *frame = __builtin_frame_address(0);
    for (int i = 0; i < 64; i++) {
        const uintptr_t *next = (const uintptr_t *)*frame;
        if (!is_frame(next, frame))
            return false;
        if ((uint64_t)next == mutex->frame)
            return next[1] == mutex->back;
        if ((uint64_t)next > mutex->frame)
            return false;
        frame = next;
    }
    return false;
}

static Object *held_by(const Thread *thread)
{
    for (int i = 0; i < used_objects; i++)
        if (places[i] != NULL
            && places[i]->owner == (uint64_t)(thread - table->threads) + 1)
            return places[i];
    return NULL;
}

static void check_stay(const Thread *thread)
{
    Name name;
    if (thread->flags & (OF_THE_TEST | DETACHED) || table->ending)
        return;
    if ((int64_t)table->stay == -1
        || (table->listening && table->accepted < table->stay))
        watch_finding(
            "key: worker-ended\n"
            "did: the program was running, and none of its workers may end\n"
            "got: %s has ended: its function {function:%lx} returned\n"
            "cause: the worker's loop ends, or is left, too early: after each "
            "job, whatever came of it, or of a printf, a worker takes the next "
            "one\n"
            "read: The worker's loop | Waiting without running\n"
            "source: {start:%lx}",
            watch_name(thread, &name), AT(thread->function),
            AT(thread->function));
}

/* Threads that have ended, and were neither joined nor detached so far. */
static _Atomic(int) lost;

/* Called at the end of each thread, however it ends. */
static void thread_ends(void *arg)
{
    Thread *thread = arg;
    Object *mutex = NULL;
    Name name;
    self = thread;
    thread->waits = NOTHING;
    if (thread->held > 0)
        mutex = held_by(thread);
    if (mutex != NULL)
        watch_finding(
            "key: ended-locked\n"
            "did: a thread ended\n"
            "expected: it has unlocked what it has locked\n"
            "got: %s has ended with {mutex:%lx} locked (in {line:%lx}): nobody "
            "can lock it any more\n"
            "cause: on one way out of {function:%lx} there is no unlock\n"
            "read: One at a time\n"
            "source: {line:%lx}",
            watch_name(thread, &name), AT(mutex->locked), AT(mutex->locked),
            AT(mutex->locked), AT(mutex->locked));
    check_stay(thread);
    thread->state = ENDED;
    self = NULL;
    table->ended += thread->created != 0;
    if (!(thread->flags & (DETACHED | JOINED | OF_THE_TEST)) && ++lost == 16)
        watch_hint("key: not-detached\n"
                   "did: threads ended\n"
                   "expected: each is joined once, or detached\n"
                   "got: 16 threads that were created in {line:%lx} have "
                   "ended, and nobody has joined them\n"
                   "cause: the memory of a thread that is neither joined nor "
                   "detached is never given back\n"
                   "read: Pass the value\n"
                   "source: {line:%lx}",
                   AT(thread->created), AT(thread->created));
}

static void *begin(void *arg)
{
    self = arg;
    stack_top = (uintptr_t)__builtin_frame_address(0);
    takes_id(self, pthread_self());
    pthread_setspecific(at_the_end, self);
    if (getenv("LATE_THREADS") != NULL && *getenv("LATE_THREADS"))
        rest(300);
    return ((void *(*)(void *))self->function)((void *)self->arg);
}

int watch_start(pthread_t *id, void *(*function)(void *), void *arg)
{
    enter();
    Thread *thread = new_thread(OF_THE_TEST | IN_CREATE);
    leave();
    if (thread == NULL)
        return EAGAIN;
    thread->function = (uint64_t)function;
    thread->arg = (uint64_t)arg;
    int error = __real_pthread_create(id, NULL, begin, thread);
    if (error != 0)
        thread->state = FREE;
    else
        takes_id(thread, *id);
    thread->flags &= ~(uint64_t)IN_CREATE;
    return error;
}

WRAP(int, pthread_create, pthread_t *id, const pthread_attr_t *attributes,
     void *(*start)(void *), void *arg)
{
    static atomic_int calls;
    const char *failing = getenv("FAIL_PTHREAD_CREATE");
    if (getenv("SLOW_START") != NULL && *getenv("SLOW_START"))
        rest(200);
    if (failing != NULL && *failing && atoi(failing) == ++calls)
        return EAGAIN;
    if (watch_self() == NULL)
        return __real_pthread_create(id, attributes, start, arg);
    if (table->stay != 0 && table->accepted > 0)
        watch_finding(
            "key: thread-per-job\n"
            "did: connections were accepted, and jobs run\n"
            "expected: the pool's threads are created once, by "
            "thread_pool_new\n"
            "got: another thread is created, in {line:%lx}\n"
            "cause: a job goes to the threads that there are, through "
            "the queue; it gets none of its own\n"
            "read: Execute | A thread that waits for work\n"
            "source: {line:%lx}",
            AT(HERE), AT(HERE));
    table->created++;
    table->on_the_stack +=
        (uintptr_t)arg > (uintptr_t)__builtin_frame_address(0)
        && (uintptr_t)arg < stack_top;
    int state = PTHREAD_CREATE_JOINABLE;
    if (attributes != NULL)
        pthread_attr_getdetachstate(attributes, &state);
    enter();
    Thread *thread =
        new_thread(IN_CREATE | (state == PTHREAD_CREATE_DETACHED ? DETACHED : 0)
                   | (table->accepted > 0 ? OF_A_CONNECTION : 0));
    leave();
    if (thread == NULL)
        return __real_pthread_create(id, attributes, start, arg);
    if (table->created == table->joined + 1) /* a new pool, after the last */
        table->shown = 0;
    thread->shown = table->shown++;
    thread->number = table->numbered++;
    thread->function = (uint64_t)start;
    thread->arg = (uint64_t)arg;
    thread->id_at = (uint64_t)id;
    thread->created = (uint64_t)HERE;
    int error = __real_pthread_create(id, attributes, begin, thread);
    if (error != 0) {
        table->created--;
        thread->state = FREE;
    } else {
        takes_id(thread, *id);
    }
    thread->flags &= ~(uint64_t)IN_CREATE;
    return error;
}

/* What is wrong with a thread that is joined or detached, again. */
static void check_thread(const Thread *thread, const char *does,
                         const void *line)
{
    Name name;
    if (thread == self)
        watch_finding(
            "key: joins-itself\n"
            "did: a thread was %s\n"
            "got: %s waits for its own end, in {line:%lx}\n"
            "read: Waiting for the workers | A thread that waits for work\n"
            "source: {line:%lx}",
            does, watch_name(thread, &name), AT(line), AT(line));
    else if (thread->flags & JOINED)
        watch_finding(
            "key: joined-twice\n"
            "did: a thread was %s in {line:%lx}\n"
            "expected: each thread is joined once\n"
            "got: %s has been joined before, in {line:%lx}\n"
            "cause: after pthread_join its number means nothing: the "
            "program may crash, or wait for somebody else\n"
            "read: Waiting for the workers | A thread that waits for work\n"
            "source: {line:%lx}",
            does, AT(line), watch_name(thread, &name), AT(thread->joined),
            AT(line));
    else if (thread->flags & DETACHED)
        watch_finding("key: joined-and-detached\n"
                      "did: a thread was %s in {line:%lx}\n"
                      "expected: each thread is either joined or detached\n"
                      "got: %s is detached: it can neither be joined nor "
                      "detached any more\n"
                      "read: Pass the value\n"
                      "source: {line:%lx}",
                      does, AT(line), watch_name(thread, &name), AT(line));
}

WRAP(int, pthread_join, pthread_t id, void **result)
{
    if (watch_self() == NULL)
        return __real_pthread_join(id, result);
    Thread *thread = thread_of(id);
    if (thread != NULL && !(thread->flags & OF_THE_TEST)) {
        check_thread(thread, "joined", HERE);
        thread->joined = (uint64_t)HERE;
    }
    watch_begin(A_THREAD,
                (void *)(thread != NULL ? thread - table->threads : -1), NULL,
                HERE);
    int error = __real_pthread_join(id, result);
    watch_end();
    if (error == 0) {
        if (thread != NULL)
            thread->flags |= JOINED;
        if (thread != NULL && !(thread->flags & OF_THE_TEST)) {
            table->joined++;
            lost--; /* it has ended, and was counted there */
        }
    }
    return error;
}

WRAP(int, pthread_detach, pthread_t id)
{
    Thread *thread = table != NULL ? thread_of(id) : NULL;
    if (thread != NULL && !(thread->flags & OF_THE_TEST)) {
        if (thread != watch_self() || thread->flags & (JOINED | DETACHED))
            check_thread(thread, "detached", HERE);
        lost -= thread->state == ENDED && !(thread->flags & DETACHED);
        thread->flags |= DETACHED;
    }
    return __real_pthread_detach(id);
}

/* --- mutexes and condition variables ------------------------------------- */

/* Returns the entry of an address, an unknown one at first; or NULL. */
static Object *object_at(const void *address)
{
    uint64_t hash = (uint64_t)address / 8 * 0x9e3779b97f4a7c15;
    for (unsigned i = 0; i < 32; i++) {
        Object *object = &table->objects[((hash >> 40) + i) & (OBJECTS - 1)];
        uint64_t none = 0;
        if (object->address == (uint64_t)address)
            return object;
        if (atomic_compare_exchange_strong(&object->address, &none,
                                           (uint64_t)address)) {
            places[used_objects++] = object;
            return object;
        }
        if (none == (uint64_t)address) /* another thread was faster */
            return object;
    }
    table->missed++;
    return NULL;
}

static const char *type_of(const Object *object)
{
    return object->kind == MUTEX ? "mutex" : "condition variable";
}

static size_t size_of(const Object *object)
{
    return object->kind == MUTEX ? sizeof(pthread_mutex_t)
                                 : sizeof(pthread_cond_t);
}

/* It is new: what was known of its address is forgotten. */
static void reset(Object *object, uint64_t kind)
{
    object->owner = object->depth = object->mutex = 0;
    object->waiters = 0;
    object->locked = object->unlocked = object->gone = 0;
    object->state = ALIVE;
    object->kind = kind;
}

/* Whether the bytes are those that were left when it was destroyed: has not
 * been initialised anew by an assignment. */
static bool is_still_gone(const Object *object, const void *address)
{
    uint64_t bytes[6] = {0}, any = 0;
    memcpy(bytes, address, size_of(object));
    for (int i = 0; i < 6; i++) {
        any |= bytes[i];
        if (bytes[i] != object->rest[i])
            return false;
    }
    return any != 0; /* zeros are what the initialisers are */
}

/* Whether its bytes are those of an initialiser; kind is the type of mutex. */
static bool is_initialiser(const void *address, uint64_t kind)
{
    uint32_t words[12] = {0};
    memcpy(words, address,
           kind == MUTEX ? sizeof(pthread_mutex_t) : sizeof(pthread_cond_t));
    for (int i = 0; i < 12; i++)
        if (words[i] != 0 && !(kind == MUTEX && i == 4 && words[i] < 4))
            return false;
    return true;
}

/* How tell.py finds its name in a line. */
static const char *mark_of(uint64_t kind)
{
    return kind == MUTEX ? "mutex" : "name";
}

static void used_after(const Object *object, const char *what, const void *line)
{
    Name name;
    watch_finding("key: destroyed-too-early\n"
                  "did: a %s was used in {line:%lx}\n"
                  "got: {%s:%lx} was %s before, in {line:%lx}, and %s still "
                  "uses it\n"
                  "cause: it is %s before all threads that use it have ended "
                  "(are they joined first?), or it is %s twice\n"
                  "read: Listing 8-3\n"
                  "source: {line:%lx}",
                  type_of(object), AT(line), mark_of(object->kind), AT(line),
                  what, AT(object->gone), watch_name(self, &name), what, what,
                  AT(object->gone));
}

/* Returns the entry of what is used in a line, once it is known to be there. */
static Object *use(const void *address, uint64_t kind, const void *line)
{
    if (watch_self() == NULL)
        return NULL;
    Object *object = object_at(address);
    if (object == NULL)
        return NULL;
    if (object->kind == UNKNOWN || object->state == FREED) {
        bool fine = is_initialiser(address, kind) || table->missed > 0;
        if (!fine && object->state == FREED)
            used_after(object, "freed", line);
        reset(object, kind);
        if (!fine)
            watch_finding("key: not-initialised\n"
                          "did: a %s was used in {line:%lx}\n"
                          "expected: it has been initialised: by %s_init, or "
                          "by %s\n"
                          "got: {%s:%lx} has not\n"
                          "cause: the call is missing, or this is a copy: what "
                          "threads meet at is never copied, but used by its "
                          "address\n"
                          "read: One at a time\n"
                          "source: {line:%lx}",
                          type_of(object), AT(line),
                          kind == MUTEX ? "pthread_mutex" : "pthread_cond",
                          kind == MUTEX ? "PTHREAD_MUTEX_INITIALIZER"
                                        : "PTHREAD_COND_INITIALIZER",
                          mark_of(kind), AT(line), AT(line));
        return object;
    }
    if (object->kind != kind) { /* other memory by now */
        reset(object, kind);
        return object;
    }
    if (object->state == DESTROYED) {
        if (is_still_gone(object, address))
            used_after(object, "destroyed", line);
        reset(object, kind);
    }
    return object;
}

static Thread *owner_of(const Object *mutex)
{
    return mutex->owner == 0 || mutex->owner == ANYBODY
               ? NULL
               : &table->threads[mutex->owner - 1];
}

static bool is_mine(const Object *mutex)
{
    return self != NULL
           && mutex->owner == (uint64_t)(self - table->threads) + 1;
}

/* 0: a plain mutex, 1: recursive, 2: one that checks for errors itself */
static int mutex_type(const pthread_mutex_t *mutex)
{
#ifdef __GLIBC__
    return mutex->__data.__kind & 3;
#else
    (void)mutex;
    return 0;
#endif
}

/* The calling thread has locked the mutex, in a line of the function whose
 * frame is given. */
static void got(Object *mutex, const void *line, const uintptr_t *frame)
{
    if (mutex == NULL)
        return;
    if (is_mine(mutex)) { /* a recursive one */
        mutex->depth++;
        return;
    }
    mutex->owner = (uint64_t)(self - table->threads) + 1;
    mutex->locked = (uint64_t)line;
    const uintptr_t *callers = (const uintptr_t *)*frame;
    mutex->frame = (uint64_t)callers;
    mutex->back = is_frame(callers, frame) ? callers[1] : 0;
    self->held++;
}

/* The calling thread is about to unlock the mutex, in a line. */
static void gives_up(Object *mutex, const void *line)
{
    if (mutex == NULL)
        return;
    if (is_mine(mutex) && mutex->depth > 0) {
        mutex->depth--;
        return;
    }
    if (is_mine(mutex))
        self->held--;
    mutex->unlocked = (uint64_t)line;
    mutex->owner = 0;
}

static void check_not_mine(const pthread_mutex_t *address, const Object *mutex,
                           const void *line)
{
    Name name;
    if (mutex == NULL || !is_mine(mutex) || mutex_type(address) != 0)
        return;
    if (is_active(mutex))
        watch_finding(
            "key: locked-twice\n"
            "did: a mutex was locked in {line:%lx}\n"
            "got: %s has locked {mutex:%lx} already, in {line:%lx}: it would "
            "wait for itself, for ever\n"
            "cause: on the way from the one line to the other there is no "
            "unlock\n"
            "read: One at a time\n"
            "source: {line:%lx}",
            AT(line), watch_name(self, &name), AT(mutex->locked),
            AT(mutex->locked), AT(line));
    else
        watch_finding(
            "key: returned-locked\n"
            "did: a mutex was locked in {line:%lx}\n"
            "got: {function:%lx} returned with {mutex:%lx} locked (locked in "
            "{line:%lx}); now %s wants to lock it, and would wait for itself, "
            "for ever\n"
            "cause: on one way out of {function:%lx} there is no unlock\n"
            "read: One at a time\n"
            "source: {line:%lx}",
            AT(line), AT(mutex->locked), AT(mutex->locked), AT(mutex->locked),
            watch_name(self, &name), AT(mutex->locked), AT(mutex->locked));
}

WRAP(int, pthread_mutex_init, pthread_mutex_t *address,
     const pthread_mutexattr_t *attributes)
{
    Object *mutex = watch_self() != NULL ? object_at(address) : NULL;
    Name name;
    if (mutex != NULL && mutex->kind == MUTEX && mutex->state == ALIVE
        && owner_of(mutex) != NULL)
        watch_finding(
            "key: initialised-twice\n"
            "did: a mutex was initialised in {line:%lx}\n"
            "got: it is in use: %s has locked it, in {line:%lx}\n"
            "cause: a mutex is initialised once, before any thread uses it\n"
            "read: One at a time\n"
            "source: {line:%lx}",
            AT(HERE), watch_name(owner_of(mutex), &name), AT(mutex->locked),
            AT(HERE));
    if (mutex != NULL)
        reset(mutex, MUTEX);
    return __real_pthread_mutex_init(address, attributes);
}

WRAP(int, pthread_mutex_lock, pthread_mutex_t *address)
{
    Object *mutex = use(address, MUTEX, HERE);
    check_not_mine(address, mutex, HERE);
    if (dawdling)
        rest(50);
    watch_begin(A_MUTEX, address, NULL, HERE);
    int error = __real_pthread_mutex_lock(address);
    watch_end();
    if (error == 0)
        got(mutex, HERE, __builtin_frame_address(0));
    return error;
}

WRAP(int, pthread_mutex_trylock, pthread_mutex_t *address)
{
    Object *mutex = use(address, MUTEX, HERE);
    int error = __real_pthread_mutex_trylock(address);
    if (error == 0)
        got(mutex, HERE, __builtin_frame_address(0));
    return error;
}

WRAP(int, pthread_mutex_timedlock, pthread_mutex_t *address,
     const struct timespec *until)
{
    Object *mutex = use(address, MUTEX, HERE);
    watch_begin(A_MUTEX, address, NULL, HERE);
    int error = __real_pthread_mutex_timedlock(address, until);
    watch_end();
    if (error == 0)
        got(mutex, HERE, __builtin_frame_address(0));
    return error;
}

static void not_locked(const Object *mutex, const void *line)
{
    char before[80] = "";
    if (mutex->unlocked != 0)
        snprintf(before, sizeof before,
                 " any more: it was unlocked in {line:%lx}",
                 AT(mutex->unlocked));
    watch_finding("key: unlocked-unlocked\n"
                  "did: a mutex was unlocked in {line:%lx}\n"
                  "got: {mutex:%lx} was not locked%s\n"
                  "cause: on one way to this line there is no lock, or an "
                  "unlock before it\n"
                  "read: One at a time\n"
                  "source: {line:%lx}",
                  AT(line), AT(line), before, AT(line));
}

WRAP(int, pthread_mutex_unlock, pthread_mutex_t *address)
{
    Object *mutex = use(address, MUTEX, HERE);
    Name name, other;
    if (mutex != NULL && mutex->owner == 0)
        not_locked(mutex, HERE);
    if (mutex != NULL && owner_of(mutex) != NULL && !is_mine(mutex))
        watch_finding(
            "key: unlocked-by-another\n"
            "did: a mutex was unlocked in {line:%lx}\n"
            "got: %s unlocks {mutex:%lx}, which it has not locked: %s has, in "
            "{line:%lx}\n"
            "cause: only the thread that has locked a mutex may unlock it; on "
            "one way to this line there is no lock\n"
            "read: One at a time\n"
            "source: {line:%lx}",
            AT(HERE), watch_name(self, &name), AT(HERE),
            watch_name(owner_of(mutex), &other), AT(mutex->locked), AT(HERE));
    gives_up(mutex, HERE);
    return __real_pthread_mutex_unlock(address);
}

static int waiting(const Object *condition)
{
    uint64_t both = condition->waiters;
    return (int)((both & UINT32_MAX) - (both >> 32));
}

/* Adds to a condition's waiters, and to those of them that were released. */
static void count(Object *condition, int waiters, int released, bool all)
{
    uint64_t both = condition->waiters, next;
    do {
        int64_t wait = (int64_t)(both & UINT32_MAX) + waiters;
        int64_t free = (int64_t)(both >> 32) + released;
        wait = wait < 0 ? 0 : wait;
        free = all || free > wait ? wait : free < 0 ? 0 : free;
        next = (uint64_t)free << 32 | (uint64_t)wait;
    } while (!atomic_compare_exchange_weak(&condition->waiters, &both, next));
}

/* Writes the threads that wait for something to the list, at most three. */
static int list_waiters(const void *object, uint64_t kind, char *list,
                        size_t size)
{
    Name name;
    int found = 0;
    *list = '\0';
    for (Thread *t = table->threads; t < last_thread(); t++) {
        if (t->state != LIVES || t == self || t->waits != kind
            || (t->object != (uint64_t)object && t->with != (uint64_t)object))
            continue;
        size_t end = strlen(list);
        if (found++ < 3)
            snprintf(list + end, size - end, "%s%s, in {line:%lx}",
                     end ? "; " : "", watch_name(t, &name), AT(t->line));
        else if (found == 4)
            snprintf(list + end, size - end, "; ...");
    }
    return found;
}

static const char *threads_text(int count, char *text, size_t size)
{
    const char *const words[] = {"no", "one", "two", "three", "four"};
    if (count <= 4)
        snprintf(text, size, "%s thread%s", words[count],
                 count == 1 ? " waits" : "s wait");
    else
        snprintf(text, size, "%d threads wait", count);
    return text;
}

/* Nobody may hold it or wait for it now; does: "destroyed" or "freed". */
static void check_end(const void *address, const Object *object,
                      const char *does, const void *line)
{
    char list[512], number[32];
    Name name;
    int waiters = 0;
    if (object->kind == MUTEX && owner_of(object) != NULL)
        watch_finding(
            "key: destroyed-too-early\n"
            "did: a mutex was %s in {line:%lx}\n"
            "got: it is locked: %s has locked it, in {line:%lx}\n"
            "cause: it must live until the last thread that uses it has ended: "
            "join them first\n"
            "read: Listing 8-3\n"
            "source: {line:%lx}",
            does, AT(line), watch_name(owner_of(object), &name),
            AT(object->locked), AT(line));
    if (object->kind == MUTEX) {
        waiters = list_waiters(address, A_MUTEX, list, sizeof list);
        if (waiters == 0)
            waiters = list_waiters(address, A_CONDITION, list, sizeof list);
    } else if (waiting(object) > 0) {
        waiters = waiting(object);
        list_waiters(address, A_CONDITION, list, sizeof list);
    }
    if (waiters > 0)
        watch_finding(
            "key: destroyed-too-early\n"
            "did: a %s was %s in {line:%lx}\n"
            "got: %s for it: %s\n"
            "cause: it must live until the last thread that uses it has ended: "
            "join them first\n"
            "read: Listing 8-3\n"
            "source: {line:%lx}",
            type_of(object), does, AT(line),
            threads_text(waiters, number, sizeof number), list, AT(line));
}

static void destroyed(Object *object, const void *address, const void *line)
{
    if (object == NULL)
        return;
    memset((void *)object->rest, 0, sizeof object->rest);
    memcpy((void *)object->rest, address, size_of(object));
    object->gone = (uint64_t)line;
    object->owner = 0;
    object->state = DESTROYED;
}

WRAP(int, pthread_mutex_destroy, pthread_mutex_t *address)
{
    Object *mutex = use(address, MUTEX, HERE);
    if (mutex != NULL)
        check_end(address, mutex, "destroyed", HERE);
    int error = __real_pthread_mutex_destroy(address);
    destroyed(mutex, address, HERE);
    return error;
}

WRAP(int, pthread_cond_init, pthread_cond_t *address,
     const pthread_condattr_t *attributes)
{
    Object *condition = watch_self() != NULL ? object_at(address) : NULL;
    if (condition != NULL && condition->kind == CONDITION
        && condition->state == ALIVE)
        check_end(address, condition, "initialised again", HERE);
    if (condition != NULL)
        reset(condition, CONDITION);
    return __real_pthread_cond_init(address, attributes);
}

WRAP(int, pthread_cond_destroy, pthread_cond_t *address)
{
    Object *condition = use(address, CONDITION, HERE);
    if (condition != NULL)
        check_end(address, condition, "destroyed", HERE);
    int error = __real_pthread_cond_destroy(address);
    destroyed(condition, address, HERE);
    return error;
}

static void check_wait(Object *condition, const Object *mutex,
                       const void *address, const void *line)
{
    Name name, other;
    if (mutex != NULL && mutex->owner != ANYBODY && !is_mine(mutex)) {
        char owner[160] = "nobody has";
        if (owner_of(mutex) != NULL)
            snprintf(owner, sizeof owner, "%s has, in {line:%lx}",
                     watch_name(owner_of(mutex), &other), AT(mutex->locked));
        watch_finding(
            "key: wait-unlocked\n"
            "did: a thread began to wait, in {line:%lx}\n"
            "expected: it has locked the mutex that it gives to "
            "pthread_cond_wait\n"
            "got: %s has not locked it (%s)\n"
            "cause: to look whether there is something to wait for, and to "
            "wait, must be one: both under the mutex\n"
            "read: Waiting without running\n"
            "source: {line:%lx}",
            AT(line), watch_name(self, &name), owner, AT(line));
    }
    if (condition == NULL)
        return;
    if (waiting(condition) > 0 && condition->mutex != 0
        && condition->mutex != (uint64_t)address)
        watch_finding(
            "key: two-mutexes\n"
            "did: threads wait for one condition variable, {name:%lx}\n"
            "expected: all of them with the same mutex\n"
            "got: %s waits with another one, in {line:%lx}\n"
            "cause: a mutex guards only if everybody locks the same one: it "
            "belongs to what it guards, not to a thread\n"
            "read: Waiting without running\n"
            "source: {line:%lx}",
            AT(line), watch_name(self, &name), AT(line), AT(line));
    condition->mutex = (uint64_t)address;
}

typedef struct {
    Object *condition, *mutex;
    const void *line;
    const uintptr_t *frame;
} Wait;

/* Called when a wait is over, also when the thread is cancelled in it. */
static void wait_is_over(void *arg)
{
    Wait *wait = arg;
    watch_end();
    if (wait->condition != NULL)
        count(wait->condition, -1, -1, false);
    got(wait->mutex, wait->line, wait->frame);
}

static void wait_begins(Wait *wait, pthread_cond_t *condition,
                        pthread_mutex_t *mutex)
{
    wait->condition = use(condition, CONDITION, wait->line);
    wait->mutex = use(mutex, MUTEX, wait->line);
    if (wait->mutex != NULL)
        check_wait(wait->condition, wait->mutex, mutex, wait->line);
    if (wait->condition != NULL)
        count(wait->condition, 1, 0, false);
    if (table != NULL)
        table->waits++;
    if (dawdling)
        rest(50);
    watch_begin(A_CONDITION, condition, mutex, wait->line);
    gives_up(wait->mutex, wait->line);
}

WRAP(int, pthread_cond_wait, pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    Wait wait = {.line = HERE, .frame = __builtin_frame_address(0)};
    int error;
    wait_begins(&wait, condition, mutex);
    pthread_cleanup_push(wait_is_over, &wait);
    error = __real_pthread_cond_wait(condition, mutex);
    pthread_cleanup_pop(1);
    return error;
}

WRAP(int, pthread_cond_timedwait, pthread_cond_t *condition,
     pthread_mutex_t *mutex, const struct timespec *until)
{
    Wait wait = {.line = HERE, .frame = __builtin_frame_address(0)};
    int error;
    wait_begins(&wait, condition, mutex);
    pthread_cleanup_push(wait_is_over, &wait);
    error = __real_pthread_cond_timedwait(condition, mutex, until);
    pthread_cleanup_pop(1);
    return error;
}

WRAP(int, pthread_cond_signal, pthread_cond_t *address)
{
    Object *condition = use(address, CONDITION, HERE);
    if (condition != NULL) {
        table->signals++;
        count(condition, 0, 1, false);
    }
    return __real_pthread_cond_signal(address);
}

WRAP(int, pthread_cond_broadcast, pthread_cond_t *address)
{
    Object *condition = use(address, CONDITION, HERE);
    if (condition != NULL) {
        table->signals++;
        count(condition, 0, 0, true);
    }
    return __real_pthread_cond_broadcast(address);
}

/* --- memory -------------------------------------------------------------- */

/* What lies in memory that is freed: no mutex in use, no thread's number. */
static void check_freed(const void *memory, size_t size, const void *line)
{
    uint64_t low = (uint64_t)memory, high = low + size;
    Name name;
    for (int i = 0; i < used_objects; i++) {
        Object *object = places[i];
        if (object == NULL || object->address < low || object->address >= high
            || object->kind == UNKNOWN)
            continue;
        if (object->state == ALIVE)
            check_end((void *)object->address, object, "freed", line);
        object->gone = (uint64_t)line;
        object->state = FREED;
        object->owner = 0;
    }
    for (Thread *t = table->threads; t < last_thread(); t++)
        if (t->state == LIVES && t != self && t->id_at >= low && t->id_at < high
            && t->arg >= low && t->arg < high
            && !(t->flags & (DETACHED | JOINED | OF_THE_TEST)))
            watch_finding(
                "key: freed-running\n"
                "did: memory was freed in {line:%lx}\n"
                "got: nobody has joined %s yet, and this is what it was given "
                "when it was created, in {line:%lx}\n"
                "cause: a pool may be freed only after all its threads have "
                "ended: join each of them first, and then free, once\n"
                "read: Waiting for the workers | A thread that waits for work\n"
                "source: {line:%lx}",
                AT(line), watch_name(t, &name), AT(t->created), AT(line));
}

/* The sanitizers look after memory themselves. */
__attribute__((weak)) void __asan_init(void);
__attribute__((weak)) void __tsan_init(void);
__attribute__((weak)) void __tsan_init(void);

WRAP(void, free, void *memory)
{
    if (memory != NULL && !__asan_init && !__tsan_init
        && watch_self() != NULL) {
        size_t size = malloc_usable_size(memory);
        if (size < 1 << 30) /* or it is not from malloc, and libc says so */
            check_freed(memory, size, HERE);
    }
    __real_free(memory);
}

/* --- beginning and end --------------------------------------------------- */

static void in_a_child(void)
{
    table = NULL; /* it is the parent's, and so are the threads */
    self = NULL;
}

static void program_ends(int status, void *arg)
{
    Name name;
    (void)arg;
    if (table == NULL)
        return;
    table->ending = 1;
    if (status != 0 || getenv("WATCH_JOIN") == NULL)
        return;
    for (Thread *t = table->threads; t < last_thread(); t++)
        if (t->state != FREE && t != self && t->created != 0
            && !(t->flags & (DETACHED | JOINED | OF_THE_TEST | MAIN)))
            watch_finding(
                "key: not-joined\n"
                "did: the program ended\n"
                "expected: each of its threads has been joined\n"
                "got: %s was neither joined nor detached, and %s (it was "
                "created in {line:%lx})\n"
                "cause: pthread_join is not called for each of the threads\n"
                "read: Waiting for the workers | A thread that waits for work\n"
                "source: {line:%lx}",
                watch_name(t, &name),
                t->state == ENDED ? "has ended" : "still runs", AT(t->created),
                AT(t->created));
}

/* Returns the table: a file that others can read, or memory of our own. */
static Table *new_table(void)
{
    const char *folder = getenv("WATCH");
    char path[512];
    int file = -1;
    if (folder != NULL) {
        snprintf(path, sizeof path, "%s/%d", folder, (int)getpid());
        file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (file != -1 && ftruncate(file, sizeof(Table)) != 0) {
            __real_close(file);
            file = -1;
        }
    }
    void *memory =
        mmap(NULL, sizeof(Table), PROT_READ | PROT_WRITE,
             file == -1 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, file, 0);
    if (file != -1)
        __real_close(file);
    return memory != MAP_FAILED ? memory : NULL;
}

/* The program under test dies of it all the same. */
static void tell_of_crash(int number, siginfo_t *info, void *context)
{
    watch_crashed(info, context);
    raise(number);
}

static void await_crashes(void)
{
    const int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE};
    struct sigaction action = {.sa_sigaction = tell_of_crash,
                               .sa_flags = SA_SIGINFO | SA_RESETHAND};
    backtrace((void *[1]){NULL}, 1); /* loads what it needs, not in a crash */
    if (__asan_init != NULL || __tsan_init != NULL)
        return; /* they tell it better */
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
}

extern const char __executable_start;

__attribute__((constructor)) static void program_begins(void)
{
    const char *stay = getenv("WATCH_STAY");
    Table *mine = new_table();
    if (mine == NULL || pthread_key_create(&at_the_end, thread_ends) != 0)
        return;
    mine->pid = (uint64_t)getpid();
    mine->base = (uint64_t)&__executable_start;
    mine->stay = stay != NULL ? (uint64_t)(int64_t)atoi(stay) : 0;
    if (readlink("/proc/self/exe", mine->program, sizeof mine->program - 1) < 0)
        mine->program[0] = '\0';
    self = &mine->threads[0];
    self->flags = MAIN;
    self->id = (uint64_t)pthread_self();
    self->state = LIVES;
    mine->used_threads = 16;
    stack_top = (uintptr_t)environ; /* above all frames of main */
    table = mine;
    table->magic = MAGIC;
    pthread_atfork(NULL, NULL, in_a_child);
    on_exit(program_ends, NULL);
    await_crashes();
}

void watch_busy(const char *call, const void *line)
{
    Object *mutex = NULL;
    Name name;
    if (watch_self() != NULL && self->held > 0)
        mutex = held_by(self);
    if (mutex != NULL)
        watch_hint(
            "key: worker-holds-lock\n"
            "did: a job ran\n"
            "expected: it runs while its worker holds no lock\n"
            "got: %s calls %s in {line:%lx}, with {mutex:%lx} locked (in "
            "{line:%lx}): everybody else waits until it is done\n"
            "cause: a worker holds a lock while it runs its job\n"
            "read: The lock that is held too long\n"
            "source: {line:%lx}",
            watch_name(self, &name), call, AT(line), AT(mutex->locked),
            AT(mutex->locked), AT(mutex->locked));
}

/* --- for the tests ------------------------------------------------------- */

int watch_created(void)
{
    return (int)table->created;
}

int watch_joined(void)
{
    return (int)table->joined;
}

int watch_ended(void)
{
    return (int)table->ended;
}

int watch_waits(void)
{
    return (int)table->waits;
}

static _Thread_local uint64_t asked; /* for the signals: when */

int watch_signals(void)
{
    asked = nanoseconds();
    return (int)table->signals;
}

int watch_on_the_stack(void)
{
    return (int)table->on_the_stack;
}

int watch_detached(void)
{
    int detached = 0;
    for (Thread *t = table->threads; t < last_thread(); t++)
        detached += t->state != FREE && t->created != 0 && t->flags & DETACHED;
    return detached;
}

int watch_unjoined(void)
{
    int unjoined = 0;
    for (Thread *t = table->threads; t < last_thread(); t++)
        unjoined += t->state != FREE && t->created != 0
                    && !(t->flags & (DETACHED | JOINED));
    return unjoined;
}

/* Whether a word stands in memory from one address to another. */
static bool is_in(const uint64_t *from, const uint64_t *to, uint64_t word)
{
    while (from < to && *from != word)
        from++;
    return from < to;
}

int watch_forgotten(void)
{
    extern uint64_t __data_start, _end;
    unsigned long low = 0, high = 0;
    char line[256];
    int forgotten = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "[heap]") != NULL)
            sscanf(line, "%lx-%lx", &low, &high);
    if (maps != NULL)
        __real_fclose(maps);
    for (Thread *t = table->threads; t < last_thread(); t++)
        forgotten += t->state != FREE && t->created != 0
                     && !is_in(&__data_start, &_end, t->id)
                     && !is_in((uint64_t *)low, (uint64_t *)high, t->id);
    return forgotten;
}

int watch_waiters(void)
{
    int waiters = 0;
    for (Object *object = table->objects; object < table->objects + OBJECTS;
         object++)
        if (object->kind == CONDITION && object->state == ALIVE)
            waiters += waiting(object);
    return waiters;
}

int watch_waited_for(void)
{
    int conditions = 0;
    for (Object *object = table->objects; object < table->objects + OBJECTS;
         object++)
        if (object->kind == CONDITION && object->state == ALIVE)
            conditions += waiting(object) > 0;
    return conditions;
}

int watch_held(void)
{
    return watch_self() != NULL ? (int)self->held : 0;
}

void watch_nothing_held(const char *function)
{
    Object *mutex = watch_held() > 0 ? held_by(self) : NULL;
    if (mutex != NULL)
        watch_finding(
            "key: returned-locked\n"
            "did: %s was called\n"
            "expected: it unlocks what it locks\n"
            "got: %s returned with {mutex:%lx} locked (locked in {line:%lx})\n"
            "cause: on one way out of {function:%lx} there is no unlock\n"
            "read: One at a time\n"
            "source: {line:%lx}",
            function, function, AT(mutex->locked), AT(mutex->locked),
            AT(mutex->locked), AT(mutex->locked));
}

/* Returns one that waits for a condition since before the last watch_signals()
 * of this thread, or NULL. */
static const Thread *sleeper(void)
{
    for (const Thread *t = table->threads; t < last_thread(); t++)
        if (t->state == LIVES && t->waits == A_CONDITION && t->since < asked)
            return t;
    return NULL;
}

void watch_somebody_was_woken(int before, const char *function, uintptr_t at)
{
    char number[32];
    const Thread *t = NULL;
    /* Who has been woken before may hand the news on. */
    for (int i = 0; i < 100; i++, rest(10)) {
        t = sleeper();
        if (t == NULL || (int)table->signals != before || watch_waiters() == 0)
            return;
    }
    watch_finding(
        "key: nobody-woken\n"
        "did: %s was called, and %s, in {line:%lx}\n"
        "expected: somebody is woken: pthread_cond_signal\n"
        "got: %s returned, and no signal was sent\n"
        "cause: who sleeps in pthread_cond_wait learns of nothing by itself\n"
        "read: Waiting without running\n"
        "source: {start:%lx}",
        function, threads_text(watch_waiters(), number, sizeof number),
        AT(t->line), function, AT(at));
}

void watch_stay(bool must_stay)
{
    table->stay = must_stay ? (uint64_t)-1 : 0;
}

int watch_number(void)
{
    return watch_self() != NULL && self->created != 0 ? (int)self->number : -1;
}

void watch_count_from_zero(void)
{
    table->numbered = 0;
}

void watch_dawdle(void)
{
    dawdling = true;
}

void watch_wake_all(void)
{
    for (Object *object = table->objects; object < table->objects + OBJECTS;
         object++)
        if (object->kind == CONDITION && object->state == ALIVE
            && (object->waiters & UINT32_MAX) > 0)
            __real_pthread_cond_broadcast((pthread_cond_t *)object->address);
}
