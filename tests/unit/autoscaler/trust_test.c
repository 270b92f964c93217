/* SPDX-License-Identifier: Apache-2.0
 *
 * Pauses, the audit log, verification and outcomes, and what others may read: alone, and with a
 * manager in simulated time.
 */
#include "config.h"

#include "autoscaler/trust.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "autoscaler/selector.h"
#include "base/json.h"
#include "base/log.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"
#include "tests/unit/autoscaler/fake_engine.h"
#include "tests/unit/autoscaler/sink.h"

static const int64_t noon = 1767571200000 + 12 * INT64_C(3600000);

static struct world {
    struct tsdb_storage *storage;
    struct tsdb_state *state;
    struct tw_clock *clock;
    struct query_engine *engine;
    struct scale_manager *manager;
    struct sink *sink;
    _Atomic double load;
    atomic_llong replicas, ready;
} world;

static enum tw_code answer(void *user, struct tw_str text, int64_t time_ms, int64_t lookback_ms,
                           double *ret)
{
    (void)user;
    (void)lookback_ms;
    if (tw_str_is(text, "replicas"))
        *ret = (double)world.replicas;
    else if (tw_str_is(text, "ready"))
        *ret = (double)world.ready;
    else
        *ret = world.load + (double)(time_ms / 1000 % 7) / 100; /* it moves */
    return *ret < 0 ? TW_NOT_FOUND : TW_OK;
}

static void open_manager(void)
{
    struct tw_err err = {0};
    unit_assert_ok(tsdb_state_open(unit_folder(), &world.state, &err), &err);
    struct scale_options options = {world.engine, world.storage, world.state, world.clock, NULL};
    world.manager = scale_manager_new(&options);
}

static void close_manager(void)
{
    world.manager = scale_manager_free(world.manager);
    world.state = tsdb_state_close(world.state);
}

static void begin(void)
{
    world.storage = memory_storage_new();
    world.clock = tw_clock_manual_new(noon);
    world.load = 500;
    world.replicas = world.ready = 6;
    fake_engine_set(answer, NULL);
    world.engine = query_engine_new(world.storage, NULL);
    world.sink = sink_new();
    tw_log_set_level(TW_LOG_ERROR);
    open_manager();
}

static void end(void)
{
    close_manager();
    world.sink = sink_free(world.sink);
    world.engine = query_engine_free(world.engine);
    world.storage = memory_storage_free(world.storage);
    world.clock = tw_clock_manual_free(world.clock);
}

static void configure(const char *more)
{
    struct tw_err err = {0};
    char text[1024];
    snprintf(text, sizeof text,
             "scalers:\n  - {name: web, load: load, capacity_per_replica: 100, min: 2, max: 50, "
             "history: 1h, replicas: replicas, ready: ready, startup: 1m, settle: 5m,"
             " target: {webhook: {url: 'http://127.0.0.1:%d/scale', timeout: 2s}}%s}\n",
             sink_port(world.sink), more);
    struct tw_arena *arena = tw_arena_new(1024);
    struct tw_yaml *root = NULL;
    unit_assert_ok(tw_yaml_parse(arena, "t.yml", tw_str(text), &root, &err), &err);
    unit_assert_ok(
        scale_manager_load(world.manager, "t.yml", tw_yaml_member(root, "scalers"), &err), &err);
    tw_arena_free(arena);
}

static void run_for(int64_t span_ms)
{
    int64_t until = tw_clock_wall_ms(world.clock) + span_ms;
    for (;;) {
        int64_t due = scale_manager_round(world.manager), now = tw_clock_wall_ms(world.clock);
        if (due > until || now >= until) {
            if (until > now)
                tw_clock_manual_advance(world.clock, until - now);
            return;
        }
        tw_clock_manual_advance(world.clock, due > now ? due - now : 1);
    }
}

/* A whole answer; lives until the next call. */
static const struct tw_json *call_bare(enum tw_http_method method, const char *target, int status)
{
    static struct tw_json *root;
    struct tw_http_router *router = tw_http_router_new();
    struct tw_http_exchange *exchange = NULL;
    struct tw_err err = {0};
    scale_api_route(router, world.manager);
    unit_assert_ok(tw_http_exchange_new(method, tw_str(target), NULL, 0, (struct tw_str){0},
                                        world.clock, &exchange, &err),
                   &err);
    exchange->request.client = TW_STR("127.0.0.1");
    tw_http_exchange_run(router, exchange);
    ck_assert_int_eq(exchange->response.status ? exchange->response.status : 200, status);
    tw_json_free(root);
    root = NULL;
    unit_assert_ok(tw_json_parse(tw_buf_str(&exchange->response.body), &root, &err), &err);
    tw_http_exchange_free(exchange);
    tw_http_router_free(router);
    return root;
}

/* The data of an answer. */
static const struct tw_json *call(enum tw_http_method method, const char *target, int status)
{
    const struct tw_json *root = call_bare(method, target, status);
    return status == 200 ? tw_json_member(root, "data") : root;
}

static const struct tw_json *web(void)
{
    return call(TW_HTTP_GET, "/api/v1/scalers/web", 200);
}

static int64_t decided(void)
{
    return tw_json_int(tw_json_member(tw_json_member(web(), "decision"), "to"), -1);
}

static struct tw_str text_of(const struct tw_json *value, const char *key)
{
    return tw_json_string(tw_json_member(value, key), (struct tw_str){0});
}

/* Entries of this kind in the audit log. */
static size_t noted(const char *kind)
{
    const struct tw_json *entries =
        tw_json_member(call(TW_HTTP_GET, "/api/v1/scaler_audit?limit=10000", 200), "entries");
    size_t count = 0;
    for (size_t i = 0; i < tw_json_count(entries); i++)
        count += tw_str_is(text_of(tw_json_item(entries, i), "kind"), kind);
    return count;
}

/* ---- pauses ---- */

START_TEST(a_paused_direction_stands_still_and_the_other_does_not)
{
    begin();
    configure("");
    run_for(60000);
    ck_assert_int_ge(decided(), 5);
    const struct tw_json *data =
        call(TW_HTTP_POST, "/api/v1/scalers/web/pause?direction=in&reason=release&by=ann", 200);
    unit_assert_str(text_of(tw_json_member(tw_json_member(data, "paused"), "in"), "who"),
                    "ann (127.0.0.1)");
    ck_assert_int_eq(tw_json_type(tw_json_member(tw_json_member(data, "paused"), "out")),
                     TW_JSON_NULL);
    world.load = 210;
    run_for(7200000);
    ck_assert_int_eq(decided(), 6);
    const struct tw_json *decision = tw_json_member(web(), "decision");
    unit_assert_contains(text_of(decision, "reason").data, "scale-in is paused");
    world.load = 1500;
    run_for(600000);
    ck_assert_int_ge(decided(), 10);
    call(TW_HTTP_POST, "/api/v1/scalers/web/resume?direction=in", 200);
    world.load = 210;
    run_for(7200000);
    ck_assert_int_le(decided(), 5);
    ck_assert_uint_eq(noted("pause"), 1);
    ck_assert_uint_eq(noted("resume"), 1);
    end();
}
END_TEST

START_TEST(a_pause_outlives_restart_and_reload_and_ends_in_time)
{
    begin();
    configure("");
    run_for(60000);
    call(TW_HTTP_POST, "/api/v1/scalers/web/pause?direction=both&reason=audit&for=2h", 200);
    close_manager();
    open_manager();
    configure(", quantile: 0.9");
    world.load = 2000;
    run_for(3600000);
    ck_assert_int_eq(decided(), 6);
    configure(", quantile: 0.95");
    run_for(1800000);
    ck_assert_int_eq(decided(), 6);
    run_for(2400000); /* over */
    ck_assert_int_ge(decided(), 10);
    ck_assert_uint_eq(noted("resume"), 2);
    end();
}
END_TEST

START_TEST(somebody_says_how_many)
{
    begin();
    configure("");
    run_for(60000);
    call(TW_HTTP_POST, "/api/v1/scalers/web/set?replicas=1&reason=test&for=10m", 200);
    run_for(60000);
    ck_assert_int_eq(decided(), 1); /* below min: people come last */
    run_for(600000);
    ck_assert_int_ge(decided(), 5);
    call(TW_HTTP_POST, "/api/v1/scalers/web/set?replicas=30&reason=test", 200);
    run_for(15000);
    ck_assert_int_eq(decided(), 30);
    call(TW_HTTP_POST, "/api/v1/scalers/web/resume", 200);
    run_for(7200000);
    ck_assert_int_lt(decided(), 30);
    end();
}
END_TEST

START_TEST(bad_requests_change_nothing)
{
    static const struct {
        const char *target;
        int status;
    } cases[] = {
        {"/api/v1/scalers/nobody/pause?reason=x", 404},
        {"/api/v1/scalers/web/pause", 400},
        {"/api/v1/scalers/web/pause?reason=%20", 400},
        {"/api/v1/scalers/web/pause?reason=x&direction=up", 400},
        {"/api/v1/scalers/web/pause?reason=x&for=soon", 400},
        {"/api/v1/scalers/web/pause?reason=x&for=0", 400},
        {"/api/v1/scalers/web/pause?reason=x&for=400d", 400},
        {"/api/v1/scalers/web/pause?reason=x%00y", 400},
        {"/api/v1/scalers/web/pause?reason=%ff", 400},
        {"/api/v1/scalers/web/set?replicas=51&reason=x", 400},
        {"/api/v1/scalers/web/set?replicas=-1&reason=x", 400},
        {"/api/v1/scalers/web/set?reason=x", 400},
    };
    begin();
    configure("");
    run_for(30000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        call(TW_HTTP_POST, cases[i].target, cases[i].status);
    const struct tw_json *refused =
        call(TW_HTTP_POST, "/api/v1/scalers/web/pause?reason=x&for=soon", 400);
    ck_assert(tw_str_starts(tw_json_string(tw_json_member(refused, "error"), TW_STR("")),
                                 TW_STR("for is 'soon'")));
    call(TW_HTTP_GET, "/api/v1/scaler_audit?limit=0", 400);
    ck_assert_uint_eq(noted("pause") + noted("set") + noted("resume"), 0);
    end();
}
END_TEST

/* ---- verification, outcomes, audit: with a target ---- */

START_TEST(replicas_that_serve_are_noted_as_such)
{
    begin();
    configure(", mode: act");
    world.load = 1000;
    run_for(15000);
    ck_assert_uint_ge(sink_count(world.sink), 1);
    unit_assert_str(text_of(tw_json_member(web(), "verification"), "status"), "waiting");
    world.replicas = world.ready = 40; /* more than enough, whatever was asked for */
    run_for(30000);
    unit_assert_str(text_of(tw_json_member(web(), "verification"), "status"), "serving");
    ck_assert_uint_ge(noted("delivered"), 1);
    ck_assert_uint_eq(noted("verified"), 1);
    ck_assert_uint_eq(noted("overdue"), 0);
    end();
}
END_TEST

START_TEST(replicas_that_do_not_serve_are_asked_for_again_and_alerted)
{
    begin();
    configure(", mode: act");
    world.load = 580; /* all that is needed is asked for at once */
    world.replicas = 4;
    world.ready = 4;
    run_for(1000);
    size_t sent = sink_count(world.sink);
    ck_assert_uint_eq(sent, 1);
    world.replicas = decided(); /* the target follows, but what it starts does not serve */
    run_for(170000);
    ck_assert_uint_eq(sink_count(world.sink), sent);
    run_for(30000); /* two start-up times and a minute */
    ck_assert_uint_eq(sink_count(world.sink), sent + 1);
    unit_assert_contains(sink_request(world.sink, sent), "Asked for again: 4 of ");
    unit_assert_str(text_of(web(), "health"), "failed");
    ck_assert_uint_eq(noted("overdue"), 1);
    run_for(3600000); /* thrice, no more */
    ck_assert_uint_eq(sink_count(world.sink), sent + SCALE_VERIFY_AGAIN_MAX);
    unit_assert_str(text_of(web(), "health"), "failed");
    world.ready = world.replicas;
    run_for(30000);
    unit_assert_str(text_of(web(), "health"), "ok");
    ck_assert_uint_eq(noted("verified"), 1);
    end();
}
END_TEST

START_TEST(an_order_under_way_is_verified_after_a_restart)
{
    begin();
    configure(", mode: act");
    world.load = 580;
    world.replicas = world.ready = 4;
    run_for(1000);
    world.replicas = decided();
    close_manager();
    open_manager();
    configure(", mode: act");
    run_for(600000);
    ck_assert_uint_ge(noted("overdue"), 1);
    end();
}
END_TEST

static struct tw_str verdict_at(size_t index)
{
    const struct tw_json *decisions =
        tw_json_member(call(TW_HTTP_GET, "/api/v1/scalers/web/decisions", 200), "decisions");
    for (size_t i = 0; i < tw_json_count(decisions); i++) {
        const struct tw_json *outcome = tw_json_member(tw_json_item(decisions, i), "outcome");
        if (tw_json_type(outcome) == TW_JSON_OBJECT && index-- == 0)
            return text_of(outcome, "verdict");
    }
    return TW_STR("none");
}

START_TEST(what_became_of_a_change_is_found_out)
{
    begin();
    configure("");
    world.load = 580;
    world.replicas = world.ready = 4;
    run_for(300000);
    unit_assert_str(verdict_at(0), "none"); /* not yet */
    run_for(600000);
    unit_assert_str(verdict_at(0), "carried");
    end();
}
END_TEST

START_TEST(a_configuration_is_noted_with_what_it_changed)
{
    begin();
    configure("");
    configure(", quantile: 0.9, mode: act");
    const struct tw_json *entries = tw_json_member(
        call(TW_HTTP_GET, "/api/v1/scaler_audit?scaler=web&limit=1", 200), "entries");
    struct tw_str text = text_of(tw_json_item(entries, 0), "text");
    unit_assert_str(text, "changed: mode 'observe' -> 'act', quantile 0.75 -> 0.9");
    ck_assert_uint_eq(noted("config"), 4);
    end();
}
END_TEST

/* ---- read-outs ---- */

/* The members of an object, in their order: "kind apiVersion". */
static void assert_members(const struct tw_json *object, const char *wanted)
{
    char seen[512] = "";
    struct tw_str key;
    const struct tw_json *value;
    for (size_t i = 0; tw_json_member_at(object, i, &key, &value); i++) {
        ck_assert(strlen(seen) + key.size + 2 < sizeof seen);
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s%.*s", i ? " " : "",
                 TW_STR_ARG(key));
    }
    ck_assert_str_eq(seen, wanted);
}

#define EXTERNAL "/apis/external.metrics.k8s.io/v1beta1"
#define OF_SPACE EXTERNAL "/namespaces/shop/"

START_TEST(discovery_has_the_published_shapes)
{
    begin();
    configure("");
    const struct tw_json *root = call_bare(TW_HTTP_GET, EXTERNAL, 200);
    assert_members(root, "kind apiVersion groupVersion resources");
    unit_assert_str(text_of(root, "kind"), "APIResourceList");
    unit_assert_str(text_of(root, "apiVersion"), "v1");
    unit_assert_str(text_of(root, "groupVersion"), "external.metrics.k8s.io/v1beta1");
    const struct tw_json *resources = tw_json_member(root, "resources");
    ck_assert_uint_eq(tw_json_count(resources), 4);
    for (size_t i = 0; i < 4; i++) {
        const struct tw_json *resource = tw_json_item(resources, i);
        assert_members(resource, "name singularName namespaced kind verbs");
        unit_assert_str(text_of(resource, "kind"), "ExternalMetricValueList");
        unit_assert_str(
            tw_json_string(tw_json_item(tw_json_member(resource, "verbs"), 0), TW_STR("")), "get");
    }
    root = call_bare(TW_HTTP_GET, "/apis/external.metrics.k8s.io", 200);
    assert_members(root, "kind apiVersion name versions preferredVersion");
    unit_assert_str(text_of(root, "kind"), "APIGroup");
    root = call_bare(TW_HTTP_GET, "/apis", 200);
    assert_members(root, "kind apiVersion groups");
    assert_members(tw_json_item(tw_json_member(root, "groups"), 0),
                   "name versions preferredVersion");
    end();
}
END_TEST

START_TEST(values_have_the_published_shape)
{
    begin();
    configure("");
    run_for(1000);
    const struct tw_json *root = call_bare(
        TW_HTTP_GET, OF_SPACE "tidewatch_scaler_desired_replicas?labelSelector=scaler%3Dweb", 200);
    assert_members(root, "kind apiVersion metadata items");
    unit_assert_str(text_of(root, "kind"), "ExternalMetricValueList");
    unit_assert_str(text_of(root, "apiVersion"), "external.metrics.k8s.io/v1beta1");
    ck_assert_uint_eq(tw_json_count(tw_json_member(root, "items")), 1);
    const struct tw_json *item = tw_json_item(tw_json_member(root, "items"), 0);
    assert_members(item, "metricName metricLabels timestamp value");
    assert_members(tw_json_member(item, "metricLabels"), "scaler target");
    unit_assert_str(text_of(item, "metricName"), "tidewatch_scaler_desired_replicas");
    unit_assert_str(text_of(item, "timestamp"), "2026-01-05T12:00:00Z");
    unit_assert_str(text_of(item, "value"), "6");
    root = call_bare(TW_HTTP_GET, OF_SPACE "tidewatch_scaler_load", 200);
    struct tw_str value = text_of(tw_json_item(tw_json_member(root, "items"), 0), "value");
    ck_assert_int_eq(value.data[0], '5'); /* 500.03 */
    ck_assert_int_eq(value.data[value.size - 1], 'm');
    root =
        call_bare(TW_HTTP_GET, OF_SPACE "tidewatch_scaler_load?labelSelector=scaler%21%3Dweb", 200);
    ck_assert_uint_eq(tw_json_count(tw_json_member(root, "items")), 0);
    end();
}
END_TEST

START_TEST(refusals_are_statuses)
{
    begin();
    configure("");
    run_for(1000);
    const struct tw_json *root = call_bare(TW_HTTP_GET, OF_SPACE "no_such_metric", 404);
    assert_members(root, "kind apiVersion metadata status message reason code");
    unit_assert_str(text_of(root, "kind"), "Status");
    unit_assert_str(text_of(root, "status"), "Failure");
    unit_assert_str(text_of(root, "reason"), "NotFound");
    ck_assert_int_eq(tw_json_int(tw_json_member(root, "code"), 0), 404);
    root = call_bare(TW_HTTP_GET, OF_SPACE "tidewatch_scaler_load?labelSelector=a%20b", 400);
    unit_assert_str(text_of(root, "reason"), "BadRequest");
    end();
}
END_TEST

START_TEST(nobody_is_told_what_nothing_stands_behind)
{
    begin();
    configure("");
    call_bare(TW_HTTP_GET, "/api/v1/scalers/nobody/desired", 404);
    call_bare(TW_HTTP_GET, "/api/v1/scalers/web/desired", 503); /* nothing is decided yet */
    run_for(1000);
    const struct tw_json *data = call(TW_HTTP_GET, "/api/v1/scalers/web/desired", 200);
    assert_members(data, "name time desired_replicas load predicted_load capacity");
    ck_assert_int_eq(tw_json_int(tw_json_member(data, "desired_replicas"), 0), 6);
    tw_clock_manual_advance(world.clock, 600000); /* and then it stands still */
    call_bare(TW_HTTP_GET, "/api/v1/scalers/web/desired", 503);
    const struct tw_json *root =
        call_bare(TW_HTTP_GET, OF_SPACE "tidewatch_scaler_desired_replicas", 200);
    ck_assert_uint_eq(tw_json_count(tw_json_member(root, "items")), 0);
    end();
}
END_TEST

START_TEST(selectors_select)
{
    static const struct {
        const char *text;
        int holds; /* -1: is refused */
    } cases[] = {
        {"", 1},
        {"scaler=web", 1},
        {"scaler==web", 1},
        {" scaler = web , target!=exec", 1},
        {"scaler=shop", 0},
        {"scaler!=web", 0},
        {"other!=web", 1},
        {"other=web", 0},
        {"scaler in (shop, web)", 1},
        {"scaler in (shop)", 0},
        {"scaler notin (shop),target", 1},
        {"scaler notin (shop,web)", 0},
        {"other notin (web)", 1},
        {"scaler", 1},
        {"!scaler", 0},
        {"!other", 1},
        {"other", 0},
        {"other=", 0},
        {"scaler in", -1},
        {"scaler in (web", -1},
        {"scaler ! web", -1},
        {"scaler web", -1},
        {"=web", -1},
        {"scaler=web,", -1},
        {"scaler=web;target=exec", -1},
        {"a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", -1},
    };
    const struct tw_http_pair labels[] = {{TW_STR("scaler"), TW_STR("web")},
                                          {TW_STR("target"), TW_STR("webhook")}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct scale_selector selector;
        struct tw_err err;
        enum tw_code code = scale_selector_parse(tw_str(cases[i].text), &selector, &err);
        ck_assert_msg((code == TW_OK) == (cases[i].holds >= 0), "%s: %d", cases[i].text, code);
        if (code == TW_OK)
            ck_assert_msg(scale_selector_holds(&selector, labels, 2) == cases[i].holds, "%s",
                          cases[i].text);
    }
}
END_TEST

/* ---- alone ---- */

START_TEST(the_audit_log_only_grows_and_is_bounded)
{
    struct tw_err err = {0};
    struct tsdb_state *state = NULL;
    unit_assert_ok(tsdb_state_open(unit_folder(), &state, &err), &err);
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    memcpy(long_text + SCALE_AUDIT_TEXT_BYTES - 2, "\xc3\xa4", 2); /* is cut in two */
    struct scale_audit audits[3];
    for (int i = 0; i < 3; i++)
        scale_audit_make(&audits[i], noon + i, SCALE_AUDIT_SET, "ann", TW_STR("web"), "%s",
                         i == 1 ? long_text : "text");
    ck_assert_uint_eq(strlen(audits[1].text), SCALE_AUDIT_TEXT_BYTES - 2);
    unit_assert_ok(scale_audit_write(state, audits, 3, &err), &err);
    ck_assert_uint_eq(audits[2].number, 3);
    unit_assert_ok(scale_audit_write(state, audits, 1, &err), &err);
    ck_assert_uint_eq(audits[0].number, 4);
    state = tsdb_state_close(state);
}
END_TEST

START_TEST(a_scale_in_is_judged_at_once_and_overload_is_seen)
{
    struct scale_decision decision = {.time_ms = noon,
                                      .since_ms = noon,
                                      .from = 10,
                                      .to = 5,
                                      .startup_ms = 60000,
                                      .horizon_ms = 90000,
                                      .capacity = 100,
                                      .ready = 5,
                                      .replicas = 5,
                                      .key = "k"};
    struct scale_watch watch = {0};
    struct scale_effect effect;
    scale_watch_begin(&watch, &decision, 300000);
    for (int i = 1; i <= 20; i++) {
        decision.time_ms = noon + i * 15000;
        decision.load = i == 7 ? 620 : 450;
        ck_assert_int_eq(scale_watch_look(&watch, &decision), i == 20);
    }
    ck_assert(scale_watch_end(&watch, decision.time_ms, &effect));
    ck_assert_int_eq(effect.verdict, SCALE_VERDICT_OVERLOADED);
    ck_assert_int_eq(effect.over, 1);
    ck_assert_int_eq(effect.looks, 20);
    ck_assert_double_eq(effect.load, 620);
    ck_assert_double_eq(effect.capacity, 500);
    ck_assert(!scale_watch_end(&watch, decision.time_ms, &effect));
}
END_TEST

START_TEST(replicas_that_are_missing_are_the_verdict)
{
    struct scale_decision decision = {.time_ms = noon,
                                      .since_ms = noon,
                                      .from = 5,
                                      .to = 10,
                                      .startup_ms = 60000,
                                      .horizon_ms = 90000,
                                      .capacity = 100,
                                      .ready = 6,
                                      .replicas = 10,
                                      .load = 900,
                                      .key = "k"};
    struct scale_watch watch = {0};
    struct scale_effect effect;
    scale_watch_begin(&watch, &decision, 300000);
    for (int i = 1; i <= 24; i++) {
        decision.time_ms = noon + i * 15000;
        ck_assert_int_eq(scale_watch_look(&watch, &decision), i == 24);
    }
    ck_assert(scale_watch_end(&watch, decision.time_ms, &effect));
    ck_assert_int_eq(effect.verdict, SCALE_VERDICT_MISSING);
    ck_assert_int_eq(effect.looks, 21); /* from when they should serve */
    ck_assert_int_eq(effect.serving, 6);
}
END_TEST

START_TEST(nobody_says_what_is_there)
{
    struct scale_decision order = {.from = 2, .to = 4, .action_ms = noon};
    struct scale_verification verification = {0};
    ck_assert(!scale_verification_look(&verification, noon, 60000, 1, 1));
    scale_verification_begin(&verification, &order);
    ck_assert(!scale_verification_look(&verification, noon + 179999, 60000, -1, -1));
    ck_assert(scale_verification_look(&verification, noon + 180000, 60000, -1, -1));
    ck_assert_int_eq(verification.state, SCALE_VERIFY_BLIND);
    ck_assert(!verification.wants_again);
    ck_assert_int_eq(scale_verification_missing(&verification), 0);
    /* Then somebody does. */
    ck_assert(scale_verification_look(&verification, noon + 190000, 60000, 4, 4));
    ck_assert_int_eq(verification.state, SCALE_VERIFY_SERVING);
}
END_TEST

START_TEST(a_scale_in_is_verified_by_what_is_gone)
{
    struct scale_decision order = {.from = 8, .to = 4, .action_ms = noon};
    struct scale_verification verification = {0};
    scale_verification_begin(&verification, &order);
    ck_assert(!scale_verification_look(&verification, noon + 1000, 60000, 8, 3));
    ck_assert(scale_verification_look(&verification, noon + 180000, 60000, 6, 6));
    ck_assert_int_eq(verification.state, SCALE_VERIFY_OVERDUE);
    ck_assert_int_eq(scale_verification_missing(&verification), 2);
    /* The clock was set back: it is given its time anew, and no more. */
    ck_assert(!scale_verification_look(&verification, noon - 3600000, 60000, 6, 6));
    ck_assert(scale_verification_look(&verification, noon - 3590000, 60000, 4, 4));
    ck_assert_int_eq(verification.state, SCALE_VERIFY_SERVING);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(a_paused_direction_stands_still_and_the_other_does_not),
        UNIT_CASE(a_pause_outlives_restart_and_reload_and_ends_in_time),
        UNIT_CASE(somebody_says_how_many),
        UNIT_CASE(bad_requests_change_nothing),
        UNIT_CASE(replicas_that_serve_are_noted_as_such),
        UNIT_CASE(replicas_that_do_not_serve_are_asked_for_again_and_alerted),
        UNIT_CASE(an_order_under_way_is_verified_after_a_restart),
        UNIT_CASE(what_became_of_a_change_is_found_out),
        UNIT_CASE(a_configuration_is_noted_with_what_it_changed),
        UNIT_CASE(discovery_has_the_published_shapes),
        UNIT_CASE(values_have_the_published_shape),
        UNIT_CASE(refusals_are_statuses),
        UNIT_CASE(nobody_is_told_what_nothing_stands_behind),
        UNIT_CASE(selectors_select),
        UNIT_CASE(the_audit_log_only_grows_and_is_bounded),
        UNIT_CASE(a_scale_in_is_judged_at_once_and_overload_is_seen),
        UNIT_CASE(replicas_that_are_missing_are_the_verdict),
        UNIT_CASE(nobody_says_what_is_there),
        UNIT_CASE(a_scale_in_is_verified_by_what_is_gone),
        {0},
    };
    return unit_run("autoscaler/trust", cases);
}
