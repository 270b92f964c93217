/* SPDX-License-Identifier: Apache-2.0
 *
 * Binary operators with a scalar on at least one side: they change tiles in place.
 */
#include "config.h"

#include "query/operators.h"

#include "query/arithmetic.h"
#include "query/histogram_binary.h"
#include "query/labelset.h"

struct binary {
    struct query_op op;
    struct query_op *stream; /* the vector; of two scalars the left one */
    struct query_op *scalar;
    const double *scalar_row;
    enum query_token_type operator;
    bool scalar_left, return_bool, drops_name;
};

static enum tw_code binary_open(struct query_op *op, struct query_exec *exec,
                                struct query_grid grid, struct tw_err *err)
{
    struct binary *binary = (struct binary *)op;
    enum tw_code code = query_op_row(binary->scalar, exec, grid, &binary->scalar_row, err);
    if (!code)
        code = query_op_open(binary->stream, exec, grid, err);
    if (!code)
        code = query_op_begin(op, exec, binary->stream->series_count, false, err);
    for (size_t i = 0; !code && i < op->series_count; i++)
        op->labels[i] = binary->drops_name ? query_labels_lose_name(exec, binary->stream->labels[i])
                                           : binary->stream->labels[i];
    return code;
}

/* The vector's histograms, in place. */
static enum tw_code compute_histograms(struct binary *binary, struct query_exec *exec,
                                       struct query_tile *tile, struct tw_err *err)
{
    struct query_op *op = &binary->op;
    query_op_side_reset(op);
    for (size_t r = 0; r < tile->count; r++) {
        const struct query_histogram **histograms = tile->histograms + r * tile->stride;
        double *values = tile->values + r * tile->stride;
        bool left = binary->scalar_left;
        const struct query_histogram_row row = {
            .left = left ? binary->scalar_row : values,
            .right = left ? values : binary->scalar_row,
            .left_present = left ? NULL : tile->present + r * tile->words,
            .right_present = left ? tile->present + r * tile->words : NULL,
            .left_histograms = left ? NULL : histograms,
            .right_histograms = left ? histograms : NULL,
            .keep_right = left,
            .out = values,
            .present = tile->present + r * tile->words,
            .histograms = histograms,
            .steps = tile->stride,
        };
        query_histogram_binary_row(exec, op->node, query_op_side(op), &row);
        enum tw_code code = query_op_side_check(op, exec, err);
        if (code)
            return code;
    }
    return TW_OK;
}

static enum tw_code binary_next(struct query_op *op, struct query_exec *exec,
                                struct query_tile *ret_tile, struct tw_err *err)
{
    struct binary *binary = (struct binary *)op;
    enum tw_code code = query_op_next(binary->stream, exec, ret_tile, err);
    if (code)
        return code;
    for (size_t r = 0; r < ret_tile->count; r++) {
        double *values = ret_tile->values + r * ret_tile->stride;
        struct query_binary_row row = {
            .op = binary->operator,
            .return_bool = binary->return_bool,
            .keep_right = binary->scalar_left, /* a filter gives the vector's value */
            .left = binary->scalar_left ? binary->scalar_row : values,
            .right = binary->scalar_left ? values : binary->scalar_row,
            .out = values,
            .present = ret_tile->present + r * ret_tile->words,
            .steps = ret_tile->stride,
        };
        query_binary_apply(&row, exec, op->node);
    }
    return ret_tile->histograms ? compute_histograms(binary, exec, ret_tile, err) : TW_OK;
}

static const struct query_op_ops binary_ops = {"binary", binary_open, binary_next, NULL};

struct query_op *query_vector_scalar_op(struct tw_arena *arena, const struct query_node *node,
                                        struct query_op *vector, struct query_op *scalar,
                                        bool scalar_left)
{
    struct binary *binary = TW_ARENA_NEW(arena, struct binary);
    binary->op.ops = &binary_ops;
    binary->op.node = node;
    binary->stream = vector;
    binary->scalar = scalar;
    binary->scalar_left = scalar_left;
    binary->operator= node->binary.op;
    binary->return_bool = node->binary.return_bool;
    binary->drops_name = query_binary_drops_name(node);
    return &binary->op;
}

struct query_op *query_scalar_binary_op(struct tw_arena *arena, const struct query_node *node,
                                        struct query_op *left, struct query_op *right)
{
    return query_vector_scalar_op(arena, node, left, right, false);
}

struct query_op *query_of_two_op(struct tw_arena *arena, const struct query_node *node,
                                 struct query_op *left, struct query_op *right)
{
    struct binary *binary = TW_ARENA_NEW(arena, struct binary);
    binary->op.ops = &binary_ops;
    binary->op.node = node;
    binary->stream = left;
    binary->scalar = right;
    binary->operator= node->call.function->id == QUERY_FN_MIN_OF ? QUERY_TOKEN_MIN
                                                                 : QUERY_TOKEN_MAX;
    return &binary->op;
}
