/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/trend.h"

#include <math.h>

#include "tests/lib/unit.h"

#define TICK_MS 15000
#define AHEAD_MS 150000
static struct scale_trend trend;

static double tick(int k, double load)
{
    scale_trend_observe(&trend, (int64_t)k * TICK_MS, load);
    return scale_trend_project(&trend, (int64_t)k * TICK_MS + AHEAD_MS);
}

START_TEST(a_flat_load_has_none)
{
    scale_trend_init(&trend);
    for (int k = 0; k < 100; k++)
        ck_assert_double_eq(tick(k, 100 + k % 2), 0);
}
END_TEST

START_TEST(a_rush_is_carried_on)
{
    scale_trend_init(&trend);
    for (int k = 0; k < 20; k++)
        (void)tick(k, 100);
    (void)tick(20, 105);
    /* Within two observations, and at least as far as its slope reaches. */
    ck_assert_double_ge(tick(21, 125), 125 + 20.0 / TICK_MS * AHEAD_MS);
}
END_TEST

START_TEST(what_was_foreseen_is_no_surprise)
{
    scale_trend_init(&trend);
    for (int k = 0; k < 20; k++) {
        (void)tick(k, 100);
        scale_trend_foresee(&trend, (int64_t)k * TICK_MS, k > 12 ? 300 : 100);
    }
    (void)tick(20, 105);
    ck_assert_double_eq(tick(21, 125), 0);
    scale_trend_forget(&trend);
}
END_TEST

START_TEST(rises_that_fall_back_are_believed_less)
{
    scale_trend_init(&trend);
    double first = 0, last = 0;
    int k = 0;
    for (int round = 0; round < 40; round++) {
        const double shape[] = {100, 100, 100, 100, 105, 125};
        double highest = 0;
        for (int i = 0; i < 6; i++)
            highest = fmax(highest, tick(k++, shape[i]));
        for (int i = 0; i < 30; i++)
            (void)tick(k++, 100);
        if (!round)
            first = highest;
        last = highest;
    }
    ck_assert_double_gt(first, 250);
    ck_assert_double_lt(last, 160);
}
END_TEST

START_TEST(small_rises_teach_about_large_ones)
{
    scale_trend_init(&trend);
    int k = 0;
    for (int round = 0; round < 40; round++) {
        const double shape[] = {100, 100, 100, 100, 104, 112};
        for (int i = 0; i < 6; i++)
            (void)tick(k++, shape[i]);
        for (int i = 0; i < 30; i++)
            (void)tick(k++, 100);
    }
    (void)tick(k++, 105);
    double taught = tick(k, 180);
    scale_trend_init(&trend);
    for (k = 0; k < 30; k++)
        (void)tick(k, 100);
    (void)tick(k++, 105);
    double fresh = tick(k, 180);
    ck_assert_double_gt(fresh, 700);
    ck_assert_double_lt(taught, 0.7 * fresh);
}
END_TEST

START_TEST(the_present_moment_counts)
{
    scale_trend_init(&trend);
    for (int k = 0; k < 20; k++)
        (void)tick(k, 100);
    ck_assert_double_eq(tick(20, 102), 0);
    scale_trend_press(&trend, 21 * TICK_MS, 150);
    double pressed = scale_trend_project(&trend, 21 * TICK_MS + AHEAD_MS);
    ck_assert_double_ge(pressed, 150 + 48.0 / (2 * TICK_MS) * AHEAD_MS - 1);
    /* The averages have caught up, and say otherwise. */
    ck_assert_double_eq(tick(22, 102), 0);
    scale_trend_forget(&trend);
    (void)tick(23, 100);
    (void)tick(24, 100);
    ck_assert_double_eq(tick(25, 100), 0);
}
END_TEST

START_TEST(a_hair_above_the_mean_is_settled)
{
    scale_trend_init(&trend);
    ck_assert_double_eq(scale_trend_settled(&trend, 100), 100);
    for (int k = 0; k < 5; k++)
        (void)tick(k, 100);
    (void)tick(5, 102);
    ck_assert_double_eq_tol(scale_trend_settled(&trend, 102), 100.5, 1e-9);
    (void)tick(6, 150);
    ck_assert_double_eq_tol(scale_trend_settled(&trend, 150), 0.97 * 150, 1e-9);
    ck_assert_double_eq(scale_trend_settled(&trend, 50), 50);
}
END_TEST

START_TEST(old_and_repeated_observations_are_ignored)
{
    scale_trend_init(&trend);
    for (int k = 0; k < 5; k++)
        (void)tick(k, 100);
    size_t count = scale_trend_count(&trend);
    scale_trend_observe(&trend, 0, 1e9);
    scale_trend_observe(&trend, 4 * TICK_MS, 1e9);
    ck_assert_uint_eq(scale_trend_count(&trend), count);
    scale_trend_forget(&trend);
    ck_assert_uint_eq(scale_trend_count(&trend), 0);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(a_flat_load_has_none),
        UNIT_CASE(a_rush_is_carried_on),
        UNIT_CASE(what_was_foreseen_is_no_surprise),
        UNIT_CASE(rises_that_fall_back_are_believed_less),
        UNIT_CASE(small_rises_teach_about_large_ones),
        UNIT_CASE(the_present_moment_counts),
        UNIT_CASE(a_hair_above_the_mean_is_settled),
        UNIT_CASE(old_and_repeated_observations_are_ignored),
        {0},
    };
    return unit_run("autoscaler/trend", cases);
}
