/* SPDX-License-Identifier: Apache-2.0
 *
 * Instant vector selector: at each step the newest sample in (t - offset - look-back, t - offset],
 * unless it is a stale marker. Smoothed: what lies at t on the line between the samples around it;
 * stale markers are no samples then.
 */
#include "config.h"

#include "query/operators.h"

#include "base/number.h"
#include "query/grouping.h"
#include "query/histogram_annotation.h"
#include "query/histogram_range.h"
#include "query/labelset.h"
#include "query/range_kernel.h"
#include "query/samples.h"
#include "query/windows.h"

struct selector {
    struct query_op op;
    struct query_source source;
    int64_t start_ms, end_ms; /* of everything the run will ask for: (start, end] */
    enum query_selected selected;
    struct query_windows windows; /* the look-backs */
};

/* First reference time and the distance of the next: 0 when @ fixes it. */
static void reference_of(const struct query_op *op, const struct query_exec *exec,
                         int64_t *ret_first_ms, int64_t *ret_step_ms)
{
    const struct query_modifiers *modifiers = &op->node->selector.modifiers;
    int64_t first = op->grid.start_ms;
    *ret_step_ms = modifiers->at == QUERY_AT_NONE ? op->grid.step_ms : 0;
    if (modifiers->at == QUERY_AT_TIME)
        first = modifiers->at_ms;
    else if (modifiers->at == QUERY_AT_START)
        first = exec->start_ms;
    else if (modifiers->at == QUERY_AT_END)
        first = exec->end_ms;
    *ret_first_ms = first - modifiers->offset_ms;
}

static enum tw_code begin_windows(struct selector *selector, struct query_exec *exec,
                                  struct tw_err *err)
{
    int64_t first_ms, step_ms;
    reference_of(&selector->op, exec, &first_ms, &step_ms);
    return query_windows_begin(&selector->windows, exec, first_ms, step_ms, exec->lookback_ms,
                               selector->op.grid.steps, false, err);
}

static enum tw_code selector_open(struct query_op *op, struct query_exec *exec,
                                  struct query_grid grid, struct tw_err *err)
{
    struct selector *selector = (struct selector *)op;
    struct tsdb_grouping grouping;
    const struct tsdb_hints hints = {
        .step_ms = grid.steps > 1 ? grid.step_ms : 0,
        .lookback_ms = exec->lookback_ms,
        .grouping = query_grouping_hint(op, exec->arena, &grouping) ? &grouping : NULL};
    enum tw_code code = query_source_open(&selector->source, exec, op->node, selector->start_ms,
                                          selector->end_ms, &hints, err);
    if (code)
        return code;
    size_t count = tsdb_selection_count(selector->source.selection);
    bool is_grouped = tsdb_selection_groups(selector->source.selection, &op->groups);
    code = query_op_begin(op, exec, count, true, err);
    if (!code)
        code = begin_windows(selector, exec, err);
    if (is_grouped)
        return code;
    for (size_t i = 0; !code && i < count; i++)
        op->labels[i] = tsdb_selection_labels(selector->source.selection, i);
    for (size_t i = 0; !code && selector->selected == QUERY_SELECT_TIMESTAMP && i < count; i++)
        op->labels[i] = query_labels_lose_name(exec, op->labels[i]);
    return code;
}

static void fill_row(struct selector *selector, double *values, uint64_t *present)
{
    const struct query_samples *samples = &selector->source.samples;
    const struct query_windows *windows = &selector->windows;
    if (samples->count == 0)
        return;
    query_windows_fit(&selector->windows, samples->times_ms, samples->count, samples->times_id);
    for (size_t s = 0; s < windows->steps; s++) {
        size_t high = windows->high[s];
        if (high == windows->low[s] || tw_double_is_stale(samples->values[high - 1]))
            continue;
        values[s] = selector->selected != QUERY_SELECT_VALUES
                        ? (double)samples->times_ms[high - 1] / 1000
                        : samples->values[high - 1];
        query_bit_set(present, s);
    }
}

/* Behind the last sample its value is kept for the look-back; before the first there is nothing. */
static void fill_smoothed(const struct selector *selector, const struct query_exec *exec,
                          int64_t first_ms, int64_t step_ms, double *values, uint64_t *present)
{
    const struct query_samples *samples = &selector->source.samples;
    size_t steps = selector->op.grid.steps, at = 0;
    for (size_t s = 0; s < steps; s++) {
        int64_t reference = first_ms + (int64_t)s * step_ms;
        while (at < samples->count && samples->times_ms[at] <= reference)
            at++;
        if (at == 0 || samples->times_ms[at - 1] <= reference - exec->lookback_ms)
            continue;
        bool carried = samples->times_ms[at - 1] == reference || at == samples->count ||
                       samples->times_ms[at] > reference + exec->lookback_ms;
        values[s] = carried ? samples->values[at - 1]
                            : query_interpolate(samples->times_ms + at - 1,
                                                samples->values + at - 1, reference);
        if (selector->selected != QUERY_SELECT_VALUES)
            values[s] = (double)reference / 1000;
        query_bit_set(present, s);
    }
}

/* Where the newest sample is a histogram, or the stale marker of one. */
static enum tw_code fill_histograms(struct selector *selector, struct query_exec *exec,
                                    int64_t first_ms, int64_t step_ms, struct query_tile *tile,
                                    size_t row, struct tw_err *err)
{
    const struct query_samples *samples = &selector->source.samples;
    size_t steps = selector->op.grid.steps, at = 0, number = 0;
    if (!tile->histograms && selector->selected == QUERY_SELECT_VALUES) {
        enum tw_code code = query_op_add_histograms(&selector->op, exec, tile, err);
        if (code)
            return code;
    }
    double *values = tile->values + row * tile->stride;
    uint64_t *present = tile->present + row * tile->words;
    for (size_t s = 0; s < steps; s++) {
        int64_t reference = first_ms + (int64_t)s * step_ms;
        while (at < samples->histogram_count && samples->histogram_times_ms[at] <= reference)
            at++;
        while (number < samples->count && samples->times_ms[number] <= reference)
            number++;
        if (at == 0 || samples->histogram_times_ms[at - 1] <= reference - exec->lookback_ms ||
            (number > 0 && samples->times_ms[number - 1] > samples->histogram_times_ms[at - 1]))
            continue;
        const struct query_histogram *histogram = samples->histograms[at - 1];
        query_bit_clear(present, s);
        if (!histogram)
            continue;
        if (selector->selected == QUERY_SELECT_TIMES) {
            struct tw_str text = query_labels_text(
                exec->arena, tsdb_selection_labels(selector->source.selection, tile->first + row));
            return query_exec_fail(exec, selector->op.node, err,
                                   "this should be an info metric, with float samples: %.*s",
                                   TW_STR_ARG(text));
        }
        if (selector->selected != QUERY_SELECT_VALUES) {
            values[s] = (double)samples->histogram_times_ms[at - 1] / 1000;
            query_bit_set(present, s);
        } else {
            tile->histograms[row * tile->stride + s] = histogram;
        }
    }
    return TW_OK;
}

/* The histograms of a smoothed series; where numbers are around too, there is nothing. */
static enum tw_code smooth_histograms(struct selector *selector, struct query_exec *exec,
                                      int64_t first_ms, int64_t step_ms, struct query_tile *tile,
                                      size_t row, struct tw_err *err)
{
    const struct query_samples *samples = &selector->source.samples;
    const int64_t *times_ms = samples->histogram_times_ms;
    struct query_op *op = &selector->op;
    size_t at = 0, number = 0;
    /* The name is all that is needed of them; groups that the store made have no labels. */
    struct wire_label name = {TW_STR(WIRE_METRIC_NAME), query_selector_metric(op->node)};
    struct wire_labels labels = {&name, 1};
    if (!op->groups.group_of)
        labels = tsdb_selection_labels(selector->source.selection, tile->first + row);
    enum tw_code code = tile->histograms ? TW_OK : query_op_add_histograms(op, exec, tile, err);
    for (size_t s = 0; !code && s < op->grid.steps; s++) {
        int64_t reference = first_ms + (int64_t)s * step_ms;
        while (at < samples->histogram_count && times_ms[at] <= reference)
            at++;
        while (number < samples->count && samples->times_ms[number] <= reference)
            number++;
        int64_t oldest = reference - exec->lookback_ms, newest = reference + exec->lookback_ms;
        bool has_histogram = (at > 0 && times_ms[at - 1] > oldest) ||
                             (at < samples->histogram_count && times_ms[at] <= newest);
        bool has_number = (number > 0 && samples->times_ms[number - 1] > oldest) ||
                          (number < samples->count && samples->times_ms[number] <= newest);
        if (has_histogram && has_number) {
            query_bit_clear(tile->present + row * tile->words, s);
            query_annotate_mixed_kinds(exec, op->node, labels);
            continue;
        }
        if (at == 0 || times_ms[at - 1] <= oldest)
            continue;
        bool carried = times_ms[at - 1] == reference || at == samples->histogram_count ||
                       times_ms[at] > reference + exec->lookback_ms;
        const struct query_histogram *value =
            carried ? samples->histograms[at - 1]
                    : query_histogram_interpolate(
                          query_op_side(op), times_ms + at - 1, samples->histograms + at - 1,
                          reference, samples->histograms[at - 1]->hint != WIRE_RESET_GAUGE);
        if (!value)
            query_annotate_mixed_schemas(exec, op->node, labels);
        else if (selector->selected == QUERY_SELECT_VALUES) {
            tile->histograms[row * tile->stride + s] = value;
        } else {
            tile->values[row * tile->stride + s] = (double)reference / 1000;
            query_bit_set(tile->present + row * tile->words, s);
        }
        code = query_op_side_check(op, exec, err);
    }
    return code;
}

static enum tw_code selector_next(struct query_op *op, struct query_exec *exec,
                                  struct query_tile *ret_tile, struct tw_err *err)
{
    struct selector *selector = (struct selector *)op;
    int64_t first_ms, step_ms;
    reference_of(op, exec, &first_ms, &step_ms);
    int64_t last_ms = first_ms + (int64_t)(op->grid.steps - 1) * step_ms;
    bool smoothed = op->node->selector.extension == QUERY_SMOOTHED;
    if (smoothed)
        last_ms += exec->lookback_ms;
    *ret_tile = query_op_batch(op);
    query_source_expect(&selector->source, ret_tile);
    selector->source.last_only = first_ms == last_ms;
    for (size_t row = 0; row < ret_tile->count; row++) {
        enum tw_code code =
            query_source_read(&selector->source, op, exec, ret_tile->first + row,
                              first_ms - exec->lookback_ms, last_ms, !smoothed, err);
        if (code)
            return code;
        double *values = ret_tile->values + row * ret_tile->stride;
        uint64_t *present = ret_tile->present + row * ret_tile->words;
        if (smoothed)
            fill_smoothed(selector, exec, first_ms, step_ms, values, present);
        else
            fill_row(selector, values, present);
        if (selector->source.samples.histogram_count == 0)
            continue;
        code = (smoothed ? smooth_histograms : fill_histograms)(selector, exec, first_ms, step_ms,
                                                                ret_tile, row, err);
        if (code)
            return code;
        if (query_op_side_is_full(op))
            query_op_cut(op, ret_tile, row + 1);
    }
    query_tally_tile(exec, op, ret_tile);
    return TW_OK;
}

static void selector_close(struct query_op *op)
{
    struct selector *selector = (struct selector *)op;
    query_source_close(&selector->source);
    query_windows_fini(&selector->windows);
}

static enum tw_code selector_share(struct query_op *op, const struct query_op *from,
                                   struct query_exec *exec, struct tw_err *err)
{
    struct selector *selector = (struct selector *)op;
    enum tw_code code = begin_windows(selector, exec, err);
    return code ? code
                : query_source_share(&selector->source, &((const struct selector *)from)->source,
                                     err);
}

static const struct query_op_ops selector_ops = {
    .name = "selector",
    .open = selector_open,
    .next = selector_next,
    .close = selector_close,
};

struct query_op *query_selector_op(struct tw_arena *arena, const struct query_node *node,
                                   int64_t start_ms, int64_t end_ms, enum query_selected selected)
{
    struct selector *selector = TW_ARENA_NEW(arena, struct selector);
    selector->op.ops = &selector_ops;
    selector->op.share = selector_share;
    selector->op.node = node;
    selector->start_ms = start_ms;
    selector->end_ms = end_ms;
    selector->selected = selected;
    return &selector->op;
}
