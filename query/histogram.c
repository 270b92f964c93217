/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_quantile(), histogram_quantiles() and histogram_fraction() over classic histograms (the
 * series that differ in `le` alone are the buckets of one) and over native ones. Which series have
 * native histograms is known when the operand is materialised, and so that is done when the
 * operator opens.
 *
 *   output series   [classic histograms ...][series with native ones ...]   once for each quantile
 *
 * Where a classic and a native histogram of the same labels meet, neither gives anything.
 */
#include "config.h"

#include "query/operators.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/utf8.h"
#include "query/bucket.h"
#include "query/histogram_annotation.h"
#include "query/histogram_statistics.h"
#include "query/labelset.h"
#include "wire/labels.h"

struct member {
    uint32_t histogram, series;
    double upper_bound;
};

struct histogram {
    struct query_op op;
    struct query_op *inner;
    /* The quantile, or quantiles; or the fraction's lower and upper bound. */
    struct query_op **parameters;
    const double **parameter_rows;
    size_t parameter_count;
    size_t quantile;        /* the one that is being worked on */
    struct member *members; /* by histogram, then bound */
    size_t member_count;
    struct wire_labels *whole; /* labels of the classic ones with the name, for annotations */
    size_t classic_count;
    uint32_t *natives;  /* series with native histograms */
    uint32_t *twins;    /* of each: the classic histogram of the same labels, or NONE */
    uint64_t *conflict; /* by twin's number: steps at which both are there */
    size_t native_count;
    struct query_matrix source;
    bool done;
};

#define NONE UINT32_MAX

static int compare_members(const void *left, const void *right)
{
    const struct member *a = left, *b = right;
    if (a->histogram != b->histogram)
        return a->histogram < b->histogram ? -1 : 1;
    if (a->upper_bound != b->upper_bound)
        return a->upper_bound < b->upper_bound ? -1 : a->upper_bound > b->upper_bound;
    return (a->series > b->series) - (a->series < b->series);
}

static bool has_histogram(const struct query_matrix *source, size_t series)
{
    const struct query_tile row = {.count = 1,
                                   .stride = source->stride,
                                   .histograms = source->histograms + series * source->stride};
    return query_tile_any_histogram(&row);
}

static enum tw_code find_natives(struct histogram *histogram, struct query_exec *exec,
                                 const struct query_label_index *index, struct tw_err *err)
{
    const struct query_matrix *source = &histogram->source;
    void *natives, *twins, *conflict;
    histogram->native_count = 0;
    histogram->conflict = NULL;
    if (!source->histograms)
        return TW_OK;
    enum tw_code code = query_exec_alloc(exec, source->count, sizeof(uint32_t), &natives, err);
    if (!code)
        code = query_exec_alloc(exec, source->count, sizeof(uint32_t), &twins, err);
    if (!code)
        code =
            query_exec_alloc(exec, index->count, source->words * sizeof(uint64_t), &conflict, err);
    if (code)
        return code;
    histogram->natives = natives;
    histogram->twins = twins;
    histogram->conflict = conflict;
    for (uint32_t i = 0; i < source->count; i++) {
        if (!has_histogram(source, i))
            continue;
        size_t twin = query_label_index_find(index, histogram->inner->labels[i]);
        histogram->twins[histogram->native_count] = twin == SIZE_MAX ? NONE : (uint32_t)twin;
        histogram->natives[histogram->native_count++] = i;
    }
    return TW_OK;
}

/* How often each histogram is in the output. */
static size_t rounds_of(const struct histogram *histogram)
{
    return histogram->op.node->call.function->kind == QUERY_KIND_HISTOGRAM_QUANTILES
               ? histogram->parameter_count
               : 1;
}

static size_t outputs_of(const struct histogram *histogram)
{
    return histogram->classic_count + histogram->native_count;
}

/* 0.5, 1.0: a quantile as a label, as in OpenMetrics. */
static struct tw_str quantile_text(struct tw_arena *arena, double quantile)
{
    char text[TW_DOUBLE_BYTES];
    size_t size = tw_double_format_general(quantile, text);
    bool whole = isfinite(quantile) && !memchr(text, '.', size) && !memchr(text, 'e', size);
    return tw_arena_format(arena, "%.*s%s", (int)size, text, whole ? ".0" : "");
}

static void label_outputs(struct histogram *histogram, struct query_exec *exec,
                          const struct query_label_index *index)
{
    const struct query_node *node = histogram->op.node;
    size_t outputs = outputs_of(histogram);
    bool several = node->call.function->kind == QUERY_KIND_HISTOGRAM_QUANTILES;
    for (size_t i = 0; i < histogram->op.series_count; i++) {
        size_t output = i % outputs;
        struct wire_labels labels = query_labels_lose_name(
            exec, output < index->count
                      ? index->labels[output]
                      : histogram->inner->labels[histogram->natives[output - index->count]]);
        if (several)
            labels = query_labels_set(
                exec->arena, labels, query_node_unwrap(node->call.arguments[1])->string,
                quantile_text(exec->arena, histogram->parameter_rows[i / outputs][0]));
        histogram->op.labels[i] = labels;
    }
}

/* The label that tells the quantiles apart. */
static enum tw_code check_label(const struct histogram *histogram, struct query_exec *exec,
                                struct tw_err *err)
{
    const struct query_node *node = histogram->op.node;
    if (node->call.function->kind != QUERY_KIND_HISTOGRAM_QUANTILES)
        return TW_OK;
    struct tw_str name = query_node_unwrap(node->call.arguments[1])->string;
    if (name.size > 0 && tw_utf8_valid(name))
        return TW_OK;
    return query_exec_fail(exec, node, err, "invalid label name in histogram_quantiles(): %.*s",
                           TW_STR_ARG(name));
}

static enum tw_code histogram_open(struct query_op *op, struct query_exec *exec,
                                   struct query_grid grid, struct tw_err *err)
{
    static struct tw_str le_name = TW_STR_INIT("le");
    const struct query_names le = {.items = &le_name, .count = 1};
    struct histogram *histogram = (struct histogram *)op;
    struct query_label_index index;
    void *memory;
    enum tw_code code = check_label(histogram, exec, err);
    if (!code)
        code = query_op_open(histogram->inner, exec, grid, err);
    for (size_t p = 0; !code && p < histogram->parameter_count; p++)
        code =
            query_op_row(histogram->parameters[p], exec, grid, &histogram->parameter_rows[p], err);
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
    histogram->classic_count = index.count;
    code = query_op_materialise(histogram->inner, exec, &histogram->source, err);
    if (!code)
        code = find_natives(histogram, exec, &index, err);
    if (!code)
        code = query_op_begin(op, exec, rounds_of(histogram) * outputs_of(histogram), false, err);
    if (!code)
        label_outputs(histogram, exec, &index);
    return code;
}

static const struct query_node *vector_argument(const struct histogram *histogram)
{
    const struct query_node *node = histogram->op.node;
    bool several = node->call.function->kind == QUERY_KIND_HISTOGRAM_QUANTILES;
    return node->call.arguments[several ? 0 : node->call.count - 1];
}

/* Series without a readable `le` are not buckets: said once they have a point. */
static void annotate_strangers(struct histogram *histogram, struct query_exec *exec,
                               const struct query_matrix *source)
{
    const struct query_node *argument = vector_argument(histogram);
    for (size_t i = 0; i < source->count; i++) {
        double bound;
        struct wire_labels labels = histogram->inner->labels[i];
        struct tw_str le = wire_labels_get(labels, TW_STR("le"));
        if (tw_double_parse(le, &bound) ||
            !query_bits_any(source->present + i * source->words, source->words))
            continue;
        struct tw_str name = wire_labels_get(labels, TW_STR(WIRE_METRIC_NAME));
        query_annotate(exec->annotations, QUERY_WARNING, argument,
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
    value = query_bucket_quantile(histogram->parameter_rows[histogram->quantile][step], buckets,
                                  count, &forced);
    if (forced) {
        struct tw_str name = wire_labels_get(histogram->whole[number], TW_STR(WIRE_METRIC_NAME));
        query_annotate(exec->annotations, QUERY_INFO, vector_argument(histogram),
                       "input to histogram_quantile needed to be fixed for monotonicity (see "
                       "https://prometheus.io/docs/prometheus/latest/querying/functions/"
                       "#histogram_quantile) for metric name \"%.*s\"",
                       TW_STR_ARG(name));
    }
    return value;
}

static void annotate_quantiles(struct histogram *histogram, struct query_exec *exec)
{
    const struct query_node *node = histogram->op.node;
    bool several = node->call.function->kind == QUERY_KIND_HISTOGRAM_QUANTILES;
    if (node->call.function->kind == QUERY_KIND_HISTOGRAM_FRACTION)
        return;
    for (size_t p = 0; p < histogram->parameter_count; p++)
        for (size_t s = 0; s < histogram->op.grid.steps; s++)
            query_exec_check_quantile(exec, node->call.arguments[several ? p + 2 : 0],
                                      histogram->parameter_rows[p][s]);
}

/* ---- native histograms ---- */

/* Of the quantile that is being worked on. */
static size_t first_row(const struct histogram *histogram)
{
    return histogram->quantile * outputs_of(histogram);
}

/* Is a bucket of the classic histogram there at the step? */
static bool twin_is_there(const struct histogram *histogram, uint32_t twin, size_t step)
{
    const struct query_matrix *source = &histogram->source;
    size_t low = 0, high = histogram->member_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (histogram->members[middle].histogram < twin)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < histogram->member_count && histogram->members[low].histogram == twin; low++)
        if (query_bit(source->present + histogram->members[low].series * source->words, step))
            return true;
    return false;
}

static double compute_native(const struct histogram *histogram, struct query_exec *exec,
                             const struct query_histogram *value, struct wire_labels labels,
                             size_t step)
{
    const struct query_node *node = histogram->op.node;
    double first = histogram->parameter_rows[histogram->quantile][step];
    /* Prometheus has dropped the name by then, and points at the first argument. */
    const struct query_node *argument = node->call.arguments[0];
    labels = query_labels_without_name(exec->arena, labels);
    if (node->call.function->kind == QUERY_KIND_HISTOGRAM_FRACTION) {
        if (isnan(value->sum))
            query_annotate_nan_fraction(exec, argument, labels);
        return query_histogram_fraction(value, first, histogram->parameter_rows[1][step]);
    }
    enum query_nan_effect effect;
    double quantile = query_histogram_quantile(value, first, &effect);
    if (effect == QUERY_NAN_RESULT)
        query_annotate_nan_result(exec, argument, labels);
    else if (effect == QUERY_NAN_SKEW)
        query_annotate_nan_skew(exec, argument, labels);
    return quantile;
}

static enum tw_code compute_natives(struct histogram *histogram, struct query_exec *exec,
                                    struct query_matrix *out, struct tw_err *err)
{
    const struct query_matrix *source = &histogram->source;
    enum tw_code code = TW_OK;
    for (size_t n = 0; !code && n < histogram->native_count; n++) {
        size_t series = histogram->natives[n],
               row = first_row(histogram) + histogram->classic_count + n;
        struct wire_labels labels = histogram->inner->labels[series];
        uint32_t twin = histogram->twins[n];
        for (size_t s = 0; s < source->stride; s++) {
            const struct query_histogram *value = source->histograms[series * source->stride + s];
            if (!value)
                continue;
            if (twin != NONE && twin_is_there(histogram, twin, s)) {
                query_bit_set(histogram->conflict + twin * source->words, s);
                query_annotate_classic_and_native(exec, vector_argument(histogram), labels);
                continue;
            }
            out->values[row * out->stride + s] = compute_native(histogram, exec, value, labels, s);
            query_bit_set(out->present + row * out->words, s);
        }
        code = query_exec_worked(exec, source->stride, err);
    }
    return code;
}

/* ---- classic histograms ---- */
static enum tw_code compute_classic(struct histogram *histogram, struct query_exec *exec,
                                    struct query_matrix *out, struct query_bucket *buckets,
                                    struct tw_err *err)
{
    const struct query_matrix *source = &histogram->source;
    enum tw_code code = TW_OK;
    for (size_t first = 0, limit; !code && first < histogram->member_count; first = limit) {
        size_t number = histogram->members[first].histogram, row = first_row(histogram) + number;
        for (limit = first;
             limit < histogram->member_count && histogram->members[limit].histogram == number;)
            limit++;
        for (size_t s = 0; s < out->stride; s++) {
            size_t count = 0;
            for (size_t m = first; m < limit; m++) {
                size_t series = histogram->members[m].series;
                if (query_bit(source->present + series * source->words, s))
                    buckets[count++] =
                        (struct query_bucket){histogram->members[m].upper_bound,
                                              source->values[series * source->stride + s]};
            }
            if (count == 0 ||
                (histogram->conflict && query_bit(histogram->conflict + number * source->words, s)))
                continue;
            out->values[row * out->stride + s] =
                compute(histogram, exec, buckets, count, number, s);
            query_bit_set(out->present + row * out->words, s);
        }
        code = query_exec_worked(exec, (limit - first) * out->stride, err);
    }
    return code;
}

static enum tw_code histogram_next(struct query_op *op, struct query_exec *exec,
                                   struct query_tile *ret_tile, struct tw_err *err)
{
    struct histogram *histogram = (struct histogram *)op;
    struct query_matrix out;
    void *memory;
    *ret_tile = (struct query_tile){0};
    if (histogram->done)
        return TW_OK;
    histogram->done = true;
    enum tw_code code = query_matrix_init(&out, exec, op->series_count, op->grid.steps, err);
    if (!code)
        code = query_exec_alloc(exec, histogram->member_count, sizeof(struct query_bucket), &memory,
                                err);
    if (code)
        return code;
    annotate_strangers(histogram, exec, &histogram->source);
    annotate_quantiles(histogram, exec);
    for (size_t round = 0; !code && round < rounds_of(histogram); round++) {
        histogram->quantile = round;
        code = compute_natives(histogram, exec, &out, err);
        if (!code)
            code = compute_classic(histogram, exec, &out, memory, err);
    }
    if (!code)
        *ret_tile = query_matrix_tile(&out);
    return code;
}

static const struct query_op_ops histogram_ops = {"histogram", histogram_open, histogram_next,
                                                  NULL};

struct query_op *query_histogram_op(struct tw_arena *arena, const struct query_node *node,
                                    struct query_op *inner, struct query_op **parameters,
                                    size_t parameter_count)
{
    struct histogram *histogram = TW_ARENA_NEW(arena, struct histogram);
    histogram->op.ops = &histogram_ops;
    histogram->op.node = node;
    histogram->inner = inner;
    histogram->parameters = parameters;
    histogram->parameter_rows = TW_ARENA_ARRAY(arena, const double *, parameter_count);
    histogram->parameter_count = parameter_count;
    return &histogram->op;
}
