/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/arithmetic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* As Go computes it: the whole part of the exponent by squaring, the rest by exp and log; so that
 * the last digits, which may become labels, are the same. */
static double go_pow(double x, double y)
{
    double whole, rest = modf(fabs(y), &whole), mantissa = 1;
    int exponent = 0, x_exponent;
    if (!isfinite(x) || !isfinite(y) || x == 0 || x == 1 || y == 0 || y == 1 || whole >= 0x1p62 ||
        (rest != 0 && x < 0))
        return pow(x, y);
    if (fabs(y) == 0.5)
        return y > 0 ? sqrt(x) : 1 / sqrt(x);
    if (rest > 0.5) {
        rest--;
        whole++;
    }
    if (rest != 0)
        mantissa = exp(rest * log(x));
    double square = frexp(x, &x_exponent);
    for (int64_t bits = (int64_t)whole; bits != 0; bits >>= 1) {
        if (abs(x_exponent) > 1 << 12) { /* far beyond any double */
            exponent += x_exponent;
            break;
        }
        if (bits & 1) {
            mantissa *= square;
            exponent += x_exponent;
        }
        square *= square;
        x_exponent *= 2;
        if (square < 0.5) {
            square += square;
            x_exponent--;
        }
    }
    return y < 0 ? ldexp(1 / mantissa, -exponent) : ldexp(mantissa, exponent);
}

/* Go's: NaN if either is, but for an infinity that wins anyway. */
static double smaller(double left, double right)
{
    if (left == -INFINITY || right == -INFINITY)
        return -INFINITY;
    if (isnan(left) || isnan(right))
        return NAN;
    return left < right || (left == right && signbit(left)) ? left : right;
}

bool query_binary_drops_name(const struct query_node *node)
{
    enum query_token_type op = node->binary.op;
    if (op == QUERY_TOKEN_TRIM_UPPER || op == QUERY_TOKEN_TRIM_LOWER)
        return false;
    return node->binary.return_bool || !query_token_is_comparison(op);
}

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
        return go_pow(left, right);
    case QUERY_TOKEN_ATAN2:
        return atan2(left, right);
    case QUERY_TOKEN_MIN:
        return smaller(left, right);
    case QUERY_TOKEN_MAX:
        return -smaller(-left, -right);
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

void query_binary_apply(const struct query_binary_row *row, struct query_exec *exec,
                        const struct query_node *node)
{
    if (row->op == QUERY_TOKEN_TRIM_LOWER || row->op == QUERY_TOKEN_TRIM_UPPER) {
        const char *spelling = query_token_spelling(row->op);
        size_t words = query_words(row->steps);
        if (query_bits_any(row->present, words))
            query_annotate(
                exec->annotations, QUERY_INFO, node,
                "incompatible sample types encountered for binary operator \"%s\": float "
                "%s float",
                spelling, spelling);
        memset(row->present, 0, words * sizeof *row->present);
        return;
    }
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
