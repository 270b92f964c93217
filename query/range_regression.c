/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>

#include "base/vector.h"
#include "query/range_kernel.h"
#include "query/sliding.h"

/* Least squares over samples [low, high); x in seconds from origin_ms. */
static void fit_line(const struct query_range_row *row, size_t low, size_t high, int64_t origin_ms,
                     double *ret_slope, double *ret_intercept)
{
    double x = 0, y = 0, xy = 0, xx = 0;
    double cx = 0, cy = 0, cxy = 0, cxx = 0;
    double count = (double)(high - low), initial = row->values[low];
    bool constant = true;
    for (size_t i = low; i < high; i++) {
        double seconds = (double)(row->times_ms[i] - origin_ms) / 1e3, value = row->values[i];
        constant = constant && (i == low || value == initial);
        query_kahan_add(seconds, &x, &cx);
        query_kahan_add(value, &y, &cy);
        query_kahan_add(seconds * value, &xy, &cxy);
        query_kahan_add(seconds * seconds, &xx, &cxx);
    }
    if (constant) {
        *ret_slope = isinf(initial) ? NAN : 0;
        *ret_intercept = isinf(initial) ? NAN : initial;
        return;
    }
    x += cx;
    y += cy;
    xy += cxy;
    xx += cxx;
    double covariance = xy - x * y / count, variance = xx - x * x / count;
    *ret_slope = covariance / variance;
    *ret_intercept = y / count - *ret_slope * x / count;
}

/* ---- lines that slide along ---- */

/* The lanes: x, y, x y, x x. They are taken from the origin, so that what is summed is small beside
 * what it is about. */
enum { LANE_X, LANE_Y, LANE_XY, LANE_XX };

static void take_sample(const struct query_range_row *row, size_t origin, size_t sample,
                        query_lanes *ret)
{
    double x = (double)(row->times_ms[sample] - row->times_ms[origin]) / 1e3;
    double y = row->values[sample] - row->values[origin];
    *ret = (query_lanes){x, y, x * y, x * x};
}

/* Moves on to a window of two samples or more: the slope, and the value at a time. */
static inline __attribute__((always_inline)) void move_line(const struct query_range_row *row,
                                                            size_t low, size_t high, size_t changed,
                                                            int64_t time_ms, double *ret_slope,
                                                            double *ret_value)
{
    struct query_lane_sums sums;
    query_sliding_move(row->sliding, row, low, high, take_sample, &sums);
    query_lanes total = sums.sum + sums.rest;
    size_t origin = row->sliding->border - 1;
    double count = (double)(high - low);
    double covariance = total[LANE_XY] - total[LANE_X] * total[LANE_Y] / count;
    double variance = total[LANE_XX] - total[LANE_X] * total[LANE_X] / count;
    double slope = covariance / variance;
    double mean = row->values[origin] + total[LANE_Y] / count;
    double distance = (double)(time_ms - row->times_ms[origin]) / 1e3 - total[LANE_X] / count;
    *ret_slope = slope;
    *ret_value = mean + slope * distance;
    if (changed <= low) { /* they are all the same */
        *ret_slope = isinf(row->values[low]) ? NAN : 0;
        *ret_value = isinf(row->values[low]) ? NAN : row->values[low];
    } else if (!isfinite(*ret_value)) {
        fit_line(row, low, high, time_ms, ret_slope, ret_value);
    }
}

/* The newest position up to high at which the value is not that of the one before. */
static inline size_t find_change(const struct query_range_row *row, size_t changed, size_t *entered,
                                 size_t high)
{
    for (; *entered < high; ++*entered)
        if (row->values[*entered] != row->values[*entered - 1])
            changed = *entered;
    return changed;
}

TW_VECTOR static void fit_lines(const struct query_range_row *row, bool is_prediction)
{
    size_t changed = 0, entered = 1;
    query_sliding_begin(row->sliding, row->count);
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        double slope, value;
        if (high < low + 2)
            continue;
        changed = find_change(row, changed, &entered, high);
        move_line(row, low, high, changed, query_grid_time(&row->grid, s), &slope, &value);
        /* Values that are not finite are looked through window by window. */
        if (!isfinite(value) && !query_range_row_worked(row, high - low))
            return;
        row->out[s] = is_prediction ? slope * row->first[s] + value : slope;
        query_bit_set(row->present, s);
    }
}

void query_kernel_deriv(const struct query_range_row *row)
{
    fit_lines(row, false);
}

void query_kernel_predict_linear(const struct query_range_row *row)
{
    fit_lines(row, true);
}

/* Holt's double exponential smoothing with factors for level and trend. */
void query_kernel_smoothing(const struct query_range_row *row)
{
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        if (high < low + 2)
            continue;
        if (!query_range_row_worked(row, high - low))
            return;
        double level_factor = row->first[s], trend_factor = row->second[s];
        double before = 0, level = row->values[low], trend = row->values[low + 1] - level;
        for (size_t i = low + 1; i < high; i++) {
            if (i > low + 1)
                trend = trend_factor * (level - before) + (1 - trend_factor) * trend;
            before = level;
            level = level_factor * row->values[i] + (1 - level_factor) * (level + trend);
        }
        row->out[s] = level;
        query_bit_set(row->present, s);
    }
}
