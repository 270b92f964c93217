/* SPDX-License-Identifier: Apache-2.0
 *
 * histograms: native histograms for tests: one by hand, and endless random ones that behave as a
 * series of them does (counts that grow, layouts that change, resets, stale markers).
 *
 * Threads: plain data.
 */
#ifndef TW_TESTS_HISTOGRAMS_H
#define TW_TESTS_HISTOGRAMS_H

#include "wire/histogram.h"

/* Schema 0, zero bucket 1, positive buckets {1, count - 4, 2} in two spans. */
const struct wire_histogram *histograms_plain(struct tw_arena *arena, int64_t time_ms,
                                              uint64_t count, double sum);

struct histograms_random {
    uint64_t state;
    uint64_t layout_state; /* the seed that gives the layout again */
    bool is_float, custom;
    uint64_t level; /* counts grow with it */
};
struct histograms_random histograms_random(uint64_t seed);
uint64_t histograms_below(struct histograms_random *random, uint64_t limit);
const struct wire_histogram *histograms_next(struct histograms_random *random,
                                             struct tw_arena *arena, int64_t time_ms);

#endif
