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

static struct wire_labels replace(struct query_op *op, struct query_exec *exec,
                                  const struct tw_regex *regex, struct wire_labels labels)
{
    struct tw_str groups[GROUPS_MAX];
    if (!tw_regex_groups(regex, wire_labels_get(labels, argument(op, 3)), groups, GROUPS_MAX))
        return labels;
    struct tw_buf value;
    tw_buf_init(&value, WIRE_LABELS_BYTES_MAX);
    tw_regex_expand(regex, groups, GROUPS_MAX, argument(op, 2), &value);
    struct tw_str text = tw_arena_str(exec->arena, tw_buf_str(&value));
    tw_buf_fini(&value);
    return query_labels_set(exec->arena, labels, argument(op, 1), text);
}

static enum tw_code replace_all(struct query_op *op, struct query_exec *exec, struct tw_err *err)
{
    struct labelling *labelling = (struct labelling *)op;
    struct tw_regex *regex;
    struct tw_str target = argument(op, 1), pattern = argument(op, 4);
    struct tw_err inner;
    if (tw_regex_new(pattern, true, &regex, &inner))
        return query_exec_fail(exec, op->node, err,
                               "invalid regular expression in label_replace(): %.*s",
                               TW_STR_ARG(pattern));
    if (!is_label_name(target)) {
        tw_regex_free(regex);
        return query_exec_fail(exec, op->node, err,
                               "invalid destination label name in label_replace(): %.*s",
                               TW_STR_ARG(target));
    }
    for (size_t i = 0; i < op->series_count; i++)
        op->labels[i] = replace(op, exec, regex, labelling->inner->labels[i]);
    tw_regex_free(regex);
    return TW_OK;
}

static struct wire_labels join(struct query_op *op, struct query_exec *exec,
                               struct wire_labels labels)
{
    struct tw_buf value;
    tw_buf_init(&value, WIRE_LABELS_BYTES_MAX);
    for (size_t i = 3; i < op->node->call.count; i++) {
        if (i > 3)
            tw_buf_append_str(&value, argument(op, 2));
        tw_buf_append_str(&value, wire_labels_get(labels, argument(op, i)));
    }
    struct tw_str text = tw_arena_str(exec->arena, tw_buf_str(&value));
    tw_buf_fini(&value);
    return query_labels_set(exec->arena, labels, argument(op, 1), text);
}

static enum tw_code join_all(struct query_op *op, struct query_exec *exec, struct tw_err *err)
{
    struct labelling *labelling = (struct labelling *)op;
    if (!is_label_name(argument(op, 1)))
        return query_exec_fail(exec, op->node, err,
                               "invalid destination label name in label_join(): %.*s",
                               TW_STR_ARG(argument(op, 1)));
    for (size_t i = 3; i < op->node->call.count; i++)
        if (!is_label_name(argument(op, i)))
            return query_exec_fail(exec, op->node, err,
                                   "invalid source label name in label_join(): %.*s",
                                   TW_STR_ARG(argument(op, i)));
    for (size_t i = 0; i < op->series_count; i++)
        op->labels[i] = join(op, exec, labelling->inner->labels[i]);
    return TW_OK;
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
    return op->node->call.function->kind == QUERY_KIND_LABEL_JOIN ? join_all(op, exec, err)
                                                                  : replace_all(op, exec, err);
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
