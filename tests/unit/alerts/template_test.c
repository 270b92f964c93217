/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/template.h"

#include <stdlib.h>

#include "base/arena.h"
#include "tests/lib/unit.h"
#include "tests/unit/alerts/template_table.h"

static const struct wire_label host_a[] = {{TW_STR_INIT("__name__"), TW_STR_INIT("tw_q")},
                                           {TW_STR_INIT("host"), TW_STR_INIT("a")}};
static const struct wire_label host_b[] = {{TW_STR_INIT("__name__"), TW_STR_INIT("tw_q")},
                                           {TW_STR_INIT("host"), TW_STR_INIT("b")}};
static const struct wire_label host_c[] = {{TW_STR_INIT("__name__"), TW_STR_INIT("tw_q")},
                                           {TW_STR_INIT("host"), TW_STR_INIT("c")}};
static const struct alert_sample hosts[] = {{{host_a, 2}, 3}, {{host_b, 2}, 1}, {{host_c, 2}, 2.5}};
static const struct alert_sample sum[] = {{{NULL, 0}, 6.5}};

static enum tw_code fake_query(void *user, struct tw_str text, struct tw_arena *arena,
                               const struct alert_sample **ret_samples, size_t *ret_count,
                               struct tw_err *err)
{
    (void)user;
    (void)arena;
    *ret_samples = hosts;
    *ret_count = 0;
    if (tw_str_is(text, "tw_q"))
        *ret_count = 3;
    else if (tw_str_is(text, "sum(tw_q)")) {
        *ret_samples = sum;
        *ret_count = 1;
    } else if (!tw_str_is(text, "tw_none"))
        return tw_err_set(err, TW_SYNTAX, "unexpected end of input");
    return TW_OK;
}

static const struct wire_label labels[] = {
    {TW_STR_INIT("instance"), TW_STR_INIT("web-1.example.com:9100")},
    {TW_STR_INIT("job"), TW_STR_INIT("api")}};
static const struct wire_label external[] = {{TW_STR_INIT("region"), TW_STR_INIT("eu")},
                                             {TW_STR_INIT("zone"), TW_STR_INIT("z1")}};

static enum tw_code expand(struct tw_arena *arena, const char *text, bool *ret_parsed,
                           struct tw_str *ret, struct tw_err *err)
{
    struct alert_template *template = NULL;
    enum tw_code code = alert_template_parse(arena, tw_str(text), &template, err);
    *ret_parsed = code == TW_OK;
    if (code != TW_OK)
        return code;
    const struct alert_template_data data = {.labels = {labels, 2},
                                             .value = 42.5,
                                             .external_labels = {external, 2},
                                             .external_url = TW_STR("http://prom.example:9090/pre"),
                                             .time_ms = 1500,
                                             .query = fake_query};
    return alert_template_expand(template, &data, arena, ret, err);
}

START_TEST(agrees_with_prometheus)
{
    struct tw_arena *arena = tw_arena_new(4096);
    struct tw_err err = {0};
    struct tw_str made = TW_STR("");
    bool parsed = false;
    const char *text = template_table[_i].text;
    enum tw_code code = expand(arena, text, &parsed, &made, &err);
    switch (template_table[_i].outcome) {
    case TEXT:
        ck_assert_msg(code == TW_OK, "%s: %s", text, err.message);
        ck_assert_msg(tw_str_is(made, template_table[_i].wanted), "%s gave '%.*s', not '%s'", text,
                      TW_STR_ARG(made), template_table[_i].wanted);
        break;
    case RUN:
        ck_assert_msg(parsed, "%s: %s", text, err.message);
        ck_assert_msg(code != TW_OK, "%s gave '%.*s'", text, TW_STR_ARG(made));
        break;
    case LOAD:
        ck_assert_msg(!parsed, "%s was parsed", text);
        ck_assert_uint_gt(err.line, 0);
        break;
    }
    tw_arena_free(arena);
}
END_TEST

/* What came after 3.5: as the documentation of later versions has it. */
START_TEST(knows_newer_functions)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"{{ now }}", "1.5"},
        {"{{ toDuration 90 }} {{ toDuration 0.5 }} {{ toDuration 3661.25 }}",
         "1m30s 500ms 1h1m1.25s"},
        {"{{ toDuration 0 }} {{ toDuration -1.5 }} {{ toDuration 0.0000015 }}", "0s -1.5s 1.5µs"},
        {"{{ (toDuration 5400).Minutes }} {{ (toDuration 90).String }}", "90 1m30s"},
        {"{{ urlQueryEscape \"a b&c=d/é+~\" }}", "a+b%26c%3Dd%2F%C3%A9%2B~"},
        {"{{ (toTime 1435065584.5).Format \"Mon, 2 Jan 2006 15:04:05.000 MST\" }}",
         "Tue, 23 Jun 2015 13:19:44.500 UTC"},
        {"{{ (toTime 0).Format \"2006-01-02T15:04:05Z07:00 03:04PM _2\" }}",
         "1970-01-01T00:00:00Z 12:00AM  1"},
        {"{{ (toTime -1).Unix }} {{ (toTime 0).Weekday }} {{ (toTime 0).Month }}",
         "-1 Thursday January"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tw_arena *arena = tw_arena_new(4096);
        struct tw_err err = {0};
        struct tw_str made = TW_STR("");
        bool parsed = false;
        enum tw_code code = expand(arena, cases[i].text, &parsed, &made, &err);
        ck_assert_msg(code == TW_OK, "%s: %s", cases[i].text, err.message);
        ck_assert_msg(tw_str_is(made, cases[i].wanted), "%s gave '%.*s', not '%s'", cases[i].text,
                      TW_STR_ARG(made), cases[i].wanted);
        tw_arena_free(arena);
    }
}
END_TEST

START_TEST(names_what_is_wrong_and_where)
{
    static const struct {
        const char *text, *message;
        enum tw_code code;
        unsigned line, column;
    } cases[] = {
        {"a {{ call 1 }}", "function \"call\" is not supported yet", TW_UNSUPPORTED, 1, 6},
        {"{{ 3i }}", "complex numbers are not supported", TW_UNSUPPORTED, 1, 4},
        {"{{ (toTime 3).AddDate 1 2 3 }}", "method AddDate of a time is not supported yet",
         TW_UNSUPPORTED, 1, 15},
        {"a\nb {{ foo 1 }}", "function \"foo\" not defined", TW_SYNTAX, 2, 6},
        {"{{ $x }}", "undefined variable \"$x\"", TW_SYNTAX, 1, 4},
        {"{{ if true }}\nx", "{{end}} is missing", TW_SYNTAX, 1, 14},
        {"{{ define \"t\" }}{{ $labels }}{{ end }}", "undefined variable \"$labels\"", TW_SYNTAX, 1,
         20},
        {"{{ \"a\" | 5 }}", "non executable command in pipeline", TW_SYNTAX, 1, 10},
        {"{{ /* c }}", "unexpected character '/'", TW_SYNTAX, 1, 4},
        {"{{/* c }}", "unclosed comment", TW_SYNTAX, 1, 3},
        {"{{ }}", "missing value for command", TW_SYNTAX, 1, 4},
        {"{{ ( }}", "unexpected", TW_SYNTAX, 1, 6},
        {"{{ range 3 }}{{ else }}{{ else }}{{ end }}", "second {{else}}", TW_SYNTAX, 1, 32},
        {"{{ 12abc }}", "bad number syntax", TW_SYNTAX, 1, 4},
        {"{{ \"\\q\" }}", "unknown escape sequence", TW_SYNTAX, 1, 4},
        {"{{", "unclosed action", TW_SYNTAX, 1, 3},
        {"", NULL, TW_OK, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tw_arena *arena = tw_arena_new(4096);
        struct tw_err err = {0};
        struct tw_str made;
        bool parsed = false;
        enum tw_code code = expand(arena, cases[i].text, &parsed, &made, &err);
        ck_assert_msg(code == cases[i].code, "%s: %s", cases[i].text, err.message);
        if (code != TW_OK) {
            unit_assert_contains(err.message, cases[i].message);
            ck_assert_msg(err.line == cases[i].line && err.column == cases[i].column,
                          "%s: %u:%u (%s)", cases[i].text, err.line, err.column, err.message);
        }
        tw_arena_free(arena);
    }
}
END_TEST

START_TEST(ends_whatever_is_asked)
{
    static const char *const endless[] = {
        "{{ range 1000000000 }}x{{ end }}",
        "{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}",
        "{{ define \"r\" }}{{ template \"r\" . }}{{ end }}{{ template \"r\" 1 }}",
        "{{ $x := \"aaaaaaaaaa\" }}{{ range 90 }}{{ $x = print $x $x }}{{ end }}{{ $x }}",
        "{{ range 5000 }}{{ $x := printf \"%1000d%1000d%1000d%1000d\" 1 2 3 4 }}{{ end }}",
    };
    for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
        struct tw_arena *arena = tw_arena_new(4096);
        struct tw_err err = {0};
        struct tw_str made;
        bool parsed = false;
        enum tw_code code = expand(arena, endless[i], &parsed, &made, &err);
        ck_assert_msg(code == TW_LIMIT, "%s: %s", endless[i], tw_code_name(code));
        tw_arena_free(arena);
    }
}
END_TEST

/* Every prefix and every text with one byte changed is parsed or refused, and never worse. */
START_TEST(survives_broken_text)
{
    size_t count = sizeof template_table / sizeof *template_table;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(template_table[i].text);
        for (size_t k = 0; k < 2 * size; k++) {
            struct tw_arena *arena = tw_arena_new(4096);
            struct tw_err err = {0};
            struct tw_str made;
            bool parsed = false;
            char *text = tw_str_dup(tw_str(template_table[i].text));
            if (k < size)
                text[k] = '\0';
            else
                text[k - size] = "{}()|.$\"'- \n"[(i + k) % 12];
            (void)!expand(arena, text, &parsed, &made, &err);
            free(text);
            tw_arena_free(arena);
        }
    }
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_LOOP(agrees_with_prometheus, 0, sizeof template_table / sizeof *template_table),
        UNIT_CASE(knows_newer_functions),
        UNIT_CASE(names_what_is_wrong_and_where),
        UNIT_CASE(ends_whatever_is_asked),
        UNIT_CASE_SLOW(survives_broken_text, 120),
        {0}};
    return unit_run("alerts/template", cases);
}
