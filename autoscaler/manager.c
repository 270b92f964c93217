/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/manager.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/fleet_calls.h"
#include "autoscaler/purse.h"
#include "base/assert.h"
#include "base/log.h"

#define MANAGER_MAGIC 0x736d6731u
#define CALLERS 4 /* webhook calls at a time */
#define CALLS_QUEUED_MAX (2 * SCALE_SCALERS_MAX)
#define LOOK_NS_MAX 1000000000 /* the wall clock is looked at this often: it may be set */
#define SERIES_EACH 16         /* samples a scaler writes at a tick, at most */
#define FIT_NS_MAX 200000000   /* of a round, for fits that are due */
#define SERIES_POOL 4          /* and each of its pools */
#define SERIES_COST 8          /* and its costs */

/* ---- life ---- */

static void register_metrics(struct scale_manager *manager)
{
    struct tw_metrics *metrics = manager->options.metrics;
    static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                    0.25,  0.5,    1,     2.5,  5,     10};
    if (!metrics)
        return;
    manager->counted.decisions = tw_metrics_counter(metrics, "tidewatch_autoscaler_decisions_total",
                                                    "", "Decisions made by all scalers.");
    manager->counted.changes = tw_metrics_counter(metrics, "tidewatch_autoscaler_changes_total", "",
                                                  "Decisions that change a number of replicas.");
    manager->counted.holds =
        tw_metrics_counter(metrics, "tidewatch_autoscaler_holds_total", "",
                           "Decisions made without usable data: replicas are held.");
    manager->counted.query_failures = tw_metrics_counter(
        metrics, "tidewatch_autoscaler_query_failures_total", "", "Load queries that failed.");
    manager->counted.store_failures =
        tw_metrics_counter(metrics, "tidewatch_autoscaler_store_failures_total", "",
                           "Rounds whose decisions or series could not be stored.");
    manager->counted.attempts_ok =
        tw_metrics_counter(metrics, "tidewatch_autoscaler_attempts_total", "result=\"delivered\"",
                           "Attempts to set replicas by result.");
    manager->counted.attempts_failed =
        tw_metrics_counter(metrics, "tidewatch_autoscaler_attempts_total", "result=\"failed\"",
                           "Attempts to set replicas by result.");
    manager->counted.looks_failed =
        tw_metrics_counter(metrics, "tidewatch_autoscaler_look_failures_total", "",
                           "Looks at a target that did not tell how many replicas there are.");
    manager->counted.budget_cuts = tw_metrics_counter(
        metrics, "tidewatch_autoscaler_budget_cuts_total", "", "Decisions that a budget lowered.");
    manager->counted.seconds =
        tw_metrics_histogram(metrics, "tidewatch_autoscaler_round_seconds", "",
                             "Time for one round over the scalers that are due.", bounds,
                             sizeof bounds / sizeof *bounds);
    scale_trust_register(manager);
    manager->counted.fit_seconds = tw_metrics_histogram(
        metrics, "tidewatch_autoscaler_fit_seconds", "", "Time for fitting a scaler's model anew.",
        bounds, sizeof bounds / sizeof *bounds);
    scale_ward_register(manager);
}

struct scale_manager *scale_manager_new(const struct scale_options *options)
{
    TW_ASSERT(options->engine && options->storage && options->state && options->clock);
    struct scale_manager *manager = calloc(1, sizeof *manager);
    TW_ASSERT(manager != NULL);
    manager->magic = MANAGER_MAGIC;
    manager->options = *options;
    tw_lock_init(&manager->round, TW_RANK_SCALER, "scaler round");
    tw_lock_init(&manager->lock, (enum tw_lock_rank)(TW_RANK_SCALER + 1), "scalers");
    tw_cond_init(&manager->wake);
    manager->means = scale_means_new(options->state, options->clock);
    register_metrics(manager);
    return manager;
}

struct scale_manager *scale_manager_free(struct scale_manager *manager)
{
    if (!manager)
        return NULL;
    TW_CHECK_MAGIC(manager, MANAGER_MAGIC);
    scale_manager_stop(manager);
    for (size_t i = 0; i < manager->scaler_count; i++)
        scaler_free(manager->scalers[i]);
    free(manager->scalers);
    scale_means_free(manager->means);
    tw_arena_free(manager->budget_arena);
    tw_cond_fini(&manager->wake);
    tw_lock_fini(&manager->lock);
    tw_lock_fini(&manager->round);
    manager->magic = 0;
    free(manager);
    return NULL;
}

enum tw_code scale_manager_check(const char *file, const struct tw_yaml *scalers,
                                 struct tw_err *err)
{
    struct tw_arena *arena = tw_arena_new(4096);
    struct scale_settings *items = NULL;
    size_t count = 0;
    enum tw_code code = scale_settings_parse(arena, file, scalers, &items, &count, err);
    tw_arena_free(arena);
    return code;
}

/* I3: a scaler whose load is asked for in the same way goes on; its id changes not. */
static bool goes_on(const struct scale_settings *a, const struct scale_settings *b)
{
    return tw_str_equal(a->name, b->name) && tw_str_equal(a->load, b->load) &&
           a->step_ms == b->step_ms && a->history_ms == b->history_ms;
}

/* The new scaler takes over the mind and the state of the old one. */
static void take_over(struct scaler *scaler, struct scaler *old)
{
    struct scale_controller *swap = scaler->controller;
    scaler->controller = old->controller;
    old->controller = swap;
    scale_controller_set(scaler->controller, &scaler->settings);
    for (size_t i = 0; i < SCALE_PARTS_MAX; i++) {
        struct scale_sources heard = scaler->listeners[i].sources;
        scaler->listeners[i].sources = old->listeners[i].sources;
        old->listeners[i].sources = heard;
    }
    scale_fleet_take_over(scaler->fleet, old->fleet);
    scale_purse_take_over(scaler, old);
    scaler->id = old->id;
    scaler->begun = old->begun;
    scaler->due_ms = old->due_ms;
    scaler->decision = old->decision;
    scaler->order = old->order;
    scaler->under_way = old->under_way;
    scaler->followed = old->followed;
    scaler->seen = old->seen;
    if (old->settings.target.lease && old->settings.mode == SCALE_ACT)
        scaler->standby = scaler->standby && old->standby;
    scaler->pauses = old->pauses;
    scaler->verification = old->verification;
    scaler->watch = old->watch;
    if (scaler->recovery && old->recovery) {
        *scaler->recovery = *old->recovery;
        memcpy(scaler->replace, old->replace, sizeof scaler->replace);
    }
    scaler->attempt_ms =
        scaler->settings.target.kind != SCALE_TARGET_NONE ? old->attempt_ms : INT64_MAX;
}

enum tw_code scale_manager_load(struct scale_manager *manager, const char *file,
                                const struct tw_yaml *scalers, struct tw_err *err)
{
    TW_CHECK_MAGIC(manager, MANAGER_MAGIC);
    struct tw_arena *arena = tw_arena_new(4096);
    struct scale_settings *items = NULL;
    size_t count = 0;
    enum tw_code code = scale_settings_parse(arena, file, scalers, &items, &count, err);
    if (code != TW_OK) {
        tw_arena_free(arena);
        return code;
    }
    struct scaler **fresh = calloc(count + 1, sizeof *fresh);
    TW_ASSERT(fresh != NULL);
    for (size_t i = 0; i < count; i++)
        fresh[i] = scaler_new(++manager->next_id, &items[i], manager->options.engine);
    tw_arena_free(arena);
    tw_lock_take(&manager->round);
    tw_lock_take(&manager->lock);
    struct scaler **old = manager->scalers;
    size_t old_count = manager->scaler_count;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < old_count; j++)
            if (goes_on(&fresh[i]->settings, &old[j]->settings))
                take_over(fresh[i], old[j]);
    manager->scalers = fresh;
    manager->scaler_count = count;
    manager->nudged = true;
    tw_cond_broadcast(&manager->wake);
    tw_lock_release(&manager->lock);
    scale_trust_note_config(manager, file, old, old_count, fresh, count);
    tw_lock_release(&manager->round);
    for (size_t j = 0; j < old_count; j++)
        scaler_free(old[j]);
    free(old);
    return TW_OK;
}

/* ---- a scaler's beginning ---- */

/* What was decided and learned before a restart. */
static void read_journal(struct scale_manager *manager, struct scaler *scaler)
{
    struct tsdb_state *state = manager->options.state;
    struct tw_str name = scaler->settings.name;
    struct scale_decision last, order;
    struct tw_err err;
    double capacity;
    struct scale_policy *policy = scale_controller_policy(scaler->controller);
    enum tw_code code = scale_journal_last(state, name, &last, &err);
    if (code == TW_NOT_FOUND)
        return;
    if (code == TW_OK) {
        scale_controller_resume(scaler->controller, &last);
        scaler->decision = last;
        code = scale_journal_memory(state, name, policy,
                                    scale_controller_startup(scaler->controller), &capacity, &err);
        if (code == TW_OK)
            scale_controller_set_capacity(scaler->controller, capacity);
    }
    if (code == TW_OK || code == TW_NOT_FOUND) {
        code = scale_journal_last_order(state, name, &order, &err);
        if (code == TW_OK) {
            scaler->order = order;
            scaler->followed = order.action == SCALE_ACTION_DELIVERED &&
                               scaler->decision.replicas == order.to &&
                               scaler->decision.time_ms > order.action_ms;
            if (order.action == SCALE_ACTION_PENDING &&
                scaler->settings.target.kind != SCALE_TARGET_NONE &&
                scaler->settings.mode == SCALE_ACT)
                scaler->attempt_ms = tw_clock_wall_ms(manager->options.clock);
        }
    }
    if ((code == TW_OK || code == TW_NOT_FOUND) && scaler->fleet)
        code = scale_fleet_calls_recall(manager, scaler, &err);
    if ((code == TW_OK || code == TW_NOT_FOUND) && scale_purse_knows(scaler))
        code = scale_purse_recall(manager, scaler, &err);
    if (code != TW_OK && code != TW_NOT_FOUND)
        tw_log(TW_LOG_WARN, "autoscaler.manager", "cannot read what was decided, going on without",
               "scaler=%s error=%s", tw_log_quote(name), tw_log_quote(tw_str(err.message)));
}

static void read_history(struct scale_manager *manager, struct scaler *scaler, int64_t now)
{
    const struct scale_settings *settings = &scaler->settings;
    int64_t end = tw_floor_div(now, settings->step_ms) * settings->step_ms;
    size_t count = (size_t)(settings->history_ms / settings->step_ms);
    double *values = calloc(count, sizeof *values);
    TW_ASSERT(values != NULL);
    struct scale_source source = {manager->options.engine, scaler->fresh, manager->options.clock};
    int64_t first = end - (int64_t)(count - 1) * settings->step_ms;
    struct tw_err err;
    enum tw_code code = scale_observe_history(&source, settings, first, count, values, &err);
    if (code != TW_OK)
        tw_log(TW_LOG_WARN, "autoscaler.manager",
               "part of the history cannot be read, going on without", "scaler=%s error=%s",
               tw_log_quote(settings->name), tw_log_quote(tw_str(err.message)));
    size_t skip = 0;
    while (skip < count && isnan(values[skip]))
        skip++;
    tw_lock_take(&manager->lock);
    if (skip < count)
        scale_controller_history(scaler->controller, first + (int64_t)skip * settings->step_ms,
                                 settings->step_ms, values + skip, count - skip);
    tw_lock_release(&manager->lock);
    free(values);
}

static void begin(struct scale_manager *manager, struct scaler *scaler, int64_t now)
{
    tw_lock_take(&manager->lock);
    read_journal(manager, scaler);
    scale_trust_begin(manager, scaler);
    scale_ward_begin(manager, scaler);
    tw_lock_release(&manager->lock);
    read_history(manager, scaler, now);
    scaler->begun = true;
}

/* ---- a decision ---- */

/* What a round has to store. */
struct harvest {
    struct scale_entry *entries;
    struct scale_decision *decisions; /* behind entries: copies, as the scalers go on */
    size_t count;
    struct tsdb_sample *samples;
    struct wire_label *labels;
    size_t sample_count;
};

/* name and text: of a label that sorts before `scaler`; NULL: none. */
static void add_labelled(struct harvest *harvest, const char *metric, const char *name,
                         const char *text, struct tw_str scaler, int64_t time_ms, double value)
{
    if (!isfinite(value))
        return;
    struct wire_label *labels = harvest->labels + 3 * harvest->sample_count;
    size_t count = 0;
    labels[count++] = (struct wire_label){TW_STR(WIRE_METRIC_NAME), tw_str(metric)};
    if (text)
        labels[count++] = (struct wire_label){tw_str(name), tw_str(text)};
    labels[count++] = (struct wire_label){TW_STR("scaler"), scaler};
    harvest->samples[harvest->sample_count++] =
        (struct tsdb_sample){.labels = {labels, count}, .time_ms = time_ms, .value = value};
}

static void add_sample(struct harvest *harvest, const char *metric, const char *quantile,
                       struct tw_str scaler, int64_t time_ms, double value)
{
    add_labelled(harvest, metric, "quantile", quantile, scaler, time_ms, value);
}

/* Whether it may act, and whether what it did came about. */
static void add_trust_series(struct harvest *harvest, const struct scaler *scaler,
                             const struct scale_decision *decision)
{
    struct tw_str name = scaler->settings.name;
    const struct scale_pause *pauses = scaler->pauses.items;
    const char *metric = "tidewatch_scaler_paused";
    bool set = pauses[SCALE_PAUSE_SET].holds;
    add_labelled(harvest, metric, "direction", "in", name, decision->time_ms,
                 set || pauses[SCALE_PAUSE_IN].holds);
    add_labelled(harvest, metric, "direction", "out", name, decision->time_ms,
                 set || pauses[SCALE_PAUSE_OUT].holds);
    if (decision->ready >= 0)
        add_sample(harvest, "tidewatch_scaler_ready_replicas", NULL, name, decision->time_ms,
                   (double)decision->ready);
    if (scaler->recovery && scaler->recovery->known)
        add_sample(harvest, "tidewatch_scaler_failing_instances", NULL, name, decision->time_ms,
                   (double)scaler->recovery->failing);
    if (scaler->settings.mode == SCALE_ACT && scaler->settings.target.lease)
        add_sample(harvest, "tidewatch_scaler_leading", NULL, name, decision->time_ms,
                   !scaler->standby);
    if (scaler->settings.mode == SCALE_ACT)
        add_sample(harvest, "tidewatch_scaler_overdue_replicas", NULL, name, decision->time_ms,
                   (double)scale_verification_missing(&scaler->verification));
}

static void add_pools(struct harvest *harvest, const struct scaler *scaler,
                      const struct scale_decision *decision)
{
    struct tw_str name = scaler->settings.name;
    int64_t now = decision->time_ms;
    for (size_t i = 0; i < decision->allocation.count; i++) {
        const struct scale_share *share = &decision->allocation.shares[i];
        const struct scale_fleet_member *member = &scaler->fleet->members[i];
        const char *pool = member->settings->name.data; /* an arena's copy: it ends with a NUL */
        add_labelled(harvest, "tidewatch_scaler_pool_desired_replicas", "pool", pool, name, now,
                     (double)share->after);
        add_labelled(harvest, "tidewatch_scaler_pool_replicas", "pool", pool, name, now,
                     share->replicas >= 0 ? (double)share->replicas : NAN);
        add_labelled(harvest, "tidewatch_scaler_pool_ready", "pool", pool, name, now,
                     share->ready >= 0 ? (double)share->ready : NAN);
        add_labelled(harvest, "tidewatch_scaler_pool_out", "pool", pool, name, now,
                     member->health.state != SCALE_POOL_SERVING);
    }
}

static void add_costs(struct harvest *harvest, struct tw_str name,
                      const struct scale_decision *decision)
{
    const struct scale_budget_state *state = &decision->budget;
    int64_t now = decision->time_ms;
    if (!state->known)
        return;
    add_sample(harvest, "tidewatch_scaler_cost_per_hour", NULL, name, now, state->cost_per_hour);
    for (int p = 0; p < SCALE_PERIODS; p++) {
        const char *period = scale_period_names[p];
        add_labelled(harvest, "tidewatch_scaler_spent", "period", period, name, now,
                     state->spent[p]);
        add_labelled(harvest, "tidewatch_scaler_spent_forecast", "period", period, name, now,
                     state->forecast[p]);
        add_labelled(harvest, "tidewatch_scaler_budget", "period", period, name, now,
                     state->caps[p]);
    }
    add_sample(harvest, "tidewatch_scaler_budget_reached", NULL, name, now,
               state->at_cap != SCALE_AT_CAP_NONE);
}

static void add_series(struct harvest *harvest, const struct scaler *scaler,
                       const struct scale_decision *decision)
{
    struct tw_str name = scaler->settings.name;
    int64_t now = decision->time_ms;
    static const char *const metric = "tidewatch_scaler_forecast";
    add_sample(harvest, "tidewatch_scaler_load", NULL, name, now, decision->load);
    add_sample(harvest, metric, "0.5", name, now, decision->q50);
    add_sample(harvest, metric, "0.95", name, now, decision->q95);
    if (strcmp(scaler->quantile_text, "0.5") && strcmp(scaler->quantile_text, "0.95"))
        add_sample(harvest, metric, scaler->quantile_text, name, now, decision->used);
    if (scale_decision_is_blind(decision))
        return; /* another scaler may read the wanted replicas, and would go down to the minimum */
    add_sample(harvest, "tidewatch_scaler_desired_replicas", NULL, name, now, (double)decision->to);
    if (decision->replicas >= 0)
        add_sample(harvest, "tidewatch_scaler_replicas", NULL, name, now,
                   (double)decision->replicas);
    add_sample(harvest, "tidewatch_scaler_capacity", NULL, name, now,
               (double)decision->to * decision->capacity);
    add_pools(harvest, scaler, decision);
    add_costs(harvest, name, decision);
}

static void add_entry(struct harvest *harvest, struct scaler *scaler,
                      const struct scale_decision *decision, bool with_memory)
{
    struct scale_decision *copy = &harvest->decisions[harvest->count];
    *copy = *decision;
    harvest->entries[harvest->count++] = (struct scale_entry){
        .name = scaler->settings.name,
        .decision = copy,
        .policy = with_memory ? scale_controller_policy(scaler->controller) : NULL,
        .startup = with_memory ? scale_controller_startup(scaler->controller) : NULL,
        .capacity = scale_controller_capacity(scaler->controller),
    };
    struct scale_entry *entry = &harvest->entries[harvest->count - 1];
    entry->fleet.data = scale_fleet_calls_encode(scaler->fleet, &entry->fleet.size);
    if (with_memory)
        entry->ledger.data = scale_purse_encode(scaler, &entry->ledger.size);
}

static void decide(struct scale_manager *manager, struct scaler *scaler, int64_t now,
                   struct harvest *harvest)
{
    struct scale_source source = {manager->options.engine, scaler->fresh, manager->options.clock};
    struct scale_observation observation;
    struct scale_decision decision, superseded;
    char error_text[SCALE_ERROR_BYTES];
    struct scale_news news;
    struct scale_instances instances;
    struct scale_recovery_news recovery_news;
    struct scale_recovery *kept;
    scale_instances_ask(manager, &source, &scaler->settings, now, &instances);
    scale_observe(&source, &scaler->settings, now, &observation, error_text);
    tw_lock_take(&manager->lock);
    scaler_fill(scaler, &observation);
    tw_lock_release(&manager->lock);
    scale_observe_sources(&source, &scaler->settings, scaler->listeners, &observation, error_text);
    tw_lock_take(&manager->lock);
    scale_trust_before(scaler, now, &news);
    scale_controller_decide(scaler->controller, &observation, &decision);
    scale_purse_apply(manager, scaler, &decision);
    scaler_order(scaler, &decision, &superseded);
    if (scaler->decision.count && scale_decision_same(&scaler->decision, &decision) &&
        decision.time_ms > scaler->decision.time_ms) {
        decision.since_ms = scaler->decision.since_ms;
        decision.count = scaler->decision.count + 1;
    }
    scaler->decision = decision;
    scale_trust_after(scaler, &decision, &news);
    scale_ward_look(scaler, &decision, &instances, &recovery_news, &kept);
    if (superseded.key[0])
        add_entry(harvest, scaler, &superseded, false);
    add_entry(harvest, scaler, &decision, true);
    add_series(harvest, scaler, &decision);
    add_trust_series(harvest, scaler, &decision);
    tw_lock_release(&manager->lock);
    scale_trust_store(manager, &news);
    scale_ward_store(manager, scaler, &recovery_news, kept);
    scale_instances_fini(&instances);
    tw_metric_add(manager->counted.decisions, 1);
    if (decision.from >= 0 && decision.to != decision.from)
        tw_metric_add(manager->counted.changes, 1);
    if (decision.data != SCALE_DATA_OK && decision.data != SCALE_DATA_PARTIAL)
        tw_metric_add(manager->counted.holds, 1);
    if (decision.data == SCALE_DATA_ERROR) {
        tw_metric_add(manager->counted.query_failures, 1);
        tw_log(TW_LOG_WARN, "autoscaler.manager", "the load query failed, holding the replicas",
               "scaler=%s error=%s", tw_log_quote(scaler->settings.name),
               tw_log_quote(tw_str(error_text)));
    }
}

/* Returns whether the decisions are durable: only then may they be sent (I1). */
static bool store(struct scale_manager *manager, const struct harvest *harvest)
{
    struct tw_err err;
    enum tw_code code =
        scale_journal_write(manager->options.state, harvest->entries, harvest->count, &err);
    if (code != TW_OK) {
        tw_metric_add(manager->counted.store_failures, 1);
        tw_log(TW_LOG_ERROR, "autoscaler.manager", "cannot store decisions, sending none",
               "error=%s", tw_log_quote(tw_str(err.message)));
    }
    struct tw_context context;
    tw_context_init(&context, manager->options.clock);
    if (harvest->sample_count) {
        enum tw_code appended = tsdb_append(manager->options.storage, &context, harvest->samples,
                                            harvest->sample_count, &err);
        if (appended != TW_OK) {
            tw_metric_add(manager->counted.store_failures, 1);
            tw_log(TW_LOG_WARN, "autoscaler.manager", "cannot store the scalers' series, going on",
                   "error=%s", tw_log_quote(tw_str(err.message)));
        }
    }
    return code == TW_OK;
}

/* ---- acting ---- */

struct call {
    struct scale_manager *manager;
    uint64_t id;
    struct scale_attempt *attempt;
};

static struct scaler *find_by_id_locked(struct scale_manager *manager, uint64_t id)
{
    tw_lock_assert_held(&manager->lock);
    for (size_t i = 0; i < manager->scaler_count; i++)
        if (manager->scalers[i]->id == id)
            return manager->scalers[i];
    return NULL;
}

static void note_leader(struct scaler *scaler, const struct scale_attempt *attempt)
{
    if (!attempt->lease_known)
        return;
    scaler->takes_over = scaler->takes_over || (scaler->standby && !attempt->standby);
    if (scaler->standby != attempt->standby)
        tw_log(TW_LOG_INFO, "autoscaler.manager",
               attempt->standby ? "standing by" : "this server acts from now on",
               "scaler=%s why=%s", tw_log_quote(attempt->scaler),
               tw_log_quote(tw_str(attempt->leader)));
    scaler->standby = attempt->standby;
    memcpy(scaler->leader, attempt->leader, sizeof scaler->leader);
}

/* Notes an attempt's outcome, in memory and in the journal. */
static void settle(struct call *call)
{
    struct scale_manager *manager = call->manager;
    struct scale_attempt *attempt = call->attempt;
    struct scale_decision order = {0};
    struct scale_news news;
    char name[SCALE_NAME_BYTES_MAX];
    size_t name_bytes = 0;
    int64_t now = tw_clock_wall_ms(manager->options.clock);
    tw_lock_take(&manager->lock);
    struct scaler *scaler = find_by_id_locked(manager, call->id);
    if (scaler)
        scaler->under_way = false;
    if (scaler && strcmp(scaler->order.key, attempt->key) == 0 &&
        scaler->order.action == SCALE_ACTION_PENDING) {
        note_leader(scaler, attempt);
        scaler->attempt_ms = scale_attempt_settle(attempt, now, &scaler->order);
        order = scaler->order;
        name_bytes = scaler->settings.name.size;
        memcpy(name, scaler->settings.name.data, name_bytes);
        scale_trust_settle(scaler, &order, &news);
        news.scaler = (struct tw_str){name, name_bytes}; /* outlives the scaler */
        if (strcmp(scaler->decision.key, order.key) == 0)
            scaler->decision = order;
        if (order.action == SCALE_ACTION_FAILED && order.from >= 0) {
            struct scale_decision before = order; /* nothing changed: decide from what was there */
            before.to = order.from;
            scale_controller_resume(scaler->controller, &before);
        }
    }
    manager->nudged = true;
    tw_cond_broadcast(&manager->wake);
    tw_lock_release(&manager->lock);
    bool delivered = attempt->outcome == SCALE_DONE;
    tw_metric_add(delivered ? manager->counted.attempts_ok : manager->counted.attempts_failed, 1);
    if (!order.key[0])
        return;
    struct scale_entry entry = {.name = {name, name_bytes}, .decision = &order};
    struct tw_err err;
    scale_trust_store(manager, &news);
    if (scale_journal_write(manager->options.state, &entry, 1, &err) != TW_OK)
        tw_log(TW_LOG_ERROR, "autoscaler.manager",
               "cannot record a attempt's result, it may be sent again after a restart",
               "key=%s error=%s", tw_log_quote(tw_str(order.key)),
               tw_log_quote(tw_str(err.message)));
    if (delivered)
        tw_log(TW_LOG_INFO, "autoscaler.manager", "scaled", "scaler=%s from=%lld to=%lld key=%s",
               tw_log_quote(entry.name), (long long)order.from, (long long)order.to,
               tw_log_quote(tw_str(order.key)));
    else
        tw_log(TW_LOG_WARN, "autoscaler.manager",
               order.action == SCALE_ACTION_PENDING
                   ? "the target did not take a decision, trying again"
                   : "the target did not take a decision, giving it up",
               "scaler=%s to=%lld attempts=%u error=%s", tw_log_quote(entry.name),
               (long long)order.to, order.attempts, tw_log_quote(tw_str(order.error)));
}

/* Keeps what a look found. */
static void settle_look(struct call *call)
{
    struct scale_manager *manager = call->manager;
    const struct scale_attempt *attempt = call->attempt;
    bool news = false;
    tw_lock_take(&manager->lock);
    struct scaler *scaler = find_by_id_locked(manager, call->id);
    if (scaler) {
        scaler->under_way = false;
        note_leader(scaler, attempt);
        news = attempt->outcome != SCALE_DONE && !scaler->seen.error[0];
        scaler->seen.time_ms = tw_clock_wall_ms(manager->options.clock);
        scaler->seen.replicas = attempt->outcome == SCALE_DONE ? attempt->replicas : -1;
        scaler->seen.ready = attempt->outcome == SCALE_DONE ? attempt->ready : -1;
        memcpy(scaler->seen.error, attempt->error, sizeof scaler->seen.error);
    }
    if (scaler && scaler->attempt_ms != INT64_MAX) { /* an order came meanwhile */
        manager->nudged = true;
        tw_cond_broadcast(&manager->wake);
    }
    tw_lock_release(&manager->lock);
    if (attempt->outcome != SCALE_DONE)
        tw_metric_add(manager->counted.looks_failed, 1);
    if (news)
        tw_log(TW_LOG_WARN, "autoscaler.manager", "cannot read how many replicas there are",
               "scaler=%s error=%s", tw_log_quote(attempt->scaler),
               tw_log_quote(tw_str(attempt->error)));
}

static void finish_call(struct call *call)
{
    if (call->attempt->instance)
        scale_ward_settle(call->manager, call->id, call->attempt);
    else if (call->attempt->to >= 0)
        settle(call);
    else
        settle_look(call);
    scale_attempt_free(call->attempt);
    free(call);
}

static void make_call(void *argument)
{
    struct call *call = argument;
    scale_attempt_run(call->attempt);
    finish_call(call);
}

/* What is to be done at the target now, NULL for nothing. */
static struct scale_attempt *next_attempt_locked(struct scale_manager *manager,
                                                 struct scaler *scaler, int64_t now)
{
    if (scaler->under_way)
        return NULL;
    if (scaler->attempt_ms <= now && scaler->order.key[0] &&
        scaler->order.action == SCALE_ACTION_PENDING && scaler->settings.mode == SCALE_ACT &&
        scaler->settings.target.kind != SCALE_TARGET_NONE) {
        scaler->attempt_ms = INT64_MAX;
        scaler->look_ms = now; /* and look soon what became of it */
        return scale_attempt_new(manager->means, &scaler->settings, &scaler->order);
    }
    if (scaler->replace[0]) {
        char key[SCALE_KEY_BYTES], reason[SCALE_PATIENT_NAME_BYTES + 32];
        snprintf(key, sizeof key, "%.*s-replace-%lld", TW_STR_ARG(scaler->settings.name),
                 (long long)now);
        snprintf(reason, sizeof reason, "%s fails its health rule", scaler->replace);
        struct scale_attempt *attempt = scale_attempt_new_replace(manager->means, &scaler->settings,
                                                                  scaler->replace, reason, key);
        scaler->replace[0] = 0;
        return attempt;
    }
    if (scaler->look_ms > now + scaler->settings.tick_ms)
        scaler->look_ms = now; /* the clock was set back */
    if (!scaler_looks(scaler) || scaler->look_ms > now)
        return NULL;
    scaler->look_ms = now + scaler->settings.tick_ms;
    return scale_attempt_new_look(manager->means, &scaler->settings);
}

/* Starts the attempts that are due. */
static void act(struct scale_manager *manager, int64_t now)
{
    for (size_t i = 0;; i++) {
        struct call *call = NULL;
        tw_lock_take(&manager->lock);
        struct scaler *scaler = i < manager->scaler_count ? manager->scalers[i] : NULL;
        struct scale_attempt *attempt = scaler ? next_attempt_locked(manager, scaler, now) : NULL;
        if (attempt) {
            call = calloc(1, sizeof *call);
            TW_ASSERT(call != NULL);
            *call = (struct call){manager, scaler->id, attempt};
            scaler->under_way = true;
        }
        tw_lock_release(&manager->lock);
        if (!scaler)
            return;
        if (!call)
            continue;
        struct tw_err err;
        if (!manager->callers) {
            make_call(call);
        } else if (tw_workers_give(manager->callers, make_call, call, &err) != TW_OK) {
            scale_attempt_fail(call->attempt, SCALE_AGAIN, "%s", err.message);
            finish_call(call);
        }
    }
}

/* What could not be stored is not sent (I1); the next tick decides anew. */
static void forget_orders(struct scale_manager *manager, int64_t now)
{
    tw_lock_take(&manager->lock);
    for (size_t i = 0; i < manager->scaler_count; i++) {
        struct scaler *scaler = manager->scalers[i];
        struct scale_decision *order = &scaler->order;
        if (!order->key[0] || order->time_ms != now || order->attempts)
            continue;
        struct scale_decision before = *order;
        before.to = order->from;
        scale_controller_resume(scaler->controller, &before);
        order->key[0] = 0;
        scaler->attempt_ms = INT64_MAX;
        if (scaler->fleet)
            scale_fleet_forget(scaler->fleet, now);
        scaler->decision.key[0] = 0;
        scaler->decision.action = SCALE_ACTION_NONE;
    }
    tw_lock_release(&manager->lock);
}

/* ---- learning ---- */

/* New fits wait until the decisions are on their way, and take a bounded time of each round: what
 * is left waits for the next ones, a second later. */
static void learn(struct scale_manager *manager)
{
    int64_t until = tw_clock_mono_ns(manager->options.clock) + FIT_NS_MAX;
    for (size_t i = 0; i < manager->scaler_count; i++) {
        struct scale_controller *controller = manager->scalers[i]->controller;
        if (!scale_controller_fit_due(controller))
            continue;
        int64_t started = tw_clock_mono_ns(manager->options.clock);
        if (started >= until)
            return;
        /* Only rounds change what a fit looks at, and `round` is held. */
        struct scale_fit fit = scale_controller_fit(controller);
        tw_lock_take(&manager->lock);
        scale_controller_take(controller, &fit);
        tw_lock_release(&manager->lock);
        tw_metric_observe(manager->counted.fit_seconds,
                          (double)(tw_clock_mono_ns(manager->options.clock) - started) / 1e9);
    }
}

/* ---- the round ---- */

static struct harvest harvest_new(size_t scalers, size_t pools)
{
    size_t samples = (SERIES_EACH + SERIES_COST) * scalers + SERIES_POOL * pools + 1;
    struct harvest harvest = {0};
    harvest.entries = calloc(2 * scalers + 1, sizeof *harvest.entries);
    harvest.decisions = calloc(2 * scalers + 1, sizeof *harvest.decisions);
    harvest.samples = calloc(samples, sizeof *harvest.samples);
    harvest.labels = calloc(3 * samples, sizeof *harvest.labels);
    TW_ASSERT(harvest.entries && harvest.decisions && harvest.samples && harvest.labels);
    return harvest;
}

static void harvest_free(struct harvest *harvest)
{
    for (size_t i = 0; i < harvest->count; i++) {
        free((char *)(uintptr_t)harvest->entries[i].fleet.data);
        free((char *)(uintptr_t)harvest->entries[i].ledger.data);
    }
    free(harvest->entries);
    free(harvest->decisions);
    free(harvest->samples);
    free(harvest->labels);
}

static int64_t next_due(struct scale_manager *manager)
{
    int64_t due = INT64_MAX;
    tw_lock_take(&manager->lock);
    for (size_t i = 0; i < manager->scaler_count; i++) {
        const struct scaler *scaler = manager->scalers[i];
        due = scaler->due_ms < due ? scaler->due_ms : due;
        if (!scaler->under_way)
            due = scaler->attempt_ms < due ? scaler->attempt_ms : due;
        if (scaler->fleet && scale_fleet_due(scaler->fleet) < due)
            due = scale_fleet_due(scaler->fleet);
    }
    tw_lock_release(&manager->lock);
    return due;
}

int64_t scale_manager_round(struct scale_manager *manager)
{
    TW_CHECK_MAGIC(manager, MANAGER_MAGIC);
    tw_lock_take(&manager->round);
    int64_t started = tw_clock_mono_ns(manager->options.clock);
    int64_t now = tw_clock_wall_ms(manager->options.clock);
    size_t due = 0, pools = 0;
    /* The list changes only under `round`, which is held. */
    for (size_t i = 0; i < manager->scaler_count; i++) {
        struct scaler *scaler = manager->scalers[i];
        /* A clock that was set back must not silence a scaler. */
        if (scaler->due_ms > now + scaler->settings.tick_ms)
            scaler->due_ms = now;
        due += scaler->due_ms <= now;
        pools += scaler->settings.fleet.count;
    }
    if (due) {
        struct harvest harvest = harvest_new(due, pools);
        for (size_t i = 0; i < manager->scaler_count; i++) {
            struct scaler *scaler = manager->scalers[i];
            if (scaler->due_ms > now)
                continue;
            if (!scaler->begun)
                begin(manager, scaler, now);
            decide(manager, scaler, now, &harvest);
            int64_t tick = scaler->settings.tick_ms;
            int64_t next = (tw_floor_div(now, tick) + 1) * tick;
            tw_lock_take(&manager->lock);
            scaler->due_ms = next;
            tw_lock_release(&manager->lock);
        }
        bool durable = store(manager, &harvest);
        harvest_free(&harvest);
        tw_metric_observe(manager->counted.seconds,
                          (double)(tw_clock_mono_ns(manager->options.clock) - started) / 1e9);
        if (!durable)
            forget_orders(manager, now);
    }
    act(manager, now);
    scale_fleet_calls_act(manager, now);
    learn(manager);
    tw_lock_release(&manager->round);
    return next_due(manager);
}

static void run(void *argument)
{
    struct scale_manager *manager = argument;
    for (;;) {
        int64_t due = scale_manager_round(manager);
        tw_lock_take(&manager->lock);
        while (!manager->stopping && !manager->nudged) {
            int64_t now = tw_clock_wall_ms(manager->options.clock);
            if (due <= now)
                break;
            int64_t wait = due - now > LOOK_NS_MAX / 1000000 ? LOOK_NS_MAX : (due - now) * 1000000;
            if (!tw_cond_wait_ns(&manager->wake, &manager->lock, wait) && wait == LOOK_NS_MAX)
                break; /* look at the clock anew: a round with nothing due costs nothing */
        }
        manager->nudged = false;
        bool stopping = manager->stopping;
        tw_lock_release(&manager->lock);
        if (stopping)
            return;
    }
}

enum tw_code scale_manager_start(struct scale_manager *manager, struct tw_err *err)
{
    TW_CHECK_MAGIC(manager, MANAGER_MAGIC);
    TW_ASSERT(!manager->thread.running);
    manager->stopping = false;
    enum tw_code code =
        tw_workers_new("scale-call", CALLERS, CALLS_QUEUED_MAX, &manager->callers, err);
    if (code != TW_OK)
        return code;
    code = tw_thread_start(&manager->thread, "scaler", run, manager, err);
    if (code != TW_OK)
        manager->callers = tw_workers_free(manager->callers);
    return code;
}

void scale_manager_stop(struct scale_manager *manager)
{
    TW_CHECK_MAGIC(manager, MANAGER_MAGIC);
    tw_lock_take(&manager->lock);
    manager->stopping = true;
    tw_cond_broadcast(&manager->wake);
    tw_lock_release(&manager->lock);
    tw_thread_join(&manager->thread);
    if (manager->callers)
        manager->callers = tw_workers_free(manager->callers);
}
