/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_text: native histograms as query scripts write them:
 *
 *   {{schema:0 sum:5 count:4 z_bucket:1 z_bucket_w:0.001 buckets:[1 2] offset:-1 n_buckets:[1]
 *     n_offset:1 custom_values:[1 2] counter_reset_hint:gauge}}
 *   {{sum:stale}}                          the end of the series
 *   {{sum:1 count:1}}x3                    four times the same
 *   {{sum:1 count:1}}+{{sum:2 count:1}}x3  the second one more from each to the next
 *
 * Threads: plain data.
 */
#ifndef TW_TESTS_HISTOGRAM_TEXT_H
#define TW_TESTS_HISTOGRAM_TEXT_H

#include "query/histogram_value.h"

/* Takes one item from the start of *text, into the arena. False when it is none. */
bool histogram_text_take(struct tw_arena *arena, struct tw_str *text,
                         const struct query_histogram ***ret_items, size_t *ret_count);
/* Count, sum and populated buckets, each within 1e-6 of the other's. */
bool histogram_text_same(const struct query_histogram *a, const struct query_histogram *b);

#endif
