/* SPDX-License-Identifier: Apache-2.0
 *
 * actuator: carries a decision to its target, and reads from it how many replicas there are.
 *
 * What was delivered is never sent again; what may or may not have arrived (the answer was lost) is
 * sent again with the same idempotency key, and every kind of target takes the same number twice
 * without harm. What is tried again is tried with growing pauses until the order is
 * SCALE_ORDER_MS_MAX old.
 *
 *   kind        set                                    get
 *   webhook     POST of the order, signed              -
 *   exec        a program, the order on its stdin      a program that prints "replicas ready"
 *   systemd     start and stop of a template's units   list-units
 *   process     children of this host                  /proc
 *   kubernetes  PUT of the scale subresource           GET of it, and of the object
 *
 * Threads: an attempt belongs to one thread at a time; the means are shared by all.
 */
#ifndef TW_AUTOSCALER_ACTUATOR_H
#define TW_AUTOSCALER_ACTUATOR_H

#include "autoscaler/decision.h"
#include "autoscaler/settings.h"
#include "base/clock.h"
#include "tsdb/state.h"

#define SCALE_RETRY_MS_FIRST 1000
#define SCALE_RETRY_MS_MAX 60000
#define SCALE_ORDER_MS_MAX (15 * 60000) /* then it is given up */

/* The body of the webhook. */
void scale_order_write(struct tw_str scaler, const struct scale_decision *decision,
                       struct tw_buf *ret);
/* A key that no other decision of this scaler has. */
void scale_order_key(struct tw_str scaler, struct scale_decision *decision);

/* What actuators share: where the children of this host are written down, and tokens that programs
 * made for us. */
struct scale_means;
/* state, clock: borrowed. */
struct scale_means *scale_means_new(struct tsdb_state *state, struct tw_clock *clock);
struct scale_means *scale_means_free(struct scale_means *means); /* returns NULL */

enum scale_outcome {
    SCALE_DONE,
    SCALE_AGAIN,  /* may succeed later */
    SCALE_REFUSED /* will not, as it stands */
};

/* Everything that an attempt needs, so that it may outlive the scaler's settings. */
struct scale_attempt {
    struct scale_means *means;
    struct tw_arena *arena; /* behind the texts */
    struct scale_target target;
    struct tw_str scaler;
    int64_t from, to;     /* to -1: only look */
    const char *instance; /* that is to be replaced, to -1; NULL: none */
    const char *reason;
    int64_t lease_ms;   /* how long a lease of the target lasts */
    struct tw_buf body; /* the order as JSON */
    char key[SCALE_KEY_BYTES];
    /* outcome */
    enum scale_outcome outcome;
    int http_status;        /* 0: there was none */
    int64_t retry_after_ms; /* -1: not said */
    bool lease_known;       /* who holds the target's lease was found out */
    bool standby;           /* somebody else; leader says who */
    char leader[SCALE_ERROR_BYTES];
    int64_t replicas, ready; /* of the target after it; -1: not known */
    char error[SCALE_ERROR_BYTES];
};

struct scale_attempt *scale_attempt_new(struct scale_means *means,
                                        const struct scale_settings *settings,
                                        const struct scale_decision *decision);
/* One that only looks (scale_target_reads). */
struct scale_attempt *scale_attempt_new_look(struct scale_means *means,
                                             const struct scale_settings *settings);
/* One that replaces an instance; key: of idempotency. */
struct scale_attempt *scale_attempt_new_replace(struct scale_means *means,
                                                const struct scale_settings *settings,
                                                const char *instance, const char *reason,
                                                const char *key);
struct scale_attempt *scale_attempt_free(struct scale_attempt *attempt); /* returns NULL */
void scale_attempt_run(struct scale_attempt *attempt);
/* Writes the outcome into the decision (action, attempts, status, error). Returns the time of the
 * next attempt, or INT64_MAX when there is none. */
int64_t scale_attempt_settle(const struct scale_attempt *attempt, int64_t now_ms,
                             struct scale_decision *decision);

/* ---- for the kinds of targets ---- */

/* Sets outcome and error. */
void scale_attempt_fail(struct scale_attempt *attempt, enum scale_outcome outcome,
                        const char *format, ...) TW_PRINTF(3, 4);
void scale_webhook_set(struct scale_attempt *attempt);
void scale_exec_run(struct scale_attempt *attempt);
void scale_systemd_run(struct scale_attempt *attempt);
void scale_process_run(struct scale_attempt *attempt);
void scale_kubernetes_run(struct scale_attempt *attempt);
/* The same of those that replace attempt->instance; a webhook is the same call. */
/* Runs a program with the attempt's body and time. outcome_of says what an exit status other than 0
 * means; the error has the last line that it wrote. Whether it went well. */
bool scale_attempt_command(struct scale_attempt *attempt, const char *const *words,
                           const struct tw_http_pair *variables, size_t variable_count,
                           struct tw_buf *ret_output, enum scale_outcome (*outcome_of)(int status));
/* Notes that somebody else leads; false when nothing more is to be done: only looking goes on. */
bool scale_attempt_stand_by(struct scale_attempt *attempt, const char *leader);
void scale_exec_replace(struct scale_attempt *attempt);
void scale_systemd_replace(struct scale_attempt *attempt);
void scale_process_replace(struct scale_attempt *attempt);
void scale_kubernetes_replace(struct scale_attempt *attempt);

#endif
