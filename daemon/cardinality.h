/* SPDX-License-Identifier: Apache-2.0
 *
 * cardinality: where the store's series come from, for people.
 *
 *   GET /api/v1/cardinality?top=20&match[]=SELECTOR   (docs/configuration.md)
 *
 * Threads: the handler runs on a worker.
 */
#ifndef TW_DAEMON_CARDINALITY_H
#define TW_DAEMON_CARDINALITY_H

#include "base/http.h"
#include "tsdb/db.h"

void daemon_cardinality_route(struct tw_http_router *router, struct tsdb_db *db);

#endif
