/* SPDX-License-Identifier: Apache-2.0
 *
 * range_kernel: functions over the samples of sliding windows, one series at a time.
 *
 * The window of step s is samples [low[s], high[s]); both bounds never decrease from step to step.
 * Windows slide: what can be kept from step to step without subtracting (which would lose exactness
 * with infinities and cancellation) is kept, the rest is computed from the window.
 */
#ifndef TW_QUERY_RANGE_KERNEL_H
#define TW_QUERY_RANGE_KERNEL_H

#include "query/operator.h"

struct query_sliding;
struct query_keepsake;
struct query_windows;

struct query_range_row {
    const int64_t *times_ms;
    const double *values;
    const double *weights; /* how many samples each stands for (values are their sums), or NULL */
    size_t count;
    const uint32_t *low, *high;    /* by step */
    struct query_windows *windows; /* the same, and what extrapolation needs */
    size_t steps;
    int64_t first_end_ms, end_step_ms; /* where windows end; end_step 0 = all at one place (@) */
    int64_t range_ms;
    struct query_grid grid;
    const double *first, *second;  /* scalar parameters by step, or NULL */
    uint32_t *scratch;             /* count entries */
    double *sorted;                /* count entries */
    struct query_sliding *sliding; /* for sums that slide along */
    double *out;
    uint64_t *present;               /* cleared */
    struct query_keepsake *keepsake; /* of forecasts (query/keeping.h), or NULL */
    /* For kernels that work long: they look at the budget, and stop with *failed set. */
    struct query_exec *exec;
    const struct query_node *node; /* the call */
    struct tw_err *err;
    enum tw_code *failed;
};

typedef void query_range_kernel(const struct query_range_row *row);

/* For kernels that look through whole windows again and again: counts a window's samples as work.
 * False: the run ends, *failed says why. */
static inline bool query_range_row_worked(const struct query_range_row *row, size_t samples)
{
    *row->failed = query_exec_worked(row->exec, samples, row->err);
    return *row->failed == TW_OK;
}

/* Never NULL for a function of QUERY_KIND_RANGE, if the extension is allowed with it. */
query_range_kernel *query_range_kernel_find(enum query_function_id function,
                                            enum query_extension extension);
/* rate, increase, delta, and with anchored also resets and changes. */
bool query_range_extension_allowed(enum query_function_id function, enum query_extension extension);

/* range_extended.c: change over windows that begin or end with what lies around them. With
 * anchored, low is the anchor if there is one; with smoothed, the first and the last sample may lie
 * outside. */
query_range_kernel query_kernel_anchored_rate, query_kernel_anchored_increase,
    query_kernel_anchored_delta, query_kernel_smoothed_rate, query_kernel_smoothed_increase,
    query_kernel_smoothed_delta;
/* The value at a time between two samples. */
double query_interpolate(const int64_t times_ms[2], const double values[2], int64_t time_ms);

/* range_change.c */
query_range_kernel query_kernel_rate, query_kernel_increase, query_kernel_delta;
/* range_regression.c */
query_range_kernel query_kernel_deriv, query_kernel_predict_linear, query_kernel_smoothing;
/* range_statistics.c */
query_range_kernel query_kernel_sum, query_kernel_avg, query_kernel_stddev, query_kernel_stdvar,
    query_kernel_quantile, query_kernel_mad, query_kernel_min, query_kernel_max,
    query_kernel_ts_of_min, query_kernel_ts_of_max;

/* range_forecast.c */
query_range_kernel query_kernel_forecast, query_kernel_forecast_quantile,
    query_kernel_anomaly_score;
/* How far before its window a function wants samples, too. */
int64_t query_range_reach(enum query_function_id function, int64_t range_ms);
/* Does a function forecast? Then no sample behind now counts, and windows that end in the future
 * are those that end now. */
bool query_range_forecasts(enum query_function_id function);

/* Sum with Neumaier's compensation, as Prometheus's. */
static inline void query_kahan_add(double value, double *sum, double *compensation)
{
    double total = *sum + value;
    if (__builtin_isinf(total))
        *compensation = 0;
    else if (__builtin_fabs(*sum) >= __builtin_fabs(value))
        *compensation += (*sum - total) + value;
    else
        *compensation += (value - total) + *sum;
    *sum = total;
}

/* The q-quantile of count values, sorted ascending with NaN first. */
double query_quantile_sorted(double q, const double *sorted, size_t count);
/* Sorts ascending, NaN first. */
void query_sort_doubles(double *values, size_t count);

#endif
