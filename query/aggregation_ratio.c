/* SPDX-License-Identifier: Apache-2.0
 *
 * limit_ratio: a share of the series, picked by the hash of their labels: the same series at every
 * step and in every query, and limit_ratio(r) and limit_ratio(r - 1) are all of them. The operand
 * streams. The hash is the one Prometheus takes, so that both pick the same series.
 */
#include "config.h"

#include "query/operators.h"

#include <math.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "query/labelset.h"
#include "base/number.h"

/* Labels made by label_join may be long; what is behind this does not count. */
#define KEY_BYTES_MAX ((size_t)16 << 20)

struct ratio {
    struct query_op op;
    struct query_op *inner, *parameter;
    const double *shares; /* by step */
    double *offsets;      /* by series: 0 ... 1 */
    bool nan;             /* one of the shares */
};

/* Length and bytes, as Prometheus keeps labels in memory: one byte, or 255 and three more. */
static void add_text(struct tw_buf *key, struct tw_str text)
{
    TW_ASSERT(text.size <= 0xffffff);
    const unsigned char length[4] = {255, text.size & 255, text.size >> 8 & 255, text.size >> 16};
    if (text.size < 255)
        tw_buf_append(key, &length[1], 1);
    else
        tw_buf_append(key, length, sizeof length);
    tw_buf_append(key, text.data, text.size);
}

static double offset_of(struct tw_buf *key, struct wire_labels labels)
{
    tw_buf_clear(key);
    for (size_t i = 0; i < labels.count; i++) {
        add_text(key, labels.items[i].name);
        add_text(key, labels.items[i].value);
    }
    return (double)tw_xxh64(key->data, key->size) / 0x1p64;
}

/* The one warning says the value farthest outside. */
static void warn_outside(const struct ratio *ratio, struct query_exec *exec, double got, double cap)
{
    char text[TW_DOUBLE_BYTES];
    tw_double_format_general(got, text);
    query_annotate(exec->annotations, QUERY_WARNING, ratio->op.node->aggregate.parameter,
                   "ratio value should be between -1 and 1, got %s, capping to %g", text, cap);
}

static void look_at_shares(struct ratio *ratio, struct query_exec *exec)
{
    double min = INFINITY, max = -INFINITY;
    ratio->nan = false;
    for (size_t s = 0; s < ratio->op.grid.steps; s++) {
        ratio->nan |= isnan(ratio->shares[s]);
        min = fmin(min, ratio->shares[s]);
        max = fmax(max, ratio->shares[s]);
    }
    if (max > 1)
        warn_outside(ratio, exec, max, 1);
    if (min < -1)
        warn_outside(ratio, exec, min, -1);
}

static enum tw_code ratio_open(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                               struct tw_err *err)
{
    struct ratio *ratio = (struct ratio *)op;
    void *memory;
    enum tw_code code = query_op_open(ratio->inner, exec, grid, err);
    if (!code)
        code = query_op_row(ratio->parameter, exec, grid, &ratio->shares, err);
    if (!code)
        code = query_exec_alloc(exec, ratio->inner->series_count, sizeof *ratio->offsets, &memory,
                                err);
    if (code)
        return code;
    ratio->offsets = memory;
    look_at_shares(ratio, exec);
    op->labels = ratio->inner->labels;
    op->series_count = ratio->inner->series_count;
    struct tw_buf key;
    tw_buf_init(&key, KEY_BYTES_MAX);
    for (size_t i = 0; i < op->series_count; i++)
        ratio->offsets[i] = offset_of(&key, query_labels_save_name(op->labels[i]));
    tw_buf_fini(&key);
    return query_exec_worked(exec, op->series_count, err);
}

static bool is_picked(double share, double offset)
{
    return share >= 0 ? offset < share : offset >= 1 + share;
}

static enum tw_code ratio_next(struct query_op *op, struct query_exec *exec,
                               struct query_tile *ret_tile, struct tw_err *err)
{
    struct ratio *ratio = (struct ratio *)op;
    enum tw_code code = query_op_next(ratio->inner, exec, ret_tile, err);
    /* A share that is none matters once there is anything to share. */
    if (!code && ratio->nan &&
        (query_bits_any(ret_tile->present, ret_tile->count * ret_tile->words) ||
         query_tile_any_histogram(ret_tile)))
        return query_exec_fail(exec, op->node, err, "Ratio value NaN is NaN");
    if (code)
        return code;
    for (size_t row = 0; row < ret_tile->count; row++) {
        uint64_t *present = ret_tile->present + row * ret_tile->words;
        QUERY_EACH_STEP(s, present, ret_tile->stride)
        {
            if (!is_picked(ratio->shares[s], ratio->offsets[ret_tile->first + row]))
                query_bit_clear(present, s);
        }
        for (size_t s = 0; ret_tile->histograms && s < ret_tile->stride; s++)
            if (!is_picked(ratio->shares[s], ratio->offsets[ret_tile->first + row]))
                ret_tile->histograms[row * ret_tile->stride + s] = NULL;
    }
    return TW_OK;
}

static const struct query_op_ops ratio_ops = {"ratio", ratio_open, ratio_next, NULL};

struct query_op *query_ratio_op(struct tw_arena *arena, const struct query_node *node,
                                struct query_op *inner, struct query_op *parameter)
{
    struct ratio *ratio = TW_ARENA_NEW(arena, struct ratio);
    ratio->op.ops = &ratio_ops;
    ratio->op.node = node;
    ratio->inner = inner;
    ratio->parameter = parameter;
    return &ratio->op;
}
