/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/evaluator.h"

#include <stdlib.h>
#include <string.h>

#include "alerts/evaluator_int.h"
#include "base/assert.h"
#include "base/hash.h"

#define EVALUATOR_MAGIC 0xA1E27E7Au
#define ARENA_BYTES (64 * 1024)

static double read_states(const struct alert_evaluator *evaluator, enum alert_state state)
{
    const struct alert_rule_set *set = evaluator->set;
    size_t count = 0;
    for (size_t i = 0; set != NULL && i < set->group_count; i++)
        for (size_t k = 0; k < set->groups[i].group->count; k++)
            for (size_t a = 0; a < set->groups[i].rules[k].actives.count; a++)
                count += set->groups[i].rules[k].actives.items[a].record.state == state;
    return (double)count;
}

static void register_metrics(struct alert_evaluator *e)
{
    struct tw_metrics *m = e->options.metrics;
    if (m == NULL)
        return;
    e->metrics.evaluations = tw_metrics_counter(m, "tidewatch_rule_evaluations_total", "",
                                                "Rules evaluated, those that failed included.");
    e->metrics.failures = tw_metrics_counter(m, "tidewatch_rule_evaluation_failures_total", "",
                                             "Evaluations of rules that failed; states held.");
    e->metrics.iterations = tw_metrics_counter(m, "tidewatch_rule_group_iterations_total", "",
                                               "Evaluations of groups that were due.");
    e->metrics.missed = tw_metrics_counter(m, "tidewatch_rule_group_iterations_missed_total", "",
                                           "Evaluations of groups left out because the one "
                                           "before took too long.");
    e->metrics.state_failures = tw_metrics_counter(m, "tidewatch_alert_state_failures_total", "",
                                                   "Changes of alert state that could not be "
                                                   "stored at once.");
    e->metrics.dropped_states = tw_metrics_counter(m, "tidewatch_alert_states_dropped_total", "",
                                                   "Stored alert states that could not be read.");
    e->metrics.lent = tw_metrics_counter(m, "tidewatch_rule_expressions_lent_total", "",
                                         "Expressions that a rule took from another one of its "
                                         "group instead of working them out.");
    e->metrics.template_failures =
        tw_metrics_counter(m, "tidewatch_alert_template_failures_total", "",
                           "Labels and annotations whose template "
                           "failed.");
    e->metrics.pending =
        tw_metrics_gauge(m, "tidewatch_alerts", "state=\"pending\"", "Alerts by state.");
    e->metrics.firing =
        tw_metrics_gauge(m, "tidewatch_alerts", "state=\"firing\"", "Alerts by state.");
}

struct alert_evaluator *alert_evaluator_new(const struct alert_evaluator_options *options)
{
    struct alert_evaluator *evaluator = calloc(1, sizeof *evaluator);
    TW_ASSERT(evaluator != NULL);
    evaluator->magic = EVALUATOR_MAGIC;
    evaluator->options = *options;
    evaluator->arena = tw_arena_new(ARENA_BYTES);
    tw_lock_init(&evaluator->running, TW_RANK_ALERT, "alert evaluation");
    tw_lock_init(&evaluator->view, TW_RANK_ALERT_VIEW, "alert view");
    tw_context_init(&evaluator->context, options->clock);
    evaluator->context.principal = TW_STR("rules");
    register_metrics(evaluator);
    return evaluator;
}

struct alert_evaluator *alert_evaluator_free(struct alert_evaluator *evaluator)
{
    if (evaluator == NULL)
        return NULL;
    TW_CHECK_MAGIC(evaluator, EVALUATOR_MAGIC);
    alert_rule_set_free(evaluator->set);
    tw_arena_free(evaluator->arena);
    tw_lock_fini(&evaluator->running);
    tw_lock_fini(&evaluator->view);
    evaluator->magic = 0;
    free(evaluator);
    return NULL;
}

/* ---- replacing the set ---- */

/* What is left in the old set belongs to rules that are gone. */
static void retire(struct alert_evaluator *evaluator, struct alert_rule_set *old, int64_t now_ms)
{
    for (size_t i = 0; i < old->group_count; i++) {
        struct alert_group_run *group = &old->groups[i];
        for (size_t k = 0; k < group->group->count; k++) {
            struct alert_rule_run *run = &group->rules[k];
            if (run->written_count > 0)
                alert_evaluation_end_series(evaluator, run, now_ms - group->query_offset_ms);
            if (run->actives.count > 0)
                alert_evaluator_forget(evaluator, run);
        }
    }
}

enum tw_code alert_evaluator_replace(struct alert_evaluator *evaluator, struct alert_rule_set *set,
                                     struct tw_err *err)
{
    TW_CHECK_MAGIC(evaluator, EVALUATOR_MAGIC);
    enum tw_code code = TW_OK;
    tw_lock_take(&evaluator->running);
    if (evaluator->set == NULL)
        code = alert_evaluator_restore(evaluator, set, err);
    if (code != TW_OK) {
        tw_lock_release(&evaluator->running);
        alert_rule_set_free(set);
        return code;
    }
    struct alert_rule_set *old = evaluator->set;
    tw_lock_take(&evaluator->view);
    if (old != NULL)
        alert_rule_set_take(set, old);
    evaluator->set = set;
    tw_lock_release(&evaluator->view);
    if (old != NULL)
        retire(evaluator, old, tw_clock_wall_ms(evaluator->options.clock));
    alert_evaluator_announce(evaluator);
    tw_arena_reset(evaluator->arena);
    tw_lock_release(&evaluator->running);
    alert_rule_set_free(old);
    return TW_OK;
}

/* ---- the schedule ---- */

/* The group's last timestamp at or before now: k x interval + its own offset. */
static int64_t align(const struct alert_group_run *group, int64_t now_ms)
{
    int64_t offset = (int64_t)(group->id.low % (uint64_t)group->interval_ms);
    return tw_floor_div(now_ms - offset, group->interval_ms) * group->interval_ms + offset;
}

static struct alert_group_run *find_next(struct alert_rule_set *set, int64_t now_ms)
{
    struct alert_group_run *next = NULL;
    for (size_t i = 0; i < set->group_count; i++) {
        struct alert_group_run *group = &set->groups[i];
        if (group->next_ms == 0)
            group->next_ms = align(group, now_ms) + group->interval_ms;
        if (next == NULL || group->next_ms < next->next_ms)
            next = group;
    }
    return next;
}

/* What stands in several rules is worked out once, unless it reads what rules of the group write.
 */
static void make_batch(struct alert_evaluator *evaluator, struct alert_group_run *group)
{
    static const struct tw_str own[] = {{"ALERTS", 6}, {"ALERTS_FOR_STATE", 16}};
    size_t count = group->group->count;
    struct tw_str *texts = calloc(count + 1, sizeof *texts);
    struct tw_str *written = calloc(count + 2, sizeof *written);
    TW_ASSERT(texts != NULL && written != NULL);
    memcpy(written, own, sizeof own);
    for (size_t i = 0; i < count; i++) {
        const struct alert_rule *rule = group->rules[i].rule;
        texts[i] = rule->expr;
        written[i + 2] = rule->kind == ALERT_RULE_RECORD ? rule->name : own[0];
    }
    group->batch = query_batch_new(texts, count, written, count + 2,
                                   query_engine_options(evaluator->options.engine)->features);
    group->has_batch = true;
    free(texts);
    free(written);
}

static void run_group(struct alert_evaluator *evaluator, struct alert_group_run *group,
                      int64_t now_ms)
{
    /* Timestamps that have passed unused, because the machine or the clock jumped or queries took
     * too long, are left out. */
    int64_t missed = (now_ms - group->next_ms) / group->interval_ms;
    int64_t time_ms = group->next_ms + missed * group->interval_ms;
    tw_metric_add(evaluator->metrics.iterations, 1);
    tw_metric_add(evaluator->metrics.missed, (uint64_t)missed);
    int64_t start_ns = tw_clock_mono_ns(evaluator->options.clock);
    if (!group->has_batch)
        make_batch(evaluator, group);
    uint64_t lent = query_batch_lent(group->batch);
    query_batch_begin(group->batch, time_ms - group->query_offset_ms);
    for (size_t i = 0; i < group->group->count; i++)
        if (!atomic_load(&evaluator->context.cancelled))
            alert_evaluation_run(evaluator, group, &group->rules[i], time_ms);
    query_batch_end(group->batch);
    tw_metric_add(evaluator->metrics.lent, query_batch_lent(group->batch) - lent);
    alert_evaluator_save_seen(evaluator, group, time_ms);
    tw_lock_take(&evaluator->view);
    group->seconds = (double)(tw_clock_mono_ns(evaluator->options.clock) - start_ns) / 1e9;
    group->evaluated_ms = now_ms;
    group->next_ms = time_ms + group->interval_ms;
    tw_lock_release(&evaluator->view);
    tw_metric_set(evaluator->metrics.pending, read_states(evaluator, ALERT_PENDING));
    tw_metric_set(evaluator->metrics.firing, read_states(evaluator, ALERT_FIRING));
}

int64_t alert_evaluator_step(struct alert_evaluator *evaluator)
{
    TW_CHECK_MAGIC(evaluator, EVALUATOR_MAGIC);
    int64_t next_ms = INT64_MAX;
    tw_lock_take(&evaluator->running);
    int64_t now_ms = tw_clock_wall_ms(evaluator->options.clock);
    struct alert_group_run *group =
        evaluator->set != NULL ? find_next(evaluator->set, now_ms) : NULL;
    if (group != NULL && group->next_ms <= now_ms) {
        run_group(evaluator, group, now_ms);
        group = find_next(evaluator->set, now_ms);
    }
    /* A clock set back must not make groups wait for the old time. */
    if (group != NULL && group->next_ms > now_ms + 2 * group->interval_ms)
        group->next_ms = align(group, now_ms) + group->interval_ms;
    if (group != NULL)
        next_ms = group->next_ms;
    tw_lock_release(&evaluator->running);
    return next_ms;
}

void alert_evaluator_cancel(struct alert_evaluator *evaluator)
{
    tw_context_cancel(&evaluator->context);
}

const struct alert_rule_set *alert_evaluator_view(struct alert_evaluator *evaluator)
{
    tw_lock_take(&evaluator->view);
    return evaluator->set;
}

void alert_evaluator_unview(struct alert_evaluator *evaluator)
{
    tw_lock_release(&evaluator->view);
}
