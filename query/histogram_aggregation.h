/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_aggregation: what aggregations do with native histograms: sum and avg add them up per
 * group and step, count and group count them, the others ignore them and say so.
 *
 * Threads: one run, one thread.
 */
#ifndef TW_QUERY_HISTOGRAM_AGGREGATION_H
#define TW_QUERY_HISTOGRAM_AGGREGATION_H

#include "query/operator.h"

struct query_histogram_group;

/* Sums by group and step; made when the first histogram comes. Zero is an empty one. */
struct query_histogram_groups {
    struct query_histogram_group **slots; /* NULL: that group has none at that step */
    size_t count;                         /* groups x steps */
};

/* Takes the histograms of a tile's row into a group's sums. average: their mean is wanted. */
TW_MUST_CHECK enum tw_code
query_histogram_groups_take(struct query_histogram_groups *groups, struct query_exec *exec,
                            const struct query_node *aggregate, const struct query_matrix *main,
                            size_t group, const struct query_tile *tile, size_t row,
                            struct wire_labels labels, struct tw_err *err);
/* Puts the results into the matrix of the floats; where a group has both, it has nothing. */
TW_MUST_CHECK enum tw_code query_histogram_groups_finish(struct query_histogram_groups *groups,
                                                         struct query_exec *exec,
                                                         const struct query_node *aggregate,
                                                         struct query_matrix *main,
                                                         struct tw_err *err);

/* "ignored histograms in max aggregation", when the row has any. */
void query_histogram_annotate_ignored(struct query_exec *exec, const struct query_node *aggregate,
                                      const struct query_tile *tile, size_t row);

#endif
