/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/place.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A position in the file. */
struct place {
    struct tw_str text;
    size_t at;
    uint32_t line, column;
};

static char peek(const struct place *p)
{
    return p->at < p->text.size ? p->text.data[p->at] : '\0';
}

static void advance(struct place *p)
{
    bool feed = peek(p) == '\n';
    /* Columns count characters, not bytes. */
    bool inner = ((unsigned char)peek(p) & 0xC0) == 0x80;
    p->at++;
    p->line += feed;
    p->column = feed ? 1 : p->column + !inner;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct place *p)
{
    while (is_blank(peek(p)))
        advance(p);
}

/* To the first character of the content: behind a quote, or behind "|-" and its line. */
static char enter(struct place *p)
{
    char opener = peek(p);
    if (opener == '"' || opener == '\'') {
        advance(p);
        return opener;
    }
    if (opener != '|' && opener != '>')
        return '\0';
    while (p->at < p->text.size && peek(p) != '\n')
        advance(p);
    advance(p);
    skip_blanks(p);
    return opener;
}

/* Over the source of one character of the content; false where the two part. */
static bool follow(struct place *p, char style, char c)
{
    if (style == '"' && peek(p) == '\\') {
        const char *simple = strchr("n\nt\tr\r\"\"\\\\//", p->text.data[p->at + 1]);
        advance(p);
        bool good = p->at < p->text.size && simple != NULL;
        advance(p);
        return good;
    }
    if (style == '\'' && c == '\'') {
        advance(p);
        if (peek(p) != '\'')
            return false;
    }
    if (peek(p) == c && c != '\n') {
        advance(p);
        return true;
    }
    if (c != ' ' && c != '\n')
        return false;
    /* A line's end, kept (|) or folded to a space, and the indentation behind it. */
    skip_blanks(p);
    if (peek(p) != '\n')
        return false;
    while (peek(p) == '\n' || is_blank(peek(p))) {
        bool feed = peek(p) == '\n';
        advance(p);
        if (feed && style == '|' && c == '\n') {
            skip_blanks(p);
            break;
        }
    }
    return true;
}

void alert_place_find(struct tw_str file_text, const struct tw_yaml *node, size_t offset,
                      uint32_t *ret_line, uint32_t *ret_column)
{
    struct place p = {.text = file_text, .line = 1, .column = 1};
    while (p.at < file_text.size && (p.line < node->line || p.column < node->column))
        advance(&p);
    *ret_line = node->line;
    *ret_column = node->column;
    char style = enter(&p);
    for (size_t i = 0; i < offset && i < node->text.size; i++)
        if (p.at >= file_text.size || !follow(&p, style, node->text.data[i]))
            return;
    *ret_line = p.line;
    *ret_column = p.column;
}

enum tw_code alert_place_error(const char *name, struct tw_str file_text,
                               const struct tw_yaml *node, const char *what, struct tw_err *err)
{
    if (err == NULL)
        return TW_CONFIG;
    enum tw_code code = err->code == TW_UNSUPPORTED ? TW_UNSUPPORTED : TW_CONFIG;
    uint32_t line = node->line, column = node->column;
    if (err->end > 0)
        alert_place_find(file_text, node, err->start, &line, &column);
    char message[TW_ERR_MESSAGE_BYTES];
    snprintf(message, sizeof message, "%s", err->message);
    tw_err_set(err, code, "%s:%u:%u: %s: %s", name, line, column, what, message);
    err->line = line;
    err->column = column;
    return code;
}
