/* SPDX-License-Identifier: Apache-2.0
 *
 * function: what functions there are, what they take and give. How they are computed stands in the
 * operators (mapping.h, range_kernel.h ...).
 */
#ifndef TW_QUERY_FUNCTION_H
#define TW_QUERY_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum query_value_type {
    QUERY_TYPE_NONE,
    QUERY_TYPE_SCALAR,
    QUERY_TYPE_VECTOR,
    QUERY_TYPE_MATRIX,
    QUERY_TYPE_STRING,
};

/* How a function is run. */
enum query_function_kind {
    QUERY_KIND_RANGE, /* over the samples of a range */
    QUERY_KIND_MAP,   /* each value by itself */
    QUERY_KIND_DATE,  /* each value as a time; without argument the evaluation time */
    QUERY_KIND_TIME,
    QUERY_KIND_PI,
    QUERY_KIND_EVALUATION, /* start, end, step and range of the query */
    QUERY_KIND_OF_TWO,     /* the smaller or larger of two scalars */
    QUERY_KIND_SCALAR,
    QUERY_KIND_VECTOR,
    QUERY_KIND_ABSENT,
    QUERY_KIND_ABSENT_OVER_TIME,
    QUERY_KIND_TIMESTAMP,
    QUERY_KIND_START_TIMESTAMP, /* when its counter began to count */
    QUERY_KIND_LABEL_REPLACE,
    QUERY_KIND_LABEL_JOIN,
    QUERY_KIND_SORT,
    QUERY_KIND_INFO,
    QUERY_KIND_HISTOGRAM_QUANTILE,
    QUERY_KIND_HISTOGRAM_QUANTILES, /* several, told apart by a label */
    QUERY_KIND_HISTOGRAM_FRACTION,
    QUERY_KIND_HISTOGRAM_NATIVE, /* of native histograms; nothing for floats */
};

enum query_function_id {
    /* range */
    QUERY_FN_RATE,
    QUERY_FN_INCREASE,
    QUERY_FN_DELTA,
    QUERY_FN_IRATE,
    QUERY_FN_IDELTA,
    QUERY_FN_DERIV,
    QUERY_FN_PREDICT_LINEAR,
    QUERY_FN_SMOOTHING,
    QUERY_FN_FORECAST,
    QUERY_FN_FORECAST_QUANTILE,
    QUERY_FN_ANOMALY_SCORE,
    QUERY_FN_CHANGES,
    QUERY_FN_RESETS,
    QUERY_FN_AVG,
    QUERY_FN_MIN,
    QUERY_FN_MAX,
    QUERY_FN_SUM,
    QUERY_FN_COUNT,
    QUERY_FN_FIRST,
    QUERY_FN_LAST,
    QUERY_FN_STDDEV,
    QUERY_FN_STDVAR,
    QUERY_FN_QUANTILE,
    QUERY_FN_PRESENT,
    QUERY_FN_MAD,
    QUERY_FN_TS_OF_MIN,
    QUERY_FN_TS_OF_MAX,
    QUERY_FN_TS_OF_FIRST,
    QUERY_FN_TS_OF_LAST,
    /* map */
    QUERY_FN_ABS,
    QUERY_FN_CEIL,
    QUERY_FN_FLOOR,
    QUERY_FN_EXP,
    QUERY_FN_SQRT,
    QUERY_FN_LN,
    QUERY_FN_LOG2,
    QUERY_FN_LOG10,
    QUERY_FN_SGN,
    QUERY_FN_ACOS,
    QUERY_FN_ACOSH,
    QUERY_FN_ASIN,
    QUERY_FN_ASINH,
    QUERY_FN_ATAN,
    QUERY_FN_ATANH,
    QUERY_FN_COS,
    QUERY_FN_COSH,
    QUERY_FN_SIN,
    QUERY_FN_SINH,
    QUERY_FN_TAN,
    QUERY_FN_TANH,
    QUERY_FN_DEG,
    QUERY_FN_RAD,
    QUERY_FN_ROUND,
    QUERY_FN_CLAMP,
    QUERY_FN_CLAMP_MIN,
    QUERY_FN_CLAMP_MAX,
    /* date */
    QUERY_FN_DAY_OF_MONTH,
    QUERY_FN_DAY_OF_WEEK,
    QUERY_FN_DAY_OF_YEAR,
    QUERY_FN_DAYS_IN_MONTH,
    QUERY_FN_HOUR,
    QUERY_FN_MINUTE,
    QUERY_FN_MONTH,
    QUERY_FN_YEAR,
    /* evaluation */
    QUERY_FN_EVALUATION_START,
    QUERY_FN_EVALUATION_END,
    QUERY_FN_EVALUATION_STEP,
    QUERY_FN_EVALUATION_RANGE,
    /* of two */
    QUERY_FN_MIN_OF,
    QUERY_FN_MAX_OF,
    /* sort */
    QUERY_FN_SORT_ASCENDING,
    QUERY_FN_SORT_DESCENDING,
    QUERY_FN_SORT_LABEL,
    QUERY_FN_SORT_LABEL_DESCENDING,
    /* of native histograms */
    QUERY_FN_HISTOGRAM_AVG,
    QUERY_FN_HISTOGRAM_COUNT,
    QUERY_FN_HISTOGRAM_STDDEV,
    QUERY_FN_HISTOGRAM_STDVAR,
    QUERY_FN_HISTOGRAM_SUM,
    QUERY_FN_NONE,
};

#define QUERY_ARGUMENTS_MAX 5

struct query_function {
    const char *name;
    enum query_function_kind kind;
    enum query_function_id id;
    enum query_value_type type;
    enum query_value_type arguments[QUERY_ARGUMENTS_MAX];
    unsigned char argument_count;
    /* 0: exactly argument_count; n: the last n are optional; -1: the last may be repeated or left
     * out. */
    signed char variadic;
    bool experimental;
    /* Its result depends on the evaluation time even when its arguments do not. */
    bool needs_time;
};

const struct query_function *query_function_find(struct tw_str name); /* NULL if there is none */
/* All, sorted by name; NULL at the end. */
const struct query_function *query_function_at(size_t index);

#endif
