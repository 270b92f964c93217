/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>

#include "query/range_kernel.h"

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

void query_kernel_deriv(const struct query_range_row *row)
{
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        double intercept;
        if (high < low + 2)
            continue;
        fit_line(row, low, high, row->times_ms[low], &row->out[s], &intercept);
        query_bit_set(row->present, s);
    }
}

void query_kernel_predict_linear(const struct query_range_row *row)
{
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        double slope, intercept;
        if (high < low + 2)
            continue;
        fit_line(row, low, high, query_grid_time(&row->grid, s), &slope, &intercept);
        row->out[s] = slope * row->first[s] + intercept;
        query_bit_set(row->present, s);
    }
}

/* Holt's double exponential smoothing with factors for level and trend. */
void query_kernel_smoothing(const struct query_range_row *row)
{
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        if (high < low + 2)
            continue;
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
