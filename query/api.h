/* SPDX-License-Identifier: Apache-2.0
 *
 * api: the Prometheus HTTP API v1 over the engine and its storage, in its exact JSON.
 *
 *   GET, POST /api/v1/query, query_range       results
 *   GET, POST /api/v1/labels, series           names, label sets
 *   GET       /api/v1/label/:name/values       values; U__ escaped names
 *   GET, POST /api/v1/format_query, parse_query  the query printed, and as a tree
 *   GET, POST /api/v1/search/metric_names, label_names, label_values  names like what was typed
 *   GET       /api/v1/metadata                 types, helps and units, as pushed
 *   GET, POST /api/v1/query_exemplars          exemplars of the series that a query reads
 *   POST      /api/v1/read                     remote read: samples or streamed chunks
 *   GET       /api/v1/status/buildinfo
 *   GET       /api/v1/features                 what is there and switched on
 *   GET       /federate                        newest samples as text
 *   GET, POST /api/v1/query_cost               what a query would read and hold
 *   GET       /api/v1/queries                  those that run now, with their cost so far
 *   DELETE    /api/v1/queries/:id              cancels one; also POST /api/v1/queries/:id/cancel
 *
 * Threads: handlers run on workers, several at once.
 */
#ifndef TW_QUERY_API_H
#define TW_QUERY_API_H

#include "base/http.h"
#include "query/engine.h"

/* Prometheus's guard: steps of a range query, which is also what a graph can show. */
#define QUERY_API_POINTS_MAX 11000
/* The level of the Prometheus API that buildinfo claims: clients choose their calls by it. */
#define QUERY_API_PROMETHEUS_VERSION "3.5.0"

/* The engine outlives the router's use. */
void query_api_route(struct tw_http_router *router, struct query_engine *engine);
/* labels, label values, series and metadata; called by query_api_route (query/api_names.c). */
void query_api_names_route(struct tw_http_router *router, struct query_engine *engine);
/* search/...; the same (query/api_search.c). */
void query_api_search_route(struct tw_http_router *router, struct query_engine *engine);
/* query_exemplars; the same (query/api_exemplars.c). */
void query_api_exemplars_route(struct tw_http_router *router, struct query_engine *engine);
/* remote read; the same (query/api_read.c). */
void query_api_read_route(struct tw_http_router *router, struct query_engine *engine);
/* "No limit" of times: all time, with room for a reader's look-back on either side. */
#define QUERY_API_TIME_MIN_MS (INT64_MIN / 4)
#define QUERY_API_TIME_MAX_MS (INT64_MAX / 4)

/* Called by query_api_route (query/api_federate.c, query/api_features.c). */
void query_api_federate_route(struct tw_http_router *router, struct query_engine *engine);
void query_api_features_route(struct tw_http_router *router, struct query_engine *engine);
/* The list of running queries, cancelling and estimates; called by query_api_route
 * (query/api_running.c). */
void query_api_running_route(struct tw_http_router *router, struct query_engine *engine);

/* format_query and parse_query; called by query_api_route (query/api_language.c). What they make of
 * a query is no longer than this. */
#define QUERY_API_LANGUAGE_BYTES_MAX ((size_t)16 << 20)
void query_api_language_route(struct tw_http_router *router, struct query_engine *engine);

/* Answers err with "invalid parameter "<name>": " in front, status 400. */
void query_api_refuse(struct tw_http_exchange *exchange, const char *name, struct tw_err *err);
/* A time parameter; *ret_ms keeps its default when it is absent. False: the exchange is answered.
 */
bool query_api_time(struct tw_http_exchange *exchange, const char *name, int64_t *ret_ms);
/* start, end and step of a range query, checked as Prometheus does. False: the exchange is
 * answered. */
bool query_api_range(struct tw_http_exchange *exchange, int64_t *ret_start_ms, int64_t *ret_end_ms,
                     int64_t *ret_step_ms);
/* Answers what ended a query: mistakes in it are mistakes in a parameter, the rest went wrong while
 * it ran. */
enum tw_http_verdict query_api_fail(struct tw_http_exchange *exchange, struct tw_err *err);
/* start, end, limit and match[] of a call for names. */
#define QUERY_API_SELECTORS_MAX 256
struct query_names_query {
    int64_t start_ms, end_ms;
    size_t limit; /* 0 = none */
    struct tsdb_selector selectors[QUERY_API_SELECTORS_MAX];
    size_t selector_count;
};
/* Reads them, in the exchange's arena; limit only when limited. blame: what stands in front of
 * mistakes in selectors, or NULL. NULL: the exchange is answered. Else query_api_names_end follows.
 */
struct query_names_query *query_api_names_begin(struct tw_http_exchange *exchange, bool limited,
                                                const char *blame);
void query_api_names_end(struct query_names_query *query);
/* The limit parameter, 0 = none. False: the exchange is answered. */
bool query_api_limit(struct tw_http_exchange *exchange, const char *name, size_t *ret_limit);

#endif
