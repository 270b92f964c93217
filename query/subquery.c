/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/subquery.h"

#include "base/clock.h"

bool query_subquery_grid(const struct query_node *subquery, int64_t default_step_ms,
                         int64_t first_end_ms, int64_t last_end_ms, struct query_grid *ret_grid)
{
    int64_t step_ms = subquery->subquery.step_ms ? subquery->subquery.step_ms : default_step_ms;
    /* Left-open: the first multiple behind the start of the first window. */
    int64_t start_ms =
        (tw_floor_div(first_end_ms - subquery->subquery.range_ms, step_ms) + 1) * step_ms;
    if (start_ms > last_end_ms)
        return false;
    *ret_grid = (struct query_grid){.start_ms = start_ms,
                                    .step_ms = step_ms,
                                    .steps = (size_t)((last_end_ms - start_ms) / step_ms) + 1};
    return true;
}
