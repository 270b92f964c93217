/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/grouping.h"

#include "query/labelset.h"
#include "wire/labels.h"

struct wire_labels query_group_labels(struct tw_arena *arena, const struct query_node *aggregate,
                                      struct wire_labels labels)
{
    const struct query_names *names = &aggregate->aggregate.grouping;
    return aggregate->aggregate.without ? query_labels_drop(arena, labels, names, false)
                                        : query_labels_keep(arena, labels, names);
}

/* `without` of what a function gives: type and unit went with the name (the store drops that). */
static void add_reserved(struct tw_arena *arena, struct tsdb_grouping *grouping)
{
    struct tw_str *names = TW_ARENA_ARRAY(arena, struct tw_str, grouping->count + 2);
    for (size_t i = 0; i < grouping->count; i++)
        names[i] = grouping->names[i];
    names[grouping->count++] = TW_STR(WIRE_METRIC_TYPE);
    names[grouping->count++] = TW_STR(WIRE_METRIC_UNIT);
    grouping->names = names;
}

bool query_grouping_hint(const struct query_op *op, struct tw_arena *arena,
                         struct tsdb_grouping *ret)
{
    if (!op->grouped_by)
        return false;
    const struct query_names *names = &op->grouped_by->aggregate.grouping;
    *ret = (struct tsdb_grouping){names->items, names->count, op->grouped_by->aggregate.without};
    if (ret->without && op->node->type == QUERY_NODE_CALL)
        add_reserved(arena, ret);
    return true;
}

/* The groups that the store made. */
static enum tw_code take_groups(struct query_grouping *grouping, struct query_exec *exec,
                                const struct tsdb_groups *groups, struct tw_err *err)
{
    void *memory;
    enum tw_code code =
        query_exec_alloc(exec, groups->count, sizeof *grouping->labels, &memory, err);
    if (code)
        return code;
    grouping->labels = memory;
    for (size_t i = 0; i < groups->count; i++)
        grouping->labels[i] = groups->labels[i];
    grouping->group_of = groups->group_of;
    grouping->count = groups->count;
    return TW_OK;
}

enum tw_code query_grouping_init(struct query_grouping *grouping, struct query_exec *exec,
                                 const struct query_node *aggregate, const struct query_op *inner,
                                 struct tw_err *err)
{
    struct query_label_index index;
    void *memory;
    if (inner->groups.group_of)
        return take_groups(grouping, exec, &inner->groups, err);
    enum tw_code code = query_label_index_init(&index, exec, inner->series_count, err);
    if (!code)
        code =
            query_exec_alloc(exec, inner->series_count, sizeof *grouping->group_of, &memory, err);
    if (code)
        return code;
    uint32_t *group_of = memory;
    grouping->group_of = group_of;
    for (size_t i = 0; i < inner->series_count; i++) {
        struct wire_labels labels = query_group_labels(exec->arena, aggregate, inner->labels[i]);
        group_of[i] = (uint32_t)query_label_index_add(&index, labels);
        code = query_exec_labelled(exec, inner->labels[i].count, 0, err);
        if (code)
            return code;
    }
    for (size_t i = 0; i < inner->series_count; i++) /* one doomed member dooms its group */
        if (query_labels_doomed(inner->labels[i]))
            index.labels[grouping->group_of[i]] =
                query_labels_lose_name(exec, index.labels[grouping->group_of[i]]);
    grouping->labels = index.labels;
    grouping->count = index.count;
    return TW_OK;
}
