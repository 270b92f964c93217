/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/printer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/utf8.h"
#include "query/printer_int.h"
#include "wire/labels.h"

/* ---- names, strings, numbers ---- */
static void print_quoted(struct tw_buf *out, struct tw_str s)
{
    static const char plain[] = "\a\b\f\n\r\t\v\"\\", letters[] = "abfnrtv\"\\";
    tw_buf_append_char(out, '"');
    for (size_t at = 0; at < s.size;) {
        uint32_t code;
        size_t size = tw_utf8_decode(tw_str_slice(s, at, s.size), &code);
        const char *found = s.data[at] ? strchr(plain, s.data[at]) : NULL;
        if (found)
            tw_buf_appendf(out, "\\%c", letters[found - plain]);
        else if (code < 0x20 || code == 0x7f || (code == 0xfffd && size == 1))
            tw_buf_appendf(out, "\\x%02x", (unsigned)(unsigned char)s.data[at]);
        else if ((code >= 0x80 && code < 0xa1) || code == 0x2028 || code == 0x2029 ||
                 code == 0xfeff)
            tw_buf_appendf(out, "\\u%04x", (unsigned)code);
        else
            tw_buf_append(out, s.data + at, size);
        at += size;
    }
    tw_buf_append_char(out, '"');
}

/* What may stand without quotes. */
static bool is_plain_name(struct tw_str name, bool colons)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(i > 0 && c >= '0' && c <= '9') && !(colons && c == ':'))
            return false;
    }
    return name.size > 0;
}

static void print_label_name(struct tw_buf *out, struct tw_str name)
{
    if (is_plain_name(name, false))
        tw_buf_append_str(out, name);
    else
        print_quoted(out, name);
}

static void print_names(struct tw_buf *out, const struct query_names *names)
{
    tw_buf_append_char(out, '(');
    for (size_t i = 0; i < names->count; i++) {
        tw_buf_append_cstr(out, i ? ", " : "");
        print_label_name(out, names->items[i]);
    }
    tw_buf_append_char(out, ')');
}

static void print_duration(struct tw_buf *out, int64_t ms)
{
    char text[TW_DURATION_BYTES];
    tw_duration_format(ms < 0 ? -ms : ms, text);
    tw_buf_append_cstr(out, ms < 0 ? "-" : "");
    tw_buf_append_cstr(out, text);
}

static void print_number(struct tw_buf *out, double number, bool as_time)
{
    char text[TW_DOUBLE_BYTES];
    if (as_time) {
        print_duration(out, (int64_t)(number * 1000 + (number < 0 ? -0.5 : 0.5)));
        return;
    }
    tw_double_format_fixed(number, text);
    tw_buf_append_cstr(out, text);
}

static void print_expression(struct tw_buf *out, const struct query_duration *expression)
{
    static const char *const words[] = {
        [QUERY_DURATION_STEP] = "step()", [QUERY_DURATION_RANGE] = "range()",
        [QUERY_DURATION_MIN] = "min_of(", [QUERY_DURATION_MAX] = "max_of(",
        [QUERY_DURATION_ADD] = " + ",     [QUERY_DURATION_SUB] = " - ",
        [QUERY_DURATION_MUL] = " * ",     [QUERY_DURATION_DIV] = " / ",
        [QUERY_DURATION_MOD] = " % ",     [QUERY_DURATION_POW] = " ^ ",
        [QUERY_DURATION_PLUS] = "+",      [QUERY_DURATION_NEGATE] = "-",
    };
    if (expression->wrapped)
        tw_buf_append_char(out, '(');
    switch (expression->op) {
    case QUERY_DURATION_LITERAL:
        print_number(out, expression->seconds, expression->written_as_time);
        break;
    case QUERY_DURATION_STEP:
    case QUERY_DURATION_RANGE:
        tw_buf_append_cstr(out, words[expression->op]);
        break;
    case QUERY_DURATION_MIN:
    case QUERY_DURATION_MAX:
        tw_buf_append_cstr(out, words[expression->op]);
        print_expression(out, expression->left);
        tw_buf_append_cstr(out, ", ");
        print_expression(out, expression->right);
        tw_buf_append_char(out, ')');
        break;
    case QUERY_DURATION_PLUS:
    case QUERY_DURATION_NEGATE:
        tw_buf_append_cstr(out, words[expression->op]);
        print_expression(out, expression->left);
        break;
    default:
        print_expression(out, expression->left);
        tw_buf_append_cstr(out, words[expression->op]);
        print_expression(out, expression->right);
        break;
    }
    if (expression->wrapped)
        tw_buf_append_char(out, ')');
}

static void print_duration_of(struct tw_buf *out, int64_t ms,
                              const struct query_duration *expression)
{
    if (expression)
        print_expression(out, expression);
    else
        print_duration(out, ms);
}

/* ---- selectors ---- */
static int compare_texts(const void *left, const void *right)
{
    return tw_str_compare(*(const struct tw_str *)left, *(const struct tw_str *)right);
}

static void print_matchers(struct tw_buf *out, const struct query_node *node)
{
    size_t count = node->selector.matcher_count, kept = 0;
    struct tw_buf all;
    size_t *limits = calloc(count + 1, sizeof *limits);
    struct tw_str *texts = calloc(count + 1, sizeof *texts);
    TW_ASSERT(limits != NULL && texts != NULL);
    tw_buf_init(&all, out->size_max);
    bool named = node->selector.name.size > 0 && !node->selector.name_quoted;
    for (size_t i = 0; i < count; i++) {
        const struct tsdb_matcher *matcher = &node->selector.matchers[i];
        if (named && matcher->op == TSDB_MATCH_EQUAL &&
            tw_str_is(matcher->name, WIRE_METRIC_NAME) &&
            tw_str_equal(matcher->value, node->selector.name))
            continue;
        print_label_name(&all, matcher->name);
        tw_buf_append_cstr(&all, query_match_op_text(matcher->op));
        print_quoted(&all, matcher->value);
        limits[++kept] = all.size;
    }
    for (size_t i = 0; i < kept; i++)
        texts[i] = tw_str_slice(tw_buf_str(&all), limits[i], limits[i + 1]);
    qsort(texts, kept, sizeof *texts, compare_texts);
    for (size_t i = 0; i < kept; i++) {
        tw_buf_append_char(out, i ? ',' : '{');
        tw_buf_append_str(out, texts[i]);
    }
    if (kept > 0)
        tw_buf_append_char(out, '}');
    out->overflow = out->overflow || all.overflow;
    tw_buf_fini(&all);
    free(limits);
    free(texts);
}

static void print_modifiers(struct tw_buf *out, const struct query_modifiers *modifiers)
{
    int64_t at_ms = modifiers->at_ms < 0 ? -modifiers->at_ms : modifiers->at_ms;
    if (modifiers->at == QUERY_AT_TIME)
        tw_buf_appendf(out, " @ %s%" PRId64 ".%03" PRId64, modifiers->at_ms < 0 ? "-" : "",
                       at_ms / 1000, at_ms % 1000);
    else if (modifiers->at != QUERY_AT_NONE)
        tw_buf_append_cstr(out, modifiers->at == QUERY_AT_START ? " @ start()" : " @ end()");
    if (modifiers->offset_expression || modifiers->offset_ms != 0) {
        tw_buf_append_cstr(out, " offset ");
        print_duration_of(out, modifiers->offset_ms, modifiers->offset_expression);
    }
}

/* range: NULL for an instant selector. */
static void print_selector(struct tw_buf *out, const struct query_node *node,
                           const struct query_node *range)
{
    static const char *const extensions[] = {"", " anchored", " smoothed"};
    if (!node->selector.name_quoted)
        tw_buf_append_str(out, node->selector.name);
    print_matchers(out, node);
    if (node->selector.matcher_count == 0)
        tw_buf_append_cstr(out, "{}");
    if (range) {
        tw_buf_append_char(out, '[');
        print_duration_of(out, range->matrix.range_ms, range->matrix.range_expression);
        tw_buf_append_char(out, ']');
    }
    tw_buf_append_cstr(out, extensions[node->selector.extension]);
    print_modifiers(out, &node->selector.modifiers);
}

static void print_subquery_suffix(struct tw_buf *out, const struct query_node *node)
{
    tw_buf_append_char(out, '[');
    print_duration_of(out, node->subquery.range_ms, node->subquery.range_expression);
    tw_buf_append_char(out, ':');
    if (node->subquery.step_ms > 0 || node->subquery.step_expression)
        print_duration_of(out, node->subquery.step_ms, node->subquery.step_expression);
    tw_buf_append_char(out, ']');
    print_modifiers(out, &node->subquery.modifiers);
}

/* ---- operators ---- */
/* "sum by (job) ": what stands before the parenthesis. */
static void print_aggregate_head(struct tw_buf *out, const struct query_node *node)
{
    const struct query_names *names = &node->aggregate.grouping;
    tw_buf_append_cstr(out, query_token_spelling(node->aggregate.op));
    if (!node->aggregate.without && names->count == 0)
        return;
    tw_buf_append_cstr(out, node->aggregate.without ? " without " : " by ");
    print_names(out, names);
    tw_buf_append_char(out, ' ');
}

static void print_fill(struct tw_buf *out, const char *word, double value)
{
    tw_buf_appendf(out, " %s (", word);
    print_number(out, value, false);
    tw_buf_append_char(out, ')');
}

/* "> bool on (job) group_left () fill (0)" */
static void print_operator(struct tw_buf *out, const struct query_node *node)
{
    const struct query_matching *matching = &node->binary.matching;
    tw_buf_append_cstr(out, query_token_spelling(node->binary.op));
    tw_buf_append_cstr(out, node->binary.return_bool ? " bool" : "");
    bool groups = matching->card == QUERY_MANY_TO_ONE || matching->card == QUERY_ONE_TO_MANY;
    if (matching->labels.count > 0 || matching->on || (matching->given && groups)) {
        tw_buf_append_cstr(out, matching->on ? " on " : " ignoring ");
        print_names(out, &matching->labels);
    }
    if (groups) {
        tw_buf_append_cstr(out,
                           matching->card == QUERY_MANY_TO_ONE ? " group_left " : " group_right ");
        print_names(out, &matching->include);
    }
    bool same = matching->fills_left && matching->fills_right &&
                tw_double_bits(matching->fill_left) == tw_double_bits(matching->fill_right);
    if (same) {
        print_fill(out, "fill", matching->fill_left);
        return;
    }
    if (matching->fills_left)
        print_fill(out, "fill_left", matching->fill_left);
    if (matching->fills_right)
        print_fill(out, "fill_right", matching->fill_right);
}

static void print_call(struct tw_buf *out, const struct query_node *node)
{
    tw_buf_append_cstr(out, node->call.function->name);
    tw_buf_append_char(out, '(');
    for (size_t i = 0; i < node->call.count; i++) {
        tw_buf_append_cstr(out, i ? ", " : "");
        query_print(node->call.arguments[i], out);
    }
    tw_buf_append_char(out, ')');
}

static void print_aggregate(struct tw_buf *out, const struct query_node *node)
{
    print_aggregate_head(out, node);
    tw_buf_append_char(out, '(');
    if (node->aggregate.parameter) {
        query_print(node->aggregate.parameter, out);
        tw_buf_append_cstr(out, ", ");
    }
    query_print(node->aggregate.inner, out);
    tw_buf_append_char(out, ')');
}

void query_print(const struct query_node *node, struct tw_buf *out)
{
    if (out->overflow) /* whoever measures stops here */
        return;
    switch (node->type) {
    case QUERY_NODE_NUMBER:
        print_number(out, node->number, node->written_as_time);
        return;
    case QUERY_NODE_STRING:
        print_quoted(out, node->string);
        return;
    case QUERY_NODE_SELECTOR:
        print_selector(out, node, NULL);
        return;
    case QUERY_NODE_MATRIX:
        print_selector(out, node->matrix.selector, node);
        return;
    case QUERY_NODE_SUBQUERY:
        query_print(node->subquery.inner, out);
        print_subquery_suffix(out, node);
        return;
    case QUERY_NODE_PAREN:
        tw_buf_append_char(out, '(');
        query_print(node->paren, out);
        tw_buf_append_char(out, ')');
        return;
    case QUERY_NODE_UNARY:
        tw_buf_append_char(out, node->unary.negative ? '-' : '+');
        query_print(node->unary.inner, out);
        return;
    case QUERY_NODE_BINARY:
        query_print(node->binary.left, out);
        tw_buf_append_char(out, ' ');
        print_operator(out, node);
        tw_buf_append_char(out, ' ');
        query_print(node->binary.right, out);
        return;
    case QUERY_NODE_AGGREGATE:
        print_aggregate(out, node);
        return;
    case QUERY_NODE_CALL:
        print_call(out, node);
        return;
    }
}

/* ---- lines ---- */
static bool needs_lines(const struct query_node *node)
{
    struct tw_buf line;
    tw_buf_init(&line, QUERY_PRINT_LINE_BYTES);
    query_print(node, &line);
    bool overflow = line.overflow;
    tw_buf_fini(&line);
    return overflow;
}

static void indent(struct tw_buf *out, unsigned level)
{
    for (unsigned i = 0; i < level && !out->overflow; i++)
        tw_buf_append_cstr(out, "  ");
}

static void print_lines(const struct query_node *node, struct tw_buf *out, unsigned level,
                        bool indented);

/* "(", the parts one level deeper, ")" */
static void print_parts(struct query_node *const *parts, size_t count, struct tw_buf *out,
                        unsigned level)
{
    tw_buf_append_cstr(out, "(\n");
    for (size_t i = 0; i < count; i++) {
        print_lines(parts[i], out, level + 1, true);
        tw_buf_append_cstr(out, i + 1 < count ? ",\n" : "\n");
    }
    indent(out, level);
    tw_buf_append_char(out, ')');
}

static void print_aggregate_lines(const struct query_node *node, struct tw_buf *out, unsigned level)
{
    struct query_node *parts[2] = {node->aggregate.parameter, node->aggregate.inner};
    print_aggregate_head(out, node);
    bool parameter = parts[0] != NULL;
    print_parts(parameter ? parts : parts + 1, parameter ? 2 : 1, out, level);
}

static void print_binary_lines(const struct query_node *node, struct tw_buf *out, unsigned level)
{
    print_lines(node->binary.left, out, level + 1, true);
    tw_buf_append_char(out, '\n');
    indent(out, level);
    print_operator(out, node);
    tw_buf_append_char(out, '\n');
    print_lines(node->binary.right, out, level + 1, true);
}

/* indented: the first line is to be; else it goes on where the line is. */
static void print_lines(const struct query_node *node, struct tw_buf *out, unsigned level,
                        bool indented)
{
    bool one_line = node->type == QUERY_NODE_NUMBER || node->type == QUERY_NODE_STRING ||
                    node->type == QUERY_NODE_SELECTOR || node->type == QUERY_NODE_MATRIX;
    if (out->overflow)
        return;
    one_line = one_line || !needs_lines(node);
    bool own_indent = one_line || (node->type != QUERY_NODE_SUBQUERY &&
                                   (node->type != QUERY_NODE_BINARY || !indented));
    if (indented && own_indent && node->type != QUERY_NODE_BINARY)
        indent(out, level);
    else if (indented && one_line)
        indent(out, level);
    if (one_line) {
        query_print(node, out);
        return;
    }
    switch (node->type) {
    case QUERY_NODE_SUBQUERY:
        print_lines(node->subquery.inner, out, level, indented);
        print_subquery_suffix(out, node);
        return;
    case QUERY_NODE_PAREN:
        print_parts(&(struct query_node *){node->paren}, 1, out, level);
        return;
    case QUERY_NODE_UNARY:
        tw_buf_append_char(out, node->unary.negative ? '-' : '+');
        print_lines(node->unary.inner, out, level, false);
        return;
    case QUERY_NODE_BINARY:
        print_binary_lines(node, out, level);
        return;
    case QUERY_NODE_AGGREGATE:
        print_aggregate_lines(node, out, level);
        return;
    case QUERY_NODE_CALL:
        tw_buf_append_cstr(out, node->call.function->name);
        print_parts(node->call.arguments, node->call.count, out, level);
        return;
    default:
        TW_UNREACHABLE("leaves stand on one line");
    }
}

void query_print_pretty(const struct query_node *node, struct tw_buf *out)
{
    print_lines(node, out, 0, true);
}
