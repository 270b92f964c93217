/* SPDX-License-Identifier: Apache-2.0
 *
 * run: builds the chunks and columns of a run from samples: encodes the values, finds out which
 * series have the same timestamps, and numbers their columns. What flushes a head and what rewrites
 * a partition both write through this.
 *
 * A run may be written in slices, so that not all of it is in memory at once: take, write, drain,
 * and go on adding; columns are shared across the slices until tsdb_run_builder_clear.
 *
 * Threads: plain data.
 */
#ifndef TW_TSDB_RUN_H
#define TW_TSDB_RUN_H

#include "tsdb/histogram.h"
#include "tsdb/partition.h"

struct tsdb_run_builder;

struct tsdb_run_builder *tsdb_run_builder_new(void);
struct tsdb_run_builder *tsdb_run_builder_free(struct tsdb_run_builder *builder); /* NULL */

/* The samples of a series in one window, in strictly ascending time; once for each series and
 * window. bits: of the doubles. */
void tsdb_run_builder_add(struct tsdb_run_builder *builder, uint32_t series, int64_t window,
                          const int64_t *times, const uint64_t *bits, size_t count);
/* The same for samples among which there are native histograms (numbers alone do as well). */
void tsdb_run_builder_add_mixed(struct tsdb_run_builder *builder, uint32_t series, int64_t window,
                                const struct tsdb_mixed_point *points, size_t count);
/* The same, downsampled. */
void tsdb_run_builder_add_buckets(struct tsdb_run_builder *builder, uint32_t series, int64_t window,
                                  const struct tsdb_bucket *buckets, size_t count);
/* Encoded bytes that were added since the last drain. */
size_t tsdb_run_builder_bytes(const struct tsdb_run_builder *builder);
uint64_t tsdb_run_builder_samples(const struct tsdb_run_builder *builder); /* since clear */

/* What was added since the last drain: chunks by (window, series), columns by (window, column).
 * Fills these members of *ret alone; they live until the next call but free. */
void tsdb_run_builder_take(struct tsdb_run_builder *builder, struct tsdb_run *ret);
void tsdb_run_builder_drain(struct tsdb_run_builder *builder);
void tsdb_run_builder_clear(struct tsdb_run_builder *builder);

#endif
