/* SPDX-License-Identifier: Apache-2.0
 *
 * inventory: what is in the store, for people.
 *
 *   GET /api/v1/hosts         hosts that send node metrics, with when they were last heard
 *   GET /api/v1/status/tsdb   cardinality of the last two hours, in Prometheus's shape
 *
 * Threads: handlers run on workers.
 */
#ifndef TW_DAEMON_INVENTORY_H
#define TW_DAEMON_INVENTORY_H

#include "base/http.h"
#include "tsdb/db.h"

/* Series looked at by status/tsdb; beyond, the answer is TW_LIMIT. */
#define DAEMON_INVENTORY_SERIES_MAX 2000000

void daemon_inventory_route(struct tw_http_router *router, struct tsdb_db *db);

#endif
