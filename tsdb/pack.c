/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/pack.h"

#include <string.h>

#include "tsdb/codec.h"
#include "tsdb/unpack.h"

/* Multiplications and additions are not to be contracted: what is encoded would then depend on the
 * processor. */
#if !TW_SANITIZED && defined __x86_64__ && defined __GNUC__ && !defined __clang__
#define CLONES                                                                                     \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"),                   \
                   optimize("O3", "fp-contract=off")))
#else
#define CLONES
#endif

CLONES struct tsdb_pack_range tsdb_pack_range(const uint64_t *items, size_t count)
{
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (size_t i = 0; i < count; i++) {
        int64_t item = (int64_t)items[i];
        least = item < least ? item : least;
        most = item > most ? item : most;
    }
    return (struct tsdb_pack_range){least, most};
}

CLONES uint64_t tsdb_pack_union(const uint64_t *items, size_t count)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++)
        all |= items[i];
    return all;
}

CLONES uint64_t tsdb_pack_zigzag_union(const uint64_t *items, size_t count)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++)
        all |= tsdb_zigzag(items[i]);
    return all;
}

CLONES size_t tsdb_pack_count_below(const uint64_t *items, size_t count, int64_t most,
                                    uint64_t distance)
{
    size_t below = 0;
    for (size_t i = 0; i < count; i++)
        below += (uint64_t)most - items[i] > distance;
    return below;
}

static inline unsigned width_of(uint64_t item)
{
    return 64u - (unsigned)__builtin_clzll(item | 1) - (item == 0);
}

/* Neighbours often have the same width: each counts in a table of its own, else it waits for the
 * one before. */
CLONES void tsdb_pack_widths(const uint64_t *items, size_t count, uint16_t ret_histogram[65])
{
    uint16_t tables[4][65] = {0};
    size_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (size_t j = 0; j < 4; j++)
            tables[j][width_of(items[i + j])]++;
    for (; i < count; i++)
        tables[0][width_of(items[i])]++;
    for (size_t width = 0; width < 65; width++)
        ret_histogram[width] =
            (uint16_t)(tables[0][width] + tables[1][width] + tables[2][width] + tables[3][width]);
}

CLONES void tsdb_pack_level(const uint64_t *items, size_t count, uint64_t slope, uint64_t base,
                            uint64_t *ret)
{
    if (slope == 0)
        for (size_t i = 0; i < count; i++)
            ret[i] = items[i] - base;
    else
        for (size_t i = 0; i < count; i++)
            ret[i] = items[i] - i * slope - base;
}

CLONES void tsdb_pack_zigzags(const uint64_t *items, size_t count, uint64_t *ret)
{
    for (size_t i = 0; i < count; i++)
        ret[i] = tsdb_zigzag(items[i]);
}

CLONES void tsdb_pack_deltas(const uint64_t *items, size_t count, uint64_t *ret)
{
    for (size_t i = 1; i < count; i++)
        ret[i - 1] = items[i] - items[i - 1];
}

/* ---- divisors ---- */

/* Of an odd number, modulo 2^64: each step doubles the bits that are right, five at first. */
static uint64_t inverse_of(uint64_t odd)
{
    uint64_t inverse = odd * 3 ^ 2;
    for (int i = 0; i < 4; i++)
        inverse *= 2 - odd * inverse;
    return inverse;
}

static uint64_t common(uint64_t one, uint64_t other)
{
    while (other != 0) {
        uint64_t rest = one % other;
        one = other;
        other = rest;
    }
    return one;
}

/* A multiple of divisor, times the inverse of its odd part, rotated by its zero bits, is small
 * (Granlund and Montgomery, 1994). */
uint64_t tsdb_pack_divisor(const uint64_t *items, size_t count)
{
    uint64_t divisor = 0, inverse = 0, limit = 0;
    unsigned shift = 0;
    for (size_t i = 0; i < count && divisor != 1; i++) {
        uint64_t item = (int64_t)items[i] < 0 ? 0 - items[i] : items[i];
        uint64_t product = item * inverse;
        if (item == 0 ||
            (divisor != 0 && (product >> shift | product << ((64 - shift) & 63)) <= limit))
            continue;
        divisor = common(item, divisor);
        shift = (unsigned)__builtin_ctzll(divisor);
        inverse = inverse_of(divisor >> shift);
        limit = UINT64_MAX / divisor;
    }
    return divisor;
}

CLONES void tsdb_pack_divide(uint64_t *items, size_t count, uint64_t divisor)
{
    unsigned shift = (unsigned)__builtin_ctzll(divisor);
    uint64_t inverse = inverse_of(divisor >> shift);
    for (size_t i = 0; i < count; i++)
        items[i] = (uint64_t)((int64_t)items[i] >> shift) * inverse;
}

/* ---- decimals ---- */

#define AT_ONCE 16
/* As in the decoder: with this exponent set, the unit in the last place is one. */
#define ROUND_BITS UINT64_C(0x4338000000000000)
#define ROUND_DOUBLE 0x1.8p52
#define ROUND_LIMIT 0x1p51

union number {
    uint64_t bits;
    double value;
};

static inline __attribute__((always_inline)) uint64_t scale(const uint64_t *values, size_t count,
                                                            double power, uint64_t *ret)
{
    uint64_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        union number value = {.bits = values[i]}, rounded, back;
        double scaled = value.value * power;
        rounded.value = scaled + ROUND_DOUBLE;
        back.value = (rounded.value - ROUND_DOUBLE) / power;
        ret[i] = rounded.bits - ROUND_BITS;
        wrong |= back.bits ^ value.bits;
        wrong |= scaled < ROUND_LIMIT && scaled > -ROUND_LIMIT ? 0 : 1;
    }
    return wrong;
}

CLONES size_t tsdb_pack_decimals(const uint64_t *values, size_t count, unsigned exponent,
                                 uint64_t *ret)
{
    double power = tsdb_unpack_powers[exponent];
    size_t done = 0;
    if (exponent == 0)
        for (; done + AT_ONCE <= count; done += AT_ONCE) {
            if (scale(values + done, AT_ONCE, 1, ret + done))
                break;
        }
    else
        for (; done + AT_ONCE <= count; done += AT_ONCE)
            if (scale(values + done, AT_ONCE, power, ret + done))
                break;
    while (done < count && scale(values + done, 1, power, ret + done) == 0)
        done++;
    return done;
}
