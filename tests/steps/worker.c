/* Step 05: workers, with nothing to do. */

#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

TestSuite(step05, .timeout = TIMEOUT);

Test(step05, accepts_and_never_answers)
{
    check_silence(5);
}

Test(step05, a_worker_that_cannot_be_created_is_reported)
{
    check_failing_worker(5);
}
