/* SPDX-License-Identifier: Apache-2.0
 *
 * group: alerts of one route with the same group labels, and what its webhooks were told of them.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "alerts/labelset.h"
#include "alerts/notifier_int.h"
#include "alerts/webhook.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/log.h"

#define BODY_BYTES_MAX (64 << 20)
#define KEY_BYTES_MAX (1 << 20)

/* ---- what was told: the table alerts.sent ---- */

static struct tw_hash128 delivery_id(const struct alert_group *group, size_t index)
{
    struct tw_buf text;
    tw_buf_init(&text, KEY_BYTES_MAX);
    tw_buf_append_str(&text, group->route->receiver->name);
    tw_buf_appendf(&text, "/webhook/%zu:", index);
    tw_buf_append_cstr(&text, group->key);
    struct tw_hash128 id = tw_hash128(text.data, text.size);
    tw_buf_fini(&text);
    return id;
}

static void load_sent(struct alert_notifier *n, struct alert_delivery *delivery)
{
    struct tsdb_state_txn *txn = NULL;
    struct tw_err err = {0};
    char key[ALERT_HASH_KEY_BYTES];
    struct tw_str bytes;
    if (n->options.state == NULL)
        return;
    if (tsdb_state_begin(n->options.state, false, &txn, &err) != TW_OK) {
        alert_notifier_state_failed(n, &err);
        return;
    }
    alert_hash_key(delivery->id, key);
    enum tw_code code =
        tsdb_state_get(txn, ALERT_TABLE_SENT, (struct tw_str){key, sizeof key}, &bytes, &err);
    struct tw_arena *arena = tw_arena_new(4096);
    struct alert_sent_record record;
    if (code == TW_OK)
        code = alert_sent_decode(bytes, arena, &record, &err);
    if (code == TW_OK)
        alert_delivery_restore(delivery, &record);
    else if (code != TW_NOT_FOUND)
        alert_notifier_state_failed(n, &err);
    tw_arena_free(arena);
    tsdb_state_abort(txn);
}

static enum tw_code write_sent(struct tsdb_state_txn *txn, const struct alert_group *group,
                               const struct alert_delivery *delivery, struct tw_err *err)
{
    char key[ALERT_HASH_KEY_BYTES];
    alert_hash_key(delivery->id, key);
    struct tw_str id = {key, sizeof key};
    if (!delivery->told)
        return tsdb_state_delete(txn, ALERT_TABLE_SENT, id, err);
    const struct alert_sent_record record = {.time_ms = delivery->told_ms,
                                             .group_key = tw_str(group->key),
                                             .receiver = group->route->receiver->name,
                                             .firing = delivery->firing,
                                             .firing_count = delivery->firing_count,
                                             .resolved = delivery->resolved,
                                             .resolved_count = delivery->resolved_count};
    struct tw_buf bytes;
    tw_buf_init(&bytes, TSDB_STATE_VALUE_BYTES_MAX);
    alert_sent_encode(&record, &bytes);
    enum tw_code code = bytes.overflow
                            ? tw_err_set(err, TW_TOO_LARGE, "too many alerts in one group")
                            : tsdb_state_put(txn, ALERT_TABLE_SENT, id, tw_buf_str(&bytes), err);
    tw_buf_fini(&bytes);
    return code;
}

static void save_sent(struct alert_notifier *n, const struct alert_group *group,
                      const struct alert_delivery *delivery)
{
    struct tsdb_state_txn *txn = NULL;
    struct tw_err err = {0};
    if (n->options.state == NULL)
        return;
    enum tw_code code = tsdb_state_begin(n->options.state, true, &txn, &err);
    if (code == TW_OK) {
        code = write_sent(txn, group, delivery, &err);
        if (code == TW_OK)
            code = tsdb_state_commit(txn, &err);
        else
            tsdb_state_abort(txn);
    }
    if (code != TW_OK)
        alert_notifier_state_failed(n, &err);
}

/* ---- making and ending groups ---- */

static struct alert_group *group_free(struct alert_group *group)
{
    for (size_t i = 0; i < group->delivery_count; i++)
        alert_delivery_fini(&group->deliveries[i]);
    for (size_t i = 0; i < group->count; i++)
        group->entries[i]->group_count--;
    alert_labelset_free(group->labels);
    free(group->deliveries);
    free(group->entries);
    free(group->key);
    free(group);
    return NULL;
}

static struct wire_labels group_labels(const struct alert_route *route, struct wire_labels labels)
{
    if (route->group_by_all)
        return alert_labelset_dup(labels);
    struct wire_label *items = calloc(route->group_by_count + 1, sizeof *items);
    TW_ASSERT(items != NULL);
    struct wire_labels chosen = {items, 0};
    for (size_t i = 0; i < labels.count; i++)
        for (size_t k = 0; k < route->group_by_count; k++)
            if (tw_str_equal(labels.items[i].name, route->group_by[k]))
                items[chosen.count++] = labels.items[i];
    struct wire_labels made = alert_labelset_dup(chosen);
    free(items);
    return made;
}

static char *group_key(const struct alert_route *route, struct wire_labels labels)
{
    struct tw_buf key;
    tw_buf_init(&key, KEY_BYTES_MAX);
    tw_buf_append_str(&key, route->key);
    tw_buf_append_char(&key, ':');
    alert_labelset_format(labels, &key);
    char *text = tw_str_dup(tw_buf_str(&key));
    tw_buf_fini(&key);
    return text;
}

/* Waits group_wait from when the alert began, which may have passed; a group that was told of
 * before a restart goes on where it was. */
static int64_t first_flush(const struct alert_group *group, const struct alert_notice *notice,
                           int64_t now_ms)
{
    int64_t flush = now_ms + group->route->group_wait_ms;
    if (notice->record.starts_ms + group->route->group_wait_ms < now_ms)
        flush = now_ms;
    for (size_t i = 0; i < group->delivery_count; i++) {
        if (!group->deliveries[i].told)
            return flush;
        int64_t next = group->deliveries[i].told_ms + group->route->group_interval_ms;
        flush = next > flush ? next : flush;
    }
    return flush;
}

static struct alert_group *group_new(struct alert_notifier *n, const struct alert_route *route,
                                     struct wire_labels labels, char *key)
{
    struct alert_group *group = calloc(1, sizeof *group);
    TW_ASSERT(group != NULL);
    *group = (struct alert_group){.route = route, .labels = labels, .key = key};
    group->hash = tw_hash64(key, strlen(key));
    group->delivery_count = route->receiver->count;
    group->deliveries = calloc(group->delivery_count + 1, sizeof *group->deliveries);
    TW_ASSERT(group->deliveries != NULL);
    for (size_t i = 0; i < group->delivery_count; i++) {
        group->deliveries[i].id = delivery_id(group, i);
        group->deliveries[i].retry_ms = ALERT_TIME_NONE;
        load_sent(n, &group->deliveries[i]);
    }
    n->groups = realloc(n->groups, (n->group_count + 1) * sizeof(struct alert_group *));
    TW_ASSERT(n->groups != NULL);
    n->groups[n->group_count++] = group;
    return group;
}

struct adding {
    struct alert_notifier *notifier;
    struct alert_entry *entry;
    int64_t now_ms;
};

static void add_to_route(void *user, const struct alert_route *route)
{
    const struct adding *a = user;
    struct wire_labels labels = group_labels(route, a->entry->notice->record.labels);
    char *key = group_key(route, labels);
    uint64_t hash = tw_hash64(key, strlen(key));
    struct alert_group *group = NULL;
    for (size_t i = 0; group == NULL && i < a->notifier->group_count; i++) {
        struct alert_group *candidate = a->notifier->groups[i];
        if (candidate->hash == hash && candidate->route == route &&
            strcmp(candidate->key, key) == 0)
            group = candidate;
    }
    if (group == NULL) {
        group = group_new(a->notifier, route, labels, key);
        group->flush_ms = first_flush(group, a->entry->notice, a->now_ms);
    } else {
        alert_labelset_free(labels);
        free(key);
    }
    for (size_t i = 0; i < group->count; i++)
        if (group->entries[i] == a->entry)
            return;
    group->entries = realloc(group->entries, (group->count + 1) * sizeof(struct alert_entry *));
    TW_ASSERT(group->entries != NULL);
    group->entries[group->count++] = a->entry;
    a->entry->group_count++;
}

void alert_group_add(struct alert_notifier *notifier, struct alert_entry *entry, int64_t now_ms)
{
    struct adding adding = {notifier, entry, now_ms};
    alert_route_match(notifier->routing->root, entry->notice->record.labels, add_to_route, &adding);
}

/* Deliveries of groups that are still there keep what they were told, and their back-off. */
static void carry_over(struct alert_group *group, struct alert_group **old, size_t old_count)
{
    for (size_t i = 0; i < group->delivery_count; i++)
        for (size_t g = 0; g < old_count; g++)
            for (size_t k = 0; k < old[g]->delivery_count; k++) {
                struct alert_delivery *from = &old[g]->deliveries[k];
                if (from->id.low != group->deliveries[i].id.low ||
                    from->id.high != group->deliveries[i].id.high)
                    continue;
                alert_delivery_fini(&group->deliveries[i]);
                group->deliveries[i] = *from;
                from->firing = from->resolved = NULL;
                group->flush_ms = old[g]->flush_ms;
            }
}

void alert_groups_free(struct alert_notifier *n)
{
    for (size_t i = 0; i < n->group_count; i++)
        group_free(n->groups[i]);
    free(n->groups);
    n->groups = NULL;
    n->group_count = 0;
}

void alert_groups_rebuild(struct alert_notifier *n, int64_t now_ms)
{
    struct alert_group **old = n->groups;
    size_t old_count = n->group_count;
    n->groups = NULL;
    n->group_count = 0;
    for (size_t i = 0; i < n->count; i++)
        alert_group_add(n, n->entries[i], now_ms);
    for (size_t i = 0; i < n->group_count; i++)
        carry_over(n->groups[i], old, old_count);
    for (size_t i = 0; i < old_count; i++)
        group_free(old[i]);
    free(old);
}

/* ---- telling ---- */

/* What a group has to say now. */
struct content {
    const struct alert_notice **notices; /* not inhibited; in the order of a notification */
    size_t count;
    uint64_t *firing, *resolved;
    struct alert_tally tally;
};

static int compare_notices(const void *a, const void *b)
{
    const struct alert_notice *left = *(const struct alert_notice *const *)a,
                              *right = *(const struct alert_notice *const *)b;
    return alert_labelset_compare(left->record.labels, right->record.labels);
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static struct content content_new(struct alert_notifier *n, const struct alert_group *group,
                                  int64_t now_ms)
{
    struct content c = {.notices = calloc(group->count + 1, sizeof *c.notices),
                        .firing = calloc(group->count + 1, sizeof *c.firing),
                        .resolved = calloc(group->count + 1, sizeof *c.resolved)};
    TW_ASSERT(c.notices != NULL && c.firing != NULL && c.resolved != NULL);
    for (size_t i = 0; i < group->count; i++) {
        const struct alert_notice *notice = group->entries[i]->notice;
        if (alert_notice_inhibited(n, notice, now_ms))
            continue;
        c.notices[c.count++] = notice;
        if (alert_notice_resolved(notice, now_ms))
            c.resolved[c.tally.resolved_count++] = notice->fingerprint;
        else
            c.firing[c.tally.firing_count++] = notice->fingerprint;
    }
    qsort(c.notices, c.count, sizeof *c.notices, compare_notices);
    qsort(c.firing, c.tally.firing_count, sizeof *c.firing, compare_hashes);
    qsort(c.resolved, c.tally.resolved_count, sizeof *c.resolved, compare_hashes);
    c.tally.firing = c.firing;
    c.tally.resolved = c.resolved;
    return c;
}

static void content_fini(struct content *c)
{
    free(c->notices);
    free(c->firing);
    free(c->resolved);
}

/* A receiver that does not want resolved alerts gets those that fire. */
static void drop_resolved(struct content *c, int64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->count; i++)
        if (!alert_notice_resolved(c->notices[i], now_ms))
            c->notices[kept++] = c->notices[i];
    c->count = kept;
}

static bool post(struct alert_notifier *n, const struct alert_group *group,
                 struct alert_delivery *delivery, const struct alert_webhook *webhook,
                 const struct content *c, const char *reason, int64_t now_ms)
{
    struct tw_buf body;
    struct tw_err err = {0};
    int status = 0;
    int64_t retry_after_ms = -1;
    size_t truncated = webhook->alerts_max > 0 && c->count > webhook->alerts_max
                           ? c->count - webhook->alerts_max
                           : 0;
    const struct alert_message message = {.receiver = group->route->receiver->name,
                                          .group_key = tw_str(group->key),
                                          .external_url = n->external_url,
                                          .reason = tw_str(reason),
                                          .group_labels = group->labels,
                                          .notices = c->notices,
                                          .count = c->count,
                                          .truncated = truncated,
                                          .now_ms = now_ms};
    tw_buf_init(&body, BODY_BYTES_MAX);
    alert_webhook_encode(&message, &body);
    const struct alert_post call = {webhook->url, webhook->authorization, tw_buf_str(&body),
                                    webhook->timeout_ms};
    enum tw_code code = body.overflow ? tw_err_set(&err, TW_TOO_LARGE, "notification too large")
                                      : n->options.transport->post(n->options.transport, &call,
                                                                   &status, &retry_after_ms, &err);
    tw_buf_fini(&body);
    if (code == TW_OK && status / 100 == 2)
        return true;
    bool again = code != TW_OK ? code != TW_TOO_LARGE : status / 100 == 5 || status == 429;
    if (code == TW_OK)
        tw_err_set(&err, TW_REMOTE, "status %d", status);
    tw_metric_add(again ? n->metrics.failed_network : n->metrics.failed_refused, 1);
    tw_log(TW_LOG_WARN, "alerts.notifier",
           again ? "cannot deliver, trying again"
                 : "notification refused, trying again with the next group_interval",
           "receiver=%s group=%s error=%s", tw_log_quote(group->route->receiver->name),
           tw_log_quote(tw_str(group->key)), tw_log_quote(tw_str(err.message)));
    if (again) {
        alert_delivery_failed(delivery, retry_after_ms, now_ms);
    } else {
        delivery->retry_ms = ALERT_TIME_NONE;
        delivery->refused = true;
    }
    return false;
}

static void tell(struct alert_notifier *n, struct alert_group *group, size_t index, int64_t now_ms)
{
    struct alert_delivery *delivery = &group->deliveries[index];
    const struct alert_webhook *webhook = &group->route->receiver->webhooks[index];
    struct content c = content_new(n, group, now_ms);
    const char *reason = alert_delivery_reason(delivery, &c.tally, webhook->send_resolved,
                                               group->route->repeat_interval_ms, now_ms);
    if (reason == NULL) {
        delivery->retry_ms = ALERT_TIME_NONE;
        delivery->refused = false;
        content_fini(&c);
        return;
    }
    if (!webhook->send_resolved)
        drop_resolved(&c, now_ms);
    if (delivery->retry_ms != ALERT_TIME_NONE)
        tw_metric_add(n->metrics.retried, 1);
    if (c.count == 0 || post(n, group, delivery, webhook, &c, reason, now_ms)) {
        alert_delivery_told(delivery, &c.tally, now_ms);
        save_sent(n, group, delivery);
        tw_metric_add(n->metrics.sent, c.count > 0); /* stored: a restart does not send it again */
    }
    content_fini(&c);
}

/* ---- after telling ---- */

/* Whether no webhook of the group still has to be told that the alert ended. */
static bool all_know(const struct alert_group *group, uint64_t fingerprint)
{
    for (size_t i = 0; i < group->delivery_count; i++) {
        const struct alert_delivery *delivery = &group->deliveries[i];
        if (delivery->retry_ms != ALERT_TIME_NONE || delivery->refused)
            return false;
        if (delivery->firing_count > 0 &&
            bsearch(&fingerprint, delivery->firing, delivery->firing_count, sizeof fingerprint,
                    compare_hashes) != NULL)
            return false;
    }
    return true;
}

/* Resolved alerts leave the group once all know, or when nobody could be told for days. */
static void drop_told(struct alert_notifier *n, struct alert_group *group, int64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < group->count; i++) {
        struct alert_entry *entry = group->entries[i];
        bool resolved = alert_notice_resolved(entry->notice, now_ms);
        bool known = resolved && all_know(group, entry->notice->fingerprint);
        bool expired =
            resolved && now_ms - entry->notice->record.ends_ms > ALERT_UNDELIVERED_MS_MAX;
        if (expired && !known)
            tw_metric_add(n->metrics.dropped, 1);
        if (known || expired)
            entry->group_count--;
        else
            group->entries[kept++] = entry;
    }
    group->count = kept;
}

static void forget_sent(struct alert_notifier *n, struct alert_group *group)
{
    for (size_t i = 0; i < group->delivery_count; i++) {
        if (!group->deliveries[i].told)
            continue;
        group->deliveries[i].told = false;
        save_sent(n, group, &group->deliveries[i]);
    }
}

int64_t alert_groups_step(struct alert_notifier *n, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    size_t kept = 0;
    for (size_t g = 0; g < n->group_count; g++) {
        struct alert_group *group = n->groups[g];
        bool flush = group->flush_ms <= now_ms, tried = false;
        for (size_t i = 0; i < group->delivery_count; i++) {
            int64_t retry_ms = group->deliveries[i].retry_ms;
            bool retry = retry_ms != ALERT_TIME_NONE && retry_ms <= now_ms;
            /* A flush does not cut a back-off short. */
            bool due = retry || (flush && retry_ms == ALERT_TIME_NONE);
            if (!due || atomic_load(&n->cancelled))
                continue;
            tell(n, group, i, now_ms);
            tried = true;
        }
        if (flush)
            group->flush_ms = now_ms + group->route->group_interval_ms;
        if ((flush || tried) && !atomic_load(&n->cancelled))
            drop_told(n, group, now_ms);
        if (group->count == 0) {
            forget_sent(n, group);
            group_free(group);
            continue;
        }
        n->groups[kept++] = group;
        next_ms = group->flush_ms < next_ms ? group->flush_ms : next_ms;
        for (size_t i = 0; i < group->delivery_count; i++)
            if (group->deliveries[i].retry_ms != ALERT_TIME_NONE &&
                group->deliveries[i].retry_ms < next_ms)
                next_ms = group->deliveries[i].retry_ms;
    }
    n->group_count = kept;
    return next_ms;
}
