/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and label sets: what completion, variables and dashboards ask for. Without start and end
 * all time is meant, as in Prometheus.
 */
#include "config.h"

#include "base/json.h"
#include "base/number.h"
#include "base/utf8.h"
#include "query/answer.h"
#include "query/api.h"

void query_api_names_end(struct query_names_query *query)
{
    for (size_t i = 0; i < query->selector_count; i++)
        for (size_t m = 0; m < query->selectors[i].count; m++) {
            struct tsdb_matcher matcher = query->selectors[i].matchers[m];
            tsdb_matcher_fini(&matcher);
        }
}

static enum tw_code read_selectors(struct tw_http_exchange *exchange,
                                   struct query_names_query *query, struct tw_err *err)
{
    struct tw_str text;
    for (size_t n = 0; tw_http_parameter_at(&exchange->request, "match[]", n, &text); n++) {
        if (n == QUERY_API_SELECTORS_MAX)
            return tw_err_set(err, TW_BAD_DATA, "more than %d selectors", QUERY_API_SELECTORS_MAX);
        struct tsdb_matcher *matchers;
        size_t count;
        enum tw_code code = query_parse_match(text, exchange->arena, &matchers, &count, err);
        if (code != TW_OK)
            return code;
        query->selectors[n] = (struct tsdb_selector){matchers, count};
        query->selector_count = n + 1;
    }
    return TW_OK;
}

struct query_names_query *query_api_names_begin(struct tw_http_exchange *exchange, bool limited,
                                                const char *blame)
{
    struct query_names_query *query = TW_ARENA_NEW(exchange->arena, struct query_names_query);
    query->start_ms = QUERY_API_TIME_MIN_MS;
    query->end_ms = QUERY_API_TIME_MAX_MS;
    if (!query_api_time(exchange, "start", &query->start_ms) ||
        !query_api_time(exchange, "end", &query->end_ms) ||
        (limited && !query_api_limit(exchange, "limit", &query->limit)))
        return NULL;
    struct tw_err err;
    if (read_selectors(exchange, query, &err) != TW_OK) {
        query_api_names_end(query);
        if (blame)
            query_api_refuse(exchange, blame, &err);
        else
            tw_http_error_api(exchange, &err);
        return NULL;
    }
    return query;
}

static void end_success(struct tw_json_writer *writer, bool truncated)
{
    if (truncated) {
        tw_json_key(writer, TW_STR("warnings"));
        tw_json_begin_array(writer);
        tw_json_write_cstr(writer, "results truncated due to limit");
        tw_json_end_array(writer);
    }
    tw_json_end_object(writer);
}

static void answer_strings(struct tw_http_exchange *exchange, const struct tsdb_strings *strings)
{
    struct tw_json_writer writer;
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_array(&writer);
    for (size_t i = 0; i < strings->count; i++)
        tw_json_write_str(&writer, strings->items[i]);
    tw_json_end_array(&writer);
    end_success(&writer, strings->truncated);
}

/* Nothing is between an end and a later start. */
static bool is_no_time(const struct query_names_query *query)
{
    return query->end_ms < query->start_ms;
}

static enum tw_http_verdict answer_nothing(struct tw_http_exchange *exchange,
                                           struct query_names_query *query)
{
    query_api_names_end(query);
    answer_strings(exchange, &(struct tsdb_strings){0});
    return TW_HTTP_DONE;
}

static enum tw_http_verdict handle_labels(void *user, struct tw_http_exchange *exchange)
{
    struct query_names_query *query = query_api_names_begin(exchange, true, NULL);
    if (!query)
        return TW_HTTP_DONE;
    if (is_no_time(query))
        return answer_nothing(exchange, query);
    struct tsdb_strings strings;
    struct tw_err err;
    enum tw_code code = tsdb_label_names(
        query_engine_storage(user), &exchange->context, query->selectors, query->selector_count,
        query->start_ms, query->end_ms, query->limit, exchange->arena, &strings, &err);
    if (code == TW_OK)
        answer_strings(exchange, &strings);
    else
        tw_http_error_api(exchange, &err);
    query_api_names_end(query);
    return TW_HTTP_DONE;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* "U__host_2e_name" -> "host.name" (Prometheus's value encoding of UTF-8 names in paths). What is
 * not such a form stays as it is. */
static struct tw_str unescape_name(struct tw_arena *arena, struct tw_str name)
{
    if (!tw_str_starts(name, TW_STR("U__")))
        return name;
    char *out = tw_arena_alloc(arena, name.size + 4);
    size_t size = 0;
    for (size_t i = 3; i < name.size; i++) {
        if (name.data[i] != '_') {
            out[size++] = name.data[i];
            continue;
        }
        if (i + 1 < name.size && name.data[i + 1] == '_') {
            out[size++] = '_';
            i++;
            continue;
        }
        uint32_t point = 0;
        size_t digits = 0;
        for (i++; i < name.size && name.data[i] != '_' && digits < 7; i++, digits++) {
            int digit = hex_digit(name.data[i]);
            if (digit < 0)
                return name;
            point = point * 16 + (uint32_t)digit;
        }
        if (digits == 0 || digits > 6 || i >= name.size)
            return name;
        size += tw_utf8_encode(point, out + size);
    }
    return (struct tw_str){out, size};
}

static enum tw_http_verdict handle_values(void *user, struct tw_http_exchange *exchange)
{
    struct tw_str name =
        unescape_name(exchange->arena, tw_http_capture(&exchange->request, "name"));
    struct tw_err err;
    if (name.size == 0 || !tw_utf8_valid(name)) {
        (void)tw_err_set(&err, TW_BAD_DATA, "invalid label name: \"%.*s\"", TW_STR_ARG(name));
        tw_http_error_api(exchange, &err);
        return TW_HTTP_DONE;
    }
    struct query_names_query *query = query_api_names_begin(exchange, true, NULL);
    if (!query)
        return TW_HTTP_DONE;
    if (is_no_time(query))
        return answer_nothing(exchange, query);
    struct tsdb_strings strings;
    enum tw_code code =
        tsdb_label_values(query_engine_storage(user), &exchange->context, name, query->selectors,
                          query->selector_count, query->start_ms, query->end_ms, query->limit,
                          exchange->arena, &strings, &err);
    if (code == TW_OK)
        answer_strings(exchange, &strings);
    else
        tw_http_error_api(exchange, &err);
    query_api_names_end(query);
    return TW_HTTP_DONE;
}

/* The union of sorted selections, each label set once, in order. */
struct series_union {
    struct tsdb_selection *selections[QUERY_API_SELECTORS_MAX];
    size_t next[QUERY_API_SELECTORS_MAX];
    size_t count;
};

static bool union_next(struct series_union *all, struct wire_labels *ret_labels)
{
    bool found = false;
    for (size_t i = 0; i < all->count; i++) {
        if (all->next[i] == tsdb_selection_count(all->selections[i]))
            continue;
        struct wire_labels labels = tsdb_selection_labels(all->selections[i], all->next[i]);
        if (!found || wire_labels_compare(labels, *ret_labels) < 0)
            *ret_labels = labels;
        found = true;
    }
    for (size_t i = 0; found && i < all->count; i++) {
        if (all->next[i] == tsdb_selection_count(all->selections[i]))
            continue;
        struct wire_labels labels = tsdb_selection_labels(all->selections[i], all->next[i]);
        all->next[i] += wire_labels_equal(labels, *ret_labels);
    }
    return found;
}

static enum tw_http_verdict handle_series(void *user, struct tw_http_exchange *exchange)
{
    struct query_names_query *query = query_api_names_begin(exchange, true, "match[]");
    if (!query)
        return TW_HTTP_DONE;
    if (is_no_time(query) && query->selector_count > 0)
        return answer_nothing(exchange, query);
    struct tw_err err;
    struct series_union *all = TW_ARENA_NEW(exchange->arena, struct series_union);
    if (query->selector_count == 0) {
        (void)tw_err_set(&err, TW_BAD_DATA, "no match[] parameter provided");
        tw_http_error_api(exchange, &err);
        goto out;
    }
    for (size_t i = 0; i < query->selector_count; i++) {
        enum tw_code code = tsdb_select(
            query_engine_storage(user), &exchange->context, query->selectors[i].matchers,
            query->selectors[i].count, query->start_ms, query->end_ms,
            &(struct tsdb_hints){.function = TW_STR("series")}, &all->selections[all->count], &err);
        if (code != TW_OK) {
            tw_http_error_api(exchange, &err);
            goto out;
        }
        all->count++;
    }
    struct tw_json_writer writer;
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_array(&writer);
    struct wire_labels labels = {0};
    size_t written = 0;
    bool truncated = false;
    while (!truncated && union_next(all, &labels)) {
        truncated = query->limit && written == query->limit;
        if (!truncated)
            query_answer_labels(&writer, labels);
        written++;
    }
    tw_json_end_array(&writer);
    end_success(&writer, truncated);
out:
    for (size_t i = 0; i < all->count; i++)
        tsdb_selection_close(all->selections[i]);
    query_api_names_end(query);
    return TW_HTTP_DONE;
}

/* 0 and negative numbers: none. False: the exchange is answered. */
static bool read_limit(struct tw_http_exchange *exchange, const char *name, size_t *ret_limit)
{
    struct tw_str text;
    struct tw_err err;
    int64_t limit = 0;
    if (tw_http_parameter(&exchange->request, name, &text) && text.size > 0 &&
        !tw_int64_parse(text, &limit)) {
        (void)tw_err_set(&err, TW_BAD_DATA, "%s must be a number", name);
        tw_http_error_api(exchange, &err);
        return false;
    }
    *ret_limit = limit > 0 ? (size_t)limit : 0;
    return true;
}

static enum tw_http_verdict handle_metadata(void *user, struct tw_http_exchange *exchange)
{
    size_t limit, limit_per_metric;
    if (!read_limit(exchange, "limit", &limit) ||
        !read_limit(exchange, "limit_per_metric", &limit_per_metric))
        return TW_HTTP_DONE;
    struct tw_str metric = {NULL, 0};
    (void)tw_http_parameter(&exchange->request, "metric", &metric);
    struct tsdb_metadata *items;
    size_t count;
    struct tw_err err;
    if (tsdb_metadata_list(query_engine_storage(user), &exchange->context, metric, exchange->arena,
                           &items, &count, &err) != TW_OK) {
        tw_http_error_api(exchange, &err);
        return TW_HTTP_DONE;
    }
    struct tw_json_writer writer;
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_object(&writer);
    size_t metrics = 0;
    for (size_t i = 0; i < count && !(limit && metrics == limit); metrics++) {
        struct tw_str name = items[i].metric;
        tw_json_key(&writer, name);
        tw_json_begin_array(&writer);
        for (size_t n = 0; i < count && tw_str_equal(items[i].metric, name); i++, n++) {
            if (limit_per_metric && n >= limit_per_metric)
                continue;
            tw_json_begin_object(&writer);
            tw_json_member_str(&writer, "type", items[i].type);
            tw_json_member_str(&writer, "help", items[i].help);
            tw_json_member_str(&writer, "unit", items[i].unit);
            tw_json_end_object(&writer);
        }
        tw_json_end_array(&writer);
    }
    tw_json_end_object(&writer);
    end_success(&writer, false);
    return TW_HTTP_DONE;
}

void query_api_names_route(struct tw_http_router *router, struct query_engine *engine)
{
    unsigned both = TW_HTTP_GET | TW_HTTP_POST;
    tw_http_route(router, both, "/api/v1/labels", TW_HTTP_WORKER, handle_labels, engine);
    tw_http_route(router, both, "/api/v1/series", TW_HTTP_WORKER, handle_series, engine);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/label/:name/values", TW_HTTP_WORKER, handle_values,
                  engine);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/metadata", TW_HTTP_WORKER, handle_metadata, engine);
}
