/* SPDX-License-Identifier: Apache-2.0
 *
 * cost: what a query would read and hold, told before it runs.
 *
 * The series are counted exactly, by the postings. The samples are counted in some of the series,
 * spread over all, and scaled up; so the estimate is as good as these are like the rest. The bytes
 * are what the widest set of series x steps takes, steps of subqueries included: an upper bound for
 * most queries.
 *
 * Threads: any; the work is done on the caller's.
 */
#ifndef TW_QUERY_COST_H
#define TW_QUERY_COST_H

#include <stddef.h>
#include <stdint.h>

#include "query/engine.h"

/* Of each selector, for the estimate. */
#define QUERY_COST_SERIES_READ 64
#define QUERY_COST_SAMPLES_READ 500000

struct query_cost_selector {
    struct tw_str text;       /* as it stands in the query */
    struct tw_str read_as;    /* with the matchers that the planner added */
    int64_t start_ms, end_ms; /* what it reads: (start, end] */
    uint64_t steps;           /* at which it is evaluated: those of the query, or of a subquery */
    uint64_t series, samples;
};

struct query_cost_shared {
    struct tw_str text; /* canonical */
    size_t places;
};

struct query_cost_together {
    struct tw_str text;       /* the first of them, as it is read */
    int64_t start_ms, end_ms; /* (start, end] of all */
    size_t places;
};

struct query_cost {
    uint64_t series, samples, bytes; /* of all selectors together */
    uint64_t steps;
    uint64_t samples_max, bytes_max; /* the engine's limits */
    const struct query_cost_selector *selectors;
    size_t selector_count;
    /* What stands several times and is worked out once; its selectors are listed at each place. */
    const struct query_cost_shared *shared;
    size_t shared_count;
    /* Selectors that match alike and are looked up once. */
    const struct query_cost_together *together;
    size_t together_count;
};

/* step_ms 0 = an instant query at start_ms = end_ms. The result and its texts are in the arena.
 * Errors as query_range's. */
TW_MUST_CHECK enum tw_code query_cost_estimate(struct query_engine *engine,
                                               const struct tw_context *context, struct tw_str text,
                                               int64_t start_ms, int64_t end_ms, int64_t step_ms,
                                               struct tw_arena *arena, struct query_cost *ret_cost,
                                               struct tw_err *err);

#endif
