/* SPDX-License-Identifier: Apache-2.0
 *
 * windows: where the windows of a range function's steps lie among the samples of a series, and
 * what an extrapolation needs to know of them. Series that were written together have the same
 * times; then all this is worked out once and serves for many.
 *
 *   step s        window [low[s], high[s]): samples in (end - range, end], end = first + s x step
 *   pair          bits of the steps whose window has two samples or more; elsewhere the arrays
 *                 below hold numbers without meaning
 *   first, last   positions of the first and last sample of the window, always within the samples
 *   sampled       seconds from the first to the last sample of the window
 *   to_start      seconds by which the window is stretched to the left of its first sample
 *   to_end        the same to the right of the last
 *   factor        by what the change between first and last sample is stretched
 *   adjacent      bits of the blocks of steps in which first and last go up by one from step to
 * step, as they do where the step is the interval of the samples uniform       bits of the blocks
 * in which what an extrapolation needs is always the same
 *
 * Threads: one at a time.
 */
#ifndef TW_QUERY_WINDOWS_H
#define TW_QUERY_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "query/operator.h"

#define QUERY_WINDOWS_BLOCK 64 /* steps */

struct query_windows {
    /* Set by query_windows_begin. */
    int64_t first_end_ms, end_step_ms; /* end_step 0 = all at one place (@) */
    int64_t range_ms;
    size_t steps;
    uint32_t *low, *high; /* both never decrease from step to step, unless extended */
    /* Set by their owner behind that, when windows take in what lies around them (range_extended),
     * and how far away it may be. */
    enum query_extension extension;
    int64_t reach_ms;
    uint64_t *pair, *adjacent, *uniform;
    uint32_t *first, *last;
    double *sampled, *to_start, *to_end, *factor;
    /* The times that they belong to. */
    int64_t *times_ms;
    size_t count, capacity;
    uint64_t times_id; /* 0: not known */
    bool fits;         /* low and high belong to times_ms */
    bool extrapolates; /* and the rest too */
};

/* New windows; forgets those before. Their memory is the slice's. extrapolated: they will be. */
TW_MUST_CHECK enum tw_code query_windows_begin(struct query_windows *windows,
                                               struct query_exec *exec, int64_t first_end_ms,
                                               int64_t end_step_ms, int64_t range_ms, size_t steps,
                                               bool extrapolated, struct tw_err *err);
/* Finds low and high, unless the times are those of the series before: equal non-zero ids say so.
 * count < 2^32. */
void query_windows_fit(struct query_windows *windows, const int64_t *times_ms, size_t count,
                       uint64_t times_id);
/* Also the rest; there are samples. is_rate: the factor gives a change per second. */
void query_windows_extrapolate(struct query_windows *windows, bool is_rate);
void query_windows_fini(struct query_windows *windows);

#endif
