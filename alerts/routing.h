/* SPDX-License-Identifier: Apache-2.0
 *
 * routing: where notifications go: the route tree, receivers, inhibition rules and other
 * Alertmanagers, in Alertmanager's configuration syntax.
 *
 *   alert's labels -> the deepest matching routes -> group_by -> group -> receiver -> webhooks
 *
 * What Alertmanager knows and this reader does not is refused as "not supported yet", with its
 * place.
 *
 * Threads: immutable after reading.
 */
#ifndef TW_ALERTS_ROUTING_H
#define TW_ALERTS_ROUTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alerts/matcher.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/yaml.h"

#define ALERT_GROUP_WAIT_MS (30 * 1000)
#define ALERT_GROUP_INTERVAL_MS (5 * 60 * 1000)
#define ALERT_REPEAT_INTERVAL_MS (4 * 3600 * 1000)
#define ALERT_CALL_TIMEOUT_MS (10 * 1000) /* of one delivery, unless timeout says otherwise */
#define ALERT_ROUTES_MAX 10000

struct alert_webhook {
    struct tw_str url;
    struct tw_str authorization; /* the header's value, or empty */
    bool send_resolved;
    uint64_t alerts_max; /* 0: all */
    int64_t timeout_ms;
};

struct alert_receiver {
    struct tw_str name;
    struct alert_webhook *webhooks;
    size_t count;
};

struct alert_route {
    const struct alert_receiver *receiver;
    bool group_by_all; /* '...' */
    struct tw_str *group_by;
    size_t group_by_count;
    int64_t group_wait_ms, group_interval_ms, repeat_interval_ms;
    struct alert_matchers matchers;
    bool continues;
    struct tw_str key; /* {}/{a="b"}: the matchers from the root down */
    struct alert_route *children;
    size_t child_count;
};

/* A target is muted while a source fires that has the same values in the labels `equal`. */
struct alert_inhibition {
    struct alert_matchers source, target;
    struct tw_str *equal;
    size_t equal_count;
};

struct alert_peer {
    struct tw_str url; /* of POST /api/v2/alerts */
    struct tw_str authorization;
};

struct alert_routing {
    struct tw_arena *arena;
    struct alert_route *root; /* NULL: nothing is routed */
    struct alert_receiver *receivers;
    size_t receiver_count;
    struct alert_inhibition *inhibitions;
    size_t inhibition_count;
    struct alert_peer *peers; /* real Alertmanagers */
    size_t peer_count;
};

/* file: for messages; folder: what relative paths of secrets are relative to; root: the
 * configuration's top level, or NULL. */
TW_MUST_CHECK enum tw_code alert_routing_read(const char *file, const char *folder,
                                              const struct tw_yaml *root,
                                              struct alert_routing **ret_routing,
                                              struct tw_err *err);
struct alert_routing *alert_routing_free(struct alert_routing *routing); /* returns NULL */

/* Calls visit for each route that takes an alert of these labels. */
typedef void alert_route_visit(void *user, const struct alert_route *route);
void alert_route_match(const struct alert_route *root, struct wire_labels labels,
                       alert_route_visit *visit, void *user);

/* receiver_config (receiver.c): the receivers list and alertmanagers list of a configuration. */
struct alert_routing_reader {
    const char *file, *folder;
    struct alert_routing *routing;
    struct tw_err *err;
};
TW_MUST_CHECK enum tw_code alert_receivers_read(struct alert_routing_reader *reader,
                                                const struct tw_yaml *root);
TW_MUST_CHECK enum tw_code alert_peers_read(struct alert_routing_reader *reader,
                                            const struct tw_yaml *root);

#endif
