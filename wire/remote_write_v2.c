/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/remote_write_v2.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

/* Fields of the messages, as in Prometheus's io/prometheus/write/v2/types.proto. */
/* Numbers below are reserved: they are what a request of 1.0 has. */
enum { REQUEST_RESERVED_LAST = 3, REQUEST_SYMBOLS = 4, REQUEST_SERIES = 5 };
enum {
    SERIES_LABELS = 1,
    SERIES_SAMPLES = 2,
    SERIES_HISTOGRAMS = 3,
    SERIES_EXEMPLARS = 4,
    SERIES_METADATA = 5,
    SERIES_CREATED = 6
};
enum { SAMPLE_VALUE = 1, SAMPLE_TIME = 2, SAMPLE_START = 3 };
enum { METADATA_TYPE = 1, METADATA_HELP = 3, METADATA_UNIT = 4 };

#define REFERENCES_MAX (2 * WIRE_LABELS_COUNT_MAX)
#define WRONG_TYPE "a field has the wrong wire type"
#define BAD_REFERENCE "a reference goes past the end of the symbols"

static enum tw_code body_error(const struct wire_write2_reader *reader, struct tw_err *err)
{
    const struct wire_scan *scan = &reader->scan;
    return tw_err_set(err, TW_BAD_DATA,
                      "malformed remote_write 2.0 body at byte %td (series %u): %s",
                      scan->at - scan->start, reader->series_count, scan->problem);
}

/* ---- symbols ---- */

static enum tw_code count_symbols(struct wire_write2_reader *reader, struct tw_err *err)
{
    struct wire_scan start = reader->scan;
    struct wire_field field;
    while (wire_scan_next(&reader->scan, &field)) {
        if (field.number <= REQUEST_RESERVED_LAST) {
            wire_scan_fail(&reader->scan, "a field of remote_write 1.0: the Content-Type must name "
                                          "the message that is sent");
            break;
        }
        if (field.number != REQUEST_SYMBOLS && field.number != REQUEST_SERIES)
            continue;
        if (field.type != WIRE_FIELD_BYTES) {
            wire_scan_fail(&reader->scan, WRONG_TYPE);
            break;
        }
        reader->symbols.count += field.number == REQUEST_SYMBOLS;
    }
    if (reader->scan.problem)
        return body_error(reader, err);
    reader->scan = start;
    if (reader->symbols.count > WIRE_WRITE2_SYMBOLS_MAX)
        return tw_err_set(err, TW_TOO_LARGE,
                          "the body has %zu symbols, the limit is %zu: send fewer series in one "
                          "request",
                          reader->symbols.count, WIRE_WRITE2_SYMBOLS_MAX);
    return TW_OK;
}

enum tw_code wire_write2_reader_init(struct wire_write2_reader *reader, struct tw_str body,
                                     struct tw_arena *arena, struct tw_err *err)
{
    *reader = (struct wire_write2_reader){.scan = wire_scan(body)};
    enum tw_code code = count_symbols(reader, err);
    if (code != TW_OK)
        return code;
    struct wire_write2_symbols *symbols = &reader->symbols;
    symbols->items = TW_ARENA_ARRAY(arena, struct tw_str, symbols->count + 1);
    symbols->hashes = TW_ARENA_ARRAY(arena, uint64_t, symbols->count + 1);
    symbols->described = TW_ARENA_ARRAY(arena, bool, symbols->count + 1);
    struct wire_scan scan = reader->scan;
    struct wire_field field;
    size_t count = 0;
    while (wire_scan_next(&scan, &field)) {
        if (field.number != REQUEST_SYMBOLS)
            continue;
        symbols->items[count] = field.bytes;
        symbols->hashes[count++] = tw_hash64_private(field.bytes.data, field.bytes.size);
    }
    TW_ASSERT(count == symbols->count);
    return TW_OK;
}

/* ---- series ---- */

/* What is gathered while a series is read. */
struct gathering {
    const struct wire_write2_symbols *symbols;
    struct wire_write2_entry *entry;
    uint64_t hashes[REFERENCES_MAX];
    size_t reference_count;
    uint64_t name; /* the reference read before, while a pair is half */
    size_t metric; /* reference of the metric's name; SIZE_MAX = none */
    struct wire_samples *samples;
};

static bool take_reference(struct wire_scan *scan, struct gathering *to, uint64_t reference)
{
    const struct wire_write2_symbols *symbols = to->symbols;
    if (reference >= symbols->count)
        return wire_scan_fail(scan, BAD_REFERENCE);
    if (to->reference_count < REFERENCES_MAX)
        to->hashes[to->reference_count] = symbols->hashes[reference];
    if (to->reference_count++ % 2 == 0)
        to->name = reference;
    else if (tw_str_is(symbols->items[to->name], WIRE_METRIC_NAME))
        to->metric = (size_t)reference;
    return true;
}

static bool take_references(struct wire_scan *scan, struct gathering *to,
                            const struct wire_field *field)
{
    if (field->type == WIRE_FIELD_VARINT)
        return take_reference(scan, to, field->value);
    if (field->type != WIRE_FIELD_BYTES)
        return wire_scan_fail(scan, WRONG_TYPE);
    struct wire_scan packed = wire_scan(field->bytes);
    uint64_t reference;
    while (packed.at != packed.limit) {
        if (!wire_scan_varint(&packed, &reference))
            return wire_scan_fail(scan, packed.problem);
        if (!take_reference(scan, to, reference))
            return false;
    }
    return true;
}

/* What is read here is as wire_write_series_sample reads it, which relies on the types. */
static bool read_sample(struct wire_scan *scan, struct tw_str message, struct wire_sample *ret)
{
    if (wire_write_common_sample(message, ret))
        return true;
    struct wire_scan inner = wire_scan(message);
    struct wire_field field;
    uint64_t bits = 0;
    ret->time_ms = 0;
    while (wire_scan_next(&inner, &field)) {
        bool is_value = field.number == SAMPLE_VALUE;
        if ((is_value && field.type != WIRE_FIELD_FIXED64) ||
            ((field.number == SAMPLE_TIME || field.number == SAMPLE_START) &&
             field.type != WIRE_FIELD_VARINT))
            wire_scan_fail(&inner, WRONG_TYPE);
        else if (is_value)
            bits = field.value;
        else if (field.number == SAMPLE_TIME)
            ret->time_ms = (int64_t)field.value;
    }
    memcpy(&ret->value, &bits, sizeof bits);
    return inner.problem == NULL || wire_scan_fail(scan, inner.problem);
}

static bool take_sample(struct wire_scan *scan, struct gathering *to, struct tw_str message)
{
    struct wire_sample sample;
    if (!read_sample(scan, message, &sample))
        return false;
    if (to->samples)
        wire_samples_add(to->samples, sample);
    return true;
}

static bool take_metadata(struct wire_scan *scan, struct gathering *to, struct tw_str message)
{
    struct wire_metadata *metadata = &to->entry->metadata;
    struct wire_scan inner = wire_scan(message);
    struct wire_field field;
    while (wire_scan_next(&inner, &field)) {
        if (field.number != METADATA_TYPE && field.number != METADATA_HELP &&
            field.number != METADATA_UNIT)
            continue;
        if (field.type != WIRE_FIELD_VARINT)
            return wire_scan_fail(scan, WRONG_TYPE);
        if (field.number == METADATA_TYPE)
            metadata->type = field.value < WIRE_TYPE_COUNT ? (enum wire_metric_type)field.value
                                                           : WIRE_TYPE_UNKNOWN;
        else if (field.value >= to->symbols->count)
            return wire_scan_fail(scan, BAD_REFERENCE);
        else
            *(field.number == METADATA_HELP ? &metadata->help : &metadata->unit) =
                to->symbols->items[field.value];
    }
    return inner.problem == NULL || wire_scan_fail(scan, inner.problem);
}

static bool take_field(struct wire_scan *scan, struct gathering *to, const struct wire_field *field,
                       const uint8_t *start)
{
    struct wire_write_series *series = &to->entry->series;
    if (field->number == SERIES_LABELS)
        return take_references(scan, to, field);
    if (field->number > SERIES_CREATED)
        return true;
    if (field->type != (field->number == SERIES_CREATED ? WIRE_FIELD_VARINT : WIRE_FIELD_BYTES))
        return wire_scan_fail(scan, WRONG_TYPE);
    switch (field->number) {
    case SERIES_SAMPLES:
        if (series->sample_count++ == 0)
            series->sample_at = start;
        return take_sample(scan, to, field->bytes);
    case SERIES_HISTOGRAMS:
        series->histogram_count++;
        return true;
    case SERIES_EXEMPLARS:
        series->exemplar_count++;
        return true;
    case SERIES_METADATA:
        return take_metadata(scan, to, field->bytes);
    default:
        return true;
    }
}

static bool drop_suffix(struct tw_str *name, const char *suffix)
{
    struct tw_str end = tw_str(suffix);
    if (name->size <= end.size ||
        !tw_str_equal((struct tw_str){name->data + name->size - end.size, end.size}, end))
        return false;
    name->size -= end.size;
    return true;
}

/* The name under which 1.0 sends the metadata: of a histogram's or summary's parts, the whole's. */
static struct tw_str family_of(struct tw_str metric, const struct wire_write2_entry *entry)
{
    enum wire_metric_type type = entry->metadata.type;
    bool histogram = type == WIRE_TYPE_HISTOGRAM || type == WIRE_TYPE_GAUGEHISTOGRAM;
    if (entry->series.histogram_count > 0 || (!histogram && type != WIRE_TYPE_SUMMARY))
        return metric;
    if ((histogram && drop_suffix(&metric, "_bucket")) ||
        (type == WIRE_TYPE_GAUGEHISTOGRAM &&
         (drop_suffix(&metric, "_gcount") || drop_suffix(&metric, "_gsum"))))
        return metric;
    if (!drop_suffix(&metric, "_count"))
        drop_suffix(&metric, "_sum");
    return metric;
}

static void finish_entry(struct gathering *from)
{
    struct wire_write2_entry *entry = from->entry;
    entry->series.label_count = (uint32_t)(from->reference_count / 2);
    entry->series.samples_left = entry->series.sample_count;
    if (from->reference_count > 0 && from->reference_count <= REFERENCES_MAX)
        entry->fingerprint =
            tw_hash64_private(from->hashes, from->reference_count * sizeof from->hashes[0]);
    struct wire_metadata *metadata = &entry->metadata;
    bool says =
        metadata->type != WIRE_TYPE_UNKNOWN || metadata->help.size + metadata->unit.size > 0;
    if (from->metric == SIZE_MAX || !says || from->symbols->described[from->metric])
        return;
    from->symbols->described[from->metric] = true;
    metadata->family = family_of(from->symbols->items[from->metric], entry);
}

static bool read_series(struct wire_write2_reader *reader, struct gathering *to)
{
    struct wire_scan scan = wire_scan(to->entry->series.message);
    struct wire_field field;
    const uint8_t *start = scan.at;
    while (wire_scan_next(&scan, &field) && take_field(&scan, to, &field, start))
        start = scan.at;
    if (to->reference_count % 2 != 0)
        wire_scan_fail(&scan, "a label has a name without a value");
    if (scan.problem == NULL)
        return true;
    reader->scan.at = scan.at;
    return wire_scan_fail(&reader->scan, scan.problem);
}

enum tw_code wire_write2_reader_next(struct wire_write2_reader *reader,
                                     struct wire_write2_entry *ret_entry, struct tw_err *err)
{
    struct wire_field field;
    *ret_entry = (struct wire_write2_entry){.is_end = true};
    while (wire_scan_next(&reader->scan, &field)) {
        if (field.number != REQUEST_SERIES)
            continue;
        ret_entry->is_end = false;
        ret_entry->series = (struct wire_write_series){
            .message = field.bytes,
            .message_offset = (size_t)(reader->scan.at - reader->scan.start) - field.bytes.size,
            .index = reader->series_count};
        struct gathering gathering;
        gathering.symbols = &reader->symbols;
        gathering.entry = ret_entry;
        gathering.reference_count = 0;
        gathering.metric = SIZE_MAX;
        gathering.samples = reader->samples;
        if (!read_series(reader, &gathering))
            return body_error(reader, err);
        finish_entry(&gathering);
        reader->series_count++;
        return TW_OK;
    }
    return reader->scan.problem ? body_error(reader, err) : TW_OK;
}

/* The series was read before: all is well formed. */
static void put_reference(const struct wire_write2_symbols *symbols, uint64_t reference,
                          struct wire_label *items, size_t *count)
{
    struct wire_label *label = &items[*count / 2];
    *((*count)++ % 2 == 0 ? &label->name : &label->value) = symbols->items[reference];
}

enum tw_code wire_write2_series_labels(const struct wire_write_series *series,
                                       const struct wire_write2_symbols *symbols,
                                       struct wire_label *items, size_t *ret_count,
                                       struct tw_err *err)
{
    if (series->label_count > WIRE_LABELS_COUNT_MAX)
        return tw_err_set(err, TW_BAD_DATA, "series %u has %u labels, the limit is %d",
                          series->index, series->label_count, WIRE_LABELS_COUNT_MAX);
    struct wire_scan scan = wire_scan(series->message);
    struct wire_field field;
    size_t count = 0;
    while (wire_scan_next(&scan, &field)) {
        if (field.number != SERIES_LABELS)
            continue;
        if (field.type == WIRE_FIELD_VARINT) {
            put_reference(symbols, field.value, items, &count);
            continue;
        }
        struct wire_scan packed = wire_scan(field.bytes);
        uint64_t reference;
        while (packed.at != packed.limit && wire_scan_varint(&packed, &reference))
            put_reference(symbols, reference, items, &count);
    }
    TW_ASSERT(count == 2 * (size_t)series->label_count);
    *ret_count = count / 2;
    return TW_OK;
}

/* ---- starts: the series was read before, all is well formed ---- */

struct wire_write2_starts wire_write2_series_starts(const struct wire_write_series *series)
{
    struct wire_write2_starts starts = {.scan = wire_scan(series->message)};
    struct wire_scan scan = starts.scan;
    struct wire_field field;
    while (wire_scan_next(&scan, &field))
        if (field.number == SERIES_CREATED)
            starts.created_ms = (int64_t)field.value;
    return starts;
}

static struct wire_write2_start read_start(struct tw_str message, int64_t created_ms)
{
    struct wire_write2_start start = {.start_ms = created_ms};
    struct wire_scan scan = wire_scan(message);
    struct wire_field field;
    while (wire_scan_next(&scan, &field))
        if (field.number == SAMPLE_TIME)
            start.sample_ms = (int64_t)field.value;
        else if (field.number == SAMPLE_START && field.value != 0)
            start.start_ms = (int64_t)field.value;
    return start;
}

bool wire_write2_starts_next(struct wire_write2_starts *starts, struct wire_write2_start *ret)
{
    struct wire_field field;
    while (wire_scan_next(&starts->scan, &field)) {
        if (field.number != SERIES_SAMPLES)
            continue;
        struct wire_write2_start start = read_start(field.bytes, starts->created_ms);
        if (start.start_ms == 0 || start.start_ms == starts->last_ms)
            continue;
        starts->last_ms = start.start_ms;
        *ret = start;
        return true;
    }
    return false;
}
