/* SPDX-License-Identifier: Apache-2.0
 *
 * Jansson parses; its tree is then copied into one arena in our own layout, so that members come in
 * the text's order in constant time and nothing outside this file knows the library.
 */
#include "config.h"

#include "base/json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/number.h"
#include "base/utf8.h"

/* ---- reading ---- */

struct member {
    struct tw_str key;
    struct tw_json *value;
};

struct tw_json {
    enum tw_json_type type;
    bool boolean;
    bool whole; /* number written without fraction and exponent: integer holds it exactly */
    double number;
    int64_t integer;
    struct tw_str string;
    size_t count;
    struct tw_json **items;
    struct member *members;
};

struct root {
    struct tw_json value; /* first, so that a root's address is its value's */
    struct tw_arena *arena;
};

static enum tw_code set_place(struct tw_err *err, enum tw_code code, uint32_t line, uint32_t column)
{
    if (err) {
        err->line = line;
        err->column = column;
    }
    return code;
}

/* Jansson recurses to its own, deeper limit; ours is checked on the text, which also gives the
 * place. */
static enum tw_code check_depth(struct tw_str text, struct tw_err *err)
{
    unsigned depth = 0;
    uint32_t line = 1, column = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        column++;
        if (c == '\n') {
            line++;
            column = 0;
        }
        if (in_string) {
            if (c == '\\') {
                i++;
                column++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if ((c == '[' || c == '{') && ++depth > TW_JSON_DEPTH_MAX) {
            tw_err_set(err, TW_BAD_DATA, "line %u, column %u: nested deeper than %d levels",
                       (unsigned)line, (unsigned)column, TW_JSON_DEPTH_MAX);
            return set_place(err, TW_BAD_DATA, line, column);
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return TW_OK;
}

static void copy_value(struct tw_arena *arena, const json_t *from, struct tw_json *ret);

static void copy_array(struct tw_arena *arena, const json_t *from, struct tw_json *ret)
{
    ret->type = TW_JSON_ARRAY;
    ret->count = json_array_size(from);
    ret->items = TW_ARENA_ARRAY(arena, struct tw_json *, ret->count);
    for (size_t i = 0; i < ret->count; i++) {
        ret->items[i] = TW_ARENA_NEW(arena, struct tw_json);
        copy_value(arena, json_array_get(from, i), ret->items[i]);
    }
}

static void copy_object(struct tw_arena *arena, json_t *from, struct tw_json *ret)
{
    ret->type = TW_JSON_OBJECT;
    ret->members = TW_ARENA_ARRAY(arena, struct member, json_object_size(from));
    for (void *at = json_object_iter(from); at; at = json_object_iter_next(from, at)) {
        struct member *member = &ret->members[ret->count++];
        member->key = tw_arena_str(arena, tw_str(json_object_iter_key(at)));
        member->value = TW_ARENA_NEW(arena, struct tw_json);
        copy_value(arena, json_object_iter_value(at), member->value);
    }
}

static void copy_value(struct tw_arena *arena, const json_t *from, struct tw_json *ret)
{
    switch (json_typeof(from)) {
    case JSON_OBJECT: {
        json_t *object;
        memcpy(&object, &from,
               sizeof object); /* iterating takes a non-const one and changes nothing */
        copy_object(arena, object, ret);
        return;
    }
    case JSON_ARRAY:
        copy_array(arena, from, ret);
        return;
    case JSON_STRING:
        ret->type = TW_JSON_STRING;
        ret->string =
            tw_arena_str(arena, (struct tw_str){json_string_value(from), json_string_length(from)});
        return;
    case JSON_INTEGER:
        ret->type = TW_JSON_NUMBER;
        ret->whole = true;
        ret->integer = json_integer_value(from);
        ret->number = (double)ret->integer;
        return;
    case JSON_REAL:
        ret->type = TW_JSON_NUMBER;
        ret->number = json_real_value(from);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        ret->type = TW_JSON_BOOL;
        ret->boolean = json_is_true(from);
        return;
    case JSON_NULL:
        ret->type = TW_JSON_NULL;
        return;
    }
    TW_UNREACHABLE("jansson has no other type");
}

enum tw_code tw_json_parse(struct tw_str text, struct tw_json **ret_root, struct tw_err *err)
{
    enum tw_code code = check_depth(text, err);
    if (code != TW_OK)
        return code;
    json_error_t mistake;
    json_t *parsed =
        json_loadb(text.data ? text.data : "", text.size,
                   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &mistake);
    if (!parsed) {
        uint32_t line = mistake.line > 0 ? (uint32_t)mistake.line : 1;
        uint32_t column = mistake.column > 0 ? (uint32_t)mistake.column : 1;
        tw_err_set(err, TW_BAD_DATA, "line %u, column %u: %s", (unsigned)line, (unsigned)column,
                   mistake.text);
        return set_place(err, TW_BAD_DATA, line, column);
    }
    struct tw_arena *arena = tw_arena_new(text.size + 1024);
    struct root *root = TW_ARENA_NEW(arena, struct root);
    root->arena = arena;
    copy_value(arena, parsed, &root->value);
    json_decref(parsed);
    *ret_root = &root->value;
    return TW_OK;
}

void tw_json_free(struct tw_json *root)
{
    if (root)
        tw_arena_free(((struct root *)root)->arena);
}

enum tw_json_type tw_json_type(const struct tw_json *value)
{
    return value ? value->type : TW_JSON_NULL;
}

const struct tw_json *tw_json_member(const struct tw_json *object, const char *key)
{
    if (tw_json_type(object) != TW_JSON_OBJECT)
        return NULL;
    for (size_t i = 0; i < object->count; i++)
        if (tw_str_is(object->members[i].key, key))
            return object->members[i].value;
    return NULL;
}

size_t tw_json_count(const struct tw_json *array_or_object)
{
    return array_or_object ? array_or_object->count : 0;
}

const struct tw_json *tw_json_item(const struct tw_json *array, size_t index)
{
    if (tw_json_type(array) != TW_JSON_ARRAY || index >= array->count)
        return NULL;
    return array->items[index];
}

bool tw_json_member_at(const struct tw_json *object, size_t index, struct tw_str *ret_key,
                       const struct tw_json **ret_value)
{
    if (tw_json_type(object) != TW_JSON_OBJECT || index >= object->count)
        return false;
    *ret_key = object->members[index].key;
    *ret_value = object->members[index].value;
    return true;
}

bool tw_json_bool(const struct tw_json *value, bool otherwise)
{
    return tw_json_type(value) == TW_JSON_BOOL ? value->boolean : otherwise;
}

double tw_json_number(const struct tw_json *value, double otherwise)
{
    return tw_json_type(value) == TW_JSON_NUMBER ? value->number : otherwise;
}

int64_t tw_json_int(const struct tw_json *value, int64_t otherwise)
{
    if (tw_json_type(value) != TW_JSON_NUMBER)
        return otherwise;
    if (value->whole)
        return value->integer;
    /* 2^63 is a double, 2^63 - 1 is not: the range is half-open. */
    if (value->number >= -0x1p63 && value->number < 0x1p63 && trunc(value->number) == value->number)
        return (int64_t)value->number;
    return otherwise;
}

struct tw_str tw_json_string(const struct tw_json *value, struct tw_str otherwise)
{
    return tw_json_type(value) == TW_JSON_STRING ? value->string : otherwise;
}

/* ---- writing ----
 *
 * closers[depth - 1] says what the innermost open value is and expects: ']' an array, a value;
 * '}' an object, a key; ':' an object, the value of the key just written. */

void tw_json_writer_init(struct tw_json_writer *writer, struct tw_buf *out)
{
    *writer = (struct tw_json_writer){.out = out};
}

static void begin_value(struct tw_json_writer *writer)
{
    if (writer->depth == 0)
        return;
    char *state = &writer->closers[writer->depth - 1];
    TW_ASSERT(*state != '}'); /* an object wants a key first */
    if (*state == ':')
        *state = '}';
    else if (writer->need_comma)
        tw_buf_append_char(writer->out, ',');
}

static void end_value(struct tw_json_writer *writer)
{
    writer->need_comma = writer->depth > 0;
}

static void begin_container(struct tw_json_writer *writer, char opener, char closer)
{
    begin_value(writer);
    TW_ASSERT(writer->depth < TW_JSON_DEPTH_MAX);
    tw_buf_append_char(writer->out, opener);
    writer->closers[writer->depth++] = closer;
    writer->need_comma = false;
}

static void end_container(struct tw_json_writer *writer, char closer)
{
    TW_ASSERT(writer->depth > 0 && writer->closers[writer->depth - 1] == closer);
    writer->depth--;
    tw_buf_append_char(writer->out, closer);
    end_value(writer);
}

void tw_json_begin_object(struct tw_json_writer *writer)
{
    begin_container(writer, '{', '}');
}

void tw_json_end_object(struct tw_json_writer *writer)
{
    end_container(writer, '}');
}

void tw_json_begin_array(struct tw_json_writer *writer)
{
    begin_container(writer, '[', ']');
}

void tw_json_end_array(struct tw_json_writer *writer)
{
    end_container(writer, ']');
}

static void append_escape(struct tw_buf *out, unsigned char c)
{
    static const char letters[32] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    if (c == '"' || c == '\\') {
        char escape[2] = {'\\', (char)c};
        tw_buf_append(out, escape, sizeof escape);
    } else if (letters[c]) {
        char escape[2] = {'\\', letters[c]};
        tw_buf_append(out, escape, sizeof escape);
    } else {
        tw_buf_appendf(out, "\\u%04x", c);
    }
}

static void append_string(struct tw_buf *out, struct tw_str s)
{
    tw_buf_append_char(out, '"');
    size_t plain = 0; /* start of what needs no escape */
    size_t i = 0;
    while (i < s.size) {
        unsigned char c = (unsigned char)s.data[i];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        uint32_t code_point = c;
        size_t length = 1;
        if (c >= 0x80) {
            length = tw_utf8_decode((struct tw_str){s.data + i, s.size - i}, &code_point);
            bool wrong = code_point == 0xfffd && length == 1;
            if (!wrong && code_point != 0x2028 && code_point != 0x2029) {
                i += length;
                continue;
            }
        }
        tw_buf_append(out, s.data + plain, i - plain);
        if (c >= 0x80)
            tw_buf_appendf(out, "\\u%04x", (unsigned)code_point);
        else
            append_escape(out, c);
        i += length;
        plain = i;
    }
    if (s.size > plain)
        tw_buf_append(out, s.data + plain, s.size - plain);
    tw_buf_append_char(out, '"');
}

void tw_json_key(struct tw_json_writer *writer, struct tw_str key)
{
    TW_ASSERT(writer->depth > 0 && writer->closers[writer->depth - 1] == '}');
    if (writer->need_comma)
        tw_buf_append_char(writer->out, ',');
    append_string(writer->out, key);
    tw_buf_append_char(writer->out, ':');
    writer->closers[writer->depth - 1] = ':';
    writer->need_comma = false;
}

void tw_json_write_str(struct tw_json_writer *writer, struct tw_str s)
{
    begin_value(writer);
    append_string(writer->out, s);
    end_value(writer);
}

void tw_json_write_cstr(struct tw_json_writer *writer, const char *text)
{
    tw_json_write_str(writer, tw_str(text));
}

void tw_json_write_raw(struct tw_json_writer *writer, struct tw_str text)
{
    begin_value(writer);
    tw_buf_append_str(writer->out, text);
    end_value(writer);
}

void tw_json_write_bool(struct tw_json_writer *writer, bool value)
{
    tw_json_write_raw(writer, value ? TW_STR("true") : TW_STR("false"));
}

void tw_json_write_int(struct tw_json_writer *writer, int64_t value)
{
    begin_value(writer);
    tw_buf_appendf(writer->out, "%lld", (long long)value);
    end_value(writer);
}

void tw_json_write_number(struct tw_json_writer *writer, double value)
{
    if (!isfinite(value)) {
        tw_json_write_null(writer);
        return;
    }
    char text[TW_DOUBLE_BYTES];
    size_t length = tw_double_format_general(value, text);
    tw_json_write_raw(writer, (struct tw_str){text, length});
}

void tw_json_write_null(struct tw_json_writer *writer)
{
    tw_json_write_raw(writer, TW_STR("null"));
}

void tw_json_member_str(struct tw_json_writer *writer, const char *key, struct tw_str value)
{
    tw_json_key(writer, tw_str(key));
    tw_json_write_str(writer, value);
}

void tw_json_member_cstr(struct tw_json_writer *writer, const char *key, const char *value)
{
    tw_json_key(writer, tw_str(key));
    tw_json_write_cstr(writer, value);
}

void tw_json_member_bool(struct tw_json_writer *writer, const char *key, bool value)
{
    tw_json_key(writer, tw_str(key));
    tw_json_write_bool(writer, value);
}

void tw_json_member_int(struct tw_json_writer *writer, const char *key, int64_t value)
{
    tw_json_key(writer, tw_str(key));
    tw_json_write_int(writer, value);
}

void tw_json_member_number(struct tw_json_writer *writer, const char *key, double value)
{
    tw_json_key(writer, tw_str(key));
    tw_json_write_number(writer, value);
}
