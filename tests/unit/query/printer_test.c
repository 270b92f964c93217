/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "query/parser.h"
#include "query/printer.h"
#include "tests/lib/unit.h"

static void check_printed(const char *text, const char *wanted,
                          void (*print)(const struct query_node *, struct tw_buf *))
{
    struct query_ast *ast;
    struct tw_err err;
    struct tw_buf out;
    tw_buf_init(&out, 1 << 16);
    ck_assert_msg(query_parse(tw_str(text), QUERY_FEATURES_ALL, &ast, &err) == TW_OK, "%s: %s",
                  text, err.message);
    print(ast->root, &out);
    ck_assert_str_eq(tw_buf_cstr(&out), wanted);
    query_ast_free(ast);
    tw_buf_fini(&out);
}

static void check_line(const char *text, const char *wanted)
{
    check_printed(text, wanted, query_print);
}

START_TEST(prints_leaves)
{
    check_line("1e6", "1000000");
    check_line("-Inf", "-Inf");
    check_line("90s", "1m30s");
    check_line("- ( x )", "-(x)");
    check_line("'a\"b\\n\\x00\\u2028'", "\"a\\\"b\\n\\x00\\u2028\"");
    check_line("x{b='1',a=~'2'}", "x{a=~\"2\",b=\"1\"}");
    check_line("{'a.b', 'c d'!='e'}", "{\"c d\"!=\"e\",__name__=\"a.b\"}");
    check_line("{__name__=~'a|b'}", "{__name__=~\"a|b\"}");
}
END_TEST

START_TEST(prints_windows)
{
    check_line("x[90s] offset 1h @ 12.5", "x[1m30s] @ 12.500 offset 1h");
    check_line("x offset -5", "x offset -5s");
    check_line("x[5m:] @ end()", "x[5m:] @ end()");
    check_line("(a+b)[5m:30] @ start()", "(a + b)[5m:30s] @ start()");
    check_line("rate(x[2*(step()+1m)] anchored)", "rate(x[2 * (step() + 1m)] anchored)");
    check_line("x smoothed offset min_of(1m,range())", "x smoothed offset min_of(1m, range())");
    check_line("x offset -(1h/2)", "x offset -(1h / 2)");
}
END_TEST

START_TEST(prints_operations)
{
    check_line("sum(x)by(a,'b.c')", "sum by (a, \"b.c\") (x)");
    check_line("topk without(a)(3,x)", "topk without (a) (3, x)");
    check_line("sum by () (x)", "sum(x)");
    check_line("a+ignoring()b", "a + b");
    check_line("a>bool on(c)group_left b", "a > bool on (c) group_left () b");
    check_line("a*on()group_right(d)fill(0)b", "a * on () group_right (d) fill (0) b");
    check_line("a-fill_right(NaN)fill_left(-1)b", "a - fill_left (-1) fill_right (NaN) b");
    check_line("label_join(x,'a','-','b')", "label_join(x, \"a\", \"-\", \"b\")");
}
END_TEST

START_TEST(breaks_lines)
{
    const char *rate =
        "rate(http_request_duration_seconds_bucket{instance=~\"a.*\",job=\"api-server\"}[5m])";
    char text[512], wanted[512];
    snprintf(text, sizeof text, "sum by (le,job) (%s) > 0", rate);
    snprintf(wanted, sizeof wanted, "  sum by (le, job) (%s)\n>\n  0", rate);
    check_printed(text, wanted, query_print_pretty);
    snprintf(text, sizeof text, "-histogram_quantile(0.9, sum by (le) (%s))", rate);
    snprintf(wanted, sizeof wanted, "-histogram_quantile(\n  0.9,\n  sum by (le) (%s)\n)", rate);
    check_printed(text, wanted, query_print_pretty);
    check_printed("a + b", "a + b", query_print_pretty);
}
END_TEST

START_TEST(makes_json)
{
    check_printed(
        "-x",
        "{\"expr\":{\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"x\"}],"
        "\"name\":\"x\",\"offset\":0,\"startOrEnd\":null,\"timestamp\":null,"
        "\"type\":\"vectorSelector\"},\"op\":\"-\",\"type\":\"unaryExpr\"}",
        query_print_json);
    check_printed("time() + 1",
                  "{\"bool\":false,\"lhs\":{\"args\":[],\"func\":{\"argTypes\":[],"
                  "\"name\":\"time\",\"returnType\":\"scalar\",\"variadic\":0},"
                  "\"type\":\"call\"},\"matching\":null,\"op\":\"+\",\"rhs\":"
                  "{\"type\":\"numberLiteral\",\"val\":\"1\"},\"type\":\"binaryExpr\"}",
                  query_print_json);
}
END_TEST

/* Deeper than the JSON writer goes, and longer than the buffer. */
START_TEST(prints_deep_trees)
{
    char text[2100];
    struct query_ast *ast;
    struct tw_err err;
    struct tw_buf out;
    memset(text, '(', 900);
    text[900] = '1';
    memset(text + 901, ')', 900);
    ck_assert(query_parse((struct tw_str){text, 1801}, 0, &ast, &err) == TW_OK);
    tw_buf_init(&out, 8 << 20);
    query_print_json(ast->root, &out);
    ck_assert(!out.overflow);
    tw_buf_clear(&out);
    query_print_pretty(ast->root, &out);
    ck_assert(!out.overflow);
    tw_buf_fini(&out);
    tw_buf_init(&out, 1000);
    query_print_pretty(ast->root, &out);
    ck_assert(out.overflow);
    tw_buf_fini(&out);
    query_ast_free(ast);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(prints_leaves),
                                      UNIT_CASE(prints_windows),
                                      UNIT_CASE(prints_operations),
                                      UNIT_CASE(breaks_lines),
                                      UNIT_CASE(makes_json),
                                      UNIT_CASE(prints_deep_trees),
                                      {0}};
    return unit_run("query/printer", cases);
}
