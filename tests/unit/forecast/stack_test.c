/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/stack.h"

#include <math.h>
#include <stdlib.h>

#include "forecast/calibration.h"
#include "tests/lib/unit.h"

enum { ROWS = 624, COLUMNS = 4 };

static double noise(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) / (double)(UINT64_C(1) << 53) * 2 - 1;
}

static float x[COLUMNS * ROWS], y[ROWS], weight[ROWS], held_out[ROWS];
static float work[ROWS * (COLUMNS + 10)];

/* y = 0.7 x0 + 0.3 x1 + noise; x2 and x3 know nothing. */
static struct forecast_rows rows(double jitter)
{
    uint64_t seed = 11;
    struct forecast_rows ret = {.x = x,
                                .y = y,
                                .weight = weight,
                                .stride = ROWS,
                                .columns = COLUMNS,
                                .judge = weight,
                                .worth = ROWS,
                                .ridge = 30};
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t c = 0; c < COLUMNS; c++)
            x[c * ROWS + r] = (float)noise(&seed);
        y[r] = 0.7f * x[r] + 0.3f * x[ROWS + r] + (float)(jitter * noise(&seed));
        weight[r] = 1;
    }
    for (size_t k = 0; k <= FORECAST_STACK_BLOCKS; k++)
        ret.first[k] = k * ROWS / FORECAST_STACK_BLOCKS;
    return ret;
}

static void fit(struct forecast_stack *ret_stack, const struct forecast_rows *input)
{
    ck_assert_uint_le(forecast_stack_work(ROWS, COLUMNS), sizeof work / sizeof *work);
    forecast_stack_fit(ret_stack, input, work, held_out);
}

START_TEST(finds_the_mixture)
{
    struct forecast_rows input = rows(0.01);
    struct forecast_stack stack;
    fit(&stack, &input);
    ck_assert_double_eq_tol(stack.weights[0], 0.7, 0.02);
    ck_assert_double_eq_tol(stack.weights[1], 0.3, 0.02);
    double sum = 0;
    for (size_t c = 0; c < COLUMNS; c++)
        sum += (double)stack.weights[c];
    ck_assert_double_eq_tol(sum, 1, 1e-5);
    for (size_t r = 0; r < ROWS; r++)
        ck_assert_float_eq_tol(held_out[r], y[r], 0.05f);
}
END_TEST

START_TEST(outliers_do_not_turn_it)
{
    struct forecast_rows input = rows(0.01);
    for (size_t r = 0; r < ROWS; r += 10)
        y[r] += 50;
    struct forecast_stack stack;
    fit(&stack, &input);
    ck_assert_double_eq_tol(stack.weights[0], 0.7, 0.1);
    ck_assert_double_lt(fabsf(stack.intercept), 0.2);
}
END_TEST

START_TEST(a_perfect_column_wins)
{
    struct forecast_rows input = rows(0);
    for (size_t r = 0; r < ROWS; r++)
        y[r] = x[2 * ROWS + r];
    struct forecast_stack stack;
    fit(&stack, &input);
    ck_assert_double_eq_tol(stack.weights[2], 1, 1e-5);
}
END_TEST

START_TEST(held_out_errors_are_honest)
{
    /* More columns than news in them: what was seen must not look better than what was not. */
    struct forecast_rows input = rows(1.0);
    struct forecast_stack stack;
    fit(&stack, &input);
    double inside = 0, outside = 0;
    for (size_t r = 0; r < ROWS; r++) {
        float row[COLUMNS];
        for (size_t c = 0; c < COLUMNS; c++)
            row[c] = x[c * ROWS + r];
        inside += (double)fabsf(y[r] - forecast_stack_predict(&stack, row));
        outside += (double)fabsf(y[r] - held_out[r]);
    }
    ck_assert_double_ge(outside, inside);
}
END_TEST

START_TEST(mixtures_stay_among_their_columns)
{
    struct forecast_rows input = rows(0.01);
    struct forecast_stack stack;
    for (size_t r = 0; r < ROWS; r++) /* twice the first: outside of all columns */
        y[r] = 2 * x[r];
    fit(&stack, &input);
    for (size_t r = 0; r < ROWS; r++) {
        float row[COLUMNS], low = INFINITY, high = -INFINITY;
        for (size_t c = 0; c < COLUMNS; c++) {
            row[c] = 100 + x[c * ROWS + r]; /* a level never seen */
            low = fminf(low, row[c]);
            high = fmaxf(high, row[c]);
        }
        float middle = forecast_stack_predict(&stack, row);
        ck_assert(middle >= low && middle <= high);
    }
}
END_TEST

START_TEST(overlapping_errors_widen_the_tails)
{
    static float error[ROWS], signs[ROWS * (FORECAST_SIGNS + 1)];
    uint64_t seed = 19;
    for (size_t r = 0; r < ROWS; r++) {
        error[r] = (float)noise(&seed);
        weight[r] = signs[r] = 1;
    }
    struct forecast_calibration one, many;
    struct forecast_errors errors = {error, weight, signs, ROWS, 1};
    forecast_calibration_fit(&one, &errors, work);
    errors.overlap = 30;
    forecast_calibration_fit(&many, &errors, work);
    ck_assert_float_gt(forecast_calibration_point(&many, 0.95),
                       1.1f * forecast_calibration_point(&one, 0.95));
    ck_assert_float_eq_tol(forecast_calibration_point(&many, 0.5),
                           forecast_calibration_point(&one, 0.5), 1e-4f);
}
END_TEST

START_TEST(calibration_scales_with_its_signs)
{
    static float error[ROWS], signs[ROWS * (FORECAST_SIGNS + 1)];
    uint64_t seed = 17;
    for (size_t r = 0; r < ROWS; r++) {
        double size = r % 2 ? 10 : 1; /* twice two kinds of moments, told by sign 1 */
        error[r] = (float)(size * noise(&seed));
        weight[r] = 1;
        signs[r] = 1;
        signs[ROWS + r] = (float)log(size);
    }
    struct forecast_calibration calibration;
    struct forecast_errors errors = {error, weight, signs, ROWS, 1};
    forecast_calibration_fit(&calibration, &errors, work);
    float calm[FORECAST_SIGNS] = {1, 0}, wild[FORECAST_SIGNS] = {1, 2.302585f};
    double ratio = (double)forecast_calibration_size(&calibration, wild) /
                   (double)forecast_calibration_size(&calibration, calm);
    ck_assert_double_gt(ratio, 4);
    ck_assert_double_lt(ratio, 14);
    double q = (double)forecast_calibration_size(&calibration, calm) *
               (double)forecast_calibration_point(&calibration, 0.95);
    ck_assert_double_gt(q, 0.85);
    ck_assert_double_lt(
        q, 2); /* sizes are shrunk towards each other: of 10 the calm ones would get 5 */
    double before = -INFINITY;
    for (double p = 0.001; p < 1; p += 0.001) {
        double point = forecast_calibration_point(&calibration, p);
        ck_assert_double_ge(point, before);
        before = point;
    }
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(finds_the_mixture),
        UNIT_CASE(outliers_do_not_turn_it),
        UNIT_CASE(a_perfect_column_wins),
        UNIT_CASE(held_out_errors_are_honest),
        UNIT_CASE(mixtures_stay_among_their_columns),
        UNIT_CASE(overlapping_errors_widen_the_tails),
        UNIT_CASE(calibration_scales_with_its_signs),
        {0},
    };
    return unit_run("forecast/stack", cases);
}
