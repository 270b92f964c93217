/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/model.h"

#include <math.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/crc32c.h"
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
    struct forecast_options options = {.step_ms = 5 * MINUTE_MS,
                                       .horizon = HORIZON,
                                       .peak_horizon = 6,
                                       .lower_bound = lower_bound};
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
    for (size_t origin = 10 * DAY_STEPS; origin + HORIZON < count; origin += 31, origins++) {
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
    struct forecast_options options = {
        .step_ms = MINUTE_MS, .horizon = 10, .lower_bound = -INFINITY};
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
        {.step_ms = 0, .horizon = 1},
        {.step_ms = -5, .horizon = 1},
        {.step_ms = MINUTE_MS, .horizon = 0},
        {.step_ms = MINUTE_MS, .horizon = 5, .peak_horizon = 6},
        {.step_ms = MINUTE_MS, .horizon = 1000000},
        {.step_ms = MINUTE_MS, .horizon = 1, .lower_bound = NAN},
        {.step_ms = MINUTE_MS, .horizon = 1, .has_upper_bound = true, .upper_bound = -1},
        {.step_ms = MINUTE_MS, .horizon = 1, .has_upper_bound = true, .upper_bound = NAN},
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
        forecast_model_append(model, values[i]);
        predict(model, &appended);
        ck_assert_mem_eq(peeked.quantiles, appended.quantiles, sizeof peeked.quantiles);
        ck_assert_mem_eq(peeked.peak, appended.peak, sizeof peeked.peak);
    }
    /* What a look-ahead left behind must not matter, whatever it looked at. */
    struct forecast_band band = band_of(&peeked);
    unit_assert_ok(forecast_model_peek(model, 1e6, HORIZON, probabilities, QUANTILES, &band, &err),
                   &err);
    forecast_model_append(model, values[count + more]);
    predict(model, &appended);
    struct forecast_model *other = fitted(values, count, -INFINITY);
    for (size_t i = count; i <= count + more; i++)
        forecast_model_append(other, values[i]);
    predict(other, &again);
    ck_assert_mem_eq(again.quantiles, appended.quantiles, sizeof again.quantiles);
    ck_assert_uint_eq(forecast_model_count(other), count + more + 1);
    forecast_model_free(model);
    forecast_model_free(other);
    free(values);
}
END_TEST

START_TEST(any_number_of_values_can_follow)
{
    size_t count = 3 * DAY_STEPS;
    double *values = daily(20 * DAY_STEPS, 5);
    struct forecast_model *model = fitted(values, count, -INFINITY);
    size_t size = forecast_model_size(model);
    for (size_t i = count; i < 20 * DAY_STEPS; i++)
        forecast_model_append(model, values[i]);
    struct result result;
    predict(model, &result);
    check_sane(&result);
    for (size_t h = 1; h <= HORIZON; h++) {
        double truth = 100 + 50 * sin(2 * M_PI * (double)(20 * DAY_STEPS - 1 + h) / DAY_STEPS);
        ck_assert_double_eq_tol(result.quantiles[(h - 1) * QUANTILES + 1], truth, 5);
    }
    ck_assert_uint_eq(forecast_model_count(model), 20 * DAY_STEPS);
    ck_assert_uint_le(forecast_model_size(model), size + 2 * 600);
    forecast_model_free(model);
    free(values);
}
END_TEST

/* What goes on from the state is what a fit over the longer history would have looked at. */
START_TEST(state_goes_on_as_the_history_would)
{
    size_t count = 9 * DAY_STEPS, more = 1000;
    double *values = daily(count + more, 5);
    struct forecast_model *model = fitted(values, count, -INFINITY);
    for (size_t i = count; i < count + more; i++)
        forecast_model_append(model, i % 97 ? values[i] : NAN);
    struct forecast_model *whole = fitted(values, count + more, -INFINITY);
    struct result gone_on, anew;
    predict(model, &gone_on);
    predict(whole, &anew);
    for (size_t k = 0; k < HORIZON * QUANTILES; k++)
        ck_assert_double_eq_tol(gone_on.quantiles[k], anew.quantiles[k], 3);
    forecast_model_free(model);
    forecast_model_free(whole);
    free(values);
}
END_TEST

START_TEST(stored_models_go_on_alike) /* I5 */
{
    static const size_t counts[] = {1, 10, 100, 700, 2 * DAY_STEPS, 9 * DAY_STEPS, 20 * DAY_STEPS};
    size_t count = counts[_i], more = 300;
    double *values = daily(count + more, 5);
    struct forecast_model *model = fitted(values, count, -INFINITY), *other = NULL;
    struct tw_err err = {0};
    forecast_model_append(model, values[0]);
    size_t size = forecast_model_size(model);
    ck_assert_uint_le(size, FORECAST_MODEL_BYTES_MAX);
    uint8_t *bytes = calloc(2 * size, 1), *again = bytes + size;
    forecast_model_write(model, bytes);
    unit_assert_ok(forecast_model_read(bytes, size, &other, &err), &err);
    ck_assert_uint_eq(forecast_model_size(other), size);
    forecast_model_write(other, again);
    ck_assert_mem_eq(bytes, again, size);
    struct result a, b;
    struct forecast_drift drift_a, drift_b;
    for (size_t i = 0; i < more; i++) {
        ck_assert(forecast_model_score(model, values[count + i]) ==
                  forecast_model_score(other, values[count + i]));
        forecast_model_append(model, values[count + i]);
        forecast_model_append(other, values[count + i]);
    }
    predict(model, &a);
    predict(other, &b);
    ck_assert_mem_eq(&a, &b, sizeof a);
    forecast_model_drift(model, &drift_a);
    forecast_model_drift(other, &drift_b);
    ck_assert(drift_a.recent_loss == drift_b.recent_loss || isnan(drift_a.recent_loss));
    ck_assert_uint_eq(drift_a.appended, drift_b.appended);
    forecast_model_free(model);
    forecast_model_free(other);
    free(bytes);
    free(values);
}
END_TEST

START_TEST(damaged_bytes_are_refused)
{
    double *values = daily(4 * DAY_STEPS, 5);
    struct forecast_model *model = fitted(values, 4 * DAY_STEPS, -INFINITY), *other = NULL;
    struct tw_err err = {0};
    size_t size = forecast_model_size(model);
    uint8_t *bytes = calloc(size, 1);
    forecast_model_write(model, bytes);
    for (size_t at = 0; at < size; at += at < 400 ? 1 : 97) {
        bytes[at] ^= 0x41;
        unit_assert_code(forecast_model_read(bytes, size, &other, &err), TW_BAD_DATA);
        bytes[at] ^= 0x41;
        unit_assert_code(forecast_model_read(bytes, at, &other, &err), TW_BAD_DATA);
    }
    /* Sizes that lie, under a checksum that is right. */
    uint64_t seed = 9;
    for (int round = 0; round < 3000; round++) {
        forecast_model_write(model, bytes);
        for (int k = 0; k < 3; k++) {
            size_t at = 8 + (size_t)((noise(&seed) + 1) / 2 * 392);
            bytes[at] = (uint8_t)(256 * (noise(&seed) + 1) / 2);
        }
        uint32_t crc = tw_crc32c(0, bytes, size - 4);
        for (int i = 0; i < 4; i++)
            bytes[size - 4 + (size_t)i] = (uint8_t)(crc >> (8 * i));
        if (forecast_model_read(bytes, size, &other, &err) == TW_OK)
            other = forecast_model_free(other);
    }
    ck_assert_ptr_null(other);
    forecast_model_free(model);
    free(bytes);
    free(values);
}
END_TEST

START_TEST(strange_values_score_high)
{
    size_t count = 8 * DAY_STEPS;
    double *values = daily(count + 400, 5), sum = 0;
    struct forecast_model *model = fitted(values, count, -INFINITY);
    size_t high = 0;
    for (size_t i = count; i < count + 400; i++) {
        double score = forecast_model_score(model, values[i]);
        ck_assert(score >= 0 && score <= 1);
        sum += score / 400;
        high += score > 0.95;
        ck_assert_double_eq(forecast_model_score(model, values[i] + 200), 1);
        ck_assert_double_eq(forecast_model_score(model, values[i] - 200), 1);
        forecast_model_append(model, values[i]);
    }
    /* The score of what is usual is as often low as high. */
    ck_assert_double_eq_tol(sum, 0.5, 0.08);
    ck_assert_uint_le(high, 40);
    ck_assert(isnan(forecast_model_score(model, NAN)));
    ck_assert_double_eq(forecast_model_score(model, INFINITY), 1);
    forecast_model_free(model);
    double constant[30];
    for (size_t i = 0; i < 30; i++)
        constant[i] = 7;
    model = fitted(constant, 30, -INFINITY);
    ck_assert_double_eq(forecast_model_score(model, 7), 0);
    ck_assert_double_eq(forecast_model_score(model, 7.5), 1);
    forecast_model_free(model);
    free(values);
}
END_TEST

START_TEST(drift_asks_for_a_new_fit)
{
    size_t count = 8 * DAY_STEPS;
    double *values = daily(count + 600, 5);
    struct forecast_model *model = fitted(values, count, -INFINITY);
    struct forecast_drift drift;
    forecast_model_drift(model, &drift);
    ck_assert(!drift.refit && isnan(drift.recent_loss) && isfinite(drift.fitted_loss));
    for (size_t i = count; i < count + 300; i++)
        forecast_model_append(model, values[i]);
    forecast_model_drift(model, &drift);
    ck_assert_uint_eq(drift.appended, 300);
    ck_assert(!drift.refit);
    ck_assert_double_eq_tol(drift.recent_loss / drift.fitted_loss, 1, 0.3);
    ck_assert_double_eq_tol(drift.coverage95, 0.95, 0.05);
    uint64_t seed = 3;
    for (size_t i = count + 300; i < count + 500; i++)
        forecast_model_append(model, values[i] + 60 * noise(&seed));
    forecast_model_drift(model, &drift);
    ck_assert(drift.refit && drift.recent_loss > 1.5 * drift.fitted_loss);
    forecast_model_free(model);
    free(values);
}
END_TEST

/* Median absolute error over a day of forecasts made `after` steps behind count. */
static double error_over_a_day(double (*value)(size_t i), size_t count)
{
    double *values = calloc(count + DAY_STEPS + HORIZON, sizeof *values), sum = 0;
    for (size_t i = 0; i < count + DAY_STEPS + HORIZON; i++)
        values[i] = value(i);
    size_t tried = 0, covered = 0;
    for (size_t origin = count; origin < count + DAY_STEPS; origin += 37, tried++) {
        struct result result = forecast(values, origin);
        check_sane(&result);
        for (size_t h = 0; h < HORIZON; h++) {
            sum += fabs(result.quantiles[h * QUANTILES + 1] - values[origin + h]);
            covered += values[origin + h] <= result.quantiles[h * QUANTILES + 3];
        }
    }
    free(values);
    ck_assert_double_ge((double)covered / (double)(tried * HORIZON), 0.75);
    return sum / (double)(tried * HORIZON);
}

enum { SHIFT_AT = 12 * DAY_STEPS };

static double office(size_t i)
{
    uint64_t seed = i * 31 + 7;
    double jitter = noise(&seed);
    return 100 + 50 * sin(2 * M_PI * (double)i / DAY_STEPS) + 2 * jitter;
}

static double summer_time(size_t i) /* an hour earlier from the twelfth day on */
{
    return office(i < SHIFT_AT ? i : i + 12);
}

static double level_shift(size_t i)
{
    return office(i) + (i < SHIFT_AT ? 0 : 400);
}

static double outage(size_t i) /* a day of nothing but noise near zero, then as before */
{
    return i >= SHIFT_AT - DAY_STEPS && i < SHIFT_AT ? fabs(office(i) - 100) / 500 : office(i);
}

START_TEST(shifts_are_got_over)
{
    double (*const shifts[])(size_t) = {office, summer_time, level_shift, outage};
    const double limits[] = {1.6, 4, 25, 8}; /* of a swing of 100; the shift is one of 400 */
    ck_assert_double_lt(error_over_a_day(shifts[_i], SHIFT_AT + DAY_STEPS), limits[_i]);
}
END_TEST

START_TEST(right_after_a_shift_bands_stay_sane)
{
    size_t count = SHIFT_AT + 30;
    double *values = calloc(count, sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = level_shift(i);
    struct result result = forecast(values, count);
    check_sane(&result);
    ck_assert_double_gt(result.quantiles[1], 300);
    ck_assert_double_lt(result.quantiles[3], 3000); /* not e^level */
    free(values);
}
END_TEST

START_TEST(day_and_week_are_told_together)
{
    size_t count = 6 * 168, periods[FORECAST_SEASONS_MAX];
    double *values = calloc(count, sizeof *values);
    uint64_t seed = 5;
    struct forecast_options options = {.step_ms = 3600000, .horizon = 48, .lower_bound = 0};
    struct forecast_model *model = NULL;
    struct tw_err err = {0};
    for (size_t i = 0; i < count; i++) {
        bool rest = i / 24 % 7 >= 5;
        double day = fmax(0, sin(2 * M_PI * (double)(i % 24) / 24));
        values[i] = 20 + (rest ? 10 : 100) * day + noise(&seed);
    }
    unit_assert_ok(forecast_model_new(values, count - 48, &options, &model, &err), &err);
    ck_assert_uint_eq(forecast_model_seasons(model, periods), 2);
    ck_assert_uint_eq(periods[0], 24);
    ck_assert_uint_eq(periods[1], 168);
    double quantiles[48], half = 0.5;
    struct forecast_band band = {.quantiles = quantiles};
    unit_assert_ok(forecast_model_predict(model, 48, &half, 1, &band, &err), &err);
    for (size_t h = 0; h < 48; h++) { /* the weekend that comes is not as the days before it */
        double alone;
        ck_assert_double_eq_tol(quantiles[h], values[count - 48 + h], 10);
        unit_assert_ok(forecast_model_predict_lead(model, h + 1, &half, 1, NULL, &alone, &err),
                       &err);
        ck_assert_double_eq(alone, quantiles[h]);
    }
    forecast_model_free(model);
    free(values);
}
END_TEST

START_TEST(upper_bound_holds)
{
    double values[2000];
    uint64_t seed = 3;
    for (size_t i = 0; i < 2000; i++)
        values[i] = fmin(100, 95 + 8 * noise(&seed));
    struct forecast_options options = {
        .step_ms = MINUTE_MS, .horizon = HORIZON, .has_upper_bound = true, .upper_bound = 100};
    struct forecast_model *model = NULL;
    struct tw_err err = {0};
    unit_assert_ok(forecast_model_new(values, 2000, &options, &model, &err), &err);
    ck_assert(forecast_model_fits(model, &options));
    options.horizon++;
    ck_assert(!forecast_model_fits(model, &options));
    struct result result;
    predict(model, &result);
    check_sane(&result);
    for (size_t k = 0; k < HORIZON * QUANTILES; k++)
        ck_assert(result.quantiles[k] <= 100 && result.quantiles[k] >= 0);
    ck_assert(result.peak[4] <= 100);
    forecast_model_free(model);
}
END_TEST

/* Whatever comes, in whatever order: numbers, in order, and bytes that fit. */
START_TEST(strange_series_are_survived)
{
    uint64_t seed = 1000 + (uint64_t)_i;
    size_t count = 1 + (size_t)((noise(&seed) + 1) * 1500), more = 400;
    double *values = calloc(count + more, sizeof *values), level = 0;
    int kind = _i % 8;
    for (size_t i = 0; i < count + more; i++) {
        double x = noise(&seed);
        level += x;
        switch (kind) {
        case 0:
            values[i] = x > 0.98 ? 1e6 : 0;
            break; /* rare spikes */
        case 1:
            values[i] = level;
            break; /* a walk */
        case 2:
            values[i] = (double)(i % 100);
            break; /* a counter that is reset */
        case 3:
            values[i] = x > 0 ? 1e300 : -1e300;
            break; /* too large to count */
        case 4:
            values[i] = i / 50 % 2 ? 1 : 1e-300;
            break; /* squares, tiny numbers */
        case 5:
            values[i] = x > -0.5 ? NAN : x;
            break; /* mostly holes */
        case 6:
            values[i] = exp((double)i * 0.01);
            break; /* growth without end */
        default:
            values[i] = i < count / 2 ? 5 : 5 + level;
            break; /* a constant that wakes */
        }
    }
    values[count - 1] = 1;
    struct forecast_model *model = fitted(values, count, -INFINITY);
    ck_assert_uint_le(forecast_model_size(model), FORECAST_MODEL_BYTES_MAX);
    struct result result;
    predict(model, &result);
    check_sane(&result);
    for (size_t i = count; i < count + more; i++) {
        double score = forecast_model_score(model, values[i]);
        ck_assert(isnan(values[i]) ? isnan(score) : score >= 0 && score <= 1);
        forecast_model_append(model, values[i]);
        if (i % 50 == 0) {
            predict(model, &result);
            check_sane(&result);
        }
    }
    forecast_model_free(model);
    free(values);
}
END_TEST

START_TEST(a_constant_may_begin_to_move)
{
    double constant[100];
    for (size_t i = 0; i < 100; i++)
        constant[i] = 10;
    struct forecast_model *model = fitted(constant, 100, -INFINITY);
    struct result result;
    struct forecast_drift drift;
    for (size_t i = 0; i < 100; i++)
        forecast_model_append(model, i % 2 ? 20 : 30);
    predict(model, &result);
    check_sane(&result);
    ck_assert_double_gt(result.quantiles[4], 20);
    ck_assert_double_eq_tol(result.quantiles[1], 20, 10);
    forecast_model_drift(model, &drift);
    ck_assert(drift.refit);
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
    struct forecast_options options = {
        .step_ms = MINUTE_MS, .horizon = 10, .peak_horizon = 4, .lower_bound = -INFINITY};
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
    struct forecast_options options = {
        .step_ms = MINUTE_MS, .horizon = 10, .lower_bound = -INFINITY};
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
        UNIT_CASE(any_number_of_values_can_follow),
        UNIT_CASE(state_goes_on_as_the_history_would),
        UNIT_LOOP(stored_models_go_on_alike, 0, 7),
        UNIT_CASE(damaged_bytes_are_refused),
        UNIT_CASE(strange_values_score_high),
        UNIT_CASE(drift_asks_for_a_new_fit),
        UNIT_LOOP(shifts_are_got_over, 0, 4),
        UNIT_CASE(right_after_a_shift_bands_stay_sane),
        UNIT_CASE(day_and_week_are_told_together),
        UNIT_CASE(upper_bound_holds),
        UNIT_LOOP(strange_series_are_survived, 0, 48),
        UNIT_CASE(a_constant_may_begin_to_move),
        UNIT_CASE(lower_bound_holds),
        UNIT_CASE(a_sharp_edge_is_recalled),
        UNIT_CASE(periods_are_found),
        {0},
    };
    return unit_run("forecast/model", cases);
}
