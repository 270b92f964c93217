/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/settings.h"

#include <math.h>
#include <stdio.h>

#include "tests/lib/unit.h"

static struct tw_arena *arena;
static struct scale_settings *items;
static size_t count;
static struct tw_err err;

static enum tw_code parse(const char *text)
{
    struct tw_yaml *root = NULL;
    tw_arena_free(arena);
    arena = tw_arena_new(4096);
    memset(&err, 0, sizeof err);
    unit_assert_ok(tw_yaml_parse(arena, "tidewatch.yml", tw_str(text), &root, &err), &err);
    return scale_settings_parse(arena, "tidewatch.yml", tw_yaml_member(root, "scalers"), &items,
                                &count, &err);
}

START_TEST(design_example)
{
    unit_assert_ok(parse("scalers:\n"
                         "  - name: web\n"
                         "    load: sum(rate(http_requests_total{app=\"web\"}[1m]))    # PromQL\n"
                         "    capacity_per_replica: 80\n"
                         "    min: 2\n"
                         "    max: 60\n"
                         "    mode: observe\n"
                         "    target: {webhook: {url: \"http://127.0.0.1:1/scale\"}}\n"),
                   &err);
    ck_assert_uint_eq(count, 1);
    unit_assert_str(items[0].name, "web");
    unit_assert_str(items[0].load, "sum(rate(http_requests_total{app=\"web\"}[1m]))");
    ck_assert_double_eq(items[0].capacity, 80);
    ck_assert_int_eq(items[0].min, 2);
    ck_assert_int_eq(items[0].max, 60);
    ck_assert_int_eq(items[0].mode, SCALE_OBSERVE);
    ck_assert_str_eq(items[0].target.webhook.url, "http://127.0.0.1:1/scale");
    ck_assert_int_eq(items[0].tick_ms, 15000);
    ck_assert_int_eq(items[0].down.window_ms, 300000);
}
END_TEST

START_TEST(every_key)
{
    unit_assert_ok(parse("scalers:\n"
                         "  - name: a\n"
                         "    load: x\n"
                         "    capacity_per_replica: learn\n"
                         "    max: 7\n"
                         "    mode: act\n"
                         "    replicas: r\n"
                         "    ready: y\n"
                         "    utilisation: u\n"
                         "    max_utilisation: 0.7\n"
                         "    startup: 90s\n"
                         "    quantile: 0.99\n"
                         "    tick: 30s\n"
                         "    step: 2m\n"
                         "    history: 7d\n"
                         "    late_after: 45s\n"
                         "    target: {webhook: {url: 'https://h/x', timeout: 2s, headers: "
                         "{Authorization: Bearer t}}}\n"
                         "    behavior:\n"
                         "      scaleUp: {stabilizationWindowSeconds: 30, selectPolicy: Min, "
                         "policies: [{type: Pods, value: 3, periodSeconds: 60}]}\n"
                         "      scaleDown: {selectPolicy: Disabled}\n"),
                   &err);
    ck_assert(isnan(items[0].capacity));
    ck_assert_int_eq(items[0].min, 1);
    ck_assert_int_eq(items[0].startup_ms, 90000);
    ck_assert_int_eq(items[0].step_ms, 120000);
    ck_assert_int_eq(items[0].late_ms, 45000);
    ck_assert_int_eq(items[0].up.window_ms, 30000);
    ck_assert(items[0].up.select_min);
    ck_assert_uint_eq(items[0].up.limit_count, 1);
    ck_assert_int_eq(items[0].up.limits[0].value, 3);
    ck_assert_int_eq(items[0].up.limits[0].period_ms, 60000);
    ck_assert(items[0].down.disabled);
    ck_assert_uint_eq(items[0].target.webhook.header_count, 1);
    unit_assert_str(items[0].target.webhook.headers[0].value, "Bearer t");
}
END_TEST

START_TEST(none_is_fine)
{
    unit_assert_ok(parse("scalers:\n"), &err);
    ck_assert_uint_eq(count, 0);
    unit_assert_ok(parse("scalers: []\n"), &err);
    unit_assert_ok(parse("other: 1\n"), &err);
    ck_assert_uint_eq(count, 0);
}
END_TEST

#define GOOD "scalers:\n  - {name: a, load: x, capacity_per_replica: 1, max: 5"
static const struct mistake {
    const char *text, *place, *says;
    enum tw_code code;
} mistakes[] = {
    {"scalers: 5\n", "tidewatch.yml:1:10", "a list", TW_CONFIG},
    {"scalers: [5]\n", "tidewatch.yml:1:11", "a scaler is a mapping", TW_CONFIG},
    {"scalers:\n  - {load: x, capacity_per_replica: 1, max: 5}\n", "tidewatch.yml:2:5",
     "needs a name", TW_CONFIG},
    {"scalers:\n  - {name: a, capacity_per_replica: 1, max: 5}\n", "tidewatch.yml:2:5",
     "load is missing", TW_CONFIG},
    {"scalers:\n  - {name: a, load: x, max: 5}\n", "tidewatch.yml:2:5",
     "capacity_per_replica is missing", TW_CONFIG},
    {"scalers:\n  - {name: a, load: x, capacity_per_replica: 1}\n", "tidewatch.yml:2:5",
     "max is missing", TW_CONFIG},
    {GOOD ", maxx: 3}\n", "tidewatch.yml:2:57", "max", TW_CONFIG},
    {GOOD ", min: 9}\n", "tidewatch.yml:2:62", "min (9) is more than max (5)", TW_CONFIG},
    {GOOD ", mode: panic}\n", "tidewatch.yml:2", "use observe or act", TW_CONFIG},
    {GOOD ", mode: act}\n", "tidewatch.yml:2", "a target is needed", TW_CONFIG},
    {GOOD ", quantile: 2}\n", "tidewatch.yml:2", "from 0.5 to 0.999", TW_CONFIG},
    {GOOD ", quantile: .nan}\n", "tidewatch.yml:2", "quantile", TW_CONFIG},
    {GOOD ", tick: 1s}\n", "tidewatch.yml:2", "tick has to be from 5s to 5m", TW_CONFIG},
    {GOOD ", step: 1h, history: 1h}\n", "tidewatch.yml:2", "at least ten steps", TW_CONFIG},
    {GOOD ", step: 5s, history: 30d}\n", "tidewatch.yml:2", "use a longer step", TW_CONFIG},
    {GOOD ", replicas: '!'}\n", "tidewatch.yml:2", "replicas: unexpected character", TW_CONFIG},
    {GOOD ", target: {kubernetes: {}}}\n", "tidewatch.yml:2",
     "name is missing: of which Deployment", TW_CONFIG},
    {GOOD ", target: {exec: [x]}}\n", "tidewatch.yml:2", "exec is a mapping", TW_CONFIG},
    {GOOD ", target: {systemd: x}}\n", "tidewatch.yml:2", "systemd is a mapping", TW_CONFIG},
    {GOOD ", target: {process: x}}\n", "tidewatch.yml:2", "process is a mapping", TW_CONFIG},
    {GOOD ", target: {}}\n", "tidewatch.yml:2", "the target is empty", TW_CONFIG},
    {GOOD ", target: {webhok: {}}}\n", "tidewatch.yml:2", "webhook", TW_CONFIG},
    {GOOD ", target: {webhook: {url: 'ftp://x'}}}\n", "tidewatch.yml:2", "http:// or https://",
     TW_CONFIG},
    {GOOD ", target: {webhook: {}}}\n", "tidewatch.yml:2", "needs a url", TW_CONFIG},
    {GOOD ", target: {webhook: {url: 'http://x'}, exec: {set: [a]}}}\n", "tidewatch.yml:2",
     "one target: several are given", TW_CONFIG},
    {GOOD ", target: {exec: {set: a b}}}\n", "tidewatch.yml:2", "no shell is between", TW_CONFIG},
    {GOOD ", target: {exec: {}}}\n", "tidewatch.yml:2", "set is missing", TW_CONFIG},
    {GOOD ", target: {exec: {set: [a], timeout: 1h}}}\n", "tidewatch.yml:2", "100ms to 10m",
     TW_CONFIG},
    {GOOD ", target: {systemd: {unit: worker.service}}}\n", "tidewatch.yml:2", "worker@.service",
     TW_CONFIG},
    {GOOD ", target: {process: {command: []}}}\n", "tidewatch.yml:2", "list of 1 to 64 words",
     TW_CONFIG},
    {GOOD ", target: {kubernetes: {name: '../x'}}}\n", "tidewatch.yml:2",
     "no name that Kubernetes takes", TW_CONFIG},
    {GOOD ", target: {kubernetes: {kind: Rollout, name: x}}}\n", "tidewatch.yml:2",
     "give api_version", TW_CONFIG},
    {GOOD ", target: {kubernetes: {name: x, context: c}}}\n", "tidewatch.yml:2",
     "give kubeconfig, too", TW_CONFIG},
    {GOOD ", behavior: {scaleUp: {policies: [{type: Pod, value: 1, periodSeconds: 1}]}}}\n",
     "tidewatch.yml:2", "use Pods or Percent", TW_CONFIG},
    {GOOD ", behavior: {scaleUp: {policies: [{type: Pods, value: 1}]}}}\n", "tidewatch.yml:2",
     "needs value and periodSeconds", TW_CONFIG},
    {GOOD ", behavior: {scaleUp: {selectPolicy: Most}}}\n", "tidewatch.yml:2",
     "use Max, Min or Disabled", TW_CONFIG},
    {GOOD "}\n  - {name: a, load: x, capacity_per_replica: 1, max: 5}\n", "tidewatch.yml:3:12",
     "two scalers of the name", TW_CONFIG},
    {"scalers:\n  - {name: a, load: x, capacity_per_replica: learn, max: 5}\n", "tidewatch.yml:2",
     "utilisation and replicas", TW_CONFIG},
    {"scalers:\n  - {name: a, load: x, capacity_per_replica: -1, max: 5}\n", "tidewatch.yml:2",
     "more than 0", TW_CONFIG},
    {"scalers:\n  - {name: a/b, load: x, capacity_per_replica: 1, max: 5}\n", "tidewatch.yml:2",
     "without '/'", TW_CONFIG},
};
enum { MISTAKES = sizeof mistakes / sizeof *mistakes };

START_TEST(mistake_is_named_with_its_place)
{
    const struct mistake *mistake = &mistakes[_i];
    unit_assert_code(parse(mistake->text), mistake->code);
    unit_assert_contains(err.message, mistake->place);
    unit_assert_contains(err.message, mistake->says);
    ck_assert_uint_gt(err.line, 0);
}
END_TEST

START_TEST(schedules)
{
    unit_assert_ok(
        parse("scalers:\n"
              "  - name: a\n"
              "    load: x\n"
              "    capacity_per_replica: 5\n"
              "    max: 60\n"
              "    schedules:\n"
              "      - {name: office, days: [mon, fri], start: \"08:00\", end: \"18:30\",\n"
              "         utc_offset: \"-05:30\", min: 10}\n"
              "      - {name: sale, from: 2026-11-27T06:00:00Z, to: 2026-11-28T00:00:00Z,\n"
              "         min: 20, max: 40}\n"),
        &err);
    ck_assert_uint_eq(items[0].schedule_count, 2);
    const struct scale_schedule *office = &items[0].schedules[0], *sale = office + 1;
    ck_assert(!office->dated);
    ck_assert_uint_eq(office->days, 1 << 1 | 1 << 5);
    ck_assert_int_eq(office->start_ms, 8 * 3600000);
    ck_assert_int_eq(office->end_ms, 18 * 3600000 + 30 * 60000);
    ck_assert_int_eq(office->offset_ms, -(5 * 3600000 + 30 * 60000));
    ck_assert_int_eq(office->max, -1);
    ck_assert(sale->dated);
    ck_assert_int_eq(sale->to_ms - sale->from_ms, 18 * 3600000);
    ck_assert_int_eq(sale->max, 40);
}
END_TEST

static void refused(const char *schedule, const char *because)
{
    char text[512];
    snprintf(
        text, sizeof text,
        "scalers:\n  - {name: a, load: x, capacity_per_replica: 5, max: 60, schedules: [%s]}\n",
        schedule);
    ck_assert_int_ne(parse(text), TW_OK);
    ck_assert_msg(strstr(err.message, because) != NULL, "%s", err.message);
}

START_TEST(bad_schedules)
{
    refused("{name: a, days: [mon], min: 70}", "more than the scaler's max");
    refused("{name: a, days: [mon], min: 7, max: 5}", "is more than max");
    refused("{name: a, days: [mon]}", "changes nothing");
    refused("{name: a, days: [someday], min: 7}", "days are sun");
    refused("{name: a, start: \"25:00\", min: 7}", "time of day");
    refused("{name: a, from: yesterday, to: today, min: 7}", "an event needs");
    refused("{name: a, from: 2026-11-27T06:00:00Z, to: 2026-11-26T06:00:00Z, min: 7}",
            "ends before");
    refused("{name: a, min: 7}", "either from and to");
    refused("{days: [mon], min: 7}", "needs a name");
    refused("{name: a, days: [mon], utc_offset: \"2h\", min: 7}", "utc_offset");
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(design_example),
        UNIT_CASE(every_key),
        UNIT_CASE(none_is_fine),
        UNIT_LOOP(mistake_is_named_with_its_place, 0, MISTAKES),
        UNIT_CASE(schedules),
        UNIT_CASE(bad_schedules),
        {0},
    };
    int status = unit_run("autoscaler/settings", cases);
    tw_arena_free(arena);
    return status;
}
