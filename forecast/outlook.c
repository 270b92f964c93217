/* SPDX-License-Identifier: Apache-2.0
 *
 * outlook: from the state of a model to quantiles: of each lead, and of the peak over some.
 */
#include "config.h"

#include <math.h>
#include <stdlib.h>

#include "base/assert.h"
#include "forecast/model_int.h"

struct forecast_outlook forecast_outlook_at(const struct forecast_model *model,
                                            const struct forecast_node *node, size_t lead,
                                            struct forecast_column_reach *reach)
{
    float row[FORECAST_COLUMNS_MAX], signs[FORECAST_SIGNS];
    struct forecast_outlook outlook = {.calibration = &node->calibration};
    forecast_column_row(&model->state, lead, reach, row);
    outlook.middle = forecast_stack_predict(&node->stack, row);
    forecast_sign_row(&model->state, lead, outlook.middle, signs);
    outlook.size = forecast_calibration_size(&node->calibration, signs) * (float)model->widen;
    if (lead > node->lead) /* beyond what was fitted, a walk */
        outlook.size *= sqrtf((float)lead / (float)node->lead);
    return outlook;
}

/* A random walk with two-sided exponential steps: all that can be said of a few values. */
static double walk_point(const struct forecast_state *state, size_t lead, double probability)
{
    double size = (double)state->walk * sqrt((double)lead) * (1.0 + 6.0 / (double)state->count);
    double tail = probability < 0.5 ? 2 * probability : 2 * (1 - probability);
    double offset = -log(tail) * size;
    return (double)state->last + (probability < 0.5 ? -offset : offset);
}

/* Equal points may come out of the arithmetic an ulp apart (I1). */
static void keep_order(double *quantiles, size_t count)
{
    for (size_t q = 1; q < count; q++)
        quantiles[q] = fmax(quantiles[q], quantiles[q - 1]);
}

static double in_unit(const struct forecast_model *model, double z)
{
    double value = model->state.centre + model->state.scale * z;
    if (model->options.has_upper_bound)
        value = fmin(value, model->options.upper_bound);
    return fmax(value, model->options.lower_bound);
}

/* The quantiles asked for. */
struct wanted {
    const double *probabilities;
    size_t count;
};

static double read_outlook(const struct forecast_outlook *outlook, double probability)
{
    float point = probability < 0 ? outlook->calibration->mean
                                  : forecast_calibration_point(outlook->calibration, probability);
    return (double)(outlook->middle + outlook->size * point);
}

static void predict_lead(const struct forecast_model *model, size_t lead,
                         const struct wanted *wanted, struct forecast_column_reach *reach,
                         double *ret_mean, double *ret)
{
    if (!model->node_count) {
        for (size_t q = 0; q < wanted->count; q++)
            ret[q] = in_unit(model, walk_point(&model->state, lead, wanted->probabilities[q]));
        if (ret_mean)
            *ret_mean = in_unit(model, (double)model->state.last);
        return;
    }
    const struct forecast_node *below = model->nodes, *above;
    const struct forecast_node *last = model->nodes + model->node_count - 1;
    while (below < last && below[1].lead <= lead)
        below++;
    above = below < last && below->lead < lead ? below + 1 : below;
    double f =
        above == below ? 0 : (double)(lead - below->lead) / (double)(above->lead - below->lead);
    struct forecast_outlook a = forecast_outlook_at(model, below, lead, reach), b = a;
    if (above != below) {
        a.size /= sqrtf((float)lead / (float)below->lead); /* no walk: it lies between two */
        b = forecast_outlook_at(model, above, lead, reach);
    }
    for (size_t q = 0; q < wanted->count; q++)
        ret[q] = in_unit(model, (1 - f) * read_outlook(&a, wanted->probabilities[q]) +
                                    f * read_outlook(&b, wanted->probabilities[q]));
    keep_order(ret, wanted->count);
    if (ret_mean)
        *ret_mean = in_unit(model, (1 - f) * read_outlook(&a, -1) + f * read_outlook(&b, -1));
}

/* No mixture for the peak: the highest of each quantile's path, which is never too low by much. */
static void predict_path_peak(const struct forecast_model *model, const struct wanted *wanted,
                              struct forecast_column_reach *reach, struct forecast_band *band)
{
    double mean, row[FORECAST_QUANTILES_MAX];
    band->peak_mean = -INFINITY;
    for (size_t q = 0; q < wanted->count; q++)
        band->peak[q] = -INFINITY;
    for (size_t lead = 1; lead <= model->options.peak_horizon; lead++) {
        predict_lead(model, lead, wanted, reach, &mean, row);
        band->peak_mean = fmax(band->peak_mean, mean);
        for (size_t q = 0; q < wanted->count; q++)
            band->peak[q] = fmax(band->peak[q], row[q]);
    }
}

static void predict_peak(const struct forecast_model *model, const struct wanted *wanted,
                         struct forecast_column_reach *reach, struct forecast_band *band)
{
    size_t span = model->options.peak_horizon;
    if (!model->has_peak) {
        predict_path_peak(model, wanted, reach, band);
        return;
    }
    float path = -INFINITY, row[FORECAST_PEAK_COLUMNS_MAX], signs[FORECAST_SIGNS];
    for (size_t k = 0; k < model->node_count && model->nodes[k].lead <= span; k++)
        path = fmaxf(
            path, forecast_outlook_at(model, &model->nodes[k], model->nodes[k].lead, reach).middle);
    forecast_peak_row(&model->state, span, path, row);
    struct forecast_outlook outlook = {.calibration = &model->peak.calibration};
    outlook.middle = forecast_stack_predict(&model->peak.stack, row);
    forecast_sign_row(&model->state, span, outlook.middle, signs);
    outlook.size = forecast_calibration_size(&model->peak.calibration, signs) * (float)model->widen;
    band->peak_mean = in_unit(model, read_outlook(&outlook, -1));
    for (size_t q = 0; q < wanted->count; q++)
        band->peak[q] = in_unit(model, read_outlook(&outlook, wanted->probabilities[q]));
    keep_order(band->peak, wanted->count);
}

static enum tw_code check_wanted(const struct forecast_model *model, size_t lead,
                                 const struct wanted *wanted, struct tw_err *err)
{
    if (lead < 1 || lead > model->options.horizon)
        return tw_err_set(err, TW_BAD_DATA,
                          "a horizon of %zu steps is asked for, the model was fitted for 1 to %zu",
                          lead, model->options.horizon);
    if (wanted->count < 1 || wanted->count > FORECAST_QUANTILES_MAX)
        return tw_err_set(err, TW_BAD_DATA,
                          "%zu quantiles are asked for; it has to be from 1 to %d", wanted->count,
                          FORECAST_QUANTILES_MAX);
    const double *p = wanted->probabilities;
    for (size_t q = 0; q < wanted->count; q++)
        if (!(p[q] > 0 && p[q] < 1) || (q && p[q] < p[q - 1]))
            return tw_err_set(err, TW_BAD_DATA,
                              "quantile %g: quantiles have to lie between 0 and 1 and to ascend",
                              p[q]);
    return TW_OK;
}

enum tw_code forecast_model_predict(const struct forecast_model *model, size_t horizon,
                                    const double *probabilities, size_t quantile_count,
                                    struct forecast_band *ret_band, struct tw_err *err)
{
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    struct wanted wanted = {probabilities, quantile_count};
    struct forecast_column_reach reach = {0};
    enum tw_code code = check_wanted(model, horizon, &wanted, err);
    if (code != TW_OK)
        return code;
    for (size_t lead = 1; lead <= horizon; lead++)
        predict_lead(model, lead, &wanted, &reach,
                     ret_band->mean ? &ret_band->mean[lead - 1] : NULL,
                     ret_band->quantiles + (lead - 1) * quantile_count);
    if (ret_band->peak)
        predict_peak(model, &wanted, &reach, ret_band);
    return TW_OK;
}

enum tw_code forecast_model_predict_lead(const struct forecast_model *model, size_t lead,
                                         const double *probabilities, size_t quantile_count,
                                         double *ret_mean, double *ret_quantiles,
                                         struct tw_err *err)
{
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    struct wanted wanted = {probabilities, quantile_count};
    struct forecast_column_reach reach = {0};
    enum tw_code code = check_wanted(model, lead, &wanted, err);
    if (code == TW_OK)
        predict_lead(model, lead, &wanted, &reach, ret_mean, ret_quantiles);
    return code;
}

enum tw_code forecast_model_peek(struct forecast_model *model, double value, size_t horizon,
                                 const double *probabilities, size_t quantile_count,
                                 struct forecast_band *ret_band, struct tw_err *err)
{
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    struct forecast_state_undo undo;
    forecast_state_try(&model->state, value, &undo);
    enum tw_code code =
        forecast_model_predict(model, horizon, probabilities, quantile_count, ret_band, err);
    forecast_state_undo(&model->state, &undo);
    return code;
}
