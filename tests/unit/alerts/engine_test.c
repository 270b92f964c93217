/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules over the real query engine: what the fake one of world.h cannot show.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "alerts/manager.h"
#include "alerts/transport.h"
#include "base/assert.h"
#include "base/file.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

#define START_MS INT64_C(1700000000000)

struct kept_body {
    struct alert_transport transport; /* first */
    char *body;
};

static enum tw_code keep_body(struct alert_transport *transport, const struct alert_post *post,
                              int *ret_status, int64_t *ret_retry_after_ms, struct tw_err *err)
{
    struct kept_body *kept = (struct kept_body *)transport;
    (void)err;
    free(kept->body);
    kept->body = tw_str_dup(post->body);
    *ret_status = 200;
    *ret_retry_after_ms = -1;
    return TW_OK;
}

static const char rules[] =
    "groups:\n"
    "- name: chain\n"
    "  interval: 15s\n"
    "  rules:\n"
    "  - record: job:rate\n"
    "    expr: sum by (job) (rate(requests_total[1m]))\n"
    "  - record: job:rate:doubled\n"
    "    expr: job:rate * 2\n"
    "  - alert: Busy\n"
    "    expr: job:rate:doubled > 10\n"
    "    annotations:\n"
    "      text: '{{ $labels.job }} {{ $value | humanize }} of {{ with query \"job:rate\" }}{{ . | "
    "first | value }}{{ end }}'\n"
    "  - alert: AlsoBusy\n"
    "    expr: ALERTS{alertname=\"Busy\", alertstate=\"firing\"}\n"
    "  - alert: Many\n"
    "    expr: sum by (job) (rate(requests_total[2m])) > 1\n"
    "  - alert: More\n"
    "    expr: sum by (job) (rate(requests_total[2m])) > 2\n"
    "  - alert: Scalar\n"
    "    expr: scalar(vector(3)) > bool 2\n";

/* Each rule sees at once what the ones before it wrote at the same timestamp. */
START_TEST(sees_results_of_the_rules_before)
{
    char path[512];
    struct tw_err err;
    snprintf(path, sizeof path, "%s/chain.yml", unit_folder());
    unit_assert_ok(tw_file_replace(path, tw_str(rules), 0600, &err), &err);
    struct tw_arena *arena = tw_arena_new(4096);
    struct tw_yaml *config = NULL;
    unit_assert_ok(tw_yaml_parse(arena, "c.yml",
                                 TW_STR("rule_files: [chain.yml]\n"
                                        "route: {receiver: r, group_by: [], group_wait: 1s}\n"
                                        "receivers: [{name: r, webhook_configs: [{url: "
                                        "'http://x'}]}]\n"),
                                 &config, &err),
                   &err);
    struct tw_clock *clock = tw_clock_manual_new(START_MS);
    struct tsdb_storage *storage = memory_storage_new();
    struct tw_metrics *metrics = tw_metrics_new();
    const struct query_options query = {0};
    struct query_engine *engine = query_engine_new(storage, &query);
    struct kept_body kept = {.transport.post = keep_body};
    const struct alert_manager_options options = {.engine = engine,
                                                  .storage = storage,
                                                  .clock = clock,
                                                  .metrics = metrics,
                                                  .transport = &kept.transport};
    struct alert_manager *manager = NULL;
    unit_assert_ok(alert_manager_new(&options, &manager, &err), &err);
    const struct alert_settings settings = {
        .config_name = "c.yml", .config_folder = unit_folder(), .config = config};
    unit_assert_ok(alert_manager_reload(manager, &settings, &err), &err);
    for (int i = -120; i < 60; i++)
        memory_storage_add(storage, START_MS + i * 1000, (i + 120) * 10, "__name__",
                           "requests_total", "job", "api", NULL);
    /* One evaluation has to do. */
    for (int i = 0; i < 20 && kept.body == NULL; i++) {
        tw_clock_manual_advance(clock, 1000);
        alert_manager_step(manager);
    }
    ck_assert_ptr_nonnull(kept.body);
    unit_assert_contains(kept.body, "\"text\":\"api 20 of 10\"");
    unit_assert_contains(kept.body, "\"alertname\":\"AlsoBusy\"");
    unit_assert_contains(kept.body, "\"alertname\":\"Scalar\"");
    unit_assert_contains(kept.body, "\"alertname\":\"Many\"");
    unit_assert_contains(kept.body, "\"alertname\":\"More\"");
    /* What the two have in common, which no rule of the group writes, was worked out once. */
    struct tw_buf text;
    tw_buf_init(&text, (size_t)1 << 20);
    tw_metrics_write(metrics, &text);
    unit_assert_contains(tw_buf_cstr(&text), "\ntidewatch_rule_expressions_lent_total 1\n");
    tw_buf_fini(&text);
    alert_manager_free(manager);
    query_engine_free(engine);
    memory_storage_free(storage);
    tw_clock_manual_free(clock);
    tw_metrics_free(metrics);
    tw_arena_free(arena);
    free(kept.body);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(sees_results_of_the_rules_before), {0}};
    return unit_run("alerts/engine", cases);
}
