/* SPDX-License-Identifier: Apache-2.0
 *
 * admin: deleting and snapshots over HTTP, as Prometheus has them:
 *
 *   POST|PUT /api/v1/admin/tsdb/delete_series?match[]=...&start=...&end=...   204
 *   POST|PUT /api/v1/admin/tsdb/clean_tombstones   204 when the space of all deletions is freed
 *
 *   POST|PUT /api/v1/admin/tsdb/snapshot?skip_head=true   {"name": ..., "bytes": ...}
 *   GET      /api/v1/admin/tsdb/snapshots, DELETE /api/v1/admin/tsdb/snapshots/NAME
 *   POST|PUT /api/v1/admin/tsdb/compact   {"bytesBefore": ..., "bytesAfter": ...}
 *   POST|PUT /api/v1/admin/tsdb/verify    the report of verify_live.h
 *
 * All answer 503 (unavailable, "admin APIs disabled") unless they were enabled.
 *
 * Threads: any.
 */
#ifndef TW_TSDB_ADMIN_H
#define TW_TSDB_ADMIN_H

#include "base/http.h"
#include "tsdb/db.h"
#include "tsdb/state.h"

/* What selectors look like is known above the store. Matchers in the arena; their regexes are freed
 * by tsdb_matcher_fini. */
typedef enum tw_code tsdb_admin_parse(struct tw_str text, struct tw_arena *arena,
                                      struct tsdb_matcher **ret_matchers, size_t *ret_count,
                                      struct tw_err *err);

/* Belongs to its owner, who keeps it as long as the router. */
struct tsdb_admin {
    struct tsdb_db *db;
    struct tsdb_state *state; /* goes into snapshots; may be NULL */
    tsdb_admin_parse *parse;
    bool enabled;
};
void tsdb_admin_route(struct tw_http_router *router, struct tsdb_admin *admin);

#endif
