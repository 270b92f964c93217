/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/policy.h"

#include <math.h>

#include "tests/lib/unit.h"

static struct scale_settings settings;
static struct scale_policy policy;

static void begin(int64_t min, int64_t max)
{
    scale_settings_init(&settings);
    settings.min = min;
    settings.max = max;
    settings.up.limit_count = settings.down.limit_count = 0;
    scale_policy_init(&policy);
}

/* One decision at second t: `from` replicas are there, `wanted` are wanted. */
static struct scale_decision decide(int64_t t, int64_t from, int64_t wanted, int64_t reactive,
                                    enum scale_data data)
{
    struct scale_decision decision = {.time_ms = t * 1000,
                                      .from = from,
                                      .wanted = wanted,
                                      .reactive = reactive,
                                      .data = data,
                                      .load = NAN,
                                      .min = settings.min,
                                      .max = settings.max,
                                      .later = -1};
    scale_policy_decide(&policy, &settings, 0, &decision);
    return decision;
}

static bool acted(const struct scale_decision *decision, enum scale_guard guard)
{
    for (size_t k = 0; k < decision->guard_count; k++)
        if (decision->guards[k].guard == guard)
            return true;
    return false;
}

START_TEST(wanted_is_decided)
{
    begin(1, 100);
    struct scale_decision decision = decide(0, 5, 9, 3, SCALE_DATA_OK);
    ck_assert_int_eq(decision.to, 9);
    ck_assert_uint_eq(decision.guard_count, 0);
}
END_TEST

START_TEST(floor_is_the_present_load)
{
    begin(1, 100);
    struct scale_decision decision = decide(0, 5, 2, 7, SCALE_DATA_OK);
    ck_assert_int_eq(decision.to, 7);
    ck_assert(acted(&decision, SCALE_GUARD_FLOOR));
}
END_TEST

START_TEST(bad_data_never_scales_in) /* I1 */
{
    begin(1, 100);
    for (int data = SCALE_DATA_MISSING; data <= SCALE_DATA_ERROR; data++) {
        struct scale_decision decision = decide(data * 1000, 5, 2, 0, (enum scale_data)data);
        ck_assert_int_eq(decision.to, 5);
        ck_assert(acted(&decision, SCALE_GUARD_DATA));
        decision = decide(data * 1000 + 500, 5, 8, 0, (enum scale_data)data);
        ck_assert_int_eq(decision.to, 8); /* but may scale out */
    }
}
END_TEST

START_TEST(limits_hold) /* I2 */
{
    begin(3, 10);
    struct scale_decision decision = decide(0, 5, 99, 99, SCALE_DATA_OK);
    ck_assert_int_eq(decision.to, 10);
    ck_assert(acted(&decision, SCALE_GUARD_MAX));
    begin(3, 10);
    decision = decide(0, 5, 0, 0, SCALE_DATA_OK);
    ck_assert_int_eq(decision.to, 3);
    ck_assert(acted(&decision, SCALE_GUARD_MIN));
    begin(3, 10);
    decision = decide(0, 50, 50, 50, SCALE_DATA_ERROR); /* more than allowed are there */
    ck_assert_int_eq(decision.to, 10);
}
END_TEST

START_TEST(scale_in_waits_for_the_window) /* I3 */
{
    begin(1, 100);
    settings.down.window_ms = 300000;
    ck_assert_int_eq(decide(0, 10, 10, 0, SCALE_DATA_OK).to, 10);
    for (int64_t t = 15; t < 300; t += 15) {
        struct scale_decision decision = decide(t, 10, 4, 0, SCALE_DATA_OK);
        ck_assert_int_eq(decision.to, 10);
        ck_assert(acted(&decision, SCALE_GUARD_STABILISATION));
    }
    ck_assert_int_eq(decide(300, 10, 4, 0, SCALE_DATA_OK).to, 4);
}
END_TEST

START_TEST(scale_in_goes_to_the_highest_of_the_window)
{
    begin(1, 100);
    settings.down.window_ms = 300000;
    (void)decide(0, 10, 10, 0, SCALE_DATA_OK);
    (void)decide(100, 10, 7, 0, SCALE_DATA_OK);
    (void)decide(200, 10, 3, 0, SCALE_DATA_OK);
    ck_assert_int_eq(decide(310, 10, 3, 0, SCALE_DATA_OK).to, 7);
    ck_assert_int_eq(decide(410, 7, 3, 0, SCALE_DATA_OK).to, 3);
}
END_TEST

START_TEST(a_hold_is_remembered)
{
    /* What was held through bad data counts as needed: no sudden scale-in when data comes back. */
    begin(1, 100);
    settings.down.window_ms = 300000;
    ck_assert_int_eq(decide(0, 10, 2, 0, SCALE_DATA_MISSING).to, 10);
    ck_assert_int_eq(decide(15, 10, 2, 0, SCALE_DATA_OK).to, 10);
    ck_assert_int_eq(decide(301, 10, 2, 0, SCALE_DATA_OK).to, 2);
}
END_TEST

START_TEST(scale_out_window)
{
    begin(1, 100);
    settings.up.window_ms = 60000;
    ck_assert_int_eq(decide(0, 5, 5, 0, SCALE_DATA_OK).to, 5);
    ck_assert_int_eq(decide(15, 5, 9, 0, SCALE_DATA_OK).to, 5);
    ck_assert_int_eq(decide(30, 5, 8, 0, SCALE_DATA_OK).to, 5);
    ck_assert_int_eq(decide(61, 5, 9, 0, SCALE_DATA_OK).to, 8);
}
END_TEST

START_TEST(rate_of_scale_out)
{
    begin(1, 1000);
    settings.up = (struct scale_direction){.limits = {{false, 4, 15000}, {true, 100, 15000}},
                                           .limit_count = 2};
    /* The wider of 4 replicas and doubling. */
    ck_assert_int_eq(decide(0, 2, 100, 0, SCALE_DATA_OK).to, 6);
    ck_assert_int_eq(decide(5, 6, 100, 0, SCALE_DATA_OK).to, 6); /* the period is not over */
    ck_assert_int_eq(decide(15, 6, 100, 0, SCALE_DATA_OK).to, 12);
    settings.up.select_min = true;
    ck_assert_int_eq(decide(60, 12, 100, 0, SCALE_DATA_OK).to, 16);
}
END_TEST

START_TEST(rate_of_scale_in)
{
    begin(1, 1000);
    settings.down = (struct scale_direction){.limits = {{true, 10, 60000}}, .limit_count = 1};
    ck_assert_int_eq(decide(0, 100, 1, 0, SCALE_DATA_OK).to, 90);
    ck_assert_int_eq(decide(30, 90, 1, 0, SCALE_DATA_OK).to, 90);
    ck_assert_int_eq(decide(60, 90, 1, 0, SCALE_DATA_OK).to, 81);
    settings.down.disabled = true;
    struct scale_decision decision = decide(300, 81, 1, 0, SCALE_DATA_OK);
    ck_assert_int_eq(decision.to, 81);
    ck_assert(acted(&decision, SCALE_GUARD_RATE));
}
END_TEST

/* One decision with a forecast: `later` may be needed within the time to settle. */
static struct scale_decision foresee(int64_t t, int64_t from, double used, int64_t later)
{
    struct scale_decision decision = {.time_ms = t * 1000,
                                      .from = from,
                                      .wanted = (int64_t)ceil(used / 10),
                                      .load = 1,
                                      .min = settings.min,
                                      .max = settings.max,
                                      .used = used,
                                      .capacity = 10,
                                      .later = later};
    scale_policy_decide(&policy, &settings, 0, &decision);
    return decision;
}

START_TEST(the_forecast_says_how_far_to_scale_in)
{
    begin(1, 100);
    ck_assert_int_eq(foresee(0, 40, 395, 40).to, 40);
    struct scale_decision decision = foresee(15, 40, 90, 20);
    ck_assert_int_eq(decision.to, 20);
    ck_assert(acted(&decision, SCALE_GUARD_FORECAST));
    begin(1, 100);
    settings.down.window_given = true; /* then it holds as well */
    ck_assert_int_eq(foresee(0, 40, 395, 40).to, 40);
    decision = foresee(15, 40, 90, 20);
    ck_assert_int_eq(decision.to, 40);
    ck_assert(acted(&decision, SCALE_GUARD_STABILISATION));
    ck_assert_int_eq(foresee(301, 40, 90, 20).to, 20);
}
END_TEST

START_TEST(a_small_scale_in_does_not_follow_a_scale_out)
{
    begin(1, 100);
    ck_assert_int_eq(foresee(0, 20, 300, 30).to, 30);
    struct scale_decision decision = foresee(60, 30, 250, 26);
    ck_assert_int_eq(decision.to, 30);
    ck_assert(acted(&decision, SCALE_GUARD_REVERSAL));
    ck_assert_int_eq(foresee(75, 30, 150, 16).to, 16); /* a large one may */
    begin(1, 100);
    ck_assert_int_eq(foresee(0, 20, 300, 30).to, 30);
    ck_assert_int_eq(foresee(settings.settle_ms / 1000, 30, 250, 26).to, 26);
}
END_TEST

START_TEST(tolerance_of_each_direction)
{
    begin(1, 1000);
    settings.up.tolerance = 0.1;
    settings.down.tolerance = 0.2;
    struct scale_decision decision = foresee(0, 100, 1090, 110);
    ck_assert_int_eq(decision.to, 100);
    ck_assert(acted(&decision, SCALE_GUARD_TOLERANCE));
    ck_assert_int_eq(foresee(15, 100, 1110, 111).to, 111);
    ck_assert_int_eq(foresee(10000, 100, 700, 85).to, 100);
    ck_assert_int_eq(foresee(10015, 100, 700, 75).to, 75);
}
END_TEST

START_TEST(a_forecast_barely_exceeded_does_not_follow_a_scale_in)
{
    begin(1, 1000);
    settings.up.tolerance = 0;
    ck_assert_int_eq(foresee(0, 110, 900, 100).to, 100);
    ck_assert_int_eq(foresee(60, 100, 1020, 102).to, 100);
    ck_assert_int_eq(foresee(75, 100, 1040, 104).to, 104); /* clearly more */
    ck_assert_int_eq(foresee(10000, 104, 1050, 105).to, 105);
}
END_TEST

START_TEST(a_recalled_rise_is_prepared)
{
    begin(1, 100);
    struct scale_decision decision = {
        .time_ms = 0, .from = 5, .wanted = 5, .recalled = 20, .later = -1, .max = 100};
    scale_policy_decide(&policy, &settings, 0, &decision);
    ck_assert_int_eq(decision.to, 20);
    ck_assert(acted(&decision, SCALE_GUARD_SEASON));
}
END_TEST

START_TEST(a_recalled_hair_only_holds)
{
    begin(1, 100);
    struct scale_decision decision = {
        .time_ms = 0, .from = 50, .wanted = 48, .recalled = 52, .later = 48, .max = 100};
    scale_policy_decide(&policy, &settings, 0, &decision);
    ck_assert_int_eq(decision.to, 50);
    ck_assert(acted(&decision, SCALE_GUARD_SEASON));
    decision = (struct scale_decision){
        .time_ms = 0, .from = 50, .wanted = 48, .recalled = 56, .later = 48, .max = 100};
    scale_policy_decide(&policy, &settings, 0, &decision);
    ck_assert_int_eq(decision.to, 56);
}
END_TEST

static int64_t surplus(double q50, int64_t later)
{
    begin(1, 1000);
    struct scale_decision decision = {.time_ms = 0,
                                      .from = 100,
                                      .wanted = later,
                                      .later = later,
                                      .capacity = 10,
                                      .q50 = q50,
                                      .max = 1000};
    scale_policy_decide(&policy, &settings, 0, &decision);
    return decision.to;
}

START_TEST(a_surplus_within_the_doubt_stays)
{
    ck_assert_int_eq(surplus(985, 99), 99); /* a forecast that is nearly sure */
    ck_assert_int_eq(surplus(800, 90), 90);
    ck_assert_int_eq(surplus(700, 90), 100); /* the same surplus, and much doubt */
    ck_assert_int_eq(surplus(700, 75), 75);
    ck_assert_int_eq(surplus(10, 75), 100); /* however great the doubt, */
    ck_assert_int_eq(surplus(10, 69), 69);  /* a surplus of three tenths goes */
    ck_assert_int_eq(surplus(NAN, 99), 99);
}
END_TEST

START_TEST(unknown_replicas_are_just_set)
{
    begin(1, 100);
    struct scale_decision decision = decide(0, -1, 7, 0, SCALE_DATA_OK);
    ck_assert_int_eq(decision.from, -1);
    ck_assert_int_eq(decision.to, 7);
}
END_TEST

START_TEST(a_long_life_stays_bounded)
{
    begin(1, 1000);
    settings.down.window_ms = SCALE_WINDOW_MS_MAX;
    for (int64_t t = 0; t < 100000; t++) {
        int64_t n = 1 + (t * 7919) % 900;
        struct scale_decision decision = decide(t, 1 + (t * 31) % 900, n, 0, SCALE_DATA_OK);
        ck_assert_int_ge(decision.to, 1);
    }
    ck_assert_uint_le(policy.wanted_count, SCALE_WINDOW_ENTRIES_MAX);
    ck_assert_uint_le(policy.change_count, SCALE_WINDOW_ENTRIES_MAX);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(wanted_is_decided),
        UNIT_CASE(floor_is_the_present_load),
        UNIT_CASE(bad_data_never_scales_in),
        UNIT_CASE(limits_hold),
        UNIT_CASE(scale_in_waits_for_the_window),
        UNIT_CASE(scale_in_goes_to_the_highest_of_the_window),
        UNIT_CASE(a_hold_is_remembered),
        UNIT_CASE(scale_out_window),
        UNIT_CASE(rate_of_scale_out),
        UNIT_CASE(rate_of_scale_in),
        UNIT_CASE(the_forecast_says_how_far_to_scale_in),
        UNIT_CASE(a_small_scale_in_does_not_follow_a_scale_out),
        UNIT_CASE(tolerance_of_each_direction),
        UNIT_CASE(a_forecast_barely_exceeded_does_not_follow_a_scale_in),
        UNIT_CASE(a_recalled_rise_is_prepared),
        UNIT_CASE(a_recalled_hair_only_holds),
        UNIT_CASE(a_surplus_within_the_doubt_stays),
        UNIT_CASE(unknown_replicas_are_just_set),
        UNIT_CASE(a_long_life_stays_bounded),
        {0},
    };
    return unit_run("autoscaler/policy", cases);
}
