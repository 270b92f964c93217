/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/duration.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/number.h"

static const struct unit {
    const char *name;
    int64_t ms;
    bool only_exact; /* printed only when the whole duration is a multiple */
} units[] = {
    {"y", INT64_C(365) * 86400000, true},
    {"w", INT64_C(7) * 86400000, true},
    {"d", 86400000, false},
    {"h", 3600000, false},
    {"m", 60000, false},
    {"s", 1000, false},
    {"ms", 1, false},
};
#define UNIT_COUNT (sizeof units / sizeof *units)

/* Index of the unit at text (longest name wins: "ms" before "m"), or UNIT_COUNT. */
static size_t find_unit(struct tw_str text, size_t *ret_bytes)
{
    size_t found = UNIT_COUNT;
    *ret_bytes = 0;
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        size_t size = strlen(units[i].name);
        if (size > *ret_bytes && tw_str_starts(text, tw_str(units[i].name))) {
            found = i;
            *ret_bytes = size;
        }
    }
    return found;
}

static enum tw_code refuse(struct tw_str text, struct tw_err *err)
{
    return tw_err_set(err, TW_BAD_DATA, "not a valid duration string: \"%.*s\"",
                      (int)(text.size > 64 ? 64 : text.size), text.data ? text.data : "");
}

enum tw_code tw_duration_parse(struct tw_str text, int64_t *ret_ms, struct tw_err *err)
{
    if (text.size == 0)
        return tw_err_set(err, TW_BAD_DATA, "empty duration string");
    if (tw_str_is(text, "0")) {
        *ret_ms = 0;
        return TW_OK;
    }
    int64_t total = 0;
    size_t at = 0, next_unit = 0;
    while (at < text.size) {
        size_t first = at;
        int64_t count = 0;
        for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++)
            if (__builtin_mul_overflow(count, 10, &count) ||
                __builtin_add_overflow(count, text.data[at] - '0', &count))
                return tw_err_set(err, TW_BAD_DATA, "duration out of range");
        size_t unit_bytes;
        size_t unit = find_unit(tw_str_slice(text, at, text.size), &unit_bytes);
        size_t end = at;
        while (end < text.size && !(text.data[end] >= '0' && text.data[end] <= '9'))
            end++;
        if (at > first && end > at && unit_bytes != end - at)
            return tw_err_set(err, TW_BAD_DATA, "unknown unit \"%.*s\" in duration \"%.*s\"",
                              TW_STR_ARG(tw_str_slice(text, at, end > at + 32 ? at + 32 : end)),
                              (int)(text.size > 64 ? 64 : text.size), text.data);
        /* Units come in falling order, each at most once. */
        if (at == first || unit == UNIT_COUNT || unit < next_unit)
            return refuse(text, err);
        if (__builtin_mul_overflow(count, units[unit].ms, &count) ||
            __builtin_add_overflow(total, count, &total) || total > INT64_MAX / 1000000)
            return tw_err_set(err, TW_BAD_DATA, "duration out of range");
        next_unit = unit + 1;
        at += unit_bytes;
    }
    *ret_ms = total;
    return TW_OK;
}

void tw_duration_format(int64_t ms, char *ret_text)
{
    if (ms == 0) {
        memcpy(ret_text, "0s", 3);
        return;
    }
    size_t used = 0;
    if (ms < 0)
        ret_text[used++] = '-';
    uint64_t left = ms < 0 ? (uint64_t) - (ms + 1) + 1 : (uint64_t)ms;
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        uint64_t unit_ms = (uint64_t)units[i].ms;
        if (left < unit_ms || (units[i].only_exact && left % unit_ms != 0))
            continue;
        used += (size_t)snprintf(ret_text + used, TW_DURATION_BYTES - used, "%llu%s",
                                 (unsigned long long)(left / unit_ms), units[i].name);
        left %= unit_ms;
    }
}

/* Seconds as a double to milliseconds, rounded as Prometheus does; false out of range. */
static bool seconds_to_ms(double seconds, int64_t *ret_ms)
{
    double ms = round(seconds * 1000);
    if (!(ms >= -9.2e15 && ms <= 9.2e15))
        return false;
    *ret_ms = (int64_t)ms;
    return true;
}

/* Parameters are decimal, as in Prometheus. */
static bool parse_decimal(struct tw_str text, double *ret)
{
    size_t sign = text.size > 0 && (text.data[0] == '+' || text.data[0] == '-');
    bool hexadecimal =
        text.size > sign + 1 && text.data[sign] == '0' && (text.data[sign + 1] | 0x20) == 'x';
    return !hexadecimal && tw_double_parse(text, ret);
}

enum tw_code tw_duration_parse_parameter(struct tw_str text, int64_t *ret_ms, struct tw_err *err)
{
    double seconds;
    if (parse_decimal(text, &seconds)) {
        if (!isfinite(seconds) || !seconds_to_ms(seconds, ret_ms))
            return tw_err_set(err, TW_BAD_DATA,
                              "cannot parse \"%.*s\" to a valid duration. It overflows int64",
                              (int)(text.size > 64 ? 64 : text.size), text.data);
        return TW_OK;
    }
    if (tw_duration_parse(text, ret_ms, err) == TW_OK)
        return TW_OK;
    return tw_err_set(err, TW_BAD_DATA, "cannot parse \"%.*s\" to a valid duration",
                      (int)(text.size > 64 ? 64 : text.size), text.data ? text.data : "");
}

enum tw_code tw_time_parse_parameter(struct tw_str text, int64_t *ret_ms, struct tw_err *err)
{
    double seconds;
    if (parse_decimal(text, &seconds) && isfinite(seconds) && seconds_to_ms(seconds, ret_ms))
        return TW_OK;
    char copy[TW_CLOCK_RFC3339_BYTES];
    if (text.size > 0 && text.size < sizeof copy) {
        memcpy(copy, text.data, text.size);
        copy[text.size] = 0;
        if (tw_clock_parse_rfc3339(copy, ret_ms))
            return TW_OK;
    }
    return tw_err_set(err, TW_BAD_DATA, "cannot parse \"%.*s\" to a valid timestamp",
                      (int)(text.size > 64 ? 64 : text.size), text.data ? text.data : "");
}
