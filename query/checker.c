/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/parser.h"

#include <stdio.h>
#include <string.h>

#include "wire/labels.h"

struct checker {
    const struct query_ast *ast;
    unsigned features;
};

#define FAIL(checker, node, err, ...)                                                              \
    query_error_at((err), TW_SYNTAX, (checker)->ast->text, (node)->start, (node)->end, __VA_ARGS__)

/* At the operator of a binary node. */
#define FAIL_AT_OPERATOR(checker, node, err, ...)                                                  \
    query_error_at((err), TW_SYNTAX, (checker)->ast->text, find_operator((checker)->ast, (node)),  \
                   (node)->binary.right->start, __VA_ARGS__)

static uint32_t find_operator(const struct query_ast *ast, const struct query_node *node)
{
    uint32_t at = node->binary.left->end;
    while (at + 1 < node->binary.right->start && strchr(" \t\r\n", ast->text.data[at]))
        at++;
    return at;
}

static enum tw_code check(const struct checker *checker, const struct query_node *node,
                          struct tw_err *err);

static enum tw_code expect(const struct checker *checker, const struct query_node *node,
                           enum query_value_type wanted, const char *context, struct tw_err *err)
{
    enum tw_code code = check(checker, node, err);
    if (code || node->value_type == wanted)
        return code;
    return FAIL(checker, node, err, "expected type %s in %s, got %s", query_value_type_name(wanted),
                context, query_value_type_name(node->value_type));
}

static enum tw_code check_selector(const struct checker *checker, const struct query_node *node,
                                   struct tw_err *err)
{
    bool restricts = false;
    size_t names = 0;
    struct tw_str other = {0};
    if (node->selector.second_name.data)
        return FAIL(checker, node, err, "metric name must not be set twice: \"%.*s\" or \"%.*s\"",
                    TW_STR_ARG(node->selector.name), TW_STR_ARG(node->selector.second_name));
    for (size_t i = 0; i < node->selector.matcher_count; i++) {
        const struct tsdb_matcher *matcher = &node->selector.matchers[i];
        if (tw_str_is(matcher->name, WIRE_METRIC_NAME)) {
            names++;
            if (!tw_str_equal(matcher->value, node->selector.name))
                other = matcher->value;
        }
        restricts = restricts || !tsdb_matcher_matches(matcher, (struct tw_str){0});
    }
    if (node->selector.name.size > 0 && !node->selector.name_quoted && names > 1)
        return FAIL(checker, node, err, "metric name must not be set twice: \"%.*s\" or \"%.*s\"",
                    TW_STR_ARG(node->selector.name),
                    TW_STR_ARG(other.size ? other : node->selector.name));
    if (!restricts)
        return FAIL(checker, node, err,
                    "vector selector must contain at least one non-empty matcher");
    return TW_OK;
}

static enum tw_code check_matching(const struct checker *checker, const struct query_node *node,
                                   struct tw_err *err)
{
    const struct query_matching *matching = &node->binary.matching;
    for (size_t i = 0; matching->on && i < matching->labels.count; i++)
        for (size_t k = 0; k < matching->include.count; k++)
            if (tw_str_equal(matching->labels.items[i], matching->include.items[k]))
                return FAIL_AT_OPERATOR(
                    checker, node, err,
                    "label \"%.*s\" must not occur in ON and GROUP clause at once",
                    TW_STR_ARG(matching->labels.items[i]));
    return TW_OK;
}

static enum tw_code check_binary(const struct checker *checker, const struct query_node *node,
                                 struct tw_err *err)
{
    const struct query_node *left = node->binary.left, *right = node->binary.right;
    enum query_token_type op = node->binary.op;
    enum tw_code code = check(checker, left, err);
    if (!code)
        code = check(checker, right, err);
    if (!code)
        code = check_matching(checker, node, err);
    if (code)
        return code;
    bool scalars = left->value_type == QUERY_TYPE_SCALAR && right->value_type == QUERY_TYPE_SCALAR;
    bool vectors = left->value_type == QUERY_TYPE_VECTOR && right->value_type == QUERY_TYPE_VECTOR;
    if (node->binary.return_bool && !query_token_is_comparison(op))
        return FAIL_AT_OPERATOR(checker, node, err,
                                "bool modifier can only be used on comparison operators");
    if (query_token_is_comparison(op) && !node->binary.return_bool && scalars)
        return FAIL_AT_OPERATOR(checker, node, err,
                                "comparisons between scalars must use BOOL modifier");
    for (unsigned side = 0; side < 2; side++) {
        const struct query_node *operand = side ? right : left;
        if (operand->value_type != QUERY_TYPE_SCALAR && operand->value_type != QUERY_TYPE_VECTOR)
            return FAIL(checker, operand, err,
                        "binary expression must contain only scalar and instant vector types");
    }
    bool trims = op == QUERY_TOKEN_TRIM_LOWER || op == QUERY_TOKEN_TRIM_UPPER;
    bool fills = node->binary.matching.fills_left || node->binary.matching.fills_right;
    if (fills && !vectors)
        return FAIL(checker, node, err,
                    "filling in missing series only allowed between instant vectors");
    if (fills && query_token_is_set(op))
        return FAIL(checker, node, err, "filling in missing series not allowed for set operators");
    if (trims && left->value_type != QUERY_TYPE_VECTOR)
        return FAIL(checker, node, err,
                    "operator \"%s\" only allowed with an instant vector on its left-hand side",
                    query_token_spelling(op));
    if (!vectors && node->binary.matching.labels.count > 0)
        return FAIL(checker, node, err, "vector matching only allowed between instant vectors");
    if (!vectors && query_token_is_set(op))
        return FAIL(checker, node, err,
                    "set operator \"%s\" not allowed in binary scalar expression",
                    query_token_spelling(op));
    return TW_OK;
}

static enum tw_code check_aggregate(const struct checker *checker, const struct query_node *node,
                                    struct tw_err *err)
{
    enum query_token_type op = node->aggregate.op;
    if ((op == QUERY_TOKEN_LIMITK || op == QUERY_TOKEN_LIMIT_RATIO) &&
        !(checker->features & QUERY_FEATURE_EXPERIMENTAL_FUNCTIONS))
        return FAIL(checker, node, err,
                    "%s() is experimental and must be enabled with "
                    "--enable-feature=promql-experimental-functions",
                    query_token_spelling(op));
    enum tw_code code =
        expect(checker, node->aggregate.inner, QUERY_TYPE_VECTOR, "aggregation expression", err);
    if (code || !node->aggregate.parameter)
        return code;
    return expect(checker, node->aggregate.parameter,
                  op == QUERY_TOKEN_COUNT_VALUES ? QUERY_TYPE_STRING : QUERY_TYPE_SCALAR,
                  "aggregation parameter", err);
}

static enum tw_code check_count(const struct checker *checker, const struct query_node *node,
                                struct tw_err *err)
{
    const struct query_function *function = node->call.function;
    size_t wanted = function->argument_count, got = node->call.count;
    if (function->variadic == 0) {
        if (got != wanted)
            return FAIL(checker, node, err, "expected %zu argument(s) in call to \"%s\", got %zu",
                        wanted, function->name, got);
        return TW_OK;
    }
    if (got + 1 < wanted)
        return FAIL(checker, node, err,
                    "expected at least %zu argument(s) in call to \"%s\", got %zu", wanted - 1,
                    function->name, got);
    if (function->variadic > 0 && got > wanted - 1 + (size_t)function->variadic)
        return FAIL(checker, node, err,
                    "expected at most %zu argument(s) in call to \"%s\", got %zu",
                    wanted - 1 + (size_t)function->variadic, function->name, got);
    return TW_OK;
}

/* The second argument of info(): matchers, no expression. */
static enum tw_code check_info(const struct checker *checker, const struct query_node *given,
                               struct tw_err *err)
{
    if (given->type != QUERY_NODE_SELECTOR)
        return FAIL(checker, given, err,
                    "expected label selectors as the second argument to \"info\" function");
    if (given->selector.name.size > 0 && !given->selector.name_quoted)
        return FAIL(checker, given, err,
                    "expected label selectors only, got vector selector instead");
    return TW_OK;
}

static enum tw_code check_call(const struct checker *checker, const struct query_node *node,
                               struct tw_err *err)
{
    const struct query_function *function = node->call.function;
    if (function->experimental && !(checker->features & QUERY_FEATURE_EXPERIMENTAL_FUNCTIONS))
        return FAIL(checker, node, err, "function \"%s\" is not enabled", function->name);
    enum tw_code code = check_count(checker, node, err);
    for (size_t i = 0; !code && i < node->call.count; i++) {
        size_t index = i < function->argument_count ? i : (size_t)function->argument_count - 1;
        char context[96];
        if (function->kind == QUERY_KIND_INFO && i == 1) {
            code = check_info(checker, node->call.arguments[i], err);
            continue;
        }
        snprintf(context, sizeof context, "call to function \"%s\"", function->name);
        code = expect(checker, node->call.arguments[i], function->arguments[index], context, err);
    }
    return code;
}

static enum tw_code check(const struct checker *checker, const struct query_node *node,
                          struct tw_err *err)
{
    enum tw_code code;
    switch (node->type) {
    case QUERY_NODE_NUMBER:
    case QUERY_NODE_STRING:
        return TW_OK;
    case QUERY_NODE_SELECTOR:
        return check_selector(checker, node, err);
    case QUERY_NODE_MATRIX:
        return check_selector(checker, node->matrix.selector, err);
    case QUERY_NODE_SUBQUERY:
        code = check(checker, node->subquery.inner, err);
        if (!code && node->subquery.inner->value_type != QUERY_TYPE_VECTOR)
            return FAIL(checker, node, err,
                        "subquery is only allowed on instant vector, got %s instead",
                        query_value_type_name(node->subquery.inner->value_type));
        return code;
    case QUERY_NODE_PAREN:
        return check(checker, node->paren, err);
    case QUERY_NODE_UNARY:
        code = check(checker, node->unary.inner, err);
        if (!code && node->value_type != QUERY_TYPE_SCALAR && node->value_type != QUERY_TYPE_VECTOR)
            return FAIL(checker, node, err,
                        "unary expression only allowed on expressions of type scalar or instant "
                        "vector, got \"%s\"",
                        query_value_type_name(node->value_type));
        return code;
    case QUERY_NODE_BINARY:
        return check_binary(checker, node, err);
    case QUERY_NODE_AGGREGATE:
        return check_aggregate(checker, node, err);
    case QUERY_NODE_CALL:
        break;
    }
    return check_call(checker, node, err);
}

enum tw_code query_check_types(const struct query_ast *ast, unsigned features, struct tw_err *err)
{
    const struct checker checker = {ast, features};
    return check(&checker, ast->root, err);
}
