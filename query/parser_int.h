/* SPDX-License-Identifier: Apache-2.0
 *
 * parser_int: what the parser's files share: state, and the helpers that make nodes and errors.
 */
#ifndef TW_QUERY_PARSER_INT_H
#define TW_QUERY_PARSER_INT_H

#include "query/parser.h"

struct query_parser {
    struct query_ast *ast;
    struct query_lexer lexer;
    struct query_token token, next; /* the current one and the one behind it */
    uint32_t previous_end;          /* where the token before `token` ended */
    unsigned depth, features;
    unsigned aggregates; /* around the current token; errors within name the innermost construct */
    size_t selector_capacity, duration_capacity, regex_count;
};

enum { QUERY_PRECEDENCE_NONE = -1, QUERY_PRECEDENCE_UNARY = 5, QUERY_PRECEDENCE_POW = 6 };
/* How tightly a binary operator binds; QUERY_PRECEDENCE_NONE if it is none. */
int query_token_precedence(enum query_token_type op);

/* Each returns TW_SYNTAX with err set, or TW_OK. */
enum tw_code query_parser_unexpected(struct query_parser *parser, const char *context,
                                     const char *expected, struct tw_err *err);
void query_parser_advance(struct query_parser *parser);
TW_MUST_CHECK enum tw_code query_parser_take(struct query_parser *parser,
                                             enum query_token_type type, const char *context,
                                             const char *expected, struct tw_err *err);
/* One level deeper; refused beyond QUERY_DEPTH_MAX. Whoever enters puts `depth` back. */
TW_MUST_CHECK enum tw_code query_parser_enter(struct query_parser *parser, struct tw_err *err);
/* At the first item beyond QUERY_LIST_MAX. */
enum tw_code query_parser_too_many(struct query_parser *parser, const char *items,
                                   struct tw_err *err);
/* The current token is this word, in any case: words that are keywords in one place only. */
bool query_parser_at_word(const struct query_parser *parser, const char *word);
struct tw_str query_parser_text(const struct query_parser *parser, const struct query_token *token);
struct query_node *query_parser_node(struct query_parser *parser, enum query_node_type type,
                                     enum query_value_type value_type, uint32_t start);

/* parser_literal.c: numbers, durations, strings. They read the current token and step past it. */
TW_MUST_CHECK enum tw_code query_parser_number(struct query_parser *parser, double *ret,
                                               struct tw_err *err);
TW_MUST_CHECK enum tw_code query_parser_string(struct query_parser *parser, struct tw_str *ret,
                                               struct tw_err *err);

/* parser_duration.c: an expression within brackets, or, behind offset, one operand that may have a
 * sign. */
TW_MUST_CHECK enum tw_code query_parser_range_duration(struct query_parser *parser,
                                                       struct query_duration **ret,
                                                       struct tw_err *err);
TW_MUST_CHECK enum tw_code query_parser_offset_duration(struct query_parser *parser,
                                                        struct query_duration **ret,
                                                        struct tw_err *err);
/* Into the tree: a literal's worth goes to *ret_ms, and *ret becomes NULL; else *ret keeps the
 * expression, and its worth comes to *ret_ms when the run resolves it: ret_ms is the tree's. */
TW_MUST_CHECK enum tw_code query_parser_place_duration(struct query_parser *parser,
                                                       struct query_duration *expression,
                                                       bool positive, int64_t *ret_ms,
                                                       const struct query_duration **ret,
                                                       struct tw_err *err);

/* parser_info.c: makes the selector of a call of info(). */
TW_MUST_CHECK enum tw_code query_parser_info(struct query_parser *parser, struct query_node *call,
                                             struct tw_err *err);

/* parser_selector.c */
/* Among those whose regexes are freed with the tree. */
void query_parser_remember(struct query_parser *parser, struct query_node *selector);
/* At a metric name or a left brace. */
TW_MUST_CHECK enum tw_code query_parser_selector(struct query_parser *parser,
                                                 struct query_node **ret_node, struct tw_err *err);
/* [range], [range:step], offset and @ behind a node, as many as there are. */
TW_MUST_CHECK enum tw_code query_parser_postfix(struct query_parser *parser,
                                                struct query_node **node, struct tw_err *err);
/* "(a, b, c)" of by, without, on, ignoring, group_left and group_right. */
TW_MUST_CHECK enum tw_code query_parser_label_list(struct query_parser *parser,
                                                   struct query_names *ret_names,
                                                   struct tw_err *err);
bool query_token_names_metric(enum query_token_type type);

#endif
