/* SPDX-License-Identifier: Apache-2.0
 *
 * families: GET /api/v1/status/self_metrics, the server's own metrics as JSON: the form that
 * Protocol Buffers give io.prometheus.client.MetricFamily, as in Prometheus.
 */
#ifndef TW_DAEMON_FAMILIES_H
#define TW_DAEMON_FAMILIES_H

#include "base/http.h"
#include "base/metrics.h"

/* The metrics outlive the router. */
void daemon_families_route(struct tw_http_router *router, struct tw_metrics *metrics);

#endif
