/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_range: range functions over the native histograms of a series. The floats of the series
 * are done before (range_kernel.h), as if there were no histograms; here windows with histograms
 * get what they give, and windows with both what the function makes of that.
 *
 * Threads: one run, one thread.
 */
#ifndef TW_QUERY_HISTOGRAM_RANGE_H
#define TW_QUERY_HISTOGRAM_RANGE_H

#include "query/operator.h"
#include "query/samples.h"
#include "query/windows.h"

/* What is kept from series to series. Zero is an empty one. */
struct query_histogram_range {
    struct query_windows windows; /* of the histograms */
    bool begun;                   /* for this slice */
    struct tw_arena *scratch;     /* of one step */
    bool *resets;                 /* by histogram: it starts anew */
    size_t reset_capacity;
};

/* One series. */
struct query_histogram_range_row {
    struct query_op *op; /* the range function's, whose side arena takes the results */
    const struct query_node *argument;
    struct wire_labels labels; /* with the name; for annotations */
    const struct query_samples *samples;
    const struct query_windows *floats; /* low and high of the floats, if there are any */
    double *values;
    uint64_t *present;
    const struct query_histogram **histograms;
};

TW_MUST_CHECK enum tw_code query_histogram_range_apply(struct query_histogram_range *range,
                                                       struct query_exec *exec,
                                                       const struct query_histogram_range_row *row,
                                                       struct tw_err *err);
void query_histogram_range_fini(struct query_histogram_range *range);

/* The histogram at a time between two; of a counter that was reset in between, on the line that
 * comes from zero. NULL: one has exponential, the other custom buckets. */
const struct query_histogram *
query_histogram_interpolate(struct tw_arena *arena, const int64_t times_ms[2],
                            const struct query_histogram *const histograms[2], int64_t time_ms,
                            bool is_counter);

#endif
