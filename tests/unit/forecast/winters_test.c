/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/winters.h"

#include <math.h>
#include <stdlib.h>

#include "base/assert.h"
#include "forecast/series.h"
#include "forecast/state.h"
#include "tests/lib/unit.h"

#define HOUR_MS 3600000
enum { DAY = 24, WEEK = 168, WEEKS = 6, COUNT = WEEKS * WEEK, LEADS = 48, QUANTILES = 3, SLOW = 1 };

static double noise(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) / (double)(UINT64_C(1) << 53) * 2 - 1;
}

/* Two days of seven are quieter than the others. */
static double truth(size_t i)
{
    double day = 100 + 50 * sin(2 * M_PI * (double)i / DAY);
    return i % WEEK / DAY >= 5 ? day - 40 : day;
}

static double *hourly(size_t count)
{
    double *values = calloc(count, sizeof *values);
    TW_ASSERT(values != NULL);
    uint64_t seed = 3;
    for (size_t i = 0; i < count; i++)
        values[i] = truth(i) + 2 * noise(&seed);
    return values;
}

static void smooth(struct forecast_series *ret, const double *values, size_t count)
{
    ck_assert(forecast_series_init(ret, values, count, HOUR_MS));
    forecast_series_add_season(ret, DAY, false);
    forecast_series_add_season(ret, WEEK, true);
    forecast_series_add_winters(ret);
    ck_assert(ret->has_winters);
}

/* Level and offsets for the value `lead` steps behind the newest. */
static double expected(const struct forecast_series *series, size_t speed, size_t lead)
{
    size_t last = series->count - 1;
    double z = series->winters[speed].level[last];
    for (size_t s = 0; s < series->season_count; s++) {
        size_t period = series->seasons[s].period;
        z += series->winters[speed].offset[s][last + 1 + (lead - 1) % period];
    }
    return series->centre + series->scale * z;
}

START_TEST(day_and_week_are_learned)
{
    double *values = hourly(COUNT);
    struct forecast_series series;
    smooth(&series, values, COUNT);
    for (size_t lead = 1; lead <= WEEK; lead++)
        ck_assert_double_eq_tol(expected(&series, SLOW, lead), truth(COUNT - 1 + lead), 16);
    forecast_series_fini(&series);
    free(values);
}
END_TEST

START_TEST(a_spike_moves_little)
{
    double *values = hourly(COUNT);
    struct forecast_series calm, struck;
    smooth(&calm, values, COUNT);
    values[COUNT - 30] += 5000;
    smooth(&struck, values, COUNT);
    for (size_t lead = 1; lead <= WEEK; lead++)
        ck_assert_double_eq_tol(expected(&struck, SLOW, lead), expected(&calm, SLOW, lead), 8);
    forecast_series_fini(&calm);
    forecast_series_fini(&struck);
    free(values);
}
END_TEST

START_TEST(holes_teach_nothing)
{
    struct forecast_winters_now now = forecast_winters_start(2), before = now;
    ck_assert(forecast_winters_take(&now, 0, 0.5f, 9, false, false) == 0);
    ck_assert(now.level == before.level && now.usual == before.usual);
    ck_assert(forecast_winters_take(&now, 0, 0.5f, 9, true, false) > 0);
    ck_assert(now.level > before.level);
}
END_TEST

START_TEST(only_where_values_lie_far_apart)
{
    ck_assert(forecast_winters_wanted(HOUR_MS, 1));
    ck_assert(!forecast_winters_wanted(HOUR_MS, 0));
    ck_assert(!forecast_winters_wanted(60000, 2));
}
END_TEST

/* The state learns value by value what the series would have learned of all of them. */
START_TEST(state_goes_on_as_the_history_would)
{
    size_t more = 3 * DAY + 5;
    double *values = hourly(COUNT + more);
    values[COUNT + 7] = NAN;
    struct forecast_series before, after;
    smooth(&before, values, COUNT);
    struct forecast_state state;
    forecast_state_shape(&state, &before, forecast_state_reach(&before, LEADS));
    uint16_t *halves = calloc(forecast_state_halves(&state), sizeof *halves);
    ck_assert(halves != NULL);
    forecast_state_place(&state, halves);
    forecast_state_load(&state, &before);
    for (size_t i = 0; i < more; i++)
        forecast_state_append(&state, values[COUNT + i]);
    /* In one scale, that of the shorter history. */
    smooth(&after, values, COUNT + more);
    for (size_t speed = 0; speed < FORECAST_WINTERS; speed++)
        for (size_t lead = 1; lead <= WEEK; lead++) {
            double z = forecast_state_winters(&state, speed, COUNT + more - 1 + lead);
            ck_assert_double_eq_tol(state.centre + state.scale * z, expected(&after, speed, lead),
                                    0.5);
        }
    forecast_series_fini(&before);
    forecast_series_fini(&after);
    free(halves);
    free(values);
}
END_TEST

struct result {
    double quantiles[LEADS * QUANTILES], peak[QUANTILES];
};

static void predict(struct forecast_model *model, const double *peeked, struct result *ret)
{
    static const double probabilities[QUANTILES] = {0.05, 0.5, 0.95};
    struct forecast_band band = {.quantiles = ret->quantiles, .peak = ret->peak};
    struct tw_err err = {0};
    if (peeked)
        unit_assert_ok(
            forecast_model_peek(model, *peeked, LEADS, probabilities, QUANTILES, &band, &err),
            &err);
    else
        unit_assert_ok(forecast_model_predict(model, LEADS, probabilities, QUANTILES, &band, &err),
                       &err);
}

START_TEST(models_of_hours)
{
    double *values = hourly(COUNT + LEADS + 1), next = values[COUNT];
    struct forecast_options options = {
        .step_ms = HOUR_MS, .horizon = LEADS, .lower_bound = -INFINITY};
    struct forecast_model *model = NULL, *other = NULL;
    struct tw_err err = {0};
    struct result first, peeked, again, told, stored;
    unit_assert_ok(forecast_model_new(values, COUNT, &options, &model, &err), &err);
    predict(model, NULL, &first);
    for (size_t lead = 1; lead <= LEADS; lead++) {
        const double *at = first.quantiles + (lead - 1) * QUANTILES;
        ck_assert_double_eq_tol(at[1], truth(COUNT - 1 + lead), 5);
        ck_assert(at[0] <= at[1] && at[1] <= at[2]);
    }
    predict(model, &next, &peeked);
    predict(model, NULL, &again);
    ck_assert_mem_eq(&first, &again, sizeof first); /* a peek leaves nothing behind */
    size_t size = forecast_model_size(model);
    ck_assert_uint_le(size, FORECAST_MODEL_BYTES_MAX);
    uint8_t *bytes = calloc(size, 1);
    ck_assert(bytes != NULL);
    forecast_model_write(model, bytes);
    unit_assert_ok(forecast_model_read(bytes, size, &other, &err), &err);
    forecast_model_append(model, next);
    forecast_model_append(other, next);
    predict(model, NULL, &told);
    predict(other, NULL, &stored);
    ck_assert_mem_eq(&told, &peeked, sizeof told);
    ck_assert_mem_eq(&told, &stored, sizeof told);
    forecast_model_free(model);
    forecast_model_free(other);
    free(bytes);
    free(values);
}
END_TEST

static struct forecast_model *fitted(const double *values, size_t count, int64_t step_ms)
{
    struct forecast_options options = {
        .step_ms = step_ms, .horizon = LEADS, .lower_bound = -INFINITY};
    struct forecast_model *model = NULL;
    struct tw_err err = {0};
    unit_assert_ok(forecast_model_new(values, count, &options, &model, &err), &err);
    return model;
}

/* Of any length and step, with holes and monsters: finite, in order, and within reach. */
START_TEST(coarse_series_are_survived)
{
    static const int64_t steps_ms[] = {HOUR_MS / 4, HOUR_MS / 2, HOUR_MS, 7 * HOUR_MS,
                                       24 * HOUR_MS};
    static const size_t counts[] = {1, 20, 49, 97, 200, 337, 400, 600, COUNT};
    double *values = hourly(COUNT);
    for (size_t i = 0; i < COUNT; i += 37)
        values[i] = i % 2 ? NAN : INFINITY;
    values[1] = 1e140;
    values[COUNT - 3] = -1e9;
    for (size_t i = 410; i < 470; i++)
        values[i] = NAN;
    for (size_t s = 0; s < sizeof steps_ms / sizeof *steps_ms; s++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            struct result result;
            struct forecast_model *model =
                fitted(values + COUNT - counts[c], counts[c], steps_ms[s]);
            ck_assert_uint_le(forecast_model_size(model), FORECAST_MODEL_BYTES_MAX);
            for (size_t more = 0; more < 60; more++)
                forecast_model_append(model, more % 7 ? values[more] : NAN);
            predict(model, NULL, &result);
            for (size_t i = 0; i < LEADS * QUANTILES; i++) {
                ck_assert(isfinite(result.quantiles[i]));
                ck_assert(i % QUANTILES == 0 || result.quantiles[i] >= result.quantiles[i - 1]);
            }
            for (size_t q = 0; q < QUANTILES; q++)
                ck_assert(isfinite(result.peak[q]) && (!q || result.peak[q] >= result.peak[q - 1]));
            forecast_model_free(model);
        }
    free(values);
}
END_TEST

START_TEST(shift_and_scale_go_through)
{
    double *values = hourly(COUNT), *moved = hourly(COUNT);
    for (size_t i = 0; i < COUNT; i++)
        moved[i] = 1e6 + 512 * values[i];
    struct forecast_model *plain = fitted(values, COUNT, HOUR_MS);
    struct forecast_model *other = fitted(moved, COUNT, HOUR_MS);
    struct result a, b;
    predict(plain, NULL, &a);
    predict(other, NULL, &b);
    for (size_t i = 0; i < LEADS * QUANTILES; i++)
        ck_assert_double_eq_tol(b.quantiles[i], 1e6 + 512 * a.quantiles[i], 20);
    forecast_model_free(plain);
    forecast_model_free(other);
    free(values);
    free(moved);
}
END_TEST

/* A clock that is set back an hour moves the days by one step: the level of errors grows, and is
 * got over within days. */
START_TEST(a_clock_set_back_is_got_over)
{
    double *values = hourly(COUNT);
    size_t set_back = COUNT - 9 * DAY;
    for (size_t i = set_back; i < COUNT; i++)
        values[i] = truth(i - 1);
    struct forecast_model *model = fitted(values, COUNT, HOUR_MS);
    struct result result;
    predict(model, NULL, &result);
    double miss = 0;
    for (size_t lead = 1; lead <= DAY; lead++)
        miss += fabs(result.quantiles[(lead - 1) * QUANTILES + 1] - truth(COUNT + lead - 2)) / DAY;
    ck_assert_double_lt(miss, 4); /* an hour's shift is 8 on the mean */
    forecast_model_free(model);
    free(values);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(day_and_week_are_learned),
        UNIT_CASE(a_spike_moves_little),
        UNIT_CASE(holes_teach_nothing),
        UNIT_CASE(only_where_values_lie_far_apart),
        UNIT_CASE(state_goes_on_as_the_history_would),
        UNIT_CASE(models_of_hours),
        UNIT_CASE(coarse_series_are_survived),
        UNIT_CASE(shift_and_scale_go_through),
        UNIT_CASE(a_clock_set_back_is_got_over),
        {0},
    };
    return unit_run("forecast/winters", cases);
}
