/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_binary: binary operators with a native histogram on at least one side.
 *
 * Threads: one run, one thread.
 */
#ifndef TW_QUERY_HISTOGRAM_BINARY_H
#define TW_QUERY_HISTOGRAM_BINARY_H

#include "query/operator.h"

struct query_operand {
    double number;
    const struct query_histogram *histogram; /* NULL: it is the number */
};

enum query_binary_outcome {
    QUERY_BINARY_NOTHING, /* the operator does not go with them, which an annotation says */
    QUERY_BINARY_HISTOGRAM,
    QUERY_BINARY_TRUE, /* of a comparison */
    QUERY_BINARY_FALSE,
};

/* One of the operands is a histogram. What is made lives in the arena. */
enum query_binary_outcome query_histogram_binary(struct query_exec *exec,
                                                 const struct query_node *node,
                                                 struct tw_arena *arena, struct query_operand left,
                                                 struct query_operand right,
                                                 const struct query_histogram **ret);

/* One row where either side may have histograms; the floats are done (query_binary_apply) and their
 * presence stands in `present`. Sides without histograms have NULL for them, and NULL presence when
 * they are scalars. out: what is kept, as a row of pointers that may be that of a side. */
struct query_histogram_row {
    const double *left, *right;
    const uint64_t *left_present, *right_present;
    const struct query_histogram *const *left_histograms, *const *right_histograms;
    bool keep_right; /* of a comparison that filters */
    double *out;
    uint64_t *present;
    const struct query_histogram **histograms;
    size_t steps;
};
void query_histogram_binary_row(struct query_exec *exec, const struct query_node *node,
                                struct tw_arena *arena, const struct query_histogram_row *row);

#endif
