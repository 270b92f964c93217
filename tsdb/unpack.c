/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/unpack.h"

#include <string.h>

#include "tsdb/codec.h"

#if !TW_SANITIZED && defined __x86_64__ && defined __GNUC__ && !defined __clang__
#define CLONES                                                                                     \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#else
#define CLONES
#endif
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Eight bytes from the byte in which an item begins hold all of it up to this width. */
#define WIDTH_MAX_FAST 56

const double tsdb_unpack_powers[TSDB_UNPACK_EXPONENT_MAX + 1] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14};

/* ---- bits ---- */

ALWAYS_INLINE uint64_t load(const unsigned char *bytes)
{
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    number = __builtin_bswap64(number);
#endif
    return number;
}

/* Eight items fill `width` bytes exactly, so each of the eight has the same place in every group;
 * width is a constant here. */
ALWAYS_INLINE void unpack_groups(const unsigned char *from, unsigned width, uint64_t *ret,
                                 size_t groups)
{
    const uint64_t mask = (UINT64_C(1) << width) - 1;
    for (size_t i = 0; i < groups; i++, from += width, ret += 8)
        for (unsigned j = 0; j < 8; j++)
            ret[j] = load(from + j * width / 8) >> j * width % 8 & mask;
}

#define EACH_WIDTH(W)                                                                              \
    W(1)                                                                                           \
    W(2)                                                                                           \
    W(3) W(4) W(5) W(6) W(7) W(8) W(9) W(10) W(11) W(12) W(13) W(14) W(15) W(16) W(17) W(18) W(19) \
        W(20) W(21) W(22) W(23) W(24) W(25) W(26) W(27) W(28) W(29) W(30) W(31) W(32) W(33) W(34)  \
            W(35) W(36) W(37) W(38) W(39) W(40) W(41) W(42) W(43) W(44) W(45) W(46) W(47) W(48)    \
                W(49) W(50) W(51) W(52) W(53) W(54) W(55) W(56)

CLONES void tsdb_unpack(const unsigned char *bytes, unsigned width, uint64_t *ret, size_t count)
{
    size_t size = (count * width + 7) / 8, groups = 0;
    /* A group's loads end at most eight bytes behind it. */
    if (width > 0 && width <= WIDTH_MAX_FAST && size > 8)
        groups = (size - 8) / width;
    switch (width) {
#define CASE(number)                                                                               \
    case number:                                                                                   \
        unpack_groups(bytes, number, ret, groups);                                                 \
        break;
        EACH_WIDTH(CASE)
#undef CASE
    case 0:
        memset(ret, 0, count * sizeof *ret);
        return;
    default:
        break;
    }
    const uint64_t mask = UINT64_MAX >> (64 - width);
    for (size_t i = groups * 8; i < count; i++) {
        size_t bit = i * width, byte = bit / 8, shift = bit % 8;
        uint64_t number = 0;
        if (size - byte >= 8)
            number = load(bytes + byte);
        else
            for (size_t j = byte; j < size; j++)
                number |= (uint64_t)bytes[j] << (8 * (j - byte));
        number >>= shift;
        if (shift + width > 64)
            number |= (uint64_t)bytes[byte + 8] << (64 - shift);
        ret[i] = number & mask;
    }
}

/* ---- integers ---- */

CLONES void tsdb_unpack_scale(uint64_t *items, size_t count, uint64_t divisor, uint64_t base)
{
    if (divisor == 1)
        for (size_t i = 0; i < count; i++)
            items[i] += base;
    else
        for (size_t i = 0; i < count; i++)
            items[i] = items[i] * divisor + base;
}

CLONES void tsdb_unpack_line(uint64_t *items, size_t count, uint64_t slope, uint64_t divisor,
                             uint64_t base)
{
    slope *= divisor;
    for (size_t i = 0; i < count; i++)
        items[i] = items[i] * divisor + i * slope + base;
}

/* What follows is inlined always, so no vector is passed between functions. */
#if defined __GNUC__ && !defined __clang__
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

/* Four numbers at a time; what that is made of is the compiler's business. */
typedef uint64_t quad __attribute__((vector_size(32)));

ALWAYS_INLINE quad load_quad(const uint64_t *items)
{
    quad numbers;
    memcpy(&numbers, items, sizeof numbers);
    return numbers;
}

/* Each number becomes the sum of those up to it, and of carry. */
ALWAYS_INLINE quad add_up(quad numbers, uint64_t carry)
{
    const quad none = {0};
    numbers += __builtin_shuffle(none, numbers, (quad){0, 4, 5, 6});
    numbers += __builtin_shuffle(none, numbers, (quad){0, 1, 4, 5});
    return numbers + carry;
}

ALWAYS_INLINE quad unzigzag_quad(quad numbers)
{
    return numbers >> 1 ^ (0 - (numbers & 1));
}

ALWAYS_INLINE void sum_rise(uint64_t *items, size_t count, uint64_t step, uint64_t divisor,
                            uint64_t base)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        quad numbers = add_up((load_quad(items + i) + step) * divisor, base);
        memcpy(items + i, &numbers, sizeof numbers);
        base = numbers[3];
    }
    for (; i < count; i++)
        items[i] = base += (items[i] + step) * divisor;
}

/* Most chunks have no divisor; without it the loop has no multiplication, which is slow here. */
CLONES void tsdb_unpack_rise(uint64_t *items, size_t count, uint64_t step, uint64_t divisor,
                             uint64_t base)
{
    if (divisor == 1)
        sum_rise(items, count, step, 1, base);
    else
        sum_rise(items, count, step, divisor, base);
}

ALWAYS_INLINE void sum_delta(uint64_t *items, size_t count, uint64_t divisor, uint64_t base)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        quad numbers = add_up(unzigzag_quad(load_quad(items + i)) * divisor, base);
        memcpy(items + i, &numbers, sizeof numbers);
        base = numbers[3];
    }
    for (; i < count; i++)
        items[i] = base += tsdb_unzigzag(items[i]) * divisor;
}

CLONES void tsdb_unpack_delta(uint64_t *items, size_t count, uint64_t divisor, uint64_t base)
{
    if (divisor == 1)
        sum_delta(items, count, 1, base);
    else
        sum_delta(items, count, divisor, base);
}

ALWAYS_INLINE void sum_delta2(uint64_t *items, size_t count, uint64_t step, uint64_t divisor,
                              uint64_t base)
{
    size_t i = 0;
    step *= divisor;
    for (; i + 4 <= count; i += 4) {
        quad steps = add_up(unzigzag_quad(load_quad(items + i)) * divisor, step);
        quad numbers = add_up(steps, base);
        memcpy(items + i, &numbers, sizeof numbers);
        step = steps[3];
        base = numbers[3];
    }
    for (; i < count; i++) {
        step += tsdb_unzigzag(items[i]) * divisor;
        items[i] = base += step;
    }
}

CLONES void tsdb_unpack_delta2(uint64_t *items, size_t count, uint64_t step, uint64_t divisor,
                               uint64_t base)
{
    if (divisor == 1)
        sum_delta2(items, count, step, 1, base);
    else
        sum_delta2(items, count, step, divisor, base);
}

CLONES void tsdb_unpack_fill(uint64_t *items, size_t count, uint64_t bits)
{
    for (size_t i = 0; i < count; i++)
        items[i] = bits;
}

/* ---- decimals ---- */

/* Integers below 2^51 become doubles without an instruction that AVX2 lacks: with this exponent
 * set, the unit in the last place is one. */
#define ROUND_BITS UINT64_C(0x4338000000000000)
#define ROUND_DOUBLE 0x1.8p52
#define ROUND_LIMIT (UINT64_C(1) << 51)

union number {
    uint64_t bits;
    double value;
};

ALWAYS_INLINE void divide(uint64_t *items, size_t count, double power)
{
    for (size_t i = 0; i < count; i++) {
        union number number = {.bits = items[i] + ROUND_BITS};
        number.value = (number.value - ROUND_DOUBLE) / power;
        items[i] = number.bits;
    }
}

ALWAYS_INLINE void convert(uint64_t *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        union number number = {.bits = items[i] + ROUND_BITS};
        number.value -= ROUND_DOUBLE;
        items[i] = number.bits;
    }
}

CLONES void tsdb_unpack_decimals(uint64_t *items, size_t count, unsigned exponent)
{
    uint64_t wide = 0;
    for (size_t i = 0; i < count; i++)
        wide |= items[i] + ROUND_LIMIT;
    if (wide < 2 * ROUND_LIMIT) {
        if (exponent == 0)
            convert(items, count);
        else
            divide(items, count, tsdb_unpack_powers[exponent]);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        union number number = {.value = (double)(int64_t)items[i] / tsdb_unpack_powers[exponent]};
        items[i] = number.bits;
    }
}
