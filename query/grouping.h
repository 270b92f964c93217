/* SPDX-License-Identifier: Apache-2.0
 *
 * grouping: which group of an aggregation each series of its operand belongs to.
 */
#ifndef TW_QUERY_GROUPING_H
#define TW_QUERY_GROUPING_H

#include "query/operator.h"

struct query_grouping {
    const uint32_t *group_of;   /* by series */
    struct wire_labels *labels; /* by group: in the order of their first series, or of the labels */
    size_t count;
};

/* inner is open. */
TW_MUST_CHECK enum tw_code query_grouping_init(struct query_grouping *grouping,
                                               struct query_exec *exec,
                                               const struct query_node *aggregate,
                                               const struct query_op *inner, struct tw_err *err);
/* What the store is to group by for an operator that is grouped_by; false for others. */
bool query_grouping_hint(const struct query_op *op, struct tw_arena *arena,
                         struct tsdb_grouping *ret);
struct wire_labels query_group_labels(struct tw_arena *arena, const struct query_node *aggregate,
                                      struct wire_labels labels);

#endif
