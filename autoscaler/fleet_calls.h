/* SPDX-License-Identifier: Apache-2.0
 *
 * fleet_calls: the attempts and looks at the targets of fleets' members, on the manager's callers.
 *
 * Threads: act belongs to the round; the calls run on any thread.
 */
#ifndef TW_AUTOSCALER_FLEET_CALLS_H
#define TW_AUTOSCALER_FLEET_CALLS_H

#include "autoscaler/manager_int.h"

/* Starts what is due at the members' targets. */
void scale_fleet_calls_act(struct scale_manager *manager, int64_t now_ms);
/* What a fleet has to remember, NULL when it is in the journal as it is; free() it. */
char *scale_fleet_calls_encode(struct scale_fleet *fleet, size_t *ret_bytes);

/* Gives the scaler's fleet what it knew before a restart; TW_NOT_FOUND when that is nothing. */
TW_MUST_CHECK enum tw_code scale_fleet_calls_recall(struct scale_manager *manager,
                                                    struct scaler *scaler, struct tw_err *err);

#endif
