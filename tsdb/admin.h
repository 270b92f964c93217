/* SPDX-License-Identifier: Apache-2.0
 *
 * admin: deleting over HTTP, as Prometheus has it:
 *
 *   POST|PUT /api/v1/admin/tsdb/delete_series?match[]=...&start=...&end=...   204
 *   POST|PUT /api/v1/admin/tsdb/clean_tombstones   204 when the space of all deletions is freed
 *
 * Both answer 503 (unavailable, "admin APIs disabled") unless they were enabled.
 *
 * Threads: any.
 */
#ifndef TW_TSDB_ADMIN_H
#define TW_TSDB_ADMIN_H

#include "base/http.h"
#include "tsdb/db.h"

/* What selectors look like is known above the store. Matchers in the arena; their regexes are freed
 * by tsdb_matcher_fini. */
typedef enum tw_code tsdb_admin_parse(struct tw_str text, struct tw_arena *arena,
                                      struct tsdb_matcher **ret_matchers, size_t *ret_count,
                                      struct tw_err *err);

/* Belongs to its owner, who keeps it as long as the router. */
struct tsdb_admin {
    struct tsdb_db *db;
    tsdb_admin_parse *parse;
    bool enabled;
};
void tsdb_admin_route(struct tw_http_router *router, struct tsdb_admin *admin);

#endif
