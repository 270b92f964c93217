/* SPDX-License-Identifier: Apache-2.0
 *
 * trust: what the manager does around each decision so that people can rely on it: heeds pauses,
 * verifies what targets were told, finds out what became of changes, and writes the audit log.
 *
 *   pauses -> policy -> decision -> order -> target
 *                          |                   |
 *                       outcome           verification        -> audit log, series, metrics
 *
 * Threads: what takes a scaler is called under the manager's lock; what stores, without it.
 */
#ifndef TW_AUTOSCALER_TRUST_H
#define TW_AUTOSCALER_TRUST_H

#include "autoscaler/manager.h"
#include "autoscaler/scaler.h"

#define SCALE_NEWS_MAX 8

/* What is to be stored when the lock is free again. */
struct scale_news {
    struct tw_str scaler;
    struct scale_audit audits[SCALE_NEWS_MAX];
    size_t audit_count;
    bool judged, pauses_ended;
    int64_t judged_since_ms;
    struct scale_effect outcome;
    struct scale_pauses pauses;
};

/* Counters; manager->counted.trust. */
struct scale_trust_counted {
    struct tw_metric *verdicts[SCALE_VERDICTS], *served, *overdue, *store_failures;
};
void scale_trust_register(struct scale_manager *manager);

/* Once, before its first decision; the order and the last decision are known. */
void scale_trust_begin(struct scale_manager *manager, struct scaler *scaler);
/* Before and after a decision. */
void scale_trust_before(struct scaler *scaler, int64_t now_ms, struct scale_news *news);
void scale_trust_after(struct scaler *scaler, const struct scale_decision *decision,
                       struct scale_news *news);
/* An attempt ended: the order says how. */
void scale_trust_settle(struct scaler *scaler, const struct scale_decision *order,
                        struct scale_news *news);
/* What is durable or not, the scalers go on: a failure is logged and counted. */
void scale_trust_store(struct scale_manager *manager, struct scale_news *news);
/* A configuration came into force. */
void scale_trust_note_config(struct scale_manager *manager, const char *file, struct scaler **old,
                             size_t old_count, struct scaler **fresh, size_t fresh_count);

/* POST /api/v1/scalers/:name/pause, .../resume, .../set, GET /api/v1/scaler_audit. */
void scale_trust_route(struct tw_http_router *router, struct scale_manager *manager);

#endif
