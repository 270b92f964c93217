/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions over ranges: the window of a step is (t - offset - range, t - offset]. The samples come
 * from the store, or from a subquery: an inner plan on a grid of its own.
 */
#include "config.h"

#include "query/operators.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "query/grouping.h"
#include "query/histogram_range.h"
#include "query/keeping.h"
#include "query/labelset.h"
#include "query/range_kernel.h"
#include "query/samples.h"
#include "query/sliding.h"
#include "query/subquery.h"
#include "query/windows.h"

/* A century: further ahead nobody asks in earnest, and times stay far from their limits. */
#define HORIZON_SECONDS_MAX 3.2e9

struct range {
    struct query_op op;
    const struct query_node *matrix; /* selector or subquery */
    struct query_source source;
    struct query_op *subquery; /* NULL: samples come from the store */
    struct query_tile tile;    /* of the subquery */
    size_t tile_at;
    struct query_grid inner_grid;
    struct query_op *parameters[2];
    const double *parameter_rows[2];
    int64_t start_ms, end_ms; /* of everything the run will ask for */
    int64_t range_ms, first_end_ms, end_step_ms;
    enum query_extension extension;
    int64_t before_ms, behind_ms; /* how far beyond the window's edges samples count */
    query_range_kernel *kernel;
    struct query_windows windows;
    struct query_keeping_run keeping;
    bool shares_keeping;                 /* it is another's */
    bool was_annotated;                  /* what is said once for all series, was */
    struct query_histogram_range native; /* for series with histograms */
    struct query_samples
        scratch; /* room for kernels: times as uint32 queue, values as sort buffer */
    struct query_sliding sliding;
};

static const struct query_modifiers *modifiers_of(const struct query_node *matrix)
{
    return matrix->type == QUERY_NODE_SUBQUERY ? &matrix->subquery.modifiers
                                               : &matrix->matrix.selector->selector.modifiers;
}

static void place_windows(struct range *range, const struct query_exec *exec)
{
    const struct query_modifiers *modifiers = modifiers_of(range->matrix);
    const struct query_grid *grid = &range->op.grid;
    int64_t at_ms = modifiers->at == QUERY_AT_TIME    ? modifiers->at_ms
                    : modifiers->at == QUERY_AT_START ? exec->start_ms
                    : modifiers->at == QUERY_AT_END   ? exec->end_ms
                                                      : grid->start_ms;
    range->first_end_ms = at_ms - modifiers->offset_ms;
    range->end_step_ms = modifiers->at == QUERY_AT_NONE ? grid->step_ms : 0;
}

static bool forecasts(const struct range *range)
{
    return query_range_forecasts(range->op.node->call.function->id);
}

/* from_ms: samples behind it are wanted, in left-open windows. */
static enum tw_code open_subquery_from(struct range *range, struct query_exec *exec,
                                       int64_t from_ms, struct tw_err *err)
{
    int64_t last_end_ms =
        range->first_end_ms + (int64_t)(range->op.grid.steps - 1) * range->end_step_ms;
    range->tile = (struct query_tile){0};
    range->tile_at = 0;
    if (forecasts(range) && last_end_ms > exec->now_ms)
        last_end_ms = exec->now_ms;
    if (!query_subquery_grid(range->matrix, exec->subquery_step_ms, from_ms + range->range_ms,
                             last_end_ms, &range->inner_grid)) {
        range->inner_grid.steps = 0; /* no step of the inner grid falls into any window */
        return TW_OK;
    }
    return query_op_open(range->subquery, exec, range->inner_grid, err);
}

static struct wire_labels labels_of(const struct range *range, size_t series)
{
    return range->subquery ? range->subquery->labels[series]
                           : tsdb_selection_labels(range->source.selection, series);
}

static enum tw_code open_selector_from(struct range *range, struct query_exec *exec,
                                       int64_t from_ms, struct tw_err *err)
{
    const struct query_node *function = range->op.node;
    struct tsdb_grouping grouping;
    /* Only the metric's name, when it is one, is needed of the labels otherwise. */
    bool grouped = !range->keeping.kept &&
                   query_grouping_hint(&range->op, exec->arena, &grouping) &&
                   query_selector_metric(range->matrix->matrix.selector).size > 0;
    const struct tsdb_hints hints = {
        .step_ms = range->op.grid.steps > 1 ? range->op.grid.step_ms : 0,
        .range_ms = range->range_ms,
        .function = tw_str(function->call.function->name),
        .grouping = grouped ? &grouping : NULL,
    };
    return query_source_open(&range->source, exec, range->matrix->matrix.selector, from_ms,
                             range->end_ms, &hints, err);
}

static enum tw_code open_from(struct range *range, struct query_exec *exec, int64_t from_ms,
                              size_t *ret_count, struct tw_err *err)
{
    enum tw_code code = range->subquery ? open_subquery_from(range, exec, from_ms, err)
                                        : open_selector_from(range, exec, from_ms, err);
    *ret_count = code                      ? 0
                 : !range->subquery        ? tsdb_selection_count(range->source.selection)
                 : range->inner_grid.steps ? range->subquery->series_count
                                           : 0;
    return code;
}

static size_t count_without_model(const struct range *range, size_t count)
{
    const struct query_keeping_run *keeping = &range->keeping;
    size_t without = 0;
    for (size_t i = 0; i < count; i++)
        without += !query_kept_has(keeping->kept, keeping->subject, labels_of(range, i),
                                   keeping->basis_ms);
    return without;
}

/* Opens the input from where on is enough for the models that are kept, or for sketches of many
 * series that have none. It is not short when neither will do. */
static enum tw_code open_short(struct range *range, struct query_exec *exec, int64_t from_ms,
                               size_t *ret_count, struct tw_err *err)
{
    struct query_keeping_run *keeping = &range->keeping;
    int64_t since_ms;
    enum tw_code code = TW_OK;
    bool some_kept =
        query_kept_since(keeping->kept, keeping->subject, keeping->basis_ms, &since_ms);
    if (some_kept && since_ms > from_ms) {
        code = open_from(range, exec, since_ms, ret_count, err);
        keeping->is_short = !code && count_without_model(range, *ret_count) == 0;
        if (!keeping->is_short)
            query_source_close(&range->source);
    }
    if (code || keeping->is_short || !range->subquery || keeping->how != QUERY_KEEPING_KEEPS)
        return code;
    /* All series of a subquery are worked out at once. */
    int64_t sketch_ms = keeping->basis_ms - query_sketch_reach(range->range_ms, exec->lookback_ms);
    sketch_ms = some_kept && since_ms < sketch_ms ? since_ms : sketch_ms;
    code = open_from(range, exec, sketch_ms, ret_count, err);
    keeping->is_short = !code && count_without_model(range, *ret_count) > keeping->learns_left;
    return code;
}

static enum tw_code open_input(struct range *range, struct query_exec *exec, size_t *ret_count,
                               struct tw_err *err)
{
    const struct query_keeping_run *keeping = &range->keeping;
    int64_t from_ms = range->subquery ? range->first_end_ms - range->before_ms - range->range_ms
                                      : range->start_ms;
    enum tw_code code = TW_OK;
    if (keeping->kept && keeping->how != QUERY_KEEPING_RENEWS && !range->source.selection)
        code = open_short(range, exec, from_ms, ret_count, err);
    if (!code && !keeping->is_short)
        code = open_from(range, exec, from_ms, ret_count, err);
    if (!code && !range->subquery)
        tsdb_selection_groups(range->source.selection, &range->op.groups);
    return code;
}

static bool extrapolates(const struct range *range)
{
    enum query_function_id function = range->op.node->call.function->id;
    bool change =
        function == QUERY_FN_RATE || function == QUERY_FN_INCREASE || function == QUERY_FN_DELTA;
    return change && range->extension == QUERY_EXTENSION_NONE;
}

/* Also looks up how far an extension reaches. */
static enum tw_code check_extension(struct range *range, struct query_exec *exec,
                                    struct tw_err *err)
{
    const struct query_function *function = range->op.node->call.function;
    range->before_ms = range->extension == QUERY_EXTENSION_NONE
                           ? query_range_reach(function->id, range->range_ms)
                           : exec->lookback_ms;
    range->behind_ms = range->extension == QUERY_SMOOTHED ? exec->lookback_ms : 0;
    if (forecasts(range) && range->first_end_ms > exec->now_ms)
        range->before_ms += range->first_end_ms - exec->now_ms;
    if (query_range_extension_allowed(function->id, range->extension))
        return TW_OK;
    bool anchored = range->extension == QUERY_ANCHORED;
    return query_exec_fail(
        exec, range->op.node, err, "%s modifier can only be used with: %s - not with %s",
        anchored ? "anchored" : "smoothed",
        anchored ? "changes, delta, increase, rate, resets" : "delta, increase, rate",
        function->name);
}

static enum tw_code begin_windows(struct range *range, struct query_exec *exec, struct tw_err *err)
{
    range->windows.extension = range->extension;
    range->windows.reach_ms = range->before_ms;
    range->native.begun = false;
    return query_windows_begin(&range->windows, exec, range->first_end_ms, range->end_step_ms,
                               range->range_ms, range->op.grid.steps, extrapolates(range), err);
}

static enum tw_code open_parameters(struct range *range, struct query_exec *exec,
                                    struct tw_err *err)
{
    enum tw_code code = TW_OK;
    for (size_t p = 0; !code && p < 2; p++)
        if (range->parameters[p])
            code = query_op_row(range->parameters[p], exec, range->op.grid,
                                &range->parameter_rows[p], err);
    return code;
}

/* The horizon says which models may serve: so parameters come first. */
static enum tw_code begin_keeping(struct range *range, struct query_exec *exec, struct tw_err *err)
{
    size_t last = range->op.grid.steps - 1;
    enum tw_code code = open_parameters(range, exec, err);
    if (code)
        return code;
    const double *horizons =
        range->parameter_rows[range->op.node->call.function->id == QUERY_FN_FORECAST_QUANTILE];
    double horizon = horizons ? horizons[last] : 0;
    query_keeping_end(&range->keeping);
    if (horizon >= 0 && horizon < HORIZON_SECONDS_MAX && !range->shares_keeping)
        query_keeping_begin(&range->keeping, exec, range->op.node, range->matrix, range->range_ms,
                            range->first_end_ms,
                            range->first_end_ms + (int64_t)last * range->end_step_ms, horizon);
    return TW_OK;
}

static enum tw_code range_open(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                               struct tw_err *err)
{
    struct range *range = (struct range *)op;
    enum query_function_id function = op->node->call.function->id;
    size_t count;
    (void)grid; /* op has it */
    range->was_annotated = false;
    place_windows(range, exec);
    enum tw_code code = check_extension(range, exec, err);
    if (!code && forecasts(range))
        code = begin_keeping(range, exec, err);
    if (!code)
        code = open_input(range, exec, &count, err);
    if (!code)
        code = query_op_begin(op, exec, count, true, err);
    if (!code)
        code = begin_windows(range, exec, err);
    if (!code && !forecasts(range))
        code = open_parameters(range, exec, err);
    if (code)
        return code;
    bool keep_name = function == QUERY_FN_LAST || function == QUERY_FN_FIRST;
    for (size_t i = 0; i < count && op->labels; i++) {
        struct wire_labels labels = range->subquery
                                        ? range->subquery->labels[i]
                                        : tsdb_selection_labels(range->source.selection, i);
        op->labels[i] =
            keep_name ? query_labels_save_name(labels) : query_labels_lose_name(exec, labels);
    }
    return TW_OK;
}

/* What a histogram says of the sample before it in the store is not true of the point before it in
 * the subquery. */
static const struct query_histogram *forget_reset(struct range *range,
                                                  const struct query_histogram *histogram)
{
    if (histogram->hint == WIRE_RESET_UNKNOWN || histogram->hint == WIRE_RESET_GAUGE)
        return histogram;
    struct query_histogram *copy = tw_arena_alloc(query_op_side(&range->op), sizeof *copy);
    *copy = *histogram;
    copy->hint = WIRE_RESET_UNKNOWN;
    return copy;
}

/* The points of the subquery's next series, as samples. */
static enum tw_code read_subquery(struct range *range, struct query_exec *exec, struct tw_err *err)
{
    struct query_samples *samples = &range->source.samples;
    if (range->tile_at == range->tile.count) {
        enum tw_code code = query_op_next(range->subquery, exec, &range->tile, err);
        if (code)
            return code;
        TW_ASSERT(range->tile.count > 0);
        range->tile_at = 0;
    }
    const double *values = range->tile.values + range->tile_at * range->tile.stride;
    const uint64_t *present = range->tile.present + range->tile_at * range->tile.words;
    query_samples_clear(samples);
    query_samples_reserve(samples, range->inner_grid.steps);
    QUERY_EACH_STEP(s, present, range->inner_grid.steps)
    {
        samples->own_times_ms[samples->count] = query_grid_time(&range->inner_grid, s);
        samples->own_values[samples->count++] = values[s];
    }
    for (size_t s = 0; range->tile.histograms && s < range->inner_grid.steps; s++) {
        const struct query_histogram *histogram =
            query_tile_histogram(&range->tile, range->tile_at, s);
        if (histogram)
            query_samples_add_histogram(samples, query_grid_time(&range->inner_grid, s),
                                        forget_reset(range, histogram));
    }
    range->tile_at++;
    return query_exec_worked(exec, samples->count, err);
}

/* from_ms: where reading begins; samples before it may come, too. */
static enum tw_code read_series(struct range *range, struct query_exec *exec, size_t series,
                                int64_t from_ms, struct tw_err *err)
{
    if (range->subquery)
        return read_subquery(range, exec, err);
    int64_t last_end_ms =
        range->first_end_ms + (int64_t)(range->op.grid.steps - 1) * range->end_step_ms;
    return query_source_read(&range->source, &range->op, exec, series, from_ms,
                             last_end_ms + range->behind_ms, false, err);
}

/* Where annotations point: at the first argument; but at the start of the query for a subquery,
 * which in Prometheus has lost its place by then. */
static const struct query_node *place_of(const struct range *range)
{
    static const struct query_node start = {0};
    return range->subquery ? &start : range->op.node->call.arguments[0];
}

/* Prometheus's hint that a rate was taken of what is perhaps no counter. */
static void annotate_counter(struct range *range, struct query_exec *exec, size_t series)
{
    static const char *const suffixes[] = {"_total", "_sum", "_count", "_bucket"};
    enum query_function_id function = range->op.node->call.function->id;
    if (function != QUERY_FN_RATE && function != QUERY_FN_INCREASE)
        return;
    struct tw_str name, type = {0};
    if (range->op.groups.group_of) {
        if (range->was_annotated) /* they are all of one metric */
            return;
        range->was_annotated = true;
        name = query_selector_metric(range->matrix->matrix.selector);
    } else {
        struct wire_labels labels = range->subquery
                                        ? range->subquery->labels[series]
                                        : tsdb_selection_labels(range->source.selection, series);
        name = wire_labels_get(labels, TW_STR(WIRE_METRIC_NAME));
        type = wire_labels_get(labels, TW_STR(WIRE_METRIC_TYPE));
    }
    if (exec->reads_types) {
        if (name.size > 0 && !tw_str_is(type, "counter") && !tw_str_is(type, "histogram"))
            query_annotate(exec->annotations, QUERY_INFO, place_of(range),
                           "metric might not be a counter, __type__ label is not set to "
                           "\"counter\" or \"histogram\", got \"%.*s\": \"%.*s\"",
                           TW_STR_ARG(type), TW_STR_ARG(name));
        return;
    }
    bool counter = name.size == 0;
    for (size_t i = 0; i < 4; i++)
        counter = counter || tw_str_ends(name, tw_str(suffixes[i]));
    if (!counter)
        query_annotate(exec->annotations, QUERY_INFO, place_of(range),
                       "metric might not be a counter, name does not end in "
                       "_total/_sum/_count/_bucket: \"%.*s\"",
                       TW_STR_ARG(name));
}

static enum tw_code check_parameters(const struct range *range, struct query_exec *exec,
                                     struct tw_err *err)
{
    enum query_function_id function = range->op.node->call.function->id;
    for (size_t s = 0; s < range->op.grid.steps; s++) {
        double first = range->parameter_rows[0] ? range->parameter_rows[0][s] : 0;
        double second = range->parameter_rows[1] ? range->parameter_rows[1][s] : 0;
        if (function == QUERY_FN_QUANTILE)
            query_exec_check_quantile(exec, range->op.node->call.arguments[0], first);
        if (function == QUERY_FN_FORECAST_QUANTILE)
            query_exec_check_quantile(exec, range->op.node->call.arguments[0], first);
        double horizon = function == QUERY_FN_FORECAST ? first : second;
        if ((function == QUERY_FN_FORECAST || function == QUERY_FN_FORECAST_QUANTILE) &&
            !(horizon >= 0 && horizon < HORIZON_SECONDS_MAX))
            return query_exec_fail(exec, range->op.node, err,
                                   "invalid forecast horizon. Expected: 0 <= seconds < %g, got: %f",
                                   HORIZON_SECONDS_MAX, horizon);
        if (function != QUERY_FN_SMOOTHING)
            continue;
        if (!(first > 0 && first < 1))
            return query_exec_fail(exec, range->op.node, err,
                                   "invalid smoothing factor. Expected: 0 < sf < 1, got: %f",
                                   first);
        if (!(second > 0 && second < 1))
            return query_exec_fail(exec, range->op.node, err,
                                   "invalid trend factor. Expected: 0 < tf < 1, got: %f", second);
    }
    return TW_OK;
}

/* What the series' histograms give, or take from what its floats gave. */
static enum tw_code apply_histograms(struct range *range, struct query_exec *exec,
                                     struct query_tile *tile, size_t r, struct tw_err *err)
{
    size_t series = tile->first + r;
    enum tw_code code =
        tile->histograms ? TW_OK : query_op_add_histograms(&range->op, exec, tile, err);
    if (code)
        return code;
    struct wire_label name = {TW_STR(WIRE_METRIC_NAME), {0}};
    struct wire_labels labels = {&name, 1};
    if (range->op.groups.group_of)
        name.value = query_selector_metric(range->matrix->matrix.selector);
    else
        labels = range->subquery ? range->subquery->labels[series]
                                 : tsdb_selection_labels(range->source.selection, series);
    const struct query_histogram_range_row row = {
        .op = &range->op,
        .argument = place_of(range),
        .labels = labels,
        .samples = &range->source.samples,
        .floats = &range->windows,
        .values = tile->values + r * tile->stride,
        .present = tile->present + r * tile->words,
        .histograms = tile->histograms + r * tile->stride,
    };
    return query_histogram_range_apply(&range->native, exec, &row, err);
}

static void tally(const struct range *range, struct query_exec *exec)
{
    query_tally_windows(exec, &range->op, &range->windows, &range->source.samples,
                        range->first_end_ms, range->end_step_ms, range->range_ms);
}

/* The samples that were read, in row r of the tile. keepsake: NULL when nothing is kept. */
static enum tw_code apply_kernel(struct range *range, struct query_exec *exec,
                                 struct query_tile *tile, size_t r, struct query_keepsake *keepsake,
                                 struct tw_err *err)
{
    const struct query_samples *samples = &range->source.samples;
    enum tw_code code = TW_OK;
    query_windows_fit(&range->windows, samples->times_ms, samples->count, samples->times_id);
    tally(range, exec);
    query_samples_reserve(&range->scratch, samples->count);
    struct query_range_row row = {
        .times_ms = samples->times_ms,
        .values = samples->values,
        .weights = samples->has_weights ? samples->weights : NULL,
        .count = samples->count,
        .low = range->windows.low,
        .high = range->windows.high,
        .windows = &range->windows,
        .steps = range->op.grid.steps,
        .first_end_ms = range->first_end_ms,
        .end_step_ms = range->end_step_ms,
        .range_ms = range->range_ms,
        .grid = range->op.grid,
        .first = range->parameter_rows[0],
        .second = range->parameter_rows[1],
        .scratch = (uint32_t *)(void *)range->scratch.own_times_ms,
        .sorted = range->scratch.own_values,
        .sliding = &range->sliding,
        .out = tile->values + r * tile->stride,
        .present = tile->present + r * tile->words,
        .keepsake = keepsake,
        .exec = exec,
        .node = range->op.node,
        .err = err,
        .failed = &code,
    };
    range->kernel(&row);
    return code;
}

/* Reads as much of a series as a sketch needs; *ret_ended: there is nothing to forecast. */
static enum tw_code read_newest(struct range *range, struct query_exec *exec, size_t series,
                                bool *ret_ended, struct tw_err *err)
{
    const struct query_samples *samples = &range->source.samples;
    int64_t basis_ms = range->keeping.basis_ms;
    int64_t alive_ms = query_learner_alive_ms(range->range_ms, exec->lookback_ms);
    int64_t reach_ms = query_sketch_reach(range->range_ms, exec->lookback_ms);
    enum tw_code code = read_series(range, exec, series, basis_ms - reach_ms, err);
    if (!code && !range->subquery && samples->count == 0 && reach_ms < alive_ms)
        code = read_series(range, exec, series, basis_ms - alive_ms, err);
    *ret_ended =
        code || samples->count == 0 || samples->times_ms[samples->count - 1] <= basis_ms - alive_ms;
    return code;
}

/* is_read: the samples are there, of a subquery all that there are. */
static enum tw_code forecast_anew(struct range *range, struct query_exec *exec,
                                  struct query_tile *tile, size_t r,
                                  struct query_keepsake *keepsake, bool is_read, struct tw_err *err)
{
    size_t series = tile->first + r;
    bool ended = false;
    enum tw_code code = is_read ? TW_OK : read_newest(range, exec, series, &ended, err);
    if (code || ended)
        return code;
    switch (query_keeping_begin_anew(&range->keeping, labels_of(range, series), keepsake)) {
    case QUERY_KEEPING_LEARN:
        if (!range->subquery)
            code = read_series(range, exec, series,
                               range->first_end_ms - range->range_ms - range->before_ms, err);
        break;
    case QUERY_KEEPING_SKETCH:
        query_annotate(exec->annotations, QUERY_INFO, range->op.node,
                       "some forecasts are provisional, made from the newest values alone: the "
                       "models of their series are still to be learned");
        break;
    case QUERY_KEEPING_NOTHING:
        return TW_OK;
    }
    if (!code && range->source.samples.count)
        code = apply_kernel(range, exec, tile, r, keepsake, err);
    query_keeping_give(&range->keeping, labels_of(range, series), keepsake);
    return code;
}

static enum tw_code forecast_series(struct range *range, struct query_exec *exec,
                                    struct query_tile *tile, size_t r, struct tw_err *err)
{
    struct query_keepsake keepsake;
    size_t series = tile->first + r;
    int64_t from_ms;
    enum tw_code code = TW_OK;
    switch (query_keeping_take(&range->keeping, labels_of(range, series), &keepsake, &from_ms)) {
    case QUERY_KEEPING_SKIP:
        return range->subquery ? read_series(range, exec, series, 0, err) : TW_OK;
    case QUERY_KEEPING_WITHOUT:
        return forecast_anew(range, exec, tile, r, &keepsake, false, err);
    case QUERY_KEEPING_GO_ON:
        break;
    }
    code = read_series(range, exec, series, from_ms, err);
    if (!code && range->source.samples.count)
        code = apply_kernel(range, exec, tile, r, &keepsake, err);
    bool unready = keepsake.is_unready;
    query_keeping_give(&range->keeping, labels_of(range, series), &keepsake);
    if (code || !unready)
        return code;
    return forecast_anew(range, exec, tile, r, &keepsake, range->subquery != NULL, err);
}

static enum tw_code range_next(struct query_op *op, struct query_exec *exec,
                               struct query_tile *ret_tile, struct tw_err *err)
{
    struct range *range = (struct range *)op;
    *ret_tile = query_op_batch(op);
    bool checked = range->keeping.kept != NULL;
    if (!range->subquery)
        query_source_expect(&range->source, ret_tile);
    enum tw_code code = checked && ret_tile->count > 0 ? check_parameters(range, exec, err) : TW_OK;
    for (size_t r = 0; !code && r < ret_tile->count; r++) {
        if (range->keeping.kept) {
            code = forecast_series(range, exec, ret_tile, r, err);
            continue;
        }
        code = read_series(range, exec, ret_tile->first + r,
                           range->first_end_ms - range->range_ms - range->before_ms, err);
        const struct query_samples *samples = &range->source.samples;
        if (code)
            return code;
        if (samples->count + samples->histogram_count == 0)
            continue;
        if (samples->count == 0)
            tally(range, exec);
        if (!checked && (code = check_parameters(range, exec, err)))
            return code;
        checked = true;
        if (samples->count == 0) {
            code = apply_histograms(range, exec, ret_tile, r, err);
            if (code)
                return code;
            if (query_op_side_is_full(op))
                query_op_cut(op, ret_tile, r + 1);
            continue;
        }
        code = apply_kernel(range, exec, ret_tile, r, NULL, err);
        if (!code && samples->histogram_count)
            code = apply_histograms(range, exec, ret_tile, r, err);
        if (!code && query_bits_any(ret_tile->present + r * ret_tile->words, ret_tile->words))
            annotate_counter(range, exec, ret_tile->first + r);
    }
    return code;
}

static void range_close(struct query_op *op)
{
    struct range *range = (struct range *)op;
    if (!range->shares_keeping)
        query_keeping_end(&range->keeping);
    query_source_close(&range->source);
    query_windows_fini(&range->windows);
    query_histogram_range_fini(&range->native);
    query_samples_fini(&range->scratch);
    query_sliding_fini(&range->sliding);
}

static enum tw_code range_share(struct query_op *op, const struct query_op *from,
                                struct query_exec *exec, struct tw_err *err)
{
    struct range *range = (struct range *)op;
    const struct range *first = (const struct range *)from;
    range->first_end_ms = first->first_end_ms;
    range->end_step_ms = first->end_step_ms;
    range->before_ms = first->before_ms;
    range->behind_ms = first->behind_ms;
    range->keeping = first->keeping;
    range->shares_keeping = true;
    range->was_annotated = false;
    for (size_t p = 0; p < 2; p++)
        range->parameter_rows[p] = first->parameter_rows[p];
    enum tw_code code = begin_windows(range, exec, err);
    return code ? code : query_source_share(&range->source, &first->source, err);
}

static const struct query_op_ops range_ops = {
    .name = "range",
    .open = range_open,
    .next = range_next,
    .close = range_close,
};

struct query_op *query_range_op(struct tw_arena *arena, const struct query_node *node,
                                const struct query_node *matrix, struct query_op *subquery,
                                int64_t start_ms, int64_t end_ms, struct query_op *first,
                                struct query_op *second)
{
    struct range *range = TW_ARENA_NEW(arena, struct range);
    range->op.ops = &range_ops;
    range->op.share = range_share;
    range->op.node = node;
    range->matrix = matrix;
    range->subquery = subquery;
    range->start_ms = start_ms;
    range->end_ms = end_ms;
    range->range_ms =
        matrix->type == QUERY_NODE_SUBQUERY ? matrix->subquery.range_ms : matrix->matrix.range_ms;
    range->parameters[0] = first;
    range->parameters[1] = second;
    if (matrix->type == QUERY_NODE_MATRIX)
        range->extension = matrix->matrix.selector->selector.extension;
    range->kernel = query_range_kernel_find(node->call.function->id, range->extension);
    return &range->op;
}
