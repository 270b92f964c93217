/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/spool_codec.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/number.h"

enum { RECORD_ROUND = 1 };
enum { FLAG_SAME_PRESENT = 1 };

static size_t bitmap_bytes(uint32_t count)
{
    return (count + 7) / 8;
}

static void bit_set(uint8_t *bitmap, uint32_t i)
{
    bitmap[i / 8] |= (uint8_t)(1u << i % 8);
}

static void *grow(void *old, size_t old_bytes, size_t new_bytes)
{
    char *grown = realloc(old, new_bytes);
    TW_ASSERT(grown != NULL);
    memset(grown + old_bytes, 0, new_bytes - old_bytes);
    return grown;
}

/* A multiple of 8, so that bitmaps have whole bytes. */
static uint32_t capacity_for(uint32_t limit)
{
    return (limit + limit / 4 + 64) & ~7u;
}

/* ---- writing ---- */

void agent_spool_encoder_init(struct agent_spool_encoder *encoder)
{
    *encoder = (struct agent_spool_encoder){0};
}

void agent_spool_encoder_fini(struct agent_spool_encoder *encoder)
{
    free(encoder->epochs);
    free(encoder->bits);
    free(encoder->present);
    agent_spool_encoder_init(encoder);
}

void agent_spool_encoder_restart(struct agent_spool_encoder *encoder)
{
    if (encoder->capacity == 0)
        return;
    memset(encoder->epochs, 0, encoder->capacity * sizeof *encoder->epochs);
    memset(encoder->bits, 0, encoder->capacity * sizeof *encoder->bits);
    memset(encoder->present, 0, bitmap_bytes(encoder->capacity));
}

static void reserve_encoder(struct agent_spool_encoder *encoder, uint32_t limit)
{
    uint32_t old = encoder->capacity;
    if (limit <= old)
        return;
    uint32_t new = capacity_for(limit);
    encoder->epochs =
        grow(encoder->epochs, old * sizeof *encoder->epochs, new * sizeof *encoder->epochs);
    encoder->bits = grow(encoder->bits, old * sizeof *encoder->bits, new * sizeof *encoder->bits);
    encoder->present = grow(encoder->present, bitmap_bytes(old), bitmap_bytes(new));
    encoder->capacity = new;
}

static void put_varint(struct tw_buf *out, uint64_t value)
{
    char bytes[10];
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[size++] = (char)(value | 0x80);
    bytes[size++] = (char)value;
    tw_buf_append(out, bytes, size);
}

static void put_u64(struct tw_buf *out, uint64_t value)
{
    char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(value >> 8 * i);
    tw_buf_append(out, bytes, 8);
}

/* Labels of series that the file does not know yet. */
static void put_definitions(struct agent_spool_encoder *encoder, const struct agent_round *round,
                            struct tw_buf *out)
{
    uint32_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            put_varint(out, count);
        for (uint32_t i = 0; i < round->count; i++) {
            uint32_t number = round->items[i].series;
            const struct agent_series *series = agent_roster_get(round->roster, number);
            if (encoder->epochs[number] == series->epoch)
                continue;
            count++;
            if (pass == 0)
                continue;
            put_varint(out, number);
            put_varint(out, series->fields.size);
            tw_buf_append_str(out, series->fields);
            encoder->epochs[number] = series->epoch;
            encoder->bits[number] = 0;
        }
    }
}

/* The bytes of a difference between its zero bytes at both ends: a byte says how many of each. */
static void put_difference(struct tw_buf *out, uint64_t difference)
{
    int low = __builtin_ctzll(difference) / 8;
    int count = 8 - low - __builtin_clzll(difference) / 8;
    tw_buf_append_char(out, (char)(count << 4 | low));
    difference >>= 8 * low;
    for (int i = 0; i < count; i++)
        tw_buf_append_char(out, (char)(difference >> 8 * i));
}

void agent_spool_encode(struct agent_spool_encoder *encoder, const struct agent_round *round,
                        struct tw_buf *ret_payload)
{
    uint32_t limit = 0;
    for (uint32_t i = 0; i < round->count; i++)
        if (round->items[i].series >= limit)
            limit = round->items[i].series + 1;
    /* The bitmaps cover what was there before too, so that "not any more" can be said. */
    uint32_t roster_limit = agent_roster_limit(round->roster);
    if (roster_limit > limit)
        limit = roster_limit;
    reserve_encoder(encoder, limit + 1); /* never none */

    size_t map_bytes = bitmap_bytes(limit);
    uint8_t *present = calloc(1, 2 * map_bytes + 1), *changed = present + map_bytes;
    uint64_t *differences = calloc(limit + 1, sizeof *differences);
    TW_ASSERT(present != NULL && differences != NULL);

    tw_buf_append_char(ret_payload, RECORD_ROUND);
    put_u64(ret_payload, (uint64_t)round->time_ms);
    put_definitions(encoder, round, ret_payload);
    for (uint32_t i = 0; i < round->count; i++) {
        uint32_t number = round->items[i].series;
        uint64_t bits = tw_double_bits(round->items[i].value);
        bit_set(present, number);
        differences[number] = bits ^ encoder->bits[number];
        if (differences[number] != 0)
            bit_set(changed, number);
        encoder->bits[number] = bits;
    }
    put_varint(ret_payload, limit);
    bool same = memcmp(present, encoder->present, map_bytes) == 0;
    tw_buf_append_char(ret_payload, same ? FLAG_SAME_PRESENT : 0);
    if (!same)
        tw_buf_append(ret_payload, present, map_bytes);
    tw_buf_append(ret_payload, changed, map_bytes);
    for (uint32_t number = 0; number < limit; number++)
        if (differences[number] != 0)
            put_difference(ret_payload, differences[number]);
    memcpy(encoder->present, present, map_bytes);
    free(present);
    free(differences);
}

/* ---- reading ---- */

void agent_spool_decoder_init(struct agent_spool_decoder *decoder)
{
    *decoder = (struct agent_spool_decoder){0};
}

static void free_fields(struct agent_spool_decoder *decoder, uint32_t number)
{
    free((char *)(uintptr_t)decoder->fields[number].data);
    decoder->fields[number] = (struct tw_str){NULL, 0};
}

void agent_spool_decoder_fini(struct agent_spool_decoder *decoder)
{
    for (uint32_t i = 0; i < decoder->capacity; i++)
        free_fields(decoder, i);
    free(decoder->fields);
    free(decoder->bits);
    free(decoder->present);
    agent_spool_decoder_init(decoder);
}

void agent_spool_decoder_restart(struct agent_spool_decoder *decoder)
{
    agent_spool_decoder_fini(decoder);
}

static void reserve_decoder(struct agent_spool_decoder *decoder, uint32_t limit)
{
    uint32_t old = decoder->capacity;
    if (limit <= old)
        return;
    uint32_t new = capacity_for(limit);
    decoder->fields =
        grow(decoder->fields, old * sizeof *decoder->fields, new * sizeof *decoder->fields);
    decoder->bits = grow(decoder->bits, old * sizeof *decoder->bits, new * sizeof *decoder->bits);
    decoder->present = grow(decoder->present, bitmap_bytes(old), bitmap_bytes(new));
    decoder->capacity = new;
}

struct cursor {
    const uint8_t *at, *limit;
};

static bool take(struct cursor *cursor, size_t size, const uint8_t **ret)
{
    if ((size_t)(cursor->limit - cursor->at) < size)
        return false;
    *ret = cursor->at;
    cursor->at += size;
    return true;
}

static bool take_varint(struct cursor *cursor, uint64_t *ret)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (cursor->at == cursor->limit)
            return false;
        uint8_t byte = *cursor->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool take_head(struct cursor *cursor, struct tw_str payload, int64_t *ret_time_ms,
                      uint64_t *ret_definitions)
{
    const uint8_t *head;
    cursor->at = (const uint8_t *)payload.data;
    cursor->limit = cursor->at + payload.size;
    if (!take(cursor, 9, &head) || head[0] != RECORD_ROUND)
        return false;
    uint64_t time = 0;
    for (int i = 0; i < 8; i++)
        time |= (uint64_t)head[1 + i] << 8 * i;
    *ret_time_ms = (int64_t)time;
    return take_varint(cursor, ret_definitions);
}

static bool take_definition(struct cursor *cursor, uint32_t *ret_number, struct tw_str *ret_fields)
{
    uint64_t number, size;
    const uint8_t *bytes;
    if (!take_varint(cursor, &number) || number >= AGENT_SERIES_MAX ||
        !take_varint(cursor, &size) || size == 0 || size > SIZE_MAX / 2 ||
        !take(cursor, (size_t)size, &bytes))
        return false;
    *ret_number = (uint32_t)number;
    *ret_fields = (struct tw_str){(const char *)bytes, (size_t)size};
    return true;
}

bool agent_spool_redefines(const struct agent_spool_decoder *decoder, struct tw_str payload)
{
    struct cursor cursor;
    int64_t time_ms;
    uint64_t count;
    if (!take_head(&cursor, payload, &time_ms, &count))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t number;
        struct tw_str fields;
        if (!take_definition(&cursor, &number, &fields))
            return false;
        if (number < decoder->capacity && decoder->fields[number].size > 0)
            return true;
    }
    return false;
}

static bool take_difference(struct cursor *cursor, uint64_t *ret)
{
    const uint8_t *head, *bytes;
    if (!take(cursor, 1, &head))
        return false;
    unsigned count = *head >> 4, low = *head & 15;
    if (count == 0 || count + low > 8 || !take(cursor, count, &bytes))
        return false;
    uint64_t difference = 0;
    for (unsigned i = 0; i < count; i++)
        difference |= (uint64_t)bytes[i] << 8 * i;
    *ret = difference << 8 * low;
    return true;
}

static bool take_values(struct agent_spool_decoder *decoder, struct cursor *cursor)
{
    uint64_t limit;
    const uint8_t *flags, *present, *changed;
    if (!take_varint(cursor, &limit) || limit > AGENT_SERIES_MAX || !take(cursor, 1, &flags))
        return false;
    size_t map_bytes = bitmap_bytes((uint32_t)limit);
    reserve_decoder(decoder, (uint32_t)limit + 1); /* never none */
    if (!(*flags & FLAG_SAME_PRESENT)) {
        if (!take(cursor, map_bytes, &present))
            return false;
        memset(decoder->present, 0, bitmap_bytes(decoder->capacity));
        memcpy(decoder->present, present, map_bytes);
    }
    if (!take(cursor, map_bytes, &changed))
        return false;
    for (uint32_t number = 0; number < limit; number++) {
        uint64_t difference;
        if (agent_bit_get(changed, number)) {
            if (!take_difference(cursor, &difference))
                return false;
            decoder->bits[number] ^= difference;
        }
        if (agent_bit_get(decoder->present, number) && decoder->fields[number].size == 0)
            return false;
    }
    decoder->limit = (uint32_t)limit;
    return cursor->at == cursor->limit;
}

enum tw_code agent_spool_decode(struct agent_spool_decoder *decoder, struct tw_str payload,
                                struct tw_err *err)
{
    struct cursor cursor;
    int64_t time_ms;
    uint64_t count;
    bool ok = take_head(&cursor, payload, &time_ms, &count);
    for (uint64_t i = 0; ok && i < count; i++) {
        uint32_t number;
        struct tw_str fields;
        ok = take_definition(&cursor, &number, &fields);
        if (!ok)
            break;
        reserve_decoder(decoder, number + 1);
        free_fields(decoder, number);
        decoder->fields[number] = (struct tw_str){tw_str_dup(fields), fields.size};
        decoder->bits[number] = 0;
    }
    if (!ok || !take_values(decoder, &cursor))
        return tw_err_set(err, TW_CORRUPT, "a record of the spool is malformed");
    decoder->time_ms = time_ms;
    return TW_OK;
}
