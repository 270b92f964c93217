/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule: limits that hold at certain times: each week, or once (a calendar event).
 *
 *   schedules:
 *     - {name: office, days: [mon, tue, wed, thu, fri], start: "08:00", end: "18:30", min: 10}
 *     - {name: sale, from: 2026-11-27T06:00:00Z, to: 2026-11-28T00:00:00Z, min: 20, max: 80}
 *
 * A weekly one whose end is not after its start reaches into the next day, and belongs to the day
 * that it starts on. Times of day are UTC, or that of utc_offset ("+02:00").
 *
 * Several may hold at once: then the highest min and the lowest max count; where they contradict
 * each other, max does, since it is what somebody is ready to pay.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_SCHEDULE_H
#define TW_AUTOSCALER_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/yaml.h"

#define SCALE_SCHEDULES_MAX 32 /* of one scaler */

struct scale_schedule {
    struct tw_str name;
    bool dated;
    int64_t from_ms, to_ms;              /* dated: [from, to) */
    unsigned days;                       /* weekly: bit 0 is Sunday */
    int64_t start_ms, end_ms, offset_ms; /* weekly: of the day; east of UTC */
    int64_t min, max;                    /* -1 = not touched */
};

struct scale_bounds {
    int64_t min, max;
    struct tw_str min_name, max_name; /* of the schedule that says so; empty = the scaler itself */
};

bool scale_schedule_holds(const struct scale_schedule *schedule, int64_t now_ms);
/* ret holds the scaler's own limits, and gets those of now. A min that begins within lead_ms holds
 * already, so that its replicas serve when it does. */
void scale_schedule_bound(const struct scale_schedule *schedules, size_t count, int64_t now_ms,
                          int64_t lead_ms, struct scale_bounds *ret);

/* The member utc_offset, "+02:00"; 0 without one. */
TW_MUST_CHECK enum tw_code scale_offset_parse(const char *file, const struct tw_yaml *map,
                                              int64_t *ret_ms, struct tw_err *err);

#endif
