/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "alerts/record.h"
#include "tests/unit/alerts/world.h"

#define RULES                                                                                      \
    "groups:\n"                                                                                    \
    "- name: g\n"                                                                                  \
    "  interval: 10s\n"                                                                            \
    "  rules:\n"                                                                                   \
    "  - alert: High\n"                                                                            \
    "    expr: high\n"                                                                             \
    "    for: 1m\n"                                                                                \
    "    labels: {severity: page}\n"                                                               \
    "    annotations: {summary: '{{ $labels.name }} is at {{ $value }}'}\n"

#define CONFIG                                                                                     \
    "route: {receiver: ops, group_by: [alertname], group_wait: 10s, group_interval: 1m,\n"         \
    "        repeat_interval: 1h}\n"                                                               \
    "receivers: [{name: ops, webhook_configs: [{url: 'http://hook/1'}]}]\n"

static const char *member(const struct world *world, size_t post, const char *key)
{
    static char text[256];
    struct tw_str value = tw_json_string(tw_json_member(world->posts[post].json, key), TW_STR("?"));
    snprintf(text, sizeof text, "%.*s", TW_STR_ARG(value));
    return text;
}

static size_t alert_count(const struct world *world, size_t post)
{
    return tw_json_count(tw_json_member(world->posts[post].json, "alerts"));
}

static bool count_record(void *user, struct tw_str key, struct tw_str value)
{
    (void)key;
    (void)value;
    ++*(size_t *)user;
    return true;
}

static size_t record_count(struct world *w, const char *table)
{
    struct tsdb_state_txn *txn = NULL;
    struct tw_err err;
    size_t count = 0;
    unit_assert_ok(tsdb_state_begin(w->state, false, &txn, &err), &err);
    unit_assert_ok(
        tsdb_state_each(txn, table, TW_STR(""), TW_STR(""), false, count_record, &count, &err),
        &err);
    tsdb_state_abort(txn);
    return count;
}

/* pending for a minute, firing, told after group_wait; then resolved, told with group_interval. */
START_TEST(lives_from_pending_to_resolved)
{
    struct world *w = world_new(RULES, CONFIG);
    world_answer("high", "a=5");
    world_advance(w, 20);
    ck_assert_double_eq(world_value(w, "ALERTS", "alertstate", "pending", "name", "a", NULL), 1);
    ck_assert_uint_eq(w->post_count, 0);
    world_advance(w, 70);
    ck_assert_double_eq(world_value(w, "ALERTS", "alertstate", "firing", "name", "a", NULL), 1);
    ck_assert(isnan(world_value(w, "ALERTS", "alertstate", "pending", "name", "a", NULL)));
    double since = world_value(w, "ALERTS_FOR_STATE", "name", "a", NULL);
    ck_assert(since >= (double)WORLD_START_MS / 1000 &&
              since <= (double)WORLD_START_MS / 1000 + 20);
    ck_assert_uint_eq(w->post_count, 1);
    ck_assert_str_eq(member(w, 0, "status"), "firing");
    ck_assert_str_eq(member(w, 0, "groupKey"), "{}:{alertname=\"High\"}");
    unit_assert_contains(w->posts[0].body, "\"summary\":\"a is at 5\"");
    unit_assert_contains(w->posts[0].body,
                         "\"labels\":{\"alertname\":\"High\",\"name\":\"a\",\"region\":\"eu\","
                         "\"severity\":\"page\"}");
    unit_assert_contains(w->posts[0].body, "\"endsAt\":\"0001-01-01T00:00:00Z\"");
    world_advance(w, 120);
    ck_assert_uint_eq(w->post_count, 1);
    ck_assert_uint_eq(record_count(w, ALERT_TABLE_ACTIVE), 1);
    ck_assert_uint_eq(record_count(w, ALERT_TABLE_OUTBOX), 1);
    ck_assert_uint_eq(record_count(w, ALERT_TABLE_SENT), 1);
    world_answer("high", "");
    world_advance(w, 80);
    ck_assert(isnan(world_value(w, "ALERTS", "alertstate", "firing", "name", "a", NULL)));
    ck_assert_uint_eq(w->post_count, 2);
    ck_assert_str_eq(member(w, 1, "status"), "resolved");
    ck_assert_str_eq(member(w, 1, "notification_reason"), "all alerts resolved");
    world_advance(w, 1200);
    ck_assert_uint_eq(w->post_count, 2);
    /* Nothing is left behind. */
    ck_assert_uint_eq(record_count(w, ALERT_TABLE_ACTIVE), 0);
    ck_assert_uint_eq(record_count(w, ALERT_TABLE_OUTBOX), 0);
    ck_assert_uint_eq(record_count(w, ALERT_TABLE_SENT), 0);
    world_free(w);
}
END_TEST

START_TEST(never_fires_below_its_time)
{
    struct world *w = world_new(RULES, CONFIG);
    for (int i = 0; i < 5; i++) {
        world_answer("high", "a=5");
        world_advance(w, 50);
        world_answer("high", "");
        world_advance(w, 20);
    }
    ck_assert_uint_eq(w->try_count, 0);
    char *alerts = world_get(w, "/api/v1/alerts");
    ck_assert_str_eq(alerts, "{\"status\":\"success\",\"data\":{\"alerts\":[]}}");
    free(alerts);
    world_free(w);
}
END_TEST

/* A restart in the middle of `for` does not begin anew. */
START_TEST(keeps_pending_over_a_restart)
{
    struct world *w = world_new(RULES, CONFIG);
    world_answer("high", "a=5");
    world_advance(w, 45);
    world_restart(w, 5);
    world_advance(w, 45);
    ck_assert_double_eq(world_value(w, "ALERTS", "alertstate", "firing", "name", "a", NULL), 1);
    ck_assert_uint_eq(w->post_count, 1);
    world_free(w);
}
END_TEST

/* Half an hour without anybody looking is not half an hour of being true. */
START_TEST(does_not_count_an_outage)
{
    struct world *w = world_new(RULES, CONFIG);
    world_answer("high", "a=5");
    world_advance(w, 45);
    world_restart(w, 1800);
    world_advance(w, 15);
    ck_assert(isnan(world_value(w, "ALERTS", "alertstate", "firing", "name", "a", NULL)));
    char *alerts = world_get(w, "/api/v1/alerts");
    unit_assert_contains(alerts, "\"state\":\"pending\"");
    free(alerts);
    world_advance(w, 50);
    ck_assert_double_eq(world_value(w, "ALERTS", "alertstate", "firing", "name", "a", NULL), 1);
    world_free(w);
}
END_TEST

START_TEST(sends_nothing_twice_over_restarts)
{
    struct world *w = world_new(RULES, CONFIG);
    world_answer("high", "a=5 b=6");
    world_advance(w, 100);
    ck_assert_uint_eq(w->post_count, 1);
    ck_assert_uint_eq(alert_count(w, 0), 2);
    for (int i = 0; i < 5; i++) {
        world_restart(w, 3);
        world_advance(w, 100);
    }
    ck_assert_uint_eq(w->post_count, 1);
    /* Until repeat_interval, counted from the notification before the restarts. */
    world_advance(w, 3600);
    ck_assert_uint_eq(w->post_count, 2);
    ck_assert_str_eq(member(w, 1, "notification_reason"), "repeat interval elapsed");
    int64_t gap_ms = w->posts[1].time_ms - w->posts[0].time_ms;
    ck_assert(gap_ms >= 3600000 && gap_ms < 3600000 + 61000);
    world_free(w);
}
END_TEST

/* The end of an alert while the receiver was away, and the server restarted, is still told. */
START_TEST(delivers_after_a_restart_what_was_not)
{
    struct world *w = world_new(RULES, CONFIG);
    world_answer("high", "a=5");
    w->status = 0;
    world_advance(w, 120);
    ck_assert_uint_gt(w->try_count, 3);
    ck_assert_uint_eq(w->post_count, 0);
    w->status = 503;
    world_advance(w, 60);
    world_restart(w, 10);
    w->status = 200;
    world_advance(w, 61);
    ck_assert_uint_eq(w->post_count, 1);
    ck_assert_str_eq(member(w, 0, "status"), "firing");
    w->status = 0;
    world_answer("high", "");
    world_advance(w, 1200);
    world_restart(w, 10);
    w->status = 200;
    world_advance(w, 61);
    ck_assert_uint_eq(w->post_count, 2);
    ck_assert_str_eq(member(w, 1, "status"), "resolved");
    world_advance(w, 600);
    ck_assert_uint_eq(w->post_count, 2);
    ck_assert_double_eq(world_metric(w, "tidewatch_notification_alerts_held", ""), 0);
    world_free(w);
}
END_TEST

START_TEST(backs_off_and_recovers)
{
    struct world *w = world_new(RULES, CONFIG);
    world_answer("high", "a=5");
    w->status = 500;
    world_advance(w, 90);
    size_t early = w->try_count;
    world_advance(w, 3600);
    /* At most one try a minute by then. */
    ck_assert_uint_gt(w->try_count, early + 50);
    ck_assert_uint_lt(w->try_count, early + 75);
    w->status = 200;
    world_advance(w, 61);
    ck_assert_uint_eq(w->post_count, 1);
    world_free(w);
}
END_TEST

START_TEST(tries_a_refusal_with_the_next_interval_only)
{
    struct world *w = world_new(RULES, CONFIG);
    world_answer("high", "a=5");
    w->status = 404;
    world_advance(w, 84);
    ck_assert_uint_eq(w->try_count, 1);
    world_advance(w, 130);
    ck_assert_uint_ge(w->try_count, 2);
    ck_assert_uint_le(w->try_count, 4);
    w->status = 200;
    world_advance(w, 61);
    ck_assert_uint_eq(w->post_count, 1);
    world_free(w);
}
END_TEST

START_TEST(holds_state_when_the_evaluation_fails)
{
    struct world *w = world_new(RULES, CONFIG);
    world_answer("high", "a=5");
    world_advance(w, 100);
    ck_assert_uint_eq(w->post_count, 1);
    world_answer("high", NULL);
    world_advance(w, 900);
    ck_assert_uint_eq(w->post_count, 1);
    char *rules = world_get(w, "/api/v1/rules");
    unit_assert_contains(rules, "\"health\":\"err\",\"lastError\":\"the engine was told to fail\"");
    unit_assert_contains(rules, "\"state\":\"firing\"");
    free(rules);
    ck_assert_double_ge(world_metric(w, "tidewatch_rule_evaluation_failures_total", ""), 80);
    world_answer("high", "a=5");
    world_advance(w, 100);
    ck_assert_uint_eq(w->post_count, 1);
    world_free(w);
}
END_TEST

START_TEST(groups_and_tells_of_newcomers)
{
    struct world *w = world_new(RULES, CONFIG);
    world_answer("high", "a=5 b=6");
    world_advance(w, 90);
    ck_assert_uint_eq(w->post_count, 1);
    ck_assert_uint_eq(alert_count(w, 0), 2);
    world_answer("high", "a=5 b=6 c=7");
    world_advance(w, 140);
    ck_assert_uint_eq(w->post_count, 2);
    ck_assert_uint_eq(alert_count(w, 1), 3);
    ck_assert_str_eq(member(w, 1, "notification_reason"), "new alerts added");
    world_answer("high", "b=6 c=7");
    world_advance(w, 75);
    ck_assert_uint_eq(w->post_count, 3);
    ck_assert_uint_eq(alert_count(w, 2), 3);
    ck_assert_str_eq(member(w, 2, "status"), "firing");
    ck_assert_str_eq(member(w, 2, "notification_reason"), "some alerts resolved");
    world_free(w);
}
END_TEST

START_TEST(keeps_firing_for_a_while)
{
    struct world *w =
        world_new("groups: [{name: g, interval: 10s, rules: [{alert: High, expr: high,"
                  " keep_firing_for: 2m}]}]\n",
                  CONFIG);
    world_answer("high", "a=5");
    world_advance(w, 30);
    world_answer("high", "");
    world_advance(w, 60);
    world_restart(w, 1);
    world_advance(w, 30);
    ck_assert_double_eq(world_value(w, "ALERTS", "alertstate", "firing", "name", "a", NULL), 1);
    char *alerts = world_get(w, "/api/v1/alerts");
    unit_assert_contains(alerts, "\"keepFiringSince\":\"2023-11-14T22:1");
    free(alerts);
    world_advance(w, 50);
    ck_assert(isnan(world_value(w, "ALERTS", "alertstate", "firing", "name", "a", NULL)));
    world_advance(w, 70);
    ck_assert_str_eq(member(w, w->post_count - 1, "status"), "resolved");
    world_free(w);
}
END_TEST

START_TEST(records_and_ends_series)
{
    struct world *w =
        world_new("groups: [{name: g, interval: 10s, query_offset: 30s, labels: {team: x}, rules: "
                  "[{record: 'job:m', expr: m, labels: {k: v}}]}]\n",
                  "");
    world_answer("m", "a=1 b=2");
    world_advance(w, 40);
    ck_assert_double_eq(world_value(w, "job:m", "name", "b", "k", "v", "team", "x", NULL), 2);
    world_answer("m", "a=3");
    world_advance(w, 10);
    ck_assert(isnan(world_value(w, "job:m", "name", "b", NULL)));
    ck_assert_double_eq(world_value(w, "job:m", "name", "a", NULL), 3);
    world_answer("m", NULL);
    world_advance(w, 10);
    ck_assert_double_eq(world_value(w, "job:m", "name", "a", NULL), 3);
    /* A rule that is gone ends its series. */
    struct tw_err err;
    unit_assert_ok(world_reload(w, "groups: []\n", "", &err), &err);
    ck_assert(isnan(world_value(w, "job:m", "name", "a", NULL)));
    world_free(w);
}
END_TEST

START_TEST(refuses_results_that_collide)
{
    struct world *w = world_new("groups: [{name: g, interval: 10s, rules: [{record: r, expr: m, "
                                "labels: {name: same}}, {alert: A, expr: m, labels: {name: same}},"
                                "{alert: L, expr: l}], limit: 2}]\n",
                                CONFIG);
    world_answer("m", "a=1 b=2");
    world_answer("l", "a=1 b=2 c=3");
    world_advance(w, 40);
    char *rules = world_get(w, "/api/v1/rules?type=record");
    unit_assert_contains(rules, "same labelset after applying rule labels");
    free(rules);
    rules = world_get(w, "/api/v1/rules?rule_name[]=A");
    unit_assert_contains(rules, "same labelset after applying alert labels");
    free(rules);
    rules = world_get(w, "/api/v1/rules?rule_name[]=L");
    unit_assert_contains(rules, "exceeded limit of 2 with 3 alerts");
    free(rules);
    ck_assert_uint_eq(w->try_count, 0);
    world_free(w);
}
END_TEST

START_TEST(refuses_a_bad_reload_whole)
{
    struct world *w = world_new(RULES, CONFIG);
    struct tw_err err;
    world_answer("high", "a=5");
    world_advance(w, 100);
    unit_assert_code(
        world_reload(w, "groups: [{name: g, rules: [{alert: X, expr: 'a !! b'}]}]\n", CONFIG, &err),
        TW_CONFIG);
    unit_assert_contains(err.message, "rules.yml:1:48: expr: unexpected character");
    unit_assert_code(world_reload(w, RULES, "route: {receiver: nobody}\n", &err), TW_CONFIG);
    unit_assert_contains(err.message, "undefined receiver");
    world_advance(w, 100);
    ck_assert_double_eq(world_value(w, "ALERTS", "alertstate", "firing", "name", "a", NULL), 1);
    ck_assert_uint_eq(w->post_count, 1);
    world_free(w);
}
END_TEST

/* An edit of the expression keeps the state; a rule that is gone resolves. */
START_TEST(keeps_and_resolves_over_reloads)
{
    struct world *w = world_new(RULES, CONFIG);
    struct tw_err err;
    world_answer("high", "a=5");
    world_answer("higher", "a=5");
    world_advance(w, 100);
    unit_assert_ok(world_reload(w,
                                "groups: [{name: g, interval: 10s, rules: [{alert: High, expr: "
                                "higher, for: 1m, labels: {severity: page}}]}]\n",
                                CONFIG, &err),
                   &err);
    world_advance(w, 100);
    ck_assert_double_eq(world_value(w, "ALERTS", "alertstate", "firing", "name", "a", NULL), 1);
    ck_assert_uint_eq(w->post_count, 1);
    unit_assert_ok(world_reload(w, "groups: []\n", CONFIG, &err), &err);
    world_advance(w, 70);
    ck_assert(isnan(world_value(w, "ALERTS", "alertstate", "firing", "name", "a", NULL)));
    ck_assert_uint_eq(w->post_count, 2);
    ck_assert_str_eq(member(w, 1, "status"), "resolved");
    world_free(w);
}
END_TEST

/* A rule that was removed while the server was down resolves too. */
START_TEST(resolves_what_vanished_while_down)
{
    struct world *w = world_new(RULES, CONFIG);
    world_answer("high", "a=5");
    world_advance(w, 100);
    free(w->rules);
    w->rules = strdup("groups: []\n");
    world_restart(w, 10);
    world_advance(w, 70);
    ck_assert_uint_eq(w->post_count, 2);
    ck_assert_str_eq(member(w, 1, "status"), "resolved");
    world_restart(w, 10);
    world_advance(w, 200);
    ck_assert_uint_eq(w->post_count, 2);
    world_free(w);
}
END_TEST

START_TEST(starts_with_records_it_cannot_read)
{
    static const char *const tables[] = {ALERT_TABLE_ACTIVE, ALERT_TABLE_OUTBOX, ALERT_TABLE_SENT,
                                         ALERT_TABLE_SEEN};
    struct world *w = world_new(RULES, CONFIG);
    struct tsdb_state_txn *txn = NULL;
    struct tw_err err;
    unit_assert_ok(tsdb_state_begin(w->state, true, &txn, &err), &err);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        unit_assert_ok(tsdb_state_put(txn, tables[i], TW_STR("12345678"), TW_STR("\1x"), &err),
                       &err);
        unit_assert_ok(tsdb_state_put(txn, tables[i], TW_STR("123456781234567812345678"),
                                      TW_STR("\7later"), &err),
                       &err);
    }
    unit_assert_ok(tsdb_state_commit(txn, &err), &err);
    world_restart(w, 1);
    ck_assert_double_eq(world_metric(w, "tidewatch_alert_states_dropped_total", ""), 2);
    world_answer("high", "a=5");
    world_advance(w, 100);
    ck_assert_uint_eq(w->post_count, 1);
    world_free(w);
}
END_TEST

START_TEST(routes_inhibits_and_shortens)
{
    struct world *w = world_new(
        "groups: [{name: g, interval: 10s, rules: [{alert: High, expr: high, labels: "
        "{sev: '{{ if eq $labels.name \"a\" }}page{{ else }}info{{ end }}'}}]}]\n",
        "route: {receiver: ops, group_by: [alertname], group_wait: 10s, group_interval: 1m,\n"
        "  routes: [{matchers: ['sev=\"page\"'], receiver: pager, group_by: ['...'], "
        "continue: true}, {match_re: {sev: 'info|page'}, receiver: mail}]}\n"
        "receivers: [{name: ops}, {name: pager, webhook_configs: [{url: 'http://pager', "
        "http_config: {basic_auth: {username: u, password: pw}}}]},\n"
        "  {name: mail, webhook_configs: [{url: 'http://mail', max_alerts: 1, "
        "send_resolved: false}]}]\n"
        "inhibit_rules: [{source_matchers: ['name=\"a\"'], target_matchers: "
        "['name=~\"c|d\"'], equal: [alertname]}]\n");
    world_answer("high", "a=1 b=2 c=3 d=4 e=5");
    world_advance(w, 40);
    ck_assert_uint_eq(w->post_count, 2);
    size_t mail = strcmp(w->posts[0].url, "http://mail") == 0 ? 0 : 1;
    ck_assert_str_eq(w->posts[1 - mail].url, "http://pager");
    ck_assert_str_eq(w->posts[1 - mail].authorization, "Basic dTpwdw==");
    ck_assert_uint_eq(alert_count(w, 1 - mail), 1);
    unit_assert_contains(w->posts[1 - mail].body, "{}/{sev=\\\"page\\\"}:{alertname=");
    ck_assert_uint_eq(alert_count(w, mail), 1);
    ck_assert_int_eq(tw_json_int(tw_json_member(w->posts[mail].json, "truncatedAlerts"), -1), 2);
    /* The source ends: what it held back is told. The receiver wants no resolved ones. */
    world_answer("high", "b=2 c=3 d=4 e=5");
    world_advance(w, 75);
    ck_assert_uint_eq(w->post_count, 4);
    world_answer("high", "");
    world_advance(w, 200);
    ck_assert_uint_eq(w->post_count, 4);
    world_free(w);
}
END_TEST

START_TEST(sends_to_other_alertmanagers)
{
    struct world *w = world_new(RULES, "alertmanagers: [{url: 'http://am:9093/'}]\n");
    world_answer("high", "a=5");
    world_advance(w, 75);
    ck_assert_uint_ge(w->post_count, 1);
    ck_assert_str_eq(w->posts[0].url, "http://am:9093/api/v2/alerts");
    const struct tw_json *first = tw_json_item(w->posts[0].json, 0);
    unit_assert_str(tw_json_string(tw_json_member(first, "generatorURL"), TW_STR("")),
                    "http://tw:9090/graph?g0.expr=high&g0.tab=1");
    size_t count = w->post_count;
    world_advance(w, 600);
    ck_assert_uint_ge(w->post_count, count + 9);
    ck_assert_uint_le(w->post_count, count + 11);
    char *peers = world_get(w, "/api/v1/alertmanagers");
    ck_assert_str_eq(peers, "{\"status\":\"success\",\"data\":{\"activeAlertmanagers\":[{\"url\":"
                            "\"http://am:9093/api/v2/alerts\"}],\"droppedAlertmanagers\":[]}}");
    free(peers);
    world_free(w);
}
END_TEST

START_TEST(counts_missed_evaluations)
{
    struct world *w = world_new(RULES, CONFIG);
    world_answer("high", "");
    world_advance(w, 30);
    ck_assert_double_eq(world_metric(w, "tidewatch_rule_group_iterations_missed_total", ""), 0);
    tw_clock_manual_advance(w->clock, 60000);
    alert_manager_step(w->manager);
    double missed = world_metric(w, "tidewatch_rule_group_iterations_missed_total", "");
    ck_assert(missed >= 5 && missed <= 6);
    world_free(w);
}
END_TEST

START_TEST(answers_as_prometheus_does)
{
    struct world *w = world_new(RULES "  - record: job:m\n    expr: m\n", CONFIG);
    world_answer("high", "a=42.5");
    world_answer("m", "");
    world_advance(w, 20);
    char *rules = world_get(w, "/api/v1/rules");
    unit_assert_contains(
        rules,
        "\"rules\":[{\"state\":\"pending\",\"name\":\"High\",\"query\":\"high\","
        "\"duration\":60,\"keepFiringFor\":0,\"labels\":{\"severity\":\"page\"},"
        "\"annotations\":{\"summary\":\"{{ $labels.name }} is at {{ $value }}\"},"
        "\"alerts\":[{\"labels\":{\"alertname\":\"High\",\"name\":\"a\",\"severity\":\"page\"},"
        "\"annotations\":{\"summary\":\"a is at 42.5\"},\"state\":\"pending\",\"activeAt\":");
    unit_assert_contains(rules, "\"value\":\"4.25e+01\"}],\"health\":\"ok\",\"evaluationTime\":");
    unit_assert_contains(rules, "\"type\":\"alerting\"},{\"name\":\"job:m\",\"query\":\"m\","
                                "\"health\":\"ok\",");
    unit_assert_contains(rules, "\"interval\":10,\"limit\":0,");
    free(rules);
    rules = world_get(w, "/api/v1/rules?type=nothing");
    unit_assert_contains(rules, "\"errorType\":\"bad_data\"");
    free(rules);
    rules = world_get(w, "/api/v1/rules?rule_group[]=other");
    ck_assert_str_eq(rules, "{\"status\":\"success\",\"data\":{\"groups\":[]}}");
    free(rules);
    rules = world_get(w, "/api/v1/rules?match[]=severity=page&exclude_alerts=true");
    unit_assert_contains(rules, "\"alerts\":[]");
    ck_assert(strstr(rules, "job:m") == NULL);
    free(rules);
    world_free(w);
}
END_TEST

START_TEST(runs_in_threads)
{
    struct world *w = world_new(RULES, CONFIG);
    struct tw_err err;
    world_answer("high", "a=5");
    unit_assert_ok(alert_manager_start(w->manager, &err), &err);
    for (int i = 0; i < 40; i++) {
        tw_clock_manual_advance(w->clock, 5000);
        tw_clock_sleep_ns(tw_clock_system(), 30 * 1000000);
        char *rules = world_get(w, "/api/v1/rules");
        free(rules);
        if (i % 2 == 0) /* which also wakes the threads, whose clock stands still */
            unit_assert_ok(world_reload(w, RULES, CONFIG, &err), &err);
    }
    alert_manager_stop(w->manager);
    ck_assert_uint_ge(w->try_count, 1);
    world_free(w);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(lives_from_pending_to_resolved),
                                      UNIT_CASE(never_fires_below_its_time),
                                      UNIT_CASE(keeps_pending_over_a_restart),
                                      UNIT_CASE(does_not_count_an_outage),
                                      UNIT_CASE(sends_nothing_twice_over_restarts),
                                      UNIT_CASE(delivers_after_a_restart_what_was_not),
                                      UNIT_CASE(backs_off_and_recovers),
                                      UNIT_CASE(tries_a_refusal_with_the_next_interval_only),
                                      UNIT_CASE(holds_state_when_the_evaluation_fails),
                                      UNIT_CASE(groups_and_tells_of_newcomers),
                                      UNIT_CASE(keeps_firing_for_a_while),
                                      UNIT_CASE(records_and_ends_series),
                                      UNIT_CASE(refuses_results_that_collide),
                                      UNIT_CASE(refuses_a_bad_reload_whole),
                                      UNIT_CASE(keeps_and_resolves_over_reloads),
                                      UNIT_CASE(resolves_what_vanished_while_down),
                                      UNIT_CASE(starts_with_records_it_cannot_read),
                                      UNIT_CASE(routes_inhibits_and_shortens),
                                      UNIT_CASE(sends_to_other_alertmanagers),
                                      UNIT_CASE(counts_missed_evaluations),
                                      UNIT_CASE(answers_as_prometheus_does),
                                      UNIT_CASE(runs_in_threads),
                                      {0}};
    return unit_run("alerts/manager", cases);
}
