/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/histogram_aggregation.h"

#include "query/histogram_annotation.h"
#include "query/histogram_sum.h"

struct query_histogram_group {
    struct query_histogram_sum sum;
    double count;
    bool incremental; /* the mean is kept instead of the sum, which would overflow */
    bool failed;      /* exponential met custom buckets */
    bool reset, no_reset;
};

static void note_hint(struct query_histogram_group *group, enum wire_reset_hint hint)
{
    group->reset |= hint == WIRE_RESET_YES;
    group->no_reset |= hint == WIRE_RESET_NO;
}

static bool add(struct query_histogram_group *group, const struct query_histogram *histogram,
                bool average)
{
    double n = group->count += 1;
    note_hint(group, histogram->hint);
    if (average && !group->incremental && query_histogram_sum_overflows(&group->sum, histogram)) {
        group->incremental = true;
        query_histogram_sum_multiply(&group->sum, 1 / (n - 1));
    }
    if (!group->incremental)
        return query_histogram_sum_add(&group->sum, histogram, 1);
    query_histogram_sum_multiply(&group->sum, (n - 1) / n);
    return query_histogram_sum_add(&group->sum, histogram, 1 / n);
}

static enum tw_code take_one(struct query_histogram_groups *groups, struct query_exec *exec,
                             const struct query_node *aggregate, size_t slot,
                             const struct query_histogram *histogram, struct wire_labels labels,
                             struct tw_err *err)
{
    struct query_histogram_group *group = groups->slots[slot];
    if (!group) {
        void *memory;
        enum tw_code code = query_exec_alloc(exec, 1, sizeof *group, &memory, err);
        if (code)
            return code;
        group = groups->slots[slot] = memory;
        query_histogram_sum_begin(&group->sum, exec->arena, histogram, 1);
        group->count = 1;
        note_hint(group, histogram->hint);
        return TW_OK;
    }
    if (group->failed)
        return TW_OK;
    if (!add(group, histogram, aggregate->aggregate.op == QUERY_TOKEN_AVG)) {
        group->failed = true;
        query_annotate_mixed_schemas(exec, aggregate->aggregate.inner, labels);
    }
    return TW_OK;
}

enum tw_code query_histogram_groups_take(struct query_histogram_groups *groups,
                                         struct query_exec *exec,
                                         const struct query_node *aggregate,
                                         const struct query_matrix *main, size_t group,
                                         const struct query_tile *tile, size_t row,
                                         struct wire_labels labels, struct tw_err *err)
{
    enum tw_code code = TW_OK;
    size_t work = 0;
    for (size_t s = 0; !code && s < tile->stride; s++) {
        const struct query_histogram *histogram = query_tile_histogram(tile, row, s);
        if (!histogram)
            continue;
        if (!groups->slots) {
            void *memory;
            groups->count = main->count * main->stride;
            code = query_exec_alloc(exec, groups->count, sizeof memory, &memory, err);
            if (code)
                return code;
            groups->slots = memory;
        }
        work += query_histogram_weight(histogram);
        code = take_one(groups, exec, aggregate, group * main->stride + s, histogram, labels, err);
    }
    return code ? code : query_exec_worked(exec, work, err);
}

static void annotate(struct query_exec *exec, const struct query_node *aggregate,
                     const struct query_histogram_group *group)
{
    const struct query_node *inner = aggregate->aggregate.inner;
    if (group->reset && group->no_reset)
        query_annotate(exec->annotations, QUERY_WARNING, inner,
                       "conflicting counter resets during histogram aggregation");
    if (group->sum.reconciled)
        query_annotate(exec->annotations, QUERY_INFO, inner,
                       "mismatched custom buckets were reconciled during aggregation");
}

enum tw_code query_histogram_groups_finish(struct query_histogram_groups *groups,
                                           struct query_exec *exec,
                                           const struct query_node *aggregate,
                                           struct query_matrix *main, struct tw_err *err)
{
    void *memory;
    if (!groups->slots)
        return TW_OK;
    enum tw_code code = query_exec_alloc(exec, groups->count, sizeof memory, &memory, err);
    if (code)
        return code;
    main->histograms = memory;
    for (size_t i = 0; i < groups->count; i++) {
        const struct query_histogram_group *group = groups->slots[i];
        uint64_t *present = main->present + i / main->stride * main->words;
        size_t step = i % main->stride;
        if (!group)
            continue;
        annotate(exec, aggregate, group);
        if (group->failed) {
            query_bit_clear(present, step);
            continue;
        }
        if (query_bit(present, step)) {
            query_bit_clear(present, step);
            query_annotate(exec->annotations, QUERY_WARNING, aggregate->aggregate.inner,
                           "encountered a mix of histograms and floats for aggregation");
            continue;
        }
        bool divide = aggregate->aggregate.op == QUERY_TOKEN_AVG && !group->incremental;
        struct query_histogram *value =
            query_histogram_sum_take(&group->sum, exec->arena, 1, !divide);
        main->histograms[i] =
            divide ? query_histogram_divided(exec->arena, value, group->count, true) : value;
    }
    return query_exec_worked(exec, groups->count, err);
}

void query_histogram_annotate_ignored(struct query_exec *exec, const struct query_node *aggregate,
                                      const struct query_tile *tile, size_t row)
{
    const struct query_tile one = {
        .count = 1, .stride = tile->stride, .histograms = tile->histograms + row * tile->stride};
    enum query_token_type kind = aggregate->aggregate.op;
    bool is_ranking = kind == QUERY_TOKEN_TOPK || kind == QUERY_TOKEN_BOTTOMK;
    if (query_tile_any_histogram(&one))
        query_annotate(exec->annotations, QUERY_INFO,
                       is_ranking ? aggregate : aggregate->aggregate.inner,
                       "ignored histogram in %s aggregation", query_token_spelling(kind));
}
