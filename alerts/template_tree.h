/* SPDX-License-Identifier: Apache-2.0
 *
 * template_tree: what a template is after parsing. Included by the template_* files only.
 *
 *   list -> node -> pipe -> command | command ... -> operand ...
 *
 * `{{ if gt $value 5.0 }}big{{ end }}` is a node IF with the pipe (gt $value 5.0), which is one
 * command of three operands, and the body TEXT "big".
 */
#ifndef TW_ALERTS_TEMPLATE_TREE_H
#define TW_ALERTS_TEMPLATE_TREE_H

#include "alerts/template_value.h"

enum alert_operand_kind {
    ALERT_OPERAND_LITERAL, /* number, string, character, true, false, nil */
    ALERT_OPERAND_DOT,
    ALERT_OPERAND_VARIABLE,
    ALERT_OPERAND_FUNCTION,
    ALERT_OPERAND_PIPE, /* in parentheses */
};

struct alert_pipe;
struct alert_function;

struct alert_operand {
    enum alert_operand_kind kind;
    struct tw_str source; /* as written, for messages */
    struct alert_value literal;
    struct tw_str name; /* of a variable, with its $ */
    const struct alert_function *function;
    struct alert_pipe *pipe;
    struct tw_str *fields; /* .A.B behind it */
    size_t field_count;
    struct alert_operand *next;
};

struct alert_command {
    struct alert_operand *operands;
    size_t count;
    struct tw_str source;
    struct alert_command *next;
};

struct alert_pipe {
    struct tw_str variables[2]; /* $i, $v := ... */
    size_t variable_count;
    bool assigns; /* = instead of := */
    struct alert_command *commands;
};

enum alert_node_kind {
    ALERT_NODE_TEXT,
    ALERT_NODE_ACTION,
    ALERT_NODE_IF,
    ALERT_NODE_RANGE,
    ALERT_NODE_WITH,
    ALERT_NODE_TEMPLATE,
    ALERT_NODE_BREAK,
    ALERT_NODE_CONTINUE,
};

struct alert_node {
    enum alert_node_kind kind;
    struct tw_str text; /* of TEXT; the name in TEMPLATE */
    struct alert_pipe *pipe;
    struct alert_node *body, *otherwise;
    struct alert_node *next;
};

/* {{ define "name" }} ... {{ end }} */
struct alert_definition {
    struct tw_str name;
    struct alert_node *body;
    struct alert_definition *next;
};

struct alert_template {
    struct tw_str text;
    struct alert_node *body;
    struct alert_definition *definitions;
};

/* ---- functions (template_functions.c, template_builtins.c) ---- */

/* What a call works with. */
struct alert_call {
    const struct alert_template_data *data;
    struct tw_arena *arena;
    const struct alert_value *arguments;
    size_t count;
};

typedef enum tw_code alert_function_body(const struct alert_call *call, struct alert_value *ret,
                                         struct tw_err *err);

struct alert_function {
    const char *name;
    size_t count_min, count_max; /* arguments; SIZE_MAX = any number */
    alert_function_body *body;   /* NULL: and, or, which the execution does itself (lazily) */
};

const struct alert_function *alert_function_find(struct tw_str name);
extern const struct alert_function alert_builtins[]; /* Go's own; ends with a NULL name */
/* Names that Prometheus knows and we do not yet. */
bool alert_function_is_unsupported(struct tw_str name);

/* Argument i as a string or number, else TW_EXECUTION with what it is. */
TW_MUST_CHECK enum tw_code alert_call_string(const struct alert_call *call, size_t i,
                                             struct tw_str *ret, struct tw_err *err);
TW_MUST_CHECK enum tw_code alert_call_number(const struct alert_call *call, size_t i, double *ret,
                                             struct tw_err *err);
/* A string value with what the buffer holds, moved to the call's arena; the buffer is finished. */
TW_MUST_CHECK enum tw_code alert_call_return(const struct alert_call *call, struct tw_buf *made,
                                             struct alert_value *ret, struct tw_err *err);

/* Go's url.QueryEscape. */
void alert_query_escape(struct tw_str text, struct tw_buf *out);

/* A field of a time or duration, with its arguments (Format); false if there is none of that name.
 */
bool alert_time_field(const struct alert_call *call, struct tw_str name, struct alert_value *ret);
bool alert_time_field_known(struct tw_str name);

#endif
