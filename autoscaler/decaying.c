/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/decaying.h"

#include <math.h>

#include "base/assert.h"

#define EXPONENT_MAX 100 /* half-lives between reference and newest sample */

void scale_decaying_init(struct scale_decaying *histogram, double first, double ratio,
                         int64_t half_life_ms)
{
    TW_ASSERT(first > 0 && ratio > 1 && half_life_ms > 0);
    *histogram = (struct scale_decaying){
        .first = first, .ratio = ratio, .half_life_ms = (double)half_life_ms};
}

static double begin_of(const struct scale_decaying *histogram, size_t bucket)
{
    return histogram->first * (pow(histogram->ratio, (double)bucket) - 1) / (histogram->ratio - 1);
}

static size_t bucket_of(const struct scale_decaying *histogram, double value)
{
    if (value < histogram->first)
        return 0;
    double k = log(value * (histogram->ratio - 1) / histogram->first + 1) / log(histogram->ratio);
    size_t bucket = k < SCALE_DECAYING_BUCKETS - 1 ? (size_t)k : SCALE_DECAYING_BUCKETS - 1;
    /* The logarithm may miss an end by a hair. */
    while (bucket > 0 && value < begin_of(histogram, bucket))
        bucket--;
    while (bucket < SCALE_DECAYING_BUCKETS - 1 && value >= begin_of(histogram, bucket + 1))
        bucket++;
    return bucket;
}

/* So that a sample of time_ms has a weight near 1. */
static void move_reference(struct scale_decaying *histogram, int64_t time_ms)
{
    double factor = exp2((double)(histogram->reference_ms - time_ms) / histogram->half_life_ms);
    histogram->total = 0;
    for (size_t k = 0; k < SCALE_DECAYING_BUCKETS; k++) {
        histogram->weights[k] *= factor;
        histogram->total += histogram->weights[k];
    }
    histogram->reference_ms = time_ms;
}

void scale_decaying_add(struct scale_decaying *histogram, int64_t time_ms, double value,
                        double weight)
{
    if (!(value >= 0) || !isfinite(value) || !(weight > 0) || !isfinite(weight))
        return;
    if (!histogram->samples)
        histogram->reference_ms = time_ms;
    if ((double)(time_ms - histogram->reference_ms) > EXPONENT_MAX * histogram->half_life_ms)
        move_reference(histogram, time_ms);
    weight *= exp2((double)(time_ms - histogram->reference_ms) / histogram->half_life_ms);
    histogram->weights[bucket_of(histogram, value)] += weight;
    histogram->total += weight;
    histogram->samples++;
    histogram->highest = fmax(histogram->highest, value);
}

double scale_decaying_end(const struct scale_decaying *histogram, double value)
{
    size_t bucket = bucket_of(histogram, value);
    return begin_of(histogram, bucket + (bucket < SCALE_DECAYING_BUCKETS - 1));
}

double scale_decaying_quantile(const struct scale_decaying *histogram, double q)
{
    if (!histogram->samples || !(histogram->total > 0))
        return NAN;
    double wanted = q * histogram->total, sum = 0;
    size_t last = 0;
    for (size_t k = 0; k < SCALE_DECAYING_BUCKETS; k++) {
        if (histogram->weights[k] <= 0)
            continue;
        last = k;
        sum += histogram->weights[k];
        if (sum >= wanted * (1 - 1e-12))
            break;
    }
    return begin_of(histogram, last + (last < SCALE_DECAYING_BUCKETS - 1));
}
