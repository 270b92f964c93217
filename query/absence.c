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

/* Does any matcher ask that the label be there? */
static bool must_be_set(const struct query_node *selector, struct tw_str name)
{
    for (size_t i = 0; i < selector->selector.matcher_count; i++) {
        const struct tsdb_matcher *matcher = &selector->selector.matchers[i];
        if (tw_str_equal(matcher->name, name) && !tsdb_matcher_matches(matcher, (struct tw_str){0}))
            return true;
    }
    return false;
}

/* Matchers that take series away are looked at last, as Prometheus's store orders them. */
static bool takes_away(const struct query_node *selector, const struct tsdb_matcher *matcher)
{
    bool negative = matcher->op == TSDB_MATCH_NOT_EQUAL || matcher->op == TSDB_MATCH_NOT_REGEX;
    return !must_be_set(selector, matcher->name) ||
           (negative && tsdb_matcher_matches(matcher, (struct tw_str){0}));
}

/* A label matched twice, or last not by equality, is left out. */
static struct wire_labels labels_of(struct tw_arena *arena, const struct query_node *argument)
{
    struct wire_labels labels = {0};
    argument = query_node_unwrap(argument);
    if (argument->type == QUERY_NODE_MATRIX)
        argument = argument->matrix.selector;
    if (argument->type != QUERY_NODE_SELECTOR)
        return labels;
    size_t count = argument->selector.matcher_count;
    const struct tsdb_matcher **seen = TW_ARENA_ARRAY(arena, const struct tsdb_matcher *, count);
    size_t seen_count = 0;
    for (size_t i = 0; i < 2 * count; i++) {
        const struct tsdb_matcher *matcher = &argument->selector.matchers[i % count];
        if (tw_str_is(matcher->name, WIRE_METRIC_NAME) ||
            takes_away(argument, matcher) != (i >= count))
            continue;
        bool again = matcher->op != TSDB_MATCH_EQUAL;
        for (size_t k = 0; k < seen_count && !again; k++)
            again = tw_str_equal(seen[k]->name, matcher->name);
        if (!again)
            seen[seen_count++] = matcher;
        labels = query_labels_set(arena, labels, matcher->name,
                                  again ? (struct tw_str){0} : matcher->value);
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
        for (size_t i = 0; !code && tile.histograms && i < tile.count * tile.stride; i++)
            if (tile.histograms[i])
                query_bit_clear(ret_tile->present, i % tile.stride);
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
