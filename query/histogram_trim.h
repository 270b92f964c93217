/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_trim: the operators </ and >/.
 *
 * Threads: plain data.
 */
#ifndef TW_QUERY_HISTOGRAM_TRIM_H
#define TW_QUERY_HISTOGRAM_TRIM_H

#include "query/histogram_value.h"

/* Without the observations above (upper) or below the threshold; the histogram itself when there
 * are none such. The kind (counter, gauge) stays. */
const struct query_histogram *query_histogram_trimmed(struct tw_arena *arena,
                                                      const struct query_histogram *histogram,
                                                      double threshold, bool upper);

#endif
