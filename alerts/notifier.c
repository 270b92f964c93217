/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/notifier.h"

#include <stdlib.h>
#include <string.h>

#include "alerts/active.h"
#include "alerts/notifier_int.h"
#include "base/assert.h"
#include "base/log.h"

#define NOTIFIER_MAGIC 0xA1E27207u

/* ---- life cycle ---- */

static void register_metrics(struct alert_notifier *n)
{
    struct tw_metrics *m = n->options.metrics;
    const char *failed = "tidewatch_notifications_failed_total",
               *failed_help = "Notifications to webhooks that did not arrive, by reason.";
    if (m == NULL)
        return;
    n->metrics.sent = tw_metrics_counter(m, "tidewatch_notifications_total", "",
                                         "Notifications that webhooks accepted.");
    n->metrics.failed_network =
        tw_metrics_counter(m, failed, "reason=\"unreachable\"", failed_help);
    n->metrics.failed_refused = tw_metrics_counter(m, failed, "reason=\"refused\"", failed_help);
    n->metrics.retried = tw_metrics_counter(m, "tidewatch_notifications_retried_total", "",
                                            "Tries after a failure.");
    n->metrics.dropped =
        tw_metrics_counter(m, "tidewatch_notifications_dropped_total", "reason=\"expired\"",
                           "Alerts that nobody could be told of.");
    n->metrics.full = tw_metrics_counter(m, "tidewatch_notifications_dropped_total",
                                         "reason=\"full\"", "Alerts that nobody could be told of.");
    n->metrics.peer_sent = tw_metrics_counter(m, "tidewatch_alertmanager_alerts_sent_total", "",
                                              "Alerts that other Alertmanagers accepted.");
    n->metrics.peer_failed = tw_metrics_counter(m, "tidewatch_alertmanager_alerts_failed_total", "",
                                                "Alerts that did not reach an Alertmanager.");
    n->metrics.state_failures =
        tw_metrics_counter(m, "tidewatch_notification_state_failures_total", "",
                           "What was sent could not be stored or read.");
    n->metrics.held = tw_metrics_gauge(m, "tidewatch_notification_alerts_held", "",
                                       "Alerts that the notifier holds.");
}

struct alert_notifier *alert_notifier_new(const struct alert_notifier_options *options)
{
    struct alert_notifier *n = calloc(1, sizeof *n);
    TW_ASSERT(n != NULL);
    n->magic = NOTIFIER_MAGIC;
    n->options = *options;
    n->inbox_tail = &n->inbox;
    n->external_url = (struct tw_str){tw_str_dup(TW_STR("")), 0};
    tw_lock_init(&n->lock, TW_RANK_ALERT_VIEW, "alert inbox");
    register_metrics(n);
    return n;
}

static void free_list(struct alert_notice *notice)
{
    while (notice != NULL) {
        struct alert_notice *next = notice->next;
        alert_notice_free(notice);
        notice = next;
    }
}

static void free_text(struct tw_str text)
{
    union {
        const char *shared;
        char *own;
    } data = {.shared = text.data};
    free(data.own);
}

struct alert_notifier *alert_notifier_free(struct alert_notifier *n)
{
    if (n == NULL)
        return NULL;
    TW_CHECK_MAGIC(n, NOTIFIER_MAGIC);
    alert_groups_free(n);
    alert_inhibition_reset(n);
    for (size_t i = 0; i < n->count; i++) {
        alert_notice_free(n->entries[i]->notice);
        free(n->entries[i]);
    }
    free(n->entries);
    free(n->peers);
    free_list(n->inbox);
    free(n->next_url);
    free_text(n->external_url);
    alert_routing_free(n->routing);
    alert_routing_free(n->next_routing);
    tw_lock_fini(&n->lock);
    n->magic = 0;
    free(n);
    return NULL;
}

void alert_notifier_state_failed(struct alert_notifier *n, const struct tw_err *err)
{
    tw_metric_add(n->metrics.state_failures, 1);
    tw_log(TW_LOG_ERROR, "alerts.notifier",
           "cannot store what was sent, a restart now may send it again", "error=%s",
           tw_log_quote(tw_str(err->message)));
}

void alert_notifier_cancel(struct alert_notifier *n)
{
    atomic_store(&n->cancelled, true);
}

/* ---- what other threads hand over ---- */

void alert_notifier_set_routing(struct alert_notifier *n, struct alert_routing *routing,
                                struct tw_str external_url)
{
    TW_CHECK_MAGIC(n, NOTIFIER_MAGIC);
    char *url = tw_str_dup(external_url);
    tw_lock_take(&n->lock);
    struct alert_routing *unused = n->next_routing;
    char *unused_url = n->next_url;
    n->next_routing = routing;
    n->next_url = url;
    n->has_next = true;
    tw_lock_release(&n->lock);
    alert_routing_free(unused);
    free(unused_url);
}

/* The end of a complete list is marked by a notice without labels: order matters, since what came
 * before it is replaced and what comes after adds to it. */
static struct alert_notice *mark_new(bool begin)
{
    struct alert_notice *mark = calloc(1, sizeof *mark);
    TW_ASSERT(mark != NULL);
    mark->record.starts_ms = begin;
    return mark;
}

static bool is_mark(const struct alert_notice *notice)
{
    return notice->record.generator_url.data == NULL;
}

static void append(struct alert_notifier *n, struct alert_notice *notice)
{
    *n->inbox_tail = notice;
    notice->next = NULL;
    n->inbox_tail = &notice->next;
}

void alert_notifier_give(struct alert_notifier *n, struct alert_notice *notices, bool complete)
{
    TW_CHECK_MAGIC(n, NOTIFIER_MAGIC);
    tw_lock_take(&n->lock);
    if (complete)
        append(n, mark_new(true));
    while (notices != NULL) {
        struct alert_notice *next = notices->next;
        append(n, notices);
        notices = next;
    }
    if (complete)
        append(n, mark_new(false));
    tw_lock_release(&n->lock);
}

/* ---- the table of alerts ---- */

static size_t find_place(const struct alert_notifier *n, uint64_t fingerprint)
{
    size_t first = 0, limit = n->count;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (n->entries[middle]->notice->fingerprint < fingerprint)
            first = middle + 1;
        else
            limit = middle;
    }
    return first;
}

static struct alert_entry *insert(struct alert_notifier *n, struct alert_notice *notice)
{
    size_t at = find_place(n, notice->fingerprint);
    struct alert_entry *entry = calloc(1, sizeof *entry);
    n->entries = realloc(n->entries, (n->count + 1) * sizeof(struct alert_entry *));
    TW_ASSERT(entry != NULL && n->entries != NULL);
    memmove(&n->entries[at + 1], &n->entries[at], (n->count - at) * sizeof *n->entries);
    entry->notice = notice;
    n->entries[at] = entry;
    n->count++;
    return entry;
}

static void take_notice(struct alert_notifier *n, struct alert_notice *notice, int64_t now_ms)
{
    size_t at = find_place(n, notice->fingerprint);
    struct alert_entry *entry = NULL;
    if (at < n->count && n->entries[at]->notice->fingerprint == notice->fingerprint) {
        entry = n->entries[at];
        alert_notice_free(entry->notice);
        entry->notice = notice;
    } else if (n->count >= ALERT_NOTICES_MAX) {
        tw_metric_add(n->metrics.full, 1);
        alert_notice_free(notice);
        return;
    } else {
        entry = insert(n, notice);
    }
    entry->changed_ms = now_ms;
    n->sources_stale = true;
    if (n->routing != NULL)
        alert_group_add(n, entry, now_ms);
}

static enum tw_code put_notice(struct tsdb_state_txn *txn, const struct alert_notice *notice,
                               struct tw_err *err)
{
    char key[ALERT_FINGERPRINT_KEY_BYTES];
    struct tw_buf bytes;
    alert_fingerprint_key(notice->fingerprint, key);
    tw_buf_init(&bytes, ALERT_RECORD_BYTES_MAX);
    alert_notice_encode(&notice->record, &bytes);
    enum tw_code code = tsdb_state_put(txn, ALERT_TABLE_OUTBOX, (struct tw_str){key, sizeof key},
                                       tw_buf_str(&bytes), err);
    tw_buf_fini(&bytes);
    return code;
}

/* `seen` in a complete list: the others that fire have ended, with their rules or labels. */
static void end_unseen(struct alert_notifier *n, const bool *seen, int64_t now_ms)
{
    struct tsdb_state_txn *txn = NULL;
    struct tw_err err = {0};
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < n->count; i++) {
        struct alert_entry *entry = n->entries[i];
        if (seen[i] || entry->notice->record.ends_ms != ALERT_TIME_NONE)
            continue;
        entry->notice->record.ends_ms = now_ms;
        entry->changed_ms = now_ms;
        n->sources_stale = true;
        if (n->options.state == NULL || code != TW_OK)
            continue;
        if (txn == NULL)
            code = tsdb_state_begin(n->options.state, true, &txn, &err);
        if (code == TW_OK)
            code = put_notice(txn, entry->notice, &err);
    }
    if (txn != NULL && code == TW_OK)
        code = tsdb_state_commit(txn, &err);
    else
        tsdb_state_abort(txn);
    if (code != TW_OK)
        alert_notifier_state_failed(n, &err);
}

/* Behind the opening mark, up to the closing one; returns what follows. */
static struct alert_notice *take_complete(struct alert_notifier *n, struct alert_notice *notice,
                                          int64_t now_ms)
{
    size_t room = 16, count = 0;
    uint64_t *fingerprints = calloc(room, sizeof *fingerprints);
    TW_ASSERT(fingerprints != NULL);
    while (notice != NULL && !is_mark(notice)) {
        struct alert_notice *next = notice->next;
        if (count == room) {
            room *= 2;
            fingerprints = realloc(fingerprints, room * sizeof *fingerprints);
            TW_ASSERT(fingerprints != NULL);
        }
        fingerprints[count++] = notice->fingerprint;
        take_notice(n, notice, now_ms);
        notice = next;
    }
    bool *seen = calloc(n->count + 1, sizeof *seen);
    TW_ASSERT(seen != NULL);
    for (size_t i = 0; i < count; i++) {
        size_t at = find_place(n, fingerprints[i]);
        if (at < n->count && n->entries[at]->notice->fingerprint == fingerprints[i])
            seen[at] = true;
    }
    end_unseen(n, seen, now_ms);
    free(seen);
    free(fingerprints);
    return notice;
}

static void take_inbox(struct alert_notifier *n, int64_t now_ms)
{
    tw_lock_take(&n->lock);
    struct alert_notice *notice = n->inbox;
    n->inbox = NULL;
    n->inbox_tail = &n->inbox;
    tw_lock_release(&n->lock);
    while (notice != NULL) {
        struct alert_notice *next = notice->next;
        if (is_mark(notice)) {
            bool begin = notice->record.starts_ms != 0;
            free(notice);
            if (begin)
                next = take_complete(n, next, now_ms);
        } else {
            take_notice(n, notice, now_ms);
        }
        notice = next;
    }
}

static void adopt_routing(struct alert_notifier *n, int64_t now_ms)
{
    tw_lock_take(&n->lock);
    struct alert_routing *routing = n->next_routing, *old = n->routing;
    char *url = n->next_url;
    bool has_next = n->has_next;
    n->next_routing = NULL;
    n->next_url = NULL;
    n->has_next = false;
    tw_lock_release(&n->lock);
    if (!has_next)
        return;
    free_text(n->external_url);
    n->external_url = tw_str(url);
    alert_inhibition_reset(n);
    n->routing = routing;
    alert_groups_rebuild(n, now_ms);
    alert_peers_reset(n);
    alert_routing_free(old);
}

/* ---- letting go ---- */

static bool is_done(const struct alert_notifier *n, const struct alert_entry *entry, int64_t now_ms)
{
    if (!alert_notice_resolved(entry->notice, now_ms) || entry->group_count > 0)
        return false;
    return n->routing == NULL || n->routing->peer_count == 0 ||
           now_ms - entry->notice->record.ends_ms > ALERT_RESOLVED_KEPT_MS;
}

static enum tw_code delete_done(struct alert_notifier *n, int64_t now_ms, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    enum tw_code code = tsdb_state_begin(n->options.state, true, &txn, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; code == TW_OK && i < n->count; i++) {
        char key[ALERT_FINGERPRINT_KEY_BYTES];
        if (!is_done(n, n->entries[i], now_ms))
            continue;
        alert_fingerprint_key(n->entries[i]->notice->fingerprint, key);
        code = tsdb_state_delete(txn, ALERT_TABLE_OUTBOX, (struct tw_str){key, sizeof key}, err);
    }
    if (code == TW_OK)
        return tsdb_state_commit(txn, err);
    tsdb_state_abort(txn);
    return code;
}

static void let_go(struct alert_notifier *n, int64_t now_ms)
{
    size_t kept = 0, done = 0;
    struct tw_err err = {0};
    for (size_t i = 0; i < n->count; i++)
        done += is_done(n, n->entries[i], now_ms);
    if (done == 0)
        return;
    if (n->options.state != NULL && delete_done(n, now_ms, &err) != TW_OK) {
        alert_notifier_state_failed(n, &err);
        return; /* they stay, and the next step tries again */
    }
    for (size_t i = 0; i < n->count; i++) {
        struct alert_entry *entry = n->entries[i];
        if (is_done(n, entry, now_ms)) {
            alert_notice_free(entry->notice);
            free(entry);
        } else {
            n->entries[kept++] = entry;
        }
    }
    n->count = kept;
    n->sources_stale = true;
}

int64_t alert_notifier_step(struct alert_notifier *n)
{
    TW_CHECK_MAGIC(n, NOTIFIER_MAGIC);
    int64_t now_ms = tw_clock_wall_ms(n->options.clock);
    adopt_routing(n, now_ms);
    take_inbox(n, now_ms);
    if (n->routing == NULL)
        return INT64_MAX;
    int64_t next_ms = alert_groups_step(n, now_ms);
    int64_t peers_ms = alert_peers_step(n, now_ms);
    let_go(n, now_ms);
    tw_metric_set(n->metrics.held, (double)n->count);
    return peers_ms < next_ms ? peers_ms : next_ms;
}

/* ---- after a restart ---- */

struct restoring {
    struct alert_notifier *notifier;
    struct tw_arena *arena;
    int64_t now_ms;
    size_t broken;
};

static bool restore_notice(void *user, struct tw_str key, struct tw_str value)
{
    struct restoring *r = user;
    struct alert_notice_record record;
    (void)key;
    tw_arena_reset(r->arena);
    if (alert_notice_decode(value, r->arena, &record, NULL) != TW_OK) {
        r->broken++;
        return true;
    }
    struct alert_notice *notice = alert_notice_new(&record);
    size_t at = find_place(r->notifier, notice->fingerprint);
    bool there = at < r->notifier->count &&
                 r->notifier->entries[at]->notice->fingerprint == notice->fingerprint;
    if (there || r->notifier->count >= ALERT_NOTICES_MAX)
        alert_notice_free(notice);
    else
        insert(r->notifier, notice)->changed_ms = r->now_ms;
    return true;
}

/* Keys of what was told so long ago that its group is gone for good (its route was removed). */
struct expiring {
    struct tw_arena *arena;
    struct tw_str *keys;
    size_t count;
    int64_t before_ms;
};

static bool find_expired(void *user, struct tw_str key, struct tw_str value)
{
    struct expiring *e = user;
    struct alert_sent_record record;
    if (alert_sent_decode(value, e->arena, &record, NULL) != TW_OK ||
        record.time_ms >= e->before_ms)
        return true;
    e->keys = tw_arena_grow(e->arena, e->keys, e->count * sizeof *e->keys,
                            (e->count + 1) * sizeof *e->keys);
    e->keys[e->count++] = tw_arena_str(e->arena, key);
    return true;
}

static enum tw_code delete_expired(struct alert_notifier *n, struct expiring *e, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    enum tw_code code = tsdb_state_begin(n->options.state, true, &txn, err);
    if (code != TW_OK)
        return code;
    code =
        tsdb_state_each(txn, ALERT_TABLE_SENT, TW_STR(""), TW_STR(""), false, find_expired, e, err);
    for (size_t i = 0; code == TW_OK && i < e->count; i++)
        code = tsdb_state_delete(txn, ALERT_TABLE_SENT, e->keys[i], err);
    if (code == TW_OK)
        return tsdb_state_commit(txn, err);
    tsdb_state_abort(txn);
    return code;
}

static void expire_sent(struct alert_notifier *n)
{
    struct tw_err err = {0};
    struct expiring e = {.arena = tw_arena_new(4096),
                         .before_ms = tw_clock_wall_ms(n->options.clock) - ALERT_SENT_KEPT_MS};
    if (delete_expired(n, &e, &err) != TW_OK)
        alert_notifier_state_failed(n, &err);
    tw_arena_free(e.arena);
}

enum tw_code alert_notifier_restore(struct alert_notifier *n, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    if (n->options.state == NULL)
        return TW_OK;
    enum tw_code code = tsdb_state_begin(n->options.state, false, &txn, err);
    if (code != TW_OK)
        return code;
    struct restoring r = {n, tw_arena_new(4096), tw_clock_wall_ms(n->options.clock), 0};
    code = tsdb_state_each(txn, ALERT_TABLE_OUTBOX, TW_STR(""), TW_STR(""), false, restore_notice,
                           &r, err);
    tsdb_state_abort(txn);
    tw_arena_free(r.arena);
    if (code == TW_CORRUPT) { /* what could be read goes out, and the server starts */
        r.broken++;
        code = TW_OK;
    }
    expire_sent(n);
    if (r.broken > 0) {
        tw_metric_add(n->metrics.dropped, r.broken);
        tw_log(TW_LOG_ERROR, "alerts.notifier", "stored notifications cannot be read, dropped",
               "count=%zu", r.broken);
    }
    return code;
}
