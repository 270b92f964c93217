/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/delivery.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Both ascending. */
static bool is_subset(const uint64_t *part, size_t part_count, const uint64_t *all, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < part_count; i++) {
        while (at < count && all[at] < part[i])
            at++;
        if (at == count || all[at] != part[i])
            return false;
    }
    return true;
}

const char *alert_delivery_reason(const struct alert_delivery *delivery,
                                  const struct alert_tally *tally, bool send_resolved,
                                  int64_t repeat_ms, int64_t now_ms)
{
    if (!delivery->told)
        return tally->firing_count > 0 ? "first notification" : NULL;
    if (!is_subset(tally->firing, tally->firing_count, delivery->firing, delivery->firing_count))
        return "new alerts added";
    if (tally->firing_count == 0)
        return delivery->firing_count > 0 ? "all alerts resolved" : NULL;
    if (send_resolved && !is_subset(tally->resolved, tally->resolved_count, delivery->resolved,
                                    delivery->resolved_count))
        return "some alerts resolved";
    return now_ms - delivery->told_ms >= repeat_ms ? "repeat interval elapsed" : NULL;
}

static uint64_t *copy(const uint64_t *items, size_t count)
{
    uint64_t *made = calloc(count + 1, sizeof *made);
    TW_ASSERT(made != NULL);
    if (count > 0)
        memcpy(made, items, count * sizeof *made);
    return made;
}

void alert_delivery_told(struct alert_delivery *delivery, const struct alert_tally *tally,
                         int64_t now_ms)
{
    free(delivery->firing);
    free(delivery->resolved);
    delivery->told = true;
    delivery->told_ms = now_ms;
    delivery->firing = copy(tally->firing, tally->firing_count);
    delivery->firing_count = tally->firing_count;
    delivery->resolved = copy(tally->resolved, tally->resolved_count);
    delivery->resolved_count = tally->resolved_count;
    delivery->retry_ms = ALERT_TIME_NONE;
    delivery->back_off_ms = 0;
    delivery->refused = false;
}

void alert_delivery_failed(struct alert_delivery *delivery, int64_t retry_after_ms, int64_t now_ms)
{
    int64_t wait = delivery->back_off_ms * 2;
    wait = wait < ALERT_RETRY_MS_MIN ? ALERT_RETRY_MS_MIN : wait;
    wait = wait > ALERT_RETRY_MS_MAX ? ALERT_RETRY_MS_MAX : wait;
    delivery->back_off_ms = wait;
    if (retry_after_ms > wait)
        wait =
            retry_after_ms < ALERT_RETRY_AFTER_MS_MAX ? retry_after_ms : ALERT_RETRY_AFTER_MS_MAX;
    delivery->retry_ms = now_ms + wait;
}

void alert_delivery_restore(struct alert_delivery *delivery, const struct alert_sent_record *record)
{
    const struct alert_tally tally = {record->firing, record->resolved, record->firing_count,
                                      record->resolved_count};
    alert_delivery_told(delivery, &tally, record->time_ms);
}

void alert_delivery_fini(struct alert_delivery *delivery)
{
    free(delivery->firing);
    free(delivery->resolved);
    delivery->firing = delivery->resolved = NULL;
}
