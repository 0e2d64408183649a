/*
 * Every schedule of a program's queue and pool: what the parts share.
 *
 * The reader's code is compiled with -fsanitize=thread and linked to these
 * files instead of a sanitizer. Each of its calls that threads meet at (lock,
 * wait, create, …) ends here, in model.c; each of its memory accesses, too, in
 * memory.c. Its threads are coroutines, of which one runs at a time. search.c
 * decides which, again and again from the start, until all orders were tried.
 * scenarios.c says what the threads do, and what must come of it.
 *
 * A step is what one thread does between two such calls. Threads run one after
 * the other, so an order that only a CPU's own memory could show is not tried;
 * but a data race, without which there is none, is found and told.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define THREADS 8 /* at most, in a scenario */
#define CALLS 16  /* so many callers are remembered */

/* Where in the reader's code: the address that the call returns to. */
#define HERE __builtin_return_address(0)

/* What a thread does in a step. The names in the output: search.c. */
typedef enum {
    BEGIN,
    LOCK,
    TRYLOCK,
    UNLOCK,
    WAIT,
    WAKE,
    SIGNAL,
    BROADCAST,
    CREATE,
    JOIN,
    DETACH,
    DESTROY,
    POST,
    TAKE,
    ONCE,
    ATOMIC,
    READ,
    WRITE,
    FREE,
    YIELD,
    SLEEP,
    AWAIT,
    CALL,
    ACCEPT,
    SPIN,
    GO,
    NOTE,
    END
} Action;

/* How a step came out, beyond the usual. */
typedef enum { USUAL, SPURIOUS, TIMED_OUT, NOBODY_WAITED, BUSY } Outcome;

typedef struct Thread Thread;

/* When, seen from a thread: how far it knows each other one to be. */
typedef struct {
    uint32_t at[THREADS];
} Clock;

/* What threads meet at: a mutex, a condition variable, a semaphore, memory. */
typedef struct {
    const char *type;
    const void *address;
    uint64_t history; /* hash of all that happened to it */
    Clock clock;      /* when it was last given up */
    Thread *owner;    /* of a mutex, or NULL */
    const void *locked_at;
    int depth; /* of a recursive mutex */
    bool recursive, checks, gone;
    unsigned value; /* of a semaphore */
} Object;

struct Thread {
    int id;
    char name[24];
    bool used, started, done, joined, detached;
    bool by_reader; /* created by the program itself */
    bool may_wait;  /* it is no mistake if it waits in the end */
    void *(*function)(void *);
    void *arg, *result;

    Action action;          /* what it does next, when it is its turn */
    Object *object, *mutex; /* mutex: to be locked again after a wait */
    Thread *other;          /* to be joined */
    const int *flag;        /* to be awaited */
    const char *awaits;     /* what that is, in words */
    bool paused;            /* a signal's handler runs in it */
    const void *pc;
    bool timed, signalled;
    bool told_end;         /* pop has said to it that no job is to come */
    const void *called_at; /* stands for the caller of what it calls next */
    Outcome outcome;
    long arrived; /* when it began to wait: the order of those who do */

    uint64_t history;
    Clock clock;
    const void *calls[CALLS];
    int call_depth;
    uint64_t seen;     /* the history of what it has read */
    int rounds;        /* times that it has read the same */
    const void *place; /* of its last access that races */
    size_t size;
    uint64_t allocations;
    int alone; /* steps since another thread ran */

    jmp_buf registers;
    const char *stack_end; /* below it, nothing of its stack is in use */
    int error;             /* its errno */
    char *own;             /* its thread-local variables */
};

extern Thread threads[THREADS];
extern Thread *self; /* NULL: no scenario runs */
extern uint32_t run; /* the number of this run, from 1 */

/* --- search.c --- */

/* Waits until it is the thread's turn to do this. */
void step(Action action, Object *object, const void *pc);

/* The step just begun touches this object, too. */
void touch(Object *object, uint64_t how);

/* Says how the step just begun came out. */
void came_out(Outcome outcome, int thread);

/* A line in the table, and no step. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the run: the program is wrong. The key names the kind of mistake. */
_Noreturn void fail(const char *key, const void *pc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void fail_weakly(const char *key, const void *pc, const char *text);
extern bool weak_fails;

/* Ends everything: the program uses what is not modelled. */
_Noreturn void not_explored(const char *what);

/* Returns one of the numbers below count: all are tried. */
int choose(int count);

/* Starts a thread; it begins when it is its turn. */
Thread *start(const char *name, void *(*function)(void *), void *arg);
_Noreturn void end_thread(void *result);

uint64_t mix(uint64_t a, uint64_t b);

/* --- model.c --- */

Object *object_at(const void *address, const char *type, const void *pc);
Object *objects_begin(int *count); /* for the output */
void objects_reset(void);
void objects_freed(const void *start, size_t size, const void *pc);
bool held_by(const Thread *thread, const Object **mutex);
void acquire(const Clock *clock);
void release(Clock *clock);

/* --- memory.c --- */

#define STACK (256 << 10)
char *stack_of(int thread); /* its lowest address */
void memory_prepare(void);
void memory_reset(void);
uint64_t memory_name(const void *address);
void memory_check_leaks(void);
int memory_in_use(void); /* blocks */
void memory_print(void); /* as JSON */
bool memory_value(const void *address, size_t size, uint64_t *value);
void access_memory(const void *address, size_t size, bool writes,
                   const void *pc);

/* Places that race: accesses there are steps. */
extern bool new_races; /* this run has found further ones */

/* --- net.c --- */

#define CLIENTS 2
void net_reset(void);
void net_check(void);
bool net_has_clients(void);

/* --- scenarios.c --- */

typedef struct {
    const char *name, *what;
    void (*run)(void);
    void (*check)(void); /* when no thread can go on; or NULL */
    bool leaves;         /* memory and threads may be left in the end */
    bool asked_for;      /* is tried only by its name */
} Scenario;

extern const Scenario scenarios[];
extern const int scenario_count;

#endif
