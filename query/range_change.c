/* SPDX-License-Identifier: Apache-2.0
 *
 * rate, increase and delta: the change between the first and last sample of a window, stretched to
 * its borders (windows.h). A counter's change also has what was there before each reset, and is not
 * stretched back behind the counter's zero point.
 *
 * Most windows have no reset and a zero point far away: they are worked out many at a time, and
 * what is in doubt once more with care.
 */
#include "config.h"

#include <string.h>

#include "base/vector.h"
#include "query/range_kernel.h"
#include "query/windows.h"

/* Series with more resets than this are no counters, or hardly; they go step by step. */
#define RESETS_MAX 64
/* Products with which quotients are compared are apart by this factor at least. */
#define MARGIN 1.000000001
#define PRODUCT_MIN 1e-290

/* What a window gives, with care. change: with what was there before its resets. */
static double stretch(const struct query_range_row *row, size_t step, double change,
                      bool is_counter, bool is_rate)
{
    const struct query_windows *windows = row->windows;
    double sampled = windows->sampled[step], to_start = windows->to_start[step];
    double first = row->values[windows->first[step]];
    if (is_counter && change > 0 && first >= 0) {
        double to_zero = sampled * (first / change);
        if (to_zero < to_start)
            to_start = to_zero;
    }
    double factor = (sampled + to_start + windows->to_end[step]) / sampled;
    if (is_rate)
        factor /= (double)row->range_ms / 1000;
    return change * factor;
}

/* Positions of samples that are smaller than the one before, ascending; returns how many. */
static size_t find_resets(const struct query_range_row *row, uint32_t *ret_positions)
{
    size_t count = 0;
    for (size_t i = 1; i < row->count; i++) {
        ret_positions[count] = (uint32_t)i;
        count += row->values[i] < row->values[i - 1];
    }
    return count;
}

TW_VECTOR static size_t count_resets(const double *values, size_t count)
{
    size_t resets = 0;
    for (size_t i = 1; i < count; i++)
        resets += values[i] < values[i - 1];
    return resets;
}

/* Step by step. */
static void change_slowly(const struct query_range_row *row, bool is_counter, bool is_rate)
{
    size_t reset_count = is_counter ? find_resets(row, row->scratch) : 0, first_reset = 0;
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        if (high < low + 2)
            continue;
        double change = row->values[high - 1] - row->values[low];
        while (first_reset < reset_count && row->scratch[first_reset] <= low)
            first_reset++;
        for (size_t r = first_reset; r < reset_count && row->scratch[r] < high; r++)
            change += row->values[row->scratch[r] - 1];
        row->out[s] = stretch(row, s, change, is_counter, is_rate);
    }
}

/* Some steps of a series without resets: from, to = values of the first and last sample of each.
 * Returns whether the zero point of any may be near. */
TW_VECTOR static bool change_block(const struct query_windows *windows, const double *from,
                                   const double *to, size_t begin, size_t end, double *restrict out)
{
    const double *sampled = windows->sampled + begin, *to_start = windows->to_start + begin;
    const double *factor = windows->factor + begin;
    uint64_t doubt = 0;
    for (size_t s = 0; s < end - begin; s++) {
        double change = to[s] - from[s];
        double near = to_start[s] * change;
        uint64_t is_far = sampled[s] * from[s] > near * MARGIN;
        uint64_t is_exact = near >= PRODUCT_MIN;
        uint64_t matters = (uint64_t)(change > 0) & (uint64_t)(from[s] >= 0);
        doubt |= matters & ~(is_far & is_exact);
        out[s] = change * factor[s];
    }
    return doubt;
}

/* The same where all steps need the same. */
TW_VECTOR static bool change_uniform(const struct query_windows *windows, const double *from,
                                     const double *to, size_t begin, size_t end,
                                     double *restrict out)
{
    const double sampled = windows->sampled[begin], to_start = windows->to_start[begin];
    const double factor = windows->factor[begin];
    uint64_t doubt = 0;
    for (size_t s = 0; s < end - begin; s++) {
        double change = to[s] - from[s];
        double near = to_start * change;
        uint64_t is_far = sampled * from[s] > near * MARGIN;
        uint64_t is_exact = near >= PRODUCT_MIN;
        uint64_t matters = (uint64_t)(change > 0) & (uint64_t)(from[s] >= 0);
        doubt |= matters & ~(is_far & is_exact);
        out[s] = change * factor;
    }
    return doubt;
}

TW_VECTOR static void gather(const double *values, const uint32_t *positions, size_t count,
                             double *restrict ret)
{
    for (size_t i = 0; i < count; i++)
        ret[i] = values[positions[i]];
}

static bool change_steps(const struct query_windows *windows, const double *values, size_t begin,
                         size_t end, double *out)
{
    const uint32_t *first = windows->first + begin, *last = windows->last + begin;
    const double *from = values + first[0], *to = values + last[0];
    double gathered[2][QUERY_WINDOWS_BLOCK];
    if (!query_bit(windows->adjacent, begin / QUERY_WINDOWS_BLOCK)) {
        gather(values, first, end - begin, gathered[0]);
        gather(values, last, end - begin, gathered[1]);
        from = gathered[0];
        to = gathered[1];
    }
    bool is_uniform = query_bit(windows->uniform, begin / QUERY_WINDOWS_BLOCK);
    return (is_uniform ? change_uniform : change_block)(windows, from, to, begin, end, out);
}

static void change_over_windows(const struct query_range_row *row, bool is_counter, bool is_rate)
{
    struct query_windows *windows = row->windows;
    query_windows_extrapolate(windows, is_rate);
    memcpy(row->present, windows->pair, query_words(row->steps) * sizeof *row->present);
    if (is_counter && count_resets(row->values, row->count) > 0) {
        change_slowly(row, is_counter, is_rate);
        return;
    }
    for (size_t begin = 0; begin < row->steps; begin += QUERY_WINDOWS_BLOCK) {
        size_t end =
            begin + QUERY_WINDOWS_BLOCK < row->steps ? begin + QUERY_WINDOWS_BLOCK : row->steps;
        bool doubt = change_steps(windows, row->values, begin, end, row->out + begin);
        if (!doubt || !is_counter)
            continue;
        for (size_t s = begin; s < end; s++)
            if (query_bit(windows->pair, s))
                row->out[s] =
                    stretch(row, s, row->values[windows->last[s]] - row->values[windows->first[s]],
                            is_counter, is_rate);
    }
}

void query_kernel_rate(const struct query_range_row *row)
{
    change_over_windows(row, true, true);
}

void query_kernel_increase(const struct query_range_row *row)
{
    change_over_windows(row, true, false);
}

void query_kernel_delta(const struct query_range_row *row)
{
    change_over_windows(row, false, false);
}
