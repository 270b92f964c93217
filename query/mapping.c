/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of single values: they change their inner operator's tiles in place.
 */
#include "config.h"

#include "query/operators.h"

#include <string.h>

#include <math.h>

#include "base/assert.h"
#include "query/calendar.h"
#include "query/labelset.h"

struct mapping {
    struct query_op op;
    struct query_op *inner;
    struct query_op *parameters[2];
    const double *parameter_rows[2];
    enum query_function_id function;
    bool keep_name;
    void (*apply)(const struct mapping *mapping, double *values, uint64_t *present, size_t steps);
};

/* ---- one value ---- */
static double sign(double v)
{
    return v < 0 ? -1 : v > 0 ? 1 : v;
}

static double degrees(double v)
{
    return v * 180 / M_PI;
}

static double radians(double v)
{
    return v * M_PI / 180;
}

/* Go's: half of the exponential for large arguments, which overflows before C's does. */
static double go_sinh(double v)
{
    return fabs(v) > 21 ? copysign(exp(fabs(v)) * 0.5, v) : sinh(v);
}

static double go_cosh(double v)
{
    return fabs(v) > 21 ? exp(fabs(v)) * 0.5 : cosh(v);
}

/* Go's: exact for powers of two; the decimal logarithm is made of it. */
static double go_log2(double v)
{
    int exponent;
    if (!(v > 0) || isinf(v))
        return log2(v);
    double fraction = frexp(v, &exponent);
    return fraction == 0.5 ? exponent - 1 : log(fraction) * (1 / M_LN2) + exponent;
}

static double go_log10(double v)
{
    return go_log2(v) * (M_LN2 / M_LN10);
}

/* Go's: NaN wins over all but the infinity that is larger (smaller) anyway. */
static double go_max(double a, double b)
{
    if ((isinf(a) && a > 0) || (isinf(b) && b > 0))
        return INFINITY;
    return isnan(a) || isnan(b) ? NAN : a > b ? a : b;
}

static double go_min(double a, double b)
{
    if ((isinf(a) && a < 0) || (isinf(b) && b < 0))
        return -INFINITY;
    return isnan(a) || isnan(b) ? NAN : a < b ? a : b;
}

static double (*const plain[])(double) = {
    [QUERY_FN_ABS] = fabs,     [QUERY_FN_CEIL] = ceil,      [QUERY_FN_FLOOR] = floor,
    [QUERY_FN_EXP] = exp,      [QUERY_FN_SQRT] = sqrt,      [QUERY_FN_LN] = log,
    [QUERY_FN_LOG2] = go_log2, [QUERY_FN_LOG10] = go_log10, [QUERY_FN_SGN] = sign,
    [QUERY_FN_ACOS] = acos,    [QUERY_FN_ACOSH] = acosh,    [QUERY_FN_ASIN] = asin,
    [QUERY_FN_ASINH] = asinh,  [QUERY_FN_ATAN] = atan,      [QUERY_FN_ATANH] = atanh,
    [QUERY_FN_COS] = cos,      [QUERY_FN_COSH] = go_cosh,   [QUERY_FN_SIN] = sin,
    [QUERY_FN_SINH] = go_sinh, [QUERY_FN_TAN] = tan,        [QUERY_FN_TANH] = tanh,
    [QUERY_FN_DEG] = degrees,  [QUERY_FN_RAD] = radians,
};

static void apply_plain(const struct mapping *mapping, double *values, uint64_t *present,
                        size_t steps)
{
    double (*function)(double) = plain[mapping->function];
    QUERY_EACH_STEP(s, present, steps)
    values[s] = function(values[s]);
}

static void apply_round(const struct mapping *mapping, double *values, uint64_t *present,
                        size_t steps)
{
    const double *nearest = mapping->parameter_rows[0];
    QUERY_EACH_STEP(s, present, steps)
    {
        double inverse = 1.0 / (nearest ? nearest[s] : 1.0);
        values[s] = floor(values[s] * inverse + 0.5) / inverse;
    }
}

static void apply_clamp(const struct mapping *mapping, double *values, uint64_t *present,
                        size_t steps)
{
    const double *first = mapping->parameter_rows[0], *second = mapping->parameter_rows[1];
    QUERY_EACH_STEP(s, present, steps)
    {
        if (mapping->function == QUERY_FN_CLAMP_MIN)
            values[s] = go_max(first[s], values[s]);
        else if (mapping->function == QUERY_FN_CLAMP_MAX)
            values[s] = go_min(first[s], values[s]);
        else if (second[s] < first[s])
            query_bit_clear(present, s);
        else
            values[s] = go_max(first[s], go_min(second[s], values[s]));
    }
}

static void apply_date(const struct mapping *mapping, double *values, uint64_t *present,
                       size_t steps)
{
    QUERY_EACH_STEP(s, present, steps)
    values[s] = query_calendar_part(mapping->function, values[s]);
}

static void apply_negate(const struct mapping *mapping, double *values, uint64_t *present,
                         size_t steps)
{
    (void)mapping;
    (void)present;
    for (size_t s = 0; s < steps; s++)
        values[s] = -values[s];
}

static void apply_timestamp(const struct mapping *mapping, double *values, uint64_t *present,
                            size_t steps)
{
    QUERY_EACH_STEP(s, present, steps)
    values[s] = (double)query_grid_time(&mapping->op.grid, s) / 1000;
}

/* The store does not keep when the counter of a sample began; 0 says so, as it does in Prometheus.
 */
static void apply_start_timestamp(const struct mapping *mapping, double *values, uint64_t *present,
                                  size_t steps)
{
    (void)mapping;
    (void)present;
    memset(values, 0, steps * sizeof *values);
}

static void apply_nothing(const struct mapping *mapping, double *values, uint64_t *present,
                          size_t steps)
{
    (void)mapping;
    (void)values;
    memset(present, 0, query_words(steps) * sizeof *present);
}

/* ---- the operator ---- */
static enum tw_code mapping_open(struct query_op *op, struct query_exec *exec,
                                 struct query_grid grid, struct tw_err *err)
{
    struct mapping *mapping = (struct mapping *)op;
    enum tw_code code = query_op_open(mapping->inner, exec, grid, err);
    if (!code)
        code = query_op_begin(op, exec, mapping->inner->series_count, false, err);
    for (size_t p = 0; !code && p < 2; p++)
        if (mapping->parameters[p])
            code =
                query_op_row(mapping->parameters[p], exec, grid, &mapping->parameter_rows[p], err);
    for (size_t i = 0; !code && i < op->series_count; i++) {
        op->labels[i] = mapping->keep_name
                            ? mapping->inner->labels[i]
                            : query_labels_lose_name(exec, mapping->inner->labels[i]);
        code = query_exec_labelled(exec, 0, 0, err);
    }
    return code;
}

/* Most functions leave histograms out; timestamp() and the unary minus take them too. */
static enum tw_code map_histograms(struct mapping *mapping, struct query_exec *exec,
                                   struct query_tile *tile, struct tw_err *err)
{
    struct query_op *op = &mapping->op;
    query_op_side_reset(op);
    for (size_t i = 0; mapping->apply == apply_negate && i < tile->count * tile->stride; i++)
        if (tile->histograms[i])
            tile->histograms[i] =
                query_histogram_multiplied(query_op_side(op), tile->histograms[i], -1, false);
    for (size_t row = 0; mapping->apply == apply_timestamp && row < tile->count; row++) {
        uint64_t *present = tile->present + row * tile->words;
        query_bits_add_histograms(present, tile->histograms + row * tile->stride, tile->stride);
        apply_timestamp(mapping, tile->values + row * tile->stride, present, tile->stride);
    }
    if (mapping->apply != apply_negate)
        tile->histograms = NULL;
    return query_op_side_check(op, exec, err);
}

static enum tw_code mapping_next(struct query_op *op, struct query_exec *exec,
                                 struct query_tile *ret_tile, struct tw_err *err)
{
    struct mapping *mapping = (struct mapping *)op;
    enum tw_code code = query_op_next(mapping->inner, exec, ret_tile, err);
    for (size_t row = 0; !code && row < ret_tile->count; row++)
        mapping->apply(mapping, ret_tile->values + row * ret_tile->stride,
                       ret_tile->present + row * ret_tile->words, ret_tile->stride);
    if (!code && ret_tile->histograms)
        code = map_histograms(mapping, exec, ret_tile, err);
    return code;
}

static const struct query_op_ops mapping_ops = {"mapping", mapping_open, mapping_next, NULL};

static struct mapping *new_mapping(struct tw_arena *arena, const struct query_node *node,
                                   struct query_op *inner)
{
    struct mapping *mapping = TW_ARENA_NEW(arena, struct mapping);
    mapping->op.ops = &mapping_ops;
    mapping->op.node = node;
    mapping->inner = inner;
    return mapping;
}

struct query_op *query_mapping_op(struct tw_arena *arena, const struct query_node *node,
                                  enum query_function_id function, struct query_op *inner,
                                  struct query_op *first, struct query_op *second)
{
    struct mapping *mapping = new_mapping(arena, node, inner);
    mapping->function = function;
    mapping->parameters[0] = first;
    mapping->parameters[1] = second;
    if (function == QUERY_FN_ROUND)
        mapping->apply = apply_round;
    else if (function == QUERY_FN_CLAMP || function == QUERY_FN_CLAMP_MIN ||
             function == QUERY_FN_CLAMP_MAX)
        mapping->apply = apply_clamp;
    else if (function >= QUERY_FN_DAY_OF_MONTH && function <= QUERY_FN_YEAR)
        mapping->apply = apply_date;
    else
        mapping->apply = apply_plain;
    return &mapping->op;
}

struct query_op *query_negate_op(struct tw_arena *arena, const struct query_node *node,
                                 struct query_op *inner, bool keep_name)
{
    struct mapping *mapping = new_mapping(arena, node, inner);
    mapping->apply = apply_negate;
    mapping->keep_name = keep_name;
    return &mapping->op;
}

struct query_op *query_timestamp_op(struct tw_arena *arena, const struct query_node *node,
                                    struct query_op *inner)
{
    struct mapping *mapping = new_mapping(arena, node, inner);
    mapping->apply = apply_timestamp;
    return &mapping->op;
}

struct query_op *query_start_timestamp_op(struct tw_arena *arena, const struct query_node *node,
                                          struct query_op *inner, bool known)
{
    struct mapping *mapping = new_mapping(arena, node, inner);
    mapping->apply = known ? apply_start_timestamp : apply_nothing;
    return &mapping->op;
}

/* ---- scalar(): the value of the only series, else NaN ---- */
struct scalar {
    struct query_op op;
    struct query_op *inner;
};

static enum tw_code scalar_open(struct query_op *op, struct query_exec *exec,
                                struct query_grid grid, struct tw_err *err)
{
    enum tw_code code = query_op_open(((struct scalar *)op)->inner, exec, grid, err);
    return code ? code : query_op_begin(op, exec, 1, true, err);
}

static enum tw_code scalar_next(struct query_op *op, struct query_exec *exec,
                                struct query_tile *ret_tile, struct tw_err *err)
{
    struct scalar *scalar = (struct scalar *)op;
    *ret_tile = query_op_batch(op);
    if (ret_tile->count == 0)
        return TW_OK;
    double *out = ret_tile->values;
    uint64_t *seen = ret_tile->present;
    for (size_t s = 0; s < op->grid.steps; s++)
        out[s] = NAN;
    void *memory;
    enum tw_code code = query_exec_alloc(exec, ret_tile->words, sizeof(uint64_t), &memory, err);
    uint64_t *several = memory;
    struct query_tile tile = {.count = 1};
    while (!code && tile.count > 0) {
        code = query_op_next(scalar->inner, exec, &tile, err);
        for (size_t row = 0; !code && row < tile.count; row++) {
            const uint64_t *present = tile.present + row * tile.words;
            const double *values = tile.values + row * tile.stride;
            for (size_t w = 0; w < tile.words; w++)
                several[w] |= seen[w] & present[w];
            QUERY_EACH_STEP(s, present, tile.stride)
            out[s] = values[s];
            for (size_t w = 0; w < tile.words; w++)
                seen[w] |= present[w];
        }
    }
    if (code)
        return code;
    QUERY_EACH_STEP(s, several, op->grid.steps)
    out[s] = NAN;
    query_bits_fill(seen, op->grid.steps);
    return TW_OK;
}

static const struct query_op_ops scalar_ops = {"scalar", scalar_open, scalar_next, NULL};

struct query_op *query_scalar_op(struct tw_arena *arena, const struct query_node *node,
                                 struct query_op *inner)
{
    struct scalar *scalar = TW_ARENA_NEW(arena, struct scalar);
    scalar->op.ops = &scalar_ops;
    scalar->op.node = node;
    scalar->inner = inner;
    return &scalar->op;
}
