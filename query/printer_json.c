/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree as JSON: members in the order of their names, as Prometheus sends them. Trees are deeper
 * than the JSON writer goes, so each node has a writer of its own on the same buffer.
 */
#include "config.h"

#include "query/printer.h"

#include "base/json.h"
#include "base/number.h"
#include "query/printer_int.h"

const char *query_match_op_text(enum tsdb_match_op op)
{
    switch (op) {
    case TSDB_MATCH_EQUAL:
        return "=";
    case TSDB_MATCH_NOT_EQUAL:
        return "!=";
    case TSDB_MATCH_REGEX:
        return "=~";
    case TSDB_MATCH_NOT_REGEX:
        break;
    }
    return "!~";
}

/* A node as the value that the writer expects next. */
static void write_node(struct tw_json_writer *writer, const struct query_node *node)
{
    tw_json_write_raw(writer, (struct tw_str){0}); /* its commas */
    if (node)
        query_print_json(node, writer->out);
    else
        tw_buf_append_cstr(writer->out, "null");
}

static void member_node(struct tw_json_writer *writer, const char *key,
                        const struct query_node *node)
{
    tw_json_key(writer, tw_str(key));
    write_node(writer, node);
}

static void member_names(struct tw_json_writer *writer, const char *key,
                         const struct query_names *names)
{
    tw_json_key(writer, tw_str(key));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < names->count; i++)
        tw_json_write_str(writer, names->items[i]);
    tw_json_end_array(writer);
}

static void member_or_null(struct tw_json_writer *writer, const char *key, const char *text)
{
    tw_json_key(writer, tw_str(key));
    if (text)
        tw_json_write_cstr(writer, text);
    else
        tw_json_write_null(writer);
}

static void write_matchers(struct tw_json_writer *writer, const struct query_node *selector)
{
    tw_json_key(writer, TW_STR("matchers"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < selector->selector.matcher_count; i++) {
        const struct tsdb_matcher *matcher = &selector->selector.matchers[i];
        tw_json_begin_object(writer);
        tw_json_member_str(writer, "name", matcher->name);
        tw_json_member_cstr(writer, "type", query_match_op_text(matcher->op));
        tw_json_member_str(writer, "value", matcher->value);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}

static void write_at(struct tw_json_writer *writer, const struct query_modifiers *modifiers)
{
    member_or_null(writer, "startOrEnd",
                   modifiers->at == QUERY_AT_START ? "start"
                   : modifiers->at == QUERY_AT_END ? "end"
                                                   : NULL);
}

static void write_timestamp(struct tw_json_writer *writer, const struct query_modifiers *modifiers)
{
    tw_json_key(writer, TW_STR("timestamp"));
    if (modifiers->at == QUERY_AT_TIME)
        tw_json_write_int(writer, modifiers->at_ms);
    else
        tw_json_write_null(writer);
}

/* range: NULL for an instant selector. */
static void write_selector(struct tw_json_writer *writer, const struct query_node *node,
                           const struct query_node *range)
{
    const struct query_modifiers *modifiers = &node->selector.modifiers;
    enum query_extension extension = node->selector.extension;
    if (extension == QUERY_ANCHORED)
        tw_json_member_bool(writer, "anchored", true);
    write_matchers(writer, node);
    tw_json_member_str(writer, "name",
                       node->selector.name_quoted ? (struct tw_str){0} : node->selector.name);
    tw_json_member_int(writer, "offset", modifiers->offset_ms);
    if (range)
        tw_json_member_int(writer, "range", range->matrix.range_ms);
    if (extension == QUERY_SMOOTHED)
        tw_json_member_bool(writer, "smoothed", true);
    write_at(writer, modifiers);
    write_timestamp(writer, modifiers);
    tw_json_member_cstr(writer, "type", range ? "matrixSelector" : "vectorSelector");
}

static void write_subquery(struct tw_json_writer *writer, const struct query_node *node)
{
    member_node(writer, "expr", node->subquery.inner);
    tw_json_member_int(writer, "offset", node->subquery.modifiers.offset_ms);
    tw_json_member_int(writer, "range", node->subquery.range_ms);
    write_at(writer, &node->subquery.modifiers);
    tw_json_member_int(writer, "step", node->subquery.step_ms);
    write_timestamp(writer, &node->subquery.modifiers);
    tw_json_member_cstr(writer, "type", "subquery");
}

static void write_fill(struct tw_json_writer *writer, const char *key, bool fills, double value)
{
    char text[TW_DOUBLE_BYTES];
    if (fills) {
        tw_double_format_fixed(value, text);
        tw_json_member_cstr(writer, key, text);
    }
}

static void write_matching(struct tw_json_writer *writer, const struct query_node *node)
{
    static const char *const cards[] = {
        [QUERY_ONE_TO_ONE] = "one-to-one",
        [QUERY_MANY_TO_ONE] = "many-to-one",
        [QUERY_ONE_TO_MANY] = "one-to-many",
        [QUERY_MANY_TO_MANY] = "many-to-many",
    };
    const struct query_matching *matching = &node->binary.matching;
    tw_json_key(writer, TW_STR("matching"));
    if (node->binary.left->value_type != QUERY_TYPE_VECTOR ||
        node->binary.right->value_type != QUERY_TYPE_VECTOR) {
        tw_json_write_null(writer);
        return;
    }
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "card", cards[matching->card]);
    write_fill(writer, "fillLeft", matching->fills_left, matching->fill_left);
    write_fill(writer, "fillRight", matching->fills_right, matching->fill_right);
    member_names(writer, "include", &matching->include);
    member_names(writer, "labels", &matching->labels);
    tw_json_member_bool(writer, "on", matching->on);
    tw_json_end_object(writer);
}

static void write_binary(struct tw_json_writer *writer, const struct query_node *node)
{
    tw_json_member_bool(writer, "bool", node->binary.return_bool);
    member_node(writer, "lhs", node->binary.left);
    write_matching(writer, node);
    tw_json_member_cstr(writer, "op", query_token_spelling(node->binary.op));
    member_node(writer, "rhs", node->binary.right);
    tw_json_member_cstr(writer, "type", "binaryExpr");
}

static void write_aggregate(struct tw_json_writer *writer, const struct query_node *node)
{
    member_node(writer, "expr", node->aggregate.inner);
    member_names(writer, "grouping", &node->aggregate.grouping);
    tw_json_member_cstr(writer, "op", query_token_spelling(node->aggregate.op));
    member_node(writer, "param", node->aggregate.parameter);
    tw_json_member_cstr(writer, "type", "aggregation");
    tw_json_member_bool(writer, "without", node->aggregate.without);
}

/* "vector", "matrix": the short names of types, which the API uses. */
static const char *type_name(enum query_value_type type)
{
    switch (type) {
    case QUERY_TYPE_SCALAR:
        return "scalar";
    case QUERY_TYPE_VECTOR:
        return "vector";
    case QUERY_TYPE_MATRIX:
        return "matrix";
    case QUERY_TYPE_STRING:
        return "string";
    case QUERY_TYPE_NONE:
        break;
    }
    return "none";
}

static void write_call(struct tw_json_writer *writer, const struct query_node *node)
{
    const struct query_function *function = node->call.function;
    tw_json_key(writer, TW_STR("args"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < node->call.count; i++)
        write_node(writer, node->call.arguments[i]);
    tw_json_end_array(writer);
    tw_json_key(writer, TW_STR("func"));
    tw_json_begin_object(writer);
    tw_json_key(writer, TW_STR("argTypes"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < function->argument_count; i++)
        tw_json_write_cstr(writer, type_name(function->arguments[i]));
    tw_json_end_array(writer);
    tw_json_member_cstr(writer, "name", function->name);
    tw_json_member_cstr(writer, "returnType", type_name(function->type));
    tw_json_member_int(writer, "variadic", function->variadic);
    tw_json_end_object(writer);
    tw_json_member_cstr(writer, "type", "call");
}

static void write_members(struct tw_json_writer *writer, const struct query_node *node)
{
    char text[TW_DOUBLE_BYTES];
    switch (node->type) {
    case QUERY_NODE_NUMBER:
        tw_double_format_fixed(node->number, text);
        tw_json_member_cstr(writer, "type", "numberLiteral");
        tw_json_member_cstr(writer, "val", text);
        return;
    case QUERY_NODE_STRING:
        tw_json_member_cstr(writer, "type", "stringLiteral");
        tw_json_member_str(writer, "val", node->string);
        return;
    case QUERY_NODE_SELECTOR:
        write_selector(writer, node, NULL);
        return;
    case QUERY_NODE_MATRIX:
        write_selector(writer, node->matrix.selector, node);
        return;
    case QUERY_NODE_SUBQUERY:
        write_subquery(writer, node);
        return;
    case QUERY_NODE_PAREN:
        member_node(writer, "expr", node->paren);
        tw_json_member_cstr(writer, "type", "parenExpr");
        return;
    case QUERY_NODE_UNARY:
        member_node(writer, "expr", node->unary.inner);
        tw_json_member_cstr(writer, "op", node->unary.negative ? "-" : "+");
        tw_json_member_cstr(writer, "type", "unaryExpr");
        return;
    case QUERY_NODE_BINARY:
        write_binary(writer, node);
        return;
    case QUERY_NODE_AGGREGATE:
        write_aggregate(writer, node);
        return;
    case QUERY_NODE_CALL:
        write_call(writer, node);
        return;
    }
}

void query_print_json(const struct query_node *node, struct tw_buf *out)
{
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, out);
    tw_json_begin_object(&writer);
    if (!out->overflow)
        write_members(&writer, node);
    tw_json_end_object(&writer);
}
