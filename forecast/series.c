/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "forecast/lanes.h"
#include "forecast/sort.h"

const double forecast_spans[FORECAST_SPANS] = {3, 10, 30, 100};
const double forecast_residual_spans[FORECAST_RESIDUAL_SPANS] = {3, 10, 100};

#define SMOOTH_HALF_MS (7 * 60000 + 30000) /* a quarter of an hour in all */
#define SMOOTH_HALF_MAX 15
#define CELL_MS (15 * 60000)
#define DAY_MS 86400000

double forecast_rate(double span, uint64_t nth)
{
    return fmax(2.0 / (span + 1.0), 1.0 / (double)nth);
}

bool forecast_usable(double value)
{
    return isfinite(value) && fabs(value) <= FORECAST_VALUE_MAX;
}

size_t forecast_cell_size(int64_t step_ms, size_t period)
{
    size_t size = (size_t)(CELL_MS / step_ms);
    if (size > period / 8)
        size = period / 8;
    return size ? size : 1;
}

static float *floats(size_t count)
{
    float *array = calloc(count ? count : 1, sizeof *array);
    TW_ASSERT(array != NULL);
    return array;
}

/* Arrays of the values, and a season's: profile (up to twice as long), residuals, restlessness. */
enum { POOL_VALUES = 4 + FORECAST_SPANS, POOL_SEASON = 2 + FORECAST_RESIDUAL_SPANS + 3 };

/* Not cleared. */
static float *take(struct forecast_series *series, size_t count)
{
    TW_ASSERT(series->pool_size - series->pool_used >= count);
    float *array = series->pool + series->pool_used;
    series->pool_used += count;
    return array;
}

/* Median and mean distance from it; the latter is never 0 unless all values are equal. */
static void measure(struct forecast_series *series, const double *values, size_t count)
{
    float *offset = floats(count);
    size_t known = 0;
    double first = 0, low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < count; i++)
        if (forecast_usable(values[i])) {
            first = known++ ? first : values[i];
            low = fmin(low, values[i]);
            high = fmax(high, values[i]);
        }
    TW_ASSERT(known > 0);
    /* Floats tell values apart by their distance from one of them, whatever their size. */
    double unit = high - low;
    known = 0;
    for (size_t i = 0; i < count; i++)
        if (forecast_usable(values[i]))
            offset[known++] = unit > 0 ? (float)((values[i] - first) / unit) : 0;
    double median = forecast_select(offset, known, known / 2), sum = 0;
    for (size_t i = 0; i < known; i++)
        sum += fabs((double)offset[i] - median);
    series->centre = first + unit * median;
    series->scale = unit * (sum / (double)known);
    /* What is left when equal numbers are subtracted is rounding, not movement. */
    if (!(series->scale > 1e-12 * fabs(series->centre)))
        series->scale = 0;
    free(offset);
}

/* A hole takes the value of a day ago at the recent level, or the recent level alone. */
static float fill_in(const struct forecast_series *series, size_t i)
{
    if (i == 0)
        return 0;
    float level = series->average[1][i - 1];
    size_t day = (size_t)(DAY_MS / series->step_ms);
    if (day >= 4 && i >= day + 1)
        return series->z[i - day] + level - series->average[1][i - 1 - day];
    return level;
}

static float scaled(const struct forecast_series *series, double value)
{
    return series->scale > 0 ? (float)((value - series->centre) / series->scale) : 0;
}

/* The values and their averages; one pass, since a hole is filled from the averages before it. */
static void take_values(struct forecast_series *series, const double *values)
{
    double average[FORECAST_SPANS] = {0}, fixed[FORECAST_SPANS], swings[2] = {0};
    const double fixed_short = forecast_rate(FORECAST_SWING_SPAN_SHORT, UINT64_MAX);
    const double fixed_long = forecast_rate(FORECAST_SWING_SPAN_LONG, UINT64_MAX);
    for (size_t k = 0; k < FORECAST_SPANS; k++)
        fixed[k] = forecast_rate(forecast_spans[k], UINT64_MAX);
    for (size_t i = 0; i < series->count; i++) {
        series->known[i] = forecast_usable(values[i]);
        series->z[i] = series->known[i] ? scaled(series, values[i]) : fill_in(series, i);
        double z = series->z[i], swing = i ? fabs(z - average[0]) : 0;
        double start = i < 200 ? 1.0 / (double)(i + 1) : 0; /* no span is longer */
        for (size_t k = 0; k < FORECAST_SPANS; k++) {
            average[k] += (start > fixed[k] ? start : fixed[k]) * (z - average[k]);
            series->average[k][i] = (float)average[k];
        }
        swings[0] += (start > fixed_short ? start : fixed_short) * (swing - swings[0]);
        swings[1] += (start > fixed_long ? start : fixed_long) * (swing - swings[1]);
        series->swing_short[i] = (float)swings[0];
        series->swing_long[i] = (float)swings[1];
        if (i)
            series->walk += fabs(z - (double)series->z[i - 1]);
    }
    series->walk /= series->count > 1 ? (double)(series->count - 1) : 1;
}

/* Means over the window around; near the end, where the window is cut, the value alone. */
static void smooth_values(struct forecast_series *series)
{
    size_t half = series->smooth_half, count = series->count, width = 2 * half + 1;
    const float *z = series->z;
    for (size_t i = 0; i < half && i + half < count; i++) {
        float sum = 0;
        for (size_t j = 0; j <= i + half; j++)
            sum += z[j];
        series->smooth[i] = sum / (float)(i + half + 1);
    }
    if (count >= width)
        forecast_lanes_mean(z, width, count - width + 1, series->smooth + half);
    for (size_t i = count > half ? count - half : 0; i < count; i++)
        series->smooth[i] = z[i];
}

bool forecast_series_init(struct forecast_series *series, const double *values, size_t count,
                          int64_t step_ms)
{
    memset(series, 0, sizeof *series);
    size_t first = 0;
    while (first < count && !forecast_usable(values[first]))
        first++;
    if (first == count)
        return false;
    series->step_ms = step_ms;
    series->count = count - first;
    series->smooth_half = (size_t)(SMOOTH_HALF_MS / step_ms);
    if (series->smooth_half > SMOOTH_HALF_MAX)
        series->smooth_half = SMOOTH_HALF_MAX;
    series->pool_size = series->count * (POOL_VALUES + POOL_SEASON * FORECAST_SEASONS_MAX);
    series->pool = malloc(series->pool_size * sizeof *series->pool);
    TW_ASSERT(series->pool != NULL);
    series->z = take(series, series->count);
    series->smooth = take(series, series->count);
    series->swing_short = take(series, series->count);
    series->swing_long = take(series, series->count);
    for (size_t k = 0; k < FORECAST_SPANS; k++)
        series->average[k] = take(series, series->count);
    series->known = calloc(series->count, sizeof *series->known);
    TW_ASSERT(series->known != NULL);
    measure(series, values + first, series->count);
    take_values(series, values + first);
    smooth_values(series);
    return true;
}

void forecast_series_fini(struct forecast_series *series)
{
    free(series->pool);
    free(series->known);
    for (size_t k = 0; k < FORECAST_WINTERS; k++) {
        free(series->winters[k].level);
        free(series->winters[k].error);
        for (size_t s = 0; s < FORECAST_SEASONS_MAX; s++)
            free(series->winters[k].offset[s]);
    }
    memset(series, 0, sizeof *series);
}

/* ---- seasons ---- */

static void lay_profile(const struct forecast_series *series, struct forecast_season *season)
{
    size_t period = season->period, known = series->count - series->smooth_half;
    memcpy(season->profile, series->z, (period < series->count ? period : series->count) * 4);
    for (size_t first = 0, cycle = 0; first < known; first += period, cycle++) {
        size_t end = first + period < known ? first + period : known;
        float rate = (float)fmax(FORECAST_PROFILE_RATE, 1.0 / ((double)cycle + 1.0));
        for (size_t i = first; i < end; i++)
            season->profile[i + period] =
                cycle ? season->profile[i] + rate * (series->smooth[i] - season->profile[i])
                      : series->smooth[i];
    }
}

static void lay_residuals(const struct forecast_series *series, struct forecast_season *season)
{
    double residual[FORECAST_RESIDUAL_SPANS] = {0}, fixed[FORECAST_RESIDUAL_SPANS];
    for (size_t k = 0; k < FORECAST_RESIDUAL_SPANS; k++)
        fixed[k] = forecast_rate(forecast_residual_spans[k], UINT64_MAX);
    for (size_t i = season->period; i < series->count; i++) {
        double here = (double)series->z[i] - (double)season->profile[i];
        double start = 1.0 / (double)(i - season->period + 1);
        for (size_t k = 0; k < FORECAST_RESIDUAL_SPANS; k++) {
            residual[k] += (start > fixed[k] ? start : fixed[k]) * (here - residual[k]);
            season->residual[k][i] = (float)residual[k];
        }
    }
}

/* Row n + 1 is what is known of each cell once it has been passed for the nth time. The first pass
 * has no profile to be compared with: it says nothing. */
static void lay_restless(struct forecast_series *series, struct forecast_season *season)
{
    size_t passes = series->count / season->period + 1, cells = season->cells;
    season->restless = take(series, (passes + 1) * cells);
    memset(season->restless, 0, (passes + 1) * cells * sizeof *season->restless);
    for (size_t c = 0; c < cells; c++)
        season->restless[c] = season->restless[cells + c] = 1.0f; /* the series' own scale */
    for (size_t n = 1; n < passes; n++)
        for (size_t c = 0; c < cells; c++) {
            size_t first = n * season->period + c * season->cell_size;
            size_t end = c + 1 < cells ? first + season->cell_size : (n + 1) * season->period;
            float *row = season->restless + n * cells + c, sum = 0;
            if (end > series->count)
                break;
            for (size_t i = first; i < end; i++)
                sum += fabsf(series->z[i] - season->profile[i]);
            sum /= (float)(end - first);
            row[cells] = n == 1 ? sum : *row + (float)FORECAST_PROFILE_RATE * (sum - *row);
        }
}

float forecast_series_restless(const struct forecast_season *season, size_t t, size_t i)
{
    uint32_t period = (uint32_t)season->period, size = (uint32_t)season->cell_size;
    uint32_t cells = (uint32_t)season->cells, cell = (uint32_t)i % period / size;
    uint32_t cycles = (uint32_t)(t + 1) / period, phase = (uint32_t)(t + 1) % period;
    float sum = 0;
    if (cell >= cells)
        cell = cells - 1;
    for (uint32_t k = 0; k <= 2 * FORECAST_CELLS_AROUND; k++) {
        uint32_t c = cell + k + (cell + k < FORECAST_CELLS_AROUND ? cells : 0);
        c -= FORECAST_CELLS_AROUND;
        c -= c >= cells ? cells : 0;
        uint32_t end = c + 1 < cells ? (c + 1) * size : period;
        sum += season->restless[(cycles + (phase >= end)) * cells + c];
    }
    return sum / (2 * FORECAST_CELLS_AROUND + 1);
}

void forecast_series_add_season(struct forecast_series *series, size_t period, bool weekly)
{
    TW_ASSERT(series->season_count < FORECAST_SEASONS_MAX && period < series->count);
    struct forecast_season *season = &series->seasons[series->season_count++];
    season->period = period;
    season->weekly = weekly;
    if (weekly)
        return;
    season->profile = take(series, series->count + period);
    memset(season->profile, 0, (series->count + period) * sizeof *season->profile);
    for (size_t k = 0; k < FORECAST_RESIDUAL_SPANS; k++) {
        season->residual[k] = take(series, series->count);
        memset(season->residual[k], 0, period * sizeof *season->residual[k]);
    }
    season->cell_size = forecast_cell_size(series->step_ms, period);
    season->cells = period / season->cell_size;
    lay_profile(series, season);
    lay_residuals(series, season);
    lay_restless(series, season);
}

/* ---- smoothing with several seasons ---- */

static void lay_winters(struct forecast_series *series, size_t speed)
{
    struct forecast_winters *winters = &series->winters[speed];
    size_t count = series->count, shortest = series->seasons[0].period;
    winters->level = floats(count);
    winters->error = floats(count);
    for (size_t s = 0; s < series->season_count; s++)
        winters->offset[s] = floats(count + series->seasons[s].period);
    double mean = 0;
    for (size_t i = 0; i < shortest; i++)
        mean += (double)series->z[i] / (double)shortest;
    struct forecast_winters_now now = forecast_winters_start((float)mean);
    for (size_t i = 0; i < count; i++) {
        float offset = 0;
        for (size_t s = 0; s < series->season_count; s++)
            offset += winters->offset[s][i];
        float error = forecast_winters_take(&now, speed, offset, series->z[i], series->known[i],
                                            i < shortest);
        for (size_t s = 0; s < series->season_count; s++) {
            size_t period = series->seasons[s].period;
            winters->offset[s][i + period] =
                winters->offset[s][i] + forecast_winters_rate(speed, s, i, period) * error;
        }
        winters->level[i] = now.level;
        winters->error[i] = now.error;
    }
    winters->usual = now.usual;
}

void forecast_series_add_winters(struct forecast_series *series)
{
    series->has_winters = forecast_winters_wanted(series->step_ms, series->season_count);
    for (size_t speed = 0; series->has_winters && speed < FORECAST_WINTERS; speed++)
        lay_winters(series, speed);
}
