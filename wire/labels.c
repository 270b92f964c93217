/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/labels.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/utf8.h"

/* Stands after each name and value where a set is hashed; no UTF-8 text holds it. */
#define SEPARATOR 0xff

struct tw_str wire_labels_get(struct wire_labels labels, struct tw_str name)
{
    for (size_t i = 0; i < labels.count; i++)
        if (tw_str_equal(labels.items[i].name, name))
            return labels.items[i].value;
    return TW_STR("");
}

bool wire_labels_equal(struct wire_labels a, struct wire_labels b)
{
    if (a.count != b.count)
        return false;
    for (size_t i = 0; i < a.count; i++)
        if (!tw_str_equal(a.items[i].name, b.items[i].name) ||
            !tw_str_equal(a.items[i].value, b.items[i].value))
            return false;
    return true;
}

int wire_labels_compare(struct wire_labels a, struct wire_labels b)
{
    size_t count = a.count < b.count ? a.count : b.count;
    for (size_t i = 0; i < count; i++) {
        int order = tw_str_compare(a.items[i].name, b.items[i].name);
        if (order == 0)
            order = tw_str_compare(a.items[i].value, b.items[i].value);
        if (order != 0)
            return order;
    }
    return (a.count > b.count) - (a.count < b.count);
}

static char *put_hashed(char *to, struct tw_str s)
{
    if (s.size > 0)
        memcpy(to, s.data, s.size);
    to[s.size] = (char)SEPARATOR;
    return to + s.size + 1;
}

/* XXH3 of name 0xff value 0xff name 0xff ...: one call over joined bytes costs less than one per
 * string. Sets within the limits fit on the stack. */
uint64_t wire_labels_hash(struct wire_labels labels)
{
    char stack[WIRE_LABELS_BYTES_MAX + 2 * WIRE_LABELS_COUNT_MAX];
    size_t bytes = 0;
    for (size_t i = 0; i < labels.count; i++)
        bytes += labels.items[i].name.size + labels.items[i].value.size + 2;
    stack[0] = 0; /* an empty set hashes no byte of it */
    char *joined = stack;
    if (bytes > sizeof stack) {
        joined = malloc(bytes);
        TW_ASSERT(joined != NULL);
    }
    char *end = joined;
    for (size_t i = 0; i < labels.count; i++) {
        end = put_hashed(end, labels.items[i].name);
        end = put_hashed(end, labels.items[i].value);
    }
    TW_ASSERT((size_t)(end - joined) == bytes);
    uint64_t hash = tw_hash64(joined, bytes);
    if (joined != stack)
        free(joined);
    return hash;
}

struct wire_labels wire_labels_copy(struct tw_arena *arena, struct wire_labels labels)
{
    struct wire_label *items = TW_ARENA_ARRAY(arena, struct wire_label, labels.count);
    for (size_t i = 0; i < labels.count; i++) {
        items[i].name = tw_arena_str(arena, labels.items[i].name);
        items[i].value = tw_arena_str(arena, labels.items[i].value);
    }
    return (struct wire_labels){items, labels.count};
}

static int compare_names(const void *a, const void *b)
{
    const struct wire_label *left = a, *right = b;
    return tw_str_compare(left->name, right->name);
}

enum tw_code wire_labels_canonical(struct wire_label *items, size_t *count, struct tw_err *err)
{
    bool sorted = true;
    for (size_t i = 1; i < *count && sorted; i++)
        sorted = compare_names(&items[i - 1], &items[i]) <= 0;
    if (!sorted)
        qsort(items, *count, sizeof *items, compare_names);
    for (size_t i = 1; i < *count; i++)
        if (tw_str_equal(items[i - 1].name, items[i].name))
            return tw_err_set(err, TW_BAD_DATA, "label name \"%.*s\" is given twice",
                              TW_STR_ARG(items[i].name));
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (items[i].value.size > 0)
            items[kept++] = items[i];
    *count = kept;
    return TW_OK;
}

/* A name or value in an error message: as much as helps, whatever its bytes. */
#define SHOWN_BYTES 80

static struct tw_str shown(struct tw_str s)
{
    return tw_str_slice(s, 0, SHOWN_BYTES);
}

static enum tw_code check_label(const struct wire_label *label, struct tw_err *err)
{
    if (label->name.size == 0)
        return tw_err_set(err, TW_BAD_DATA, "a label has an empty name (value \"%.*s\")",
                          TW_STR_ARG(shown(label->value)));
    if (label->name.size > WIRE_LABEL_NAME_BYTES_MAX)
        return tw_err_set(err, TW_BAD_DATA, "label name \"%.*s...\" has %zu bytes, the limit is %d",
                          TW_STR_ARG(shown(label->name)), label->name.size,
                          WIRE_LABEL_NAME_BYTES_MAX);
    if (!tw_utf8_valid(label->name))
        return tw_err_set(err, TW_BAD_DATA, "label name \"%.*s\" is not UTF-8",
                          TW_STR_ARG(shown(label->name)));
    if (label->value.size == 0)
        return tw_err_set(err, TW_BAD_DATA, "label \"%.*s\" has an empty value",
                          TW_STR_ARG(shown(label->name)));
    if (label->value.size > WIRE_LABEL_VALUE_BYTES_MAX)
        return tw_err_set(
            err, TW_BAD_DATA, "the value of label \"%.*s\" has %zu bytes, the limit is %d",
            TW_STR_ARG(shown(label->name)), label->value.size, WIRE_LABEL_VALUE_BYTES_MAX);
    if (!tw_utf8_valid(label->value))
        return tw_err_set(err, TW_BAD_DATA, "the value of label \"%.*s\" is not UTF-8",
                          TW_STR_ARG(shown(label->name)));
    return TW_OK;
}

enum tw_code wire_labels_check(struct wire_labels labels, struct tw_err *err)
{
    if (labels.count > WIRE_LABELS_COUNT_MAX)
        return tw_err_set(err, TW_BAD_DATA, "%zu labels, the limit is %d", labels.count,
                          WIRE_LABELS_COUNT_MAX);
    bool named = false;
    size_t bytes = 0;
    for (size_t i = 0; i < labels.count; i++) {
        const struct wire_label *label = &labels.items[i];
        enum tw_code code = check_label(label, err);
        if (code != TW_OK)
            return code;
        if (i > 0) {
            int order = tw_str_compare(labels.items[i - 1].name, label->name);
            if (order == 0)
                return tw_err_set(err, TW_BAD_DATA, "label name \"%.*s\" is given twice",
                                  TW_STR_ARG(shown(label->name)));
            if (order > 0)
                return tw_err_set(
                    err, TW_BAD_DATA, "label \"%.*s\" stands after \"%.*s\": labels must be sorted",
                    TW_STR_ARG(shown(label->name)), TW_STR_ARG(shown(labels.items[i - 1].name)));
        }
        named = named || tw_str_is(label->name, WIRE_METRIC_NAME);
        bytes += label->name.size + label->value.size;
    }
    if (!named)
        return tw_err_set(err, TW_BAD_DATA, "no metric name: the label \"__name__\" is missing");
    if (bytes > WIRE_LABELS_BYTES_MAX)
        return tw_err_set(err, TW_BAD_DATA, "the labels have %zu bytes together, the limit is %d",
                          bytes, WIRE_LABELS_BYTES_MAX);
    return TW_OK;
}

/* As Go's %q, but for printable Unicode, which is left as it is throughout. */
static void put_quoted(struct tw_buf *text, struct tw_str s)
{
    static const char short_escapes[][2] = {{'\a', 'a'}, {'\b', 'b'},  {'\f', 'f'},
                                            {'\n', 'n'}, {'\r', 'r'},  {'\t', 't'},
                                            {'\v', 'v'}, {'\\', '\\'}, {'"', '"'}};
    tw_buf_append_char(text, '"');
    for (size_t at = 0; at < s.size;) {
        uint32_t point;
        size_t step = tw_utf8_decode(tw_str_slice(s, at, s.size), &point);
        unsigned char byte = (unsigned char)s.data[at];
        char escape = 0;
        for (size_t i = 0; i < sizeof short_escapes / sizeof short_escapes[0]; i++)
            if (s.data[at] == short_escapes[i][0])
                escape = short_escapes[i][1];
        if (escape != 0)
            tw_buf_appendf(text, "\\%c", escape);
        else if (byte < 0x20 || byte == 0x7f || (step == 1 && byte >= 0x80))
            tw_buf_appendf(text, "\\x%02x", byte);
        else
            tw_buf_append(text, s.data + at, step);
        at += step;
    }
    tw_buf_append_char(text, '"');
}

void wire_labels_format(struct wire_labels labels, struct tw_buf *ret_text)
{
    struct tw_str metric = wire_labels_get(labels, TW_STR(WIRE_METRIC_NAME));
    bool front = metric.size > 0 && wire_metric_name_is_legacy(metric);
    if (front)
        tw_buf_append_str(ret_text, metric);
    if (front && labels.count == 1)
        return;
    const char *comma = "";
    tw_buf_append_char(ret_text, '{');
    if (metric.size > 0 && !front) {
        put_quoted(ret_text, metric);
        comma = ", ";
    }
    for (size_t i = 0; i < labels.count; i++) {
        const struct wire_label *label = &labels.items[i];
        if (tw_str_is(label->name, WIRE_METRIC_NAME))
            continue;
        tw_buf_append_cstr(ret_text, comma);
        comma = ", ";
        if (wire_label_name_is_legacy(label->name))
            tw_buf_append_str(ret_text, label->name);
        else
            put_quoted(ret_text, label->name);
        tw_buf_append_char(ret_text, '=');
        put_quoted(ret_text, label->value);
    }
    tw_buf_append_char(ret_text, '}');
}

static bool is_legacy(struct tw_str name, bool colons)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colons && c == ':');
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.size > 0;
}

bool wire_label_name_is_legacy(struct tw_str name)
{
    return is_legacy(name, false);
}

bool wire_metric_name_is_legacy(struct tw_str name)
{
    return is_legacy(name, true);
}
