/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/vector.h"
#include "query/range_kernel.h"
#include "query/sliding.h"

/* ---- sums ---- */

static void take_value(const struct query_range_row *row, size_t origin, size_t sample,
                       query_lanes *ret)
{
    (void)origin;
    *ret = (query_lanes){row->values[sample]};
}

/* What is lost by rounding, in sums over n values of which all magnitudes together are t and the
 * smallest is m, is a multiple of m / 2^53 and at most n t / 2^53. So what adds up the losses loses
 * nothing while n t / m is below this, with some to spare. */
#define EXACT_RATIO_MAX 0x1p50
#define INTEGERS_MAX 0x1p53
#define NEGATIVE_ZERO (UINT64_C(1) << 63)

enum sums {
    SUMS_ANY,
    SUMS_EXACT,    /* with what was lost they are exact, in whatever order they were made */
    SUMS_INTEGERS, /* and nothing is lost */
};

/* Zeros have no sign, then: that of a sum tells in which order it was made. */
TW_VECTOR static enum sums judge_sums(const double *values, size_t count)
{
    double total = 0, smallest = INFINITY;
    uint64_t is_broken = 0, is_fraction = 0;
    for (size_t i = 0; i < count; i++) {
        double magnitude = fabs(values[i]);
        is_broken |=
            (uint64_t) !(magnitude <= DBL_MAX) | (tw_double_bits(values[i]) == NEGATIVE_ZERO);
        is_fraction |= magnitude != floor(magnitude);
        smallest = magnitude < smallest && magnitude > 0 ? magnitude : smallest;
        total += magnitude;
    }
    if (is_broken || (total > 0 && !(total * (double)count < EXACT_RATIO_MAX * smallest)))
        return SUMS_ANY;
    return is_fraction || total >= INTEGERS_MAX ? SUMS_EXACT : SUMS_INTEGERS;
}

static double sum_window(const double *values, size_t count)
{
    double sum = 0, compensation = 0;
    for (size_t i = 0; i < count; i++)
        query_kahan_add(values[i], &sum, &compensation);
    return isinf(sum) ? sum : sum + compensation;
}

TW_VECTOR void query_kernel_sum(const struct query_range_row *row)
{
    bool slides = judge_sums(row->values, row->count) != SUMS_ANY;
    query_sliding_begin(row->sliding, row->count);
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        struct query_lane_sums sums;
        if (high <= low)
            continue;
        if (slides) {
            query_sliding_move(row->sliding, row, low, high, take_value, &sums);
            row->out[s] = sums.sum[0] + sums.rest[0];
        } else {
            if (!query_range_row_worked(row, high - low))
                return;
            row->out[s] = sum_window(row->values + low, high - low);
        }
        query_bit_set(row->present, s);
    }
}

/* The sum divided by the count, or, where the sum overflows, the incremental mean from there on. */
static double average(const double *values, size_t count)
{
    double sum = values[0], mean = 0, compensation = 0;
    bool incremental = false;
    for (size_t i = 1; i < count; i++) {
        double n = (double)(i + 1);
        if (!incremental) {
            double next = sum, next_compensation = compensation;
            query_kahan_add(values[i], &next, &next_compensation);
            if (!isinf(next)) {
                sum = next;
                compensation = next_compensation;
                continue;
            }
            incremental = true;
            mean = sum / (n - 1);
            compensation /= n - 1;
        }
        double share = (n - 1) / n;
        mean *= share;
        compensation *= share;
        query_kahan_add(values[i] / n, &mean, &compensation);
    }
    return incremental ? mean + compensation : sum / (double)count + compensation / (double)count;
}

/* Sums of as many samples as the weights say. */
static double weighted_average(const double *sums, const double *weights, size_t count)
{
    double sum = 0, compensation = 0, weight = 0;
    for (size_t i = 0; i < count; i++) {
        query_kahan_add(sums[i], &sum, &compensation);
        weight += weights[i];
    }
    return sum / weight + compensation / weight;
}

static void average_weighted(const struct query_range_row *row)
{
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        if (high <= low)
            continue;
        if (!query_range_row_worked(row, high - low))
            return;
        row->out[s] = weighted_average(row->values + low, row->weights + low, high - low);
        query_bit_set(row->present, s);
    }
}

/* Windows that are summed side by side, one in each lane. */
#define SUM_LANES 32

/* Sums, rounded at each step, of `count` values from each of the positions on. */
TW_VECTOR static void sum_lanes(const double *values, const uint32_t *positions, size_t count,
                                double *restrict ret)
{
    double sums[SUM_LANES] = {0};
    bool is_adjacent = true;
    for (size_t j = 0; j < SUM_LANES; j++)
        is_adjacent = is_adjacent && positions[j] == positions[0] + j;
    for (size_t i = 0; is_adjacent && i < count; i++)
        for (size_t j = 0; j < SUM_LANES; j++)
            sums[j] += values[positions[0] + i + j];
    for (size_t i = 0; !is_adjacent && i < count; i++)
        for (size_t j = 0; j < SUM_LANES; j++)
            sums[j] += values[positions[j] + i];
    memcpy(ret, sums, sizeof sums);
}

/* The same of each window of the steps [first, limit), at most SUM_LANES: side by side as far as
 * all of them reach. */
static void sum_windows(const struct query_range_row *row, size_t first, size_t limit, double *ret)
{
    size_t common = limit - first == SUM_LANES ? SIZE_MAX : 0;
    for (size_t s = first; s < limit && common > 0; s++) {
        size_t count = row->high[s] > row->low[s] ? row->high[s] - row->low[s] : 0;
        common = count < common ? count : common;
    }
    memset(ret, 0, SUM_LANES * sizeof *ret);
    if (common > 0)
        sum_lanes(row->values, row->low + first, common, ret);
    for (size_t s = first; s < limit; s++)
        for (size_t i = row->low[s] + common; i < row->high[s]; i++)
            ret[s - first] += row->values[i];
}

/* The exact sum is known as it slides; the last digits of Prometheus's mean depend on what the sum
 * of the window from its first value to its last is, rounded each time, and what that lost. */
TW_VECTOR static void average_exactly(const struct query_range_row *row, bool are_integers)
{
    double rounded[SUM_LANES];
    query_sliding_begin(row->sliding, row->count);
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        struct query_lane_sums sums;
        if (!are_integers && s % SUM_LANES == 0)
            sum_windows(row, s, s + SUM_LANES < row->steps ? s + SUM_LANES : row->steps, rounded);
        if (high <= low)
            continue;
        if (!are_integers && !query_range_row_worked(row, high - low))
            return;
        query_sliding_move(row->sliding, row, low, high, take_value, &sums);
        double sum = are_integers ? sums.sum[0] : rounded[s % SUM_LANES];
        double lost = (sums.sum[0] - sum) + sums.rest[0], count = (double)(high - low);
        row->out[s] = sum / count + lost / count;
        query_bit_set(row->present, s);
    }
}

static void average_samples(const struct query_range_row *row)
{
    enum sums sums = judge_sums(row->values, row->count);
    if (sums != SUMS_ANY) {
        average_exactly(row, sums == SUMS_INTEGERS);
        return;
    }
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        if (high <= low)
            continue;
        if (!query_range_row_worked(row, high - low))
            return;
        row->out[s] = average(row->values + low, high - low);
        query_bit_set(row->present, s);
    }
}

void query_kernel_avg(const struct query_range_row *row)
{
    if (row->weights)
        average_weighted(row);
    else
        average_samples(row);
}

/* Welford's method, compensated. */
static double variance(const double *values, size_t count)
{
    double mean = 0, mean_c = 0, squares = 0, squares_c = 0;
    for (size_t i = 0; i < count; i++) {
        double delta = values[i] - (mean + mean_c);
        query_kahan_add(delta / (double)(i + 1), &mean, &mean_c);
        query_kahan_add(delta * (values[i] - (mean + mean_c)), &squares, &squares_c);
    }
    return (squares + squares_c) / (double)count;
}

void query_kernel_stdvar(const struct query_range_row *row)
{
    for (size_t s = 0; s < row->steps; s++) {
        if (row->high[s] <= row->low[s])
            continue;
        if (!query_range_row_worked(row, row->high[s] - row->low[s]))
            return;
        row->out[s] = variance(row->values + row->low[s], row->high[s] - row->low[s]);
        query_bit_set(row->present, s);
    }
}

void query_kernel_stddev(const struct query_range_row *row)
{
    query_kernel_stdvar(row);
    for (size_t s = 0; s < row->steps; s++)
        row->out[s] = sqrt(row->out[s]);
}

/* ---- order ---- */

/* Sorting takes about so many times as long as looking. */
#define WORK_PER_SORTED 16

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y))
        return isnan(y) - isnan(x);
    return (x > y) - (x < y);
}

void query_sort_doubles(double *values, size_t count)
{
    if (count > 24) {
        qsort(values, count, sizeof *values, compare_doubles);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        double value = values[i];
        size_t at = i;
        for (; at > 0 && compare_doubles(&values[at - 1], &value) > 0; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
}

double query_quantile_sorted(double q, const double *sorted, size_t count)
{
    if (count == 0 || isnan(q))
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    double rank = q * (double)(count - 1), lower = floor(rank);
    size_t index = (size_t)lower, next = index + 1 < count ? index + 1 : count - 1;
    double weight = rank - lower;
    return sorted[index] * (1 - weight) + sorted[next] * weight;
}

static const double *sort_window(const struct query_range_row *row, size_t step, size_t *ret_count)
{
    *ret_count = row->high[step] - row->low[step];
    memcpy(row->sorted, row->values + row->low[step], *ret_count * sizeof *row->sorted);
    query_sort_doubles(row->sorted, *ret_count);
    return row->sorted;
}

void query_kernel_quantile(const struct query_range_row *row)
{
    for (size_t s = 0; s < row->steps; s++) {
        size_t count;
        if (row->high[s] <= row->low[s])
            continue;
        const double *sorted = sort_window(row, s, &count);
        if (!query_range_row_worked(row, count * WORK_PER_SORTED))
            return;
        row->out[s] = query_quantile_sorted(row->first[s], sorted, count);
        query_bit_set(row->present, s);
    }
}

/* Median of the distances from the median. */
void query_kernel_mad(const struct query_range_row *row)
{
    for (size_t s = 0; s < row->steps; s++) {
        size_t count;
        if (row->high[s] <= row->low[s])
            continue;
        const double *sorted = sort_window(row, s, &count);
        if (!query_range_row_worked(row, count * WORK_PER_SORTED))
            return;
        double median = query_quantile_sorted(0.5, sorted, count);
        for (size_t i = 0; i < count; i++)
            row->sorted[i] = fabs(row->sorted[i] - median);
        query_sort_doubles(row->sorted, count);
        row->out[s] = query_quantile_sorted(0.5, row->sorted, count);
        query_bit_set(row->present, s);
    }
}

/* ---- minimum and maximum: a queue of candidates, each sample enters and leaves once; or many
 * looked through at once ---- */

#define EXTREME_LANES 32
/* A sample is looked at so many times in less than it takes to enter and leave. */
#define SCANS_MAX 8

/* Is the value at b at least as good as the one at a, so that a can never be chosen while b is
 * there? NaN is worse than any number. `last` decides between equal ones: keep the earlier one. */
static inline bool beats(double a, double b, bool max, bool keep_earlier)
{
    if (isnan(b))
        return isnan(a) && !keep_earlier;
    if (isnan(a))
        return true;
    if (a == b)
        return !keep_earlier;
    return max ? b > a : b < a;
}

/* Calls the choice of each window: its position in the samples. */
static inline void slide(const struct query_range_row *row, bool max, bool keep_earlier, bool time)
{
    uint32_t *queue = row->scratch;
    size_t head = 0, tail = 0, entered = 0;
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        if (entered < low) {
            entered = low;
            head = tail = 0;
        }
        for (; entered < high; entered++) {
            while (tail > head &&
                   beats(row->values[queue[tail - 1]], row->values[entered], max, keep_earlier))
                tail--;
            if (tail == head)
                head = tail = 0;
            queue[tail++] = (uint32_t)entered;
        }
        while (head < tail && queue[head] < low)
            head++;
        if (high <= low)
            continue;
        row->out[s] = time ? (double)row->times_ms[queue[head]] / 1000 : row->values[queue[head]];
        query_bit_set(row->present, s);
    }
}

/* The largest of the numbers, that of the smallest when they are negated by a sign of -1; -infinity
 * when there is none. */
TW_VECTOR static double largest(const double *values, size_t count, double sign)
{
    double best[EXTREME_LANES];
    size_t i = 0;
    for (size_t j = 0; j < EXTREME_LANES; j++)
        best[j] = -INFINITY;
    for (; i + EXTREME_LANES <= count; i += EXTREME_LANES)
        for (size_t j = 0; j < EXTREME_LANES; j++) {
            double value = values[i + j] * sign;
            best[j] = value > best[j] ? value : best[j];
        }
    for (; i < count; i++)
        best[0] = values[i] * sign > best[0] ? values[i] * sign : best[0];
    for (size_t j = 1; j < EXTREME_LANES; j++)
        best[0] = best[j] > best[0] ? best[j] : best[0];
    return best[0];
}

/* Whether windows have so little in common that each is looked through by itself sooner. */
static bool is_scanned(const struct query_range_row *row)
{
    size_t looks = 0;
    for (size_t s = 0; s < row->steps; s++)
        looks += row->high[s] > row->low[s] ? row->high[s] - row->low[s] : 0;
    return looks <= SCANS_MAX * row->count;
}

/* One of the values as it is: of both zeros the one that comes first. */
static void scan(const struct query_range_row *row, bool max)
{
    for (size_t s = 0; s < row->steps; s++) {
        if (row->high[s] <= row->low[s])
            continue;
        const double *values = row->values + row->low[s];
        size_t count = row->high[s] - row->low[s], at = 0;
        double best = largest(values, count, max ? 1 : -1);
        if (best == 0 || isinf(best))
            for (size_t i = 1; i < count; i++)
                at = beats(values[at], values[i], max, true) ? i : at;
        row->out[s] = best == 0 || isinf(best) ? values[at] : max ? best : -best;
        query_bit_set(row->present, s);
    }
}

static void find_extremes(const struct query_range_row *row, bool max)
{
    if (is_scanned(row))
        scan(row, max);
    else
        slide(row, max, true, false);
}

void query_kernel_min(const struct query_range_row *row)
{
    find_extremes(row, false);
}

void query_kernel_max(const struct query_range_row *row)
{
    find_extremes(row, true);
}

/* Of equal values the last one's time counts. */
void query_kernel_ts_of_min(const struct query_range_row *row)
{
    slide(row, false, false, true);
}

void query_kernel_ts_of_max(const struct query_range_row *row)
{
    slide(row, true, false, true);
}
