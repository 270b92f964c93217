/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/column.h"

#include <math.h>

#include "base/assert.h"

#define SIGN_FLOOR 1e-3   /* of the series' scale: below this, movement is nothing */
#define RESTLESS_REACH 30 /* steps around a phase that its usual deviation is taken from */

/* Whole periods back from t + lead such that smooth[t + lead - lag] was known at t. */
static size_t lag_of(const struct forecast_series *series, size_t period, size_t lead)
{
    size_t reach = lead + series->smooth_half;
    return (reach + period - 1) / period * period;
}

size_t forecast_column_count(const struct forecast_series *series)
{
    size_t count = 1 + FORECAST_SPANS;
    for (size_t s = 0; s < series->season_count; s++)
        count += series->seasons[s].weekly ? 4 : 8;
    return count;
}

size_t forecast_column_first(const struct forecast_series *series, size_t lead)
{
    size_t first = 0;
    for (size_t s = 0; s < series->season_count; s++) {
        size_t lag = lag_of(series, series->seasons[s].period, lead);
        first = lag > first ? lag : first;
    }
    return first;
}

void forecast_column_row(const struct forecast_series *series, size_t t, size_t lead,
                         float *ret_row)
{
    TW_ASSERT(t < series->count && lead > 0);
    size_t c = 0;
    ret_row[c++] = series->z[t];
    for (size_t k = 0; k < FORECAST_SPANS; k++)
        ret_row[c++] = series->average[k][t];
    for (size_t s = 0; s < series->season_count; s++) {
        const struct forecast_season *season = &series->seasons[s];
        size_t lag = lag_of(series, season->period, lead);
        TW_ASSERT(t >= lag);
        size_t before = t + lead - lag;
        float smooth = series->smooth[before];
        ret_row[c++] = series->z[before];
        ret_row[c++] = smooth;
        ret_row[c++] = smooth + series->average[1][t] - series->average[1][t - lag];
        ret_row[c++] = smooth + series->average[3][t] - series->average[3][t - lag];
        if (season->weekly)
            continue;
        float profile = (float)forecast_series_profile(series, season, before + season->period);
        ret_row[c++] = profile;
        for (size_t k = 0; k < FORECAST_RESIDUAL_SPANS; k++)
            ret_row[c++] = profile + season->residual[k][t];
    }
    TW_ASSERT(c == forecast_column_count(series));
}

/* The season that says how restless a time of day is: the longest one with a profile. */
static const struct forecast_season *main_season(const struct forecast_series *series)
{
    const struct forecast_season *best = NULL;
    for (size_t s = 0; s < series->season_count; s++)
        if (!series->seasons[s].weekly && (!best || series->seasons[s].period > best->period))
            best = &series->seasons[s];
    return best;
}

void forecast_column_signs(const struct forecast_series *series, size_t t, size_t lead,
                           double prediction, double *ret_signs)
{
    const struct forecast_season *season = main_season(series);
    double restless = 1.0;
    if (season) {
        size_t reach = lead + RESTLESS_REACH;
        size_t lag = (reach + season->period - 1) / season->period * season->period;
        if (t + lead + season->period >= lag + season->period && t + lead >= lag)
            restless = forecast_series_restless(series, season, t + lead - lag + season->period);
    }
    ret_signs[0] = 1.0;
    ret_signs[1] = log(series->swing_short[t] + SIGN_FLOOR);
    ret_signs[2] = log(series->swing_long[t] + SIGN_FLOOR);
    ret_signs[3] = log(restless + SIGN_FLOOR);
    ret_signs[4] = log(fabs(prediction - (double)series->z[t]) + 10 * SIGN_FLOOR);
    ret_signs[5] = prediction;
}
