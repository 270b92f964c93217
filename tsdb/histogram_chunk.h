/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_chunk: the samples of one series in one window when native histograms are among them,
 * as the values of a block entry of kind HISTOGRAM (integer ones are among them) or
 * FLOAT_HISTOGRAM. Layouts stand once each; counts are columns over time, bucket after bucket.
 * Floats of the series are in it as samples of a layout without buckets. Exact to the bit.
 * docs/format/block.md draws the bytes.
 *
 * Whoever rewrites blocks may copy an entry whole; to merge runs, decode them into points, merge
 * (tsdb_mixed_merge) and encode the result.
 *
 * Threads: plain data.
 */
#ifndef TW_TSDB_HISTOGRAM_CHUNK_H
#define TW_TSDB_HISTOGRAM_CHUNK_H

#include "tsdb/histogram.h"

/* The kind of the entry that holds these points; FLOAT when there is no histogram among them. */
enum tsdb_kind tsdb_histogram_chunk_kind(const struct tsdb_mixed_point *points, size_t count);
/* Appends. Times are stored elsewhere. */
void tsdb_histogram_chunk_encode(const struct tsdb_mixed_point *points, size_t count,
                                 struct tw_buf *ret);
/* Appends count points with the times given, histograms in the arena; false for what no writer
 * makes (then ret is as it was). */
bool tsdb_histogram_chunk_decode(struct tw_str bytes, const int64_t *times_ms, size_t count,
                                 struct tw_arena *arena, struct tsdb_mixed *ret);

#endif
