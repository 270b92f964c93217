/* SPDX-License-Identifier: Apache-2.0
 *
 * decaying: a histogram whose buckets grow by a constant ratio and whose samples lose half of their
 * weight each half-life, as in the recommender of the Kubernetes Vertical Pod Autoscaler
 * (vertical-pod-autoscaler/pkg/recommender/util/decaying_histogram.go; buckets 5 % apart, half-life
 * 24 h).
 *
 *   bucket 0: [0, first)    bucket k: [first (r^k - 1) / (r - 1), first (r^(k+1) - 1) / (r - 1))
 *
 * A sample's weight is multiplied by 2^((t - reference) / half-life): newer ones weigh more, and
 * nothing that is there has to be touched. The reference is moved before numbers become too large.
 *
 * I1  The order of samples changes nothing but rounding.
 * I2  A quantile is the upper end of the bucket where it lies: never less than the sample that it
 *     stands for, and at most a bucket's width more; the last bucket ends at nothing, its beginning
 *     is given.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_DECAYING_H
#define TW_AUTOSCALER_DECAYING_H

#include <stddef.h>
#include <stdint.h>

#define SCALE_DECAYING_BUCKETS 200

struct scale_decaying {
    double first, ratio, half_life_ms;
    int64_t reference_ms;
    double weights[SCALE_DECAYING_BUCKETS];
    double total;
    uint64_t samples;
    double highest; /* of all, whatever their age */
};

void scale_decaying_init(struct scale_decaying *histogram, double first, double ratio,
                         int64_t half_life_ms);
/* value >= 0, weight > 0; others are ignored. */
void scale_decaying_add(struct scale_decaying *histogram, int64_t time_ms, double value,
                        double weight);
/* NaN when it is empty. */
double scale_decaying_quantile(const struct scale_decaying *histogram, double q);
/* The upper end of the bucket of a value. */
double scale_decaying_end(const struct scale_decaying *histogram, double value);

#endif
