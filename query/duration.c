/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/duration.h"

#include <math.h>

#include "query/lexer.h"

/* Go's time.Duration holds 292 years. */
#define SECONDS_MAX 9.2e9

struct resolver {
    struct tw_str text;
    double step, range;
};

#define FAIL(resolver, expression, err, ...)                                                       \
    query_error_at((err), TW_SYNTAX, (resolver)->text, (expression)->start, (expression)->end,     \
                   __VA_ARGS__)

/* The parser bounds the depth. */
static enum tw_code evaluate(const struct resolver *resolver,
                             const struct query_duration *expression, double *ret,
                             struct tw_err *err)
{
    double left = 0, right = 0;
    enum tw_code code = TW_OK;
    if (expression->left)
        code = evaluate(resolver, expression->left, &left, err);
    if (!code && expression->right)
        code = evaluate(resolver, expression->right, &right, err);
    if (code)
        return code;
    switch (expression->op) {
    case QUERY_DURATION_LITERAL:
        *ret = expression->seconds;
        break;
    case QUERY_DURATION_STEP:
        *ret = resolver->step;
        break;
    case QUERY_DURATION_RANGE:
        *ret = resolver->range;
        break;
    case QUERY_DURATION_MIN:
        *ret = left < right ? left : right;
        break;
    case QUERY_DURATION_MAX:
        *ret = left > right ? left : right;
        break;
    case QUERY_DURATION_ADD:
        *ret = left + right;
        break;
    case QUERY_DURATION_SUB:
        *ret = left - right;
        break;
    case QUERY_DURATION_MUL:
        *ret = left * right;
        break;
    case QUERY_DURATION_DIV:
        if (right == 0)
            return FAIL(resolver, expression, err, "division by zero");
        *ret = left / right;
        break;
    case QUERY_DURATION_MOD:
        if (right == 0)
            return FAIL(resolver, expression, err, "modulo by zero");
        *ret = fmod(left, right);
        break;
    case QUERY_DURATION_POW:
        *ret = pow(left, right);
        break;
    case QUERY_DURATION_PLUS:
        *ret = left;
        break;
    case QUERY_DURATION_NEGATE:
        *ret = -left;
        break;
    }
    return TW_OK;
}

enum tw_code query_duration_ms(const struct query_duration *expression, double seconds,
                               struct tw_str text, int64_t *ret_ms, struct tw_err *err)
{
    if (!(fabs(seconds) < SECONDS_MAX))
        return query_error_at(err, TW_SYNTAX, text, expression->start, expression->end,
                              "duration out of range");
    *ret_ms = (int64_t)(seconds * 1000);
    return TW_OK;
}

enum tw_code query_durations_resolve(const struct query_duration_use *uses, size_t count,
                                     struct tw_str text, int64_t step_ms, int64_t range_ms,
                                     struct tw_err *err)
{
    const struct resolver resolver = {text, (double)step_ms / 1000, (double)range_ms / 1000};
    for (size_t i = 0; i < count; i++) {
        double seconds = 0;
        int64_t ms = 0;
        enum tw_code code = evaluate(&resolver, uses[i].expression, &seconds, err);
        if (!code)
            code = query_duration_ms(uses[i].expression, seconds, text, &ms, err);
        if (code)
            return code;
        if (uses[i].positive && ms <= 0)
            return FAIL(&resolver, uses[i].expression, err, "duration must be greater than 0");
        *uses[i].target_ms = ms;
    }
    return TW_OK;
}
