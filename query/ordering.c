/* SPDX-License-Identifier: Apache-2.0
 *
 * sort() and its kin: they order the series of an instant query; a range query is ordered by labels
 * whatever its functions say.
 */
#include "config.h"

#include "query/operators.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "query/labelset.h"
#include "wire/labels.h"

struct entry {
    const struct query_node *node;
    enum query_function_id function;
    struct wire_labels labels;
    double value;
    bool present;
    size_t index;
};

struct sort {
    struct query_op op;
    struct query_op *inner;
    struct query_matrix matrix;
    bool sorts, done;
};

/* Digits compare as numbers: "a2" before "a10". */
static int compare_natural(struct tw_str a, struct tw_str b)
{
    size_t i = 0, k = 0;
    while (i < a.size && k < b.size) {
        bool digits = a.data[i] >= '0' && a.data[i] <= '9' && b.data[k] >= '0' && b.data[k] <= '9';
        if (!digits) {
            if (a.data[i] != b.data[k])
                return (unsigned char)a.data[i] < (unsigned char)b.data[k] ? -1 : 1;
            i++;
            k++;
            continue;
        }
        size_t first_i = i, first_k = k;
        while (i < a.size && a.data[i] >= '0' && a.data[i] <= '9')
            i++;
        while (k < b.size && b.data[k] >= '0' && b.data[k] <= '9')
            k++;
        while (first_i + 1 < i && a.data[first_i] == '0')
            first_i++;
        while (first_k + 1 < k && b.data[first_k] == '0')
            first_k++;
        if (i - first_i != k - first_k)
            return i - first_i < k - first_k ? -1 : 1;
        int order = memcmp(a.data + first_i, b.data + first_k, i - first_i);
        if (order)
            return order;
    }
    return (a.size - i > b.size - k) - (a.size - i < b.size - k);
}

static int compare_labels(const struct entry *a, const struct entry *b)
{
    for (size_t i = 1; i < a->node->call.count; i++) {
        struct tw_str name = query_node_unwrap(a->node->call.arguments[i])->string;
        int order =
            compare_natural(wire_labels_get(a->labels, name), wire_labels_get(b->labels, name));
        if (order)
            return order;
    }
    return wire_labels_compare(a->labels, b->labels);
}

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = 0;
    if (a->present != b->present)
        return a->present ? -1 : 1;
    switch (a->function) {
    case QUERY_FN_SORT_LABEL:
        order = compare_labels(a, b);
        break;
    case QUERY_FN_SORT_LABEL_DESCENDING:
        order = compare_labels(b, a);
        break;
    default:
        if (isnan(a->value) || isnan(b->value))
            order = isnan(a->value) - isnan(b->value); /* NaN is last either way */
        else
            order = (a->value > b->value) - (a->value < b->value);
        if (a->function == QUERY_FN_SORT_DESCENDING && !isnan(a->value) && !isnan(b->value))
            order = -order;
        break;
    }
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

/* sort() and sort_desc() leave them out: they have no order. */
static bool sort_takes_histograms(const struct sort *sort)
{
    enum query_function_id function = sort->op.node->call.function->id;
    return function == QUERY_FN_SORT_LABEL || function == QUERY_FN_SORT_LABEL_DESCENDING;
}

static enum tw_code order_series(struct sort *sort, struct query_exec *exec, struct tw_err *err)
{
    size_t count = sort->inner->series_count;
    void *entries_memory;
    struct query_matrix source;
    enum tw_code code = query_op_materialise(sort->inner, exec, &source, err);
    if (!code)
        code = query_matrix_init(&sort->matrix, exec, count, 1, err);
    if (!code)
        code = query_exec_alloc(exec, count, sizeof(struct entry), &entries_memory, err);
    if (code)
        return code;
    struct entry *entries = entries_memory;
    bool takes_histograms = sort_takes_histograms(sort);
    if (takes_histograms)
        sort->matrix.histograms =
            source.histograms ? TW_ARENA_ARRAY(exec->arena, const struct query_histogram *, count)
                              : NULL;
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct entry){
            .node = sort->op.node,
            .function = sort->op.node->call.function->id,
            .labels = sort->inner->labels[i],
            .value = source.values[i],
            .present = query_bit(source.present + i * source.words, 0) ||
                       (takes_histograms && source.histograms && source.histograms[i]),
            .index = i};
    qsort(entries, count, sizeof *entries, compare_entries);
    for (size_t i = 0; i < count; i++) {
        sort->op.labels[i] = entries[i].labels;
        sort->matrix.values[i] = entries[i].value;
        sort->matrix.present[i] = source.present[entries[i].index];
        if (sort->matrix.histograms)
            sort->matrix.histograms[i] = source.histograms[entries[i].index];
    }
    return TW_OK;
}

static enum tw_code sort_open(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                              struct tw_err *err)
{
    struct sort *sort = (struct sort *)op;
    enum tw_code code = query_op_open(sort->inner, exec, grid, err);
    sort->sorts = exec->instant && grid.steps == 1;
    sort->done = false;
    if (!code)
        code = query_op_begin(op, exec, sort->inner->series_count, false, err);
    if (code)
        return code;
    if (!sort->sorts) {
        op->labels = sort->inner->labels;
        return TW_OK;
    }
    return order_series(sort, exec, err);
}

static enum tw_code sort_next(struct query_op *op, struct query_exec *exec,
                              struct query_tile *ret_tile, struct tw_err *err)
{
    struct sort *sort = (struct sort *)op;
    if (!sort->sorts) {
        enum tw_code code = query_op_next(sort->inner, exec, ret_tile, err);
        if (!code && !sort_takes_histograms(sort))
            ret_tile->histograms = NULL;
        return code;
    }
    *ret_tile = query_matrix_tile(&sort->matrix);
    if (sort->done)
        ret_tile->count = 0;
    sort->done = true;
    return TW_OK;
}

static const struct query_op_ops sort_ops = {"sort", sort_open, sort_next, NULL};

struct query_op *query_sort_op(struct tw_arena *arena, const struct query_node *node,
                               struct query_op *inner)
{
    struct sort *sort = TW_ARENA_NEW(arena, struct sort);
    sort->op.ops = &sort_ops;
    sort->op.node = node;
    sort->inner = inner;
    return &sort->op;
}
