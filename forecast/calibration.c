/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/calibration.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/assert.h"
#include "forecast/lanes.h"
#include "forecast/sort.h"

#define STRETCH 4.0    /* of the tails, per share that one independent error has of all */
#define STRETCH_AT 0.1 /* the largest share that is believed */
#define SIZE_RIDGE 3.0 /* of the signs' weights, per the same share; */
#define SIZE_RIDGE_LEAST 0.02
#define ERROR_FLOOR 0.1f /* of the mean error: the logarithm of less says nothing */

static const float positions[FORECAST_CALIBRATION_POINTS / 2 + 1] = {
    0,     0.0005f, 0.001f, 0.0025f, 0.005f, 0.0075f, 0.01f, 0.015f, 0.02f, 0.025f, 0.03f, 0.04f,
    0.05f, 0.06f,   0.075f, 0.1f,    0.125f, 0.15f,   0.2f,  0.25f,  0.3f,  0.35f,  0.4f,  0.5f};

double forecast_calibration_position(size_t point)
{
    size_t mirror = FORECAST_CALIBRATION_POINTS - 1 - point;
    return point < mirror ? (double)positions[point] : 1 - (double)positions[mirror];
}

/* Sums of products over all rows; the lower triangle of columns' square. */
static void sum_products(const float *columns, size_t size, const float *weight, size_t count,
                         double *ret)
{
    float part[(FORECAST_SIGNS + 1) * (FORECAST_SIGNS + 1)];
    memset(ret, 0, size * size * sizeof *ret);
    for (size_t first = 0; first < count; first += FORECAST_LANES_RANGE_MAX) {
        size_t rows = count - first;
        if (rows > FORECAST_LANES_RANGE_MAX)
            rows = FORECAST_LANES_RANGE_MAX;
        forecast_lanes_gram(columns, count, size, weight, first, rows, part);
        for (size_t i = 0; i < size; i++)
            for (size_t j = 0; j <= i; j++)
                ret[i * size + j] += (double)part[i * size + j];
    }
}

/* Of all that is known, what one independent error is: neighbours in time tell the same. */
static double share_of_one(const struct forecast_errors *errors)
{
    double total = 0, square = 0;
    for (size_t r = 0; r < errors->count; r++) {
        total += (double)errors->weight[r];
        square += (double)(errors->weight[r] * errors->weight[r]);
    }
    return errors->overlap * square / (total * total);
}

/* Least squares of log|error| on the signs, with ridge so that idle signs stay idle, and all of
 * them while there are few independent errors. The columns are the signs, of which the first is 1,
 * then the logarithm. */
static void fit_size(struct forecast_calibration *calibration, const struct forecast_errors *errors)
{
    enum { S = FORECAST_SIGNS, N = FORECAST_SIGNS + 1 };
    double sums[N * N], a[N][N], mean[N];
    sum_products(errors->signs, N, errors->weight, errors->count, sums);
    double total = sums[0], ridge = 1 + SIZE_RIDGE_LEAST + SIZE_RIDGE * share_of_one(errors);
    for (size_t i = 0; i < N; i++)
        mean[i] = sums[i * N] / total;
    for (size_t i = 1; i < N; i++)
        for (size_t j = 1; j <= i; j++)
            a[i][j] = a[j][i] = sums[i * N + j] / total - mean[i] * mean[j];
    /* Gauss with the ridge on the diagonal: symmetric and positive definite, no pivoting needed. */
    for (size_t i = 1; i < S; i++)
        a[i][i] = fmax(a[i][i], 0) * ridge + 0.01;
    for (size_t i = 1; i < S; i++)
        for (size_t j = i + 1; j < S; j++) {
            double f = a[j][i] / a[i][i];
            for (size_t k = i; k <= S; k++)
                a[j][k] -= f * a[i][k];
        }
    double level = mean[S];
    for (size_t i = S - 1; i >= 1; i--) {
        double sum = a[i][S];
        for (size_t k = i + 1; k < S; k++)
            sum -= a[i][k] * (double)calibration->size[k];
        calibration->size[i] = (float)(sum / a[i][i]);
        level -= sum / a[i][i] * mean[i];
    }
    calibration->size[0] = (float)level;
}

float forecast_calibration_size(const struct forecast_calibration *calibration, const float *signs)
{
    float sum = calibration->size[0];
    for (size_t i = 1; i < FORECAST_SIGNS; i++)
        sum += calibration->size[i] *
               fminf(fmaxf(signs[i], calibration->low[i]), calibration->high[i]);
    return forecast_exp(sum);
}

void forecast_calibration_sizes(const struct forecast_calibration *calibration, const float *signs,
                                size_t count, float *ret)
{
    for (size_t r = 0; r < count; r++)
        ret[r] = calibration->size[0];
    for (size_t i = 1; i < FORECAST_SIGNS; i++)
        forecast_lanes_add_clamped(signs + i * count, calibration->low[i], calibration->high[i],
                                   calibration->size[i], count, ret);
    forecast_lanes_exp(ret, count, ret);
}

static void find_limits(struct forecast_calibration *calibration,
                        const struct forecast_errors *errors)
{
    for (size_t i = 0; i < FORECAST_SIGNS; i++) {
        const float *sign = errors->signs + i * errors->count;
        float low = INFINITY, high = -INFINITY;
        for (size_t r = 0; r < errors->count; r++) {
            low = sign[r] < low ? sign[r] : low;
            high = sign[r] > high ? sign[r] : high;
        }
        calibration->low[i] = low;
        calibration->high[i] = high;
    }
}

/* The next error is one more of n + 1: a probability q is read off at q (n + 1) / n, n being what
 * the weighted rows are worth (conformal prediction's correction). */
static void lay_points(struct forecast_calibration *calibration, const float *scaled,
                       const float *weight, const uint32_t *order, size_t count, double overlap)
{
    double total = 0, square = 0, sum = 0, below = 0;
    for (size_t r = 0; r < count; r++) {
        total += (double)weight[r];
        square += (double)(weight[r] * weight[r]);
        sum += (double)(weight[r] * scaled[r]);
    }
    calibration->mean = (float)(sum / total);
    double worth = total * total / square;
    size_t r = 0, last = count - 1;
    while (last > 0 && weight[order[last]] <= 0)
        last--;
    while (r < last && weight[order[r]] <= 0)
        r++;
    for (size_t k = 0; k < FORECAST_CALIBRATION_POINTS; k++) {
        double want =
            (0.5 + (forecast_calibration_position(k) - 0.5) * (worth + 1) / worth) * total;
        while (r < last && below + (double)weight[order[r]] <= want)
            below += (double)weight[order[r++]];
        calibration->points[k] = scaled[order[r]];
    }
    /* Few independent errors leave the tails to luck: they are drawn out from the middle. */
    float middle = calibration->points[FORECAST_CALIBRATION_POINTS / 2];
    float stretch = (float)(1 + STRETCH * fmin(overlap / worth, STRETCH_AT));
    for (size_t k = 0; k < FORECAST_CALIBRATION_POINTS; k++)
        calibration->points[k] = middle + stretch * (calibration->points[k] - middle);
}

void forecast_calibration_fit(struct forecast_calibration *calibration,
                              const struct forecast_errors *errors, float *work)
{
    size_t count = errors->count;
    TW_ASSERT(count > 0 && count % FORECAST_LANES == 0 && count <= FORECAST_ROWS_MAX);
    double mean = 0, total = 0;
    for (size_t r = 0; r < count; r++) {
        mean += (double)(errors->weight[r] * fabsf(errors->error[r]));
        total += (double)errors->weight[r];
    }
    TW_ASSERT(total > 0);
    mean /= total;
    memset(calibration->size, 0, sizeof calibration->size);
    find_limits(calibration, errors);
    float *scaled = work, *sizes = work + count;
    if (mean > 0) {
        float *target = errors->signs + FORECAST_SIGNS * count;
        forecast_lanes_log(errors->error, ERROR_FLOOR * (float)mean, count, target);
        fit_size(calibration, errors);
    }
    forecast_calibration_sizes(calibration, errors->signs, count, sizes);
    for (size_t r = 0; r < count; r++)
        scaled[r] = errors->error[r] / sizes[r];
    uint32_t order[FORECAST_ROWS_MAX], spare[FORECAST_ROWS_MAX];
    forecast_order(scaled, count, order, spare);
    lay_points(calibration, scaled, errors->weight, order, count, errors->overlap);
}

float forecast_calibration_point(const struct forecast_calibration *calibration, double probability)
{
    bool high = probability > 0.5;
    float tail = (float)(high ? 1 - probability : probability);
    size_t k = 0, last = FORECAST_CALIBRATION_POINTS - 1;
    while (k + 1 < last / 2 && positions[k + 1] <= tail)
        k++;
    float f = (tail - positions[k]) / (positions[k + 1] - positions[k]);
    f = f < 1e-4f ? 0 : f > 1 ? 1 : f;
    const float *points = calibration->points;
    return high ? points[last - k] * (1 - f) + points[last - k - 1] * f
                : points[k] * (1 - f) + points[k + 1] * f;
}
