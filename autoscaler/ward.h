/* SPDX-License-Identifier: Apache-2.0
 *
 * ward: where the manager looks after instances that fail: asks how they are, hands that to the
 * recovery (recovery.h), keeps what it decides, and gives its acts to the target.
 *
 * Threads: what takes a scaler is called under the manager's lock; the rest, without it.
 */
#ifndef TW_AUTOSCALER_WARD_H
#define TW_AUTOSCALER_WARD_H

#include "autoscaler/manager.h"
#include "autoscaler/observation.h"
#include "autoscaler/recovery.h"
#include "autoscaler/scaler.h"

#define SCALE_INSTANCES_MAX 20000

/* Instances as they are now. Ownership: scale_instances_fini. */
struct scale_instances {
    struct query_result *result; /* behind the names; NULL = nothing is known */
    struct scale_instance *items;
    size_t count;
};

/* Fills in nothing when the scaler has no recovery, or nobody answers. */
void scale_instances_ask(struct scale_manager *manager, const struct scale_source *source,
                         const struct scale_settings *settings, int64_t now_ms,
                         struct scale_instances *ret);
void scale_instances_fini(struct scale_instances *instances);

struct scale_ward_counted {
    struct tw_metric *replaced, *overdue, *given_up, *observed, *refused;
};
void scale_ward_register(struct scale_manager *manager);
/* Before the scaler's first decision. */
void scale_ward_begin(struct scale_manager *manager, struct scaler *scaler);
/* ret_copy: what is to be kept, for scale_ward_store; NULL when nothing changed. */
void scale_ward_look(struct scaler *scaler, const struct scale_decision *decision,
                     const struct scale_instances *instances, struct scale_recovery_news *ret_news,
                     struct scale_recovery **ret_copy);
/* Takes the copy. What could not be kept is not done. */
void scale_ward_store(struct scale_manager *manager, struct scaler *scaler,
                      struct scale_recovery_news *news, struct scale_recovery *copy);
/* What the target said to a replacement. */
void scale_ward_settle(struct scale_manager *manager, uint64_t scaler_id,
                       const struct scale_attempt *attempt);

#endif
