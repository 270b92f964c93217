/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/model.h"

#include <math.h>
#include <stdlib.h>

#include "base/assert.h"
#include "tests/lib/unit.h"

#define MINUTE_MS 60000
#define DAY_STEPS 288 /* of five minutes */
enum { QUANTILES = 5, HORIZON = 24 };
static const double probabilities[QUANTILES] = {0.05, 0.5, 0.9, 0.95, 0.99};

/* A generator of its own, so that every run sees the same series. */
static double noise(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) / (double)(UINT64_C(1) << 53) * 2 - 1;
}

static double *daily(size_t count, double jitter)
{
    double *values = calloc(count, sizeof *values);
    TW_ASSERT(values != NULL);
    uint64_t seed = 7;
    for (size_t i = 0; i < count; i++)
        values[i] = 100 + 50 * sin(2 * M_PI * (double)i / DAY_STEPS) + jitter * noise(&seed);
    return values;
}

struct result {
    double mean[HORIZON], quantiles[HORIZON * QUANTILES], peak[QUANTILES], peak_mean;
};

static struct forecast_model *fitted(const double *values, size_t count, double lower_bound)
{
    struct forecast_options options = {5 * MINUTE_MS, HORIZON, 6, lower_bound};
    struct forecast_model *model = NULL;
    struct tw_err err = {0};
    unit_assert_ok(forecast_model_new(values, count, &options, &model, &err), &err);
    return model;
}

static struct forecast_band band_of(struct result *result)
{
    return (struct forecast_band){result->mean, result->quantiles, 0, result->peak};
}

static void predict(struct forecast_model *model, struct result *ret)
{
    struct tw_err err = {0};
    struct forecast_band band = band_of(ret);
    unit_assert_ok(forecast_model_predict(model, HORIZON, probabilities, QUANTILES, &band, &err),
                   &err);
    ret->peak_mean = band.peak_mean;
}

static struct result forecast(const double *values, size_t count)
{
    struct result result;
    struct forecast_model *model = fitted(values, count, -INFINITY);
    predict(model, &result);
    forecast_model_free(model);
    return result;
}

/* I1 */
static void check_sane(const struct result *result)
{
    for (size_t h = 0; h < HORIZON; h++) {
        ck_assert(isfinite(result->mean[h]));
        for (size_t q = 0; q < QUANTILES; q++) {
            ck_assert(isfinite(result->quantiles[h * QUANTILES + q]));
            if (q)
                ck_assert(result->quantiles[h * QUANTILES + q] >=
                          result->quantiles[h * QUANTILES + q - 1]);
        }
    }
    for (size_t q = 0; q < QUANTILES; q++) {
        ck_assert(isfinite(result->peak[q]));
        if (q)
            ck_assert(result->peak[q] >= result->peak[q - 1]);
    }
}

START_TEST(follows_the_day)
{
    size_t count = 14 * DAY_STEPS;
    double *values = daily(count, 1);
    struct result result = forecast(values, count);
    check_sane(&result);
    for (size_t h = 1; h <= HORIZON; h++) {
        double truth = 100 + 50 * sin(2 * M_PI * (double)(count - 1 + h) / DAY_STEPS);
        ck_assert_double_eq_tol(result.quantiles[(h - 1) * QUANTILES + 1], truth, 1.5);
        ck_assert_double_lt(result.quantiles[(h - 1) * QUANTILES + 4] - truth, 4);
    }
    free(values);
}
END_TEST

START_TEST(intervals_hold_what_they_promise)
{
    size_t count = 30 * DAY_STEPS, tried = 0;
    double *values = daily(count, 10);
    int below[QUANTILES] = {0}, peak_below = 0, origins = 0;
    for (size_t origin = 10 * DAY_STEPS; origin + HORIZON < count; origin += 97, origins++) {
        struct result result = forecast(values, origin);
        double high = -INFINITY;
        for (size_t h = 0; h < HORIZON; h++, tried++) {
            for (size_t q = 0; q < QUANTILES; q++)
                below[q] += values[origin + h] <= result.quantiles[h * QUANTILES + q];
            if (h < 6)
                high = fmax(high, values[origin + h]);
        }
        peak_below += high <= result.peak[3];
    }
    for (size_t q = 0; q < QUANTILES; q++)
        ck_assert_double_eq_tol((double)below[q] / (double)tried, probabilities[q], 0.03);
    ck_assert_double_eq_tol((double)peak_below / origins, 0.95, 0.07);
    free(values);
}
END_TEST

START_TEST(shift_and_scale_go_through) /* I2 */
{
    const double factors[] = {1e-6, 0.5, 3, 1e9}, shifts[] = {0, -1000, 12345, 7};
    size_t count = 6 * DAY_STEPS;
    double *values = daily(count, 5), *moved = calloc(count, sizeof *moved);
    struct result base = forecast(values, count);
    double a = factors[_i], b = shifts[_i] * a;
    for (size_t i = 0; i < count; i++)
        moved[i] = a * values[i] + b;
    struct result result = forecast(moved, count);
    for (size_t k = 0; k < HORIZON * QUANTILES; k++)
        ck_assert_double_eq_tol((result.quantiles[k] - b) / a, base.quantiles[k], 0.05);
    for (size_t q = 0; q < QUANTILES; q++)
        ck_assert_double_eq_tol((result.peak[q] - b) / a, base.peak[q], 0.05);
    free(values);
    free(moved);
}
END_TEST

START_TEST(any_length_is_answered)
{
    size_t count = (size_t)_i;
    double *values = daily(400, 5);
    struct result result = forecast(values, count);
    check_sane(&result);
    free(values);
}
END_TEST

START_TEST(few_values_give_wide_intervals)
{
    double *values = daily(2000, 10);
    struct result few = forecast(values, 6), many = forecast(values, 2000);
    ck_assert_double_gt(few.quantiles[4] - few.quantiles[0], many.quantiles[4] - many.quantiles[0]);
    free(values);
}
END_TEST

START_TEST(constant_is_itself)
{
    double values[500];
    for (size_t i = 0; i < 500; i++)
        values[i] = 42.1;
    struct result result = forecast(values, 500);
    for (size_t k = 0; k < HORIZON * QUANTILES; k++)
        ck_assert_double_eq(result.quantiles[k], 42.1);
    ck_assert_double_eq(result.peak[4], 42.1);
}
END_TEST

START_TEST(one_value_is_carried_on)
{
    double value = -3.5;
    struct result result = forecast(&value, 1);
    check_sane(&result);
    ck_assert_double_eq(result.quantiles[1], -3.5);
}
END_TEST

START_TEST(nothing_is_an_error)
{
    double values[3] = {NAN, INFINITY, -INFINITY};
    struct forecast_options options = {MINUTE_MS, 10, 0, -INFINITY};
    struct forecast_model *model = NULL;
    struct tw_err err = {0};
    unit_assert_code(forecast_model_new(values, 0, &options, &model, &err), TW_BAD_DATA);
    unit_assert_code(forecast_model_new(values, 3, &options, &model, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "no number");
    ck_assert_ptr_null(model);
}
END_TEST

START_TEST(absurd_options_are_refused)
{
    double value = 1;
    struct forecast_model *model = NULL;
    struct tw_err err = {0};
    const struct forecast_options bad[] = {
        {0, 1, 0, -INFINITY}, {-5, 1, 0, -INFINITY},      {MINUTE_MS, 0, 0, -INFINITY},
        {MINUTE_MS, 5, 6, 0}, {MINUTE_MS, 1000000, 0, 0}, {MINUTE_MS, 1, 0, NAN},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        unit_assert_code(forecast_model_new(&value, 1, &bad[k], &model, &err), TW_BAD_DATA);
    struct forecast_model *good = fitted(&value, 1, -INFINITY);
    struct result result;
    struct forecast_band band = band_of(&result);
    const double wrong[] = {0, 1, -1, NAN, 2};
    for (size_t k = 0; k < 5; k++)
        unit_assert_code(forecast_model_predict(good, 1, &wrong[k], 1, &band, &err), TW_BAD_DATA);
    const double falling[] = {0.9, 0.5};
    unit_assert_code(forecast_model_predict(good, 1, falling, 2, &band, &err), TW_BAD_DATA);
    unit_assert_code(forecast_model_predict(good, HORIZON + 1, probabilities, 1, &band, &err),
                     TW_BAD_DATA);
    unit_assert_code(forecast_model_predict(good, 1, probabilities, 0, &band, &err), TW_BAD_DATA);
    forecast_model_free(good);
}
END_TEST

START_TEST(holes_and_monsters_do_no_harm)
{
    size_t count = 8 * DAY_STEPS;
    double *values = daily(count, 2);
    uint64_t seed = 3;
    for (size_t i = 0; i < count; i++) {
        double x = noise(&seed);
        if (x > 0.6)
            values[i] = NAN;
        else if (x > 0.595)
            values[i] = INFINITY;
        else if (x > 0.59)
            values[i] = 1e200;
    }
    for (size_t i = count - 2000; i < count - 1700; i++)
        values[i] = NAN;
    struct result result = forecast(values, count);
    check_sane(&result);
    for (size_t h = 1; h <= HORIZON; h++) {
        double truth = 100 + 50 * sin(2 * M_PI * (double)(count - 1 + h) / DAY_STEPS);
        ck_assert_double_eq_tol(result.quantiles[(h - 1) * QUANTILES + 1], truth, 12);
    }
    free(values);
}
END_TEST

START_TEST(a_spike_is_not_learned)
{
    size_t count = 10 * DAY_STEPS;
    double *values = daily(count, 1);
    for (size_t day = 2; day < 9; day += 3)
        values[day * DAY_STEPS + 40] += 5000;
    struct result result = forecast(values, count);
    check_sane(&result);
    for (size_t h = 1; h <= HORIZON; h++) {
        double truth = 100 + 50 * sin(2 * M_PI * (double)(count - 1 + h) / DAY_STEPS);
        ck_assert_double_eq_tol(result.quantiles[(h - 1) * QUANTILES + 1], truth, 5);
    }
    free(values);
}
END_TEST

START_TEST(large_numbers_stay_finite)
{
    size_t count = 3 * DAY_STEPS;
    double *values = daily(count, 2);
    for (size_t i = 0; i < count; i++)
        values[i] *= i % 2 ? 1e147 : -1e147;
    struct result result = forecast(values, count);
    check_sane(&result);
    free(values);
}
END_TEST

START_TEST(append_and_peek_agree) /* I3 */
{
    size_t count = 5 * DAY_STEPS, more = 50;
    double *values = daily(count + more + 1, 5);
    struct forecast_model *model = fitted(values, count, -INFINITY);
    struct tw_err err = {0};
    struct result peeked, appended, again;
    for (size_t i = count; i < count + more; i++) {
        struct forecast_band band = band_of(&peeked);
        unit_assert_ok(
            forecast_model_peek(model, values[i], HORIZON, probabilities, QUANTILES, &band, &err),
            &err);
        unit_assert_ok(forecast_model_append(model, values[i], &err), &err);
        predict(model, &appended);
        ck_assert_mem_eq(peeked.quantiles, appended.quantiles, sizeof peeked.quantiles);
        ck_assert_mem_eq(peeked.peak, appended.peak, sizeof peeked.peak);
    }
    /* What a look-ahead left behind must not matter, whatever it looked at. */
    struct forecast_band band = band_of(&peeked);
    unit_assert_ok(forecast_model_peek(model, 1e6, HORIZON, probabilities, QUANTILES, &band, &err),
                   &err);
    unit_assert_ok(forecast_model_append(model, values[count + more], &err), &err);
    predict(model, &appended);
    struct forecast_model *other = fitted(values, count, -INFINITY);
    for (size_t i = count; i <= count + more; i++)
        unit_assert_ok(forecast_model_append(other, values[i], &err), &err);
    predict(other, &again);
    ck_assert_mem_eq(again.quantiles, appended.quantiles, sizeof again.quantiles);
    ck_assert_uint_eq(forecast_model_count(other), count + more + 1);
    forecast_model_free(model);
    forecast_model_free(other);
    free(values);
}
END_TEST

START_TEST(a_full_model_says_so)
{
    double value = 1;
    struct forecast_model *model = fitted(&value, 1, -INFINITY);
    struct tw_err err = {0};
    enum tw_code code = TW_OK;
    size_t taken = 0;
    for (; code == TW_OK; taken++)
        code = forecast_model_append(model, (double)taken, &err);
    ck_assert_int_eq(code, TW_LIMIT);
    ck_assert_uint_ge(taken, FORECAST_APPEND_MAX);
    struct result result;
    predict(model, &result);
    check_sane(&result);
    forecast_model_free(model);
}
END_TEST

START_TEST(lower_bound_holds)
{
    size_t count = 4 * DAY_STEPS;
    double *values = daily(count, 40);
    for (size_t i = 0; i < count; i++)
        values[i] = fmax(0, values[i] - 90);
    struct forecast_model *model = fitted(values, count, 0);
    struct result result;
    predict(model, &result);
    check_sane(&result);
    for (size_t k = 0; k < HORIZON * QUANTILES; k++)
        ck_assert_double_ge(result.quantiles[k], 0);
    forecast_model_free(model);
    free(values);
}
END_TEST

START_TEST(a_sharp_edge_is_recalled)
{
    size_t count = 5 * 1440 + 540 - 3; /* three minutes before nine */
    double *values = calloc(count, sizeof *values);
    uint64_t seed = 5;
    struct forecast_options options = {MINUTE_MS, 10, 4, -INFINITY};
    struct forecast_model *model = NULL;
    struct tw_err err = {0};
    for (size_t i = 0; i < count; i++)
        values[i] = (i % 1440 >= 540 && i % 1440 < 1020 ? 900 : 300) * (1 + 0.02 * noise(&seed));
    unit_assert_ok(forecast_model_new(values, count, &options, &model, &err), &err);
    ck_assert_double_eq_tol(forecast_model_recall(model, 4), 900, 40);
    model = forecast_model_free(model);
    unit_assert_ok(forecast_model_new(values, count - 120, &options, &model, &err), &err);
    ck_assert_double_eq_tol(forecast_model_recall(model, 4), 300, 40);
    model = forecast_model_free(model);
    unit_assert_ok(forecast_model_new(values, 100, &options, &model, &err), &err);
    ck_assert(isnan(forecast_model_recall(model, 4)));
    forecast_model_free(model);
    free(values);
}
END_TEST

START_TEST(periods_are_found)
{
    size_t count = 3 * 1440, periods[FORECAST_SEASONS_MAX];
    double *values = calloc(count, sizeof *values);
    uint64_t seed = 5;
    struct forecast_options options = {MINUTE_MS, 10, 0, -INFINITY};
    struct forecast_model *model = NULL;
    struct tw_err err = {0};
    for (size_t i = 0; i < count; i++) /* a batch of ten minutes every hour */
        values[i] = (i % 60 < 10 ? 100 : 25) + 2 * noise(&seed);
    unit_assert_ok(forecast_model_new(values, count, &options, &model, &err), &err);
    ck_assert_uint_ge(forecast_model_seasons(model, periods), 1);
    ck_assert_uint_eq(periods[0], 60);
    model = forecast_model_free(model);

    for (size_t i = 0; i < count; i++) /* nothing that recurs */
        values[i] = noise(&seed);
    unit_assert_ok(forecast_model_new(values, count, &options, &model, &err), &err);
    ck_assert_uint_eq(forecast_model_seasons(model, periods), 0);
    forecast_model_free(model);
    free(values);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(follows_the_day),
        UNIT_CASE_SLOW(intervals_hold_what_they_promise, 300),
        UNIT_LOOP(shift_and_scale_go_through, 0, 4),
        UNIT_LOOP(any_length_is_answered, 1, 80),
        UNIT_CASE(few_values_give_wide_intervals),
        UNIT_CASE(constant_is_itself),
        UNIT_CASE(one_value_is_carried_on),
        UNIT_CASE(nothing_is_an_error),
        UNIT_CASE(absurd_options_are_refused),
        UNIT_CASE(holes_and_monsters_do_no_harm),
        UNIT_CASE(a_spike_is_not_learned),
        UNIT_CASE(large_numbers_stay_finite),
        UNIT_CASE(append_and_peek_agree),
        UNIT_CASE(a_full_model_says_so),
        UNIT_CASE(lower_bound_holds),
        UNIT_CASE(a_sharp_edge_is_recalled),
        UNIT_CASE(periods_are_found),
        {0},
    };
    return unit_run("forecast/model", cases);
}
