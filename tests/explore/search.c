/*
 * The search. A run is one schedule of a scenario from its start: at each step
 * the threads that can go on are the options, and the path remembers which was
 * taken. The next run takes the same path up to its last step that has another
 * option, and that one there: depth first, until none is left.
 *
 * It goes from few surprises to many. A surprise is that a thread is
 * interrupted where it could go on, is woken for no reason, or that time is up
 * early. What is not a surprise is free: who goes on when a thread has to wait,
 * and which of the waiting threads a signal wakes. Most mistakes need one or
 * two, and their schedules are the ones that people understand.
 *
 * Many schedules differ only in the order of steps that have nothing to do with
 * each other. So each thread and each object carries a hash of its history,
 * what happened to it in which order. Where all histories are as they were
 * once before, so is everything else, and the search turns back.
 */
#define _GNU_SOURCE
#include "explore.h"

#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#define STEPS 4000   /* of a run, at most */
#define FOR_EVER 500 /* more steps than that, and nobody gets anywhere */
#define ALONE 150    /* so long one thread goes round while others could run */
#define ROUNDS 5     /* of a loop that waits for a change */
#define STATES (1 << 22)

static const char *const names[] = {
    "begin",     "lock",   "trylock", "unlock", "wait",    "wake",  "signal",
    "broadcast", "create", "join",    "detach", "destroy", "post",  "take",
    "once",      "atomic", "read",    "write",  "free",    "yield", "sleep",
    "await",     "call",   "accept",  "spin",   "go",      "note",  "end"};
static const char *const outcomes[] = {"", "for no reason", "timed out",
                                       "nobody waited", "busy"};

/* What was done, for the table. */
typedef struct {
    Action action;
    int thread, other; /* other: created, joined, woken, …; or -1 */
    Outcome outcome;
    Object object, mutex;
    const void *pc, *calls[CALLS];
    int call_depth;
    const void *place; /* of an access that races */
    size_t size;
    char text[64]; /* of a note */
} Line;

enum Result { DONE = 1, PRUNED, FAILED };

Thread threads[THREADS];
Thread *self;
uint32_t run;

static const Scenario *scenario;
static jmp_buf home;
static ucontext_t contexts[THREADS];

static struct {
    int option, count;
} path[STEPS];
static int path_length, path_depth;
static int steps, steps_max; /* of this run; of all */
static Line lines[STEPS + 200];
static int line_count;
static int bound, surprises, spurious;
static int spurious_most = 2; /* wake-ups for no reason, in a run */
static bool cut;              /* something was left out because of the bound */
static bool use_states = true;

static bool graph;          /* print all states, and the steps between them */
static uint64_t last_state; /* where this run came from; 0 at its start */
static int last_thread, last_line;

static struct State {
    uint64_t key;
    int left; /* surprises that were left, and one */
} * states;
static size_t state_count;
static uint64_t generation; /* of the states: one for each search */
static long schedules, pruned;
bool weak_fails;
static bool weak_seen;

/* The shortest failure so far. */
static struct {
    bool found;
    int steps;
    char *report;
} failure;

static char *own_variables; /* the program's thread-local ones */
static char *own_at_first;
static size_t own_size;

uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ (b * 0x9e3779b97f4a7c15u)) + 0x7f4a7c159e3779b9u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Seconds of our own work: on a busy machine as much is tried as on an idle
 * one.
 */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- threads: coroutines --- */

static void switch_to(Thread *to)
{
    Thread *from = self;
    if (from == to)
        return;
    from->stack_end = __builtin_frame_address(0);
    from->error = errno;
    memcpy(from->own, own_variables, own_size);
    memcpy(own_variables, to->own, own_size);
    if (_setjmp(from->registers) == 0) {
        self = to;
        errno = to->error;
        if (to->started)
            _longjmp(to->registers, 1);
        to->started = true;
        setcontext(&contexts[to->id]);
    }
}

static void run_thread(void)
{
    self->calls[0] = (const void *)self->function;
    void *result = self->function(self->arg);
    end_thread(result);
}

Thread *start(const char *name, void *(*function)(void *), void *arg)
{
    int id = 0;
    while (id < THREADS && threads[id].used)
        id++;
    if (id == THREADS)
        not_explored("more threads than the explorer has room for");
    Thread *thread = &threads[id];
    char *own = thread->own;
    *thread = (Thread){.id = id,
                       .used = true,
                       .function = function,
                       .arg = arg,
                       .action = BEGIN,
                       .pc = (const char *)(uintptr_t)function + 1,
                       .own = own,
                       .stack_end = stack_of(id) + STACK};
    if (name == NULL) {
        int earlier = 0;
        for (int i = 0; i < id; i++)
            earlier += threads[i].by_reader;
        snprintf(thread->name, sizeof thread->name, "worker %d", earlier);
    } else {
        snprintf(thread->name, sizeof thread->name, "%s", name);
    }
    thread->history = mix((uint64_t)id, self == NULL ? 0 : self->history);
    if (self != NULL) {
        thread->clock = self->clock;
        self->clock.at[self->id]++;
    }
    thread->clock.at[id] = 1;
    memcpy(thread->own, own_at_first, own_size);
    return thread;
}

/* --- which thread goes on --- */

static bool enabled(const Thread *t)
{
    if (t->paused)
        return false;
    switch (t->action) {
    case LOCK:
        return t->object->owner == NULL
               || (t->object->owner == t && t->object->recursive);
    case WAKE:
        return t->signalled && t->mutex->owner == NULL;
    case JOIN:
        return t->other->done;
    case TAKE:
        return t->object->value > 0;
    case ONCE:
        return t->object->owner == NULL;
    case AWAIT:
        return *t->flag != 0;
    case SPIN:
        return t->object->history != t->seen;
    case ACCEPT:
        return net_has_clients();
    case SLEEP:
        return false;
    default:
        return true;
    }
}

/* Whether it could go on by surprise: time is up, or it wakes for no reason. */
static bool by_surprise(const Thread *t)
{
    if (t->action == WAKE)
        return t->mutex->owner == NULL && !t->signalled
               && (t->timed || spurious < spurious_most);
    return t->timed || t->action == SLEEP;
}

/* Returns the number of an option, below count; on a new path, the first. */
static int next_option(int count)
{
    if (count == 1)
        return 0;
    if (path_depth == path_length) {
        path[path_length].option = 0;
        path[path_length++].count = count;
    }
    return path[path_depth++].option;
}

int choose(int count)
{
    return next_option(count);
}

/* Returns what stands for all that has happened so far, in whichever order. */
static uint64_t state_key(void)
{
    uint64_t key = 0;
    for (int i = 0; i < THREADS; i++)
        if (threads[i].used)
            key += mix(threads[i].history,
                       (uint64_t)(threads[i].signalled * 64
                                  + threads[i].started * 32 + i));
    return key;
}

/* Returns where a key stands in the table of states, or room for it. */
static struct State *find_state(uint64_t key)
{
    key = mix(generation, key) | 1;
    size_t i = key % STATES;
    while (states[i].key != 0 && states[i].key != key)
        i = (i + 1) % STATES;
    if (states[i].key == 0 && state_count < STATES / 2) {
        states[i].key = key;
        state_count++;
    }
    return &states[i];
}

/* Tells whether all was as it is now once before, with at least as many
 * surprises to come. */
static bool seen_before(const Thread *current)
{
    uint64_t who = current == NULL ? 99 : (uint64_t)current->id;
    struct State *state =
        find_state(mix(mix(state_key(), who), (uint64_t)spurious));
    int left = bound - surprises + 1;
    if (state->left >= left)
        return true;
    if (state->key != 0)
        state->left = left;
    return false;
}

static _Noreturn void finish(void);
static void meet_state(void);

typedef struct {
    Thread *thread;
    int cost;
    bool surprise;
} Option;

/* Lists who can go on, the cheapest first. Returns how many. */
static int list_options(Option options[])
{
    int count = 0;
    bool can = !self->done && enabled(self) && self->action != GO;
    bool yields = can && (self->action == YIELD || self->alone >= ALONE);
    for (int i = yields ? 1 : 0, end = i + THREADS; i < end; i++) {
        Thread *t = &threads[(self->id + i) % THREADS];
        if (!t->used || t->done || !enabled(t))
            continue;
        bool free = yields ? count == 0 : t == self || !can;
        options[count++] = (Option){t, free ? 0 : 1, false};
    }
    bool any = count > 0;
    for (int i = 1; i <= THREADS; i++) {
        Thread *t = &threads[(self->id + i) % THREADS];
        if (!t->used || t->done || enabled(t) || !by_surprise(t))
            continue;
        bool time = t->timed || t->action == SLEEP;
        if (any || time) /* nobody can rely on a wake-up for no reason */
            options[count] = (Option){t, any || count > 0 ? 1 : 0, true},
            count++;
    }
    return count;
}

static Thread *pick(void)
{
    if (++steps > FOR_EVER)
        fail_weakly("for-ever", self->pc,
                    "goes round and round, and so would "
                    "for ever: nobody gets anywhere");
    if (failure.found && !graph && steps >= failure.steps)
        _longjmp(home, PRUNED);
    bool can = !self->done && enabled(self) && self->action != GO;
    if (graph)
        meet_state();
    if (use_states && path_depth == path_length
        && seen_before(can ? self : NULL))
        _longjmp(home, PRUNED);

    Option options[2 * THREADS];
    int count = list_options(options), affordable = 0;
    if (count == 0)
        finish();
    for (int i = 0; i < count; i++)
        if (surprises + options[i].cost <= bound)
            options[affordable++] = options[i];
        else
            cut = true;
    Option *option = &options[next_option(affordable)];
    Thread *thread = option->thread;
    surprises += option->cost;
    thread->outcome = USUAL;
    if (option->surprise) {
        if (thread->action == WAKE && !thread->timed) {
            thread->outcome = SPURIOUS;
            spurious++;
        } else {
            thread->outcome = TIMED_OUT;
        }
    }
    last_thread = thread->id;
    thread->alone = thread == self ? thread->alone + 1 : 0;
    return thread;
}

static Line *add_line(Action action, const void *pc)
{
    if (line_count == STEPS + 200)
        not_explored("a run of more steps than there is room for");
    Line *line = &lines[line_count++];
    *line = (Line){.action = action,
                   .thread = self->id,
                   .other = -1,
                   .pc = pc,
                   .call_depth = self->call_depth};
    if (line->call_depth > CALLS)
        line->call_depth = CALLS;
    memcpy(line->calls, self->calls, sizeof line->calls);
    return line;
}

void touch(Object *object, uint64_t how)
{
    self->history = mix(mix(self->history, how), object->history);
    object->history = self->history;
}

/* Tells whether a thread reads the same again, as it did many times before: it
 * waits for a change, and what it reads meanwhile makes no difference. */
static bool spins(Action action, const Object *object, const void *pc)
{
    bool again = action == READ
                 && (self->action == READ || self->action == SPIN)
                 && self->object == object && self->pc == pc
                 && self->seen == object->history;
    self->rounds = again ? self->rounds + 1 : 0;
    return self->rounds > (graph ? 0 : ROUNDS);
}

void step(Action action, Object *object, const void *pc)
{
    if (spins(action, object, pc))
        action = SPIN;
    self->action = action;
    self->object = object;
    self->pc = pc;
    switch_to(pick());
    if (action == READ || action == SPIN) {
        /* What others read makes no difference to it. */
        self->seen = object->history;
        self->history = mix(mix(self->history, READ), object->history);
    } else if (object != NULL)
        touch(object, (uint64_t)action * 8 + (uint64_t)self->outcome);
    else
        self->history = mix(self->history, (uint64_t)action);
    self->timed = false;
    if (action == GO)
        return;
    Line *line = add_line(action, pc);
    line->outcome = self->outcome;
    line->place = self->place;
    line->size = self->size;
    if (self->awaits != NULL && (action == AWAIT || action == CALL))
        snprintf(line->text, sizeof line->text, "%s", self->awaits);
    if (object != NULL)
        line->object = *object;
    if (action == WAIT || action == WAKE)
        line->mutex = self->mutex != NULL ? *self->mutex : line->mutex;
}

void came_out(Outcome outcome, int thread)
{
    lines[line_count - 1].outcome = outcome;
    lines[line_count - 1].other = thread;
}

void note(const char *format, ...)
{
    Line *line = add_line(NOTE, NULL);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line->text, sizeof line->text, format, arguments);
    va_end(arguments);
}

void end_thread(void *result)
{
    self->done = true;
    self->result = result;
    const Object *mutex;
    if (held_by(self, &mutex) && strcmp(mutex->type, "mutex") == 0)
        fail("ended-locked", mutex->locked_at,
             "%s ends, and still holds the mutex that it locks here",
             self->name);
    add_line(END, NULL);
    switch_to(pick());
    abort();
}

/* --- what came of it, as JSON --- */

static FILE *out;

static void print_text(const char *text)
{
    putc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', out);
        putc(*text < ' ' ? ' ' : *text, out);
    }
    putc('"', out);
}

static unsigned long number(const void *pc)
{
    return (unsigned long)(uintptr_t)pc;
}

static void print_calls(const void *const calls[], int depth)
{
    fprintf(out, "\"calls\": [");
    for (int i = 0; i < depth && i < CALLS; i++)
        fprintf(out, "%s%lu", i ? ", " : "", number(calls[i]));
    fprintf(out, "]");
}

static void print_object(const char *key, const Object *object)
{
    if (object->type == NULL)
        return;
    fprintf(out, ", \"%s\": {\"type\": \"%s\", \"address\": %lu", key,
            object->type, number(object->address));
    if (object->owner != NULL)
        fprintf(out, ", \"owner\": %d, \"locked_at\": %lu", object->owner->id,
                number(object->locked_at));
    fprintf(out, "}");
}

static void print_line(const Line *line)
{
    fprintf(out, "{\"thread\": %d, \"action\": \"%s\", \"pc\": %lu, ",
            line->thread, names[line->action], number(line->pc));
    print_calls(line->calls, line->call_depth);
    if (line->other >= 0)
        fprintf(out, ", \"other\": %d", line->other);
    if (line->outcome != USUAL)
        fprintf(out, ", \"outcome\": \"%s\"", outcomes[line->outcome]);
    if (line->text[0] != '\0') {
        fprintf(out, ", \"text\": ");
        print_text(line->text);
    }
    uint64_t value; /* it still is what it was then */
    if (graph && (line->action == READ || line->action == WRITE)
        && memory_value(line->place, line->size, &value))
        fprintf(out, ", \"place\": %lu, \"size\": %zu, \"value\": %lu",
                number(line->place), line->size, (unsigned long)value);
    print_object("object", &line->object);
    print_object("mutex", &line->mutex);
    fprintf(out, "}");
}

static void print_thread(const Thread *t)
{
    fprintf(out, "\"id\": %d, \"name\": ", t->id);
    print_text(t->name);
    fprintf(out, ", \"done\": %s, \"action\": \"%s\", \"pc\": %lu, ",
            t->done ? "true" : "false", names[t->action], number(t->pc));
    print_calls(t->calls, t->call_depth);
    if (t->action == JOIN && t->other != NULL)
        fprintf(out, ", \"other\": %d", t->other->id);
    if ((t->action == AWAIT || t->action == CALL || t->action == BEGIN)
        && t->awaits != NULL) {
        fprintf(out, ", \"text\": ");
        print_text(t->awaits);
    }
    if (graph && (t->action == READ || t->action == WRITE))
        fprintf(out, ", \"place\": %lu", number(t->place));
    if (t->action == WAKE && t->signalled)
        fprintf(out, ", \"signalled\": true");
    if (t->told_end)
        fprintf(out, ", \"told_end\": true");
    if (t->object != NULL)
        print_object("object", t->object);
    if (t->mutex != NULL)
        print_object("mutex", t->mutex);
}

static void print_failure(const char *key, const void *pc, const char *text)
{
    fprintf(out,
            "{\"key\": \"%s\", \"surprises\": %d, \"thread\": %d, "
            "\"pc\": %lu, \"text\": ",
            key, surprises, self->id, number(pc));
    print_text(text);
    fprintf(out, ",\n  \"threads\": [");
    const char *comma = "\n   ";
    for (int i = 0; i < THREADS; i++) {
        if (!threads[i].used)
            continue;
        fprintf(out, "%s{", comma);
        print_thread(&threads[i]);
        fprintf(out, "}");
        comma = ",\n   ";
    }
    fprintf(out, "],\n  \"steps\": [");
    for (int i = 0; i < line_count; i++) {
        fprintf(out, "%s\n   ", i ? "," : "");
        print_line(&lines[i]);
    }
    fprintf(out, "]}");
}

/* --- the graph: a line of JSON for each state, and for each step --- */

static void print_state(uint64_t key)
{
    printf("{\"state\": %lu, \"threads\": [", (unsigned long)key);
    const char *comma = "";
    for (Thread *t = threads; t < threads + THREADS; t++) {
        if (!t->used)
            continue;
        printf("%s{\"can\": \"%s\", ", comma,
               t->done          ? "ended"
               : enabled(t)     ? "yes"
               : by_surprise(t) ? "surprise"
                                : "no");
        print_thread(t);
        printf("}");
        comma = ", ";
    }
    printf("], \"memory\": ");
    memory_print();
    printf(", \"words\": {");
    int count;
    comma = "";
    for (Object *o = objects_begin(&count); count-- > 0; o++) {
        uint64_t value;
        if (strcmp(o->type, "memory") == 0
            && memory_value(o->address, 8, &value)) {
            printf("%s\"%lu\": %lu", comma, number(o->address),
                   (unsigned long)value);
            comma = ", ";
        }
    }
    printf("}}\n");
}

/* The steps of a thread since the last state. */
static void print_edge(void)
{
    printf("{\"from\": %lu, \"thread\": %d, \"steps\": [",
           (unsigned long)last_state, last_thread);
    for (int i = last_line; i < line_count; i++) {
        printf("%s", i > last_line ? ", " : "");
        print_line(&lines[i]);
    }
    printf("]");
}

static void meet_state(void)
{
    out = stdout;
    uint64_t key = state_key();
    if (find_state(mix(key, 1))->left++ == 0)
        print_state(key);
    if (last_state != 0
        && find_state(mix(mix(last_state, key), (uint64_t)last_thread))->left++
               == 0) {
        print_edge();
        printf(", \"to\": %lu}\n", (unsigned long)key);
    }
    last_state = key;
    last_line = line_count;
}

/* A state, or a step from it, in which the run ends. */
static void print_end(const char *key, const void *pc, const char *text)
{
    out = stdout;
    print_edge();
    printf(", \"end\": \"%s\", \"pc\": %lu, \"text\": ", key, number(pc));
    print_text(text);
    printf("}\n");
}

/* Keeps the report: the search goes on, for a shorter one. */
void fail(const char *key, const void *pc, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);

    if (graph)
        print_end(key, pc, text);
    failure.found = true;
    failure.steps = steps;
    free(failure.report);
    size_t size;
    out = open_memstream(&failure.report, &size);
    print_failure(key, pc, text);
    fclose(out);
    _longjmp(home, FAILED);
}

/* The same for what is told only if nothing else is found: it ends the run,
 * and others may show what comes of it. */
void fail_weakly(const char *key, const void *pc, const char *text)
{
    weak_seen = true;
    if (weak_fails)
        fail(key, pc, "%s", text);
    if (graph)
        print_end("well", pc, text);
    _longjmp(home, DONE);
}

/* Whether a thread may stay where it is for ever: it waits for a job. */
static bool may_stay(const Thread *t, int depth)
{
    if (!t->may_wait && !(t->by_reader && scenario->leaves))
        return false;
    if (t->action == WAKE && t->signalled) /* only its mutex is missing */
        return t->mutex->owner != t && depth > 0
               && may_stay(t->mutex->owner, depth - 1);
    if (t->action == WAKE || t->action == TAKE || t->action == ACCEPT)
        return true;
    return t->action == LOCK && depth > 0 && t->object->owner != t
           && may_stay(t->object->owner, depth - 1);
}

/* No thread can go on. Is that as it should be? */
static _Noreturn void finish(void)
{
    last_thread = -1; /* what ends now is no thread's step */
    if (scenario->check != NULL)
        scenario->check();
    for (Thread *t = threads; t < threads + THREADS; t++)
        if (t->used && !t->done && t->action == SPIN) {
            self = t;
            fail_weakly("for-ever", t->pc,
                        "looks again and again, and nothing "
                        "changes");
        }
    for (Thread *t = threads; t < threads + THREADS; t++)
        if (t->used && !t->done && !may_stay(t, THREADS))
            fail("stuck", t->pc, "no thread can go on");
    if (!scenario->leaves) {
        for (Thread *t = threads; t < threads + THREADS; t++)
            if (t->by_reader && !t->joined && !t->detached)
                fail("not-joined", NULL, "%s is never joined", t->name);
        memory_check_leaks();
    }
    if (graph)
        print_end("well", NULL, "");
    _longjmp(home, DONE);
}

static void *run_main(void *arg)
{
    (void)arg;
    scenario->run();
    return NULL;
}

/* --- runs --- */

static void run_once(void)
{
    run++;
    last_state = 0;
    steps = surprises = spurious = path_depth = line_count = 0;
    for (int i = 0; i < THREADS; i++)
        threads[i].used = threads[i].by_reader = false;
    self = NULL;
    memory_reset();
    objects_reset();
    net_reset();
    int result = _setjmp(home);
    if (result == 0) {
        self = start("main", run_main, NULL);
        self->started = true;
        memcpy(own_variables, self->own, own_size);
        setcontext(&contexts[0]);
    }
    self = NULL;
    if (result == PRUNED)
        pruned++;
    else
        schedules++;
    if (steps > steps_max)
        steps_max = steps;
}

/* Goes to the next path. Returns false when there is none. */
static bool next_path(void)
{
    while (path_length > 0
           && path[path_length - 1].option + 1 == path[path_length - 1].count)
        path_length--;
    if (path_length > 0)
        path[path_length - 1].option++;
    return path_length > 0;
}

enum Search { COMPLETE, BOUNDED, OUT_OF_TIME, FOUND };

/* Runs all schedules of the scenario with the surprises that bound allows. */
static enum Search search(double deadline, double extra)
{
restart:
    path_length = 0;
    cut = false;
    failure.found = false;
    generation++;
    if (state_count > STATES / 4) {
        memset(states, 0, STATES * sizeof *states);
        state_count = 0;
    }
    do {
        run_once();
        if (new_races && !weak_fails) {
            weak_seen = true;
            if (graph)
                printf("{\"again\": true}\n");
            bound = graph ? bound : 0; /* its steps are others now */
            goto restart;
        }
        if (failure.found && deadline > now() + extra)
            deadline = now() + extra;
        if ((run & 63) == 0 && now() > deadline)
            return failure.found ? FOUND : OUT_OF_TIME;
    } while (next_path());
    return failure.found ? FOUND : cut ? BOUNDED : COMPLETE;
}

void not_explored(const char *what)
{
    out = stdout;
    printf("{\"not_explored\": ");
    print_text(what);
    if (scenario != NULL) {
        printf(", \"scenario\": ");
        print_text(scenario->name);
    }
    printf("}\n");
    exit(3);
}

/* --- the program --- */

static void crashed(int number)
{
    (void)number;
    if (self == NULL)
        _exit(4);
    fail("crash", self->pc, "crashes: it uses or calls what is not there");
}

/* Nothing has happened for a second of our own time. */
static void watch(int number)
{
    (void)number;
    static uint32_t last_run;
    static int last_steps;
    if (self != NULL && last_run == run && last_steps == steps)
        fail("for-ever", self->pc,
             "goes round and round without an end, and "
             "without a call");
    last_run = run;
    last_steps = steps;
}

/* Finds the program's thread-local variables; the C library's are others. */
static int find_own_variables(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size, (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            own_variables = info->dlpi_tls_data;
            own_size = info->dlpi_phdr[i].p_memsz;
        }
    return 1; /* the first is the program itself */
}

static void prepare(void)
{
    memory_prepare();
    states = calloc(STATES, sizeof *states);
    dl_iterate_phdr(find_own_variables, NULL);
    own_at_first = malloc(own_size + 1);
    memcpy(own_at_first, own_variables, own_size);
    for (int i = 0; i < THREADS; i++) {
        threads[i].own = malloc(own_size + 1);
        getcontext(&contexts[i]);
        contexts[i].uc_stack.ss_sp = stack_of(i);
        contexts[i].uc_stack.ss_size = STACK;
        makecontext(&contexts[i], run_thread, 0);
    }
    sigaltstack(&(stack_t){.ss_sp = malloc(1 << 16), .ss_size = 1 << 16}, NULL);
    struct sigaction action = {.sa_handler = crashed,
                               .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    action.sa_handler = watch;
    sigaction(SIGVTALRM, &action, NULL);
    setitimer(ITIMER_VIRTUAL, &(struct itimerval){{1, 0}, {1, 0}}, NULL);
}

static bool finished[64]; /* all was tried, with any number of surprises */
static int completed[64]; /* surprises up to which all was tried, or -1 */
static long counts[64];   /* schedules of the last search */

/* Searches one scenario with a bound; remembers what came of it. */
static enum Search try_scenario(int i, int limit, double deadline, double extra)
{
    scenario = &scenarios[i];
    enum Search result;
    bound = limit;
    do { /* races that are found make it start again, from no surprises */
        long before = schedules;
        result = search(deadline, extra);
        counts[i] = schedules - before;
        if (result == BOUNDED || result == COMPLETE)
            completed[i] = bound;
    } while (result == BOUNDED && bound++ < limit);
    finished[i] = result == COMPLETE;
    return result;
}

static bool is_wanted(const Scenario *each, const char *only)
{
    return only == NULL ? !each->asked_for : strcmp(only, each->name) == 0;
}

static enum Search try_all(int last, const char *only, double deadline,
                           double extra)
{
    for (int limit = graph ? last : 0;
         limit <= (weak_seen && last > 1 ? 1 : last); limit++)
        for (int i = 0; i < scenario_count; i++) {
            if (!is_wanted(&scenarios[i], only))
                continue;
            if (!finished[i] && (completed[i] + 1 >= limit || graph)
                && try_scenario(i, limit, deadline, extra) == FOUND)
                return FOUND;
        }
    return COMPLETE;
}

/* Usage: explorer SURPRISES SECONDS EXTRA SCENARIO|all [every|graph [SPURIOUS]]
 */
int main(int argc, char *argv[])
{
    if (argc < 5)
        return 2;
    int last = atoi(argv[1]);
    double begun = now(), deadline = begun + atof(argv[2]);
    double extra = atof(argv[3]);
    const char *only = strcmp(argv[4], "all") == 0 ? NULL : argv[4];
    use_states = argc < 6 || strcmp(argv[5], "every") != 0;
    graph = argc > 5 && strcmp(argv[5], "graph") == 0;
    if (argc > 6)
        spurious_most = atoi(argv[6]);
    prepare();

    enum Search result;
    for (int i = 0; i < scenario_count; i++)
        completed[i] = -1;
    result = try_all(last, only, deadline, extra);
    if (result != FOUND
        && weak_seen) { /* without a consequence that is worse */
        if (graph)
            printf("{\"again\": true}\n");
        weak_fails = true;
        for (int i = 0; i < scenario_count; i++) {
            finished[i] = false;
            completed[i] = -1;
        }
        result = try_all(last, only, now() + 2 * extra, extra);
    }

    out = stdout;
    printf("{\"schedules\": %ld, \"cut_short\": %ld, \"seconds\": %.3f, "
           "\"longest\": %d,\n \"scenarios\": [",
           schedules, pruned, now() - begun, steps_max);
    const char *comma = "\n  ";
    for (int i = 0; i < scenario_count; i++) {
        if (!is_wanted(&scenarios[i], only))
            continue;
        printf("%s{\"name\": ", comma);
        print_text(scenarios[i].name);
        printf(", \"what\": ");
        print_text(scenarios[i].what);
        printf(", \"schedules\": %ld, \"surprises\": %d, \"all\": %s}",
               counts[i], completed[i], finished[i] ? "true" : "false");
        comma = ",\n  ";
    }
    printf("]");
    if (result == FOUND) {
        printf(",\n \"scenario\": ");
        print_text(scenario->name);
        printf(",\n \"failure\": %s", failure.report);
    }
    printf("}\n");
    return result == FOUND;
}
