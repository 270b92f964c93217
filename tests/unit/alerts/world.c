/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/unit/alerts/world.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/number.h"
#include "tests/lib/memory_storage.h"

/* ---- the engine ---- */

#define ANSWERS_MAX 64

static struct {
    char *expr, *samples;
} answers[ANSWERS_MAX];

void world_answer(const char *expr, const char *samples)
{
    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        if (answers[i].expr != NULL && strcmp(answers[i].expr, expr) != 0)
            continue;
        free(answers[i].samples);
        if (answers[i].expr == NULL)
            answers[i].expr = strdup(expr);
        answers[i].samples = samples != NULL ? strdup(samples) : NULL;
        return;
    }
    TW_UNREACHABLE("too many answers");
}

struct answer {
    struct query_result result; /* first */
    struct tw_arena *arena;
};

static void add_series(struct answer *answer, struct query_series *series, struct tw_str word,
                       int64_t time_ms)
{
    struct tw_str name;
    double value = 0;
    TW_ASSERT(tw_str_split(&word, '=', &name) && tw_double_parse(word, &value));
    struct wire_label *labels = TW_ARENA_ARRAY(answer->arena, struct wire_label, 2);
    struct query_point *point = TW_ARENA_NEW(answer->arena, struct query_point);
    labels[0] = (struct wire_label){TW_STR(WIRE_METRIC_NAME), TW_STR("m")};
    labels[1] = (struct wire_label){TW_STR("name"), tw_arena_str(answer->arena, name)};
    *point = (struct query_point){time_ms, value};
    series[answer->result.count++] =
        (struct query_series){.labels = {labels, 2}, .points = point, .count = 1};
}

const struct query_options *query_engine_options(const struct query_engine *engine)
{
    static const struct query_options options = {0};
    (void)engine;
    return &options;
}

enum tw_code query_run(struct query_engine *engine, const struct tw_context *context,
                       const struct query_request *request, struct query_result **ret_result,
                       struct tw_err *err)
{
    struct tw_str text = request->text;
    int64_t time_ms = request->end_ms;
    (void)engine;
    (void)context;
    for (size_t i = 0; i < ANSWERS_MAX && answers[i].expr != NULL; i++) {
        if (!tw_str_is(text, answers[i].expr))
            continue;
        if (answers[i].samples == NULL)
            return tw_err_set(err, TW_EXECUTION, "the engine was told to fail");
        struct answer *answer = calloc(1, sizeof *answer);
        TW_ASSERT(answer != NULL);
        answer->arena = tw_arena_new(4096);
        struct query_series *series = TW_ARENA_ARRAY(answer->arena, struct query_series, 2000);
        struct tw_str rest = tw_str(answers[i].samples), word;
        while (tw_str_split(&rest, ' ', &word))
            if (word.size > 0)
                add_series(answer, series, word, time_ms);
        answer->result.type = QUERY_VECTOR;
        answer->result.series = series;
        *ret_result = &answer->result;
        return TW_OK;
    }
    return tw_err_set(err, TW_EXECUTION, "no answer for '%.*s'", TW_STR_ARG(text));
}

struct query_result *query_result_free(struct query_result *result)
{
    struct answer *answer = (struct answer *)result;
    if (answer != NULL)
        tw_arena_free(answer->arena);
    free(answer);
    return NULL;
}

enum tw_code query_check(struct tw_str text, struct tw_err *err)
{
    size_t at = tw_str_find(text, TW_STR("!!"));
    if (at == SIZE_MAX)
        return TW_OK;
    tw_err_set(err, TW_SYNTAX, "unexpected character: '!'");
    err->start = (uint32_t)at;
    err->end = (uint32_t)at + 1;
    return TW_SYNTAX;
}

enum tw_code query_parse_match(struct tw_str text, struct tw_arena *arena,
                               struct tsdb_matcher **ret_matchers, size_t *ret_count,
                               struct tw_err *err)
{
    struct tw_str name;
    struct tsdb_matcher *matcher = TW_ARENA_NEW(arena, struct tsdb_matcher);
    if (!tw_str_split(&text, '=', &name) || text.size == 0)
        return tw_err_set(err, TW_BAD_DATA, "no selector");
    enum tw_code code = tsdb_matcher_init(matcher, TSDB_MATCH_EQUAL, name, text, err);
    *ret_matchers = matcher;
    *ret_count = 1;
    return code;
}

/* ---- the receiver ---- */

static enum tw_code take_post(struct alert_transport *transport, const struct alert_post *post,
                              int *ret_status, int64_t *ret_retry_after_ms, struct tw_err *err)
{
    struct world *world = (struct world *)transport;
    world->try_count++;
    *ret_retry_after_ms = -1;
    if (world->status == 0)
        return tw_err_set(err, TW_NETWORK, "connection refused");
    *ret_status = world->status;
    if (world->status != 200)
        return TW_OK;
    TW_ASSERT(world->post_count < WORLD_POSTS_MAX);
    struct world_post *kept = &world->posts[world->post_count++];
    kept->url = tw_str_dup(post->url);
    kept->authorization = tw_str_dup(post->authorization);
    kept->body = tw_str_dup(post->body);
    kept->time_ms = tw_clock_wall_ms(world->clock);
    kept->status = world->status;
    if (tw_json_parse(post->body, &kept->json, err) != TW_OK)
        TW_UNREACHABLE("notifications are JSON");
    return TW_OK;
}

/* ---- the world ---- */

static void write_file(const char *name, const char *text, char *ret_path, size_t size)
{
    struct tw_err err;
    snprintf(ret_path, size, "%s/%s", unit_folder(), name);
    if (tw_file_replace(ret_path, tw_str(text), 0600, &err) != TW_OK)
        TW_UNREACHABLE("the test's folder can be written");
}

enum tw_code world_reload(struct world *world, const char *rules, const char *config,
                          struct tw_err *err)
{
    char path[512];
    write_file("rules.yml", rules, path, sizeof path);
    struct tw_arena *arena = tw_arena_new(4096);
    struct tw_str text = tw_arena_format(arena, "rule_files: ['rules.yml']\n%s", config);
    struct tw_yaml *root = NULL;
    enum tw_code code = tw_yaml_parse(arena, "tidewatch.yml", text, &root, err);
    static const struct wire_label external[] = {{TW_STR_INIT("region"), TW_STR_INIT("eu")}};
    const struct alert_settings settings = {.config_name = "tidewatch.yml",
                                            .config_folder = unit_folder(),
                                            .config = root,
                                            .external_url = TW_STR("http://tw:9090"),
                                            .external_labels = {external, 1},
                                            .interval_ms = 10000};
    if (code == TW_OK)
        code = alert_manager_reload(world->manager, &settings, err);
    tw_arena_free(arena);
    return code;
}

static void begin(struct world *world)
{
    struct tw_err err;
    if (tsdb_state_open(world->state_folder, &world->state, &err) != TW_OK)
        TW_UNREACHABLE("the state store opens");
    world->metrics = tw_metrics_new();
    const struct alert_manager_options options = {.storage = world->storage,
                                                  .state = world->state,
                                                  .clock = world->clock,
                                                  .metrics = world->metrics,
                                                  .transport = &world->transport};
    unit_assert_ok(alert_manager_new(&options, &world->manager, &err), &err);
    unit_assert_ok(world_reload(world, world->rules, world->config, &err), &err);
}

static void end(struct world *world)
{
    alert_manager_free(world->manager);
    tsdb_state_close(world->state);
    tw_metrics_free(world->metrics);
}

struct world *world_new(const char *rules, const char *config)
{
    static int number;
    struct world *world = calloc(1, sizeof *world);
    TW_ASSERT(world != NULL);
    world->transport.post = take_post;
    world->clock = tw_clock_manual_new(WORLD_START_MS);
    world->storage = memory_storage_new();
    char folder[512];
    snprintf(folder, sizeof folder, "%s/state%d", unit_folder(), number++);
    world->state_folder = strdup(folder);
    world->rules = strdup(rules);
    world->config = strdup(config);
    world->status = 200;
    begin(world);
    return world;
}

void world_free(struct world *world)
{
    end(world);
    for (size_t i = 0; i < world->post_count; i++) {
        free(world->posts[i].url);
        free(world->posts[i].body);
        free(world->posts[i].authorization);
        tw_json_free(world->posts[i].json);
    }
    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        free(answers[i].expr);
        free(answers[i].samples);
        answers[i].expr = answers[i].samples = NULL;
    }
    memory_storage_free(world->storage);
    tw_clock_manual_free(world->clock);
    free(world->state_folder);
    free(world->rules);
    free(world->config);
    free(world);
}

void world_advance(struct world *world, int64_t seconds)
{
    for (int64_t i = 0; i < seconds; i++) {
        tw_clock_manual_advance(world->clock, 1000);
        alert_manager_step(world->manager);
    }
}

void world_restart(struct world *world, int64_t seconds)
{
    end(world);
    tw_clock_manual_advance(world->clock, seconds * 1000);
    begin(world);
}

double world_value(struct world *world, const char *metric, ...)
{
    struct tsdb_matcher matchers[8];
    size_t count = 0;
    struct tw_err err;
    struct tw_context context;
    va_list arguments;
    tw_context_init(&context, world->clock);
    unit_assert_ok(tsdb_matcher_init(&matchers[count++], TSDB_MATCH_EQUAL, TW_STR(WIRE_METRIC_NAME),
                                     tw_str(metric), &err),
                   &err);
    va_start(arguments, metric);
    for (const char *name; (name = va_arg(arguments, const char *)) != NULL;)
        unit_assert_ok(tsdb_matcher_init(&matchers[count++], TSDB_MATCH_EQUAL, tw_str(name),
                                         tw_str(va_arg(arguments, const char *)), &err),
                       &err);
    va_end(arguments);
    struct tsdb_selection *selection = NULL;
    struct tsdb_cursor *cursor = NULL;
    int64_t now_ms = tw_clock_wall_ms(world->clock);
    double value = NAN;
    unit_assert_ok(
        tsdb_select(world->storage, &context, matchers, count, 0, now_ms, NULL, &selection, &err),
        &err);
    ck_assert_uint_le(tsdb_selection_count(selection), 1);
    unit_assert_ok(tsdb_cursor_open(selection, &cursor, &err), &err);
    if (tsdb_selection_count(selection) > 0) {
        struct tsdb_column column;
        tsdb_cursor_seek(cursor, 0, 0, now_ms);
        do {
            unit_assert_ok(tsdb_cursor_next(cursor, &column, &err), &err);
            if (column.count > 0)
                value = column.values[column.count - 1];
        } while (column.count > 0);
    }
    tsdb_cursor_close(cursor);
    tsdb_selection_close(selection);
    for (size_t i = 0; i < count; i++)
        tsdb_matcher_fini(&matchers[i]);
    return tw_double_is_stale(value) ? NAN : value;
}

char *world_get(struct world *world, const char *target)
{
    struct tw_http_router *router = tw_http_router_new();
    struct tw_http_exchange *exchange = NULL;
    struct tw_err err;
    alert_api_route(router, world->manager);
    unit_assert_ok(tw_http_exchange_new(TW_HTTP_GET, tw_str(target), NULL, 0, TW_STR(""),
                                        world->clock, &exchange, &err),
                   &err);
    tw_http_exchange_run(router, exchange);
    char *body = tw_str_dup(tw_buf_str(&exchange->response.body));
    tw_http_exchange_free(exchange);
    tw_http_router_free(router);
    return body;
}

struct wanted_metric {
    const char *name, *labels;
    double value;
};

static void visit_metric(void *user, const char *name, const char *labels, const char *help,
                         enum tw_metric_type type, double value)
{
    struct wanted_metric *wanted = user;
    (void)help;
    (void)type;
    if (strcmp(name, wanted->name) == 0 && strcmp(labels, wanted->labels) == 0)
        wanted->value = value;
}

double world_metric(struct world *world, const char *name, const char *labels)
{
    struct wanted_metric wanted = {name, labels, NAN};
    tw_metrics_each(world->metrics, visit_metric, &wanted);
    return wanted.value;
}
