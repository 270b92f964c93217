/* SPDX-License-Identifier: Apache-2.0
 *
 * Models that are kept, and the expressions that are pinned so that theirs are.
 *
 *   GET    /api/v1/forecast/pins                   {"data":[{"expression":"forecast(...)",...}]}
 *   POST   /api/v1/forecast/pins expression=...    pins one
 *   DELETE /api/v1/forecast/pins?expression=...    unpins it
 *   GET    /api/v1/forecast/models?limit=...       {"data":{"models":...,"items":[...]}}
 */
#include "config.h"

#include <math.h>

#include "base/json.h"
#include "query/api.h"
#include "query/keeper.h"

#define MODELS_SHOWN 100
#define MODELS_SHOWN_MAX 10000

static void write_pin(void *user, const struct query_pin_view *pin)
{
    struct tw_json_writer *writer = user;
    tw_json_begin_object(writer);
    tw_json_member_str(writer, "expression", pin->text);
    tw_json_member_cstr(writer, "source", pin->is_configured ? "configuration" : "api");
    tw_json_member_number(writer, "evaluatedAt", (double)pin->evaluated_ms / 1000);
    tw_json_member_number(writer, "seconds", pin->seconds);
    tw_json_member_int(writer, "series", (int64_t)pin->series);
    tw_json_member_cstr(writer, "error", pin->error);
    tw_json_end_object(writer);
}

static enum tw_http_verdict handle_list(void *user, struct tw_http_exchange *exchange)
{
    struct tw_json_writer writer;
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_array(&writer);
    query_keeper_each_pin(user, write_pin, &writer);
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

/* False: the exchange is answered. */
static bool read_expression(struct tw_http_exchange *exchange, struct tw_str *ret_text)
{
    struct tw_err err;
    if (tw_http_parameter(&exchange->request, "expression", ret_text) && ret_text->size > 0)
        return true;
    (void)tw_err_set(&err, TW_BAD_DATA,
                     "parameter \"expression\" is missing: what is to be pinned, such as "
                     "forecast(load[7d], 4h)");
    tw_http_error_api(exchange, &err);
    return false;
}

static enum tw_http_verdict answer(struct tw_http_exchange *exchange, enum tw_code code,
                                   struct tw_err *err)
{
    if (code != TW_OK)
        tw_http_error_api(exchange, err);
    else
        tw_buf_append_cstr(&exchange->response.body, "{\"status\":\"success\"}");
    return TW_HTTP_DONE;
}

static enum tw_http_verdict handle_pin(void *user, struct tw_http_exchange *exchange)
{
    struct tw_str text;
    struct tw_err err;
    if (!read_expression(exchange, &text))
        return TW_HTTP_DONE;
    return answer(exchange, query_keeper_pin(user, text, &err), &err);
}

static enum tw_http_verdict handle_unpin(void *user, struct tw_http_exchange *exchange)
{
    struct tw_str text;
    struct tw_err err;
    if (!read_expression(exchange, &text))
        return TW_HTTP_DONE;
    return answer(exchange, query_keeper_unpin(user, text, &err), &err);
}

/* ---- models ---- */

struct listing {
    struct tw_json_writer *writer;
    size_t left;
};

static void write_trial(struct tw_json_writer *writer, const struct query_trial *trial)
{
    struct query_trial_error error;
    tw_json_key(writer, TW_STR("errors"));
    tw_json_begin_array(writer);
    for (size_t k = 0; k < QUERY_TRIAL_HORIZONS; k++) {
        if (!query_trial_error(&trial->horizons[k], &error))
            continue;
        tw_json_begin_object(writer);
        tw_json_member_number(writer, "horizon", (double)error.ahead_ms / 1000);
        tw_json_member_number(writer, "mase", error.mase);
        tw_json_member_number(writer, "pinball", error.pinball);
        tw_json_member_number(writer, "coverage", error.coverage);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}

static bool write_model(void *user, const struct query_kept_model *model)
{
    struct listing *listing = user;
    struct tw_json_writer *writer = listing->writer;
    const struct query_learned *learned = model->learned;
    if (listing->left == 0)
        return false;
    listing->left--;
    tw_json_begin_object(writer);
    tw_json_member_str(writer, "expression", model->subject->text);
    tw_json_member_cstr(writer, "function", model->subject->scores ? "anomaly_score" : "forecast");
    tw_json_key(writer, TW_STR("labels"));
    tw_json_begin_object(writer);
    for (size_t i = 0; i < model->labels.count; i++) {
        tw_json_key(writer, model->labels.items[i].name);
        tw_json_write_str(writer, model->labels.items[i].value);
    }
    tw_json_end_object(writer);
    tw_json_member_number(writer, "horizon", (double)model->subject->horizon_ms / 1000);
    tw_json_member_number(writer, "step", (double)learned->step_ms / 1000);
    tw_json_member_number(writer, "learnedAt", (double)learned->epoch_ms / 1000);
    tw_json_member_number(writer, "knowsUntil", (double)query_learned_end_ms(learned) / 1000);
    tw_json_member_number(writer, "usedAt", (double)model->used_ms / 1000);
    tw_json_member_int(writer, "bytes",
                       learned->model ? (int64_t)forecast_model_size(learned->model) : 0);
    write_trial(writer, model->trial);
    tw_json_end_object(writer);
    return true;
}

static enum tw_http_verdict handle_models(void *user, struct tw_http_exchange *exchange)
{
    struct tw_json_writer writer;
    struct query_kept_totals totals;
    size_t limit = 0;
    if (!query_api_limit(exchange, "limit", &limit))
        return TW_HTTP_DONE;
    struct listing listing = {&writer, limit == 0                 ? MODELS_SHOWN
                                       : limit < MODELS_SHOWN_MAX ? limit
                                                                  : MODELS_SHOWN_MAX};
    query_kept_totals(query_keeper_kept(user), &totals);
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_object(&writer);
    tw_json_member_int(&writer, "models", (int64_t)totals.models);
    tw_json_member_int(&writer, "expressions", (int64_t)totals.subjects);
    tw_json_member_int(&writer, "bytes", (int64_t)totals.bytes);
    tw_json_key(&writer, TW_STR("items"));
    tw_json_begin_array(&writer);
    query_kept_each(query_keeper_kept(user), write_model, &listing);
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

void query_api_forecast_route(struct tw_http_router *router, struct query_keeper *keeper)
{
    tw_http_route(router, TW_HTTP_GET, "/api/v1/forecast/pins", TW_HTTP_INLINE, handle_list,
                  keeper);
    tw_http_route(router, TW_HTTP_POST, "/api/v1/forecast/pins", TW_HTTP_WORKER, handle_pin,
                  keeper);
    tw_http_route(router, TW_HTTP_DELETE, "/api/v1/forecast/pins", TW_HTTP_WORKER, handle_unpin,
                  keeper);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/forecast/models", TW_HTTP_WORKER, handle_models,
                  keeper);
}
