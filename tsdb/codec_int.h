/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_int: what encoder and decoder of the codec agree on (docs/format/block.md).
 */
#ifndef TW_TSDB_CODEC_INT_H
#define TW_TSDB_CODEC_INT_H

#include "tsdb/codec.h"
#include "tsdb/unpack.h"

enum tsdb_codec {
    TSDB_CODEC_CONSTANT = 0,
    TSDB_CODEC_PLAIN = 1,
    TSDB_CODEC_DELTA = 2, /* zigzag */
    TSDB_CODEC_DELTA2 = 3,
    TSDB_CODEC_XOR = 4,
    TSDB_CODEC_RISE = 5, /* differences above the least one: counters */
    TSDB_CODEC_LINE = 6, /* distance from a straight line: times with jitter */
    TSDB_CODEC_DICTIONARY = 7,
};

/* The first byte of a chunk: codec, whether values are patched, exponent. */
#define CONTROL_CODEC 7u
#define CONTROL_PATCHED 8u
#define CONTROL_EXPONENT_SHIFT 4
/* In place of an exponent: integers are the bit patterns of the values. */
#define EXPONENT_BITS 15u
#define EXPONENT_MAX TSDB_UNPACK_EXPONENT_MAX

/* The second byte of an integer chunk. */
#define WIDTH_BITS 63u
#define WIDTH_EXCEPTIONS 64u
#define WIDTH_DIVISOR 128u

#define DICTIONARY_MAX 32

static inline unsigned tsdb_codec_bits(uint64_t number)
{
    return number ? 64 - (unsigned)__builtin_clzll(number) : 0;
}

static inline size_t tsdb_codec_chunk(size_t left)
{
    return left < TSDB_CODEC_CHUNK_MAX ? left : TSDB_CODEC_CHUNK_MAX;
}

#endif
