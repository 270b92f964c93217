/* SPDX-License-Identifier: Apache-2.0
 *
 * head_columns: what the heads have of one series as a column of times and one of values, when they
 * have it in order. Series that share the times of their scrapes share them here, too: what was
 * read for the series before is not read again.
 *
 * Zero is an empty one. Threads: one at a time.
 */
#ifndef TW_TSDB_HEAD_COLUMNS_H
#define TW_TSDB_HEAD_COLUMNS_H

#include "tsdb/head.h"

/* Times that follow each other: shared ones from a place on, or a series' own (part NULL). */
struct tsdb_head_span {
    const struct tsdb_head_times *part;
    uint32_t count;
    uint8_t place;
};

struct tsdb_head_columns {
    int64_t *times_ms;
    uint64_t *values;
    size_t first, limit;               /* of the samples that were asked for */
    uint64_t times_id;                 /* the same as before when those times are */
    size_t behind_first, behind_limit; /* samples from there to the end, of the series before */
    /* While they are read, and to compare the next ones with. */
    int64_t start_ms, end_ms;
    size_t count, capacity;                  /* of samples read */
    bool is_same;                            /* the times so far are those that were read before */
    bool is_whole;                           /* times and spans are those of one series */
    struct tsdb_head_span span;              /* the newest, which may go on; count 0: none */
    const struct tsdb_head_times *next_part; /* where it would */
    uint8_t next_place;
    struct tsdb_head_span *spans;
    size_t span_count, span_capacity, span_at;
    const struct tsdb_head_chunk **chunks;
    size_t chunk_capacity;
    size_t chunk_count; /* that the series has in the range */
};

void tsdb_head_columns_fini(struct tsdb_head_columns *columns);
/* Begins a series: its numbers in [start_ms, end_ms]. */
void tsdb_head_columns_begin(struct tsdb_head_columns *columns, int64_t start_ms, int64_t end_ms);
/* Adds what a head has. False when it does not ascend, or not follow what was added before: then
 * the columns are of no use. */
bool tsdb_head_columns_add(struct tsdb_head_columns *columns, const struct tsdb_head_view *view);
void tsdb_head_columns_end(struct tsdb_head_columns *columns);

#endif
