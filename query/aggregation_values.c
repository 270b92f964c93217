/* SPDX-License-Identifier: Apache-2.0
 *
 * Aggregations that need all values of a group: quantile and count_values. They materialise.
 */
#include "config.h"

#include "query/operators.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/utf8.h"
#include "query/grouping.h"
#include "query/histogram_aggregation.h"
#include "query/labelset.h"
#include "query/range_kernel.h"

/* ---- quantile ---- */
struct quantile {
    struct query_op op;
    struct query_op *inner, *parameter;
    struct query_grouping grouping;
    const double *q;
    bool done;
};

static enum tw_code quantile_open(struct query_op *op, struct query_exec *exec,
                                  struct query_grid grid, struct tw_err *err)
{
    struct quantile *quantile = (struct quantile *)op;
    enum tw_code code = query_op_open(quantile->inner, exec, grid, err);
    if (!code)
        code = query_grouping_init(&quantile->grouping, exec, op->node, quantile->inner, err);
    if (!code)
        code = query_op_row(quantile->parameter, exec, grid, &quantile->q, err);
    quantile->done = false;
    op->labels = quantile->grouping.labels;
    op->series_count = quantile->grouping.count;
    return code;
}

/* Series by group: members[first[g] .. first[g + 1]). */
static enum tw_code list_members(const struct query_grouping *grouping, size_t series_count,
                                 struct query_exec *exec, uint32_t **ret_first,
                                 uint32_t **ret_members, struct tw_err *err)
{
    void *first_memory, *members_memory;
    enum tw_code code =
        query_exec_alloc(exec, grouping->count + 2, sizeof(uint32_t), &first_memory, err);
    if (!code)
        code = query_exec_alloc(exec, series_count, sizeof(uint32_t), &members_memory, err);
    if (code)
        return code;
    uint32_t *first = first_memory, *members = members_memory;
    for (size_t i = 0; i < series_count; i++)
        first[grouping->group_of[i] + 2]++;
    for (size_t g = 2; g < grouping->count + 2; g++)
        first[g] += first[g - 1];
    for (size_t i = 0; i < series_count; i++)
        members[first[grouping->group_of[i] + 1]++] = (uint32_t)i;
    *ret_first = first;
    *ret_members = members;
    return TW_OK;
}

static enum tw_code quantile_next(struct query_op *op, struct query_exec *exec,
                                  struct query_tile *ret_tile, struct tw_err *err)
{
    struct quantile *quantile = (struct quantile *)op;
    struct query_matrix source, out;
    uint32_t *first, *members;
    void *memory;
    *ret_tile = (struct query_tile){0};
    if (quantile->done)
        return TW_OK;
    quantile->done = true;
    enum tw_code code = query_op_materialise(quantile->inner, exec, &source, err);
    if (!code)
        code = query_matrix_init(&out, exec, op->series_count, op->grid.steps, err);
    if (!code)
        code = list_members(&quantile->grouping, source.count, exec, &first, &members, err);
    if (!code)
        code = query_exec_alloc(exec, source.count, sizeof(double), &memory, err);
    if (code)
        return code;
    double *values = memory;
    bool any = false;
    const struct query_tile tile = query_matrix_tile(&source);
    for (size_t i = 0; source.histograms && i < source.count; i++)
        query_histogram_annotate_ignored(exec, op->node, &tile, i);
    for (size_t g = 0; g < out.count; g++) {
        for (size_t s = 0; s < out.stride; s++) {
            size_t count = 0;
            for (size_t m = first[g]; m < first[g + 1]; m++)
                if (query_bit(source.present + members[m] * source.words, s))
                    values[count++] = source.values[members[m] * source.stride + s];
            if (count == 0)
                continue;
            any = true;
            query_sort_doubles(values, count);
            out.values[g * out.stride + s] = query_quantile_sorted(quantile->q[s], values, count);
            query_bit_set(out.present + g * out.words, s);
        }
        code = query_exec_worked(exec, (first[g + 1] - first[g]) * out.stride, err);
        if (code)
            return code;
    }
    for (size_t s = 0; any && s < out.stride; s++)
        query_exec_check_quantile(exec, op->node->aggregate.parameter, quantile->q[s]);
    *ret_tile = (struct query_tile){.count = out.count,
                                    .stride = out.stride,
                                    .words = out.words,
                                    .values = out.values,
                                    .present = out.present};
    return TW_OK;
}

static const struct query_op_ops quantile_ops = {"quantile", quantile_open, quantile_next, NULL};

struct query_op *query_quantile_op(struct tw_arena *arena, const struct query_node *node,
                                   struct query_op *inner, struct query_op *parameter)
{
    struct quantile *quantile = TW_ARENA_NEW(arena, struct quantile);
    quantile->op.ops = &quantile_ops;
    quantile->op.node = node;
    quantile->inner = inner;
    quantile->parameter = parameter;
    return &quantile->op;
}

/* ---- count_values: the values become labels, so open() has to see them all ---- */
struct count_values {
    struct query_op op;
    struct query_op *inner;
    struct query_matrix matrix;
    bool done;
};

/* The output of a value that is written as text; room for one more is in the index. */
static enum tw_code number_value(struct count_values *counter, struct query_exec *exec,
                                 struct query_label_index *index, size_t series, struct tw_str text,
                                 uint32_t *ret_output, struct tw_err *err)
{
    struct tw_str name = query_node_unwrap(counter->op.node->aggregate.parameter)->string;
    struct wire_labels labels = query_labels_set(exec->arena, counter->inner->labels[series], name,
                                                 tw_arena_str(exec->arena, text));
    labels = query_group_labels(exec->arena, counter->op.node, labels);
    *ret_output = (uint32_t)query_label_index_add(index, labels);
    return query_exec_labelled(exec, labels.count, text.size, err);
}

/* Per series, the last value's output is remembered: values repeat from step to step. */
static enum tw_code collect(struct count_values *counter, struct query_exec *exec,
                            const struct query_matrix *source, struct query_label_index *index,
                            uint32_t *outputs, struct tw_err *err)
{
    enum tw_code code = TW_OK;
    for (size_t i = 0; !code && i < source->count; i++) {
        double last = 0;
        uint32_t output = UINT32_MAX;
        QUERY_EACH_STEP(s, source->present + i * source->words, source->stride)
        {
            double value = source->values[i * source->stride + s];
            if (output == UINT32_MAX || tw_double_bits(last) != tw_double_bits(value)) {
                char text[TW_DOUBLE_BYTES];
                size_t size = tw_double_format_fixed(value, text);
                code = number_value(counter, exec, index, i, (struct tw_str){text, size}, &output,
                                    err);
                if (code)
                    return code;
                last = value;
            }
            outputs[i * source->stride + s] = output;
        }
        code = query_exec_worked(exec, source->stride, err);
    }
    return code;
}

/* A histogram of many buckets is a long label. */
#define HISTOGRAM_TEXT_BYTES_MAX ((size_t)32 << 20)

static enum tw_code collect_histograms(struct count_values *counter, struct query_exec *exec,
                                       const struct query_matrix *source,
                                       struct query_label_index *index, uint32_t *outputs,
                                       struct tw_err *err)
{
    enum tw_code code = TW_OK;
    const struct query_histogram *last = NULL;
    uint32_t output = UINT32_MAX;
    struct tw_buf text;
    if (!source->histograms)
        return TW_OK;
    tw_buf_init(&text, HISTOGRAM_TEXT_BYTES_MAX);
    for (size_t i = 0; !code && i < source->count * source->stride; i++) {
        const struct query_histogram *histogram = source->histograms[i];
        if (!histogram)
            continue;
        if (histogram != last || i % source->stride == 0) {
            tw_buf_clear(&text);
            query_histogram_print(histogram, &text);
            code = number_value(counter, exec, index, i / source->stride, tw_buf_str(&text),
                                &output, err);
        }
        last = histogram;
        outputs[i] = output;
    }
    tw_buf_fini(&text);
    return code;
}

static size_t count_points(const struct query_matrix *matrix)
{
    size_t count = 0;
    for (size_t w = 0; w < matrix->count * matrix->words; w++)
        count += (size_t)__builtin_popcountll(matrix->present[w]);
    for (size_t i = 0; matrix->histograms && i < matrix->count * matrix->stride; i++)
        count += matrix->histograms[i] != NULL;
    return count;
}

/* The node's grouping with the value's label added to a by-list, as Prometheus does. */
static const struct query_node *with_value_label(struct tw_arena *arena,
                                                 const struct query_node *node)
{
    if (node->aggregate.without)
        return node;
    struct query_node *copy = TW_ARENA_NEW(arena, struct query_node);
    *copy = *node;
    size_t count = node->aggregate.grouping.count;
    copy->aggregate.grouping.items = TW_ARENA_ARRAY(arena, struct tw_str, count + 1);
    for (size_t i = 0; i < count; i++)
        copy->aggregate.grouping.items[i] = node->aggregate.grouping.items[i];
    copy->aggregate.grouping.items[count] = query_node_unwrap(node->aggregate.parameter)->string;
    copy->aggregate.grouping.count = count + 1;
    return copy;
}

static enum tw_code count_values_open(struct query_op *op, struct query_exec *exec,
                                      struct query_grid grid, struct tw_err *err)
{
    struct count_values *counter = (struct count_values *)op;
    struct tw_str name = query_node_unwrap(op->node->aggregate.parameter)->string;
    struct query_matrix source;
    struct query_label_index index;
    void *memory;
    if (name.size == 0 || !tw_utf8_valid(name))
        return query_exec_fail(exec, op->node, err, "invalid label name \"%.*s\"",
                               TW_STR_ARG(name));
    enum tw_code code = query_op_open(counter->inner, exec, grid, err);
    if (!code)
        code = query_op_materialise(counter->inner, exec, &source, err);
    if (!code)
        code = query_label_index_init(&index, exec, count_points(&source), err);
    if (!code)
        code = query_exec_alloc(exec, source.count, source.stride * sizeof(uint32_t), &memory, err);
    uint32_t *outputs = memory;
    if (!code)
        code = collect(counter, exec, &source, &index, outputs, err);
    if (!code)
        code = collect_histograms(counter, exec, &source, &index, outputs, err);
    if (!code)
        code = query_matrix_init(&counter->matrix, exec, index.count, grid.steps, err);
    for (size_t i = 0; !code && i < source.count; i++) {
        uint64_t *present = source.present + i * source.words;
        if (source.histograms)
            query_bits_add_histograms(present, source.histograms + i * source.stride,
                                      source.stride);
        QUERY_EACH_STEP(s, present, source.stride)
        {
            size_t output = outputs[i * source.stride + s];
            counter->matrix.values[output * source.stride + s] += 1;
            query_bit_set(counter->matrix.present + output * source.words, s);
        }
        code = query_exec_worked(exec, source.stride, err);
    }
    if (code)
        return code;
    counter->done = false;
    op->labels = index.labels;
    op->series_count = index.count;
    return TW_OK;
}

static enum tw_code count_values_next(struct query_op *op, struct query_exec *exec,
                                      struct query_tile *ret_tile, struct tw_err *err)
{
    struct count_values *counter = (struct count_values *)op;
    (void)exec;
    (void)err;
    *ret_tile = (struct query_tile){.count = counter->done ? 0 : counter->matrix.count,
                                    .stride = counter->matrix.stride,
                                    .words = counter->matrix.words,
                                    .values = counter->matrix.values,
                                    .present = counter->matrix.present};
    counter->done = true;
    return TW_OK;
}

static const struct query_op_ops count_values_ops = {"count_values", count_values_open,
                                                     count_values_next, NULL};

struct query_op *query_count_values_op(struct tw_arena *arena, const struct query_node *node,
                                       struct query_op *inner)
{
    struct count_values *counter = TW_ARENA_NEW(arena, struct count_values);
    counter->op.ops = &count_values_ops;
    counter->op.node = with_value_label(arena, node);
    counter->inner = inner;
    return &counter->op;
}
