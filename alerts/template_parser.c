/* SPDX-License-Identifier: Apache-2.0
 *
 * template_parser: recursive descent over the tokens.
 *
 *   list    = { text | "{{" action "}}" }
 *   action  = pipe | if | range | with | template | define | block | break | continue
 *   pipe    = [ $v [, $v] (":=" | "=") ] command { "|" command }
 *   command = operand { space operand }
 *   operand = ( literal | "." | $v | function | "(" pipe ")" ) { .field }
 *
 * Variables are resolved by name here, so that an undefined one is a mistake of the file, not of a
 * night. What stands in a {{define}} sees only "$", as in Go.
 */
#include "config.h"

#include "alerts/template.h"

#include <stdlib.h>
#include <string.h>

#include "alerts/template_lexer.h"
#include "alerts/template_tree.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/number.h"
#include "base/utf8.h"

#define VARIABLES_MAX 256

struct parser {
    struct alert_lexer lexer;
    struct tw_arena *arena;
    struct alert_token token; /* the next one, not yet taken */
    struct alert_template *template;
    struct tw_str variables[VARIABLES_MAX]; /* in scope */
    size_t variable_count;
    unsigned depth, range_depth;
    struct tw_err *err;
};

/* How a list ended. */
enum ending { ENDED_TEXT, ENDED_END, ENDED_ELSE };

static enum tw_code parse_list(struct parser *p, struct alert_node **ret, enum ending *ret_ending);
static enum tw_code parse_pipe(struct parser *p, enum alert_token_kind closer,
                               struct alert_pipe **ret);

#define FAIL(p, where, ...)                                                                        \
    alert_template_error((p)->lexer.text, (where), TW_SYNTAX, (p)->err, __VA_ARGS__)
#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum tw_code try_code_ = (expression);                                                     \
        if (try_code_ != TW_OK)                                                                    \
            return try_code_;                                                                      \
    } while (0)

static enum tw_code advance(struct parser *p)
{
    return alert_lexer_next(&p->lexer, &p->token, p->err);
}

static bool word_is(const struct parser *p, const char *word)
{
    return p->token.kind == ALERT_TOKEN_WORD && tw_str_is(p->token.text, word);
}

static enum tw_code unexpected(struct parser *p, const char *where)
{
    if (p->token.kind == ALERT_TOKEN_END)
        return FAIL(p, p->token.text, "unexpected end of the template in %s", where);
    return FAIL(p, p->token.text, "unexpected %.*s in %s", TW_STR_ARG(p->token.text), where);
}

static enum tw_code expect_right(struct parser *p, const char *where)
{
    if (p->token.kind != ALERT_TOKEN_RIGHT)
        return unexpected(p, where);
    return advance(p);
}

static enum tw_code enter(struct parser *p)
{
    if (++p->depth > ALERT_TEMPLATE_DEPTH_MAX)
        return FAIL(p, p->token.text, "nested more than %d levels deep", ALERT_TEMPLATE_DEPTH_MAX);
    return TW_OK;
}

/* ---- literals ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Digits of an escape behind \x, \u, \U or octal. */
static bool escape_digits(struct tw_str text, size_t *at, size_t count, int base, uint32_t *ret)
{
    uint32_t value = 0;
    for (size_t i = 0; i < count; i++, (*at)++) {
        int digit = *at < text.size ? hex_digit(text.data[*at]) : -1;
        if (digit < 0 || digit >= base)
            return false;
        value = value * (uint32_t)base + (uint32_t)digit;
    }
    *ret = value;
    return true;
}

/* One escape sequence of Go's at text[*at], behind the backslash. */
static bool unescape(struct tw_str text, size_t *at, char quote, char *ret_bytes, size_t *ret_size)
{
    static const char letters[] = "abfnrtv\\", meanings[] = "\a\b\f\n\r\t\v\\";
    if (*at >= text.size)
        return false;
    char c = text.data[*at];
    const char *letter = strchr(letters, c);
    if (c != '\0' && (letter != NULL || c == quote)) {
        ret_bytes[0] = letter != NULL ? meanings[letter - letters] : c;
        *ret_size = 1;
        (*at)++;
        return true;
    }
    uint32_t value = 0;
    bool octal = c >= '0' && c <= '7';
    size_t digits = octal ? 3 : c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0)
        return false;
    *at += octal ? 0 : 1;
    if (!escape_digits(text, at, digits, octal ? 8 : 16, &value))
        return false;
    if (octal || c == 'x') {
        if (value > 255)
            return false;
        ret_bytes[0] = (char)value;
        *ret_size = 1;
        return true;
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
        return false;
    *ret_size = tw_utf8_encode(value, ret_bytes);
    return true;
}

static enum tw_code unquote(struct parser *p, struct tw_str quoted, struct tw_str *ret)
{
    char quote = quoted.data[0];
    struct tw_str text = tw_str_slice(quoted, 1, quoted.size - 1);
    if (quote == '`') {
        *ret = text;
        return TW_OK;
    }
    char *bytes = tw_arena_alloc(p->arena, text.size + 4);
    size_t size = 0;
    for (size_t at = 0; at < text.size;) {
        if (text.data[at] != '\\') {
            bytes[size++] = text.data[at++];
            continue;
        }
        size_t made = 0;
        at++;
        if (!unescape(text, &at, quote, bytes + size, &made))
            return FAIL(p, quoted, "unknown escape sequence in %.*s", TW_STR_ARG(quoted));
        size += made;
    }
    *ret = (struct tw_str){bytes, size};
    return TW_OK;
}

static enum tw_code parse_character(struct parser *p, struct alert_value *ret)
{
    struct tw_str text;
    TRY(unquote(p, p->token.text, &text));
    uint32_t rune = 0;
    size_t size = tw_utf8_decode(text, &rune);
    if (size == 0 || size != text.size)
        return FAIL(p, p->token.text, "malformed character constant: %.*s",
                    TW_STR_ARG(p->token.text));
    *ret = alert_value_int(rune);
    return TW_OK;
}

/* Go's spelling of integers: 12, 0x1F, 0b11, 0o17, 017, with _ between digits. */
static bool parse_integer(struct tw_str text, int64_t *ret)
{
    char digits[72];
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '_')
            continue;
        if (size + 1 >= sizeof digits)
            return false;
        digits[size++] = text.data[i];
    }
    digits[size] = '\0';
    char *start = digits;
    bool negative = *start == '-';
    start += *start == '-' || *start == '+';
    int base = 10;
    if (start[0] == '0' && start[1] != '\0') {
        char letter = (char)(start[1] | 0x20);
        base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
        start += letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1;
    }
    if (hex_digit(*start) < 0)
        return false;
    char *end = NULL;
    unsigned long long value = strtoull(start, &end, base);
    if (*end != '\0' || value > (unsigned long long)INT64_MAX + negative)
        return false;
    *ret = negative ? (int64_t)-value : (int64_t)value;
    return true;
}

static enum tw_code parse_number(struct parser *p, struct alert_value *ret)
{
    struct tw_str text = p->token.text;
    int64_t integer = 0;
    double number = 0;
    char last = text.data[text.size - 1];
    bool hex = text.size > 2 && (text.data[1] == 'x' || text.data[1] == 'X');
    if (last == 'i' && !hex)
        return alert_template_error(p->lexer.text, text, TW_UNSUPPORTED, p->err,
                                    "complex numbers are not supported");
    if (parse_integer(text, &integer)) {
        *ret = alert_value_int(integer);
        return TW_OK;
    }
    /* What looks like an integer but is none: 08, or one too large. */
    bool fraction = false;
    for (size_t i = 0; i < text.size; i++)
        fraction = fraction || strchr(".eEpP", text.data[i]) != NULL;
    if (!fraction)
        return FAIL(p, text, "bad number syntax: \"%.*s\"", TW_STR_ARG(text));
    struct tw_buf plain;
    tw_buf_init(&plain, ALERT_TEMPLATE_BYTES_MAX);
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] != '_')
            tw_buf_append_char(&plain, text.data[i]);
    bool good = tw_double_parse(tw_buf_str(&plain), &number);
    tw_buf_fini(&plain);
    if (!good)
        return FAIL(p, text, "bad number syntax: \"%.*s\"", TW_STR_ARG(text));
    *ret = alert_value_float(number);
    return TW_OK;
}

/* ---- operands ---- */

static bool variable_known(const struct parser *p, struct tw_str name)
{
    for (size_t i = 0; i < p->variable_count; i++)
        if (tw_str_equal(p->variables[i], name))
            return true;
    return false;
}

static enum tw_code declare(struct parser *p, struct tw_str name)
{
    if (p->variable_count >= VARIABLES_MAX)
        return FAIL(p, name, "more than %d variables", VARIABLES_MAX);
    p->variables[p->variable_count++] = name;
    return TW_OK;
}

static enum tw_code parse_word(struct parser *p, struct alert_operand *operand)
{
    struct tw_str word = p->token.text;
    operand->kind = ALERT_OPERAND_LITERAL;
    if (tw_str_is(word, "true") || tw_str_is(word, "false")) {
        operand->literal = alert_value_bool(tw_str_is(word, "true"));
        return TW_OK;
    }
    if (tw_str_is(word, "nil")) {
        operand->literal = (struct alert_value){.kind = ALERT_VALUE_NIL};
        return TW_OK;
    }
    static const char *const keywords[] = {"if",       "else",  "end",   "range",    "with",
                                           "template", "block", "break", "continue", "define"};
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (tw_str_is(word, keywords[i]))
            return unexpected(p, "operand");
    operand->kind = ALERT_OPERAND_FUNCTION;
    operand->function = alert_function_find(word);
    if (operand->function != NULL)
        return TW_OK;
    if (alert_function_is_unsupported(word))
        return alert_template_error(p->lexer.text, word, TW_UNSUPPORTED, p->err,
                                    "function \"%.*s\" is not supported yet", TW_STR_ARG(word));
    return FAIL(p, word, "function \"%.*s\" not defined", TW_STR_ARG(word));
}

/* Fields of what toTime and toDuration give are methods in Go; those we lack are named now. */
static enum tw_code check_method(struct parser *p, const struct alert_operand *operand)
{
    if (operand->kind != ALERT_OPERAND_PIPE)
        return TW_OK;
    const struct alert_command *last = operand->pipe->commands;
    while (last->next != NULL)
        last = last->next;
    const struct alert_function *function = last->operands->function;
    bool time = function != NULL && (strcmp(function->name, "toTime") == 0 ||
                                     strcmp(function->name, "toDuration") == 0);
    if (!time || alert_time_field_known(operand->fields[0]))
        return TW_OK;
    return alert_template_error(p->lexer.text, operand->fields[0], TW_UNSUPPORTED, p->err,
                                "method %.*s of a time is not supported yet",
                                TW_STR_ARG(operand->fields[0]));
}

static enum tw_code parse_fields(struct parser *p, struct alert_operand *operand)
{
    while (p->token.kind == ALERT_TOKEN_FIELD && !p->token.after_space) {
        if (operand->kind == ALERT_OPERAND_LITERAL || operand->kind == ALERT_OPERAND_FUNCTION)
            return FAIL(p, p->token.text, "unexpected . after term \"%.*s\"",
                        TW_STR_ARG(operand->source));
        operand->fields =
            tw_arena_grow(p->arena, operand->fields, operand->field_count * sizeof *operand->fields,
                          (operand->field_count + 1) * sizeof *operand->fields);
        operand->fields[operand->field_count++] =
            tw_str_slice(p->token.text, 1, p->token.text.size);
        TRY(advance(p));
    }
    return operand->field_count > 0 ? check_method(p, operand) : TW_OK;
}

static enum tw_code parse_term(struct parser *p, struct alert_operand *operand)
{
    switch (p->token.kind) {
    case ALERT_TOKEN_DOT:
        operand->kind = ALERT_OPERAND_DOT;
        return advance(p);
    case ALERT_TOKEN_FIELD: /* parse_fields takes it as the first of dot */
        operand->kind = ALERT_OPERAND_DOT;
        p->token.after_space = false;
        return TW_OK;
    case ALERT_TOKEN_VARIABLE:
        if (!variable_known(p, p->token.text))
            return FAIL(p, p->token.text, "undefined variable \"%.*s\"", TW_STR_ARG(p->token.text));
        operand->kind = ALERT_OPERAND_VARIABLE;
        operand->name = p->token.text;
        return advance(p);
    case ALERT_TOKEN_WORD:
        TRY(parse_word(p, operand));
        return advance(p);
    case ALERT_TOKEN_NUMBER:
        TRY(parse_number(p, &operand->literal));
        return advance(p);
    case ALERT_TOKEN_CHARACTER:
        TRY(parse_character(p, &operand->literal));
        return advance(p);
    case ALERT_TOKEN_STRING:
    case ALERT_TOKEN_RAW_STRING:
        operand->literal.kind = ALERT_VALUE_STRING;
        TRY(unquote(p, p->token.text, &operand->literal.string));
        return advance(p);
    case ALERT_TOKEN_OPEN:
        operand->kind = ALERT_OPERAND_PIPE;
        TRY(enter(p));
        TRY(advance(p));
        TRY(parse_pipe(p, ALERT_TOKEN_CLOSE, &operand->pipe));
        p->depth--;
        return advance(p);
    default:
        return unexpected(p, "operand");
    }
}

static enum tw_code parse_operand(struct parser *p, struct alert_operand **ret)
{
    struct alert_operand *operand = TW_ARENA_NEW(p->arena, struct alert_operand);
    operand->kind = ALERT_OPERAND_LITERAL;
    const char *start = p->token.text.data;
    operand->source = p->token.text;
    TRY(parse_term(p, operand));
    TRY(parse_fields(p, operand));
    const char *end = p->token.text.data;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\n' || end[-1] == '\r'))
        end--;
    operand->source = (struct tw_str){start, (size_t)(end - start)};
    *ret = operand;
    return TW_OK;
}

static enum tw_code parse_command(struct parser *p, struct alert_command **ret)
{
    struct alert_command *command = TW_ARENA_NEW(p->arena, struct alert_command);
    struct alert_operand **tail = &command->operands;
    for (;;) {
        TRY(parse_operand(p, tail));
        command->count++;
        bool ends = p->token.kind == ALERT_TOKEN_RIGHT || p->token.kind == ALERT_TOKEN_CLOSE ||
                    p->token.kind == ALERT_TOKEN_PIPE;
        if (ends)
            break;
        if (!p->token.after_space)
            return unexpected(p, "operand");
        tail = &(*tail)->next;
    }
    const struct alert_operand *first = command->operands, *last = first;
    while (last->next != NULL)
        last = last->next;
    command->source = (struct tw_str){
        first->source.data, (size_t)(last->source.data + last->source.size - first->source.data)};
    *ret = command;
    return TW_OK;
}

/* `$v :=`, `$v =`, `$i, $v :=` if they stand here. The lexer is tried and set back. */
static enum tw_code parse_declaration(struct parser *p, bool two, struct alert_pipe *pipe)
{
    if (p->token.kind != ALERT_TOKEN_VARIABLE)
        return TW_OK;
    struct alert_lexer lexer = p->lexer;
    struct alert_token first = p->token, second = {0};
    TRY(advance(p));
    if (p->token.kind == ALERT_TOKEN_COMMA) {
        TRY(advance(p));
        second = p->token;
        if (!two || second.kind != ALERT_TOKEN_VARIABLE)
            return unexpected(p, "declaration (only range takes two variables)");
        TRY(advance(p));
    }
    if (p->token.kind != ALERT_TOKEN_DECLARE && p->token.kind != ALERT_TOKEN_ASSIGN) {
        if (second.kind == ALERT_TOKEN_VARIABLE)
            return unexpected(p, "range declaration");
        p->lexer = lexer;
        p->token = first;
        return TW_OK;
    }
    pipe->assigns = p->token.kind == ALERT_TOKEN_ASSIGN;
    pipe->variables[pipe->variable_count++] = first.text;
    if (second.kind == ALERT_TOKEN_VARIABLE)
        pipe->variables[pipe->variable_count++] = second.text;
    for (size_t i = 0; i < pipe->variable_count && pipe->assigns; i++)
        if (!variable_known(p, pipe->variables[i]))
            return FAIL(p, pipe->variables[i], "undefined variable \"%.*s\"",
                        TW_STR_ARG(pipe->variables[i]));
    return advance(p);
}

/* A later command must be a function or something that takes the piped value. */
static enum tw_code check_stages(struct parser *p, const struct alert_pipe *pipe)
{
    for (const struct alert_command *c = pipe->commands->next; c != NULL; c = c->next)
        if (c->operands->kind == ALERT_OPERAND_LITERAL || c->operands->kind == ALERT_OPERAND_DOT)
            if (c->operands->field_count == 0)
                return FAIL(p, c->operands->source, "non executable command in pipeline");
    return TW_OK;
}

/* Stands behind the pipe, at the closer. */
static enum tw_code parse_pipe_within(struct parser *p, enum alert_token_kind closer, bool two,
                                      struct alert_pipe **ret)
{
    struct alert_pipe *pipe = TW_ARENA_NEW(p->arena, struct alert_pipe);
    TRY(parse_declaration(p, two, pipe));
    if (p->token.kind == closer)
        return FAIL(p, p->token.text, "missing value for %s",
                    closer == ALERT_TOKEN_CLOSE ? "parenthesized pipeline" : "command");
    struct alert_command **tail = &pipe->commands;
    for (;;) {
        TRY(parse_command(p, tail));
        if (p->token.kind != ALERT_TOKEN_PIPE)
            break;
        TRY(advance(p));
        tail = &(*tail)->next;
    }
    if (p->token.kind != closer)
        return unexpected(p, closer == ALERT_TOKEN_CLOSE ? "parenthesis" : "command");
    TRY(check_stages(p, pipe));
    for (size_t i = 0; i < pipe->variable_count && !pipe->assigns; i++)
        TRY(declare(p, pipe->variables[i]));
    *ret = pipe;
    return TW_OK;
}

static enum tw_code parse_pipe(struct parser *p, enum alert_token_kind closer,
                               struct alert_pipe **ret)
{
    return parse_pipe_within(p, closer, false, ret);
}

/* ---- blocks ---- */

static enum tw_code parse_body(struct parser *p, struct alert_node **ret, enum ending *ret_ending)
{
    const struct alert_token start = p->token;
    TRY(enter(p));
    TRY(parse_list(p, ret, ret_ending));
    p->depth--;
    if (*ret_ending == ENDED_TEXT)
        return FAIL(p, start.text, "unexpected end of the template: {{end}} is missing");
    return TW_OK;
}

static enum tw_code parse_control(struct parser *p, enum alert_node_kind kind,
                                  struct alert_node **ret);

/* Behind "else": a nested `if` or `with` shares its {{end}} with the outer one. */
static enum tw_code parse_else(struct parser *p, struct alert_node *node)
{
    if (word_is(p, "if") || word_is(p, "with")) {
        bool is_if = word_is(p, "if");
        if ((node->kind == ALERT_NODE_IF) != is_if || node->kind == ALERT_NODE_RANGE)
            return unexpected(p, "{{else}}");
        TRY(advance(p));
        return parse_control(p, node->kind, &node->otherwise);
    }
    TRY(expect_right(p, "{{else}}"));
    enum ending ending = ENDED_TEXT;
    TRY(parse_body(p, &node->otherwise, &ending));
    if (ending == ENDED_ELSE)
        return FAIL(p, p->token.text, "expected {{end}}; found a second {{else}}");
    return expect_right(p, "{{end}}");
}

/* Behind the keyword; takes everything up to and with {{end}}. */
static enum tw_code parse_control(struct parser *p, enum alert_node_kind kind,
                                  struct alert_node **ret)
{
    struct alert_node *node = TW_ARENA_NEW(p->arena, struct alert_node);
    size_t variable_count = p->variable_count;
    node->kind = kind;
    TRY(enter(p));
    TRY(parse_pipe_within(p, ALERT_TOKEN_RIGHT, kind == ALERT_NODE_RANGE, &node->pipe));
    TRY(advance(p));
    enum ending ending = ENDED_TEXT;
    p->range_depth += kind == ALERT_NODE_RANGE;
    TRY(parse_body(p, &node->body, &ending));
    p->range_depth -= kind == ALERT_NODE_RANGE;
    if (ending == ENDED_ELSE)
        TRY(parse_else(p, node));
    else
        TRY(expect_right(p, "{{end}}"));
    p->depth--;
    p->variable_count = variable_count;
    *ret = node;
    return TW_OK;
}

static enum tw_code parse_name(struct parser *p, const char *what, struct tw_str *ret)
{
    if (p->token.kind != ALERT_TOKEN_STRING && p->token.kind != ALERT_TOKEN_RAW_STRING)
        return unexpected(p, what);
    TRY(unquote(p, p->token.text, ret));
    return advance(p);
}

/* {{define "name"}} or {{block "name" pipe}}, behind the name and its "}}". */
static enum tw_code parse_definition(struct parser *p, struct tw_str name)
{
    struct alert_definition *definition = TW_ARENA_NEW(p->arena, struct alert_definition);
    struct tw_str outer[VARIABLES_MAX];
    size_t outer_count = p->variable_count;
    unsigned outer_ranges = p->range_depth;
    memcpy(outer, p->variables, outer_count * sizeof *outer);
    p->variables[0] = TW_STR("$");
    p->variable_count = 1;
    p->range_depth = 0;
    definition->name = name;
    enum ending ending = ENDED_TEXT;
    TRY(parse_body(p, &definition->body, &ending));
    if (ending != ENDED_END)
        return FAIL(p, p->token.text, "unexpected {{else}} in definition");
    memcpy(p->variables, outer, outer_count * sizeof *outer);
    p->variable_count = outer_count;
    p->range_depth = outer_ranges;
    /* In front: a later definition of the same name wins. */
    definition->next = p->template->definitions;
    p->template->definitions = definition;
    return expect_right(p, "{{end}}");
}

static enum tw_code parse_template_call(struct parser *p, bool block, struct alert_node **ret)
{
    struct alert_node *node = TW_ARENA_NEW(p->arena, struct alert_node);
    node->kind = ALERT_NODE_TEMPLATE;
    TRY(parse_name(p, block ? "block clause" : "template clause", &node->text));
    if (p->token.kind != ALERT_TOKEN_RIGHT)
        TRY(parse_pipe(p, ALERT_TOKEN_RIGHT, &node->pipe));
    else if (block)
        return FAIL(p, p->token.text, "missing value for block clause");
    TRY(advance(p));
    *ret = node;
    return block ? parse_definition(p, node->text) : TW_OK;
}

static enum tw_code parse_jump(struct parser *p, enum alert_node_kind kind, struct alert_node **ret)
{
    if (p->range_depth == 0)
        return FAIL(p, p->token.text, "{{%.*s}} outside {{range}}", TW_STR_ARG(p->token.text));
    TRY(advance(p));
    struct alert_node *node = TW_ARENA_NEW(p->arena, struct alert_node);
    node->kind = kind;
    *ret = node;
    return expect_right(p, "{{break}} or {{continue}}");
}

static enum tw_code parse_define(struct parser *p)
{
    struct tw_str name;
    if (p->depth > 0)
        return FAIL(p, p->token.text, "unexpected {{define}} inside a block");
    TRY(advance(p));
    TRY(parse_name(p, "define clause", &name));
    TRY(expect_right(p, "define clause"));
    return parse_definition(p, name);
}

/* Behind "{{"; *ret stays NULL for a definition. */
static enum tw_code parse_action(struct parser *p, struct alert_node **ret)
{
    static const struct {
        const char *word;
        enum alert_node_kind kind;
    } controls[] = {{"if", ALERT_NODE_IF}, {"range", ALERT_NODE_RANGE}, {"with", ALERT_NODE_WITH}};
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        if (!word_is(p, controls[i].word))
            continue;
        TRY(advance(p));
        return parse_control(p, controls[i].kind, ret);
    }
    if (word_is(p, "define"))
        return parse_define(p);
    if (word_is(p, "break"))
        return parse_jump(p, ALERT_NODE_BREAK, ret);
    if (word_is(p, "continue"))
        return parse_jump(p, ALERT_NODE_CONTINUE, ret);
    if (word_is(p, "template") || word_is(p, "block")) {
        bool block = word_is(p, "block");
        TRY(advance(p));
        return parse_template_call(p, block, ret);
    }
    struct alert_node *node = TW_ARENA_NEW(p->arena, struct alert_node);
    node->kind = ALERT_NODE_ACTION;
    TRY(parse_pipe(p, ALERT_TOKEN_RIGHT, &node->pipe));
    *ret = node;
    return advance(p);
}

/* Ends behind the words "end" or "else" (at what follows them) or at the end of the text. */
static enum tw_code parse_list(struct parser *p, struct alert_node **ret, enum ending *ret_ending)
{
    struct alert_node *first = NULL, **tail = &first;
    for (;;) {
        if (p->token.kind == ALERT_TOKEN_END) {
            *ret_ending = ENDED_TEXT;
            break;
        }
        struct alert_node *node = NULL;
        if (p->token.kind == ALERT_TOKEN_TEXT) {
            node = TW_ARENA_NEW(p->arena, struct alert_node);
            node->kind = ALERT_NODE_TEXT;
            node->text = p->token.text;
            TRY(advance(p));
        } else {
            TW_ASSERT(p->token.kind == ALERT_TOKEN_LEFT);
            TRY(advance(p));
            if (word_is(p, "end") || word_is(p, "else")) {
                *ret_ending = word_is(p, "end") ? ENDED_END : ENDED_ELSE;
                if (p->depth == 0)
                    return FAIL(p, p->token.text, "unexpected {{%.*s}}", TW_STR_ARG(p->token.text));
                TRY(advance(p));
                break;
            }
            TRY(parse_action(p, &node));
        }
        if (node == NULL)
            continue;
        *tail = node;
        tail = &node->next;
    }
    *ret = first;
    return TW_OK;
}

enum tw_code alert_template_parse(struct tw_arena *arena, struct tw_str text,
                                  struct alert_template **ret_template, struct tw_err *err)
{
    if (text.size > ALERT_TEMPLATE_BYTES_MAX)
        return tw_err_set(err, TW_LIMIT, "template is larger than %d bytes",
                          ALERT_TEMPLATE_BYTES_MAX);
    struct alert_template *template = TW_ARENA_NEW(arena, struct alert_template);
    struct parser p = {.arena = arena,
                       .template = template,
                       .variables = {TW_STR("$"), TW_STR("$labels"), TW_STR("$externalLabels"),
                                     TW_STR("$externalURL"), TW_STR("$value")},
                       .variable_count = 5,
                       .err = err};
    /* An empty text needs a place, so that errors can point into it. */
    template->text = text.data == NULL ? TW_STR("") : text;
    alert_lexer_init(&p.lexer, template->text);
    enum ending ending = ENDED_TEXT;
    TRY(advance(&p));
    TRY(parse_list(&p, &template->body, &ending));
    TW_ASSERT(ending == ENDED_TEXT && p.depth == 0);
    *ret_template = template;
    return TW_OK;
}
