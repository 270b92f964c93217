/* SPDX-License-Identifier: Apache-2.0
 *
 * actuator: carries a decision to its target by webhook, once for each idempotency key as far as
 * that is in our hands: what was delivered is never sent again; what may or may not have arrived
 * (the answer was lost) is sent again with the same key.
 *
 * An attempt is one HTTP call. What its answer means: 2xx is a delivery; 408, 429, 5xx and no
 * answer are tried again with growing pauses until the order is SCALE_ORDER_MS_MAX old; all else is
 * final.
 *
 * Threads: the caller's.
 */
#ifndef TW_AUTOSCALER_ACTUATOR_H
#define TW_AUTOSCALER_ACTUATOR_H

#include "autoscaler/decision.h"
#include "autoscaler/settings.h"

#define SCALE_RETRY_MS_FIRST 1000
#define SCALE_RETRY_MS_MAX 60000
#define SCALE_ORDER_MS_MAX (15 * 60000) /* then it is given up */

/* The body of the webhook. */
void scale_order_write(struct tw_str scaler, const struct scale_decision *decision,
                       struct tw_buf *ret);
/* A key that no other decision of this scaler has. */
void scale_order_key(struct tw_str scaler, struct scale_decision *decision);

/* Everything that an attempt needs, so that it may outlive the scaler's settings. */
struct scale_attempt {
    char *url;
    struct tw_http_pair headers[SCALE_HEADERS_MAX + 2];
    size_t header_count;
    struct tw_buf body;
    int64_t timeout_ms;
    char *texts[2 * SCALE_HEADERS_MAX]; /* owned copies behind headers */
    char key[SCALE_KEY_BYTES];
    /* outcome */
    enum tw_code code;
    int http_status;
    int64_t retry_after_ms; /* -1: not said */
    char error[SCALE_ERROR_BYTES];
};

struct scale_attempt *scale_attempt_new(const struct scale_settings *settings,
                                        const struct scale_decision *decision);
struct scale_attempt *scale_attempt_free(struct scale_attempt *attempt); /* returns NULL */
void scale_attempt_run(struct scale_attempt *attempt);
/* Writes the outcome into the decision (action, attempts, status, error). Returns the time of the
 * next attempt, or INT64_MAX when there is none. */
int64_t scale_attempt_settle(const struct scale_attempt *attempt, int64_t now_ms,
                             struct scale_decision *decision);

#endif
