/* SPDX-License-Identifier: Apache-2.0
 *
 * label_replace() and label_join(): only labels change, tiles pass.
 */
#include "config.h"

#include "query/operators.h"

#include "base/regex.h"
#include "base/utf8.h"
#include "query/labelset.h"
#include "wire/labels.h"

/* Groups that a replacement may name. */
#define GROUPS_MAX 64

struct labelling {
    struct query_op op;
    struct query_op *inner;
};

static struct tw_str argument(const struct query_op *op, size_t index)
{
    return query_node_unwrap(op->node->call.arguments[index])->string;
}

static bool is_label_name(struct tw_str name)
{
    return name.size > 0 && tw_utf8_valid(name);
}

/* Sets the series' label to the value; what was too long for the buffer is an error. */
static enum tw_code set_label(struct query_op *op, struct query_exec *exec, size_t series,
                              struct wire_labels labels, const struct tw_buf *value,
                              struct tw_err *err)
{
    if (value->overflow)
        return query_exec_fail(exec, op->node, err,
                               "the value of label \"%.*s\" in %s() is longer than the limit of %d "
                               "bytes; take a part of what it is made of",
                               TW_STR_ARG(argument(op, 1)), op->node->call.function->name,
                               WIRE_LABELS_BYTES_MAX);
    op->labels[series] = query_labels_set(exec->arena, labels, argument(op, 1),
                                          tw_arena_str(exec->arena, tw_buf_str(value)));
    /* Labels that grow from call to call keep the budget, too. */
    return query_exec_labelled(exec, labels.count, value->size, err);
}

static enum tw_code replace(struct query_op *op, struct query_exec *exec,
                            const struct tw_regex *regex, struct tw_buf *value, struct tw_err *err)
{
    const struct labelling *labelling = (const struct labelling *)op;
    enum tw_code code = TW_OK;
    for (size_t i = 0; !code && i < op->series_count; i++) {
        struct wire_labels labels = labelling->inner->labels[i];
        struct tw_str groups[GROUPS_MAX], source = wire_labels_get(labels, argument(op, 3));
        op->labels[i] = labels;
        code = query_exec_worked(exec, source.size, err);
        if (code || !tw_regex_groups(regex, source, groups, GROUPS_MAX))
            continue;
        tw_buf_clear(value);
        tw_regex_expand(regex, groups, GROUPS_MAX, argument(op, 2), value);
        code = set_label(op, exec, i, labels, value, err);
    }
    return code;
}

static enum tw_code replace_all(struct query_op *op, struct query_exec *exec, struct tw_buf *value,
                                struct tw_err *err)
{
    struct tw_regex *regex;
    struct tw_str target = argument(op, 1), pattern = argument(op, 4);
    struct tw_err inner;
    if (tw_regex_new(pattern, true, &regex, &inner))
        return query_exec_fail(exec, op->node, err,
                               "invalid regular expression in label_replace(): %.*s",
                               TW_STR_ARG(pattern));
    enum tw_code code = TW_OK;
    if (!is_label_name(target))
        code = query_exec_fail(exec, op->node, err,
                               "invalid destination label name in label_replace(): %.*s",
                               TW_STR_ARG(target));
    if (!code)
        code = replace(op, exec, regex, value, err);
    tw_regex_free(regex);
    return code;
}

static enum tw_code join(struct query_op *op, struct query_exec *exec, struct tw_buf *value,
                         struct tw_err *err)
{
    const struct labelling *labelling = (const struct labelling *)op;
    enum tw_code code = TW_OK;
    for (size_t s = 0; !code && s < op->series_count; s++) {
        struct wire_labels labels = labelling->inner->labels[s];
        tw_buf_clear(value);
        for (size_t i = 3; i < op->node->call.count; i++) {
            if (i > 3)
                tw_buf_append_str(value, argument(op, 2));
            tw_buf_append_str(value, wire_labels_get(labels, argument(op, i)));
        }
        code = query_exec_worked(exec, op->node->call.count, err);
        if (!code)
            code = set_label(op, exec, s, labels, value, err);
    }
    return code;
}

static enum tw_code join_all(struct query_op *op, struct query_exec *exec, struct tw_buf *value,
                             struct tw_err *err)
{
    if (!is_label_name(argument(op, 1)))
        return query_exec_fail(exec, op->node, err,
                               "invalid destination label name in label_join(): %.*s",
                               TW_STR_ARG(argument(op, 1)));
    for (size_t i = 3; i < op->node->call.count; i++)
        if (!is_label_name(argument(op, i)))
            return query_exec_fail(exec, op->node, err,
                                   "invalid source label name in label_join(): %.*s",
                                   TW_STR_ARG(argument(op, i)));
    return join(op, exec, value, err);
}

static enum tw_code labelling_open(struct query_op *op, struct query_exec *exec,
                                   struct query_grid grid, struct tw_err *err)
{
    struct labelling *labelling = (struct labelling *)op;
    enum tw_code code = query_op_open(labelling->inner, exec, grid, err);
    if (!code)
        code = query_op_begin(op, exec, labelling->inner->series_count, false, err);
    if (code)
        return code;
    struct tw_buf value;
    tw_buf_init(&value, WIRE_LABELS_BYTES_MAX);
    code = op->node->call.function->kind == QUERY_KIND_LABEL_JOIN
               ? join_all(op, exec, &value, err)
               : replace_all(op, exec, &value, err);
    tw_buf_fini(&value);
    return code;
}

static enum tw_code labelling_next(struct query_op *op, struct query_exec *exec,
                                   struct query_tile *ret_tile, struct tw_err *err)
{
    return query_op_next(((struct labelling *)op)->inner, exec, ret_tile, err);
}

static const struct query_op_ops labelling_ops = {"labelling", labelling_open, labelling_next,
                                                  NULL};

struct query_op *query_label_op(struct tw_arena *arena, const struct query_node *node,
                                struct query_op *inner)
{
    struct labelling *labelling = TW_ARENA_NEW(arena, struct labelling);
    labelling->op.ops = &labelling_ops;
    labelling->op.node = node;
    labelling->inner = inner;
    return &labelling->op;
}
