/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/parser.h"
#include "tests/lib/unit.h"

static struct query_ast *parse(const char *text)
{
    struct query_ast *ast;
    struct tw_err err;
    enum tw_code code = query_parse(tw_str(text), QUERY_FEATURES_ALL, &ast, &err);
    ck_assert_msg(code == TW_OK, "%s: %s", text, code ? err.message : "");
    return ast;
}

START_TEST(binds_as_prometheus_does)
{
    struct query_ast *ast = parse("-a ^ 2 * b or c and d");
    const struct query_node *root = ast->root;
    ck_assert_int_eq(root->type, QUERY_NODE_BINARY);
    ck_assert_int_eq(root->binary.op, QUERY_TOKEN_OR);
    ck_assert_int_eq(root->binary.right->binary.op, QUERY_TOKEN_AND);
    const struct query_node *product = root->binary.left;
    ck_assert_int_eq(product->binary.op, QUERY_TOKEN_MUL);
    ck_assert_int_eq(product->binary.left->type, QUERY_NODE_UNARY);
    ck_assert_int_eq(product->binary.left->unary.inner->binary.op, QUERY_TOKEN_POW);
    query_ast_free(ast);

    ast = parse("2 ^ 3 ^ 4");
    ck_assert_int_eq(ast->root->binary.left->type, QUERY_NODE_NUMBER);
    ck_assert_int_eq(ast->root->binary.right->binary.op, QUERY_TOKEN_POW);
    query_ast_free(ast);
}
END_TEST

START_TEST(keeps_ranges_and_modifiers)
{
    struct query_ast *ast =
        parse("sum by (a, \"b.c\") (rate(x{y=~\"z\"}[1h30m] offset -5m @ end()))");
    const struct query_node *call = ast->root->aggregate.inner;
    ck_assert_uint_eq(ast->root->aggregate.grouping.count, 2);
    unit_assert_str(ast->root->aggregate.grouping.items[1], "b.c");
    const struct query_node *matrix = call->call.arguments[0];
    ck_assert_int_eq(matrix->matrix.range_ms, 5400000);
    ck_assert_int_eq(matrix->matrix.selector->selector.modifiers.offset_ms, -300000);
    ck_assert_int_eq(matrix->matrix.selector->selector.modifiers.at, QUERY_AT_END);
    ck_assert_uint_eq(matrix->start, 24);
    query_ast_free(ast);

    ast = parse("x[5m:30s] @ 1.5 offset 2");
    ck_assert_int_eq(ast->root->subquery.step_ms, 30000);
    ck_assert_int_eq(ast->root->subquery.modifiers.at_ms, 1500);
    ck_assert_int_eq(ast->root->subquery.modifiers.offset_ms, 2000);
    query_ast_free(ast);
}
END_TEST

START_TEST(reads_strings_and_numbers_as_go_does)
{
    struct query_ast *ast = parse("\"\\x41\\u00e9\\n\\\"\\101\"");
    unit_assert_str(ast->root->string, "A\xc3\xa9\n\"A");
    query_ast_free(ast);
    static const struct {
        const char *text;
        double value;
    } numbers[] = {{"0x1F", 31}, {"010", 8}, {"1_000", 1000}, {"1e-3", 0.001}, {"5m", 300},
                   {"-7", -7},   {".5", .5}, {"1.", 1},       {"089", 89}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        ast = parse(numbers[i].text);
        ck_assert_double_eq(ast->root->number, numbers[i].value);
        query_ast_free(ast);
    }
}
END_TEST

START_TEST(errors_have_a_place)
{
    struct query_ast *ast;
    struct tw_err err;
    unit_assert_code(query_parse(TW_STR("sum(\n  up{a=1})"), 0, &ast, &err), TW_SYNTAX);
    ck_assert_uint_eq(err.line, 2);
    ck_assert_uint_eq(err.column, 8);
    ck_assert_uint_eq(err.start, 12);
    unit_assert_code(query_parse(TW_STR(""), 0, &ast, &err), TW_SYNTAX);
    unit_assert_contains(err.message, "unknown position: parse error: no expression found");
    ck_assert_uint_eq(err.line, 1);
    ck_assert_uint_eq(err.column, 1);
    unit_assert_code(query_parse(TW_STR("#"), 0, &ast, &err), TW_SYNTAX);
    unit_assert_contains(err.message, "1:1: parse error: no expression found in input");
    unit_assert_code(query_parse(TW_STR("mad_over_time(a[5m])"), 0, &ast, &err), TW_SYNTAX);
    unit_assert_contains(err.message, "function \"mad_over_time\" is not enabled");
}
END_TEST

START_TEST(selectors_alone)
{
    struct tw_arena *arena = tw_arena_new(1024);
    struct tsdb_matcher *matchers;
    size_t count;
    struct tw_err err;
    unit_assert_ok(query_parse_selector(TW_STR("up{job=~\"a.*\"}"), arena, &matchers, &count, &err),
                   &err);
    ck_assert_uint_eq(count, 2);
    ck_assert(tsdb_matcher_matches(&matchers[0], TW_STR("abc")));
    for (size_t i = 0; i < count; i++)
        tsdb_matcher_fini(&matchers[i]);
    unit_assert_code(query_parse_selector(TW_STR("sum(up)"), arena, &matchers, &count, &err),
                     TW_SYNTAX);
    unit_assert_code(query_parse_selector(TW_STR("up offset 1m"), arena, &matchers, &count, &err),
                     TW_SYNTAX);
    tw_arena_free(arena);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(binds_as_prometheus_does),
                                      UNIT_CASE(keeps_ranges_and_modifiers),
                                      UNIT_CASE(reads_strings_and_numbers_as_go_does),
                                      UNIT_CASE(errors_have_a_place),
                                      UNIT_CASE(selectors_alone),
                                      {0}};
    return unit_run("query/parser", cases);
}
