/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/column.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "forecast/lanes.h"

#define SIGN_FLOOR 1e-3f /* of the series' scale: below this, movement is nothing */
static const size_t level_spans[2] = {1, 3}; /* averages whose change moves a seasonal value */

/* Whole periods back from t + lead such that smooth[t + lead - lag] was known at t. */
static size_t lag_of(size_t smooth_half, size_t period, size_t lead)
{
    return (lead + smooth_half + period - 1) / period * period;
}

size_t forecast_column_count(const struct forecast_series *series)
{
    size_t count = 1 + FORECAST_SPANS;
    for (size_t s = 0; s < series->season_count; s++)
        count += series->seasons[s].weekly ? 4 : 8;
    if (forecast_winters_wanted(series->step_ms, series->season_count))
        count += 2 * FORECAST_WINTERS;
    return count;
}

size_t forecast_column_first(const struct forecast_series *series, size_t lead)
{
    size_t first = 0;
    for (size_t s = 0; s < series->season_count; s++) {
        size_t lag = lag_of(series->smooth_half, series->seasons[s].period, lead);
        first = lag > first ? lag : first;
    }
    return first;
}

static void pick(const float *array, const struct forecast_moments *moments, size_t ahead,
                 float *ret)
{
    for (size_t r = 0; r < moments->stride; r++)
        ret[r] = array[moments->at[r] + ahead];
}

static float *fill_season(const struct forecast_series *series,
                          const struct forecast_season *season,
                          const struct forecast_moments *moments, size_t lead, float *ret)
{
    size_t stride = moments->stride;
    size_t lag = lag_of(series->smooth_half, season->period, lead);
    float *raw = ret, *smooth = ret + stride;
    for (size_t r = 0; r < stride; r++) {
        size_t before = moments->at[r] + lead - lag;
        raw[r] = series->z[before];
        smooth[r] = series->smooth[before];
    }
    ret += 2 * stride;
    for (size_t k = 0; k < 2; k++, ret += stride) {
        const float *level = series->average[level_spans[k]];
        for (size_t r = 0; r < stride; r++)
            ret[r] = smooth[r] + level[moments->at[r]] - level[moments->at[r] - lag];
    }
    if (season->weekly)
        return ret;
    float *profile = ret;
    for (size_t r = 0; r < stride; r++)
        profile[r] = season->profile[moments->at[r] + lead - lag + season->period];
    ret += stride;
    for (size_t k = 0; k < FORECAST_RESIDUAL_SPANS; k++, ret += stride)
        for (size_t r = 0; r < stride; r++)
            ret[r] = profile[r] + season->residual[k][moments->at[r]];
    return ret;
}

static float *fill_winters(const struct forecast_series *series,
                           const struct forecast_moments *moments, size_t lead, float *ret)
{
    size_t stride = moments->stride;
    for (size_t speed = 0; speed < FORECAST_WINTERS; speed++, ret += 2 * stride) {
        const struct forecast_winters *winters = &series->winters[speed];
        pick(winters->level, moments, 0, ret);
        for (size_t s = 0; s < series->season_count; s++) {
            size_t period = series->seasons[s].period, lag = lag_of(0, period, lead);
            for (size_t r = 0; r < stride; r++)
                ret[r] += winters->offset[s][moments->at[r] + lead + period - lag];
        }
        for (size_t r = 0; r < stride; r++)
            ret[stride + r] = ret[r] + winters->error[moments->at[r]];
    }
    return ret;
}

void forecast_column_fill(const struct forecast_series *series,
                          const struct forecast_moments *moments, size_t lead, float *ret)
{
    float *next = ret;
    pick(series->z, moments, 0, next);
    next += moments->stride;
    for (size_t k = 0; k < FORECAST_SPANS; k++, next += moments->stride)
        pick(series->average[k], moments, 0, next);
    for (size_t s = 0; s < series->season_count; s++)
        next = fill_season(series, &series->seasons[s], moments, lead, next);
    if (series->has_winters)
        next = fill_winters(series, moments, lead, next);
    TW_ASSERT(next == ret + forecast_column_count(series) * moments->stride);
}

size_t forecast_column_row(const struct forecast_state *state, size_t lead,
                           struct forecast_column_reach *reach, float *ret_row)
{
    uint64_t t = state->count - 1;
    size_t c = 0;
    ret_row[c++] = state->last;
    for (size_t k = 0; k < FORECAST_SPANS; k++)
        ret_row[c++] = state->average[k];
    for (size_t s = 0; s < state->season_count; s++) {
        const struct forecast_state_season *season = &state->seasons[s];
        uint64_t lag = lag_of(state->smooth_half, season->period, lead);
        TW_ASSERT(t >= lag);
        if (reach->lag[s] != lag) {
            reach->lag[s] = lag;
            for (size_t k = 0; k < 2; k++)
                reach->moved[s][k] = state->average[level_spans[k]] -
                                     forecast_state_average(state, level_spans[k], t - lag);
        }
        float smooth = forecast_state_smooth(state, t + lead - lag);
        ret_row[c++] = forecast_state_z(state, t + lead - lag);
        ret_row[c++] = smooth;
        ret_row[c++] = smooth + reach->moved[s][0];
        ret_row[c++] = smooth + reach->moved[s][1];
        if (season->weekly)
            continue;
        float profile = forecast_state_profile(season, t + lead);
        ret_row[c++] = profile;
        for (size_t k = 0; k < FORECAST_RESIDUAL_SPANS; k++)
            ret_row[c++] = profile + season->residual[k];
    }
    for (size_t speed = 0; forecast_state_has_winters(state) && speed < FORECAST_WINTERS; speed++) {
        ret_row[c++] = forecast_state_winters(state, speed, t + lead);
        ret_row[c] = ret_row[c - 1] + state->winters[speed].now.error;
        c++;
    }
    return c;
}

/* ---- signs ---- */

void forecast_sign_fill(const struct forecast_series *series,
                        const struct forecast_moments *moments, size_t lead,
                        const float *prediction, float *ret)
{
    size_t stride = moments->stride;
    /* The season that says how restless a time of day is: the longest one with a profile. */
    const struct forecast_season *season = NULL;
    for (size_t s = 0; s < series->season_count; s++)
        if (!series->seasons[s].weekly && (!season || series->seasons[s].period > season->period))
            season = &series->seasons[s];
    for (size_t r = 0; r < stride; r++)
        ret[r] = 1;
    pick(series->swing_short, moments, 0, ret + stride);
    pick(series->swing_long, moments, 0, ret + 2 * stride);
    for (size_t r = 0; r < stride; r++) {
        size_t t = moments->at[r];
        ret[3 * stride + r] = season ? forecast_series_restless(season, t, t + lead) : 1;
        ret[4 * stride + r] = prediction[r] - series->z[t];
    }
    forecast_lanes_log(ret + stride, SIGN_FLOOR, 3 * stride, ret + stride);
    forecast_lanes_log(ret + 4 * stride, 10 * SIGN_FLOOR, stride, ret + 4 * stride);
    /* The height, by its order of magnitude: a level never seen must not be met by e^level. */
    forecast_lanes_log(prediction, 1, stride, ret + 5 * stride);
    for (size_t r = 0; r < stride; r++)
        ret[5 * stride + r] = copysignf(ret[5 * stride + r], prediction[r]);
}

void forecast_sign_row(const struct forecast_state *state, size_t lead, float prediction,
                       float *ret_signs)
{
    const struct forecast_state_season *season = NULL;
    for (size_t s = 0; s < state->season_count; s++)
        if (!state->seasons[s].weekly && (!season || state->seasons[s].period > season->period))
            season = &state->seasons[s];
    float restless = season ? forecast_state_restless(season, state->count - 1 + lead) : 1;
    ret_signs[0] = 1;
    ret_signs[1] = forecast_log(state->swing_short + SIGN_FLOOR);
    ret_signs[2] = forecast_log(state->swing_long + SIGN_FLOOR);
    ret_signs[3] = forecast_log(restless + SIGN_FLOOR);
    ret_signs[4] = forecast_log(fabsf(prediction - state->last) + 10 * SIGN_FLOOR);
    ret_signs[5] = copysignf(forecast_log(fabsf(prediction) + 1), prediction);
}

/* ---- peak ---- */

size_t forecast_peak_count(const struct forecast_series *series)
{
    return 5 + series->season_count;
}

static float highest(const float *z, size_t first, size_t count)
{
    float high = z[first];
    for (size_t i = first + 1; i < first + count; i++)
        high = z[i] > high ? z[i] : high;
    return high;
}

void forecast_peak_fill(const struct forecast_series *series,
                        const struct forecast_moments *moments, size_t span, const float *path,
                        float *ret)
{
    size_t stride = moments->stride;
    for (size_t r = 0; r < stride; r++) {
        size_t t = moments->at[r], back = span < t + 1 ? span : t + 1;
        ret[r] = path[r];
        ret[stride + r] = highest(series->z, t + 1 - back, back);
        ret[2 * stride + r] = fmaxf(series->z[t], path[r]);
        ret[3 * stride + r] = path[r] + series->swing_short[t];
        ret[4 * stride + r] = path[r] + series->swing_long[t];
        for (size_t s = 0; s < series->season_count; s++) {
            size_t lag = lag_of(0, series->seasons[s].period, span);
            ret[(5 + s) * stride + r] = highest(series->z, t + 1 - lag, span) +
                                        series->average[1][t] - series->average[1][t - lag];
        }
    }
}

void forecast_peak_row(const struct forecast_state *state, size_t span, float path, float *ret_row)
{
    uint64_t t = state->count - 1, back = span < t + 1 ? span : t + 1;
    ret_row[0] = path;
    ret_row[1] = forecast_state_highest(state, t + 1 - back, (size_t)back);
    ret_row[2] = fmaxf(state->last, path);
    ret_row[3] = path + state->swing_short;
    ret_row[4] = path + state->swing_long;
    for (size_t s = 0; s < state->season_count; s++) {
        uint64_t lag = lag_of(0, state->seasons[s].period, span);
        ret_row[5 + s] = forecast_state_highest(state, t + 1 - lag, span) + state->average[1] -
                         forecast_state_average(state, 1, t - lag);
    }
}
