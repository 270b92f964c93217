/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_quantile() and histogram_fraction() over classic histograms: the series that differ in
 * `le` alone are the buckets of one.
 */
#include "config.h"

#include "query/operators.h"

#include <math.h>
#include <stdlib.h>

#include "base/number.h"
#include "query/bucket.h"
#include "query/labelset.h"
#include "wire/labels.h"

struct member {
    uint32_t histogram, series;
    double upper_bound;
};

struct histogram {
    struct query_op op;
    struct query_op *inner;
    struct query_op *parameters[2];
    const double *parameter_rows[2];
    struct member *members; /* by histogram, then bound */
    size_t member_count;
    struct wire_labels *whole; /* labels with the name, for annotations */
    bool done;
};

static int compare_members(const void *left, const void *right)
{
    const struct member *a = left, *b = right;
    if (a->histogram != b->histogram)
        return a->histogram < b->histogram ? -1 : 1;
    if (a->upper_bound != b->upper_bound)
        return a->upper_bound < b->upper_bound ? -1 : a->upper_bound > b->upper_bound;
    return (a->series > b->series) - (a->series < b->series);
}

static enum tw_code histogram_open(struct query_op *op, struct query_exec *exec,
                                   struct query_grid grid, struct tw_err *err)
{
    static struct tw_str le_name = TW_STR_INIT("le");
    const struct query_names le = {&le_name, 1};
    struct histogram *histogram = (struct histogram *)op;
    struct query_label_index index;
    void *memory;
    enum tw_code code = query_op_open(histogram->inner, exec, grid, err);
    for (size_t p = 0; !code && p < 2; p++)
        if (histogram->parameters[p])
            code = query_op_row(histogram->parameters[p], exec, grid, &histogram->parameter_rows[p],
                                err);
    size_t count = code ? 0 : histogram->inner->series_count;
    if (!code)
        code = query_label_index_init(&index, exec, count, err);
    if (!code)
        code = query_exec_alloc(exec, count, sizeof *histogram->members, &memory, err);
    if (code)
        return code;
    histogram->members = memory;
    histogram->member_count = 0;
    histogram->done = false;
    for (size_t i = 0; i < count; i++) {
        double bound;
        struct wire_labels labels = histogram->inner->labels[i];
        if (!tw_double_parse(wire_labels_get(labels, le_name), &bound))
            continue;
        size_t number =
            query_label_index_add(&index, query_labels_drop(exec->arena, labels, &le, true));
        histogram->members[histogram->member_count++] =
            (struct member){(uint32_t)number, (uint32_t)i, bound};
    }
    qsort(histogram->members, histogram->member_count, sizeof *histogram->members, compare_members);
    histogram->whole = index.labels;
    code = query_op_begin(op, exec, index.count, false, err);
    for (size_t i = 0; !code && i < index.count; i++)
        op->labels[i] = query_labels_without_name(exec->arena, index.labels[i]);
    return code;
}

/* Series without a readable `le` are not buckets: said once they have a point. */
static void annotate_strangers(struct histogram *histogram, struct query_exec *exec,
                               const struct query_matrix *source)
{
    size_t last = histogram->op.node->call.count - 1;
    for (size_t i = 0; i < source->count; i++) {
        double bound;
        struct wire_labels labels = histogram->inner->labels[i];
        struct tw_str le = wire_labels_get(labels, TW_STR("le"));
        if (tw_double_parse(le, &bound) ||
            !query_bits_any(source->present + i * source->words, source->words))
            continue;
        struct tw_str name = wire_labels_get(labels, TW_STR(WIRE_METRIC_NAME));
        query_annotate(exec->annotations, QUERY_WARNING, histogram->op.node->call.arguments[last],
                       "bucket label \"le\" is missing or has a malformed value of \"%.*s\" for "
                       "metric name \"%.*s\"",
                       TW_STR_ARG(le), TW_STR_ARG(name));
    }
}

static double compute(struct histogram *histogram, struct query_exec *exec,
                      struct query_bucket *buckets, size_t count, size_t number, size_t step)
{
    bool forced = false;
    double value;
    const struct query_node *node = histogram->op.node;
    if (node->call.function->kind == QUERY_KIND_HISTOGRAM_FRACTION)
        return query_bucket_fraction(histogram->parameter_rows[0][step],
                                     histogram->parameter_rows[1][step], buckets, count);
    value = query_bucket_quantile(histogram->parameter_rows[0][step], buckets, count, &forced);
    if (forced) {
        struct tw_str name = wire_labels_get(histogram->whole[number], TW_STR(WIRE_METRIC_NAME));
        query_annotate(exec->annotations, QUERY_INFO, node->call.arguments[1],
                       "input to histogram_quantile needed to be fixed for monotonicity (see "
                       "https://prometheus.io/docs/prometheus/latest/querying/functions/"
                       "#histogram_quantile) for metric name \"%.*s\"",
                       TW_STR_ARG(name));
    }
    return value;
}

static void annotate_quantiles(struct histogram *histogram, struct query_exec *exec)
{
    if (histogram->op.node->call.function->kind != QUERY_KIND_HISTOGRAM_QUANTILE)
        return;
    for (size_t s = 0; s < histogram->op.grid.steps; s++)
        query_exec_check_quantile(exec, histogram->op.node->call.arguments[0],
                                  histogram->parameter_rows[0][s]);
}

static enum tw_code histogram_next(struct query_op *op, struct query_exec *exec,
                                   struct query_tile *ret_tile, struct tw_err *err)
{
    struct histogram *histogram = (struct histogram *)op;
    struct query_matrix source, out;
    void *memory;
    *ret_tile = (struct query_tile){0};
    if (histogram->done)
        return TW_OK;
    histogram->done = true;
    enum tw_code code = query_op_materialise(histogram->inner, exec, &source, err);
    if (!code)
        code = query_matrix_init(&out, exec, op->series_count, op->grid.steps, err);
    if (!code)
        code = query_exec_alloc(exec, histogram->member_count, sizeof(struct query_bucket), &memory,
                                err);
    if (code)
        return code;
    struct query_bucket *buckets = memory;
    annotate_strangers(histogram, exec, &source);
    annotate_quantiles(histogram, exec);
    for (size_t first = 0, limit; first < histogram->member_count; first = limit) {
        size_t number = histogram->members[first].histogram;
        for (limit = first;
             limit < histogram->member_count && histogram->members[limit].histogram == number;)
            limit++;
        for (size_t s = 0; s < op->grid.steps; s++) {
            size_t count = 0;
            for (size_t m = first; m < limit; m++) {
                size_t series = histogram->members[m].series;
                if (query_bit(source.present + series * source.words, s))
                    buckets[count++] =
                        (struct query_bucket){histogram->members[m].upper_bound,
                                              source.values[series * source.stride + s]};
            }
            if (count == 0)
                continue;
            out.values[number * out.stride + s] =
                compute(histogram, exec, buckets, count, number, s);
            query_bit_set(out.present + number * out.words, s);
        }
        code = query_exec_worked(exec, (limit - first) * op->grid.steps, err);
        if (code)
            return code;
    }
    *ret_tile = (struct query_tile){.count = out.count,
                                    .stride = out.stride,
                                    .words = out.words,
                                    .values = out.values,
                                    .present = out.present};
    return TW_OK;
}

static const struct query_op_ops histogram_ops = {"histogram", histogram_open, histogram_next,
                                                  NULL};

struct query_op *query_histogram_op(struct tw_arena *arena, const struct query_node *node,
                                    struct query_op *inner, struct query_op *first,
                                    struct query_op *second)
{
    struct histogram *histogram = TW_ARENA_NEW(arena, struct histogram);
    histogram->op.ops = &histogram_ops;
    histogram->op.node = node;
    histogram->inner = inner;
    histogram->parameters[0] = first;
    histogram->parameters[1] = second;
    return &histogram->op;
}
