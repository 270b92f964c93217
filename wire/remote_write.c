/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/remote_write.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Wire types of protobuf. */
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

#define TAG(field, type) ((field) << 3 | (type))
#define VARINT_BYTES_MAX 10
#define FIELD_MAX 536870911 /* 2^29 - 1, the largest number that protobuf allows */

/* Fields of the messages, as in Prometheus's remote.proto and types.proto. */
enum { REQUEST_SERIES = 1, REQUEST_METADATA = 3 };
enum { SERIES_LABELS = 1, SERIES_SAMPLES = 2, SERIES_EXEMPLARS = 3, SERIES_HISTOGRAMS = 4 };
enum { LABEL_NAME = 1, LABEL_VALUE = 2 };
enum { SAMPLE_VALUE = 1, SAMPLE_TIME = 2 };
enum { METADATA_TYPE = 1, METADATA_FAMILY = 2, METADATA_HELP = 4, METADATA_UNIT = 5 };

static const char *const type_names[WIRE_TYPE_COUNT] = {
    "unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"};

void wire_samples_fini(struct wire_samples *samples)
{
    free(samples->items);
    *samples = (struct wire_samples){0};
}

void wire_samples_grow(struct wire_samples *samples)
{
    samples->capacity = samples->capacity ? samples->capacity * 2 : 256;
    samples->items = realloc(samples->items, samples->capacity * sizeof *samples->items);
    TW_ASSERT(samples->items != NULL);
}

const char *wire_metric_type_name(enum wire_metric_type type)
{
    return type < WIRE_TYPE_COUNT ? type_names[type] : type_names[WIRE_TYPE_UNKNOWN];
}

/* ---- writing ---- */

static size_t varint_bytes(uint64_t value)
{
    size_t bytes = 1;
    for (; value >= 0x80; value >>= 7)
        bytes++;
    return bytes;
}

static char *put_varint(char *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (char)(value | 0x80);
    *to++ = (char)value;
    return to;
}

static char *put_bytes(char *to, int field, struct tw_str s)
{
    *to++ = (char)TAG(field, WIRE_BYTES);
    to = put_varint(to, s.size);
    if (s.size > 0)
        memcpy(to, s.data, s.size);
    return to + s.size;
}

/* Of a length-delimited field with a one-byte tag. */
static size_t field_bytes(size_t size)
{
    return 1 + varint_bytes(size) + size;
}

static size_t label_bytes(const struct wire_label *label)
{
    return field_bytes(label->name.size) + field_bytes(label->value.size);
}

void wire_write_put_labels(struct tw_buf *ret_fields, struct wire_labels labels)
{
    for (size_t i = 0; i < labels.count; i++) {
        const struct wire_label *label = &labels.items[i];
        size_t bytes = label_bytes(label);
        char *to = tw_buf_reserve(ret_fields, field_bytes(bytes));
        if (to == NULL)
            return;
        *to++ = TAG(SERIES_LABELS, WIRE_BYTES);
        to = put_varint(to, bytes);
        to = put_bytes(to, LABEL_NAME, label->name);
        put_bytes(to, LABEL_VALUE, label->value);
        ret_fields->size += field_bytes(bytes);
    }
}

static size_t sample_bytes(const struct wire_sample *sample)
{
    /* The value is left out when it is +0 and the time when it is 0: proto3's defaults. */
    uint64_t bits;
    memcpy(&bits, &sample->value, sizeof bits);
    return (bits != 0 ? 9 : 0) +
           (sample->time_ms != 0 ? 1 + varint_bytes((uint64_t)sample->time_ms) : 0);
}

static char *put_sample(char *to, const struct wire_sample *sample)
{
    uint64_t bits;
    memcpy(&bits, &sample->value, sizeof bits);
    *to++ = TAG(SERIES_SAMPLES, WIRE_BYTES);
    to = put_varint(to, sample_bytes(sample));
    if (bits != 0) {
        *to++ = TAG(SAMPLE_VALUE, WIRE_FIXED64);
        for (int i = 0; i < 8; i++)
            *to++ = (char)(bits >> 8 * i);
    }
    if (sample->time_ms != 0) {
        *to++ = TAG(SAMPLE_TIME, WIRE_VARINT);
        to = put_varint(to, (uint64_t)sample->time_ms);
    }
    return to;
}

static size_t samples_bytes(const struct wire_sample *samples, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += field_bytes(sample_bytes(&samples[i]));
    return bytes;
}

void wire_write_put_series_raw(struct tw_buf *ret_body, struct tw_str label_fields,
                               const struct wire_sample *samples, size_t count)
{
    size_t bytes = label_fields.size + samples_bytes(samples, count);
    char *to = tw_buf_reserve(ret_body, field_bytes(bytes));
    if (to == NULL)
        return;
    char *start = to;
    *to++ = TAG(REQUEST_SERIES, WIRE_BYTES);
    to = put_varint(to, bytes);
    if (label_fields.size > 0)
        memcpy(to, label_fields.data, label_fields.size);
    to += label_fields.size;
    for (size_t i = 0; i < count; i++)
        to = put_sample(to, &samples[i]);
    TW_ASSERT((size_t)(to - start) == field_bytes(bytes));
    ret_body->size += (size_t)(to - start);
}

void wire_write_put_series(struct tw_buf *ret_body, struct wire_labels labels,
                           const struct wire_sample *samples, size_t count)
{
    size_t bytes = samples_bytes(samples, count);
    for (size_t i = 0; i < labels.count; i++)
        bytes += field_bytes(label_bytes(&labels.items[i]));
    /* All or nothing: a series that does not fit leaves no torn message behind. */
    char *to = tw_buf_reserve(ret_body, field_bytes(bytes));
    if (to == NULL)
        return;
    *to++ = TAG(REQUEST_SERIES, WIRE_BYTES);
    to = put_varint(to, bytes);
    ret_body->size = (size_t)(to - ret_body->data);
    wire_write_put_labels(ret_body, labels);
    to = ret_body->data + ret_body->size;
    for (size_t i = 0; i < count; i++)
        to = put_sample(to, &samples[i]);
    ret_body->size = (size_t)(to - ret_body->data);
}

void wire_write_put_metadata(struct tw_buf *ret_body, const struct wire_metadata *metadata)
{
    TW_ASSERT(metadata->type < WIRE_TYPE_COUNT);
    size_t bytes = (metadata->type != WIRE_TYPE_UNKNOWN ? 2 : 0) +
                   field_bytes(metadata->family.size) + field_bytes(metadata->help.size) +
                   (metadata->unit.size > 0 ? field_bytes(metadata->unit.size) : 0);
    char *to = tw_buf_reserve(ret_body, field_bytes(bytes));
    if (to == NULL)
        return;
    *to++ = TAG(REQUEST_METADATA, WIRE_BYTES);
    to = put_varint(to, bytes);
    if (metadata->type != WIRE_TYPE_UNKNOWN) {
        *to++ = TAG(METADATA_TYPE, WIRE_VARINT);
        *to++ = (char)metadata->type;
    }
    to = put_bytes(to, METADATA_FAMILY, metadata->family);
    to = put_bytes(to, METADATA_HELP, metadata->help);
    if (metadata->unit.size > 0)
        put_bytes(to, METADATA_UNIT, metadata->unit);
    ret_body->size += field_bytes(bytes);
}

/* ---- reading ----
 *
 * A scan goes over one message; errors are kept as a constant sentence and a place, and turned into
 * a struct tw_err once, at the end: the good path carries no more than two pointers.
 */
struct scan {
    const uint8_t *at, *limit;
    const char *problem; /* NULL = none */
};

struct field {
    uint32_t number, type;
    const uint8_t *start; /* the tag */
    /* WIRE_BYTES: the payload; WIRE_VARINT: the number. */
    struct tw_str bytes;
    uint64_t number_value;
};

static bool fail(struct scan *scan, const uint8_t *at, const char *problem)
{
    scan->at = at;
    scan->problem = problem;
    return false;
}

static bool scan_varint_slow(struct scan *scan, uint64_t *ret)
{
    uint64_t value = 0;
    const uint8_t *at = scan->at;
    for (int i = 0; i < VARINT_BYTES_MAX; i++) {
        if (at == scan->limit)
            return fail(scan, scan->at, "a number is cut off");
        uint8_t byte = *at++;
        /* The tenth byte holds the last of 64 bits. */
        if (i == VARINT_BYTES_MAX - 1 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << 7 * i;
        if (byte < 0x80) {
            scan->at = at;
            *ret = value;
            return true;
        }
    }
    return fail(scan, scan->at, "a number has more than 64 bits");
}

static inline bool scan_varint(struct scan *scan, uint64_t *ret)
{
    const uint8_t *at = scan->at;
    if (at != scan->limit && *at < 0x80) {
        *ret = *at;
        scan->at = at + 1;
        return true;
    }
    if (scan->limit - at >= 2 && at[1] < 0x80) {
        *ret = (at[0] & 0x7f) | (uint64_t)at[1] << 7;
        scan->at = at + 2;
        return true;
    }
    return scan_varint_slow(scan, ret);
}

static inline bool scan_length(struct scan *scan, struct tw_str *ret)
{
    const uint8_t *start = scan->at;
    uint64_t size;
    if (!scan_varint(scan, &size))
        return false;
    if (size > (uint64_t)(scan->limit - scan->at))
        return fail(scan, start, "a length goes past the end of its message");
    *ret = (struct tw_str){(const char *)scan->at, (size_t)size};
    scan->at += size;
    return true;
}

static bool skip_fixed(struct scan *scan, size_t bytes)
{
    if ((size_t)(scan->limit - scan->at) < bytes)
        return fail(scan, scan->at, "a value is cut off");
    scan->at += bytes;
    return true;
}

/* Reads a field whole; for the fixed types, at - 8 or at - 4 is the payload. */
static inline bool scan_field(struct scan *scan, struct field *ret)
{
    ret->start = scan->at;
    uint64_t tag;
    if (!scan_varint(scan, &tag))
        return false;
    ret->type = tag & 7;
    if (tag >> 3 == 0 || tag >> 3 > FIELD_MAX)
        return fail(scan, ret->start, "a field number is out of range");
    ret->number = (uint32_t)(tag >> 3);
    switch (ret->type) {
    case WIRE_VARINT:
        return scan_varint(scan, &ret->number_value);
    case WIRE_FIXED64:
        return skip_fixed(scan, 8);
    case WIRE_BYTES:
        return scan_length(scan, &ret->bytes);
    case WIRE_FIXED32:
        return skip_fixed(scan, 4);
    default:
        return fail(scan, ret->start, "a field is a group or of an unknown wire type");
    }
}

static bool expect(struct scan *scan, const struct field *field, uint32_t type)
{
    return field->type == type || fail(scan, field->start, "a field has the wrong wire type");
}

static struct scan scan_of(struct tw_str message)
{
    const uint8_t *start = (const uint8_t *)message.data;
    return (struct scan){start, start + message.size, NULL};
}

static inline uint64_t load64(const uint8_t *at)
{
    uint64_t bits;
    memcpy(&bits, at, sizeof bits);
    return le64toh(bits);
}

static bool scan_sample_slow(struct scan *scan, struct wire_sample *ret)
{
    uint64_t bits = 0, time = 0;
    while (scan->at != scan->limit) {
        struct field field;
        if (!scan_field(scan, &field))
            return false;
        if (field.number == SAMPLE_VALUE) {
            if (!expect(scan, &field, WIRE_FIXED64))
                return false;
            bits = load64(scan->at - 8);
        } else if (field.number == SAMPLE_TIME) {
            if (!expect(scan, &field, WIRE_VARINT))
                return false;
            time = field.number_value;
        }
    }
    ret->time_ms = (int64_t)time;
    memcpy(&ret->value, &bits, sizeof bits);
    return true;
}

#define COMMON_VALUE_BYTES 9 /* with its tag */
#define COMMON_TIME_BYTES_MAX 8

/* Every sender in use writes the value (9 bytes), then the time: its last 8 bytes are read at once,
 * of which those of the time are the upper ones. */
static inline bool read_common_sample(const uint8_t *at, size_t size, struct wire_sample *ret)
{
    if (size < COMMON_VALUE_BYTES + 2 || size > COMMON_VALUE_BYTES + 1 + COMMON_TIME_BYTES_MAX ||
        at[0] != TAG(SAMPLE_VALUE, WIRE_FIXED64) ||
        at[COMMON_VALUE_BYTES] != TAG(SAMPLE_TIME, WIRE_VARINT))
        return false;
    unsigned surplus = 8 * (unsigned)(COMMON_VALUE_BYTES + 1 + 8 - size);
    uint64_t time = load64(at + size - 8) >> surplus;
    /* Each byte but the last says that one more follows. */
    if ((time & UINT64_C(0x8080808080808080)) != UINT64_C(0x0080808080808080) >> surplus)
        return false;
    time &= UINT64_C(0x7f7f7f7f7f7f7f7f);
    time = (time & UINT64_C(0x007f007f007f007f)) | (time & UINT64_C(0x7f007f007f007f00)) >> 1;
    time = (time & UINT64_C(0x00003fff00003fff)) | (time & UINT64_C(0x3fff00003fff0000)) >> 2;
    time = (time & UINT64_C(0x000000000fffffff)) | (time & UINT64_C(0x0fffffff00000000)) >> 4;
    uint64_t bits = load64(at + 1);
    ret->time_ms = (int64_t)time;
    memcpy(&ret->value, &bits, sizeof bits);
    return true;
}

bool wire_write_common_sample(struct tw_str message, struct wire_sample *ret_sample)
{
    return read_common_sample((const uint8_t *)message.data, message.size, ret_sample);
}

static inline bool scan_sample(struct scan *scan, struct tw_str message, struct wire_sample *ret)
{
    if (read_common_sample((const uint8_t *)message.data, message.size, ret))
        return true;
    struct scan inner = scan_of(message);
    if (scan_sample_slow(&inner, ret))
        return true;
    return fail(scan, inner.at, inner.problem);
}

/* Skips the label fields at the start, of lengths below 128, as every sender writes them; what is
 * different is left to the loop behind, which also names what is wrong. Tag and length are looked
 * at together: the next label waits for nothing else. */
static inline const uint8_t *skip_labels(const uint8_t *at, const uint8_t *limit,
                                         uint32_t *ret_count)
{
    uint32_t count = 0;
    const uint8_t *before = at;
    while (limit - at >= 2) {
        unsigned head = at[0] | (unsigned)at[1] << 8;
        if ((head & 0x80ff) != TAG(SERIES_LABELS, WIRE_BYTES))
            break;
        before = at;
        at += 2 + (head >> 8);
        count++;
    }
    if (at > limit) { /* the last one is cut off */
        at = before;
        count--;
    }
    *ret_count = count;
    return at;
}

/* A sample field of the common form at `at`: its payload, and where the next field starts. */
static inline bool take_sample_field(const uint8_t *at, const uint8_t *limit, struct tw_str *ret)
{
    if (limit - at < 2 || at[0] != TAG(SERIES_SAMPLES, WIRE_BYTES) || at[1] >= 0x80 ||
        at[1] > limit - at - 2)
        return false;
    *ret = (struct tw_str){(const char *)at + 2, at[1]};
    return true;
}

static bool scan_series(struct scan *scan, struct wire_write_series *series,
                        struct wire_samples *samples)
{
    const uint8_t *labels_start = scan->at;
    const uint8_t *labels_end = skip_labels(scan->at, scan->limit, &series->label_count);
    bool together = true;
    scan->at = labels_end;
    while (scan->at != scan->limit) {
        struct field field = {.start = scan->at, .number = SERIES_SAMPLES};
        if (take_sample_field(scan->at, scan->limit, &field.bytes)) {
            scan->at = (const uint8_t *)field.bytes.data + field.bytes.size;
        } else if (!scan_field(scan, &field)) {
            return false;
        } else if (field.number > SERIES_HISTOGRAMS) {
            continue;
        } else if (!expect(scan, &field, WIRE_BYTES)) {
            return false;
        }
        struct wire_sample sample;
        switch (field.number) {
        case SERIES_LABELS:
            if (series->label_count == 0)
                labels_start = field.start;
            else if (labels_end != field.start)
                together = false;
            labels_end = scan->at;
            series->label_count++;
            break;
        case SERIES_SAMPLES:
            if (!scan_sample(scan, field.bytes, &sample))
                return false;
            if (series->sample_count++ == 0)
                series->sample_at = field.start;
            if (samples)
                wire_samples_add(samples, sample);
            break;
        case SERIES_EXEMPLARS:
            series->exemplar_count++;
            break;
        default:
            series->histogram_count++;
        }
    }
    if (series->label_count > 0 && together)
        series->raw_labels =
            (struct tw_str){(const char *)labels_start, (size_t)(labels_end - labels_start)};
    series->samples_left = series->sample_count;
    return true;
}

static bool scan_metadata(struct scan *scan, struct wire_metadata *metadata)
{
    while (scan->at != scan->limit) {
        struct field field;
        if (!scan_field(scan, &field))
            return false;
        struct tw_str *text = field.number == METADATA_FAMILY ? &metadata->family
                              : field.number == METADATA_HELP ? &metadata->help
                              : field.number == METADATA_UNIT ? &metadata->unit
                                                              : NULL;
        if (text != NULL) {
            if (!expect(scan, &field, WIRE_BYTES))
                return false;
            *text = field.bytes;
        } else if (field.number == METADATA_TYPE) {
            if (!expect(scan, &field, WIRE_VARINT))
                return false;
            metadata->type = field.number_value < WIRE_TYPE_COUNT
                                 ? (enum wire_metric_type)field.number_value
                                 : WIRE_TYPE_UNKNOWN;
        }
    }
    return true;
}

void wire_write_reader_init(struct wire_write_reader *reader, struct tw_str body)
{
    const uint8_t *start = (const uint8_t *)(body.data != NULL ? body.data : "");
    *reader = (struct wire_write_reader){.start = start, .at = start, .limit = start + body.size};
}

static enum tw_code reader_error(struct wire_write_reader *reader, const struct scan *scan,
                                 struct tw_err *err)
{
    reader->at = reader->limit;
    return tw_err_set(
        err, TW_BAD_DATA, "malformed remote_write body at byte %td (series %u, metadata %u): %s",
        scan->at - reader->start, reader->series_count, reader->metadata_count, scan->problem);
}

/* A series as nearly all are: labels and one sample, nothing else, of lengths below 16384. False
 * for others; then nothing was read. */
static inline bool take_common_series(struct wire_write_reader *reader,
                                      struct wire_write_series *series)
{
    const uint8_t *at = reader->at;
    if (reader->limit - at < 3 || at[0] != TAG(REQUEST_SERIES, WIRE_BYTES))
        return false;
    size_t size = at[1];
    at += 2;
    if (size >= 0x80) {
        if (*at >= 0x80)
            return false;
        size = (size & 0x7f) | (size_t)*at++ << 7;
    }
    if (size > (size_t)(reader->limit - at))
        return false;
    const uint8_t *limit = at + size;
    uint32_t label_count;
    const uint8_t *labels_end = skip_labels(at, limit, &label_count);
    struct wire_sample sample;
    if (label_count == 0 || limit - labels_end < 2 ||
        labels_end[0] != TAG(SERIES_SAMPLES, WIRE_BYTES) ||
        labels_end[1] != limit - labels_end - 2 ||
        !read_common_sample(labels_end + 2, labels_end[1], &sample))
        return false;
    series->raw_labels = (struct tw_str){(const char *)at, (size_t)(labels_end - at)};
    series->message = (struct tw_str){(const char *)at, size};
    series->message_offset = (size_t)(at - reader->start);
    series->index = reader->series_count++;
    series->label_count = label_count;
    series->sample_count = series->samples_left = 1;
    series->histogram_count = series->exemplar_count = 0;
    series->sample_at = labels_end;
    if (reader->samples)
        wire_samples_add(reader->samples, sample);
    reader->at = limit;
    return true;
}

enum tw_code wire_write_reader_next(struct wire_write_reader *reader,
                                    struct wire_write_entry *ret_entry, struct tw_err *err)
{
    if (take_common_series(reader, &ret_entry->series)) {
        ret_entry->kind = WIRE_WRITE_SERIES;
        return TW_OK;
    }
    struct scan scan = {reader->at, reader->limit, NULL};
    while (scan.at != scan.limit) {
        struct field field;
        if (!scan_field(&scan, &field))
            return reader_error(reader, &scan, err);
        if (field.number != REQUEST_SERIES && field.number != REQUEST_METADATA)
            continue;
        if (!expect(&scan, &field, WIRE_BYTES))
            return reader_error(reader, &scan, err);
        struct scan inner = scan_of(field.bytes);
        if (field.number == REQUEST_SERIES) {
            ret_entry->series =
                (struct wire_write_series){.message = field.bytes,
                                           .message_offset = (size_t)(inner.at - reader->start),
                                           .index = reader->series_count};
            if (!scan_series(&inner, &ret_entry->series, reader->samples))
                return reader_error(reader, &inner, err);
            ret_entry->kind = WIRE_WRITE_SERIES;
            reader->series_count++;
        } else {
            struct wire_metadata metadata = {.type = WIRE_TYPE_UNKNOWN};
            if (!scan_metadata(&inner, &metadata))
                return reader_error(reader, &inner, err);
            ret_entry->kind = WIRE_WRITE_METADATA;
            ret_entry->metadata = metadata;
            reader->metadata_count++;
        }
        reader->at = scan.at;
        return TW_OK;
    }
    reader->at = scan.at;
    ret_entry->kind = WIRE_WRITE_END;
    return TW_OK;
}

static enum tw_code series_error(const struct wire_write_series *series, const struct scan *scan,
                                 struct tw_err *err)
{
    size_t offset =
        series->message_offset + (size_t)((const char *)scan->at - series->message.data);
    return tw_err_set(err, TW_BAD_DATA, "malformed remote_write body at byte %zu (series %u): %s",
                      offset, series->index, scan->problem);
}

static bool scan_label(struct scan *scan, struct wire_label *label)
{
    while (scan->at != scan->limit) {
        struct field field;
        if (!scan_field(scan, &field))
            return false;
        if (field.number > LABEL_VALUE)
            continue;
        if (!expect(scan, &field, WIRE_BYTES))
            return false;
        *(field.number == LABEL_NAME ? &label->name : &label->value) = field.bytes;
    }
    return true;
}

enum tw_code wire_write_series_labels(const struct wire_write_series *series,
                                      struct wire_label *items, size_t *ret_count,
                                      struct tw_err *err)
{
    if (series->label_count > WIRE_LABELS_COUNT_MAX)
        return tw_err_set(err, TW_BAD_DATA, "series %u has %u labels, the limit is %d",
                          series->index, series->label_count, WIRE_LABELS_COUNT_MAX);
    struct scan scan = scan_of(series->message);
    size_t count = 0;
    while (count < series->label_count) {
        struct field field;
        bool ok = scan_field(&scan, &field);
        TW_ASSERT(ok); /* the series was scanned when it was read */
        if (field.number != SERIES_LABELS)
            continue;
        struct wire_label label = {TW_STR(""), TW_STR("")};
        struct scan inner = scan_of(field.bytes);
        if (!scan_label(&inner, &label))
            return series_error(series, &inner, err);
        items[count++] = label;
    }
    *ret_count = count;
    return TW_OK;
}

bool wire_write_series_sample(struct wire_write_series *series, struct wire_sample *ret_sample)
{
    if (series->samples_left == 0)
        return false;
    struct scan scan = scan_of(series->message);
    scan.at = series->sample_at;
    struct field field = {.number = SERIES_SAMPLES};
    if (take_sample_field(scan.at, scan.limit, &field.bytes)) {
        scan.at = (const uint8_t *)field.bytes.data + field.bytes.size;
    } else {
        do {
            bool ok = scan_field(&scan, &field);
            TW_ASSERT(ok); /* the series was scanned when it was read */
        } while (field.number != SERIES_SAMPLES);
    }
    bool ok = scan_sample(&scan, field.bytes, ret_sample);
    TW_ASSERT(ok);
    series->sample_at = scan.at;
    series->samples_left--;
    return true;
}

void wire_write_series_rewind(struct wire_write_series *series)
{
    struct scan scan = scan_of(series->message);
    series->samples_left = series->sample_count;
    if (series->sample_count == 0)
        return;
    /* sample_at may stand anywhere behind the first sample: find it anew. */
    for (;;) {
        struct field field;
        bool ok = scan_field(&scan, &field);
        TW_ASSERT(ok);
        if (field.number == SERIES_SAMPLES) {
            series->sample_at = field.start;
            return;
        }
    }
}
