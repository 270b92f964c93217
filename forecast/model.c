/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "forecast/model_int.h"
#include "forecast/sort.h"

#define STEP_MS_MAX (7 * (int64_t)86400000)
#define RECALLED_PERIODS 3    /* that have to agree, by their median, on what comes at this phase */
#define STRENGTH_RECALLED 0.3 /* of a season that is worth recalling */
#define STRENGTH_NAMED 0.1    /* of one that is told */
#define DRIFT_SPAN 200.0
#define DRIFT_RATIO 1.5 /* recent loss above the fitted one that asks for a new fit */
#define BAND_SHARE 0.999

/* ---- life ---- */

size_t forecast_model_memory(const struct forecast_state *shape, size_t node_count)
{
    return sizeof(struct forecast_model) + node_count * sizeof(struct forecast_node) +
           forecast_state_halves(shape) * sizeof(uint16_t);
}

struct forecast_model *forecast_model_create(const struct forecast_state *shape, size_t node_count)
{
    struct forecast_model *model = calloc(1, forecast_model_memory(shape, node_count));
    TW_ASSERT(model != NULL);
    model->magic = FORECAST_MODEL_MAGIC;
    model->node_count = node_count;
    model->nodes = (struct forecast_node *)(model + 1);
    model->state = *shape;
    forecast_state_place(&model->state, (uint16_t *)(model->nodes + node_count));
    return model;
}

static enum tw_code check_options(const struct forecast_options *options, struct tw_err *err)
{
    if (options->step_ms < 1 || options->step_ms > STEP_MS_MAX)
        return tw_err_set(err, TW_BAD_DATA,
                          "the step between values is %lld ms; it has to be from 1 ms to 7 d",
                          (long long)options->step_ms);
    if (options->horizon < 1 || options->horizon > FORECAST_HORIZON_MAX)
        return tw_err_set(err, TW_BAD_DATA,
                          "a horizon of %zu steps is asked for; it has to be from 1 to %d",
                          options->horizon, FORECAST_HORIZON_MAX);
    if (options->peak_horizon > options->horizon)
        return tw_err_set(err, TW_BAD_DATA,
                          "the peak over %zu steps is asked for, the horizon is %zu",
                          options->peak_horizon, options->horizon);
    if (options->lower_bound != options->lower_bound || options->lower_bound == INFINITY)
        return tw_err_set(err, TW_BAD_DATA, "the lower bound has to be a number or -Inf");
    if (options->has_upper_bound && !(options->upper_bound > options->lower_bound))
        return tw_err_set(err, TW_BAD_DATA, "the upper bound %g has to be above the lower bound %g",
                          options->upper_bound, options->lower_bound);
    return TW_OK;
}

/* Lays the seasons whose past a model has room for; the longest go first when there is too little.
 * ret_ring: values that are kept. */
static void lay_seasons(struct forecast_series *series, const struct forecast_options *options,
                        const struct forecast_period *periods, size_t count, size_t *ret_ring)
{
    size_t leads[FORECAST_NODES_MAX], nodes = forecast_fit_leads(options->horizon, leads);
    for (size_t used = count;; used--) {
        struct forecast_series shaped = {
            .step_ms = series->step_ms, .smooth_half = series->smooth_half, .season_count = used};
        for (size_t k = 0; k < used; k++) {
            struct forecast_season *season = &shaped.seasons[k];
            season->period = periods[k].period;
            season->weekly = periods[k].weekly;
            season->cell_size = forecast_cell_size(series->step_ms, season->period);
            season->cells = season->period / season->cell_size;
        }
        struct forecast_state shape;
        forecast_state_shape(&shape, &shaped, forecast_state_reach(&shaped, options->horizon));
        size_t bytes = forecast_model_memory(&shape, nodes);
        if (used && bytes > FORECAST_MODEL_BYTES_MAX)
            continue;
        for (size_t k = 0; k < used; k++)
            forecast_series_add_season(series, periods[k].period, periods[k].weekly);
        forecast_series_add_winters(series);
        /* What is left over holds some periods more, for those who recall them. */
        size_t more = bytes < FORECAST_MODEL_BYTES_MAX ? FORECAST_MODEL_BYTES_MAX - bytes : 0;
        size_t wish = used ? RECALLED_PERIODS * periods[used - 1].period + options->horizon + 3 : 0;
        *ret_ring = shape.ring_size + more / sizeof(uint16_t);
        if (*ret_ring > wish)
            *ret_ring = wish > shape.ring_size ? wish : shape.ring_size;
        return;
    }
}

static struct forecast_model *fit(struct forecast_series *series,
                                  const struct forecast_options *options)
{
    struct forecast_period periods[FORECAST_SEASONS_MAX] = {0};
    size_t ring, period_count = forecast_season_find(series, options->horizon, periods);
    lay_seasons(series, options, periods, period_count, &ring);
    struct forecast_fit *fit = malloc(sizeof *fit);
    TW_ASSERT(fit != NULL);
    forecast_fit(series, options->horizon,
                 options->peak_horizon ? options->peak_horizon : options->horizon, fit);
    struct forecast_state shape;
    forecast_state_shape(&shape, series, ring);
    struct forecast_model *model = forecast_model_create(&shape, fit->node_count);
    forecast_state_load(&model->state, series);
    memcpy(model->nodes, fit->nodes, fit->node_count * sizeof *model->nodes);
    memcpy(model->periods, periods, sizeof periods);
    model->period_count = period_count;
    model->has_peak = fit->has_peak;
    model->widen = fit->widen;
    if (fit->has_peak)
        model->peak = fit->peak;
    model->fitted_loss = fit->loss;
    model->fitted_count = series->count;
    model->options = *options;
    if (!model->options.peak_horizon)
        model->options.peak_horizon = options->horizon;
    free(fit);
    return model;
}

enum tw_code forecast_model_new(const double *values, size_t count,
                                const struct forecast_options *options,
                                struct forecast_model **ret_model, struct tw_err *err)
{
    enum tw_code code = check_options(options, err);
    if (code != TW_OK)
        return code;
    if (count > FORECAST_VALUES_MAX)
        return tw_err_set(
            err, TW_LIMIT,
            "%zu values are given, at most %d are taken: use a longer step or less history", count,
            FORECAST_VALUES_MAX);
    struct forecast_series series;
    if (!forecast_series_init(&series, values, count, options->step_ms))
        return tw_err_set(err, TW_BAD_DATA,
                          "there is no number among the %zu values: nothing to forecast from",
                          count);
    *ret_model = fit(&series, options);
    forecast_series_fini(&series);
    return TW_OK;
}

struct forecast_model *forecast_model_free(struct forecast_model *model)
{
    if (!model)
        return NULL;
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    model->magic = 0;
    free(model);
    return NULL;
}

size_t forecast_model_seasons(const struct forecast_model *model, size_t *ret_periods)
{
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    size_t count = 0;
    for (size_t k = 0; k < model->period_count; k++)
        if (model->periods[k].strength >= STRENGTH_NAMED)
            ret_periods[count++] = model->periods[k].period;
    return count;
}

uint64_t forecast_model_count(const struct forecast_model *model)
{
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    return model->state.count;
}

bool forecast_model_fits(const struct forecast_model *model, const struct forecast_options *options)
{
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    const struct forecast_options *own = &model->options;
    size_t peak = options->peak_horizon ? options->peak_horizon : options->horizon;
    return own->step_ms == options->step_ms && own->horizon == options->horizon &&
           own->peak_horizon == peak && own->lower_bound == options->lower_bound &&
           own->has_upper_bound == options->has_upper_bound &&
           (!own->has_upper_bound || own->upper_bound == options->upper_bound);
}

/* ---- go on ---- */

/* The outlook for the next step, if there is a mixture for it. */
static bool look_next(const struct forecast_model *model, struct forecast_outlook *ret)
{
    if (!model->node_count)
        return false;
    struct forecast_column_reach reach = {0};
    *ret = forecast_outlook_at(model, &model->nodes[0], 1, &reach);
    return true;
}

static void take_loss(struct forecast_model *model, double value)
{
    struct forecast_outlook outlook;
    const struct forecast_state *state = &model->state;
    if (!forecast_usable(value) || state->scale <= 0 || !look_next(model, &outlook))
        return;
    double z = (value - state->centre) / state->scale;
    double middle = outlook.middle, size = outlook.size;
    double q50 = middle + size * (double)forecast_calibration_point(outlook.calibration, 0.5);
    double q95 = middle + size * (double)forecast_calibration_point(outlook.calibration, 0.95);
    double rate = forecast_rate(DRIFT_SPAN, ++model->recent_count);
    model->recent_loss += rate * (forecast_fit_loss(z, q50, q95) - model->recent_loss);
    model->recent_below += rate * ((z <= q95) - model->recent_below);
}

void forecast_model_append(struct forecast_model *model, double value)
{
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    take_loss(model, value);
    forecast_state_append(&model->state, value);
}

void forecast_model_drift(const struct forecast_model *model, struct forecast_drift *ret)
{
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    bool told = model->recent_count >= FORECAST_DRIFT_VALUES;
    double scale = model->state.scale;
    ret->appended = model->state.count - model->fitted_count;
    ret->fitted_loss = model->fitted_loss * scale;
    ret->recent_loss = told ? model->recent_loss * scale : NAN;
    ret->coverage95 = told ? model->recent_below : NAN;
    bool old = ret->appended > model->fitted_count / 4 + FORECAST_DRIFT_VALUES;
    /* A constant that moved, or a start that grew out of its first values, is old at once. */
    bool grown = !model->node_count && ret->appended >= FORECAST_DRIFT_VALUES;
    ret->refit = old || grown || (told && ret->recent_loss > DRIFT_RATIO * ret->fitted_loss);
}

/* Probability that a scaled error is below, and at or below, the given one. */
static void place_error(const struct forecast_calibration *calibration, double scaled,
                        double *ret_below, double *ret_upto)
{
    const float *points = calibration->points;
    size_t last = FORECAST_CALIBRATION_POINTS - 1, low = 0, high = last;
    while (low < last && (double)points[low + 1] < scaled)
        low++;
    while (high > 0 && (double)points[high - 1] > scaled)
        high--;
    *ret_below = forecast_calibration_position(low);
    *ret_upto = forecast_calibration_position(high);
    if (low < last && (double)points[low] < scaled)
        *ret_below += (scaled - (double)points[low]) / (double)(points[low + 1] - points[low]) *
                      (forecast_calibration_position(low + 1) - *ret_below);
    if (high > 0 && (double)points[high] > scaled)
        *ret_upto -= ((double)points[high] - scaled) / (double)(points[high] - points[high - 1]) *
                     (*ret_upto - forecast_calibration_position(high - 1));
}

double forecast_model_score(const struct forecast_model *model, double value)
{
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    const struct forecast_state *state = &model->state;
    struct forecast_outlook outlook;
    double below, upto;
    if (isnan(value))
        return NAN;
    if (!forecast_usable(value))
        return 1;
    if (state->scale <= 0) /* a constant: it is that, or it is not */
        return fabs(value - state->centre) <= 1e-9 * fabs(state->centre) ? 0 : 1;
    double z = (value - state->centre) / state->scale;
    if (look_next(model, &outlook)) {
        place_error(outlook.calibration, (z - (double)outlook.middle) / (double)outlook.size,
                    &below, &upto);
    } else { /* as in the walk of outlook.c */
        double size = (double)state->walk * (1.0 + 6.0 / (double)state->count);
        double away = fabs(z - (double)state->last);
        below = upto = size > 0 ? 1 - 0.5 * exp(-away / size) : away > 0 ? 1 : 0.5;
    }
    if (below <= 0.5 && upto >= 0.5)
        return 0;
    double share = below > 0.5 ? 2 * below - 1 : 1 - 2 * upto;
    return fmin(share / BAND_SHARE, 1);
}

/* ---- recall ---- */

/* Highest of the window around the same phase `lag` steps ago, moved to today's level. */
static double recalled(const struct forecast_state *state, uint64_t lag, size_t span)
{
    uint64_t t = state->count - 1, first = t - lag, count = span + 3;
    if (first + count > t + 1)
        count = t + 1 - first;
    return (double)forecast_state_highest(state, first, (size_t)count) + (double)state->average[1] -
           (double)forecast_state_average(state, 1, t - lag);
}

static bool is_kept(const struct forecast_state *state, uint64_t lag)
{
    return lag < state->count && lag < state->ring_size;
}

static double recall_season(const struct forecast_state *state, size_t period, size_t span)
{
    double seen[RECALLED_PERIODS];
    size_t count = 0;
    uint64_t lag = (span + 2 + period - 1) / period * period;
    for (; count < RECALLED_PERIODS && is_kept(state, lag); lag += period)
        seen[count++] = recalled(state, lag, span);
    if (count < 2)
        return NAN;
    forecast_sort(seen, count);
    return seen[(count - 1) / 2];
}

double forecast_model_recall(const struct forecast_model *model, size_t span)
{
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    const struct forecast_state *state = &model->state;
    double recall = NAN;
    for (size_t k = 0; k < model->period_count; k++) {
        const struct forecast_period *period = &model->periods[k];
        if (period->strength < STRENGTH_RECALLED)
            continue;
        if (!period->weekly) {
            recall = fmax(recall, recall_season(state, period->period, span));
        } else if (is_kept(state, period->period) &&
                   period->strength > model->periods[0].strength) {
            /* The week knows better which days are alike. */
            recall = fmin(recall, recalled(state, period->period, span));
        }
    }
    if (isnan(recall))
        return NAN;
    return fmax(state->centre + state->scale * recall, model->options.lower_bound);
}
