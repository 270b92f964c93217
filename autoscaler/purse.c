/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/purse.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define LEDGER_BYTES_MAX 65536

bool scale_purse_knows(const struct scaler *scaler)
{
    const struct scale_fleet_settings *fleet = &scaler->settings.fleet;
    bool knows = fleet->kind != SCALE_FLEET_NONE || !isnan(scaler->settings.cost_per_hour);
    for (size_t i = 0; i < fleet->count; i++)
        knows = knows && !isnan(fleet->members[i].cost_per_hour);
    return knows;
}

/* Of what there is now. */
static double present_cost(const struct scaler *scaler, const struct scale_decision *decision)
{
    if (scaler->fleet)
        return scale_fleet_cost(scaler->fleet, decision->time_ms);
    int64_t there = decision->replicas >= 0 ? decision->replicas
                    : decision->from >= 0   ? decision->from
                                            : decision->to;
    return (double)there * scaler->settings.cost_per_hour;
}

/* Of a replica; with pools or types what one cost on the average when last shares were made. */
static double unit_cost(const struct scaler *scaler)
{
    const struct scale_allocation *allocation = &scaler->decision.allocation;
    const struct scale_fleet_settings *fleet = &scaler->settings.fleet;
    if (fleet->kind == SCALE_FLEET_NONE)
        return scaler->settings.cost_per_hour;
    if (allocation->kind != SCALE_FLEET_NONE && allocation->placed > 0 &&
        isfinite(allocation->cost_per_hour))
        return allocation->cost_per_hour / (double)allocation->placed;
    double highest = 0;
    for (size_t i = 0; i < fleet->count; i++)
        highest =
            fmax(highest, fleet->members[i].cost_per_hour / (double)fleet->members[i].carries);
    return highest;
}

/* ---- shared budgets ---- */

static const struct scale_shared_budget *find_shared(const struct scale_manager *manager,
                                                     struct tw_str name)
{
    for (size_t i = 0; name.size && i < manager->budget_count; i++)
        if (tw_str_equal(manager->budgets[i].name, name))
            return &manager->budgets[i];
    return NULL;
}

struct table {
    struct scale_claim *claims;
    struct scaler **scalers;
    size_t count;
    double spent[SCALE_PERIODS], cost;
};

/* Those that share the budget, with what each needs and what is theirs. */
static struct table sit_down(const struct scale_manager *manager,
                             const struct scale_shared_budget *shared, int64_t now_ms)
{
    struct table table = {calloc(manager->scaler_count + 1, sizeof *table.claims),
                          calloc(manager->scaler_count + 1, sizeof *table.scalers),
                          0,
                          {0},
                          0};
    TW_ASSERT(table.claims && table.scalers);
    for (size_t i = 0; i < manager->scaler_count; i++) {
        struct scaler *scaler = manager->scalers[i];
        if (!tw_str_equal(scaler->settings.budget.shared, shared->name))
            continue;
        for (int p = 0; p < SCALE_PERIODS; p++) {
            bool present = scale_ledger_end_ms(&scaler->ledger, (enum scale_period)p, now_ms) ==
                           scale_ledger_end_ms(&scaler->ledger, (enum scale_period)p,
                                               scaler->ledger.charged_ms);
            table.spent[p] += present ? scaler->ledger.spent[p] : 0;
        }
        table.cost += scaler->ledger.rate;
        if (scaler->need < 0)
            continue; /* it has decided nothing yet */
        table.claims[table.count] =
            (struct scale_claim){.need = scaler->need,
                                 .min = scaler->need_min,
                                 .priority = scaler->settings.budget.priority,
                                 .unit_cost = unit_cost(scaler)};
        table.scalers[table.count++] = scaler;
    }
    scale_budget_divide(table.claims, table.count, shared->per_hour, shared->replicas);
    return table;
}

static void rise(struct table *table)
{
    free(table->claims);
    free(table->scalers);
}

/* What the shared budget leaves of `to`. */
static int64_t share(const struct scale_manager *manager, const struct scaler *scaler, int64_t to,
                     struct scale_decision *decision)
{
    const struct scale_shared_budget *shared = find_shared(manager, scaler->settings.budget.shared);
    struct scale_budget_state *state = &decision->budget;
    if (!shared)
        return to;
    char whose[SCALE_BUDGET_NAME_BYTES_MAX + 16];
    snprintf(whose, sizeof whose, "budget %.*s:", TW_STR_ARG(shared->name));
    struct table table = sit_down(manager, shared, decision->time_ms);
    enum scale_at_cap before = state->at_cap;
    scale_budget_judge(&shared->caps, table.spent, whose, state);
    if (state->at_cap != before)
        to = scale_budget_cut(state->at_cap, decision->from, to, decision->min);
    for (size_t i = 0; i < table.count; i++)
        if (table.scalers[i] == scaler && table.claims[i].granted < to) {
            to = table.claims[i].granted;
            snprintf(state->text, sizeof state->text,
                     "budget %.*s allows %lld of %lld replicas at priority %lld beside the %zu "
                     "other%s that share it",
                     TW_STR_ARG(shared->name), (long long)to, (long long)scaler->need,
                     (long long)table.claims[i].priority, table.count - 1,
                     table.count == 2 ? "" : "s");
        }
    rise(&table);
    return to;
}

/* ---- a decision ---- */

static void fill(const struct scaler *scaler, double cost, struct scale_decision *decision)
{
    struct scale_budget_state *state = &decision->budget;
    *state = (struct scale_budget_state){.known = true, .cost_per_hour = cost};
    for (int p = 0; p < SCALE_PERIODS; p++) {
        state->spent[p] = scaler->ledger.spent[p];
        state->forecast[p] =
            scale_ledger_forecast(&scaler->ledger, (enum scale_period)p, decision->time_ms);
        state->caps[p] = scaler->settings.budget.caps[p];
    }
}

/* What the scaler asks of a shared budget: where it goes only that far at once, what it goes to.
 * Else its part would shrink each time that it takes a step towards it, and it would step back. */
static int64_t need_of(const struct scale_decision *decision)
{
    int64_t need = decision->to;
    for (size_t i = 0; i < decision->guard_count; i++) {
        const struct scale_guard_act *act = &decision->guards[i];
        if (act->guard == SCALE_GUARD_PAUSE)
            return decision->to;
        if (act->guard == SCALE_GUARD_RATE && act->before > need)
            need = act->before < decision->max ? act->before : decision->max;
    }
    return need;
}

void scale_purse_apply(struct scale_manager *manager, struct scaler *scaler,
                       struct scale_decision *decision)
{
    tw_lock_assert_held(&manager->lock);
    decision->budget = (struct scale_budget_state){0};
    if (!scale_purse_knows(scaler) || scale_decision_is_blind(decision))
        return;
    double cost = present_cost(scaler, decision);
    scale_ledger_charge(&scaler->ledger, decision->time_ms, cost);
    fill(scaler, cost, decision);
    scaler->need = need_of(decision);
    scaler->need_min = decision->min;
    struct scale_budget_state *state = &decision->budget;
    scale_budget_judge(&scaler->settings.budget, state->spent, "its", state);
    int64_t to = scale_budget_cut(state->at_cap, decision->from, decision->to, decision->min);
    to = share(manager, scaler, to, decision);
    /* No scale-in on bad data, whatever it costs. */
    bool good = decision->data == SCALE_DATA_OK;
    if (!good && decision->from >= 0 && to < decision->from && to < decision->to)
        to = decision->from < decision->to ? decision->from : decision->to;
    /* Nor where somebody said how many, or stopped scale-in: what is spent is said all the same. */
    const struct scale_pause *pauses = scaler->pauses.items;
    if (pauses[SCALE_PAUSE_SET].holds)
        to = decision->to;
    else if (pauses[SCALE_PAUSE_IN].holds && decision->from >= 0 && to < decision->from)
        to = decision->from < decision->to ? decision->from : decision->to;
    if (to == decision->to)
        return;
    scale_decision_note(decision, SCALE_GUARD_BUDGET, decision->to, to, "%s", state->text);
    decision->to = to;
    size_t length = strlen(decision->reason);
    snprintf(decision->reason + length, sizeof decision->reason - length, " Money: %s.",
             state->text);
    scale_controller_resume(scaler->controller, decision);
    tw_metric_add(manager->counted.budget_cuts, 1);
}

/* ---- over a restart and a reload ---- */

char *scale_purse_encode(const struct scaler *scaler, size_t *ret_bytes)
{
    if (!scale_purse_knows(scaler) || !scaler->ledger.charged_ms)
        return NULL;
    struct tw_buf bytes;
    tw_buf_init(&bytes, LEDGER_BYTES_MAX);
    scale_ledger_encode(&scaler->ledger, &bytes);
    TW_ASSERT(!bytes.overflow);
    return tw_buf_take(&bytes, ret_bytes);
}

enum tw_code scale_purse_recall(struct scale_manager *manager, struct scaler *scaler,
                                struct tw_err *err)
{
    struct tw_buf bytes;
    struct tw_str name = scaler->settings.name;
    tw_buf_init(&bytes, LEDGER_BYTES_MAX);
    enum tw_code code = scale_journal_ledger(manager->options.state, name, &bytes, err);
    if (code == TW_OK && !scale_ledger_decode(&scaler->ledger, tw_buf_str(&bytes)))
        code = tw_err_set(err, TW_CORRUPT, "what scaler '%.*s' has spent is damaged",
                          TW_STR_ARG(name));
    tw_buf_fini(&bytes);
    return code;
}

void scale_purse_take_over(struct scaler *scaler, const struct scaler *old)
{
    int64_t offset = scaler->ledger.offset_ms;
    scaler->ledger = old->ledger;
    scaler->ledger.offset_ms = offset;
    scaler->need = old->need;
    scaler->need_min = old->need_min;
}

void scale_manager_set_budgets(struct scale_manager *manager,
                               const struct scale_shared_budget *items, size_t count)
{
    struct tw_arena *arena = tw_arena_new(1024);
    struct scale_shared_budget *copies = TW_ARENA_ARRAY(arena, struct scale_shared_budget, count);
    for (size_t i = 0; i < count; i++) {
        copies[i] = items[i];
        copies[i].name = tw_arena_str(arena, items[i].name);
        copies[i].caps.shared = (struct tw_str){0};
    }
    tw_lock_take(&manager->lock);
    struct tw_arena *old = manager->budget_arena;
    manager->budget_arena = arena;
    manager->budgets = copies;
    manager->budget_count = count;
    tw_lock_release(&manager->lock);
    tw_arena_free(old);
}

/* ---- showing ---- */

static void write_limit(struct tw_json_writer *writer, const char *key, int64_t replicas)
{
    tw_json_key(writer, tw_str(key));
    if (replicas != INT64_MAX)
        tw_json_write_int(writer, replicas);
    else
        tw_json_write_null(writer);
}

static double foresee(const struct scale_manager *manager, const struct scale_shared_budget *shared,
                      enum scale_period period, int64_t now_ms)
{
    double sum = 0;
    for (size_t i = 0; i < manager->scaler_count; i++)
        if (tw_str_equal(manager->scalers[i]->settings.budget.shared, shared->name))
            sum += scale_ledger_forecast(&manager->scalers[i]->ledger, period, now_ms);
    return sum;
}

static void write_shared(const struct scale_manager *manager,
                         const struct scale_shared_budget *shared, int64_t now_ms,
                         struct tw_json_writer *writer)
{
    struct table table = sit_down(manager, shared, now_ms);
    tw_json_begin_object(writer);
    tw_json_member_str(writer, "name", shared->name);
    tw_json_member_number(writer, "per_hour", shared->per_hour);
    write_limit(writer, "replicas", shared->replicas);
    tw_json_member_number(writer, "cost_per_hour", table.cost);
    for (int p = 0; p < SCALE_PERIODS; p++) {
        tw_json_key(writer, tw_str(scale_period_names[p]));
        tw_json_begin_object(writer);
        tw_json_member_number(writer, "spent", table.spent[p]);
        tw_json_member_number(writer, "forecast",
                              foresee(manager, shared, (enum scale_period)p, now_ms));
        tw_json_member_number(writer, "cap", shared->caps.caps[p]);
        tw_json_end_object(writer);
    }
    tw_json_member_cstr(writer, "at_cap", scale_at_cap_name(shared->caps.at_cap));
    tw_json_key(writer, TW_STR("scalers"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < table.count; i++) {
        tw_json_begin_object(writer);
        tw_json_member_str(writer, "name", table.scalers[i]->settings.name);
        tw_json_member_int(writer, "priority", table.claims[i].priority);
        tw_json_member_int(writer, "min", table.claims[i].min);
        tw_json_member_int(writer, "need", table.claims[i].need);
        tw_json_member_int(writer, "granted", table.claims[i].granted);
        tw_json_member_number(writer, "cost_per_replica", table.claims[i].unit_cost);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
    tw_json_end_object(writer);
    rise(&table);
}

enum tw_http_verdict scale_purse_answer(void *user, struct tw_http_exchange *exchange)
{
    struct scale_manager *manager = user;
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, &exchange->response.body);
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "status", "success");
    tw_json_key(&writer, TW_STR("data"));
    tw_json_begin_object(&writer);
    tw_json_key(&writer, TW_STR("budgets"));
    tw_json_begin_array(&writer);
    int64_t now = tw_clock_wall_ms(manager->options.clock);
    tw_lock_take(&manager->lock);
    for (size_t i = 0; i < manager->budget_count; i++)
        write_shared(manager, &manager->budgets[i], now, &writer);
    tw_lock_release(&manager->lock);
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}
