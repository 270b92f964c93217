/* SPDX-License-Identifier: Apache-2.0
 *
 * What queries cost: those that run now, listed and cancelled; and one before it runs.
 *
 *   GET    /api/v1/queries               {"data":[{"id":"7","query":"up",...}]}
 *   DELETE /api/v1/queries/:id           also POST /api/v1/queries/:id/cancel
 *   GET    /api/v1/query_cost?query=...  with time, or with start, end and step
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/number.h"
#include "query/answer.h"
#include "query/api.h"
#include "query/cost.h"

static void member_time(struct tw_json_writer *writer, const char *key, int64_t time_ms)
{
    char text[QUERY_ANSWER_TIME_BYTES];
    size_t size = query_answer_time(time_ms, text);
    tw_json_key(writer, tw_str(key));
    tw_json_write_raw(writer, (struct tw_str){text, size});
}

/* ---- running queries ---- */

static void write_account(void *user, const struct query_account *account)
{
    struct tw_json_writer *writer = user;
    char id[24], started[TW_CLOCK_RFC3339_BYTES];
    snprintf(id, sizeof id, "%" PRIu64, account->id);
    tw_clock_format_rfc3339(account->started_ms, started);
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "id", id);
    tw_json_member_str(writer, "query", account->text);
    tw_json_member_str(writer, "client", account->origin);
    member_time(writer, "start", account->start_ms);
    member_time(writer, "end", account->end_ms);
    tw_json_member_number(writer, "step", (double)account->step_ms / 1000);
    tw_json_member_cstr(writer, "startedAt", started);
    tw_json_member_number(writer, "age", (double)account->age_ns / 1e9);
    tw_json_member_int(writer, "samples", (int64_t)account->samples);
    tw_json_member_int(writer, "bytes", (int64_t)account->bytes);
    tw_json_end_object(writer);
}

static enum tw_http_verdict handle_list(void *user, struct tw_http_exchange *exchange)
{
    struct tw_json_writer writer;
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_array(&writer);
    query_running_each(query_engine_running(user), write_account, &writer);
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict handle_cancel(void *user, struct tw_http_exchange *exchange)
{
    struct tw_str text = tw_http_capture(&exchange->request, "id");
    int64_t id;
    struct tw_err err;
    if (tw_int64_parse(text, &id) && id > 0 &&
        query_running_cancel(query_engine_running(user), (uint64_t)id)) {
        tw_buf_append_cstr(&exchange->response.body, "{\"status\":\"success\"}");
        return TW_HTTP_DONE;
    }
    (void)tw_err_set(&err, TW_NOT_FOUND,
                     "no query with the id \"%.*s\" is running; /api/v1/queries lists them",
                     TW_STR_ARG(text));
    tw_http_error_api(exchange, &err);
    return TW_HTTP_DONE;
}

/* ---- cost ---- */

static void write_selectors(struct tw_json_writer *writer, const struct query_cost *cost)
{
    tw_json_key(writer, TW_STR("selectors"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < cost->selector_count; i++) {
        const struct query_cost_selector *selector = &cost->selectors[i];
        tw_json_begin_object(writer);
        tw_json_member_str(writer, "selector", selector->text);
        tw_json_member_str(writer, "readAs", selector->read_as);
        member_time(writer, "start", selector->start_ms);
        member_time(writer, "end", selector->end_ms);
        tw_json_member_int(writer, "steps", (int64_t)selector->steps);
        tw_json_member_int(writer, "series", (int64_t)selector->series);
        tw_json_member_int(writer, "samples", (int64_t)selector->samples);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}

static void write_shared(struct tw_json_writer *writer, const struct query_cost *cost)
{
    tw_json_key(writer, TW_STR("shared"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < cost->shared_count; i++) {
        tw_json_begin_object(writer);
        tw_json_member_str(writer, "expression", cost->shared[i].text);
        tw_json_member_int(writer, "places", (int64_t)cost->shared[i].places);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}

static void write_together(struct tw_json_writer *writer, const struct query_cost *cost)
{
    tw_json_key(writer, TW_STR("together"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < cost->together_count; i++) {
        const struct query_cost_together *one = &cost->together[i];
        tw_json_begin_object(writer);
        tw_json_member_str(writer, "selector", one->text);
        tw_json_member_int(writer, "places", (int64_t)one->places);
        member_time(writer, "start", one->start_ms);
        member_time(writer, "end", one->end_ms);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}

static void answer_cost(struct tw_http_exchange *exchange, const struct query_cost *cost)
{
    struct tw_json_writer writer;
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_object(&writer);
    tw_json_member_int(&writer, "series", (int64_t)cost->series);
    tw_json_member_int(&writer, "samples", (int64_t)cost->samples);
    tw_json_member_int(&writer, "bytes", (int64_t)cost->bytes);
    tw_json_member_int(&writer, "steps", (int64_t)cost->steps);
    tw_json_key(&writer, TW_STR("limits"));
    tw_json_begin_object(&writer);
    tw_json_member_int(&writer, "samples", (int64_t)cost->samples_max);
    tw_json_member_int(&writer, "bytes", (int64_t)cost->bytes_max);
    tw_json_end_object(&writer);
    tw_json_key(&writer, TW_STR("exceeds"));
    tw_json_begin_array(&writer);
    if (cost->samples > cost->samples_max)
        tw_json_write_cstr(&writer, "samples");
    if (cost->bytes > cost->bytes_max)
        tw_json_write_cstr(&writer, "bytes");
    tw_json_end_array(&writer);
    write_selectors(&writer, cost);
    write_shared(&writer, cost);
    write_together(&writer, cost);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
}

static enum tw_http_verdict handle_cost(void *user, struct tw_http_exchange *exchange)
{
    struct tw_str text = {"", 0}, ignored;
    int64_t start_ms = tw_clock_wall_ms(exchange->context.clock), end_ms, step_ms = 0;
    struct query_cost cost;
    struct tw_err err;
    (void)tw_http_parameter(&exchange->request, "query", &text);
    if (tw_http_parameter(&exchange->request, "step", &ignored)) {
        if (!query_api_range(exchange, &start_ms, &end_ms, &step_ms))
            return TW_HTTP_DONE;
    } else {
        if (!query_api_time(exchange, "time", &start_ms))
            return TW_HTTP_DONE;
        end_ms = start_ms;
    }
    if (query_cost_estimate(user, &exchange->context, text, start_ms, end_ms, step_ms,
                            exchange->arena, &cost, &err) != TW_OK)
        return query_api_fail(exchange, &err);
    answer_cost(exchange, &cost);
    return TW_HTTP_DONE;
}

void query_api_running_route(struct tw_http_router *router, struct query_engine *engine)
{
    const unsigned both = TW_HTTP_GET | TW_HTTP_POST;
    tw_http_route(router, both, "/api/v1/query_cost", TW_HTTP_WORKER, handle_cost, engine);
    if (!query_engine_running(engine))
        return;
    tw_http_route(router, TW_HTTP_GET, "/api/v1/queries", TW_HTTP_INLINE, handle_list, engine);
    tw_http_route(router, TW_HTTP_DELETE, "/api/v1/queries/:id", TW_HTTP_INLINE, handle_cancel,
                  engine);
    tw_http_route(router, TW_HTTP_POST, "/api/v1/queries/:id/cancel", TW_HTTP_INLINE, handle_cancel,
                  engine);
}
