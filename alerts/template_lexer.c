/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/template_lexer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

void alert_lexer_init(struct alert_lexer *lexer, struct tw_str text)
{
    *lexer = (struct alert_lexer){.text = text};
}

enum tw_code alert_template_error(struct tw_str text, struct tw_str where, enum tw_code code,
                                  struct tw_err *err, const char *format, ...)
{
    char message[TW_ERR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    tw_err_set(err, code, "%s", message);
    if (err == NULL)
        return code;
    TW_ASSERT(where.data >= text.data && where.data <= text.data + text.size);
    size_t offset = (size_t)(where.data - text.data), line_start = 0;
    uint32_t line = 1;
    for (size_t i = 0; i < offset; i++) {
        if (text.data[i] != '\n')
            continue;
        line++;
        line_start = i + 1;
    }
    err->line = line;
    err->column = (uint32_t)(offset - line_start + 1);
    err->start = (uint32_t)offset;
    err->end = (uint32_t)(offset + (where.size > 0 ? where.size : 1));
    return code;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static struct tw_str rest(const struct alert_lexer *lexer)
{
    return tw_str_slice(lexer->text, lexer->at, lexer->text.size);
}

static char peek(const struct alert_lexer *lexer, size_t ahead)
{
    size_t at = lexer->at + ahead;
    return at < lexer->text.size ? lexer->text.data[at] : '\0';
}

/* "{{-" and a space, "{{- " being the marker and "{{-3" a number. */
static bool trims_left(const struct alert_lexer *lexer)
{
    return peek(lexer, 2) == '-' && is_space(peek(lexer, 3));
}

static bool at_right(const struct alert_lexer *lexer, size_t *ret_size, bool *ret_trims)
{
    struct tw_str text = rest(lexer);
    if (tw_str_starts(text, TW_STR("}}"))) {
        *ret_size = 2;
        *ret_trims = false;
        return true;
    }
    if (text.size >= 4 && is_space(text.data[0]) &&
        tw_str_starts(tw_str_slice(text, 1, 4), TW_STR("-}}"))) {
        *ret_size = 4;
        *ret_trims = true;
        return true;
    }
    return false;
}

/* At "{{", which a comment follows: moves behind it. */
static enum tw_code skip_comment(struct alert_lexer *lexer, size_t start, struct tw_err *err)
{
    struct tw_str comment = tw_str_slice(lexer->text, start, lexer->text.size);
    size_t end = tw_str_find(comment, TW_STR("*/"));
    if (end == SIZE_MAX)
        return alert_template_error(lexer->text, tw_str_slice(comment, 0, 2), TW_SYNTAX, err,
                                    "unclosed comment");
    lexer->at = start + end + 2;
    size_t size = 0;
    bool trims = false;
    if (!at_right(lexer, &size, &trims))
        return alert_template_error(lexer->text, tw_str_slice(comment, 0, 2), TW_SYNTAX, err,
                                    "comment ends before closing delimiter");
    lexer->at += size;
    lexer->trim_next = trims;
    return TW_OK;
}

/* Text up to the next action, and past the comments that follow it. False when there is none. */
static enum tw_code next_text(struct alert_lexer *lexer, struct alert_token *ret, bool *ret_found,
                              struct tw_err *err)
{
    struct tw_str text = rest(lexer);
    size_t size = tw_str_find(text, TW_STR("{{"));
    bool action = size != SIZE_MAX;
    text = tw_str_slice(text, 0, action ? size : text.size);
    lexer->at += text.size;
    if (lexer->trim_next)
        while (text.size > 0 && is_space(text.data[0]))
            text = tw_str_slice(text, 1, text.size);
    lexer->trim_next = false;
    if (action && trims_left(lexer))
        while (text.size > 0 && is_space(text.data[text.size - 1]))
            text.size--;
    if (action) {
        size_t start = lexer->at + 2 + (trims_left(lexer) ? 2 : 0);
        if (tw_str_starts(tw_str_slice(lexer->text, start, lexer->text.size), TW_STR("/*"))) {
            enum tw_code code = skip_comment(lexer, start, err);
            if (code != TW_OK)
                return code;
        }
    }
    *ret = (struct alert_token){.kind = ALERT_TOKEN_TEXT, .text = text};
    *ret_found = text.size > 0;
    return TW_OK;
}

static enum tw_code outside(struct alert_lexer *lexer, struct alert_token *ret, struct tw_err *err)
{
    for (;;) {
        struct tw_str text = rest(lexer);
        if (text.size == 0) {
            *ret = (struct alert_token){.kind = ALERT_TOKEN_END, .text = text};
            return TW_OK;
        }
        size_t comment = 2 + (trims_left(lexer) ? 2 : 0);
        bool action = tw_str_starts(text, TW_STR("{{"));
        if (action && !tw_str_starts(tw_str_slice(text, comment, text.size), TW_STR("/*"))) {
            *ret = (struct alert_token){ALERT_TOKEN_LEFT, tw_str_slice(text, 0, 2), false};
            lexer->at += trims_left(lexer) ? 3 : 2;
            lexer->inside = true;
            lexer->trim_next = false;
            return TW_OK;
        }
        bool found = false;
        enum tw_code code = next_text(lexer, ret, &found, err);
        if (code != TW_OK || found)
            return code;
    }
}

static enum tw_code quoted(struct alert_lexer *lexer, struct alert_token *ret, struct tw_err *err)
{
    struct tw_str text = rest(lexer);
    char quote = text.data[0];
    const char *what = quote == '`'   ? "raw quoted string"
                       : quote == '"' ? "quoted string"
                                      : "character constant";
    for (size_t i = 1; i < text.size; i++) {
        if (text.data[i] == '\\' && quote != '`') {
            i++;
            continue;
        }
        if (text.data[i] == '\n' && quote != '`')
            break;
        if (text.data[i] != quote)
            continue;
        ret->kind = quote == '`'   ? ALERT_TOKEN_RAW_STRING
                    : quote == '"' ? ALERT_TOKEN_STRING
                                   : ALERT_TOKEN_CHARACTER;
        ret->text = tw_str_slice(text, 0, i + 1);
        lexer->at += i + 1;
        return TW_OK;
    }
    return alert_template_error(lexer->text, tw_str_slice(text, 0, 1), TW_SYNTAX, err,
                                "unterminated %s", what);
}

static void take(struct alert_lexer *lexer, struct alert_token *ret, enum alert_token_kind kind,
                 size_t size)
{
    ret->kind = kind;
    ret->text = tw_str_slice(lexer->text, lexer->at, lexer->at + size);
    lexer->at += size;
}

static bool is_number_char(char c, char before)
{
    return is_word(c) || c == '.' ||
           ((c == '+' || c == '-') &&
            (before == 'e' || before == 'E' || before == 'p' || before == 'P'));
}

static size_t word_size(const struct alert_lexer *lexer, size_t from)
{
    size_t size = from;
    while (is_word(peek(lexer, size)))
        size++;
    return size;
}

static bool at_number(const struct alert_lexer *lexer)
{
    char c = peek(lexer, 0), next = peek(lexer, 1);
    if (c >= '0' && c <= '9')
        return true;
    if (c == '.')
        return next >= '0' && next <= '9';
    return (c == '-' || c == '+') && ((next >= '0' && next <= '9') || next == '.');
}

static void number(struct alert_lexer *lexer, struct alert_token *ret)
{
    size_t size = 1;
    bool hex = peek(lexer, 1) == 'x' || peek(lexer, 1) == 'X' || peek(lexer, 2) == 'x';
    while (is_number_char(peek(lexer, size), hex ? '\0' : peek(lexer, size - 1)))
        size++;
    take(lexer, ret, ALERT_TOKEN_NUMBER, size);
}

static enum tw_code inside(struct alert_lexer *lexer, struct alert_token *ret, struct tw_err *err)
{
    *ret = (struct alert_token){0};
    size_t size = 0;
    bool trims = false;
    while (!at_right(lexer, &size, &trims) && is_space(peek(lexer, 0)) &&
           lexer->at < lexer->text.size) {
        lexer->at++;
        ret->after_space = true;
    }
    if (at_right(lexer, &size, &trims)) {
        take(lexer, ret, ALERT_TOKEN_RIGHT, size);
        lexer->inside = false;
        lexer->trim_next = trims;
        return TW_OK;
    }
    if (lexer->at >= lexer->text.size)
        return alert_template_error(lexer->text, rest(lexer), TW_SYNTAX, err, "unclosed action");
    char c = peek(lexer, 0);
    if (at_number(lexer)) {
        number(lexer, ret);
        return TW_OK;
    }
    if (c == '"' || c == '`' || c == '\'')
        return quoted(lexer, ret, err);
    if (c == '.' || c == '$') {
        size = word_size(lexer, 1);
        take(lexer, ret,
             c == '$'    ? ALERT_TOKEN_VARIABLE
             : size == 1 ? ALERT_TOKEN_DOT
                         : ALERT_TOKEN_FIELD,
             size);
        return TW_OK;
    }
    if (is_word(c)) {
        take(lexer, ret, ALERT_TOKEN_WORD, word_size(lexer, 0));
        return TW_OK;
    }
    if (c == ':' && peek(lexer, 1) == '=') {
        take(lexer, ret, ALERT_TOKEN_DECLARE, 2);
        return TW_OK;
    }
    const char *singles = "()|=,";
    static const enum alert_token_kind kinds[] = {ALERT_TOKEN_OPEN, ALERT_TOKEN_CLOSE,
                                                  ALERT_TOKEN_PIPE, ALERT_TOKEN_ASSIGN,
                                                  ALERT_TOKEN_COMMA};
    const char *found = c == '\0' ? NULL : strchr(singles, c);
    if (found == NULL)
        return alert_template_error(lexer->text, tw_str_slice(rest(lexer), 0, 1), TW_SYNTAX, err,
                                    "unexpected character '%c' in action", c == '\0' ? '?' : c);
    take(lexer, ret, kinds[found - singles], 1);
    return TW_OK;
}

enum tw_code alert_lexer_next(struct alert_lexer *lexer, struct alert_token *ret,
                              struct tw_err *err)
{
    return lexer->inside ? inside(lexer, ret, err) : outside(lexer, ret, err);
}
