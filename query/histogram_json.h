/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_json: a native histogram as the Prometheus HTTP API shows it:
 *
 *   [1435781430.781,{"count":"3","sum":"5","buckets":[[0,"1","2","3"]]}]
 *
 * A bucket is its boundary rule (0: open left, 1: open right, 2: open both, 3: closed both), lower
 * and upper bound and count; empty ones are left out.
 *
 * Threads: plain data.
 */
#ifndef TW_QUERY_HISTOGRAM_JSON_H
#define TW_QUERY_HISTOGRAM_JSON_H

#include "base/json.h"
#include "query/engine.h"

void query_histogram_write(struct tw_json_writer *writer,
                           const struct query_histogram_point *point);

#endif
