/* SPDX-License-Identifier: Apache-2.0
 *
 * samples: the samples of one series that selectors and range functions work on, gathered from the
 * store's columns into one run; and the selection they come from, which lives as long as the plan.
 * Native histograms among them are gathered apart, so that floats stay plain columns.
 *
 * Threads: one run, one thread.
 */
#ifndef TW_QUERY_SAMPLES_H
#define TW_QUERY_SAMPLES_H

#include "query/operator.h"

struct query_samples {
    /* Its own memory, or a column of the store's, which lives until more is read. */
    const int64_t *times_ms;
    const double *values;
    int64_t *own_times_ms;
    double *own_values;
    uint64_t times_id; /* equal non-zero ids = the same times, within one source */
    double *weights;   /* how many samples each stands for, when has_weights: of downsampled data */
    size_t count, capacity;
    bool has_weights;
    /* The series' histograms, which have times of their own; NULL marks the end (stale). */
    int64_t *histogram_times_ms;
    const struct query_histogram **histograms;
    size_t histogram_count, histogram_capacity;
};

void query_samples_fini(struct query_samples *samples);
/* Room for so many in its own memory, where those so far are. */
void query_samples_reserve(struct query_samples *samples, size_t count);
void query_samples_clear(struct query_samples *samples);
void query_samples_add_histogram(struct query_samples *samples, int64_t time_ms,
                                 const struct query_histogram *histogram);

/* Store side of a selector: opened once, read slice by slice. */
struct query_source {
    struct tsdb_selection *selection;
    bool is_shared;          /* the selection is another's */
    struct tsdb_hints hints; /* of this reader; its function's name is borrowed */
    struct tsdb_cursor *cursor;
    struct query_samples samples;
    bool last_only; /* of histograms the newest is enough: one step */
};

/* Selects what lies in (start_ms, end_ms], unless that was done already; together with others that
 * select alike, when the run knows of any. */
TW_MUST_CHECK enum tw_code query_source_open(struct query_source *source, struct query_exec *exec,
                                             const struct query_node *selector, int64_t start_ms,
                                             int64_t end_ms, const struct tsdb_hints *hints,
                                             struct tw_err *err);
/* Reads the selection that `from` has opened, which outlives source, with a cursor of its own. */
TW_MUST_CHECK enum tw_code query_source_share(struct query_source *source,
                                              const struct query_source *from, struct tw_err *err);
/* The series of a tile are read next, one after the other. */
void query_source_expect(struct query_source *source, const struct query_tile *tile);
void query_source_close(struct query_source *source);
/* Fills source->samples with those of a series in (start_ms, end_ms]; stale markers are left out
 * unless kept. Histograms are made in the side arena of op. */
TW_MUST_CHECK enum tw_code query_source_read(struct query_source *source, struct query_op *op,
                                             struct query_exec *exec, size_t series,
                                             int64_t start_ms, int64_t end_ms, bool keep_stale,
                                             struct tw_err *err);

#endif
