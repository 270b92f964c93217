/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_sum: adds histograms up, whatever their layouts: to the coarser schema, to the wider
 * zero bucket, to the custom bounds that all have. Each number carries Neumaier's compensation, as
 * the sums of floats do.
 *
 *   sum    numbers  [-1][ 0][ 3]        room for more behind; most histograms of one metric have
 *          counts   [ 5][ 1][ 9]        the same numbers, and then adding is one loop
 *          lost     [ .][ .][ .]
 *
 * Memory is the arena's; arrays grow by doubling, so that the garbage is at most the sum's size.
 *
 * Threads: one run, one thread.
 */
#ifndef TW_QUERY_HISTOGRAM_SUM_H
#define TW_QUERY_HISTOGRAM_SUM_H

#include "query/histogram_value.h"

struct query_histogram_side {
    int32_t *numbers;
    double *counts, *lost; /* lost: the compensations */
    uint32_t count, capacity;
};

struct query_histogram_sum {
    struct tw_arena *arena;
    enum wire_reset_hint hint;
    int32_t schema;
    uint32_t custom_count;
    const double *custom_values;
    double zero_threshold, zero_count, count, sum;
    double zero_lost, count_lost, sum_lost;
    struct query_histogram_side positive, negative;
    bool collided;   /* a sample that says "reset" met one that says "no reset" */
    bool reconciled; /* custom bounds differed */
};

/* Starts with factor * first. */
void query_histogram_sum_begin(struct query_histogram_sum *sum, struct tw_arena *arena,
                               const struct query_histogram *first, double factor);
/* Adds factor * histogram. False, and nothing is added: one has exponential, the other custom
 * buckets. */
bool query_histogram_sum_add(struct query_histogram_sum *sum,
                             const struct query_histogram *histogram, double factor);
/* Coarser, when it is finer. */
void query_histogram_sum_coarsen(struct query_histogram_sum *sum, int32_t schema);
void query_histogram_sum_multiply(struct query_histogram_sum *sum, double factor);
/* Would adding pass the largest double? */
bool query_histogram_sum_overflows(const struct query_histogram_sum *sum,
                                   const struct query_histogram *histogram);
/* The value, in an arena (perhaps another), times the factor; without empty buckets when compact.
 */
struct query_histogram *query_histogram_sum_take(const struct query_histogram_sum *sum,
                                                 struct tw_arena *arena, double factor,
                                                 bool compact);

/* Has it begun anew since the one before? By its hint, else by comparing. scratch: for what the
 * comparison needs. */
bool query_histogram_is_reset(struct tw_arena *scratch, const struct query_histogram *now,
                              const struct query_histogram *before);

#endif
