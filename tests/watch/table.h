/*
 * The table that a watched process keeps: a file that tell.py reads, from
 * outside, at any time. All of it are words of 64 bits, and text; tell.py knows
 * the same order.
 */

#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stdint.h>

#define THREADS 1024
#define OBJECTS 2048
#define DESCRIPTORS 1024

/* A word that one thread writes at a time; and one that several may. */
typedef volatile uint64_t Word;
typedef _Atomic(uint64_t) Shared;

/* What a thread waits for; the names are in tell.py. */
enum { NOTHING, A_MUTEX, A_CONDITION, A_THREAD, A_SEMAPHORE, A_CALL };

enum { FREE, BEGINS, LIVES, ENDED };

enum {
    DETACHED = 1,
    JOINED = 2,
    OF_THE_TEST = 4,
    MAIN = 8,
    IN_CREATE = 16,
    OF_A_CONNECTION = 32 /* created after one had been accepted */
};

typedef struct {
    Word state;
    Shared flags;
    Word number; /* 0, 1, … in the order of creation */
    Word id;     /* its pthread_t, and where the program keeps it */
    Word id_at;
    Word function, arg;
    Word created, joined; /* in which line: addresses */
    Word waits;           /* for what kind of thing */
    Word object;          /* for which: an address, or a thread's place here */
    Word with;            /* with which mutex; both are the name of a call */
    Word line;            /* where it waits */
    Word since;           /* nanoseconds */
    Word held;            /* how many mutexes it holds */
    Word shown;           /* the number by which a reader knows it */
} Thread;

enum { UNKNOWN, MUTEX, CONDITION };

enum { ALIVE, DESTROYED, FREED };

/* A mutex or a condition variable. */
typedef struct {
    Shared address;
    Word kind, state;
    Word owner;            /* a thread's place + 1, or ANYBODY */
    Word depth;            /* of a recursive mutex */
    Word locked, unlocked; /* in which line, lately */
    Word frame, back;      /* of the function that locked it */
    Word gone;             /* where it was destroyed, or freed */
    Shared waiters; /* threads that wait; << 32: how many were released */
    Word mutex;     /* that belongs to the condition */
    Word rest[6];   /* its bytes after it was destroyed */
} Object;

#define ANYBODY UINT64_MAX

typedef struct {
    Word magic, pid;
    Word base; /* where the program is in memory */
    Shared created, ended, joined, waits, signals, accepted, on_the_stack;
    Shared numbered, shown, listening, ending, stay;
    Shared missed; /* threads or objects for which there was no room */
    Shared used_threads;
    Shared said_length;
    char program[512];
    Thread threads[THREADS];
    Object objects[OBJECTS];
    char said[16384]; /* records, each ended by a byte 1, or 2: a hint */
} Table;

#define MAGIC 0x3168637461774843 /* "CHwatch1" */

/* --- watch.c, for calls.c --- */

#define HERE __builtin_return_address(0)

/* The program under test may well have a variable of this name, too. */
#define table watch_table
extern Table *table;

/* The calling thread's place in the table, or NULL. */
Thread *watch_self(void);

/* An address as tell.py wants it: {line:…}, {name:…}, {function:…}. */
#define AT(address) ((unsigned long)((uint64_t)(address)-table->base))

/* How a thread is called in a record; the buffer is the caller's. */
typedef struct {
    char text[80];
} Name;
const char *watch_name(const Thread *thread, Name *name);

/* Writes a record, as tests/README.md describes it, and ends the program. */
void watch_finding(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Writes a record that is told if something else fails. */
void watch_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The calling thread waits, in a line, in a call; and no longer. */
void watch_begin(uint64_t kind, const void *object, const void *with,
                 const void *line);
void watch_end(void);

/* The calling thread is about to do what may take long: a hint if it holds a
 * mutex. */
void watch_busy(const char *call, const void *line);

#endif
