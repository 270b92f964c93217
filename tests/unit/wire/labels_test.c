/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/labels.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/unit.h"

#define SET(...)                                                                                   \
    (struct wire_labels)                                                                           \
    {                                                                                              \
        (const struct wire_label[]){__VA_ARGS__},                                                  \
            sizeof((const struct wire_label[]){__VA_ARGS__}) / sizeof(struct wire_label)           \
    }
#define L(name, value)                                                                             \
    {                                                                                              \
        TW_STR_INIT(name), TW_STR_INIT(value)                                                      \
    }

static const char *format(struct wire_labels labels)
{
    static struct tw_buf text;
    tw_buf_fini(&text);
    tw_buf_init(&text, 1 << 16);
    wire_labels_format(labels, &text);
    return tw_buf_cstr(&text);
}

START_TEST(gets_a_value)
{
    struct wire_labels labels = SET(L("__name__", "up"), L("job", "node"));
    unit_assert_str(wire_labels_get(labels, TW_STR("job")), "node");
    unit_assert_str(wire_labels_get(labels, TW_STR("instance")), "");
}
END_TEST

START_TEST(compares_as_prometheus)
{
    struct wire_labels a = SET(L("__name__", "a"), L("b", "1"));
    struct wire_labels same = SET(L("__name__", "a"), L("b", "1"));
    struct wire_labels longer = SET(L("__name__", "a"), L("b", "1"), L("c", "1"));
    struct wire_labels other_name = SET(L("__name__", "a"), L("c", "0"));
    struct wire_labels other_value = SET(L("__name__", "a"), L("b", "10"));
    ck_assert(wire_labels_equal(a, same));
    ck_assert(!wire_labels_equal(a, longer));
    ck_assert(!wire_labels_equal(a, other_value));
    ck_assert_int_eq(wire_labels_compare(a, same), 0);
    ck_assert_int_lt(wire_labels_compare(a, longer), 0);
    ck_assert_int_gt(wire_labels_compare(longer, a), 0);
    ck_assert_int_lt(wire_labels_compare(a, other_name), 0);
    ck_assert_int_lt(wire_labels_compare(a, other_value), 0);
}
END_TEST

START_TEST(hash_is_stable_and_unambiguous)
{
    /* The hash is stored: this number must never change. */
    ck_assert_uint_eq(wire_labels_hash(SET(L("__name__", "up"), L("job", "node"))),
                      UINT64_C(9644008637806697401));
    ck_assert_uint_ne(wire_labels_hash(SET(L("a", "bc"))), wire_labels_hash(SET(L("ab", "c"))));
    ck_assert_uint_ne(wire_labels_hash(SET(L("a", "b"), L("c", "d"))),
                      wire_labels_hash(SET(L("a", "bcd"))));
    /* Past the bytes that fit on the stack. */
    char *large = malloc(100000);
    memset(large, 'x', 100000);
    struct wire_label label = {TW_STR_INIT("a"), {large, 100000}};
    uint64_t hash = wire_labels_hash((struct wire_labels){&label, 1});
    label.value.size--;
    ck_assert_uint_ne(hash, wire_labels_hash((struct wire_labels){&label, 1}));
    free(large);
}
END_TEST

START_TEST(copies_deeply)
{
    struct tw_arena *arena = tw_arena_new(256);
    char name[] = "job", value[] = "node";
    struct wire_label label = {tw_str(name), tw_str(value)};
    struct wire_labels copy = wire_labels_copy(arena, (struct wire_labels){&label, 1});
    name[0] = value[0] = '?';
    ck_assert(wire_labels_equal(copy, SET(L("job", "node"))));
    tw_arena_free(arena);
}
END_TEST

START_TEST(canonical_sorts_and_drops_empty)
{
    struct tw_err err;
    struct wire_label items[] = {L("job", "node"), L("gone", ""), L("__name__", "up"), L("a", "b")};
    size_t count = 4;
    unit_assert_ok(wire_labels_canonical(items, &count, &err), &err);
    ck_assert(wire_labels_equal((struct wire_labels){items, count},
                                SET(L("__name__", "up"), L("a", "b"), L("job", "node"))));
    struct wire_label twice[] = {L("b", "1"), L("a", "2"), L("b", "")};
    count = 3;
    unit_assert_code(wire_labels_canonical(twice, &count, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "\"b\" is given twice");
}
END_TEST

START_TEST(check_names_what_is_wrong)
{
    struct tw_err err;
    unit_assert_ok(wire_labels_check(SET(L("__name__", "up"), L("a.b", "\xc3\xa4")), &err), &err);
    static const struct {
        struct wire_label items[2];
        size_t count;
        const char *message;
    } cases[] = {
        {{L("job", "node")}, 1, "no metric name"},
        {{L("", "x"), L("__name__", "up")}, 2, "empty name"},
        {{L("__name__", "up"), L("a", "")}, 2, "\"a\" has an empty value"},
        {{L("__name__", "up"), L("__name__", "down")}, 2, "given twice"},
        {{L("a", "up"), L("__name__", "down")}, 2, "must be sorted"},
        {{L("__name__", "\xff")}, 1, "value of label \"__name__\" is not UTF-8"},
        {{L("__name__", "up"), L("a\xc0\x80", "x")}, 2, "is not UTF-8"},
        {{{{NULL, 0}, {NULL, 0}}}, 0, "no metric name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire_labels labels = {cases[i].items, cases[i].count};
        unit_assert_code(wire_labels_check(labels, &err), TW_BAD_DATA);
        unit_assert_contains(err.message, cases[i].message);
    }
}
END_TEST

START_TEST(check_holds_the_limits)
{
    struct tw_err err;
    static char text[WIRE_LABELS_BYTES_MAX];
    static char names[WIRE_LABELS_COUNT_MAX + 1][8];
    static struct wire_label items[WIRE_LABELS_COUNT_MAX + 1];
    memset(text, 'x', sizeof text);
    struct wire_label one[2] = {L("__name__", "up"), {{text, 3}, {text, 4097}}};
    unit_assert_code(wire_labels_check((struct wire_labels){one, 2}, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "the limit is 4096");
    one[1].value.size = 4096;
    unit_assert_ok(wire_labels_check((struct wire_labels){one, 2}, &err), &err);
    one[1].name.size = 1025;
    unit_assert_code(wire_labels_check((struct wire_labels){one, 2}, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "the limit is 1024");

    items[0] = (struct wire_label)L("__name__", "up");
    for (int i = 1; i <= WIRE_LABELS_COUNT_MAX; i++) {
        snprintf(names[i], sizeof names[i], "n%03d", i);
        items[i] = (struct wire_label){tw_str(names[i]), {text, 1}};
    }
    struct wire_labels labels = {items, WIRE_LABELS_COUNT_MAX};
    unit_assert_ok(wire_labels_check(labels, &err), &err);
    labels.count++;
    unit_assert_code(wire_labels_check(labels, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "129 labels, the limit is 128");
    labels.count = 6;
    for (int i = 1; i < 6; i++)
        items[i].value.size = 4096;
    unit_assert_code(wire_labels_check(labels, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "the limit is 16384");
}
END_TEST

START_TEST(formats_as_prometheus)
{
    ck_assert_str_eq(format(SET(L("__name__", "up"))), "up");
    ck_assert_str_eq(format((struct wire_labels){NULL, 0}), "{}");
    ck_assert_str_eq(format(SET(L("a", "b"), L("c", "d"))), "{a=\"b\", c=\"d\"}");
    ck_assert_str_eq(format(SET(L("__name__", "up"), L("job", "a\"b\\\n\x01\xff\xc3\xa4"))),
                     "up{job=\"a\\\"b\\\\\\n\\x01\\xff\xc3\xa4\"}");
    ck_assert_str_eq(format(SET(L("__name__", "my.metric"), L("a.b", "c"))),
                     "{\"my.metric\", \"a.b\"=\"c\"}");
}
END_TEST

START_TEST(knows_legacy_names)
{
    ck_assert(wire_label_name_is_legacy(TW_STR("_a9Z")));
    ck_assert(!wire_label_name_is_legacy(TW_STR("9a")));
    ck_assert(!wire_label_name_is_legacy(TW_STR("a:b")));
    ck_assert(!wire_label_name_is_legacy(TW_STR("")));
    ck_assert(wire_metric_name_is_legacy(TW_STR("a:b")));
    ck_assert(wire_metric_name_is_legacy(TW_STR(":")));
    ck_assert(!wire_metric_name_is_legacy(TW_STR("a.b")));
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(gets_a_value),
                                      UNIT_CASE(compares_as_prometheus),
                                      UNIT_CASE(hash_is_stable_and_unambiguous),
                                      UNIT_CASE(copies_deeply),
                                      UNIT_CASE(canonical_sorts_and_drops_empty),
                                      UNIT_CASE(check_names_what_is_wrong),
                                      UNIT_CASE(check_holds_the_limits),
                                      UNIT_CASE(formats_as_prometheus),
                                      UNIT_CASE(knows_legacy_names),
                                      {0}};
    return unit_run("wire/labels", cases);
}
