/* SPDX-License-Identifier: Apache-2.0
 *
 * series: the values in a form in which the method can use them: centred and scaled, so that all
 * later constants are pure numbers; holes filled, and known as filled; exponential averages and
 * seasonal profiles kept beside each value, so that any past moment can be looked at as it was.
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

enum { FORECAST_SPANS = 4 };                        /* exponential averages of the value: */
extern const double forecast_spans[FORECAST_SPANS]; /* 3, 10, 30, 100 steps */
enum { FORECAST_RESIDUAL_SPANS = 3 };               /* and of the deviation from the profile: */
extern const double forecast_residual_spans[FORECAST_RESIDUAL_SPANS]; /* 3, 10, 100 */

/* What is kept for one season. profile[i] is the value expected at i from earlier periods; both
 * profiles are defined up to index count + period - 1 - half (see forecast_series_profile). */
struct forecast_season {
    size_t period;
    bool weekly; /* a longer season that gets lags but no profile of its own */
    float *profile;
    float *residual[FORECAST_RESIDUAL_SPANS];
    float *restless; /* usual deviation from the profile at this phase */
};

struct forecast_series {
    int64_t step_ms;
    double centre, scale; /* value = centre + scale * z */
    size_t count, capacity;
    size_t smooth_half; /* half window of smooth */
    float *z;
    bool *known; /* not filled in */
    float *average[FORECAST_SPANS];
    float *smooth;
    float *swing_short, *swing_long; /* averages of |z - what was expected a step before| */
    struct forecast_season seasons[FORECAST_SEASONS_MAX];
    size_t season_count;
};

/* Takes the values, without seasons yet. False when no value is usable. */
bool forecast_series_init(struct forecast_series *series, const double *values, size_t count,
                          int64_t step_ms);
void forecast_series_fini(struct forecast_series *series);
/* Lays the arrays of a season beside what is there. */
void forecast_series_add_season(struct forecast_series *series, size_t period, bool weekly);
/* The next value, in the caller's unit; there must be room. */
void forecast_series_append(struct forecast_series *series, double value);
/* Forgets the last value (after a look-ahead with a provisional one). */
void forecast_series_drop_last(struct forecast_series *series);
/* Expected value at index i, which may lie up to a period beyond the last one. */
double forecast_series_profile(const struct forecast_series *series,
                               const struct forecast_season *season, size_t i);
double forecast_series_restless(const struct forecast_series *series,
                                const struct forecast_season *season, size_t i);

#endif
