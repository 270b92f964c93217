/* SPDX-License-Identifier: Apache-2.0
 *
 * peer: real Alertmanagers get what Prometheus would send them: every alert that fires, again each
 * minute (they take one for resolved that they do not hear of), and what resolved in the last 15
 * min. Sending twice is no harm there, so nothing is stored about it.
 */
#include "config.h"

#include <stdlib.h>

#include "alerts/active.h"
#include "alerts/notifier_int.h"
#include "alerts/webhook.h"
#include "base/assert.h"
#include "base/log.h"

#define PEER_BATCH 256 /* alerts in one call */
#define PEER_RESEND_MS (60 * 1000)
#define PEER_BODY_BYTES_MAX (64 << 20)

void alert_peers_reset(struct alert_notifier *n)
{
    free(n->peers);
    size_t count = n->routing->peer_count;
    n->peers = calloc(count + 1, sizeof *n->peers);
    TW_ASSERT(n->peers != NULL);
    for (size_t i = 0; i < count; i++)
        n->peers[i] = (struct alert_peer_state){.sent_ms = ALERT_TIME_NONE,
                                                .retry = {.retry_ms = ALERT_TIME_NONE}};
}

static bool send_batch(struct alert_notifier *n, size_t index,
                       const struct alert_notice *const *notices, size_t count, int64_t now_ms)
{
    const struct alert_peer *peer = &n->routing->peers[index];
    struct tw_buf body;
    struct tw_err err = {0};
    int status = 0;
    int64_t retry_after_ms = -1;
    tw_buf_init(&body, PEER_BODY_BYTES_MAX);
    alert_peer_encode(notices, count, now_ms, &body);
    const struct alert_post call = {peer->url, peer->authorization, tw_buf_str(&body),
                                    ALERT_CALL_TIMEOUT_MS};
    enum tw_code code =
        n->options.transport->post(n->options.transport, &call, &status, &retry_after_ms, &err);
    tw_buf_fini(&body);
    if (code == TW_OK && status / 100 == 2) {
        tw_metric_add(n->metrics.peer_sent, count);
        return true;
    }
    if (code == TW_OK)
        tw_err_set(&err, TW_REMOTE, "status %d", status);
    tw_metric_add(n->metrics.peer_failed, count);
    tw_log(TW_LOG_WARN, "alerts.notifier", "cannot send to Alertmanager, trying again",
           "url=%s error=%s", tw_log_quote(peer->url), tw_log_quote(tw_str(err.message)));
    alert_delivery_failed(&n->peers[index].retry, retry_after_ms, now_ms);
    return false;
}

/* Since the last round that went well, or all when a minute has passed. */
static size_t collect(const struct alert_notifier *n, const struct alert_peer_state *peer,
                      int64_t now_ms, const struct alert_notice **ret)
{
    bool all = peer->sent_ms == ALERT_TIME_NONE || now_ms - peer->sent_ms >= PEER_RESEND_MS;
    size_t count = 0;
    for (size_t i = 0; i < n->count; i++) {
        const struct alert_entry *entry = n->entries[i];
        bool old = alert_notice_resolved(entry->notice, now_ms) &&
                   now_ms - entry->notice->record.ends_ms > ALERT_RESOLVED_KEPT_MS;
        if (!old && (all || entry->changed_ms > peer->sent_ms))
            ret[count++] = entry->notice;
    }
    return count;
}

static void send_round(struct alert_notifier *n, size_t index, int64_t now_ms)
{
    struct alert_peer_state *peer = &n->peers[index];
    const struct alert_notice **notices = calloc(n->count + 1, sizeof *notices);
    TW_ASSERT(notices != NULL);
    size_t count = collect(n, peer, now_ms, notices);
    bool good = true;
    for (size_t at = 0; good && at < count; at += PEER_BATCH) {
        size_t batch = count - at < PEER_BATCH ? count - at : PEER_BATCH;
        good = !atomic_load(&n->cancelled) && send_batch(n, index, notices + at, batch, now_ms);
    }
    if (good && count > 0)
        peer->sent_ms = now_ms;
    if (good) {
        peer->retry.retry_ms = ALERT_TIME_NONE;
        peer->retry.back_off_ms = 0;
    }
    free(notices);
}

int64_t alert_peers_step(struct alert_notifier *n, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; n->routing != NULL && i < n->routing->peer_count && n->count > 0; i++) {
        struct alert_peer_state *peer = &n->peers[i];
        if (peer->retry.retry_ms == ALERT_TIME_NONE || peer->retry.retry_ms <= now_ms)
            send_round(n, i, now_ms);
        int64_t due = peer->retry.retry_ms != ALERT_TIME_NONE ? peer->retry.retry_ms
                      : peer->sent_ms != ALERT_TIME_NONE      ? peer->sent_ms + PEER_RESEND_MS
                                                              : now_ms + PEER_RESEND_MS;
        next_ms = due < next_ms ? due : next_ms;
    }
    return next_ms;
}
