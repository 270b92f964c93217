/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "tests/lib/unit.h"
#include "tsdb/codec.h"
#include "tsdb/pack.h"
#include "tsdb/unpack.h"

static uint64_t seed = 88172645463325252u;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static size_t check_values(const uint64_t *values, size_t count)
{
    struct tw_buf buf;
    tw_buf_init(&buf, (size_t)1 << 24);
    tsdb_codec_encode_values(values, count, &buf);
    uint64_t *back = calloc(count + 1, sizeof *back);
    ck_assert(tsdb_codec_decode_values(tw_buf_str(&buf), back, count));
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(back[i] == values[i], "value %zu of %zu: %llx, not %llx", i, count,
                      (unsigned long long)back[i], (unsigned long long)values[i]);
    size_t size = buf.size;
    /* One item more or less than was written is seen. */
    ck_assert(!tsdb_codec_decode_values(tw_buf_str(&buf), back, count ? count - 1 : 1) ||
              count % TSDB_CODEC_CHUNK_MAX != 1 || count > 1 || buf.size == 0);
    free(back);
    tw_buf_fini(&buf);
    return size;
}

static size_t check_times(const int64_t *times, size_t count)
{
    struct tw_buf buf;
    tw_buf_init(&buf, (size_t)1 << 24);
    tsdb_codec_encode_times(times, count, &buf);
    int64_t *back = calloc(count + 1, sizeof *back);
    ck_assert(tsdb_codec_decode_times(tw_buf_str(&buf), back, count));
    ck_assert(memcmp(back, times, count * sizeof *back) == 0);
    size_t size = buf.size;
    free(back);
    tw_buf_fini(&buf);
    return size;
}

#define COUNT 1300

START_TEST(values_come_back)
{
    uint64_t values[COUNT];
    static const uint64_t special[] = {0,
                                       UINT64_C(1) << 63,
                                       TW_STALE_BITS,
                                       TW_NAN_BITS,
                                       UINT64_C(0x7ff0000000000000),
                                       UINT64_C(0xfff0000000000000),
                                       1,
                                       UINT64_C(0x000fffffffffffff),
                                       UINT64_C(0x7fefffffffffffff),
                                       UINT64_C(0xffffffffffffffff),
                                       UINT64_C(0x4340000000000000),
                                       UINT64_C(0x4330000000000001)};
    for (int round = 0; round < 300; round++) {
        size_t count = next_random() % COUNT;
        int shape = round % 10;
        double walk = (double)(next_random() % 100000);
        for (size_t i = 0; i < count; i++) {
            double step = (double)(next_random() % 1000);
            switch (shape) {
            case 0:
                values[i] = next_random();
                continue;
            case 1:
                values[i] = special[next_random() % 12];
                continue;
            case 2:
                walk += step;
                break;
            case 3:
                walk = step / 100;
                break;
            case 4:
                walk += 4096 * step;
                break;
            case 5:
                walk = next_random() % 50 ? walk : walk + step;
                break;
            case 6:
                walk = (double)(next_random() >> 11) * 0x1p-53;
                break;
            case 7:
                walk = next_random() % 100 ? 1e9 + step : -step * 1e12;
                break;
            case 8:
                walk = (double)(int64_t)next_random();
                break;
            default:
                walk += step * 0.001;
                walk = round * 0.1 + walk;
                break;
            }
            values[i] = tw_double_bits(walk);
        }
        check_values(values, count);
    }
}
END_TEST

START_TEST(times_come_back)
{
    int64_t times[COUNT];
    for (int round = 0; round < 200; round++) {
        size_t count = next_random() % COUNT;
        int64_t at = (int64_t)next_random() / (1 << 20);
        for (size_t i = 0; i < count; i++) {
            times[i] = at;
            at += round % 4 == 0   ? 15000
                  : round % 4 == 1 ? 15000 + (int64_t)(next_random() % 40)
                  : round % 4 == 2 ? 1 + (int64_t)(next_random() % 100000000)
                                   : 1000 * (int64_t)(1 + next_random() % 3);
        }
        check_times(times, count);
    }
    int64_t extremes[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    check_times(extremes, sizeof extremes / sizeof *extremes);
}
END_TEST

START_TEST(regular_data_is_small)
{
    int64_t times[480];
    uint64_t values[480];
    for (int i = 0; i < 480; i++)
        times[i] = 1700000000000 + 15000 * i;
    ck_assert_uint_le(check_times(times, 480), 12);
    for (int i = 0; i < 480; i++)
        values[i] = tw_double_bits(42.5);
    ck_assert_uint_le(check_values(values, 480), 9);
    for (int i = 0; i < 480; i++)
        values[i] = tw_double_bits(1e6 + 4096.0 * (i / 7));
    ck_assert_uint_le(check_values(values, 480), 80);
    for (int i = 0; i < 480; i++)
        values[i] = tw_double_bits((double)(int64_t)(next_random() % 10000) / 100);
    ck_assert_uint_le(check_values(values, 480), 480 * 14 / 8 + 24);
}
END_TEST

/* The bytes that are on disk today are read for ever. */
START_TEST(golden_bytes)
{
    static const uint64_t constant[5] = {0x3ff0000000000000, 0x3ff0000000000000, 0x3ff0000000000000,
                                         0x3ff0000000000000, 0x3ff0000000000000};
    /* 1.5 2.5 3.5 4.5 9.5: tenths less 15, divided by 10 */
    static const uint64_t decimals[5] = {0x3ff8000000000000, 0x4004000000000000, 0x400c000000000000,
                                         0x4012000000000000, 0x4023000000000000};
    struct tw_buf buf;
    tw_buf_init(&buf, 4096);
    tsdb_codec_encode_values(constant, 5, &buf);
    char hex[200] = "";
    for (size_t i = 0; i < buf.size; i++)
        sprintf(hex + 2 * i, "%02x", (unsigned char)buf.data[i]);
    ck_assert_str_eq(hex, "0002f03f");
    tw_buf_clear(&buf);
    tsdb_codec_encode_values(decimals, 5, &buf);
    for (size_t i = 0; i < buf.size; i++)
        sprintf(hex + 2 * i, "%02x", (unsigned char)buf.data[i]);
    ck_assert_str_eq(hex, "12840a1e22a2");
    tw_buf_clear(&buf);
    static const uint64_t mixed[5] = {0x3fd5555555555555, 0x3fd5555555555555, TW_STALE_BITS, 0,
                                      UINT64_C(1) << 63};
    tsdb_codec_encode_values(mixed, 5, &buf);
    for (size_t i = 0; i < buf.size; i++)
        sprintf(hex + 2 * i, "%02x", (unsigned char)buf.data[i]);
    ck_assert_str_eq(hex, "0408555555555555d53f0008575555555555254008020000000000f07f0180");
    tw_buf_fini(&buf);
}
END_TEST

/* Shapes that monitoring data has, and how small they must stay. */
START_TEST(shapes_are_small)
{
    uint64_t values[480];
    double at = 1e6, walk = 50;
    /* A counter of busy time: 15 s a step, but for some hundredths. */
    for (int i = 0; i < 480; i++) {
        at += 1490 + (double)(next_random() % 11);
        values[i] = tw_double_bits(at / 100);
    }
    ck_assert_uint_le(check_values(values, 480), 480 * 4 / 8 + 16);
    /* The same, begun anew twice, and with a stale marker at the end. */
    for (int i = 0; i < 480; i++) {
        at = i == 100 || i == 200 ? 0 : at + 1490 + (double)(next_random() % 11);
        values[i] = tw_double_bits(at / 100);
    }
    values[479] = TW_STALE_BITS;
    ck_assert_uint_le(check_values(values, 480), 480 * 4 / 8 + 60);
    /* A constant and a stale marker. */
    for (int i = 0; i < 480; i++)
        values[i] = i < 479 ? tw_double_bits(0.25) : TW_STALE_BITS;
    ck_assert_uint_le(check_values(values, 480), 24);
    /* A few patterns far from each other. */
    for (int i = 0; i < 480; i++)
        values[i] = tw_double_bits(sqrt((double)(1 + next_random() % 4)));
    ck_assert_uint_le(check_values(values, 480), 480 * 2 / 8 + 40);
    /* Seldom another value. */
    for (int i = 0; i < 480; i++)
        values[i] = tw_double_bits((double)(i / 120 * 7));
    ck_assert_uint_le(check_values(values, 480), 20);
    /* A walk of full-precision doubles. */
    for (int i = 0; i < 480; i++) {
        walk += ((double)(next_random() >> 11) * 0x1p-53 - 0.5) * 2;
        values[i] = tw_double_bits(walk);
    }
    ck_assert_uint_le(check_values(values, 480), 480 * 51 / 8);
    /* A scrape every 15 s, 20 ms early or late. */
    int64_t times[480];
    for (int i = 0; i < 480; i++)
        times[i] = 1700000000000 + 15000 * i + (int64_t)(next_random() % 41) - 20;
    ck_assert_uint_le(check_times(times, 480), 480 * 6 / 8 + 24);
}
END_TEST

START_TEST(parts_come_back)
{
    uint64_t values[COUNT], back[COUNT];
    for (int i = 0; i < COUNT; i++)
        values[i] = tw_double_bits(i < 512    ? (double)(next_random() % 100000) / 8
                                   : i < 1024 ? sqrt(i)
                                              : (double)(i % 3));
    values[40] = TW_STALE_BITS;
    struct tw_buf buf;
    tw_buf_init(&buf, (size_t)1 << 20);
    tsdb_codec_encode_values(values, COUNT, &buf);
    for (int round = 0; round < 300; round++) {
        size_t limit = 1 + next_random() % COUNT, first = next_random() % limit;
        memset(back, 0xaa, sizeof back);
        ck_assert(tsdb_codec_decode_part(tw_buf_str(&buf), back, COUNT, first, limit));
        ck_assert(memcmp(back + first, values + first, (limit - first) * sizeof *back) == 0);
    }
    tw_buf_fini(&buf);
}
END_TEST

START_TEST(hostile_bytes_are_refused)
{
    char bytes[64];
    uint64_t values[600];
    int64_t times[600];
    for (int round = 0; round < 200000; round++) {
        size_t size = next_random() % sizeof bytes;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)next_random();
        if (size)
            bytes[0] = (char)(next_random() % 3 ? next_random() % 8 : next_random());
        size_t count = next_random() % 600;
        struct tw_str text = {bytes, size};
        /* Whatever the answer: no read or write outside, which the sanitizers watch. */
        (void)tsdb_codec_decode_values(text, values, count);
        (void)tsdb_codec_decode_times(text, times, count);
        (void)tsdb_codec_decode_part(text, values, count, count / 2, count);
    }
    ck_assert(!tsdb_codec_decode_values(TW_STR(""), values, 1));
    ck_assert(!tsdb_codec_decode_values(TW_STR("\x08"), values, 1));
    ck_assert(!tsdb_codec_decode_values(TW_STR("\x00\x02"), values, 1));
    ck_assert(!tsdb_codec_decode_values(TW_STR("x"), values, 0));
}
END_TEST

START_TEST(truncation_is_seen)
{
    uint64_t values[700];
    for (int i = 0; i < 700; i++)
        values[i] = tw_double_bits(i < 600 ? (double)(next_random() % 1000) : sqrt(i));
    struct tw_buf buf;
    tw_buf_init(&buf, 65536);
    tsdb_codec_encode_values(values, 700, &buf);
    uint64_t back[700];
    for (size_t size = 0; size < buf.size; size++)
        ck_assert(!tsdb_codec_decode_values((struct tw_str){buf.data, size}, back, 700));
    tw_buf_fini(&buf);
}
END_TEST

static uint64_t take_bits(const unsigned char *bytes, size_t bit, unsigned width)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < width; i++)
        number |= (uint64_t)(bytes[(bit + i) / 8] >> (bit + i) % 8 & 1) << i;
    return number;
}

/* Every width and count, from bytes that end where they end. */
START_TEST(items_of_all_widths_are_unpacked)
{
    for (unsigned width = 0; width < 64; width++)
        for (size_t count = 0; count < 100; count += 1 + count / 40) {
            size_t size = (count * width + 7) / 8;
            unsigned char *bytes = malloc(size ? size : 1);
            uint64_t *items = malloc((count ? count : 1) * sizeof *items);
            for (size_t i = 0; i < size; i++)
                bytes[i] = (unsigned char)next_random();
            tsdb_unpack(bytes, width, items, count);
            for (size_t i = 0; i < count; i++)
                ck_assert_uint_eq(items[i], take_bits(bytes, i * width, width));
            free(bytes);
            free(items);
        }
}
END_TEST

/* Sums of any items, by the definitions (unpack.h). */
START_TEST(sums_are_what_they_are_said_to_be)
{
    enum { MAX = 23 };
    for (size_t count = 0; count <= MAX; count++)
        for (uint64_t divisor = 1; divisor < 8; divisor += 3) {
            uint64_t items[MAX], rise[MAX], delta[MAX], delta2[MAX];
            uint64_t step = next_random(), base = next_random();
            for (size_t i = 0; i < count; i++)
                items[i] = rise[i] = delta[i] = delta2[i] = next_random();
            tsdb_unpack_rise(rise, count, step, divisor, base);
            tsdb_unpack_delta(delta, count, divisor, base);
            tsdb_unpack_delta2(delta2, count, step, divisor, base);
            uint64_t risen = base, sum = base, sum2 = base, step2 = step * divisor;
            for (size_t i = 0; i < count; i++) {
                risen += (items[i] + step) * divisor;
                sum += tsdb_unzigzag(items[i]) * divisor;
                step2 += tsdb_unzigzag(items[i]) * divisor;
                sum2 += step2;
                ck_assert_uint_eq(rise[i], risen);
                ck_assert_uint_eq(delta[i], sum);
                ck_assert_uint_eq(delta2[i], sum2);
            }
        }
}
END_TEST

static uint64_t draw_divisor(void)
{
    uint64_t divisor = next_random() >> next_random() % 64;
    return divisor ? divisor : 1;
}

START_TEST(divisors_are_found_and_divided_by)
{
    enum { MAX = 40 };
    for (int turn = 0; turn < 20000; turn++) {
        uint64_t items[MAX], wanted = 0, divisor = draw_divisor();
        size_t count = 1 + next_random() % MAX;
        uint16_t widths[65], wanted_widths[65] = {0};
        for (size_t i = 0; i < count; i++) {
            uint64_t times = (UINT64_C(1) << 63) / divisor;
            int64_t item = (int64_t)(divisor * (next_random() % (times + 1) >> next_random() % 64));
            items[i] = next_random() % 2 ? 0 - (uint64_t)item : (uint64_t)item;
            uint64_t one = (int64_t)items[i] < 0 ? 0 - items[i] : items[i];
            while (one != 0) {
                uint64_t rest = wanted % one;
                wanted = one;
                one = rest;
            }
            unsigned width = 0;
            while (width < 64 && items[i] >> width)
                width++;
            wanted_widths[width]++;
        }
        tsdb_pack_widths(items, count, widths);
        ck_assert_mem_eq(widths, wanted_widths, sizeof widths);
        ck_assert_uint_eq(tsdb_pack_divisor(items, count), wanted);
        if (wanted == 0 || wanted > INT64_MAX)
            continue;
        uint64_t divided[MAX];
        memcpy(divided, items, sizeof items);
        tsdb_pack_divide(divided, count, wanted);
        for (size_t i = 0; i < count; i++)
            ck_assert_int_eq((int64_t)divided[i], (int64_t)items[i] / (int64_t)wanted);
    }
}
END_TEST

START_TEST(decimals_are_exact)
{
    enum { MAX = 50 };
    static const double odd[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e-310, 1e300, 0x1p51, 1e15};
    for (int turn = 0; turn < 20000; turn++) {
        uint64_t values[MAX], items[MAX];
        size_t count = next_random() % (MAX + 1);
        unsigned exponent = (unsigned)(next_random() % (TSDB_UNPACK_EXPONENT_MAX + 1));
        double power = tsdb_unpack_powers[exponent];
        for (size_t i = 0; i < count; i++) {
            double value = (double)((int64_t)next_random() >> next_random() % 64) / power;
            if (next_random() % 100 == 0)
                value = odd[next_random() % (sizeof odd / sizeof *odd)];
            values[i] = next_random() % 200 ? tw_double_bits(value) : next_random();
        }
        size_t done = tsdb_pack_decimals(values, count, exponent, items);
        ck_assert_uint_le(done, count);
        for (size_t i = 0; i < done; i++)
            ck_assert_uint_eq(tw_double_bits((double)(int64_t)items[i] / power), values[i]);
        if (done == count)
            continue;
        double next = tw_double_from_bits(values[done]), scaled = round(next * power);
        ck_assert(!(fabs(scaled) < 0x1p51) || tw_double_bits(scaled / power) != values[done] ||
                  fabs(scaled - next * power) == 0.5 ||
                  tw_double_bits(next) == tw_double_bits(-0.0));
    }
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(values_come_back),
                                      UNIT_CASE(times_come_back),
                                      UNIT_CASE(regular_data_is_small),
                                      UNIT_CASE(golden_bytes),
                                      UNIT_CASE(shapes_are_small),
                                      UNIT_CASE(parts_come_back),
                                      UNIT_CASE(hostile_bytes_are_refused),
                                      UNIT_CASE(truncation_is_seen),
                                      UNIT_CASE(items_of_all_widths_are_unpacked),
                                      UNIT_CASE(sums_are_what_they_are_said_to_be),
                                      UNIT_CASE(divisors_are_found_and_divided_by),
                                      UNIT_CASE(decimals_are_exact),
                                      {0}};
    return unit_run("tsdb/codec", cases);
}
