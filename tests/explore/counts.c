/* Scenarios whose schedules can be counted by hand: tests/explore/test. */
#include "explore.h"

void post(int which, int times);
void lock_both(int first);
void lock_one(void);
void wait_once(void);
void wake(void);
int add_atomic(void);
void add_plain(void);
int count_runs(void);
void rest_of_the_world(void);

static int most, ended;

static void *post_often(void *arg)
{
    int what = (int)(intptr_t)arg;
    post(what / 10, what % 10);
    return NULL;
}

static void *lock_in_order(void *arg)
{
    lock_both((int)(intptr_t)arg);
    return NULL;
}

static void *lock_and_unlock(void *arg)
{
    lock_one();
    return arg;
}

static void *wait_for_it(void *arg)
{
    wait_once();
    ended += (int)(intptr_t)arg;
    return NULL;
}

static void *add(void *arg)
{
    int sum = add_atomic();
    if (sum > most)
        most = sum;
    return arg;
}

static void *add_unguarded(void *arg)
{
    add_plain();
    return arg;
}

static void start_two(void *(*function)(void *), int one, int other)
{
    start("one", function, (void *)(intptr_t)one);
    start("other", function, (void *)(intptr_t)other);
}

static void two_and_two(void)
{
    start_two(post_often, 2, 2);
}

static void three_and_two(void)
{
    start_two(post_often, 3, 2);
}

static void one_each_of_three(void)
{
    start_two(post_often, 1, 1);
    start("third", post_often, (void *)(intptr_t)1);
}

static void apart(void)
{
    start_two(post_often, 3, 13);
}

static void one_mutex(void)
{
    start_two(lock_and_unlock, 0, 0);
}

static void two_mutexes(void)
{
    start_two(lock_in_order, 0, 1);
}

/* Fails when the other is woken, though both wait. */
static void who_is_woken(void)
{
    ended = 0;
    start_two(wait_for_it, 1, 2);
    threads[1].may_wait = threads[2].may_wait = true;
    step(GO, NULL, NULL);
    if (threads[1].action == WAKE && threads[2].action == WAKE)
        wake();
}

static void nobody_but_one(void)
{
    if (ended == 2)
        fail("other-woken", NULL, "the other was woken");
}

static void add_twice(void)
{
    most = 0;
    start_two(add, 0, 0);
}

static void two_were_added(void)
{
    if (most != 2)
        fail("lost", NULL, "one was lost");
}

static void race(void)
{
    start_two(add_unguarded, 0, 0);
}

static void afresh(void)
{
    if (count_runs() != 1)
        fail("not-afresh", NULL, "a variable was not as at first");
    start_two(post_often, 1, 1);
}

static void something_else(void)
{
    rest_of_the_world();
}

#define SMALL(name)                                                            \
    {                                                                          \
#name, #name, name, NULL, true                                         \
    }
const Scenario scenarios[] = {
    SMALL(two_and_two),
    SMALL(three_and_two),
    SMALL(one_each_of_three),
    SMALL(apart),
    SMALL(one_mutex),
    SMALL(two_mutexes),
    SMALL(race),
    SMALL(afresh),
    SMALL(something_else),
    {"who_is_woken", "", who_is_woken, nobody_but_one, true},
    {"add_twice", "", add_twice, two_were_added, true},
};
const int scenario_count = sizeof scenarios / sizeof scenarios[0];
