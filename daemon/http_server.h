/* SPDX-License-Identifier: Apache-2.0
 *
 * http_server: binds a router to the network. The one file that knows libmicrohttpd (and zlib, for
 * answers in gzip).
 *
 *   socket -> event loop (epoll, a small pool) -> router -> handler inline, or on a worker
 *          <- answer, in gzip where asked for   <- done, or finished later from any thread
 *
 * Limits, each answered clearly: body (413, before it is read when the request says its size),
 * bodies of all requests together and waiting queries (429 with Retry-After), connections, seconds
 * without progress and seconds to send a request.
 *
 * A client that hangs up cancels the context of a request that runs on a worker.
 *
 * Metrics: tidewatch_http_requests_total{route,method,status},
 * tidewatch_http_request_duration_seconds{route}, tidewatch_http_requests_in_flight,
 * tidewatch_http_requests_queued, tidewatch_http_bodies_bytes,
 * tidewatch_http_refused_total{reason}.
 *
 * Threads: start and stop from one thread.
 */
#ifndef TW_DAEMON_HTTP_SERVER_H
#define TW_DAEMON_HTTP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/http.h"
#include "base/metrics.h"
#include "base/regex.h"

struct daemon_http;

struct daemon_http_options {
    const char *listen;         /* "127.0.0.1:9090", ":9090", "[::1]:9090", "localhost:0" */
    size_t loop_threads;        /* 0 = 2 */
    size_t worker_threads;      /* 0 = 4 */
    size_t worker_queue_max;    /* 0 = 128 */
    size_t connections_max;     /* 0 = 1024 */
    size_t body_bytes_max;      /* of one request; 0 = 64 MiB */
    size_t bodies_bytes_max;    /* of all requests together; 0 = 512 MiB */
    int64_t idle_timeout_ms;    /* without progress, and between requests; 0 = 2 min */
    int64_t request_timeout_ms; /* from a request's first line to the end of its body; 0 = 1 min */
    /* Pages of these origins may read the API (wholly matched); NULL = of any. Borrowed. */
    const struct tw_regex *cors_origins;
    struct tw_clock *clock;
    struct tw_metrics *metrics; /* may be NULL */
};

/* The router is complete and outlives the server. */
TW_MUST_CHECK enum tw_code daemon_http_start(const struct daemon_http_options *options,
                                             struct tw_http_router *router,
                                             struct daemon_http **ret_server, struct tw_err *err);
/* Refuses new connections, lets the requests that run end; after grace_ms it cancels them. Returns
 * NULL; or server when some handler never finished: then nothing of what handlers use may be freed.
 */
struct daemon_http *daemon_http_stop(struct daemon_http *server, int64_t grace_ms);
/* "127.0.0.1:9090": where it listens, with the port the system chose. */
const char *daemon_http_address(const struct daemon_http *server);

#endif
