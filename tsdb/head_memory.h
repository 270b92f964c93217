/* SPDX-License-Identifier: Apache-2.0
 *
 * head_memory: memory for the small pieces of a head, in multiples of 16 bytes. What is given back
 * waits in a list of its size for the next that needs it, or is cut to a smaller one; all goes with
 * the head.
 *
 * Threads: one at a time.
 */
#ifndef TW_TSDB_HEAD_MEMORY_H
#define TW_TSDB_HEAD_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

#define TSDB_HEAD_GRAIN 16
/* Larger pieces are not taken back; the largest chunk is smaller (head_chunk.c). */
#define TSDB_HEAD_GRAINS_MAX 640

struct tsdb_head_memory {
    struct tw_arena *arena;
    void *free[TSDB_HEAD_GRAINS_MAX + 1];               /* by grains; linked by the first 8 bytes */
    uint64_t free_sizes[TSDB_HEAD_GRAINS_MAX / 64 + 1]; /* where there is any */
};

void tsdb_head_memory_init(struct tsdb_head_memory *memory);
void tsdb_head_memory_fini(struct tsdb_head_memory *memory);
/* Aligned to TSDB_HEAD_GRAIN, not initialised. */
void *tsdb_head_memory_take(struct tsdb_head_memory *memory, size_t bytes);
void tsdb_head_memory_give(struct tsdb_head_memory *memory, void *piece, size_t bytes);

#endif
