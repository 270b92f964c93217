/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/snappy.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/unit.h"

static struct tw_buf packed, plain;

static void start(void)
{
    tw_buf_init(&packed, 1 << 20);
    tw_buf_init(&plain, 1 << 20);
}

static void stop(void)
{
    tw_buf_fini(&packed);
    tw_buf_fini(&plain);
}

START_TEST(goes_there_and_back)
{
    struct tw_err err;
    start();
    for (size_t size = 0; size < 70000; size = size * 3 + 1) {
        static char text[70000];
        for (size_t i = 0; i < size; i++)
            text[i] = (char)(i % 7 * i % 251);
        tw_buf_clear(&packed);
        tw_buf_clear(&plain);
        wire_snappy_encode((struct tw_str){text, size}, &packed);
        ck_assert(!packed.overflow);
        size_t bytes = 1;
        unit_assert_ok(wire_snappy_plain_bytes(tw_buf_str(&packed), &bytes, &err), &err);
        ck_assert_uint_eq(bytes, size);
        unit_assert_ok(wire_snappy_decode(tw_buf_str(&packed), size, &plain, &err), &err);
        ck_assert(tw_str_equal(tw_buf_str(&plain), (struct tw_str){text, size}));
    }
    stop();
}
END_TEST

START_TEST(golden_bytes)
{
    /* 10 x 'a' by the format's description: size 10, a literal of one, a copy of nine at offset 1.
     */
    struct tw_err err;
    start();
    struct tw_str golden = TW_STR("\x0a\x00"
                                  "a\x15\x01");
    unit_assert_ok(wire_snappy_decode(golden, 10, &plain, &err), &err);
    unit_assert_str(tw_buf_str(&plain), "aaaaaaaaaa");
    stop();
}
END_TEST

/* Every offset and length around the sizes in which bytes are moved, at the end of the room and
 * before it. */
START_TEST(copies_overlap_as_described)
{
    enum { FIRST = 100, REST_MAX = 80 };
    struct tw_err err;
    start();
    for (size_t offset = 1; offset <= FIRST; offset++)
        for (size_t size = 1; size <= 64; size++)
            for (size_t rest = 0; rest <= REST_MAX; rest += REST_MAX) {
                char expected[FIRST + 64 + REST_MAX];
                size_t total = FIRST + size + rest;
                for (size_t i = 0; i < total; i++)
                    expected[i] =
                        i < FIRST || i >= FIRST + size ? (char)(i * 7 + 3) : expected[i - offset];
                tw_buf_clear(&packed);
                tw_buf_clear(&plain);
                tw_buf_append_char(&packed, (char)(total | 0x80));
                tw_buf_append_char(&packed, (char)(total >> 7));
                if (total < 0x80)
                    packed.data[0] = (char)total, packed.size = 1;
                tw_buf_append(&packed, (char[]){60 << 2 & 0xff, FIRST - 1}, 2);
                tw_buf_append(&packed, expected, FIRST);
                bool wide = size % 2; /* 4 bytes of offset, else 2 */
                tw_buf_append(
                    &packed,
                    (char[]){(char)((size - 1) << 2 | (wide ? 3 : 2)), (char)offset, 0, 0, 0},
                    wide ? 5 : 3);
                if (rest > 0) {
                    tw_buf_append(&packed, (char[]){(char)(60 << 2 & 0xff), (char)(rest - 1)}, 2);
                    tw_buf_append(&packed, expected + FIRST + size, rest);
                }
                unit_assert_ok(wire_snappy_decode(tw_buf_str(&packed), total, &plain, &err), &err);
                ck_assert(tw_str_equal(tw_buf_str(&plain), (struct tw_str){expected, total}));
            }
    stop();
}
END_TEST

/* Cut off anywhere, or with a byte changed: refused, or other bytes of the declared size; never
 * read or written beyond (the buffers are as long as what is in them, for the sanitizer). */
START_TEST(damage_does_no_harm)
{
    static char text[3000];
    struct tw_err err;
    start();
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i % 61 < 50 ? 'a' + i % 61 % 26 : i * i >> 3);
    wire_snappy_encode((struct tw_str){text, sizeof text}, &packed);
    for (size_t i = 2; i < packed.size; i++) {
        char *copy = malloc(packed.size);
        ck_assert(copy != NULL);
        memcpy(copy, packed.data, i);
        unit_assert_code(wire_snappy_decode((struct tw_str){copy, i}, sizeof text, &plain, &err),
                         TW_BAD_DATA);
        memcpy(copy, packed.data, packed.size);
        copy[i] ^= (char)(1 << i % 8);
        struct tw_buf exact;
        tw_buf_init(&exact, sizeof text);
        if (wire_snappy_decode((struct tw_str){copy, packed.size}, sizeof text, &exact, &err) ==
            TW_OK)
            ck_assert_uint_eq(exact.size, sizeof text);
        tw_buf_fini(&exact);
        free(copy);
    }
    ck_assert_uint_eq(plain.size, 0);
    stop();
}
END_TEST

START_TEST(refuses_a_large_declaration_before_allocating)
{
    struct tw_err err;
    start();
    struct tw_str huge = TW_STR("\xff\xff\xff\xff\x0f\x00x");
    unit_assert_code(wire_snappy_decode(huge, 1 << 20, &plain, &err), TW_TOO_LARGE);
    unit_assert_contains(err.message, "4294967295 bytes after decompression");
    ck_assert_uint_eq(plain.capacity, 0);
    /* Within the limit, but more than the bytes at hand can hold. */
    unit_assert_code(wire_snappy_decode(TW_STR("\x80\x80\x04\x00x"), 1 << 20, &plain, &err),
                     TW_BAD_DATA);
    ck_assert_uint_eq(plain.capacity, 0);
    stop();
}
END_TEST

START_TEST(refuses_what_is_not_snappy)
{
    static const struct tw_str bad[] = {TW_STR_INIT(""),
                                        TW_STR_INIT("\x80"),
                                        TW_STR_INIT("\xff\xff\xff\xff\xff\xff"),
                                        TW_STR_INIT("hello, this is plain text"),
                                        TW_STR_INIT("\x0a\x00"
                                                    "a\x15\x02"), /* copies from before the start */
                                        TW_STR_INIT("\x0a\x00"
                                                    "a")};
    struct tw_err err;
    start();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        unit_assert_code(wire_snappy_decode(bad[i], 1 << 20, &plain, &err), TW_BAD_DATA);
        unit_assert_contains(err.message, "not Snappy");
        ck_assert_uint_eq(plain.size, 0);
    }
    stop();
}
END_TEST

START_TEST(keeps_the_buffers_limit)
{
    struct tw_err err;
    start();
    struct tw_buf small;
    tw_buf_init(&small, 8);
    wire_snappy_encode(TW_STR("0123456789"), &small);
    ck_assert(small.overflow);
    wire_snappy_encode(TW_STR("0123456789"), &packed);
    tw_buf_clear(&small);
    unit_assert_code(wire_snappy_decode(tw_buf_str(&packed), 100, &small, &err), TW_TOO_LARGE);
    tw_buf_fini(&small);
    stop();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(goes_there_and_back),
                                      UNIT_CASE(golden_bytes),
                                      UNIT_CASE(copies_overlap_as_described),
                                      UNIT_CASE(damage_does_no_harm),
                                      UNIT_CASE(refuses_a_large_declaration_before_allocating),
                                      UNIT_CASE(refuses_what_is_not_snappy),
                                      UNIT_CASE(keeps_the_buffers_limit),
                                      {0}};
    return unit_run("wire/snappy", cases);
}
