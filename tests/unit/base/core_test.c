/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/crc32c.h"
#include "base/crypto.h"
#include "base/duration.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "tests/lib/unit.h"

START_TEST(error_wraps_and_keeps_its_place)
{
    struct tw_err err;
    unit_assert_code(tw_err_set(&err, TW_SYNTAX, "unexpected '%c'", ')'), TW_SYNTAX);
    err.line = 3;
    err.start = 7;
    unit_assert_code(tw_err_wrap(&err, "rule '%s'", "x"), TW_SYNTAX);
    ck_assert_str_eq(err.message, "rule 'x': unexpected ')'");
    ck_assert_uint_eq(err.line, 3);
    ck_assert_uint_eq(err.start, 7);
    unit_assert_code(tw_err_errno(&err, ENOSPC, "writing"), TW_NO_SPACE);
    unit_assert_contains(err.message, "writing: No space left");
    ck_assert_int_eq(tw_code_http_status(TW_OVERLOAD), 429);
    unit_assert_code(tw_err_set(NULL, TW_IO, "nobody listens"), TW_IO);
}
END_TEST

START_TEST(error_cuts_long_messages_between_characters)
{
    char text[2 * TW_ERR_MESSAGE_BYTES];
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    text[sizeof text - 2] = 0;
    struct tw_err err;
    (void)tw_err_set(&err, TW_IO, "x%s", text);
    ck_assert(tw_utf8_valid(tw_str(err.message)));
    ck_assert(tw_str_ends(tw_str(err.message), TW_STR("...")));
}
END_TEST

START_TEST(str_operations)
{
    struct tw_str rest = TW_STR("a,,b"), part;
    ck_assert(tw_str_split(&rest, ',', &part) && tw_str_is(part, "a"));
    ck_assert(tw_str_split(&rest, ',', &part) && tw_str_is(part, ""));
    ck_assert(tw_str_split(&rest, ',', &part) && tw_str_is(part, "b"));
    ck_assert(!tw_str_split(&rest, ',', &part));
    ck_assert_int_lt(tw_str_compare(TW_STR("ab"), TW_STR("abc")), 0);
    ck_assert_int_gt(tw_str_compare(TW_STR("\xff"), TW_STR("a")), 0);
    unit_assert_str(tw_str_trim(TW_STR(" \t x y\n")), "x y");
    ck_assert_uint_eq(tw_str_find(TW_STR("hello"), TW_STR("lo")), 3);
    ck_assert_uint_eq(tw_str_find(TW_STR("hello"), TW_STR("xx")), SIZE_MAX);
    unit_assert_str(tw_str_slice(TW_STR("hello"), 1, 99), "ello");
}
END_TEST

START_TEST(arena_grows_in_place_and_resets)
{
    struct tw_arena *arena = tw_arena_new(0);
    char *text = tw_arena_alloc(arena, 16);
    memcpy(text, "0123456789abcdef", 16);
    ck_assert_ptr_eq(tw_arena_grow(arena, text, 16, 64), text);
    (void)tw_arena_alloc(arena, 1);
    char *moved = tw_arena_grow(arena, text, 64, 128);
    ck_assert_ptr_ne(moved, text);
    ck_assert(memcmp(moved, "0123456789abcdef", 16) == 0);
    ck_assert_uint_eq((uintptr_t)tw_arena_alloc(arena, 3) % _Alignof(max_align_t), 0);
    tw_arena_set_limit(arena, 1 << 20);
    ck_assert(!tw_arena_over_limit(arena));
    (void)tw_arena_alloc(arena, 2 << 20);
    ck_assert(tw_arena_over_limit(arena));
    unit_assert_str(tw_arena_format(arena, "%d-%s", 7, "x"), "7-x");
    tw_arena_reset(arena);
    ck_assert_uint_ge(tw_arena_bytes(arena), 2 << 20);
    (void)tw_arena_alloc(arena, 1 << 20);
    ck_assert_uint_lt(tw_arena_bytes(arena), 3 << 20);
    ck_assert_ptr_null(tw_arena_free(arena));
}
END_TEST

static void *use_block(size_t bytes)
{
    struct tw_arena *arena = tw_arena_new(0);
    void *memory = tw_arena_alloc(arena, bytes);
    memset(memory, 1, bytes);
    (void)tw_arena_free(arena);
    return memory;
}

START_TEST(arena_blocks_are_kept_up_to_a_limit)
{
    (void)use_block(200000);
    ck_assert_uint_eq(tw_arena_kept_bytes(), 0);
    tw_arena_keep_blocks(1 << 20);
    void *memory = use_block(200000);
    size_t bytes = tw_arena_kept_bytes();
    ck_assert_uint_ge(bytes, 200000);
    ck_assert_uint_lt(bytes, 201000);
    ck_assert_ptr_eq(use_block(200000), memory);
    ck_assert_ptr_eq(use_block(150000), memory);
    ck_assert_uint_eq(tw_arena_kept_bytes(), bytes);
    (void)use_block(1000); /* small ones are malloc's */
    (void)use_block(2 << 20);
    ck_assert_uint_eq(tw_arena_kept_bytes(), bytes);
    (void)use_block(250000); /* what is too small for it is freed, or kept beside it */
    ck_assert_uint_le(tw_arena_kept_bytes(), 1 << 20);
    tw_arena_keep_blocks(0);
    ck_assert_uint_eq(tw_arena_kept_bytes(), 0);
    (void)use_block(200000);
    ck_assert_uint_eq(tw_arena_kept_bytes(), 0);
}
END_TEST

START_TEST(buf_stops_at_its_maximum)
{
    struct tw_buf buf;
    tw_buf_init(&buf, 10);
    tw_buf_appendf(&buf, "%s", "0123456789");
    ck_assert(!buf.overflow);
    unit_assert_str(tw_buf_str(&buf), "0123456789");
    ck_assert_str_eq(tw_buf_cstr(&buf), "0123456789");
    tw_buf_append_char(&buf, 'x');
    ck_assert(buf.overflow);
    ck_assert_uint_eq(buf.size, 10);
    tw_buf_clear(&buf);
    tw_buf_append_cstr(&buf, "ok");
    size_t size;
    char *taken = tw_buf_take(&buf, &size);
    ck_assert_uint_eq(size, 2);
    ck_assert_ptr_null(buf.data);
    free(taken);
    tw_buf_fini(&buf);
}
END_TEST

START_TEST(crc32c_known_answers)
{
    /* RFC 3720 B.4 */
    unsigned char bytes[32] = {0};
    ck_assert_uint_eq(tw_crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    ck_assert_uint_eq(tw_crc32c(0, bytes, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    ck_assert_uint_eq(tw_crc32c(0, bytes, 32), 0x46dd794e);
    ck_assert_uint_eq(tw_crc32c(tw_crc32c(0, bytes, 13), bytes + 13, 19), 0x46dd794e);
    ck_assert_uint_eq(tw_crc32c(0, "123456789", 9), 0xe3069283);
}
END_TEST

START_TEST(hash_is_the_stable_one)
{
    /* Hashes are stored: these may never change. */
    ck_assert_uint_eq(tw_hash64("", 0), UINT64_C(0x2d06800538d394c2));
    ck_assert_uint_eq(tw_fnv1a(TW_FNV1A_START, "a", 1), UINT64_C(0xaf63dc4c8601ec8c));
}
END_TEST

START_TEST(utf8_refuses_what_rfc_3629_does)
{
    static const char *const bad[] = {
        "\x80",         "\xc0\xaf",         "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xc3",         "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!tw_utf8_valid(tw_str(bad[i])), "case %zu", i);
    static const uint32_t points[] = {0x24, 0xa2, 0x20ac, 0x10348, 0x10ffff, 0xfffd};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        char bytes[4];
        size_t size = tw_utf8_encode(points[i], bytes);
        uint32_t back = 0;
        ck_assert(tw_utf8_valid((struct tw_str){bytes, size}));
        ck_assert_uint_eq(tw_utf8_decode((struct tw_str){bytes, size}, &back), size);
        ck_assert_uint_eq(back, points[i]);
    }
}
END_TEST

START_TEST(clock_reads_and_writes_rfc3339)
{
    static const struct {
        const char *text, *back;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z", 0},
        {"2026-11-21T03:45:07.1234Z", "2026-11-21T03:45:07.123Z", INT64_C(1795232707123)},
        {"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500Z", -500},
        {"2024-02-29T01:00:00+02:30", "2024-02-28T22:30:00.000Z", INT64_C(1709159400000)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = 0;
        ck_assert_msg(tw_clock_parse_rfc3339(cases[i].text, &ms), "%s", cases[i].text);
        ck_assert_int_eq(ms, cases[i].ms);
        char text[TW_CLOCK_RFC3339_BYTES];
        tw_clock_format_rfc3339(ms, text);
        ck_assert_str_eq(text, cases[i].back);
    }
    static const char *const bad[] = {"",
                                      "2023-02-29T00:00:00Z",
                                      "2024-01-01",
                                      "2024-01-01T00:00:00",
                                      "2024-01-01T24:00:00Z",
                                      "2024-01-01T00:00:00Zx",
                                      "2024-13-01T00:00:00Z"};
    int64_t ms;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!tw_clock_parse_rfc3339(bad[i], &ms), "%s", bad[i]);
}
END_TEST

static void sleep_an_hour(void *argument)
{
    tw_clock_sleep_ns(argument, INT64_C(3600) * 1000000000);
}

START_TEST(manual_clock_wakes_its_sleepers)
{
    struct tw_clock *clock = tw_clock_manual_new(1000);
    struct tw_thread thread = {0};
    struct tw_err err;
    unit_assert_ok(tw_thread_start(&thread, "sleeper", sleep_an_hour, clock, &err), &err);
    /* The sleeper may start late: an hour passes until it has seen one. */
    for (int i = 0; i < 200; i++) {
        tw_clock_manual_advance(clock, 3600 * 1000);
        tw_clock_sleep_ns(tw_clock_system(), 100000);
    }
    tw_clock_manual_advance(clock, INT64_C(3600) * 1000);
    tw_thread_join(&thread);
    ck_assert_int_eq(tw_clock_wall_ms(clock), 1000 + INT64_C(201) * 3600 * 1000);
    ck_assert_ptr_null(tw_clock_manual_free(clock));
}
END_TEST

START_TEST(context_ends_by_deadline_and_cancel)
{
    struct tw_clock *clock = tw_clock_manual_new(0);
    struct tw_context context;
    tw_context_init(&context, clock);
    struct tw_err err;
    unit_assert_ok(tw_context_check(&context, &err), &err);
    context.deadline_mono_ns = 5 * INT64_C(1000000);
    tw_clock_manual_advance(clock, 6);
    unit_assert_code(tw_context_check(&context, &err), TW_TIMEOUT);
    tw_context_cancel(&context);
    unit_assert_code(tw_context_check(&context, &err), TW_CANCELLED);
    tw_clock_manual_free(clock);
}
END_TEST

START_TEST(durations)
{
    static const struct {
        const char *text;
        int64_t ms;
        const char *printed;
    } good[] = {
        {"0", 0, "0s"},          {"5m", 300000, "5m"},      {"1h30m", 5400000, "1h30m"},
        {"100ms", 100, "100ms"}, {"1w2d", 777600000, "9d"}, {"1y", INT64_C(31536000000), "1y"},
        {"90s", 90000, "1m30s"}, {"14d", 1209600000, "2w"}, {"1d1ms", 86400001, "1d1ms"},
    };
    struct tw_err err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t ms = -1;
        unit_assert_ok(tw_duration_parse(tw_str(good[i].text), &ms, &err), &err);
        ck_assert_int_eq(ms, good[i].ms);
        char printed[TW_DURATION_BYTES];
        tw_duration_format(ms, printed);
        ck_assert_str_eq(printed, good[i].printed);
    }
    static const char *const bad[] = {"",    "5",    "m",   "5m5m",         "5m1h",
                                      "-5m", "1.5h", "5 m", "99999999999y", "5x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms;
        ck_assert_msg(tw_duration_parse(tw_str(bad[i]), &ms, &err) == TW_BAD_DATA, "%s", bad[i]);
    }
}
END_TEST

START_TEST(time_parameters)
{
    struct tw_err err;
    int64_t ms = 0;
    unit_assert_ok(tw_time_parse_parameter(TW_STR("1.5"), &ms, &err), &err);
    ck_assert_int_eq(ms, 1500);
    unit_assert_ok(tw_time_parse_parameter(TW_STR("-0.001"), &ms, &err), &err);
    ck_assert_int_eq(ms, -1);
    unit_assert_ok(tw_time_parse_parameter(TW_STR("1970-01-01T00:00:01Z"), &ms, &err), &err);
    ck_assert_int_eq(ms, 1000);
    unit_assert_code(tw_time_parse_parameter(TW_STR("NaN"), &ms, &err), TW_BAD_DATA);
    unit_assert_code(tw_time_parse_parameter(TW_STR(""), &ms, &err), TW_BAD_DATA);
    unit_assert_ok(tw_duration_parse_parameter(TW_STR("0.5"), &ms, &err), &err);
    ck_assert_int_eq(ms, 500);
    unit_assert_ok(tw_duration_parse_parameter(TW_STR("1m"), &ms, &err), &err);
    ck_assert_int_eq(ms, 60000);
    unit_assert_code(tw_duration_parse_parameter(TW_STR("Inf"), &ms, &err), TW_BAD_DATA);
}
END_TEST

struct shared {
    struct tw_lock lock;
    struct tw_cond cond;
    int turns;
};

static void take_turns(void *argument)
{
    struct shared *shared = argument;
    for (int i = 0; i < 1000; i++) {
        tw_lock_take(&shared->lock);
        shared->turns++;
        tw_cond_signal(&shared->cond);
        tw_lock_release(&shared->lock);
    }
}

START_TEST(locks_and_conditions)
{
    struct shared shared = {0};
    tw_lock_init(&shared.lock, TW_RANK_LEAF, "test");
    tw_cond_init(&shared.cond);
    struct tw_thread threads[3] = {0};
    struct tw_err err;
    for (int i = 0; i < 3; i++)
        unit_assert_ok(tw_thread_start(&threads[i], "turns", take_turns, &shared, &err), &err);
    tw_lock_take(&shared.lock);
    while (shared.turns < 3000)
        tw_cond_wait(&shared.cond, &shared.lock);
    tw_lock_assert_held(&shared.lock);
    ck_assert(!tw_cond_wait_ns(&shared.cond, &shared.lock, 1000));
    tw_lock_release(&shared.lock);
    for (int i = 0; i < 3; i++)
        tw_thread_join(&threads[i]);
    tw_cond_fini(&shared.cond);
    tw_lock_fini(&shared.lock);
}
END_TEST

/* RFC 4231, test case 2. */
START_TEST(crypto_hmac_and_base64)
{
    static const uint8_t wanted[TW_SHA256_BYTES] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e,
                                                    0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
                                                    0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83,
                                                    0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    uint8_t digest[TW_SHA256_BYTES];
    tw_hmac_sha256(TW_STR("Jefe"), TW_STR("what do ya want for nothing?"), digest);
    ck_assert_mem_eq(digest, wanted, sizeof wanted);
    struct tw_err err = {0};
    struct tw_buf bytes;
    tw_buf_init(&bytes, 16);
    unit_assert_ok(tw_base64_decode(TW_STR("aGVs\nbG8="), &bytes, &err), &err);
    unit_assert_str(tw_buf_str(&bytes), "hello");
    unit_assert_ok(tw_base64_decode(TW_STR(""), &bytes, &err), &err);
    unit_assert_code(tw_base64_decode(TW_STR("a*b="), &bytes, &err), TW_BAD_DATA);
    unit_assert_code(tw_base64_decode(TW_STR("aGVsbG8gaGVsbG8gaGVsbG8="), &bytes, &err),
                     TW_TOO_LARGE);
    tw_buf_fini(&bytes);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(error_wraps_and_keeps_its_place),
        UNIT_CASE(error_cuts_long_messages_between_characters),
        UNIT_CASE(str_operations),
        UNIT_CASE(arena_grows_in_place_and_resets),
        UNIT_CASE(arena_blocks_are_kept_up_to_a_limit),
        UNIT_CASE(buf_stops_at_its_maximum),
        UNIT_CASE(crc32c_known_answers),
        UNIT_CASE(hash_is_the_stable_one),
        UNIT_CASE(utf8_refuses_what_rfc_3629_does),
        UNIT_CASE(clock_reads_and_writes_rfc3339),
        UNIT_CASE(manual_clock_wakes_its_sleepers),
        UNIT_CASE(context_ends_by_deadline_and_cancel),
        UNIT_CASE(durations),
        UNIT_CASE(time_parameters),
        UNIT_CASE(locks_and_conditions),
        UNIT_CASE(crypto_hmac_and_base64),
        {0},
    };
    return unit_run("base/core", cases);
}
