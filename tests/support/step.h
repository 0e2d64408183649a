/*
 * What the step under test can, as the table tests/abilities says:
 * step("sleeps") is 1 or 0, step("threads") a number. In the tests that are
 * compiled for a step the preprocessor knows the same as STEP_SLEEPS,
 * STEP_THREADS.
 *
 * From the environment, which support/steps.py prepares: STEP, the step's name;
 * ABILITIES, its row; STEPS, the folders of all steps.
 */

#ifndef STEP_H
#define STEP_H

/* The folder under test may well have functions of these names, too. */
#define step tests_step
#define step_name tests_step_name
#define step_number tests_step_number
#define setting tests_setting

/* Returns one ability; ends the test if the table has no such column. */
int step(const char *ability);

/* The name of the step under test. */
const char *step_name(void);

/* Returns the number of the step of a name, as its folder says; 0 if there is
 * none. */
int step_number(const char *name);

/* Returns what the environment says of a name, which must be set. */
const char *setting(const char *name);

#endif
