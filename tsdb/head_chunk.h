/* SPDX-License-Identifier: Apache-2.0
 *
 * head_chunk: packed samples of a series in the head: segments, each a column of values of the
 * codec, one for each tail that was packed; with the times that the scrape shares (head_times.h),
 * or with a column of times each.
 *
 * The newest chunk of a series may be open: segments are added behind what it holds, in place. A
 * reader therefore knows the extent that it had under the lock (struct tsdb_head_extent). When it
 * is full it is closed: all of it becomes one segment, in memory of its size. So a sample is packed
 * twice at most, and in the life of a usual head once.
 *
 * Within a chunk times ascend, each once.
 */
#ifndef TW_TSDB_HEAD_CHUNK_H
#define TW_TSDB_HEAD_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tsdb/head_memory.h"
#include "tsdb/head_times.h"

#define TSDB_HEAD_CHUNK_MAX 512 /* samples */

/* What a chunk holds; of an open one it grows. */
struct tsdb_head_extent {
    int64_t last_ms;
    uint16_t count, size; /* samples, bytes */
};

struct tsdb_head_chunk {
    const struct tsdb_head_chunk *older;
    union {
        const struct tsdb_head_times *part; /* shared: that of the first time */
        int64_t first_ms;
    };
    struct tsdb_head_extent extent;
    uint16_t capacity; /* of bytes */
    uint8_t place;     /* shared: of the first time */
    bool shared : 1, open : 1;
    unsigned char bytes[];
};

/* Samples on their way into chunks; times ascend. */
struct tsdb_head_column {
    int64_t times[TSDB_HEAD_CHUNK_MAX];
    uint64_t values[TSDB_HEAD_CHUNK_MAX];
    size_t count;
    bool shared; /* then from where */
    const struct tsdb_head_times *part;
    uint8_t place;
};

/* A new open one with the column as its only segment. scratch: cleared and used. */
struct tsdb_head_chunk *tsdb_head_chunk_new(struct tsdb_head_memory *memory,
                                            const struct tsdb_head_column *column,
                                            const struct tsdb_head_chunk *older,
                                            struct tw_buf *scratch);
/* Adds a segment, whose times follow those of the chunk; when they are shared they are the very
 * next ones. Returns the chunk, or another one that takes its place (the caller drops this one), or
 * NULL when it must be closed first. room: used. */
struct tsdb_head_chunk *tsdb_head_chunk_add(struct tsdb_head_memory *memory,
                                            struct tsdb_head_chunk *chunk,
                                            const struct tsdb_head_column *column,
                                            struct tsdb_head_column *room, struct tw_buf *scratch);
/* The same samples as one segment in no more memory than they need. */
struct tsdb_head_chunk *tsdb_head_chunk_close(struct tsdb_head_memory *memory,
                                              const struct tsdb_head_chunk *chunk,
                                              struct tsdb_head_column *room,
                                              struct tw_buf *scratch);
/* No reader has it. */
void tsdb_head_chunk_drop(struct tsdb_head_memory *memory, const struct tsdb_head_chunk *chunk);

/* extent: of the chunk, now or at an earlier time. */
void tsdb_head_chunk_read(const struct tsdb_head_chunk *chunk, struct tsdb_head_extent extent,
                          int64_t *ret_times, uint64_t *ret_values);
/* Of one that shares its times, which the caller has: the values; those of segments that end before
 * since_ms are left out, and undefined. */
void tsdb_head_chunk_read_values(const struct tsdb_head_chunk *chunk,
                                 struct tsdb_head_extent extent, const int64_t *times,
                                 int64_t since_ms, uint64_t *ret_values);
int64_t tsdb_head_chunk_first_ms(const struct tsdb_head_chunk *chunk);

#endif
