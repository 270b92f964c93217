/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/json.h"

#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "tests/lib/unit.h"

static struct tw_json *parse(const char *text)
{
    struct tw_json *root;
    struct tw_err err;
    unit_assert_ok(tw_json_parse(tw_str(text), &root, &err), &err);
    return root;
}

START_TEST(reads_every_type)
{
    struct tw_json *root = parse("{\"s\":\"a\\u00e9\\u0000b\",\"i\":9007199254740993,\"d\":-2.5e3,"
                                 "\"t\":true,\"n\":null,\"a\":[1,[2]],\"o\":{}}");
    ck_assert_int_eq(tw_json_type(root), TW_JSON_OBJECT);
    ck_assert_uint_eq(tw_json_count(root), 7);
    struct tw_str s = tw_json_string(tw_json_member(root, "s"), TW_STR(""));
    ck_assert_uint_eq(s.size, 5);
    ck_assert_mem_eq(s.data, "a\xc3\xa9\0b", 5);
    ck_assert_int_eq(tw_json_int(tw_json_member(root, "i"), 0), 9007199254740993);
    ck_assert(tw_json_number(tw_json_member(root, "d"), 0) == -2500);
    ck_assert_int_eq(tw_json_int(tw_json_member(root, "d"), 0), -2500);
    ck_assert(tw_json_bool(tw_json_member(root, "t"), false));
    ck_assert_int_eq(tw_json_type(tw_json_member(root, "n")), TW_JSON_NULL);
    const struct tw_json *array = tw_json_member(root, "a");
    ck_assert_int_eq(tw_json_int(tw_json_item(tw_json_item(array, 1), 0), 0), 2);
    ck_assert_ptr_null(tw_json_item(array, 2));
    tw_json_free(root);
}
END_TEST

START_TEST(members_keep_their_order)
{
    struct tw_json *root = parse("{\"z\":1,\"a\":2,\"m\":3}");
    const char *wanted[] = {"z", "a", "m"};
    struct tw_str key;
    const struct tw_json *value;
    for (size_t i = 0; i < 3; i++) {
        ck_assert(tw_json_member_at(root, i, &key, &value));
        unit_assert_str(key, wanted[i]);
        ck_assert_int_eq(tw_json_int(value, 0), (int64_t)i + 1);
    }
    ck_assert(!tw_json_member_at(root, 3, &key, &value));
    tw_json_free(root);
}
END_TEST

START_TEST(missing_values_can_be_chained)
{
    ck_assert_ptr_null(tw_json_member(tw_json_member(NULL, "a"), "b"));
    ck_assert(tw_json_number(NULL, 7) == 7);
    ck_assert_int_eq(tw_json_int(NULL, 7), 7);
    unit_assert_str(tw_json_string(NULL, TW_STR("x")), "x");
    ck_assert_uint_eq(tw_json_count(NULL), 0);
    struct tw_json *root = parse("1.5");
    ck_assert_int_eq(tw_json_int(root, 3), 3); /* no whole number */
    tw_json_free(root);
    root = parse("1e30");
    ck_assert_int_eq(tw_json_int(root, 3), 3); /* out of range */
    tw_json_free(root);
}
END_TEST

static const struct {
    const char *text;
    unsigned line, column;
    const char *message;
} bad[] = {
    {"", 1, 1, "end of file"},
    {"{\"a\":1,\n \"a\":2}", 2, 4, "duplicate"},
    {"[1,\n2,,3]", 2, 3, "','"},
    {"\"\xff\"", 1, 1, "0xff"},
    {"[1] x", 1, 5, "end of file expected"},
    {"{\"a\":", 1, 5, "end of file"},
    {"[\"\\ud800\"]", 1, 0, "invalid Unicode"},
};

START_TEST(names_the_place_of_a_mistake)
{
    struct tw_json *root;
    struct tw_err err = {0};
    unit_assert_code(tw_json_parse(tw_str(bad[_i].text), &root, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, bad[_i].message);
    ck_assert_uint_eq(err.line, bad[_i].line);
    if (bad[_i].column)
        ck_assert_uint_eq(err.column, bad[_i].column);
}
END_TEST

START_TEST(refuses_deep_nesting)
{
    struct tw_json *root;
    struct tw_err err;
    struct tw_buf text;
    tw_buf_init(&text, 1 << 24);
    for (int i = 0; i < TW_JSON_DEPTH_MAX; i++)
        tw_buf_append_char(&text, '[');
    tw_buf_append_cstr(&text, "\"[[[[\\\"[[[\"");
    for (int i = 0; i < TW_JSON_DEPTH_MAX; i++)
        tw_buf_append_char(&text, ']');
    unit_assert_ok(tw_json_parse(tw_buf_str(&text), &root, &err), &err);
    tw_json_free(root);
    tw_buf_clear(&text);
    for (int i = 0; i < 1000000; i++)
        tw_buf_append_char(&text, '[');
    unit_assert_code(tw_json_parse(tw_buf_str(&text), &root, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "deeper than 64");
    ck_assert_uint_eq(err.column, TW_JSON_DEPTH_MAX + 1);
    tw_buf_fini(&text);
}
END_TEST

START_TEST(writes_with_commas_and_escapes)
{
    struct tw_buf out;
    struct tw_json_writer w;
    tw_buf_init(&out, 4096);
    tw_json_writer_init(&w, &out);
    tw_json_begin_object(&w);
    tw_json_member_cstr(&w, "text", "q\" b\\ n\n t\t c\x01 d\x7f <&> \xc3\xa9");
    tw_json_member_str(&w, "bad", (struct tw_str){"a\xff\xe2\x80\xa8z", 6});
    tw_json_key(&w, TW_STR("list"));
    tw_json_begin_array(&w);
    tw_json_write_int(&w, INT64_MIN);
    tw_json_write_number(&w, 0.1);
    tw_json_write_number(&w, NAN);
    tw_json_begin_array(&w);
    tw_json_end_array(&w);
    tw_json_begin_object(&w);
    tw_json_end_object(&w);
    tw_json_write_raw(&w, TW_STR("{\"raw\":1}"));
    tw_json_end_array(&w);
    tw_json_member_bool(&w, "yes", true);
    tw_json_member_int(&w, "n", -1);
    tw_json_end_object(&w);
    unit_assert_str(tw_buf_str(&out),
                    "{\"text\":\"q\\\" b\\\\ n\\n t\\t c\\u0001 d\x7f <&> \xc3\xa9\","
                    "\"bad\":\"a\\ufffd\\u2028z\","
                    "\"list\":[-9223372036854775808,0.1,null,[],{},{\"raw\":1}],"
                    "\"yes\":true,\"n\":-1}");
    struct tw_json *root;
    struct tw_err err;
    unit_assert_ok(tw_json_parse(tw_buf_str(&out), &root, &err), &err);
    tw_json_free(root);
    tw_buf_fini(&out);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(reads_every_type),
        UNIT_CASE(members_keep_their_order),
        UNIT_CASE(missing_values_can_be_chained),
        UNIT_LOOP(names_the_place_of_a_mistake, 0, sizeof bad / sizeof bad[0]),
        UNIT_CASE(refuses_deep_nesting),
        UNIT_CASE(writes_with_commas_and_escapes),
        {0}};
    return unit_run("base/json", cases);
}
