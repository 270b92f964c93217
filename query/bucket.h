/* SPDX-License-Identifier: Apache-2.0
 *
 * bucket: quantile and fraction of a classic histogram, as Prometheus computes them.
 */
#ifndef TW_QUERY_BUCKET_H
#define TW_QUERY_BUCKET_H

#include <stdbool.h>
#include <stddef.h>

struct query_bucket {
    double upper_bound, count; /* cumulative */
};

/* buckets: sorted by bound; changed in place (equal bounds joined, counts made monotonic, which
 * *ret_forced reports). */
double query_bucket_quantile(double q, struct query_bucket *buckets, size_t count,
                             bool *ret_forced);
double query_bucket_fraction(double lower, double upper, struct query_bucket *buckets,
                             size_t count);

#endif
