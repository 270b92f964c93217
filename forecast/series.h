/* SPDX-License-Identifier: Apache-2.0
 *
 * series: the history that a model is fitted to, in a form in which the method can use it: centred
 * and scaled, so that all later constants are pure numbers; holes filled, and known as filled;
 * exponential averages and seasonal profiles kept beside each value, so that any past moment can be
 * looked at as it was. It lives only as long as the fit; what goes on from its end is a `state`.
 *
 * I1  What stands at index i was computed from values [0, i] alone, but for `smooth`, which at i
 *     sees up to i + smooth_half: whoever reads it at time t reads at most t - smooth_half.
 */
#ifndef TW_FORECAST_SERIES_H
#define TW_FORECAST_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "forecast/model.h"
#include "forecast/winters.h"

enum { FORECAST_SPANS = 4 };                        /* exponential averages of the value: */
extern const double forecast_spans[FORECAST_SPANS]; /* 3, 10, 30, 100 steps */
enum { FORECAST_RESIDUAL_SPANS = 3 };               /* and of the deviation from the profile: */
extern const double forecast_residual_spans[FORECAST_RESIDUAL_SPANS]; /* 3, 10, 100 */
#define FORECAST_SWING_SPAN_SHORT 10.0
#define FORECAST_SWING_SPAN_LONG 100.0
#define FORECAST_PROFILE_RATE 0.25 /* how fast a profile follows: about a week of days */

/* What is kept for one season. */
struct forecast_season {
    size_t period;
    bool weekly;    /* a longer season that gets lags but no profile of its own */
    float *profile; /* [count + period]: the value expected at i from earlier periods */
    float *residual[FORECAST_RESIDUAL_SPANS];
    /* How far values usually are from the profile, by part of the period; [passes][cells], the
     * first row standing for what is known before the first pass. */
    size_t cell_size, cells;
    float *restless;
};

/* The smoothing at one speed, beside each value. */
struct forecast_winters {
    float *level, *error;                /* [count] */
    float *offset[FORECAST_SEASONS_MAX]; /* [count + period]: expected at i from earlier periods */
    float usual;                         /* as it ended */
};

struct forecast_series {
    int64_t step_ms;
    double centre, scale; /* value = centre + scale * z */
    size_t count;
    size_t smooth_half; /* half window of smooth */
    double walk;        /* mean |z[i] - z[i - 1]| */
    float *z;
    uint8_t *known; /* not filled in */
    float *average[FORECAST_SPANS];
    float *smooth;
    float *swing_short, *swing_long; /* averages of |z - what was expected a step before| */
    struct forecast_season seasons[FORECAST_SEASONS_MAX];
    size_t season_count;
    /* One block for all arrays but those of the smoothing: of many smaller ones the allocator gives
     * the pages back after each fit, and getting them anew takes a tenth of the next one. */
    float *pool;
    size_t pool_used, pool_size;
    bool has_winters;
    struct forecast_winters winters[FORECAST_WINTERS];
};

/* Takes the values, without seasons yet. False when no value is usable. */
bool forecast_series_init(struct forecast_series *series, const double *values, size_t count,
                          int64_t step_ms);
void forecast_series_fini(struct forecast_series *series);
/* Lays the arrays of a season beside what is there. */
void forecast_series_add_season(struct forecast_series *series, size_t period, bool weekly);
/* Lays the smoothing over all seasons that were added, if it is wanted. */
void forecast_series_add_winters(struct forecast_series *series);
/* How restless index i is, by what was known at t < i. */
float forecast_series_restless(const struct forecast_season *season, size_t t, size_t i);

/* Weight of the newest value in an average over a span, when it is the nth (from 1): a plain mean
 * until the span is full, so that the start has no special weight. */
double forecast_rate(double span, uint64_t nth);
bool forecast_usable(double value);
/* Parts into which a period is cut for forecast_season.restless. */
size_t forecast_cell_size(int64_t step_ms, size_t period);
/* The usual value of five cells around, given a reader of single ones. */
#define FORECAST_CELLS_AROUND 2

#endif
