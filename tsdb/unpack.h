/* SPDX-License-Identifier: Apache-2.0
 *
 * unpack: the inner loops of the codec: items of some bits each into words, and what makes numbers
 * of them again. Compiled several times, for the processors that there are, and chosen at start;
 * all versions give the same bits.
 *
 * All integer arithmetic is modulo 2^64. Threads: any.
 */
#ifndef TW_TSDB_UNPACK_H
#define TW_TSDB_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#define TSDB_UNPACK_EXPONENT_MAX 14
extern const double tsdb_unpack_powers[TSDB_UNPACK_EXPONENT_MAX + 1]; /* of ten */

/* count items of width bits (0 to 63), least significant first; bytes holds
 * (count * width + 7) / 8. */
void tsdb_unpack(const unsigned char *bytes, unsigned width, uint64_t *ret, size_t count);

/* item = item * divisor + base */
void tsdb_unpack_scale(uint64_t *items, size_t count, uint64_t divisor, uint64_t base);
/* item = (item + place * slope) * divisor + base */
void tsdb_unpack_line(uint64_t *items, size_t count, uint64_t slope, uint64_t divisor,
                      uint64_t base);
/* item = the one before + (item + step) * divisor; base comes before the first. */
void tsdb_unpack_rise(uint64_t *items, size_t count, uint64_t step, uint64_t divisor,
                      uint64_t base);
/* item = the one before + unzigzag(item) * divisor */
void tsdb_unpack_delta(uint64_t *items, size_t count, uint64_t divisor, uint64_t base);
/* step += unzigzag(item), item = the one before + step * divisor */
void tsdb_unpack_delta2(uint64_t *items, size_t count, uint64_t step, uint64_t divisor,
                        uint64_t base);

/* Signed integers to the bits of integer / 10^exponent, as that division rounds. */
void tsdb_unpack_decimals(uint64_t *items, size_t count, unsigned exponent);
void tsdb_unpack_fill(uint64_t *items, size_t count, uint64_t bits);

#endif
