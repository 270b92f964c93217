/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/scaler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define BAND_MS 3600000
#define FOLLOW_MS 120000 /* beyond the start-up time: by then the target should have followed */
#define FAILED_PAUSE_MS 60000 /* after a final answer, before something new is sent */

static struct tw_str copied(struct tw_arena *arena, struct tw_str text)
{
    return text.size ? tw_arena_str(arena, text) : (struct tw_str){0};
}

/* Whose silence is noticed: unless a query says who is heard. */
static void listen(struct scaler *scaler)
{
    const struct scale_settings *settings = &scaler->settings;
    const struct scale_demand *demand = &settings->demand;
    for (size_t i = 0; i < SCALE_PARTS_MAX; i++) {
        struct scale_listener *listener = &scaler->listeners[i];
        scale_sources_init(&listener->sources);
        struct tw_str load = i < demand->count ? demand->parts[i].query : settings->load;
        if (!settings->coverage.size && (i == 0 || i < demand->count))
            listener->query = scale_sources_query(load, scaler->arena, &listener->sums);
    }
}

struct scaler *scaler_new(uint64_t id, const struct scale_settings *parsed,
                          struct query_engine *engine)
{
    struct scaler *scaler = calloc(1, sizeof *scaler);
    TW_ASSERT(scaler != NULL);
    scaler->id = id;
    scaler->arena = tw_arena_new(1024);
    struct scale_settings *settings = &scaler->settings;
    *settings = *parsed;
    settings->name = copied(scaler->arena, parsed->name);
    settings->load = copied(scaler->arena, parsed->load);
    settings->replicas = copied(scaler->arena, parsed->replicas);
    settings->ready = copied(scaler->arena, parsed->ready);
    settings->utilisation = copied(scaler->arena, parsed->utilisation);
    settings->target = scale_target_copy(&parsed->target, scaler->arena);
    settings->fleet = scale_fleet_settings_copy(&parsed->fleet, scaler->arena);
    settings->latency = copied(scaler->arena, parsed->latency);
    settings->queue = copied(scaler->arena, parsed->queue);
    settings->coverage = copied(scaler->arena, parsed->coverage);
    settings->recovery.instances = copied(scaler->arena, parsed->recovery.instances);
    settings->recovery.label = copied(scaler->arena, parsed->recovery.label);
    for (size_t i = 0; i < parsed->schedule_count; i++)
        settings->schedules[i].name = copied(scaler->arena, parsed->schedules[i].name);
    settings->demand = scale_demand_copy(&parsed->demand, scaler->arena);
    listen(scaler);
    struct query_options options = {.lookback_ms = settings->late_ms};
    scaler->fresh = query_engine_new(query_engine_storage(engine), &options);
    int64_t band = BAND_MS / settings->step_ms;
    scaler->controller = scale_controller_new(settings, (size_t)(band < 10    ? 10
                                                                 : band > 240 ? 240
                                                                              : band));
    scale_controller_learn_apart(scaler->controller);
    scaler->fleet = scale_fleet_new(settings);
    settings->sizing = scale_sizing_copy(&parsed->sizing, scaler->arena);
    settings->budget.shared = copied(scaler->arena, parsed->budget.shared);
    scale_ledger_init(&scaler->ledger, settings->budget.offset_ms);
    scaler->need = -1;
    snprintf(scaler->quantile_text, sizeof scaler->quantile_text, "%.6g", settings->quantile);
    if (settings->recovery.instances.size) {
        scaler->recovery = calloc(1, sizeof *scaler->recovery);
        TW_ASSERT(scaler->recovery != NULL);
    }
    scaler->standby = settings->mode == SCALE_ACT && settings->target.lease;
    snprintf(scaler->leader, sizeof scaler->leader, "the lease is not ours yet");
    scaler->attempt_ms = INT64_MAX;
    scaler->seen.replicas = scaler->seen.ready = -1;
    return scaler;
}

struct scaler *scaler_free(struct scaler *scaler)
{
    if (!scaler)
        return NULL;
    scale_controller_free(scaler->controller);
    for (size_t i = 0; i < SCALE_PARTS_MAX; i++)
        scale_sources_fini(&scaler->listeners[i].sources);
    scale_fleet_free(scaler->fleet);
    query_engine_free(scaler->fresh);
    free(scaler->recovery);
    tw_arena_free(scaler->arena);
    free(scaler);
    return NULL;
}

static void give_up_order(struct scaler *scaler, struct scale_decision *ret_superseded)
{
    if (scaler->order.key[0] && scaler->order.action == SCALE_ACTION_PENDING) {
        scaler->order.action = SCALE_ACTION_SUPERSEDED;
        *ret_superseded = scaler->order;
        scaler->attempt_ms = INT64_MAX;
    }
}

void scaler_order(struct scaler *scaler, struct scale_decision *decision,
                  struct scale_decision *ret_superseded)
{
    struct scale_decision *order = &scaler->order;
    int64_t now = decision->time_ms;
    ret_superseded->key[0] = 0;
    if (scaler->fleet) {
        scale_fleet_order(scaler->fleet, decision);
        if (decision->key[0]) {
            give_up_order(scaler, ret_superseded);
            *order = *decision;
        }
        return;
    }
    decision->action = SCALE_ACTION_NONE;
    bool standing = order->key[0] && order->to == decision->to;
    if (standing && order->action == SCALE_ACTION_DELIVERED && decision->replicas == order->to)
        scaler->followed = true; /* what is missing from now on has gone since, and is asked for */
    if (standing && order->action == SCALE_ACTION_PENDING && scaler->settings.mode == SCALE_ACT)
        return; /* on its way already */
    bool again = standing && order->action == SCALE_ACTION_DELIVERED &&
                 scaler->verification.wants_again && scaler->settings.mode == SCALE_ACT;
    bool first = scaler->takes_over && decision->replicas < 0 && !scaler->standby;
    if ((decision->to == decision->from && !again && !first) || scale_decision_is_blind(decision)) {
        give_up_order(scaler, ret_superseded);
        return;
    }
    if (scaler->settings.mode == SCALE_OBSERVE || scaler->standby) {
        give_up_order(scaler, ret_superseded);
        decision->action = SCALE_ACTION_OBSERVED;
        return;
    }
    if (standing && order->action == SCALE_ACTION_DELIVERED && decision->replicas >= 0 &&
        !scaler->followed && !again && now - order->action_ms < decision->startup_ms + FOLLOW_MS)
        return; /* the target has been told and may still be at it */
    if (order->key[0] && order->action == SCALE_ACTION_FAILED &&
        now - order->action_ms < FAILED_PAUSE_MS)
        return;
    give_up_order(scaler, ret_superseded);
    if (again) {
        size_t used = strlen(decision->reason);
        snprintf(decision->reason + used, sizeof decision->reason - used, " Asked for again: %s.",
                 scaler->verification.text);
        scaler->verification.wants_again = false;
    }
    decision->action = SCALE_ACTION_PENDING;
    scale_order_key(scaler->settings.name, decision);
    *order = *decision;
    scaler->followed = scaler->takes_over = false;
    scaler->attempt_ms = now;
}

bool scaler_looks(const struct scaler *scaler)
{
    const struct scale_settings *settings = &scaler->settings;
    if (settings->mode == SCALE_ACT && settings->target.lease)
        return true;
    return scale_target_reads(&settings->target) &&
           (!settings->replicas.size || !settings->ready.size);
}

void scaler_fill(const struct scaler *scaler, struct scale_observation *observation)
{
    const struct scale_settings *settings = &scaler->settings;
    if (scaler->fleet) {
        scale_fleet_fill(scaler->fleet, observation);
        return;
    }
    int64_t age_ms = observation->now_ms - scaler->seen.time_ms;
    if (!scaler_looks(scaler) || age_ms > 2 * settings->tick_ms + settings->target.timeout_ms)
        return;
    if (!settings->replicas.size)
        observation->replicas = scaler->seen.replicas;
    if (!settings->ready.size)
        observation->ready = scaler->seen.ready;
}

const char *scaler_health(const struct scaler *scaler, const char **ret_error)
{
    *ret_error = "";
    if (!scaler->decision.count)
        return "starting";
    if (scaler->standby) {
        *ret_error = scaler->leader;
        return "standby";
    }
    if (scaler->order.key[0] && scaler->order.error[0] &&
        (scaler->order.action == SCALE_ACTION_FAILED ||
         scaler->order.action == SCALE_ACTION_PENDING)) {
        *ret_error = scaler->order.error;
        return "failed";
    }
    if (scaler->verification.state == SCALE_VERIFY_OVERDUE) {
        *ret_error = scaler->verification.text;
        return "failed";
    }
    if (scaler->fleet && scale_fleet_error(scaler->fleet)[0]) {
        *ret_error = scale_fleet_error(scaler->fleet);
        return "failed";
    }
    if (scaler->seen.error[0]) {
        *ret_error = scaler->seen.error;
        return "failed";
    }
    if (scaler->decision.data != SCALE_DATA_OK && scaler->decision.data != SCALE_DATA_PARTIAL) {
        *ret_error = scaler->decision.reason;
        return "hold";
    }
    return "ok";
}
