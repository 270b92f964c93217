/* SPDX-License-Identifier: Apache-2.0
 *
 * codec: columns of timestamps and of values as bytes, exactly: every bit of a value comes back,
 * NaN payloads, -0.0 and stale markers too.
 *
 * A column is cut into chunks of at most TSDB_CODEC_CHUNK_MAX items, each with a codec byte, so
 * that better codecs can join (docs/format/block.md draws the bytes):
 *
 *   constant    one 64-bit pattern
 *   integer     items that are integers (times), decimals that are exactly integer / 10^e, or, for
 *               full-precision doubles, the bit patterns themselves, taken as integers: divided by
 *               the greatest common divisor of their differences; then as they are, as distance
 *               from a line, as deltas or as deltas of deltas; less the smallest; bit-packed, wide
 *               ones as exceptions (so runs cost nothing but their ends); values that are no
 *               decimals among those that are (a stale marker at the end) are patched in
 *   dictionary  a few patterns
 *   xor         whatever else: XOR with the item before, leading and trailing zero bytes left out
 *
 * That decimals hide in doubles, and that exceptions are patched, is what ALP does too (Afroozeh,
 * Kuffo, Boncz: ALP: Adaptive Lossless floating-Point Compression, SIGMOD 2024). Its split of true
 * doubles into a dictionary of front bits and plain rest is beaten by deltas of whole patterns
 * where neighbours are alike, and costs the same where they are not.
 *
 * Decoding takes any bytes: it returns false for what no encoder makes, never reads outside, and
 * never writes more than asked for.
 */
#ifndef TW_TSDB_CODEC_H
#define TW_TSDB_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define TSDB_CODEC_CHUNK_MAX 512

/* Appends; count may be 0. values are bit patterns of doubles. */
void tsdb_codec_encode_times(const int64_t *times, size_t count, struct tw_buf *ret);
void tsdb_codec_encode_values(const uint64_t *values, size_t count, struct tw_buf *ret);
/* The same format, sought less hard: for what is encoded again soon. */
void tsdb_codec_encode_values_hastily(const uint64_t *values, size_t count, struct tw_buf *ret);

/* bytes must hold exactly count items. */
bool tsdb_codec_decode_times(struct tw_str bytes, int64_t *ret_times, size_t count);
bool tsdb_codec_decode_values(struct tw_str bytes, uint64_t *ret_values, size_t count);
/* Only items [first, limit) of the count that bytes holds need be filled in; others may be. */
bool tsdb_codec_decode_part(struct tw_str bytes, uint64_t *ret_values, size_t count, size_t first,
                            size_t limit);

/* ---- small integers, as all of the store's formats write them ---- */

/* LEB128, at most 10 bytes. */
void tsdb_varint_append(struct tw_buf *ret, uint64_t number);
static inline uint64_t tsdb_zigzag(uint64_t difference)
{
    return difference << 1 ^ (uint64_t)((int64_t)difference >> 63);
}
static inline uint64_t tsdb_unzigzag(uint64_t number)
{
    return number >> 1 ^ (0 - (number & 1));
}

/* Reads forward through bytes from disk; after anything is missing, ok is false and all reads give
 * 0. */
struct tsdb_reader {
    const unsigned char *at, *end;
    bool ok;
};

struct tsdb_reader tsdb_reader(struct tw_str bytes);
uint64_t tsdb_read_long_varint(struct tsdb_reader *reader); /* of more than one byte, too */
static inline uint64_t tsdb_read_varint(struct tsdb_reader *reader)
{
    return reader->at < reader->end && *reader->at < 0x80 ? *reader->at++
                                                          : tsdb_read_long_varint(reader);
}
uint8_t tsdb_read_u8(struct tsdb_reader *reader);
uint64_t tsdb_read_u64(struct tsdb_reader *reader); /* little-endian */
/* The next size bytes, or the empty string. */
struct tw_str tsdb_read_bytes(struct tsdb_reader *reader, uint64_t size);
static inline size_t tsdb_reader_left(const struct tsdb_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}
void tsdb_append_u64(struct tw_buf *ret, uint64_t number); /* little-endian */

/* One item of the xor codec, alone: what the log writes for a value. difference is not 0. */
void tsdb_xor_append(struct tw_buf *ret, uint64_t difference);
uint64_t tsdb_read_xor(struct tsdb_reader *reader);

#endif
