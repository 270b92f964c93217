/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/codec.h"

#define RECORD_VERSION 1

/* Sections; a reader refuses those that it does not know. */
enum section { SECTION_SERIES = 1, SECTION_FLOATS = 2 };

/* ---- encoding ---- */

static void append_string(const struct tsdb_index *index, struct tsdb_record_state *state,
                          uint32_t id, struct tw_buf *ret)
{
    if (id < state->string_count) {
        tsdb_varint_append(ret, id);
        return;
    }
    /* Strings got their ids in the order in which we walk now. */
    TW_ASSERT(id == state->string_count);
    struct tw_str text = tsdb_index_string(index, id);
    tsdb_varint_append(ret, 0);
    tsdb_varint_append(ret, text.size);
    tw_buf_append_str(ret, text);
    state->string_count++;
}

static void append_series(struct tsdb_head *head, struct tsdb_record_state *state,
                          struct tw_buf *ret)
{
    const struct tsdb_index *index = tsdb_head_index(head);
    size_t total = tsdb_index_count(index);
    if (state->series_count == total)
        return;
    if (state->string_count == 0)
        state->string_count = 1;
    tw_buf_append_char(ret, (char)SECTION_SERIES);
    tsdb_varint_append(ret, total - state->series_count);
    uint32_t names[WIRE_LABELS_COUNT_MAX], values[WIRE_LABELS_COUNT_MAX];
    for (; state->series_count < total; state->series_count++) {
        size_t count = tsdb_index_label_ids(index, state->series_count, names, values);
        tsdb_append_u64(ret, tsdb_index_hash(index, state->series_count));
        tsdb_varint_append(ret, count);
        for (size_t i = 0; i < count; i++) {
            append_string(index, state, names[i], ret);
            append_string(index, state, values[i], ret);
        }
    }
}

/* Samples that follow each other with ascending ids and one timestamp are a run. */
static size_t run_length(const struct tsdb_record_sample *samples, size_t count)
{
    size_t length = 1;
    while (length < count && samples[length].series == samples[0].series + length &&
           samples[length].time_ms == samples[0].time_ms)
        length++;
    return length;
}

static void append_floats(struct tsdb_head *head, const struct tsdb_record_sample *samples,
                          size_t count, struct tw_buf *ret)
{
    if (count == 0)
        return;
    tw_buf_append_char(ret, (char)SECTION_FLOATS);
    tsdb_varint_append(ret, count);
    uint64_t expected = 0, time_ms = 0;
    for (size_t i = 0; i < count;) {
        size_t length = run_length(samples + i, count - i);
        tsdb_varint_append(ret, tsdb_zigzag(samples[i].series - expected));
        tsdb_varint_append(ret, length);
        tsdb_varint_append(ret, tsdb_zigzag((uint64_t)samples[i].time_ms - time_ms));
        expected = samples[i].series + length;
        time_ms = (uint64_t)samples[i].time_ms;
        i += length;
    }
    size_t bitmap_bytes = (count + 7) / 8, bitmap_at = ret->size;
    char *bitmap = tw_buf_reserve(ret, bitmap_bytes);
    if (!bitmap)
        return;
    memset(bitmap, 0, bitmap_bytes);
    ret->size += bitmap_bytes;
    for (size_t i = 0; i < count; i++) {
        uint64_t *last = tsdb_head_log_bits(head, samples[i].series);
        if (samples[i].bits == *last)
            continue;
        if (!ret->overflow)
            ret->data[bitmap_at + i / 8] |= (char)(1u << (i % 8));
        tsdb_xor_append(ret, samples[i].bits ^ *last);
        *last = samples[i].bits;
    }
}

void tsdb_record_encode(struct tsdb_head *head, struct tsdb_record_state *state,
                        const struct tsdb_record_sample *samples, size_t count, struct tw_buf *ret)
{
    tw_buf_append_char(ret, RECORD_VERSION);
    append_series(head, state, ret);
    append_floats(head, samples, count, ret);
}

/* ---- replaying ---- */

static enum tw_code corrupt(struct tw_err *err, const char *what)
{
    return tw_err_set(err, TW_CORRUPT, "log record: %s", what);
}

/* Strings that the record brought and the index does not have yet. */
struct fresh {
    struct tw_str items[2 * WIRE_LABELS_COUNT_MAX];
    size_t count;
};

static struct tw_str read_string(struct tsdb_reader *reader, const struct tsdb_index *index,
                                 struct fresh *fresh)
{
    uint64_t reference = tsdb_read_varint(reader);
    size_t known = tsdb_index_string_count(index);
    if (reference == 0) {
        struct tw_str text = tsdb_read_bytes(reader, tsdb_read_varint(reader));
        if (text.size == 0)
            reader->ok = false;
        fresh->items[fresh->count++] = text;
        return text;
    }
    if (reference < known)
        return tsdb_index_string(index, (uint32_t)reference);
    if (reference - known < fresh->count)
        return fresh->items[reference - known];
    reader->ok = false;
    return (struct tw_str){0};
}

static enum tw_code replay_series(struct tsdb_head *head, struct tsdb_reader *reader,
                                  struct tw_err *err)
{
    struct tsdb_index *index = tsdb_head_index(head);
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    struct fresh fresh;
    uint64_t count = tsdb_read_varint(reader);
    for (uint64_t i = 0; i < count && reader->ok; i++) {
        uint64_t hash = tsdb_read_u64(reader), label_count = tsdb_read_varint(reader);
        if (!reader->ok || label_count == 0 || label_count > WIRE_LABELS_COUNT_MAX)
            return corrupt(err, "wrong number of labels");
        fresh.count = 0;
        for (uint64_t j = 0; j < label_count && reader->ok; j++) {
            items[j].name = read_string(reader, index, &fresh);
            items[j].value = read_string(reader, index, &fresh);
        }
        if (!reader->ok)
            break;
        struct wire_labels labels = {items, label_count};
        size_t known = tsdb_index_string_count(index);
        if (tsdb_index_find(index, labels, hash) != TSDB_NO_SERIES)
            return corrupt(err, "a series is registered twice");
        tsdb_head_add_series(head, labels, hash);
        if (tsdb_index_string_count(index) != known + fresh.count)
            return corrupt(err, "a string is given twice");
    }
    return reader->ok ? TW_OK : corrupt(err, "registrations end early");
}

struct run {
    uint64_t first, count;
    int64_t time_ms;
};

static enum tw_code read_runs(struct tsdb_reader *reader, uint64_t total, uint64_t series_count,
                              struct run *runs, size_t *ret_count, struct tw_err *err)
{
    uint64_t expected = 0, time_ms = 0, seen = 0;
    size_t count = 0;
    while (seen < total) {
        uint64_t first = expected + tsdb_unzigzag(tsdb_read_varint(reader));
        uint64_t length = tsdb_read_varint(reader);
        time_ms += tsdb_unzigzag(tsdb_read_varint(reader));
        if (!reader->ok || length == 0 || length > total - seen || first >= series_count ||
            length > series_count - first)
            return corrupt(err, "a run of samples is out of range");
        runs[count++] = (struct run){first, length, (int64_t)time_ms};
        seen += length;
        expected = first + length;
    }
    *ret_count = count;
    return TW_OK;
}

static enum tw_code replay_floats(struct tsdb_head *head, struct tsdb_reader *reader,
                                  struct tw_err *err)
{
    uint64_t total = tsdb_read_varint(reader);
    if (!reader->ok || total == 0 || total / 8 > tsdb_reader_left(reader))
        return corrupt(err, "wrong number of samples");
    struct run *runs = malloc(total * sizeof *runs);
    TW_ASSERT(runs != NULL);
    size_t run_count = 0;
    enum tw_code code =
        read_runs(reader, total, tsdb_index_count(tsdb_head_index(head)), runs, &run_count, err);
    struct tw_str bitmap = {0};
    if (code == TW_OK) {
        bitmap = tsdb_read_bytes(reader, (total + 7) / 8);
        if (!reader->ok)
            code = corrupt(err, "the bitmap is cut off");
    }
    uint64_t at = 0;
    for (size_t i = 0; i < run_count && code == TW_OK; i++)
        for (uint64_t j = 0; j < runs[i].count; j++, at++) {
            uint64_t *last = tsdb_head_log_bits(head, (uint32_t)(runs[i].first + j));
            if ((unsigned char)bitmap.data[at / 8] >> (at % 8) & 1)
                *last ^= tsdb_read_xor(reader);
            if (!reader->ok) {
                code = corrupt(err, "values end early");
                break;
            }
            tsdb_head_append(head, (uint32_t)(runs[i].first + j), runs[i].time_ms, *last);
        }
    free(runs);
    return code;
}

enum tw_code tsdb_record_replay(struct tsdb_head *head, struct tw_str record, struct tw_err *err)
{
    struct tsdb_reader reader = tsdb_reader(record);
    if (tsdb_read_u8(&reader) != RECORD_VERSION)
        return corrupt(err, "unknown version");
    while (tsdb_reader_left(&reader) > 0) {
        enum tw_code code;
        switch ((enum section)tsdb_read_u8(&reader)) {
        case SECTION_SERIES:
            code = replay_series(head, &reader, err);
            break;
        case SECTION_FLOATS:
            code = replay_floats(head, &reader, err);
            break;
        default:
            code = corrupt(err, "unknown section");
        }
        if (code != TW_OK)
            return code;
    }
    return TW_OK;
}
