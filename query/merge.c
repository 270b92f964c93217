/* SPDX-License-Identifier: Apache-2.0
 *
 * Series that became equal when labels were dropped. The usual case, all different, passes tiles
 * through; else everything is materialised and rows of equal labels are laid over each other.
 */
#include "config.h"

#include "query/operators.h"

#include <string.h>

#include "query/labelset.h"

struct merge {
    struct query_op op;
    struct query_op *inner;
    bool strict, passes;
    size_t *target; /* of each inner series */
    struct query_matrix matrix;
    bool done;
};

static enum tw_code merge_open(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                               struct tw_err *err)
{
    struct merge *merge = (struct merge *)op;
    enum tw_code code = query_op_open(merge->inner, exec, grid, err);
    if (code)
        return code;
    size_t count = merge->inner->series_count;
    struct query_label_index index;
    void *target;
    merge->done = false;
    code = query_label_index_init(&index, exec, count, err);
    if (!code)
        code = query_exec_alloc(exec, count, sizeof *merge->target, &target, err);
    if (code)
        return code;
    merge->target = target;
    for (size_t i = 0; i < count; i++)
        merge->target[i] = query_label_index_add(&index, merge->inner->labels[i]);
    merge->passes = index.count == count;
    op->series_count = index.count;
    op->labels = merge->passes ? merge->inner->labels : index.labels;
    return TW_OK;
}

/* Lays one row over its target. */
static enum tw_code lay(struct merge *merge, struct query_exec *exec, const struct query_tile *tile,
                        size_t row, struct tw_err *err)
{
    size_t target = merge->target[tile->first + row];
    const uint64_t *source = tile->present + row * tile->words;
    uint64_t *present = merge->matrix.present + target * merge->matrix.words;
    bool met = merge->strict && query_bits_any(present, tile->words) &&
               query_bits_any(source, tile->words);
    for (size_t w = 0; w < tile->words; w++)
        met = met || (present[w] & source[w]);
    if (met)
        return query_exec_same_labels(exec, merge->op.node, err);
    double *values = merge->matrix.values + target * merge->matrix.stride;
    QUERY_EACH_STEP(s, source, tile->stride)
    values[s] = tile->values[row * tile->stride + s];
    for (size_t w = 0; w < tile->words; w++)
        present[w] |= source[w];
    return TW_OK;
}

static enum tw_code merge_next(struct query_op *op, struct query_exec *exec,
                               struct query_tile *ret_tile, struct tw_err *err)
{
    struct merge *merge = (struct merge *)op;
    if (merge->passes)
        return query_op_next(merge->inner, exec, ret_tile, err);
    *ret_tile = (struct query_tile){0};
    if (merge->done)
        return TW_OK;
    enum tw_code code =
        query_matrix_init(&merge->matrix, exec, op->series_count, op->grid.steps, err);
    struct query_tile tile = {.count = 1};
    while (!code && tile.count > 0) {
        code = query_op_next(merge->inner, exec, &tile, err);
        for (size_t row = 0; !code && row < tile.count; row++)
            code = lay(merge, exec, &tile, row, err);
    }
    merge->done = true;
    *ret_tile = (struct query_tile){.count = op->series_count,
                                    .stride = merge->matrix.stride,
                                    .words = merge->matrix.words,
                                    .values = merge->matrix.values,
                                    .present = merge->matrix.present};
    return code;
}

static const struct query_op_ops merge_ops = {"merge", merge_open, merge_next, NULL};

struct query_op *query_merge_op(struct tw_arena *arena, const struct query_node *node,
                                struct query_op *inner, bool strict)
{
    struct merge *merge = TW_ARENA_NEW(arena, struct merge);
    merge->op.ops = &merge_ops;
    merge->op.node = node;
    merge->inner = inner;
    merge->strict = strict;
    return &merge->op;
}
