/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/parser_int.h"

#include <stdio.h>

#include "base/assert.h"

#define SYNTAX(parser, node_start, node_end, err, ...)                                             \
    query_error_at((err), TW_SYNTAX, (parser)->ast->text, (node_start), (node_end), __VA_ARGS__)

static enum tw_code parse_expression(struct query_parser *parser, int precedence_min,
                                     struct query_node **ret_node, struct tw_err *err);

/* ---- shared helpers ---- */
struct tw_str query_parser_text(const struct query_parser *parser, const struct query_token *token)
{
    return tw_str_slice(parser->ast->text, token->start, token->end);
}

enum tw_code query_parser_too_many(struct query_parser *parser, const char *items,
                                   struct tw_err *err)
{
    return SYNTAX(parser, parser->token.start, parser->token.end, err, "a list has more than %d %s",
                  QUERY_LIST_MAX, items);
}

bool query_parser_at_word(const struct query_parser *parser, const char *word)
{
    if (parser->token.type != QUERY_TOKEN_IDENTIFIER)
        return false;
    struct tw_str text = query_parser_text(parser, &parser->token);
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (word[i] == '\0' || (c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != word[i])
            return false;
    }
    return word[text.size] == '\0';
}

void query_parser_advance(struct query_parser *parser)
{
    parser->previous_end = parser->token.end;
    parser->token = parser->next;
    if (parser->token.type != QUERY_TOKEN_EOF && parser->token.type != QUERY_TOKEN_ERROR)
        parser->next = query_lexer_next(&parser->lexer);
}

enum tw_code query_parser_unexpected(struct query_parser *parser, const char *context,
                                     const char *expected, struct tw_err *err)
{
    const struct query_token *token = &parser->token;
    if (token->type == QUERY_TOKEN_ERROR)
        return SYNTAX(parser, token->start, token->end, err, "%s", token->problem);
    char shown[QUERY_TOKEN_DESCRIPTION_BYTES];
    query_token_describe(token, parser->ast->text, shown);
    if (!context && parser->aggregates > 0)
        context = "aggregation";
    return SYNTAX(parser, token->start, token->end, err, "unexpected %s%s%s%s%s", shown,
                  context ? " in " : "", context ? context : "", expected ? ", expected " : "",
                  expected ? expected : "");
}

enum tw_code query_parser_take(struct query_parser *parser, enum query_token_type type,
                               const char *context, const char *expected, struct tw_err *err)
{
    if (parser->token.type != type)
        return query_parser_unexpected(parser, context, expected, err);
    query_parser_advance(parser);
    return TW_OK;
}

struct query_node *query_parser_node(struct query_parser *parser, enum query_node_type type,
                                     enum query_value_type value_type, uint32_t start)
{
    struct query_node *node = TW_ARENA_NEW(parser->ast->arena, struct query_node);
    node->type = type;
    node->value_type = value_type;
    node->start = start;
    node->end = parser->previous_end;
    return node;
}

enum tw_code query_parser_enter(struct query_parser *parser, struct tw_err *err)
{
    if (++parser->depth > QUERY_DEPTH_MAX)
        return SYNTAX(parser, parser->token.start, parser->token.end, err,
                      "the query is nested deeper than %d levels", QUERY_DEPTH_MAX);
    return TW_OK;
}

/* ---- calls and aggregations ---- */
struct argument_list {
    struct query_node **items;
    size_t count, capacity;
};

/* An error of the lexer's says more than that nothing begins here. */
static bool begins_expression(enum query_token_type type)
{
    switch (type) {
    case QUERY_TOKEN_ERROR:
    case QUERY_TOKEN_NUMBER:
    case QUERY_TOKEN_DURATION:
    case QUERY_TOKEN_STRING:
    case QUERY_TOKEN_LEFT_PAREN:
    case QUERY_TOKEN_LEFT_BRACE:
    case QUERY_TOKEN_ADD:
    case QUERY_TOKEN_SUB:
        return true;
    default:
        return query_token_names_metric(type);
    }
}

static enum tw_code parse_arguments(struct query_parser *parser, struct argument_list *list,
                                    struct tw_err *err)
{
    enum tw_code code = query_parser_take(parser, QUERY_TOKEN_LEFT_PAREN, NULL, NULL, err);
    if (code)
        return code;
    if (parser->token.type == QUERY_TOKEN_RIGHT_PAREN) {
        query_parser_advance(parser);
        return TW_OK;
    }
    for (;;) {
        if (list->count == QUERY_LIST_MAX)
            return query_parser_too_many(parser, "arguments", err);
        if (list->count == list->capacity) {
            size_t old = list->capacity;
            list->capacity = old ? old * 2 : 4;
            list->items = tw_arena_grow(parser->ast->arena, list->items, old * sizeof *list->items,
                                        list->capacity * sizeof *list->items);
        }
        code = parse_expression(parser, 0, &list->items[list->count], err);
        if (code)
            return code;
        list->count++;
        if (parser->token.type == QUERY_TOKEN_RIGHT_PAREN) {
            query_parser_advance(parser);
            return TW_OK;
        }
        uint32_t comma = parser->token.start;
        code = query_parser_take(parser, QUERY_TOKEN_COMMA, NULL, NULL, err);
        if (code)
            return code;
        if (!begins_expression(parser->token.type))
            return SYNTAX(parser, comma, comma + 1, err,
                          "trailing commas not allowed in function call args");
    }
}

static enum tw_code parse_call(struct query_parser *parser, struct query_node **ret_node,
                               struct tw_err *err)
{
    struct query_token name = parser->token;
    struct query_node *node =
        query_parser_node(parser, QUERY_NODE_CALL, QUERY_TYPE_NONE, name.start);
    struct tw_str text = query_parser_text(parser, &name);
    node->call.function = query_function_find(text);
    struct argument_list list = {0};
    query_parser_advance(parser);
    enum tw_code code = parse_arguments(parser, &list, err);
    node->call.arguments = list.items;
    node->call.count = list.count;
    node->end = parser->previous_end;
    *ret_node = node;
    if (code)
        return code;
    /* After the arguments: what is wrong with those comes first. */
    if (!node->call.function)
        return SYNTAX(parser, name.start, name.end, err, "unknown function with name \"%.*s\"",
                      TW_STR_ARG(text));
    node->value_type = node->call.function->type;
    if (node->call.function->kind == QUERY_KIND_INFO && node->call.count > 0)
        code = query_parser_info(parser, node, err);
    return code;
}

static bool at_grouping(const struct query_parser *parser)
{
    return parser->token.type == QUERY_TOKEN_BY || parser->token.type == QUERY_TOKEN_WITHOUT;
}

static enum tw_code parse_grouping(struct query_parser *parser, struct query_node *node,
                                   struct tw_err *err)
{
    node->aggregate.without = parser->token.type == QUERY_TOKEN_WITHOUT;
    node->aggregate.grouped = true;
    query_parser_advance(parser);
    return query_parser_label_list(parser, &node->aggregate.grouping, err);
}

static bool takes_parameter(enum query_token_type op)
{
    return op == QUERY_TOKEN_TOPK || op == QUERY_TOKEN_BOTTOMK || op == QUERY_TOKEN_COUNT_VALUES ||
           op == QUERY_TOKEN_QUANTILE || op == QUERY_TOKEN_LIMITK || op == QUERY_TOKEN_LIMIT_RATIO;
}

static enum tw_code parse_aggregate(struct query_parser *parser, struct query_node **ret_node,
                                    struct tw_err *err)
{
    struct query_node *node =
        query_parser_node(parser, QUERY_NODE_AGGREGATE, QUERY_TYPE_VECTOR, parser->token.start);
    struct argument_list list = {0};
    enum tw_code code = TW_OK;
    node->aggregate.op = parser->token.type;
    parser->aggregates++;
    query_parser_advance(parser);
    if (at_grouping(parser))
        code = parse_grouping(parser, node, err);
    if (!code)
        code = parse_arguments(parser, &list, err);
    parser->aggregates--;
    if (!code && !node->aggregate.grouped && at_grouping(parser))
        code = parse_grouping(parser, node, err);
    /* What cannot be read behind the arguments is told first: grouping might have followed. */
    if (!code && !node->aggregate.grouped && parser->token.type == QUERY_TOKEN_ERROR)
        code = query_parser_unexpected(parser, NULL, NULL, err);
    if (code)
        return code;
    node->end = parser->previous_end;
    size_t wanted = takes_parameter(node->aggregate.op) ? 2 : 1;
    if (list.count == 0)
        return SYNTAX(parser, node->start, node->end, err,
                      "no arguments for aggregate expression provided");
    if (list.count != wanted)
        return SYNTAX(parser, node->start, node->end, err,
                      "wrong number of arguments for aggregate expression provided, expected %zu, "
                      "got %zu",
                      wanted, list.count);
    node->aggregate.parameter = wanted == 2 ? list.items[0] : NULL;
    node->aggregate.inner = list.items[wanted - 1];
    *ret_node = node;
    return TW_OK;
}

/* ---- operands ---- */
static enum tw_code parse_paren(struct query_parser *parser, struct query_node **ret_node,
                                struct tw_err *err)
{
    struct query_node *node =
        query_parser_node(parser, QUERY_NODE_PAREN, QUERY_TYPE_NONE, parser->token.start);
    query_parser_advance(parser);
    enum tw_code code = parse_expression(parser, 0, &node->paren, err);
    if (!code)
        code = query_parser_take(parser, QUERY_TOKEN_RIGHT_PAREN, NULL, NULL, err);
    if (code)
        return code;
    node->value_type = node->paren->value_type;
    node->end = parser->previous_end;
    *ret_node = node;
    return TW_OK;
}

static enum tw_code parse_primary(struct query_parser *parser, struct query_node **ret_node,
                                  struct tw_err *err)
{
    const struct query_token token = parser->token;
    struct query_node *node;
    enum tw_code code;
    switch (token.type) {
    case QUERY_TOKEN_NUMBER:
    case QUERY_TOKEN_DURATION:
        node = query_parser_node(parser, QUERY_NODE_NUMBER, QUERY_TYPE_SCALAR, token.start);
        node->written_as_time = token.type == QUERY_TOKEN_DURATION;
        code = query_parser_number(parser, &node->number, err);
        node->end = token.end;
        break;
    case QUERY_TOKEN_STRING:
        node = query_parser_node(parser, QUERY_NODE_STRING, QUERY_TYPE_STRING, token.start);
        code = query_parser_string(parser, &node->string, err);
        node->end = token.end;
        break;
    case QUERY_TOKEN_LEFT_PAREN:
        code = parse_paren(parser, &node, err);
        break;
    case QUERY_TOKEN_LEFT_BRACE:
        code = query_parser_selector(parser, &node, err);
        break;
    default:
        if (!query_token_names_metric(token.type))
            return query_parser_unexpected(parser, NULL, NULL, err);
        if (query_token_class(token.type) == QUERY_CLASS_AGGREGATOR &&
            (parser->next.type == QUERY_TOKEN_LEFT_PAREN || parser->next.type == QUERY_TOKEN_BY ||
             parser->next.type == QUERY_TOKEN_WITHOUT))
            code = parse_aggregate(parser, &node, err);
        else if ((token.type == QUERY_TOKEN_IDENTIFIER || token.type == QUERY_TOKEN_START ||
                  token.type == QUERY_TOKEN_END) &&
                 parser->next.type == QUERY_TOKEN_LEFT_PAREN)
            code = parse_call(parser, &node, err);
        else
            code = query_parser_selector(parser, &node, err);
        break;
    }
    if (code)
        return code;
    *ret_node = node;
    return query_parser_postfix(parser, ret_node, err);
}

/* ---- operators ---- */
int query_token_precedence(enum query_token_type op)
{
    switch (op) {
    case QUERY_TOKEN_OR:
        return 0;
    case QUERY_TOKEN_AND:
    case QUERY_TOKEN_UNLESS:
        return 1;
    case QUERY_TOKEN_EQLC:
    case QUERY_TOKEN_NEQ:
    case QUERY_TOKEN_GTR:
    case QUERY_TOKEN_LSS:
    case QUERY_TOKEN_GTE:
    case QUERY_TOKEN_LTE:
    case QUERY_TOKEN_TRIM_UPPER:
    case QUERY_TOKEN_TRIM_LOWER:
        return 2;
    case QUERY_TOKEN_ADD:
    case QUERY_TOKEN_SUB:
        return 3;
    case QUERY_TOKEN_MUL:
    case QUERY_TOKEN_DIV:
    case QUERY_TOKEN_MOD:
    case QUERY_TOKEN_ATAN2:
        return 4;
    case QUERY_TOKEN_POW:
        return QUERY_PRECEDENCE_POW;
    default:
        return QUERY_PRECEDENCE_NONE;
    }
}

static enum tw_code parse_unary(struct query_parser *parser, struct query_node **ret_node,
                                struct tw_err *err)
{
    if (parser->token.type != QUERY_TOKEN_SUB && parser->token.type != QUERY_TOKEN_ADD)
        return parse_primary(parser, ret_node, err);
    struct query_token op = parser->token;
    bool negative = op.type == QUERY_TOKEN_SUB;
    struct query_node *inner;
    query_parser_advance(parser);
    enum tw_code code = parse_expression(parser, QUERY_PRECEDENCE_UNARY, &inner, err);
    if (code)
        return code;
    if (inner->type == QUERY_NODE_NUMBER) {
        inner->number = negative ? -inner->number : inner->number;
        inner->start = op.start;
        *ret_node = inner;
        return TW_OK;
    }
    struct query_node *node =
        query_parser_node(parser, QUERY_NODE_UNARY, inner->value_type, op.start);
    node->unary.inner = inner;
    node->unary.negative = negative;
    *ret_node = node;
    return TW_OK;
}

/* on (...) and ignoring (...), with group_left (...) or group_right (...). */
static enum tw_code parse_labels_matched(struct query_parser *parser, struct query_node *node,
                                         struct tw_err *err)
{
    struct query_matching *matching = &node->binary.matching;
    matching->given = true;
    matching->on = parser->token.type == QUERY_TOKEN_ON;
    query_parser_advance(parser);
    enum tw_code code = query_parser_label_list(parser, &matching->labels, err);
    if (code)
        return code;
    if (parser->token.type != QUERY_TOKEN_GROUP_LEFT &&
        parser->token.type != QUERY_TOKEN_GROUP_RIGHT)
        return TW_OK;
    bool left = parser->token.type == QUERY_TOKEN_GROUP_LEFT;
    if (matching->card == QUERY_MANY_TO_MANY)
        return SYNTAX(parser, node->binary.left->start, parser->token.end, err,
                      "no grouping allowed for \"%s\" operation",
                      query_token_spelling(node->binary.op));
    matching->card = left ? QUERY_MANY_TO_ONE : QUERY_ONE_TO_MANY;
    query_parser_advance(parser);
    if (parser->token.type == QUERY_TOKEN_LEFT_PAREN)
        return query_parser_label_list(parser, &matching->include, err);
    return begins_expression(parser->token.type)
               ? TW_OK
               : query_parser_unexpected(parser, "grouping opts", "\"(\"", err);
}

/* Metrics may have these names; with a parenthesis behind they are modifiers. */
static bool at_fill(const struct query_parser *parser)
{
    return parser->next.type == QUERY_TOKEN_LEFT_PAREN &&
           (query_parser_at_word(parser, "fill") || query_parser_at_word(parser, "fill_left") ||
            query_parser_at_word(parser, "fill_right"));
}

/* fill(0), fill_left(-Inf), fill_right(NaN) */
static enum tw_code parse_fill(struct query_parser *parser, struct query_matching *matching,
                               struct tw_err *err)
{
    struct query_token word = parser->token;
    bool left = !query_parser_at_word(parser, "fill_right");
    bool right = !query_parser_at_word(parser, "fill_left");
    double value = 0;
    if ((left && matching->fills_left) || (right && matching->fills_right))
        return query_parser_unexpected(parser, "fill modifiers", NULL, err);
    if (!(parser->features & QUERY_FEATURE_FILL))
        return SYNTAX(parser, word.start, word.end, err,
                      "fill modifiers are experimental and must be enabled with "
                      "--enable-feature=promql-binop-fill-modifiers");
    query_parser_advance(parser);
    query_parser_advance(parser);
    bool negative = parser->token.type == QUERY_TOKEN_SUB;
    if (negative || parser->token.type == QUERY_TOKEN_ADD)
        query_parser_advance(parser);
    if (parser->token.type != QUERY_TOKEN_NUMBER && parser->token.type != QUERY_TOKEN_DURATION)
        return query_parser_unexpected(parser, "fill modifier", "number", err);
    enum tw_code code = query_parser_number(parser, &value, err);
    if (!code)
        code = query_parser_take(parser, QUERY_TOKEN_RIGHT_PAREN, "fill modifier", "\")\"", err);
    value = negative ? -value : value;
    if (left) {
        matching->fills_left = true;
        matching->fill_left = value;
    }
    if (right) {
        matching->fills_right = true;
        matching->fill_right = value;
    }
    return code;
}

/* bool, on (...), ignoring (...), group_left (...), group_right (...), fill (...) behind an
 * operator. */
static enum tw_code parse_matching(struct query_parser *parser, struct query_node *node,
                                   struct tw_err *err)
{
    struct query_matching *matching = &node->binary.matching;
    enum tw_code code = TW_OK;
    if (query_token_is_set(node->binary.op))
        matching->card = QUERY_MANY_TO_MANY;
    if (parser->token.type == QUERY_TOKEN_BOOL) {
        node->binary.return_bool = true;
        query_parser_advance(parser);
    }
    if (parser->token.type == QUERY_TOKEN_ON || parser->token.type == QUERY_TOKEN_IGNORING)
        code = parse_labels_matched(parser, node, err);
    while (!code && at_fill(parser))
        code = parse_fill(parser, matching, err);
    return code;
}

static enum query_value_type binary_type(const struct query_node *node)
{
    return node->binary.left->value_type == QUERY_TYPE_SCALAR &&
                   node->binary.right->value_type == QUERY_TYPE_SCALAR
               ? QUERY_TYPE_SCALAR
               : QUERY_TYPE_VECTOR;
}

static enum tw_code parse_binary(struct query_parser *parser, int precedence,
                                 struct query_node **left, struct tw_err *err)
{
    struct query_node *node =
        query_parser_node(parser, QUERY_NODE_BINARY, QUERY_TYPE_NONE, (*left)->start);
    node->binary.op = parser->token.type;
    node->binary.left = *left;
    query_parser_advance(parser);
    enum tw_code code = parse_matching(parser, node, err);
    /* Right-associative: only the power. */
    if (!code)
        code = parse_expression(parser, precedence + (node->binary.op != QUERY_TOKEN_POW),
                                &node->binary.right, err);
    if (code)
        return code;
    node->end = parser->previous_end;
    node->value_type = binary_type(node);
    *left = node;
    return TW_OK;
}

static enum tw_code parse_expression(struct query_parser *parser, int precedence_min,
                                     struct query_node **ret_node, struct tw_err *err)
{
    struct query_node *node;
    unsigned depth = parser->depth;
    enum tw_code code = query_parser_enter(parser, err);
    if (!code)
        code = parse_unary(parser, &node, err);
    while (!code) {
        int precedence = query_token_precedence(parser->token.type);
        if (precedence < precedence_min || precedence == QUERY_PRECEDENCE_NONE)
            break;
        code =
            query_parser_enter(parser, err); /* each operator of a chain is one level of the tree */
        if (!code)
            code = parse_binary(parser, precedence, &node, err);
    }
    parser->depth = depth;
    if (!code)
        *ret_node = node;
    return code;
}

/* ---- entry ---- */
/* Prometheus's sentence: nothing has no position. Those who draw a caret draw it at the start. */
static enum tw_code fail_empty(struct tw_err *err, const char *what)
{
    enum tw_code code = tw_err_set(err, TW_SYNTAX, "unknown position: parse error: %s", what);
    if (err) {
        err->line = err->column = 1;
        err->start = 0;
        err->end = 1;
    }
    return code;
}

static void begin(struct query_parser *parser)
{
    parser->token = query_lexer_next(&parser->lexer);
    parser->next = parser->token;
    if (parser->token.type != QUERY_TOKEN_EOF && parser->token.type != QUERY_TOKEN_ERROR)
        parser->next = query_lexer_next(&parser->lexer);
}

static enum tw_code parse_all(struct query_parser *parser, struct tw_err *err)
{
    begin(parser);
    if (parser->token.type == QUERY_TOKEN_EOF)
        return parser->ast->text.size == 0
                   ? fail_empty(err, "no expression found in input")
                   : SYNTAX(parser, 0, 1, err, "no expression found in input");
    enum tw_code code = parse_expression(parser, 0, &parser->ast->root, err);
    if (!code && parser->token.type != QUERY_TOKEN_EOF)
        code = query_parser_unexpected(parser, NULL, NULL, err);
    return code ? code : query_check_types(parser->ast, parser->features, err);
}

/* Names, matchers, nothing behind them. */
static enum tw_code parse_selector_alone(struct query_parser *parser, struct tw_err *err)
{
    begin(parser);
    if (parser->ast->text.size == 0)
        return fail_empty(err, "unexpected end of input");
    if (parser->token.type != QUERY_TOKEN_LEFT_BRACE &&
        !query_token_names_metric(parser->token.type))
        return query_parser_unexpected(parser, NULL, NULL, err);
    struct query_node *node;
    enum tw_code code = query_parser_selector(parser, &node, err);
    if (!code && parser->token.type != QUERY_TOKEN_EOF)
        code = query_parser_unexpected(parser, NULL, NULL, err);
    if (!code && node->selector.second_name.data)
        code = SYNTAX(parser, node->start, node->end, err,
                      "metric name must not be set twice: \"%.*s\" or \"%.*s\"",
                      TW_STR_ARG(node->selector.name), TW_STR_ARG(node->selector.second_name));
    parser->ast->root = code ? NULL : node;
    return code;
}

static enum tw_code parse(struct tw_str text, unsigned features,
                          enum tw_code (*parse_text)(struct query_parser *parser,
                                                     struct tw_err *err),
                          struct query_ast **ret_ast, struct tw_err *err)
{
    if (text.size > QUERY_TEXT_BYTES_MAX)
        return tw_err_set(err, TW_SYNTAX, "the query has %zu bytes, more than the limit of %zu",
                          text.size, QUERY_TEXT_BYTES_MAX);
    struct tw_arena *arena = tw_arena_new(1024 + text.size * 4);
    struct query_ast *ast = TW_ARENA_NEW(arena, struct query_ast);
    ast->arena = arena;
    ast->text = tw_arena_str(arena, text);
    struct query_parser parser = {.ast = ast, .features = features};
    query_lexer_init(&parser.lexer, ast->text);
    enum tw_code code = parse_text(&parser, err);
    if (code) {
        query_ast_free(ast);
        return code;
    }
    *ret_ast = ast;
    return TW_OK;
}

enum tw_code query_parse(struct tw_str text, unsigned features, struct query_ast **ret_ast,
                         struct tw_err *err)
{
    return parse(text, features, parse_all, ret_ast, err);
}

enum tw_code query_parse_lone_selector(struct tw_str text, struct query_ast **ret_ast,
                                       struct tw_err *err)
{
    return parse(text, 0, parse_selector_alone, ret_ast, err);
}
