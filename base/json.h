/* SPDX-License-Identifier: Apache-2.0
 *
 * json: reading JSON (jansson behind it; the one file that knows it) and writing it as a stream, so
 * that a large answer never stands in memory as a tree.
 */
#ifndef TW_BASE_JSON_H
#define TW_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* ---- reading: an immutable tree ---- */
struct tw_json; /* a value; borrowed from the root, which owns all */

/* Nesting deeper than 64 levels and duplicate keys are refused. Error with line and column. */
TW_MUST_CHECK enum tw_code tw_json_parse(struct tw_str text, struct tw_json **ret_root,
                                         struct tw_err *err);
void tw_json_free(struct tw_json *root); /* the root only; NULL is fine */
enum tw_json_type {
    TW_JSON_NULL,
    TW_JSON_BOOL,
    TW_JSON_NUMBER,
    TW_JSON_STRING,
    TW_JSON_ARRAY,
    TW_JSON_OBJECT,
};
/* All getters accept NULL (a missing value) and answer as for null, so that paths can be chained.
 */
enum tw_json_type tw_json_type(const struct tw_json *value);
const struct tw_json *tw_json_member(const struct tw_json *object, const char *key);
size_t tw_json_count(const struct tw_json *array_or_object);
const struct tw_json *tw_json_item(const struct tw_json *array, size_t index);
/* Members in the order of the text; false past the end. */
bool tw_json_member_at(const struct tw_json *object, size_t index, struct tw_str *ret_key,
                       const struct tw_json **ret_value);
bool tw_json_bool(const struct tw_json *value, bool otherwise);
double tw_json_number(const struct tw_json *value, double otherwise);
int64_t tw_json_int(const struct tw_json *value, int64_t otherwise);
struct tw_str tw_json_string(const struct tw_json *value, struct tw_str otherwise);

/* ---- writing ---- */
#define TW_JSON_DEPTH_MAX 64

/* Writes to a tw_buf, puts the commas. Wrong nesting is an assertion. Strings are UTF-8; invalid
 * bytes come out as U+FFFD. Escapes as Go's encoding/json without HTML escaping (", \, control
 * characters, U+2028/9). */
struct tw_json_writer {
    struct tw_buf *out;
    unsigned depth;
    bool need_comma;
    char closers[TW_JSON_DEPTH_MAX];
};

void tw_json_writer_init(struct tw_json_writer *writer, struct tw_buf *out);
void tw_json_begin_object(struct tw_json_writer *writer);
void tw_json_end_object(struct tw_json_writer *writer);
void tw_json_begin_array(struct tw_json_writer *writer);
void tw_json_end_array(struct tw_json_writer *writer);
void tw_json_key(struct tw_json_writer *writer, struct tw_str key);
void tw_json_write_str(struct tw_json_writer *writer, struct tw_str s);
void tw_json_write_cstr(struct tw_json_writer *writer, const char *text);
void tw_json_write_bool(struct tw_json_writer *writer, bool value);
void tw_json_write_int(struct tw_json_writer *writer, int64_t value);
/* Shortest form; NaN and infinities, which JSON cannot say, become null. */
void tw_json_write_number(struct tw_json_writer *writer, double value);
void tw_json_write_null(struct tw_json_writer *writer);
/* text is JSON already. */
void tw_json_write_raw(struct tw_json_writer *writer, struct tw_str text);
/* Shorthands for members of an object. */
void tw_json_member_str(struct tw_json_writer *writer, const char *key, struct tw_str value);
void tw_json_member_cstr(struct tw_json_writer *writer, const char *key, const char *value);
void tw_json_member_bool(struct tw_json_writer *writer, const char *key, bool value);
void tw_json_member_int(struct tw_json_writer *writer, const char *key, int64_t value);
void tw_json_member_number(struct tw_json_writer *writer, const char *key, double value);

#endif
