/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/codec.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/number.h"

enum codec {
    CODEC_CONSTANT = 0,
    CODEC_PLAIN = 1,
    CODEC_DELTA = 2, /* zigzag */
    CODEC_DELTA2 = 3,
    CODEC_XOR = 4,
    CODEC_RISE = 5, /* deltas that are never negative: counters */
};

#define EXPONENT_MAX 15
/* Below this an exception list cannot win enough to be worth looking for. */
#define EXCEPTIONS_ITEMS_MIN 48
#define DECIMAL_LIMIT 9007199254740992.0 /* 2^53: integers below are exact doubles */

static const double powers[EXPONENT_MAX + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* ---- small integers ---- */

void tsdb_varint_append(struct tw_buf *ret, uint64_t number)
{
    char bytes[10];
    size_t size = 0;
    while (number > 0x7f) {
        bytes[size++] = (char)(number | 0x80);
        number >>= 7;
    }
    bytes[size++] = (char)number;
    tw_buf_append(ret, bytes, size);
}

static size_t varint_bytes(uint64_t number)
{
    size_t size = 1;
    while (number > 0x7f) {
        number >>= 7;
        size++;
    }
    return size;
}

struct tsdb_reader tsdb_reader(struct tw_str bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.data;
    return (struct tsdb_reader){at, at ? at + bytes.size : at, true};
}

size_t tsdb_reader_left(const struct tsdb_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static uint64_t broken(struct tsdb_reader *reader)
{
    reader->ok = false;
    reader->at = reader->end;
    return 0;
}

uint64_t tsdb_read_varint(struct tsdb_reader *reader)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        unsigned char byte = *reader->at++;
        if (shift == 63 && byte > 1)
            break;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return number;
    }
    return broken(reader);
}

uint8_t tsdb_read_u8(struct tsdb_reader *reader)
{
    if (reader->at == reader->end)
        return (uint8_t)broken(reader);
    return *reader->at++;
}

struct tw_str tsdb_read_bytes(struct tsdb_reader *reader, uint64_t size)
{
    if (size > tsdb_reader_left(reader)) {
        broken(reader);
        return (struct tw_str){0};
    }
    struct tw_str bytes = {(const char *)reader->at, (size_t)size};
    reader->at += size;
    return bytes;
}

static uint64_t load_le(const unsigned char *bytes, size_t count)
{
    uint64_t number = 0;
    if (count >= 8) {
        memcpy(&number, bytes, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        number = __builtin_bswap64(number);
#endif
        return number;
    }
    for (size_t i = 0; i < count; i++)
        number |= (uint64_t)bytes[i] << (8 * i);
    return number;
}

uint64_t tsdb_read_u64(struct tsdb_reader *reader)
{
    struct tw_str bytes = tsdb_read_bytes(reader, 8);
    return reader->ok ? load_le((const unsigned char *)bytes.data, 8) : 0;
}

void tsdb_append_u64(struct tw_buf *ret, uint64_t number)
{
    char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(number >> (8 * i));
    tw_buf_append(ret, bytes, sizeof bytes);
}

/* ---- xor ---- */

/* Control byte: leading zero bytes in the high nibble, bytes kept (1 to 8) in the low one; the
 * bytes follow, least significant first. */
void tsdb_xor_append(struct tw_buf *ret, uint64_t difference)
{
    TW_ASSERT(difference != 0);
    unsigned leading = (unsigned)__builtin_clzll(difference) / 8;
    unsigned trailing = (unsigned)__builtin_ctzll(difference) / 8;
    unsigned count = 8 - leading - trailing;
    char bytes[9] = {(char)(leading << 4 | count)};
    difference >>= 8 * trailing;
    for (unsigned i = 0; i < count; i++)
        bytes[1 + i] = (char)(difference >> (8 * i));
    tw_buf_append(ret, bytes, 1 + count);
}

static uint64_t read_xor_rest(struct tsdb_reader *reader, unsigned control)
{
    unsigned leading = control >> 4, count = control & 15;
    if (count == 0 || leading + count > 8)
        return broken(reader);
    struct tw_str bytes = tsdb_read_bytes(reader, count);
    if (!reader->ok)
        return 0;
    return load_le((const unsigned char *)bytes.data, count) << (8 * (8 - leading - count));
}

uint64_t tsdb_read_xor(struct tsdb_reader *reader)
{
    return read_xor_rest(reader, tsdb_read_u8(reader));
}

/* A control byte with low nibble 0 stands for 1 to 16 items equal to the one before. */
static void encode_xor(const uint64_t *values, size_t count, struct tw_buf *ret)
{
    tw_buf_append_char(ret, (char)CODEC_XOR);
    uint64_t before = 0;
    for (size_t i = 0; i < count;) {
        if (values[i] != before) {
            tsdb_xor_append(ret, values[i] ^ before);
            before = values[i++];
            continue;
        }
        size_t run = 1;
        while (run < 16 && i + run < count && values[i + run] == before)
            run++;
        tw_buf_append_char(ret, (char)((run - 1) << 4));
        i += run;
    }
}

static bool decode_xor(struct tsdb_reader *reader, uint64_t *ret, size_t count)
{
    uint64_t before = 0;
    for (size_t i = 0; i < count;) {
        unsigned control = tsdb_read_u8(reader);
        if (!reader->ok)
            return false;
        if (control & 15) {
            uint64_t difference = read_xor_rest(reader, control);
            if (!reader->ok)
                return false;
            before ^= difference;
            ret[i++] = before;
            continue;
        }
        size_t run = (control >> 4) + 1;
        if (run > count - i)
            return false;
        while (run-- > 0)
            ret[i++] = before;
    }
    return true;
}

/* ---- bit packing ---- */

static unsigned bits_of(uint64_t number)
{
    return number ? 64 - (unsigned)__builtin_clzll(number) : 0;
}

static void pack(const uint64_t *items, size_t count, unsigned width, struct tw_buf *ret)
{
    if (width == 0 || count == 0)
        return;
    size_t size = (count * width + 7) / 8;
    unsigned char *to = (unsigned char *)tw_buf_reserve(ret, size);
    if (!to)
        return;
    uint64_t mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
    unsigned __int128 hold = 0;
    unsigned held = 0;
    for (size_t i = 0; i < count; i++) {
        hold |= (unsigned __int128)(items[i] & mask) << held;
        held += width;
        while (held >= 8) {
            *to++ = (unsigned char)hold;
            hold >>= 8;
            held -= 8;
        }
    }
    if (held > 0)
        *to++ = (unsigned char)hold;
    ret->size += size;
}

static bool unpack(struct tsdb_reader *reader, uint64_t *ret, size_t count, unsigned width)
{
    if (width == 0) {
        memset(ret, 0, count * sizeof *ret);
        return true;
    }
    struct tw_str bytes = tsdb_read_bytes(reader, (count * width + 7) / 8);
    if (!reader->ok)
        return false;
    const unsigned char *from = (const unsigned char *)bytes.data;
    uint64_t mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
    for (size_t i = 0; i < count; i++) {
        size_t bit = i * width, byte = bit / 8, shift = bit % 8;
        uint64_t number = load_le(from + byte, bytes.size - byte) >> shift;
        if (shift + width > 64)
            number |= (uint64_t)from[byte + 8] << (64 - shift);
        ret[i] = number & mask;
    }
    return true;
}

/* Cheapest width for the items when wider ones become exceptions; *ret_bytes: packed + exceptions.
 */
static unsigned choose_width(const uint64_t *items, size_t count, size_t *ret_bytes)
{
    uint16_t histogram[65] = {0};
    unsigned widest = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned bits = bits_of(items[i]);
        histogram[bits]++;
        widest = bits > widest ? bits : widest;
    }
    size_t best = (count * widest + 7) / 8;
    unsigned best_width = widest;
    if (count >= EXCEPTIONS_ITEMS_MIN)
        for (unsigned width = widest; width-- > 0;) {
            size_t bytes = (count * width + 7) / 8;
            for (unsigned bits = width + 1; bits <= widest; bits++)
                bytes += (size_t)histogram[bits] * (1 + (bits - width + 6) / 7);
            if (bytes < best) {
                best = bytes;
                best_width = width;
            }
        }
    *ret_bytes = best;
    return best_width;
}

/* ---- integers ---- */

/* y = (x - minimum) / divisor; all arithmetic from here on wraps, so it is exact for any items. */
struct scaled {
    uint64_t minimum, divisor, widest;
};

static struct scaled scale(uint64_t *items, size_t count)
{
    int64_t minimum = (int64_t)items[0];
    for (size_t i = 1; i < count; i++)
        if ((int64_t)items[i] < minimum)
            minimum = (int64_t)items[i];
    uint64_t divisor = 0, widest = 0;
    for (size_t i = 0; i < count; i++) {
        items[i] -= (uint64_t)minimum;
        widest = items[i] > widest ? items[i] : widest;
        uint64_t a = divisor, b = items[i];
        if (divisor == 1 || b == 0)
            continue;
        while (a != 0) {
            uint64_t rest = b % a;
            b = a;
            a = rest;
        }
        divisor = b;
    }
    if (divisor > 1)
        for (size_t i = 0; i < count; i++)
            items[i] /= divisor;
    return (struct scaled){(uint64_t)minimum, divisor ? divisor : 1, widest};
}

static enum codec deltas(const uint64_t *items, size_t count, uint64_t *ret)
{
    bool rises = true;
    for (size_t i = 1; i < count; i++) {
        rises &= items[i] >= items[i - 1];
        ret[i - 1] = items[i] - items[i - 1];
    }
    if (rises)
        return CODEC_RISE;
    for (size_t i = 1; i < count; i++)
        ret[i - 1] = tsdb_zigzag(ret[i - 1]);
    return CODEC_DELTA;
}

static size_t deltas2(const uint64_t *items, size_t count, uint64_t *ret)
{
    for (size_t i = 2; i < count; i++)
        ret[i - 2] = tsdb_zigzag(items[i] - 2 * items[i - 1] + items[i - 2]);
    return count - 2;
}

static void append_packed(const uint64_t *items, size_t count, unsigned width, struct tw_buf *ret)
{
    size_t exceptions = 0;
    for (size_t i = 0; i < count; i++)
        exceptions += bits_of(items[i]) > width;
    tsdb_varint_append(ret, exceptions);
    pack(items, count, width, ret);
    size_t before = 0;
    for (size_t i = 0; i < count && exceptions; i++)
        if (bits_of(items[i]) > width) {
            tsdb_varint_append(ret, i - before);
            tsdb_varint_append(ret, items[i] >> width);
            before = i;
        }
}

/* items is changed. */
static void encode_integers(uint64_t *items, size_t count, unsigned exponent, struct tw_buf *ret)
{
    struct scaled scaled = scale(items, count);
    uint64_t first[TSDB_CODEC_CHUNK_MAX], second[TSDB_CODEC_CHUNK_MAX];
    const uint64_t *chosen = items;
    size_t chosen_count = count, chosen_bytes, bytes;
    enum codec codec = CODEC_PLAIN;
    unsigned width = choose_width(items, count, &chosen_bytes);
    if (count >= 2) {
        size_t delta_count = count - 1;
        enum codec delta_codec = deltas(items, count, first);
        unsigned delta_width = choose_width(first, delta_count, &bytes);
        bytes += varint_bytes(items[0]);
        if (bytes < chosen_bytes) {
            chosen = first, chosen_count = delta_count, chosen_bytes = bytes;
            codec = delta_codec, width = delta_width;
        }
    }
    if (count >= 3) {
        size_t delta_count = deltas2(items, count, second);
        unsigned delta_width = choose_width(second, delta_count, &bytes);
        bytes += varint_bytes(items[0]) + varint_bytes(tsdb_zigzag(items[1] - items[0]));
        if (bytes < chosen_bytes) {
            chosen = second, chosen_count = delta_count;
            codec = CODEC_DELTA2, width = delta_width;
        }
    }
    tw_buf_append_char(ret, (char)codec);
    tw_buf_append_char(ret, (char)exponent);
    tw_buf_append_char(ret, (char)width);
    tsdb_varint_append(ret, tsdb_zigzag(scaled.minimum));
    tsdb_varint_append(ret, scaled.divisor);
    if (codec != CODEC_PLAIN)
        tsdb_varint_append(ret, items[0]);
    if (codec == CODEC_DELTA2)
        tsdb_varint_append(ret, tsdb_zigzag(items[1] - items[0]));
    append_packed(chosen, chosen_count, width, ret);
}

static bool read_packed(struct tsdb_reader *reader, uint64_t *ret, size_t count, unsigned width)
{
    uint64_t exceptions = tsdb_read_varint(reader);
    if (!reader->ok || exceptions > count || !unpack(reader, ret, count, width))
        return false;
    uint64_t at = 0;
    for (uint64_t i = 0; i < exceptions; i++) {
        uint64_t step = tsdb_read_varint(reader);
        uint64_t high = tsdb_read_varint(reader);
        if (!reader->ok || step >= count - at || width >= 64)
            return false;
        at += step;
        ret[at] |= high << width;
    }
    return true;
}

static bool decode_integers(struct tsdb_reader *reader, enum codec codec, uint64_t *ret,
                            size_t count, unsigned *ret_exponent)
{
    unsigned exponent = tsdb_read_u8(reader), width = tsdb_read_u8(reader);
    uint64_t minimum = tsdb_unzigzag(tsdb_read_varint(reader));
    uint64_t divisor = tsdb_read_varint(reader);
    if (!reader->ok || exponent > EXPONENT_MAX || width > 64)
        return false;
    size_t skip = codec == CODEC_PLAIN ? 0 : codec == CODEC_DELTA2 ? 2 : 1;
    if (count < skip)
        return false;
    uint64_t head[2] = {0};
    if (skip > 0)
        head[0] = tsdb_read_varint(reader);
    if (skip > 1)
        head[1] = head[0] + tsdb_unzigzag(tsdb_read_varint(reader));
    if (!reader->ok || !read_packed(reader, ret + skip, count - skip, width))
        return false;
    memcpy(ret, head, skip * sizeof *ret);
    if (codec == CODEC_DELTA)
        for (size_t i = 1; i < count; i++)
            ret[i] = ret[i - 1] + tsdb_unzigzag(ret[i]);
    else if (codec == CODEC_RISE)
        for (size_t i = 1; i < count; i++)
            ret[i] += ret[i - 1];
    else if (codec == CODEC_DELTA2)
        for (size_t i = 2; i < count; i++)
            ret[i] = 2 * ret[i - 1] - ret[i - 2] + tsdb_unzigzag(ret[i]);
    for (size_t i = 0; i < count; i++)
        ret[i] = ret[i] * divisor + minimum;
    *ret_exponent = exponent;
    return true;
}

static bool is_constant(const uint64_t *items, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (items[i] != items[0])
            return false;
    return true;
}

static void append_constant(uint64_t bits, struct tw_buf *ret)
{
    tw_buf_append_char(ret, (char)CODEC_CONSTANT);
    if (bits)
        tsdb_xor_append(ret, bits);
    else
        tw_buf_append_char(ret, 0);
}

/* ---- decimals ---- */

/* False unless value is exactly *ret / 10^exponent, by the division that the decoder does. */
static bool to_decimal(double value, unsigned exponent, int64_t *ret)
{
    double scaled = value * powers[exponent];
    if (!(fabs(scaled) < DECIMAL_LIMIT))
        return false;
    int64_t number = (int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    if (tw_double_bits((double)number / powers[exponent]) != tw_double_bits(value))
        return false;
    *ret = number;
    return true;
}

/* The smallest exponent that serves all; false if there is none. */
static bool to_decimals(const uint64_t *values, size_t count, uint64_t *ret, unsigned *ret_exponent)
{
    unsigned exponent = 0;
    size_t proven = 0; /* items [0, proven) hold at this exponent */
    while (proven < count) {
        int64_t number;
        if (to_decimal(tw_double_from_bits(values[proven]), exponent, &number)) {
            ret[proven++] = (uint64_t)number;
            continue;
        }
        double value = tw_double_from_bits(values[proven]);
        do
            if (++exponent > EXPONENT_MAX)
                return false;
        while (!to_decimal(value, exponent, &number));
        proven = 0; /* what came before is to be scaled anew */
    }
    *ret_exponent = exponent;
    return true;
}

/* ---- columns ---- */

static size_t chunk_of(size_t left)
{
    return left < TSDB_CODEC_CHUNK_MAX ? left : TSDB_CODEC_CHUNK_MAX;
}

void tsdb_codec_encode_times(const int64_t *times, size_t count, struct tw_buf *ret)
{
    uint64_t items[TSDB_CODEC_CHUNK_MAX];
    for (size_t done = 0; done < count;) {
        size_t chunk = chunk_of(count - done);
        memcpy(items, times + done, chunk * sizeof *items);
        if (is_constant(items, chunk))
            append_constant(items[0], ret);
        else
            encode_integers(items, chunk, 0, ret);
        done += chunk;
    }
}

void tsdb_codec_encode_values(const uint64_t *values, size_t count, struct tw_buf *ret)
{
    uint64_t items[TSDB_CODEC_CHUNK_MAX];
    for (size_t done = 0; done < count;) {
        size_t chunk = chunk_of(count - done);
        unsigned exponent;
        if (is_constant(values + done, chunk))
            append_constant(values[done], ret);
        else if (to_decimals(values + done, chunk, items, &exponent))
            encode_integers(items, chunk, exponent, ret);
        else
            encode_xor(values + done, chunk, ret);
        done += chunk;
    }
}

static bool decode_chunk(struct tsdb_reader *reader, uint64_t *ret, size_t count,
                         unsigned *ret_exponent)
{
    enum codec codec = tsdb_read_u8(reader);
    *ret_exponent = 0;
    if (!reader->ok)
        return false;
    switch (codec) {
    case CODEC_CONSTANT: {
        unsigned control = tsdb_read_u8(reader);
        uint64_t bits = control ? read_xor_rest(reader, control) : 0;
        for (size_t i = 0; i < count; i++)
            ret[i] = bits;
        return reader->ok;
    }
    case CODEC_PLAIN:
    case CODEC_DELTA:
    case CODEC_DELTA2:
    case CODEC_RISE:
        return decode_integers(reader, codec, ret, count, ret_exponent);
    case CODEC_XOR:
        return decode_xor(reader, ret, count);
    default:
        return false;
    }
}

bool tsdb_codec_decode_times(struct tw_str bytes, int64_t *ret_times, size_t count)
{
    struct tsdb_reader reader = tsdb_reader(bytes);
    uint64_t items[TSDB_CODEC_CHUNK_MAX];
    unsigned exponent;
    for (size_t done = 0; done < count;) {
        size_t chunk = chunk_of(count - done);
        if (!decode_chunk(&reader, items, chunk, &exponent) || exponent != 0)
            return false;
        memcpy(ret_times + done, items, chunk * sizeof *items);
        done += chunk;
    }
    return tsdb_reader_left(&reader) == 0;
}

bool tsdb_codec_decode_values(struct tw_str bytes, uint64_t *ret_values, size_t count)
{
    struct tsdb_reader reader = tsdb_reader(bytes);
    for (size_t done = 0; done < count;) {
        size_t chunk = chunk_of(count - done);
        uint64_t *items = ret_values + done;
        unsigned exponent;
        const unsigned char *start = reader.at;
        if (!decode_chunk(&reader, items, chunk, &exponent))
            return false;
        if (*start != CODEC_CONSTANT && *start != CODEC_XOR)
            for (size_t i = 0; i < chunk; i++)
                items[i] = tw_double_bits((double)(int64_t)items[i] / powers[exponent]);
        done += chunk;
    }
    return tsdb_reader_left(&reader) == 0;
}
