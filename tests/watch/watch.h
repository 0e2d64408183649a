/*
 * What watches the threads of a reader's program, and how it is used.
 *
 * Linking. watch.c is linked to the program under test, be it the server or the
 * pool and the queue that are called directly, with --wrap for each name in the
 * file `wraps`. It is compiled without a sanitizer, whatever the program is
 * compiled with: tests/watch/tell.py has the flags (COMPILE_READER, COMPILE,
 * LINK). It hides nothing: what it wraps does what it always did, as fast.
 *
 * What it finds. A misuse of threads (a mutex locked twice, a thread joined
 * twice, …) ends the program with SIGABRT, at the place, so that a debugger
 * stops there; the record of it (see tests/README.md) is told by tell.py. A
 * hint explains a failure that something else notices: it ends nothing, and is
 * told only if the test fails.
 *
 * From the environment:
 *     WATCH=folder      each process keeps its table there, in a file of its
 *                       process id: what each thread waits for, what was
 *                       found. It stays when the process is gone, or stuck.
 *                       Without it what is found goes to stderr.
 *     WATCH_STAY=N      its threads may end only after N connections were
 *                       accepted; -1: never
 *     WATCH_JOIN=1      when it ends with status 0, each of its threads must
 *                       have been joined, or be detached
 *     WATCH_SLEEP=0.2   no sleep, and no time-out of a socket, takes longer
 *     HURRY=file        once the file is there, a sleep takes a second at most
 *     WATCH_SHORT=1     what reads from a socket, or writes to it, moves a few
 *                       bytes at a time; or none, if it must not wait
 *     WATCH_LEAKS=file  under AddressSanitizer, leaks are looked for when a
 *                       connection is accepted and the file is there
 *     FAIL_PTHREAD_CREATE=N   its pthread_create number N, from 1, fails as
 *                       if there were too many threads
 *     FAIL_ACCEPT=0.4         its accept fails for so many seconds, from its
 *                       first call on, as if no descriptor were left
 *     GONE_VISITOR=1    the first whom it accepts has gone in this moment
 *     SLOW_START=1      its listen and pthread_create take 0.2 s longer
 *     LATE_THREADS=1    its threads begin 0.3 s after their creation
 *     SIGNAL_BEFORE=accept    a SIGINT comes just before its second accept (or
 *                       poll, select, pselect; its first listen)
 *
 * Reading (tests/watch/tell.py; or its functions, in Python):
 *     tell.py FOLDER              what was found, as records: files in REPORT,
 *                                 or on stderr; `--hints`: the hints, too
 *     tell.py --picture FILE      each thread and what it waits for; a circle,
 *                                 if they wait for each other
 *
 * The functions below are for tests that call pool and queue directly.
 */

#ifndef WATCH_H
#define WATCH_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Starts a thread of the test's own. Not by pthread_create: that would be one
 * of the program's. Returns an error number, or 0.
 */
int watch_start(pthread_t *id, void *(*function)(void *), void *arg);

/* How many threads the program has created so far; how many of them have ended,
 * how many were joined. */
int watch_created(void);
int watch_ended(void);
int watch_joined(void);

/* How many times it has been about to wait for a condition variable. */
int watch_waits(void);

/* How many threads wait for a condition variable, and no signal has come. */
int watch_waiters(void);

/* For how many different condition variables threads wait. */
int watch_waited_for(void);

/* How many times it has called signal or broadcast. */
int watch_signals(void);

/* How many of its pthread_create got an argument on the caller's stack. */
int watch_on_the_stack(void);

/* How many of the threads that it has created lately are detached; of how many
 * it has kept the pthread_t nowhere, neither on the heap nor in a variable of
 * static duration. */
int watch_detached(void);
int watch_forgotten(void);

/* How many of the threads that it has created are neither joined nor detached.
 */
int watch_unjoined(void);

/* How many mutexes the calling thread holds. */
int watch_held(void);

/*
 * Ends the test if the calling thread holds a mutex now that the named function
 * has returned.
 */
void watch_nothing_held(const char *function);

/*
 * Ends the test if threads wait for a condition variable though the named
 * function, called since watch_signals() was before, has brought what they
 * wait for, and there has been no signal: none in a second, for who was woken
 * before may hand the news on. at is the function's address. Only where nobody
 * but those who wait takes what comes.
 */
void watch_somebody_was_woken(int before, const char *function, uintptr_t at);

/*
 * Whether the program's threads must not end: from here on, the end of one ends
 * the test. WATCH_STAY, for a test.
 */
void watch_stay(bool must_stay);

/*
 * Of the threads that the program has created, the one that calls: 0, 1, … in
 * the order of their creation since watch_count_from_zero; -1 for a thread
 * of the test's own.
 */
int watch_number(void);
void watch_count_from_zero(void);

/*
 * Makes the calling thread slow where others must not slip in: it takes 50 ms
 * longer to lock a mutex, and 50 ms longer to begin to wait for a condition.
 */
void watch_dawdle(void);

/*
 * Notes in which line of the program the calling thread is, for one that has
 * crashed, in the handler of the signal: of the frames that lead there, the
 * innermost in the reader's files. info and context are the handler's.
 */
void watch_crashed(const siginfo_t *info, const void *context);

/* Wakes, for no reason, all who wait for a condition variable. */
void watch_wake_all(void);

#endif
