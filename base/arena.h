/* SPDX-License-Identifier: Apache-2.0
 *
 * arena: memory with one lifetime (a request, a query, a configuration), dropped all at once.
 *
 * Allocation never fails to the caller: a process that cannot get a few kilobytes ends with an
 * assertion; whatever is large enough to fail for a reason is bounded before (tw_arena_set_limit,
 * checked by the owner with tw_arena_over_limit at points where it can answer an error).
 *
 * Threads: an arena belongs to one thread at a time; blocks are kept for all of them.
 */
#ifndef TW_BASE_ARENA_H
#define TW_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct tw_arena;

/* first_bytes: size of the first block, a hint. */
struct tw_arena *tw_arena_new(size_t first_bytes);
struct tw_arena *tw_arena_free(struct tw_arena *arena); /* NULL is fine; returns NULL */
/* Forgets everything, keeps the largest block for the next use. */
void tw_arena_reset(struct tw_arena *arena);

/* Aligned for any type, uninitialised. bytes 0 gives a unique pointer. */
void *tw_arena_alloc(struct tw_arena *arena, size_t bytes);
void *tw_arena_alloc_zero(struct tw_arena *arena, size_t bytes);
/* Grows the newest allocation in place when it can, else moves it. */
void *tw_arena_grow(struct tw_arena *arena, void *old, size_t old_bytes, size_t new_bytes);
#define TW_ARENA_NEW(arena, type) ((type *)tw_arena_alloc_zero((arena), sizeof(type)))
#define TW_ARENA_ARRAY(arena, type, count)                                                         \
    ((type *)tw_arena_alloc_array((arena), (count), sizeof(type)))
void *tw_arena_alloc_array(struct tw_arena *arena, size_t count, size_t item_bytes); /* zeroed */

/* Copies that live as long as the arena; the bytes are followed by a NUL that size does not count.
 */
struct tw_str tw_arena_str(struct tw_arena *arena, struct tw_str s);
char *tw_arena_cstr(struct tw_arena *arena, struct tw_str s);
struct tw_str tw_arena_format(struct tw_arena *arena, const char *format, ...) TW_PRINTF(2, 3);

/* From now on freed blocks are kept, so many bytes of them at most, for the arenas to come: what
 * is large would be given back to the system and had from it anew, page by page, with each
 * query. 0, as at first: none are, and those that were are freed. */
void tw_arena_keep_blocks(size_t bytes);
#define TW_ARENA_KEPT_BYTES_MIN ((size_t)64 << 10) /* smaller ones never are */
size_t tw_arena_kept_bytes(void);                  /* now */

size_t tw_arena_bytes(const struct tw_arena *arena);           /* taken from the system */
void tw_arena_set_limit(struct tw_arena *arena, size_t bytes); /* 0 = none */
bool tw_arena_over_limit(const struct tw_arena *arena);

#endif
