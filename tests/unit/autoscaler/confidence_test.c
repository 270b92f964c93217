/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/confidence.h"

#include <math.h>

#include "tests/lib/unit.h"

#define TICK_MS 15000
#define AHEAD_MS 150000
static struct scale_confidence confidence;
static int64_t now_ms;

/* So many observations of load, each with such a forecast; returns whether they were poor. */
static bool run(int count, double load, double forecast)
{
    double times;
    for (int i = 0; i < count; i++, now_ms += TICK_MS)
        scale_confidence_observe(&confidence, now_ms, load, 0.75, forecast, now_ms + AHEAD_MS);
    return scale_confidence_is_poor(&confidence, &times);
}

static void begin(void)
{
    scale_confidence_init(&confidence);
    now_ms = 0;
}

START_TEST(good_ones_are_trusted)
{
    begin();
    ck_assert(!run(2000, 100, 105));
    double times;
    (void)scale_confidence_is_poor(&confidence, &times);
    ck_assert_double_lt(times, 1);
}
END_TEST

START_TEST(too_high_and_too_low_are_poor)
{
    double times;
    begin();
    ck_assert(!run(200, 100, 300)); /* too early to tell */
    ck_assert(run(300, 100, 300));
    (void)scale_confidence_is_poor(&confidence, &times);
    ck_assert_double_gt(times, 2);
    begin();
    ck_assert(run(500, 100, 50));
}
END_TEST

START_TEST(they_are_trusted_again)
{
    begin();
    ck_assert(run(500, 100, 300));
    ck_assert(run(100, 100, 105)); /* not at once */
    ck_assert(!run(1500, 100, 105));
}
END_TEST

START_TEST(a_small_error_is_no_matter)
{
    begin();
    /* Far worse than a plain one that hits it, but by a hair of the load. */
    ck_assert(!run(2000, 100, 118));
}
END_TEST

START_TEST(the_rises_that_only_they_foresee_count)
{
    begin();
    /* A load that jumps every half hour; the forecast knows, what is there does not. */
    for (int i = 0; i < 4000; i++, now_ms += TICK_MS) {
        bool high = i % 120 >= 60;
        bool soon = (i + AHEAD_MS / TICK_MS) % 120 >= 60;
        scale_confidence_observe(&confidence, now_ms, high ? 400 : 100, 0.75,
                                 high || soon ? 480 : 110, now_ms + AHEAD_MS);
        double times;
        ck_assert(!scale_confidence_is_poor(&confidence, &times));
    }
}
END_TEST

START_TEST(strange_numbers_are_survived)
{
    begin();
    const double strange[] = {0, 1e300, 100, NAN, INFINITY, -1};
    for (int i = 0; i < 1000; i++)
        (void)run(1, fabs(strange[i % 3]), strange[i / 3 % 6]);
    scale_confidence_forget(&confidence);
    now_ms = -1000000;
    ck_assert_uint_eq(confidence.pending_count, 0);
    (void)run(10, 0, 0);
    ck_assert_uint_eq(confidence.pending_count, 10);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(good_ones_are_trusted),
        UNIT_CASE(too_high_and_too_low_are_poor),
        UNIT_CASE(they_are_trusted_again),
        UNIT_CASE(a_small_error_is_no_matter),
        UNIT_CASE(the_rises_that_only_they_foresee_count),
        UNIT_CASE(strange_numbers_are_survived),
        {0},
    };
    return unit_run("autoscaler/confidence", cases);
}
