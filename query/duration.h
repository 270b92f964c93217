/* SPDX-License-Identifier: Apache-2.0
 *
 * duration: expressions of durations in ranges, steps and offsets: [2 * step() + 1m]. What they are
 * worth is known once the query's step and range are; query_durations_resolve then writes it where
 * the tree keeps it.
 *
 * Threads: built by the parser, resolved once by the run that owns the tree.
 */
#ifndef TW_QUERY_DURATION_H
#define TW_QUERY_DURATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum query_duration_op {
    QUERY_DURATION_LITERAL,
    QUERY_DURATION_STEP,  /* step(): of the query; 0 in an instant query */
    QUERY_DURATION_RANGE, /* range(): from the query's first to its last step */
    QUERY_DURATION_MIN,
    QUERY_DURATION_MAX,
    QUERY_DURATION_ADD,
    QUERY_DURATION_SUB,
    QUERY_DURATION_MUL,
    QUERY_DURATION_DIV,
    QUERY_DURATION_MOD,
    QUERY_DURATION_POW,
    QUERY_DURATION_PLUS, /* unary; left only */
    QUERY_DURATION_NEGATE,
};

struct query_duration {
    enum query_duration_op op;
    double seconds;       /* of a literal */
    bool written_as_time; /* 5m, not 300 */
    bool wrapped;         /* stands in parentheses */
    struct query_duration *left, *right;
    uint32_t start, end; /* bytes of the text */
};

/* Where in the tree an expression's worth belongs. */
struct query_duration_use {
    const struct query_duration *expression;
    int64_t *target_ms;
    bool positive; /* ranges and steps must be; offsets need not */
};

/* Fills the targets; TW_SYNTAX with the place of what is out of range or divides by zero. */
TW_MUST_CHECK enum tw_code query_durations_resolve(const struct query_duration_use *uses,
                                                   size_t count, struct tw_str text,
                                                   int64_t step_ms, int64_t range_ms,
                                                   struct tw_err *err);
/* *ret_ms of a literal number of seconds; TW_SYNTAX if time does not hold it. */
TW_MUST_CHECK enum tw_code query_duration_ms(const struct query_duration *expression,
                                             double seconds, struct tw_str text, int64_t *ret_ms,
                                             struct tw_err *err);

#endif
