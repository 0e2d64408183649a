/* The queue by itself. */

#include "help.h"

#include <errno.h>

Test(pool, queue_first_in_first_out)
{
    static char args[64];
    for (size_t c = 0; c < CAPACITIES; c++) {
        JobQueue *queue = job_queue_new(capacities[c]);
        size_t in = 0, out = 0;
        for (int round = 0; round < 100; round++) {
            while (job_queue_try_push(queue, (Job){count_job, &args[in % 64]})
                   == 0)
                in++;
            cr_assert(eq(sz, in - out, capacities[c])); /* not one less */
            for (size_t i = 0; out < in && i <= (size_t)round % 64; i++) {
                Job job;
                cr_assert(job_queue_pop(queue, &job));
                cr_assert(eq(ptr, job.arg, &args[out++ % 64]));
            }
        }
        job_queue_close(queue);
        Job job = {count_job, NULL};
        cr_assert(eq(int, job_queue_push(queue, job), ECANCELED));
        cr_assert(eq(int, job_queue_try_push(queue, job), ECANCELED));
        while (job_queue_pop(queue, &job))
            cr_assert(eq(ptr, job.arg, &args[out++ % 64]));
        cr_assert(eq(sz, out, in));
        cr_assert(not(job_queue_pop(queue, &job)));
        job_queue_destroy(queue);
    }
}
