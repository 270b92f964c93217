/* SPDX-License-Identifier: Apache-2.0
 *
 * selection_int: what a selection of the store holds, for selection.c, which finds the series,
 * group.c, which groups them, and cursor.c, which reads them.
 *
 * Nothing is copied of a series but where its samples are: labels only when the reader wants them
 * whole, samples when a cursor comes to the series.
 */
#ifndef TW_TSDB_SELECTION_INT_H
#define TW_TSDB_SELECTION_INT_H

#include "tsdb/buckets.h"
#include "tsdb/db_int.h"

#define TSDB_SELECTION_MAGIC 0x7e5d5e1eu

/* One place that has samples of a series. */
struct tsdb_part {
    uint32_t series; /* its id there */
    uint32_t metric; /* of a partition */
    uint32_t source; /* partitions come first, then heads from old to new */
    uint32_t match;  /* of a partition: which of those found there */
};

struct tsdb_selected {
    uint32_t first_part, part_count;
};

/* What of a series is gone. */
struct tsdb_cut {
    uint32_t first_erasure, count;
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
    struct tsdb_partition_match **matches; /* by partition */
    size_t *match_counts;
    size_t partition_count;
    struct tsdb_head **heads;
    size_t head_count;
    struct tsdb_part *parts;
    size_t part_count, part_capacity;
    struct tsdb_selected *series;
    size_t series_count;
    struct tsdb_cut *cuts; /* by series; NULL when nothing is gone */
    struct tsdb_erasers *erasers;
    struct tsdb_erasures erasures;
    /* One of both, by series: */
    struct wire_labels *labels;
    uint32_t *group_of;
    struct wire_labels *group_labels;
    size_t group_count;
};

static inline bool tsdb_part_is_head(const struct tsdb_db_selection *selection,
                                     const struct tsdb_part *part)
{
    return part->source >= selection->partition_count;
}

static inline struct tsdb_head *tsdb_part_head(const struct tsdb_db_selection *selection,
                                               const struct tsdb_part *part)
{
    return selection->heads[part->source - selection->partition_count];
}

/* Labels of a series by one of its places. items holds WIRE_LABELS_COUNT_MAX and may not be used;
 * the texts live as long as the selection. */
struct wire_labels tsdb_part_labels(const struct tsdb_db_selection *selection,
                                    const struct tsdb_part *part, struct wire_label *items);

/* ---- group.c ---- */
/* Sets group_of and the groups' labels, once the series are known. */
void tsdb_selection_make_groups(struct tsdb_db_selection *selection,
                                const struct tsdb_grouping *grouping);

/* ---- cursor.c: the cursor's share of tsdb_storage_ops ---- */
TW_MUST_CHECK enum tw_code tsdb_db_cursor_open(struct tsdb_selection *base,
                                               struct tsdb_cursor **ret_cursor, struct tw_err *err);
void tsdb_db_cursor_close(struct tsdb_cursor *base);
void tsdb_db_cursor_hint(struct tsdb_cursor *base, const struct tsdb_hints *hints);
void tsdb_db_cursor_expect(struct tsdb_cursor *base, size_t first, size_t limit);
void tsdb_db_cursor_seek(struct tsdb_cursor *base, size_t series_index, int64_t start_ms,
                         int64_t end_ms);
TW_MUST_CHECK enum tw_code tsdb_db_cursor_next(struct tsdb_cursor *base,
                                               struct tsdb_column *ret_column, struct tw_err *err);

#endif
