/* Workers, with nothing to do. */

#include "shared.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

TestSuite(worker, .timeout = TIMEOUT);

Test(worker, accepts_and_never_answers)
{
    check_silence("worker");
}

Test(worker, a_worker_that_cannot_be_created_is_reported)
{
    check_failing_worker("worker");
}
