/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_value: a native histogram as a value of a query: always of floats, its buckets as two
 * arrays, numbers and counts, so that arithmetic between histograms of one layout is a loop over
 * doubles. What the store gives and takes (spans) is converted at the edges.
 *
 *            numbers  [-3][-2][ 0][ 4]     bucket n of schema s ends at 2^(n * 2^-s); with custom
 *            counts   [ 1][ 0][ 7][ 2]     buckets (schema -53) at custom_values[n], the last +Inf
 *
 *   I1  Numbers ascend strictly. They may be shared by many histograms; so may custom_values.
 *   I2  A histogram never changes once it is a value: tiles and results share pointers to it.
 *
 * Where it lives: in the arena of whoever made it. In a tile it lives until the operator that gave
 * the tile gives the next one (operator.h, I-side); who keeps it longer copies it.
 *
 * Threads: plain data.
 */
#ifndef TW_QUERY_HISTOGRAM_VALUE_H
#define TW_QUERY_HISTOGRAM_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "wire/histogram.h"

/* One side of zero. */
struct query_buckets {
    const int32_t *numbers;
    const double *counts;
    uint32_t count;
};

struct query_histogram {
    enum wire_reset_hint hint;
    int32_t schema;
    uint32_t custom_count;
    double zero_threshold, zero_count, count, sum;
    struct query_buckets positive, negative;
    const double *custom_values;
};

static inline bool query_histogram_is_custom(const struct query_histogram *histogram)
{
    return histogram->schema == WIRE_HISTOGRAM_SCHEMA_CUSTOM;
}

/* ---- making ---- */

/* before: a histogram whose numbers and bounds live as long as the arena and are shared when they
 * are the same; or NULL. */
struct query_histogram *query_histogram_from_wire(struct tw_arena *arena,
                                                  const struct wire_histogram *source,
                                                  const struct query_histogram *before);
struct wire_histogram *query_histogram_to_wire(struct tw_arena *arena,
                                               const struct query_histogram *histogram,
                                               int64_t time_ms);
/* source and copied: an earlier pair, source and its copy in this arena, whose arrays are shared
 * when they are the same; or NULL. */
struct query_histogram *query_histogram_copy(struct tw_arena *arena,
                                             const struct query_histogram *histogram,
                                             const struct query_histogram *source,
                                             const struct query_histogram *copied);
/* Times the factor; without empty buckets when compact. Below zero it is a gauge's. */
struct query_histogram *query_histogram_multiplied(struct tw_arena *arena,
                                                   const struct query_histogram *histogram,
                                                   double factor, bool compact);
/* Divided; by zero no bucket is left. */
struct query_histogram *query_histogram_divided(struct tw_arena *arena,
                                                const struct query_histogram *histogram,
                                                double divisor, bool compact);

/* Kind, bounds, sum and counts bit for bit; not the hint. */
bool query_histogram_equal(const struct query_histogram *a, const struct query_histogram *b);
/* How many plain samples it counts for in the limits on samples. */
size_t query_histogram_weight(const struct query_histogram *histogram);

/* ---- buckets ---- */
bool query_buckets_same_numbers(const struct query_buckets *a, const struct query_buckets *b);
bool query_histogram_same_bounds(const struct query_histogram *a, const struct query_histogram *b);

/* Upper bound of the bucket on the positive side; the lower one is that of number - 1. */
double query_histogram_bound(const struct query_histogram *histogram, int32_t number);

struct query_bucket_view {
    double lower, upper, count;
    bool lower_inclusive, upper_inclusive;
};
/* All buckets from the lowest to the highest, the zero bucket between the sides, are at the
 * positions 0 .. query_histogram_positions() - 1; empty ones among them. Bounds within the zero
 * bucket are cut at its threshold. False: there is no bucket at the position (the zero bucket when
 * its count is not above zero). */
size_t query_histogram_positions(const struct query_histogram *histogram);
bool query_histogram_view(const struct query_histogram *histogram, size_t position,
                          struct query_bucket_view *ret_view);

/* ---- as text: {count:3, sum:5, (1,2]:3}, as Prometheus prints it ---- */
void query_histogram_print(const struct query_histogram *histogram, struct tw_buf *ret_text);

#endif
