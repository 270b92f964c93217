/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/ward.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/manager_int.h"
#include "base/assert.h"
#include "base/log.h"

#define ASK_MS_MAX 10000

void scale_ward_register(struct scale_manager *manager)
{
    struct tw_metrics *metrics = manager->options.metrics;
    struct scale_ward_counted *counted = &manager->counted.ward;
    static const char *const name = "tidewatch_autoscaler_recoveries_total";
    static const char *const help = "Failing instances by what became of them.";
    if (!metrics)
        return;
    counted->replaced = tw_metrics_counter(metrics, name, "result=\"replaced\"", help);
    counted->overdue = tw_metrics_counter(metrics, name, "result=\"overdue\"", help);
    counted->given_up = tw_metrics_counter(metrics, name, "result=\"given_up\"", help);
    counted->observed = tw_metrics_counter(metrics, name, "result=\"observed\"", help);
    counted->refused = tw_metrics_counter(metrics, name, "result=\"refused\"", help);
}

/* ---- asking ---- */

static int compare_instances(const void *a, const void *b)
{
    return tw_str_compare(((const struct scale_instance *)a)->name,
                          ((const struct scale_instance *)b)->name);
}

/* One that has several series is well when all say so. */
static void merge(struct scale_instances *instances)
{
    size_t kept = 0;
    if (instances->count > 1)
        qsort(instances->items, instances->count, sizeof *instances->items, compare_instances);
    for (size_t i = 0; i < instances->count; i++) {
        struct scale_instance *item = &instances->items[i];
        if (kept && tw_str_equal(instances->items[kept - 1].name, item->name))
            instances->items[kept - 1].well = instances->items[kept - 1].well && item->well;
        else
            instances->items[kept++] = *item;
    }
    instances->count = kept;
}

void scale_instances_ask(struct scale_manager *manager, const struct scale_source *source,
                         const struct scale_settings *settings, int64_t now_ms,
                         struct scale_instances *ret)
{
    struct tw_context context;
    struct tw_err err;
    *ret = (struct scale_instances){0};
    if (!settings->recovery.instances.size)
        return;
    tw_context_init(&context, source->clock);
    context.deadline_mono_ns = tw_clock_mono_ns(source->clock) + ASK_MS_MAX * INT64_C(1000000);
    if (query_instant(source->fresh, &context, settings->recovery.instances, now_ms, &ret->result,
                      &err) != TW_OK) {
        ret->result = NULL;
        tw_metric_add(manager->counted.query_failures, 1);
        tw_log(TW_LOG_WARN, "autoscaler.ward", "cannot ask how instances are, taking none out",
               "scaler=%s error=%s", tw_log_quote(settings->name),
               tw_log_quote(tw_str(err.message)));
        return;
    }
    if (ret->result->type != QUERY_VECTOR || ret->result->count > SCALE_INSTANCES_MAX)
        return;
    ret->items = calloc(ret->result->count + 1, sizeof *ret->items);
    TW_ASSERT(ret->items != NULL);
    for (size_t i = 0; i < ret->result->count; i++) {
        const struct query_series *series = &ret->result->series[i];
        struct tw_str name = wire_labels_get(series->labels, settings->recovery.label);
        if (name.size && series->count && !isnan(series->points[0].value))
            ret->items[ret->count++] = (struct scale_instance){name, series->points[0].value > 0};
    }
    merge(ret);
}

void scale_instances_fini(struct scale_instances *instances)
{
    free(instances->items);
    if (instances->result)
        query_result_free(instances->result);
    *instances = (struct scale_instances){0};
}

/* ---- looking after ---- */

void scale_ward_begin(struct scale_manager *manager, struct scaler *scaler)
{
    struct tw_err err;
    if (scaler->recovery && scale_recovery_read(manager->options.state, scaler->settings.name,
                                                scaler->recovery, &err) != TW_OK)
        tw_log(TW_LOG_WARN, "autoscaler.ward",
               "cannot read what is being replaced, going on without", "scaler=%s error=%s",
               tw_log_quote(scaler->settings.name), tw_log_quote(tw_str(err.message)));
}

void scale_ward_look(struct scaler *scaler, const struct scale_decision *decision,
                     const struct scale_instances *instances, struct scale_recovery_news *ret_news,
                     struct scale_recovery **ret_copy)
{
    struct scale_recovery *recovery = scaler->recovery;
    const struct scale_pause *pauses = scaler->pauses.items;
    *ret_news = (struct scale_recovery_news){.act = -1};
    *ret_copy = NULL;
    if (!recovery)
        return;
    if (scaler->standby) {
        snprintf(recovery->held, sizeof recovery->held, "another server acts");
        return;
    }
    if (pauses[SCALE_PAUSE_SET].holds ||
        (pauses[SCALE_PAUSE_IN].holds && pauses[SCALE_PAUSE_OUT].holds)) {
        snprintf(recovery->held, sizeof recovery->held, "the scaler is paused");
        return;
    }
    int64_t allowed = SCALE_VERIFY_FACTOR * decision->startup_ms + SCALE_VERIFY_WHILE_MS;
    scale_recovery_look(recovery, &scaler->settings, decision->time_ms, instances->items,
                        instances->count, decision->replicas, allowed, ret_news);
    if (!ret_news->changed && !ret_news->audit_count)
        return;
    *ret_copy = malloc(sizeof **ret_copy);
    TW_ASSERT(*ret_copy != NULL);
    **ret_copy = *recovery;
}

static void count_news(struct scale_manager *manager, const struct scale_recovery_news *news)
{
    tw_metric_add(manager->counted.ward.replaced, news->replaced);
    tw_metric_add(manager->counted.ward.overdue, news->overdue);
    tw_metric_add(manager->counted.ward.given_up, news->given_up);
    tw_metric_add(manager->counted.ward.observed, news->observed);
}

void scale_ward_store(struct scale_manager *manager, struct scaler *scaler,
                      struct scale_recovery_news *news, struct scale_recovery *copy)
{
    struct tw_err err;
    if (!copy)
        return;
    count_news(manager, news);
    for (size_t i = 0; i < news->audit_count; i++)
        tw_log(TW_LOG_WARN, "autoscaler.ward", "a failing instance", "scaler=%s what=%s",
               tw_log_quote(scaler->settings.name), tw_log_quote(tw_str(news->audits[i].text)));
    enum tw_code code = scale_recovery_write(manager->options.state, scaler->settings.name, copy,
                                             news->audits, news->audit_count, &err);
    if (code != TW_OK) {
        tw_metric_add(manager->counted.trust.store_failures, 1);
        tw_log(TW_LOG_ERROR, "autoscaler.ward", "cannot keep what is to be replaced, doing nothing",
               "scaler=%s error=%s", tw_log_quote(scaler->settings.name),
               tw_log_quote(tw_str(err.message)));
    }
    tw_lock_take(&manager->lock);
    if (news->act >= 0) {
        const struct scale_patient *patient = &copy->patients[news->act];
        if (code == TW_OK)
            memcpy(scaler->replace, patient->name, sizeof scaler->replace);
        else
            scale_recovery_fail(scaler->recovery, patient->name);
    }
    tw_lock_release(&manager->lock);
    free(copy);
}

void scale_ward_settle(struct scale_manager *manager, uint64_t scaler_id,
                       const struct scale_attempt *attempt)
{
    bool done = attempt->outcome == SCALE_DONE;
    struct scale_audit audit;
    struct tw_err err;
    tw_lock_take(&manager->lock);
    for (size_t i = 0; i < manager->scaler_count; i++) {
        struct scaler *scaler = manager->scalers[i];
        if (scaler->id != scaler_id)
            continue;
        scaler->under_way = false;
        if (!done && scaler->recovery)
            scale_recovery_fail(scaler->recovery, attempt->instance);
    }
    manager->nudged = true;
    tw_cond_broadcast(&manager->wake);
    tw_lock_release(&manager->lock);
    if (!done)
        tw_metric_add(manager->counted.ward.refused, 1);
    scale_audit_make(&audit, tw_clock_wall_ms(manager->options.clock),
                     done ? SCALE_AUDIT_DELIVERED : SCALE_AUDIT_FAILED, SCALE_SELF, attempt->scaler,
                     "replacement of %s, %s, key %s%s%s", attempt->instance,
                     scale_target_name(attempt->target.kind), attempt->key,
                     attempt->error[0] ? ": " : "", attempt->error);
    tw_log(done ? TW_LOG_INFO : TW_LOG_WARN, "autoscaler.ward",
           done ? "an instance is replaced" : "the target did not replace an instance",
           "scaler=%s instance=%s error=%s", tw_log_quote(attempt->scaler),
           tw_log_quote(tw_str(attempt->instance)), tw_log_quote(tw_str(attempt->error)));
    if (scale_audit_write(manager->options.state, &audit, 1, &err) != TW_OK)
        tw_metric_add(manager->counted.trust.store_failures, 1);
}
