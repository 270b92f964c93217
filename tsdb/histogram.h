/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram: samples of a series that has native histograms, perhaps floats too, as an array of
 * points; and the one rule by which samples at the same time become one. It extends the rule of
 * points.h so that floats and histograms may be gathered apart, in any order:
 *
 *   a histogram beats a number, a number beats a stale marker; among equals the newest wins.
 *
 * A histogram travels through log and head as a step: what differs from the histogram that came
 * before it in the series, or the whole (a full step). docs/format/log.md draws it.
 *
 * Ownership: points refer to histograms that live elsewhere, mostly in an arena.
 * Threads: plain data.
 */
#ifndef TW_TSDB_HISTOGRAM_H
#define TW_TSDB_HISTOGRAM_H

#include "tsdb/codec.h"
#include "tsdb/eraser.h"
#include "tsdb/points.h"
#include "tsdb/storage.h"

struct tsdb_mixed_point {
    int64_t time_ms;
    uint64_t bits;                          /* of the number, when there is no histogram */
    const struct wire_histogram *histogram; /* its time_ms is the point's */
};

/* A growing array. Zero is an empty one. */
struct tsdb_mixed {
    struct tsdb_mixed_point *items;
    size_t count, capacity;
};

static inline enum tsdb_kind tsdb_mixed_kind(const struct tsdb_mixed_point *point)
{
    return !point->histogram            ? TSDB_KIND_FLOAT
           : point->histogram->is_float ? TSDB_KIND_FLOAT_HISTOGRAM
                                        : TSDB_KIND_HISTOGRAM;
}

void tsdb_mixed_fini(struct tsdb_mixed *mixed);
/* Room for more behind count; the caller fills it and adds to count. */
struct tsdb_mixed_point *tsdb_mixed_reserve(struct tsdb_mixed *mixed, size_t more);
void tsdb_mixed_append(struct tsdb_mixed *mixed, struct tsdb_mixed_point point);
void tsdb_mixed_append_floats(struct tsdb_mixed *mixed, const struct tsdb_point *points,
                              size_t count);
/* Of any kind. The histograms are referred to, not copied. */
void tsdb_mixed_append_column(struct tsdb_mixed *mixed, const struct tsdb_column *column);
/* Into ascending times, each once. Items of equal time stand in the order in which they came. */
void tsdb_mixed_settle(struct tsdb_mixed *mixed);
/* Both settled; newer came after older. ret is another array, overwritten. */
void tsdb_mixed_merge(const struct tsdb_mixed_point *older, size_t older_count,
                      const struct tsdb_mixed_point *newer, size_t newer_count,
                      struct tsdb_mixed *ret);
/* Index of the first item at or after time_ms in settled points. */
size_t tsdb_mixed_find(const struct tsdb_mixed_point *items, size_t count, int64_t time_ms);

/* Leaves out what is gone of the run's settled points. */
void tsdb_mixed_erase(struct tsdb_mixed *mixed, const struct tsdb_erasure *erasures,
                      size_t erasure_count, uint64_t run);

/* Columns made of mixed points. */
struct tsdb_mixed_columns {
    int64_t *times_ms;
    double *values;
    const struct wire_histogram **histograms;
    size_t capacity;
};
void tsdb_mixed_columns_fini(struct tsdb_mixed_columns *columns);
/* The leading points of one kind as a column that lives until the next call; returns how many. */
size_t tsdb_mixed_columns_take(struct tsdb_mixed_columns *columns,
                               const struct tsdb_mixed_point *items, size_t count,
                               struct tsdb_column *ret_column);

/* ---- steps ---- */

/* The histogram that the next step is told against, in one heap block. */
struct tsdb_histogram_last {
    struct wire_histogram *histogram; /* NULL = none: the next step is full */
    size_t bytes;
};
void tsdb_histogram_last_fini(struct tsdb_histogram_last *last);
void tsdb_histogram_last_set(struct tsdb_histogram_last *last,
                             const struct wire_histogram *histogram);

/* Appends the step; before NULL or of another layout: a full one. The time is not part of it. */
void tsdb_histogram_step_append(const struct wire_histogram *before,
                                const struct wire_histogram *histogram, struct tw_buf *ret);
bool tsdb_histogram_step_is_full(struct tw_str step);
/* Into the arena (spans and bounds of a step that is not full are those of before). NULL for what
 * no writer makes. */
struct wire_histogram *tsdb_histogram_step_read(struct tw_str step,
                                                const struct wire_histogram *before,
                                                int64_t time_ms, struct tw_arena *arena);

/* ---- layouts: all of a histogram but its counts, sum, hint and times; shared with the chunk
 * ---- */
void tsdb_histogram_layout_append(const struct wire_histogram *histogram, struct tw_buf *ret);
/* Fills the layout of *ret with counts missing; false for what no writer makes. */
bool tsdb_histogram_layout_read(struct tsdb_reader *reader, struct tw_arena *arena,
                                struct wire_histogram *ret);

#endif
