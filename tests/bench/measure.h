/* What the bench of the pools measures; `pool.c` makes tables of it. */

#ifndef MEASURE_H
#define MEASURE_H

#include "pool.h"

/* Ends the program with a reason. */
void die(const char *what);

/* What is measured: so many jobs from so many producers, in a queue with room
   for capacity of them; side may be NULL where no pool takes part. */
typedef struct {
    const Side *side;
    size_t workers, producers, capacity, jobs;
} Setup;

typedef double Measurement(const Setup *setup);

/* Seconds for all jobs, from the first push to the last thread's end. */
Measurement throughput;

/* Seconds for all jobs, shared out beforehand, without a pool: the ideal. */
Measurement ideal;

/* Seconds for one job after the other, all on one CPU. */
Measurement round_trip;

/* Bytes of heap for all jobs while they wait in the queue. */
Measurement memory;

/* Seconds for all operations of threads that contend for one mutex. */
Measurement bare_mutex;

/* Returns what a measurement returns that has a process of its own, and stores
   the seconds of CPU time that all threads of the process needed. */
double apart(Measurement *measure, const Setup *setup, double *cpu);

/* From now on each job computes for so long; 0: for no time at all. */
void let_jobs_take(double seconds);

#endif
