/* SPDX-License-Identifier: Apache-2.0
 *
 * info(v, {matchers}): the second argument is no expression but matchers of labels; from them the
 * selector of the info series is made here, and from the first argument the time at which it is
 * asked: @ and offset of v hold for the info series too.
 */
#include "config.h"

#include "query/parser_int.h"

#include "wire/labels.h"

#define INFO_NAME_DEFAULT "target_info"
#define INFO_NAME_PATTERN ".+_info"

static bool is_name(const struct tsdb_matcher *matcher)
{
    return tw_str_is(matcher->name, WIRE_METRIC_NAME);
}

static bool is_positive(const struct tsdb_matcher *matcher)
{
    return matcher->op == TSDB_MATCH_EQUAL || matcher->op == TSDB_MATCH_REGEX;
}

/* Of the first selector in the text: its own modifiers, and those of the subqueries around it as
 * far as no @ within fixes the time. */
static bool find_reference(const struct query_node *node, struct query_modifiers *ret)
{
    const struct query_node *child;
    if (node->type == QUERY_NODE_SELECTOR) {
        *ret = node->selector.modifiers;
        return true;
    }
    if (node->type == QUERY_NODE_AGGREGATE)
        return find_reference(node->aggregate.inner, ret);
    for (size_t i = 0; (child = query_node_child(node, i)); i++) {
        if (!find_reference(child, ret))
            continue;
        if (node->type == QUERY_NODE_SUBQUERY && ret->at == QUERY_AT_NONE) {
            ret->at = node->subquery.modifiers.at;
            ret->at_ms = node->subquery.modifiers.at_ms;
            ret->offset_ms += node->subquery.modifiers.offset_ms;
        }
        return true;
    }
    return false;
}

void query_info_reference(const struct query_node *call, struct query_modifiers *ret)
{
    *ret = (struct query_modifiers){0};
    (void)find_reference(call->call.arguments[0], ret);
}

static enum tw_code add_matcher(struct query_node *selector, enum tsdb_match_op op,
                                struct tw_str name, struct tw_str value, struct tw_err *err)
{
    enum tw_code code = tsdb_matcher_init(
        &selector->selector.matchers[selector->selector.matcher_count], op, name, value, err);
    selector->selector.matcher_count += code == TW_OK;
    return code;
}

enum tw_code query_parser_info(struct query_parser *parser, struct query_node *call,
                               struct tw_err *err)
{
    const struct query_node *given = call->call.count > 1 ? call->call.arguments[1] : NULL;
    struct tw_arena *arena = parser->ast->arena;
    if (given && given->type != QUERY_NODE_SELECTOR)
        return TW_OK; /* the checker refuses it, when all is read */
    struct query_node *selector =
        query_parser_node(parser, QUERY_NODE_SELECTOR, QUERY_TYPE_VECTOR, call->start);
    size_t given_count = given ? given->selector.matcher_count : 0;
    bool named = false, positive = false;
    enum tw_code code = TW_OK;
    selector->end = call->end;
    selector->selector.matchers = TW_ARENA_ARRAY(arena, struct tsdb_matcher, given_count + 1);
    query_parser_remember(parser, selector);
    for (size_t i = 0; !code && i < given_count; i++) {
        const struct tsdb_matcher *matcher = &given->selector.matchers[i];
        named = named || is_name(matcher);
        positive = positive || (is_name(matcher) && is_positive(matcher));
        code = add_matcher(selector, matcher->op, matcher->name, matcher->value, err);
    }
    if (!code && !named)
        code = add_matcher(selector, TSDB_MATCH_EQUAL, TW_STR(WIRE_METRIC_NAME),
                           TW_STR(INFO_NAME_DEFAULT), err);
    else if (!code && !positive) /* names that are only ruled out find no metrics by themselves */
        code = add_matcher(selector, TSDB_MATCH_REGEX, TW_STR(WIRE_METRIC_NAME),
                           TW_STR(INFO_NAME_PATTERN), err);
    call->call.info = selector;
    return code;
}
