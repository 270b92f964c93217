/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/routing.h"

#include <stdio.h>
#include <stdlib.h>

#include "alerts/labelset.h"
#include "tests/lib/unit.h"

static enum tw_code read_text(struct tw_arena *arena, const char *text, struct alert_routing **ret,
                              struct tw_err *err)
{
    struct tw_yaml *root = NULL;
    unit_assert_ok(tw_yaml_parse(arena, "c.yml", tw_str(text), &root, err), err);
    return alert_routing_read("c.yml", unit_folder(), root, ret, err);
}

#define RECEIVERS "receivers: [{name: a}, {name: b}, {name: c}]\n"

static void collect(void *user, const struct alert_route *route)
{
    struct tw_buf *names = user;
    tw_buf_append_str(names, route->receiver->name);
}

START_TEST(routes_to_the_deepest_match)
{
    static const char text[] =
        RECEIVERS "route:\n"
                  "  receiver: a\n"
                  "  group_by: [x]\n"
                  "  routes:\n"
                  "  - {matchers: ['team=\"t\"'], receiver: b, continue: true}\n"
                  "  - {match_re: {team: 't|u'}, receiver: c, group_wait: 5s, routes: [\n"
                  "      {match: {sev: page}, receiver: a, group_by: ['...']}]}\n"
                  "  - {matchers: 'none=\"\", sev!~\"page|info\"', receiver: b}\n";
    static const struct {
        const char *team, *sev, *wanted;
    } cases[] = {{"t", "info", "bc"}, {"t", "page", "ba"}, {"u", "", "c"},
                 {"v", "", "b"},      {"v", "page", "a"},  {"", "info", "a"}};
    struct tw_arena *arena = tw_arena_new(4096);
    struct alert_routing *routing = NULL;
    struct tw_err err;
    unit_assert_ok(read_text(arena, text, &routing, &err), &err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire_label items[2];
        size_t count = 0;
        struct tw_buf names;
        tw_buf_init(&names, 64);
        if (cases[i].sev[0] != '\0')
            items[count++] = (struct wire_label){TW_STR("sev"), tw_str(cases[i].sev)};
        if (cases[i].team[0] != '\0')
            items[count++] = (struct wire_label){TW_STR("team"), tw_str(cases[i].team)};
        alert_route_match(routing->root, (struct wire_labels){items, count}, collect, &names);
        ck_assert_msg(tw_str_is(tw_buf_str(&names), cases[i].wanted), "%s/%s: %s, not %s",
                      cases[i].team, cases[i].sev, tw_buf_cstr(&names), cases[i].wanted);
        tw_buf_fini(&names);
    }
    const struct alert_route *inner = &routing->root->children[1].children[0];
    unit_assert_str(inner->key, "{}/{team=~\"t|u\"}/{sev=\"page\"}");
    ck_assert(inner->group_by_all);
    ck_assert_int_eq(inner->group_wait_ms, 5000);
    ck_assert_int_eq(inner->repeat_interval_ms, ALERT_REPEAT_INTERVAL_MS);
    unit_assert_str(routing->root->children[2].key, "{}/{none=\"\",sev!~\"page|info\"}");
    alert_routing_free(routing);
    tw_arena_free(arena);
}
END_TEST

START_TEST(names_what_is_wrong_and_where)
{
    static const struct {
        const char *text, *message;
        enum tw_code code;
    } cases[] = {
        {"route: {receiver: x}\n" RECEIVERS, "c.yml:1:19: undefined receiver \"x\"", TW_CONFIG},
        {"route: {group_by: [a]}\n" RECEIVERS, "root route must specify a default receiver",
         TW_CONFIG},
        {"route: {receiver: a, matchers: ['a=b']}\n" RECEIVERS, "must not have any matchers",
         TW_CONFIG},
        {"route: {receiver: a, group_by: [a, '...']}\n" RECEIVERS, "wildcard", TW_CONFIG},
        {"route: {receiver: a, group_by: [a, a]}\n" RECEIVERS, "duplicated label", TW_CONFIG},
        {"route: {receiver: a, group_intreval: 1m}\n" RECEIVERS, "group_interval", TW_CONFIG},
        {"route: {receiver: a, group_interval: 0s}\n" RECEIVERS, "cannot be zero", TW_CONFIG},
        {"route: {receiver: a, routes: [{matchers: ['a b']}]}\n" RECEIVERS,
         "c.yml:1:43: bad matcher format", TW_CONFIG},
        {"route: {receiver: a, routes: [{matchers: ['a=~\"(\"']}]}\n" RECEIVERS,
         "c.yml:1:43: ", TW_CONFIG},
        {"route: {receiver: a, routes: [{mute_time_intervals: [x]}]}\n" RECEIVERS,
         "c.yml:1:53: mute_time_intervals is not supported yet", TW_UNSUPPORTED},
        {"time_intervals: [{name: x}]", "c.yml:1:17: time_intervals is not supported yet",
         TW_UNSUPPORTED},
        {"receivers: [{name: a, slack_configs: [{}]}]",
         "c.yml:1:23: slack_configs is not supported yet", TW_UNSUPPORTED},
        {"receivers: [{name: a, webhook_confgs: []}]", "webhook_configs", TW_CONFIG},
        {"receivers: [{name: a}, {name: a}]", "is not unique", TW_CONFIG},
        {"receivers: [{name: a}]", "receivers without a route", TW_CONFIG},
        {"receivers: [{name: a, webhook_configs: [{}]}]", "one of url or url_file", TW_CONFIG},
        {"receivers: [{name: a, webhook_configs: [{url: 'ftp://x'}]}]",
         "must start with http:// or https://", TW_CONFIG},
        {"receivers: [{name: a, webhook_configs: [{url_file: none}]}]", "c.yml:1:52: ", TW_CONFIG},
        {"receivers: [{name: a, webhook_configs: [{url: 'http://x', http_config: {tls_config: "
         "{}}}]}]",
         "tls_config is not supported yet", TW_UNSUPPORTED},
        {"alertmanagers: [{url: 'x:9093'}]", "is no URL", TW_CONFIG},
        {"inhibit_rules: [{source: x}]", "c.yml:1:18: ", TW_CONFIG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tw_arena *arena = tw_arena_new(4096);
        struct alert_routing *routing = NULL;
        struct tw_err err = {0};
        enum tw_code code = read_text(arena, cases[i].text, &routing, &err);
        ck_assert_msg(code == cases[i].code, "%s: %s %s", cases[i].text, tw_code_name(code),
                      err.message);
        unit_assert_contains(err.message, cases[i].message);
        tw_arena_free(arena);
    }
}
END_TEST

/* Fingerprints that a real Alertmanager 0.33.1 gave. */
START_TEST(hashes_as_alertmanager_does)
{
    const struct wire_label down[] = {{TW_STR("alertname"), TW_STR("Down")},
                                      {TW_STR("instance"), TW_STR("a")},
                                      {TW_STR("job"), TW_STR("x")}};
    const struct wire_label quoted[] = {{TW_STR("alertname"), TW_STR("Q\"uo\\te")},
                                        {TW_STR("job"), TW_STR("api")},
                                        {TW_STR("sev"), TW_STR("a")},
                                        {TW_STR("x"), TW_STR("y")}};
    struct tw_buf text;
    ck_assert(alert_labelset_fingerprint((struct wire_labels){down, 3}) ==
              UINT64_C(0xd4c1d66169c5760d));
    ck_assert(alert_labelset_fingerprint((struct wire_labels){quoted, 4}) ==
              UINT64_C(0x9bec02fe2bfe5fb7));
    tw_buf_init(&text, 1024);
    alert_labelset_format((struct wire_labels){quoted, 4}, &text);
    ck_assert_str_eq(tw_buf_cstr(&text),
                     "{alertname=\"Q\\\"uo\\\\te\", job=\"api\", sev=\"a\", x=\"y\"}");
    tw_buf_fini(&text);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(routes_to_the_deepest_match),
                                      UNIT_CASE(names_what_is_wrong_and_where),
                                      UNIT_CASE(hashes_as_alertmanager_does),
                                      {0}};
    return unit_run("alerts/routing", cases);
}
