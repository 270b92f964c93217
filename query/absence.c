/* SPDX-License-Identifier: Apache-2.0
 *
 * absent() and absent_over_time(): 1 where no series has a point, with the labels that the
 * selector's equality matchers name.
 */
#include "config.h"

#include "query/operators.h"

#include "query/labelset.h"
#include "wire/labels.h"

struct absent {
    struct query_op op;
    struct query_op *inner;
    const struct query_node *argument;
};

/* A label matched twice, or not by equality, is left out. */
static struct wire_labels labels_of(struct tw_arena *arena, const struct query_node *argument)
{
    struct wire_labels labels = {0};
    argument = query_node_unwrap(argument);
    if (argument->type == QUERY_NODE_MATRIX)
        argument = argument->matrix.selector;
    if (argument->type != QUERY_NODE_SELECTOR)
        return labels;
    for (size_t i = 0; i < argument->selector.matcher_count; i++) {
        const struct tsdb_matcher *matcher = &argument->selector.matchers[i];
        if (tw_str_is(matcher->name, WIRE_METRIC_NAME))
            continue;
        bool seen = false;
        for (size_t k = 0; k < i; k++)
            seen = seen || (argument->selector.matchers[k].op == TSDB_MATCH_EQUAL &&
                            tw_str_equal(argument->selector.matchers[k].name, matcher->name));
        bool set = matcher->op == TSDB_MATCH_EQUAL && !seen;
        labels = query_labels_set(arena, labels, matcher->name,
                                  set ? matcher->value : (struct tw_str){0});
    }
    return labels;
}

static enum tw_code absent_open(struct query_op *op, struct query_exec *exec,
                                struct query_grid grid, struct tw_err *err)
{
    struct absent *absent = (struct absent *)op;
    enum tw_code code = query_op_open(absent->inner, exec, grid, err);
    if (!code)
        code = query_op_begin(op, exec, 1, true, err);
    if (!code)
        op->labels[0] = labels_of(exec->arena, absent->argument);
    return code;
}

static enum tw_code absent_next(struct query_op *op, struct query_exec *exec,
                                struct query_tile *ret_tile, struct tw_err *err)
{
    struct absent *absent = (struct absent *)op;
    struct query_tile tile = {.count = 1};
    enum tw_code code = TW_OK;
    *ret_tile = query_op_batch(op);
    if (ret_tile->count == 0)
        return TW_OK;
    query_bits_fill(ret_tile->present, op->grid.steps);
    while (!code && tile.count > 0) {
        code = query_op_next(absent->inner, exec, &tile, err);
        for (size_t i = 0; !code && i < tile.count * tile.words; i++)
            ret_tile->present[i % tile.words] &= ~tile.present[i];
    }
    for (size_t s = 0; s < op->grid.steps; s++)
        ret_tile->values[s] = 1;
    return code;
}

static const struct query_op_ops absent_ops = {"absent", absent_open, absent_next, NULL};

struct query_op *query_absent_op(struct tw_arena *arena, const struct query_node *node,
                                 const struct query_node *argument, struct query_op *inner)
{
    struct absent *absent = TW_ARENA_NEW(arena, struct absent);
    absent->op.ops = &absent_ops;
    absent->op.node = node;
    absent->inner = inner;
    absent->argument = argument;
    return &absent->op;
}
