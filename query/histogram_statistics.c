/* SPDX-License-Identifier: Apache-2.0
 *
 * Within a bucket observations are taken to be spread evenly: on a logarithmic scale in exponential
 * buckets, on a linear one in the zero bucket and in custom buckets.
 */
#include "config.h"

#include "query/histogram_statistics.h"

#include <math.h>

#include "query/range_kernel.h"

/* The zero bucket of a histogram that has observations on one side only reaches to that side. */
static void trim_zero_bucket(const struct query_histogram *histogram,
                             struct query_bucket_view *view)
{
    if (histogram->negative.count == 0 && histogram->positive.count > 0)
        view->lower = 0;
    else if (histogram->positive.count == 0 && histogram->negative.count > 0)
        view->upper = 0;
}

/* ---- quantile ---- */

/* The bucket at which the counts reach the rank, from one end; ret_count is what they are then. */
static bool find_rank(const struct query_histogram *histogram, double rank, bool forward,
                      struct query_bucket_view *ret_view, double *ret_count)
{
    size_t positions = query_histogram_positions(histogram);
    bool any = false;
    *ret_count = 0;
    for (size_t i = 0; i < positions; i++) {
        struct query_bucket_view view;
        if (!query_histogram_view(histogram, forward ? i : positions - 1 - i, &view))
            continue;
        *ret_view = view;
        any = true;
        if (view.count == 0)
            continue;
        *ret_count += view.count;
        if (*ret_count >= rank)
            break;
    }
    return any;
}

static double interpolate(const struct query_bucket_view *view, bool linear, double fraction)
{
    if (linear)
        return view->lower + (view->upper - view->lower) * fraction;
    double lower = log2(fabs(view->lower)), upper = log2(fabs(view->upper));
    if (view->lower > 0)
        return exp2(lower + (upper - lower) * fraction);
    return -exp2(upper + (lower - upper) * (1 - fraction));
}

double query_histogram_quantile(const struct query_histogram *histogram, double q,
                                enum query_nan_effect *ret_effect)
{
    struct query_bucket_view view = {0};
    double count;
    bool custom = query_histogram_is_custom(histogram), nan = isnan(histogram->sum);
    bool forward = nan || q < 0.5; /* from the end that is nearer: less is rounded */
    *ret_effect = QUERY_NAN_NONE;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    if (histogram->count == 0 || isnan(q))
        return NAN;
    double rank = (forward ? q : 1 - q) * histogram->count;
    find_rank(histogram, rank, forward, &view, &count);
    if (!custom && view.lower < 0 && view.upper > 0) {
        trim_zero_bucket(histogram, &view);
    } else if (custom && view.lower == -INFINITY) {
        if (view.upper <= 0)
            return view.upper;
        view.lower = 0;
    } else if (custom && view.upper == INFINITY) {
        return view.lower;
    }
    if (count > histogram->count)
        count = histogram->count;
    if (count < rank) {
        /* Only observations of NaN can be missing from the buckets. */
        *ret_effect = nan ? QUERY_NAN_RESULT : QUERY_NAN_NONE;
        return nan ? NAN : view.upper;
    }
    *ret_effect = nan ? QUERY_NAN_SKEW : QUERY_NAN_NONE;
    rank = forward ? rank - (count - view.count) : count - rank;
    return interpolate(&view, custom || (view.lower <= 0 && view.upper >= 0), rank / view.count);
}

/* ---- fraction ---- */

/* The rank of a value within a bucket, when `before` observations are below the bucket. */
static double rank_within(const struct query_bucket_view *view, bool linear, double before,
                          double value)
{
    if (linear && view->lower == -INFINITY)
        return view->count;
    if (linear)
        return before + view->count * (value - view->lower) / (view->upper - view->lower);
    double lower = log2(fabs(view->lower)), upper = log2(fabs(view->upper));
    double at = log2(fabs(value));
    double fraction =
        value > 0 ? (at - lower) / (upper - lower) : 1 - (at - upper) / (lower - upper);
    return before + view->count * fraction;
}

double query_histogram_fraction(const struct query_histogram *histogram, double lower, double upper)
{
    double rank = 0, lower_rank = NAN, upper_rank = NAN;
    bool custom = query_histogram_is_custom(histogram), lower_set = false, upper_set = false;
    if (histogram->count == 0 || isnan(lower) || isnan(upper))
        return NAN;
    if (lower >= upper)
        return 0;
    for (size_t i = 0; i < query_histogram_positions(histogram); i++) {
        struct query_bucket_view view;
        if (!query_histogram_view(histogram, i, &view))
            continue;
        bool zero = view.lower <= 0 && view.upper >= 0;
        if (zero)
            trim_zero_bucket(histogram, &view);
        if (!lower_set && view.upper > lower) {
            lower_rank =
                view.lower >= lower ? rank : rank_within(&view, custom || zero, rank, lower);
            lower_set = true;
        }
        if (!upper_set && (view.lower >= upper || view.upper > upper)) {
            upper_rank =
                view.lower >= upper ? rank : rank_within(&view, custom || zero, rank, upper);
            upper_set = true;
        }
        if (lower_set && upper_set)
            break;
        rank += view.count;
    }
    /* Observations of NaN are in no bucket, and so in no fraction. */
    double count = isnan(histogram->sum) ? rank : histogram->count;
    if (!lower_set || lower_rank > count)
        lower_rank = count;
    if (!upper_set || upper_rank > count)
        upper_rank = count;
    return (upper_rank - lower_rank) / histogram->count;
}

/* ---- variance ---- */
double query_histogram_variance(const struct query_histogram *histogram)
{
    double mean = histogram->sum / histogram->count, sum = 0, lost = 0;
    bool custom = query_histogram_is_custom(histogram);
    for (size_t i = 0; i < query_histogram_positions(histogram); i++) {
        struct query_bucket_view view;
        double value = 0;
        if (!query_histogram_view(histogram, i, &view) || view.count == 0)
            continue;
        if (custom)
            value = (view.upper + view.lower) / 2;
        else if (!(view.lower <= 0 && view.upper >= 0))
            value = copysign(sqrt(view.upper * view.lower), view.upper);
        double delta = value - mean;
        query_kahan_add(view.count * delta * delta, &sum, &lost);
    }
    return (sum + lost) / histogram->count;
}
