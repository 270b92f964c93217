/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_change: by what a series of native histograms changed over a window: rate, increase,
 * delta, irate, idelta, anchored and smoothed ones too. What comes out is a gauge.
 *
 * Threads: one run, one thread.
 */
#ifndef TW_QUERY_HISTOGRAM_CHANGE_H
#define TW_QUERY_HISTOGRAM_CHANGE_H

#include "query/operator.h"

struct query_histogram_change {
    struct query_exec *exec;
    const struct query_node *argument; /* where annotations point */
    struct wire_labels labels;
    struct tw_arena *side;    /* of the result */
    struct tw_arena *scratch; /* of the step */
    const int64_t *times_ms;
    const struct query_histogram *const *histograms;
    const bool *resets; /* of counters, by histogram */
    size_t low, high;   /* the window's; not empty */
    int64_t start_ms, end_ms;
    bool is_counter, is_rate;
    enum query_extension extension;
};

/* Each NULL when there is nothing to give. */
const struct query_histogram *
query_histogram_change_over_window(const struct query_histogram_change *change);
const struct query_histogram *
query_histogram_last_change(const struct query_histogram_change *change);
const struct query_histogram *
query_histogram_change_between_edges(const struct query_histogram_change *change);

#endif
