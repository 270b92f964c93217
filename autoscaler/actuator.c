/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/actuator.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/means.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/command.h"

#define BODY_BYTES_MAX 65536
#define COMPLAINT_BYTES_MAX 4096
#define COMPLAINT_SHOWN 160

/* ---- the order ---- */

void scale_order_key(struct tw_str scaler, struct scale_decision *decision)
{
    snprintf(decision->key, sizeof decision->key, "%.*s-%" PRId64 "-%" PRId64, TW_STR_ARG(scaler),
             decision->time_ms, decision->to);
}

void scale_order_write(struct tw_str scaler, const struct scale_decision *decision,
                       struct tw_buf *ret)
{
    char decided_at[TW_CLOCK_RFC3339_BYTES];
    tw_clock_format_rfc3339(decision->time_ms, decided_at);
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, ret);
    tw_json_begin_object(&writer);
    size_t slash = tw_str_find(scaler, TW_STR("/")); /* "web/east": a pool of its fleet */
    tw_json_member_str(&writer, "scaler", tw_str_slice(scaler, 0, slash));
    if (slash != SIZE_MAX)
        tw_json_member_str(&writer, "pool", tw_str_slice(scaler, slash + 1, scaler.size));
    tw_json_key(&writer, TW_STR("from"));
    if (decision->from >= 0)
        tw_json_write_int(&writer, decision->from);
    else
        tw_json_write_null(&writer);
    tw_json_member_int(&writer, "to", decision->to);
    tw_json_member_cstr(&writer, "reason", decision->reason);
    tw_json_key(&writer, TW_STR("forecast"));
    tw_json_begin_object(&writer);
    tw_json_member_number(&writer, "horizon_s", (double)decision->horizon_ms / 1000);
    tw_json_member_number(&writer, "q50", decision->q50);
    tw_json_member_number(&writer, "q95", decision->q95);
    tw_json_end_object(&writer);
    tw_json_member_cstr(&writer, "decided_at", decided_at);
    tw_json_member_cstr(&writer, "idempotency_key", decision->key);
    tw_json_end_object(&writer);
}

/* ---- an attempt ---- */

struct scale_attempt *scale_attempt_new_look(struct scale_means *means,
                                             const struct scale_settings *settings)
{
    struct scale_attempt *attempt = calloc(1, sizeof *attempt);
    TW_ASSERT(attempt != NULL);
    attempt->means = means;
    attempt->arena = tw_arena_new(1024);
    attempt->target = scale_target_copy(&settings->target, attempt->arena);
    if (settings->mode != SCALE_ACT)
        attempt->target.lease = NULL;
    attempt->lease_ms = SCALE_LEASE_TICKS * settings->tick_ms;
    if (attempt->lease_ms < SCALE_LEASE_MS_MIN)
        attempt->lease_ms = SCALE_LEASE_MS_MIN;
    attempt->scaler = tw_arena_str(attempt->arena, settings->name);
    attempt->from = attempt->to = attempt->replicas = attempt->ready = -1;
    attempt->retry_after_ms = -1;
    attempt->reason = "";
    tw_buf_init(&attempt->body, BODY_BYTES_MAX);
    return attempt;
}

struct scale_attempt *scale_attempt_new(struct scale_means *means,
                                        const struct scale_settings *settings,
                                        const struct scale_decision *decision)
{
    TW_ASSERT(settings->target.kind != SCALE_TARGET_NONE && decision->key[0]);
    struct scale_attempt *attempt = scale_attempt_new_look(means, settings);
    attempt->from = decision->from;
    attempt->to = decision->to;
    attempt->reason = tw_arena_cstr(attempt->arena, tw_str(decision->reason));
    memcpy(attempt->key, decision->key, sizeof attempt->key);
    scale_order_write(settings->name, decision, &attempt->body);
    TW_ASSERT(!attempt->body.overflow);
    return attempt;
}

struct scale_attempt *scale_attempt_new_replace(struct scale_means *means,
                                                const struct scale_settings *settings,
                                                const char *instance, const char *reason,
                                                const char *key)
{
    struct scale_attempt *attempt = scale_attempt_new_look(means, settings);
    struct tw_json_writer writer;
    attempt->instance = tw_arena_cstr(attempt->arena, tw_str(instance));
    attempt->reason = tw_arena_cstr(attempt->arena, tw_str(reason));
    snprintf(attempt->key, sizeof attempt->key, "%s", key);
    tw_json_writer_init(&writer, &attempt->body);
    tw_json_begin_object(&writer);
    tw_json_member_str(&writer, "scaler", settings->name);
    tw_json_member_cstr(&writer, "action", "replace");
    tw_json_member_cstr(&writer, "instance", instance);
    tw_json_member_cstr(&writer, "reason", reason);
    tw_json_member_cstr(&writer, "idempotency_key", key);
    tw_json_end_object(&writer);
    TW_ASSERT(!attempt->body.overflow);
    return attempt;
}

struct scale_attempt *scale_attempt_free(struct scale_attempt *attempt)
{
    if (!attempt)
        return NULL;
    tw_buf_fini(&attempt->body);
    tw_arena_free(attempt->arena);
    free(attempt);
    return NULL;
}

void scale_attempt_fail(struct scale_attempt *attempt, enum scale_outcome outcome,
                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(attempt->error, sizeof attempt->error, format, arguments);
    va_end(arguments);
    attempt->outcome = outcome;
}

/* ---- programs ---- */

/* What a program said last, in one line for the error. */
static struct tw_str last_line(const struct tw_buf *complaint, const struct tw_buf *output)
{
    struct tw_str text = tw_str_trim(tw_buf_str(complaint)), line = {0}, rest;
    if (text.size == 0 && output)
        text = tw_str_trim(tw_buf_str(output));
    rest = text;
    while (tw_str_split(&rest, '\n', &text))
        line = tw_str_trim(text).size > 0 ? tw_str_trim(text) : line;
    return tw_str_slice(line, 0, COMPLAINT_SHOWN);
}

bool scale_attempt_command(struct scale_attempt *attempt, const char *const *words,
                           const struct tw_http_pair *variables, size_t variable_count,
                           struct tw_buf *ret_output, enum scale_outcome (*outcome_of)(int status))
{
    struct tw_buf complaint;
    struct tw_err err = {0};
    int status = 0;
    tw_buf_init(&complaint, COMPLAINT_BYTES_MAX);
    const struct tw_command command = {.words = words,
                                       .variables = variables,
                                       .variable_count = variable_count,
                                       .input = tw_buf_str(&attempt->body),
                                       .timeout_ms = attempt->target.timeout_ms,
                                       .ret_output = ret_output,
                                       .ret_complaint = &complaint};
    if (tw_command_run(&command, &status, &err) != TW_OK)
        scale_attempt_fail(attempt, SCALE_AGAIN, "%s", err.message);
    else if (status != 0)
        scale_attempt_fail(attempt, outcome_of(status), "'%s' exited with %d: %.*s", words[0],
                           status, TW_STR_ARG(last_line(&complaint, ret_output)));
    tw_buf_fini(&complaint);
    return attempt->outcome == SCALE_DONE;
}

/* ---- who leads ---- */

bool scale_attempt_stand_by(struct scale_attempt *attempt, const char *leader)
{
    bool acts = attempt->to >= 0 || attempt->instance;
    attempt->standby = attempt->lease_known = true;
    snprintf(attempt->leader, sizeof attempt->leader, "%s", leader);
    attempt->outcome = SCALE_DONE;
    attempt->error[0] = '\0';
    if (acts)
        scale_attempt_fail(attempt, SCALE_AGAIN, "%s", attempt->leader);
    return !acts;
}

/* Whether to go on: we lead, or only look. Kubernetes sees to its own Lease. */
static bool lead(struct scale_attempt *attempt)
{
    char why[SCALE_ERROR_BYTES];
    if (!attempt->target.lease || attempt->target.kind == SCALE_TARGET_KUBERNETES)
        return true;
    attempt->lease_known = true;
    return scale_lease_lock(scale_means_leases(attempt->means), attempt->target.lease, why,
                            sizeof why) ||
           scale_attempt_stand_by(attempt, why);
}

void scale_attempt_run(struct scale_attempt *attempt)
{
    attempt->outcome = SCALE_DONE;
    attempt->error[0] = '\0';
    if (!lead(attempt))
        return;
    if (attempt->to < 0 && !attempt->instance && !scale_target_reads(&attempt->target))
        return; /* it was about the lease only */
    switch (attempt->target.kind) {
    case SCALE_TARGET_WEBHOOK:
        scale_webhook_set(attempt);
        break;
    case SCALE_TARGET_EXEC:
        (attempt->instance ? scale_exec_replace : scale_exec_run)(attempt);
        break;
    case SCALE_TARGET_SYSTEMD:
        (attempt->instance ? scale_systemd_replace : scale_systemd_run)(attempt);
        break;
    case SCALE_TARGET_PROCESS:
        (attempt->instance ? scale_process_replace : scale_process_run)(attempt);
        break;
    case SCALE_TARGET_KUBERNETES:
        (attempt->instance ? scale_kubernetes_replace : scale_kubernetes_run)(attempt);
        break;
    case SCALE_TARGET_NONE:
        TW_ASSERT(false);
    }
}

int64_t scale_attempt_settle(const struct scale_attempt *attempt, int64_t now_ms,
                             struct scale_decision *decision)
{
    decision->attempts++;
    decision->action_ms = now_ms;
    decision->http_status = attempt->http_status;
    memcpy(decision->error, attempt->error, sizeof decision->error);
    if (attempt->outcome == SCALE_DONE) {
        decision->action = SCALE_ACTION_DELIVERED;
        return INT64_MAX;
    }
    if (attempt->standby) {
        decision->action = SCALE_ACTION_SUPERSEDED; /* by what the leader decides */
        return INT64_MAX;
    }
    if (attempt->outcome == SCALE_REFUSED || now_ms - decision->time_ms >= SCALE_ORDER_MS_MAX) {
        decision->action = SCALE_ACTION_FAILED;
        return INT64_MAX;
    }
    decision->action = SCALE_ACTION_PENDING;
    unsigned doublings = decision->attempts - 1 < 10 ? decision->attempts - 1 : 10;
    int64_t pause = (int64_t)SCALE_RETRY_MS_FIRST << doublings;
    if (pause > SCALE_RETRY_MS_MAX)
        pause = SCALE_RETRY_MS_MAX;
    if (attempt->retry_after_ms > pause)
        pause = attempt->retry_after_ms < SCALE_ORDER_MS_MAX ? attempt->retry_after_ms
                                                             : SCALE_ORDER_MS_MAX;
    return now_ms + pause;
}
