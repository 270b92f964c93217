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
 * daily profile with the recent deviation from it; of hours and the like also exponential smoothing
 * with all seasons at once) are mixed, for each lead on its own, by a robust
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
 *   Taylor 2003 (several seasons at once);
 *   Hyndman, Koehler et al. 2008, Forecasting with exponential smoothing;
 *   Lei, G'Sell, Rinaldo, Tibshirani, Wasserman 2018, Distribution-free predictive inference
 *   (quantiles from held-out errors, scaled locally).
 *
 * I1  Every number given back is finite; quantiles of one lead never fall with rising probability.
 * I2  f(a * y + b) = a * f(y) + b for a > 0, up to rounding, as long as no lower bound is set.
 * I3  The result depends on the values alone, not on how they were handed over: fit(n + k values)
 *     and fit(n), append(k) hold the same history.
 *
 * I4  After a fit a model takes no more memory: append, predict, peek, score and recall allocate
 *     nothing. It keeps of the past only what forecasts look back to, so that it fits into
 *     FORECAST_MODEL_BYTES_MAX; the history for a new fit comes from whoever stores the series.
 * I5  What forecast_model_read makes of the bytes of forecast_model_write forecasts, learns and
 *     counts on exactly as the model that was written.
 *
 * Missing values are NaN; infinities and magnitudes above FORECAST_VALUE_MAX count as missing.
 *
 * What it does not know: that a series is a counter (a reset is a fall of the level; hand over
 * rate() of counters), and what the clocks say (days have 24 hours; after a daylight-saving shift
 * the profiles follow within days).
 *
 * Units: values in the caller's own; time in milliseconds since 1970 and in steps; probabilities
 * from 0 to 1. Threads: a model belongs to one thread at a time; different models share nothing.
 * Ownership: the model copies what it is given; the caller frees it.
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
/* A fitted model in memory, and its bytes when stored. */
#define FORECAST_MODEL_BYTES_MAX 32768

struct forecast_options {
    int64_t step_ms;     /* between values; 1 to 7 days */
    size_t horizon;      /* leads that can be asked for, 1 to FORECAST_HORIZON_MAX */
    size_t peak_horizon; /* leads over which the peak is forecast; 0 = horizon */
    double lower_bound;  /* forecasts never go below; -INFINITY = none */
    bool has_upper_bound;
    double upper_bound; /* forecasts never go above, if has_upper_bound */
};

struct forecast_model;

/* Fits a model to count values, oldest first. TW_BAD_DATA when not one of them is a number,
 * TW_LIMIT when there are more than FORECAST_VALUES_MAX, TW_BAD_DATA for options out of range. */
TW_MUST_CHECK enum tw_code forecast_model_new(const double *values, size_t count,
                                              const struct forecast_options *options,
                                              struct forecast_model **ret_model,
                                              struct tw_err *err);
struct forecast_model *forecast_model_free(struct forecast_model *model); /* returns NULL */

/* The next value of the series (NaN: a missing one), a step after the one before; the mixture stays
 * as it was fitted. Any number of times. */
void forecast_model_append(struct forecast_model *model, double value);

struct forecast_band {
    double *mean;      /* [horizon]; may be NULL */
    double *quantiles; /* [horizon][quantile_count] */
    double peak_mean;
    double
        *peak; /* [quantile_count]: of the highest of the first peak_horizon leads; may be NULL */
};
/* Leads 1 to horizon (at most the fitted one) for the given probabilities, ascending, each in (0,
 * 1). The caller provides the arrays. */
TW_MUST_CHECK enum tw_code forecast_model_predict(const struct forecast_model *model,
                                                  size_t horizon, const double *probabilities,
                                                  size_t quantile_count,
                                                  struct forecast_band *ret_band,
                                                  struct tw_err *err);
/* One lead alone, from 1 to the fitted horizon: quantiles[quantile_count]; mean may be NULL. */
TW_MUST_CHECK enum tw_code forecast_model_predict_lead(const struct forecast_model *model,
                                                       size_t lead, const double *probabilities,
                                                       size_t quantile_count, double *ret_mean,
                                                       double *ret_quantiles, struct tw_err *err);
/* As if value had been appended (a step that is not over yet), without doing so. */
TW_MUST_CHECK enum tw_code forecast_model_peek(struct forecast_model *model, double value,
                                               size_t horizon, const double *probabilities,
                                               size_t quantile_count,
                                               struct forecast_band *ret_band, struct tw_err *err);

/* How strange value would be as the next one: 0 at the median forecast, rising with the share of
 * outcomes that lie nearer to it, 1 at and outside the ends of the 99.9 % band. NaN for NaN. */
double forecast_model_score(const struct forecast_model *model, double value);

/* How well the model has done since it was fitted: the median and the 95th percentile that it gave
 * for the next step are held against what came (mean pinball loss, forgetting over some 200
 * values), beside the same loss in the held-out rows of the fit. */
struct forecast_drift {
    uint64_t appended;  /* values since the fit */
    double fitted_loss; /* per value, in the series' unit; NaN: too little was known to tell */
    double recent_loss; /* NaN: fewer than FORECAST_DRIFT_VALUES known values have come */
    double coverage95;  /* share of recent values at or below the 95th percentile */
    bool refit;         /* the recent loss is clearly above the fitted one, or the model is old:
                           it has seen a quarter as many values again as it was fitted with */
};
#define FORECAST_DRIFT_VALUES 60
void forecast_model_drift(const struct forecast_model *model, struct forecast_drift *ret);

/* Bytes that hold the model (docs/format/forecast-model.md); at most FORECAST_MODEL_BYTES_MAX, and
 * what the model takes in memory as well, but for a few hundred. */
size_t forecast_model_size(const struct forecast_model *model);
/* Writes forecast_model_size bytes. */
void forecast_model_write(const struct forecast_model *model, uint8_t *ret_bytes);
/* TW_BAD_DATA for bytes that are damaged, cut short or of another version: fit anew then. */
TW_MUST_CHECK enum tw_code forecast_model_read(const uint8_t *bytes, size_t size,
                                               struct forecast_model **ret_model,
                                               struct tw_err *err);

/* What the next span steps came to, at the same phase of the last periods and at today's level: the
 * median over periods of their highest value, a step early or late. Sharp edges (an office that
 * opens, a batch on the hour) are remembered here though they are too rare to count in the mixture.
 * NaN when no season was found or seen often enough. */
double forecast_model_recall(const struct forecast_model *model, size_t span);

/* Periods found, in steps, shortest first; returns how many, at most FORECAST_SEASONS_MAX. */
size_t forecast_model_seasons(const struct forecast_model *model, size_t *ret_periods);
uint64_t forecast_model_count(const struct forecast_model *model); /* values seen */
/* Whether the options it was fitted with are these. */
bool forecast_model_fits(const struct forecast_model *model,
                         const struct forecast_options *options);

#endif
