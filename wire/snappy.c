/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/snappy.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <snappy-c.h>

#include "base/assert.h"

/* A block expands at most so far (copies of 64 bytes from 3-byte elements, rounded up): a body that
 * declares more is a lie, refused before memory is taken for it. */
#define EXPANSION_MAX 32

void wire_snappy_encode(struct tw_str plain, struct tw_buf *ret_packed)
{
    size_t bytes = snappy_max_compressed_length(plain.size);
    char *room = tw_buf_reserve(ret_packed, bytes);
    if (room == NULL)
        return;
    snappy_status status =
        snappy_compress(plain.data != NULL ? plain.data : "", plain.size, room, &bytes);
    TW_ASSERT(status == SNAPPY_OK);
    ret_packed->size += bytes;
}

/* ---- decompressing ----
 *
 * By hand, in half of the library's time, which was a tenth of what a request costs. After the size
 * (a varint) come elements: a literal, or a copy of what was written before. The two low bits of an
 * element's first byte are its kind; names repeat, so that most are copies of up to 64 bytes with
 * two bytes of offset.
 */
enum element_kind { LITERAL, COPY_1, COPY_2, COPY_4 };

#define COPY_BYTES_MAX 64
#define SHORT_LITERAL 16
/* The length of a longer literal stands in 1 to 4 bytes behind the first. */
#define LITERAL_INLINE_MAX 60

struct unpacking {
    const uint8_t *at, *limit;
    uint8_t *start, *to, *end;
};

static inline uint32_t load_bytes(const uint8_t *at, size_t count)
{
    uint32_t number = 0;
    for (size_t i = 0; i < count; i++)
        number |= (uint32_t)at[i] << 8 * i;
    return number;
}

static inline bool take_literal(struct unpacking *unpacking, unsigned tag)
{
    size_t size = (tag >> 2) + 1;
    size_t left = (size_t)(unpacking->limit - unpacking->at);
    size_t room = (size_t)(unpacking->end - unpacking->to);
    if (size <= SHORT_LITERAL && left >= SHORT_LITERAL && room >= SHORT_LITERAL) {
        memcpy(unpacking->to, unpacking->at, SHORT_LITERAL); /* too much is written over */
    } else {
        if (size > LITERAL_INLINE_MAX) {
            size_t size_bytes = size - LITERAL_INLINE_MAX;
            if (size_bytes > left)
                return false;
            size = (size_t)load_bytes(unpacking->at, size_bytes) + 1;
            unpacking->at += size_bytes;
            left -= size_bytes;
        }
        if (size > left || size > room)
            return false;
        memcpy(unpacking->to, unpacking->at, size);
    }
    unpacking->at += size;
    unpacking->to += size;
    return true;
}

/* Source and target may overlap: then the bytes repeat. */
static inline bool copy_back(struct unpacking *unpacking, size_t offset, size_t size)
{
    uint8_t *to = unpacking->to;
    size_t room = (size_t)(unpacking->end - to);
    if (offset == 0 || offset > (size_t)(to - unpacking->start) || size > room)
        return false;
    const uint8_t *from = to - offset;
    if (offset >= COPY_BYTES_MAX && room >= COPY_BYTES_MAX)
        memcpy(to, from, COPY_BYTES_MAX);
    else if (offset >= 16 && room >= COPY_BYTES_MAX)
        for (size_t i = 0; i < size; i += 16)
            memcpy(to + i, from + i, 16);
    else
        for (size_t i = 0; i < size; i++)
            to[i] = from[i];
    unpacking->to = to + size;
    return true;
}

static inline bool take_copy(struct unpacking *unpacking, unsigned tag)
{
    const uint8_t *at = unpacking->at;
    size_t left = (size_t)(unpacking->limit - at);
    size_t offset, size = (tag >> 2) + 1;
    unsigned kind = tag & 3;
    if (left < 4 && left < kind + (kind == COPY_4))
        return false;
    if (kind == COPY_2) {
        offset = at[0] | (size_t)at[1] << 8;
        unpacking->at = at + 2;
    } else if (kind == COPY_1) {
        offset = at[0] | (size_t)(tag >> 5) << 8;
        size = 4 + (tag >> 2 & 7);
        unpacking->at = at + 1;
    } else {
        offset = load_bytes(at, 4);
        unpacking->at = at + 4;
    }
    return copy_back(unpacking, offset, size);
}

/* packed: behind the size. Exactly so many bytes come out, or it is no such block. */
static bool unpack(struct tw_str packed, char *ret, size_t size)
{
    const uint8_t *at = (const uint8_t *)packed.data;
    uint8_t *start = (uint8_t *)ret;
    struct unpacking unpacking = {at, at + packed.size, start, start, start + size};
    while (unpacking.at < unpacking.limit) {
        unsigned tag = *unpacking.at++;
        if (!((tag & 3) == LITERAL ? take_literal(&unpacking, tag) : take_copy(&unpacking, tag)))
            return false;
    }
    return unpacking.to == unpacking.end;
}

/* Of a varint that snappy_uncompressed_length accepted. */
static size_t varint_bytes(struct tw_str packed)
{
    size_t bytes = 1;
    while ((unsigned char)packed.data[bytes - 1] >= 0x80)
        bytes++;
    return bytes;
}

enum tw_code wire_snappy_plain_bytes(struct tw_str packed, size_t *ret_bytes, struct tw_err *err)
{
    if (packed.size == 0 ||
        snappy_uncompressed_length(packed.data, packed.size, ret_bytes) != SNAPPY_OK)
        return tw_err_set(err, TW_BAD_DATA,
                          "the body (%zu bytes) is not Snappy: it does not begin with a size",
                          packed.size);
    return TW_OK;
}

enum tw_code wire_snappy_decode(struct tw_str packed, size_t bytes_max, struct tw_buf *ret_plain,
                                struct tw_err *err)
{
    size_t bytes;
    enum tw_code code = wire_snappy_plain_bytes(packed, &bytes, err);
    if (code != TW_OK)
        return code;
    if (bytes > bytes_max)
        return tw_err_set(err, TW_TOO_LARGE,
                          "the body declares %zu bytes after decompression, the limit is %zu: send "
                          "fewer series in one request",
                          bytes, bytes_max);
    if (bytes / EXPANSION_MAX > packed.size)
        return tw_err_set(err, TW_BAD_DATA,
                          "the body is not Snappy: %zu bytes cannot hold the %zu that it declares",
                          packed.size, bytes);
    char *room = tw_buf_reserve(ret_plain, bytes > 0 ? bytes : 1);
    if (room == NULL)
        return tw_err_set(err, TW_TOO_LARGE, "no room for %zu bytes after decompression", bytes);
    if (!unpack(tw_str_slice(packed, varint_bytes(packed), packed.size), room, bytes))
        return tw_err_set(err, TW_BAD_DATA, "the body is not Snappy's block format, or is damaged");
    ret_plain->size += bytes;
    return TW_OK;
}
