/* SPDX-License-Identifier: Apache-2.0
 *
 * template_time: the methods of Go's time.Time and time.Duration that annotations use:
 * {{ (toTime $value).Format "15:04" }}, {{ (toDuration $value).Minutes }}. Times are UTC.
 */
#include "config.h"

#include "alerts/template_tree.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define NS_PER_S INT64_C(1000000000)

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};

struct moment {
    struct tm tm;
    int64_t second, ns; /* since 1970; within the second */
};

static void append_fraction(const struct moment *m, struct tw_str digits, struct tw_buf *out)
{
    char text[16];
    size_t count = digits.size - 1;
    snprintf(text, sizeof text, "%09lld", (long long)m->ns);
    count = count > 9 ? 9 : count;
    if (digits.data[1] == '9')
        while (count > 0 && text[count - 1] == '0')
            count--;
    if (count > 0 || digits.data[1] == '0')
        tw_buf_append_char(out, '.');
    tw_buf_append(out, text, count);
}

enum part {
    MONTH_LONG,
    MONTH,
    DAY_LONG,
    DAY,
    YEAR,
    HOUR24,
    MONTH2,
    DAY2,
    HOUR12_2,
    MINUTE2,
    SECOND2,
    YEAR2,
    DAY_SPACE,
    ZONE_COLON,
    ZONE,
    ZONE_Z,
    ZONE_NAME,
    NOON,
    NOON_LOWER,
    MONTH1,
    DAY1,
    HOUR12,
    MINUTE1,
    SECOND1,
};

/* Go's reference time, longest spelling first. */
static const struct {
    const char *spelling;
    enum part part;
} layout_parts[] = {
    {"January", MONTH_LONG},
    {"Jan", MONTH},
    {"Monday", DAY_LONG},
    {"Mon", DAY},
    {"2006", YEAR},
    {"15", HOUR24},
    {"01", MONTH2},
    {"02", DAY2},
    {"03", HOUR12_2},
    {"04", MINUTE2},
    {"05", SECOND2},
    {"06", YEAR2},
    {"_2", DAY_SPACE},
    {"-07:00", ZONE_COLON},
    {"-0700", ZONE},
    {"Z07:00", ZONE_Z},
    {"MST", ZONE_NAME},
    {"PM", NOON},
    {"pm", NOON_LOWER},
    {"1", MONTH1},
    {"2", DAY1},
    {"3", HOUR12},
    {"4", MINUTE1},
    {"5", SECOND1},
};

static void append_part(const struct moment *m, enum part part, struct tw_buf *out)
{
    int hour12 = m->tm.tm_hour % 12 == 0 ? 12 : m->tm.tm_hour % 12;
    switch (part) {
    case MONTH_LONG:
        tw_buf_append_cstr(out, months[m->tm.tm_mon]);
        return;
    case MONTH:
        tw_buf_append(out, months[m->tm.tm_mon], 3);
        return;
    case DAY_LONG:
        tw_buf_append_cstr(out, days[m->tm.tm_wday]);
        return;
    case DAY:
        tw_buf_append(out, days[m->tm.tm_wday], 3);
        return;
    case YEAR:
        tw_buf_appendf(out, "%04d", m->tm.tm_year + 1900);
        return;
    case YEAR2:
        tw_buf_appendf(out, "%02d", (m->tm.tm_year + 1900) % 100);
        return;
    case HOUR24:
        tw_buf_appendf(out, "%02d", m->tm.tm_hour);
        return;
    case MONTH2:
    case MONTH1:
        tw_buf_appendf(out, part == MONTH2 ? "%02d" : "%d", m->tm.tm_mon + 1);
        return;
    case DAY2:
        tw_buf_appendf(out, "%02d", m->tm.tm_mday);
        return;
    case DAY_SPACE:
        tw_buf_appendf(out, "%2d", m->tm.tm_mday);
        return;
    case DAY1:
        tw_buf_appendf(out, "%d", m->tm.tm_mday);
        return;
    case HOUR12_2:
    case HOUR12:
        tw_buf_appendf(out, part == HOUR12_2 ? "%02d" : "%d", hour12);
        return;
    case MINUTE2:
    case MINUTE1:
        tw_buf_appendf(out, part == MINUTE2 ? "%02d" : "%d", m->tm.tm_min);
        return;
    case SECOND2:
    case SECOND1:
        tw_buf_appendf(out, part == SECOND2 ? "%02d" : "%d", m->tm.tm_sec);
        return;
    case ZONE_COLON:
        tw_buf_append_cstr(out, "+00:00");
        return;
    case ZONE:
        tw_buf_append_cstr(out, "+0000");
        return;
    case ZONE_Z:
        tw_buf_append_char(out, 'Z');
        return;
    case ZONE_NAME:
        tw_buf_append_cstr(out, "UTC");
        return;
    case NOON:
        tw_buf_append_cstr(out, m->tm.tm_hour < 12 ? "AM" : "PM");
        return;
    case NOON_LOWER:
        tw_buf_append_cstr(out, m->tm.tm_hour < 12 ? "am" : "pm");
        return;
    }
}

/* ".000" or ",999" behind the seconds, not followed by another digit. */
static size_t fraction_size(struct tw_str layout)
{
    if (layout.size < 2 || (layout.data[0] != '.' && layout.data[0] != ',') ||
        (layout.data[1] != '0' && layout.data[1] != '9'))
        return 0;
    size_t size = 1;
    while (size < layout.size && layout.data[size] == layout.data[1])
        size++;
    bool digit = size < layout.size && layout.data[size] >= '0' && layout.data[size] <= '9';
    return digit ? 0 : size;
}

static void format_layout(const struct moment *m, struct tw_str layout, struct tw_buf *out)
{
    while (layout.size > 0) {
        size_t taken = fraction_size(layout);
        if (taken > 0)
            append_fraction(m, tw_str_slice(layout, 0, taken), out);
        for (size_t i = 0; taken == 0 && i < sizeof layout_parts / sizeof *layout_parts; i++) {
            if (!tw_str_starts(layout, tw_str(layout_parts[i].spelling)))
                continue;
            append_part(m, layout_parts[i].part, out);
            taken = strlen(layout_parts[i].spelling);
        }
        if (taken == 0) {
            tw_buf_append_char(out, layout.data[0]);
            taken = 1;
        }
        layout = tw_str_slice(layout, taken, layout.size);
    }
}

static void split(int64_t ns, struct moment *ret)
{
    int ms = 0;
    ret->second = tw_floor_div(ns, NS_PER_S);
    ret->ns = ns - ret->second * NS_PER_S;
    tw_clock_utc(ret->second * 1000, &ret->tm, &ms);
}

static struct alert_value made_string(const struct alert_call *call, struct tw_buf *made)
{
    struct alert_value value = alert_value_string(tw_arena_str(call->arena, tw_buf_str(made)));
    tw_buf_fini(made);
    return value;
}

/* A number that a moment has, or false. */
static bool time_number(const struct moment *m, int64_t ns, struct tw_str name, int64_t *ret)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"Unix", m->second},
                   {"UnixMilli", tw_floor_div(ns, 1000000)},
                   {"UnixNano", ns},
                   {"Year", m->tm.tm_year + 1900},
                   {"Day", m->tm.tm_mday},
                   {"Hour", m->tm.tm_hour},
                   {"Minute", m->tm.tm_min},
                   {"Second", m->tm.tm_sec},
                   {"YearDay", m->tm.tm_yday + 1}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!tw_str_is(name, numbers[i].name))
            continue;
        *ret = numbers[i].value;
        return true;
    }
    return false;
}

static bool time_method(const struct alert_call *call, struct tw_str name, struct alert_value *ret)
{
    int64_t ns = call->arguments[0].integer, number = 0;
    struct moment m;
    split(ns, &m);
    struct tw_buf made;
    tw_buf_init(&made, 4096);
    if (tw_str_is(name, "Format") && call->count == 2 &&
        call->arguments[1].kind == ALERT_VALUE_STRING) {
        format_layout(&m, call->arguments[1].string, &made);
        *ret = made_string(call, &made);
        return true;
    }
    if (call->count != 1)
        return false;
    if (tw_str_is(name, "UTC"))
        *ret = call->arguments[0];
    else if (tw_str_is(name, "Month"))
        *ret = alert_value_string(tw_str(months[m.tm.tm_mon]));
    else if (tw_str_is(name, "Weekday"))
        *ret = alert_value_string(tw_str(days[m.tm.tm_wday]));
    else if (time_number(&m, ns, name, &number))
        *ret = alert_value_int(number);
    else if (tw_str_is(name, "String")) {
        alert_time_print(ns, &made);
        *ret = made_string(call, &made);
    } else
        return false;
    return true;
}

static bool duration_method(const struct alert_call *call, struct tw_str name,
                            struct alert_value *ret)
{
    int64_t ns = call->arguments[0].integer;
    if (call->count != 1)
        return false;
    if (tw_str_is(name, "Hours"))
        *ret = alert_value_float((double)ns / 3.6e12);
    else if (tw_str_is(name, "Minutes"))
        *ret = alert_value_float((double)ns / 6e10);
    else if (tw_str_is(name, "Seconds"))
        *ret = alert_value_float((double)ns / 1e9);
    else if (tw_str_is(name, "Milliseconds"))
        *ret = alert_value_int(ns / 1000000);
    else if (tw_str_is(name, "Microseconds"))
        *ret = alert_value_int(ns / 1000);
    else if (tw_str_is(name, "Nanoseconds"))
        *ret = alert_value_int(ns);
    else if (tw_str_is(name, "String")) {
        struct tw_buf made;
        tw_buf_init(&made, 64);
        alert_duration_print(ns, &made);
        *ret = made_string(call, &made);
    } else
        return false;
    return true;
}

bool alert_time_field(const struct alert_call *call, struct tw_str name, struct alert_value *ret)
{
    return call->arguments[0].kind == ALERT_VALUE_TIME ? time_method(call, name, ret)
                                                       : duration_method(call, name, ret);
}

bool alert_time_field_known(struct tw_str name)
{
    static const char *const known[] = {
        "Unix",   "UnixMilli", "UnixNano", "Year",         "Month",        "Day",        "Hour",
        "Minute", "Second",    "YearDay",  "UTC",          "Weekday",      "Format",     "String",
        "Hours",  "Minutes",   "Seconds",  "Milliseconds", "Microseconds", "Nanoseconds"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (tw_str_is(name, known[i]))
            return true;
    return false;
}
