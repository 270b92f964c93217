/* SPDX-License-Identifier: Apache-2.0
 *
 * template_lexer: text of a template -> tokens. Text between actions comes out with the trim
 * markers ({{- and -}}) already applied; comments do not come out at all.
 */
#ifndef TW_ALERTS_TEMPLATE_LEXER_H
#define TW_ALERTS_TEMPLATE_LEXER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

enum alert_token_kind {
    ALERT_TOKEN_END,
    ALERT_TOKEN_TEXT,
    ALERT_TOKEN_LEFT,  /* {{ */
    ALERT_TOKEN_RIGHT, /* }} */
    ALERT_TOKEN_DOT,
    ALERT_TOKEN_FIELD,    /* .name */
    ALERT_TOKEN_VARIABLE, /* $name, $ */
    ALERT_TOKEN_WORD,     /* keyword, function, true, false, nil */
    ALERT_TOKEN_NUMBER,
    ALERT_TOKEN_STRING, /* with its quotes */
    ALERT_TOKEN_RAW_STRING,
    ALERT_TOKEN_CHARACTER,
    ALERT_TOKEN_OPEN,
    ALERT_TOKEN_CLOSE,
    ALERT_TOKEN_PIPE,
    ALERT_TOKEN_DECLARE, /* := */
    ALERT_TOKEN_ASSIGN,  /* = */
    ALERT_TOKEN_COMMA,
};

struct alert_token {
    enum alert_token_kind kind;
    struct tw_str text;
    bool after_space;
};

struct alert_lexer {
    struct tw_str text;
    size_t at;
    bool inside;    /* an action */
    bool trim_next; /* the text that follows loses its leading space */
};

void alert_lexer_init(struct alert_lexer *lexer, struct tw_str text);
TW_MUST_CHECK enum tw_code alert_lexer_next(struct alert_lexer *lexer, struct alert_token *ret,
                                            struct tw_err *err);
/* TW_SYNTAX or TW_UNSUPPORTED with the place of `where`, which lies in text. */
enum tw_code alert_template_error(struct tw_str text, struct tw_str where, enum tw_code code,
                                  struct tw_err *err, const char *format, ...) TW_PRINTF(5, 6);

#endif
