/* SPDX-License-Identifier: Apache-2.0
 *
 * Exemplars of all series that any selector in a query matches, whatever is done with them there.
 * Offsets and @ do not move the range.
 */
#include "config.h"

#include "base/json.h"
#include "base/number.h"
#include "query/answer.h"
#include "query/api.h"
#include "query/parser.h"

static void write_exemplar(struct tw_json_writer *writer, const struct wire_exemplar *exemplar)
{
    char value[TW_DOUBLE_BYTES], time[QUERY_ANSWER_TIME_BYTES];
    size_t value_size = query_answer_value(exemplar->value, value);
    size_t time_size = query_answer_time(exemplar->time_ms, time);
    tw_json_begin_object(writer);
    tw_json_key(writer, TW_STR("labels"));
    query_answer_labels(writer, exemplar->labels);
    tw_json_member_str(writer, "value", (struct tw_str){value, value_size});
    tw_json_key(writer, TW_STR("timestamp"));
    tw_json_write_raw(writer, (struct tw_str){time, time_size});
    tw_json_end_object(writer);
}

static void write_answer(struct tw_http_exchange *exchange, const struct tsdb_exemplars *items,
                         size_t count)
{
    struct tw_buf *body = &exchange->response.body;
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, body);
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "status", "success");
    tw_json_key(&writer, TW_STR("data"));
    tw_json_begin_array(&writer);
    for (size_t i = 0; i < count; i++) {
        tw_json_begin_object(&writer);
        tw_json_key(&writer, TW_STR("seriesLabels"));
        query_answer_labels(&writer, items[i].labels);
        tw_json_key(&writer, TW_STR("exemplars"));
        tw_json_begin_array(&writer);
        for (size_t j = 0; j < items[i].count; j++)
            write_exemplar(&writer, &items[i].items[j]);
        tw_json_end_array(&writer);
        tw_json_end_object(&writer);
    }
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    if (!body->overflow)
        return;
    struct tw_err err;
    (void)tw_err_set(&err, TW_LIMIT,
                     "the exemplars are more than an answer of %zu bytes holds: "
                     "narrow the time range or the selectors",
                     body->size_max);
    tw_buf_clear(body);
    tw_http_error_api(exchange, &err);
}

static const struct tsdb_selector *list_selectors(const struct query_ast *ast,
                                                  struct tw_arena *arena)
{
    struct tsdb_selector *selectors =
        TW_ARENA_ARRAY(arena, struct tsdb_selector, ast->selector_count);
    for (size_t i = 0; i < ast->selector_count; i++)
        selectors[i] = (struct tsdb_selector){ast->selectors[i]->selector.matchers,
                                              ast->selectors[i]->selector.matcher_count};
    return selectors;
}

static enum tw_http_verdict handle_exemplars(void *user, struct tw_http_exchange *exchange)
{
    int64_t start_ms = QUERY_API_TIME_MIN_MS, end_ms = QUERY_API_TIME_MAX_MS;
    struct tw_str text = {"", 0};
    struct tw_err err;
    if (!query_api_time(exchange, "start", &start_ms) || !query_api_time(exchange, "end", &end_ms))
        return TW_HTTP_DONE;
    (void)tw_http_parameter(&exchange->request, "query", &text);
    struct query_ast *ast = NULL;
    enum tw_code code = TW_OK;
    if (end_ms < start_ms)
        code = tw_err_set(&err, TW_BAD_DATA, "end timestamp must not be before start timestamp");
    if (code == TW_OK)
        code = query_parse(text, QUERY_FEATURES_ALL, &ast, &err);
    if (code == TW_OK && ast->selector_count == 0) {
        exchange->response.status = 204; /* as Prometheus answers it: no data, not an empty list */
    } else if (code == TW_OK) {
        struct tsdb_exemplars *items;
        size_t count;
        code = tsdb_exemplars_select(query_engine_storage(user), &exchange->context,
                                     list_selectors(ast, exchange->arena), ast->selector_count,
                                     start_ms, end_ms, exchange->arena, &items, &count, &err);
        if (code == TW_OK)
            write_answer(exchange, items, count);
    }
    if (code != TW_OK)
        tw_http_error_api(exchange, &err);
    if (ast)
        query_ast_free(ast);
    return TW_HTTP_DONE;
}

void query_api_exemplars_route(struct tw_http_router *router, struct query_engine *engine)
{
    tw_http_route(router, TW_HTTP_GET | TW_HTTP_POST, "/api/v1/query_exemplars", TW_HTTP_WORKER,
                  handle_exemplars, engine);
}
