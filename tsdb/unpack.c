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

#if defined __x86_64__ && defined __GNUC__
#define TW_UNPACK_AVX2
#define AVX2 __attribute__((target("avx2")))
#include <immintrin.h>
#endif

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

/* Eight items fill `width` bytes exactly, so each of the eight has the same place in every group.
 * Loads end at most GROUP_SLACK bytes behind the group. */
#define GROUP_SLACK 16

typedef void unpack_groups(const unsigned char *from, uint64_t *ret, size_t groups);

#define EACH_WIDTH(W)                                                                              \
    W(1)                                                                                           \
    W(2)                                                                                           \
    W(3)                                                                                           \
    W(4)                                                                                           \
    W(5) W(6) W(7) W(8) W(9) W(10) W(11) W(12) W(13) W(14) W(15) W(16) W(17) W(18) W(19) W(20)     \
        W(21) W(22) W(23) W(24) W(25) W(26) W(27) W(28) W(29) W(30) W(31) W(32) W(33) W(34) W(35)  \
            W(36) W(37) W(38) W(39) W(40) W(41) W(42) W(43) W(44) W(45) W(46) W(47) W(48) W(49)    \
                W(50) W(51) W(52) W(53) W(54) W(55) W(56)

/* width is a constant where this is used. */
ALWAYS_INLINE void unpack_words(const unsigned char *from, unsigned width, uint64_t *ret,
                                size_t groups)
{
    const uint64_t mask = (UINT64_C(1) << width) - 1;
    for (size_t i = 0; i < groups; i++, from += width, ret += 8)
        for (unsigned j = 0; j < 8; j++)
            ret[j] = load(from + j * width / 8) >> j * width % 8 & mask;
}

#define DEFINE(width)                                                                              \
    static void unpack_words_##width(const unsigned char *from, uint64_t *ret, size_t groups)      \
    {                                                                                              \
        unpack_words(from, width, ret, groups);                                                    \
    }
EACH_WIDTH(DEFINE)
#undef DEFINE

#define NAME(width) [width] = unpack_words_##width,
static unpack_groups *const by_words[WIDTH_MAX_FAST + 1] = {EACH_WIDTH(NAME)};
#undef NAME

#ifdef TW_UNPACK_AVX2

/* The bytes of items 2 j and 2 j + 1 lie within 16: they are loaded into one lane, and shuffled to
 * where each is eight bytes of its own. */
#define LANE(j, width) ((j)*2 * (width) / 8)
#define SECOND(j, width) (((j)*2 + 1) * (width) / 8 - LANE(j, width))
#define SHIFT(i, width) ((i) * (width) % 8)

AVX2 static inline __attribute__((always_inline)) void
unpack_four(const unsigned char *from, unsigned j, unsigned width, uint64_t *ret)
{
    __m256i items = _mm256_set_m128i(_mm_loadu_si128((const __m128i *)(from + LANE(j + 1, width))),
                                     _mm_loadu_si128((const __m128i *)(from + LANE(j, width))));
    const int64_t first = 0x0706050403020100, each = 0x0101010101010101;
    items = _mm256_shuffle_epi8(
        items, _mm256_set_epi64x(first + (int64_t)SECOND(j + 1, width) * each, first,
                                 first + (int64_t)SECOND(j, width) * each, first));
    items =
        _mm256_srlv_epi64(items, _mm256_set_epi64x(SHIFT(2 * j + 3, width), SHIFT(2 * j + 2, width),
                                                   SHIFT(2 * j + 1, width), SHIFT(2 * j, width)));
    items = _mm256_and_si256(items, _mm256_set1_epi64x((INT64_C(1) << width) - 1));
    _mm256_storeu_si256((__m256i *)ret, items);
}

#define DEFINE(width)                                                                              \
    AVX2 static void unpack_lanes_##width(const unsigned char *from, uint64_t *ret, size_t groups) \
    {                                                                                              \
        for (size_t i = 0; i < groups; i++, from += (width), ret += 8) {                           \
            unpack_four(from, 0, width, ret);                                                      \
            unpack_four(from, 2, width, ret + 4);                                                  \
        }                                                                                          \
    }
EACH_WIDTH(DEFINE)
#undef DEFINE

#define NAME(width) [width] = unpack_lanes_##width,
static unpack_groups *const by_lanes[WIDTH_MAX_FAST + 1] = {EACH_WIDTH(NAME)};
#undef NAME

static unpack_groups *choose(unsigned width)
{
    return __builtin_cpu_supports("avx2") ? by_lanes[width] : by_words[width];
}

#else

static unpack_groups *choose(unsigned width)
{
    return by_words[width];
}

#endif

/* Any width, any end: bytes holds size. */
static void unpack_slowly(const unsigned char *bytes, size_t size, unsigned width, uint64_t *ret,
                          size_t count)
{
    const uint64_t mask = UINT64_MAX >> (64 - width);
    for (size_t i = 0; i < count; i++) {
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

void tsdb_unpack(const unsigned char *bytes, unsigned width, uint64_t *ret, size_t count)
{
    size_t size = (count * width + 7) / 8;
    if (width == 0) {
        memset(ret, 0, count * sizeof *ret);
        return;
    }
    if (width > WIDTH_MAX_FAST) {
        unpack_slowly(bytes, size, width, ret, count);
        return;
    }
    unpack_groups *unpack = choose(width);
    /* Groups with so much behind them are read where they are, the last ones from a copy. */
    size_t groups = size > GROUP_SLACK ? (size - GROUP_SLACK) / width : 0;
    unpack(bytes, ret, groups);
    unsigned char end[WIDTH_MAX_FAST + 2 * GROUP_SLACK + WIDTH_MAX_FAST];
    size_t rest = size - groups * width;
    memcpy(end, bytes + groups * width, rest);
    memset(end + rest, 0, GROUP_SLACK + width);
    count -= groups * 8;
    ret += groups * 8;
    unpack(end, ret, count / 8);
    if (count % 8) {
        uint64_t last[8];
        unpack(end + count / 8 * width, last, 1);
        memcpy(ret + count / 8 * 8, last, count % 8 * sizeof *last);
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

/* Of eight numbers, those of a and then those of b, four; each compiler has a word of its own. */
#ifdef __clang__
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (quad){i, j, k, l})
#endif

ALWAYS_INLINE quad load_quad(const uint64_t *items)
{
    quad numbers;
    memcpy(&numbers, items, sizeof numbers);
    return numbers;
}

/* Each number becomes the sum of those up to it, and of *carry, which goes on by their sum: so that
 * one addition is all that each four wait for. */
ALWAYS_INLINE quad add_up(quad numbers, quad *carry)
{
    const quad none = {0};
    numbers += SHUFFLE(none, numbers, 0, 4, 5, 6);
    numbers += SHUFFLE(none, numbers, 0, 1, 4, 5);
    quad sums = numbers + *carry;
    *carry += SHUFFLE(numbers, numbers, 3, 3, 3, 3);
    return sums;
}

ALWAYS_INLINE quad four_times(uint64_t number)
{
    return (quad){number, number, number, number};
}

ALWAYS_INLINE quad unzigzag_quad(quad numbers)
{
    return numbers >> 1 ^ (0 - (numbers & 1));
}

ALWAYS_INLINE void sum_rise(uint64_t *items, size_t count, uint64_t step, uint64_t divisor,
                            uint64_t base)
{
    size_t i = 0;
    quad sum = four_times(base);
    for (; i + 4 <= count; i += 4) {
        quad numbers = add_up((load_quad(items + i) + step) * divisor, &sum);
        memcpy(items + i, &numbers, sizeof numbers);
    }
    for (base = sum[0]; i < count; i++)
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
    quad sum = four_times(base);
    for (; i + 4 <= count; i += 4) {
        quad numbers = add_up(unzigzag_quad(load_quad(items + i)) * divisor, &sum);
        memcpy(items + i, &numbers, sizeof numbers);
    }
    for (base = sum[0]; i < count; i++)
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
    quad step_sum = four_times(step * divisor), sum = four_times(base);
    for (; i + 4 <= count; i += 4) {
        quad steps = add_up(unzigzag_quad(load_quad(items + i)) * divisor, &step_sum);
        quad numbers = add_up(steps, &sum);
        memcpy(items + i, &numbers, sizeof numbers);
    }
    step = step_sum[0];
    base = sum[0];
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
