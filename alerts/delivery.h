/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery: what one webhook of a receiver was last told about one group, and whether it has to be
 * told again, by Alertmanager's rules:
 *
 *   never told, or since forgotten           -> when something fires       "first notification"
 *   something fires that it was not told of  -> yes                        "new alerts added"
 *   nothing fires any more                   -> if it was told of a firing "all alerts resolved"
 *   something resolved that it was not told  -> if send_resolved           "some alerts resolved"
 *   else                                     -> after repeat_interval      "repeat interval
 * elapsed"
 */
#ifndef TW_ALERTS_DELIVERY_H
#define TW_ALERTS_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alerts/record.h"
#include "base/hash.h"

/* Back-off between tries while the other side is away. */
#define ALERT_RETRY_MS_MIN 500
#define ALERT_RETRY_MS_MAX (60 * 1000)
#define ALERT_RETRY_AFTER_MS_MAX (5 * 60 * 1000)

struct alert_delivery {
    struct tw_hash128 id; /* key in the table alerts.sent */
    bool told;
    int64_t told_ms;
    uint64_t *firing, *resolved; /* fingerprints, ascending; on the heap */
    size_t firing_count, resolved_count;
    int64_t retry_ms; /* when to try again; ALERT_TIME_NONE: nothing to retry */
    int64_t back_off_ms;
    bool refused; /* the last try was refused for good */
};

/* What is to be told now; arrays ascending. */
struct alert_tally {
    const uint64_t *firing, *resolved;
    size_t firing_count, resolved_count;
};

/* The reason to tell, or NULL. */
const char *alert_delivery_reason(const struct alert_delivery *delivery,
                                  const struct alert_tally *tally, bool send_resolved,
                                  int64_t repeat_ms, int64_t now_ms);
/* It was told; also ends retries. */
void alert_delivery_told(struct alert_delivery *delivery, const struct alert_tally *tally,
                         int64_t now_ms);
/* It could not be told. */
void alert_delivery_failed(struct alert_delivery *delivery, int64_t retry_after_ms, int64_t now_ms);
void alert_delivery_restore(struct alert_delivery *delivery,
                            const struct alert_sent_record *record);
void alert_delivery_fini(struct alert_delivery *delivery);

#endif
