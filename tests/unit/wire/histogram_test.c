/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/histogram.h"

#include <math.h>

#include "tests/fuzz/histogram_fuzz.h"
#include "tests/lib/histograms.h"
#include "tests/lib/unit.h"
#include "wire/exemplar.h"
#include "wire/protobuf.h"

static struct tw_arena *arena;

static void start(void)
{
    arena = tw_arena_free(arena);
    arena = tw_arena_new(4096);
}

static struct wire_histogram decode_again(const struct wire_histogram *histogram)
{
    struct tw_buf message;
    tw_buf_init(&message, 1 << 20);
    wire_histogram_encode(histogram, &message);
    ck_assert(!message.overflow);
    struct wire_histogram again = {0};
    struct tw_err err;
    unit_assert_ok(wire_histogram_decode(tw_buf_str(&message), arena, &again, &err), &err);
    tw_buf_fini(&message);
    return again;
}

/* Of every schema, both kinds, with resets, custom bounds, odd sums. */
START_TEST(comes_back_as_sent)
{
    start();
    struct histograms_random random = histograms_random((uint64_t)_i);
    for (int i = 0; i < 200; i++) {
        const struct wire_histogram *histogram = histograms_next(&random, arena, i * 15000);
        struct tw_err err;
        unit_assert_ok(wire_histogram_check(histogram, &err), &err);
        struct wire_histogram again = decode_again(histogram);
        ck_assert(wire_histogram_equal(histogram, &again));
        ck_assert(wire_histogram_equal(histogram, wire_histogram_copy(arena, histogram)));
    }
}
END_TEST

START_TEST(walks_over_the_spans)
{
    const struct wire_span spans[] = {{-2, 1}, {0, 0}, {3, 2}, {1, 1}};
    const union wire_count counts[] = {
        {.integer = 7}, {.integer = 8}, {.integer = 9}, {.integer = 10}};
    const struct wire_buckets buckets = {spans, counts, 4, 4};
    struct wire_walk walk = wire_buckets_walk(&buckets);
    const int64_t numbers[] = {-2, 2, 3, 5};
    for (size_t i = 0; i < 4; i++) {
        ck_assert(wire_walk_next(&walk));
        ck_assert_int_eq(walk.bucket, numbers[i]);
        ck_assert_uint_eq(walk.count.integer, 7 + i);
    }
    ck_assert(!wire_walk_next(&walk));
}
END_TEST

START_TEST(becomes_a_float_histogram)
{
    start();
    struct wire_histogram plain = *histograms_plain(arena, 1000, 6, 3.5);
    struct wire_histogram *real = wire_histogram_to_float(arena, &plain);
    ck_assert(real->is_float && real->count.real == 6 && real->positive.counts[0].real == 1);
    ck_assert(wire_histogram_equal(real, wire_histogram_to_float(arena, real)));
    ck_assert(!wire_histogram_same_layout(real, &plain));
}
END_TEST

static void refuses(const struct wire_histogram *histogram, const char *words)
{
    struct tw_err err;
    unit_assert_code(wire_histogram_check(histogram, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, words);
}

START_TEST(refuses_what_prometheus_refuses)
{
    start();
    const struct wire_histogram good = *histograms_plain(arena, 1000, 6, 3.5);
    struct tw_err err;
    unit_assert_ok(wire_histogram_check(&good, &err), &err);
    struct wire_histogram bad = good;
    bad.schema = 9;
    refuses(&bad, "invalid schema 9");
    bad = good;
    bad.count.integer = 7;
    refuses(&bad, "6 observations found in buckets, but the Count field is 7: histogram's "
                  "observation count should equal the number of observations found in the buckets "
                  "(in absence of NaN)");
    bad.sum = NAN;
    unit_assert_ok(wire_histogram_check(&bad, &err), &err);
    bad.count.integer = 5;
    refuses(&bad, "should be at least the number of observations");
    bad = good;
    bad.positive.count--;
    refuses(&bad, "positive side: spans need 3 buckets, have 2 buckets: histogram spans specify "
                  "different number of buckets than provided");
    const struct wire_span backwards[] = {{0, 2}, {-1, 1}};
    bad = good;
    bad.negative = bad.positive;
    bad.negative.spans = backwards;
    refuses(&bad, "negative side: span number 2 with offset -1: histogram has a span whose offset "
                  "is negative");
    bad = good;
    bad.custom_values = (const double[]){1};
    bad.custom_count = 1;
    refuses(&bad, "must not have custom bounds");
    bad = *wire_histogram_to_float(arena, &good);
    bad.positive.counts = (const union wire_count[]){{.real = 1}, {.real = -2}, {.real = 1}};
    refuses(&bad, "positive side: bucket number 2 has observation count of -2");
}
END_TEST

START_TEST(refuses_wrong_custom_buckets)
{
    start();
    struct wire_histogram good = *histograms_plain(arena, 1000, 6, 3.5);
    good.schema = WIRE_HISTOGRAM_SCHEMA_CUSTOM;
    good.zero_count.integer = 0;
    good.zero_threshold = 0;
    good.count.integer = 6 - 1;
    good.positive.spans = (const struct wire_span[]){{0, 2}, {1, 1}};
    good.custom_values = (const double[]){-1, 0.5, 10};
    good.custom_count = 3;
    struct tw_err err;
    unit_assert_ok(wire_histogram_check(&good, &err), &err);
    struct wire_histogram bad = good;
    bad.custom_values = (const double[]){-1, 0.5, 0.5};
    refuses(&bad, "in strictly increasing order");
    bad.custom_values = (const double[]){-1, NAN, 2};
    refuses(&bad, "in strictly increasing order");
    bad.custom_values = (const double[]){-1, 0.5, INFINITY};
    refuses(&bad, "bounds must be finite");
    bad = good;
    bad.custom_count = 2;
    refuses(&bad, "only 2 custom bounds defined which is insufficient to cover total span length "
                  "of 4");
    bad = good;
    bad.zero_count.integer = 1;
    refuses(&bad, "custom buckets: must have zero count of 0");
    bad = good;
    bad.zero_threshold = 1e-9;
    refuses(&bad, "must have zero threshold of 0");
    bad = good;
    bad.negative = bad.positive;
    refuses(&bad, "must not have negative spans");
    bad = good;
    bad.positive.spans = (const struct wire_span[]){{-1, 2}, {1, 1}};
    refuses(&bad, "span number 1 with offset -1");
}
END_TEST

START_TEST(refuses_malformed_messages)
{
    start();
    struct wire_histogram histogram;
    struct tw_err err;
    static const struct {
        struct tw_str message;
        const char *words;
    } cases[] = {
        {TW_STR_INIT("\x08"), "cut off"},
        {TW_STR_INIT("\x0b"), "group"},
        {TW_STR_INIT("\x19\x01\x02"), "cut off"},
        {TW_STR_INIT("\x18\x01"), "wrong wire type"},
        {TW_STR_INIT("\x5a\x05\x08"), "past the end"},
        /* A first delta below zero: sint64 -1. */
        {TW_STR_INIT("\x08\x00\x5a\x02\x10\x01\x62\x01\x01"), "observation count of -1"},
        /* Integer count, float buckets. */
        {TW_STR_INIT("\x08\x00\x6a\x08\0\0\0\0\0\0\0\0"), "has float buckets"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unit_assert_code(wire_histogram_decode(cases[i].message, arena, &histogram, &err),
                         TW_BAD_DATA);
        unit_assert_contains(err.message, cases[i].words);
    }
    /* More buckets than are taken: one packed field of 70 000 zeros. */
    struct tw_buf message, zeros;
    tw_buf_init(&message, 1 << 20);
    tw_buf_init(&zeros, 1 << 20);
    for (int i = 0; i < 70000; i++)
        tw_buf_append_char(&zeros, 0);
    wire_put_bytes_field(&message, 12, tw_buf_str(&zeros));
    unit_assert_code(wire_histogram_decode(tw_buf_str(&message), arena, &histogram, &err),
                     TW_BAD_DATA);
    unit_assert_contains(err.message, "more buckets than are taken");
    tw_buf_fini(&message);
    tw_buf_fini(&zeros);
}
END_TEST

/* Good messages with bytes changed, cut and inserted. */
START_TEST(survives_changed_messages)
{
    start();
    struct histograms_random random = histograms_random(77);
    struct tw_buf message;
    tw_buf_init(&message, 1 << 20);
    for (int i = 0; i < 3000; i++) {
        tw_buf_clear(&message);
        wire_histogram_encode(histograms_next(&random, arena, i), &message);
        for (uint64_t changes = 1 + histograms_below(&random, 4); changes > 0; changes--)
            message.data[histograms_below(&random, message.size)] =
                (char)histograms_below(&random, 256);
        histogram_fuzz((const uint8_t *)message.data,
                       histograms_below(&random, 3) ? message.size
                                                    : histograms_below(&random, message.size));
        if (i % 100 == 0)
            tw_arena_reset(arena);
    }
    tw_buf_fini(&message);
}
END_TEST

START_TEST(exemplar_comes_back)
{
    start();
    const struct wire_label items[] = {{TW_STR_INIT("span_id"), TW_STR_INIT("7")},
                                       {TW_STR_INIT("trace_id"), TW_STR_INIT("\xc3\xa4-1")}};
    const struct wire_exemplar exemplar = {{items, 2}, 0.25, -5};
    struct tw_buf message;
    tw_buf_init(&message, 1000);
    wire_exemplar_encode(&exemplar, &message);
    struct wire_exemplar again;
    struct tw_err err;
    unit_assert_ok(wire_exemplar_decode(tw_buf_str(&message), arena, &again, &err), &err);
    ck_assert(wire_exemplar_equal(&exemplar, &again));
    ck_assert_int_eq(wire_exemplar_compare(&exemplar, &again), 0);
    const struct tw_str symbols[] = {TW_STR_INIT(""), TW_STR_INIT("trace_id"), TW_STR_INIT("x")};
    unit_assert_ok(wire_exemplar_decode_v2(TW_STR("\x0a\x02\x01\x02\x18\x07"), symbols, 3, arena,
                                           &again, &err),
                   &err);
    ck_assert_int_eq(again.time_ms, 7);
    unit_assert_str(wire_labels_get(again.labels, TW_STR("trace_id")), "x");
    unit_assert_code(
        wire_exemplar_decode_v2(TW_STR("\x0a\x02\x01\x03"), symbols, 3, arena, &again, &err),
        TW_BAD_DATA);
    unit_assert_contains(err.message, "past the end of the symbols");
    unit_assert_code(
        wire_exemplar_decode_v2(TW_STR("\x0a\x01\x01"), symbols, 3, arena, &again, &err),
        TW_BAD_DATA);
    unit_assert_contains(err.message, "a name without a value");
    tw_buf_fini(&message);
}
END_TEST

START_TEST(exemplar_has_128_characters)
{
    start();
    char text[300];
    /* Characters, not bytes: 120 of two bytes each, and 8 of the name. */
    for (int i = 0; i < 240; i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    struct wire_label label = {TW_STR_INIT("trace_id"), {text, 240}};
    struct wire_exemplar exemplar = {{&label, 1}, 1, 1};
    struct tw_err err;
    unit_assert_ok(wire_exemplar_check(&exemplar, &err), &err);
    text[240] = 'x';
    label.value.size = 241;
    unit_assert_code(wire_exemplar_check(&exemplar, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "label length of 129 exceeds maximum of 128");
    label.value = TW_STR("\xff");
    unit_assert_code(wire_exemplar_check(&exemplar, &err), TW_BAD_DATA);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_LOOP(comes_back_as_sent, 0, 8),     UNIT_CASE(walks_over_the_spans),
        UNIT_CASE(becomes_a_float_histogram),    UNIT_CASE(refuses_what_prometheus_refuses),
        UNIT_CASE(refuses_wrong_custom_buckets), UNIT_CASE(refuses_malformed_messages),
        UNIT_CASE(survives_changed_messages),    UNIT_CASE(exemplar_comes_back),
        UNIT_CASE(exemplar_has_128_characters),  {0}};
    int status = unit_run("wire/histogram", cases);
    tw_arena_free(arena);
    return status;
}
