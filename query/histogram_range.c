/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/histogram_range.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "query/histogram_annotation.h"
#include "query/histogram_change.h"
#include "query/histogram_sum.h"

void query_histogram_range_fini(struct query_histogram_range *range)
{
    query_windows_fini(&range->windows);
    tw_arena_free(range->scratch);
    free(range->resets);
    *range = (struct query_histogram_range){0};
}

/* ---- what a window holds ---- */
struct window {
    struct query_exec *exec;
    const struct query_histogram_range_row *row;
    struct tw_arena *scratch;
    enum query_function_id function;
    size_t step;
    size_t float_low, float_high; /* samples of either kind */
    size_t low, high;
};

static size_t float_count(const struct window *window)
{
    return window->float_high - window->float_low;
}

static size_t histogram_count(const struct window *window)
{
    return window->high - window->low;
}

static void give_number(const struct window *window, double value)
{
    window->row->values[window->step] = value;
    query_bit_set(window->row->present, window->step);
}

static void give_nothing(const struct window *window)
{
    query_bit_clear(window->row->present, window->step);
}

static void give_histogram(const struct window *window, const struct query_histogram *histogram)
{
    give_nothing(window);
    window->row->histograms[window->step] = histogram;
}

static void refuse_mixed_kinds(const struct window *window)
{
    give_nothing(window);
    query_annotate_mixed_kinds(window->exec, window->row->argument, window->row->labels);
}

/* ---- one of the samples ---- */
static void pick(const struct window *window, bool first, bool time)
{
    const struct query_samples *samples = window->row->samples;
    size_t at = first ? window->low : window->high - 1;
    int64_t histogram_ms = samples->histogram_times_ms[at];
    if (float_count(window) > 0) {
        int64_t ms = samples->times_ms[first ? window->float_low : window->float_high - 1];
        if (first ? ms < histogram_ms : ms > histogram_ms)
            return;
    }
    if (time)
        give_number(window, (double)histogram_ms / 1000);
    else /* the samples of a subquery are gone before the tile is */
        give_histogram(window, query_histogram_copy(query_op_side(window->row->op),
                                                    samples->histograms[at], NULL, NULL));
}

/* ---- sum_over_time, avg_over_time ---- */
struct mean {
    struct query_histogram_sum sum;
    double count;
    bool average, incremental, reset, no_reset;
};

static bool add_to_mean(struct mean *mean, const struct query_histogram *histogram)
{
    double n = mean->count += 1;
    mean->reset |= histogram->hint == WIRE_RESET_YES;
    mean->no_reset |= histogram->hint == WIRE_RESET_NO;
    if (mean->average && !mean->incremental &&
        query_histogram_sum_overflows(&mean->sum, histogram)) {
        mean->incremental = true;
        query_histogram_sum_multiply(&mean->sum, 1 / (n - 1));
    }
    if (!mean->incremental)
        return query_histogram_sum_add(&mean->sum, histogram, 1);
    query_histogram_sum_multiply(&mean->sum, (n - 1) / n);
    return query_histogram_sum_add(&mean->sum, histogram, 1 / n);
}

static void add_up(const struct window *window)
{
    const struct query_samples *samples = window->row->samples;
    const struct query_histogram *first = samples->histograms[window->low];
    struct tw_arena *side = query_op_side(window->row->op);
    struct mean mean = {.count = 1,
                        .average = window->function == QUERY_FN_AVG,
                        .reset = first->hint == WIRE_RESET_YES,
                        .no_reset = first->hint == WIRE_RESET_NO};
    if (float_count(window) > 0) {
        refuse_mixed_kinds(window);
        return;
    }
    query_histogram_sum_begin(&mean.sum, window->scratch, first, 1);
    for (size_t i = window->low + 1; i < window->high; i++)
        if (!add_to_mean(&mean, samples->histograms[i])) {
            query_annotate_mixed_schemas(window->exec, window->row->argument, window->row->labels);
            return;
        }
    if (mean.reset && mean.no_reset)
        query_annotate_collision(window->exec, window->row->argument, "aggregation");
    if (mean.sum.reconciled)
        query_annotate_reconciled(window->exec, window->row->argument, "aggregation");
    struct query_histogram *value = query_histogram_sum_take(&mean.sum, side, 1, false);
    if (mean.average && !mean.incremental)
        value = query_histogram_divided(side, value, mean.count, false);
    give_histogram(window, value);
}

/* ---- changes, resets ---- */
static void count_events(const struct window *window, const bool *resets)
{
    const struct query_samples *samples = window->row->samples;
    bool is_resets = window->function == QUERY_FN_RESETS;
    size_t number = window->float_low, at = window->low, events = 0;
    const struct query_histogram *before = NULL;
    double before_value = 0;
    while (number < window->float_high || at < window->high) {
        bool first = number == window->float_low && at == window->low;
        bool is_number =
            at == window->high || (number < window->float_high &&
                                   samples->times_ms[number] < samples->histogram_times_ms[at]);
        const struct query_histogram *now = is_number ? NULL : samples->histograms[at];
        double value = is_number ? samples->values[number] : 0;
        if (!first) {
            if (!now != !before)
                events++;
            else if (now && is_resets)
                events += at > 0 && samples->histograms[at - 1] == before
                              ? resets[at]
                              : query_histogram_is_reset(window->scratch, now, before);
            else if (now)
                events += !query_histogram_equal(now, before);
            else
                events += is_resets
                              ? value < before_value
                              : value != before_value && !(isnan(value) && isnan(before_value));
        }
        before = now;
        before_value = value;
        number += is_number;
        at += !is_number;
    }
    give_number(window, (double)events);
}

/* ---- rate, increase, delta, irate, idelta ---- */
static void change(const struct window *window, const struct query_histogram_range *range)
{
    const struct query_histogram_range_row *row = window->row;
    const struct query_windows *windows = &range->windows;
    int64_t end_ms = windows->first_end_ms + (int64_t)window->step * windows->end_step_ms;
    const struct query_histogram_change change = {
        .exec = window->exec,
        .argument = row->argument,
        .labels = row->labels,
        .side = query_op_side(row->op),
        .scratch = window->scratch,
        .times_ms = row->samples->histogram_times_ms,
        .histograms = row->samples->histograms,
        .resets = range->resets,
        .low = window->low,
        .high = window->high,
        .start_ms = end_ms - windows->range_ms,
        .end_ms = end_ms,
        .is_counter = window->function != QUERY_FN_DELTA && window->function != QUERY_FN_IDELTA,
        .is_rate = window->function == QUERY_FN_RATE || window->function == QUERY_FN_IRATE,
        .extension = windows->extension,
    };
    bool last_two = window->function == QUERY_FN_IRATE || window->function == QUERY_FN_IDELTA;
    const struct query_histogram *result = NULL;
    if (last_two)
        result = query_histogram_last_change(&change);
    else if (change.extension != QUERY_EXTENSION_NONE)
        result = query_histogram_change_between_edges(&change);
    else
        result = query_histogram_change_over_window(&change);
    if (result)
        give_histogram(window, result);
}

/* irate and idelta look at the last two samples, of whichever kind. */
static void change_last_two(const struct window *window, const struct query_histogram_range *range)
{
    const struct query_samples *samples = window->row->samples;
    size_t newer = window->float_high, histograms = histogram_count(window);
    int64_t last_ms = samples->histogram_times_ms[window->high - 1];
    while (newer > window->float_low && samples->times_ms[newer - 1] > last_ms)
        newer--;
    size_t after = window->float_high - newer; /* floats behind the last histogram */
    if (after >= 2 || histograms + float_count(window) < 2)
        return;
    int64_t before_ms = histograms >= 2 ? samples->histogram_times_ms[window->high - 2] : INT64_MIN;
    bool float_before = newer > window->float_low && samples->times_ms[newer - 1] > before_ms;
    if (after == 1 || float_before)
        refuse_mixed_kinds(window);
    else
        change(window, range);
}

/* ---- a step ---- */
static void apply_step(const struct window *window, const struct query_histogram_range *range)
{
    bool both = float_count(window) > 0;
    switch (window->function) {
    case QUERY_FN_RATE:
    case QUERY_FN_INCREASE:
    case QUERY_FN_DELTA:
        if (both)
            refuse_mixed_kinds(window);
        else
            change(window, range);
        return;
    case QUERY_FN_IRATE:
    case QUERY_FN_IDELTA:
        change_last_two(window, range);
        return;
    case QUERY_FN_CHANGES:
    case QUERY_FN_RESETS:
        count_events(window, range->resets);
        return;
    case QUERY_FN_SUM:
    case QUERY_FN_AVG:
        add_up(window);
        return;
    case QUERY_FN_COUNT:
        give_number(window, (both ? window->row->values[window->step] : 0) +
                                (double)histogram_count(window));
        return;
    case QUERY_FN_PRESENT:
        give_number(window, 1);
        return;
    case QUERY_FN_FIRST:
    case QUERY_FN_LAST:
        pick(window, window->function == QUERY_FN_FIRST, false);
        return;
    case QUERY_FN_TS_OF_FIRST:
    case QUERY_FN_TS_OF_LAST:
        pick(window, window->function == QUERY_FN_TS_OF_FIRST, true);
        return;
    default:
        if (both)
            query_annotate_ignored_in_range(window->exec, window->row->argument,
                                            window->row->labels);
        return;
    }
}

/* ---- anchored windows of changes() and resets() ---- */
static bool counts_from_anchor(const struct window *window,
                               const struct query_histogram_range *range)
{
    return range->windows.extension == QUERY_ANCHORED &&
           (window->function == QUERY_FN_CHANGES || window->function == QUERY_FN_RESETS);
}

/* The anchor is one sample, of whichever kind is newer; the window of each kind took one of its
 * own. */
static void anchor(struct window *window, const struct query_histogram_range *range)
{
    const struct query_samples *samples = window->row->samples;
    const struct query_windows *windows = &range->windows;
    int64_t end_ms = windows->first_end_ms + (int64_t)window->step * windows->end_step_ms;
    int64_t start_ms = end_ms - windows->range_ms, oldest_ms = start_ms - windows->reach_ms;
    while (window->float_low < window->float_high &&
           samples->times_ms[window->float_low] <= start_ms)
        window->float_low++;
    while (window->low < window->high && samples->histogram_times_ms[window->low] <= start_ms)
        window->low++;
    if (float_count(window) + histogram_count(window) == 0)
        return;
    int64_t number_ms =
        window->float_low > 0 ? samples->times_ms[window->float_low - 1] : INT64_MIN;
    int64_t histogram_ms =
        window->low > 0 ? samples->histogram_times_ms[window->low - 1] : INT64_MIN;
    if (number_ms > histogram_ms && number_ms > oldest_ms)
        window->float_low--;
    else if (histogram_ms > number_ms && histogram_ms > oldest_ms)
        window->low--;
}

/* ---- a series ---- */

/* Each histogram is compared with the one before once, however many windows it is in. */
static void find_resets(struct query_histogram_range *range, const struct query_samples *samples,
                        enum query_function_id function)
{
    if (function != QUERY_FN_RATE && function != QUERY_FN_INCREASE && function != QUERY_FN_IRATE &&
        function != QUERY_FN_RESETS)
        return;
    if (samples->histogram_count > range->reset_capacity) {
        range->reset_capacity = samples->histogram_count * 2;
        range->resets = realloc(range->resets, range->reset_capacity * sizeof *range->resets);
        TW_ASSERT(range->resets != NULL); /* bounded by the limit on samples */
    }
    for (size_t i = 0; i < samples->histogram_count; i++)
        range->resets[i] = i > 0 && query_histogram_is_reset(range->scratch, samples->histograms[i],
                                                             samples->histograms[i - 1]);
}

static enum tw_code begin(struct query_histogram_range *range, struct query_exec *exec,
                          const struct query_windows *floats, struct tw_err *err)
{
    if (!range->scratch)
        range->scratch = tw_arena_new(4096);
    if (range->begun)
        return TW_OK;
    range->begun = true;
    enum tw_code code =
        query_windows_begin(&range->windows, exec, floats->first_end_ms, floats->end_step_ms,
                            floats->range_ms, floats->steps, false, err);
    range->windows.extension = floats->extension;
    range->windows.reach_ms = floats->reach_ms;
    return code;
}

enum tw_code query_histogram_range_apply(struct query_histogram_range *range,
                                         struct query_exec *exec,
                                         const struct query_histogram_range_row *row,
                                         struct tw_err *err)
{
    const struct query_samples *samples = row->samples;
    enum tw_code code = begin(range, exec, row->floats, err);
    if (code)
        return code;
    tw_arena_reset(range->scratch);
    query_windows_fit(&range->windows, samples->histogram_times_ms, samples->histogram_count, 0);
    struct window window = {.exec = exec,
                            .row = row,
                            .scratch = range->scratch,
                            .function = row->op->node->call.function->id};
    find_resets(range, samples, window.function);
    for (size_t s = 0; !code && s < range->windows.steps; s++) {
        window.step = s;
        window.low = range->windows.low[s];
        window.high = range->windows.high[s];
        window.float_low = samples->count ? row->floats->low[s] : 0;
        window.float_high = samples->count ? row->floats->high[s] : 0;
        if (window.float_high < window.float_low)
            window.float_high = window.float_low;
        bool anchors = counts_from_anchor(&window, range);
        if (anchors)
            anchor(&window, range);
        if (window.high <= window.low && !(anchors && float_count(&window) > 0))
            continue;
        tw_arena_reset(range->scratch);
        apply_step(&window, range);
        code = query_exec_worked(exec,
                                 (window.high > window.low
                                      ? query_histogram_weight(samples->histograms[window.low])
                                      : 1) +
                                     window.high - window.low,
                                 err);
        if (!code)
            code = query_op_side_check(row->op, exec, err);
    }
    return code;
}
