/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/operators.h"

#include <string.h>

/* ---- one series, present at every step ---- */
struct leaf {
    struct query_op op;
    double value;
    bool time;
};

static enum tw_code leaf_open(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                              struct tw_err *err)
{
    (void)grid;
    return query_op_begin(op, exec, 1, true, err);
}

static enum tw_code leaf_next(struct query_op *op, struct query_exec *exec,
                              struct query_tile *ret_tile, struct tw_err *err)
{
    const struct leaf *leaf = (const struct leaf *)op;
    (void)exec;
    (void)err;
    *ret_tile = query_op_batch(op);
    if (ret_tile->count == 0)
        return TW_OK;
    query_bits_fill(ret_tile->present, op->grid.steps);
    for (size_t s = 0; s < op->grid.steps; s++)
        ret_tile->values[s] =
            leaf->time ? (double)query_grid_time(&op->grid, s) / 1000 : leaf->value;
    return TW_OK;
}

static const struct query_op_ops leaf_ops = {"leaf", leaf_open, leaf_next, NULL};

struct query_op *query_number_op(struct tw_arena *arena, double value)
{
    struct leaf *leaf = TW_ARENA_NEW(arena, struct leaf);
    leaf->op.ops = &leaf_ops;
    leaf->value = value;
    return &leaf->op;
}

struct query_op *query_time_op(struct tw_arena *arena)
{
    struct leaf *leaf = TW_ARENA_NEW(arena, struct leaf);
    leaf->op.ops = &leaf_ops;
    leaf->time = true;
    return &leaf->op;
}

/* ---- the first step, repeated ---- */
struct broadcast {
    struct query_op op;
    struct query_op *inner;
    struct query_tile source; /* the inner operator's newest tile */
    size_t at;                /* rows of it that were given out */
    bool ended;               /* the inner operator has no more */
};

static enum tw_code broadcast_open(struct query_op *op, struct query_exec *exec,
                                   struct query_grid grid, struct tw_err *err)
{
    struct broadcast *broadcast = (struct broadcast *)op;
    grid.steps = 1;
    broadcast->source = (struct query_tile){0};
    broadcast->at = 0;
    broadcast->ended = false;
    enum tw_code code = query_op_open(broadcast->inner, exec, grid, err);
    if (!code)
        code = query_op_begin(op, exec, broadcast->inner->series_count, true, err);
    if (!code)
        op->labels = broadcast->inner->labels;
    return code;
}

static enum tw_code repeat_histogram(struct query_op *op, struct query_exec *exec,
                                     struct query_tile *tile, size_t row,
                                     const struct query_histogram *histogram, struct tw_err *err)
{
    enum tw_code code = tile->histograms ? TW_OK : query_op_add_histograms(op, exec, tile, err);
    if (code)
        return code;
    /* The inner tile may be gone before this one is full. */
    histogram = query_histogram_copy(query_op_side(op), histogram, NULL, NULL);
    for (size_t s = 0; s < tile->stride; s++)
        tile->histograms[row * tile->stride + s] = histogram;
    return query_op_side_check(op, exec, err);
}

/* Behind its last row the inner operator may still find what is wrong. */
static enum tw_code broadcast_end(struct broadcast *broadcast, struct query_exec *exec,
                                  struct tw_err *err)
{
    while (!broadcast->ended) {
        enum tw_code code = query_op_next(broadcast->inner, exec, &broadcast->source, err);
        if (code)
            return code;
        broadcast->ended = broadcast->source.count == 0;
    }
    return TW_OK;
}

static enum tw_code broadcast_next(struct query_op *op, struct query_exec *exec,
                                   struct query_tile *ret_tile, struct tw_err *err)
{
    struct broadcast *broadcast = (struct broadcast *)op;
    *ret_tile = query_op_batch(op);
    if (ret_tile->count == 0)
        return broadcast_end(broadcast, exec, err);
    for (size_t row = 0; row < ret_tile->count; row++) {
        if (broadcast->at == broadcast->source.count) {
            enum tw_code code = query_op_next(broadcast->inner, exec, &broadcast->source, err);
            if (code)
                return code;
            broadcast->at = 0;
        }
        size_t source = broadcast->at++;
        const struct query_histogram *histogram =
            query_tile_histogram(&broadcast->source, source, 0);
        if (histogram) {
            enum tw_code code = repeat_histogram(op, exec, ret_tile, row, histogram, err);
            if (code)
                return code;
            continue;
        }
        if (!query_bit(broadcast->source.present + source * broadcast->source.words, 0))
            continue;
        double *values = ret_tile->values + row * ret_tile->stride;
        for (size_t s = 0; s < op->grid.steps; s++)
            values[s] = broadcast->source.values[source];
        query_bits_fill(ret_tile->present + row * ret_tile->words, op->grid.steps);
    }
    return TW_OK;
}

static const struct query_op_ops broadcast_ops = {"broadcast", broadcast_open, broadcast_next,
                                                  NULL};

struct query_op *query_broadcast_op(struct tw_arena *arena, struct query_op *inner)
{
    struct broadcast *broadcast = TW_ARENA_NEW(arena, struct broadcast);
    broadcast->op.ops = &broadcast_ops;
    broadcast->op.node = inner->node;
    broadcast->inner = inner;
    return &broadcast->op;
}
