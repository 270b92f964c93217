/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/histogram_binary.h"

#include "query/histogram_annotation.h"
#include "query/histogram_sum.h"
#include "query/histogram_trim.h"

static enum query_binary_outcome incompatible(struct query_exec *exec,
                                              const struct query_node *node,
                                              struct query_operand left, struct query_operand right)
{
    const char *spelling = query_token_spelling(node->binary.op);
    query_annotate(exec->annotations, QUERY_INFO, node,
                   "incompatible sample types encountered for binary operator \"%s\": %s %s %s",
                   spelling, left.histogram ? "histogram" : "float", spelling,
                   right.histogram ? "histogram" : "float");
    return QUERY_BINARY_NOTHING;
}

static enum query_binary_outcome add(struct query_exec *exec, const struct query_node *node,
                                     struct tw_arena *arena, struct query_operand left,
                                     struct query_operand right, const struct query_histogram **ret)
{
    struct query_histogram_sum sum;
    bool subtract = node->binary.op == QUERY_TOKEN_SUB;
    const char *operation = subtract ? "subtraction" : "addition";
    query_histogram_sum_begin(&sum, arena, left.histogram, 1);
    if (!query_histogram_sum_add(&sum, right.histogram, subtract ? -1 : 1)) {
        query_annotate(exec->annotations, QUERY_WARNING, node,
                       "incompatible bucket layout encountered for binary operator %s",
                       query_token_spelling(node->binary.op));
        return QUERY_BINARY_NOTHING;
    }
    if (sum.collided)
        query_annotate_collision(exec, node, operation);
    if (sum.reconciled)
        query_annotate_reconciled(exec, node, operation);
    if (subtract)
        sum.hint = WIRE_RESET_GAUGE;
    *ret = query_histogram_sum_take(&sum, arena, 1, true);
    return QUERY_BINARY_HISTOGRAM;
}

enum query_binary_outcome query_histogram_binary(struct query_exec *exec,
                                                 const struct query_node *node,
                                                 struct tw_arena *arena, struct query_operand left,
                                                 struct query_operand right,
                                                 const struct query_histogram **ret)
{
    bool both = left.histogram && right.histogram;
    switch (node->binary.op) {
    case QUERY_TOKEN_ADD:
    case QUERY_TOKEN_SUB:
        return both ? add(exec, node, arena, left, right, ret)
                    : incompatible(exec, node, left, right);
    case QUERY_TOKEN_MUL:
        if (both)
            break;
        *ret = left.histogram
                   ? query_histogram_multiplied(arena, left.histogram, right.number, true)
                   : query_histogram_multiplied(arena, right.histogram, left.number, true);
        return QUERY_BINARY_HISTOGRAM;
    case QUERY_TOKEN_DIV:
        if (right.histogram)
            break;
        *ret = query_histogram_divided(arena, left.histogram, right.number, true);
        return QUERY_BINARY_HISTOGRAM;
    case QUERY_TOKEN_EQLC:
    case QUERY_TOKEN_NEQ:
        if (!both)
            break;
        return query_histogram_equal(left.histogram, right.histogram) ==
                       (node->binary.op == QUERY_TOKEN_EQLC)
                   ? QUERY_BINARY_TRUE
                   : QUERY_BINARY_FALSE;
    case QUERY_TOKEN_TRIM_UPPER:
    case QUERY_TOKEN_TRIM_LOWER:
        if (!left.histogram || right.histogram)
            break;
        *ret = query_histogram_trimmed(arena, left.histogram, right.number,
                                       node->binary.op == QUERY_TOKEN_TRIM_UPPER);
        return QUERY_BINARY_HISTOGRAM;
    default:
        break;
    }
    return incompatible(exec, node, left, right);
}

/* Does the side have a value at the step, and which? */
static bool operand_at(const double *numbers, const uint64_t *present,
                       const struct query_histogram *const *histograms, size_t step,
                       struct query_operand *ret)
{
    ret->number = numbers[step];
    ret->histogram = histograms ? histograms[step] : NULL;
    return ret->histogram || !present || query_bit(present, step);
}

static void compute_step(struct query_exec *exec, const struct query_node *node,
                         struct tw_arena *arena, const struct query_histogram_row *row, size_t step,
                         struct query_operand left, struct query_operand right)
{
    const struct query_histogram *result = NULL;
    enum query_binary_outcome outcome =
        query_histogram_binary(exec, node, arena, left, right, &result);
    bool holds = outcome == QUERY_BINARY_TRUE;
    if (holds || outcome == QUERY_BINARY_FALSE) {
        if (node->binary.return_bool) {
            row->out[step] = holds;
            query_bit_set(row->present, step);
        } else if (holds) {
            result = row->keep_right ? right.histogram : left.histogram;
        }
    }
    row->histograms[step] = result;
}

void query_histogram_binary_row(struct query_exec *exec, const struct query_node *node,
                                struct tw_arena *arena, const struct query_histogram_row *row)
{
    for (size_t s = 0; s < row->steps; s++) {
        struct query_operand left, right;
        bool is_there =
            operand_at(row->left, row->left_present, row->left_histograms, s, &left) &
            operand_at(row->right, row->right_present, row->right_histograms, s, &right);
        if (is_there && (left.histogram || right.histogram))
            compute_step(exec, node, arena, row, s, left, right);
        else
            row->histograms[s] = NULL;
    }
}
