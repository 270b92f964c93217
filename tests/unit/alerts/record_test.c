/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of docs/format/state-alerts.md, and what becomes of broken ones.
 */
#include "config.h"

#include "alerts/record.h"

#include <stdlib.h>

#include "alerts/delivery.h"
#include "tests/lib/unit.h"

static const struct wire_label labels[] = {{TW_STR_INIT("a"), TW_STR_INIT("xy")}};

START_TEST(keeps_its_bytes)
{
    static const char golden[] = "\x01\x02"
                                 "\x10\x27\0\0\0\0\0\0"              /* active_ms 10000 */
                                 "\x20\x4e\0\0\0\0\0\0"              /* fired_ms 20000 */
                                 "\0\0\0\0\0\0\0\x80"                /* resolved_ms: none */
                                 "\0\0\0\0\0\0\0\x80"                /* keep_firing_ms: none */
                                 "\0\0\0\0\0\0\xf8\x3f"              /* 1.5 */
                                 "\x01\0\0\0\x01\0\0\0a\x02\0\0\0xy" /* labels */
                                 "\0\0\0\0";                         /* annotations */
    const struct alert_active_record record = {.state = ALERT_FIRING,
                                               .active_ms = 10000,
                                               .fired_ms = 20000,
                                               .resolved_ms = ALERT_TIME_NONE,
                                               .keep_firing_ms = ALERT_TIME_NONE,
                                               .value = 1.5,
                                               .labels = {labels, 1}};
    struct tw_buf bytes;
    tw_buf_init(&bytes, 4096);
    alert_active_encode(&record, &bytes);
    ck_assert_uint_eq(bytes.size, sizeof golden - 1);
    ck_assert_mem_eq(bytes.data, golden, sizeof golden - 1);
    struct tw_arena *arena = tw_arena_new(4096);
    struct alert_active_record back;
    struct tw_err err;
    unit_assert_ok(alert_active_decode(tw_buf_str(&bytes), arena, &back, &err), &err);
    ck_assert_int_eq(back.fired_ms, 20000);
    ck_assert(wire_labels_equal(back.labels, record.labels));
    tw_arena_free(arena);
    tw_buf_fini(&bytes);
}
END_TEST

START_TEST(refuses_broken_bytes)
{
    const uint64_t firing[] = {1, 2, 3}, resolved[] = {4};
    const struct alert_notice_record notice = {.starts_ms = 1,
                                               .ends_ms = ALERT_TIME_NONE,
                                               .valid_ms = 2,
                                               .labels = {labels, 1},
                                               .annotations = {labels, 1},
                                               .generator_url = TW_STR("http://x")};
    const struct alert_sent_record sent = {.time_ms = 5,
                                           .group_key = TW_STR("{}:{}"),
                                           .receiver = TW_STR("ops"),
                                           .firing = firing,
                                           .firing_count = 3,
                                           .resolved = resolved,
                                           .resolved_count = 1};
    for (int kind = 0; kind < 2; kind++) {
        struct tw_buf bytes;
        tw_buf_init(&bytes, 4096);
        if (kind == 0)
            alert_notice_encode(&notice, &bytes);
        else
            alert_sent_encode(&sent, &bytes);
        struct tw_arena *arena = tw_arena_new(4096);
        struct alert_notice_record a;
        struct alert_sent_record b;
        /* Cut off anywhere; each byte changed in turn (which may still be a good record). */
        for (size_t size = 0; size < bytes.size; size++) {
            char *cut = malloc(size + 1);
            memcpy(cut, bytes.data, size);
            struct tw_str text = {cut, size};
            unit_assert_code(kind == 0 ? alert_notice_decode(text, arena, &a, NULL)
                                       : alert_sent_decode(text, arena, &b, NULL),
                             TW_CORRUPT);
            free(cut);
            char before = bytes.data[size];
            bytes.data[size] = (char)(before ^ 0xFF);
            (void)!(kind == 0 ? alert_notice_decode(tw_buf_str(&bytes), arena, &a, NULL)
                              : alert_sent_decode(tw_buf_str(&bytes), arena, &b, NULL));
            bytes.data[size] = before;
        }
        bytes.data[0] = 9;
        unit_assert_code(alert_notice_decode(tw_buf_str(&bytes), arena, &a, NULL), TW_UNSUPPORTED);
        tw_arena_free(arena);
        tw_buf_fini(&bytes);
    }
}
END_TEST

START_TEST(decides_as_alertmanager_does)
{
    static const uint64_t one[] = {1}, both[] = {1, 2};
    struct alert_delivery d = {.retry_ms = ALERT_TIME_NONE};
    const struct alert_tally nothing = {NULL, NULL, 0, 0}, first = {one, NULL, 1, 0},
                             more = {both, NULL, 2, 0}, less = {one, both + 1, 1, 1},
                             ended = {NULL, both, 0, 2};
    const int64_t repeat = 1000;
    ck_assert_ptr_null(alert_delivery_reason(&d, &nothing, true, repeat, 0));
    ck_assert_ptr_null(alert_delivery_reason(&d, &ended, true, repeat, 0));
    ck_assert_str_eq(alert_delivery_reason(&d, &first, true, repeat, 0), "first notification");
    alert_delivery_told(&d, &first, 100);
    ck_assert_ptr_null(alert_delivery_reason(&d, &first, true, repeat, 200));
    ck_assert_str_eq(alert_delivery_reason(&d, &more, true, repeat, 200), "new alerts added");
    alert_delivery_told(&d, &more, 200);
    ck_assert_str_eq(alert_delivery_reason(&d, &less, true, repeat, 300), "some alerts resolved");
    ck_assert_ptr_null(alert_delivery_reason(&d, &less, false, repeat, 300));
    ck_assert_str_eq(alert_delivery_reason(&d, &more, true, repeat, 1200),
                     "repeat interval elapsed");
    ck_assert_str_eq(alert_delivery_reason(&d, &ended, false, repeat, 300), "all alerts resolved");
    alert_delivery_told(&d, &ended, 300);
    ck_assert_ptr_null(alert_delivery_reason(&d, &ended, true, repeat, 5000));
    int64_t waits[] = {500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        alert_delivery_failed(&d, -1, 0);
        ck_assert_int_eq(d.retry_ms, waits[i]);
    }
    alert_delivery_failed(&d, 120000, 0);
    ck_assert_int_eq(d.retry_ms, 120000);
    alert_delivery_failed(&d, INT64_MAX, 0);
    ck_assert_int_eq(d.retry_ms, ALERT_RETRY_AFTER_MS_MAX);
    alert_delivery_fini(&d);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(keeps_its_bytes),
                                      UNIT_CASE(refuses_broken_bytes),
                                      UNIT_CASE(decides_as_alertmanager_does),
                                      {0}};
    return unit_run("alerts/record", cases);
}
