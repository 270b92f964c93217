/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/api.h"

#include "base/duration.h"
#include "base/json.h"
#include "base/number.h"
#include "query/answer.h"

#define NS_PER_MS INT64_C(1000000)

void query_api_refuse(struct tw_http_exchange *exchange, const char *name, struct tw_err *err)
{
    (void)tw_err_wrap(err, "invalid parameter \"%s\"", name);
    tw_http_error_api(exchange, err);
}

bool query_api_time(struct tw_http_exchange *exchange, const char *name, int64_t *ret_ms)
{
    struct tw_str text;
    if (!tw_http_parameter(&exchange->request, name, &text) || text.size == 0)
        return true;
    struct tw_err err;
    if (tw_time_parse_parameter(text, ret_ms, &err) == TW_OK)
        return true;
    (void)tw_err_wrap(&err, "invalid time value for '%s'", name);
    query_api_refuse(exchange, name, &err);
    return false;
}

bool query_api_limit(struct tw_http_exchange *exchange, const char *name, size_t *ret_limit)
{
    *ret_limit = 0;
    struct tw_str text;
    if (!tw_http_parameter(&exchange->request, name, &text) || text.size == 0)
        return true;
    int64_t limit;
    struct tw_err err;
    if (!tw_int64_parse(text, &limit))
        (void)tw_err_set(&err, TW_BAD_DATA, "strconv.Atoi: parsing \"%.*s\": invalid syntax",
                         TW_STR_ARG(text));
    else if (limit < 0)
        (void)tw_err_set(&err, TW_BAD_DATA, "limit must be non-negative");
    else {
        *ret_limit = (size_t)limit;
        return true;
    }
    query_api_refuse(exchange, name, &err);
    return false;
}

/* An earlier deadline of the exchange wins. */
static bool apply_timeout(struct tw_http_exchange *exchange)
{
    struct tw_str text;
    if (!tw_http_parameter(&exchange->request, "timeout", &text) || text.size == 0)
        return true;
    int64_t timeout_ms;
    struct tw_err err;
    if (tw_duration_parse_parameter(text, &timeout_ms, &err) != TW_OK) {
        query_api_refuse(exchange, "timeout", &err);
        return false;
    }
    if (timeout_ms <= 0) {
        (void)tw_err_set(&err, TW_TIMEOUT, "query timed out in query execution");
        tw_http_error_api(exchange, &err);
        return false;
    }
    struct tw_context *context = &exchange->context;
    int64_t now_ns = tw_clock_mono_ns(context->clock), deadline_ns;
    if (!__builtin_mul_overflow(timeout_ms, NS_PER_MS, &deadline_ns) &&
        !__builtin_add_overflow(deadline_ns, now_ns, &deadline_ns) &&
        deadline_ns < context->deadline_mono_ns)
        context->deadline_mono_ns = deadline_ns;
    return true;
}

/* What all queries have in common: text, limit, timeout, stats. */
static bool read_common(struct tw_http_exchange *exchange, const struct query_engine *engine,
                        struct query_request *request, struct query_answer_options *ret_options)
{
    request->text = (struct tw_str){"", 0};
    (void)tw_http_parameter(&exchange->request, "query", &request->text);
    *ret_options = (struct query_answer_options){.waited_ns = exchange->waited_ns,
                                                 .helpers = query_engine_helpers(engine)};
    struct tw_str text = {NULL, 0};
    exchange->context.origin = exchange->request.client;
    ret_options->stats = tw_http_parameter(&exchange->request, "stats", &text) && text.size > 0;
    ret_options->step_stats = ret_options->stats && tw_str_is(text, "all") &&
                              (query_engine_options(engine)->features & QUERY_FEATURE_STEP_STATS);
    request->is_tallied = ret_options->stats;
    return query_api_limit(exchange, "limit", &ret_options->series_max) && apply_timeout(exchange);
}

/* The engine, or one with the request's own look-back (*ret_own, to be freed). False: the exchange
 * is answered. */
static bool choose_engine(struct tw_http_exchange *exchange, struct query_engine **engine,
                          struct query_engine **ret_own)
{
    struct tw_str text;
    int64_t lookback_ms;
    struct tw_err err;
    *ret_own = NULL;
    if (!tw_http_parameter(&exchange->request, "lookback_delta", &text) || text.size == 0)
        return true;
    if (tw_duration_parse_parameter(text, &lookback_ms, &err) != TW_OK) {
        (void)tw_err_wrap(&err, "error parsing lookback delta duration");
        tw_http_error_api(exchange, &err);
        return false;
    }
    if (lookback_ms > 0) /* 0: the server's */
        *engine = *ret_own = query_engine_with_lookback(*engine, lookback_ms);
    return true;
}

enum tw_http_verdict query_api_fail(struct tw_http_exchange *exchange, struct tw_err *err)
{
    if (tw_code_http_status(err->code) == 400)
        query_api_refuse(exchange, "query", err);
    else
        tw_http_error_api(exchange, err);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict answer(struct query_engine *engine, struct tw_http_exchange *exchange,
                                   const struct query_request *request,
                                   const struct query_answer_options *options)
{
    struct query_engine *own;
    struct query_result *result;
    struct tw_err err;
    if (!choose_engine(exchange, &engine, &own))
        return TW_HTTP_DONE;
    enum tw_code code = query_run(engine, &exchange->context, request, &result, &err);
    query_engine_free(own);
    if (code != TW_OK)
        return query_api_fail(exchange, &err);
    query_answer_give(exchange, result, options);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict handle_query(void *user, struct tw_http_exchange *exchange)
{
    struct query_request request = {.end_ms = tw_clock_wall_ms(exchange->context.clock)};
    struct query_answer_options options;
    if (!query_api_time(exchange, "time", &request.end_ms) ||
        !read_common(exchange, user, &request, &options))
        return TW_HTTP_DONE;
    request.start_ms = request.end_ms;
    return answer(user, exchange, &request, &options);
}

bool query_api_range(struct tw_http_exchange *exchange, int64_t *ret_start_ms, int64_t *ret_end_ms,
                     int64_t *ret_step_ms)
{
    struct tw_str text = {"", 0};
    struct tw_err err;
    const char *name = "start";
    (void)tw_http_parameter(&exchange->request, "start", &text);
    if (tw_time_parse_parameter(text, ret_start_ms, &err) != TW_OK)
        goto refuse;
    name = "end";
    text = (struct tw_str){"", 0};
    (void)tw_http_parameter(&exchange->request, "end", &text);
    if (tw_time_parse_parameter(text, ret_end_ms, &err) != TW_OK)
        goto refuse;
    if (*ret_end_ms < *ret_start_ms) {
        (void)tw_err_set(&err, TW_BAD_DATA, "end timestamp must not be before start time");
        goto refuse;
    }
    name = "step";
    text = (struct tw_str){"", 0};
    (void)tw_http_parameter(&exchange->request, "step", &text);
    if (tw_duration_parse_parameter(text, ret_step_ms, &err) != TW_OK)
        goto refuse;
    if (*ret_step_ms <= 0) {
        (void)tw_err_set(&err, TW_BAD_DATA,
                         "zero or negative query resolution step widths are not accepted. Try a "
                         "positive integer");
        goto refuse;
    }
    if ((uint64_t)*ret_end_ms - (uint64_t)*ret_start_ms >
        (uint64_t)QUERY_API_POINTS_MAX * (uint64_t)*ret_step_ms) {
        (void)tw_err_set(&err, TW_BAD_DATA,
                         "exceeded maximum resolution of 11,000 points per timeseries. Try "
                         "decreasing the query resolution (?step=XX)");
        tw_http_error_api(exchange, &err);
        return false;
    }
    return true;
refuse:
    query_api_refuse(exchange, name, &err);
    return false;
}

static enum tw_http_verdict handle_range(void *user, struct tw_http_exchange *exchange)
{
    struct query_request request = {.step_ms = 0};
    struct query_answer_options options;
    if (!query_api_range(exchange, &request.start_ms, &request.end_ms, &request.step_ms) ||
        !read_common(exchange, user, &request, &options))
        return TW_HTTP_DONE;
    return answer(user, exchange, &request, &options);
}

static enum tw_http_verdict handle_buildinfo(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, &exchange->response.body);
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "status", "success");
    tw_json_key(&writer, TW_STR("data"));
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "version", QUERY_API_PROMETHEUS_VERSION);
    tw_json_member_cstr(&writer, "revision", "");
    tw_json_member_cstr(&writer, "branch", "");
    tw_json_member_cstr(&writer, "buildUser", "");
    tw_json_member_cstr(&writer, "buildDate", "");
    tw_json_member_cstr(&writer, "goVersion", "");
    tw_json_member_cstr(&writer, "application", "tidewatch");
    tw_json_member_cstr(&writer, "applicationVersion", PACKAGE_VERSION);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

void query_api_route(struct tw_http_router *router, struct query_engine *engine)
{
    unsigned both = TW_HTTP_GET | TW_HTTP_POST;
    tw_http_route(router, both, "/api/v1/query", TW_HTTP_WORKER, handle_query, engine);
    tw_http_route(router, both, "/api/v1/query_range", TW_HTTP_WORKER, handle_range, engine);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/status/buildinfo", TW_HTTP_INLINE, handle_buildinfo,
                  NULL);
    query_api_names_route(router, engine);
    query_api_search_route(router, engine);
    query_api_features_route(router, engine);
    query_api_federate_route(router, engine);
    query_api_language_route(router, engine);
    query_api_running_route(router, engine);
    query_api_exemplars_route(router, engine);
    query_api_read_route(router, engine);
}
