/* SPDX-License-Identifier: Apache-2.0
 *
 * verification: whether what a target was told also came about: the replicas are there and serve.
 *
 *            delivered            seen                  later seen after all
 *   NONE ------------> WAITING --------> SERVING <-------------------+
 *                         |  time is over                             |
 *                         +--------------> OVERDUE ------------------+
 *                         |                   asks again, SCALE_VERIFY_AGAIN_MAX times
 *                         +--------------> BLIND: nobody says what is there
 *
 * The time is SCALE_VERIFY_FACTOR start-up times and a while for the target itself.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_VERIFICATION_H
#define TW_AUTOSCALER_VERIFICATION_H

#include <stdint.h>

#include "autoscaler/decision.h"

#define SCALE_VERIFY_FACTOR 2
#define SCALE_VERIFY_WHILE_MS 60000
#define SCALE_VERIFY_AGAIN_MAX 3

/* SCALE_VERIFY(name, text) */
#define SCALE_VERIFY_TABLE(SCALE_VERIFY)                                                           \
    SCALE_VERIFY(NONE, "none")                                                                     \
    SCALE_VERIFY(WAITING, "waiting")                                                               \
    SCALE_VERIFY(SERVING, "serving")                                                               \
    SCALE_VERIFY(OVERDUE, "overdue")                                                               \
    SCALE_VERIFY(BLIND, "unknown")
enum scale_verify {
#define SCALE_VERIFY_ENUM(name, text) SCALE_VERIFY_##name,
    SCALE_VERIFY_TABLE(SCALE_VERIFY_ENUM)
#undef SCALE_VERIFY_ENUM
};
const char *scale_verify_name(enum scale_verify state);

struct scale_verification {
    enum scale_verify state;
    int64_t from, to, since_ms, due_ms;
    int64_t there;                /* that serve, or are there, at the last look; -1 = not known */
    unsigned again;               /* times that it was asked for anew */
    bool wants_again;             /* it shall be asked for anew */
    char text[SCALE_ERROR_BYTES]; /* what is wrong; empty = nothing */
};

/* The target took the order. A repetition of the order before goes on counting. */
void scale_verification_begin(struct scale_verification *verification,
                              const struct scale_decision *order);
/* Replicas asked for and serving as seen now, -1 = not known. Returns whether the state changed. */
bool scale_verification_look(struct scale_verification *verification, int64_t now_ms,
                             int64_t startup_ms, int64_t replicas, int64_t ready);
/* Replicas that should serve and do not although their time is over. */
int64_t scale_verification_missing(const struct scale_verification *verification);
/* The member "verification". */
void scale_verification_write_json(const struct scale_verification *verification,
                                   struct tw_json_writer *writer);

#endif
