/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/fleet_calls.h"

#include <stdlib.h>
#include <string.h>

#include "autoscaler/trust.h"
#include "base/assert.h"
#include "base/log.h"

#define STATE_BYTES_MAX 65536

struct fleet_call {
    struct scale_manager *manager;
    uint64_t id; /* of the scaler: by the end it may be another, or gone */
    struct scale_attempt *attempt;
};

char *scale_fleet_calls_encode(struct scale_fleet *fleet, size_t *ret_bytes)
{
    if (!fleet || !fleet->changed)
        return NULL;
    struct tw_buf bytes;
    tw_buf_init(&bytes, STATE_BYTES_MAX);
    scale_fleet_encode(fleet, &bytes);
    TW_ASSERT(!bytes.overflow);
    return tw_buf_take(&bytes, ret_bytes);
}

enum tw_code scale_fleet_calls_recall(struct scale_manager *manager, struct scaler *scaler,
                                      struct tw_err *err)
{
    struct tw_buf bytes;
    struct tw_str name = scaler->settings.name;
    tw_buf_init(&bytes, STATE_BYTES_MAX);
    enum tw_code code = scale_journal_fleet(manager->options.state, name, &bytes, err);
    if (code == TW_OK && !scale_fleet_decode(scaler->fleet, tw_buf_str(&bytes),
                                             tw_clock_wall_ms(manager->options.clock)))
        code = tw_err_set(err, TW_CORRUPT, "what the fleet of scaler '%.*s' was told is damaged",
                          TW_STR_ARG(name));
    tw_buf_fini(&bytes);
    return code;
}

static struct scaler *find_locked(struct scale_manager *manager, uint64_t id)
{
    tw_lock_assert_held(&manager->lock);
    for (size_t i = 0; i < manager->scaler_count; i++)
        if (manager->scalers[i]->id == id)
            return manager->scalers[i];
    return NULL;
}

static void tell(const struct scale_attempt *attempt, bool was_out,
                 const struct scale_pool_health *is)
{
    bool out = is->state == SCALE_POOL_OUT;
    if (out && !was_out)
        tw_log(TW_LOG_WARN, "autoscaler.fleet", "a pool is out, its share goes to the others",
               "pool=%s error=%s", tw_log_quote(attempt->scaler), tw_log_quote(tw_str(is->why)));
    else if (was_out && is->state == SCALE_POOL_SERVING)
        tw_log(TW_LOG_INFO, "autoscaler.fleet", "a pool is back", "pool=%s",
               tw_log_quote(attempt->scaler));
    if (attempt->to >= 0 && attempt->outcome == SCALE_DONE)
        tw_log(TW_LOG_INFO, "autoscaler.fleet", "scaled", "pool=%s from=%lld to=%lld key=%s",
               tw_log_quote(attempt->scaler), (long long)attempt->from, (long long)attempt->to,
               tw_log_quote(tw_str(attempt->key)));
    else if (attempt->outcome != SCALE_DONE && !was_out)
        tw_log(TW_LOG_WARN, "autoscaler.fleet",
               attempt->to >= 0 ? "a pool's target did not take its share"
                                : "cannot read how many replicas a pool has",
               "pool=%s error=%s", tw_log_quote(attempt->scaler),
               tw_log_quote(tw_str(attempt->error)));
}

/* Records the state of the scaler's last order, and of its fleet. */
static void record(struct scale_manager *manager, const struct scale_decision *order,
                   struct tw_str name, struct tw_str fleet)
{
    struct scale_entry entry = {.name = name, .decision = order, .fleet = fleet};
    struct tw_err err;
    if (scale_journal_write(manager->options.state, &entry, 1, &err) != TW_OK)
        tw_log(TW_LOG_ERROR, "autoscaler.fleet",
               "cannot record an attempt's result, it may be sent again after a restart",
               "key=%s error=%s", tw_log_quote(tw_str(order->key)),
               tw_log_quote(tw_str(err.message)));
}

/* What people can look up later: each pool's delivery or failure; and once all of an order's pools
 * were told, whether the replicas come in their time. */
static void note(struct scaler *scaler, const struct scale_fleet_member *member,
                 const struct scale_attempt *attempt, struct scale_news *news)
{
    const struct scale_verification before = scaler->verification;
    struct scale_decision told = {.action = member->action,
                                  .from = member->from,
                                  .to = member->to,
                                  .action_ms = member->action_ms,
                                  .attempts = member->attempts};
    memcpy(told.key, attempt->key, sizeof told.key);
    memcpy(told.error, attempt->error, sizeof told.error);
    scale_trust_settle(scaler, &told, news);
    scaler->verification = before;
    if (scaler->order.key[0] && scaler->order.action == SCALE_ACTION_DELIVERED)
        scale_verification_begin(&scaler->verification, &scaler->order);
}

static void finish(struct fleet_call *call)
{
    struct scale_manager *manager = call->manager;
    const struct scale_attempt *attempt = call->attempt;
    struct scale_decision order = {0};
    struct scale_pool_health health = {0};
    struct scale_news news = {0};
    char name[SCALE_NAME_BYTES_MAX], *state = NULL;
    size_t name_bytes = 0, state_bytes = 0;
    bool was_out = false;
    tw_lock_take(&manager->lock);
    struct scaler *scaler = find_locked(manager, call->id);
    size_t member =
        scaler && scaler->fleet ? scale_fleet_find(scaler->fleet, attempt->scaler) : SIZE_MAX;
    if (member != SIZE_MAX && member < scaler->fleet->count) {
        was_out = scaler->fleet->members[member].health.state != SCALE_POOL_SERVING;
        scale_fleet_settle(scaler->fleet, member, attempt, tw_clock_wall_ms(manager->options.clock),
                           &scaler->order);
        health = scaler->fleet->members[member].health;
        if (scaler->order.key[0] && strcmp(scaler->decision.key, scaler->order.key) == 0)
            scaler->decision = scaler->order;
        if (attempt->to >= 0 && scaler->order.key[0]) {
            state = scale_fleet_calls_encode(scaler->fleet, &state_bytes);
            order = scaler->order;
            name_bytes = scaler->settings.name.size;
            memcpy(name, scaler->settings.name.data, name_bytes);
            note(scaler, &scaler->fleet->members[member], attempt, &news);
            news.scaler = (struct tw_str){name, name_bytes}; /* outlives the scaler */
        }
    }
    if (attempt->to >= 0 ||
        (scaler && scaler->fleet && scale_fleet_due(scaler->fleet) < INT64_MAX)) {
        manager->nudged = true;
        tw_cond_broadcast(&manager->wake);
    }
    tw_lock_release(&manager->lock);
    if (attempt->to >= 0)
        tw_metric_add(attempt->outcome == SCALE_DONE ? manager->counted.attempts_ok
                                                     : manager->counted.attempts_failed,
                      1);
    else if (attempt->outcome != SCALE_DONE)
        tw_metric_add(manager->counted.looks_failed, 1);
    if (state)
        record(manager, &order, (struct tw_str){name, name_bytes},
               (struct tw_str){state, state_bytes});
    free(state);
    if (news.audit_count)
        scale_trust_store(manager, &news);
    tell(attempt, was_out, &health);
    scale_attempt_free(call->attempt);
    free(call);
}

static void make_call(void *argument)
{
    struct fleet_call *call = argument;
    scale_attempt_run(call->attempt);
    finish(call);
}

static void start(struct scale_manager *manager, uint64_t id, struct scale_attempt *attempt)
{
    struct fleet_call *call = calloc(1, sizeof *call);
    TW_ASSERT(call != NULL);
    *call = (struct fleet_call){manager, id, attempt};
    struct tw_err err;
    if (!manager->callers) {
        make_call(call);
    } else if (tw_workers_give(manager->callers, make_call, call, &err) != TW_OK) {
        scale_attempt_fail(attempt, SCALE_AGAIN, "%s", err.message);
        finish(call);
    }
}

void scale_fleet_calls_act(struct scale_manager *manager, int64_t now_ms)
{
    struct scale_attempt *attempts[SCALE_POOLS_MAX];
    for (size_t i = 0;; i++) {
        size_t count = 0;
        uint64_t id = 0;
        tw_lock_take(&manager->lock);
        struct scaler *scaler = i < manager->scaler_count ? manager->scalers[i] : NULL;
        struct scale_fleet *fleet = scaler ? scaler->fleet : NULL;
        for (size_t k = 0; fleet && k < fleet->count; k++) {
            attempts[count] = scale_fleet_attempt(fleet, k, manager->means, &scaler->order, now_ms);
            count += attempts[count] != NULL;
        }
        if (scaler)
            id = scaler->id;
        tw_lock_release(&manager->lock);
        for (size_t k = 0; k < count; k++)
            start(manager, id, attempts[k]);
        if (!scaler)
            return;
    }
}
