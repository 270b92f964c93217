/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/ledger.h"

#include <math.h>

#include "autoscaler/record.h"
#include "base/assert.h"
#include "base/clock.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define LEDGER_MAGIC 0x4c444331u /* "1CDL" on disk */
#define LEDGER_VERSION 1

const char *const scale_period_names[SCALE_PERIODS] = {
#define SCALE_PERIOD_TEXT(name, text) text,
    SCALE_PERIOD_TABLE(SCALE_PERIOD_TEXT)
#undef SCALE_PERIOD_TEXT
};

/* ---- the calendar ---- */

/* Days since 1970 of the first of a month, counted from March 0 so that leap days come last. */
static int64_t days_of_month(int64_t year, int64_t month)
{
    int64_t years = month <= 2 ? year - 1 : year;
    int64_t era = tw_floor_div(years, 400), of_era = years - era * 400;
    int64_t shifted = month > 2 ? month - 3 : month + 9;
    int64_t day = (153 * shifted + 2) / 5 + of_era * 365 + of_era / 4 - of_era / 100;
    return era * 146097 + day - 719468;
}

/* The month in which a day lies: its first day and that of the next one. */
static void month_of(int64_t days, int64_t *ret_first, int64_t *ret_next)
{
    int64_t year = 1970 + tw_floor_div(days, 366) - 1, month = 1;
    while (days_of_month(year + 1, 1) <= days)
        year++;
    while (month < 12 && days_of_month(year, month + 1) <= days)
        month++;
    *ret_first = days_of_month(year, month);
    *ret_next = month == 12 ? days_of_month(year + 1, 1) : days_of_month(year, month + 1);
}

static void bound(const struct scale_ledger *ledger, enum scale_period period, int64_t now_ms,
                  int64_t *ret_begin, int64_t *ret_end)
{
    int64_t first = tw_floor_div(now_ms + ledger->offset_ms, DAY_MS), next = first + 1;
    if (period == SCALE_PERIOD_MONTH)
        month_of(first, &first, &next);
    *ret_begin = first * DAY_MS - ledger->offset_ms;
    *ret_end = next * DAY_MS - ledger->offset_ms;
}

int64_t scale_ledger_end_ms(const struct scale_ledger *ledger, enum scale_period period,
                            int64_t now_ms)
{
    int64_t begin, end;
    bound(ledger, period, now_ms, &begin, &end);
    return end;
}

/* ---- charging ---- */

void scale_ledger_init(struct scale_ledger *ledger, int64_t offset_ms)
{
    *ledger = (struct scale_ledger){.offset_ms = offset_ms};
}

static size_t slot(int64_t hour)
{
    return (size_t)(hour - tw_floor_div(hour, SCALE_LEDGER_HOURS) * SCALE_LEDGER_HOURS);
}

static void enter_hour(struct scale_ledger *ledger, int64_t hour)
{
    if (hour <= ledger->hour)
        return;
    if (hour - ledger->hour > SCALE_LEDGER_HOURS)
        ledger->hour = hour - SCALE_LEDGER_HOURS;
    while (ledger->hour < hour)
        ledger->hours[slot(++ledger->hour)] = 0;
}

/* A piece of time within one hour. Periods begin on full quarters of an hour at the earliest, and
 * pieces are cut there. */
static void charge_piece(struct scale_ledger *ledger, int64_t from_ms, int64_t until_ms)
{
    double cost = ledger->rate * (double)(until_ms - from_ms) / (double)HOUR_MS;
    for (int p = 0; p < SCALE_PERIODS; p++) {
        int64_t begin, end;
        bound(ledger, (enum scale_period)p, from_ms, &begin, &end);
        if (begin != ledger->begun_ms[p]) {
            ledger->begun_ms[p] = begin;
            ledger->spent[p] = 0;
        }
        ledger->spent[p] += cost;
    }
    enter_hour(ledger, tw_floor_div(from_ms, HOUR_MS));
    ledger->hours[slot(ledger->hour)] += cost;
}

void scale_ledger_charge(struct scale_ledger *ledger, int64_t now_ms, double rate)
{
    TW_ASSERT(isfinite(rate) && rate >= 0);
    const int64_t piece = HOUR_MS / 4;
    if (!ledger->charged_ms) {
        ledger->charged_ms = now_ms;
        ledger->hour = tw_floor_div(now_ms, HOUR_MS);
        ledger->first_hour = ledger->hour + 1;
        charge_piece(ledger, now_ms, now_ms); /* opens the periods */
    }
    /* Longer ago than a month changes nothing any more but the month's beginning. */
    if (now_ms - ledger->charged_ms > 31 * DAY_MS)
        ledger->charged_ms = now_ms - 31 * DAY_MS;
    while (ledger->charged_ms < now_ms) {
        int64_t end = (tw_floor_div(ledger->charged_ms, piece) + 1) * piece;
        if (end > now_ms)
            end = now_ms;
        charge_piece(ledger, ledger->charged_ms, end);
        ledger->charged_ms = end;
    }
    charge_piece(ledger, ledger->charged_ms, ledger->charged_ms);
    ledger->rate = rate;
}

/* ---- foreseeing ---- */

/* What an hour to come costs. */
static double usual(const struct scale_ledger *ledger, int64_t hour)
{
    double sum = 0;
    int count = 0;
    int64_t newest = ledger->hour - 1; /* the present one is not over */
    int64_t last_week = hour;
    while (last_week > newest)
        last_week -= SCALE_LEDGER_HOURS;
    if (last_week >= ledger->first_hour)
        return ledger->hours[slot(last_week)];
    int64_t oldest = newest - SCALE_LEDGER_HOURS + 2;
    for (int64_t h = hour - 24; h >= oldest && h >= ledger->first_hour; h -= 24)
        if (h <= newest) {
            sum += ledger->hours[slot(h)];
            count++;
        }
    return count ? sum / count : ledger->rate;
}

double scale_ledger_forecast(const struct scale_ledger *ledger, enum scale_period period,
                             int64_t now_ms)
{
    int64_t begin, end;
    bound(ledger, period, now_ms, &begin, &end);
    double sum = begin == ledger->begun_ms[period] ? ledger->spent[period] : 0;
    for (int64_t at = now_ms; at < end;) {
        int64_t hour = tw_floor_div(at, HOUR_MS), next = (hour + 1) * HOUR_MS;
        if (next > end)
            next = end;
        double rate = hour <= ledger->hour ? ledger->rate : usual(ledger, hour);
        sum += rate * (double)(next - at) / (double)HOUR_MS;
        at = next;
    }
    return sum;
}

/* ---- over a restart ---- */

void scale_ledger_encode(const struct scale_ledger *ledger, struct tw_buf *ret_bytes)
{
    scale_record_put(ret_bytes, LEDGER_MAGIC, 4);
    scale_record_put(ret_bytes, LEDGER_VERSION, 2);
    scale_record_put(ret_bytes, (uint64_t)ledger->charged_ms, 8);
    scale_record_put_double(ret_bytes, ledger->rate);
    for (int p = 0; p < SCALE_PERIODS; p++) {
        scale_record_put(ret_bytes, (uint64_t)ledger->begun_ms[p], 8);
        scale_record_put_double(ret_bytes, ledger->spent[p]);
    }
    scale_record_put(ret_bytes, (uint64_t)ledger->first_hour, 8);
    scale_record_put(ret_bytes, (uint64_t)ledger->hour, 8);
    for (size_t i = 0; i < SCALE_LEDGER_HOURS; i++)
        scale_record_put_double(ret_bytes, ledger->hours[i]);
}

bool scale_ledger_decode(struct scale_ledger *ledger, struct tw_str bytes)
{
    struct scale_reader reader = scale_reader_of(bytes);
    struct scale_ledger read = {.offset_ms = ledger->offset_ms};
    if (scale_record_take(&reader, 4) != LEDGER_MAGIC || scale_record_take(&reader, 2) != LEDGER_VERSION)
        return false;
    read.charged_ms = (int64_t)scale_record_take(&reader, 8);
    read.rate = scale_record_take_double(&reader);
    for (int p = 0; p < SCALE_PERIODS; p++) {
        read.begun_ms[p] = (int64_t)scale_record_take(&reader, 8);
        read.spent[p] = scale_record_take_double(&reader);
        reader.bad = reader.bad || !(read.spent[p] >= 0);
    }
    read.first_hour = (int64_t)scale_record_take(&reader, 8);
    read.hour = (int64_t)scale_record_take(&reader, 8);
    for (size_t i = 0; i < SCALE_LEDGER_HOURS; i++) {
        read.hours[i] = scale_record_take_double(&reader);
        reader.bad = reader.bad || !(read.hours[i] >= 0);
    }
    if (!scale_record_ended(&reader) || !(read.rate >= 0))
        return false;
    *ledger = read;
    return true;
}
