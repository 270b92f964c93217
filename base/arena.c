/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of blocks, the newest in front; each new one doubles up to BLOCK_BYTES_MAX, so that the
 * number of blocks grows with the logarithm of the memory first and the waste stays bounded.
 */
#include "config.h"

#include "base/arena.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define ARENA_MAGIC 0x54574152u
#define BLOCK_BYTES_MIN ((size_t)1024)
#define BLOCK_BYTES_MAX ((size_t)4 << 20)
#define ALIGNMENT _Alignof(max_align_t)

struct block {
    struct block *older;
    size_t capacity, used;
    _Alignas(max_align_t) char bytes[];
};

struct tw_arena {
    unsigned magic;
    struct block *newest;
    size_t next_bytes; /* capacity of the next block */
    size_t taken_bytes, limit_bytes;
};

/* ---- blocks that are kept ---- */

/* Classes by size, each twice that before; in each some places that anybody empties or fills. */
#define KEPT_CLASSES 7
#define KEPT_EACH 4

static struct {
    _Atomic(struct block *) places[KEPT_CLASSES][KEPT_EACH];
    atomic_size_t bytes, bytes_max;
} kept;

static size_t block_bytes(const struct block *block)
{
    return sizeof *block + block->capacity;
}

/* bytes >= TW_ARENA_KEPT_BYTES_MIN; the last class has all that is larger. */
static size_t class_of(size_t bytes)
{
    size_t class = 0;
    while (class + 1 < KEPT_CLASSES && bytes >= TW_ARENA_KEPT_BYTES_MIN << (class + 1))
        class ++;
    return class;
}

/* False when there is no place for it. */
static bool put_into_class(struct block *block, size_t class)
{
    for (size_t i = 0; i < KEPT_EACH; i++) {
        struct block *none = NULL;
        if (atomic_compare_exchange_strong(&kept.places[class][i], &none, block))
            return true;
    }
    return false;
}

static void free_block(struct block *block)
{
    size_t bytes = block_bytes(block), limit = atomic_load(&kept.bytes_max);
    if (limit > 0 && bytes >= TW_ARENA_KEPT_BYTES_MIN) {
        size_t together = atomic_fetch_add(&kept.bytes, bytes) + bytes;
        if (together <= limit && put_into_class(block, class_of(bytes)))
            return;
        atomic_fetch_sub(&kept.bytes, bytes);
    }
    free(block);
}

static struct block *take_from_class(size_t class, size_t bytes)
{
    for (size_t i = 0; i < KEPT_EACH; i++) {
        struct block *block = atomic_exchange(&kept.places[class][i], NULL);
        if (!block)
            continue;
        atomic_fetch_sub(&kept.bytes, block_bytes(block));
        if (block_bytes(block) >= bytes)
            return block;
        free_block(block);
    }
    return NULL;
}

/* A block for at least so many bytes, header included, and not for many more. */
static struct block *take_block(size_t bytes)
{
    if (bytes >= TW_ARENA_KEPT_BYTES_MIN && atomic_load(&kept.bytes_max) > 0) {
        size_t class = class_of(bytes);
        struct block *block = take_from_class(class, bytes);
        if (!block && class + 1 < KEPT_CLASSES)
            block = take_from_class(class + 1, bytes);
        if (block)
            return block;
    }
    struct block *block = malloc(bytes);
    TW_ASSERT(block != NULL);
    block->capacity = bytes - sizeof *block;
    return block;
}

void tw_arena_keep_blocks(size_t bytes)
{
    atomic_store(&kept.bytes_max, 0);
    for (size_t class = 0; class < KEPT_CLASSES; class ++)
        for (struct block *block; (block = take_from_class(class, 0));)
            free(block);
    atomic_store(&kept.bytes_max, bytes);
}

size_t tw_arena_kept_bytes(void)
{
    return atomic_load(&kept.bytes);
}

/* ---- arenas ---- */

struct tw_arena *tw_arena_new(size_t first_bytes)
{
    struct tw_arena *arena = calloc(1, sizeof *arena);
    TW_ASSERT(arena != NULL);
    arena->magic = ARENA_MAGIC;
    arena->next_bytes = first_bytes < BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN : first_bytes;
    return arena;
}

static void free_blocks(struct block *block)
{
    while (block) {
        struct block *older = block->older;
        free_block(block);
        block = older;
    }
}

struct tw_arena *tw_arena_free(struct tw_arena *arena)
{
    if (!arena)
        return NULL;
    TW_CHECK_MAGIC(arena, ARENA_MAGIC);
    free_blocks(arena->newest);
    arena->magic = 0;
    free(arena);
    return NULL;
}

void tw_arena_reset(struct tw_arena *arena)
{
    TW_CHECK_MAGIC(arena, ARENA_MAGIC);
    struct block *keep = arena->newest;
    if (!keep)
        return;
    for (struct block *block = keep->older; block; block = block->older)
        if (block->capacity > keep->capacity)
            keep = block;
    for (struct block *block = arena->newest; block;) {
        struct block *older = block->older;
        if (block != keep)
            free_block(block);
        block = older;
    }
    keep->older = NULL;
    keep->used = 0;
    arena->newest = keep;
    arena->taken_bytes = sizeof *keep + keep->capacity;
}

static size_t round_up(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

static void add_block(struct tw_arena *arena, size_t bytes)
{
    size_t capacity = arena->next_bytes;
    if (capacity < bytes)
        capacity = bytes;
    struct block *block = take_block(sizeof *block + capacity);
    block->used = 0;
    block->older = arena->newest;
    arena->newest = block;
    arena->taken_bytes += block_bytes(block);
    if (arena->next_bytes < BLOCK_BYTES_MAX)
        arena->next_bytes *= 2;
}

void *tw_arena_alloc(struct tw_arena *arena, size_t bytes)
{
    TW_CHECK_MAGIC(arena, ARENA_MAGIC);
    TW_ASSERT(bytes < SIZE_MAX / 2);
    size_t need = round_up(bytes ? bytes : 1);
    if (!arena->newest || arena->newest->capacity - arena->newest->used < need)
        add_block(arena, need);
    struct block *block = arena->newest;
    void *memory = block->bytes + block->used;
    block->used += need;
    return memory;
}

void *tw_arena_alloc_zero(struct tw_arena *arena, size_t bytes)
{
    return memset(tw_arena_alloc(arena, bytes), 0, bytes);
}

void *tw_arena_alloc_array(struct tw_arena *arena, size_t count, size_t item_bytes)
{
    size_t bytes;
    TW_ASSERT(!__builtin_mul_overflow(count, item_bytes, &bytes));
    return tw_arena_alloc_zero(arena, bytes);
}

void *tw_arena_grow(struct tw_arena *arena, void *old, size_t old_bytes, size_t new_bytes)
{
    TW_CHECK_MAGIC(arena, ARENA_MAGIC);
    TW_ASSERT(new_bytes >= old_bytes);
    struct block *block = arena->newest;
    size_t old_need = round_up(old_bytes ? old_bytes : 1);
    size_t new_need = round_up(new_bytes ? new_bytes : 1);
    if (old && block && block->used >= old_need &&
        (char *)old == block->bytes + block->used - old_need &&
        block->capacity - block->used >= new_need - old_need) {
        block->used += new_need - old_need;
        return old;
    }
    void *fresh = tw_arena_alloc(arena, new_bytes);
    if (old && old_bytes)
        memcpy(fresh, old, old_bytes);
    return fresh;
}

struct tw_str tw_arena_str(struct tw_arena *arena, struct tw_str s)
{
    return (struct tw_str){tw_arena_cstr(arena, s), s.size};
}

char *tw_arena_cstr(struct tw_arena *arena, struct tw_str s)
{
    char *copy = tw_arena_alloc(arena, s.size + 1);
    if (s.size)
        memcpy(copy, s.data, s.size);
    copy[s.size] = 0;
    return copy;
}

struct tw_str tw_arena_format(struct tw_arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    TW_ASSERT(size >= 0);
    char *text = tw_arena_alloc(arena, (size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return (struct tw_str){text, (size_t)size};
}

size_t tw_arena_bytes(const struct tw_arena *arena)
{
    return arena->taken_bytes;
}

void tw_arena_set_limit(struct tw_arena *arena, size_t bytes)
{
    arena->limit_bytes = bytes;
}

bool tw_arena_over_limit(const struct tw_arena *arena)
{
    return arena->limit_bytes && arena->taken_bytes > arena->limit_bytes;
}
