/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/histogram.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/assert.h"

/* ---- walking ---- */

struct wire_walk wire_buckets_walk(const struct wire_buckets *buckets)
{
    return (struct wire_walk){.buckets = buckets, .bucket = -1};
}

bool wire_walk_next(struct wire_walk *walk)
{
    const struct wire_buckets *buckets = walk->buckets;
    if (walk->next == buckets->count)
        return false;
    walk->bucket++;
    if (walk->next == 0) {
        walk->bucket = 0;
        if (buckets->span_count > 0)
            walk->bucket = buckets->spans[0].offset;
    }
    /* Spans of no length only add their offset. */
    while (walk->span < buckets->span_count && walk->in_span == buckets->spans[walk->span].length) {
        walk->in_span = 0;
        if (++walk->span < buckets->span_count)
            walk->bucket += buckets->spans[walk->span].offset;
    }
    walk->in_span++;
    walk->count = buckets->counts[walk->next++];
    return true;
}

/* ---- comparing, copying ---- */

static bool same_bits(double a, double b)
{
    return tw_double_bits(a) == tw_double_bits(b);
}

static bool same_spans(const struct wire_buckets *a, const struct wire_buckets *b)
{
    if (a->span_count != b->span_count || a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->span_count; i++)
        if (a->spans[i].offset != b->spans[i].offset || a->spans[i].length != b->spans[i].length)
            return false;
    return true;
}

bool wire_histogram_same_layout(const struct wire_histogram *a, const struct wire_histogram *b)
{
    return a->is_float == b->is_float && a->schema == b->schema &&
           same_bits(a->zero_threshold, b->zero_threshold) &&
           same_spans(&a->positive, &b->positive) && same_spans(&a->negative, &b->negative) &&
           a->custom_count == b->custom_count &&
           (a->custom_count == 0 ||
            memcmp(a->custom_values, b->custom_values, a->custom_count * sizeof(double)) == 0);
}

static bool same_counts(const struct wire_buckets *a, const struct wire_buckets *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->counts, b->counts, a->count * sizeof *a->counts) == 0);
}

bool wire_histogram_equal(const struct wire_histogram *a, const struct wire_histogram *b)
{
    return a->time_ms == b->time_ms && a->start_ms == b->start_ms &&
           a->reset_hint == b->reset_hint && same_bits(a->sum, b->sum) &&
           a->count.integer == b->count.integer && a->zero_count.integer == b->zero_count.integer &&
           wire_histogram_same_layout(a, b) && same_counts(&a->positive, &b->positive) &&
           same_counts(&a->negative, &b->negative);
}

static void *copy_array(struct tw_arena *arena, const void *items, size_t count, size_t item_bytes)
{
    if (count == 0)
        return NULL;
    void *copy = tw_arena_alloc(arena, count * item_bytes);
    memcpy(copy, items, count * item_bytes);
    return copy;
}

static void copy_buckets(struct tw_arena *arena, struct wire_buckets *buckets)
{
    buckets->spans = copy_array(arena, buckets->spans, buckets->span_count, sizeof *buckets->spans);
    buckets->counts = copy_array(arena, buckets->counts, buckets->count, sizeof *buckets->counts);
}

struct wire_histogram *wire_histogram_copy(struct tw_arena *arena,
                                           const struct wire_histogram *histogram)
{
    struct wire_histogram *copy = copy_array(arena, histogram, 1, sizeof *histogram);
    copy_buckets(arena, &copy->positive);
    copy_buckets(arena, &copy->negative);
    copy->custom_values =
        copy_array(arena, copy->custom_values, copy->custom_count, sizeof(double));
    return copy;
}

static void convert_counts(struct tw_arena *arena, struct wire_buckets *buckets)
{
    if (buckets->count == 0)
        return;
    union wire_count *counts = tw_arena_alloc(arena, buckets->count * sizeof *counts);
    for (uint32_t i = 0; i < buckets->count; i++)
        counts[i].real = (double)buckets->counts[i].integer;
    buckets->counts = counts;
}

struct wire_histogram *wire_histogram_to_float(struct tw_arena *arena,
                                               const struct wire_histogram *histogram)
{
    struct wire_histogram *copy = wire_histogram_copy(arena, histogram);
    if (copy->is_float)
        return copy;
    copy->is_float = true;
    copy->count.real = (double)histogram->count.integer;
    copy->zero_count.real = (double)histogram->zero_count.integer;
    convert_counts(arena, &copy->positive);
    convert_counts(arena, &copy->negative);
    return copy;
}

/* ---- checking ---- */

static enum tw_code check_spans(const struct wire_buckets *buckets, bool first_may_be_negative,
                                uint64_t *ret_total, struct tw_err *err)
{
    uint64_t listed = 0, total = 0;
    for (uint32_t i = 0; i < buckets->span_count; i++) {
        const struct wire_span *span = &buckets->spans[i];
        if (span->offset < 0 && (i > 0 || !first_may_be_negative))
            return tw_err_set(err, TW_BAD_DATA,
                              "span number %u with offset %d: histogram has a span whose offset is "
                              "negative",
                              i + 1, span->offset);
        listed += span->length;
        total += span->length + (uint64_t)(span->offset > 0 ? span->offset : 0);
    }
    if (listed != buckets->count)
        return tw_err_set(err, TW_BAD_DATA,
                          "spans need %" PRIu64
                          " buckets, have %u buckets: histogram spans specify "
                          "different number of buckets than provided",
                          listed, buckets->count);
    *ret_total = total;
    return TW_OK;
}

static enum tw_code check_custom(const struct wire_histogram *histogram, struct tw_err *err)
{
    double before = -INFINITY;
    for (uint32_t i = 0; i < histogram->custom_count; i++) {
        double bound = histogram->custom_values[i];
        if (!(bound > before))
            return tw_err_set(err, TW_BAD_DATA,
                              "custom buckets: previous bound is %f and current is %f: histogram "
                              "custom bounds must be in strictly increasing order",
                              before, bound);
        before = bound;
    }
    if (before == INFINITY)
        return tw_err_set(err, TW_BAD_DATA,
                          "custom buckets: last +Inf bound must not be explicitly defined: "
                          "histogram custom bounds must be finite");
    uint64_t total = 0;
    enum tw_code code = check_spans(&histogram->positive, false, &total, err);
    if (code != TW_OK) {
        tw_err_wrap(err, "custom buckets");
        return code;
    }
    if (histogram->custom_count + UINT64_C(1) < total)
        return tw_err_set(err, TW_BAD_DATA,
                          "custom buckets: only %u custom bounds defined which is insufficient to "
                          "cover total span length of %" PRIu64
                          ": histogram custom bounds are too few",
                          histogram->custom_count, total);
    const char *wrong = wire_histogram_number(histogram, histogram->zero_count) != 0
                            ? "must have zero count of 0"
                        : histogram->zero_threshold != 0     ? "must have zero threshold of 0"
                        : histogram->negative.span_count > 0 ? "must not have negative spans"
                        : histogram->negative.count > 0      ? "must not have negative buckets"
                                                             : NULL;
    return wrong ? tw_err_set(err, TW_BAD_DATA, "custom buckets: %s", wrong) : TW_OK;
}

/* Float buckets below zero; integer ones cannot be (decoding refuses them). Adds the sum up. */
static enum tw_code check_counts(const struct wire_histogram *histogram,
                                 const struct wire_buckets *buckets, uint64_t *sum,
                                 struct tw_err *err)
{
    for (uint32_t i = 0; i < buckets->count; i++) {
        if (histogram->is_float && buckets->counts[i].real < 0)
            return tw_err_set(err, TW_BAD_DATA,
                              "bucket number %u has observation count of %g: histogram has a "
                              "bucket whose observation count is negative",
                              i + 1, buckets->counts[i].real);
        if (!histogram->is_float && __builtin_add_overflow(*sum, buckets->counts[i].integer, sum))
            return tw_err_set(err, TW_BAD_DATA, "the counts of all buckets pass 64 bits");
    }
    return TW_OK;
}

static enum tw_code check_side(const struct wire_histogram *histogram,
                               const struct wire_buckets *buckets, uint64_t *sum, const char *side,
                               struct tw_err *err)
{
    uint64_t total = 0;
    enum tw_code code = check_spans(buckets, true, &total, err);
    if (code == TW_OK)
        code = check_counts(histogram, buckets, sum, err);
    if (code != TW_OK)
        tw_err_wrap(err, "%s side", side);
    return code;
}

static enum tw_code check_sum(const struct wire_histogram *histogram, uint64_t sum,
                              struct tw_err *err)
{
    uint64_t count = histogram->count.integer;
    bool unknown = isnan(histogram->sum); /* NaN observations are in no bucket */
    if (unknown ? sum <= count : sum == count)
        return TW_OK;
    return tw_err_set(err, TW_BAD_DATA,
                      "%" PRIu64 " observations found in buckets, but the Count field is %" PRIu64
                      ": histogram's observation count should %s the number of observations found "
                      "in the buckets%s",
                      sum, count, unknown ? "be at least" : "equal",
                      unknown ? "" : " (in absence of NaN)");
}

enum tw_code wire_histogram_check(const struct wire_histogram *histogram, struct tw_err *err)
{
    struct tw_err own;
    err = err ? err : &own; /* wrapped on the way */
    uint64_t sum = histogram->is_float ? 0 : histogram->zero_count.integer;
    enum tw_code code;
    if (wire_histogram_is_custom(histogram)) {
        code = check_custom(histogram, err);
    } else if (histogram->schema < WIRE_HISTOGRAM_SCHEMA_MIN ||
               histogram->schema > WIRE_HISTOGRAM_SCHEMA_MAX) {
        return tw_err_set(err, TW_BAD_DATA,
                          "histogram has an invalid schema %d, which must be between %d and %d for "
                          "exponential buckets, or %d for custom buckets",
                          histogram->schema, WIRE_HISTOGRAM_SCHEMA_MIN, WIRE_HISTOGRAM_SCHEMA_MAX,
                          WIRE_HISTOGRAM_SCHEMA_CUSTOM);
    } else if (histogram->custom_count > 0) {
        return tw_err_set(err, TW_BAD_DATA,
                          "histogram with exponential schema must not have custom bounds");
    } else {
        code = check_side(histogram, &histogram->negative, &sum, "negative", err);
    }
    if (code == TW_OK)
        code = check_side(histogram, &histogram->positive, &sum, "positive", err);
    if (code == TW_OK && !histogram->is_float)
        code = check_sum(histogram, sum, err);
    return code;
}
