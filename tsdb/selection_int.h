/* SPDX-License-Identifier: Apache-2.0
 *
 * selection_int: what a selection of the store holds, for selection.c, which makes it, and
 * cursor.c, which reads its series.
 */
#ifndef TW_TSDB_SELECTION_INT_H
#define TW_TSDB_SELECTION_INT_H

#include "tsdb/buckets.h"
#include "tsdb/db_int.h"

#define TSDB_SELECTION_MAGIC 0x7e5d5e1eu

/* One place that has samples of a series. */
struct tsdb_part {
    uint32_t series; /* its id there, or the index of its view */
    uint32_t metric; /* of a partition */
    uint32_t source; /* partitions come first, then heads from old to new */
};

struct tsdb_selected {
    struct wire_labels labels;
    uint32_t first_part, part_count;
    uint32_t first_erasure, erasure_count; /* what of it is gone */
};

struct tsdb_db_selection {
    struct tsdb_selection base;
    unsigned magic;
    struct tsdb_db *db;
    struct tw_arena *arena;
    int64_t start_ms, end_ms;
    struct tsdb_hints hints;
    enum tsdb_want want; /* of downsampled samples */
    struct tsdb_partition **partitions;
    size_t partition_count;
    struct tsdb_head **heads;
    size_t head_count;
    struct tsdb_head_view *views;
    size_t view_count, view_capacity;
    struct tsdb_selected *series;
    size_t series_count;
    struct tsdb_part *parts;
    struct tsdb_erasers *erasers;
    struct tsdb_erasures erasures;
};

/* ---- cursor.c: the cursor's share of tsdb_storage_ops ---- */
TW_MUST_CHECK enum tw_code tsdb_db_cursor_open(struct tsdb_selection *base,
                                               struct tsdb_cursor **ret_cursor, struct tw_err *err);
void tsdb_db_cursor_close(struct tsdb_cursor *base);
void tsdb_db_cursor_seek(struct tsdb_cursor *base, size_t series_index, int64_t start_ms,
                         int64_t end_ms);
TW_MUST_CHECK enum tw_code tsdb_db_cursor_next(struct tsdb_cursor *base,
                                               struct tsdb_column *ret_column, struct tw_err *err);

#endif
