/* SPDX-License-Identifier: Apache-2.0
 *
 * evaluator_state: alert states to and from the state store, and notices to the notifier.
 */
#include "config.h"

#include "alerts/evaluator_int.h"

#include <stdlib.h>
#include <string.h>

#include "alerts/labelset.h"
#include "alerts/link.h"
#include "base/assert.h"
#include "base/log.h"

/* How often alerts.seen is written while something is pending. */
#define SEEN_SAVE_MS (10 * 1000)
/* Time without an evaluation that does not count towards `for` begins to matter here: shorter gaps
 * are within the look-back of the queries themselves. */
#define OUTAGE_MS (5 * 60 * 1000)
/* Older pending alerts begin anew, as in Prometheus (rules.alert.for-outage-tolerance). */
#define OUTAGE_MS_MAX (60 * 60 * 1000)
/* Others may take a firing alert for resolved when they heard nothing for this many intervals. */
#define VALID_INTERVALS 4
#define RESEND_MS (60 * 1000)

#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum tw_code try_code_ = (expression);                                                     \
        if (try_code_ != TW_OK)                                                                    \
            return try_code_;                                                                      \
    } while (0)

/* ---- notices ---- */

static struct wire_labels with_external(struct tw_arena *arena, struct wire_labels labels,
                                        struct wire_labels external)
{
    struct wire_label *items =
        TW_ARENA_ARRAY(arena, struct wire_label, labels.count + external.count + 1);
    size_t count = 0, a = 0, b = 0;
    while (a < labels.count || b < external.count) {
        int order = a >= labels.count ? 1
                    : b >= external.count
                        ? -1
                        : tw_str_compare(labels.items[a].name, external.items[b].name);
        items[count++] = order <= 0 ? labels.items[a] : external.items[b];
        a += order <= 0;
        b += order >= 0;
    }
    return (struct wire_labels){items, count};
}

static struct alert_notice *make_notice(struct alert_evaluator *evaluator,
                                        const struct alert_rule_set *set, int64_t interval_ms,
                                        struct tw_str expr,
                                        const struct alert_active_record *record)
{
    bool firing = record->state == ALERT_FIRING;
    struct tw_arena *arena = evaluator->arena;
    struct tw_buf url;
    tw_buf_init(&url, 1 << 20);
    alert_link_format(set->external_url, expr, &url);
    int64_t step_ms = interval_ms > RESEND_MS ? interval_ms : RESEND_MS;
    const struct alert_notice_record notice = {
        .starts_ms = record->fired_ms,
        .ends_ms = firing ? ALERT_TIME_NONE : record->resolved_ms,
        .valid_ms = VALID_INTERVALS * step_ms,
        .labels = with_external(arena, record->labels, set->external_labels),
        .annotations = record->annotations,
        .generator_url = tw_buf_str(&url),
    };
    struct alert_notice *made = alert_notice_new(&notice);
    tw_buf_fini(&url);
    return made;
}

/* ---- storing ---- */

static enum tw_code save_active(struct tsdb_state_txn *txn, const struct alert_rule *rule,
                                const struct alert_active *active, struct tw_err *err)
{
    char key_bytes[ALERT_ACTIVE_KEY_BYTES];
    alert_active_key(rule->id, active->fingerprint, key_bytes);
    struct tw_str key = {key_bytes, sizeof key_bytes};
    if ((active->changes & ALERT_CHANGE_REMOVE) != 0)
        return tsdb_state_delete(txn, ALERT_TABLE_ACTIVE, key, err);
    struct tw_buf bytes;
    tw_buf_init(&bytes, ALERT_RECORD_BYTES_MAX);
    alert_active_encode(&active->record, &bytes);
    enum tw_code code =
        bytes.overflow
            ? tw_err_set(err, TW_TOO_LARGE, "alert is larger than %d bytes", ALERT_RECORD_BYTES_MAX)
            : tsdb_state_put(txn, ALERT_TABLE_ACTIVE, key, tw_buf_str(&bytes), err);
    tw_buf_fini(&bytes);
    return code;
}

static enum tw_code save_notice(struct tsdb_state_txn *txn, struct alert_notice *notice,
                                struct tw_err *err)
{
    char key[ALERT_FINGERPRINT_KEY_BYTES];
    struct tw_buf bytes;
    tw_buf_init(&bytes, ALERT_RECORD_BYTES_MAX);
    alert_fingerprint_key(notice->fingerprint, key);
    alert_notice_encode(&notice->record, &bytes);
    enum tw_code code =
        bytes.overflow
            ? tw_err_set(err, TW_TOO_LARGE, "alert is larger than %d bytes", ALERT_RECORD_BYTES_MAX)
            : tsdb_state_put(txn, ALERT_TABLE_OUTBOX, (struct tw_str){key, sizeof key},
                             tw_buf_str(&bytes), err);
    tw_buf_fini(&bytes);
    return code;
}

static enum tw_code save_all(struct alert_evaluator *evaluator, const struct alert_rule_run *run,
                             struct alert_notice *notices, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    TRY(tsdb_state_begin(evaluator->options.state, true, &txn, err));
    enum tw_code code = TW_OK;
    for (size_t i = 0; code == TW_OK && i < run->actives.count; i++)
        if ((run->actives.items[i].changes & (ALERT_CHANGE_SAVE | ALERT_CHANGE_REMOVE)) != 0)
            code = save_active(txn, run->rule, &run->actives.items[i], err);
    for (struct alert_notice *n = notices; code == TW_OK && n != NULL; n = n->next)
        if (n->saved)
            code = save_notice(txn, n, err);
    if (code == TW_OK)
        return tsdb_state_commit(txn, err);
    tsdb_state_abort(txn);
    return code;
}

static void count_failure(struct alert_evaluator *evaluator, const struct tw_err *err)
{
    tw_metric_add(evaluator->metrics.state_failures, 1);
    tw_log(TW_LOG_ERROR, "alerts.evaluator",
           "cannot store alert state, a restart now would forget it", "error=%s",
           tw_log_quote(tw_str(err->message)));
}

/* Marks are kept when storing failed, so that the next evaluation tries again; the notices go out
 * at once (I3). */
void alert_evaluator_publish(struct alert_evaluator *evaluator, const struct alert_group_run *group,
                             struct alert_rule_run *run)
{
    struct alert_notice *notices = NULL;
    bool changed = false;
    for (size_t i = run->actives.count; i > 0; i--) {
        const struct alert_active *active = &run->actives.items[i - 1];
        changed = changed || (active->changes & (ALERT_CHANGE_SAVE | ALERT_CHANGE_REMOVE)) != 0;
        if ((active->changes & (ALERT_CHANGE_NOTIFY | ALERT_CHANGE_TEXT)) == 0)
            continue;
        struct alert_notice *notice = make_notice(evaluator, evaluator->set, group->interval_ms,
                                                  run->rule->expr, &active->record);
        notice->saved = (active->changes & ALERT_CHANGE_NOTIFY) != 0;
        notice->next = notices;
        notices = notice;
    }
    struct tw_err err = {0};
    bool stored = true;
    if (changed && evaluator->options.state != NULL)
        stored = save_all(evaluator, run, notices, &err) == TW_OK;
    if (!stored)
        count_failure(evaluator, &err);
    tw_lock_take(&evaluator->view);
    if (stored) {
        alert_actives_settle(&run->actives);
    } else {
        for (size_t i = 0; i < run->actives.count; i++)
            run->actives.items[i].changes &= ALERT_CHANGE_SAVE | ALERT_CHANGE_REMOVE;
    }
    tw_lock_release(&evaluator->view);
    if (notices != NULL)
        evaluator->options.notify(evaluator->options.notify_user, notices, false);
}

void alert_evaluator_forget(struct alert_evaluator *evaluator, struct alert_rule_run *run)
{
    struct tw_err err = {0};
    for (size_t i = 0; i < run->actives.count; i++)
        run->actives.items[i].changes = ALERT_CHANGE_REMOVE;
    if (evaluator->options.state != NULL && save_all(evaluator, run, NULL, &err) != TW_OK)
        count_failure(evaluator, &err);
    alert_actives_settle(&run->actives);
}

static bool has_pending(const struct alert_group_run *group)
{
    for (size_t i = 0; i < group->group->count; i++)
        for (size_t k = 0; k < group->rules[i].actives.count; k++)
            if (group->rules[i].actives.items[k].record.state == ALERT_PENDING)
                return true;
    return false;
}

static enum tw_code put_seen(struct alert_evaluator *evaluator, const struct alert_group_run *group,
                             int64_t time_ms, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    char key[ALERT_HASH_KEY_BYTES];
    alert_hash_key(group->id, key);
    TRY(tsdb_state_begin(evaluator->options.state, true, &txn, err));
    struct tw_buf bytes;
    tw_buf_init(&bytes, 64);
    alert_seen_encode(time_ms, &bytes);
    enum tw_code code = tsdb_state_put(txn, ALERT_TABLE_SEEN, (struct tw_str){key, sizeof key},
                                       tw_buf_str(&bytes), err);
    tw_buf_fini(&bytes);
    if (code == TW_OK)
        return tsdb_state_commit(txn, err);
    tsdb_state_abort(txn);
    return code;
}

void alert_evaluator_save_seen(struct alert_evaluator *evaluator, struct alert_group_run *group,
                               int64_t time_ms)
{
    bool due =
        group->seen_saved_ms == ALERT_TIME_NONE || time_ms - group->seen_saved_ms >= SEEN_SAVE_MS;
    if (evaluator->options.state == NULL || !due || !has_pending(group))
        return;
    struct tw_err err = {0};
    if (put_seen(evaluator, group, time_ms, &err) == TW_OK)
        group->seen_saved_ms = time_ms;
    else
        count_failure(evaluator, &err);
}

/* ---- restoring ---- */

struct restoring {
    struct alert_evaluator *evaluator;
    struct alert_rule_set *set;
    struct tw_arena *arena;
    int64_t now_ms;
    struct tw_str *orphans; /* keys of alerts whose rule is gone */
    size_t orphan_count;
    struct tw_err *err;
};

static void restore_orphan(struct restoring *r, struct tw_str key)
{
    r->orphans = tw_arena_grow(r->arena, r->orphans, r->orphan_count * sizeof *r->orphans,
                               (r->orphan_count + 1) * sizeof *r->orphans);
    r->orphans[r->orphan_count++] = tw_arena_str(r->arena, key);
}

static bool restore_one(void *user, struct tw_str key, struct tw_str value)
{
    struct restoring *r = user;
    struct alert_active_record record;
    struct tw_err err = {0};
    if (key.size != ALERT_ACTIVE_KEY_BYTES ||
        alert_active_decode(value, r->arena, &record, &err) != TW_OK) {
        tw_metric_add(r->evaluator->metrics.dropped_states, 1);
        tw_log(TW_LOG_ERROR, "alerts.evaluator", "a stored alert cannot be read and begins anew",
               "error=%s", tw_log_quote(tw_str(err.message)));
        restore_orphan(r, key);
        return true;
    }
    struct alert_rule_run *run = alert_rule_set_find(r->set, alert_key_hash(key.data));
    if (run == NULL)
        restore_orphan(r, key);
    else
        alert_actives_restore(&run->actives, &record);
    return true;
}

/* Time that nobody looked does not count towards `for`. */
static void shift_pending(struct alert_group_run *group, int64_t seen_ms, int64_t now_ms)
{
    int64_t gap = now_ms - seen_ms;
    if (gap <= OUTAGE_MS || gap <= 2 * group->interval_ms)
        return;
    for (size_t i = 0; i < group->group->count; i++) {
        struct alert_actives *actives = &group->rules[i].actives;
        for (size_t k = 0; k < actives->count; k++) {
            struct alert_active *active = &actives->items[k];
            if (active->record.state != ALERT_PENDING)
                continue;
            active->record.active_ms =
                gap > OUTAGE_MS_MAX ? now_ms : active->record.active_ms + gap;
            active->changes |= ALERT_CHANGE_SAVE;
        }
    }
}

static enum tw_code restore_groups(struct restoring *r, struct tsdb_state_txn *txn)
{
    for (size_t i = 0; i < r->set->group_count; i++) {
        struct alert_group_run *group = &r->set->groups[i];
        char key[ALERT_HASH_KEY_BYTES];
        struct tw_str bytes;
        int64_t seen_ms = 0;
        alert_hash_key(group->id, key);
        enum tw_code code =
            tsdb_state_get(txn, ALERT_TABLE_SEEN, (struct tw_str){key, sizeof key}, &bytes, r->err);
        if (code == TW_NOT_FOUND || code == TW_CORRUPT)
            continue;
        if (code != TW_OK)
            return code;
        if (alert_seen_decode(bytes, &seen_ms, NULL) != TW_OK)
            continue;
        group->seen_saved_ms = seen_ms;
        shift_pending(group, seen_ms, r->now_ms);
    }
    return TW_OK;
}

static enum tw_code forget_orphans(struct restoring *r)
{
    if (r->orphan_count == 0)
        return TW_OK;
    struct tsdb_state_txn *txn = NULL;
    TRY(tsdb_state_begin(r->evaluator->options.state, true, &txn, r->err));
    enum tw_code code = TW_OK;
    for (size_t i = 0; code == TW_OK && i < r->orphan_count; i++)
        code = tsdb_state_delete(txn, ALERT_TABLE_ACTIVE, r->orphans[i], r->err);
    if (code == TW_OK)
        return tsdb_state_commit(txn, r->err);
    tsdb_state_abort(txn);
    return code;
}

static enum tw_code restore_all(struct restoring *r)
{
    struct tsdb_state_txn *txn = NULL;
    TRY(tsdb_state_begin(r->evaluator->options.state, false, &txn, r->err));
    enum tw_code code = tsdb_state_each(txn, ALERT_TABLE_ACTIVE, TW_STR(""), TW_STR(""), false,
                                        restore_one, r, r->err);
    /* A damaged record must not keep the others, nor the server, from starting. */
    if (code == TW_CORRUPT) {
        tw_metric_add(r->evaluator->metrics.dropped_states, 1);
        tw_log(TW_LOG_ERROR, "alerts.evaluator",
               "stored alerts are damaged, those behind the damage begin anew", "error=%s",
               tw_log_quote(tw_str(r->err != NULL ? r->err->message : "")));
        code = TW_OK;
    }
    if (code == TW_OK)
        code = restore_groups(r, txn);
    tsdb_state_abort(txn);
    return code == TW_OK ? forget_orphans(r) : code;
}

enum tw_code alert_evaluator_restore(struct alert_evaluator *evaluator, struct alert_rule_set *set,
                                     struct tw_err *err)
{
    if (evaluator->options.state == NULL)
        return TW_OK;
    struct restoring r = {.evaluator = evaluator,
                          .set = set,
                          .arena = tw_arena_new(64 * 1024),
                          .now_ms = tw_clock_wall_ms(evaluator->options.clock),
                          .err = err};
    enum tw_code code = restore_all(&r);
    tw_arena_free(r.arena);
    return code;
}

/* ---- all that fires ---- */

static enum tw_code save_notices(struct alert_evaluator *evaluator, struct alert_notice *notices,
                                 struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    TRY(tsdb_state_begin(evaluator->options.state, true, &txn, err));
    enum tw_code code = TW_OK;
    for (struct alert_notice *n = notices; code == TW_OK && n != NULL; n = n->next)
        code = save_notice(txn, n, err);
    if (code == TW_OK)
        return tsdb_state_commit(txn, err);
    tsdb_state_abort(txn);
    return code;
}

void alert_evaluator_announce(struct alert_evaluator *evaluator)
{
    struct alert_notice *notices = NULL;
    struct alert_rule_set *set = evaluator->set;
    for (size_t i = 0; i < set->group_count; i++)
        for (size_t k = 0; k < set->groups[i].group->count; k++) {
            const struct alert_rule_run *run = &set->groups[i].rules[k];
            for (size_t a = 0; a < run->actives.count; a++) {
                if (run->actives.items[a].record.state != ALERT_FIRING)
                    continue;
                struct alert_notice *notice =
                    make_notice(evaluator, set, set->groups[i].interval_ms, run->rule->expr,
                                &run->actives.items[a].record);
                notice->next = notices;
                notices = notice;
            }
        }
    struct tw_err err = {0};
    if (notices != NULL && evaluator->options.state != NULL &&
        save_notices(evaluator, notices, &err) != TW_OK)
        count_failure(evaluator, &err);
    evaluator->options.notify(evaluator->options.notify_user, notices, true);
}
