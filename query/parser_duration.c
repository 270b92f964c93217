/* SPDX-License-Identifier: Apache-2.0
 *
 * Durations: a literal, or an expression of them. In brackets a whole expression stands; behind
 * offset only one operand, so that `x offset 1m + 2` adds to the value.
 */
#include "config.h"

#include "query/parser_int.h"

#define EXPECTED "number, duration, step(), or range()"

struct context {
    struct query_parser *parser;
    const char *place; /* as errors name it */
};

static enum tw_code parse_expression(const struct context *context, int precedence_min,
                                     struct query_duration **ret, struct tw_err *err);

static struct query_duration *make(const struct context *context, enum query_duration_op op,
                                   struct query_duration *left, struct query_duration *right,
                                   uint32_t start)
{
    struct query_duration *made = TW_ARENA_NEW(context->parser->ast->arena, struct query_duration);
    *made = (struct query_duration){.op = op,
                                    .left = left,
                                    .right = right,
                                    .start = start,
                                    .end = context->parser->previous_end};
    return made;
}

static enum tw_code parse_literal(const struct context *context, struct query_duration **ret,
                                  struct tw_err *err)
{
    struct query_parser *parser = context->parser;
    uint32_t start = parser->token.start;
    bool time = parser->token.type == QUERY_TOKEN_DURATION;
    double seconds;
    enum tw_code code = query_parser_number(parser, &seconds, err);
    if (code)
        return code;
    *ret = make(context, QUERY_DURATION_LITERAL, NULL, NULL, start);
    (*ret)->seconds = seconds;
    (*ret)->written_as_time = time;
    return TW_OK;
}

/* min_of(a, b) behind its name. */
static enum tw_code parse_pair(const struct context *context, enum query_duration_op op,
                               uint32_t start, struct query_duration **ret, struct tw_err *err)
{
    struct query_parser *parser = context->parser;
    struct query_duration *left, *right;
    enum tw_code code = parse_expression(context, 0, &left, err);
    if (!code)
        code = query_parser_take(parser, QUERY_TOKEN_COMMA, context->place, "\",\"", err);
    if (!code)
        code = parse_expression(context, 0, &right, err);
    if (!code)
        code = query_parser_take(parser, QUERY_TOKEN_RIGHT_PAREN, context->place, "\")\"", err);
    if (!code)
        *ret = make(context, op, left, right, start);
    return code;
}

static enum tw_code parse_function(const struct context *context, struct query_duration **ret,
                                   struct tw_err *err)
{
    static const struct {
        const char *name;
        enum query_duration_op op;
    } functions[] = {{"step", QUERY_DURATION_STEP},
                     {"range", QUERY_DURATION_RANGE},
                     {"min_of", QUERY_DURATION_MIN},
                     {"max_of", QUERY_DURATION_MAX}};
    struct query_parser *parser = context->parser;
    uint32_t start = parser->token.start;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (!query_parser_at_word(parser, functions[i].name) ||
            parser->next.type != QUERY_TOKEN_LEFT_PAREN)
            continue;
        query_parser_advance(parser);
        query_parser_advance(parser);
        if (functions[i].op == QUERY_DURATION_MIN || functions[i].op == QUERY_DURATION_MAX)
            return parse_pair(context, functions[i].op, start, ret, err);
        enum tw_code code =
            query_parser_take(parser, QUERY_TOKEN_RIGHT_PAREN, context->place, "\")\"", err);
        if (!code)
            *ret = make(context, functions[i].op, NULL, NULL, start);
        return code;
    }
    return query_parser_unexpected(parser, context->place, EXPECTED, err);
}

static enum tw_code parse_primary(const struct context *context, struct query_duration **ret,
                                  struct tw_err *err)
{
    struct query_parser *parser = context->parser;
    uint32_t start = parser->token.start;
    if (parser->token.type == QUERY_TOKEN_NUMBER || parser->token.type == QUERY_TOKEN_DURATION)
        return parse_literal(context, ret, err);
    if (parser->token.type != QUERY_TOKEN_LEFT_PAREN)
        return parse_function(context, ret, err);
    query_parser_advance(parser);
    enum tw_code code = parse_expression(context, 0, ret, err);
    if (!code)
        code = query_parser_take(parser, QUERY_TOKEN_RIGHT_PAREN, context->place, "\")\"", err);
    if (code)
        return code;
    (*ret)->wrapped = true;
    (*ret)->start = start;
    (*ret)->end = parser->previous_end;
    return TW_OK;
}

/* whole: the operand may itself be a power (-2 ^ 2 is -(2 ^ 2)); else just one primary. */
static enum tw_code parse_signed(const struct context *context, bool whole,
                                 struct query_duration **ret, struct tw_err *err)
{
    struct query_parser *parser = context->parser;
    uint32_t start = parser->token.start;
    bool negative = parser->token.type == QUERY_TOKEN_SUB;
    if (!negative && parser->token.type != QUERY_TOKEN_ADD)
        return parse_primary(context, ret, err);
    query_parser_advance(parser);
    struct query_duration *inner;
    enum tw_code code = whole ? parse_expression(context, QUERY_PRECEDENCE_UNARY, &inner, err)
                              : parse_primary(context, &inner, err);
    if (code)
        return code;
    if (inner->op == QUERY_DURATION_LITERAL) {
        inner->seconds = negative ? -inner->seconds : inner->seconds;
        inner->wrapped = false;
        inner->start = start;
        *ret = inner;
        return TW_OK;
    }
    *ret =
        make(context, negative ? QUERY_DURATION_NEGATE : QUERY_DURATION_PLUS, inner, NULL, start);
    return TW_OK;
}

static bool find_operator(enum query_token_type type, enum query_duration_op *ret)
{
    switch (type) {
    case QUERY_TOKEN_ADD:
        *ret = QUERY_DURATION_ADD;
        return true;
    case QUERY_TOKEN_SUB:
        *ret = QUERY_DURATION_SUB;
        return true;
    case QUERY_TOKEN_MUL:
        *ret = QUERY_DURATION_MUL;
        return true;
    case QUERY_TOKEN_DIV:
        *ret = QUERY_DURATION_DIV;
        return true;
    case QUERY_TOKEN_MOD:
        *ret = QUERY_DURATION_MOD;
        return true;
    case QUERY_TOKEN_POW:
        *ret = QUERY_DURATION_POW;
        return true;
    default:
        return false;
    }
}

static enum tw_code parse_expression(const struct context *context, int precedence_min,
                                     struct query_duration **ret, struct tw_err *err)
{
    struct query_parser *parser = context->parser;
    unsigned depth = parser->depth;
    enum query_duration_op op;
    struct query_duration *left, *right;
    enum tw_code code = query_parser_enter(parser, err);
    if (!code)
        code = parse_signed(context, true, &left, err);
    while (!code && find_operator(parser->token.type, &op)) {
        int precedence = query_token_precedence(parser->token.type);
        if (precedence < precedence_min)
            break;
        query_parser_advance(parser);
        code = query_parser_enter(parser, err); /* each operator of a chain is one level */
        if (!code)
            code = parse_expression(context, precedence + (op != QUERY_DURATION_POW), &right, err);
        if (!code)
            left = make(context, op, left, right, left->start);
    }
    parser->depth = depth;
    if (!code)
        *ret = left;
    return code;
}

enum tw_code query_parser_range_duration(struct query_parser *parser, struct query_duration **ret,
                                         struct tw_err *err)
{
    const struct context context = {parser, "subquery or range selector"};
    return parse_expression(&context, 0, ret, err);
}

enum tw_code query_parser_offset_duration(struct query_parser *parser, struct query_duration **ret,
                                          struct tw_err *err)
{
    const struct context context = {parser, "offset"};
    return parse_signed(&context, false, ret, err);
}

enum tw_code query_parser_place_duration(struct query_parser *parser,
                                         struct query_duration *expression, bool positive,
                                         int64_t *ret_ms, const struct query_duration **ret,
                                         struct tw_err *err)
{
    struct query_ast *ast = parser->ast;
    *ret_ms = 0;
    *ret = NULL;
    if (expression->op == QUERY_DURATION_LITERAL) {
        enum tw_code code =
            query_duration_ms(expression, expression->seconds, ast->text, ret_ms, err);
        if (!code && positive && *ret_ms <= 0)
            return query_error_at(err, TW_SYNTAX, ast->text, expression->start, expression->end,
                                  "duration must be greater than 0");
        return code;
    }
    if (ast->duration_count == parser->duration_capacity) {
        size_t old = parser->duration_capacity;
        parser->duration_capacity = old ? old * 2 : 4;
        ast->durations = tw_arena_grow(ast->arena, ast->durations, old * sizeof *ast->durations,
                                       parser->duration_capacity * sizeof *ast->durations);
    }
    ast->durations[ast->duration_count++] =
        (struct query_duration_use){expression, ret_ms, positive};
    *ret = expression;
    return TW_OK;
}
