/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/range_kernel.h"

#include <math.h>
#include <stdlib.h>

#include "base/assert.h"

/* ---- the last two samples ---- */
static inline void last_two(const struct query_range_row *row, bool is_rate)
{
    for (size_t s = 0; s < row->steps; s++) {
        size_t high = row->high[s];
        if (high < row->low[s] + 2u)
            continue;
        double last = row->values[high - 1], before = row->values[high - 2];
        double seconds = (double)(row->times_ms[high - 1] - row->times_ms[high - 2]) / 1000;
        if (is_rate)
            row->out[s] = (last < before ? last : last - before) / seconds;
        else
            row->out[s] = last - before;
        query_bit_set(row->present, s);
    }
}

static void kernel_irate(const struct query_range_row *row)
{
    last_two(row, true);
}

static void kernel_idelta(const struct query_range_row *row)
{
    last_two(row, false);
}

/* ---- changes, resets: whole numbers, so running counts may be subtracted ---- */
static inline void count_events(const struct query_range_row *row, bool resets)
{
    uint32_t total = 0;
    for (size_t i = 0; i < row->count; i++) {
        if (i > 0) {
            double before = row->values[i - 1], now = row->values[i];
            total += resets ? now < before : now != before && !(isnan(now) && isnan(before));
        }
        row->scratch[i] = total;
    }
    for (size_t s = 0; s < row->steps; s++) {
        if (row->high[s] <= row->low[s])
            continue;
        row->out[s] = row->scratch[row->high[s] - 1] - row->scratch[row->low[s]];
        query_bit_set(row->present, s);
    }
}

static void kernel_changes(const struct query_range_row *row)
{
    count_events(row, false);
}

static void kernel_resets(const struct query_range_row *row)
{
    count_events(row, true);
}

/* ---- one sample of the window ---- */
enum pick { PICK_COUNT, PICK_PRESENT, PICK_FIRST, PICK_LAST, PICK_FIRST_TIME, PICK_LAST_TIME };

static inline void pick_sample(const struct query_range_row *row, enum pick what)
{
    for (size_t s = 0; s < row->steps; s++) {
        size_t low = row->low[s], high = row->high[s];
        if (high <= low)
            continue;
        switch (what) {
        case PICK_COUNT:
            row->out[s] = (double)(high - low);
            break;
        case PICK_PRESENT:
            row->out[s] = 1;
            break;
        case PICK_FIRST:
            row->out[s] = row->values[low];
            break;
        case PICK_LAST:
            row->out[s] = row->values[high - 1];
            break;
        case PICK_FIRST_TIME:
            row->out[s] = (double)row->times_ms[low] / 1000;
            break;
        case PICK_LAST_TIME:
            row->out[s] = (double)row->times_ms[high - 1] / 1000;
            break;
        }
        query_bit_set(row->present, s);
    }
}

static void kernel_count(const struct query_range_row *row)
{
    pick_sample(row, PICK_COUNT);
    for (size_t s = 0; row->weights && s < row->steps; s++) {
        double count = 0;
        if (!query_range_row_worked(row, row->high[s] - row->low[s]))
            return;
        for (size_t i = row->low[s]; i < row->high[s]; i++)
            count += row->weights[i];
        row->out[s] = count;
    }
}

static void kernel_present(const struct query_range_row *row)
{
    pick_sample(row, PICK_PRESENT);
}

static void kernel_first(const struct query_range_row *row)
{
    pick_sample(row, PICK_FIRST);
}

static void kernel_last(const struct query_range_row *row)
{
    pick_sample(row, PICK_LAST);
}

static void kernel_ts_of_first(const struct query_range_row *row)
{
    pick_sample(row, PICK_FIRST_TIME);
}

static void kernel_ts_of_last(const struct query_range_row *row)
{
    pick_sample(row, PICK_LAST_TIME);
}

bool query_range_extension_allowed(enum query_function_id function, enum query_extension extension)
{
    bool change =
        function == QUERY_FN_RATE || function == QUERY_FN_INCREASE || function == QUERY_FN_DELTA;
    bool events = function == QUERY_FN_RESETS || function == QUERY_FN_CHANGES;
    return extension == QUERY_EXTENSION_NONE || change || (events && extension == QUERY_ANCHORED);
}

query_range_kernel *query_range_kernel_find(enum query_function_id function,
                                            enum query_extension extension)
{
    static query_range_kernel *const anchored[] = {
        [QUERY_FN_RATE] = query_kernel_anchored_rate,
        [QUERY_FN_INCREASE] = query_kernel_anchored_increase,
        [QUERY_FN_DELTA] = query_kernel_anchored_delta,
    };
    static query_range_kernel *const smoothed[] = {
        [QUERY_FN_RATE] = query_kernel_smoothed_rate,
        [QUERY_FN_INCREASE] = query_kernel_smoothed_increase,
        [QUERY_FN_DELTA] = query_kernel_smoothed_delta,
    };
    _Static_assert(QUERY_FN_DELTA == 2, "rate, increase and delta come first");
    static query_range_kernel *const kernels[] = {
        [QUERY_FN_RATE] = query_kernel_rate,
        [QUERY_FN_INCREASE] = query_kernel_increase,
        [QUERY_FN_DELTA] = query_kernel_delta,
        [QUERY_FN_IRATE] = kernel_irate,
        [QUERY_FN_IDELTA] = kernel_idelta,
        [QUERY_FN_DERIV] = query_kernel_deriv,
        [QUERY_FN_PREDICT_LINEAR] = query_kernel_predict_linear,
        [QUERY_FN_SMOOTHING] = query_kernel_smoothing,
        [QUERY_FN_FORECAST] = query_kernel_forecast,
        [QUERY_FN_FORECAST_QUANTILE] = query_kernel_forecast_quantile,
        [QUERY_FN_ANOMALY_SCORE] = query_kernel_anomaly_score,
        [QUERY_FN_CHANGES] = kernel_changes,
        [QUERY_FN_RESETS] = kernel_resets,
        [QUERY_FN_AVG] = query_kernel_avg,
        [QUERY_FN_MIN] = query_kernel_min,
        [QUERY_FN_MAX] = query_kernel_max,
        [QUERY_FN_SUM] = query_kernel_sum,
        [QUERY_FN_COUNT] = kernel_count,
        [QUERY_FN_FIRST] = kernel_first,
        [QUERY_FN_LAST] = kernel_last,
        [QUERY_FN_STDDEV] = query_kernel_stddev,
        [QUERY_FN_STDVAR] = query_kernel_stdvar,
        [QUERY_FN_QUANTILE] = query_kernel_quantile,
        [QUERY_FN_PRESENT] = kernel_present,
        [QUERY_FN_MAD] = query_kernel_mad,
        [QUERY_FN_TS_OF_MIN] = query_kernel_ts_of_min,
        [QUERY_FN_TS_OF_MAX] = query_kernel_ts_of_max,
        [QUERY_FN_TS_OF_FIRST] = kernel_ts_of_first,
        [QUERY_FN_TS_OF_LAST] = kernel_ts_of_last,
    };
    if (extension != QUERY_EXTENSION_NONE && function <= QUERY_FN_DELTA)
        return extension == QUERY_ANCHORED ? anchored[function] : smoothed[function];
    TW_ASSERT(function < sizeof kernels / sizeof *kernels && kernels[function]);
    return kernels[function];
}
