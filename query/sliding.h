/* SPDX-License-Identifier: Apache-2.0
 *
 * sliding: sums over windows that slide along the samples of a series, in two additions a sample
 * however long the windows are.
 *
 *        |  sums up to the border  |  end: sum from there  |
 *              low ............ border ............... high
 *
 * Nothing is ever subtracted: a window's sum is that from `low` up to a border, which is at hand
 * for each low, and that of what came behind it. When windows have left the border behind, the end
 * of the next one is the new border. So an infinity or a huge value is gone with its sample, and
 * nothing is lost by cancellation: sums go with what their roundings lost, as Prometheus's do.
 *
 * Four sums are kept side by side, one in each lane of a vector. What is summed, a function says:
 * it may put values and times in relation to the newest sample before the border.
 *
 * Threads: one at a time.
 */
#ifndef TW_QUERY_SLIDING_H
#define TW_QUERY_SLIDING_H

#include <stddef.h>

#include "base/assert.h"

#define QUERY_SLIDING_LANES 4

/* Aligned as one double: they lie in arenas. */
typedef double query_lanes
    __attribute__((vector_size(QUERY_SLIDING_LANES * sizeof(double)), aligned(sizeof(double))));

struct query_lane_sums {
    query_lanes sum, rest; /* rest: what the additions lost, which belongs to it */
};

struct query_sliding {
    struct query_lane_sums *sums; /* by sample: from there up to the border */
    size_t capacity;
    size_t border; /* 0: none yet */
    size_t limit;  /* behind the last sample of `end` */
    struct query_lane_sums end;
};

/* Room for the sums of so many samples; forgets the windows before. */
void query_sliding_begin(struct query_sliding *sliding, size_t count);
void query_sliding_fini(struct query_sliding *sliding);

struct query_range_row;
/* What of a sample is summed; origin: the newest one before the border. */
typedef void query_sliding_term(const struct query_range_row *row, size_t origin, size_t sample,
                                query_lanes *ret);

/* Knuth's sum of two numbers: what rounding lost is exact, whichever is larger. */
static inline __attribute__((always_inline)) void query_lanes_add(struct query_lane_sums *to,
                                                                  const query_lanes *term)
{
    query_lanes total = to->sum + *term, kept = total - to->sum;
    to->rest += (to->sum - (total - kept)) + (*term - kept);
    to->sum = total;
}

/* The sums over samples [low, high), of which neither is smaller than in the call before; low <
 * high. */
static inline __attribute__((always_inline)) void
query_sliding_move(struct query_sliding *sliding, const struct query_range_row *row, size_t low,
                   size_t high, query_sliding_term *term, struct query_lane_sums *ret)
{
    query_lanes lanes = {0};
    TW_ASSERT(low < high && high <= sliding->capacity);
    if (low >= sliding->border) {
        struct query_lane_sums sums = {{0}, {0}};
        for (size_t i = high; i-- > low;) {
            term(row, high - 1, i, &lanes);
            query_lanes_add(&sums, &lanes);
            sliding->sums[i] = sums;
        }
        sliding->border = sliding->limit = high;
        sliding->end = (struct query_lane_sums){{0}, {0}};
    }
    for (; sliding->limit < high; sliding->limit++) {
        term(row, sliding->border - 1, sliding->limit, &lanes);
        query_lanes_add(&sliding->end, &lanes);
    }
    *ret = sliding->sums[low];
    ret->rest += sliding->end.rest;
    query_lanes_add(ret, &sliding->end.sum);
}

#endif
