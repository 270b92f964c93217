/* SPDX-License-Identifier: Apache-2.0
 *
 * notice: one alert as receivers see it, on its way from the evaluation to the notifier.
 *
 * Ownership: a notice owns its labels, annotations and URL (one reference: whoever holds it).
 */
#ifndef TW_ALERTS_NOTICE_H
#define TW_ALERTS_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

#include "alerts/record.h"

struct alert_notice {
    uint64_t fingerprint; /* of labels */
    struct alert_notice_record record;
    bool saved; /* to be stored in the outbox table */
    struct alert_notice *next;
};

/* Deep copy. */
struct alert_notice *alert_notice_new(const struct alert_notice_record *record);
struct alert_notice *alert_notice_free(struct alert_notice *notice); /* returns NULL */

static inline bool alert_notice_resolved(const struct alert_notice *notice, int64_t now_ms)
{
    return notice->record.ends_ms != ALERT_TIME_NONE && notice->record.ends_ms <= now_ms;
}

#endif
