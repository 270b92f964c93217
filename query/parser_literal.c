/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/parser_int.h"

#include <math.h>
#include <string.h>

#include "base/duration.h"
#include "base/number.h"
#include "base/utf8.h"

/* Go's ParseInt(base 0) comes first in Prometheus: a leading zero means octal. */
static bool parse_octal(struct tw_str text, double *ret)
{
    if (text.size < 2 || text.data[0] != '0' || text.size > 22)
        return false;
    uint64_t value = 0;
    for (size_t i = 1; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '7' || value >> 60)
            return false;
        value = value * 8 + (uint64_t)(text.data[i] - '0');
    }
    *ret = (double)value;
    return true;
}

static bool parse_number(struct query_parser *parser, struct tw_str text, double *ret)
{
    char *plain = tw_arena_cstr(parser->ast->arena, text);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] != '_')
            plain[size++] = text.data[i];
    struct tw_str digits = {plain, size};
    if (parse_octal(digits, ret))
        return true;
    if (size > 2 && plain[0] == '0' && (plain[1] == 'x' || plain[1] == 'X')) {
        uint64_t value = 0; /* whole numbers of 64 bits, as in Go */
        for (size_t i = 2; i < size; i++) {
            int c = plain[i];
            if (value >> 59)
                return false;
            value = value * 16 + (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
        }
        *ret = (double)value;
        return true;
    }
    return tw_double_parse(digits, ret) && (!isinf(*ret) || (digits.data[0] | 32) == 'i');
}

static enum tw_code parse_duration_token(struct query_parser *parser, int64_t *ret_ms,
                                         struct tw_err *err)
{
    struct tw_str text = query_parser_text(parser, &parser->token);
    struct tw_err inner;
    if (tw_duration_parse(text, ret_ms, &inner) == TW_OK)
        return TW_OK;
    return query_error_at(err, TW_SYNTAX, parser->ast->text, parser->token.start, parser->token.end,
                          "%s", inner.message);
}

enum tw_code query_parser_number(struct query_parser *parser, double *ret, struct tw_err *err)
{
    if (parser->token.type == QUERY_TOKEN_DURATION) {
        int64_t ms;
        enum tw_code code = parse_duration_token(parser, &ms, err);
        if (code)
            return code;
        *ret = (double)ms / 1000;
    } else if (!parse_number(parser, query_parser_text(parser, &parser->token), ret)) {
        return query_error_at(
            err, TW_SYNTAX, parser->ast->text, parser->token.start, parser->token.end,
            "error parsing number: strconv.ParseFloat: parsing \"%.*s\": value out of range",
            TW_STR_ARG(query_parser_text(parser, &parser->token)));
    }
    query_parser_advance(parser);
    return TW_OK;
}

/* ---- strings ---- */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A number of `count` digits of the base at *at; false if there are fewer. */
static bool scan_code(struct tw_str s, size_t *at, size_t count, int base, uint32_t *ret)
{
    uint32_t value = 0;
    for (size_t i = 0; i < count; i++, (*at)++) {
        int digit = *at < s.size ? hex_value(s.data[*at]) : -1;
        if (digit < 0 || digit >= base)
            return false;
        value = value * (uint32_t)base + (uint32_t)digit;
    }
    *ret = value;
    return true;
}

/* One escape sequence behind its backslash at s[*at]; false if it is none. */
static bool unescape(struct tw_str s, char quote, size_t *at, char *out, size_t *out_size)
{
    static const char names[] = "abfnrtv\\", values[] = "\a\b\f\n\r\t\v\\";
    char c = s.data[*at];
    const char *found = c ? strchr(names, c) : NULL;
    if (found || c == quote) {
        out[(*out_size)++] = found ? values[found - names] : quote;
        (*at)++;
        return true;
    }
    uint32_t code;
    if (c == 'x' || (c >= '0' && c <= '7')) {
        *at += c == 'x';
        if (!scan_code(s, at, c == 'x' ? 2 : 3, c == 'x' ? 16 : 8, &code) || code > 255)
            return false;
        out[(*out_size)++] = (char)code;
        return true;
    }
    if (c != 'u' && c != 'U')
        return false;
    (*at)++;
    if (!scan_code(s, at, c == 'u' ? 4 : 8, 16, &code) || code > 0x10ffff ||
        (code >= 0xd800 && code < 0xe000))
        return false;
    *out_size += tw_utf8_encode(code, out + *out_size);
    return true;
}

enum tw_code query_parser_string(struct query_parser *parser, struct tw_str *ret,
                                 struct tw_err *err)
{
    struct query_token token = parser->token;
    struct tw_str quoted = query_parser_text(parser, &token);
    struct tw_str s = tw_str_slice(quoted, 1, quoted.size - 1);
    char quote = quoted.data[0];
    if (!tw_utf8_valid(s))
        return query_error_at(err, TW_SYNTAX, parser->ast->text, token.start, token.end,
                              "invalid UTF-8 rune");
    char *out = tw_arena_alloc(parser->ast->arena, s.size + 1);
    size_t size = 0;
    for (size_t at = 0; at < s.size;) {
        char c = s.data[at++];
        if (c != '\\' || quote == '`') {
            out[size++] = c;
            continue;
        }
        size_t escape = at;
        if (!unescape(s, quote, &at, out, &size))
            return query_error_at(err, TW_SYNTAX, parser->ast->text, token.start + (uint32_t)escape,
                                  token.end, "unknown escape sequence '\\%c'",
                                  s.data[escape] >= ' ' ? s.data[escape] : '?');
    }
    *ret = (struct tw_str){out, size};
    query_parser_advance(parser);
    return TW_OK;
}
