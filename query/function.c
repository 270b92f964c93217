/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/function.h"

#define V QUERY_TYPE_VECTOR
#define M QUERY_TYPE_MATRIX
#define S QUERY_TYPE_SCALAR
#define T QUERY_TYPE_STRING

/* FUNCTION(name, kind, id, type, argument count, variadic, arguments ...) */
#define FUNCTION(name, kind, id, type, count, variadic, ...)                                       \
    {                                                                                              \
        name, QUERY_KIND_##kind, QUERY_FN_##id, type, {__VA_ARGS__}, count, variadic, false, false \
    }
#define EXPERIMENTAL(name, kind, id, type, count, variadic, ...)                                   \
    {                                                                                              \
        name, QUERY_KIND_##kind, QUERY_FN_##id, type, {__VA_ARGS__}, count, variadic, true, false  \
    }
#define TIMED(name, kind, id, type, count, variadic, ...)                                          \
    {                                                                                              \
        name, QUERY_KIND_##kind, QUERY_FN_##id, type, {__VA_ARGS__}, count, variadic, false, true  \
    }

/* Sorted by name. */
static const struct query_function functions[] = {
    FUNCTION("abs", MAP, ABS, V, 1, 0, V),
    FUNCTION("absent", ABSENT, NONE, V, 1, 0, V),
    FUNCTION("absent_over_time", ABSENT_OVER_TIME, PRESENT, V, 1, 0, M),
    FUNCTION("acos", MAP, ACOS, V, 1, 0, V),
    FUNCTION("acosh", MAP, ACOSH, V, 1, 0, V),
    TIMED("anomaly_score", RANGE, ANOMALY_SCORE, V, 1, 0, M),
    FUNCTION("asin", MAP, ASIN, V, 1, 0, V),
    FUNCTION("asinh", MAP, ASINH, V, 1, 0, V),
    FUNCTION("atan", MAP, ATAN, V, 1, 0, V),
    FUNCTION("atanh", MAP, ATANH, V, 1, 0, V),
    FUNCTION("avg_over_time", RANGE, AVG, V, 1, 0, M),
    FUNCTION("ceil", MAP, CEIL, V, 1, 0, V),
    FUNCTION("changes", RANGE, CHANGES, V, 1, 0, M),
    FUNCTION("clamp", MAP, CLAMP, V, 3, 0, V, S, S),
    FUNCTION("clamp_max", MAP, CLAMP_MAX, V, 2, 0, V, S),
    FUNCTION("clamp_min", MAP, CLAMP_MIN, V, 2, 0, V, S),
    FUNCTION("cos", MAP, COS, V, 1, 0, V),
    FUNCTION("cosh", MAP, COSH, V, 1, 0, V),
    FUNCTION("count_over_time", RANGE, COUNT, V, 1, 0, M),
    TIMED("day_of_month", DATE, DAY_OF_MONTH, V, 1, 1, V),
    TIMED("day_of_week", DATE, DAY_OF_WEEK, V, 1, 1, V),
    TIMED("day_of_year", DATE, DAY_OF_YEAR, V, 1, 1, V),
    TIMED("days_in_month", DATE, DAYS_IN_MONTH, V, 1, 1, V),
    FUNCTION("deg", MAP, DEG, V, 1, 0, V),
    FUNCTION("delta", RANGE, DELTA, V, 1, 0, M),
    FUNCTION("deriv", RANGE, DERIV, V, 1, 0, M),
    EXPERIMENTAL("double_exponential_smoothing", RANGE, SMOOTHING, V, 3, 0, M, S, S),
    EXPERIMENTAL("end", EVALUATION, EVALUATION_END, S, 0, 0, QUERY_TYPE_NONE),
    FUNCTION("exp", MAP, EXP, V, 1, 0, V),
    FUNCTION("first_over_time", RANGE, FIRST, V, 1, 0, M),
    FUNCTION("floor", MAP, FLOOR, V, 1, 0, V),
    TIMED("forecast", RANGE, FORECAST, V, 2, 0, M, S),
    TIMED("forecast_quantile", RANGE, FORECAST_QUANTILE, V, 3, 0, S, M, S),
    FUNCTION("histogram_avg", HISTOGRAM_NATIVE, HISTOGRAM_AVG, V, 1, 0, V),
    FUNCTION("histogram_count", HISTOGRAM_NATIVE, HISTOGRAM_COUNT, V, 1, 0, V),
    FUNCTION("histogram_fraction", HISTOGRAM_FRACTION, NONE, V, 3, 0, S, S, V),
    FUNCTION("histogram_quantile", HISTOGRAM_QUANTILE, NONE, V, 2, 0, S, V),
    EXPERIMENTAL("histogram_quantiles", HISTOGRAM_QUANTILES, NONE, V, 4, 9, V, T, S, S),
    FUNCTION("histogram_stddev", HISTOGRAM_NATIVE, HISTOGRAM_STDDEV, V, 1, 0, V),
    FUNCTION("histogram_stdvar", HISTOGRAM_NATIVE, HISTOGRAM_STDVAR, V, 1, 0, V),
    FUNCTION("histogram_sum", HISTOGRAM_NATIVE, HISTOGRAM_SUM, V, 1, 0, V),
    TIMED("hour", DATE, HOUR, V, 1, 1, V),
    FUNCTION("idelta", RANGE, IDELTA, V, 1, 0, M),
    FUNCTION("increase", RANGE, INCREASE, V, 1, 0, M),
    EXPERIMENTAL("info", INFO, NONE, V, 2, 1, V, V),
    FUNCTION("irate", RANGE, IRATE, V, 1, 0, M),
    FUNCTION("label_join", LABEL_JOIN, NONE, V, 4, -1, V, T, T, T),
    FUNCTION("label_replace", LABEL_REPLACE, NONE, V, 5, 0, V, T, T, T, T),
    FUNCTION("last_over_time", RANGE, LAST, V, 1, 0, M),
    FUNCTION("ln", MAP, LN, V, 1, 0, V),
    FUNCTION("log10", MAP, LOG10, V, 1, 0, V),
    FUNCTION("log2", MAP, LOG2, V, 1, 0, V),
    EXPERIMENTAL("mad_over_time", RANGE, MAD, V, 1, 0, M),
    EXPERIMENTAL("max_of", OF_TWO, MAX_OF, S, 2, 0, S, S),
    FUNCTION("max_over_time", RANGE, MAX, V, 1, 0, M),
    EXPERIMENTAL("min_of", OF_TWO, MIN_OF, S, 2, 0, S, S),
    FUNCTION("min_over_time", RANGE, MIN, V, 1, 0, M),
    TIMED("minute", DATE, MINUTE, V, 1, 1, V),
    TIMED("month", DATE, MONTH, V, 1, 1, V),
    FUNCTION("pi", PI, NONE, S, 0, 0, QUERY_TYPE_NONE),
    TIMED("predict_linear", RANGE, PREDICT_LINEAR, V, 2, 0, M, S),
    FUNCTION("present_over_time", RANGE, PRESENT, V, 1, 0, M),
    FUNCTION("quantile_over_time", RANGE, QUANTILE, V, 2, 0, S, M),
    FUNCTION("rad", MAP, RAD, V, 1, 0, V),
    EXPERIMENTAL("range", EVALUATION, EVALUATION_RANGE, S, 0, 0, QUERY_TYPE_NONE),
    FUNCTION("rate", RANGE, RATE, V, 1, 0, M),
    FUNCTION("resets", RANGE, RESETS, V, 1, 0, M),
    FUNCTION("round", MAP, ROUND, V, 2, 1, V, S),
    FUNCTION("scalar", SCALAR, NONE, S, 1, 0, V),
    FUNCTION("sgn", MAP, SGN, V, 1, 0, V),
    FUNCTION("sin", MAP, SIN, V, 1, 0, V),
    FUNCTION("sinh", MAP, SINH, V, 1, 0, V),
    FUNCTION("sort", SORT, SORT_ASCENDING, V, 1, 0, V),
    EXPERIMENTAL("sort_by_label", SORT, SORT_LABEL, V, 2, -1, V, T),
    EXPERIMENTAL("sort_by_label_desc", SORT, SORT_LABEL_DESCENDING, V, 2, -1, V, T),
    FUNCTION("sort_desc", SORT, SORT_DESCENDING, V, 1, 0, V),
    FUNCTION("sqrt", MAP, SQRT, V, 1, 0, V),
    EXPERIMENTAL("start", EVALUATION, EVALUATION_START, S, 0, 0, QUERY_TYPE_NONE),
    EXPERIMENTAL("start_timestamp", START_TIMESTAMP, NONE, V, 1, 0, V),
    FUNCTION("stddev_over_time", RANGE, STDDEV, V, 1, 0, M),
    FUNCTION("stdvar_over_time", RANGE, STDVAR, V, 1, 0, M),
    EXPERIMENTAL("step", EVALUATION, EVALUATION_STEP, S, 0, 0, QUERY_TYPE_NONE),
    FUNCTION("sum_over_time", RANGE, SUM, V, 1, 0, M),
    FUNCTION("tan", MAP, TAN, V, 1, 0, V),
    FUNCTION("tanh", MAP, TANH, V, 1, 0, V),
    TIMED("time", TIME, NONE, S, 0, 0, QUERY_TYPE_NONE),
    TIMED("timestamp", TIMESTAMP, NONE, V, 1, 0, V),
    EXPERIMENTAL("ts_of_first_over_time", RANGE, TS_OF_FIRST, V, 1, 0, M),
    EXPERIMENTAL("ts_of_last_over_time", RANGE, TS_OF_LAST, V, 1, 0, M),
    EXPERIMENTAL("ts_of_max_over_time", RANGE, TS_OF_MAX, V, 1, 0, M),
    EXPERIMENTAL("ts_of_min_over_time", RANGE, TS_OF_MIN, V, 1, 0, M),
    FUNCTION("vector", VECTOR, NONE, V, 1, 0, S),
    TIMED("year", DATE, YEAR, V, 1, 1, V),
};

const struct query_function *query_function_at(size_t index)
{
    return index < sizeof functions / sizeof *functions ? &functions[index] : NULL;
}

const struct query_function *query_function_find(struct tw_str name)
{
    size_t low = 0, high = sizeof functions / sizeof *functions;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = tw_str_compare(tw_str(functions[middle].name), name);
        if (order == 0)
            return &functions[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
