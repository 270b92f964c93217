/* SPDX-License-Identifier: Apache-2.0
 *
 * parser: PromQL text to a checked tree. Operator precedence by climbing, everything else by
 * recursive descent; depth is bounded (QUERY_DEPTH_MAX).
 *
 * Errors: TW_SYNTAX with Prometheus's sentence and place, TW_UNSUPPORTED for what the language has
 * and this engine has not yet.
 */
#ifndef TW_QUERY_PARSER_H
#define TW_QUERY_PARSER_H

#include "query/ast.h"
#include "query/engine.h"

/* features: a sum of enum query_feature. */
TW_MUST_CHECK enum tw_code query_parse(struct tw_str text, unsigned features,
                                       struct query_ast **ret_ast, struct tw_err *err);

/* One selector without modifiers, as match[] parameters have it; it may match every series. */
TW_MUST_CHECK enum tw_code query_parse_lone_selector(struct tw_str text, struct query_ast **ret_ast,
                                                     struct tw_err *err);

/* Types, argument counts and combinations of a tree that is whole; the parser calls it. */
TW_MUST_CHECK enum tw_code query_check_types(const struct query_ast *ast, unsigned features,
                                             struct tw_err *err);

#endif
