/* SPDX-License-Identifier: Apache-2.0
 *
 * column: the simple forecasts, made at time t for lead h, side by side as one row. None is fitted;
 * each is right for some kind of series, and the stack finds out which.
 *
 *   last value; averages over 3, 10, 30, 100 steps
 *   per season: the same phase a period ago: as it was, smoothed, smoothed and moved by how the
 *   level (10 or 100 steps) changed since; the slow profile alone and moved by its recent error (3,
 *   10, 100)
 *   of values that lie far apart: the smoothing of `winters` at three speeds, each without and with
 *   its newest error
 *
 * They are made in two ways: for many past moments at once from the history (the fit), and for the
 * newest moment from the state (a forecast). Both give the same numbers, within the state's
 * rounding.
 *
 * Beside them stand the signs: what the size of the error may depend on, known when the forecast is
 * made.
 */
#ifndef TW_FORECAST_COLUMN_H
#define TW_FORECAST_COLUMN_H

#include "forecast/series.h"
#include "forecast/state.h"

#define FORECAST_COLUMNS_MAX (1 + FORECAST_SPANS + 8 * FORECAST_SEASONS_MAX + 2 * FORECAST_WINTERS)

/* Moments of the past; the arrays have `stride` entries, padding included. */
struct forecast_moments {
    const uint32_t *at;
    size_t stride;
};

size_t forecast_column_count(const struct forecast_series *series);
/* First t at which every column can be made for this lead. */
size_t forecast_column_first(const struct forecast_series *series, size_t lead);
/* ret: [forecast_column_count][stride]. Reads nothing that was not known at the moments. */
void forecast_column_fill(const struct forecast_series *series,
                          const struct forecast_moments *moments, size_t lead, float *ret);
/* The row of the newest moment; returns the number of columns. `reach` remembers what one lead
 * found out for the next; start with zeros. */
struct forecast_column_reach {
    uint64_t lag[FORECAST_SEASONS_MAX];
    float moved[FORECAST_SEASONS_MAX][2];
};
size_t forecast_column_row(const struct forecast_state *state, size_t lead,
                           struct forecast_column_reach *reach, float *ret_row);

#define FORECAST_SIGNS 6
/* ret: [FORECAST_SIGNS][stride]; prediction: what was forecast at each moment. */
void forecast_sign_fill(const struct forecast_series *series,
                        const struct forecast_moments *moments, size_t lead,
                        const float *prediction, float *ret);
void forecast_sign_row(const struct forecast_state *state, size_t lead, float prediction,
                       float *ret_signs);

/* Simple forecasts of the highest value in the next `span` steps, given the highest of the
 * forecasts of single leads within it (`path`). */
#define FORECAST_PEAK_COLUMNS_MAX (5 + FORECAST_SEASONS_MAX)
size_t forecast_peak_count(const struct forecast_series *series);
void forecast_peak_fill(const struct forecast_series *series,
                        const struct forecast_moments *moments, size_t span, const float *path,
                        float *ret);
void forecast_peak_row(const struct forecast_state *state, size_t span, float path, float *ret_row);

#endif
