/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/head_memory.h"

#include <string.h>

#define GRAIN TSDB_HEAD_GRAIN
#define GRAINS_MAX TSDB_HEAD_GRAINS_MAX

void tsdb_head_memory_init(struct tsdb_head_memory *memory)
{
    *memory = (struct tsdb_head_memory){.arena = tw_arena_new(4096)};
}

void tsdb_head_memory_fini(struct tsdb_head_memory *memory)
{
    tw_arena_free(memory->arena);
}

static void *pop(struct tsdb_head_memory *memory, size_t grains)
{
    void *piece = memory->free[grains];
    memcpy(&memory->free[grains], piece, sizeof(void *));
    if (!memory->free[grains])
        memory->free_sizes[grains / 64] &= ~(UINT64_C(1) << (grains % 64));
    return piece;
}

static void push(struct tsdb_head_memory *memory, void *piece, size_t grains)
{
    memcpy(piece, &memory->free[grains], sizeof(void *));
    memory->free[grains] = piece;
    memory->free_sizes[grains / 64] |= UINT64_C(1) << (grains % 64);
}

/* The smallest size of at least so many grains that is there; 0 = none. */
static size_t find_size(const struct tsdb_head_memory *memory, size_t grains)
{
    uint64_t word = memory->free_sizes[grains / 64] >> (grains % 64);
    if (word)
        return grains + (size_t)__builtin_ctzll(word);
    for (size_t i = grains / 64 + 1; i <= GRAINS_MAX / 64; i++)
        if (memory->free_sizes[i])
            return i * 64 + (size_t)__builtin_ctzll(memory->free_sizes[i]);
    return 0;
}

/* What was given back comes first, cut to size: series do the same at the same time, so that what
 * they give back together is another size than what they take. */
void *tsdb_head_memory_take(struct tsdb_head_memory *memory, size_t bytes)
{
    size_t grains = (bytes + GRAIN - 1) / GRAIN;
    size_t there = grains <= GRAINS_MAX ? find_size(memory, grains) : 0;
    if (!there)
        return tw_arena_alloc(memory->arena, grains * GRAIN);
    char *piece = pop(memory, there);
    if (there > grains)
        push(memory, piece + grains * GRAIN, there - grains);
    return piece;
}

void tsdb_head_memory_give(struct tsdb_head_memory *memory, void *piece, size_t bytes)
{
    size_t grains = (bytes + GRAIN - 1) / GRAIN;
    if (grains <= GRAINS_MAX) /* else it goes with the head */
        push(memory, piece, grains);
}
