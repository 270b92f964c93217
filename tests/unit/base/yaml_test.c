/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/yaml.h"

#include "base/buf.h"
#include "tests/lib/unit.h"

static struct tw_arena *arena;

static struct tw_yaml *parse(const char *text)
{
    struct tw_yaml *root = NULL;
    struct tw_err err;
    arena = tw_arena_new(4096);
    unit_assert_ok(tw_yaml_parse(arena, "t.yml", tw_str(text), &root, &err), &err);
    return root;
}

START_TEST(reads_a_tree_with_places)
{
    const struct tw_yaml *root = parse(
        "# comment\ngroups:\n  - name: a\n    'rules': [x, \"y z\"]\nempty:\ntext: |\n  l1\n");
    ck_assert_int_eq(root->kind, TW_YAML_MAPPING);
    ck_assert_uint_eq(root->count, 3);
    const struct tw_yaml *groups = tw_yaml_member(root, "groups");
    ck_assert_int_eq(groups->kind, TW_YAML_SEQUENCE);
    ck_assert_uint_eq(groups->line, 3);
    ck_assert_uint_eq(groups->column, 3);
    const struct tw_yaml *rules = tw_yaml_member(groups->items[0], "rules");
    unit_assert_str(rules->items[1]->text, "y z");
    ck_assert(rules->items[1]->quoted && !rules->items[0]->quoted);
    ck_assert_uint_eq(rules->items[1]->line, 4);
    ck_assert_uint_eq(rules->items[1]->column, 18);
    ck_assert(tw_yaml_is_null(tw_yaml_member(root, "empty")));
    unit_assert_str(tw_yaml_member(root, "text")->text, "l1\n");
    ck_assert(!tw_yaml_is_null(tw_yaml_member(root, "text")));
    tw_arena_free(arena);
}
END_TEST

START_TEST(empty_documents_are_null)
{
    ck_assert_ptr_null(parse(""));
    tw_arena_free(arena);
    ck_assert_ptr_null(parse("# nothing\n---\n"));
    tw_arena_free(arena);
}
END_TEST

START_TEST(aliases_and_merges_stand_for_their_anchors)
{
    const struct tw_yaml *root =
        parse("base: &b {x: 1, y: 2}\nlist: [*b, *b]\nmore:\n  <<: *b\n  y: 3\n");
    const struct tw_yaml *list = tw_yaml_member(root, "list");
    unit_assert_str(tw_yaml_member(list->items[1], "y")->text, "2");
    const struct tw_yaml *more = tw_yaml_member(root, "more");
    ck_assert_uint_eq(more->count, 2);
    unit_assert_str(tw_yaml_member(more, "x")->text, "1");
    unit_assert_str(tw_yaml_member(more, "y")->text, "3");
    tw_arena_free(arena);
}
END_TEST

static const struct {
    const char *text, *message;
} bad[] = {
    {"a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "t.yml:5:3: key 'c' stands here again, first on line 3"},
    {"a: [1, 2\nb: 3\n", "t.yml:2:"},
    {"a: *b\n", "t.yml:1:4: alias '*b' has no anchor before it"},
    {"a: &a [*a]\n", "t.yml:1:8: alias '*a' stands inside its own anchor"},
    {"[1, 2]: x\n", "t.yml:1:1: a key must be a plain word"},
    {"a: !weird x\n", "t.yml:1:4: unknown tag '!weird'"},
    {"a: x\nb: \"\xff\"\n", "t.yml:2:5: "},
    {"a:\n\t- b\n", "t.yml:2:1: "},
    {"a: \"never ends\n", "t.yml:2:1: found unexpected end of stream"},
    {"<<: 3\n", "t.yml:1:1: '<<' takes a mapping"},
};

START_TEST(names_the_place_of_a_mistake)
{
    struct tw_yaml *root;
    struct tw_err err = {0};
    arena = tw_arena_new(4096);
    unit_assert_code(tw_yaml_parse(arena, "t.yml", tw_str(bad[_i].text), &root, &err), TW_CONFIG);
    unit_assert_contains(err.message, bad[_i].message);
    ck_assert_uint_gt(err.line, 0);
    tw_arena_free(arena);
}
END_TEST

START_TEST(bounds_what_aliases_expand_to)
{
    struct tw_buf text;
    struct tw_yaml *root;
    struct tw_err err;
    tw_buf_init(&text, 1 << 20);
    tw_buf_append_cstr(&text, "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for (int i = 1; i < 10; i++) {
        tw_buf_appendf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            tw_buf_appendf(&text, "%s*a%d", j ? ", " : "", i - 1);
        tw_buf_append_cstr(&text, "]\n");
    }
    arena = tw_arena_new(4096);
    unit_assert_code(tw_yaml_parse(arena, "t.yml", tw_buf_str(&text), &root, &err), TW_CONFIG);
    unit_assert_contains(err.message, "more than 1000000 values");
    tw_buf_clear(&text);
    for (int i = 0; i < 2000; i++)
        tw_buf_append_char(&text, '[');
    unit_assert_code(tw_yaml_parse(arena, "t.yml", tw_buf_str(&text), &root, &err), TW_CONFIG);
    /* Depth reached through aliases counts as well. */
    tw_buf_clear(&text);
    for (int i = 0; i < 40; i++)
        tw_buf_appendf(&text, "k%d: &k%d [[%s%d]]\n", i, i, i ? "*k" : "", i ? i - 1 : 0);
    unit_assert_code(tw_yaml_parse(arena, "t.yml", tw_buf_str(&text), &root, &err), TW_CONFIG);
    unit_assert_contains(err.message, "deeper than 64");
    tw_arena_free(arena);
    tw_buf_fini(&text);
}
END_TEST

START_TEST(refuses_unknown_keys_with_the_nearest)
{
    static const char *const known[] = {"rule_files", "receivers", "route", NULL};
    struct tw_err err;
    const struct tw_yaml *root = parse("route: {}\nreceiver: []\n");
    unit_assert_code(tw_yaml_check_keys("t.yml", root, known, &err), TW_CONFIG);
    unit_assert_contains(err.message,
                         "t.yml:2:1: unknown key 'receiver'; did you mean 'receivers'?");
    tw_arena_free(arena);
    root = parse("somethingelse: 1\n");
    unit_assert_code(tw_yaml_check_keys("t.yml", root, known, &err), TW_CONFIG);
    unit_assert_contains(err.message, "known here: rule_files, receivers, route");
    tw_arena_free(arena);
    root = parse("[1]\n");
    unit_assert_code(tw_yaml_check_keys("t.yml", root, known, &err), TW_CONFIG);
    unit_assert_ok(tw_yaml_check_keys("t.yml", NULL, known, &err), &err);
    tw_arena_free(arena);
}
END_TEST

START_TEST(nearest_words)
{
    static const char *const known[] = {"min", "max", "interval", NULL};
    ck_assert_str_eq(tw_yaml_nearest(TW_STR("intreval"), known), "interval");
    ck_assert_str_eq(tw_yaml_nearest(TW_STR("mni"), known), "min");
    ck_assert_ptr_null(tw_yaml_nearest(TW_STR("duration"), known));
    ck_assert_ptr_null(tw_yaml_nearest(TW_STR("zz"), known));
    ck_assert_ptr_null(tw_yaml_nearest(TW_STR(""), known));
}
END_TEST

START_TEST(reads_typed_members)
{
    struct tw_err err;
    const struct tw_yaml *root =
        parse("s: 5\nb: Yes\ni: -3\nd: 1.5e3\nt: 1h30m\nz: 64KiB\nm: 1.5MB\n"
              "n: ~\nl: [1]\nq: \"null\"\n");
    struct tw_str s = TW_STR("default"), n = TW_STR("kept");
    bool b = false;
    int64_t i = 0, t = 0;
    double d = 0;
    uint64_t z = 0;
    const struct tw_yaml *list;
    unit_assert_ok(tw_yaml_get_str("t", root, "s", &s, &err), &err);
    unit_assert_str(s, "5");
    unit_assert_ok(tw_yaml_get_str("t", root, "n", &n, &err), &err);
    unit_assert_str(n, "kept");
    unit_assert_ok(tw_yaml_get_str("t", root, "q", &n, &err), &err);
    unit_assert_str(n, "null");
    unit_assert_ok(tw_yaml_get_bool("t", root, "b", &b, &err), &err);
    ck_assert(b);
    unit_assert_ok(tw_yaml_get_int("t", root, "i", -5, 5, &i, &err), &err);
    ck_assert_int_eq(i, -3);
    unit_assert_ok(tw_yaml_get_double("t", root, "d", &d, &err), &err);
    ck_assert(d == 1500);
    unit_assert_ok(tw_yaml_get_duration("t", root, "t", &t, &err), &err);
    ck_assert_int_eq(t, 5400000);
    unit_assert_ok(tw_yaml_get_bytes("t", root, "z", &z, &err), &err);
    ck_assert_uint_eq(z, 65536);
    unit_assert_ok(tw_yaml_get_bytes("t", root, "m", &z, &err), &err);
    ck_assert_uint_eq(z, 1572864);
    unit_assert_ok(tw_yaml_get_node("t", root, "l", TW_YAML_SEQUENCE, &list, &err), &err);
    ck_assert_uint_eq(list->count, 1);
    unit_assert_ok(tw_yaml_get_node("t", root, "absent", TW_YAML_MAPPING, &list, &err), &err);
    ck_assert_ptr_null(list);
    tw_arena_free(arena);
}
END_TEST

START_TEST(refuses_wrong_types)
{
    struct tw_err err;
    const struct tw_yaml *root = parse("a: maybe\nb: 12x\nc: 99\nd: 5 parsecs\ne: [1]\nf: -1KB\n");
    struct tw_str s;
    bool b;
    int64_t i = 7;
    uint64_t z;
    double d;
    const struct tw_yaml *node;
    unit_assert_code(tw_yaml_get_bool("t.yml", root, "a", &b, &err), TW_CONFIG);
    unit_assert_contains(err.message, "t.yml:1:4: 'a' takes true or false, not 'maybe'");
    unit_assert_code(tw_yaml_get_int("t.yml", root, "b", 0, 9, &i, &err), TW_CONFIG);
    unit_assert_code(tw_yaml_get_int("t.yml", root, "c", 0, 9, &i, &err), TW_CONFIG);
    unit_assert_contains(err.message, "'c' must lie between 0 and 9, not 99");
    ck_assert_int_eq(i, 7);
    unit_assert_code(tw_yaml_get_double("t.yml", root, "b", &d, &err), TW_CONFIG);
    unit_assert_code(tw_yaml_get_duration("t.yml", root, "d", &i, &err), TW_CONFIG);
    unit_assert_contains(err.message, "t.yml:4:4: 'd'");
    unit_assert_code(tw_yaml_get_str("t.yml", root, "e", &s, &err), TW_CONFIG);
    unit_assert_contains(err.message, "'e' takes a single value, not a list");
    unit_assert_code(tw_yaml_get_bytes("t.yml", root, "f", &z, &err), TW_CONFIG);
    unit_assert_code(tw_yaml_get_node("t.yml", root, "e", TW_YAML_MAPPING, &node, &err), TW_CONFIG);
    tw_arena_free(arena);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(reads_a_tree_with_places),
        UNIT_CASE(empty_documents_are_null),
        UNIT_CASE(aliases_and_merges_stand_for_their_anchors),
        UNIT_LOOP(names_the_place_of_a_mistake, 0, sizeof bad / sizeof bad[0]),
        UNIT_CASE(bounds_what_aliases_expand_to),
        UNIT_CASE(refuses_unknown_keys_with_the_nearest),
        UNIT_CASE(nearest_words),
        UNIT_CASE(reads_typed_members),
        UNIT_CASE(refuses_wrong_types),
        {0}};
    return unit_run("base/yaml", cases);
}
