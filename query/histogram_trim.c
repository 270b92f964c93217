/* SPDX-License-Identifier: Apache-2.0
 *
 * The trim operators: a histogram without its observations above (</) or below (>/) a threshold.
 * Within the bucket of the threshold observations are taken to be spread as for quantiles; those in
 * a bucket without an end are at that infinity. If any are gone, the sum is estimated anew from the
 * middles of what is left of the buckets.
 */
#include "config.h"

#include "query/histogram_trim.h"

#include <math.h>

#include "query/range_kernel.h"

/* What is left of a bucket. */
struct rest {
    double lower, upper, count;
};

static double split(const struct query_bucket_view *view, bool linear, double threshold)
{
    if (linear)
        return (threshold - view->lower) / (view->upper - view->lower);
    double lower = log2(fabs(view->lower)), upper = log2(fabs(view->upper));
    double at = log2(fabs(threshold));
    return threshold > 0 ? (at - lower) / (upper - lower) : 1 - (at - upper) / (lower - upper);
}

static struct rest trim_bucket(const struct query_bucket_view *view, bool linear, double threshold,
                               bool upper)
{
    struct rest rest = {view->lower, view->upper, view->count};
    if (upper ? view->upper <= threshold : view->lower >= threshold)
        return rest;
    if (upper ? view->lower >= threshold : view->upper <= threshold)
        rest.count = 0;
    else if (isinf(view->lower))
        rest.count = upper ? view->count : 0;
    else if (isinf(view->upper))
        rest.count = upper ? 0 : view->count;
    else {
        double below = split(view, linear, threshold);
        rest.count *= upper ? below : 1 - below;
        *(upper ? &rest.upper : &rest.lower) = threshold;
    }
    return rest;
}

static double middle(const struct rest *rest, bool linear)
{
    if (isinf(rest->lower))
        return isinf(rest->upper) ? 0 : rest->upper;
    if (isinf(rest->upper))
        return rest->lower;
    return linear ? (rest->lower + rest->upper) / 2
                  : copysign(sqrt(rest->lower * rest->upper), rest->upper > 0 ? 1 : -1);
}

/* The bucket's bounds as observations are taken to lie in it. */
static void narrow(const struct query_histogram *histogram, bool zero,
                   struct query_bucket_view *view)
{
    if (query_histogram_is_custom(histogram)) {
        if (view->lower == -INFINITY && view->upper > 0)
            view->lower = 0;
    } else if (zero && histogram->negative.count == 0 && histogram->positive.count > 0) {
        view->lower = 0;
    } else if (zero && histogram->positive.count == 0 && histogram->negative.count > 0) {
        view->upper = 0;
    }
}

struct totals {
    double count, count_lost, sum, sum_lost;
    bool trimmed;
};

/* What is left of the bucket at a position; added to the totals. */
static double trim_position(const struct query_histogram *histogram, size_t position,
                            double threshold, bool upper, struct totals *totals)
{
    struct query_bucket_view view;
    bool zero = position == histogram->negative.count;
    bool linear = zero || query_histogram_is_custom(histogram);
    if (!query_histogram_view(histogram, position, &view) || view.count == 0)
        return 0;
    narrow(histogram, zero, &view);
    const struct rest rest = trim_bucket(&view, linear, threshold, upper);
    totals->trimmed |= rest.count != view.count;
    if (rest.count == 0)
        return 0;
    query_kahan_add(rest.count, &totals->count, &totals->count_lost);
    query_kahan_add(rest.count * middle(&rest, linear), &totals->sum, &totals->sum_lost);
    return rest.count;
}

static struct query_buckets room(struct tw_arena *arena, const struct query_buckets *side,
                                 double **ret_counts)
{
    struct query_buckets buckets = *side;
    *ret_counts = tw_arena_alloc_zero(arena, (side->count + (size_t)1) * sizeof **ret_counts);
    buckets.counts = *ret_counts;
    return buckets;
}

const struct query_histogram *query_histogram_trimmed(struct tw_arena *arena,
                                                      const struct query_histogram *histogram,
                                                      double threshold, bool upper)
{
    struct totals totals = {0};
    double *negative, *positive;
    struct query_histogram *result = tw_arena_alloc(arena, sizeof *result);
    if (isnan(threshold)) /* nothing is on the right side of it */
        threshold = upper ? -INFINITY : INFINITY;
    uint32_t negatives = histogram->negative.count, positives = histogram->positive.count;
    *result = *histogram;
    result->negative = room(arena, &histogram->negative, &negative);
    result->positive = room(arena, &histogram->positive, &positive);
    for (uint32_t i = 0; i < negatives; i++)
        negative[negatives - 1 - i] = trim_position(histogram, i, threshold, upper, &totals);
    result->zero_count = trim_position(histogram, negatives, threshold, upper, &totals);
    for (uint32_t i = 0; i < positives; i++)
        positive[i] =
            trim_position(histogram, (size_t)negatives + 1 + i, threshold, upper, &totals);
    if (!totals.trimmed)
        return histogram;
    result->count = totals.count + totals.count_lost;
    result->sum = totals.sum + totals.sum_lost;
    return query_histogram_multiplied(arena, result, 1, true);
}
