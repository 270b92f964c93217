/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <string.h>

#include "query/fuzzy.h"
#include "tests/lib/unit.h"

#define JARO(a, b) query_fuzzy_jaro_winkler(TW_STR(a), TW_STR(b))

START_TEST(jaro_winkler_knows_the_usual_examples)
{
    ck_assert_double_eq_tol(JARO("MARTHA", "MARHTA"), 0.9611, 1e-4);
    ck_assert_double_eq_tol(JARO("DIXON", "DICKSONX"), 0.8133, 1e-4);
    ck_assert_double_eq_tol(JARO("DWAYNE", "DUANE"), 0.84, 1e-4);
    ck_assert_double_eq(JARO("", ""), 1);
    ck_assert_double_eq(JARO("a", ""), 0);
    ck_assert_double_eq(JARO("abc", "xyz"), 0);
    ck_assert_double_eq(JARO("same", "same"), 1);
}
END_TEST

START_TEST(long_names_are_compared_by_their_beginnings)
{
    char name[QUERY_FUZZY_BYTES_MAX * 2], term[QUERY_FUZZY_BYTES_MAX * 2];
    memset(name, 'a', sizeof name);
    memset(term, 'a', sizeof term);
    term[QUERY_FUZZY_BYTES_MAX] = 'b';
    ck_assert_double_eq(query_fuzzy_jaro_winkler((struct tw_str){name, sizeof name},
                                                 (struct tw_str){term, sizeof term}),
                        1);
}
END_TEST

START_TEST(a_subsequence_is_worth_more_the_closer_it_stands)
{
    ck_assert_double_eq(query_fuzzy_subsequence(TW_STR("http_total"), TW_STR("htt")), 1);
    ck_assert_double_eq(query_fuzzy_subsequence(TW_STR("h_t_x"), TW_STR("htx")), 0.6);
    ck_assert_double_eq(query_fuzzy_subsequence(TW_STR("abc"), TW_STR("cb")), 0);
    ck_assert_double_eq(query_fuzzy_subsequence(TW_STR("abc"), TW_STR("")), 1);
}
END_TEST

START_TEST(what_contains_the_term_needs_no_likeness)
{
    ck_assert_double_eq(query_fuzzy_score(QUERY_FUZZY_NONE, TW_STR("go_threads"), TW_STR("thread")),
                        1);
    ck_assert_double_eq(query_fuzzy_score(QUERY_FUZZY_NONE, TW_STR("go_threads"), TW_STR("thraed")),
                        0);
    struct tw_arena *arena = tw_arena_new(1 << 10);
    ck_assert(tw_str_is(query_fuzzy_fold(arena, TW_STR("Go_\xc3\x84")), "go_\xc3\x84"));
    tw_arena_free(arena);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(jaro_winkler_knows_the_usual_examples),
                                      UNIT_CASE(long_names_are_compared_by_their_beginnings),
                                      UNIT_CASE(a_subsequence_is_worth_more_the_closer_it_stands),
                                      UNIT_CASE(what_contains_the_term_needs_no_likeness),
                                      {0}};
    return unit_run("query/fuzzy", cases);
}
