/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_message: native histograms as protobuf, decode and encode side by side.
 */
#include "config.h"

#include <string.h>

#include "base/assert.h"
#include "wire/histogram.h"
#include "wire/protobuf.h"

/* Fields of the message, as in Prometheus's types.proto; 17 is of io.prometheus.write.v2 alone. */
enum {
    COUNT_INT = 1,
    COUNT_FLOAT,
    SUM,
    SCHEMA,
    ZERO_THRESHOLD,
    ZERO_COUNT_INT,
    ZERO_COUNT_FLOAT,
    NEGATIVE_SPANS,
    NEGATIVE_DELTAS,
    NEGATIVE_COUNTS,
    POSITIVE_SPANS,
    POSITIVE_DELTAS,
    POSITIVE_COUNTS,
    RESET_HINT,
    TIME,
    CUSTOM_VALUES,
    START_TIME
};
enum { SPAN_OFFSET = 1, SPAN_LENGTH = 2 };

#define WRONG_TYPE "a field has the wrong wire type"

/* ---- decoding ---- */

/* An array that grows in the arena: repeated fields come packed or one by one. */
struct list {
    void *items;
    uint32_t count, capacity;
};

struct side {
    struct list spans;  /* struct wire_span */
    struct list deltas; /* uint64_t, zigzag as sent */
    struct list counts; /* union wire_count */
};

struct decoder {
    struct tw_arena *arena;
    struct wire_histogram *histogram;
    struct side positive, negative;
    struct list custom; /* double */
};

/* Room for one more item, or NULL when there are too many. */
static void *add(struct tw_arena *arena, struct list *list, size_t item_bytes, uint32_t limit)
{
    if (list->count == limit)
        return NULL;
    if (list->count == list->capacity) {
        uint32_t wider = list->capacity ? list->capacity * 2 : 16;
        list->items =
            tw_arena_grow(arena, list->items, list->capacity * item_bytes, wider * item_bytes);
        list->capacity = wider;
    }
    return (char *)list->items + item_bytes * list->count++;
}

static bool add_number(struct decoder *decoder, struct wire_scan *scan, struct list *list,
                       uint64_t bits, uint32_t limit)
{
    uint64_t *item = add(decoder->arena, list, sizeof *item, limit);
    if (!item)
        return wire_scan_fail(scan, "more buckets than are taken");
    *item = bits;
    return true;
}

/* A repeated field of numbers: packed, or one of them. */
static bool take_numbers(struct decoder *decoder, struct wire_scan *scan,
                         const struct wire_field *field, enum wire_field_type type,
                         struct list *list, uint32_t limit)
{
    if (field->type == type)
        return add_number(decoder, scan, list, field->value, limit);
    if (field->type != WIRE_FIELD_BYTES)
        return wire_scan_fail(scan, WRONG_TYPE);
    struct wire_scan packed = wire_scan(field->bytes);
    while (packed.at != packed.limit) {
        uint64_t value;
        if (!(type == WIRE_FIELD_VARINT ? wire_scan_varint(&packed, &value)
                                        : wire_scan_fixed64(&packed, &value)))
            return wire_scan_fail(scan, packed.problem);
        if (!add_number(decoder, scan, list, value, limit))
            return false;
    }
    return true;
}

static bool take_span(struct decoder *decoder, struct wire_scan *scan,
                      const struct wire_field *field, struct list *list)
{
    if (field->type != WIRE_FIELD_BYTES)
        return wire_scan_fail(scan, WRONG_TYPE);
    struct wire_span *span = add(decoder->arena, list, sizeof *span, WIRE_HISTOGRAM_SPANS_MAX);
    if (!span)
        return wire_scan_fail(scan, "more spans than are taken");
    *span = (struct wire_span){0, 0};
    struct wire_scan inner = wire_scan(field->bytes);
    struct wire_field part;
    while (wire_scan_next(&inner, &part)) {
        if (part.number != SPAN_OFFSET && part.number != SPAN_LENGTH)
            continue;
        if (part.type != WIRE_FIELD_VARINT)
            return wire_scan_fail(scan, WRONG_TYPE);
        /* 32-bit fields drop what is above, as protobuf says. */
        if (part.number == SPAN_OFFSET)
            span->offset = (int32_t)wire_unzigzag((uint32_t)part.value);
        else
            span->length = (uint32_t)part.value;
    }
    return inner.problem == NULL || wire_scan_fail(scan, inner.problem);
}

static bool take_field(struct decoder *decoder, struct wire_scan *scan,
                       const struct wire_field *field)
{
    struct wire_histogram *h = decoder->histogram;
    uint32_t limit = WIRE_HISTOGRAM_BUCKETS_MAX;
    switch (field->number) {
    case NEGATIVE_SPANS:
        return take_span(decoder, scan, field, &decoder->negative.spans);
    case POSITIVE_SPANS:
        return take_span(decoder, scan, field, &decoder->positive.spans);
    case NEGATIVE_DELTAS:
        return take_numbers(decoder, scan, field, WIRE_FIELD_VARINT, &decoder->negative.deltas,
                            limit);
    case POSITIVE_DELTAS:
        return take_numbers(decoder, scan, field, WIRE_FIELD_VARINT, &decoder->positive.deltas,
                            limit);
    case NEGATIVE_COUNTS:
        return take_numbers(decoder, scan, field, WIRE_FIELD_FIXED64, &decoder->negative.counts,
                            limit);
    case POSITIVE_COUNTS:
        return take_numbers(decoder, scan, field, WIRE_FIELD_FIXED64, &decoder->positive.counts,
                            limit);
    case CUSTOM_VALUES:
        return take_numbers(decoder, scan, field, WIRE_FIELD_FIXED64, &decoder->custom,
                            WIRE_HISTOGRAM_CUSTOM_MAX);
    case COUNT_FLOAT:
    case SUM:
    case ZERO_THRESHOLD:
    case ZERO_COUNT_FLOAT:
        if (field->type != WIRE_FIELD_FIXED64)
            return wire_scan_fail(scan, WRONG_TYPE);
        break;
    default:
        if (field->number <= START_TIME && field->type != WIRE_FIELD_VARINT)
            return wire_scan_fail(scan, WRONG_TYPE);
    }
    switch (field->number) {
    case COUNT_INT:
    case COUNT_FLOAT: /* of a oneof, the last one counts */
        h->is_float = field->number == COUNT_FLOAT;
        h->count.integer = field->value;
        break;
    case ZERO_COUNT_INT:
    case ZERO_COUNT_FLOAT:
        h->zero_count.integer = field->value;
        break;
    case SUM:
        h->sum = tw_double_from_bits(field->value);
        break;
    case ZERO_THRESHOLD:
        h->zero_threshold = tw_double_from_bits(field->value);
        break;
    case SCHEMA:
        h->schema = (int32_t)wire_unzigzag((uint32_t)field->value);
        break;
    case RESET_HINT:
        h->reset_hint = field->value <= WIRE_RESET_GAUGE ? (enum wire_reset_hint)field->value
                                                         : WIRE_RESET_UNKNOWN;
        break;
    case TIME:
        h->time_ms = (int64_t)field->value;
        break;
    case START_TIME:
        h->start_ms = (int64_t)field->value;
        break;
    default:
        break; /* unknown */
    }
    return true;
}

/* Deltas add up to absolute counts, in place; false when one is below zero. */
static enum tw_code sum_deltas(const struct list *deltas, struct tw_err *err)
{
    uint64_t *items = deltas->items;
    int64_t count = 0;
    for (uint32_t i = 0; i < deltas->count; i++) {
        if (__builtin_add_overflow(count, wire_unzigzag(items[i]), &count) || count < 0)
            return tw_err_set(err, TW_BAD_DATA,
                              "bucket number %u has observation count of %lld: histogram has a "
                              "bucket whose observation count is negative",
                              i + 1, (long long)count);
        items[i] = (uint64_t)count;
    }
    return TW_OK;
}

static enum tw_code finish_side(const struct decoder *decoder, const struct side *side,
                                struct wire_buckets *ret, const char *name, struct tw_err *err)
{
    bool is_float = decoder->histogram->is_float;
    if ((is_float ? side->deltas : side->counts).count > 0)
        return tw_err_set(err, TW_BAD_DATA, "%s side: %s", name,
                          is_float ? "a float histogram has integer buckets"
                                   : "an integer histogram has float buckets");
    const struct list *counts = is_float ? &side->counts : &side->deltas;
    enum tw_code code = is_float ? TW_OK : sum_deltas(counts, err);
    if (code != TW_OK) {
        tw_err_wrap(err, "%s side", name);
        return code;
    }
    *ret = (struct wire_buckets){.spans = side->spans.items,
                                 .span_count = side->spans.count,
                                 .counts = counts->items,
                                 .count = counts->count};
    return TW_OK;
}

enum tw_code wire_histogram_decode(struct tw_str message, struct tw_arena *arena,
                                   struct wire_histogram *ret_histogram, struct tw_err *err)
{
    struct tw_err own;
    err = err ? err : &own; /* wrapped on the way */
    struct wire_histogram histogram = {0};
    struct decoder decoder = {.arena = arena, .histogram = &histogram};
    struct wire_scan scan = wire_scan(message);
    struct wire_field field;
    bool zero_is_float = false, has_zero = false;
    while (wire_scan_next(&scan, &field) && take_field(&decoder, &scan, &field))
        if (field.number == ZERO_COUNT_INT || field.number == ZERO_COUNT_FLOAT) {
            has_zero = true;
            zero_is_float = field.number == ZERO_COUNT_FLOAT;
        }
    if (scan.problem)
        return tw_err_set(err, TW_BAD_DATA, "malformed histogram at its byte %td: %s",
                          scan.at - scan.start, scan.problem);
    if (has_zero && zero_is_float != histogram.is_float) {
        /* Zero of the other kind is what a sender writes that leaves the kind open. */
        if (histogram.zero_count.integer != 0)
            return tw_err_set(err, TW_BAD_DATA,
                              "count and zero count of a histogram are of different kinds");
    }
    enum tw_code code =
        finish_side(&decoder, &decoder.positive, &histogram.positive, "positive", err);
    if (code == TW_OK)
        code = finish_side(&decoder, &decoder.negative, &histogram.negative, "negative", err);
    if (code != TW_OK)
        return code;
    histogram.custom_values = decoder.custom.items;
    histogram.custom_count = decoder.custom.count;
    code = wire_histogram_check(&histogram, err);
    if (code == TW_OK)
        *ret_histogram = histogram;
    return code;
}

/* ---- encoding ---- */

static void put_spans(struct tw_buf *ret, uint32_t number, const struct wire_buckets *buckets)
{
    for (uint32_t i = 0; i < buckets->span_count; i++) {
        struct tw_buf span;
        tw_buf_init(&span, 32);
        if (buckets->spans[i].offset != 0)
            wire_put_varint_field(&span, SPAN_OFFSET,
                                  (uint32_t)wire_zigzag(buckets->spans[i].offset));
        if (buckets->spans[i].length != 0)
            wire_put_varint_field(&span, SPAN_LENGTH, buckets->spans[i].length);
        wire_put_bytes_field(ret, number, tw_buf_str(&span));
        tw_buf_fini(&span);
    }
}

static void put_side(struct tw_buf *ret, bool is_float, const struct wire_buckets *buckets,
                     uint32_t spans_number)
{
    put_spans(ret, spans_number, buckets);
    if (buckets->count == 0)
        return;
    struct tw_buf packed;
    tw_buf_init(&packed, ret->size_max);
    int64_t before = 0;
    for (uint32_t i = 0; i < buckets->count; i++) {
        if (is_float) {
            wire_put_fixed64(&packed, buckets->counts[i].integer);
            continue;
        }
        int64_t count = (int64_t)buckets->counts[i].integer;
        wire_put_varint(&packed, wire_zigzag(count - before));
        before = count;
    }
    /* Deltas have the number after the spans, counts the one behind. */
    if (packed.overflow)
        ret->overflow = true;
    else
        wire_put_bytes_field(ret, spans_number + (is_float ? 2 : 1), tw_buf_str(&packed));
    tw_buf_fini(&packed);
}

static void put_double(struct tw_buf *ret, uint32_t number, double value)
{
    if (tw_double_bits(value) != 0)
        wire_put_fixed64_field(ret, number, tw_double_bits(value));
}

static void put_number(struct tw_buf *ret, uint32_t number, uint64_t value)
{
    if (value != 0)
        wire_put_varint_field(ret, number, value);
}

void wire_histogram_encode(const struct wire_histogram *h, struct tw_buf *ret)
{
    /* Members of a oneof are written even when 0: they say the kind. */
    if (h->is_float)
        wire_put_fixed64_field(ret, COUNT_FLOAT, h->count.integer);
    else
        wire_put_varint_field(ret, COUNT_INT, h->count.integer);
    put_double(ret, SUM, h->sum);
    put_number(ret, SCHEMA, (uint32_t)wire_zigzag(h->schema));
    put_double(ret, ZERO_THRESHOLD, h->zero_threshold);
    if (h->is_float)
        wire_put_fixed64_field(ret, ZERO_COUNT_FLOAT, h->zero_count.integer);
    else
        wire_put_varint_field(ret, ZERO_COUNT_INT, h->zero_count.integer);
    put_side(ret, h->is_float, &h->negative, NEGATIVE_SPANS);
    put_side(ret, h->is_float, &h->positive, POSITIVE_SPANS);
    put_number(ret, RESET_HINT, h->reset_hint);
    put_number(ret, TIME, (uint64_t)h->time_ms);
    if (h->custom_count > 0) {
        struct tw_buf packed;
        tw_buf_init(&packed, ret->size_max);
        for (uint32_t i = 0; i < h->custom_count; i++)
            wire_put_fixed64(&packed, tw_double_bits(h->custom_values[i]));
        if (packed.overflow)
            ret->overflow = true;
        else
            wire_put_bytes_field(ret, CUSTOM_VALUES, tw_buf_str(&packed));
        tw_buf_fini(&packed);
    }
    put_number(ret, START_TIME, (uint64_t)h->start_ms);
}
