/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "forecast/holidays.h"
#include "tests/lib/unit.h"

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)

static struct tw_err err;

static int64_t at(const char *time)
{
    int64_t ms;
    ck_assert(tw_clock_parse_rfc3339(time, &ms));
    return ms;
}

static struct forecast_holidays *parse(const char *text)
{
    struct forecast_holidays *holidays;
    unit_assert_ok(forecast_holidays_parse(tw_str(text), &holidays, &err), &err);
    return holidays;
}

START_TEST(files_are_read)
{
    struct forecast_holidays *h = parse("# days off\r\n\n"
                                        "2026-12-25 Christmas Day # the first\n"
                                        "2026-12-24 like saturday Christmas Eve\n"
                                        "  2026-12-27..2026-12-31 like monday\n"
                                        "2026-12-30 like sunday\n"
                                        "*-01-01 New Year\n"
                                        "*-02-29");
    ck_assert_int_eq(forecast_holidays_like(h, at("2026-12-25T12:00:00Z")), 0);
    ck_assert_int_eq(forecast_holidays_like(h, at("2026-12-24T00:00:00Z")), 6);
    ck_assert_int_eq(forecast_holidays_like(h, at("2026-12-23T23:59:59Z")), FORECAST_ORDINARY_DAY);
    ck_assert_int_eq(forecast_holidays_like(h, at("2026-12-31T23:59:59Z")), 1);
    ck_assert_int_eq(forecast_holidays_like(h, at("2026-12-30T23:59:59Z")), 0); /* the later line */
    ck_assert_int_eq(forecast_holidays_like(h, at("2031-01-01T03:00:00Z")), 0);
    ck_assert_int_eq(forecast_holidays_like(h, at("2028-02-29T03:00:00Z")), 0);
    ck_assert_int_eq(forecast_holidays_like(h, at("2027-03-01T03:00:00Z")), FORECAST_ORDINARY_DAY);
    ck_assert_int_eq(forecast_holidays_like(NULL, 0), FORECAST_ORDINARY_DAY);
    ck_assert_uint_eq(forecast_holidays_hash(NULL), 0);
    ck_assert_uint_ne(forecast_holidays_hash(h), 0);
    forecast_holidays_unref(forecast_holidays_ref(h));
    forecast_holidays_unref(h);
    h = parse("2026-12-25\noffset -05:30\n");
    ck_assert_int_eq(forecast_holidays_like(h, at("2026-12-25T05:29:59Z")), FORECAST_ORDINARY_DAY);
    ck_assert_int_eq(forecast_holidays_like(h, at("2026-12-26T05:29:59Z")), 0);
    forecast_holidays_unref(h);
    forecast_holidays_unref(parse(""));
}
END_TEST

START_TEST(mistakes_are_told_with_their_line)
{
    static const char *const texts[] = {"2026-13-01",
                                        "2026-02-29",
                                        "25.12.2026",
                                        "2026-12-31..2026-12-01",
                                        "2026-12-25..",
                                        "*-13-01",
                                        "*-1-1",
                                        "2026-12-25 like sun",
                                        "2026-12-25 like",
                                        "offset 1",
                                        "offset +15:00",
                                        "offset +1x:00",
                                        "1000-01-01..9999-01-01",
                                        "..",
                                        "holiday"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[128];
        struct forecast_holidays *h = NULL;
        snprintf(text, sizeof text, "# first\n\n%s\n2026-01-01\n", texts[i]);
        unit_assert_code(forecast_holidays_parse(tw_str(text), &h, &err), TW_BAD_DATA);
        ck_assert_ptr_null(h);
        ck_assert_uint_eq(err.line, 3);
        ck_assert_msg(strstr(err.message, "line 3: ") == err.message, "%s", err.message);
    }
    struct forecast_holidays *h;
    ck_assert_int_ne(forecast_holidays_read("/nowhere/days.txt", &h, &err), TW_OK);
    ck_assert_ptr_nonnull(strstr(err.message, "/nowhere/days.txt"));
}
END_TEST

/* 2026-01-05 is a Monday. Workdays twice as high as Sundays at night, four times by day. */
static double level_at(int64_t ms)
{
    int64_t day = tw_floor_div(ms, DAY);
    bool sunday = (day + 4) % 7 == 0;
    bool night = (ms - day * DAY) / HOUR < 8;
    return (night ? 20 : 80) * (sunday ? (night ? 0.5 : 0.25) : 1);
}

START_TEST(shapes_tell_the_ratio)
{
    enum { COUNT = 21 * 96 };
    static double values[COUNT];
    int64_t step = HOUR / 4, last = at("2026-01-26T00:00:00Z");
    struct forecast_holidays *h = parse("2026-01-14\n2026-01-27\n2026-01-28 like monday\n");
    struct forecast_shape shape;
    for (int i = 0; i < COUNT; i++) {
        int64_t middle = last - (COUNT - 1 - i) * step - step / 2;
        values[i] = level_at(middle) + (i % 7 == 0 ? 1 : 0);
        if (forecast_holidays_like(h, middle) == 0)
            values[i] = 1; /* is not learned from */
        if (i % 50 == 0)
            values[i] = NAN;
    }
    forecast_shape_learn(&shape, h, values, COUNT, last, step);
    ck_assert_double_eq_tol(forecast_shape_ratio(&shape, h, at("2026-01-27T03:00:00Z"), step), 0.5,
                            1e-6);
    ck_assert_double_eq_tol(forecast_shape_ratio(&shape, h, at("2026-01-14T15:00:00Z"), step), 0.25,
                            1e-6);
    double between = forecast_shape_ratio(&shape, h, at("2026-01-27T08:00:00Z"), step);
    ck_assert(between > 0.25 && between < 0.5);
    ck_assert_double_eq(forecast_shape_ratio(&shape, h, at("2026-01-28T15:00:00Z"), step), 1);
    ck_assert_double_eq(forecast_shape_ratio(&shape, h, at("2026-01-29T15:00:00Z"), step), 1);
    /* The step that ends at midnight is of the day before. */
    ck_assert_double_eq(forecast_shape_ratio(&shape, h, at("2026-01-27T00:00:00Z"), step), 1);
    ck_assert_double_lt(forecast_shape_ratio(&shape, h, at("2026-01-28T00:00:00Z"), step), 0.3);
    /* Two days do not tell; nor do values below zero. */
    forecast_shape_learn(&shape, h, values + COUNT - 192, 192, last, step);
    ck_assert_double_eq(forecast_shape_ratio(&shape, h, at("2026-01-27T15:00:00Z"), step), 1);
    for (int i = 0; i < COUNT; i++)
        values[i] = -values[i];
    forecast_shape_learn(&shape, h, values, COUNT, last, step);
    ck_assert_double_eq(forecast_shape_ratio(&shape, h, at("2026-01-27T15:00:00Z"), step), 1);
    /* However far apart, ratios have an end. */
    for (int i = 0; i < COUNT; i++) {
        int64_t day = tw_floor_div(last - (COUNT - 1 - i) * step - step / 2, DAY);
        values[i] = (day + 4) % 7 == 0 ? 0 : 1e9;
    }
    forecast_shape_learn(&shape, h, values, COUNT, last, step);
    ck_assert_double_eq(forecast_shape_ratio(&shape, h, at("2026-01-27T15:00:00Z"), step),
                        1 / FORECAST_HOLIDAY_RATIO_MAX);
    forecast_holidays_unref(h);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(files_are_read),
                                      UNIT_CASE(mistakes_are_told_with_their_line),
                                      UNIT_CASE(shapes_tell_the_ratio),
                                      {0}};
    return unit_run("forecast/holidays", cases);
}
