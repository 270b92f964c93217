/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "autoscaler/settings.h"
#include "base/clock.h"

#define DAY_MS INT64_C(86400000)
#define MINUTE_MS INT64_C(60000)
#define ALL_DAYS 0x7fu

static bool two_digits(struct tw_str text, size_t at, int64_t limit, int64_t *ret)
{
    if (text.size < at + 2 || text.data[at] < '0' || text.data[at] > '9' ||
        text.data[at + 1] < '0' || text.data[at + 1] > '9')
        return false;
    *ret = (text.data[at] - '0') * 10 + (text.data[at + 1] - '0');
    return *ret < limit;
}

static bool parse_hhmm(struct tw_str text, int64_t *ret_ms)
{
    int64_t hours, minutes;
    if (text.size != 5 || text.data[2] != ':' || !two_digits(text, 0, 25, &hours) ||
        !two_digits(text, 3, 60, &minutes) || (hours == 24 && minutes))
        return false;
    *ret_ms = (hours * 60 + minutes) * MINUTE_MS;
    return true;
}

static enum tw_code get_hhmm(const char *file, const struct tw_yaml *map, const char *key,
                             int64_t *ret_ms, struct tw_err *err)
{
    struct tw_str text = {0};
    enum tw_code code = tw_yaml_get_str(file, map, key, &text, err);
    if (code == TW_OK && text.size && !parse_hhmm(text, ret_ms))
        code = tw_yaml_error(file, tw_yaml_member(map, key), err,
                             "%s is '%.*s': give a time of day from \"00:00\" to \"24:00\"", key,
                             TW_STR_ARG(text));
    return code;
}

static enum tw_code get_moment(const char *file, const struct tw_yaml *map, const char *key,
                               int64_t *ret_ms, struct tw_err *err)
{
    struct tw_str text = {0};
    char copy[TW_CLOCK_RFC3339_BYTES] = "";
    enum tw_code code = tw_yaml_get_str(file, map, key, &text, err);
    if (code != TW_OK)
        return code;
    if (text.size < sizeof copy)
        snprintf(copy, sizeof copy, "%.*s", TW_STR_ARG(text));
    if (!copy[0] || !tw_clock_parse_rfc3339(copy, ret_ms))
        return tw_yaml_error(file, text.size ? tw_yaml_member(map, key) : map, err,
                             "an event needs from and to as 2026-11-27T06:00:00Z");
    return TW_OK;
}

static enum tw_code get_days(const char *file, const struct tw_yaml *map, unsigned *ret,
                             struct tw_err *err)
{
    static const char *const names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    const struct tw_yaml *node = NULL;
    enum tw_code code = tw_yaml_get_node(file, map, "days", TW_YAML_SEQUENCE, &node, err);
    *ret = ALL_DAYS;
    if (code != TW_OK || !node)
        return code;
    *ret = 0;
    for (size_t i = 0; i < node->count; i++) {
        const struct tw_yaml *item = node->items[i];
        size_t day = 0;
        while (day < 7 && !(item->kind == TW_YAML_SCALAR && tw_str_is(item->text, names[day])))
            day++;
        if (day == 7)
            return tw_yaml_error(file, item, err, "days are sun, mon, tue, wed, thu, fri, sat");
        *ret |= 1u << day;
    }
    return *ret ? TW_OK : tw_yaml_error(file, node, err, "days is empty: leave it out for all");
}

enum tw_code scale_offset_parse(const char *file, const struct tw_yaml *map, int64_t *ret_ms,
                                struct tw_err *err)
{
    struct tw_str text = {0};
    enum tw_code code = tw_yaml_get_str(file, map, "utc_offset", &text, err);
    *ret_ms = 0;
    if (code != TW_OK || !text.size)
        return code;
    bool sign = text.data[0] == '+' || text.data[0] == '-';
    struct tw_str rest = {text.data + 1, text.size - 1};
    if (!sign || !parse_hhmm(rest, ret_ms) || *ret_ms > 14 * 60 * MINUTE_MS)
        return tw_yaml_error(file, tw_yaml_member(map, "utc_offset"), err,
                             "utc_offset is '%.*s': give it as \"+02:00\"", TW_STR_ARG(text));
    if (text.data[0] == '-')
        *ret_ms = -*ret_ms;
    return TW_OK;
}

static enum tw_code parse_times(const char *file, const struct tw_yaml *map,
                                struct scale_schedule *ret, struct tw_err *err)
{
    ret->dated = tw_yaml_member(map, "from") || tw_yaml_member(map, "to");
    bool weekly = tw_yaml_member(map, "start") || tw_yaml_member(map, "end") ||
                  tw_yaml_member(map, "days") || tw_yaml_member(map, "utc_offset");
    if (ret->dated == weekly)
        return tw_yaml_error(file, map, err,
                             "a schedule has either from and to, or days, start and end");
    if (ret->dated) {
        enum tw_code code = get_moment(file, map, "from", &ret->from_ms, err);
        if (code == TW_OK)
            code = get_moment(file, map, "to", &ret->to_ms, err);
        if (code == TW_OK && ret->to_ms <= ret->from_ms)
            code = tw_yaml_error(file, tw_yaml_member(map, "to"), err,
                                 "the event ends before it begins");
        return code;
    }
    ret->end_ms = DAY_MS;
    enum tw_code code = get_days(file, map, &ret->days, err);
    if (code == TW_OK)
        code = get_hhmm(file, map, "start", &ret->start_ms, err);
    if (code == TW_OK)
        code = get_hhmm(file, map, "end", &ret->end_ms, err);
    return code == TW_OK ? scale_offset_parse(file, map, &ret->offset_ms, err) : code;
}

static enum tw_code parse_schedule(struct tw_arena *arena, const char *file,
                                   const struct tw_yaml *map, struct scale_schedule *ret,
                                   struct tw_err *err)
{
    static const char *const known[] = {"name", "from",       "to",  "days", "start",
                                        "end",  "utc_offset", "min", "max",  NULL};
    *ret = (struct scale_schedule){.min = -1, .max = -1};
    if (map->kind != TW_YAML_MAPPING)
        return tw_yaml_error(file, map, err,
                             "a schedule is a mapping with name, times and min or max");
    struct tw_str name = {0};
    enum tw_code code = tw_yaml_check_keys(file, map, known, err);
    if (code == TW_OK)
        code = tw_yaml_get_str(file, map, "name", &name, err);
    if (code == TW_OK && (!name.size || name.size > SCALE_SCHEDULE_NAME_BYTES_MAX))
        code = tw_yaml_error(file, map, err, "a schedule needs a name of 1 to %d bytes",
                             SCALE_SCHEDULE_NAME_BYTES_MAX);
    if (code == TW_OK)
        ret->name = tw_arena_str(arena, name);
    if (code == TW_OK)
        code = parse_times(file, map, ret, err);
    if (code == TW_OK)
        code = tw_yaml_get_int(file, map, "min", 0, SCALE_REPLICAS_MAX, &ret->min, err);
    if (code == TW_OK)
        code = tw_yaml_get_int(file, map, "max", 0, SCALE_REPLICAS_MAX, &ret->max, err);
    if (code == TW_OK && ret->min < 0 && ret->max < 0)
        code = tw_yaml_error(file, map, err, "the schedule changes nothing: give min or max");
    if (code == TW_OK && ret->max >= 0 && ret->min > ret->max)
        code = tw_yaml_error(file, tw_yaml_member(map, "min"), err,
                             "min (%lld) is more than max (%lld)", (long long)ret->min,
                             (long long)ret->max);
    return code;
}

enum tw_code scale_schedules_parse(struct tw_arena *arena, const char *file,
                                   const struct tw_yaml *map, struct scale_settings *settings,
                                   struct tw_err *err)
{
    const struct tw_yaml *node = NULL;
    enum tw_code code = tw_yaml_get_node(file, map, "schedules", TW_YAML_SEQUENCE, &node, err);
    if (code != TW_OK || !node)
        return code;
    if (node->count > SCALE_SCHEDULES_MAX)
        return tw_yaml_error(file, node, err, "%zu schedules are given, at most %d are taken",
                             node->count, SCALE_SCHEDULES_MAX);
    for (size_t i = 0; i < node->count; i++) {
        struct scale_schedule *schedule = &settings->schedules[i];
        code = parse_schedule(arena, file, node->items[i], schedule, err);
        if (code != TW_OK)
            return code;
        if (schedule->min > settings->max)
            return tw_yaml_error(file, tw_yaml_member(node->items[i], "min"), err,
                                 "min (%lld) is more than the scaler's max (%lld), which no "
                                 "schedule lifts",
                                 (long long)schedule->min, (long long)settings->max);
    }
    settings->schedule_count = node->count;
    return TW_OK;
}
