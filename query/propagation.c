/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/propagation.h"

#include "base/assert.h"
#include "wire/labels.h"

/* Queries with more selectors are left as they are. */
#define SELECTORS_MAX 64
#define DEMANDS_MAX 32

/* Matchers that hold for the labels of all series of a node. */
struct demands {
    const struct tsdb_matcher *items[DEMANDS_MAX];
    size_t count;
};

/* ---- labels ---- */

static bool has_name(const struct query_names *names, struct tw_str name)
{
    for (size_t i = 0; i < names->count; i++)
        if (tw_str_equal(names->items[i], name))
            return true;
    return false;
}

static bool is_metric_name(struct tw_str name)
{
    return tw_str_is(name, WIRE_METRIC_NAME);
}

/* Whether series that meet agree in the label. */
static bool is_matched(const struct query_matching *matching, struct tw_str name)
{
    if (is_metric_name(name))
        return false;
    return matching->on == has_name(&matching->labels, name);
}

/* Whether the groups of an aggregation have the label as their members do. */
static bool is_grouped(const struct query_node *node, struct tw_str name)
{
    if (is_metric_name(name))
        return false;
    return node->aggregate.without != has_name(&node->aggregate.grouping, name);
}

/* ---- nodes ---- */

static bool is_vector(const struct query_node *node)
{
    return node->value_type == QUERY_TYPE_VECTOR;
}

/* The vector of an operation with a scalar; NULL: it is one of two vectors, or of none. */
static struct query_node *vector_of(const struct query_node *node)
{
    if (is_vector(node->binary.left) == is_vector(node->binary.right))
        return NULL;
    return is_vector(node->binary.left) ? node->binary.left : node->binary.right;
}

static bool is_join(const struct query_node *node)
{
    return node->type == QUERY_NODE_BINARY && is_vector(node->binary.left) &&
           is_vector(node->binary.right);
}

static bool fills(const struct query_node *node)
{
    return node->binary.matching.fills_left || node->binary.matching.fills_right;
}

static const struct query_node *one_side(const struct query_node *join)
{
    return join->binary.matching.card == QUERY_ONE_TO_MANY ? join->binary.left : join->binary.right;
}

/* The argument of a call whose series are those of the result, label for label but for the name;
 * NULL: there is none. */
static struct query_node *argument_of(const struct query_node *node)
{
    switch (node->call.function->kind) {
    case QUERY_KIND_RANGE:
        for (size_t i = 0; i < node->call.count; i++) {
            const struct query_node *argument = query_node_unwrap(node->call.arguments[i]);
            if (argument->type == QUERY_NODE_MATRIX)
                return argument->matrix.selector;
        }
        return NULL;
    case QUERY_KIND_MAP:
    case QUERY_KIND_DATE:
    case QUERY_KIND_TIMESTAMP:
    case QUERY_KIND_HISTOGRAM_NATIVE:
    case QUERY_KIND_SORT:
        return node->call.count > 0 && is_vector(node->call.arguments[0]) ? node->call.arguments[0]
                                                                          : NULL;
    default:
        return NULL;
    }
}

/* ---- what holds for a node's series ---- */

static void gather(const struct query_node *node, struct demands *ret);

static void add_demand(struct demands *demands, const struct tsdb_matcher *matcher)
{
    if (demands->count < DEMANDS_MAX && !is_metric_name(matcher->name))
        demands->items[demands->count++] = matcher;
}

static void gather_join(const struct query_node *node, struct demands *ret)
{
    const struct query_matching *matching = &node->binary.matching;
    struct demands left = {.count = 0}, right = {.count = 0};
    if (node->binary.op == QUERY_TOKEN_OR || fills(node))
        return;
    gather(node->binary.left, &left);
    gather(node->binary.right, &right);
    bool is_set = query_token_is_set(node->binary.op);
    bool keeps_left = is_set || matching->card == QUERY_MANY_TO_ONE;
    bool keeps_right = !is_set && matching->card == QUERY_ONE_TO_MANY;
    for (size_t i = 0; i < left.count; i++)
        if (!has_name(&matching->include, left.items[i]->name) &&
            (keeps_left || is_matched(matching, left.items[i]->name)))
            add_demand(ret, left.items[i]);
    for (size_t i = 0; node->binary.op != QUERY_TOKEN_UNLESS && i < right.count; i++)
        if (!has_name(&matching->include, right.items[i]->name) &&
            (keeps_right || is_matched(matching, right.items[i]->name)))
            add_demand(ret, right.items[i]);
}

static void gather_aggregate(const struct query_node *node, struct demands *ret)
{
    struct demands inner = {.count = 0};
    enum query_token_type op = node->aggregate.op;
    bool keeps_all = op == QUERY_TOKEN_TOPK || op == QUERY_TOKEN_BOTTOMK;
    if (op == QUERY_TOKEN_COUNT_VALUES)
        return;
    gather(node->aggregate.inner, &inner);
    for (size_t i = 0; i < inner.count; i++)
        if (keeps_all || is_grouped(node, inner.items[i]->name))
            add_demand(ret, inner.items[i]);
}

static void gather(const struct query_node *node, struct demands *ret)
{
    switch (node->type) {
    case QUERY_NODE_SELECTOR:
        for (size_t i = 0; i < node->selector.matcher_count; i++)
            add_demand(ret, &node->selector.matchers[i]);
        break;
    case QUERY_NODE_PAREN:
        gather(node->paren, ret);
        break;
    case QUERY_NODE_UNARY:
        gather(node->unary.inner, ret);
        break;
    case QUERY_NODE_BINARY:
        if (is_join(node))
            gather_join(node, ret);
        else if (vector_of(node))
            gather(vector_of(node), ret);
        break;
    case QUERY_NODE_AGGREGATE:
        gather_aggregate(node, ret);
        break;
    case QUERY_NODE_CALL:
        if (argument_of(node))
            gather(argument_of(node), ret);
        break;
    case QUERY_NODE_NUMBER:
    case QUERY_NODE_STRING:
    case QUERY_NODE_MATRIX:
    case QUERY_NODE_SUBQUERY:
        break;
    }
}

/* ---- whether a side has one series for each match, whatever is stored ---- */

/* Series are different by more than their names. */
static bool is_one_metric(const struct query_node *node)
{
    switch (node->type) {
    case QUERY_NODE_SELECTOR:
        return query_selector_metric(node).size > 0;
    case QUERY_NODE_PAREN:
        return is_one_metric(node->paren);
    case QUERY_NODE_UNARY:
        return is_one_metric(node->unary.inner);
    case QUERY_NODE_BINARY:
        return vector_of(node) && is_one_metric(vector_of(node));
    case QUERY_NODE_CALL:
        return argument_of(node) && is_one_metric(argument_of(node));
    default:
        return false;
    }
}

static bool is_unique(const struct query_node *node, const struct query_matching *matching)
{
    node = query_node_unwrap(node);
    bool matches_all = !matching->on && matching->labels.count == 0;
    if (node->type == QUERY_NODE_BINARY && vector_of(node))
        return is_unique(vector_of(node), matching);
    if (node->type != QUERY_NODE_AGGREGATE)
        return matches_all && is_one_metric(node);
    switch (node->aggregate.op) {
    case QUERY_TOKEN_TOPK:
    case QUERY_TOKEN_BOTTOMK:
    case QUERY_TOKEN_LIMITK:
    case QUERY_TOKEN_LIMIT_RATIO:
    case QUERY_TOKEN_COUNT_VALUES:
        return false;
    default:
        break;
    }
    if (node->aggregate.without)
        return matches_all;
    for (size_t i = 0; i < node->aggregate.grouping.count; i++)
        if (!is_matched(matching, node->aggregate.grouping.items[i]))
            return false;
    return true;
}

/* ---- handing on ---- */

static bool is_counter(struct tw_str name)
{
    return tw_str_ends(name, TW_STR("_total")) || tw_str_ends(name, TW_STR("_sum")) ||
           tw_str_ends(name, TW_STR("_count")) || tw_str_ends(name, TW_STR("_bucket"));
}

/* Functions of ranges that warn of a metric's name, or of a parameter. */
static bool may_warn(const struct query_node *call, const struct query_node *argument)
{
    enum query_function_id id = call->call.function->id;
    if (call->call.function->kind != QUERY_KIND_RANGE)
        return false;
    if (id == QUERY_FN_RATE || id == QUERY_FN_INCREASE || id == QUERY_FN_IRATE)
        return !is_counter(query_selector_metric(argument));
    return call->call.count > 1;
}

static bool same_matcher(const struct tsdb_matcher *a, const struct tsdb_matcher *b)
{
    return a->op == b->op && tw_str_equal(a->name, b->name) && tw_str_equal(a->value, b->value);
}

static void add_matcher(struct query_ast *ast, struct query_node *node,
                        const struct tsdb_matcher *matcher)
{
    size_t count = node->selector.matcher_count;
    if (node->selector.added_count == QUERY_PROPAGATED_MAX || query_selector_metric(node).size == 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (same_matcher(&node->selector.matchers[i], matcher))
            return;
    struct tsdb_matcher *wider = TW_ARENA_ARRAY(ast->arena, struct tsdb_matcher, count + 1);
    for (size_t i = 0; i < count; i++)
        wider[i] = node->selector.matchers[i];
    wider[count] = *matcher;
    node->selector.matchers = wider;
    node->selector.matcher_count++;
    node->selector.added_count++;
}

static void push(struct query_ast *ast, struct query_node *node,
                 const struct tsdb_matcher *matcher);

static void push_join(struct query_ast *ast, struct query_node *node,
                      const struct tsdb_matcher *matcher)
{
    const struct query_matching *matching = &node->binary.matching;
    if (node->binary.op == QUERY_TOKEN_OR || fills(node) || !is_matched(matching, matcher->name) ||
        has_name(&matching->include, matcher->name))
        return;
    if (!query_token_is_set(node->binary.op) && !is_unique(one_side(node), matching))
        return;
    push(ast, node->binary.left, matcher);
    push(ast, node->binary.right, matcher);
}

static void push_call(struct query_ast *ast, struct query_node *node,
                      const struct tsdb_matcher *matcher)
{
    struct query_node *argument = argument_of(node);
    if (argument && !may_warn(node, argument))
        push(ast, argument, matcher);
}

static void push_aggregate(struct query_ast *ast, struct query_node *node,
                           const struct tsdb_matcher *matcher)
{
    switch (node->aggregate.op) {
    case QUERY_TOKEN_LIMITK:
    case QUERY_TOKEN_LIMIT_RATIO:
    case QUERY_TOKEN_COUNT_VALUES:
    case QUERY_TOKEN_QUANTILE: /* it says when its parameter is none, if there is a group */
    case QUERY_TOKEN_TOPK:
    case QUERY_TOKEN_BOTTOMK:
        return;
    default:
        break;
    }
    if (is_grouped(node, matcher->name))
        push(ast, node->aggregate.inner, matcher);
}

static void push(struct query_ast *ast, struct query_node *node, const struct tsdb_matcher *matcher)
{
    switch (node->type) {
    case QUERY_NODE_SELECTOR:
        add_matcher(ast, node, matcher);
        break;
    case QUERY_NODE_PAREN:
        push(ast, node->paren, matcher);
        break;
    case QUERY_NODE_UNARY:
        push(ast, node->unary.inner, matcher);
        break;
    case QUERY_NODE_BINARY:
        if (is_join(node))
            push_join(ast, node, matcher);
        else if (vector_of(node))
            push(ast, vector_of(node), matcher);
        break;
    case QUERY_NODE_AGGREGATE:
        push_aggregate(ast, node, matcher);
        break;
    case QUERY_NODE_CALL:
        push_call(ast, node, matcher);
        break;
    case QUERY_NODE_NUMBER:
    case QUERY_NODE_STRING:
    case QUERY_NODE_MATRIX:
    case QUERY_NODE_SUBQUERY:
        break;
    }
}

/* From each side of a join to the other. */
static void exchange(struct query_ast *ast, struct query_node *node)
{
    const struct query_matching *matching = &node->binary.matching;
    struct demands left = {.count = 0}, right = {.count = 0};
    if (node->binary.op == QUERY_TOKEN_OR || fills(node))
        return;
    if (!query_token_is_set(node->binary.op) && !is_unique(one_side(node), matching))
        return;
    gather(node->binary.left, &left);
    gather(node->binary.right, &right);
    for (size_t i = 0; i < left.count; i++)
        if (is_matched(matching, left.items[i]->name))
            push(ast, node->binary.right, left.items[i]);
    for (size_t i = 0; node->binary.op != QUERY_TOKEN_UNLESS && i < right.count; i++)
        if (is_matched(matching, right.items[i]->name))
            push(ast, node->binary.left, right.items[i]);
}

static void visit(struct query_ast *ast, struct query_node *node)
{
    struct query_node *child;
    for (size_t i = 0; (child = query_node_child(node, i)); i++)
        visit(ast, child);
    if (is_join(node))
        exchange(ast, node);
}

void query_propagate(struct query_ast *ast)
{
    if (ast->selector_count > 1 && ast->selector_count <= SELECTORS_MAX)
        visit(ast, ast->root);
}
