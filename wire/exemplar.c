/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/exemplar.h"

#include "base/hash.h"
#include "base/number.h"
#include "base/utf8.h"
#include "wire/protobuf.h"

/* Fields of the messages, as in Prometheus's types.proto and io.prometheus.write.v2. */
enum { EXEMPLAR_LABELS = 1, EXEMPLAR_VALUE = 2, EXEMPLAR_TIME = 3 };
enum { LABEL_NAME = 1, LABEL_VALUE = 2 };

#define WRONG_TYPE "a field has the wrong wire type"

int wire_exemplar_compare(const struct wire_exemplar *a, const struct wire_exemplar *b)
{
    if (a->time_ms != b->time_ms)
        return a->time_ms < b->time_ms ? -1 : 1;
    /* Any total order does; bits keep NaN apart from NaN. */
    uint64_t x = tw_double_bits(a->value), y = tw_double_bits(b->value);
    if (x != y)
        return a->value < b->value || (!(a->value > b->value) && x < y) ? -1 : 1;
    return wire_labels_compare(a->labels, b->labels);
}

bool wire_exemplar_equal(const struct wire_exemplar *a, const struct wire_exemplar *b)
{
    return a->time_ms == b->time_ms && tw_double_bits(a->value) == tw_double_bits(b->value) &&
           wire_labels_equal(a->labels, b->labels);
}

/* Length and bytes of each name and value, as Prometheus keeps labels in memory: the length in one
 * byte, or 255 and three more. */
static uint64_t hash_labels(struct wire_labels labels)
{
    struct tw_buf key;
    tw_buf_init(&key, WIRE_EXEMPLAR_LABELS_MAX * 2 * 4 + WIRE_EXEMPLAR_CHARACTERS_MAX * 4);
    for (size_t i = 0; i < labels.count * 2; i++) {
        const struct wire_label *label = &labels.items[i / 2];
        struct tw_str text = i % 2 ? label->value : label->name;
        const unsigned char length[4] = {255, text.size & 255, text.size >> 8 & 255,
                                         text.size >> 16 & 255};
        tw_buf_append(&key, text.size < 255 ? length + 1 : length, text.size < 255 ? 1 : 4);
        tw_buf_append_str(&key, text);
    }
    uint64_t hash = tw_xxh64(key.data, key.size);
    tw_buf_fini(&key);
    return hash;
}

bool wire_exemplar_follows(const struct wire_exemplar *newest, const struct wire_exemplar *exemplar)
{
    if (newest->time_ms != exemplar->time_ms)
        return newest->time_ms < exemplar->time_ms;
    if (exemplar->value < newest->value)
        return false;
    return exemplar->value != newest->value ||
           hash_labels(exemplar->labels) >= hash_labels(newest->labels);
}

/* ---- checking ---- */

static size_t characters(struct tw_str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

enum tw_code wire_exemplar_check(const struct wire_exemplar *exemplar, struct tw_err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < exemplar->labels.count; i++) {
        const struct wire_label *label = &exemplar->labels.items[i];
        if (label->name.size == 0)
            return tw_err_set(err, TW_BAD_DATA, "exemplar: a label has no name");
        if (!tw_utf8_valid(label->name) || !tw_utf8_valid(label->value))
            return tw_err_set(err, TW_BAD_DATA, "exemplar: a label is not valid UTF-8");
        total += characters(label->name) + characters(label->value);
    }
    if (total > WIRE_EXEMPLAR_CHARACTERS_MAX)
        return tw_err_set(err, TW_BAD_DATA,
                          "exemplar: label length of %zu exceeds maximum of %d UTF-8 characters: "
                          "send fewer or shorter labels",
                          total, WIRE_EXEMPLAR_CHARACTERS_MAX);
    return TW_OK;
}

/* ---- decoding ---- */

struct labels_list {
    struct wire_label items[WIRE_EXEMPLAR_LABELS_MAX];
    size_t count;
};

static bool add_label(struct wire_scan *scan, struct labels_list *list, struct wire_label label)
{
    if (list->count == WIRE_EXEMPLAR_LABELS_MAX)
        return wire_scan_fail(scan, "more labels than are taken");
    list->items[list->count++] = label;
    return true;
}

static bool take_label(struct wire_scan *scan, const struct wire_field *field,
                       struct labels_list *list)
{
    if (field->type != WIRE_FIELD_BYTES)
        return wire_scan_fail(scan, WRONG_TYPE);
    struct wire_label label = {0};
    struct wire_scan inner = wire_scan(field->bytes);
    struct wire_field part;
    while (wire_scan_next(&inner, &part)) {
        if (part.number != LABEL_NAME && part.number != LABEL_VALUE)
            continue;
        if (part.type != WIRE_FIELD_BYTES)
            return wire_scan_fail(scan, WRONG_TYPE);
        *(part.number == LABEL_NAME ? &label.name : &label.value) = part.bytes;
    }
    return inner.problem == NULL ? add_label(scan, list, label)
                                 : wire_scan_fail(scan, inner.problem);
}

struct symbols {
    const struct tw_str *items;
    size_t count;
};

/* References come in pairs, which may be split over fields. */
struct references {
    uint64_t name;
    bool half;
};

static bool take_reference(struct wire_scan *scan, const struct symbols *symbols, uint64_t value,
                           struct references *references, struct labels_list *list)
{
    if (value >= symbols->count)
        return wire_scan_fail(scan, "a label refers past the end of the symbols");
    if (!references->half) {
        *references = (struct references){value, true};
        return true;
    }
    references->half = false;
    return add_label(scan, list,
                     (struct wire_label){symbols->items[references->name], symbols->items[value]});
}

static bool take_references(struct wire_scan *scan, const struct wire_field *field,
                            const struct symbols *symbols, struct references *references,
                            struct labels_list *list)
{
    if (field->type == WIRE_FIELD_VARINT)
        return take_reference(scan, symbols, field->value, references, list);
    if (field->type != WIRE_FIELD_BYTES)
        return wire_scan_fail(scan, WRONG_TYPE);
    struct wire_scan packed = wire_scan(field->bytes);
    while (packed.at != packed.limit) {
        uint64_t value;
        if (!wire_scan_varint(&packed, &value))
            return wire_scan_fail(scan, packed.problem);
        if (!take_reference(scan, symbols, value, references, list))
            return false;
    }
    return true;
}

static bool take_field(struct wire_scan *scan, const struct wire_field *field,
                       struct wire_exemplar *exemplar)
{
    if (field->number == EXEMPLAR_VALUE) {
        if (field->type != WIRE_FIELD_FIXED64)
            return wire_scan_fail(scan, WRONG_TYPE);
        exemplar->value = tw_double_from_bits(field->value);
    } else if (field->number == EXEMPLAR_TIME) {
        if (field->type != WIRE_FIELD_VARINT)
            return wire_scan_fail(scan, WRONG_TYPE);
        exemplar->time_ms = (int64_t)field->value;
    }
    return true;
}

/* symbols NULL: version 1.0. */
static enum tw_code decode(struct tw_str message, const struct symbols *symbols,
                           struct tw_arena *arena, struct wire_exemplar *ret_exemplar,
                           struct tw_err *err)
{
    struct wire_exemplar exemplar = {0};
    struct labels_list list = {.count = 0};
    struct references references = {0, false};
    struct wire_scan scan = wire_scan(message);
    struct wire_field field;
    while (wire_scan_next(&scan, &field)) {
        if (field.number != EXEMPLAR_LABELS)
            take_field(&scan, &field, &exemplar);
        else if (symbols)
            take_references(&scan, &field, symbols, &references, &list);
        else
            take_label(&scan, &field, &list);
    }
    if (references.half)
        wire_scan_fail(&scan, "a label has a name without a value");
    if (scan.problem)
        return tw_err_set(err, TW_BAD_DATA, "malformed exemplar at its byte %td: %s",
                          scan.at - scan.start, scan.problem);
    enum tw_code code = wire_labels_canonical(list.items, &list.count, err);
    if (code != TW_OK)
        return code;
    exemplar.labels = (struct wire_labels){list.items, list.count};
    code = wire_exemplar_check(&exemplar, err);
    if (code != TW_OK)
        return code;
    struct wire_label *items = tw_arena_alloc(arena, list.count * sizeof *items);
    for (size_t i = 0; i < list.count; i++)
        items[i] = list.items[i];
    exemplar.labels.items = items;
    *ret_exemplar = exemplar;
    return TW_OK;
}

enum tw_code wire_exemplar_decode(struct tw_str message, struct tw_arena *arena,
                                  struct wire_exemplar *ret_exemplar, struct tw_err *err)
{
    return decode(message, NULL, arena, ret_exemplar, err);
}

enum tw_code wire_exemplar_decode_v2(struct tw_str message, const struct tw_str *symbols,
                                     size_t symbol_count, struct tw_arena *arena,
                                     struct wire_exemplar *ret_exemplar, struct tw_err *err)
{
    struct symbols table = {symbols, symbol_count};
    return decode(message, &table, arena, ret_exemplar, err);
}

/* ---- encoding ---- */

void wire_exemplar_encode(const struct wire_exemplar *exemplar, struct tw_buf *ret)
{
    for (size_t i = 0; i < exemplar->labels.count; i++) {
        const struct wire_label *label = &exemplar->labels.items[i];
        struct tw_buf text;
        tw_buf_init(&text, ret->size_max);
        wire_put_bytes_field(&text, LABEL_NAME, label->name);
        wire_put_bytes_field(&text, LABEL_VALUE, label->value);
        wire_put_bytes_field(ret, EXEMPLAR_LABELS, tw_buf_str(&text));
        tw_buf_fini(&text);
    }
    if (tw_double_bits(exemplar->value) != 0)
        wire_put_fixed64_field(ret, EXEMPLAR_VALUE, tw_double_bits(exemplar->value));
    if (exemplar->time_ms != 0)
        wire_put_varint_field(ret, EXEMPLAR_TIME, (uint64_t)exemplar->time_ms);
}
