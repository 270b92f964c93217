/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/status.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/json.h"
#include "base/log.h"
#include "base/number.h"
#include "query/engine.h"

#define METRICS_BYTES_MAX ((size_t)64 << 20)

static enum tw_http_verdict answer_text(struct tw_http_exchange *exchange, int status,
                                        const char *text)
{
    exchange->response.status = status;
    exchange->response.content_type = "text/plain; charset=utf-8";
    tw_buf_append_cstr(&exchange->response.body, text);
    return TW_HTTP_DONE;
}

/* ---- /-/ ---- */

static enum tw_http_verdict healthy(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    return answer_text(exchange, 200, "Tidewatch is Healthy.\n");
}

static enum tw_http_verdict ready(void *user, struct tw_http_exchange *exchange)
{
    const struct daemon_status *status = user;
    if (!atomic_load(&status->ready))
        return answer_text(exchange, 503, "Tidewatch is starting or stopping.\n");
    /* Read-only, it still answers and alerts: whoever balances load is to go on sending queries. */
    struct tsdb_db_status store;
    tsdb_db_status(status->db, &store);
    (void)answer_text(exchange, 200, "Tidewatch is Ready.\n");
    if (store.code != TW_OK)
        tw_buf_appendf(&exchange->response.body, "The store takes no samples: %s\n", store.message);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict reload(void *user, struct tw_http_exchange *exchange)
{
    struct daemon_status *status = user;
    struct tw_err err;
    if (status->reload(status->owner, &err) == TW_OK)
        return TW_HTTP_DONE;
    exchange->response.status = 500; /* as Prometheus answers it */
    exchange->response.content_type = "text/plain; charset=utf-8";
    tw_buf_appendf(&exchange->response.body, "failed to reload config: %s; the old one stays\n",
                   err.message);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict quit(void *user, struct tw_http_exchange *exchange)
{
    struct daemon_status *status = user;
    if (!status->params->enable_lifecycle)
        return answer_text(exchange, 403,
                           "Stopping over HTTP is off; --enable-lifecycle switches it on.\n");
    status->quit(status->owner);
    return answer_text(exchange, 200, "Requesting termination... Goodbye!\n");
}

/* ---- /metrics ---- */

static enum tw_http_verdict metrics(void *user, struct tw_http_exchange *exchange)
{
    struct daemon_status *status = user;
    struct tw_buf *body = &exchange->response.body;
    tw_buf_fini(body);
    tw_buf_init(body, METRICS_BYTES_MAX);
    exchange->response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    tw_metrics_write(status->metrics, body);
    return TW_HTTP_DONE;
}

/* ---- /api/v1/status ---- */

static enum tw_http_verdict config(void *user, struct tw_http_exchange *exchange)
{
    struct daemon_status *status = user;
    struct tw_json_writer writer;
    struct tw_buf yaml;
    tw_buf_init(&yaml, METRICS_BYTES_MAX);
    status->show_config(status->owner, &yaml);
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_object(&writer);
    tw_json_member_str(&writer, "yaml", tw_buf_str(&yaml));
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    tw_buf_fini(&yaml);
    return TW_HTTP_DONE;
}

static void write_flag(void *user, const char *flag, const char *value)
{
    tw_json_member_cstr(user, flag, value);
}

static enum tw_http_verdict flags(void *user, struct tw_http_exchange *exchange)
{
    struct daemon_status *status = user;
    struct tw_json_writer writer;
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_object(&writer);
    daemon_params_each(status->params, write_flag, &writer);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

static void member_time(struct tw_json_writer *writer, const char *key, int64_t wall_ms)
{
    char text[TW_CLOCK_RFC3339_BYTES];
    tw_clock_format_rfc3339(wall_ms, text);
    tw_json_member_cstr(writer, key, text);
}

static void write_store(struct tsdb_db *db, struct tw_json_writer *writer)
{
    struct tsdb_db_status store;
    tsdb_db_status(db, &store);
    tw_json_key(writer, TW_STR("store"));
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "state", store.read_only ? "read-only" : "writable");
    tw_json_member_cstr(writer, "reason", tsdb_read_only_text(store.read_only));
    tw_json_member_cstr(writer, "message", store.message);
    tw_json_member_int(writer, "diskFreeBytes", (int64_t)store.disk_free);
    tw_json_member_int(writer, "diskReserveBytes", (int64_t)store.disk_reserve);
    tw_json_member_int(writer, "retentionSizeBytes", (int64_t)store.size_max);
    tw_json_member_int(writer, "partitions", (int64_t)store.partitions);
    tw_json_member_int(writer, "headSeries", (int64_t)store.head_series);
    tw_json_member_int(writer, "headSamples", (int64_t)store.head_samples);
    tw_json_member_int(writer, "headBytes", (int64_t)store.head_bytes);
    tw_json_end_object(writer);
}

/* Prometheus's fields; those of Go's run time have no meaning here and are left out. */
static enum tw_http_verdict runtimeinfo(void *user, struct tw_http_exchange *exchange)
{
    struct daemon_status *status = user;
    struct tw_json_writer writer;
    char folder[PATH_MAX] = "", host[HOST_NAME_MAX + 1] = "", retention[TW_DURATION_BYTES] = "off";
    if (!getcwd(folder, sizeof folder))
        folder[0] = '\0';
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    if (status->params->retention > 0)
        tw_duration_format(status->params->retention, retention);
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_object(&writer);
    member_time(&writer, "startTime", status->start_ms);
    tw_json_member_cstr(&writer, "CWD", folder);
    tw_json_member_cstr(&writer, "hostname", host);
    member_time(&writer, "serverTime", tw_clock_wall_ms(status->clock));
    tw_json_member_bool(&writer, "reloadConfigSuccess", atomic_load(&status->reload_ok));
    member_time(&writer, "lastConfigTime", atomic_load(&status->reload_ms));
    tw_json_member_int(&writer, "corruptionCount", 0);
    tw_json_member_cstr(&writer, "storageRetention", retention);
    write_store(status->db, &writer);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

/* ---- what there is only with scraping ---- */

static enum tw_http_verdict targets(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    tw_buf_append_cstr(
        &exchange->response.body,
        "{\"status\":\"success\",\"data\":{\"activeTargets\":[],\"droppedTargets\":[],"
        "\"droppedTargetCounts\":{}}}");
    return TW_HTTP_DONE;
}

static enum tw_http_verdict scrape_pools(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    tw_buf_append_cstr(&exchange->response.body,
                       "{\"status\":\"success\",\"data\":{\"scrapePools\":[]}}");
    return TW_HTTP_DONE;
}

/* Which rules a target's labels went through; without scrape pools there is none to ask about. */
static enum tw_http_verdict relabel_steps(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    struct tw_str pool = {0}, labels = {0};
    struct tw_json *root;
    struct tw_err err;
    if (!tw_http_parameter(&exchange->request, "scrapePool", &pool) || pool.size == 0)
        (void)tw_err_set(&err, TW_BAD_DATA, "no scrapePool parameter provided");
    else if (!tw_http_parameter(&exchange->request, "labels", &labels) || labels.size == 0)
        (void)tw_err_set(&err, TW_BAD_DATA, "no labels parameter provided");
    else if (tw_json_parse(labels, &root, &err) != TW_OK)
        (void)tw_err_wrap(&err, "error parsing labels");
    else {
        tw_json_free(root);
        (void)tw_err_set(&err, TW_BAD_DATA,
                         "there is no scrape pool \"%.*s\": samples are pushed to this server",
                         TW_STR_ARG(pool));
    }
    tw_http_error_api(exchange, &err);
    return TW_HTTP_DONE;
}

/* Nothing is replayed while requests are answered. */
static enum tw_http_verdict walreplay(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    tw_buf_append_cstr(&exchange->response.body,
                       "{\"status\":\"success\",\"data\":{\"min\":0,\"max\":0,\"current\":0}}");
    return TW_HTTP_DONE;
}

static enum tw_http_verdict empty_list(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    tw_buf_append_cstr(&exchange->response.body, "{\"status\":\"success\",\"data\":[]}");
    return TW_HTTP_DONE;
}

/* Of no target; what is asked must make sense all the same. */
static enum tw_http_verdict targets_metadata(void *user, struct tw_http_exchange *exchange)
{
    struct tw_str text;
    struct tsdb_matcher *matchers;
    size_t count = 0;
    int64_t limit;
    struct tw_err err;
    enum tw_code code = TW_OK;
    if (tw_http_parameter(&exchange->request, "limit", &text) && text.size > 0 &&
        !tw_int64_parse(text, &limit))
        code = tw_err_set(&err, TW_BAD_DATA, "limit must be a number");
    else if (tw_http_parameter(&exchange->request, "match_target", &text) && text.size > 0 &&
             query_parse_any_selector(text, exchange->arena, &matchers, &count, &err) != TW_OK)
        code = tw_err_wrap(&err, "invalid parameter \"match_target\"");
    for (size_t i = 0; code == TW_OK && i < count; i++)
        tsdb_matcher_fini(&matchers[i]);
    if (code == TW_OK)
        return empty_list(user, exchange);
    tw_http_error_api(exchange, &err);
    return TW_HTTP_DONE;
}

/* Prometheus's pages listen here for notifications. There are none; 204 tells a browser not to ask
 * again, which it would do for ever after any other end of the stream. */
static enum tw_http_verdict no_events(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    exchange->response.status = 204;
    exchange->response.content_type = "text/event-stream";
    return TW_HTTP_DONE;
}

void daemon_status_route(struct tw_http_router *router, struct daemon_status *status)
{
    const unsigned change = TW_HTTP_POST | TW_HTTP_PUT;
    tw_http_route(router, TW_HTTP_GET, "/-/healthy", TW_HTTP_INLINE, healthy, status);
    tw_http_route(router, TW_HTTP_GET, "/-/ready", TW_HTTP_INLINE, ready, status);
    tw_http_route(router, change, "/-/reload", TW_HTTP_WORKER, reload, status);
    tw_http_route(router, change, "/-/quit", TW_HTTP_INLINE, quit, status);
    tw_http_route(router, TW_HTTP_GET, "/metrics", TW_HTTP_WORKER, metrics, status);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/status/config", TW_HTTP_WORKER, config, status);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/status/flags", TW_HTTP_INLINE, flags, status);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/status/runtimeinfo", TW_HTTP_INLINE, runtimeinfo,
                  status);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/targets", TW_HTTP_INLINE, targets, status);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/targets/metadata", TW_HTTP_INLINE, targets_metadata,
                  status);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/targets/relabel_steps", TW_HTTP_INLINE,
                  relabel_steps, status);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/notifications/live", TW_HTTP_INLINE, no_events,
                  status);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/notifications", TW_HTTP_INLINE, empty_list, status);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/status/walreplay", TW_HTTP_INLINE, walreplay,
                  status);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/scrape_pools", TW_HTTP_INLINE, scrape_pools,
                  status);
}
