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
    uint64_t *seen, *row_seen; /* steps with a float or a histogram; NULL until there are any of
                                  those, which are not in the matrix's presence bits */
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
    merge->seen = NULL;
    code = query_label_index_init(&index, exec, count, err);
    if (!code)
        code = query_exec_alloc(exec, count, sizeof *merge->target, &target, err);
    if (code)
        return code;
    merge->target = target;
    for (size_t i = 0; !code && i < count; i++) {
        merge->target[i] = query_label_index_add(&index, merge->inner->labels[i]);
        code = query_exec_labelled(exec, merge->inner->labels[i].count, 0, err);
    }
    if (code)
        return code;
    merge->passes = index.count == count;
    op->series_count = index.count;
    op->labels = merge->passes ? merge->inner->labels : index.labels;
    return TW_OK;
}

/* With histograms, what is there is more than the presence bits say. */
static enum tw_code note_histograms(struct merge *merge, struct query_exec *exec,
                                    const struct query_tile *tile, size_t row,
                                    const uint64_t **source, uint64_t **ret_seen,
                                    struct tw_err *err)
{
    size_t words = tile->words, target = merge->target[tile->first + row];
    if (!merge->seen) {
        void *seen, *row_seen;
        enum tw_code code =
            query_exec_alloc(exec, merge->matrix.count, words * sizeof(uint64_t), &seen, err);
        if (!code)
            code = query_exec_alloc(exec, words, sizeof(uint64_t), &row_seen, err);
        if (code)
            return code;
        merge->seen = seen;
        merge->row_seen = row_seen;
        memcpy(merge->seen, merge->matrix.present,
               merge->matrix.count * words * sizeof *merge->seen);
    }
    memcpy(merge->row_seen, *source, words * sizeof *merge->row_seen);
    query_bits_add_histograms(merge->row_seen, tile->histograms + row * tile->stride, tile->stride);
    *source = merge->row_seen;
    *ret_seen = merge->seen + target * words;
    return TW_OK;
}

/* Lays one row over its target. */
static enum tw_code lay(struct merge *merge, struct query_exec *exec, const struct query_tile *tile,
                        size_t row, struct tw_err *err)
{
    size_t target = merge->target[tile->first + row];
    const uint64_t *source = tile->present + row * tile->words;
    const uint64_t *floats = source;
    uint64_t *present = merge->matrix.present + target * merge->matrix.words;
    uint64_t *seen = merge->seen ? merge->seen + target * merge->matrix.words : present;
    if (tile->histograms) {
        enum tw_code code = note_histograms(merge, exec, tile, row, &source, &seen, err);
        if (code)
            return code;
    }
    bool met =
        merge->strict && query_bits_any(seen, tile->words) && query_bits_any(source, tile->words);
    for (size_t w = 0; w < tile->words; w++)
        met = met || (seen[w] & source[w]);
    if (met)
        return query_exec_same_labels(exec, merge->op.node, err);
    double *values = merge->matrix.values + target * merge->matrix.stride;
    QUERY_EACH_STEP(s, floats, tile->stride)
    values[s] = tile->values[row * tile->stride + s];
    for (size_t w = 0; w < tile->words; w++)
        seen[w] |= source[w];
    for (size_t w = 0; merge->seen && w < tile->words; w++)
        present[w] |= floats[w];
    return query_matrix_take_histograms(&merge->matrix, exec, target, tile, row, err);
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
    if (!code)
        *ret_tile = query_matrix_tile(&merge->matrix);
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
