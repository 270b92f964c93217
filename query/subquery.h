/* SPDX-License-Identifier: Apache-2.0
 *
 * subquery: where the steps of a subquery's inner grid lie: multiples of its step, whatever the
 * outer grid is.
 */
#ifndef TW_QUERY_SUBQUERY_H
#define TW_QUERY_SUBQUERY_H

#include "query/operator.h"

/* The inner grid that covers all windows that end from first_end_ms to last_end_ms; false if no
 * step falls into them. */
bool query_subquery_grid(const struct query_node *subquery, int64_t default_step_ms,
                         int64_t first_end_ms, int64_t last_end_ms, struct query_grid *ret_grid);

#endif
