/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/season.h"

#include <math.h>
#include <stdlib.h>

#include "base/assert.h"

#define DAY_MS 86400000
#define WEEK_MS (7 * (int64_t)DAY_MS)
#define LOOK_BACK 4096     /* newest values that the autocorrelation is taken from */
#define PERIOD_MIN 6       /* steps: below this a short average does as well */
#define STRENGTH_MIN 0.35  /* autocorrelation of a period that counts */
#define STRENGTH_SHOWN 0.1 /* of the day or week, to be named as a season */
#define CYCLES_MIN 4       /* times that an unknown period must have been seen */

struct point {
    float re, im;
};

/* In place, size a power of two; turns: size / 2 powers of the first root of unity. */
static void transform(struct point *x, size_t size, const struct point *turns)
{
    for (size_t i = 1, j = 0; i < size; i++) {
        size_t bit = size >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j |= bit;
        if (i < j) {
            struct point swap = x[i];
            x[i] = x[j];
            x[j] = swap;
        }
    }
    for (size_t length = 2; length <= size; length <<= 1)
        for (size_t i = 0, half = length / 2; i < size; i += length)
            for (size_t j = 0; j < half; j++) {
                struct point w = turns[j * (size / length)];
                struct point *low = &x[i + j], *high = &x[i + j + half];
                float re = high->re * w.re - high->im * w.im;
                float im = high->re * w.im + high->im * w.re;
                *high = (struct point){low->re - re, low->im - im};
                *low = (struct point){low->re + re, low->im + im};
            }
}

/* Autocorrelation at lags 0 .. count - 1 of values without their mean. */
static void correlate(const float *values, size_t count, float *ret)
{
    size_t size = 2;
    while (size < 2 * count)
        size <<= 1;
    struct point *x = calloc(size + size / 2, sizeof *x), *turns = x + size;
    TW_ASSERT(x != NULL);
    double angle = -2 * M_PI / (double)size, re = 1, im = 0;
    double step_re = cos(angle), step_im = sin(angle);
    for (size_t i = 0; i < size / 2; i++) {
        turns[i] = (struct point){(float)re, (float)im};
        double next = re * step_re - im * step_im;
        im = re * step_im + im * step_re;
        re = next;
    }
    for (size_t i = 0; i < count; i++)
        x[i].re = values[i];
    transform(x, size, turns);
    for (size_t i = 0; i < size; i++)
        x[i] = (struct point){x[i].re * x[i].re + x[i].im * x[i].im, 0};
    transform(x, size, turns);
    float power = x[0].re;
    for (size_t lag = 0; lag < count; lag++) /* unbiased: fewer pairs at longer lags */
        ret[lag] = power > 0 ? x[lag].re / power * (float)count / (float)(count - lag) : 0;
    free(x);
}

/* Strength of one given lag over the whole series, cheap and without a transform. */
static double strength_at(const struct forecast_series *series, size_t lag)
{
    double mean = 0, same = 0, all = 0;
    for (size_t i = 0; i < series->count; i++)
        mean += (double)series->smooth[i] / (double)series->count;
    for (size_t i = lag; i < series->count; i++) {
        double a = (double)series->smooth[i] - mean, b = (double)series->smooth[i - lag] - mean;
        same += a * b;
        all += 0.5 * (a * a + b * b);
    }
    return all > 0 ? same / all : 0;
}

/* The strongest period that nobody named: a local maximum of the autocorrelation that is high,
 * comes after the correlation has once fallen, and recurs at twice the lag. */
static size_t find_unknown(const struct forecast_series *series, size_t leads, size_t below,
                           double *ret_strength)
{
    size_t count = series->count < LOOK_BACK ? series->count : LOOK_BACK;
    if (count < PERIOD_MIN * CYCLES_MIN)
        return 0;
    float *values = calloc(2 * count, sizeof *values), *correlation = values + count;
    TW_ASSERT(values != NULL);
    size_t first = series->count - count;
    double mean = 0;
    for (size_t i = 0; i < count; i++)
        mean += fmin(fmax((double)series->z[first + i], -8), 8) / (double)count;
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(fmin(fmax((double)series->z[first + i], -8), 8) - mean);
    correlate(values, count, correlation);
    size_t best = 0, limit = count / CYCLES_MIN < below ? count / CYCLES_MIN : below;
    double lowest = 1;
    for (size_t lag = 2; lag + 1 < limit; lag++) {
        lowest = fmin(lowest, (double)correlation[lag]);
        double here = (double)correlation[lag];
        bool peak =
            correlation[lag] >= correlation[lag - 1] && correlation[lag] > correlation[lag + 1];
        if (lag < PERIOD_MIN || lag <= series->smooth_half || !peak || here < STRENGTH_MIN ||
            here - lowest < 0.25 || (double)correlation[2 * lag] < 0.5 * here)
            continue;
        /* A multiple of a period correlates as well as the period: only clearly better counts. */
        if (!best || here > (double)correlation[best] + 0.1)
            best = lag;
    }
    (void)leads;
    if (best)
        *ret_strength = (double)correlation[best];
    free(values);
    return best;
}

static int by_period(const void *a, const void *b)
{
    size_t x = ((const struct forecast_period *)a)->period;
    size_t y = ((const struct forecast_period *)b)->period;
    return (x > y) - (x < y);
}

size_t forecast_season_find(const struct forecast_series *series, size_t leads,
                            struct forecast_period *ret_periods)
{
    size_t found = 0, day = 0;
    if (series->scale <= 0)
        return 0;
    if (DAY_MS % series->step_ms == 0)
        day = (size_t)(DAY_MS / series->step_ms);
    if (day >= 4 && series->count >= 2 * day + leads)
        ret_periods[found++] = (struct forecast_period){day, false, strength_at(series, day)};
    size_t week = WEEK_MS % series->step_ms == 0 ? (size_t)(WEEK_MS / series->step_ms) : 0;
    if (week >= 4 && series->count >= 2 * week + leads)
        ret_periods[found++] = (struct forecast_period){week, day >= 4, strength_at(series, week)};
    double strength = 0;
    size_t below = found && day >= 4 ? day - day / 8 : series->count;
    size_t unknown = find_unknown(series, leads, below, &strength);
    /* Half a day and a third of one are harmonics: they earn a place only if they say more than the
     * day. */
    if (unknown && found && day >= 4 && ret_periods[0].strength > strength - 0.05 &&
        unknown * 6 > day)
        unknown = 0;
    if (unknown && series->count >= CYCLES_MIN * unknown + leads)
        ret_periods[found++] = (struct forecast_period){unknown, false, strength};
    qsort(ret_periods, found, sizeof *ret_periods, by_period);
    return found;
}
