/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/zstd.h"

#include "tests/lib/unit.h"

static struct tw_buf packed, plain;
static struct tw_err err;

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
    start();
    for (size_t size = 0; size < 70000; size = size * 3 + 1) {
        static char text[70000];
        for (size_t i = 0; i < size; i++)
            text[i] = (char)(i % 7 * i % 251);
        tw_buf_clear(&packed);
        tw_buf_clear(&plain);
        wire_zstd_encode((struct tw_str){text, size}, 1, &packed);
        unit_assert_ok(wire_zstd_decode(tw_buf_str(&packed), size, &plain, &err), &err);
        ck_assert(tw_str_equal(tw_buf_str(&plain), (struct tw_str){text, size}));
        if (size > 0) {
            tw_buf_clear(&plain);
            unit_assert_code(wire_zstd_decode(tw_buf_str(&packed), size - 1, &plain, &err),
                             TW_TOO_LARGE);
        }
        for (size_t cut = 0; cut < packed.size; cut += 1 + packed.size / 50) {
            tw_buf_clear(&plain);
            unit_assert_code(
                wire_zstd_decode((struct tw_str){packed.data, cut}, size, &plain, &err),
                TW_BAD_DATA);
        }
    }
    stop();
}
END_TEST

/* As a sender makes them that does not know the size in advance: `printf aaaaaaaaaa | zstd`. */
START_TEST(streams_are_read)
{
    struct tw_str frame = TW_STR("\x28\xb5\x2f\xfd\x00\x58\x51\x00\x00"
                                 "aaaaaaaaaa");
    start();
    unit_assert_ok(wire_zstd_decode(frame, 10, &plain, &err), &err);
    unit_assert_str(tw_buf_str(&plain), "aaaaaaaaaa");
    tw_buf_clear(&plain);
    unit_assert_code(wire_zstd_decode(frame, 9, &plain, &err), TW_TOO_LARGE);
    for (int i = 0; i < 2; i++)
        tw_buf_append_str(&packed, frame);
    tw_buf_clear(&plain);
    unit_assert_ok(wire_zstd_decode(tw_buf_str(&packed), 20, &plain, &err), &err);
    ck_assert_uint_eq(plain.size, 20);
    tw_buf_clear(&plain);
    unit_assert_code(
        wire_zstd_decode((struct tw_str){packed.data, packed.size - 1}, 20, &plain, &err),
        TW_BAD_DATA);
    unit_assert_code(wire_zstd_decode(TW_STR("no frame"), 20, &plain, &err), TW_BAD_DATA);
    unit_assert_code(wire_zstd_decode(TW_STR(""), 20, &plain, &err), TW_BAD_DATA);
    stop();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(goes_there_and_back), UNIT_CASE(streams_are_read), {0}};
    return unit_run("wire/zstd", cases);
}
