/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram: a native histogram sample as Prometheus has it: buckets that grow exponentially
 * (schema -4..8: the base is 2^(2^-schema)) on both sides of zero and a zero bucket, or custom
 * buckets (schema -53) with the upper bounds listed. Counts are integers or, in a float histogram
 * (what rate() and sum() give), doubles.
 *
 * Only buckets in spans are listed. A span has an offset from the end of the span before it (the
 * first one: from bucket 0) and a length; so bucket i of a side has a number that follows from the
 * spans: wire_histogram_walk. With custom buckets, bucket n ends at custom_values[n], the last at
 * +Inf.
 *
 *   I1  Counts are absolute here; the deltas of the wire are gone.
 *   I2  What wire_histogram_decode returns and wire_histogram_check accepts has as many buckets as
 *       its spans say, no integer overflow in them, and finite ascending custom bounds.
 *   I3  Sum and float counts keep every bit, NaN payloads too. sum = the stale NaN marks the end of
 *       the series, as a float stale marker does.
 *
 * Ownership: the arrays belong to whoever made them, mostly an arena; nothing here is freed.
 * Threads: plain data.
 */
#ifndef TW_WIRE_HISTOGRAM_H
#define TW_WIRE_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/number.h"
#include "base/str.h"

#define WIRE_HISTOGRAM_SCHEMA_MIN (-4)
#define WIRE_HISTOGRAM_SCHEMA_MAX 8
#define WIRE_HISTOGRAM_SCHEMA_CUSTOM (-53)
/* Limits on one sample, each side; what passes them is refused with the reason. */
#define WIRE_HISTOGRAM_BUCKETS_MAX 65536
#define WIRE_HISTOGRAM_SPANS_MAX 65536
#define WIRE_HISTOGRAM_CUSTOM_MAX 65536

/* As numbered in prometheus.Histogram.ResetHint. */
enum wire_reset_hint {
    WIRE_RESET_UNKNOWN,
    WIRE_RESET_YES, /* it starts anew with this sample */
    WIRE_RESET_NO,
    WIRE_RESET_GAUGE /* resets have no meaning */
};

/* Which one it is follows from the histogram's is_float. */
union wire_count {
    uint64_t integer;
    double real;
};

struct wire_span {
    int32_t offset;
    uint32_t length;
};

/* One side of zero. */
struct wire_buckets {
    const struct wire_span *spans;
    const union wire_count *counts;
    uint32_t span_count, count;
};

struct wire_histogram {
    int64_t time_ms;
    int64_t start_ms; /* when counting began (2.0's start timestamp); 0 = not said */
    bool is_float;
    enum wire_reset_hint reset_hint;
    int32_t schema;
    double zero_threshold;
    union wire_count zero_count, count;
    double sum;
    struct wire_buckets positive, negative;
    const double *custom_values; /* upper bounds, without +Inf */
    uint32_t custom_count;
};

static inline bool wire_histogram_is_custom(const struct wire_histogram *histogram)
{
    return histogram->schema == WIRE_HISTOGRAM_SCHEMA_CUSTOM;
}
static inline bool wire_histogram_is_stale(const struct wire_histogram *histogram)
{
    return tw_double_is_stale(histogram->sum);
}
/* A count as a number, whichever kind it is. */
static inline double wire_histogram_number(const struct wire_histogram *histogram,
                                           union wire_count count)
{
    return histogram->is_float ? count.real : (double)count.integer;
}

/* ---- walking over a side: for (walk = wire_buckets_walk(...); wire_walk_next(&walk);) ---- */
struct wire_walk {
    const struct wire_buckets *buckets;
    uint32_t span, in_span, next;
    int64_t bucket;         /* number of the current one */
    union wire_count count; /* of it */
};
struct wire_walk wire_buckets_walk(const struct wire_buckets *buckets);
bool wire_walk_next(struct wire_walk *walk);

/* ---- comparing, copying ---- */

/* Bit for bit, times and hints included. */
bool wire_histogram_equal(const struct wire_histogram *a, const struct wire_histogram *b);
/* The same kind, schema, zero threshold, spans and custom bounds: only counts may differ. */
bool wire_histogram_same_layout(const struct wire_histogram *a, const struct wire_histogram *b);
struct wire_histogram *wire_histogram_copy(struct tw_arena *arena,
                                           const struct wire_histogram *histogram);
/* The same as a float histogram: a copy with counts converted, or a copy of a float one. */
struct wire_histogram *wire_histogram_to_float(struct tw_arena *arena,
                                               const struct wire_histogram *histogram);

/* ---- checking ---- */

/* Prometheus's rules and words, the side named. */
TW_MUST_CHECK enum tw_code wire_histogram_check(const struct wire_histogram *histogram,
                                                struct tw_err *err);

/* ---- as protobuf: prometheus.Histogram and io.prometheus.write.v2.Histogram, which number their
 * fields alike ---- */

/* Into the arena, checked. TW_BAD_DATA for a malformed message or a histogram that breaks the
 * rules. */
TW_MUST_CHECK enum tw_code wire_histogram_decode(struct tw_str message, struct tw_arena *arena,
                                                 struct wire_histogram *ret_histogram,
                                                 struct tw_err *err);
/* Appends the message's bytes, without tag and length around it. */
void wire_histogram_encode(const struct wire_histogram *histogram, struct tw_buf *ret_message);

#endif
