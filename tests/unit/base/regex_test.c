/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>

#include "base/regex.h"
#include "tests/lib/unit.h"

static struct tw_regex *compile(const char *pattern, bool anchored)
{
    struct tw_regex *regex = NULL;
    struct tw_err err;
    unit_assert_ok(tw_regex_new(tw_str(pattern), anchored, &regex, &err), &err);
    return regex;
}

START_TEST(anchored_matches_the_whole_text)
{
    struct tw_regex *regex = compile("a|bc.*", true);
    ck_assert(tw_regex_match(regex, TW_STR("a")));
    ck_assert(!tw_regex_match(regex, TW_STR("ab")));
    ck_assert(tw_regex_match(regex, TW_STR("bc\nx")));
    tw_regex_free(regex);
    regex = compile("", true);
    ck_assert(tw_regex_match(regex, TW_STR("")));
    ck_assert(!tw_regex_match(regex, TW_STR("x")));
    tw_regex_free(regex);
}
END_TEST

START_TEST(wrong_patterns_say_why)
{
    struct tw_regex *regex;
    struct tw_err err;
    unit_assert_code(tw_regex_new(TW_STR("a("), true, &regex, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "missing closing )");
    char *large = malloc(TW_REGEX_PATTERN_BYTES_MAX + 1);
    memset(large, 'a', TW_REGEX_PATTERN_BYTES_MAX + 1);
    unit_assert_code(
        tw_regex_new((struct tw_str){large, TW_REGEX_PATTERN_BYTES_MAX + 1}, true, &regex, &err),
        TW_LIMIT);
    free(large);
}
END_TEST

static void check_replace(const char *pattern, const char *text, const char *with,
                          const char *wanted)
{
    struct tw_regex *regex = compile(pattern, false);
    struct tw_buf buf;
    tw_buf_init(&buf, 4096);
    tw_regex_replace_all(regex, tw_str(text), tw_str(with), &buf);
    ck_assert_str_eq(tw_buf_cstr(&buf), wanted);
    tw_buf_fini(&buf);
    tw_regex_free(regex);
}

START_TEST(replaces_as_go_does)
{
    check_replace("a+", "baaac", "<$0>", "b<aaa>c");
    check_replace("(\\w+)@(\\w+)", "me@home you@work", "$2 at ${1}", "home at me work at you");
    check_replace("(?P<x>b)", "abc", "[$x$$]", "a[b$]c");
    check_replace("b*", "abc", "-", "-a-c-");
    check_replace("", "abc", "-", "-a-b-c-");
    check_replace("z", "abc", "-", "abc");
    check_replace("(a)", "abc", "$1x", "bc");
    check_replace("a", "abc", "$", "$bc");
}
END_TEST

START_TEST(groups_are_positions_in_the_text)
{
    struct tw_regex *regex = compile("(a)|(?P<second>b)", true);
    struct tw_str groups[4];
    ck_assert(tw_regex_groups(regex, TW_STR("b"), groups, 4));
    ck_assert_ptr_null(groups[1].data);
    unit_assert_str(groups[2], "b");
    ck_assert_ptr_null(groups[3].data);
    ck_assert_uint_eq(tw_regex_group_index(regex, TW_STR("second")), 2);
    ck_assert_uint_eq(tw_regex_group_index(regex, TW_STR("third")), 0);
    ck_assert_uint_eq(tw_regex_group_count(regex), 2);
    tw_regex_free(regex);
}
END_TEST

START_TEST(exponential_patterns_take_linear_time)
{
    struct tw_regex *regex = compile("(x+x+)+y", true);
    char text[4096];
    memset(text, 'x', sizeof text);
    ck_assert(!tw_regex_match(regex, (struct tw_str){text, sizeof text}));
    tw_regex_free(regex);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(anchored_matches_the_whole_text),
        UNIT_CASE(wrong_patterns_say_why),
        UNIT_CASE(replaces_as_go_does),
        UNIT_CASE(groups_are_positions_in_the_text),
        UNIT_CASE(exponential_patterns_take_linear_time),
        {0},
    };
    return unit_run("base/regex", cases);
}
