/* SPDX-License-Identifier: Apache-2.0
 *
 * and, or, unless. One side is reduced to presence bits by signature, the other streams:
 *
 *   and, unless: the right side is reduced first, the left one streams through the mask;
 *   or:          the left side streams and is reduced on its way, then the right one follows.
 */
#include "config.h"

#include "query/operators.h"

#include "query/labelset.h"

struct setop {
    struct query_op op;
    struct query_op *left, *right;
    uint32_t *left_signature, *right_signature; /* by series */
    uint64_t *seen;                             /* by signature: steps of the reduced side */
    bool left_done;
};

static enum tw_code number_side(struct query_exec *exec, struct query_label_index *index,
                                const struct query_op *side, const struct query_node *node,
                                uint32_t **ret_numbers, struct tw_err *err)
{
    void *memory;
    enum tw_code code = query_exec_alloc(exec, side->series_count, sizeof(uint32_t), &memory, err);
    if (code)
        return code;
    *ret_numbers = memory;
    for (size_t i = 0; i < side->series_count; i++) {
        struct wire_labels signature =
            query_labels_signature(exec->arena, side->labels[i], &node->binary.matching);
        (*ret_numbers)[i] = (uint32_t)query_label_index_add(index, signature);
    }
    return query_exec_worked(exec, side->series_count, err);
}

/* Takes a tile's points into seen. */
static void reduce(struct setop *setop, const struct query_tile *tile, const uint32_t *signatures)
{
    for (size_t row = 0; row < tile->count; row++) {
        uint64_t *seen = setop->seen + signatures[tile->first + row] * tile->words;
        for (size_t w = 0; w < tile->words; w++)
            seen[w] |= tile->present[row * tile->words + w];
        if (tile->histograms)
            query_bits_add_histograms(seen, tile->histograms + row * tile->stride, tile->stride);
    }
}

static void mask(const struct setop *setop, const struct query_tile *tile,
                 const uint32_t *signatures, bool keep_seen)
{
    for (size_t row = 0; row < tile->count; row++) {
        const uint64_t *seen = setop->seen + signatures[tile->first + row] * tile->words;
        for (size_t w = 0; w < tile->words; w++)
            tile->present[row * tile->words + w] &= keep_seen ? seen[w] : ~seen[w];
        for (size_t s = 0; tile->histograms && s < tile->stride; s++)
            if (query_bit(seen, s) != keep_seen)
                tile->histograms[row * tile->stride + s] = NULL;
    }
}

static enum tw_code setop_open(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                               struct tw_err *err)
{
    struct setop *setop = (struct setop *)op;
    struct query_op *left = setop->left, *right = setop->right;
    bool is_or = op->node->binary.op == QUERY_TOKEN_OR;
    struct query_label_index index;
    void *memory;
    enum tw_code code = query_op_open(left, exec, grid, err);
    if (!code)
        code = query_op_open(right, exec, grid, err);
    if (!code)
        code = query_label_index_init(&index, exec, left->series_count + right->series_count, err);
    if (!code)
        code = number_side(exec, &index, left, op->node, &setop->left_signature, err);
    if (!code)
        code = number_side(exec, &index, right, op->node, &setop->right_signature, err);
    if (!code)
        code = query_exec_alloc(exec, index.count, query_words(grid.steps) * sizeof(uint64_t),
                                &memory, err);
    if (!code)
        code = query_op_begin(op, exec, left->series_count + (is_or ? right->series_count : 0),
                              false, err);
    if (code)
        return code;
    setop->seen = memory;
    setop->left_done = false;
    for (size_t i = 0; i < op->series_count; i++)
        op->labels[i] =
            i < left->series_count ? left->labels[i] : right->labels[i - left->series_count];
    struct query_tile tile = {.count = !is_or};
    while (!code && tile.count > 0) {
        code = query_op_next(right, exec, &tile, err);
        if (!code)
            reduce(setop, &tile, setop->right_signature);
    }
    return code;
}

static enum tw_code setop_next(struct query_op *op, struct query_exec *exec,
                               struct query_tile *ret_tile, struct tw_err *err)
{
    struct setop *setop = (struct setop *)op;
    bool is_or = op->node->binary.op == QUERY_TOKEN_OR;
    enum tw_code code = TW_OK;
    if (!setop->left_done) {
        code = query_op_next(setop->left, exec, ret_tile, err);
        if (code)
            return code;
        if (!is_or)
            mask(setop, ret_tile, setop->left_signature, op->node->binary.op == QUERY_TOKEN_AND);
        else
            reduce(setop, ret_tile, setop->left_signature);
        if (ret_tile->count > 0 || !is_or)
            return TW_OK;
        setop->left_done = true;
    }
    code = query_op_next(setop->right, exec, ret_tile, err);
    if (code || ret_tile->count == 0)
        return code;
    mask(setop, ret_tile, setop->right_signature, false);
    ret_tile->first += setop->left->series_count;
    return TW_OK;
}

static const struct query_op_ops setop_ops = {"setop", setop_open, setop_next, NULL};

struct query_op *query_set_op(struct tw_arena *arena, const struct query_node *node,
                              struct query_op *left, struct query_op *right)
{
    struct setop *setop = TW_ARENA_NEW(arena, struct setop);
    setop->op.ops = &setop_ops;
    setop->op.node = node;
    setop->left = left;
    setop->right = right;
    return &setop->op;
}
