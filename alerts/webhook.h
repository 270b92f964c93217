/* SPDX-License-Identifier: Apache-2.0
 *
 * webhook: the body of a notification, Alertmanager's webhook JSON version 4, and that of
 * POST /api/v2/alerts.
 */
#ifndef TW_ALERTS_WEBHOOK_H
#define TW_ALERTS_WEBHOOK_H

#include <stddef.h>
#include <stdint.h>

#include "alerts/notice.h"
#include "base/buf.h"

struct alert_message {
    struct tw_str receiver, group_key, external_url, reason;
    struct wire_labels group_labels;
    const struct alert_notice *const *notices; /* in the order of alert_labelset_compare */
    size_t count, truncated;
    int64_t now_ms;
};

void alert_webhook_encode(const struct alert_message *message, struct tw_buf *out);
void alert_peer_encode(const struct alert_notice *const *notices, size_t count, int64_t now_ms,
                       struct tw_buf *out);

#endif
