/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/schedule.h"

#include "tests/lib/unit.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
static const int64_t sunday = INT64_C(1767484800000); /* 2026-01-04 00:00 UTC */

START_TEST(weekly)
{
    const struct scale_schedule office = {
        .days = 1 << 1, .start_ms = 8 * HOUR_MS, .end_ms = 18 * HOUR_MS, .min = 10, .max = -1};
    ck_assert(!scale_schedule_holds(&office, sunday + 9 * HOUR_MS));
    ck_assert(!scale_schedule_holds(&office, sunday + DAY_MS + 8 * HOUR_MS - 1));
    ck_assert(scale_schedule_holds(&office, sunday + DAY_MS + 8 * HOUR_MS));
    ck_assert(scale_schedule_holds(&office, sunday + DAY_MS + 18 * HOUR_MS - 1));
    ck_assert(!scale_schedule_holds(&office, sunday + DAY_MS + 18 * HOUR_MS));
    ck_assert(scale_schedule_holds(&office, sunday - 6 * DAY_MS + 9 * HOUR_MS));
    ck_assert(scale_schedule_holds(&office, 4 * DAY_MS + 9 * HOUR_MS));  /* 1970-01-05 */
    ck_assert(scale_schedule_holds(&office, -3 * DAY_MS + 9 * HOUR_MS)); /* 1969-12-29 */
}
END_TEST

START_TEST(over_midnight)
{
    const struct scale_schedule night = {
        .days = 1 << 6, .start_ms = 22 * HOUR_MS, .end_ms = 6 * HOUR_MS, .min = 1, .max = 3};
    ck_assert(scale_schedule_holds(&night, sunday - 1 * HOUR_MS)); /* Saturday */
    ck_assert(scale_schedule_holds(&night, sunday + 5 * HOUR_MS));
    ck_assert(!scale_schedule_holds(&night, sunday + 6 * HOUR_MS));
    ck_assert(!scale_schedule_holds(&night, sunday + 23 * HOUR_MS));
}
END_TEST

START_TEST(east_of_utc)
{
    const struct scale_schedule office = {.days = 1 << 1,
                                          .start_ms = 8 * HOUR_MS,
                                          .end_ms = 18 * HOUR_MS,
                                          .offset_ms = 9 * HOUR_MS,
                                          .min = 10,
                                          .max = -1};
    ck_assert(scale_schedule_holds(&office, sunday + 23 * HOUR_MS)); /* Monday 08:00 there */
    ck_assert(!scale_schedule_holds(&office, sunday + DAY_MS + 9 * HOUR_MS));
}
END_TEST

START_TEST(bounds_of_several)
{
    const struct scale_schedule schedules[] = {
        {.name = TW_STR("sale"),
         .dated = true,
         .from_ms = 1000,
         .to_ms = 9000,
         .min = 20,
         .max = -1},
        {.name = TW_STR("more"),
         .dated = true,
         .from_ms = 1000,
         .to_ms = 9000,
         .min = 30,
         .max = 50},
        {.name = TW_STR("less"),
         .dated = true,
         .from_ms = 5000,
         .to_ms = 9000,
         .min = -1,
         .max = 25},
    };
    struct scale_bounds bounds = {.min = 2, .max = 60};
    scale_schedule_bound(schedules, 3, 0, 500, &bounds);
    ck_assert_int_eq(bounds.min, 2);
    ck_assert_int_eq(bounds.max, 60);
    scale_schedule_bound(schedules, 3, 0, 1000, &bounds); /* begins soon: be ready */
    ck_assert_int_eq(bounds.min, 30);
    unit_assert_str(bounds.min_name, "more");
    ck_assert_int_eq(bounds.max, 60);
    bounds = (struct scale_bounds){.min = 2, .max = 60};
    scale_schedule_bound(schedules, 3, 6000, 0, &bounds); /* contradiction: max */
    ck_assert_int_eq(bounds.min, 25);
    ck_assert_int_eq(bounds.max, 25);
    unit_assert_str(bounds.min_name, "less");
    bounds = (struct scale_bounds){.min = 2, .max = 60};
    scale_schedule_bound(schedules, 3, 9000, 0, &bounds);
    ck_assert_int_eq(bounds.min, 2);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(weekly),
        UNIT_CASE(over_midnight),
        UNIT_CASE(east_of_utc),
        UNIT_CASE(bounds_of_several),
        {0},
    };
    return unit_run("autoscaler/schedule", cases);
}
