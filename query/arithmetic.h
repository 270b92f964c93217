/* SPDX-License-Identifier: Apache-2.0
 *
 * arithmetic: what binary operators do to two numbers.
 */
#ifndef TW_QUERY_ARITHMETIC_H
#define TW_QUERY_ARITHMETIC_H

#include "query/operator.h"

/* Does the result lose the metric's name? Filters and trimming keep it. */
bool query_binary_drops_name(const struct query_node *node);

/* Arithmetic result; of a comparison 1 or 0. */
double query_binary_value(enum query_token_type op, double left, double right);

/* A node of the operation is where annotations point: trimming is for histograms, of floats it
 * gives nothing and says so.
 * values[s] = left[s] op right[s] where present. For a comparison without bool, kept holds left (or
 * right, when keep_right) where it is true and the other bits are cleared. */
struct query_binary_row {
    enum query_token_type op;
    bool return_bool, keep_right;
    const double *left, *right;
    double *out; /* may be left or right */
    uint64_t *present;
    size_t steps;
};
void query_binary_apply(const struct query_binary_row *row, struct query_exec *exec,
                        const struct query_node *node);

#endif
