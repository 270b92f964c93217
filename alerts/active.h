/* SPDX-License-Identifier: Apache-2.0
 *
 * active: the alerts of one rule and their life, as Prometheus has it:
 *
 *               expression true                    true for `for`
 *   (nothing) ------------------> PENDING ---------------------------> FIRING
 *                 false: forgotten |                                     | false (and
 * keep_firing_for over) v                                     v (nothing) <--- 15 min later
 * --------- INACTIVE (resolved)
 *
 * Pure: no storage, no clock. An update marks what changed; whoever updates saves, tells the
 * notifier and then calls alert_actives_settle.
 */
#ifndef TW_ALERTS_ACTIVE_H
#define TW_ALERTS_ACTIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alerts/record.h"
#include "wire/labels.h"

#define ALERT_RESOLVED_KEPT_MS (15 * 60 * 1000)

enum alert_change {
    ALERT_CHANGE_SAVE = 1,   /* state or times: to be stored */
    ALERT_CHANGE_NOTIFY = 2, /* began to fire, or resolved */
    ALERT_CHANGE_TEXT = 4,   /* other annotations while firing */
    ALERT_CHANGE_REMOVE = 8, /* forgotten */
};

struct alert_active {
    uint64_t fingerprint;
    struct alert_active_record record; /* labels and annotations on the heap */
    unsigned changes;                  /* enum alert_change */
};

/* Ascending by fingerprint. */
struct alert_actives {
    struct alert_active *items;
    size_t count;
};

/* What an evaluation found to be true. */
struct alert_candidate {
    uint64_t fingerprint;
    struct wire_labels labels, annotations;
    double value;
};

/* candidates: ascending by fingerprint, each once; copied where they are kept. */
void alert_actives_update(struct alert_actives *actives, int64_t for_ms, int64_t keep_firing_ms,
                          const struct alert_candidate *candidates, size_t count, int64_t now_ms);
/* Number that are pending or firing. */
size_t alert_actives_live(const struct alert_actives *actives);
/* Forgets the marks of the last update, and the alerts that it removed. */
void alert_actives_settle(struct alert_actives *actives);
/* Everything that is pending is forgotten, everything that fires resolves (a rule that is gone, or
 * one over its limit). Marks as update does. */
void alert_actives_clear(struct alert_actives *actives, int64_t now_ms);
/* Adds a stored alert. Before the first update, in any order. */
void alert_actives_restore(struct alert_actives *actives, const struct alert_active_record *record);
void alert_actives_fini(struct alert_actives *actives);

#endif
