/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/bucket.h"

#include <float.h>
#include <math.h>

/* Differences this small between neighbours are rounding, not a decrease. */
#define SMALL_DELTA 1e-12

static size_t coalesce(struct query_bucket *buckets, size_t count)
{
    size_t last = 0;
    for (size_t i = 1; i < count; i++) {
        if (buckets[i].upper_bound == buckets[last].upper_bound)
            buckets[last].count += buckets[i].count;
        else
            buckets[++last] = buckets[i];
    }
    return last + 1;
}

static bool almost_equal(double a, double b)
{
    if ((isnan(a) && isnan(b)) || a == b)
        return true;
    double sum = fabs(a) + fabs(b), difference = fabs(a - b);
    if (a == 0 || b == 0 || sum < DBL_MIN)
        return difference < SMALL_DELTA * DBL_MIN;
    return difference / fmin(sum, DBL_MAX) < SMALL_DELTA;
}

static bool make_monotonic(struct query_bucket *buckets, size_t count)
{
    bool forced = false;
    double previous = buckets[0].count;
    for (size_t i = 1; i < count; i++) {
        double current = buckets[i].count;
        if (current == previous)
            continue;
        if (almost_equal(previous, current)) {
            buckets[i].count = previous;
        } else if (current < previous) {
            buckets[i].count = previous;
            forced = true;
        } else {
            previous = current;
        }
    }
    return forced;
}

double query_bucket_quantile(double q, struct query_bucket *buckets, size_t count, bool *ret_forced)
{
    *ret_forced = false;
    if (isnan(q))
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    if (!(isinf(buckets[count - 1].upper_bound) && buckets[count - 1].upper_bound > 0))
        return NAN;
    count = coalesce(buckets, count);
    *ret_forced = make_monotonic(buckets, count);
    if (count < 2 || buckets[count - 1].count == 0)
        return NAN;
    if (isnan(buckets[count - 1].count))
        return NAN;
    double rank = q * buckets[count - 1].count;
    size_t at = 0, limit = count - 1;
    while (at < limit) { /* the first bucket whose count reaches the rank */
        size_t middle = at + (limit - at) / 2;
        if (buckets[middle].count >= rank)
            limit = middle;
        else
            at = middle + 1;
    }
    if (at == count - 1)
        return buckets[count - 2].upper_bound;
    if (at == 0 && buckets[0].upper_bound <= 0)
        return buckets[0].upper_bound;
    double start = 0, end = buckets[at].upper_bound, inside = buckets[at].count;
    if (at > 0) {
        start = buckets[at - 1].upper_bound;
        inside -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    return start + (end - start) * (rank / inside);
}

/* Observations up to bound: whole buckets below, the bucket around it by linear interpolation. */
static double rank_at(double bound, const struct query_bucket *buckets, size_t count)
{
    double rank = 0;
    for (size_t i = 0; i < count; i++) {
        double lower =
            i > 0 ? buckets[i - 1].upper_bound : (buckets[0].upper_bound > 0 ? 0 : -INFINITY);
        double upper = buckets[i].upper_bound;
        if (lower >= bound)
            return rank;
        if (bound < upper) {
            if (isinf(lower))
                return rank;
            if (isinf(upper))
                return rank;
            return rank + (buckets[i].count - rank) * (bound - lower) / (upper - lower);
        }
        rank = buckets[i].count;
    }
    return buckets[count - 1].count;
}

double query_bucket_fraction(double lower, double upper, struct query_bucket *buckets, size_t count)
{
    if (!(isinf(buckets[count - 1].upper_bound) && buckets[count - 1].upper_bound > 0))
        return NAN;
    count = coalesce(buckets, count);
    double total = buckets[count - 1].count;
    if (total == 0 || isnan(lower) || isnan(upper))
        return NAN;
    if (lower >= upper)
        return 0;
    double low = fmin(rank_at(lower, buckets, count), total);
    double high = fmin(rank_at(upper, buckets, count), total);
    return (high - low) / total;
}
