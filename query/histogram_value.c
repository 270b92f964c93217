/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/histogram_value.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/number.h"

/* ---- making ---- */
static const void *share_or_copy(struct tw_arena *arena, const void *items, size_t bytes)
{
    if (bytes == 0)
        return NULL;
    return memcpy(tw_arena_alloc(arena, bytes), items, bytes);
}

static bool wire_has_numbers(const struct wire_buckets *source, const int32_t *numbers,
                             uint32_t count)
{
    if (source->count != count)
        return false;
    int64_t number = 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i < source->span_count; i++) {
        number += source->spans[i].offset;
        for (uint32_t k = 0; k < source->spans[i].length; k++)
            if (numbers[at++] != number++)
                return false;
    }
    return true;
}

static struct query_buckets from_wire(struct tw_arena *arena, const struct wire_histogram *source,
                                      const struct wire_buckets *side,
                                      const struct query_buckets *before)
{
    struct query_buckets buckets = {.count = side->count};
    if (side->count == 0)
        return buckets;
    double *counts = tw_arena_alloc(arena, side->count * sizeof *counts);
    for (uint32_t i = 0; i < side->count; i++)
        counts[i] = wire_histogram_number(source, side->counts[i]);
    buckets.counts = counts;
    if (before && wire_has_numbers(side, before->numbers, before->count)) {
        buckets.numbers = before->numbers;
        return buckets;
    }
    int32_t *numbers = tw_arena_alloc(arena, side->count * sizeof *numbers);
    uint32_t at = 0;
    for (struct wire_walk walk = wire_buckets_walk(side); wire_walk_next(&walk);)
        numbers[at++] = (int32_t)walk.bucket;
    TW_ASSERT(at == side->count);
    buckets.numbers = numbers;
    return buckets;
}

struct query_histogram *query_histogram_from_wire(struct tw_arena *arena,
                                                  const struct wire_histogram *source,
                                                  const struct query_histogram *before)
{
    struct query_histogram *histogram = tw_arena_alloc(arena, sizeof *histogram);
    *histogram = (struct query_histogram){
        .hint = source->reset_hint,
        .schema = source->schema,
        .custom_count = source->custom_count,
        .zero_threshold = source->zero_threshold,
        .zero_count = wire_histogram_number(source, source->zero_count),
        .count = wire_histogram_number(source, source->count),
        .sum = source->sum,
        .positive = from_wire(arena, source, &source->positive, before ? &before->positive : NULL),
        .negative = from_wire(arena, source, &source->negative, before ? &before->negative : NULL),
    };
    size_t bytes = source->custom_count * sizeof(double);
    if (before && bytes > 0 && before->custom_count == source->custom_count &&
        memcmp(before->custom_values, source->custom_values, bytes) == 0)
        histogram->custom_values = before->custom_values;
    else
        histogram->custom_values = share_or_copy(arena, source->custom_values, bytes);
    return histogram;
}

static struct wire_buckets to_wire(struct tw_arena *arena, const struct query_buckets *side)
{
    struct wire_buckets buckets = {.count = side->count};
    if (side->count == 0)
        return buckets;
    union wire_count *counts = tw_arena_alloc(arena, side->count * sizeof *counts);
    for (uint32_t i = 0; i < side->count; i++)
        counts[i].real = side->counts[i];
    buckets.counts = counts;
    uint32_t spans = 1;
    for (uint32_t i = 1; i < side->count; i++)
        spans += side->numbers[i] != side->numbers[i - 1] + 1;
    struct wire_span *items = tw_arena_alloc(arena, spans * sizeof *items);
    items[0] = (struct wire_span){side->numbers[0], 1};
    for (uint32_t i = 1; i < side->count; i++) {
        int32_t gap = side->numbers[i] - side->numbers[i - 1] - 1;
        if (gap > 0)
            items[++buckets.span_count] = (struct wire_span){gap, 0};
        items[buckets.span_count].length++;
    }
    buckets.span_count = spans;
    buckets.spans = items;
    return buckets;
}

struct wire_histogram *query_histogram_to_wire(struct tw_arena *arena,
                                               const struct query_histogram *histogram,
                                               int64_t time_ms)
{
    struct wire_histogram *wire = TW_ARENA_NEW(arena, struct wire_histogram);
    *wire = (struct wire_histogram){
        .time_ms = time_ms,
        .is_float = true,
        .reset_hint = histogram->hint,
        .schema = histogram->schema,
        .zero_threshold = histogram->zero_threshold,
        .zero_count = {.real = histogram->zero_count},
        .count = {.real = histogram->count},
        .sum = histogram->sum,
        .positive = to_wire(arena, &histogram->positive),
        .negative = to_wire(arena, &histogram->negative),
        .custom_values = share_or_copy(arena, histogram->custom_values,
                                       histogram->custom_count * sizeof(double)),
        .custom_count = histogram->custom_count,
    };
    return wire;
}

static struct query_buckets copy_buckets(struct tw_arena *arena, const struct query_buckets *side,
                                         const struct query_buckets *source,
                                         const struct query_buckets *copied)
{
    struct query_buckets buckets = *side;
    if (source && side->numbers == source->numbers && side->count == source->count)
        buckets.numbers = copied->numbers;
    else
        buckets.numbers = share_or_copy(arena, side->numbers, side->count * sizeof(int32_t));
    buckets.counts = share_or_copy(arena, side->counts, side->count * sizeof(double));
    return buckets;
}

struct query_histogram *query_histogram_copy(struct tw_arena *arena,
                                             const struct query_histogram *histogram,
                                             const struct query_histogram *source,
                                             const struct query_histogram *copied)
{
    struct query_histogram *copy = tw_arena_alloc(arena, sizeof *copy);
    *copy = *histogram;
    copy->positive = copy_buckets(arena, &histogram->positive, source ? &source->positive : NULL,
                                  copied ? &copied->positive : NULL);
    copy->negative = copy_buckets(arena, &histogram->negative, source ? &source->negative : NULL,
                                  copied ? &copied->negative : NULL);
    if (source && histogram->custom_values == source->custom_values &&
        histogram->custom_count == source->custom_count)
        copy->custom_values = copied->custom_values;
    else
        copy->custom_values = share_or_copy(arena, histogram->custom_values,
                                            histogram->custom_count * sizeof(double));
    return copy;
}

static double scaled(double value, double factor, bool divide)
{
    return divide ? value / factor : value * factor;
}

/* Numbers are shared with the source unless buckets are left out. */
static struct query_buckets scale_buckets(struct tw_arena *arena, const struct query_buckets *side,
                                          double factor, bool divide, bool compact)
{
    struct query_buckets buckets = *side;
    uint32_t empty = 0;
    if (side->count == 0)
        return buckets;
    double *counts = tw_arena_alloc(arena, side->count * sizeof *counts);
    for (uint32_t i = 0; i < side->count; i++) {
        counts[i] = scaled(side->counts[i], factor, divide);
        empty += counts[i] == 0;
    }
    buckets.counts = counts;
    if (!compact || empty == 0)
        return buckets;
    int32_t *numbers = tw_arena_alloc(arena, side->count * sizeof *numbers);
    buckets.count = 0;
    for (uint32_t i = 0; i < side->count; i++) {
        if (counts[i] == 0)
            continue;
        numbers[buckets.count] = side->numbers[i];
        counts[buckets.count++] = counts[i];
    }
    buckets.numbers = numbers;
    return buckets;
}

static struct query_histogram *scale(struct tw_arena *arena,
                                     const struct query_histogram *histogram, double factor,
                                     bool divide, bool compact)
{
    struct query_histogram *copy = tw_arena_alloc(arena, sizeof *copy);
    *copy = *histogram;
    copy->zero_count = scaled(histogram->zero_count, factor, divide);
    copy->count = scaled(histogram->count, factor, divide);
    copy->sum = scaled(histogram->sum, factor, divide);
    if (factor < 0)
        copy->hint = WIRE_RESET_GAUGE;
    if (divide && factor == 0) {
        copy->positive = copy->negative = (struct query_buckets){0};
        return copy;
    }
    copy->positive = scale_buckets(arena, &histogram->positive, factor, divide, compact);
    copy->negative = scale_buckets(arena, &histogram->negative, factor, divide, compact);
    return copy;
}

struct query_histogram *query_histogram_multiplied(struct tw_arena *arena,
                                                   const struct query_histogram *histogram,
                                                   double factor, bool compact)
{
    return scale(arena, histogram, factor, false, compact);
}

struct query_histogram *query_histogram_divided(struct tw_arena *arena,
                                                const struct query_histogram *histogram,
                                                double divisor, bool compact)
{
    return scale(arena, histogram, divisor, true, compact);
}

/* ---- comparing ---- */
bool query_buckets_same_numbers(const struct query_buckets *a, const struct query_buckets *b)
{
    return a->count == b->count &&
           (a->numbers == b->numbers || a->count == 0 ||
            memcmp(a->numbers, b->numbers, a->count * sizeof *a->numbers) == 0);
}

bool query_histogram_same_bounds(const struct query_histogram *a, const struct query_histogram *b)
{
    if (a->custom_count != b->custom_count)
        return false;
    if (a->custom_values == b->custom_values)
        return true;
    for (uint32_t i = 0; i < a->custom_count; i++)
        if (a->custom_values[i] != b->custom_values[i])
            return false;
    return true;
}

static bool same_bits(double a, double b)
{
    return tw_double_bits(a) == tw_double_bits(b);
}

static bool same_buckets(const struct query_buckets *a, const struct query_buckets *b)
{
    return query_buckets_same_numbers(a, b) &&
           (a->count == 0 || memcmp(a->counts, b->counts, a->count * sizeof *a->counts) == 0);
}

bool query_histogram_equal(const struct query_histogram *a, const struct query_histogram *b)
{
    if (a == b)
        return true;
    if (a->schema != b->schema || !same_bits(a->count, b->count) || !same_bits(a->sum, b->sum))
        return false;
    if (query_histogram_is_custom(a) && !query_histogram_same_bounds(a, b))
        return false;
    return a->zero_threshold == b->zero_threshold && same_bits(a->zero_count, b->zero_count) &&
           same_buckets(&a->negative, &b->negative) && same_buckets(&a->positive, &b->positive);
}

size_t query_histogram_weight(const struct query_histogram *histogram)
{
    size_t bytes = sizeof *histogram + (sizeof(double) + sizeof(int32_t)) *
                                           (histogram->positive.count + histogram->negative.count);
    return bytes / (sizeof(int64_t) + sizeof(double)) + 1;
}

/* ---- buckets ---- */
size_t query_histogram_positions(const struct query_histogram *histogram)
{
    return (size_t)histogram->negative.count + 1 + histogram->positive.count;
}

static void cut_at_threshold(const struct query_histogram *histogram,
                             struct query_bucket_view *view)
{
    if (view->upper < 0 && view->upper > -histogram->zero_threshold)
        view->upper = -histogram->zero_threshold;
    else if (view->lower > 0 && view->lower < histogram->zero_threshold)
        view->lower = histogram->zero_threshold;
}

/* With bounds that are not cut at the threshold. */
static bool view_whole(const struct query_histogram *histogram, size_t position,
                       struct query_bucket_view *ret_view)
{
    struct query_bucket_view view;
    uint32_t negative = histogram->negative.count;
    if (position == negative) {
        *ret_view =
            (struct query_bucket_view){-histogram->zero_threshold, histogram->zero_threshold,
                                       histogram->zero_count, true, true};
        return histogram->zero_count > 0;
    }
    if (position < negative) {
        uint32_t at = negative - 1 - (uint32_t)position;
        int32_t number = histogram->negative.numbers[at];
        view = (struct query_bucket_view){.lower = -query_histogram_bound(histogram, number),
                                          .upper = -query_histogram_bound(histogram, number - 1),
                                          .count = histogram->negative.counts[at]};
    } else {
        uint32_t at = (uint32_t)position - negative - 1;
        int32_t number = histogram->positive.numbers[at];
        view = (struct query_bucket_view){.lower = query_histogram_bound(histogram, number - 1),
                                          .upper = query_histogram_bound(histogram, number),
                                          .count = histogram->positive.counts[at]};
        if (query_histogram_is_custom(histogram)) {
            view.lower_inclusive = number == 0;
            view.upper_inclusive = true;
            *ret_view = view;
            return true;
        }
    }
    view.lower_inclusive = view.lower < 0;
    view.upper_inclusive = view.upper > 0;
    *ret_view = view;
    return true;
}

bool query_histogram_view(const struct query_histogram *histogram, size_t position,
                          struct query_bucket_view *ret_view)
{
    bool any = view_whole(histogram, position, ret_view);
    if (!query_histogram_is_custom(histogram) && position != histogram->negative.count)
        cut_at_threshold(histogram, ret_view);
    return any;
}

/* ---- text ---- */
static void print_number(double value, struct tw_buf *ret_text)
{
    char text[TW_DOUBLE_BYTES];
    size_t size = tw_double_format_general(value, text);
    tw_buf_append(ret_text, text, size);
}

void query_histogram_print(const struct query_histogram *histogram, struct tw_buf *ret_text)
{
    tw_buf_append_str(ret_text, TW_STR("{count:"));
    print_number(histogram->count, ret_text);
    tw_buf_append_str(ret_text, TW_STR(", sum:"));
    print_number(histogram->sum, ret_text);
    for (size_t i = 0; i < query_histogram_positions(histogram); i++) {
        struct query_bucket_view view;
        view_whole(histogram, i, &view);
        if (view.count == 0)
            continue;
        tw_buf_append_str(ret_text, view.lower_inclusive ? TW_STR(", [") : TW_STR(", ("));
        print_number(view.lower, ret_text);
        tw_buf_append_char(ret_text, ',');
        print_number(view.upper, ret_text);
        tw_buf_append_str(ret_text, view.upper_inclusive ? TW_STR("]:") : TW_STR("):"));
        print_number(view.count, ret_text);
    }
    tw_buf_append_char(ret_text, '}');
}
