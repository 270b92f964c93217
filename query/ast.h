/* SPDX-License-Identifier: Apache-2.0
 *
 * ast: a parsed query as a typed tree. Everything lives in the tree's arena; the regular
 * expressions of its matchers are freed with it.
 *
 * Threads: immutable after parsing, so it may be read by all.
 */
#ifndef TW_QUERY_AST_H
#define TW_QUERY_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "query/duration.h"
#include "query/function.h"
#include "query/lexer.h"
#include "tsdb/storage.h"

/* Limits on one query's text. A chain of binary operators is as deep as it is long. */
#define QUERY_TEXT_BYTES_MAX ((size_t)1 << 20)
#define QUERY_DEPTH_MAX 1000
/* Labels of one list, matchers of one selector, arguments of one call. */
#define QUERY_LIST_MAX 1000
/* Matchers of one selector that are no equality: each is held against all values of its label. */
#define QUERY_PATTERNS_MAX 100
/* Matchers with a regular expression, each a program of some KiB. */
#define QUERY_REGEXES_MAX 2000

enum query_node_type {
    QUERY_NODE_NUMBER,
    QUERY_NODE_STRING,
    QUERY_NODE_SELECTOR, /* instant vector selector */
    QUERY_NODE_MATRIX,   /* range vector selector */
    QUERY_NODE_SUBQUERY,
    QUERY_NODE_PAREN,
    QUERY_NODE_UNARY,
    QUERY_NODE_BINARY,
    QUERY_NODE_AGGREGATE,
    QUERY_NODE_CALL,
};

enum query_at { QUERY_AT_NONE, QUERY_AT_TIME, QUERY_AT_START, QUERY_AT_END };

/* offset and @ of a selector or subquery. */
struct query_modifiers {
    int64_t offset_ms, at_ms;
    const struct query_duration *offset_expression; /* NULL: offset_ms was written */
    enum query_at at;
    bool has_offset;
};

/* What a selector makes of the edges of its window, or of a time between two samples. */
enum query_extension {
    QUERY_EXTENSION_NONE,
    QUERY_ANCHORED, /* the window begins at the newest sample before it */
    QUERY_SMOOTHED, /* the edges' values are interpolated, with samples behind the end too */
};

enum query_card {
    QUERY_ONE_TO_ONE,
    QUERY_MANY_TO_ONE,  /* group_left */
    QUERY_ONE_TO_MANY,  /* group_right */
    QUERY_MANY_TO_MANY, /* set operators */
};

struct query_names {
    struct tw_str *items;
    size_t count, capacity;
};

struct query_matching {
    bool given; /* on or ignoring was written */
    bool on;
    enum query_card card;
    struct query_names labels, include;
    /* fill, fill_left, fill_right: what stands for a series that the side lacks. */
    bool fills_left, fills_right;
    double fill_left, fill_right;
};

struct query_node {
    enum query_node_type type;
    enum query_value_type value_type;
    uint32_t start, end; /* bytes of the text */
    bool written_as_time; /* of a number: 5m, not 300 */
    union {
        double number;
        struct tw_str string;
        struct {
            struct tw_str name; /* before or, quoted, within the braces; may be empty */
            bool name_quoted;
            struct tw_str second_name; /* another one beside it, which is a mistake; or no data */
            struct tsdb_matcher *matchers; /* with the name's */
            size_t matcher_count;
            size_t added_count; /* the last so many are other selectors' (propagation.h) */
            struct query_modifiers modifiers;
            enum query_extension extension;
        } selector;
        struct {
            struct query_node *selector; /* holds the modifiers */
            int64_t range_ms;
            const struct query_duration *range_expression; /* NULL: range_ms was written */
        } matrix;
        struct {
            struct query_node *inner;
            int64_t range_ms, step_ms; /* step 0: the default */
            const struct query_duration *range_expression, *step_expression;
            struct query_modifiers modifiers;
        } subquery;
        struct query_node *paren;
        struct {
            struct query_node *inner;
            bool negative;
        } unary;
        struct {
            enum query_token_type op;
            struct query_node *left, *right;
            bool return_bool;
            struct query_matching matching;
        } binary;
        struct {
            enum query_token_type op;
            struct query_node *inner, *parameter; /* parameter NULL when there is none */
            struct query_names grouping;
            bool without, grouped;
        } aggregate;
        struct {
            const struct query_function *function;
            struct query_node **arguments;
            size_t count;
            struct query_node *info; /* of info(): the selector of the info series, else NULL */
        } call;
    };
};

struct query_ast {
    struct tw_arena *arena;
    struct tw_str text;
    struct query_node *root;
    /* Selectors in the order of the text, whose matchers' regexes query_ast_free frees. */
    struct query_node **selectors;
    size_t selector_count;
    /* Expressions whose worth the run works out before it plans. */
    struct query_duration_use *durations;
    size_t duration_count;
};

struct query_ast *query_ast_free(struct query_ast *ast); /* returns NULL */
/* Works out what durations that are expressions are worth in a query of this step (0: instant) and
 * range; before the tree is planned. */
TW_MUST_CHECK enum tw_code query_ast_resolve(struct query_ast *ast, int64_t step_ms,
                                             int64_t range_ms, struct tw_err *err);

/* What stands right below a node, one after the other; NULL behind the last: for all who walk trees.
 * Of an aggregation the parameter comes before the vector; the selector of a range is one, and so is
 * that of the info series of info(), instead of the argument that was written. */
struct query_node *query_node_child(const struct query_node *node, size_t index);
/* Without its parentheses. */
const struct query_node *query_node_unwrap(const struct query_node *node);
bool query_names_equal(const struct query_names *a, const struct query_names *b);
/* The name of the one metric that a selector can give; empty when it may give several. */
struct tw_str query_selector_metric(const struct query_node *selector);
bool query_token_is_comparison(enum query_token_type op);
bool query_token_is_set(enum query_token_type op);
/* @ and offset at which the info series of a call of info() are looked up; after resolving. */
void query_info_reference(const struct query_node *call, struct query_modifiers *ret);
/* "scalar", "instant vector", "range vector", "string" as errors say. */
const char *query_value_type_name(enum query_value_type type);

#endif
