/* SPDX-License-Identifier: Apache-2.0
 *
 * means: what the actuators of one server share. For the actuators only.
 */
#ifndef TW_AUTOSCALER_MEANS_H
#define TW_AUTOSCALER_MEANS_H

#include "autoscaler/actuator.h"
#include "autoscaler/lease.h"

struct tw_clock *scale_means_clock(struct scale_means *means);
struct tsdb_state *scale_means_state(struct scale_means *means);

/* Files and Leases that we hold or wait for. */
struct scale_leases *scale_means_leases(struct scale_means *means);

/* Texts that were made at some cost and hold for a while: tokens of credential programs. */
#define SCALE_TOKENS_MAX 16
/* A copy of the token on the heap, NULL when there is none that still holds. */
char *scale_means_token(struct scale_means *means, struct tw_str account);
void scale_means_keep_token(struct scale_means *means, struct tw_str account, struct tw_str token,
                            int64_t until_ms);
/* It was refused: the next one is made anew. */
void scale_means_drop_token(struct scale_means *means, struct tw_str account);

#endif
