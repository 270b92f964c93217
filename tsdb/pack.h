/* SPDX-License-Identifier: Apache-2.0
 *
 * pack: the inner loops of the encoder, beside those of the decoder (unpack.h): what items are
 * like, before one way to write them is chosen. Compiled several times, for the processors that
 * there are, and chosen at start; all versions give the same answer.
 *
 * Threads: any.
 */
#ifndef TW_TSDB_PACK_H
#define TW_TSDB_PACK_H

#include <stddef.h>
#include <stdint.h>

/* Of signed items; count > 0. */
struct tsdb_pack_range {
    int64_t least, most;
};
struct tsdb_pack_range tsdb_pack_range(const uint64_t *items, size_t count);
/* All bits of the items together; of their zigzags. */
uint64_t tsdb_pack_union(const uint64_t *items, size_t count);
uint64_t tsdb_pack_zigzag_union(const uint64_t *items, size_t count);
/* How many items are more than distance below most. */
size_t tsdb_pack_count_below(const uint64_t *items, size_t count, int64_t most, uint64_t distance);
/* How many items have so many bits, for each number of bits; count < 2^16. */
void tsdb_pack_widths(const uint64_t *items, size_t count, uint16_t ret_histogram[65]);
/* ret[i] = items[i] - i * slope - base; ret may be items. */
void tsdb_pack_level(const uint64_t *items, size_t count, uint64_t slope, uint64_t base,
                     uint64_t *ret);
void tsdb_pack_zigzags(const uint64_t *items, size_t count, uint64_t *ret);
/* ret[i] = the distance of an item to the one before, from the second on: count - 1 of them. */
void tsdb_pack_deltas(const uint64_t *items, size_t count, uint64_t *ret);
/* The greatest common divisor of the signed items; 0 when all are 0. */
uint64_t tsdb_pack_divisor(const uint64_t *items, size_t count);
/* Signed items, all multiples of divisor, divided by it. */
void tsdb_pack_divide(uint64_t *items, size_t count, uint64_t divisor);

/* Doubles that are exactly integer / 10^exponent, by the division that the decoder does, as these
 * integers; how many from the first on are. Of those behind, ret may hold anything. Not all that
 * are so small: integers of 2^51 and more are left to a slower look. */
size_t tsdb_pack_decimals(const uint64_t *values, size_t count, unsigned exponent, uint64_t *ret);

#endif
