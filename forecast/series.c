/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "forecast/calibration.h"

const double forecast_spans[FORECAST_SPANS] = {3, 10, 30, 100};
const double forecast_residual_spans[FORECAST_RESIDUAL_SPANS] = {3, 10, 100};

#define SMOOTH_HALF_MS (7 * 60000 + 30000) /* a quarter of an hour in all */
#define RESTLESS_HALF_MS (30 * 60000)
#define PROFILE_RATE 0.25 /* how fast a profile follows: about a week of days */
#define SWING_SPAN_SHORT 10.0
#define SWING_SPAN_LONG 100.0

static double rate(double span)
{
    return 2.0 / (span + 1.0);
}

static bool usable(double value)
{
    return isfinite(value) && fabs(value) <= FORECAST_VALUE_MAX;
}

static float *floats(size_t count)
{
    float *array = calloc(count ? count : 1, sizeof *array);
    TW_ASSERT(array != NULL);
    return array;
}

/* Median and mean distance from it; the latter is never 0 unless all values are equal. */
static void measure(struct forecast_series *series, const double *values, size_t count)
{
    double *sorted = calloc(count, sizeof *sorted);
    TW_ASSERT(sorted != NULL);
    size_t known = 0;
    for (size_t i = 0; i < count; i++)
        if (usable(values[i]))
            sorted[known++] = values[i];
    TW_ASSERT(known > 0);
    forecast_sort(sorted, known);
    series->centre = sorted[known / 2];
    double sum = 0;
    for (size_t i = 0; i < known; i++)
        sum += fabs(sorted[i] - series->centre) / (double)known;
    /* What is left when equal numbers are subtracted is rounding, not movement. */
    series->scale = sum > 1e-12 * fabs(series->centre) ? sum : 0;
    free(sorted);
}

static void append_season(struct forecast_series *series, struct forecast_season *season, size_t i);

/* Everything that stands beside z[i], from z[0..i] and the arrays before i. */
static void derive(struct forecast_series *series, size_t i)
{
    double z = series->z[i];
    double expected = i ? series->average[0][i - 1] : z;
    double swing = fabs(z - expected);
    for (size_t k = 0; k < FORECAST_SPANS; k++) {
        /* A plain mean until the span is full, so that the start has no special weight. */
        double a = fmax(rate(forecast_spans[k]), 1.0 / (double)(i + 1));
        double before = i ? series->average[k][i - 1] : 0;
        series->average[k][i] = (float)(before + a * (z - before));
    }
    double short_before = i ? series->swing_short[i - 1] : 0;
    double long_before = i ? series->swing_long[i - 1] : 0;
    double a_short = fmax(rate(SWING_SPAN_SHORT), 1.0 / (double)(i + 1));
    double a_long = fmax(rate(SWING_SPAN_LONG), 1.0 / (double)(i + 1));
    series->swing_short[i] = (float)(short_before + a_short * (swing - short_before));
    series->swing_long[i] = (float)(long_before + a_long * (swing - long_before));

    size_t half = series->smooth_half;
    series->smooth[i] = (float)z;
    if (i >= half) {
        size_t middle = i - half, first = middle >= half ? middle - half : 0;
        double sum = 0;
        for (size_t j = first; j <= i; j++)
            sum += series->z[j];
        series->smooth[middle] = (float)(sum / (double)(i - first + 1));
    }
    for (size_t s = 0; s < series->season_count; s++)
        append_season(series, &series->seasons[s], i);
}

static double next_profile(const struct forecast_series *series,
                           const struct forecast_season *season, size_t i)
{
    size_t before = i - season->period;
    double seen = series->smooth[before];
    if (before < season->period)
        return seen;
    double cycle = (double)(before / season->period);
    double a = fmax(PROFILE_RATE, 1.0 / (cycle + 1.0));
    return season->profile[before] + a * (seen - season->profile[before]);
}

double forecast_series_profile(const struct forecast_series *series,
                               const struct forecast_season *season, size_t i)
{
    TW_ASSERT(i >= season->period && i - season->period < series->count);
    return i < series->count ? (double)season->profile[i] : next_profile(series, season, i);
}

/* Mean of |z - profile| around the same phase a period ago, averaged over periods. */
static double next_restless(const struct forecast_series *series,
                            const struct forecast_season *season, size_t i)
{
    size_t before = i - season->period;
    if (before < season->period)
        return 1.0; /* not known yet: of the size of the series' own scale */
    size_t half = (size_t)(RESTLESS_HALF_MS / series->step_ms);
    half = half < 1 ? 1 : half > 30 ? 30 : half;
    size_t last = before + half < series->count ? before + half : series->count - 1;
    size_t first = before >= season->period + half ? before - half : season->period;
    double sum = 0;
    size_t used = 0;
    for (size_t j = first; j <= last && j < i; j++, used++)
        sum += fabs((double)series->z[j] - (double)season->profile[j]);
    double seen = used ? sum / (double)used : 1.0;
    if (before < 2 * season->period)
        return seen;
    return season->restless[before] + PROFILE_RATE * (seen - season->restless[before]);
}

double forecast_series_restless(const struct forecast_series *series,
                                const struct forecast_season *season, size_t i)
{
    TW_ASSERT(i >= season->period && i - season->period < series->count);
    return i < series->count ? (double)season->restless[i] : next_restless(series, season, i);
}

static void append_season(struct forecast_series *series, struct forecast_season *season, size_t i)
{
    if (season->weekly)
        return;
    if (i < season->period) {
        season->profile[i] = series->z[i];
        season->restless[i] = 1.0f;
        return;
    }
    season->profile[i] = (float)next_profile(series, season, i);
    season->restless[i] = (float)next_restless(series, season, i);
    double residual = (double)series->z[i] - (double)season->profile[i];
    for (size_t k = 0; k < FORECAST_RESIDUAL_SPANS; k++) {
        double before = season->residual[k][i - 1];
        double a = fmax(rate(forecast_residual_spans[k]), 1.0 / (double)(i - season->period + 1));
        season->residual[k][i] = (float)(before + a * (residual - before));
    }
}

/* A hole takes the value of a period ago at the recent level, or the recent level alone. */
static double fill_in(const struct forecast_series *series, size_t i)
{
    if (i == 0)
        return 0;
    double level = series->average[1][i - 1];
    size_t day = (size_t)(86400000 / series->step_ms);
    if (day >= 4 && i >= day + 1)
        return series->z[i - day] + level - series->average[1][i - 1 - day];
    return level;
}

static void take_value(struct forecast_series *series, double value)
{
    size_t i = series->count;
    TW_ASSERT(i < series->capacity);
    series->known[i] = usable(value);
    if (!series->known[i])
        series->z[i] = (float)fill_in(series, i);
    else if (series->scale > 0)
        series->z[i] = (float)((value - series->centre) / series->scale);
    else
        series->z[i] = 0;
    series->count = i + 1;
    derive(series, i);
}

bool forecast_series_init(struct forecast_series *series, const double *values, size_t count,
                          int64_t step_ms)
{
    memset(series, 0, sizeof *series);
    size_t first = 0;
    while (first < count && !usable(values[first]))
        first++;
    if (first == count)
        return false;
    series->step_ms = step_ms;
    series->capacity = count - first + FORECAST_APPEND_MAX + 1;
    series->smooth_half = (size_t)(SMOOTH_HALF_MS / step_ms);
    if (series->smooth_half > 15)
        series->smooth_half = 15;
    series->z = floats(series->capacity);
    series->smooth = floats(series->capacity);
    series->swing_short = floats(series->capacity);
    series->swing_long = floats(series->capacity);
    for (size_t k = 0; k < FORECAST_SPANS; k++)
        series->average[k] = floats(series->capacity);
    series->known = calloc(series->capacity, sizeof *series->known);
    TW_ASSERT(series->known != NULL);
    measure(series, values + first, count - first);
    for (size_t i = first; i < count; i++)
        take_value(series, values[i]);
    return true;
}

void forecast_series_fini(struct forecast_series *series)
{
    free(series->z);
    free(series->known);
    free(series->smooth);
    free(series->swing_short);
    free(series->swing_long);
    for (size_t k = 0; k < FORECAST_SPANS; k++)
        free(series->average[k]);
    for (size_t s = 0; s < series->season_count; s++) {
        struct forecast_season *season = &series->seasons[s];
        free(season->profile);
        free(season->restless);
        for (size_t k = 0; k < FORECAST_RESIDUAL_SPANS; k++)
            free(season->residual[k]);
    }
    memset(series, 0, sizeof *series);
}

void forecast_series_add_season(struct forecast_series *series, size_t period, bool weekly)
{
    TW_ASSERT(series->season_count < FORECAST_SEASONS_MAX);
    struct forecast_season *season = &series->seasons[series->season_count++];
    season->period = period;
    season->weekly = weekly;
    if (weekly)
        return;
    season->profile = floats(series->capacity);
    season->restless = floats(series->capacity);
    for (size_t k = 0; k < FORECAST_RESIDUAL_SPANS; k++)
        season->residual[k] = floats(series->capacity);
    for (size_t i = 0; i < series->count; i++)
        append_season(series, season, i);
}

void forecast_series_append(struct forecast_series *series, double value)
{
    take_value(series, value);
}

void forecast_series_drop_last(struct forecast_series *series)
{
    TW_ASSERT(series->count > 1);
    series->count--;
    /* The smoothed values that saw the dropped one are computed anew when the next one comes; until
     * then nobody reads them (I1). */
}
