/* SPDX-License-Identifier: Apache-2.0
 *
 * manager_int: what the API needs of the manager.
 */
#ifndef TW_ALERTS_MANAGER_INT_H
#define TW_ALERTS_MANAGER_INT_H

#include "alerts/evaluator.h"
#include "alerts/manager.h"
#include "alerts/routing.h"

/* URLs of other Alertmanagers, on the heap. */
struct alert_peer_list {
    char **urls;
    size_t count;
};

struct alert_peer_list alert_peer_list_new(const struct alert_routing *routing);
void alert_peer_list_fini(struct alert_peer_list *list);

struct alert_evaluator *alert_manager_evaluator(struct alert_manager *manager);
void alert_manager_each_peer(struct alert_manager *manager,
                             void (*visit)(void *user, const char *url), void *user);

#endif
