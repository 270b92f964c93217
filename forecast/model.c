/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "forecast/calibration.h"
#include "forecast/column.h"
#include "forecast/season.h"
#include "forecast/series.h"
#include "forecast/stack.h"

#define MODEL_MAGIC 0x66636d31u
#define ROWS_MAX 1200 /* moments of the past that a mixture is fitted on */
#define ROWS_MIN 16   /* fewer do not make a regression */
#define NODES_MAX 48  /* leads with a mixture of their own; between them it is interpolated */
#define MEMORY_MS (6 * (int64_t)86400000) /* age at which a row counts 1/e, */
#define MEMORY_STEPS 500.0                /* or this many steps, whichever is longer */
#define STEP_MS_MAX (7 * (int64_t)86400000)
#define RECALLED_PERIODS 3    /* that have to agree, by their median, on what comes at this phase */
#define STRENGTH_RECALLED 0.3 /* of a season that is worth recalling */
#define PEAK_COLUMNS_MAX (8 + FORECAST_SEASONS_MAX)

/* A lead that has been fitted. */
struct node {
    size_t lead;
    struct forecast_stack stack;
    struct forecast_calibration calibration;
};

struct forecast_model {
    unsigned magic;
    struct forecast_options options;
    struct forecast_series series;
    double constant; /* what the series is, when it is only one number */
    struct forecast_period periods[FORECAST_SEASONS_MAX];
    size_t period_count;
    struct node *nodes;
    size_t node_count; /* 0: too little is known for any mixture */
    struct node peak;
    bool peak_fitted;
    double widen; /* intervals are stretched by this while little is known */
};

/* ---- fit ---- */

/* Moments of the past, the same for all leads, so that a peak over leads can be made up from them.
 */
struct sample {
    size_t *at;
    double *weight;
    uint8_t *block;
    size_t count;
    float *x, *y;
    double *held_out; /* [node][count] */
    double *error, *signs;
};

static size_t choose_nodes(size_t horizon, size_t *ret_leads)
{
    size_t count = 0;
    if (horizon <= NODES_MAX && horizon <= 48) {
        bool all = horizon <= 12 || horizon > 24;
        if (all) {
            for (size_t h = 1; h <= horizon; h++)
                ret_leads[count++] = h;
            return count;
        }
    }
    double lead = 1;
    while ((size_t)lead < horizon && count + 1 < NODES_MAX) {
        ret_leads[count++] = (size_t)lead;
        lead = fmax(lead + 1, lead * 1.45);
    }
    ret_leads[count++] = horizon;
    return count;
}

static void choose_rows(const struct forecast_model *model, size_t horizon, struct sample *sample)
{
    const struct forecast_series *series = &model->series;
    size_t first = forecast_column_first(series, horizon), last = series->count - 1;
    if (first < 4)
        first = 4;
    sample->count = 0;
    if (last < first + horizon + ROWS_MIN)
        return;
    size_t limit = last - horizon + 1; /* the newest t whose whole horizon is known */
    size_t span = limit - first;
    size_t stride = (span + ROWS_MAX - 1) / ROWS_MAX;
    double memory = fmax((double)MEMORY_MS / (double)series->step_ms, MEMORY_STEPS);
    size_t count = (span + stride - 1) / stride;
    sample->at = calloc(count, sizeof *sample->at);
    sample->weight = calloc(count, sizeof *sample->weight);
    sample->block = calloc(count, sizeof *sample->block);
    TW_ASSERT(sample->at && sample->weight && sample->block);
    for (size_t t = limit - 1 - (count - 1) * stride; t < limit; t += stride) {
        size_t r = sample->count++;
        sample->at[r] = t;
        sample->weight[r] = exp(-(double)(limit - 1 - t) / memory);
        sample->block[r] = (uint8_t)(r * FORECAST_STACK_BLOCKS / count);
    }
}

/* A row whose outcome is not known (or that stands on a hole) says nothing. */
static double row_weight(const struct forecast_series *series, const struct sample *sample,
                         size_t r, size_t lead)
{
    size_t t = sample->at[r];
    return series->known[t + lead] && series->known[t] ? sample->weight[r] : 0;
}

/* Fits what follows rows -> forecasts -> errors for one set of columns. Returns false when too few
 * rows count. */
static bool fit_node(struct node *node, const struct forecast_series *series, struct sample *sample,
                     size_t columns, double *weight, double *held_out, size_t signs_lead)
{
    size_t useful = 0;
    for (size_t r = 0; r < sample->count; r++)
        useful += weight[r] > 0;
    if (useful < ROWS_MIN)
        return false;
    struct forecast_rows rows = {.x = sample->x,
                                 .y = sample->y,
                                 .weight = weight,
                                 .block = sample->block,
                                 .count = sample->count,
                                 .columns = columns};
    forecast_stack_fit(&node->stack, &rows, held_out);
    for (size_t r = 0; r < sample->count; r++) {
        sample->error[r] = (double)sample->y[r] - held_out[r];
        forecast_column_signs(series, sample->at[r], signs_lead, held_out[r],
                              sample->signs + r * FORECAST_SIGNS);
    }
    forecast_calibration_fit(&node->calibration, sample->error, sample->signs, weight,
                             sample->count);
    return true;
}

static size_t fit_leads(struct forecast_model *model, struct sample *sample, const size_t *leads,
                        size_t lead_count)
{
    const struct forecast_series *series = &model->series;
    size_t columns = forecast_column_count(series), fitted = 0;
    double *weight = calloc(sample->count, sizeof *weight);
    TW_ASSERT(weight != NULL);
    for (size_t k = 0; k < lead_count; k++) {
        struct node *node = &model->nodes[fitted];
        node->lead = leads[k];
        for (size_t r = 0; r < sample->count; r++) {
            forecast_column_row(series, sample->at[r], leads[k], sample->x + r * columns);
            sample->y[r] = series->z[sample->at[r] + leads[k]];
            weight[r] = row_weight(series, sample, r, leads[k]);
        }
        fitted += fit_node(node, series, sample, columns, weight,
                           sample->held_out + fitted * sample->count, leads[k]);
    }
    free(weight);
    return fitted;
}

static float highest(const struct forecast_series *series, size_t first, size_t count)
{
    float high = series->z[first];
    for (size_t i = first + 1; i < first + count; i++)
        high = series->z[i] > high ? series->z[i] : high;
    return high;
}

/* Simple forecasts of the highest value in the next `span` steps. path: the highest forecast. */
static size_t peak_row(const struct forecast_series *series, size_t t, size_t span, double path,
                       float *ret_row)
{
    size_t c = 0, back = span < t + 1 ? span : t + 1;
    float recent = highest(series, t + 1 - back, back);
    ret_row[c++] = (float)path;
    ret_row[c++] = recent;
    ret_row[c++] = series->z[t] > (float)path ? series->z[t] : (float)path;
    ret_row[c++] = (float)path + series->swing_short[t];
    ret_row[c++] = (float)path + series->swing_long[t];
    for (size_t s = 0; s < series->season_count; s++) {
        size_t period = series->seasons[s].period;
        size_t lag = (span + period - 1) / period * period;
        ret_row[c++] = highest(series, t + 1 - lag, span) + series->average[1][t] -
                       series->average[1][t - lag];
    }
    return c;
}

static void fit_peak(struct forecast_model *model, struct sample *sample)
{
    const struct forecast_series *series = &model->series;
    size_t span = model->options.peak_horizon, columns = 0;
    double *weight = calloc(2 * sample->count, sizeof *weight);
    TW_ASSERT(weight != NULL);
    double *held_out = weight + sample->count;
    for (size_t r = 0; r < sample->count; r++) {
        size_t t = sample->at[r];
        double path = -INFINITY;
        for (size_t k = 0; k < model->node_count && model->nodes[k].lead <= span; k++)
            path = fmax(path, sample->held_out[k * sample->count + r]);
        weight[r] = sample->weight[r];
        for (size_t h = 0; h <= span; h++)
            if (!series->known[t + h])
                weight[r] = 0;
        columns = peak_row(series, t, span, path, sample->x + r * PEAK_COLUMNS_MAX);
        sample->y[r] = highest(series, t + 1, span);
    }
    for (size_t r = 1; r < sample->count; r++)
        memmove(sample->x + r * columns, sample->x + r * PEAK_COLUMNS_MAX, columns * sizeof(float));
    model->peak.lead = span;
    model->peak_fitted = fit_node(&model->peak, series, sample, columns, weight, held_out, span);
    free(weight);
}

static void fit(struct forecast_model *model)
{
    struct forecast_series *series = &model->series;
    size_t horizon = model->options.horizon;
    model->period_count = forecast_season_find(series, horizon, model->periods);
    for (size_t k = 0; k < model->period_count; k++)
        forecast_series_add_season(series, model->periods[k].period, model->periods[k].weekly);
    size_t leads[NODES_MAX], lead_count = choose_nodes(horizon, leads);
    /* With little history the far leads have no rows yet: the near ones stand in for them. */
    struct sample sample = {0};
    size_t usable = horizon;
    for (choose_rows(model, usable, &sample); sample.count == 0 && lead_count > 1;
         choose_rows(model, usable, &sample))
        usable = leads[--lead_count - 1];
    model->widen = 1;
    if (sample.count == 0)
        return;
    size_t columns = forecast_column_count(series);
    if (columns < PEAK_COLUMNS_MAX)
        columns = PEAK_COLUMNS_MAX;
    sample.x = calloc(sample.count * columns, sizeof *sample.x);
    sample.y = calloc(sample.count, sizeof *sample.y);
    sample.held_out = calloc(sample.count * lead_count, sizeof *sample.held_out);
    sample.error = calloc(sample.count, sizeof *sample.error);
    sample.signs = calloc(sample.count * FORECAST_SIGNS, sizeof *sample.signs);
    model->nodes = calloc(lead_count, sizeof *model->nodes);
    TW_ASSERT(sample.x && sample.y && sample.held_out && sample.error && sample.signs &&
              model->nodes);
    model->node_count = fit_leads(model, &sample, leads, lead_count);
    model->widen = 1.0 + 4.0 / (double)sample.count;
    if (model->node_count &&
        model->nodes[model->node_count - 1].lead >= model->options.peak_horizon)
        fit_peak(model, &sample);
    free(sample.at);
    free(sample.weight);
    free(sample.block);
    free(sample.x);
    free(sample.y);
    free(sample.held_out);
    free(sample.error);
    free(sample.signs);
}

/* ---- life ---- */

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
    return TW_OK;
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
    struct forecast_model *model = calloc(1, sizeof *model);
    TW_ASSERT(model != NULL);
    if (!forecast_series_init(&model->series, values, count, options->step_ms)) {
        free(model);
        return tw_err_set(err, TW_BAD_DATA,
                          "there is no number among the %zu values: nothing to forecast from",
                          count);
    }
    model->magic = MODEL_MAGIC;
    model->options = *options;
    if (!model->options.peak_horizon)
        model->options.peak_horizon = options->horizon;
    fit(model);
    *ret_model = model;
    return TW_OK;
}

struct forecast_model *forecast_model_free(struct forecast_model *model)
{
    if (!model)
        return NULL;
    TW_CHECK_MAGIC(model, MODEL_MAGIC);
    model->magic = 0;
    forecast_series_fini(&model->series);
    free(model->nodes);
    free(model);
    return NULL;
}

enum tw_code forecast_model_append(struct forecast_model *model, double value, struct tw_err *err)
{
    TW_CHECK_MAGIC(model, MODEL_MAGIC);
    /* One place is kept free for a look-ahead. */
    if (model->series.count + 1 >= model->series.capacity)
        return tw_err_set(err, TW_LIMIT, "the model holds %zu values and is full: fit it anew",
                          model->series.count);
    forecast_series_append(&model->series, value);
    return TW_OK;
}

size_t forecast_model_seasons(const struct forecast_model *model, size_t *ret_periods)
{
    TW_CHECK_MAGIC(model, MODEL_MAGIC);
    size_t count = 0;
    for (size_t k = 0; k < model->period_count; k++)
        if (model->periods[k].strength >= 0.1)
            ret_periods[count++] = model->periods[k].period;
    return count;
}

size_t forecast_model_count(const struct forecast_model *model)
{
    TW_CHECK_MAGIC(model, MODEL_MAGIC);
    return model->series.count;
}

/* ---- predict ---- */

/* The distribution at one lead, in the series' own unit. */
struct outlook {
    double middle, size;
    const struct forecast_calibration *calibration;
};

static struct outlook look(const struct forecast_model *model, const struct node *node, size_t lead)
{
    const struct forecast_series *series = &model->series;
    float row[FORECAST_COLUMNS_MAX];
    double signs[FORECAST_SIGNS];
    size_t t = series->count - 1;
    forecast_column_row(series, t, lead, row);
    struct outlook outlook = {.calibration = &node->calibration};
    outlook.middle = forecast_stack_predict(&node->stack, row);
    forecast_column_signs(series, t, lead, outlook.middle, signs);
    outlook.size = forecast_calibration_size(&node->calibration, signs) * model->widen;
    if (lead > node->lead) /* beyond what was fitted, a walk */
        outlook.size *= sqrt((double)lead / (double)node->lead);
    return outlook;
}

/* A random walk with two-sided exponential steps: all that can be said of a few values. */
static double walk_point(const struct forecast_model *model, size_t lead, double probability)
{
    const struct forecast_series *series = &model->series;
    size_t count = series->count;
    double last = series->z[count - 1];
    double swing = 0;
    for (size_t i = 1; i < count; i++)
        swing += fabs((double)series->z[i] - (double)series->z[i - 1]) / (double)(count - 1);
    double size = swing * sqrt((double)lead) * (1.0 + 6.0 / (double)count);
    double tail = probability < 0.5 ? 2 * probability : 2 * (1 - probability);
    double offset = -log(tail) * size;
    return probability < 0.5 ? last - offset : last + offset;
}

/* Equal points may come out of the arithmetic an ulp apart (I1). */
static void keep_order(double *quantiles, size_t count)
{
    for (size_t q = 1; q < count; q++)
        quantiles[q] = fmax(quantiles[q], quantiles[q - 1]);
}

static double in_unit(const struct forecast_model *model, double z)
{
    double value = model->series.centre + model->series.scale * z;
    return fmax(value, model->options.lower_bound);
}

static double read_outlook(const struct outlook *outlook, double probability)
{
    double point = probability < 0 ? outlook->calibration->mean
                                   : forecast_calibration_point(outlook->calibration, probability);
    return outlook->middle + outlook->size * point;
}

static void predict_lead(const struct forecast_model *model, size_t lead,
                         const double *probabilities, size_t count, double *ret_mean, double *ret)
{
    if (!model->node_count) {
        for (size_t q = 0; q < count; q++)
            ret[q] = in_unit(model, walk_point(model, lead, probabilities[q]));
        if (ret_mean)
            *ret_mean = in_unit(model, model->series.z[model->series.count - 1]);
        return;
    }
    size_t k = 0;
    while (k + 1 < model->node_count && model->nodes[k].lead < lead)
        k++;
    const struct node *above = &model->nodes[k];
    const struct node *below = k && above->lead > lead ? &model->nodes[k - 1] : above;
    struct outlook a = look(model, below, lead), b = below == above ? a : look(model, above, lead);
    double f =
        below == above ? 1.0 : (double)(lead - below->lead) / (double)(above->lead - below->lead);
    if (below != above) /* no walk: this lead lies between two that were fitted */
        a.size /= sqrt((double)lead / (double)below->lead);
    for (size_t q = 0; q < count; q++)
        ret[q] = in_unit(model, (1 - f) * read_outlook(&a, probabilities[q]) +
                                    f * read_outlook(&b, probabilities[q]));
    keep_order(ret, count);
    if (ret_mean)
        *ret_mean = in_unit(model, (1 - f) * read_outlook(&a, -1) + f * read_outlook(&b, -1));
}

static double path_peak(const struct forecast_model *model, size_t span)
{
    double path = -INFINITY;
    for (size_t k = 0; k < model->node_count && model->nodes[k].lead <= span; k++)
        path = fmax(path, look(model, &model->nodes[k], model->nodes[k].lead).middle);
    return path;
}

static void predict_peak(const struct forecast_model *model, const double *probabilities,
                         size_t count, struct forecast_band *band)
{
    const struct forecast_series *series = &model->series;
    size_t span = model->options.peak_horizon, t = series->count - 1;
    if (!model->peak_fitted) { /* the highest of each quantile's path: never too low by much */
        double mean, *row = calloc(count, sizeof *row);
        TW_ASSERT(row != NULL);
        band->peak_mean = -INFINITY;
        for (size_t q = 0; q < count; q++)
            band->peak[q] = -INFINITY;
        for (size_t lead = 1; lead <= span; lead++) {
            predict_lead(model, lead, probabilities, count, &mean, row);
            band->peak_mean = fmax(band->peak_mean, mean);
            for (size_t q = 0; q < count; q++)
                band->peak[q] = fmax(band->peak[q], row[q]);
        }
        free(row);
        return;
    }
    float row[PEAK_COLUMNS_MAX];
    double signs[FORECAST_SIGNS];
    peak_row(series, t, span, path_peak(model, span), row);
    struct outlook outlook = {.calibration = &model->peak.calibration};
    outlook.middle = forecast_stack_predict(&model->peak.stack, row);
    forecast_column_signs(series, t, span, outlook.middle, signs);
    outlook.size = forecast_calibration_size(&model->peak.calibration, signs) * model->widen;
    band->peak_mean = in_unit(model, read_outlook(&outlook, -1));
    for (size_t q = 0; q < count; q++)
        band->peak[q] = in_unit(model, read_outlook(&outlook, probabilities[q]));
    keep_order(band->peak, count);
}

enum tw_code forecast_model_predict(struct forecast_model *model, size_t horizon,
                                    const double *probabilities, size_t quantile_count,
                                    struct forecast_band *ret_band, struct tw_err *err)
{
    TW_CHECK_MAGIC(model, MODEL_MAGIC);
    if (horizon < 1 || horizon > model->options.horizon)
        return tw_err_set(err, TW_BAD_DATA,
                          "a horizon of %zu steps is asked for, the model was fitted for 1 to %zu",
                          horizon, model->options.horizon);
    if (quantile_count < 1 || quantile_count > FORECAST_QUANTILES_MAX)
        return tw_err_set(err, TW_BAD_DATA,
                          "%zu quantiles are asked for; it has to be from 1 to %d", quantile_count,
                          FORECAST_QUANTILES_MAX);
    for (size_t q = 0; q < quantile_count; q++)
        if (!(probabilities[q] > 0 && probabilities[q] < 1) ||
            (q && probabilities[q] < probabilities[q - 1]))
            return tw_err_set(err, TW_BAD_DATA,
                              "quantile %g: quantiles have to lie between 0 and 1 and to ascend",
                              probabilities[q]);
    for (size_t lead = 1; lead <= horizon; lead++)
        predict_lead(model, lead, probabilities, quantile_count,
                     ret_band->mean ? &ret_band->mean[lead - 1] : NULL,
                     ret_band->quantiles + (lead - 1) * quantile_count);
    if (ret_band->peak)
        predict_peak(model, probabilities, quantile_count, ret_band);
    return TW_OK;
}

/* Highest of the window around the same phase `lag` steps ago, moved to today's level. */
static double recalled(const struct forecast_series *series, size_t lag, size_t span)
{
    size_t t = series->count - 1, first = t - lag, count = span + 3;
    if (first + count > t + 1)
        count = t + 1 - first;
    return (double)highest(series, first, count) + (double)series->average[1][t] -
           (double)series->average[1][t - lag];
}

static double recall_season(const struct forecast_series *series, size_t period, size_t span)
{
    double seen[RECALLED_PERIODS];
    size_t count = 0, t = series->count - 1;
    size_t lag = (span + 2 + period - 1) / period * period;
    for (; count < RECALLED_PERIODS && lag <= t; lag += period)
        seen[count++] = recalled(series, lag, span);
    if (count < 2)
        return NAN;
    forecast_sort(seen, count);
    return seen[(count - 1) / 2];
}

double forecast_model_recall(const struct forecast_model *model, size_t span)
{
    TW_CHECK_MAGIC(model, MODEL_MAGIC);
    const struct forecast_series *series = &model->series;
    double recall = NAN;
    for (size_t k = 0; k < model->period_count; k++) {
        const struct forecast_period *period = &model->periods[k];
        if (period->strength < STRENGTH_RECALLED)
            continue;
        if (!period->weekly) {
            recall = fmax(recall, recall_season(series, period->period, span));
        } else if (series->count > period->period &&
                   period->strength > model->periods[0].strength) {
            /* The week knows better which days are alike. */
            recall = fmin(recall, recalled(series, period->period, span));
        }
    }
    return isnan(recall) ? NAN : in_unit(model, recall);
}

enum tw_code forecast_model_peek(struct forecast_model *model, double value, size_t horizon,
                                 const double *probabilities, size_t quantile_count,
                                 struct forecast_band *ret_band, struct tw_err *err)
{
    TW_CHECK_MAGIC(model, MODEL_MAGIC);
    forecast_series_append(&model->series, value);
    enum tw_code code =
        forecast_model_predict(model, horizon, probabilities, quantile_count, ret_band, err);
    forecast_series_drop_last(&model->series);
    return code;
}
