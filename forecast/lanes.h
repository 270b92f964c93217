/* SPDX-License-Identifier: Apache-2.0
 *
 * lanes: sums over long columns of floats, eight at a time; where nearly all the time of a fit
 * goes. Columns stand side by side, each `stride` floats long; ranges of rows begin and end at
 * multiples of FORECAST_LANES, and what pads them has weight 0.
 *
 * The order of additions depends on the processor, and so do the last bits of a sum: forecasts
 * agree between machines to about six digits, on one machine to the last bit.
 */
#ifndef TW_FORECAST_LANES_H
#define TW_FORECAST_LANES_H

#include <stddef.h>

#define FORECAST_LANES 8
/* Rows that one range may have. */
#define FORECAST_LANES_RANGE_MAX 512

/* ret_sums[i * size + j], j <= i: sum over rows of weight * column i * column j. */
void forecast_lanes_gram(const float *columns, size_t stride, size_t size, const float *weight,
                         size_t first, size_t count, float *ret_sums);
/* ret[i] = mean of values[i] to values[i + width - 1], for count of them. */
void forecast_lanes_mean(const float *values, size_t width, size_t count, float *ret);
/* ret[row] = sum over columns of factor * column. */
void forecast_lanes_mix(const float *columns, size_t stride, size_t size, const float *factors,
                        size_t first, size_t count, float *ret);
/* Keeps ret[row] within the columns of the row, or beyond them by at most slack times their spread.
 */
void forecast_lanes_confine(const float *columns, size_t stride, size_t size, float slack,
                            float *ret);
/* Sum of weight * |a - b|. */
double forecast_lanes_distance(const float *a, const float *b, const float *weight, size_t count);
/* ret = |a - b| */
void forecast_lanes_apart(const float *a, const float *b, size_t count, float *ret);
/* ret = a - b; ret may be a. */
void forecast_lanes_minus(const float *a, const float *b, size_t count, float *ret);
/* weight[row] = importance[row] * min(1, usual / error[row]) */
void forecast_lanes_tame(const float *error, const float *importance, float usual, size_t count,
                         float *ret_weight);
/* ret = log(|a| + floor), to about 1e-5; floor > 0. And e^a. */
void forecast_lanes_log(const float *a, float floor, size_t count, float *ret);
void forecast_lanes_exp(const float *a, size_t count, float *ret);
float forecast_log(float a); /* as in forecast_lanes_log; a > 0 */
float forecast_exp(float a);
/* ret = min(max(a, low), high) * factor + ret */
void forecast_lanes_add_clamped(const float *a, float low, float high, float factor, size_t count,
                                float *ret);

/* Some systems of equations at once, side by side, given the sums of forecast_lanes_gram whose last
 * column is the right side. */
#define FORECAST_LANES_SIZE_MAX 34
#define FORECAST_LANES_SYSTEMS 8
struct forecast_lanes_systems {
    size_t size; /* of the sums; there is one unknown less */
    double cells[FORECAST_LANES_SIZE_MAX * (FORECAST_LANES_SIZE_MAX + 1) / 2]
                [FORECAST_LANES_SYSTEMS] __attribute__((aligned(64)));
};
/* System k is `sums` without part k, and without nothing from part_count on; parts lie
 * FORECAST_LANES_SIZE_MAX^2 floats apart. */
void forecast_lanes_without(const float *sums, const float *parts, size_t part_count, size_t size,
                            struct forecast_lanes_systems *ret);
/* Cholesky; `ridge` times the mean of the diagonal (without the last unknown's, which is that of
 * the intercept) makes the matrices positive definite. half: 0 the first four systems, 1 the last
 * four. ret[system][unknown]. */
void forecast_lanes_solve(const struct forecast_lanes_systems *systems, size_t half, double ridge,
                          float ret[FORECAST_LANES_SYSTEMS][FORECAST_LANES_SIZE_MAX]);

#endif
