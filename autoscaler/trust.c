/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/trust.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/manager_int.h"
#include "base/assert.h"
#include "base/log.h"

void scale_trust_register(struct scale_manager *manager)
{
    struct tw_metrics *metrics = manager->options.metrics;
    struct scale_trust_counted *counted = &manager->counted.trust;
    if (!metrics)
        return;
    for (int i = 0; i < SCALE_VERDICTS; i++) {
        char labels[64];
        snprintf(labels, sizeof labels, "verdict=\"%s\"",
                 scale_verdict_name((enum scale_verdict)i));
        counted->verdicts[i] =
            tw_metrics_counter(metrics, "tidewatch_autoscaler_outcomes_total", labels,
                               "Changes of replicas by what became of them.");
    }
    counted->served = tw_metrics_counter(
        metrics, "tidewatch_autoscaler_verifications_total", "result=\"serving\"",
        "Orders that targets took, by whether the replicas came and serve in their time.");
    counted->overdue = tw_metrics_counter(
        metrics, "tidewatch_autoscaler_verifications_total", "result=\"overdue\"",
        "Orders that targets took, by whether the replicas came and serve in their time.");
    counted->store_failures =
        tw_metrics_counter(metrics, "tidewatch_autoscaler_audit_failures_total", "",
                           "Entries of the audit log and outcomes that could not be stored.");
}

static struct scale_audit *next_audit(struct scale_news *news)
{
    return news->audit_count < SCALE_NEWS_MAX ? &news->audits[news->audit_count++]
                                              : &news->audits[SCALE_NEWS_MAX - 1];
}

void scale_trust_begin(struct scale_manager *manager, struct scaler *scaler)
{
    struct tw_err err;
    if (scale_pauses_read(manager->options.state, scaler->settings.name, &scaler->pauses, &err) !=
        TW_OK)
        tw_log(TW_LOG_WARN, "autoscaler.trust", "cannot read pauses, going on without",
               "scaler=%s error=%s", tw_log_quote(scaler->settings.name),
               tw_log_quote(tw_str(err.message)));
    const struct scale_decision *order = &scaler->order, *last = &scaler->decision;
    if (order->key[0] && order->action == SCALE_ACTION_DELIVERED && !scaler->followed)
        scale_verification_begin(&scaler->verification, order);
    /* What was changed last is judged from here on. */
    if (order->key[0] && order->action == SCALE_ACTION_DELIVERED && order->from >= 0)
        scale_watch_begin(&scaler->watch, order, scaler->settings.settle_ms);
    else if (last->count && last->action == SCALE_ACTION_OBSERVED)
        scale_watch_begin(&scaler->watch, last, scaler->settings.settle_ms);
    if (scaler->watch.open && tw_clock_wall_ms(manager->options.clock) > scaler->watch.due_ms)
        scaler->watch.open = false;
}

void scale_trust_before(struct scaler *scaler, int64_t now_ms, struct scale_news *news)
{
    *news = (struct scale_news){.scaler = scaler->settings.name};
    unsigned ended = scale_pauses_expire(&scaler->pauses, now_ms);
    for (unsigned k = 0; k < SCALE_PAUSE_KINDS; k++)
        if (ended & 1u << k)
            scale_audit_make(next_audit(news), now_ms, SCALE_AUDIT_RESUME, SCALE_SELF, news->scaler,
                             "the time of the pause of %s is over (it was: %s)",
                             scale_pause_name((enum scale_pause_kind)k),
                             scaler->pauses.items[k].reason);
    news->pauses_ended = ended != 0;
    news->pauses = scaler->pauses;
    scale_pauses_apply(&scaler->pauses, scale_controller_policy(scaler->controller));
}

static void end_watch(struct scaler *scaler, int64_t now_ms, struct scale_news *news)
{
    if (!scale_watch_end(&scaler->watch, now_ms, &news->outcome))
        return;
    news->judged = true;
    news->judged_since_ms = scaler->watch.since_ms;
}

void scale_trust_after(struct scaler *scaler, const struct scale_decision *decision,
                       struct scale_news *news)
{
    int64_t now = decision->time_ms;
    bool change =
        decision->from >= 0 && decision->to != decision->from && decision->count == 1 &&
        (decision->action == SCALE_ACTION_PENDING || decision->action == SCALE_ACTION_OBSERVED);
    if (scale_watch_look(&scaler->watch, decision) || change)
        end_watch(scaler, now, news);
    if (change)
        scale_watch_begin(&scaler->watch, decision, scaler->settings.settle_ms);
    if (scaler->settings.mode != SCALE_ACT ||
        !scale_verification_look(&scaler->verification, now, decision->startup_ms,
                                 decision->replicas, decision->ready))
        return;
    const struct scale_verification *verification = &scaler->verification;
    if (verification->state == SCALE_VERIFY_SERVING)
        scale_audit_make(next_audit(news), now, SCALE_AUDIT_VERIFIED, SCALE_SELF, news->scaler,
                         "%lld replicas are there and serve, %lld s after they were asked for",
                         (long long)verification->there,
                         (long long)((now - verification->since_ms) / 1000));
    else
        scale_audit_make(next_audit(news), now, SCALE_AUDIT_OVERDUE, SCALE_SELF, news->scaler, "%s",
                         verification->text);
}

void scale_trust_settle(struct scaler *scaler, const struct scale_decision *order,
                        struct scale_news *news)
{
    bool delivered = order->action == SCALE_ACTION_DELIVERED;
    *news = (struct scale_news){.scaler = scaler->settings.name};
    if (delivered)
        scale_verification_begin(&scaler->verification, order);
    char from[32] = "not known";
    if (order->from >= 0)
        snprintf(from, sizeof from, "%lld", (long long)order->from);
    scale_audit_make(next_audit(news), order->action_ms,
                     delivered ? SCALE_AUDIT_DELIVERED : SCALE_AUDIT_FAILED, SCALE_SELF,
                     news->scaler, "%lld replicas (%s before), %s, attempt %u, key %s%s%s",
                     (long long)order->to, from,
                     scaler->fleet ? "pool" : scale_target_name(scaler->settings.target.kind),
                     order->attempts, order->key, order->error[0] ? ": " : "", order->error);
}

static void count_news(struct scale_manager *manager, const struct scale_news *news)
{
    const struct scale_trust_counted *counted = &manager->counted.trust;
    if (news->judged)
        tw_metric_add(counted->verdicts[news->outcome.verdict], 1);
    for (size_t i = 0; i < news->audit_count; i++) {
        if (news->audits[i].kind == SCALE_AUDIT_VERIFIED)
            tw_metric_add(counted->served, 1);
        if (news->audits[i].kind != SCALE_AUDIT_OVERDUE)
            continue;
        tw_metric_add(counted->overdue, 1);
        tw_log(TW_LOG_WARN, "autoscaler.trust", "the replicas did not come in their time",
               "scaler=%s error=%s", tw_log_quote(news->scaler),
               tw_log_quote(tw_str(news->audits[i].text)));
    }
}

void scale_trust_store(struct scale_manager *manager, struct scale_news *news)
{
    struct tsdb_state *state = manager->options.state;
    struct tw_err err;
    enum tw_code code = TW_OK;
    count_news(manager, news);
    if (news->pauses_ended)
        code = scale_pauses_write(state, news->scaler, &news->pauses, news->audits,
                                  news->audit_count, &err);
    else
        code = scale_audit_write(state, news->audits, news->audit_count, &err);
    if (code == TW_OK && news->judged)
        code = scale_effect_write(state, news->scaler, news->judged_since_ms, &news->outcome, &err);
    if (code == TW_OK)
        return;
    tw_metric_add(manager->counted.trust.store_failures, 1);
    tw_log(TW_LOG_ERROR, "autoscaler.trust", "cannot store what became of a scaler's acts",
           "scaler=%s error=%s", tw_log_quote(news->scaler), tw_log_quote(tw_str(err.message)));
}

/* ---- configurations ---- */

struct difference {
    char text[SCALE_AUDIT_TEXT_BYTES];
    size_t used;
};

static void differ(struct difference *difference, const char *name, double before, double after)
{
    if (before == after || (isnan(before) && isnan(after)) ||
        difference->used >= sizeof difference->text)
        return;
    int size =
        snprintf(difference->text + difference->used, sizeof difference->text - difference->used,
                 "%s%s %g -> %g", difference->used ? ", " : "", name, before, after);
    difference->used += (size_t)size;
}

static void differ_text(struct difference *difference, const char *name, struct tw_str before,
                        struct tw_str after)
{
    if (tw_str_equal(before, after) || difference->used >= sizeof difference->text)
        return;
    int size =
        snprintf(difference->text + difference->used, sizeof difference->text - difference->used,
                 "%s%s '%.*s' -> '%.*s'", difference->used ? ", " : "", name,
                 (int)(before.size < 80 ? before.size : 80), before.data ? before.data : "",
                 (int)(after.size < 80 ? after.size : 80), after.data ? after.data : "");
    difference->used += (size_t)size;
}

static void compare(const struct scale_settings *a, const struct scale_settings *b,
                    struct difference *ret)
{
    *ret = (struct difference){0};
    differ_text(ret, "mode", tw_str(a->mode == SCALE_ACT ? "act" : "observe"),
                tw_str(b->mode == SCALE_ACT ? "act" : "observe"));
    differ_text(ret, "target", tw_str(scale_target_name(a->target.kind)),
                tw_str(scale_target_name(b->target.kind)));
    differ(ret, "min", (double)a->min, (double)b->min);
    differ(ret, "max", (double)a->max, (double)b->max);
    differ(ret, "capacity_per_replica", a->capacity, b->capacity);
    differ(ret, "quantile", a->quantile, b->quantile);
    differ(ret, "settle", (double)a->settle_ms / 1000, (double)b->settle_ms / 1000);
    differ(ret, "startup", (double)a->startup_ms / 1000, (double)b->startup_ms / 1000);
    differ(ret, "tick", (double)a->tick_ms / 1000, (double)b->tick_ms / 1000);
    differ(ret, "schedules", (double)a->schedule_count, (double)b->schedule_count);
    differ_text(ret, "load", a->load, b->load);
    differ_text(ret, "replicas", a->replicas, b->replicas);
    differ_text(ret, "ready", a->ready, b->ready);
}

static const struct scale_settings *find_settings(struct scaler **scalers, size_t count,
                                                  struct tw_str name)
{
    for (size_t i = 0; i < count; i++)
        if (tw_str_equal(scalers[i]->settings.name, name))
            return &scalers[i]->settings;
    return NULL;
}

void scale_trust_note_config(struct scale_manager *manager, const char *file, struct scaler **old,
                             size_t old_count, struct scaler **fresh, size_t fresh_count)
{
    int64_t now = tw_clock_wall_ms(manager->options.clock);
    struct scale_audit *audits = calloc(old_count + fresh_count + 1, sizeof *audits);
    TW_ASSERT(audits != NULL);
    size_t count = 1, added = 0, removed = 0;
    for (size_t i = 0; i < fresh_count; i++) {
        const struct scale_settings *after = &fresh[i]->settings;
        const struct scale_settings *before = find_settings(old, old_count, after->name);
        struct difference difference = {0};
        added += !before;
        if (before)
            compare(before, after, &difference);
        if (before && !difference.used)
            continue;
        scale_audit_make(&audits[count++], now, SCALE_AUDIT_CONFIG, SCALE_SELF, after->name, "%s%s",
                         before ? "changed: " : "in force, mode ",
                         before                     ? difference.text
                         : after->mode == SCALE_ACT ? "act"
                                                    : "observe");
    }
    for (size_t i = 0; i < old_count; i++)
        if (!find_settings(fresh, fresh_count, old[i]->settings.name)) {
            removed++;
            scale_audit_make(&audits[count++], now, SCALE_AUDIT_CONFIG, SCALE_SELF,
                             old[i]->settings.name, "removed from the configuration");
        }
    scale_audit_make(&audits[0], now, SCALE_AUDIT_CONFIG, SCALE_SELF, TW_STR(""),
                     "%s was read: %zu scalers, %zu added, %zu changed, %zu removed", file,
                     fresh_count, added, count - 1 - added - removed, removed);
    struct tw_err err;
    if ((fresh_count || old_count) &&
        scale_audit_write(manager->options.state, audits, count, &err) != TW_OK) {
        tw_metric_add(manager->counted.trust.store_failures, 1);
        tw_log(TW_LOG_ERROR, "autoscaler.trust", "cannot note the configuration", "error=%s",
               tw_log_quote(tw_str(err.message)));
    }
    free(audits);
}
