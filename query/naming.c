/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a query whose names are removed late: doomed sets lose their names. Behind it stands a
 * merge operator, for sets that become equal.
 */
#include "config.h"

#include "query/operators.h"

#include "query/labelset.h"

struct naming {
    struct query_op op;
    struct query_op *inner;
};

static enum tw_code naming_open(struct query_op *op, struct query_exec *exec,
                                struct query_grid grid, struct tw_err *err)
{
    const struct naming *naming = (const struct naming *)op;
    enum tw_code code = query_op_open(naming->inner, exec, grid, err);
    if (!code)
        code = query_op_begin(op, exec, naming->inner->series_count, false, err);
    for (size_t i = 0; !code && i < op->series_count; i++)
        op->labels[i] = query_labels_settle(exec->arena, naming->inner->labels[i]);
    return code;
}

static enum tw_code naming_next(struct query_op *op, struct query_exec *exec,
                                struct query_tile *ret_tile, struct tw_err *err)
{
    return query_op_next(((struct naming *)op)->inner, exec, ret_tile, err);
}

static const struct query_op_ops naming_ops = {"naming", naming_open, naming_next, NULL};

struct query_op *query_naming_op(struct tw_arena *arena, struct query_op *inner)
{
    struct naming *naming = TW_ARENA_NEW(arena, struct naming);
    naming->op.ops = &naming_ops;
    naming->op.node = inner->node;
    naming->inner = inner;
    return &naming->op;
}
