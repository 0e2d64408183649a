/* Workers, with nothing to do. */

#include "shared.h"

TestSuite(worker, SUITE);

Test(worker, accepts_and_never_answers)
{
    check_silence();
}

Test(worker, a_worker_that_cannot_be_created_is_reported)
{
    check_failing_worker();
}
