/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/codec.h"

#include <string.h>

#include "base/assert.h"
#include "base/number.h"
#include "tsdb/codec_int.h"
#include "tsdb/unpack.h"

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

struct tsdb_reader tsdb_reader(struct tw_str bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.data;
    return (struct tsdb_reader){at, at ? at + bytes.size : at, true};
}

static uint64_t broken(struct tsdb_reader *reader)
{
    reader->ok = false;
    reader->at = reader->end;
    return 0;
}

uint64_t tsdb_read_long_varint(struct tsdb_reader *reader)
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
            if (ret)
                ret[i] = before;
            i++;
            continue;
        }
        size_t run = (control >> 4) + 1;
        if (run > count - i)
            return false;
        if (ret)
            tsdb_unpack_fill(ret + i, run, before);
        i += run;
    }
    return true;
}

/* ---- bit packing ---- */

static bool read_packed(struct tsdb_reader *reader, uint64_t *ret, size_t count, unsigned width,
                        bool has_exceptions)
{
    struct tw_str bytes = tsdb_read_bytes(reader, (count * width + 7) / 8);
    if (!reader->ok)
        return false;
    if (ret)
        tsdb_unpack((const unsigned char *)bytes.data, width, ret, count);
    uint64_t exceptions = has_exceptions ? tsdb_read_varint(reader) : 0;
    if (exceptions > count)
        return false;
    for (uint64_t at = 0; exceptions > 0; exceptions--) {
        uint64_t step = tsdb_read_varint(reader), high = tsdb_read_varint(reader);
        if (!reader->ok || step >= count - at)
            return false;
        at += step;
        if (ret)
            ret[at] |= high << width;
    }
    return reader->ok;
}

/* ---- integers ---- */

/* ret NULL: only goes over the bytes. */
static bool decode_integers(struct tsdb_reader *reader, enum tsdb_codec codec, uint64_t *ret,
                            size_t count)
{
    unsigned control = tsdb_read_u8(reader), width = control & WIDTH_BITS;
    uint64_t divisor = control & WIDTH_DIVISOR ? tsdb_read_varint(reader) : 1;
    uint64_t base = tsdb_unzigzag(tsdb_read_varint(reader)), extra = 0;
    if (codec == TSDB_CODEC_RISE || codec == TSDB_CODEC_LINE || codec == TSDB_CODEC_DELTA2)
        extra = tsdb_unzigzag(tsdb_read_varint(reader));
    size_t skip = codec == TSDB_CODEC_DELTA2                              ? 2
                  : codec == TSDB_CODEC_DELTA || codec == TSDB_CODEC_RISE ? 1
                                                                          : 0;
    if (!reader->ok || count < skip ||
        !read_packed(reader, ret ? ret + skip : NULL, count - skip, width,
                     (control & WIDTH_EXCEPTIONS) != 0))
        return false;
    if (!ret)
        return true;
    switch (codec) {
    case TSDB_CODEC_PLAIN:
        tsdb_unpack_scale(ret, count, divisor, base);
        break;
    case TSDB_CODEC_LINE:
        tsdb_unpack_line(ret, count, extra, divisor, base);
        break;
    case TSDB_CODEC_DELTA:
        ret[0] = base;
        tsdb_unpack_delta(ret + 1, count - 1, divisor, base);
        break;
    case TSDB_CODEC_RISE:
        ret[0] = base;
        tsdb_unpack_rise(ret + 1, count - 1, extra, divisor, base);
        break;
    case TSDB_CODEC_DELTA2:
        ret[0] = base;
        ret[1] = base + extra * divisor;
        tsdb_unpack_delta2(ret + 2, count - 2, extra, divisor, ret[1]);
        break;
    case TSDB_CODEC_CONSTANT:
    case TSDB_CODEC_XOR:
    case TSDB_CODEC_DICTIONARY:
        TW_UNREACHABLE("these hold no packed integers");
    }
    return true;
}

/* ---- patterns ---- */

static uint64_t read_pattern(struct tsdb_reader *reader)
{
    unsigned control = tsdb_read_u8(reader);
    return control ? read_xor_rest(reader, control) : 0;
}

static bool decode_dictionary(struct tsdb_reader *reader, uint64_t *ret, size_t count)
{
    uint64_t entries[DICTIONARY_MAX], before = 0;
    size_t entry_count = tsdb_read_u8(reader);
    if (entry_count < 2 || entry_count > DICTIONARY_MAX)
        return false;
    for (size_t i = 0; i < entry_count; i++)
        entries[i] = before ^= read_pattern(reader);
    if (!reader->ok || !read_packed(reader, ret, count, tsdb_codec_bits(entry_count - 1), false))
        return false;
    for (size_t i = 0; ret && i < count; i++) {
        if (ret[i] >= entry_count)
            return false;
        ret[i] = entries[ret[i]];
    }
    return true;
}

/* ---- decimals ---- */

static bool decode_patches(struct tsdb_reader *reader, uint64_t *ret, size_t count)
{
    uint64_t patches = tsdb_read_varint(reader);
    if (!reader->ok || patches > count)
        return false;
    for (uint64_t at = 0; patches > 0; patches--) {
        uint64_t step = tsdb_read_varint(reader), bits = tsdb_read_u64(reader);
        if (!reader->ok || step >= count - at)
            return false;
        at += step;
        if (ret)
            ret[at] = bits;
    }
    return true;
}

/* ---- chunks ---- */

/* ret NULL: only goes over the bytes. */
static bool decode_chunk(struct tsdb_reader *reader, bool is_values, uint64_t *ret, size_t count)
{
    unsigned control = tsdb_read_u8(reader);
    enum tsdb_codec codec = (enum tsdb_codec)(control & CONTROL_CODEC);
    unsigned exponent = control >> CONTROL_EXPONENT_SHIFT;
    bool patched = control & CONTROL_PATCHED;
    if (!reader->ok || (!is_values && control != (unsigned)codec))
        return false;
    switch (codec) {
    case TSDB_CODEC_CONSTANT: {
        uint64_t bits = read_pattern(reader);
        if (ret)
            tsdb_unpack_fill(ret, count, bits);
        return control == (unsigned)codec && reader->ok;
    }
    case TSDB_CODEC_XOR:
        return control == (unsigned)codec && decode_xor(reader, ret, count);
    case TSDB_CODEC_DICTIONARY:
        return control == (unsigned)codec && decode_dictionary(reader, ret, count);
    case TSDB_CODEC_PLAIN:
    case TSDB_CODEC_DELTA:
    case TSDB_CODEC_DELTA2:
    case TSDB_CODEC_RISE:
    case TSDB_CODEC_LINE:
        if (!decode_integers(reader, codec, ret, count))
            return false;
        if (!is_values || exponent == EXPONENT_BITS)
            return !patched;
        if (ret)
            tsdb_unpack_decimals(ret, count, exponent);
        return !patched || decode_patches(reader, ret, count);
    }
    return false;
}

/* ---- columns ---- */

static bool decode(struct tw_str bytes, bool is_values, uint64_t *ret, size_t count, size_t first,
                   size_t limit)
{
    struct tsdb_reader reader = tsdb_reader(bytes);
    for (size_t done = 0, chunk; done < limit; done += chunk) {
        chunk = tsdb_codec_chunk(count - done);
        if (!decode_chunk(&reader, is_values, done + chunk > first ? ret + done : NULL, chunk))
            return false;
    }
    return limit < count || tsdb_reader_left(&reader) == 0;
}

bool tsdb_codec_decode_times(struct tw_str bytes, int64_t *ret_times, size_t count)
{
    return decode(bytes, false, (uint64_t *)ret_times, count, 0, count);
}

bool tsdb_codec_decode_values(struct tw_str bytes, uint64_t *ret_values, size_t count)
{
    return decode(bytes, true, ret_values, count, 0, count);
}

bool tsdb_codec_decode_part(struct tw_str bytes, uint64_t *ret_values, size_t count, size_t first,
                            size_t limit)
{
    TW_ASSERT(first <= limit && limit <= count);
    return decode(bytes, true, ret_values, count, first, limit);
}
