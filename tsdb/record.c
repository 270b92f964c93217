/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/codec.h"
#include "tsdb/exemplar_ring.h"

#define RECORD_VERSION 1

/* Sections; a reader refuses those that it does not know. */
enum section {
    SECTION_SERIES = 1,
    SECTION_FLOATS = 2,
    SECTION_HISTOGRAMS = 4,
    SECTION_EXEMPLARS = 5,
    SECTION_INDEX = 16
};

/* ---- what the segment knows ---- */

void tsdb_record_state_fini(struct tsdb_record_state *state)
{
    tsdb_bits_fini(&state->series);
    tsdb_bits_fini(&state->pairs);
    tsdb_bits_fini(&state->strings);
    tsdb_rows_fini(&state->values, sizeof(uint64_t));
    tsdb_ids_fini(&state->fresh);
    tsdb_blobs_fini(&state->exemplars);
    *state = (struct tsdb_record_state){0};
}

bool tsdb_record_register(struct tsdb_record_state *state, uint32_t series)
{
    if (!tsdb_bits_set(&state->series, series))
        return false;
    tsdb_ids_append(&state->fresh, series);
    return true;
}

static uint64_t *last_bits(struct tsdb_record_state *state, uint32_t series)
{
    return tsdb_rows_make(&state->values, series, sizeof(uint64_t));
}

/* ---- encoding ---- */

/* A reference to something that has an id: known to the segment already, or brought now, with the
 * id against the expected one. True when what it stands for is to follow. */
static bool append_reference(struct tsdb_bits *known, uint32_t *next, uint32_t id,
                             struct tw_buf *ret)
{
    if (!tsdb_bits_set(known, id)) {
        tsdb_varint_append(ret, (uint64_t)id << 1);
        return false;
    }
    tsdb_varint_append(ret, tsdb_zigzag((uint64_t)id - *next) << 1 | 1);
    *next = id + 1;
    return true;
}

static void append_string(const struct tsdb_index *index, struct tsdb_record_state *state,
                          uint32_t id, struct tw_buf *ret)
{
    if (!append_reference(&state->strings, &state->next_string, id, ret))
        return;
    struct tw_str text = tsdb_index_string(index, id);
    tsdb_varint_append(ret, text.size);
    tw_buf_append_str(ret, text);
}

static void append_series(struct tsdb_head *head, struct tsdb_record_state *state,
                          struct tw_buf *ret)
{
    const struct tsdb_index *index = tsdb_head_index(head);
    if (state->fresh.count == 0)
        return;
    tw_buf_append_char(ret, (char)SECTION_SERIES);
    tsdb_varint_append(ret, state->fresh.count);
    uint32_t pairs[WIRE_LABELS_COUNT_MAX], name, value;
    for (size_t i = 0; i < state->fresh.count; i++) {
        uint32_t id = state->fresh.items[i];
        size_t count = tsdb_index_pair_ids(index, id, pairs);
        tsdb_varint_append(ret, tsdb_zigzag((uint64_t)id - state->next_series));
        state->next_series = id + 1;
        tsdb_append_u64(ret, tsdb_index_hash(index, id));
        tsdb_varint_append(ret, count);
        for (size_t j = 0; j < count; j++) {
            if (!append_reference(&state->pairs, &state->next_pair, pairs[j], ret))
                continue;
            tsdb_index_pair(index, pairs[j], &name, &value);
            append_string(index, state, name, ret);
            append_string(index, state, value, ret);
        }
    }
    state->fresh.count = 0;
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

static void append_floats(struct tsdb_record_state *state, const struct tsdb_record_sample *samples,
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
        uint64_t *last = last_bits(state, samples[i].series);
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
    if (!state->begun) {
        tw_buf_append_char(ret, (char)SECTION_INDEX);
        const struct tsdb_index *index = tsdb_head_index(head);
        tsdb_varint_append(ret, tsdb_index_number(index));
        tsdb_varint_append(ret, tsdb_index_count(index));
        tsdb_varint_append(ret, tsdb_index_pair_count(index));
        tsdb_varint_append(ret, tsdb_index_string_count(index));
        state->begun = true;
    }
    append_series(head, state, ret);
    append_floats(state, samples, count, ret);
}

void tsdb_record_encode_histograms(const struct tsdb_blobs *histograms, size_t first,
                                   struct tw_buf *ret)
{
    tsdb_blobs_write(histograms, first, (char)SECTION_HISTOGRAMS, ret);
}

void tsdb_record_encode_exemplars(const struct tsdb_blobs *exemplars, size_t first,
                                  struct tw_buf *ret)
{
    tsdb_blobs_write(exemplars, first, (char)SECTION_EXEMPLARS, ret);
}

/* ---- replaying ---- */

static enum tw_code corrupt(struct tw_err *err, const char *what)
{
    return tw_err_set(err, TW_CORRUPT, "log record: %s", what);
}

/* base: what the index had when the segment began. */
static bool is_plausible(uint64_t id, uint32_t base, const struct tsdb_bits *known)
{
    return id < TSDB_INDEX_ID_MAX && id < (uint64_t)base + known->count + TSDB_RECORD_AHEAD_MAX;
}

/* The id of a reference, and whether what it stands for follows. False for one that is out of
 * range, or unknown to the segment, or brought twice. */
static bool read_reference(struct tsdb_reader *reader, struct tsdb_bits *known, uint32_t base,
                           uint32_t *next, uint32_t *ret_id, bool *ret_follows)
{
    uint64_t code = tsdb_read_varint(reader);
    bool follows = code & 1;
    uint64_t id = follows ? *next + tsdb_unzigzag(code >> 1) : code >> 1;
    if (!reader->ok || !is_plausible(id, base, known))
        return false;
    *ret_id = (uint32_t)id;
    *ret_follows = follows;
    if (!follows)
        return tsdb_bits_test(known, (uint32_t)id);
    *next = (uint32_t)id + 1;
    return tsdb_bits_set(known, (uint32_t)id);
}

static bool read_string(struct tsdb_reader *reader, struct tsdb_index *index,
                        struct tsdb_record_state *state, uint32_t *ret_id)
{
    bool follows;
    if (!read_reference(reader, &state->strings, state->string_base, &state->next_string, ret_id,
                        &follows))
        return false;
    if (!follows)
        return true;
    struct tw_str text = tsdb_read_bytes(reader, tsdb_read_varint(reader));
    return reader->ok && tsdb_index_restore_string(index, *ret_id, text);
}

static bool read_pair(struct tsdb_reader *reader, struct tsdb_index *index,
                      struct tsdb_record_state *state, uint32_t *ret_id)
{
    bool follows;
    uint32_t name, value;
    if (!read_reference(reader, &state->pairs, state->pair_base, &state->next_pair, ret_id,
                        &follows))
        return false;
    return !follows ||
           (read_string(reader, index, state, &name) && read_string(reader, index, state, &value) &&
            tsdb_index_restore_pair(index, *ret_id, name, value));
}

static enum tw_code replay_series(struct tsdb_head *head, struct tsdb_record_state *state,
                                  struct tsdb_reader *reader, struct tw_err *err)
{
    struct tsdb_index *index = tsdb_head_index(head);
    uint32_t pairs[WIRE_LABELS_COUNT_MAX];
    uint64_t count = tsdb_read_varint(reader);
    for (uint64_t i = 0; i < count && reader->ok; i++) {
        uint64_t id = state->next_series + tsdb_unzigzag(tsdb_read_varint(reader));
        uint64_t hash = tsdb_read_u64(reader), pair_count = tsdb_read_varint(reader);
        if (!reader->ok || !is_plausible(id, state->series_base, &state->series))
            return corrupt(err, "a series has a number that its index cannot have given");
        if (pair_count == 0 || pair_count > WIRE_LABELS_COUNT_MAX)
            return corrupt(err, "wrong number of labels");
        for (uint64_t j = 0; j < pair_count; j++)
            if (!read_pair(reader, index, state, &pairs[j]))
                return corrupt(err, "a label that was not given, or twice, or is another's");
        if (!tsdb_bits_set(&state->series, (uint32_t)id))
            return corrupt(err, "a series is registered twice");
        if (!tsdb_index_restore_series(index, (uint32_t)id, hash, pairs, pair_count))
            return corrupt(err, "a series is another one in an earlier segment");
        state->next_series = (uint32_t)id + 1;
    }
    return reader->ok ? TW_OK : corrupt(err, "registrations end early");
}

struct run {
    uint64_t first, count;
    int64_t time_ms;
};

static enum tw_code read_runs(struct tsdb_reader *reader, uint64_t total, struct run *runs,
                              size_t *ret_count, struct tw_err *err)
{
    uint64_t expected = 0, time_ms = 0, seen = 0;
    size_t count = 0;
    while (seen < total) {
        uint64_t first = expected + tsdb_unzigzag(tsdb_read_varint(reader));
        uint64_t length = tsdb_read_varint(reader);
        time_ms += tsdb_unzigzag(tsdb_read_varint(reader));
        if (!reader->ok || length == 0 || length > total - seen || first >= TSDB_INDEX_ID_MAX)
            return corrupt(err, "a run of samples is out of range");
        runs[count++] = (struct run){first, length, (int64_t)time_ms};
        seen += length;
        expected = first + length;
    }
    *ret_count = count;
    return TW_OK;
}

static enum tw_code replay_floats(struct tsdb_head *head, struct tsdb_record_state *state,
                                  struct tsdb_reader *reader, struct tw_err *err)
{
    uint64_t total = tsdb_read_varint(reader);
    if (!reader->ok || total == 0 || total / 8 > tsdb_reader_left(reader))
        return corrupt(err, "wrong number of samples");
    struct run *runs = malloc(total * sizeof *runs);
    TW_ASSERT(runs != NULL);
    size_t run_count = 0;
    enum tw_code code = read_runs(reader, total, runs, &run_count, err);
    struct tw_str bitmap = {0};
    if (code == TW_OK) {
        bitmap = tsdb_read_bytes(reader, (total + 7) / 8);
        if (!reader->ok)
            code = corrupt(err, "the bitmap is cut off");
    }
    uint64_t at = 0;
    for (size_t i = 0; i < run_count && code == TW_OK; i++)
        for (uint64_t j = 0; j < runs[i].count; j++, at++) {
            uint32_t series = (uint32_t)(runs[i].first + j);
            if (!tsdb_record_knows(state, series)) {
                code = corrupt(err, "a sample of a series that was not registered");
                break;
            }
            uint64_t *last = last_bits(state, series);
            if ((unsigned char)bitmap.data[at / 8] >> (at % 8) & 1)
                *last ^= tsdb_read_xor(reader);
            if (!reader->ok) {
                code = corrupt(err, "values end early");
                break;
            }
            tsdb_head_append(head, series, runs[i].time_ms, *last);
        }
    free(runs);
    return code;
}

/* An index that began with the segment had nothing before it, whatever is said. */
static uint32_t base_of(uint64_t count, bool is_new)
{
    return is_new ? 0 : count < TSDB_INDEX_ID_MAX ? (uint32_t)count : TSDB_INDEX_ID_MAX;
}

static enum tw_code replay_index(struct tsdb_head *head, struct tsdb_record_state *state,
                                 struct tsdb_reader *reader, struct tw_err *err)
{
    const struct tsdb_index *index = tsdb_head_index(head);
    uint64_t number = tsdb_read_varint(reader);
    bool is_new = number == tsdb_head_number(head);
    state->series_base = base_of(tsdb_read_varint(reader), is_new);
    state->pair_base = base_of(tsdb_read_varint(reader), is_new);
    state->string_base = base_of(tsdb_read_varint(reader), is_new);
    if (state->begun)
        return corrupt(err, "the segment names its index twice");
    if (!reader->ok || number != tsdb_index_number(index))
        return corrupt(err, "the segment belongs to another index");
    state->begun = true;
    return TW_OK;
}

struct replay {
    struct tsdb_head *head;
    struct tsdb_record_state *state;
};

static bool replay_histogram(void *user, uint64_t series, int64_t time_ms, struct tw_str step)
{
    const struct replay *replay = user;
    return series < TSDB_NO_SERIES && tsdb_record_knows(replay->state, (uint32_t)series) &&
           tsdb_head_replay_histogram(replay->head, (uint32_t)series, time_ms, step);
}

static bool replay_exemplar(void *user, uint64_t series, int64_t time_ms, struct tw_str blob)
{
    const struct replay *replay = user;
    struct tsdb_blobs *to = &replay->state->exemplars;
    struct wire_label items[WIRE_EXEMPLAR_LABELS_MAX];
    struct wire_exemplar exemplar;
    if (series >= TSDB_NO_SERIES || !tsdb_record_knows(replay->state, (uint32_t)series) ||
        !tsdb_exemplar_read(blob, time_ms, items, &exemplar))
        return false;
    tw_buf_append_str(tsdb_blobs_buf(to), blob);
    tsdb_blobs_add(to, (uint32_t)series, time_ms);
    return true;
}

enum tw_code tsdb_record_replay(struct tsdb_head *head, struct tsdb_record_state *state,
                                struct tw_str record, struct tw_err *err)
{
    struct tsdb_reader reader = tsdb_reader(record);
    if (tsdb_read_u8(&reader) != RECORD_VERSION)
        return corrupt(err, "unknown version");
    while (tsdb_reader_left(&reader) > 0) {
        enum tw_code code;
        enum section section = (enum section)tsdb_read_u8(&reader);
        if (!state->begun && section != SECTION_INDEX)
            return corrupt(err, "the segment does not name its index");
        switch (section) {
        case SECTION_SERIES:
            code = replay_series(head, state, &reader, err);
            break;
        case SECTION_FLOATS:
            code = replay_floats(head, state, &reader, err);
            break;
        case SECTION_INDEX:
            code = replay_index(head, state, &reader, err);
            break;
        case SECTION_HISTOGRAMS:
            code = tsdb_blobs_read(&reader, replay_histogram, &(struct replay){head, state})
                       ? TW_OK
                       : corrupt(err, "a histogram is damaged");
            break;
        case SECTION_EXEMPLARS:
            code = tsdb_blobs_read(&reader, replay_exemplar, &(struct replay){head, state})
                       ? TW_OK
                       : corrupt(err, "an exemplar is damaged");
            break;
        default:
            code = corrupt(err, "unknown section");
        }
        if (code != TW_OK)
            return code;
    }
    return TW_OK;
}

enum tw_code tsdb_record_index_number(struct tw_str record, uint64_t *ret_number,
                                      struct tw_err *err)
{
    struct tsdb_reader reader = tsdb_reader(record);
    if (tsdb_read_u8(&reader) != RECORD_VERSION)
        return corrupt(err, "unknown version");
    if (tsdb_read_u8(&reader) != SECTION_INDEX)
        return corrupt(err, "the segment does not name its index");
    *ret_number = tsdb_read_varint(&reader);
    return reader.ok ? TW_OK : corrupt(err, "the number of the index is cut off");
}
