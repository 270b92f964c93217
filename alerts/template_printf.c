/* SPDX-License-Identifier: Apache-2.0
 *
 * template_printf: Go's fmt.Sprintf over template values: flags, width, precision, argument
 * indexes, and Go's way of printing what does not fit (%!d(string=x)).
 */
#include "config.h"

#include "alerts/template_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

/* Go refuses wider ones too (at 1e6); no annotation needs more than this. */
#define WIDTH_MAX 1000

struct directive {
    bool minus, plus, sharp, space, zero;
    int width, precision; /* -1 = not given */
    bool bad_width, bad_precision, bad_index;
    uint32_t verb;
};

struct printer {
    struct tw_str format;
    size_t at;
    const struct alert_value *values;
    size_t count;
    size_t next; /* argument */
    bool reordered;
    struct tw_buf *out;
};

/* ---- padding ---- */

static size_t rune_count(struct tw_str text)
{
    size_t count = 0;
    for (size_t at = 0; at < text.size; count++) {
        uint32_t rune = 0;
        at += tw_utf8_decode(tw_str_slice(text, at, text.size), &rune);
    }
    return count;
}

static void append_repeated(struct tw_buf *out, char c, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tw_buf_append_char(out, c);
}

static void append_padded(const struct directive *d, struct tw_str text, struct tw_buf *out)
{
    size_t width = d->width > 0 ? (size_t)d->width : 0, runes = rune_count(text);
    size_t fill = width > runes ? width - runes : 0;
    if (d->minus) {
        tw_buf_append_str(out, text);
        append_repeated(out, ' ', fill);
        return;
    }
    if (d->zero && fill > 0 && text.size > 0 && (text.data[0] == '-' || text.data[0] == '+')) {
        tw_buf_append_char(out, text.data[0]);
        text = tw_str_slice(text, 1, text.size);
    }
    append_repeated(out, d->zero ? '0' : ' ', fill);
    tw_buf_append_str(out, text);
}

/* ---- values ---- */

static void bad_verb(const struct directive *d, const struct alert_value *value, struct tw_buf *out)
{
    char verb[4];
    size_t size = tw_utf8_encode(d->verb, verb);
    tw_buf_append_cstr(out, "%!");
    tw_buf_append(out, verb, size);
    tw_buf_append_char(out, '(');
    if (value->kind != ALERT_VALUE_NIL)
        tw_buf_appendf(out, "%s=", alert_value_type(value));
    alert_value_print(value, out);
    tw_buf_append_char(out, ')');
}

static void append_quoted(struct tw_str text, char quote, struct tw_buf *out)
{
    tw_buf_append_char(out, quote);
    for (size_t at = 0; at < text.size;) {
        uint32_t rune = 0;
        size_t size = tw_utf8_decode(tw_str_slice(text, at, text.size), &rune);
        bool broken = rune == 0xFFFD && size == 1;
        if (broken)
            tw_buf_appendf(out, "\\x%02x", (unsigned char)text.data[at]);
        else if (rune == (uint32_t)quote || rune == '\\')
            tw_buf_appendf(out, "\\%c", (char)rune);
        else if (rune == '\n')
            tw_buf_append_cstr(out, "\\n");
        else if (rune == '\t')
            tw_buf_append_cstr(out, "\\t");
        else if (rune == '\r')
            tw_buf_append_cstr(out, "\\r");
        else if (rune < 0x20 || rune == 0x7F)
            tw_buf_appendf(out, "\\x%02x", rune);
        else
            tw_buf_append(out, text.data + at, size);
        at += size;
    }
    tw_buf_append_char(out, quote);
}

static void append_hex(struct tw_str bytes, bool upper, bool prefix, struct tw_buf *out)
{
    if (prefix)
        tw_buf_append_cstr(out, upper ? "0X" : "0x");
    for (size_t i = 0; i < bytes.size; i++)
        tw_buf_appendf(out, upper ? "%02X" : "%02x", (unsigned char)bytes.data[i]);
}

static struct tw_str cut_runes(struct tw_str text, int runes)
{
    size_t at = 0;
    for (int i = 0; i < runes && at < text.size; i++) {
        uint32_t rune = 0;
        at += tw_utf8_decode(tw_str_slice(text, at, text.size), &rune);
    }
    return tw_str_slice(text, 0, at);
}

static void print_string(struct directive *d, const struct alert_value *value, struct tw_buf *out)
{
    struct tw_str text = value->string;
    if (d->precision >= 0)
        text = cut_runes(text, d->precision);
    struct tw_buf made;
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    switch (d->verb) {
    case 'v':
        if (d->sharp)
            append_quoted(text, '"', &made);
        else
            tw_buf_append_str(&made, text);
        break;
    case 's':
        tw_buf_append_str(&made, text);
        break;
    case 'q':
        if (d->sharp && memchr(text.data, '`', text.size) == NULL) {
            tw_buf_appendf(&made, "`%.*s`", TW_STR_ARG(text));
            break;
        }
        append_quoted(text, '"', &made);
        break;
    case 'x':
    case 'X':
        append_hex(text, d->verb == 'X', d->sharp, &made);
        break;
    default:
        bad_verb(d, value, out);
        tw_buf_fini(&made);
        return;
    }
    append_padded(d, tw_buf_str(&made), out);
    out->overflow = out->overflow || made.overflow;
    tw_buf_fini(&made);
}

static size_t format_digits(uint64_t value, unsigned base, bool upper, char *ret_text)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char reversed[64];
    size_t count = 0;
    do {
        reversed[count++] = digits[value % base];
        value /= base;
    } while (value != 0);
    for (size_t i = 0; i < count; i++)
        ret_text[i] = reversed[count - 1 - i];
    return count;
}

static void print_number(struct directive *d, int64_t value, unsigned base, struct tw_buf *out)
{
    char digits[64];
    bool negative = value < 0;
    size_t count =
        format_digits(negative ? -(uint64_t)value : (uint64_t)value, base, d->verb == 'X', digits);
    struct tw_buf made;
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    if (negative)
        tw_buf_append_char(&made, '-');
    else if (d->plus || d->space)
        tw_buf_append_char(&made, d->plus ? '+' : ' ');
    if (d->sharp && base == 16)
        tw_buf_append_cstr(&made, d->verb == 'X' ? "0X" : "0x");
    if ((d->sharp && base == 8) || d->verb == 'O')
        tw_buf_append_cstr(&made, d->verb == 'O' ? "0o" : "0");
    if (d->sharp && base == 2)
        tw_buf_append_cstr(&made, "0b");
    for (int i = (int)count; i < d->precision; i++)
        tw_buf_append_char(&made, '0');
    tw_buf_append(&made, digits, count);
    /* With a precision the zero flag is ignored, as in C. */
    if (d->precision >= 0)
        d->zero = false;
    append_padded(d, tw_buf_str(&made), out);
    tw_buf_fini(&made);
}

static void print_int(struct directive *d, const struct alert_value *value, struct tw_buf *out)
{
    int64_t number = value->integer;
    uint32_t rune = number >= 0 && number <= 0x10FFFF ? (uint32_t)number : 0xFFFD;
    char text[32];
    struct tw_buf made;
    switch (d->verb) {
    case 'v':
    case 'd':
        print_number(d, number, 10, out);
        return;
    case 'b':
        print_number(d, number, 2, out);
        return;
    case 'o':
    case 'O':
        print_number(d, number, 8, out);
        return;
    case 'x':
    case 'X':
        print_number(d, number, 16, out);
        return;
    case 'c':
        append_padded(d, (struct tw_str){text, tw_utf8_encode(rune, text)}, out);
        return;
    case 'q':
        tw_buf_init(&made, 64);
        append_quoted((struct tw_str){text, tw_utf8_encode(rune, text)}, '\'', &made);
        append_padded(d, tw_buf_str(&made), out);
        tw_buf_fini(&made);
        return;
    case 'U': {
        int size = snprintf(text, sizeof text, "U+%04llX", (unsigned long long)number);
        append_padded(d, (struct tw_str){text, (size_t)size}, out);
        return;
    }
    default:
        bad_verb(d, value, out);
    }
}

static void print_float(struct directive *d, const struct alert_value *value, struct tw_buf *out)
{
    char format = 'g';
    int precision = d->precision;
    switch (d->verb) {
    case 'v':
        break;
    case 'g':
    case 'G':
        break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
        format = d->verb == 'e' || d->verb == 'E' ? 'e' : 'f';
        precision = precision < 0 ? 6 : precision;
        break;
    default:
        bad_verb(d, value, out);
        return;
    }
    struct tw_buf made;
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    bool signless = !signbit(value->number) && !isnan(value->number) && !isinf(value->number);
    if ((d->plus || d->space) && signless)
        tw_buf_append_char(&made, d->plus ? '+' : ' ');
    alert_float_format(value->number, format, precision, &made);
    struct tw_str text = tw_buf_str(&made);
    if (isnan(value->number) || isinf(value->number))
        d->zero = false;
    if (d->verb == 'E' || d->verb == 'G')
        for (size_t i = 0; i < made.size; i++)
            if (made.data[i] == 'e')
                made.data[i] = 'E';
    append_padded(d, text, out);
    tw_buf_fini(&made);
}

static void print_other(struct directive *d, const struct alert_value *value, struct tw_buf *out)
{
    if (d->verb != 'v' && d->verb != 's') {
        if (value->kind == ALERT_VALUE_DURATION && d->verb == 'd') {
            print_number(d, value->integer, 10, out);
            return;
        }
        bad_verb(d, value, out);
        return;
    }
    struct tw_buf made;
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    alert_value_print(value, &made);
    append_padded(d, tw_buf_str(&made), out);
    out->overflow = out->overflow || made.overflow;
    tw_buf_fini(&made);
}

static void print_value(struct directive *d, const struct alert_value *value, struct tw_buf *out)
{
    if (d->verb == 'T') {
        append_padded(d, tw_str(alert_value_type(value)), out);
        return;
    }
    switch (value->kind) {
    case ALERT_VALUE_STRING:
        print_string(d, value, out);
        return;
    case ALERT_VALUE_INT:
        print_int(d, value, out);
        return;
    case ALERT_VALUE_FLOAT:
        print_float(d, value, out);
        return;
    case ALERT_VALUE_BOOL:
        if (d->verb == 't' || d->verb == 'v')
            append_padded(d, tw_str(value->boolean ? "true" : "false"), out);
        else
            bad_verb(d, value, out);
        return;
    case ALERT_VALUE_NIL:
        if (d->verb == 'v')
            append_padded(d, TW_STR("<nil>"), out);
        else
            bad_verb(d, value, out);
        return;
    default:
        print_other(d, value, out);
    }
}

/* ---- the format ---- */

static char peek(const struct printer *p)
{
    return p->at < p->format.size ? p->format.data[p->at] : '\0';
}

static int parse_digits(struct printer *p)
{
    int value = -1;
    while (peek(p) >= '0' && peek(p) <= '9' && p->at < p->format.size) {
        value = (value < 0 ? 0 : value) * 10 + (peek(p) - '0');
        if (value > WIDTH_MAX)
            value = WIDTH_MAX;
        p->at++;
    }
    return value;
}

/* [n]: the next argument is number n. */
static void parse_index(struct printer *p, struct directive *d)
{
    if (peek(p) != '[')
        return;
    p->reordered = true;
    p->at++;
    int index = parse_digits(p);
    while (p->at < p->format.size && peek(p) != ']')
        p->at++;
    if (p->at < p->format.size)
        p->at++;
    if (index < 1 || (size_t)index > p->count) {
        d->bad_index = true;
        return;
    }
    p->next = (size_t)index - 1;
}

/* Width or precision as an argument. */
static int take_star(struct printer *p, bool *ret_bad)
{
    p->at++;
    if (p->next >= p->count || p->values[p->next].kind != ALERT_VALUE_INT ||
        llabs(p->values[p->next].integer) > WIDTH_MAX) {
        *ret_bad = true;
        p->next += p->next < p->count;
        return -1;
    }
    return (int)p->values[p->next++].integer;
}

static void parse_flags(struct printer *p, struct directive *d)
{
    for (;; p->at++) {
        switch (peek(p)) {
        case '-':
            d->minus = true;
            d->zero = false;
            continue;
        case '+':
            d->plus = true;
            continue;
        case '#':
            d->sharp = true;
            continue;
        case ' ':
            d->space = true;
            continue;
        case '0':
            d->zero = !d->minus;
            continue;
        default:
            return;
        }
    }
}

static void parse_sizes(struct printer *p, struct directive *d)
{
    parse_index(p, d);
    if (peek(p) == '*') {
        d->width = take_star(p, &d->bad_width);
        if (d->width < 0 && !d->bad_width) {
            d->width = -d->width;
            d->minus = true;
            d->zero = false;
        }
    } else {
        d->width = parse_digits(p);
    }
    if (peek(p) == '.') {
        p->at++;
        parse_index(p, d);
        if (peek(p) == '*')
            d->precision = take_star(p, &d->bad_precision);
        else
            d->precision = parse_digits(p);
        if (d->precision < 0 && !d->bad_precision)
            d->precision = 0;
    }
    parse_index(p, d);
}

static void print_directive(struct printer *p)
{
    struct directive d = {.width = -1, .precision = -1};
    parse_flags(p, &d);
    parse_sizes(p, &d);
    if (d.bad_width)
        tw_buf_append_cstr(p->out, "%!(BADWIDTH)");
    if (d.bad_precision)
        tw_buf_append_cstr(p->out, "%!(BADPREC)");
    if (p->at >= p->format.size) {
        tw_buf_append_cstr(p->out, "%!(NOVERB)");
        return;
    }
    size_t size = tw_utf8_decode(tw_str_slice(p->format, p->at, p->format.size), &d.verb);
    struct tw_str verb = tw_str_slice(p->format, p->at, p->at + size);
    p->at += size;
    if (d.verb == 'v')
        d.plus = false; /* %+v asks for field names, not for a sign */
    if (d.verb == '%') {
        tw_buf_append_char(p->out, '%');
    } else if (d.bad_index) {
        tw_buf_appendf(p->out, "%%!%.*s(BADINDEX)", TW_STR_ARG(verb));
    } else if (p->next >= p->count) {
        tw_buf_appendf(p->out, "%%!%.*s(MISSING)", TW_STR_ARG(verb));
    } else {
        print_value(&d, &p->values[p->next++], p->out);
    }
}

void alert_value_printf(struct tw_str format, const struct alert_value *values, size_t count,
                        struct tw_buf *out)
{
    struct printer p = {.format = format, .values = values, .count = count, .out = out};
    while (p.at < format.size && !out->overflow) {
        const char *percent = memchr(format.data + p.at, '%', format.size - p.at);
        size_t limit = percent == NULL ? format.size : (size_t)(percent - format.data);
        tw_buf_append_str(out, tw_str_slice(format, p.at, limit));
        p.at = limit + 1;
        if (percent != NULL)
            print_directive(&p);
    }
    if (p.reordered || p.next >= count)
        return;
    tw_buf_append_cstr(out, "%!(EXTRA ");
    for (size_t i = p.next; i < count; i++) {
        if (i > p.next)
            tw_buf_append_cstr(out, ", ");
        if (values[i].kind != ALERT_VALUE_NIL)
            tw_buf_appendf(out, "%s=", alert_value_type(&values[i]));
        alert_value_print(&values[i], out);
    }
    tw_buf_append_char(out, ')');
}
