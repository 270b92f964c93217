/* SPDX-License-Identifier: Apache-2.0
 *
 * /federate: the newest sample of each series that a match[] selects, within the look-back, in the
 * text exposition format, for another server to scrape.
 *
 *   # TYPE up untyped
 *   up{instance="a:9100",job="node"} 1 1753833600000
 *
 * As in Prometheus, a series without an instance gets an empty one, so that the scraping server
 * does not put its own there. Native histograms have no place in this format and are left out.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "query/answer.h"
#include "query/api.h"

#define SELECTORS_MAX 256
#define INSTANCE "instance"

struct newest {
    struct wire_labels labels; /* of a selection */
    struct tw_str name;
    int64_t time_ms;
    double value;
};

struct federation {
    struct query_engine *engine;
    struct tw_http_exchange *exchange;
    int64_t now_ms, start_ms; /* (start, now] */
    struct tsdb_selection *selections[SELECTORS_MAX];
    size_t selection_count;
    struct newest *items;
    size_t count, capacity;
};

/* ---- reading ---- */

static void add(struct federation *federation, const struct newest *item)
{
    if (federation->count == federation->capacity) {
        size_t old = federation->capacity;
        federation->capacity = old ? old * 2 : 256;
        federation->items = tw_arena_grow(federation->exchange->arena, federation->items,
                                          old * sizeof *item, federation->capacity * sizeof *item);
    }
    federation->items[federation->count++] = *item;
}

static enum tw_code read_newest(struct federation *federation, struct tsdb_cursor *cursor,
                                struct tsdb_selection *selection, size_t index, struct tw_err *err)
{
    struct tsdb_column column;
    struct newest item = {.labels = tsdb_selection_labels(selection, index)};
    bool found = false;
    tsdb_cursor_seek(cursor, index, federation->start_ms + 1, federation->now_ms);
    for (;;) {
        enum tw_code code = tsdb_cursor_next(cursor, &column, err);
        if (code)
            return code;
        if (column.count == 0)
            break;
        found = column.kind == TSDB_KIND_FLOAT; /* a histogram that is newer ends the floats */
        if (found) {
            item.time_ms = column.times_ms[column.count - 1];
            item.value = column.values[column.count - 1];
        }
    }
    item.name = wire_labels_get(item.labels, TW_STR(WIRE_METRIC_NAME));
    if (found && !tw_double_is_stale(item.value))
        add(federation, &item);
    return TW_OK;
}

static enum tw_code read_selector(struct federation *federation, struct tw_str text,
                                  struct tw_err *err)
{
    struct tw_http_exchange *exchange = federation->exchange;
    struct tsdb_matcher *matchers;
    struct tsdb_selection *selection = NULL;
    struct tsdb_cursor *cursor = NULL;
    size_t matcher_count;
    const struct tsdb_hints hints = {.lookback_ms = federation->now_ms - federation->start_ms};
    enum tw_code code =
        query_parse_any_selector(text, exchange->arena, &matchers, &matcher_count, err);
    if (code)
        return code;
    code = tsdb_select(query_engine_storage(federation->engine), &exchange->context, matchers,
                       matcher_count, federation->start_ms + 1, federation->now_ms, &hints,
                       &selection, err);
    for (size_t i = 0; i < matcher_count; i++)
        tsdb_matcher_fini(&matchers[i]);
    if (code)
        return code;
    federation->selections[federation->selection_count++] = selection;
    code = tsdb_cursor_open(selection, &cursor, err);
    for (size_t i = 0; !code && i < tsdb_selection_count(selection); i++) {
        if (i % 1024 == 0)
            code = tw_context_check(&exchange->context, err);
        if (!code)
            code = read_newest(federation, cursor, selection, i, err);
    }
    if (cursor)
        tsdb_cursor_close(cursor);
    return code;
}

/* ---- writing ---- */

static int compare(const void *a, const void *b)
{
    const struct newest *x = a, *y = b;
    int order = tw_str_compare(x->name, y->name);
    return order ? order : wire_labels_compare(x->labels, y->labels);
}

static bool is_plain(struct tw_str name, bool is_metric)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool digit = c >= '0' && c <= '9' && i > 0;
        if (!letter && !digit && !(is_metric && c == ':'))
            return false;
    }
    return name.size > 0;
}

static void write_quoted(struct tw_buf *text, struct tw_str s)
{
    tw_buf_append_char(text, '"');
    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i];
        if (c == '\\' || c == '"')
            tw_buf_append_char(text, '\\');
        if (c == '\n')
            tw_buf_append_cstr(text, "\\n");
        else
            tw_buf_append_char(text, c);
    }
    tw_buf_append_char(text, '"');
}

static void write_name(struct tw_buf *text, struct tw_str name, bool is_metric)
{
    if (is_plain(name, is_metric))
        tw_buf_append_str(text, name);
    else
        write_quoted(text, name);
}

static void write_label(struct tw_buf *text, bool *first, struct tw_str name, struct tw_str value)
{
    tw_buf_append_char(text, *first ? '{' : ',');
    *first = false;
    write_name(text, name, false);
    tw_buf_append_char(text, '=');
    write_quoted(text, value);
}

static void write_labels(struct tw_buf *text, const struct newest *item)
{
    bool first = true, has_instance = false;
    if (!is_plain(item->name, true)) { /* {"my.name",...} */
        tw_buf_append_char(text, '{');
        write_quoted(text, item->name);
        first = false;
    } else {
        tw_buf_append_str(text, item->name);
    }
    for (size_t i = 0; i < item->labels.count; i++) {
        struct wire_label label = item->labels.items[i];
        if (tw_str_is(label.name, WIRE_METRIC_NAME))
            continue;
        has_instance = has_instance || tw_str_is(label.name, INSTANCE);
        write_label(text, &first, label.name, label.value);
    }
    if (!has_instance)
        write_label(text, &first, TW_STR(INSTANCE), TW_STR(""));
    tw_buf_append_char(text, '}');
}

static void write_items(struct federation *federation)
{
    struct tw_buf *text = &federation->exchange->response.body;
    struct tw_str name = {"", 0};
    char value[TW_DOUBLE_BYTES];
    qsort(federation->items, federation->count, sizeof *federation->items, compare);
    for (size_t i = 0; i < federation->count; i++) {
        const struct newest *item = &federation->items[i];
        bool again = i > 0 && wire_labels_equal(item[-1].labels, item->labels);
        if (again || item->name.size == 0)
            continue;
        if (!tw_str_equal(item->name, name)) {
            tw_buf_append_cstr(text, "# TYPE ");
            write_name(text, item->name, true);
            tw_buf_append_cstr(text, " untyped\n");
            name = item->name;
        }
        write_labels(text, item);
        tw_buf_append_char(text, ' ');
        tw_buf_append_str(text,
                          (struct tw_str){value, tw_double_format_general(item->value, value)});
        tw_buf_appendf(text, " %lld\n", (long long)item->time_ms);
    }
}

static enum tw_http_verdict handle_federate(void *user, struct tw_http_exchange *exchange)
{
    struct federation *federation = TW_ARENA_NEW(exchange->arena, struct federation);
    struct tw_str text;
    struct tw_err err;
    enum tw_code code = TW_OK;
    federation->engine = user;
    federation->exchange = exchange;
    federation->now_ms = tw_clock_wall_ms(exchange->context.clock);
    federation->start_ms = federation->now_ms - query_engine_options(user)->lookback_ms;
    for (size_t n = 0; !code && tw_http_parameter_at(&exchange->request, "match[]", n, &text); n++)
        code = n < SELECTORS_MAX
                   ? read_selector(federation, text, &err)
                   : tw_err_set(&err, TW_BAD_DATA, "more than %d selectors", SELECTORS_MAX);
    if (!code) {
        exchange->response.content_type = "text/plain; version=0.0.4; charset=utf-8";
        write_items(federation);
    }
    for (size_t i = 0; i < federation->selection_count; i++)
        tsdb_selection_close(federation->selections[i]);
    if (!code && exchange->response.body.overflow)
        code = tw_err_set(&err, TW_LIMIT,
                          "the samples are more than an answer of %zu bytes holds: narrow match[]",
                          exchange->response.body.size_max);
    if (code)
        tw_http_error_text(exchange, &err);
    return TW_HTTP_DONE;
}

void query_api_federate_route(struct tw_http_router *router, struct query_engine *engine)
{
    tw_http_route(router, TW_HTTP_GET, "/federate", TW_HTTP_WORKER, handle_federate, engine);
}
