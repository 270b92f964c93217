/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/ast.h"

struct query_ast *query_ast_free(struct query_ast *ast)
{
    if (!ast)
        return NULL;
    for (size_t i = 0; i < ast->selector_count; i++) {
        struct query_node *node = ast->selectors[i];
        for (size_t m = 0; m < node->selector.matcher_count - node->selector.added_count; m++)
            tsdb_matcher_fini(&node->selector.matchers[m]);
    }
    tw_arena_free(ast->arena); /* holds *ast too */
    return NULL;
}

enum tw_code query_ast_resolve(struct query_ast *ast, int64_t step_ms, int64_t range_ms,
                               struct tw_err *err)
{
    return query_durations_resolve(ast->durations, ast->duration_count, ast->text, step_ms,
                                   range_ms, err);
}

struct query_node *query_node_child(const struct query_node *node, size_t index)
{
    struct query_node *children[2] = {NULL, NULL};
    switch (node->type) {
    case QUERY_NODE_NUMBER:
    case QUERY_NODE_STRING:
    case QUERY_NODE_SELECTOR:
        return NULL;
    case QUERY_NODE_MATRIX:
        children[0] = node->matrix.selector;
        break;
    case QUERY_NODE_SUBQUERY:
        children[0] = node->subquery.inner;
        break;
    case QUERY_NODE_PAREN:
        children[0] = node->paren;
        break;
    case QUERY_NODE_UNARY:
        children[0] = node->unary.inner;
        break;
    case QUERY_NODE_BINARY:
        children[0] = node->binary.left;
        children[1] = node->binary.right;
        break;
    case QUERY_NODE_AGGREGATE:
        children[0] = node->aggregate.parameter ? node->aggregate.parameter : node->aggregate.inner;
        children[1] = node->aggregate.parameter ? node->aggregate.inner : NULL;
        break;
    case QUERY_NODE_CALL:
        if (node->call.info && index == 1)
            return node->call.info;
        return index < node->call.count ? node->call.arguments[index] : NULL;
    }
    return index < 2 ? children[index] : NULL;
}

bool query_names_equal(const struct query_names *a, const struct query_names *b)
{
    for (size_t i = 0; a->count == b->count && i < a->count; i++)
        if (!tw_str_equal(a->items[i], b->items[i]))
            return false;
    return a->count == b->count;
}

const struct query_node *query_node_unwrap(const struct query_node *node)
{
    while (node->type == QUERY_NODE_PAREN)
        node = node->paren;
    return node;
}

struct tw_str query_selector_metric(const struct query_node *selector)
{
    for (size_t i = 0; i < selector->selector.matcher_count; i++) {
        const struct tsdb_matcher *matcher = &selector->selector.matchers[i];
        if (matcher->op == TSDB_MATCH_EQUAL && tw_str_is(matcher->name, WIRE_METRIC_NAME))
            return matcher->value;
    }
    return TW_STR("");
}

bool query_token_is_comparison(enum query_token_type op)
{
    return op >= QUERY_TOKEN_EQLC && op <= QUERY_TOKEN_LTE;
}

bool query_token_is_set(enum query_token_type op)
{
    return op == QUERY_TOKEN_AND || op == QUERY_TOKEN_OR || op == QUERY_TOKEN_UNLESS;
}

const char *query_value_type_name(enum query_value_type type)
{
    switch (type) {
    case QUERY_TYPE_SCALAR:
        return "scalar";
    case QUERY_TYPE_VECTOR:
        return "instant vector";
    case QUERY_TYPE_MATRIX:
        return "range vector";
    case QUERY_TYPE_STRING:
        return "string";
    case QUERY_TYPE_NONE:
        break;
    }
    return "none";
}
