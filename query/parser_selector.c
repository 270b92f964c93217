/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/parser_int.h"

#include <math.h>
#include <stdio.h>

#include "wire/labels.h"

#define SYNTAX(parser, node_start, node_end, err, ...)                                             \
    query_error_at((err), TW_SYNTAX, (parser)->ast->text, (node_start), (node_end), __VA_ARGS__)

bool query_token_names_metric(enum query_token_type type)
{
    switch (type) {
    case QUERY_TOKEN_IDENTIFIER:
    case QUERY_TOKEN_METRIC_IDENTIFIER:
    case QUERY_TOKEN_AND:
    case QUERY_TOKEN_OR:
    case QUERY_TOKEN_UNLESS:
    case QUERY_TOKEN_OFFSET:
    case QUERY_TOKEN_BY:
    case QUERY_TOKEN_WITHOUT:
    case QUERY_TOKEN_START:
    case QUERY_TOKEN_END:
        return true;
    default:
        return query_token_class(type) == QUERY_CLASS_AGGREGATOR;
    }
}

static bool names_label(enum query_token_type type)
{
    return query_token_names_metric(type) || query_token_class(type) == QUERY_CLASS_KEYWORD ||
           type == QUERY_TOKEN_ATAN2;
}

/* ---- lists of labels ---- */
static enum tw_code push_name(struct query_parser *parser, struct query_names *names,
                              struct tw_str name, struct tw_err *err)
{
    if (names->count == QUERY_LIST_MAX)
        return query_parser_too_many(parser, "labels", err);
    if (names->count == names->capacity) {
        size_t old = names->capacity;
        names->capacity = old ? old * 2 : 4;
        names->items = tw_arena_grow(parser->ast->arena, names->items, old * sizeof *names->items,
                                     names->capacity * sizeof *names->items);
    }
    names->items[names->count++] = name;
    return TW_OK;
}

enum tw_code query_parser_label_list(struct query_parser *parser, struct query_names *ret_names,
                                     struct tw_err *err)
{
    enum tw_code code =
        query_parser_take(parser, QUERY_TOKEN_LEFT_PAREN, "grouping opts", "\"(\"", err);
    while (!code && parser->token.type != QUERY_TOKEN_RIGHT_PAREN) {
        struct tw_str name = query_parser_text(parser, &parser->token);
        if (parser->token.type == QUERY_TOKEN_STRING) {
            code = query_parser_string(parser, &name, err);
            if (!code && name.size == 0)
                code = SYNTAX(parser, parser->previous_end - 2, parser->previous_end, err,
                              "unexpected \"\" in grouping opts, expected label");
        } else if (names_label(parser->token.type)) {
            query_parser_advance(parser);
        } else {
            return query_parser_unexpected(parser, "grouping opts", "label", err);
        }
        if (code)
            return code;
        code = push_name(parser, ret_names, name, err);
        if (code)
            return code;
        if (parser->token.type == QUERY_TOKEN_COMMA)
            query_parser_advance(parser);
        else if (parser->token.type != QUERY_TOKEN_RIGHT_PAREN)
            return query_parser_unexpected(parser, "grouping opts", "\",\" or \")\"", err);
    }
    return code ? code
                : query_parser_take(parser, QUERY_TOKEN_RIGHT_PAREN, "grouping opts", "\")\"", err);
}

/* ---- matchers ---- */
struct matcher_list {
    struct tsdb_matcher *items;
    size_t count, capacity;
    size_t pattern_count; /* that are no equality */
};

static enum tw_code push_matcher(struct query_parser *parser, struct matcher_list *list,
                                 enum tsdb_match_op op, struct tw_str name, struct tw_str value,
                                 uint32_t start, struct tw_err *err)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 4;
        list->items =
            tw_arena_grow(parser->ast->arena, list->items, list->capacity * sizeof *list->items,
                          capacity * sizeof *list->items);
        list->capacity = capacity;
    }
    struct tw_err inner;
    bool regex = op == TSDB_MATCH_REGEX || op == TSDB_MATCH_NOT_REGEX;
    if (list->count == QUERY_LIST_MAX)
        return query_parser_too_many(parser, "matchers", err);
    if (op != TSDB_MATCH_EQUAL && ++list->pattern_count > QUERY_PATTERNS_MAX)
        return SYNTAX(parser, start, parser->previous_end, err,
                      "the selector has more than %d matchers other than \"=\": put what they say "
                      "into fewer regular expressions",
                      QUERY_PATTERNS_MAX);
    if (regex && ++parser->regex_count > QUERY_REGEXES_MAX)
        return SYNTAX(parser, start, parser->previous_end, err,
                      "the query has more than %d regular expressions", QUERY_REGEXES_MAX);
    enum tw_code code = tsdb_matcher_init(&list->items[list->count], op, name, value, &inner);
    if (code)
        return SYNTAX(parser, start, parser->previous_end, err, "%s", inner.message);
    list->count++;
    return TW_OK;
}

/* A name in quotes; the second one is for the checker, which looks when all is read. */
static enum tw_code take_name(struct query_parser *parser, struct matcher_list *list,
                              struct query_node *node, bool named, struct tw_str name,
                              uint32_t start, struct tw_err *err)
{
    if (named) {
        if (!node->selector.second_name.data)
            node->selector.second_name = name;
        return TW_OK;
    }
    node->selector.name = name;
    return push_matcher(parser, list, TSDB_MATCH_EQUAL, TW_STR(WIRE_METRIC_NAME), name, start, err);
}

static enum tw_code parse_matcher(struct query_parser *parser, struct matcher_list *list,
                                  struct query_node *node, bool named, struct tw_err *err)
{
    uint32_t start = parser->token.start;
    struct tw_str name = query_parser_text(parser, &parser->token), value;
    bool quoted = parser->token.type == QUERY_TOKEN_STRING;
    if (quoted) {
        enum tw_code code = query_parser_string(parser, &name, err);
        if (code)
            return code;
    } else if (parser->token.type == QUERY_TOKEN_IDENTIFIER) {
        query_parser_advance(parser);
    } else {
        return query_parser_unexpected(parser, "label matching", "identifier or \"}\"", err);
    }
    enum tsdb_match_op op;
    switch (parser->token.type) {
    case QUERY_TOKEN_EQL:
        op = TSDB_MATCH_EQUAL;
        break;
    case QUERY_TOKEN_NEQ:
        op = TSDB_MATCH_NOT_EQUAL;
        break;
    case QUERY_TOKEN_EQL_REGEX:
        op = TSDB_MATCH_REGEX;
        break;
    case QUERY_TOKEN_NEQ_REGEX:
        op = TSDB_MATCH_NOT_REGEX;
        break;
    default:
        if (!quoted)
            return query_parser_unexpected(parser, "label matching", "label matching operator",
                                           err);
        return take_name(parser, list, node, named, name, start, err);
    }
    query_parser_advance(parser);
    if (parser->token.type != QUERY_TOKEN_STRING)
        return query_parser_unexpected(parser, "label matching", "string", err);
    enum tw_code code = query_parser_string(parser, &value, err);
    return code ? code : push_matcher(parser, list, op, name, value, start, err);
}

void query_parser_remember(struct query_parser *parser, struct query_node *node)
{
    struct query_ast *ast = parser->ast;
    if (ast->selector_count == parser->selector_capacity) {
        size_t old = parser->selector_capacity;
        parser->selector_capacity = old ? old * 2 : 8;
        ast->selectors = tw_arena_grow(ast->arena, ast->selectors, old * sizeof *ast->selectors,
                                       parser->selector_capacity * sizeof *ast->selectors);
    }
    ast->selectors[ast->selector_count++] = node;
}

static enum tw_code parse_matchers(struct query_parser *parser, struct matcher_list *list,
                                   struct query_node *node, struct tw_err *err)
{
    bool named = node->selector.name.size > 0;
    query_parser_advance(parser);
    while (parser->token.type != QUERY_TOKEN_RIGHT_BRACE) {
        enum tw_code code = parse_matcher(parser, list, node, named, err);
        if (code)
            return code;
        if (parser->token.type == QUERY_TOKEN_COMMA)
            query_parser_advance(parser);
        else if (parser->token.type != QUERY_TOKEN_RIGHT_BRACE)
            return query_parser_unexpected(parser, "label matching", "\",\" or \"}\"", err);
    }
    query_parser_advance(parser);
    return TW_OK;
}

enum tw_code query_parser_selector(struct query_parser *parser, struct query_node **ret_node,
                                   struct tw_err *err)
{
    struct query_node *node =
        query_parser_node(parser, QUERY_NODE_SELECTOR, QUERY_TYPE_VECTOR, parser->token.start);
    struct matcher_list list = {0};
    enum tw_code code = TW_OK;
    bool named = parser->token.type != QUERY_TOKEN_LEFT_BRACE;
    if (named) {
        node->selector.name = query_parser_text(parser, &parser->token);
        query_parser_advance(parser);
    }
    if (parser->token.type == QUERY_TOKEN_LEFT_BRACE)
        code = parse_matchers(parser, &list, node, err);
    if (!code && named)
        code = push_matcher(parser, &list, TSDB_MATCH_EQUAL, TW_STR(WIRE_METRIC_NAME),
                            node->selector.name, node->start, err);
    node->selector.name_quoted = !named;
    node->selector.matchers = list.items;
    node->selector.matcher_count = list.count;
    node->end = parser->previous_end;
    query_parser_remember(parser, node); /* also after an error: its regexes are to be freed */
    *ret_node = node;
    return code;
}

/* ---- behind a node ---- */
static struct query_modifiers *modifiers_of(struct query_node *node)
{
    if (node->type == QUERY_NODE_MATRIX)
        node = node->matrix.selector;
    if (node->type == QUERY_NODE_SELECTOR)
        return &node->selector.modifiers;
    return node->type == QUERY_NODE_SUBQUERY ? &node->subquery.modifiers : NULL;
}

static enum tw_code parse_offset(struct query_parser *parser, struct query_node *node,
                                 struct tw_err *err)
{
    query_parser_advance(parser);
    struct query_modifiers nowhere, *modifiers = modifiers_of(node);
    struct query_modifiers *target = modifiers ? modifiers : &nowhere;
    struct query_duration *expression;
    bool again = modifiers && modifiers->has_offset;
    enum tw_code code = query_parser_offset_duration(parser, &expression, err);
    if (!code && !again)
        code = query_parser_place_duration(parser, expression, false, &target->offset_ms,
                                           &target->offset_expression, err);
    if (code)
        return code;
    if (!modifiers)
        return SYNTAX(parser, node->start, parser->previous_end, err,
                      "offset modifier must be preceded by an instant vector selector or range "
                      "vector selector or a subquery");
    if (again)
        return SYNTAX(parser, node->start, parser->previous_end, err,
                      "offset may not be set multiple times");
    modifiers->has_offset = true;
    node->end = parser->previous_end;
    return TW_OK;
}

static enum tw_code fail_out_of_bounds(const struct query_parser *parser,
                                       const struct query_node *node, double seconds,
                                       struct tw_err *err)
{
    char shown[64];
    if (isnan(seconds) || isinf(seconds))
        snprintf(shown, sizeof shown, "%s", isnan(seconds) ? "NaN" : seconds < 0 ? "-Inf" : "+Inf");
    else
        snprintf(shown, sizeof shown, "%.0f", seconds);
    return SYNTAX(parser, node->start, parser->previous_end, err,
                  "timestamp out of bounds for @ modifier: %s", shown);
}

static enum tw_code parse_at_time(struct query_parser *parser, const struct query_node *node,
                                  struct query_modifiers *ret, struct tw_err *err)
{
    if (parser->token.type == QUERY_TOKEN_START || parser->token.type == QUERY_TOKEN_END) {
        ret->at = parser->token.type == QUERY_TOKEN_START ? QUERY_AT_START : QUERY_AT_END;
        query_parser_advance(parser);
        enum tw_code code =
            query_parser_take(parser, QUERY_TOKEN_LEFT_PAREN, "@", "timestamp", err);
        return code ? code
                    : query_parser_take(parser, QUERY_TOKEN_RIGHT_PAREN, "@", "timestamp", err);
    }
    bool negative = parser->token.type == QUERY_TOKEN_SUB;
    if (negative || parser->token.type == QUERY_TOKEN_ADD)
        query_parser_advance(parser);
    if (parser->token.type != QUERY_TOKEN_NUMBER && parser->token.type != QUERY_TOKEN_DURATION)
        return query_parser_unexpected(parser, "@", "timestamp", err);
    double seconds;
    enum tw_code code = query_parser_number(parser, &seconds, err);
    if (code)
        return code;
    /* Prometheus's bounds: what int64 milliseconds can hold, with room for offsets. */
    if (!(fabs(seconds) < 9.2e15))
        return fail_out_of_bounds(parser, node, negative ? -seconds : seconds, err);
    ret->at = QUERY_AT_TIME;
    ret->at_ms = (int64_t)round((negative ? -seconds : seconds) * 1000);
    return TW_OK;
}

static enum tw_code parse_at(struct query_parser *parser, struct query_node *node,
                             struct tw_err *err)
{
    struct query_modifiers at = {0};
    query_parser_advance(parser);
    enum tw_code code = parse_at_time(parser, node, &at, err);
    if (code)
        return code;
    struct query_modifiers *modifiers = modifiers_of(node);
    if (!modifiers)
        return SYNTAX(parser, node->start, parser->previous_end, err,
                      "@ modifier must be preceded by an instant vector selector or range vector "
                      "selector or a subquery");
    if (modifiers->at != QUERY_AT_NONE)
        return SYNTAX(parser, node->start, parser->previous_end, err,
                      "@ <timestamp> may not be set multiple times");
    modifiers->at = at.at;
    modifiers->at_ms = at.at_ms;
    node->end = parser->previous_end;
    return TW_OK;
}

/* Behind [range: the closing bracket makes a range selector. */
static enum tw_code parse_matrix(struct query_parser *parser, struct query_node **node,
                                 struct query_duration *range, uint32_t bracket, struct tw_err *err)
{
    struct query_node *inner = *node;
    struct query_node *matrix =
        query_parser_node(parser, QUERY_NODE_MATRIX, QUERY_TYPE_MATRIX, inner->start);
    matrix->matrix.selector = inner;
    enum tw_code code = query_parser_place_duration(parser, range, true, &matrix->matrix.range_ms,
                                                    &matrix->matrix.range_expression, err);
    if (!code)
        code = query_parser_take(parser, QUERY_TOKEN_RIGHT_BRACKET, "subquery or range",
                                 "\":\" or \"]\"", err);
    if (code)
        return code;
    if (inner->type != QUERY_NODE_SELECTOR)
        return SYNTAX(parser, bracket, parser->previous_end, err,
                      "ranges only allowed for vector selectors");
    if (inner->selector.modifiers.has_offset)
        return SYNTAX(parser, bracket, parser->previous_end, err,
                      "no offset modifiers allowed before range");
    if (inner->selector.modifiers.at != QUERY_AT_NONE)
        return SYNTAX(parser, bracket, parser->previous_end, err,
                      "no @ modifiers allowed before range");
    if (inner->selector.extension != QUERY_EXTENSION_NONE)
        return SYNTAX(parser, bracket, parser->previous_end, err,
                      "no anchored or smoothed modifiers allowed before range");
    *node = matrix;
    return TW_OK;
}

/* Behind [range: a colon makes a subquery. */
static enum tw_code parse_subquery(struct query_parser *parser, struct query_node **node,
                                   struct query_duration *range, struct tw_err *err)
{
    struct query_node *subquery =
        query_parser_node(parser, QUERY_NODE_SUBQUERY, QUERY_TYPE_MATRIX, (*node)->start);
    subquery->subquery.inner = *node;
    enum tw_code code =
        query_parser_place_duration(parser, range, true, &subquery->subquery.range_ms,
                                    &subquery->subquery.range_expression, err);
    query_parser_advance(parser);
    if (!code && parser->token.type != QUERY_TOKEN_RIGHT_BRACKET) {
        struct query_duration *step;
        code = query_parser_range_duration(parser, &step, err);
        if (!code)
            code = query_parser_place_duration(parser, step, true, &subquery->subquery.step_ms,
                                               &subquery->subquery.step_expression, err);
    }
    if (!code)
        code =
            query_parser_take(parser, QUERY_TOKEN_RIGHT_BRACKET, "subquery selector", "\"]\"", err);
    if (!code)
        *node = subquery;
    return code;
}

static enum tw_code parse_range(struct query_parser *parser, struct query_node **node,
                                struct tw_err *err)
{
    struct query_duration *range;
    uint32_t bracket = parser->token.start;
    query_parser_advance(parser);
    enum tw_code code = query_parser_range_duration(parser, &range, err);
    if (code)
        return code;
    return parser->token.type == QUERY_TOKEN_COLON
               ? parse_subquery(parser, node, range, err)
               : parse_matrix(parser, node, range, bracket, err);
}

/* anchored, smoothed */
static enum tw_code parse_extension(struct query_parser *parser, struct query_node *node,
                                    enum query_extension extension, struct tw_err *err)
{
    const char *word = extension == QUERY_ANCHORED ? "anchored" : "smoothed";
    struct query_node *selector = node->type == QUERY_NODE_MATRIX ? node->matrix.selector : node;
    uint32_t start = parser->token.start;
    query_parser_advance(parser);
    if (!(parser->features & QUERY_FEATURE_EXTENDED_RANGES))
        return SYNTAX(parser, start, parser->previous_end, err,
                      "%s modifier is experimental and must be enabled with "
                      "--enable-feature=promql-extended-range-selectors",
                      word);
    if (node->type == QUERY_NODE_SUBQUERY)
        return SYNTAX(parser, node->start, parser->previous_end, err,
                      "%s modifier is not supported for subqueries", word);
    if (selector->type != QUERY_NODE_SELECTOR ||
        (extension == QUERY_ANCHORED && node->type != QUERY_NODE_MATRIX))
        return SYNTAX(parser, node->start, parser->previous_end, err,
                      extension == QUERY_ANCHORED
                          ? "anchored modifier must be preceded by a range vector selector"
                          : "smoothed modifier must be preceded by an instant vector selector or "
                            "range vector selector");
    if (selector->selector.extension != QUERY_EXTENSION_NONE)
        return SYNTAX(parser, node->start, parser->previous_end, err,
                      "anchored and smoothed modifiers may not be set multiple times");
    selector->selector.extension = extension;
    node->end = parser->previous_end;
    return TW_OK;
}

enum tw_code query_parser_postfix(struct query_parser *parser, struct query_node **node,
                                  struct tw_err *err)
{
    for (unsigned count = 0;; count++) {
        enum tw_code code;
        if (count > QUERY_DEPTH_MAX)
            return SYNTAX(parser, (*node)->start, parser->token.end, err,
                          "the query is nested deeper than %d levels", QUERY_DEPTH_MAX);
        if (parser->token.type == QUERY_TOKEN_LEFT_BRACKET)
            code = parse_range(parser, node, err);
        else if (parser->token.type == QUERY_TOKEN_OFFSET)
            code = parse_offset(parser, *node, err);
        else if (parser->token.type == QUERY_TOKEN_AT)
            code = parse_at(parser, *node, err);
        else if (query_parser_at_word(parser, "anchored"))
            code = parse_extension(parser, *node, QUERY_ANCHORED, err);
        else if (query_parser_at_word(parser, "smoothed"))
            code = parse_extension(parser, *node, QUERY_SMOOTHED, err);
        else
            return TW_OK;
        if (code)
            return code;
        if ((*node)->end < parser->previous_end)
            (*node)->end = parser->previous_end;
    }
}
