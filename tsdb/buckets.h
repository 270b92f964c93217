/* SPDX-License-Identifier: Apache-2.0
 *
 * buckets: what downsampling keeps of the samples of a series in each step of time: minimum,
 * maximum, sum, count, the last value, and what counter resets took away. So what functions over
 * time say of whole buckets is what they say of the samples.
 *
 * The bucket of a time t with step s is (k s, (k + 1) s], as PromQL's ranges are; its time is that
 * of its last sample. A stale marker is a bucket of its own with count 0; so is, with count 1, the
 * first sample of a partition, because nothing is known there of the value before it.
 *
 * Threads: plain data.
 */
#ifndef TW_TSDB_BUCKETS_H
#define TW_TSDB_BUCKETS_H

#include "base/buf.h"
#include "tsdb/storage.h"

struct tsdb_bucket {
    int64_t time_ms;
    double min, max, sum, count, last;
    double lost; /* the sum of the values from which a counter fell back, 0 without a reset */
};

/* A growing array. Zero is an empty one. */
struct tsdb_buckets {
    struct tsdb_bucket *items;
    size_t count, capacity;
};
void tsdb_buckets_fini(struct tsdb_buckets *buckets);
void tsdb_buckets_append(struct tsdb_buckets *buckets, const struct tsdb_bucket *items,
                         size_t count);
/* Samples as buckets of their own; lost stays 0. */
void tsdb_buckets_append_samples(struct tsdb_buckets *buckets, const int64_t *times,
                                 const double *values, size_t count);
/* By time; at one time the one of more samples wins, then the newer one. ret is overwritten. */
void tsdb_buckets_merge(const struct tsdb_buckets *older, const struct tsdb_buckets *newer,
                        struct tsdb_buckets *ret);

/* The number of the step that a time falls into. */
int64_t tsdb_bucket_step(int64_t time_ms, int64_t step_ms);
/* Leaves of the samples only those in steps without a bucket that holds any; how many are gone.
 * What was downsampled is final: whether a sample that comes later is in a bucket already (sent
 * again, or with another value) cannot be told any more, and nothing may count twice. */
size_t tsdb_buckets_leave_open(const struct tsdb_buckets *buckets, struct tsdb_buckets *samples,
                               int64_t step_ms);

/* The value before, carried from one part of a series to the next. Zero at the start. */
struct tsdb_bucket_carry {
    double last;
    bool known;
};
/* Into buckets of the step, appended to ret. Samples among the items (count 1) that are lower than
 * the value before them are resets. Items that are of the step already stay as they are. */
void tsdb_buckets_fold(const struct tsdb_bucket *items, size_t count, int64_t step_ms,
                       struct tsdb_bucket_carry *carry, struct tsdb_buckets *ret);

/* A chunk: all but the times. */
void tsdb_buckets_encode(const struct tsdb_bucket *items, size_t count, struct tw_buf *ret);
/* Appends; false for what no encoder makes. */
bool tsdb_buckets_decode(struct tw_str bytes, const int64_t *times, size_t count,
                         struct tsdb_buckets *ret);

/* ---- as samples, for who reads ---- */

/* What a function needs of a bucket. */
enum tsdb_want {
    TSDB_WANT_LAST,
    TSDB_WANT_MIN,
    TSDB_WANT_MAX,
    TSDB_WANT_SUM,     /* and weights */
    TSDB_WANT_COUNTER, /* the last, and before it where a reset was: increases add up exactly */
};
enum tsdb_want tsdb_want_of(const struct tsdb_hints *hints);

/* Buckets in the order of time become columns of samples. Between buckets that are further apart
 * than the reader looks, samples are filled in: an instant selector sees the last value for as long
 * as the step, a range shorter than it the bucket's value, a counter's increase evenly spread. */
struct tsdb_projection {
    enum tsdb_want want;
    int64_t step_ms, range_ms, lookback_ms;
    int64_t start_ms, end_ms; /* closed; what is outside is not handed out */
    bool has_before;
    struct tsdb_bucket before;
    int64_t *times;
    double *values, *weights;
    size_t count, capacity;
};
/* Keeps the arrays. */
void tsdb_projection_begin(struct tsdb_projection *projection, const struct tsdb_hints *hints,
                           int64_t step_ms, int64_t start_ms, int64_t end_ms);
/* The result, in the arrays, replaces the one before; count may be 0. */
void tsdb_projection_add(struct tsdb_projection *projection, const struct tsdb_bucket *items,
                         size_t count);
/* What is held behind the last bucket, likewise. */
void tsdb_projection_end(struct tsdb_projection *projection);
void tsdb_projection_fini(struct tsdb_projection *projection);

#endif
