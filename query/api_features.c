/* SPDX-License-Identifier: Apache-2.0
 *
 * /api/v1/features: what of Prometheus's surface there is and is switched on, by its categories.
 * What is not named is not there.
 */
#include "config.h"

#include "base/json.h"
#include "query/api.h"
#include "query/function.h"

static void begin_category(struct tw_json_writer *writer, const char *name)
{
    tw_json_key(writer, tw_str(name));
    tw_json_begin_object(writer);
}

static void write_list(struct tw_json_writer *writer, const char *category,
                       const char *const *names, size_t count)
{
    begin_category(writer, category);
    for (size_t i = 0; i < count; i++)
        tw_json_member_bool(writer, names[i], true);
    tw_json_end_object(writer);
}

static void write_promql(struct tw_json_writer *writer, unsigned features)
{
    bool experimental = features & QUERY_FEATURE_EXPERIMENTAL_FUNCTIONS;
    begin_category(writer, "promql");
    tw_json_member_bool(writer, "anchored", features & QUERY_FEATURE_EXTENDED_RANGES);
    tw_json_member_bool(writer, "at_modifier", true);
    tw_json_member_bool(writer, "bool", true);
    tw_json_member_bool(writer, "by", true);
    tw_json_member_bool(writer, "delayed_name_removal",
                        features & QUERY_FEATURE_DELAYED_NAME_REMOVAL);
    tw_json_member_bool(writer, "duration_expr", true);
    tw_json_member_bool(writer, "experimental_functions", experimental);
    tw_json_member_bool(writer, "fill", features & QUERY_FEATURE_FILL);
    tw_json_member_bool(writer, "group_left", true);
    tw_json_member_bool(writer, "group_right", true);
    tw_json_member_bool(writer, "ignoring", true);
    tw_json_member_bool(writer, "negative_offset", true);
    tw_json_member_bool(writer, "offset", true);
    tw_json_member_bool(writer, "on", true);
    tw_json_member_bool(writer, "per_query_lookback_delta", true);
    tw_json_member_bool(writer, "smoothed", features & QUERY_FEATURE_EXTENDED_RANGES);
    tw_json_member_bool(writer, "subqueries", true);
    tw_json_member_bool(writer, "type_and_unit_labels", features & QUERY_FEATURE_TYPE_LABELS);
    tw_json_member_bool(writer, "use_start_timestamps", features & QUERY_FEATURE_START_TIMESTAMPS);
    tw_json_member_bool(writer, "without", true);
    tw_json_end_object(writer);
    begin_category(writer, "promql_functions");
    const struct query_function *function;
    for (size_t i = 0; (function = query_function_at(i)); i++)
        tw_json_member_bool(writer, function->name, !function->experimental || experimental);
    tw_json_end_object(writer);
}

static enum tw_http_verdict handle_features(void *user, struct tw_http_exchange *exchange)
{
    static const char *const api[] = {"exclude_alerts",
                                      "label_values_match",
                                      "lifecycle",
                                      "query_stats",
                                      "query_warnings",
                                      "remote_write_receiver",
                                      "running_queries",
                                      "query_cost",
                                      "search",
                                      "search_fuzz_alg_jarowinkler",
                                      "search_fuzz_alg_subsequence",
                                      "time_range_labels",
                                      "time_range_series"};
    static const char *const operators[] = {
        "!=",    "!~",   "%",     "*",   "+",        "-",      "/",
        "<",     "<=",   "==",    "=~",  ">",        ">=",     "@",
        "^",     "and",  "atan2", "avg", "bottomk",  "count",  "count_values",
        "group", "max",  "min",   "or",  "quantile", "stddev", "stdvar",
        "sum",   "topk", "unless"};
    static const char *const tsdb[] = {"exemplar_storage", "native_histograms", "out_of_order",
                                       "downsampling", "retention_rules"};
    struct tw_json_writer writer;
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_object(&writer);
    write_list(&writer, "api", api, sizeof api / sizeof *api);
    write_promql(&writer, query_engine_options(user)->features);
    write_list(&writer, "promql_operators", operators, sizeof operators / sizeof *operators);
    write_list(&writer, "tsdb", tsdb, sizeof tsdb / sizeof *tsdb);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

void query_api_features_route(struct tw_http_router *router, struct query_engine *engine)
{
    tw_http_route(router, TW_HTTP_GET, "/api/v1/features", TW_HTTP_INLINE, handle_features, engine);
}
