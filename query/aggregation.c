/* SPDX-License-Identifier: Apache-2.0
 *
 * Aggregations that need a few numbers per group and step: sum, avg, min, max, count, group,
 * stddev, stdvar. The operand streams; memory is groups x steps.
 */
#include "config.h"

#include "query/operators.h"

#include <float.h>
#include <math.h>

#include "base/assert.h"
#include "base/vector.h"
#include "query/grouping.h"
#include "query/histogram_aggregation.h"
#include "query/range_kernel.h"

struct aggregation {
    struct query_op op;
    struct query_op *inner;
    struct query_grouping grouping;
    struct query_matrix main; /* sum, extreme, or squares; present = the group was seen */
    double *compensation;     /* sum, avg */
    double *count;            /* avg, count, stddev, stdvar */
    double *mean;             /* stddev, stdvar; avg once its sum would overflow */
    uint64_t *incremental;    /* avg: bits where the mean is kept instead of the sum */
    struct query_histogram_groups histograms; /* sum, avg */
    bool done;
};

static enum tw_code alloc_doubles(struct aggregation *aggregation, struct query_exec *exec,
                                  double **ret, struct tw_err *err)
{
    void *memory;
    enum tw_code code = query_exec_alloc(exec, aggregation->grouping.count,
                                         aggregation->op.grid.steps * sizeof(double), &memory, err);
    if (!code)
        *ret = memory;
    return code;
}

static enum tw_code aggregation_open(struct query_op *op, struct query_exec *exec,
                                     struct query_grid grid, struct tw_err *err)
{
    struct aggregation *aggregation = (struct aggregation *)op;
    enum query_token_type kind = op->node->aggregate.op;
    enum tw_code code = query_op_open(aggregation->inner, exec, grid, err);
    if (!code)
        code = query_grouping_init(&aggregation->grouping, exec, op->node, aggregation->inner, err);
    if (!code)
        code = query_matrix_init(&aggregation->main, exec, aggregation->grouping.count, grid.steps,
                                 err);
    bool deviation = kind == QUERY_TOKEN_STDDEV || kind == QUERY_TOKEN_STDVAR;
    if (!code && (kind == QUERY_TOKEN_SUM || kind == QUERY_TOKEN_AVG))
        code = alloc_doubles(aggregation, exec, &aggregation->compensation, err);
    if (!code && (deviation || kind == QUERY_TOKEN_AVG || kind == QUERY_TOKEN_COUNT))
        code = alloc_doubles(aggregation, exec, &aggregation->count, err);
    if (!code && (deviation || kind == QUERY_TOKEN_AVG))
        code = alloc_doubles(aggregation, exec, &aggregation->mean, err);
    if (!code && kind == QUERY_TOKEN_AVG) {
        void *memory;
        code = query_exec_alloc(exec, aggregation->grouping.count,
                                query_words(grid.steps) * sizeof(uint64_t), &memory, err);
        if (!code)
            aggregation->incremental = memory;
    }
    aggregation->done = false;
    aggregation->histograms = (struct query_histogram_groups){0};
    op->labels = aggregation->grouping.labels;
    op->series_count = aggregation->grouping.count;
    return code;
}

/* One group's columns, and one series that comes in. */
struct intake {
    const double *values;
    const uint64_t *present;
    double *main, *compensation, *count, *mean;
    uint64_t *seen, *incremental;
    size_t steps;
};

/* query_kahan_add on each step, without branches. */
TW_VECTOR static void add_all(const double *values, double *restrict sums,
                              double *restrict compensations, size_t count)
{
    for (size_t s = 0; s < count; s++) {
        double value = values[s], sum = sums[s], total = sum + value;
        double lost = fabs(sum) >= fabs(value) ? (sum - total) + value : (value - total) + sum;
        double compensation = compensations[s] + lost;
        compensations[s] = fabs(total) > DBL_MAX ? 0 : compensation;
        sums[s] = total;
    }
}

static void take_sum(const struct intake *in)
{
    for (size_t first = 0; first < in->steps; first += 64) {
        uint64_t present = in->present[first / 64], seen = in->seen[first / 64];
        size_t left = in->steps - first, count = left < 64 ? left : 64;
        uint64_t every = UINT64_MAX >> (64 - count);
        if (present == every && seen == every) {
            add_all(in->values + first, in->main + first, in->compensation + first, count);
            continue;
        }
        for (; present; present &= present - 1) {
            size_t s = first + (size_t)__builtin_ctzll(present);
            if (query_bit(in->seen, s))
                query_kahan_add(in->values[s], &in->main[s], &in->compensation[s]);
            else
                in->main[s] = in->values[s];
        }
    }
}

/* Values for as many groups' sums that have some already; false, and nothing done, when one would
 * overflow. */
TW_VECTOR static bool average_all(const double *values, double *restrict sums,
                                  double *restrict compensations, double *restrict counts)
{
    uint64_t overflows = 0;
    for (size_t s = 0; s < 64; s++)
        overflows |= !(fabs(sums[s] + values[s]) <= DBL_MAX);
    if (overflows)
        return false;
    add_all(values, sums, compensations, 64);
    for (size_t s = 0; s < 64; s++)
        counts[s] += 1;
    return true;
}

/* As the mean of a window (range_statistics.c): the sum, until it would overflow. */
static void average_some(const struct intake *in, size_t first, uint64_t present)
{
    for (; present; present &= present - 1) {
        size_t s = first + (size_t)__builtin_ctzll(present);
        double n = in->count[s] += 1;
        if (n == 1) {
            in->main[s] = in->values[s];
            continue;
        }
        if (!query_bit(in->incremental, s)) {
            double sum = in->main[s], compensation = in->compensation[s];
            query_kahan_add(in->values[s], &sum, &compensation);
            if (!isinf(sum)) {
                in->main[s] = sum;
                in->compensation[s] = compensation;
                continue;
            }
            query_bit_set(in->incremental, s);
            in->mean[s] = in->main[s] / (n - 1);
            in->compensation[s] /= n - 1;
        }
        double share = (n - 1) / n;
        in->mean[s] *= share;
        in->compensation[s] *= share;
        query_kahan_add(in->values[s] / n, &in->mean[s], &in->compensation[s]);
    }
}

static void take_avg(const struct intake *in)
{
    for (size_t first = 0; first < in->steps; first += 64) {
        uint64_t present = in->present[first / 64];
        bool all = present == UINT64_MAX && in->seen[first / 64] == UINT64_MAX &&
                   in->incremental[first / 64] == 0;
        if (!all || !average_all(in->values + first, in->main + first, in->compensation + first,
                                 in->count + first))
            average_some(in, first, present);
    }
}

static inline void take_extreme(const struct intake *in, bool max)
{
    QUERY_EACH_STEP(s, in->present, in->steps)
    {
        double value = in->values[s], best = in->main[s];
        if (!query_bit(in->seen, s) || isnan(best) || (max ? best < value : best > value))
            in->main[s] = value;
    }
}

static void take_count(const struct intake *in)
{
    QUERY_EACH_STEP(s, in->present, in->steps)
    in->count[s] += 1;
}

static void take_deviation(const struct intake *in)
{
    QUERY_EACH_STEP(s, in->present, in->steps)
    {
        double value = in->values[s];
        double n = in->count[s] += 1;
        if (n == 1) {
            in->mean[s] = value;
            in->main[s] = isfinite(value) ? 0 : NAN;
            continue;
        }
        double delta = value - in->mean[s];
        in->mean[s] += delta / n;
        in->main[s] += delta * (value - in->mean[s]);
    }
}

static void take(enum query_token_type kind, const struct intake *in, size_t words)
{
    switch (kind) {
    case QUERY_TOKEN_SUM:
        take_sum(in);
        break;
    case QUERY_TOKEN_AVG:
        take_avg(in);
        break;
    case QUERY_TOKEN_MIN:
        take_extreme(in, false);
        break;
    case QUERY_TOKEN_MAX:
        take_extreme(in, true);
        break;
    case QUERY_TOKEN_COUNT:
        take_count(in);
        break;
    case QUERY_TOKEN_GROUP:
        break;
    case QUERY_TOKEN_STDDEV:
    case QUERY_TOKEN_STDVAR:
        take_deviation(in);
        break;
    default:
        TW_UNREACHABLE("not a streaming aggregation");
    }
    for (size_t w = 0; w < words; w++)
        in->seen[w] |= in->present[w];
}

static double *column_of(double *base, size_t group, size_t stride)
{
    return base ? base + group * stride : NULL;
}

/* For annotations. When the store made the groups, there are no labels; the metric's name stands in
 * the selector. */
static struct wire_labels labels_of(const struct aggregation *aggregation, struct query_exec *exec,
                                    size_t series)
{
    const struct query_node *inner = query_node_unwrap(aggregation->op.node->aggregate.inner);
    if (aggregation->inner->labels)
        return aggregation->inner->labels[series];
    if (inner->type != QUERY_NODE_SELECTOR)
        return (struct wire_labels){0};
    struct wire_label *name = TW_ARENA_NEW(exec->arena, struct wire_label);
    *name = (struct wire_label){TW_STR(WIRE_METRIC_NAME), query_selector_metric(inner)};
    return (struct wire_labels){name, 1};
}

static enum tw_code take_histograms(struct aggregation *aggregation, struct query_exec *exec,
                                    const struct query_tile *tile, struct tw_err *err)
{
    const struct query_node *node = aggregation->op.node;
    const struct query_matrix *main = &aggregation->main;
    enum tw_code code = TW_OK;
    for (size_t row = 0; !code && row < tile->count; row++) {
        size_t series = tile->first + row, group = aggregation->grouping.group_of[series];
        const struct query_histogram *const *histograms = tile->histograms + row * tile->stride;
        switch (node->aggregate.op) {
        case QUERY_TOKEN_SUM:
        case QUERY_TOKEN_AVG:
            code =
                query_histogram_groups_take(&aggregation->histograms, exec, node, main, group, tile,
                                            row, labels_of(aggregation, exec, series), err);
            break;
        case QUERY_TOKEN_COUNT:
            for (size_t s = 0; s < tile->stride; s++)
                aggregation->count[group * main->stride + s] += histograms[s] != NULL;
            __attribute__((fallthrough));
        case QUERY_TOKEN_GROUP:
            query_bits_add_histograms(main->present + group * main->words, histograms,
                                      tile->stride);
            break;
        default:
            query_histogram_annotate_ignored(exec, node, tile, row);
            break;
        }
    }
    return code;
}

static void take_tile(struct aggregation *aggregation, const struct query_tile *tile)
{
    const struct query_matrix *main = &aggregation->main;
    for (size_t row = 0; row < tile->count; row++) {
        size_t group = aggregation->grouping.group_of[tile->first + row];
        const struct intake in = {
            .values = tile->values + row * tile->stride,
            .present = tile->present + row * tile->words,
            .main = main->values + group * main->stride,
            .compensation = column_of(aggregation->compensation, group, main->stride),
            .count = column_of(aggregation->count, group, main->stride),
            .mean = column_of(aggregation->mean, group, main->stride),
            .seen = main->present + group * main->words,
            .incremental =
                aggregation->incremental ? aggregation->incremental + group * main->words : NULL,
            .steps = main->stride,
        };
        take(aggregation->op.node->aggregate.op, &in, main->words);
    }
}

static void finish(struct aggregation *aggregation)
{
    enum query_token_type kind = aggregation->op.node->aggregate.op;
    struct query_matrix *main = &aggregation->main;
    for (size_t i = 0; i < main->count * main->stride; i++) {
        double *value = &main->values[i];
        switch (kind) {
        case QUERY_TOKEN_SUM:
            *value += aggregation->compensation[i];
            break;
        case QUERY_TOKEN_AVG:
            if (query_bit(aggregation->incremental + i / main->stride * main->words,
                          i % main->stride))
                *value = aggregation->mean[i] + aggregation->compensation[i];
            else
                *value = *value / aggregation->count[i] +
                         aggregation->compensation[i] / aggregation->count[i];
            break;
        case QUERY_TOKEN_COUNT:
            *value = aggregation->count[i];
            break;
        case QUERY_TOKEN_GROUP:
            *value = 1;
            break;
        case QUERY_TOKEN_STDVAR:
            *value /= aggregation->count[i];
            break;
        case QUERY_TOKEN_STDDEV:
            *value = sqrt(*value / aggregation->count[i]);
            break;
        default:
            return;
        }
    }
}

static enum tw_code aggregation_next(struct query_op *op, struct query_exec *exec,
                                     struct query_tile *ret_tile, struct tw_err *err)
{
    struct aggregation *aggregation = (struct aggregation *)op;
    *ret_tile = (struct query_tile){0};
    if (aggregation->done)
        return TW_OK;
    struct query_tile tile = {.count = 1};
    while (tile.count > 0) {
        enum tw_code code = query_op_next(aggregation->inner, exec, &tile, err);
        if (code)
            return code;
        take_tile(aggregation, &tile);
        code = tile.histograms ? take_histograms(aggregation, exec, &tile, err) : TW_OK;
        if (code)
            return code;
    }
    finish(aggregation);
    aggregation->done = true;
    enum tw_code code = query_histogram_groups_finish(&aggregation->histograms, exec, op->node,
                                                      &aggregation->main, err);
    *ret_tile = query_matrix_tile(&aggregation->main);
    return code;
}

static const struct query_op_ops aggregation_ops = {"aggregation", aggregation_open,
                                                    aggregation_next, NULL};

struct query_op *query_aggregation_op(struct tw_arena *arena, const struct query_node *node,
                                      struct query_op *inner)
{
    struct aggregation *aggregation = TW_ARENA_NEW(arena, struct aggregation);
    aggregation->op.ops = &aggregation_ops;
    aggregation->op.node = node;
    aggregation->inner = inner;
    return &aggregation->op;
}
