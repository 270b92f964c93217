/* SPDX-License-Identifier: Apache-2.0
 *
 * model: the forecast of one regular series. Numbers in, quantiles out; no clock, no files.
 *
 *   values -> series (scaled, filled) -> season (periods) -> column (simple forecasts, side by
 * side)
 *          -> stack (their best mixture, per lead) -> calibration (errors out of sample ->
 * quantiles)
 *
 * The method in one paragraph: several simple forecasts that need no fit (last value, exponential
 * averages, the same time a period ago raw, smoothed and moved to today's level, a slowly learned
 * daily profile with the recent deviation from it) are mixed, for each lead on its own, by a robust
 * ridge regression that is shrunk towards weights by inverse loss. Each row of the regression is
 * forecast by weights that have not seen its part of the past; the errors made so, scaled by how
 * restless the series is at that time, give the quantiles. So an interval is as wide as the method
 * was wrong, whatever the reason. The highest value over a span of leads is forecast in the same
 * way, as a quantity of its own: its quantiles are not those of any single lead.
 *
 *   Bates and Granger 1969, The combination of forecasts (weights by inverse loss);
 *   Breiman 1996, Stacked regressions; Hoerl and Kennard 1970, Ridge regression;
 *   Huber 1964, Robust estimation of a location parameter;
 *   Holt 1957 and Winters 1960 (exponential averages of level and season);
 *   Hyndman, Koehler et al. 2008, Forecasting with exponential smoothing;
 *   Lei, G'Sell, Rinaldo, Tibshirani, Wasserman 2018, Distribution-free predictive inference
 *   (quantiles from held-out errors, scaled locally).
 *
 * I1  Every number given back is finite; quantiles of one lead never fall with rising probability.
 * I2  f(a * y + b) = a * f(y) + b for a > 0, up to rounding, as long as no lower bound is set.
 * I3  The result depends on the values alone, not on how they were handed over: fit(n + k values)
 *     and fit(n), append(k) hold the same history.
 *
 * Missing values are NaN; infinities and magnitudes above FORECAST_VALUE_MAX count as missing.
 *
 * Threads: a model belongs to one thread at a time; different models share nothing.
 */
#ifndef TW_FORECAST_MODEL_H
#define TW_FORECAST_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FORECAST_VALUES_MAX 200000
#define FORECAST_HORIZON_MAX 2000
#define FORECAST_QUANTILES_MAX 32
#define FORECAST_VALUE_MAX 1e150
#define FORECAST_SEASONS_MAX 3

struct forecast_options {
    int64_t step_ms;     /* between values; 1 to 7 days */
    size_t horizon;      /* leads that can be asked for, 1 to FORECAST_HORIZON_MAX */
    size_t peak_horizon; /* leads over which the peak is forecast; 0 = horizon */
    double lower_bound;  /* forecasts never go below; -INFINITY = none */
};

struct forecast_model;

/* count values, oldest first. TW_BAD_DATA when not one of them is a number, TW_LIMIT when there are
 * more than FORECAST_VALUES_MAX, TW_BAD_DATA for options out of range. */
TW_MUST_CHECK enum tw_code forecast_model_new(const double *values, size_t count,
                                              const struct forecast_options *options,
                                              struct forecast_model **ret_model,
                                              struct tw_err *err);
struct forecast_model *forecast_model_free(struct forecast_model *model); /* returns NULL */

/* The next value of the series; the mixture stays as it was fitted. TW_LIMIT when the model is full
 * (FORECAST_APPEND_MAX beyond what it was fitted with): then it is time for a new fit. */
#define FORECAST_APPEND_MAX 4096
TW_MUST_CHECK enum tw_code forecast_model_append(struct forecast_model *model, double value,
                                                 struct tw_err *err);

struct forecast_band {
    double *mean;      /* [horizon]; may be NULL */
    double *quantiles; /* [horizon][quantile_count] */
    double peak_mean;
    double
        *peak; /* [quantile_count]: of the highest of the first peak_horizon leads; may be NULL */
};
/* Leads 1 to horizon (at most the fitted one) for the given probabilities, ascending, each in (0,
 * 1). The caller provides the arrays. */
TW_MUST_CHECK enum tw_code
forecast_model_predict(struct forecast_model *model, size_t horizon, const double *probabilities,
                       size_t quantile_count, struct forecast_band *ret_band, struct tw_err *err);
/* As if value had been appended (a step that is not over yet), without doing so. */
TW_MUST_CHECK enum tw_code forecast_model_peek(struct forecast_model *model, double value,
                                               size_t horizon, const double *probabilities,
                                               size_t quantile_count,
                                               struct forecast_band *ret_band, struct tw_err *err);

/* What the next span steps came to, at the same phase of the last periods and at today's level: the
 * median over periods of their highest value, a step early or late. Sharp edges (an office that
 * opens, a batch on the hour) are remembered here though they are too rare to count in the mixture.
 * NaN when no season was found or seen often enough. */
double forecast_model_recall(const struct forecast_model *model, size_t span);

/* Periods found, in steps, shortest first; returns how many, at most FORECAST_SEASONS_MAX. */
size_t forecast_model_seasons(const struct forecast_model *model, size_t *ret_periods);
size_t forecast_model_count(const struct forecast_model *model); /* values held */

#endif
