/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions that make a number of each native histogram, and nothing of numbers: histogram_count,
 * histogram_sum, histogram_avg, histogram_stddev, histogram_stdvar.
 */
#include "config.h"

#include "query/operators.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "query/histogram_statistics.h"
#include "query/labelset.h"

struct function {
    struct query_op op;
    struct query_op *inner;
};

static double compute(enum query_function_id function, const struct query_histogram *histogram)
{
    switch (function) {
    case QUERY_FN_HISTOGRAM_COUNT:
        return histogram->count;
    case QUERY_FN_HISTOGRAM_SUM:
        return histogram->sum;
    case QUERY_FN_HISTOGRAM_AVG:
        return histogram->sum / histogram->count;
    case QUERY_FN_HISTOGRAM_STDDEV:
        return sqrt(query_histogram_variance(histogram));
    case QUERY_FN_HISTOGRAM_STDVAR:
        return query_histogram_variance(histogram);
    default:
        TW_UNREACHABLE("not a function of histograms");
    }
}

static enum tw_code function_open(struct query_op *op, struct query_exec *exec,
                                  struct query_grid grid, struct tw_err *err)
{
    struct query_op *inner = ((struct function *)op)->inner;
    enum tw_code code = query_op_open(inner, exec, grid, err);
    if (!code)
        code = query_op_begin(op, exec, inner->series_count, false, err);
    for (size_t i = 0; !code && i < op->series_count; i++)
        op->labels[i] = query_labels_lose_name(exec, inner->labels[i]);
    return code;
}

static enum tw_code function_next(struct query_op *op, struct query_exec *exec,
                                  struct query_tile *ret_tile, struct tw_err *err)
{
    enum query_function_id function = op->node->call.function->id;
    enum tw_code code = query_op_next(((struct function *)op)->inner, exec, ret_tile, err);
    if (code)
        return code;
    if (ret_tile->count == 0)
        return TW_OK;
    memset(ret_tile->present, 0, ret_tile->count * ret_tile->words * sizeof *ret_tile->present);
    for (size_t row = 0; ret_tile->histograms && row < ret_tile->count; row++)
        for (size_t s = 0; s < ret_tile->stride; s++) {
            const struct query_histogram *histogram = query_tile_histogram(ret_tile, row, s);
            if (!histogram)
                continue;
            ret_tile->values[row * ret_tile->stride + s] = compute(function, histogram);
            query_bit_set(ret_tile->present + row * ret_tile->words, s);
        }
    ret_tile->histograms = NULL;
    return TW_OK;
}

static const struct query_op_ops function_ops = {"histogram function", function_open, function_next,
                                                 NULL};

struct query_op *query_histogram_function_op(struct tw_arena *arena, const struct query_node *node,
                                             struct query_op *inner)
{
    struct function *function = TW_ARENA_NEW(arena, struct function);
    function->op.ops = &function_ops;
    function->op.node = node;
    function->inner = inner;
    return &function->op;
}
