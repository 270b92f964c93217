/* SPDX-License-Identifier: Apache-2.0
 *
 * template_builtins: the functions that Go's text/template brings by itself.
 */
#include "config.h"

#include "alerts/template_tree.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "base/utf8.h"

/* ---- what all functions use ---- */

enum tw_code alert_call_string(const struct alert_call *call, size_t i, struct tw_str *ret,
                               struct tw_err *err)
{
    const struct alert_value *value = &call->arguments[i];
    if (value->kind != ALERT_VALUE_STRING)
        return tw_err_set(err, TW_EXECUTION, "wrong type for argument %zu; expected string; got %s",
                          i + 1, alert_value_type(value));
    *ret = value->string;
    return TW_OK;
}

enum tw_code alert_call_number(const struct alert_call *call, size_t i, double *ret,
                               struct tw_err *err)
{
    const struct alert_value *value = &call->arguments[i];
    switch (value->kind) {
    case ALERT_VALUE_INT:
        *ret = (double)value->integer;
        return TW_OK;
    case ALERT_VALUE_DURATION:
        *ret = (double)value->integer / 1e9;
        return TW_OK;
    case ALERT_VALUE_FLOAT:
        *ret = value->number;
        return TW_OK;
    case ALERT_VALUE_STRING:
        if (tw_double_parse(value->string, ret))
            return TW_OK;
        return tw_err_set(err, TW_EXECUTION, "parsing \"%.*s\": not a number",
                          TW_STR_ARG(value->string));
    default:
        return tw_err_set(err, TW_EXECUTION, "can't convert %s to a number",
                          alert_value_type(value));
    }
}

enum tw_code alert_call_return(const struct alert_call *call, struct tw_buf *made,
                               struct alert_value *ret, struct tw_err *err)
{
    enum tw_code code = TW_OK;
    if (made->overflow)
        code = tw_err_set(err, TW_LIMIT, "the result is larger than %d bytes",
                          ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    else
        *ret = alert_value_string(tw_arena_str(call->arena, tw_buf_str(made)));
    tw_buf_fini(made);
    return code;
}

/* ---- comparison ---- */

static enum tw_code incompatible(const struct alert_value *a, const struct alert_value *b,
                                 struct tw_err *err)
{
    return tw_err_set(err, TW_EXECUTION, "incompatible types for comparison: %s and %s",
                      alert_value_type(a), alert_value_type(b));
}

static bool is_whole(const struct alert_value *value)
{
    return value->kind == ALERT_VALUE_INT || value->kind == ALERT_VALUE_DURATION;
}

static enum tw_code equal(const struct alert_value *a, const struct alert_value *b, bool *ret,
                          struct tw_err *err)
{
    if (a->kind == ALERT_VALUE_NIL || b->kind == ALERT_VALUE_NIL)
        *ret = a->kind == b->kind;
    else if (is_whole(a) && is_whole(b))
        *ret = a->integer == b->integer;
    else if (a->kind != b->kind)
        return incompatible(a, b, err);
    else if (a->kind == ALERT_VALUE_BOOL)
        *ret = a->boolean == b->boolean;
    else if (a->kind == ALERT_VALUE_FLOAT)
        *ret = a->number == b->number;
    else if (a->kind == ALERT_VALUE_STRING)
        *ret = tw_str_equal(a->string, b->string);
    else if (a->kind == ALERT_VALUE_TIME)
        *ret = a->integer == b->integer;
    else
        return tw_err_set(err, TW_EXECUTION, "non-comparable type %s", alert_value_type(a));
    return TW_OK;
}

static enum tw_code less(const struct alert_value *a, const struct alert_value *b, bool *ret,
                         struct tw_err *err)
{
    if (is_whole(a) && is_whole(b))
        *ret = a->integer < b->integer;
    else if (a->kind != b->kind)
        return incompatible(a, b, err);
    else if (a->kind == ALERT_VALUE_FLOAT)
        *ret = a->number < b->number;
    else if (a->kind == ALERT_VALUE_STRING)
        *ret = tw_str_compare(a->string, b->string) < 0;
    else
        return tw_err_set(err, TW_EXECUTION, "invalid type for comparison: %s",
                          alert_value_type(a));
    return TW_OK;
}

static enum tw_code call_eq(const struct alert_call *call, struct alert_value *ret,
                            struct tw_err *err)
{
    bool result = false;
    for (size_t i = 1; i < call->count && !result; i++) {
        enum tw_code code = equal(&call->arguments[0], &call->arguments[i], &result, err);
        if (code != TW_OK)
            return code;
    }
    *ret = alert_value_bool(result);
    return TW_OK;
}

static enum tw_code call_ne(const struct alert_call *call, struct alert_value *ret,
                            struct tw_err *err)
{
    bool result = false;
    enum tw_code code = equal(&call->arguments[0], &call->arguments[1], &result, err);
    *ret = alert_value_bool(!result);
    return code;
}

static enum tw_code call_lt(const struct alert_call *call, struct alert_value *ret,
                            struct tw_err *err)
{
    bool result = false;
    enum tw_code code = less(&call->arguments[0], &call->arguments[1], &result, err);
    *ret = alert_value_bool(result);
    return code;
}

static enum tw_code call_le(const struct alert_call *call, struct alert_value *ret,
                            struct tw_err *err)
{
    bool is_less = false, is_equal = false;
    enum tw_code code = less(&call->arguments[0], &call->arguments[1], &is_less, err);
    if (code == TW_OK)
        code = equal(&call->arguments[0], &call->arguments[1], &is_equal, err);
    *ret = alert_value_bool(is_less || is_equal);
    return code;
}

/* As Go has it: not less and not equal, so true for NaN. */
static enum tw_code call_gt(const struct alert_call *call, struct alert_value *ret,
                            struct tw_err *err)
{
    enum tw_code code = call_le(call, ret, err);
    ret->boolean = !ret->boolean;
    return code;
}

static enum tw_code call_ge(const struct alert_call *call, struct alert_value *ret,
                            struct tw_err *err)
{
    enum tw_code code = call_lt(call, ret, err);
    ret->boolean = !ret->boolean;
    return code;
}

static enum tw_code call_not(const struct alert_call *call, struct alert_value *ret,
                             struct tw_err *err)
{
    (void)err;
    *ret = alert_value_bool(!alert_value_truth(&call->arguments[0]));
    return TW_OK;
}

/* ---- collections ---- */

static enum tw_code call_len(const struct alert_call *call, struct alert_value *ret,
                             struct tw_err *err)
{
    const struct alert_value *value = &call->arguments[0];
    size_t count = 0;
    if (value->kind == ALERT_VALUE_STRING)
        count = value->string.size;
    else if (value->kind == ALERT_VALUE_LABELS)
        count = value->labels.count;
    else if (value->kind == ALERT_VALUE_ARGS)
        count = value->args.count;
    else if (value->kind == ALERT_VALUE_SAMPLES)
        count = value->samples.count;
    else
        return tw_err_set(err, TW_EXECUTION, "len of type %s", alert_value_type(value));
    *ret = alert_value_int((int64_t)count);
    return TW_OK;
}

static enum tw_code check_index(const struct alert_value *index, size_t count, struct tw_err *err)
{
    if (index->kind != ALERT_VALUE_INT)
        return tw_err_set(err, TW_EXECUTION, "cannot index slice/array with type %s",
                          alert_value_type(index));
    if (index->integer < 0 || (uint64_t)index->integer >= count)
        return tw_err_set(err, TW_EXECUTION, "index out of range: %lld", (long long)index->integer);
    return TW_OK;
}

static enum tw_code index_once(const struct alert_value *from, const struct alert_value *index,
                               struct alert_value *ret, struct tw_err *err)
{
    enum tw_code code = TW_OK;
    if (from->kind == ALERT_VALUE_LABELS || from->kind == ALERT_VALUE_ARGS) {
        if (index->kind != ALERT_VALUE_STRING)
            return tw_err_set(err, TW_EXECUTION, "value has type %s; should be string",
                              alert_value_type(index));
        if (from->kind == ALERT_VALUE_LABELS) {
            *ret = alert_value_string(wire_labels_get(from->labels, index->string));
            return TW_OK;
        }
        struct alert_value found = {.kind = ALERT_VALUE_NIL};
        for (size_t i = 0; i < from->args.count; i++) {
            char key[32];
            snprintf(key, sizeof key, "arg%zu", i);
            if (tw_str_is(index->string, key))
                found = from->args.items[i];
        }
        *ret = found;
        return TW_OK;
    }
    if (from->kind == ALERT_VALUE_SAMPLES) {
        code = check_index(index, from->samples.count, err);
        if (code == TW_OK)
            *ret = (struct alert_value){.kind = ALERT_VALUE_SAMPLE,
                                        .sample = &from->samples.items[index->integer]};
        return code;
    }
    if (from->kind == ALERT_VALUE_STRING) {
        code = check_index(index, from->string.size, err);
        if (code == TW_OK)
            *ret = alert_value_int((unsigned char)from->string.data[index->integer]);
        return code;
    }
    return tw_err_set(err, TW_EXECUTION, "can't index item of type %s", alert_value_type(from));
}

static enum tw_code call_index(const struct alert_call *call, struct alert_value *ret,
                               struct tw_err *err)
{
    struct alert_value value = call->arguments[0];
    for (size_t i = 1; i < call->count; i++) {
        struct alert_value next;
        enum tw_code code = index_once(&value, &call->arguments[i], &next, err);
        if (code != TW_OK)
            return code;
        value = next;
    }
    *ret = value;
    return TW_OK;
}

static enum tw_code call_slice(const struct alert_call *call, struct alert_value *ret,
                               struct tw_err *err)
{
    const struct alert_value *value = &call->arguments[0];
    bool text = value->kind == ALERT_VALUE_STRING;
    if (!text && value->kind != ALERT_VALUE_SAMPLES)
        return tw_err_set(err, TW_EXECUTION, "can't slice item of type %s",
                          alert_value_type(value));
    size_t count = text ? value->string.size : value->samples.count;
    size_t bounds[2] = {0, count};
    for (size_t i = 1; i < call->count; i++) {
        enum tw_code code = check_index(&call->arguments[i], count + 1, err);
        if (code != TW_OK)
            return code;
        bounds[i - 1] = (size_t)call->arguments[i].integer;
    }
    if (bounds[0] > bounds[1])
        return tw_err_set(err, TW_EXECUTION, "invalid slice index: %zu > %zu", bounds[0],
                          bounds[1]);
    *ret = *value;
    if (text) {
        ret->string = tw_str_slice(value->string, bounds[0], bounds[1]);
    } else {
        ret->samples.items += bounds[0];
        ret->samples.count = bounds[1] - bounds[0];
    }
    return TW_OK;
}

/* ---- printing ---- */

static enum tw_code call_print(const struct alert_call *call, struct alert_value *ret,
                               struct tw_err *err)
{
    struct tw_buf made;
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    alert_value_sprint(call->arguments, call->count, &made);
    return alert_call_return(call, &made, ret, err);
}

static enum tw_code call_println(const struct alert_call *call, struct alert_value *ret,
                                 struct tw_err *err)
{
    struct tw_buf made;
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    alert_value_sprintln(call->arguments, call->count, &made);
    tw_buf_append_char(&made, '\n');
    return alert_call_return(call, &made, ret, err);
}

static enum tw_code call_printf(const struct alert_call *call, struct alert_value *ret,
                                struct tw_err *err)
{
    struct tw_str format;
    enum tw_code code = alert_call_string(call, 0, &format, err);
    if (code != TW_OK)
        return code;
    struct tw_buf made;
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    alert_value_printf(format, call->arguments + 1, call->count - 1, &made);
    return alert_call_return(call, &made, ret, err);
}

/* ---- escaping ---- */

typedef void escape(struct tw_str text, struct tw_buf *out);

static enum tw_code call_escape(const struct alert_call *call, escape *function,
                                struct alert_value *ret, struct tw_err *err)
{
    struct tw_buf plain, made;
    tw_buf_init(&plain, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    tw_buf_init(&made, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    alert_value_sprint(call->arguments, call->count, &plain);
    function(tw_buf_str(&plain), &made);
    tw_buf_fini(&plain);
    return alert_call_return(call, &made, ret, err);
}

static void escape_html(struct tw_str text, struct tw_buf *out)
{
    static const struct {
        char from;
        const char *to;
    } table[] = {{'"', "&#34;"}, {'\'', "&#39;"}, {'&', "&amp;"},
                 {'<', "&lt;"},  {'>', "&gt;"},   {'\0', "\uFFFD"}};
    for (size_t i = 0; i < text.size; i++) {
        const char *to = NULL;
        for (size_t k = 0; k < sizeof table / sizeof *table; k++)
            if (text.data[i] == table[k].from)
                to = table[k].to;
        if (to != NULL)
            tw_buf_append_cstr(out, to);
        else
            tw_buf_append_char(out, text.data[i]);
    }
}

static void escape_js(struct tw_str text, struct tw_buf *out)
{
    for (size_t at = 0; at < text.size;) {
        uint32_t rune = 0;
        size_t size = tw_utf8_decode(tw_str_slice(text, at, text.size), &rune);
        bool separator = rune == 0x2028 || rune == 0x2029;
        if (rune == '\\' || rune == '\'' || rune == '"')
            tw_buf_appendf(out, "\\%c", (char)rune);
        else if (rune == '<' || rune == '>' || rune == '&' || rune == '=' || rune < 0x20 ||
                 rune == 0x7F || separator)
            tw_buf_appendf(out, "\\u%04X", rune);
        else
            tw_buf_append(out, text.data + at, size);
        at += size;
    }
}

void alert_query_escape(struct tw_str text, struct tw_buf *out)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c != '\0' && strchr("-_.~", c) != NULL);
        if (plain)
            tw_buf_append_char(out, (char)c);
        else if (c == ' ')
            tw_buf_append_char(out, '+');
        else
            tw_buf_appendf(out, "%%%02X", c);
    }
}

static enum tw_code call_html(const struct alert_call *call, struct alert_value *ret,
                              struct tw_err *err)
{
    return call_escape(call, escape_html, ret, err);
}

static enum tw_code call_js(const struct alert_call *call, struct alert_value *ret,
                            struct tw_err *err)
{
    return call_escape(call, escape_js, ret, err);
}

static enum tw_code call_urlquery(const struct alert_call *call, struct alert_value *ret,
                                  struct tw_err *err)
{
    return call_escape(call, alert_query_escape, ret, err);
}

const struct alert_function alert_builtins[] = {
    {"and", 1, SIZE_MAX, NULL},
    {"or", 1, SIZE_MAX, NULL},
    {"not", 1, 1, call_not},
    {"eq", 2, SIZE_MAX, call_eq},
    {"ne", 2, 2, call_ne},
    {"lt", 2, 2, call_lt},
    {"le", 2, 2, call_le},
    {"gt", 2, 2, call_gt},
    {"ge", 2, 2, call_ge},
    {"len", 1, 1, call_len},
    {"index", 1, SIZE_MAX, call_index},
    {"slice", 1, 3, call_slice},
    {"print", 0, SIZE_MAX, call_print},
    {"println", 0, SIZE_MAX, call_println},
    {"printf", 1, SIZE_MAX, call_printf},
    {"html", 0, SIZE_MAX, call_html},
    {"js", 0, SIZE_MAX, call_js},
    {"urlquery", 0, SIZE_MAX, call_urlquery},
    {NULL, 0, 0, NULL},
};
