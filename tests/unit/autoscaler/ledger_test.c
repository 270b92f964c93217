/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/ledger.h"

#include <math.h>

#include "tests/lib/unit.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
static const int64_t january_31 = INT64_C(1769817600000); /* 2026-01-31, a Saturday */
static struct scale_ledger ledger;

static double spent(enum scale_period period)
{
    return ledger.spent[period];
}

START_TEST(charges_what_was_there)
{
    scale_ledger_init(&ledger, 0);
    scale_ledger_charge(&ledger, january_31 + 10 * HOUR_MS, 2);
    ck_assert_double_eq(spent(SCALE_PERIOD_DAY), 0);
    for (int k = 1; k <= 240; k++) /* an hour of ticks */
        scale_ledger_charge(&ledger, january_31 + 10 * HOUR_MS + k * 15000, k < 120 ? 2 : 6);
    ck_assert_double_eq_tol(spent(SCALE_PERIOD_DAY), 2 * 0.5 + 6 * 0.5, 1e-9);
    /* Set back: nothing twice. */
    scale_ledger_charge(&ledger, january_31 + 10 * HOUR_MS, 6);
    scale_ledger_charge(&ledger, january_31 + 11 * HOUR_MS, 6);
    ck_assert_double_eq_tol(spent(SCALE_PERIOD_DAY), 4, 1e-9);
    /* Midnight, and the end of the month, while nobody looked. */
    scale_ledger_charge(&ledger, january_31 + 30 * HOUR_MS, 1);
    ck_assert_double_eq_tol(spent(SCALE_PERIOD_DAY), 6 * 6, 1e-9);
    ck_assert_double_eq_tol(spent(SCALE_PERIOD_MONTH), 6 * 6, 1e-9);
    ck_assert_int_eq(scale_ledger_end_ms(&ledger, SCALE_PERIOD_MONTH, january_31 + 30 * HOUR_MS),
                     january_31 + 29 * DAY_MS);
    ck_assert_int_eq(scale_ledger_end_ms(&ledger, SCALE_PERIOD_DAY, january_31 + 5),
                     january_31 + DAY_MS);
    /* Away for a year: the last month counts, and no day is older than it is. */
    scale_ledger_charge(&ledger, january_31 + 400 * DAY_MS + HOUR_MS, 0);
    ck_assert_double_eq_tol(spent(SCALE_PERIOD_DAY), 1, 1e-9);
}
END_TEST

START_TEST(days_begin_at_local_midnight)
{
    scale_ledger_init(&ledger, 2 * HOUR_MS);
    scale_ledger_charge(&ledger, january_31 + 21 * HOUR_MS, 1);
    scale_ledger_charge(&ledger, january_31 + 23 * HOUR_MS, 1);
    ck_assert_double_eq_tol(spent(SCALE_PERIOD_DAY), 1, 1e-9);
    ck_assert_double_eq_tol(spent(SCALE_PERIOD_MONTH), 1, 1e-9);
}
END_TEST

START_TEST(foresees_the_rest_of_the_period)
{
    scale_ledger_init(&ledger, 0);
    scale_ledger_charge(&ledger, january_31, 3);
    /* Nothing is known: it goes on as now. */
    ck_assert_double_eq_tol(scale_ledger_forecast(&ledger, SCALE_PERIOD_DAY, january_31), 72, 1e-9);
    /* Days that cost 10 from nine to five, 1 else: known after the first. */
    for (int64_t t = january_31; t < january_31 + 2 * DAY_MS; t += HOUR_MS / 4) {
        int64_t hour = t / HOUR_MS % 24;
        scale_ledger_charge(&ledger, t, hour >= 9 && hour < 17 ? 10 : 1);
    }
    int64_t now = january_31 + 2 * DAY_MS;
    scale_ledger_charge(&ledger, now, 1);
    ck_assert_double_eq_tol(spent(SCALE_PERIOD_DAY), 0, 1e-9);
    double day = 8 * 10 + 16 * 1;
    ck_assert_double_eq_tol(scale_ledger_forecast(&ledger, SCALE_PERIOD_DAY, now), day, 1);
    ck_assert_double_eq_tol(scale_ledger_forecast(&ledger, SCALE_PERIOD_MONTH, now), 28 * day, 30);
    /* A week's hours are known: Sundays that cost nothing are foreseen. */
    for (int64_t t = now; t < january_31 + 9 * DAY_MS; t += HOUR_MS / 4) {
        int64_t hour = t / HOUR_MS % 24, weekday = (t / DAY_MS + 4) % 7;
        scale_ledger_charge(&ledger, t, weekday == 0 ? 0 : hour >= 9 && hour < 17 ? 10 : 1);
    }
    now = january_31 + 9 * DAY_MS; /* Monday, the 9th: 20 days, 2 Sundays */
    scale_ledger_charge(&ledger, now, 1);
    ck_assert_double_eq_tol(scale_ledger_forecast(&ledger, SCALE_PERIOD_MONTH, now) -
                                spent(SCALE_PERIOD_MONTH),
                            18 * day, 20);
}
END_TEST

START_TEST(survives_a_restart)
{
    scale_ledger_init(&ledger, 0);
    for (int k = 0; k < 500; k++)
        scale_ledger_charge(&ledger, january_31 + k * HOUR_MS / 2, 0.1 * (k % 9));
    struct tw_buf bytes;
    tw_buf_init(&bytes, 65536);
    scale_ledger_encode(&ledger, &bytes);
    struct scale_ledger back, none;
    scale_ledger_init(&back, 0);
    scale_ledger_init(&none, 0);
    for (size_t size = 0; size < bytes.size; size++)
        ck_assert(!scale_ledger_decode(&back, tw_str_slice(tw_buf_str(&bytes), 0, size)));
    ck_assert_mem_eq(&back, &none, sizeof back);
    ck_assert(scale_ledger_decode(&back, tw_buf_str(&bytes)));
    ck_assert_mem_eq(&back, &ledger, sizeof back);
    /* magic, version, charged, rate, two periods, first and newest hour, hours */
    ck_assert_uint_eq(bytes.size, 6 + 16 + 2 * 16 + 16 + 168 * 8);
    tw_buf_append_char(&bytes, 0);
    ck_assert(!scale_ledger_decode(&back, tw_buf_str(&bytes)));
    tw_buf_fini(&bytes);
}
END_TEST

START_TEST(months_have_their_lengths)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    scale_ledger_init(&ledger, 0);
    int64_t day = 0; /* 1970 */
    for (int year = 1970; year < 2110; year++)
        for (int month = 0; month < 12; month++) {
            bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            int64_t next = day + lengths[month] + (month == 1 && leap);
            ck_assert_int_eq(scale_ledger_end_ms(&ledger, SCALE_PERIOD_MONTH, day * DAY_MS),
                             next * DAY_MS);
            ck_assert_int_eq(scale_ledger_end_ms(&ledger, SCALE_PERIOD_MONTH, next * DAY_MS - 1),
                             next * DAY_MS);
            day = next;
        }
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(charges_what_was_there),          UNIT_CASE(days_begin_at_local_midnight),
        UNIT_CASE(foresees_the_rest_of_the_period), UNIT_CASE(survives_a_restart),
        UNIT_CASE(months_have_their_lengths),       {0}};
    return unit_run("autoscaler/ledger", cases);
}
