/* SPDX-License-Identifier: Apache-2.0
 *
 * rate, increase and delta of anchored and smoothed windows: the difference between the values at
 * the two edges, nothing extrapolated.
 *
 *   anchored   the edges are samples: the newest at or before the start (else the first within),
 *              and the last within
 *   smoothed   the edges lie on the lines to the samples around them; of a counter that was reset
 *              in between, on the line that comes from zero
 */
#include "config.h"

#include "query/range_kernel.h"

double query_interpolate(const int64_t times_ms[2], const double values[2], int64_t time_ms)
{
    return values[0] + (values[1] - values[0]) * (double)(time_ms - times_ms[0]) /
                           (double)(times_ms[1] - times_ms[0]);
}

static double value_between(const struct query_range_row *row, size_t left, int64_t time_ms,
                            bool is_counter)
{
    double values[2] = {row->values[left], row->values[left + 1]};
    if (is_counter && values[1] < values[0])
        values[0] = 0;
    return query_interpolate(row->times_ms + left, values, time_ms);
}

/* What counter resets swallowed between the edges: samples [low, high) lie strictly within. */
static double find_lost(const struct query_range_row *row, double left, double right, size_t low,
                        size_t high)
{
    double lost = 0, before = left;
    for (size_t i = low; i < high; i++) {
        if (row->values[i] < before)
            lost += before;
        before = row->values[i];
    }
    return right < before ? lost + before : lost;
}

static inline void change_between_edges(const struct query_range_row *row, bool smoothed,
                                        bool is_counter, bool is_rate)
{
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        if (high <= low)
            continue;
        int64_t end_ms = row->first_end_ms + (int64_t)s * row->end_step_ms;
        int64_t start_ms = end_ms - row->range_ms;
        size_t last = high - 1;
        double left = row->values[low], right = row->values[last];
        if (smoothed && row->times_ms[low] < start_ms)
            left = value_between(row, low, start_ms, is_counter);
        if (smoothed && last > low && row->times_ms[last] > end_ms)
            right = value_between(row, last - 1, end_ms, is_counter);
        double change = right - left;
        if (is_counter)
            change += find_lost(row, left, right, low + (row->times_ms[low] <= start_ms),
                                high - (row->times_ms[last] >= end_ms));
        row->out[s] = is_rate ? change / ((double)row->range_ms / 1000) : change;
        query_bit_set(row->present, s);
    }
}

void query_kernel_anchored_rate(const struct query_range_row *row)
{
    change_between_edges(row, false, true, true);
}

void query_kernel_anchored_increase(const struct query_range_row *row)
{
    change_between_edges(row, false, true, false);
}

void query_kernel_anchored_delta(const struct query_range_row *row)
{
    change_between_edges(row, false, false, false);
}

void query_kernel_smoothed_rate(const struct query_range_row *row)
{
    change_between_edges(row, true, true, true);
}

void query_kernel_smoothed_increase(const struct query_range_row *row)
{
    change_between_edges(row, true, true, false);
}

void query_kernel_smoothed_delta(const struct query_range_row *row)
{
    change_between_edges(row, true, false, false);
}
