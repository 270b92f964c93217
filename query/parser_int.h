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
    size_t selector_capacity;
};

/* Each returns TW_SYNTAX with err set, or TW_OK. */
enum tw_code query_parser_unexpected(struct query_parser *parser, const char *context,
                                     const char *expected, struct tw_err *err);
void query_parser_advance(struct query_parser *parser);
TW_MUST_CHECK enum tw_code query_parser_take(struct query_parser *parser,
                                             enum query_token_type type, const char *context,
                                             const char *expected, struct tw_err *err);
struct tw_str query_parser_text(const struct query_parser *parser, const struct query_token *token);
struct query_node *query_parser_node(struct query_parser *parser, enum query_node_type type,
                                     enum query_value_type value_type, uint32_t start);

/* parser_literal.c: numbers, durations, strings. They read the current token and step past it. */
TW_MUST_CHECK enum tw_code query_parser_number(struct query_parser *parser, double *ret,
                                               struct tw_err *err);
/* A duration or a number of seconds, in milliseconds. */
/* Where a duration should be: an expression of durations, known and not supported yet, or a
 * mistake. */
enum tw_code query_parser_no_duration(struct query_parser *parser, const char *context,
                                      struct tw_err *err);
TW_MUST_CHECK enum tw_code query_parser_duration(struct query_parser *parser, int64_t *ret_ms,
                                                 struct tw_err *err);
TW_MUST_CHECK enum tw_code query_parser_string(struct query_parser *parser, struct tw_str *ret,
                                               struct tw_err *err);

/* parser_selector.c */
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
