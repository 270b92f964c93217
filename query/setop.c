/* SPDX-License-Identifier: Apache-2.0
 *
 * and, or, unless. Sides are reduced to presence bits by signature, while tiles stream:
 *
 *   and, unless: the right side is reduced first, the left one streams through the mask;
 *   or:          the sides stream one behind the other, each through the mask of those before it.
 *
 * A chain of `or` that all match alike is one operator with many sides, so that each side's series
 * are looked up once, not once more for each `or` behind them.
 */
#include "config.h"

#include "query/operators.h"

#include <string.h>

#include "base/assert.h"
#include "query/labelset.h"

struct side {
    struct query_op *op;
    uint32_t *signatures; /* by series */
};

struct setop {
    struct query_op op;
    struct side *sides;
    size_t side_count;
    uint64_t *seen;  /* by signature: steps of the sides that are through (or), of the right one */
    uint64_t *fresh; /* or: the same of the side that streams now */
    size_t at;       /* the side that streams now */
    size_t first;    /* its first series among all */
};

static bool is_or(const struct setop *setop)
{
    return setop->op.node->binary.op == QUERY_TOKEN_OR;
}

static enum tw_code number_side(struct query_exec *exec, struct query_label_index *index,
                                struct side *side, const struct query_node *node,
                                struct tw_err *err)
{
    void *memory;
    size_t count = side->op->series_count;
    enum tw_code code = query_exec_alloc(exec, count, sizeof *side->signatures, &memory, err);
    if (code)
        return code;
    side->signatures = memory;
    for (size_t i = 0; !code && i < count; i++) {
        struct wire_labels signature =
            query_labels_signature(exec->arena, side->op->labels[i], &node->binary.matching);
        side->signatures[i] = (uint32_t)query_label_index_add(index, signature);
        code = query_exec_labelled(exec, signature.count, 0, err);
    }
    return code;
}

/* Takes a tile's points into bits by signature. */
static void reduce(uint64_t *bits, const struct query_tile *tile, const uint32_t *signatures)
{
    for (size_t row = 0; row < tile->count; row++) {
        uint64_t *seen = bits + signatures[tile->first + row] * tile->words;
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

static enum tw_code open_sides(struct setop *setop, struct query_exec *exec, size_t *ret_count,
                               struct tw_err *err)
{
    enum tw_code code = TW_OK;
    *ret_count = 0;
    for (size_t i = 0; !code && i < setop->side_count; i++) {
        code = query_op_open(setop->sides[i].op, exec, setop->op.grid, err);
        *ret_count += setop->sides[i].op->series_count;
    }
    return code;
}

static enum tw_code begin_bits(struct setop *setop, struct query_exec *exec, size_t signatures,
                               struct tw_err *err)
{
    size_t bytes = query_words(setop->op.grid.steps) * sizeof(uint64_t);
    void *seen, *fresh = NULL;
    enum tw_code code = query_exec_alloc(exec, signatures, bytes, &seen, err);
    if (!code && setop->side_count > 2)
        code = query_exec_alloc(exec, signatures, bytes, &fresh, err);
    if (code)
        return code;
    setop->seen = seen;
    setop->fresh = fresh;
    return TW_OK;
}

static enum tw_code reduce_right(struct setop *setop, struct query_exec *exec, struct tw_err *err)
{
    const struct side *right = &setop->sides[1];
    struct query_tile tile = {.count = 1};
    enum tw_code code = TW_OK;
    while (!code && tile.count > 0) {
        code = query_op_next(right->op, exec, &tile, err);
        if (!code)
            reduce(setop->seen, &tile, right->signatures);
    }
    return code;
}

static enum tw_code setop_open(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                               struct tw_err *err)
{
    struct setop *setop = (struct setop *)op;
    struct query_label_index index;
    size_t count, at = 0;
    (void)grid; /* op has it */
    setop->at = setop->first = 0;
    enum tw_code code = open_sides(setop, exec, &count, err);
    if (!code)
        code = query_label_index_init(&index, exec, count, err);
    for (size_t i = 0; !code && i < setop->side_count; i++)
        code = number_side(exec, &index, &setop->sides[i], op->node, err);
    if (!code)
        code = begin_bits(setop, exec, index.count, err);
    if (!code)
        code = query_op_begin(op, exec, is_or(setop) ? count : setop->sides[0].op->series_count,
                              false, err);
    if (code)
        return code;
    for (size_t i = 0; i < (is_or(setop) ? setop->side_count : 1); i++)
        for (size_t k = 0; k < setop->sides[i].op->series_count; k++)
            op->labels[at++] = setop->sides[i].op->labels[k];
    TW_ASSERT(at == op->series_count);
    return is_or(setop) ? TW_OK : reduce_right(setop, exec, err);
}

/* A side is through: what it had, the sides behind it may not have. */
static enum tw_code settle(struct setop *setop, struct query_exec *exec, struct tw_err *err)
{
    const struct side *side = &setop->sides[setop->at];
    size_t words = query_words(setop->op.grid.steps), count = side->op->series_count;
    bool is_between = setop->at > 0 && setop->at + 1 < setop->side_count;
    for (size_t i = 0; is_between && i < count; i++) {
        uint64_t *seen = setop->seen + side->signatures[i] * words;
        uint64_t *fresh = setop->fresh + side->signatures[i] * words;
        for (size_t w = 0; w < words; w++)
            seen[w] |= fresh[w];
        memset(fresh, 0, words * sizeof *fresh);
    }
    setop->first += count;
    setop->at++;
    return is_between ? query_exec_worked(exec, count * words, err) : TW_OK;
}

static enum tw_code next_of_or(struct setop *setop, struct query_exec *exec,
                               struct query_tile *ret_tile, struct tw_err *err)
{
    for (;;) {
        const struct side *side = &setop->sides[setop->at];
        bool is_first = setop->at == 0, is_last = setop->at + 1 == setop->side_count;
        enum tw_code code = query_op_next(side->op, exec, ret_tile, err);
        if (code)
            return code;
        if (ret_tile->count > 0) {
            if (!is_first)
                mask(setop, ret_tile, side->signatures, false);
            if (!is_last)
                reduce(is_first ? setop->seen : setop->fresh, ret_tile, side->signatures);
            ret_tile->first += setop->first;
            return TW_OK;
        }
        if (is_last)
            return TW_OK;
        code = settle(setop, exec, err);
        if (code)
            return code;
    }
}

static enum tw_code setop_next(struct query_op *op, struct query_exec *exec,
                               struct query_tile *ret_tile, struct tw_err *err)
{
    struct setop *setop = (struct setop *)op;
    const struct side *left = &setop->sides[0];
    if (is_or(setop))
        return next_of_or(setop, exec, ret_tile, err);
    enum tw_code code = query_op_next(left->op, exec, ret_tile, err);
    if (!code)
        mask(setop, ret_tile, left->signatures, op->node->binary.op == QUERY_TOKEN_AND);
    return code;
}

static const struct query_op_ops setop_ops = {"setop", setop_open, setop_next, NULL};

struct query_op *query_set_op(struct tw_arena *arena, const struct query_node *node,
                              struct query_op *const *sides, size_t count)
{
    struct setop *setop = TW_ARENA_NEW(arena, struct setop);
    TW_ASSERT(count >= 2 && (count == 2 || node->binary.op == QUERY_TOKEN_OR));
    setop->op.ops = &setop_ops;
    setop->op.node = node;
    setop->sides = TW_ARENA_ARRAY(arena, struct side, count);
    setop->side_count = count;
    for (size_t i = 0; i < count; i++)
        setop->sides[i].op = sides[i];
    return &setop->op;
}
