/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/arithmetic.h"

#include <math.h>

#include "base/assert.h"

double query_binary_value(enum query_token_type op, double left, double right)
{
    switch (op) {
    case QUERY_TOKEN_ADD:
        return left + right;
    case QUERY_TOKEN_SUB:
        return left - right;
    case QUERY_TOKEN_MUL:
        return left * right;
    case QUERY_TOKEN_DIV:
        return left / right;
    case QUERY_TOKEN_MOD:
        return fmod(left, right);
    case QUERY_TOKEN_POW:
        return pow(left, right);
    case QUERY_TOKEN_ATAN2:
        return atan2(left, right);
    case QUERY_TOKEN_EQLC:
        return left == right;
    case QUERY_TOKEN_NEQ:
        return left != right;
    case QUERY_TOKEN_GTR:
        return left > right;
    case QUERY_TOKEN_LSS:
        return left < right;
    case QUERY_TOKEN_GTE:
        return left >= right;
    case QUERY_TOKEN_LTE:
        return left <= right;
    default:
        TW_UNREACHABLE("not an operator between numbers");
    }
}

static void apply_arithmetic(const struct query_binary_row *row)
{
    const double *left = row->left, *right = row->right;
    double *out = row->out;
    size_t steps = row->steps;
    /* Over absent steps too: their values are defined, and so these loops are straight. */
    switch (row->op) {
    case QUERY_TOKEN_ADD:
        for (size_t s = 0; s < steps; s++)
            out[s] = left[s] + right[s];
        return;
    case QUERY_TOKEN_SUB:
        for (size_t s = 0; s < steps; s++)
            out[s] = left[s] - right[s];
        return;
    case QUERY_TOKEN_MUL:
        for (size_t s = 0; s < steps; s++)
            out[s] = left[s] * right[s];
        return;
    case QUERY_TOKEN_DIV:
        for (size_t s = 0; s < steps; s++)
            out[s] = left[s] / right[s];
        return;
    default:
        QUERY_EACH_STEP(s, row->present, steps)
        out[s] = query_binary_value(row->op, left[s], right[s]);
        return;
    }
}

void query_binary_apply(const struct query_binary_row *row)
{
    if (!query_token_is_comparison(row->op) || row->return_bool) {
        apply_arithmetic(row);
        return;
    }
    QUERY_EACH_STEP(s, row->present, row->steps)
    {
        double kept = row->keep_right ? row->right[s] : row->left[s];
        if (query_binary_value(row->op, row->left[s], row->right[s]) == 0)
            query_bit_clear(row->present, s);
        row->out[s] = kept;
    }
}
