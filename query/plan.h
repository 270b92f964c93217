/* SPDX-License-Identifier: Apache-2.0
 *
 * plan: a tree of operators for a parsed query over a span of evaluation times. Knows for each
 * selector which samples the whole run will ask for, and evaluates what does not depend on the
 * time once (`@`, constants).
 *
 * Threads: one run, one thread.
 */
#ifndef TW_QUERY_PLAN_H
#define TW_QUERY_PLAN_H

#include "query/operator.h"

struct query_plan {
    struct query_op *root;
    struct query_op *newest;             /* list of all operators */
    struct query_sharing *sharing;       /* what stands in the tree more than once; NULL: nothing */
    struct query_selections *selections; /* for exec->selections while it runs */
};

/* node: the part of exec->ast to run, of type scalar or vector, at times from start_ms to end_ms.
 */
void query_plan_init(struct query_plan *plan, struct tw_arena *arena, const struct query_exec *exec,
                     const struct query_node *node, int64_t start_ms, int64_t end_ms);
/* No other thread works for the plan any more; it may be opened again. */
void query_plan_stop(struct query_plan *plan);
void query_plan_fini(struct query_plan *plan); /* closes selections; memory is the arena's */

/* How far before start_ms, the end of its first window, a function of ranges wants samples. */
int64_t query_plan_reach(const struct query_exec *exec, const struct query_node *call,
                         int64_t range_ms, int64_t start_ms);
/* Evaluation times of a selector's or subquery's window ends, for steps from *start_ms to *end_ms.
 */
void query_modifiers_apply(const struct query_modifiers *modifiers, const struct query_exec *exec,
                           int64_t *start_ms, int64_t *end_ms);

#endif
