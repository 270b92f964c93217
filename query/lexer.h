/* SPDX-License-Identifier: Apache-2.0
 *
 * lexer: PromQL text to tokens, one at a time. Context-sensitive as the language is: within braces
 * there are label matchers only, within brackets a colon separates range and step.
 *
 * Threads: plain data, one owner. Tokens borrow the text.
 */
#ifndef TW_QUERY_LEXER_H
#define TW_QUERY_LEXER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* QUERY_TOKEN(name, class, spelling) */
#define QUERY_TOKEN_TABLE(QUERY_TOKEN)                                                             \
    QUERY_TOKEN(EOF, PLAIN, "end of input")                                                        \
    QUERY_TOKEN(ERROR, PLAIN, "error")                                                             \
    QUERY_TOKEN(IDENTIFIER, PLAIN, "identifier")                                                   \
    QUERY_TOKEN(METRIC_IDENTIFIER, PLAIN, "metric identifier")                                     \
    QUERY_TOKEN(NUMBER, PLAIN, "number")                                                           \
    QUERY_TOKEN(DURATION, PLAIN, "duration")                                                       \
    QUERY_TOKEN(STRING, PLAIN, "string")                                                           \
    QUERY_TOKEN(LEFT_PAREN, MARK, "(")                                                             \
    QUERY_TOKEN(RIGHT_PAREN, MARK, ")")                                                            \
    QUERY_TOKEN(LEFT_BRACE, MARK, "{")                                                             \
    QUERY_TOKEN(RIGHT_BRACE, MARK, "}")                                                            \
    QUERY_TOKEN(LEFT_BRACKET, MARK, "[")                                                           \
    QUERY_TOKEN(RIGHT_BRACKET, MARK, "]")                                                          \
    QUERY_TOKEN(COMMA, MARK, ",")                                                                  \
    QUERY_TOKEN(COLON, MARK, ":")                                                                  \
    QUERY_TOKEN(AT, MARK, "@")                                                                     \
    QUERY_TOKEN(EQL, MARK, "=")                                                                    \
    QUERY_TOKEN(EQL_REGEX, OPERATOR, "=~")                                                         \
    QUERY_TOKEN(NEQ_REGEX, OPERATOR, "!~")                                                         \
    QUERY_TOKEN(ADD, OPERATOR, "+")                                                                \
    QUERY_TOKEN(SUB, OPERATOR, "-")                                                                \
    QUERY_TOKEN(MUL, OPERATOR, "*")                                                                \
    QUERY_TOKEN(DIV, OPERATOR, "/")                                                                \
    QUERY_TOKEN(MOD, OPERATOR, "%")                                                                \
    QUERY_TOKEN(POW, OPERATOR, "^")                                                                \
    QUERY_TOKEN(ATAN2, OPERATOR, "atan2")                                                          \
    QUERY_TOKEN(EQLC, OPERATOR, "==")                                                              \
    QUERY_TOKEN(NEQ, OPERATOR, "!=")                                                               \
    QUERY_TOKEN(GTR, OPERATOR, ">")                                                                \
    QUERY_TOKEN(LSS, OPERATOR, "<")                                                                \
    QUERY_TOKEN(GTE, OPERATOR, ">=")                                                               \
    QUERY_TOKEN(LTE, OPERATOR, "<=")                                                               \
    QUERY_TOKEN(TRIM_UPPER, OPERATOR, "</")                                                        \
    QUERY_TOKEN(TRIM_LOWER, OPERATOR, ">/")                                                        \
    QUERY_TOKEN(AND, OPERATOR, "and")                                                              \
    QUERY_TOKEN(OR, OPERATOR, "or")                                                                \
    QUERY_TOKEN(UNLESS, OPERATOR, "unless")                                                        \
    QUERY_TOKEN(SUM, AGGREGATOR, "sum")                                                            \
    QUERY_TOKEN(AVG, AGGREGATOR, "avg")                                                            \
    QUERY_TOKEN(COUNT, AGGREGATOR, "count")                                                        \
    QUERY_TOKEN(MIN, AGGREGATOR, "min")                                                            \
    QUERY_TOKEN(MAX, AGGREGATOR, "max")                                                            \
    QUERY_TOKEN(GROUP, AGGREGATOR, "group")                                                        \
    QUERY_TOKEN(STDDEV, AGGREGATOR, "stddev")                                                      \
    QUERY_TOKEN(STDVAR, AGGREGATOR, "stdvar")                                                      \
    QUERY_TOKEN(TOPK, AGGREGATOR, "topk")                                                          \
    QUERY_TOKEN(BOTTOMK, AGGREGATOR, "bottomk")                                                    \
    QUERY_TOKEN(COUNT_VALUES, AGGREGATOR, "count_values")                                          \
    QUERY_TOKEN(QUANTILE, AGGREGATOR, "quantile")                                                  \
    QUERY_TOKEN(LIMITK, AGGREGATOR, "limitk")                                                      \
    QUERY_TOKEN(LIMIT_RATIO, AGGREGATOR, "limit_ratio")                                            \
    QUERY_TOKEN(OFFSET, KEYWORD, "offset")                                                         \
    QUERY_TOKEN(BY, KEYWORD, "by")                                                                 \
    QUERY_TOKEN(WITHOUT, KEYWORD, "without")                                                       \
    QUERY_TOKEN(ON, KEYWORD, "on")                                                                 \
    QUERY_TOKEN(IGNORING, KEYWORD, "ignoring")                                                     \
    QUERY_TOKEN(GROUP_LEFT, KEYWORD, "group_left")                                                 \
    QUERY_TOKEN(GROUP_RIGHT, KEYWORD, "group_right")                                               \
    QUERY_TOKEN(BOOL, KEYWORD, "bool")                                                             \
    QUERY_TOKEN(START, KEYWORD, "start")                                                           \
    QUERY_TOKEN(END, KEYWORD, "end")

enum query_token_type {
#define QUERY_TOKEN_ENUM(name, token_class, spelling) QUERY_TOKEN_##name,
    QUERY_TOKEN_TABLE(QUERY_TOKEN_ENUM)
#undef QUERY_TOKEN_ENUM
        QUERY_TOKEN_COUNT_ALL
};

enum query_token_class {
    QUERY_CLASS_PLAIN,
    QUERY_CLASS_MARK,
    QUERY_CLASS_OPERATOR,
    QUERY_CLASS_AGGREGATOR,
    QUERY_CLASS_KEYWORD,
};

struct query_token {
    enum query_token_type type;
    uint32_t start, end; /* bytes of the text */
    /* QUERY_TOKEN_ERROR: what is wrong; a short sentence of the lexer's. */
    const char *problem;
};

struct query_lexer {
    struct tw_str text;
    size_t at;
    unsigned paren_depth;
    bool brace_open, bracket_open, got_colon;
    bool got_duration; /* within brackets: something stood before the colon */
    char problem[96];  /* of the newest error token */
};

void query_lexer_init(struct query_lexer *lexer, struct tw_str text);
/* After an error token come only error tokens. */
struct query_token query_lexer_next(struct query_lexer *lexer);

enum query_token_class query_token_class(enum query_token_type type);
const char *query_token_spelling(enum query_token_type type);
/* "unexpected" texts: identifier "foo", <op:+>, <aggr:sum>, <by>, end of input. ret_text holds
 * QUERY_TOKEN_DESCRIPTION_BYTES. */
#define QUERY_TOKEN_DESCRIPTION_BYTES 160
void query_token_describe(const struct query_token *token, struct tw_str text, char *ret_text);

/* Line and column (1-based, in bytes) of a position. */
void query_position(struct tw_str text, uint32_t at, uint32_t *ret_line, uint32_t *ret_column);
/* Sets err with "line:column: parse error: <sentence>" and the place. */
enum tw_code query_error_at(struct tw_err *err, enum tw_code code, struct tw_str text,
                            uint32_t start, uint32_t end, const char *format, ...) TW_PRINTF(6, 7);
/* Go's %q of bytes, cut at bytes_max of the source with "..."; for messages. */
void query_quote(struct tw_str s, size_t bytes_max, char *ret_text, size_t capacity);

#endif
