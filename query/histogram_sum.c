/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/histogram_sum.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "query/range_kernel.h"

/* Where the buckets of a histogram go in a coarser layout. */
struct mapping {
    int shift;            /* exponential: finer by so many schemas */
    const int32_t *table; /* custom: by number, or NULL */
    uint32_t table_count;
};

static int32_t mapped(const struct mapping *mapping, int32_t number)
{
    if (mapping->table) {
        TW_ASSERT((uint32_t)number < mapping->table_count);
        return mapping->table[number];
    }
    return mapping->shift ? ((number - 1) >> mapping->shift) + 1 : number;
}

static bool is_identity(const struct mapping *mapping)
{
    return mapping->shift == 0 && !mapping->table;
}

/* ---- one side ---- */
static void reserve(struct query_histogram_sum *sum, struct query_histogram_side *side,
                    uint32_t count)
{
    if (count <= side->capacity)
        return;
    struct query_histogram_side old = *side;
    side->capacity = count > 2 * old.capacity ? count : 2 * old.capacity;
    side->numbers = tw_arena_alloc(sum->arena, side->capacity * sizeof *side->numbers);
    side->counts = tw_arena_alloc(sum->arena, side->capacity * sizeof *side->counts);
    side->lost = tw_arena_alloc(sum->arena, side->capacity * sizeof *side->lost);
    if (old.count == 0)
        return;
    memcpy(side->numbers, old.numbers, old.count * sizeof *side->numbers);
    memcpy(side->counts, old.counts, old.count * sizeof *side->counts);
    memcpy(side->lost, old.lost, old.count * sizeof *side->lost);
}

static void begin_side(struct query_histogram_sum *sum, struct query_histogram_side *side,
                       const struct query_buckets *buckets, double factor)
{
    if (buckets->count == 0)
        return;
    reserve(sum, side, buckets->count);
    side->count = buckets->count;
    memcpy(side->numbers, buckets->numbers, buckets->count * sizeof *side->numbers);
    for (uint32_t i = 0; i < buckets->count; i++)
        side->counts[i] = buckets->counts[i] * factor;
    memset(side->lost, 0, buckets->count * sizeof *side->lost);
}

/* Into a coarser layout; neighbours that meet are added. */
static void remap_side(struct query_histogram_side *side, const struct mapping *mapping)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < side->count; i++) {
        int32_t number = mapped(mapping, side->numbers[i]);
        if (kept > 0 && side->numbers[kept - 1] == number) {
            query_kahan_add(side->counts[i], &side->counts[kept - 1], &side->lost[kept - 1]);
            side->lost[kept - 1] += side->lost[i];
            continue;
        }
        side->numbers[kept] = number;
        side->counts[kept] = side->counts[i];
        side->lost[kept++] = side->lost[i];
    }
    side->count = kept;
}

static uint32_t count_missing(const struct query_histogram_side *side,
                              const struct query_buckets *buckets, uint32_t from,
                              const struct mapping *mapping)
{
    uint32_t missing = 0, at = 0;
    int32_t last = INT32_MIN;
    for (uint32_t i = from; i < buckets->count; i++) {
        int32_t number = mapped(mapping, buckets->numbers[i]);
        if (i > from && number == last)
            continue;
        last = number;
        while (at < side->count && side->numbers[at] < number)
            at++;
        missing += at == side->count || side->numbers[at] != number;
    }
    return missing;
}

/* Makes empty buckets where the sum has none yet, from the end, in place. */
static void insert_missing(struct query_histogram_sum *sum, struct query_histogram_side *side,
                           const struct query_buckets *buckets, uint32_t from,
                           const struct mapping *mapping, uint32_t missing)
{
    reserve(sum, side, side->count + missing);
    uint32_t old = side->count, to = side->count + missing, i = buckets->count;
    side->count = to;
    while (to > old) {
        TW_ASSERT(i > from);
        int32_t number = mapped(mapping, buckets->numbers[i - 1]);
        if (old > 0 && side->numbers[old - 1] >= number) {
            if (side->numbers[old - 1] == number)
                i--;
            to--;
            old--;
            side->numbers[to] = side->numbers[old];
            side->counts[to] = side->counts[old];
            side->lost[to] = side->lost[old];
            continue;
        }
        i--;
        if (to < side->count && side->numbers[to] == number)
            continue; /* several of its buckets go into one */
        to--;
        side->numbers[to] = number;
        side->counts[to] = side->lost[to] = 0;
    }
}

/* Adds the buckets from index `from` on. */
static void add_side(struct query_histogram_sum *sum, struct query_histogram_side *side,
                     const struct query_buckets *buckets, uint32_t from,
                     const struct mapping *mapping, double factor)
{
    if (from == 0 && is_identity(mapping) && side->count == buckets->count &&
        (side->count == 0 ||
         memcmp(side->numbers, buckets->numbers, side->count * sizeof *side->numbers) == 0)) {
        for (uint32_t i = 0; i < side->count; i++)
            query_kahan_add(buckets->counts[i] * factor, &side->counts[i], &side->lost[i]);
        return;
    }
    uint32_t missing = count_missing(side, buckets, from, mapping), at = 0;
    if (missing > 0)
        insert_missing(sum, side, buckets, from, mapping, missing);
    for (uint32_t i = from; i < buckets->count; i++) {
        int32_t number = mapped(mapping, buckets->numbers[i]);
        while (side->numbers[at] < number)
            at++;
        TW_ASSERT(side->numbers[at] == number);
        query_kahan_add(buckets->counts[i] * factor, &side->counts[at], &side->lost[at]);
    }
}

/* ---- the zero bucket ---- */

/* Number of leading buckets of a side that end at or below the threshold. */
static uint32_t count_within(const struct query_histogram *histogram,
                             const struct query_buckets *buckets, double threshold)
{
    uint32_t within = 0;
    while (within < buckets->count &&
           query_histogram_bound(histogram, buckets->numbers[within]) <= threshold)
        within++;
    return within;
}

/* Widens a threshold that falls into a populated bucket of the side to the bucket's end. */
static bool widen(const struct query_histogram *histogram, const struct query_buckets *buckets,
                  double *threshold)
{
    for (uint32_t i = 0; i < buckets->count; i++) {
        if (query_histogram_bound(histogram, buckets->numbers[i] - 1) >= *threshold)
            return false;
        double upper = query_histogram_bound(histogram, buckets->numbers[i]);
        if (upper > *threshold && buckets->counts[i] != 0) {
            *threshold = upper;
            return true;
        }
    }
    return false;
}

static double widened(const struct query_histogram *histogram, double threshold)
{
    if (threshold == histogram->zero_threshold)
        return threshold;
    do {
        widen(histogram, &histogram->positive, &threshold);
    } while (widen(histogram, &histogram->negative, &threshold));
    return threshold;
}

/* What the zero bucket of the histogram counts with a threshold that `widened` gave. */
static double zero_count_within(const struct query_histogram *histogram, double threshold)
{
    double count = histogram->zero_count;
    if (threshold == histogram->zero_threshold)
        return count;
    uint32_t positive = count_within(histogram, &histogram->positive, threshold);
    uint32_t negative = count_within(histogram, &histogram->negative, threshold);
    for (uint32_t i = 0; i < positive; i++)
        count += histogram->positive.counts[i];
    for (uint32_t i = 0; i < negative; i++)
        count += histogram->negative.counts[i];
    return count;
}

static void swallow_side(struct query_histogram_sum *sum, struct query_histogram_side *side,
                         const struct query_histogram *as_value, double threshold)
{
    uint32_t within = 0;
    while (within < side->count &&
           query_histogram_bound(as_value, side->numbers[within] - 1) < threshold) {
        query_kahan_add(side->counts[within], &sum->zero_count, &sum->zero_lost);
        sum->zero_lost += side->lost[within++];
    }
    side->count -= within;
    if (within == 0 || side->count == 0)
        return;
    memmove(side->numbers, side->numbers + within, side->count * sizeof *side->numbers);
    memmove(side->counts, side->counts + within, side->count * sizeof *side->counts);
    memmove(side->lost, side->lost + within, side->count * sizeof *side->lost);
}

static struct query_buckets side_value(const struct query_histogram_side *side)
{
    return (struct query_buckets){side->numbers, side->counts, side->count};
}

/* The sum as a value that borrows its arrays: without the compensations. */
static struct query_histogram borrow(const struct query_histogram_sum *sum)
{
    return (struct query_histogram){
        .hint = sum->hint,
        .schema = sum->schema,
        .custom_count = sum->custom_count,
        .zero_threshold = sum->zero_threshold,
        .zero_count = sum->zero_count,
        .count = sum->count,
        .sum = sum->sum,
        .positive = side_value(&sum->positive),
        .negative = side_value(&sum->negative),
        .custom_values = sum->custom_values,
    };
}

/* One threshold for both: the larger, widened until it is within no populated bucket of either. */
static double reconcile_zero(struct query_histogram_sum *sum,
                             const struct query_histogram *histogram)
{
    const struct query_histogram own = borrow(sum);
    double threshold = fmax(sum->zero_threshold, histogram->zero_threshold), before;
    if (sum->zero_threshold == histogram->zero_threshold)
        return threshold;
    do {
        before = threshold;
        threshold = widened(histogram, threshold);
        threshold = widened(&own, threshold);
    } while (threshold != before);
    if (threshold != sum->zero_threshold) {
        swallow_side(sum, &sum->positive, &own, threshold);
        swallow_side(sum, &sum->negative, &own, threshold);
        sum->zero_threshold = threshold;
    }
    return threshold;
}

/* ---- custom bounds ---- */

/* For each bucket of the one, the bucket of the coarser bounds that holds it. */
static struct mapping map_bounds(struct tw_arena *arena, const double *bounds, uint32_t count,
                                 const double *coarser, uint32_t coarser_count)
{
    int32_t *table = tw_arena_alloc(arena, (count + UINT64_C(1)) * sizeof *table);
    uint32_t to = 0;
    for (uint32_t i = 0; i < count; i++) {
        while (to < coarser_count && coarser[to] < bounds[i])
            to++;
        table[i] = (int32_t)to;
    }
    table[count] = (int32_t)coarser_count;
    return (struct mapping){.table = table, .table_count = count + 1};
}

/* The bounds that both have. */
static const double *intersect_bounds(struct tw_arena *arena, const double *a, uint32_t a_count,
                                      const double *b, uint32_t b_count, uint32_t *ret_count)
{
    double *both = tw_arena_alloc(arena, (a_count < b_count ? a_count : b_count) * sizeof *both);
    uint32_t count = 0;
    for (uint32_t i = 0, k = 0; i < a_count && k < b_count;) {
        if (a[i] == b[k]) {
            both[count++] = a[i++];
            k++;
        } else if (a[i] < b[k]) {
            i++;
        } else {
            k++;
        }
    }
    *ret_count = count;
    return both;
}

static struct mapping reconcile_bounds(struct query_histogram_sum *sum,
                                       const struct query_histogram *histogram)
{
    const struct query_histogram own = borrow(sum);
    if (query_histogram_same_bounds(&own, histogram))
        return (struct mapping){0};
    uint32_t count;
    const double *both =
        intersect_bounds(sum->arena, sum->custom_values, sum->custom_count,
                         histogram->custom_values, histogram->custom_count, &count);
    struct mapping mapping =
        map_bounds(sum->arena, sum->custom_values, sum->custom_count, both, count);
    remap_side(&sum->positive, &mapping);
    sum->custom_values = both;
    sum->custom_count = count;
    sum->reconciled = true;
    return map_bounds(sum->arena, histogram->custom_values, histogram->custom_count, both, count);
}

/* ---- hints ---- */
static void adjust_hint(struct query_histogram_sum *sum, enum wire_reset_hint other)
{
    if (sum->hint == other || sum->hint == WIRE_RESET_GAUGE)
        return;
    if (other == WIRE_RESET_GAUGE) {
        sum->hint = WIRE_RESET_GAUGE;
        return;
    }
    if (sum->hint != WIRE_RESET_UNKNOWN && other != WIRE_RESET_UNKNOWN)
        sum->collided = true;
    sum->hint = WIRE_RESET_UNKNOWN;
}

/* ---- the whole ---- */
void query_histogram_sum_begin(struct query_histogram_sum *sum, struct tw_arena *arena,
                               const struct query_histogram *first, double factor)
{
    *sum = (struct query_histogram_sum){
        .arena = arena,
        .hint = factor < 0 ? WIRE_RESET_GAUGE : first->hint,
        .schema = first->schema,
        .custom_count = first->custom_count,
        .zero_threshold = first->zero_threshold,
        .zero_count = first->zero_count * factor,
        .count = first->count * factor,
        .sum = first->sum * factor,
    };
    if (first->custom_count > 0) {
        double *bounds = tw_arena_alloc(arena, first->custom_count * sizeof *bounds);
        memcpy(bounds, first->custom_values, first->custom_count * sizeof *bounds);
        sum->custom_values = bounds;
    }
    begin_side(sum, &sum->positive, &first->positive, factor);
    begin_side(sum, &sum->negative, &first->negative, factor);
}

void query_histogram_sum_coarsen(struct query_histogram_sum *sum, int32_t schema)
{
    if (schema >= sum->schema || sum->schema == WIRE_HISTOGRAM_SCHEMA_CUSTOM ||
        schema == WIRE_HISTOGRAM_SCHEMA_CUSTOM)
        return;
    const struct mapping mapping = {.shift = sum->schema - schema};
    remap_side(&sum->positive, &mapping);
    remap_side(&sum->negative, &mapping);
    sum->schema = schema;
}

bool query_histogram_sum_add(struct query_histogram_sum *sum,
                             const struct query_histogram *histogram, double factor)
{
    struct mapping mapping = {0};
    uint32_t positive = 0, negative = 0;
    double zero_count = histogram->zero_count;
    bool custom = sum->schema == WIRE_HISTOGRAM_SCHEMA_CUSTOM;
    if (custom != query_histogram_is_custom(histogram))
        return false;
    adjust_hint(sum, histogram->hint);
    if (custom) {
        mapping = reconcile_bounds(sum, histogram);
    } else {
        double threshold = reconcile_zero(sum, histogram);
        if (threshold != histogram->zero_threshold) {
            zero_count = zero_count_within(histogram, threshold);
            positive = count_within(histogram, &histogram->positive, threshold);
            negative = count_within(histogram, &histogram->negative, threshold);
        }
        query_histogram_sum_coarsen(sum, histogram->schema);
        mapping.shift = histogram->schema - sum->schema;
    }
    query_kahan_add(zero_count * factor, &sum->zero_count, &sum->zero_lost);
    query_kahan_add(histogram->count * factor, &sum->count, &sum->count_lost);
    query_kahan_add(histogram->sum * factor, &sum->sum, &sum->sum_lost);
    add_side(sum, &sum->positive, &histogram->positive, positive, &mapping, factor);
    add_side(sum, &sum->negative, &histogram->negative, negative, &mapping, factor);
    return true;
}

static void multiply_side(struct query_histogram_side *side, double factor)
{
    for (uint32_t i = 0; i < side->count; i++) {
        side->counts[i] *= factor;
        side->lost[i] *= factor;
    }
}

void query_histogram_sum_multiply(struct query_histogram_sum *sum, double factor)
{
    sum->zero_count *= factor;
    sum->zero_lost *= factor;
    sum->count *= factor;
    sum->count_lost *= factor;
    sum->sum *= factor;
    sum->sum_lost *= factor;
    multiply_side(&sum->positive, factor);
    multiply_side(&sum->negative, factor);
}

bool query_histogram_sum_overflows(const struct query_histogram_sum *sum,
                                   const struct query_histogram *histogram)
{
    return (isinf(sum->sum + histogram->sum) && !isinf(sum->sum) && !isinf(histogram->sum)) ||
           (isinf(sum->count + histogram->count) && !isinf(sum->count) && !isinf(histogram->count));
}

static struct query_buckets take_side(struct tw_arena *arena,
                                      const struct query_histogram_side *side, double factor,
                                      bool compact)
{
    struct query_buckets buckets = {0};
    if (side->count == 0)
        return buckets;
    int32_t *numbers = tw_arena_alloc(arena, side->count * sizeof *numbers);
    double *counts = tw_arena_alloc(arena, side->count * sizeof *counts);
    for (uint32_t i = 0; i < side->count; i++) {
        double count = side->counts[i] + side->lost[i];
        if (count == 0 && compact)
            continue;
        numbers[buckets.count] = side->numbers[i];
        counts[buckets.count++] = count * factor;
    }
    buckets.numbers = numbers;
    buckets.counts = counts;
    return buckets;
}

struct query_histogram *query_histogram_sum_take(const struct query_histogram_sum *sum,
                                                 struct tw_arena *arena, double factor,
                                                 bool compact)
{
    struct query_histogram *value = tw_arena_alloc(arena, sizeof *value);
    *value = borrow(sum);
    value->zero_count = (sum->zero_count + sum->zero_lost) * factor;
    value->count = (sum->count + sum->count_lost) * factor;
    value->sum = (sum->sum + sum->sum_lost) * factor;
    value->positive = take_side(arena, &sum->positive, factor, compact);
    value->negative = take_side(arena, &sum->negative, factor, compact);
    if (arena != sum->arena && sum->custom_count > 0) {
        double *bounds = tw_arena_alloc(arena, sum->custom_count * sizeof *bounds);
        memcpy(bounds, sum->custom_values, sum->custom_count * sizeof *bounds);
        value->custom_values = bounds;
    }
    return value;
}

/* ---- resets ---- */

/* Has any bucket of before more than now has there? Both from their index on. */
static bool side_shrank(const struct query_buckets *now, uint32_t now_at,
                        const struct mapping *now_mapping, const struct query_buckets *before,
                        uint32_t before_at, const struct mapping *before_mapping)
{
    while (before_at < before->count) {
        int32_t number = mapped(before_mapping, before->numbers[before_at]);
        double count = 0, known = 0;
        while (before_at < before->count &&
               mapped(before_mapping, before->numbers[before_at]) == number)
            count += before->counts[before_at++];
        while (now_at < now->count && mapped(now_mapping, now->numbers[now_at]) < number)
            now_at++;
        while (now_at < now->count && mapped(now_mapping, now->numbers[now_at]) == number)
            known += now->counts[now_at++];
        if (known < count)
            return true;
    }
    return false;
}

static bool custom_shrank(struct tw_arena *scratch, const struct query_histogram *now,
                          const struct query_histogram *before)
{
    struct mapping now_mapping = {0}, before_mapping = {0};
    if (!query_histogram_same_bounds(now, before)) {
        uint32_t count;
        const double *both = intersect_bounds(scratch, now->custom_values, now->custom_count,
                                              before->custom_values, before->custom_count, &count);
        now_mapping = map_bounds(scratch, now->custom_values, now->custom_count, both, count);
        before_mapping =
            map_bounds(scratch, before->custom_values, before->custom_count, both, count);
    }
    return side_shrank(&now->positive, 0, &now_mapping, &before->positive, 0, &before_mapping);
}

static bool all_counts_grew(const struct query_buckets *now, const struct query_buckets *before)
{
    bool grew = true;
    for (uint32_t i = 0; i < now->count; i++)
        grew &= !(now->counts[i] < before->counts[i]);
    return grew;
}

bool query_histogram_is_reset(struct tw_arena *scratch, const struct query_histogram *now,
                              const struct query_histogram *before)
{
    if (now->hint == WIRE_RESET_YES || now->hint == WIRE_RESET_NO)
        return now->hint == WIRE_RESET_YES;
    if (now->count < before->count)
        return true;
    if (query_histogram_is_custom(now) != query_histogram_is_custom(before))
        return true;
    if (query_histogram_is_custom(now))
        return custom_shrank(scratch, now, before);
    if (now->schema > before->schema || now->zero_threshold < before->zero_threshold)
        return true;
    double threshold = widened(before, now->zero_threshold);
    if (threshold != now->zero_threshold)
        return true; /* it is within a populated bucket of the one before */
    if (now->zero_count < zero_count_within(before, threshold))
        return true;
    if (now->schema == before->schema && threshold == before->zero_threshold &&
        query_buckets_same_numbers(&now->positive, &before->positive) &&
        query_buckets_same_numbers(&now->negative, &before->negative))
        return !all_counts_grew(&now->positive, &before->positive) ||
               !all_counts_grew(&now->negative, &before->negative);
    const struct mapping same = {0}, coarser = {.shift = before->schema - now->schema};
    return side_shrank(&now->positive, count_within(now, &now->positive, threshold), &same,
                       &before->positive, count_within(before, &before->positive, threshold),
                       &coarser) ||
           side_shrank(&now->negative, count_within(now, &now->negative, threshold), &same,
                       &before->negative, count_within(before, &before->negative, threshold),
                       &coarser);
}
