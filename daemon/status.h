/* SPDX-License-Identifier: Apache-2.0
 *
 * status: what the server says about itself: /-/healthy, /-/ready, /-/reload, /-/quit, /metrics,
 * /api/v1/status/..., and the answers of Prometheus's API to questions about scraping, which this
 * server does not do.
 */
#ifndef TW_DAEMON_STATUS_H
#define TW_DAEMON_STATUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/http.h"
#include "base/metrics.h"
#include "daemon/params.h"
#include "tsdb/db.h"

/* What the routes need; outlives the router. */
struct daemon_status {
    const struct daemon_params *params;
    struct tw_metrics *metrics;
    struct tw_clock *clock;
    struct tsdb_db *db;
    int64_t start_ms;
    atomic_bool ready;
    atomic_bool reload_ok;
    _Atomic int64_t reload_ms; /* when a configuration was last taken */
    /* Appends the configuration in force, as YAML with secrets hidden. Any thread. */
    void (*show_config)(void *owner, struct tw_buf *ret_yaml);
    enum tw_code (*reload)(void *owner, struct tw_err *err);
    void (*quit)(void *owner);
    void *owner;
};

void daemon_status_route(struct tw_http_router *router, struct daemon_status *status);

#endif
