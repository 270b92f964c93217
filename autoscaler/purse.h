/* SPDX-License-Identifier: Apache-2.0
 *
 * purse: keeps what each scaler costs, and holds its decisions to its budget and to those that it
 * shares.
 *
 *   decision -> charge what there is -> caps of its own -> caps and share of the shared budget
 *
 * Of a shared budget a scaler's part is divided anew at each of its decisions, from what all of
 * them need now; so until the next tick of those that are to give something up, both may run.
 *
 * Threads: whoever holds the manager's lock.
 */
#ifndef TW_AUTOSCALER_PURSE_H
#define TW_AUTOSCALER_PURSE_H

#include "autoscaler/manager_int.h"

/* Whether what the scaler costs is known. */
bool scale_purse_knows(const struct scaler *scaler);
/* Charges, fills the decision's budget, and lowers `to` where it has to. */
void scale_purse_apply(struct scale_manager *manager, struct scaler *scaler,
                       struct scale_decision *decision);
/* The ledger's bytes for the journal, NULL when costs are not known; free() them. */
char *scale_purse_encode(const struct scaler *scaler, size_t *ret_bytes);
/* What was spent before a restart; TW_NOT_FOUND when that is nothing. */
TW_MUST_CHECK enum tw_code scale_purse_recall(struct scale_manager *manager, struct scaler *scaler,
                                              struct tw_err *err);
/* After a reload: the new scaler goes on with what the old one spent. */
void scale_purse_take_over(struct scaler *scaler, const struct scaler *old);
/* GET /api/v1/budgets */
enum tw_http_verdict scale_purse_answer(void *manager, struct tw_http_exchange *exchange);

#endif
