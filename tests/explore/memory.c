/*
 * The memory of the program under test: its heap, its stacks, its variables.
 * The heap never gives a byte out twice in a run, so whatever is used after it
 * was freed is noticed. Every access is reported by the compiler's calls to
 * __tsan_…; two of them race if no chain of unlock and lock, create, join, …
 * puts them in order. Where that is found, accesses become steps, and the
 * search looks for what comes of it.
 */
#define _GNU_SOURCE
#include "explore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HEAP ((size_t)8 << 20)
#define BLOCKS 4096
#define RACES 256
#define LINE 64
#define UNSET 0xa5a5a5a5 /* what malloc leaves in memory */

/* Who used a byte last. Is meant only if its run is the current one. */
typedef struct {
    uint32_t run, written, read[THREADS]; /* times of the threads */
    int writer;
    uint32_t written_at, read_at[THREADS]; /* in the code */
} Shadow;

typedef struct {
    char *start;
    size_t size;
    const void *allocated_at, *freed_at;
    int freed_by;
    uint64_t name;
} Block;

/* What objcopy called the program's own variables. */
extern char __start_reader_data[] __attribute__((weak));
extern char __stop_reader_data[] __attribute__((weak));
extern char __start_reader_bss[] __attribute__((weak));
extern char __stop_reader_bss[] __attribute__((weak));

bool new_races;
static char *memory; /* HEAP, then a stack for each thread */
static size_t used;
static Block blocks[BLOCKS];
static int block_count;
static Shadow *shadow;    /* of memory, then of data and bss */
static uint32_t *touched; /* in which run was this line of LINE bytes used? */
static char *data_copy;
static struct {
    const void *pc;
    bool on_stack; /* there is one for a local variable */
} races[RACES];
static int race_count;

char *stack_of(int thread)
{
    return memory + HEAP + (size_t)thread * STACK;
}

static size_t data_size(void)
{
    return (size_t)(__stop_reader_data - __start_reader_data);
}

static size_t bss_size(void)
{
    return (size_t)(__stop_reader_bss - __start_reader_bss);
}

static void *map(size_t size)
{
    void *result = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (result == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return result;
}

void memory_prepare(void)
{
    size_t size = HEAP + THREADS * STACK;
    memory = map(size);
    shadow = map((size + data_size() + bss_size()) * sizeof *shadow);
    touched = map(size / LINE * sizeof *touched);
    data_copy = malloc(data_size() + 1);
    memcpy(data_copy, __start_reader_data, data_size());
}

/* As it was when the program began. */
void memory_reset(void)
{
    used = 0;
    block_count = 0;
    new_races = false;
    memcpy(__start_reader_data, data_copy, data_size());
    memset(__start_reader_bss, 0, bss_size());
}

static Shadow *shadow_of(const char *address)
{
    size_t offset = (size_t)(address - memory);
    if (offset < HEAP + THREADS * STACK)
        return &shadow[offset];
    size_t start = HEAP + THREADS * STACK;
    if ((offset = (size_t)(address - __start_reader_data)) < data_size())
        return &shadow[start + offset];
    start += data_size();
    if ((offset = (size_t)(address - __start_reader_bss)) < bss_size())
        return &shadow[start + offset];
    return NULL;
}

/* Returns the last block that starts at or before the address, or NULL. */
static Block *block_of(const void *address)
{
    int low = 0, high = block_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (blocks[middle].start <= (const char *)address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &blocks[low - 1] : NULL;
}

/* Fails unless the memory is there to be used. */
static void check_alive(const char *address, size_t size, bool writes,
                        const void *pc)
{
    const char *does = writes ? "writes" : "reads";
    size_t offset = (size_t)(address - memory);
    if ((uintptr_t)address < 4096)
        fail("null", pc, "%s through a pointer that is NULL", does);
    if ((uintptr_t)address >> 32 == UNSET)
        fail("never-set", pc, "%s through a pointer that was never set", does);
    if (offset < HEAP) {
        const Block *block = block_of(address);
        if (block == NULL || address + size > block->start + block->size)
            fail("beyond", pc, "%s beyond the %zu bytes that were allocated",
                 does, block == NULL ? 0 : block->size);
        if (block->freed_at != NULL)
            fail("freed", pc, "%s memory that %s has freed at {%p}", does,
                 threads[block->freed_by].name, block->freed_at);
    } else if (offset < HEAP + THREADS * STACK) {
        const Thread *owner = &threads[(offset - HEAP) / STACK];
        if (owner != self && (owner->done || address < owner->stack_end))
            fail("dead-variable", pc,
                 "%s a local variable of %s that is gone: its function "
                 "has returned",
                 does, owner->name);
    }
}

/* Returns what stands for an address, whichever order the threads ran in: that
 * of a block depends on who allocated before. */
uint64_t memory_name(const void *address)
{
    size_t offset = (size_t)((const char *)address - memory);
    const Block *block = offset < HEAP ? block_of(address) : NULL;
    if (block == NULL)
        return mix((uint64_t)(uintptr_t)address, 1);
    return mix(block->name, (uint64_t)((const char *)address - block->start));
}

static bool on_stack(const char *address)
{
    size_t offset = (size_t)(address - memory);
    return offset >= HEAP && offset < HEAP + THREADS * STACK;
}

/* Whether an access there is a step. Those to a thread's own variables are not,
 * unless others use these: one line may touch both. */
static bool is_race(const void *pc, const void *address)
{
    bool mine = (size_t)((const char *)address - stack_of(self->id)) < STACK;
    for (int i = 0; i < race_count; i++)
        if (races[i].pc == pc && (!mine || races[i].on_stack))
            return true;
    return false;
}

static void add_race(const void *pc, const char *address)
{
    int i = 0;
    while (i < race_count && races[i].pc != pc)
        i++;
    if (i == RACES
        || (i < race_count && races[i].on_stack >= on_stack(address)))
        return;
    races[i].pc = pc;
    races[i].on_stack = on_stack(address);
    race_count += i == race_count;
    new_races = true;
}

/* An access that nothing puts in order with an earlier one of another. */
static void found_race(int other, uint32_t other_pc, const void *pc,
                       const char *address, bool writes, bool other_writes)
{
    const void *before = (const void *)(uintptr_t)other_pc;
    add_race(before, address);
    add_race(pc, address);
    if (weak_fails)
        fail("race", pc,
             "%s what %s %s at {%p}, and nothing puts the two in order",
             writes ? "writes" : "reads", threads[other].name,
             other_writes ? "writes" : "reads", before);
}

static void look_for_races(const char *address, size_t size, bool writes,
                           const void *pc)
{
    for (size_t i = 0; i < size; i++) {
        Shadow *byte = shadow_of(address + i);
        if (byte == NULL)
            return;
        if (byte->run != run)
            *byte = (Shadow){.run = run};
        if (byte < shadow + HEAP)
            touched[(byte - shadow) / LINE] = run;
        if (byte->writer != self->id
            && byte->written > self->clock.at[byte->writer])
            found_race(byte->writer, byte->written_at, pc, address + i, writes,
                       true);
        for (int t = 0; writes && t < THREADS; t++)
            if (t != self->id && byte->read[t] > self->clock.at[t])
                found_race(t, byte->read_at[t], pc, address + i, true, false);
        uint32_t now = self->clock.at[self->id], at = (uint32_t)(uintptr_t)pc;
        if (writes) {
            byte->written = now;
            byte->writer = self->id;
            byte->written_at = at;
        } else {
            byte->read[self->id] = now;
            byte->read_at[self->id] = at;
        }
    }
}

/* An access that races is a step. What overlaps must not seem to be apart, so
 * the objects are words, and it may touch several. */
static void access_step(const void *address, size_t size, Action action,
                        const void *pc)
{
    uintptr_t word = (uintptr_t)address & ~(uintptr_t)7;
    uintptr_t end = (uintptr_t)address + size;
    self->place = address;
    self->size = size;
    step(action, object_at((const void *)word, "memory", pc), pc);
    while ((word += 8) < end) {
        Object *object = object_at((const void *)word, "memory", pc);
        if (action == WRITE)
            touch(object, WRITE);
        else
            self->history = mix(self->history, object->history);
    }
}

void access_memory(const void *address, size_t size, bool writes,
                   const void *pc)
{
    if (self == NULL || size == 0)
        return;
    if (race_count > 0 && is_race(pc, address))
        access_step(address, size, writes ? WRITE : READ, pc);
    check_alive(address, size, writes, pc);
    look_for_races(address, size, writes, pc);
}

/* --- malloc and free --- */

static void *allocate(size_t alignment, size_t size, const void *pc)
{
    if (self == NULL)
        return malloc(size);
    used = (used + 2 * alignment - 1) / alignment * alignment; /* a gap */
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    if (used > HEAP || size > HEAP - used || block_count == BLOCKS)
        not_explored("more memory than the explorer has");
    Block *block = &blocks[block_count++];
    *block =
        (Block){memory + used, size, pc,
                NULL,          0,    mix(self->history, ++self->allocations)};
    used += size;
    memset(block->start, UNSET & 0xff, size); /* not what it should be */
    return block->start;
}

static void free_block(void *address, const void *pc)
{
    if (address == NULL || self == NULL)
        return;
    Block *block = block_of(address);
    if (block == NULL || block->start != address)
        fail("not-allocated", pc, "frees what was not allocated");
    if (is_race(pc, address))
        access_step(address, 1, FREE, pc);
    if (block->freed_at != NULL)
        fail("freed", pc, "frees what %s has freed already, at {%p}",
             threads[block->freed_by].name, block->freed_at);
    objects_freed(address, block->size, pc);
    size_t start = (size_t)(block->start - memory), end = start + block->size;
    for (size_t i = start; i < end; i += LINE - i % LINE)
        if (touched[i / LINE] == run) {
            size_t left = end - i, line = LINE - i % LINE;
            look_for_races(memory + i, left < line ? left : line, true, pc);
        }
    block->freed_at = pc;
    block->freed_by = self->id;
}

void memory_check_leaks(void)
{
    for (int i = 0; i < block_count; i++)
        if (blocks[i].freed_at == NULL)
            fail("leak", blocks[i].allocated_at,
                 "what is allocated here, %zu "
                 "bytes, is never freed",
                 blocks[i].size);
}

int memory_in_use(void)
{
    int count = 0;
    for (int i = 0; i < block_count; i++)
        count += blocks[i].freed_at == NULL;
    return count;
}

/* [address, bytes] of each small block that is in use. */
void memory_print(void)
{
    printf("[");
    const char *comma = "";
    for (int i = 0; i < block_count; i++) {
        if (blocks[i].freed_at != NULL || blocks[i].size > 1024)
            continue;
        printf("%s[%lu, \"", comma, (unsigned long)(uintptr_t)blocks[i].start);
        for (size_t byte = 0; byte < blocks[i].size; byte++)
            printf("%02x", (unsigned char)blocks[i].start[byte]);
        printf("\"]");
        comma = ", ";
    }
    printf("]");
}

/* Stores the number that is there, if it is one. */
bool memory_value(const void *address, size_t size, uint64_t *value)
{
    *value = 0;
    if ((uintptr_t)address < 4096 || shadow_of(address) == NULL
        || size > sizeof *value)
        return false;
    memcpy(value, address, size);
    return true;
}

void *model_malloc(size_t size)
{
    return allocate(16, size, HERE);
}

void *model_calloc(size_t count, size_t size)
{
    size_t bytes =
        count > 0 && size > SIZE_MAX / count ? SIZE_MAX : count * size;
    void *result = allocate(16, bytes, HERE);
    return result == NULL ? NULL : memset(result, 0, bytes);
}

void *model_aligned_alloc(size_t alignment, size_t size)
{
    return allocate(alignment, size, HERE);
}

int model_posix_memalign(void **result, size_t alignment, size_t size)
{
    *result = allocate(alignment, size, HERE);
    return *result == NULL ? ENOMEM : 0;
}

void *model_realloc(void *old, size_t size)
{
    void *result = allocate(16, size, HERE);
    if (old == NULL || result == NULL)
        return result;
    const Block *block = block_of(old);
    size_t had = block != NULL && block->start == old ? block->size : 0;
    check_alive(old, had, false, HERE);
    memcpy(result, old, had < size ? had : size);
    free_block(old, HERE);
    return result;
}

char *model_strdup(const char *text)
{
    char *result = allocate(16, strlen(text) + 1, HERE);
    return result == NULL ? NULL : strcpy(result, text);
}

void model_free(void *address)
{
    free_block(address, HERE);
}

void *model_memcpy(void *to, const void *from, size_t size)
{
    access_memory(from, size, false, HERE);
    access_memory(to, size, true, HERE);
    return memcpy(to, from, size);
}

void *model_memmove(void *to, const void *from, size_t size)
{
    access_memory(from, size, false, HERE);
    access_memory(to, size, true, HERE);
    return memmove(to, from, size);
}

/* clang's names for them. */
void *__tsan_memcpy(void *to, const void *from, size_t size)
{
    access_memory(from, size, false, HERE);
    access_memory(to, size, true, HERE);
    return memcpy(to, from, size);
}

void *__tsan_memset(void *to, int byte, size_t size)
{
    access_memory(to, size, true, HERE);
    return memset(to, byte, size);
}

void *model_memset(void *to, int byte, size_t size)
{
    access_memory(to, size, true, HERE);
    return memset(to, byte, size);
}

/* --- what the compiler calls --- */

void __tsan_init(void)
{
}

void __tsan_func_entry(const void *caller)
{
    if (self == NULL)
        return;
    if (self->called_at != NULL)
        caller = self->called_at;
    self->called_at = NULL;
    if (self->call_depth++ < CALLS)
        self->calls[self->call_depth - 1] = caller;
}

void __tsan_func_exit(void)
{
    if (self != NULL)
        self->call_depth--;
}

#define ACCESS(name, size)                                                     \
    void __tsan_read##name(void *address)                                      \
    {                                                                          \
        access_memory(address, size, false, HERE);                             \
    }                                                                          \
    void __tsan_write##name(void *address)                                     \
    {                                                                          \
        access_memory(address, size, true, HERE);                              \
    }
ACCESS(1, 1)
ACCESS(2, 2)
ACCESS(4, 4)
ACCESS(8, 8)
ACCESS(16, 16)
#define __tsan_read2 __tsan_unaligned_read2
#define __tsan_read4 __tsan_unaligned_read4
#define __tsan_read8 __tsan_unaligned_read8
#define __tsan_read16 __tsan_unaligned_read16
#define __tsan_write2 __tsan_unaligned_write2
#define __tsan_write4 __tsan_unaligned_write4
#define __tsan_write8 __tsan_unaligned_write8
#define __tsan_write16 __tsan_unaligned_write16
ACCESS(2, 2)
ACCESS(4, 4)
ACCESS(8, 8)
ACCESS(16, 16)

void __tsan_read_range(void *address, size_t size)
{
    access_memory(address, size, false, HERE);
}

void __tsan_write_range(void *address, size_t size)
{
    access_memory(address, size, true, HERE);
}

/* An atomic variable is a step, and puts threads in order (unless relaxed,
 * order 0). Other orders are taken for the strictest. */
static void atomic_step(const volatile void *address, size_t size, int order,
                        const void *pc)
{
    if (self == NULL)
        return;
    Object *object = object_at((const void *)address, "atomic", pc);
    step(ATOMIC, object, pc);
    check_alive((const void *)address, size, true, pc);
    if (order != 0) {
        acquire(&object->clock);
        release(&object->clock);
    }
}

#define FETCH(bits, name, op)                                                  \
    uint##bits##_t __tsan_atomic##bits##_fetch_##name(                         \
        volatile uint##bits##_t *a, uint##bits##_t v, int order)               \
    {                                                                          \
        atomic_step(a, bits / 8, order, HERE);                                 \
        uint##bits##_t old = *a;                                               \
        *a = (uint##bits##_t)(op);                                             \
        return old;                                                            \
    }
#define EXCHANGE(bits, kind)                                                   \
    int __tsan_atomic##bits##_compare_exchange_##kind(                         \
        volatile uint##bits##_t *a, uint##bits##_t *expected,                  \
        uint##bits##_t v, int order, int failing)                              \
    {                                                                          \
        (void)failing;                                                         \
        atomic_step(a, bits / 8, order, HERE);                                 \
        if (*a == *expected) {                                                 \
            *a = v;                                                            \
            return 1;                                                          \
        }                                                                      \
        *expected = *a;                                                        \
        return 0;                                                              \
    }
#define ATOMICS(bits)                                                          \
    uint##bits##_t __tsan_atomic##bits##_load(                                 \
        const volatile uint##bits##_t *a, int order)                           \
    {                                                                          \
        atomic_step(a, bits / 8, order, HERE);                                 \
        return *a;                                                             \
    }                                                                          \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *a,               \
                                     uint##bits##_t v, int order)              \
    {                                                                          \
        atomic_step(a, bits / 8, order, HERE);                                 \
        *a = v;                                                                \
    }                                                                          \
    uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t *a,  \
                                                  uint##bits##_t v, int order) \
    {                                                                          \
        atomic_step(a, bits / 8, order, HERE);                                 \
        uint##bits##_t old = *a;                                               \
        *a = v;                                                                \
        return old;                                                            \
    }                                                                          \
    FETCH(bits, add, old + v)                                                  \
    FETCH(bits, sub, old - v)                                                  \
    FETCH(bits, and, old &v)                                                   \
    FETCH(bits, or, old | v)                                                   \
    FETCH(bits, xor, old ^ v)                                                  \
    FETCH(bits, nand, ~(old & v))                                              \
    EXCHANGE(bits, strong)                                                     \
    EXCHANGE(bits, weak)
ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)

void __tsan_atomic_thread_fence(int order)
{
    (void)order;
}

void __tsan_atomic_signal_fence(int order)
{
    (void)order;
}
