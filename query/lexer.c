/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/lexer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

static const struct {
    enum query_token_class token_class;
    const char *spelling;
} tokens[] = {
#define QUERY_TOKEN_ROW(name, token_class, spelling) {QUERY_CLASS_##token_class, spelling},
    QUERY_TOKEN_TABLE(QUERY_TOKEN_ROW)
#undef QUERY_TOKEN_ROW
};

enum query_token_class query_token_class(enum query_token_type type)
{
    TW_ASSERT((unsigned)type < QUERY_TOKEN_COUNT_ALL);
    return tokens[type].token_class;
}

const char *query_token_spelling(enum query_token_type type)
{
    TW_ASSERT((unsigned)type < QUERY_TOKEN_COUNT_ALL);
    return tokens[type].spelling;
}

void query_lexer_init(struct query_lexer *lexer, struct tw_str text)
{
    *lexer = (struct query_lexer){.text = text};
}

/* ---- characters ---- */
static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(int c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word(int c)
{
    return is_alpha(c) || is_digit(c);
}

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* As a hexadecimal digit; 16 if it is none. */
static int digit_value(int c)
{
    c = lower(c);
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* The byte `ahead` of the cursor, or -1 past the end. */
static int peek(const struct query_lexer *lexer, size_t ahead)
{
    size_t at = lexer->at + ahead;
    return at < lexer->text.size ? (unsigned char)lexer->text.data[at] : -1;
}

/* ---- tokens ---- */
static struct query_token emit(struct query_lexer *lexer, enum query_token_type type, size_t start)
{
    return (struct query_token){.type = type, .start = (uint32_t)start, .end = (uint32_t)lexer->at};
}

static struct query_token fail(struct query_lexer *lexer, size_t start, const char *format, ...)
    TW_PRINTF(3, 4);
static struct query_token fail(struct query_lexer *lexer, size_t start, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(lexer->problem, sizeof lexer->problem, format, arguments);
    va_end(arguments);
    struct query_token token = {.type = QUERY_TOKEN_ERROR,
                                .start = (uint32_t)start,
                                .end = (uint32_t)lexer->at,
                                .problem = lexer->problem};
    lexer->text.size = start; /* nothing follows an error */
    lexer->at = start;
    return token;
}

/* The character at the cursor, of a token that began at start, as Go's %q of a rune prints it. */
static struct query_token fail_character(struct query_lexer *lexer, size_t start, const char *what)
{
    struct tw_str rest = {lexer->text.data + lexer->at, lexer->text.size - lexer->at};
    uint32_t code_point = 0;
    size_t size = tw_utf8_decode(rest, &code_point);
    char shown[16];
    if (code_point == '\'' || code_point == '\\')
        snprintf(shown, sizeof shown, "\\%c", (char)code_point);
    else if (code_point < 0x20 || code_point == 0x7f)
        snprintf(shown, sizeof shown, "\\x%02x", (unsigned)code_point);
    else if (code_point == 0xfffd)
        snprintf(shown, sizeof shown, "\xef\xbf\xbd");
    else
        snprintf(shown, sizeof shown, "%.*s", (int)size, rest.data);
    lexer->at += size;
    return fail(lexer, start, "%s: '%s'", what, shown);
}

static void skip_blank(struct query_lexer *lexer)
{
    for (;;) {
        int c = peek(lexer, 0);
        if (is_space(c)) {
            lexer->at++;
        } else if (c == '#') {
            while (peek(lexer, 0) >= 0 && peek(lexer, 0) != '\n')
                lexer->at++;
        } else {
            return;
        }
    }
}

/* Go's %#U of the character at the cursor: U+0071 'q'. */
static void show_character(const struct query_lexer *lexer, char *ret_text, size_t capacity)
{
    struct tw_str rest = {lexer->text.data + lexer->at, lexer->text.size - lexer->at};
    uint32_t code_point = 0;
    size_t size = tw_utf8_decode(rest, &code_point);
    if (code_point < 0x20 || code_point == 0x7f || code_point == 0xfffd)
        snprintf(ret_text, capacity, "U+%04X", (unsigned)code_point);
    else
        snprintf(ret_text, capacity, "U+%04X '%.*s'", (unsigned)code_point, (int)size, rest.data);
}

/* The digits of an escaped code; says in ret_problem what is wrong with them. */
static bool scan_escaped_code(struct query_lexer *lexer, unsigned digits, unsigned base,
                              uint32_t code_max, char *ret_problem, size_t capacity)
{
    uint32_t code = 0;
    for (; digits > 0; digits--, lexer->at++) {
        char shown[24];
        int c = peek(lexer, 0);
        if (c < 0) {
            snprintf(ret_problem, capacity, "escape sequence not terminated");
            return false;
        }
        if ((unsigned)digit_value(c) >= base) {
            show_character(lexer, shown, sizeof shown);
            snprintf(ret_problem, capacity, "illegal character %s in escape sequence", shown);
            return false;
        }
        code = code * base + (uint32_t)digit_value(c);
    }
    if (code <= code_max && (code < 0xd800 || code > 0xdfff))
        return true;
    snprintf(ret_problem, capacity, "escape sequence is an invalid Unicode code point");
    return false;
}

/* Behind a backslash: past the sequence, or false with what is wrong in ret_problem. */
static bool scan_escape(struct query_lexer *lexer, int quote, char *ret_problem, size_t capacity)
{
    char shown[24];
    int c = peek(lexer, 0);
    if (c >= '0' && c <= '7')
        return scan_escaped_code(lexer, 3, 8, 255, ret_problem, capacity);
    if (c > 0 && (c == quote || strchr("abfnrtv\\xuU", c))) {
        lexer->at++;
        return c == 'x'   ? scan_escaped_code(lexer, 2, 16, 255, ret_problem, capacity)
               : c == 'u' ? scan_escaped_code(lexer, 4, 16, 0x10ffff, ret_problem, capacity)
               : c == 'U' ? scan_escaped_code(lexer, 8, 16, 0x10ffff, ret_problem, capacity)
                          : true;
    }
    if (c < 0) {
        snprintf(ret_problem, capacity, "escape sequence not terminated");
        return false;
    }
    show_character(lexer, shown, sizeof shown);
    snprintf(ret_problem, capacity, "unknown escape sequence %s", shown);
    return false;
}

static struct query_token lex_string(struct query_lexer *lexer)
{
    char problem[sizeof lexer->problem];
    size_t start = lexer->at;
    int quote = peek(lexer, 0);
    lexer->at++;
    for (;;) {
        int c = peek(lexer, 0);
        if (c < 0)
            return fail(lexer, start,
                        quote == '`' ? "unterminated raw string" : "unterminated quoted string");
        if (quote != '`' && c == '\n')
            return fail(lexer, start, "unterminated quoted string");
        lexer->at++;
        if (c == quote)
            return emit(lexer, QUERY_TOKEN_STRING, start);
        if (c == '\\' && quote != '`' && !scan_escape(lexer, quote, problem, sizeof problem))
            return fail(lexer, start, "%s", problem);
    }
}

/* What of a number the cursor has gone past. */
struct scanned {
    bool hex, dot, exponent;
    int last; /* character; 0 at the beginning */
};

/* The next character as a part of the number; false if it is not one, or one in a wrong place,
 * which is taken then: errors show how far the text was understood. */
static bool scan_digit(struct query_lexer *lexer, struct scanned *seen, bool *ret_wrong)
{
    int c = lower(peek(lexer, 0));
    bool digit = is_digit(c) || (seen->hex && c >= 'a' && c <= 'f');
    bool exponent = !seen->hex && c == 'e';
    bool prefix = seen->hex && seen->last == 'x';
    if (!digit && c != '_' && c != '.' && !exponent)
        return false;
    if (c == '_')
        *ret_wrong = !prefix && digit_value(seen->last) >= (seen->hex ? 16 : 10);
    else if (c == '.')
        *ret_wrong = seen->dot || seen->hex || seen->exponent || seen->last == '_';
    else if (exponent)
        *ret_wrong = seen->exponent || seen->last == '_';
    lexer->at++;
    seen->last = c;
    if (*ret_wrong)
        return false;
    seen->dot = seen->dot || c == '.';
    if (exponent) {
        seen->exponent = true;
        if (peek(lexer, 0) == '+' || peek(lexer, 0) == '-') {
            seen->last = '-';
            lexer->at++;
        }
    }
    return true;
}

/* Number at the cursor; false if it is none, or does not end here. */
static bool scan_number(struct query_lexer *lexer)
{
    struct scanned seen = {0};
    bool wrong = false;
    if (peek(lexer, 0) == '0' && lower(peek(lexer, 1)) == 'x') {
        lexer->at += 2;
        seen = (struct scanned){.hex = true, .last = 'x'};
    }
    while (scan_digit(lexer, &seen, &wrong))
        ;
    bool whole = digit_value(seen.last) < (seen.hex ? 16 : 10) || seen.last == '.';
    /* What follows directly must not continue a word: 1.5m, 3foo. */
    return !wrong && whole && !is_word(peek(lexer, 0));
}

/* 1h30m, the cursor behind its first digits: pairs of digits and unit; order and repetition are the
 * parser's business. */
static bool scan_duration(struct query_lexer *lexer)
{
    for (;;) {
        int unit = peek(lexer, 0);
        if (unit <= 0 || !strchr("smhdwy", unit))
            return false;
        lexer->at += unit == 'm' && peek(lexer, 1) == 's' ? 2 : 1;
        if (!is_digit(peek(lexer, 0)))
            break;
        while (is_digit(peek(lexer, 0)))
            lexer->at++;
    }
    if (!is_word(peek(lexer, 0)))
        return true;
    lexer->at++;
    return false;
}

static struct query_token lex_number_or_duration(struct query_lexer *lexer)
{
    size_t start = lexer->at;
    if (scan_number(lexer))
        return emit(lexer, QUERY_TOKEN_NUMBER, start);
    if (scan_duration(lexer))
        return emit(lexer, QUERY_TOKEN_DURATION, start);
    char shown[64];
    query_quote(tw_str_slice(lexer->text, start, lexer->at), 32, shown, sizeof shown);
    return fail(lexer, start, "bad number or duration syntax: %s", shown);
}

/* A word that is a keyword in any case, or QUERY_TOKEN_EOF. */
static enum query_token_type find_keyword(struct tw_str word)
{
    char text[24];
    if (word.size >= sizeof text)
        return QUERY_TOKEN_EOF;
    for (size_t i = 0; i < word.size; i++)
        text[i] = (char)lower((unsigned char)word.data[i]);
    text[word.size] = '\0';
    if (!strcmp(text, "inf") || !strcmp(text, "nan"))
        return QUERY_TOKEN_NUMBER;
    for (unsigned type = QUERY_TOKEN_ADD; type < QUERY_TOKEN_COUNT_ALL; type++)
        if (!strcmp(text, tokens[type].spelling))
            return (enum query_token_type)type;
    return QUERY_TOKEN_EOF;
}

static struct query_token lex_word(struct query_lexer *lexer)
{
    size_t start = lexer->at;
    bool colon = false;
    while (is_word(peek(lexer, 0)) || peek(lexer, 0) == ':') {
        colon = colon || peek(lexer, 0) == ':';
        lexer->at++;
    }
    if (colon)
        return emit(lexer, QUERY_TOKEN_METRIC_IDENTIFIER, start);
    enum query_token_type type = find_keyword(tw_str_slice(lexer->text, start, lexer->at));
    return emit(lexer, type == QUERY_TOKEN_EOF ? QUERY_TOKEN_IDENTIFIER : type, start);
}

static struct query_token lex_in_braces(struct query_lexer *lexer)
{
    size_t start = lexer->at;
    int c = peek(lexer, 0), next = peek(lexer, 1);
    if (c < 0)
        return fail(lexer, start, "unexpected end of input inside braces");
    if (is_alpha(c)) {
        while (is_word(peek(lexer, 0)))
            lexer->at++;
        return emit(lexer, QUERY_TOKEN_IDENTIFIER, start);
    }
    switch (c) {
    case '"':
    case '\'':
    case '`':
        return lex_string(lexer);
    case ',':
        lexer->at++;
        return emit(lexer, QUERY_TOKEN_COMMA, start);
    case '=':
        lexer->at += next == '~' ? 2 : 1;
        return emit(lexer, next == '~' ? QUERY_TOKEN_EQL_REGEX : QUERY_TOKEN_EQL, start);
    case '!':
        if (next != '~' && next != '=') {
            lexer->at++;
            if (next < 0)
                return fail(lexer, start, "unexpected end of input inside braces");
            return fail_character(lexer, start, "unexpected character after '!' inside braces");
        }
        lexer->at += 2;
        return emit(lexer, next == '~' ? QUERY_TOKEN_NEQ_REGEX : QUERY_TOKEN_NEQ, start);
    case '}':
        lexer->at++;
        lexer->brace_open = false;
        return emit(lexer, QUERY_TOKEN_RIGHT_BRACE, start);
    case '{':
        return fail(lexer, start, "unexpected left brace '{'");
    default:
        return fail_character(lexer, start, "unexpected character inside braces");
    }
}

static struct query_token lex_comparison(struct query_lexer *lexer)
{
    size_t start = lexer->at;
    int c = peek(lexer, 0), next = peek(lexer, 1);
    enum query_token_type type;
    lexer->at += next == '=' || (next == '/' && (c == '<' || c == '>')) ? 2 : 1;
    switch (c) {
    case '=':
        if (next == '~')
            return fail_character(lexer, start, "unexpected character after '='");
        type = next == '=' ? QUERY_TOKEN_EQLC : QUERY_TOKEN_EQL;
        break;
    case '!':
        if (next != '=') {
            if (next < 0)
                return fail(lexer, start, "unexpected end of input after '!'");
            return fail_character(lexer, start, "unexpected character after '!'");
        }
        type = QUERY_TOKEN_NEQ;
        break;
    case '<':
        type = next == '='   ? QUERY_TOKEN_LTE
               : next == '/' ? QUERY_TOKEN_TRIM_UPPER
                             : QUERY_TOKEN_LSS;
        break;
    default:
        type = next == '='   ? QUERY_TOKEN_GTE
               : next == '/' ? QUERY_TOKEN_TRIM_LOWER
                             : QUERY_TOKEN_GTR;
        break;
    }
    return emit(lexer, type, start);
}

static struct query_token lex_bracket(struct query_lexer *lexer)
{
    size_t start = lexer->at;
    int c = peek(lexer, 0);
    lexer->at++;
    switch (c) {
    case '{':
        if (lexer->bracket_open)
            return fail(lexer, start, "unexpected left brace '{'");
        lexer->brace_open = true;
        return emit(lexer, QUERY_TOKEN_LEFT_BRACE, start);
    case '[':
        if (lexer->bracket_open)
            return fail(lexer, start, "unexpected left bracket '['");
        lexer->bracket_open = true;
        lexer->got_colon = false;
        lexer->got_duration = false;
        return emit(lexer, QUERY_TOKEN_LEFT_BRACKET, start);
    case ']':
        if (!lexer->bracket_open)
            return fail(lexer, start, "unexpected right bracket ']'");
        lexer->bracket_open = false;
        return emit(lexer, QUERY_TOKEN_RIGHT_BRACKET, start);
    case '(':
        lexer->paren_depth++;
        return emit(lexer, QUERY_TOKEN_LEFT_PAREN, start);
    default:
        if (lexer->paren_depth == 0)
            return fail(lexer, start + 1, "unexpected right parenthesis ')'");
        lexer->paren_depth--;
        return emit(lexer, QUERY_TOKEN_RIGHT_PAREN, start);
    }
}

static struct query_token lex_end(struct query_lexer *lexer)
{
    if (lexer->problem[0])
        return fail(lexer, lexer->at, "%s", "unexpected end of input");
    if (lexer->paren_depth > 0)
        return fail(lexer, lexer->at, "unclosed left parenthesis");
    if (lexer->bracket_open)
        return fail(lexer, lexer->at, "unclosed left bracket");
    return emit(lexer, QUERY_TOKEN_EOF, lexer->at);
}

/* Whether what the cursor is at may stand in brackets before the first duration. */
static bool begins_duration(const struct query_lexer *lexer, int c)
{
    static const char *const words[] = {"step", "range", "min_of", "max_of"};
    if (is_digit(c) || (c > 0 && strchr(".+-*/%^(),:]", c)))
        return true;
    for (size_t i = 0; is_alpha(c) && i < sizeof words / sizeof *words; i++) {
        size_t size = 0;
        while (words[i][size] && lower(peek(lexer, size)) == words[i][size])
            size++;
        if (!words[i][size] && !is_word(peek(lexer, size)))
            return true;
    }
    return false;
}

struct query_token query_lexer_next(struct query_lexer *lexer)
{
    static const struct {
        char character;
        enum query_token_type type;
    } single[] = {
        {',', QUERY_TOKEN_COMMA}, {'+', QUERY_TOKEN_ADD}, {'-', QUERY_TOKEN_SUB},
        {'*', QUERY_TOKEN_MUL},   {'/', QUERY_TOKEN_DIV}, {'%', QUERY_TOKEN_MOD},
        {'^', QUERY_TOKEN_POW},   {'@', QUERY_TOKEN_AT},
    };
    skip_blank(lexer);
    if (lexer->brace_open)
        return lex_in_braces(lexer);
    size_t start = lexer->at;
    int c = peek(lexer, 0);
    if (lexer->bracket_open && !lexer->got_duration && !begins_duration(lexer, c)) {
        if (c < 0)
            return fail(lexer, start, "unexpected end of input in duration expression");
        return fail_character(lexer, start, "unexpected character in duration expression");
    }
    if (c < 0)
        return lex_end(lexer);
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        if (c == single[i].character) {
            lexer->at++;
            return emit(lexer, single[i].type, start);
        }
    }
    if (c == '=' || c == '!' || c == '<' || c == '>')
        return lex_comparison(lexer);
    if (c == '"' || c == '\'' || c == '`')
        return lex_string(lexer);
    if (c > 0 && strchr("()[]{", c))
        return lex_bracket(lexer);
    lexer->got_duration = lexer->got_duration || c != ':';
    if (is_digit(c) || (c == '.' && is_digit(peek(lexer, 1))))
        return lex_number_or_duration(lexer);
    if (c == ':' && lexer->bracket_open) {
        lexer->at++;
        if (lexer->got_colon)
            return fail(lexer, start, "unexpected colon ':'");
        if (!lexer->got_duration)
            return fail(lexer, start + 1,
                        "unexpected colon before duration in duration expression");
        lexer->got_colon = true;
        return emit(lexer, QUERY_TOKEN_COLON, start);
    }
    if (is_alpha(c) || c == ':')
        return lex_word(lexer);
    return fail_character(lexer, start, "unexpected character");
}

/* ---- messages ---- */
void query_quote(struct tw_str s, size_t bytes_max, char *ret_text, size_t capacity)
{
    TW_ASSERT(capacity >= 16);
    bool cut = s.size > bytes_max;
    size_t used = 0, at = 0, limit = cut ? bytes_max : s.size;
    ret_text[used++] = '"';
    while (at < limit && used + 12 < capacity) {
        uint32_t code_point;
        size_t size = tw_utf8_decode(tw_str_slice(s, at, s.size), &code_point);
        unsigned char c = (unsigned char)s.data[at];
        if (c == '"' || c == '\\')
            used += (size_t)snprintf(ret_text + used, capacity - used, "\\%c", c);
        else if (c == '\n')
            used += (size_t)snprintf(ret_text + used, capacity - used, "\\n");
        else if (c < 0x20 || c == 0x7f || (code_point == 0xfffd && size == 1))
            used += (size_t)snprintf(ret_text + used, capacity - used, "\\x%02x", c);
        else
            used +=
                (size_t)snprintf(ret_text + used, capacity - used, "%.*s", (int)size, s.data + at);
        at += size;
    }
    snprintf(ret_text + used, capacity - used, "\"%s", cut || at < limit ? "..." : "");
}

void query_token_describe(const struct query_token *token, struct tw_str text, char *ret_text)
{
    const size_t capacity = QUERY_TOKEN_DESCRIPTION_BYTES;
    const char *spelling = query_token_spelling(token->type);
    struct tw_str value = tw_str_slice(text, token->start, token->end);
    char shown[96];
    switch (query_token_class(token->type)) {
    case QUERY_CLASS_KEYWORD:
        if (token->type == QUERY_TOKEN_START || token->type == QUERY_TOKEN_END)
            snprintf(ret_text, capacity, "\"%s\"", spelling);
        else
            snprintf(ret_text, capacity, "<%s>", spelling);
        return;
    case QUERY_CLASS_OPERATOR:
        snprintf(ret_text, capacity, "<op:%s>", spelling);
        return;
    case QUERY_CLASS_AGGREGATOR:
        snprintf(ret_text, capacity, "<aggr:%s>", spelling);
        return;
    case QUERY_CLASS_MARK:
        snprintf(ret_text, capacity, "\"%s\"", spelling);
        return;
    case QUERY_CLASS_PLAIN:
        break;
    }
    if (token->type == QUERY_TOKEN_EOF || token->type == QUERY_TOKEN_ERROR) {
        snprintf(ret_text, capacity, "%s", spelling);
        return;
    }
    bool name =
        token->type == QUERY_TOKEN_IDENTIFIER || token->type == QUERY_TOKEN_METRIC_IDENTIFIER;
    query_quote(value, name ? 48 : 10, shown, sizeof shown);
    snprintf(ret_text, capacity, "%s %s", spelling, shown);
}

void query_position(struct tw_str text, uint32_t at, uint32_t *ret_line, uint32_t *ret_column)
{
    uint32_t line = 1, column = 1;
    for (uint32_t i = 0; i < at && i < text.size; i++) {
        column++;
        if (text.data[i] == '\n') {
            line++;
            column = 1;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

enum tw_code query_error_at(struct tw_err *err, enum tw_code code, struct tw_str text,
                            uint32_t start, uint32_t end, const char *format, ...)
{
    char sentence[TW_ERR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    uint32_t line, column;
    query_position(text, start, &line, &column);
    enum tw_code ret =
        tw_err_set(err, code, "%u:%u: parse error: %s", (unsigned)line, (unsigned)column, sentence);
    if (err) {
        err->line = line;
        err->column = column;
        err->start = start;
        err->end = end > start ? end : start + 1;
    }
    return ret;
}
