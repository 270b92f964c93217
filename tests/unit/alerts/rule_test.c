/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/rule.h"

#include <stdlib.h>

#include "tests/lib/unit.h"
#include "tests/unit/alerts/world.h"

static enum tw_code parse(const char *text, struct alert_rule_file **ret, struct tw_err *err)
{
    return alert_rule_file_parse("r.yml", tw_str(text), ret, err);
}

START_TEST(reads_all_that_a_file_may_say)
{
    struct alert_rule_file *file = NULL;
    struct tw_err err;
    unit_assert_ok(parse("groups:\n"
                         "- name: first\n"
                         "  interval: 1m30s\n"
                         "  limit: 5\n"
                         "  query_offset: 30s\n"
                         "  labels: {team: a, both: group}\n"
                         "  rules:\n"
                         "  - record: job:x:sum\n"
                         "    expr: |\n"
                         "      sum by (job) (x)\n"
                         "  - alert: Down\n"
                         "    expr: up == 0\n"
                         "    for: 5m\n"
                         "    keep_firing_for: 10m\n"
                         "    labels: {both: rule, sev: '{{ $value }}'}\n"
                         "    annotations:\n"
                         "      summary: down\n"
                         "- name: second\n",
                         &file, &err),
                   &err);
    ck_assert_uint_eq(file->count, 2);
    const struct alert_rule_group *group = &file->groups[0];
    ck_assert_int_eq(group->interval_ms, 90000);
    ck_assert_int_eq(group->limit, 5);
    ck_assert_int_eq(group->query_offset_ms, 30000);
    ck_assert_int_eq(file->groups[1].query_offset_ms, -1);
    unit_assert_str(group->rules[0].expr, "sum by (job) (x)");
    ck_assert_int_eq(group->rules[1].kind, ALERT_RULE_ALERT);
    ck_assert_int_eq(group->rules[1].for_ms, 300000);
    ck_assert_int_eq(group->rules[1].keep_firing_ms, 600000);
    ck_assert_uint_eq(group->rules[1].label_count, 3);
    unit_assert_str(group->rules[1].labels[0].name, "both");
    unit_assert_str(group->rules[1].labels[0].text, "rule");
    ck_assert_ptr_null(group->rules[0].labels[0].template);
    ck_assert_ptr_nonnull(group->rules[1].labels[0].template);
    alert_rule_file_free(file);
    unit_assert_ok(parse("", &file, &err), &err);
    ck_assert_uint_eq(file->count, 0);
    alert_rule_file_free(file);
}
END_TEST

#define GROUP "groups:\n- name: g\n  rules:\n"

START_TEST(names_what_is_wrong_and_where)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"groups: [{name: g, ruels: []}]", "r.yml:1:20: "},
        {"groups: [{name: g, ruels: []}]", "rules"},
        {"group: []", "r.yml:1:1: "},
        {"groups: [{rules: []}]", "r.yml:1:10: the name of a group must not be empty"},
        {"groups: [{name: a}, {name: a}]", "r.yml:1:28: group name \"a\" is repeated"},
        {GROUP "  - {expr: x}", "r.yml:4:5: one of record and alert must be set"},
        {GROUP "  - {record: a, alert: b, expr: x}", "r.yml:4:24: only one of record and alert"},
        {GROUP "  - {record: a}", "r.yml:4:5: expr is missing in rule 'a'"},
        {GROUP "  - {record: 'a{b}', expr: x}", "braces in the recording rule name"},
        {GROUP "  - {record: a, expr: x, for: 5m}", "r.yml:4:31: for is not for recording rules"},
        {GROUP "  - {alert: a, expr: x, for: 5 minutes}", "r.yml:4:30: "},
        {GROUP "  - {alert: a, expr: x, labels: {__name__: b}}", "cannot set the label __name__"},
        {GROUP "  - {alert: a, expr: x, label: {}}", "labels"},
        {"groups: [{name: g, interval: 10ms}]", "interval must be at least 100 ms"},
        {"groups: 5", "r.yml:1:9: "},
        /* places inside expressions and templates, however they are written */
        {GROUP "  - alert: a\n    expr: abc !! d\n", "r.yml:5:15: expr: unexpected character"},
        {GROUP "  - alert: a\n    expr: \"a\\\"c !! d\"\n", "r.yml:5:17: expr: "},
        {GROUP "  - alert: a\n    expr: 'a''c !! d'\n", "r.yml:5:17: expr: "},
        {GROUP "  - alert: a\n    expr: |\n      abc\n      de !! f\n", "r.yml:7:10: expr: "},
        {GROUP "  - alert: a\n    expr: >-\n      abc\n      de !! f\n", "r.yml:7:10: expr: "},
        {GROUP "  - alert: a\n    expr: x\n    annotations: {a: 'é {{ foo }}'}\n",
         "r.yml:6:28: template: function \"foo\" not defined"},
        {GROUP
         "  - alert: a\n    expr: x\n    annotations:\n      a: |\n        x\n        {{ call 1 "
         "}}\n",
         "r.yml:9:12: template: function \"call\" is not supported yet"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct alert_rule_file *file = NULL;
        struct tw_err err = {0};
        enum tw_code code = parse(cases[i].text, &file, &err);
        ck_assert_msg(code == TW_CONFIG || code == TW_UNSUPPORTED, "%s: %s", cases[i].text,
                      tw_code_name(code));
        unit_assert_contains(err.message, cases[i].message);
        ck_assert_uint_gt(err.line, 0);
    }
}
END_TEST

/* The identity of a rule is what its state is kept under. */
START_TEST(knows_a_rule_again)
{
    struct alert_rule_file *a = NULL, *b = NULL;
    struct tw_err err;
    unit_assert_ok(parse(GROUP "  - {alert: a, expr: x}\n  - {alert: a, expr: y}\n"
                               "  - {alert: a, expr: y, labels: {l: m}}\n",
                         &a, &err),
                   &err);
    unit_assert_ok(parse(GROUP "  - {alert: a, expr: z, for: 5m}\n  - {alert: a, expr: w}\n"
                               "  - {alert: a, expr: y, labels: {l: n}}\n",
                         &b, &err),
                   &err);
    const struct alert_rule *before = a->groups[0].rules, *after = b->groups[0].rules;
    ck_assert(before[0].id.low == after[0].id.low && before[0].id.high == after[0].id.high);
    ck_assert(before[1].id.low == after[1].id.low);
    ck_assert(before[0].id.low != before[1].id.low);
    ck_assert(before[2].id.low != after[2].id.low);
    alert_rule_file_free(a);
    alert_rule_file_free(b);
}
END_TEST

START_TEST(survives_broken_files)
{
    static const char whole[] = "groups:\n- name: g\n  interval: 1m\n  labels: {a: b}\n  rules:\n"
                                "  - alert: A\n    expr: |\n      x > 1\n    for: 5m\n"
                                "    annotations: {s: \"{{ if gt $value 1.0 }}x\\\"{{ end }}\"}\n";
    for (size_t k = 0; k < 2 * (sizeof whole - 1); k++) {
        char *text = strdup(whole);
        struct alert_rule_file *file = NULL;
        struct tw_err err = {0};
        if (k < sizeof whole - 1)
            text[k] = '\0';
        else
            text[k - (sizeof whole - 1)] = "{}:-|\"' !"[k % 9];
        if (parse(text, &file, &err) == TW_OK)
            alert_rule_file_free(file);
        free(text);
    }
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(reads_all_that_a_file_may_say),
                                      UNIT_CASE(names_what_is_wrong_and_where),
                                      UNIT_CASE(knows_a_rule_again),
                                      UNIT_CASE(survives_broken_files),
                                      {0}};
    return unit_run("alerts/rule", cases);
}
