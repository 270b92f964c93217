/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/histogram_change.h"

#include "query/histogram_annotation.h"
#include "query/histogram_range.h"
#include "query/histogram_sum.h"

static const struct query_histogram *
refuse_mixed_schemas(const struct query_histogram_change *change)
{
    query_annotate_mixed_schemas(change->exec, change->argument, change->labels);
    return NULL;
}

/* ---- adding with the annotations that belong to it ---- */
static bool combine(const struct query_histogram_change *change, struct query_histogram_sum *sum,
                    const struct query_histogram *histogram, double factor)
{
    sum->reconciled = false;
    if (!query_histogram_sum_add(sum, histogram, factor)) {
        refuse_mixed_schemas(change);
        return false;
    }
    if (sum->reconciled)
        query_annotate_reconciled(change->exec, change->argument,
                                  factor < 0 ? "subtraction" : "addition");
    return true;
}

static const struct query_histogram *take(const struct query_histogram_change *change,
                                          struct query_histogram_sum *sum, double factor)
{
    sum->hint = WIRE_RESET_GAUGE;
    return query_histogram_sum_take(sum, change->side, factor, true);
}

/* ---- last - first of one layout: the usual case ---- */
static struct query_buckets subtract_side(struct tw_arena *arena, const struct query_buckets *last,
                                          const struct query_buckets *first, double factor)
{
    struct query_buckets buckets = *last;
    uint32_t kept = 0, empty = 0;
    if (last->count == 0)
        return buckets;
    double *counts = tw_arena_alloc(arena, last->count * sizeof *counts);
    for (uint32_t i = 0; i < last->count; i++) {
        double difference = last->counts[i] - first->counts[i];
        empty += difference == 0;
        counts[i] = difference * factor;
    }
    buckets.counts = counts;
    if (empty == 0)
        return buckets;
    int32_t *numbers = tw_arena_alloc(arena, last->count * sizeof *numbers);
    for (uint32_t i = 0; i < last->count; i++) {
        numbers[kept] = last->numbers[i];
        counts[kept] = counts[i];
        kept += last->counts[i] != first->counts[i];
    }
    buckets.numbers = numbers;
    buckets.count = kept;
    return buckets;
}

static bool same_layout(const struct query_histogram *a, const struct query_histogram *b)
{
    return a->schema == b->schema && a->zero_threshold == b->zero_threshold &&
           query_buckets_same_numbers(&a->positive, &b->positive) &&
           query_buckets_same_numbers(&a->negative, &b->negative) &&
           query_histogram_same_bounds(a, b);
}

static const struct query_histogram *subtract(const struct query_histogram_change *change,
                                              const struct query_histogram *last,
                                              const struct query_histogram *first, double factor)
{
    struct query_histogram *result = tw_arena_alloc(change->side, sizeof *result);
    *result = *last;
    result->hint = WIRE_RESET_GAUGE;
    result->zero_count = (last->zero_count - first->zero_count) * factor;
    result->count = (last->count - first->count) * factor;
    result->sum = (last->sum - first->sum) * factor;
    result->positive = subtract_side(change->side, &last->positive, &first->positive, factor);
    result->negative = subtract_side(change->side, &last->negative, &first->negative, factor);
    return result;
}

/* ---- rate, increase, delta ---- */

/* Prometheus's extrapolation (windows.h), with the count of observations as the counter. */
static double stretch(const struct query_histogram_change *change, double count)
{
    size_t first = change->low, last = change->high - 1;
    double to_start = (double)(change->times_ms[first] - change->start_ms) / 1000;
    double to_end = (double)(change->end_ms - change->times_ms[last]) / 1000;
    double sampled = (double)(change->times_ms[last] - change->times_ms[first]) / 1000;
    double average = sampled / (double)(last - first), threshold = average * 1.1;
    double first_count = change->histograms[first]->count;
    if (to_start >= threshold)
        to_start = average / 2;
    if (change->is_counter && count > 0 && first_count >= 0) {
        double to_zero = sampled * (first_count / count);
        if (to_zero < to_start)
            to_start = to_zero;
    }
    if (to_end >= threshold)
        to_end = average / 2;
    double factor = (sampled + to_start + to_end) / sampled;
    return change->is_rate ? factor / ((double)(change->end_ms - change->start_ms) / 1000) : factor;
}

static bool any_gauge(const struct query_histogram_change *change)
{
    for (size_t i = change->low; i < change->high; i++)
        if (change->histograms[i]->hint == WIRE_RESET_GAUGE)
            return true;
    return false;
}

/* The warnings about counters that are gauges and gauges that are none. */
static void annotate_kind(const struct query_histogram_change *change)
{
    const struct query_histogram *first = change->histograms[change->low];
    const struct query_histogram *last = change->histograms[change->high - 1];
    if (change->is_counter && any_gauge(change))
        query_annotate_not_counter(change->exec, change->argument, change->labels);
    if (!change->is_counter && (first->hint != WIRE_RESET_GAUGE || last->hint != WIRE_RESET_GAUGE))
        query_annotate_not_gauge(change->exec, change->argument, change->labels);
}

/* Of a counter all samples count: from the first one that is not gone with a reset. */
static bool schemas_fit(const struct query_histogram_change *change, size_t from,
                        int32_t *ret_schema)
{
    bool custom = query_histogram_is_custom(change->histograms[from]);
    size_t last = change->high - 1;
    *ret_schema = change->histograms[last]->schema;
    if (query_histogram_is_custom(change->histograms[last]) != custom)
        return false;
    if (change->histograms[from]->schema < *ret_schema)
        *ret_schema = change->histograms[from]->schema;
    for (size_t i = from + 1; change->is_counter && i < last; i++) {
        const struct query_histogram *histogram = change->histograms[i];
        if (query_histogram_is_custom(histogram) != custom)
            return false;
        if (histogram->schema < *ret_schema)
            *ret_schema = histogram->schema;
    }
    return true;
}

const struct query_histogram *
query_histogram_change_over_window(const struct query_histogram_change *change)
{
    size_t low = change->low, last = change->high - 1;
    struct query_histogram_sum sum;
    int32_t schema;
    bool was_reset = false;
    if (change->high < low + 2)
        return NULL;
    /* With a reset behind the first sample, what that one was does not matter. */
    bool first_is_gone = change->is_counter && change->resets[low + 1];
    if (!schemas_fit(change, first_is_gone ? low + 1 : low, &schema))
        return refuse_mixed_schemas(change);
    for (size_t i = low + 1; change->is_counter && i <= last; i++)
        was_reset |= change->resets[i];
    annotate_kind(change);
    const struct query_histogram *newest = change->histograms[last];
    if (!was_reset && newest->schema == schema && same_layout(newest, change->histograms[low]))
        return subtract(change, newest, change->histograms[low],
                        stretch(change, newest->count - change->histograms[low]->count));
    query_histogram_sum_begin(&sum, change->scratch, newest, 1);
    query_histogram_sum_coarsen(&sum, schema);
    if (!first_is_gone && !combine(change, &sum, change->histograms[low], -1))
        return NULL;
    for (size_t i = low + 2; change->is_counter && i <= last; i++)
        if (change->resets[i] && !combine(change, &sum, change->histograms[i - 1], 1))
            return NULL;
    return take(change, &sum, stretch(change, sum.count + sum.count_lost));
}

/* ---- irate, idelta ---- */
const struct query_histogram *
query_histogram_last_change(const struct query_histogram_change *change)
{
    struct query_histogram_change two = *change;
    size_t last = change->high - 1;
    struct query_histogram_sum sum;
    if (change->high < change->low + 2)
        return NULL;
    two.low = last - 1;
    double seconds = (double)(change->times_ms[last] - change->times_ms[last - 1]) / 1000;
    annotate_kind(&two);
    query_histogram_sum_begin(&sum, change->scratch, change->histograms[last], 1);
    bool starts_anew = change->is_counter && change->resets[last];
    if (!starts_anew && !combine(change, &sum, change->histograms[last - 1], -1))
        return NULL;
    const struct query_histogram *result = take(change, &sum, 1);
    return change->is_rate ? query_histogram_divided(change->side, result, seconds, false) : result;
}

/* ---- anchored and smoothed windows (range_extended.c) ---- */
const struct query_histogram *
query_histogram_interpolate(struct tw_arena *arena, const int64_t times_ms[2],
                            const struct query_histogram *const histograms[2], int64_t time_ms,
                            bool is_counter)
{
    struct query_histogram_sum sum;
    double share = (double)(time_ms - times_ms[0]) / (double)(times_ms[1] - times_ms[0]);
    query_histogram_sum_begin(&sum, arena, histograms[1], share);
    if (query_histogram_is_custom(histograms[0]) != query_histogram_is_custom(histograms[1]))
        return NULL;
    if (!(is_counter && query_histogram_is_reset(arena, histograms[1], histograms[0])) &&
        !query_histogram_sum_add(&sum, histograms[0], 1 - share))
        return NULL;
    /* What its own hint says is not true of a histogram in between. */
    if (sum.hint != WIRE_RESET_GAUGE)
        sum.hint = WIRE_RESET_UNKNOWN;
    return query_histogram_sum_take(&sum, arena, 1, false);
}

const struct query_histogram *
query_histogram_change_between_edges(const struct query_histogram_change *change)
{
    size_t low = change->low, last = change->high - 1;
    const struct query_histogram *left = change->histograms[low];
    const struct query_histogram *right = change->histograms[last];
    bool smoothed = change->extension == QUERY_SMOOTHED && last > low;
    bool left_between = smoothed && change->times_ms[low] < change->start_ms;
    bool right_between = smoothed && change->times_ms[last] > change->end_ms;
    struct query_histogram_sum sum;
    if (left_between)
        left = query_histogram_interpolate(change->scratch, change->times_ms + low,
                                           change->histograms + low, change->start_ms,
                                           change->is_counter);
    if (right_between)
        right = query_histogram_interpolate(change->scratch, change->times_ms + last - 1,
                                            change->histograms + last - 1, change->end_ms,
                                            change->is_counter);
    if (!left || !right)
        return refuse_mixed_schemas(change);
    annotate_kind(change);
    query_histogram_sum_begin(&sum, change->scratch, right, 1);
    if (!combine(change, &sum, left, -1))
        return NULL;
    /* A reset before the first sample within is in the left edge already. */
    for (size_t i = low + 1 + left_between; change->is_counter && i <= last; i++)
        if (change->resets[i] && !combine(change, &sum, change->histograms[i - 1], 1))
            return NULL;
    double seconds = (double)(change->end_ms - change->start_ms) / 1000;
    return take(change, &sum, change->is_rate ? 1 / seconds : 1);
}
