/* SPDX-License-Identifier: Apache-2.0
 *
 * notifier_int: what the files of the notifier share: notifier.c (inbox, table of alerts, step),
 * group.c (groups and their deliveries), peer.c (other Alertmanagers).
 */
#ifndef TW_ALERTS_NOTIFIER_INT_H
#define TW_ALERTS_NOTIFIER_INT_H

#include <stdatomic.h>

#include "alerts/delivery.h"
#include "alerts/notifier.h"
#include "base/lock.h"

/* An alert that is held. */
struct alert_entry {
    struct alert_notice *notice;
    size_t group_count; /* groups that hold it */
    int64_t changed_ms; /* for peers: since when it is as it is */
};

struct alert_group {
    const struct alert_route *route;
    struct wire_labels labels; /* on the heap */
    char *key;                 /* {}/{a="b"}:{alertname="X"} */
    uint64_t hash;             /* of key */
    struct alert_entry **entries;
    size_t count;
    int64_t flush_ms;
    struct alert_delivery *deliveries; /* one per webhook of the receiver */
    size_t delivery_count;
};

struct alert_peer_state {
    int64_t sent_ms;             /* last round that went well; ALERT_TIME_NONE: none */
    struct alert_delivery retry; /* for its back-off only */
};

/* Firing alerts that an inhibition rule has as its sources. */
struct alert_sources {
    const struct alert_notice **notices;
    size_t count;
};

struct alert_notifier {
    unsigned magic;
    struct alert_notifier_options options;
    atomic_bool cancelled;

    struct tw_lock lock; /* guards what other threads hand over: */
    struct alert_notice *inbox, **inbox_tail;
    struct alert_routing *next_routing;
    char *next_url;
    bool has_next;

    /* owned by the stepping thread: */
    struct alert_routing *routing;
    struct tw_str external_url;   /* on the heap */
    struct alert_entry **entries; /* by fingerprint */
    size_t count;
    struct alert_group **groups;
    size_t group_count;
    struct alert_peer_state *peers;
    struct alert_sources *sources; /* one per inhibition rule; NULL: to be made */
    bool sources_stale;
    struct {
        struct tw_metric *sent, *failed_network, *failed_refused, *retried, *dropped, *full;
        struct tw_metric *peer_sent, *peer_failed, *state_failures, *held;
    } metrics;
};

/* group.c */
void alert_group_add(struct alert_notifier *notifier, struct alert_entry *entry, int64_t now_ms);
void alert_groups_rebuild(struct alert_notifier *notifier, int64_t now_ms);
void alert_groups_free(struct alert_notifier *notifier);
/* Flushes and retries what is due; returns when something is due next. */
int64_t alert_groups_step(struct alert_notifier *notifier, int64_t now_ms);

/* inhibition.c */
bool alert_notice_inhibited(struct alert_notifier *notifier, const struct alert_notice *notice,
                            int64_t now_ms);
void alert_inhibition_reset(struct alert_notifier *notifier); /* before the routing changes */

/* peer.c */
void alert_peers_reset(struct alert_notifier *notifier);
int64_t alert_peers_step(struct alert_notifier *notifier, int64_t now_ms);

/* Counts and logs that the state store failed. */
void alert_notifier_state_failed(struct alert_notifier *notifier, const struct tw_err *err);

#endif
