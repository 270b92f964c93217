/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/verification.h"

#include <stdio.h>

#include "base/assert.h"

static const char *const state_names[] = {
#define SCALE_VERIFY_NAME(name, text) text,
    SCALE_VERIFY_TABLE(SCALE_VERIFY_NAME)
#undef SCALE_VERIFY_NAME
};

const char *scale_verify_name(enum scale_verify state)
{
    TW_ASSERT(state <= SCALE_VERIFY_BLIND);
    return state_names[state];
}

void scale_verification_begin(struct scale_verification *verification,
                              const struct scale_decision *order)
{
    if (verification->state == SCALE_VERIFY_OVERDUE && verification->to == order->to) {
        verification->since_ms = order->action_ms; /* still overdue, until they are seen */
        return;
    }
    *verification = (struct scale_verification){.state = SCALE_VERIFY_WAITING,
                                                .from = order->from,
                                                .to = order->to,
                                                .since_ms = order->action_ms,
                                                .due_ms = -1,
                                                .there = -1};
}

static bool go(struct scale_verification *verification, enum scale_verify state)
{
    bool changed = verification->state != state;
    verification->state = state;
    return changed;
}

bool scale_verification_look(struct scale_verification *verification, int64_t now_ms,
                             int64_t startup_ms, int64_t replicas, int64_t ready)
{
    if (verification->state == SCALE_VERIFY_NONE || verification->state == SCALE_VERIFY_SERVING)
        return false;
    if (now_ms < verification->since_ms) /* the clock was set back */
        verification->since_ms = now_ms;
    int64_t allowed = SCALE_VERIFY_FACTOR * startup_ms + SCALE_VERIFY_WHILE_MS;
    verification->due_ms = verification->since_ms + allowed;
    bool out = verification->to > verification->from;
    verification->there = out && ready >= 0 ? ready : replicas >= 0 ? replicas : ready;
    int64_t there = verification->there;
    verification->wants_again = false;
    if (there >= 0 && (out ? there >= verification->to : there <= verification->to)) {
        verification->text[0] = 0;
        return go(verification, SCALE_VERIFY_SERVING);
    }
    if (now_ms < verification->due_ms && verification->state != SCALE_VERIFY_OVERDUE)
        return false;
    long long took = (long long)((now_ms - verification->since_ms) / 1000);
    if (there < 0) {
        snprintf(verification->text, sizeof verification->text,
                 "nobody says how many replicas there are %lld s after %lld were asked for: give "
                 "`replicas` and `ready` queries, or a target that can be read",
                 took, (long long)verification->to);
        return go(verification, SCALE_VERIFY_BLIND);
    }
    snprintf(verification->text, sizeof verification->text,
             "%lld of %lld replicas %s %lld s after they were asked for", (long long)there,
             (long long)verification->to, out ? "serve" : "are still there", took);
    bool changed = go(verification, SCALE_VERIFY_OVERDUE);
    if (now_ms >= verification->due_ms && verification->again < SCALE_VERIFY_AGAIN_MAX) {
        verification->again++;
        verification->wants_again = true;
        verification->since_ms = now_ms; /* it is given its time anew */
    }
    return changed;
}

int64_t scale_verification_missing(const struct scale_verification *verification)
{
    int64_t missing = verification->to - verification->there;
    return verification->state != SCALE_VERIFY_OVERDUE || verification->there < 0 ? 0
           : missing > 0                                                          ? missing
                                                                                  : -missing;
}

void scale_verification_write_json(const struct scale_verification *verification,
                                   struct tw_json_writer *writer)
{
    tw_json_key(writer, TW_STR("verification"));
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "status", scale_verify_name(verification->state));
    if (verification->state != SCALE_VERIFY_NONE) {
        tw_json_member_int(writer, "to", verification->to);
        tw_json_key(writer, TW_STR("there"));
        if (verification->there >= 0)
            tw_json_write_int(writer, verification->there);
        else
            tw_json_write_null(writer);
        tw_json_member_number(writer, "since", (double)verification->since_ms / 1000);
        tw_json_member_int(writer, "asked_again", verification->again);
        tw_json_member_cstr(writer, "error", verification->text);
    }
    tw_json_end_object(writer);
}
