/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/schedule.h"

#include "base/clock.h"

#define DAY_MS INT64_C(86400000)

/* 1970-01-01 was a Thursday. */
static bool on_day(const struct scale_schedule *schedule, int64_t day)
{
    return schedule->days >> (((day + 4) % 7 + 7) % 7) & 1;
}

bool scale_schedule_holds(const struct scale_schedule *schedule, int64_t now_ms)
{
    if (schedule->dated)
        return now_ms >= schedule->from_ms && now_ms < schedule->to_ms;
    int64_t local = now_ms + schedule->offset_ms, day = tw_floor_div(local, DAY_MS);
    int64_t time = local - day * DAY_MS;
    if (schedule->start_ms < schedule->end_ms)
        return on_day(schedule, day) && time >= schedule->start_ms && time < schedule->end_ms;
    return (on_day(schedule, day) && time >= schedule->start_ms) ||
           (on_day(schedule, day - 1) && time < schedule->end_ms);
}

void scale_schedule_bound(const struct scale_schedule *schedules, size_t count, int64_t now_ms,
                          int64_t lead_ms, struct scale_bounds *ret)
{
    for (size_t i = 0; i < count; i++) {
        const struct scale_schedule *schedule = &schedules[i];
        bool now = scale_schedule_holds(schedule, now_ms);
        bool soon = now || scale_schedule_holds(schedule, now_ms + lead_ms);
        if (soon && schedule->min > ret->min) {
            ret->min = schedule->min;
            ret->min_name = schedule->name;
        }
        if (now && schedule->max >= 0 && schedule->max < ret->max) {
            ret->max = schedule->max;
            ret->max_name = schedule->name;
        }
    }
    if (ret->min > ret->max) {
        ret->min = ret->max;
        ret->min_name = ret->max_name;
    }
}
