/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/calendar.h"

#include <stdint.h>

#include "base/assert.h"
#include "base/clock.h"

#define DAY_S INT64_C(86400)

/* Go's conversion on amd64: what does not fit becomes the smallest number. */
static int64_t to_int64(double value)
{
    return value >= -0x1p63 && value < 0x1p63 ? (int64_t)value : INT64_MIN;
}

struct date {
    int64_t year;
    int month, day; /* 1 = first */
};

/* Days since 1970 to a date of the proleptic Gregorian calendar, by eras of 400 years from March.
 */
static struct date civil(int64_t days)
{
    days += 719468;
    int64_t era = tw_floor_div(days, 146097);
    int64_t of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    struct date date = {.year = year + era * 400,
                        .month = (int)(month < 10 ? month + 3 : month - 9),
                        .day = (int)(of_year - (153 * month + 2) / 5) + 1};
    date.year += date.month <= 2;
    return date;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static const int days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};

static int days_in_month(const struct date *date)
{
    return days_before[date->month] - days_before[date->month - 1] +
           (date->month == 2 && is_leap(date->year));
}

double query_calendar_part(enum query_function_id part, double value)
{
    __extension__ typedef __int128 wide;
    /* Go's calendar begins here; earlier times wrap around to the far future. */
    const wide earliest = -(wide)INT64_C(9223372028715321600);
    wide seconds = to_int64(value);
    if (seconds < earliest)
        seconds += (wide)1 << 64;
    wide whole = seconds / DAY_S - (seconds % DAY_S < 0);
    int64_t days = (int64_t)whole, of_day = (int64_t)(seconds - whole * DAY_S);
    struct date date = civil(days);
    switch (part) {
    case QUERY_FN_DAY_OF_MONTH:
        return date.day;
    case QUERY_FN_DAY_OF_WEEK:
        return (double)(((days + 4) % 7 + 7) % 7);
    case QUERY_FN_DAY_OF_YEAR:
        return days_before[date.month - 1] + date.day + (date.month > 2 && is_leap(date.year));
    case QUERY_FN_DAYS_IN_MONTH:
        return days_in_month(&date);
    case QUERY_FN_HOUR:
        return (double)(of_day / 3600);
    case QUERY_FN_MINUTE:
        return (double)(of_day / 60 % 60);
    case QUERY_FN_MONTH:
        return date.month;
    case QUERY_FN_YEAR:
        return (double)date.year;
    default:
        TW_UNREACHABLE("not a part of a date");
    }
}
