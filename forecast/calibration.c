/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/calibration.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Probabilities at which the points stand: denser towards both ends, where decisions are made. */
static double position(size_t k)
{
    double x = (double)k / (FORECAST_CALIBRATION_POINTS - 1);
    return 0.5 - 0.5 * cos(M_PI * x);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void forecast_sort(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
}

struct pair {
    double value, weight;
};

static int compare_pairs(const void *a, const void *b)
{
    return compare(&((const struct pair *)a)->value, &((const struct pair *)b)->value);
}

/* Least squares of log|error| on the signs, a little ridge so that idle signs stay idle. */
static void fit_size(struct forecast_calibration *calibration, const double *error,
                     const double *signs, const double *weight, size_t count)
{
    double mean = 0, total = 0;
    for (size_t r = 0; r < count; r++) {
        mean += weight[r] * fabs(error[r]);
        total += weight[r];
    }
    mean /= total;
    memset(calibration->size, 0, sizeof calibration->size);
    if (mean <= 0)
        return;
    double centre[FORECAST_SIGNS] = {0}, a[FORECAST_SIGNS][FORECAST_SIGNS] = {{0}};
    double b[FORECAST_SIGNS] = {0}, level = 0;
    for (size_t r = 0; r < count; r++) {
        level += weight[r] / total * log(fabs(error[r]) + 0.1 * mean);
        for (size_t i = 1; i < FORECAST_SIGNS; i++)
            centre[i] += weight[r] / total * signs[r * FORECAST_SIGNS + i];
    }
    for (size_t r = 0; r < count; r++) {
        double w = weight[r] / total;
        double target = log(fabs(error[r]) + 0.1 * mean) - level;
        for (size_t i = 1; i < FORECAST_SIGNS; i++) {
            double di = signs[r * FORECAST_SIGNS + i] - centre[i];
            for (size_t j = 1; j < FORECAST_SIGNS; j++)
                a[i][j] += w * di * (signs[r * FORECAST_SIGNS + j] - centre[j]);
            b[i] += w * di * target;
        }
    }
    /* Gauss with the ridge on the diagonal: symmetric and positive definite, no pivoting needed. */
    for (size_t i = 1; i < FORECAST_SIGNS; i++)
        a[i][i] = a[i][i] * 1.02 + 0.01;
    for (size_t i = 1; i < FORECAST_SIGNS; i++)
        for (size_t j = i + 1; j < FORECAST_SIGNS; j++) {
            double f = a[j][i] / a[i][i];
            for (size_t k = i; k < FORECAST_SIGNS; k++)
                a[j][k] -= f * a[i][k];
            b[j] -= f * b[i];
        }
    calibration->size[0] = level;
    for (size_t i = FORECAST_SIGNS - 1; i >= 1; i--) {
        double sum = b[i];
        for (size_t k = i + 1; k < FORECAST_SIGNS; k++)
            sum -= a[i][k] * calibration->size[k];
        calibration->size[i] = sum / a[i][i];
    }
    for (size_t i = 1; i < FORECAST_SIGNS; i++)
        calibration->size[0] -= calibration->size[i] * centre[i];
}

double forecast_calibration_size(const struct forecast_calibration *calibration,
                                 const double *signs)
{
    double sum = calibration->size[0];
    for (size_t i = 1; i < FORECAST_SIGNS; i++)
        sum +=
            calibration->size[i] * fmin(fmax(signs[i], calibration->low[i]), calibration->high[i]);
    return exp(sum);
}

void forecast_calibration_fit(struct forecast_calibration *calibration, const double *error,
                              const double *signs, const double *weight, size_t count)
{
    TW_ASSERT(count > 0);
    for (size_t i = 0; i < FORECAST_SIGNS; i++) {
        calibration->low[i] = INFINITY;
        calibration->high[i] = -INFINITY;
        for (size_t r = 0; r < count; r++) {
            calibration->low[i] = fmin(calibration->low[i], signs[r * FORECAST_SIGNS + i]);
            calibration->high[i] = fmax(calibration->high[i], signs[r * FORECAST_SIGNS + i]);
        }
    }
    fit_size(calibration, error, signs, weight, count);
    struct pair *pairs = calloc(count, sizeof *pairs);
    TW_ASSERT(pairs != NULL);
    double total = 0, square = 0;
    calibration->mean = 0;
    for (size_t r = 0; r < count; r++) {
        double size = forecast_calibration_size(calibration, signs + r * FORECAST_SIGNS);
        pairs[r] = (struct pair){error[r] / size, weight[r]};
        total += weight[r];
        square += weight[r] * weight[r];
        calibration->mean += weight[r] * pairs[r].value;
    }
    calibration->mean /= total;
    qsort(pairs, count, sizeof *pairs, compare_pairs);
    /* The next error is one more of n + 1: a probability q is read off at q (n + 1) / n, n being
     * what the weighted rows are worth (conformal prediction's correction). */
    double worth = total * total / square;
    double below = 0;
    size_t r = 0;
    for (size_t k = 0; k < FORECAST_CALIBRATION_POINTS; k++) {
        double p = position(k);
        double want = (0.5 + (p - 0.5) * (worth + 1) / worth) * total;
        while (r + 1 < count && below + pairs[r].weight <= want)
            below += pairs[r++].weight;
        calibration->points[k] = pairs[r].value;
    }
    free(pairs);
}

double forecast_calibration_point(const struct forecast_calibration *calibration,
                                  double probability)
{
    double x = acos(1.0 - 2.0 * probability) / M_PI * (FORECAST_CALIBRATION_POINTS - 1);
    size_t k = (size_t)x;
    if (k >= FORECAST_CALIBRATION_POINTS - 1)
        return calibration->points[FORECAST_CALIBRATION_POINTS - 1];
    double f = x - (double)k;
    return calibration->points[k] * (1 - f) + calibration->points[k + 1] * f;
}
