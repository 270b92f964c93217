/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_statistics: what a native histogram says about its observations.
 *
 * Threads: plain data.
 */
#ifndef TW_QUERY_HISTOGRAM_STATISTICS_H
#define TW_QUERY_HISTOGRAM_STATISTICS_H

#include "query/histogram_value.h"

/* What NaN among the observations, which no bucket counts, did to a quantile. */
enum query_nan_effect { QUERY_NAN_NONE, QUERY_NAN_RESULT, QUERY_NAN_SKEW };

double query_histogram_quantile(const struct query_histogram *histogram, double q,
                                enum query_nan_effect *ret_effect);
/* The share of observations between lower and upper. */
double query_histogram_fraction(const struct query_histogram *histogram, double lower,
                                double upper);
double query_histogram_variance(const struct query_histogram *histogram);

#endif
