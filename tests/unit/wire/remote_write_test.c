/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/remote_write.h"

#include <math.h>
#include <stdio.h>

#include "base/number.h"
#include "tests/fuzz/remote_write_fuzz.h"
#include "tests/lib/unit.h"

#define L(name, value)                                                                             \
    {                                                                                              \
        TW_STR_INIT(name), TW_STR_INIT(value)                                                      \
    }
#define BODY(literal) TW_STR(literal)

static const struct wire_label up_items[] = {L("__name__", "up"), L("job", "node")};
static const struct wire_labels up = {up_items, 2};

/* The request that docs/format/wire.md draws: up{job="node"} with 1 at 1000 ms and 0 at 2000 ms,
 * and the metric's metadata. */
static const char golden[] = "\x0a\x39"
                             "\x0a\x0e\x0a\x08__name__\x12\x02up"
                             "\x0a\x0b\x0a\x03job\x12\x04node"
                             "\x12\x0c\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\xe8\x07"
                             "\x12\x0c\x09\x00\x00\x00\x00\x00\x00\x00\x80\x10\xd0\x0f"
                             "\x1a\x12\x08\x02\x12\x02up\x22\x07Is it?"
                             "?\x2a\x01s";
#define GOLDEN_BYTES (sizeof golden - 1)

static enum tw_code next(struct wire_write_reader *reader, struct wire_write_entry *entry)
{
    struct tw_err err;
    enum tw_code code = wire_write_reader_next(reader, entry, &err);
    ck_assert_msg(code == TW_OK, "%s", err.message);
    return code;
}

START_TEST(writes_golden_bytes)
{
    struct tw_buf body;
    tw_buf_init(&body, 4096);
    const struct wire_sample samples[] = {{1000, 1}, {2000, -0.0}};
    wire_write_put_series(&body, up, samples, 2);
    const struct wire_metadata metadata = {TW_STR("up"), TW_STR("Is it??"), TW_STR("s"),
                                           WIRE_TYPE_GAUGE};
    wire_write_put_metadata(&body, &metadata);
    ck_assert_uint_eq(body.size, GOLDEN_BYTES);
    ck_assert_mem_eq(body.data, golden, GOLDEN_BYTES);

    /* The same through labels that were encoded before. */
    struct tw_buf fields;
    tw_buf_init(&fields, 4096);
    wire_write_put_labels(&fields, up);
    tw_buf_clear(&body);
    wire_write_put_series_raw(&body, tw_buf_str(&fields), samples, 2);
    ck_assert_mem_eq(body.data, golden, body.size);
    tw_buf_fini(&fields);
    tw_buf_fini(&body);
}
END_TEST

START_TEST(reads_golden_bytes)
{
    struct tw_err err;
    struct wire_write_reader reader;
    struct wire_write_entry entry;
    wire_write_reader_init(&reader, (struct tw_str){golden, GOLDEN_BYTES});
    next(&reader, &entry);
    ck_assert_int_eq(entry.kind, WIRE_WRITE_SERIES);
    ck_assert_uint_eq(entry.series.index, 0);
    ck_assert_uint_eq(entry.series.label_count, 2);
    ck_assert_uint_eq(entry.series.sample_count, 2);
    ck_assert_uint_eq(entry.series.raw_labels.size, 29);
    ck_assert_ptr_eq(entry.series.raw_labels.data, golden + 2);
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    size_t count;
    unit_assert_ok(wire_write_series_labels(&entry.series, items, &count, &err), &err);
    ck_assert(wire_labels_equal((struct wire_labels){items, count}, up));
    struct wire_sample sample;
    for (int pass = 0; pass < 2; pass++) {
        ck_assert(wire_write_series_sample(&entry.series, &sample));
        ck_assert_int_eq(sample.time_ms, 1000);
        ck_assert(sample.value == 1);
        ck_assert(wire_write_series_sample(&entry.series, &sample));
        ck_assert_int_eq(sample.time_ms, 2000);
        ck_assert(sample.value == 0 && signbit(sample.value));
        ck_assert(!wire_write_series_sample(&entry.series, &sample));
        wire_write_series_rewind(&entry.series);
    }
    next(&reader, &entry);
    ck_assert_int_eq(entry.kind, WIRE_WRITE_METADATA);
    unit_assert_str(entry.metadata.family, "up");
    unit_assert_str(entry.metadata.help, "Is it??");
    unit_assert_str(entry.metadata.unit, "s");
    ck_assert_str_eq(wire_metric_type_name(entry.metadata.type), "gauge");
    next(&reader, &entry);
    ck_assert_int_eq(entry.kind, WIRE_WRITE_END);
    next(&reader, &entry);
    ck_assert_int_eq(entry.kind, WIRE_WRITE_END);
}
END_TEST

START_TEST(round_trip_keeps_every_bit)
{
    static const double values[] = {0.0, -0.0, 1, -1.5, 5e-324, 1.7976931348623157e308, INFINITY};
    static const int64_t times[] = {0, -1, 1, INT64_MIN, INT64_MAX, -62135596800000, 127, 128};
    struct tw_err err;
    struct tw_buf body;
    tw_buf_init(&body, 1 << 16);
    struct wire_sample samples[9];
    for (int i = 0; i < 7; i++)
        samples[i] = (struct wire_sample){times[i], values[i]};
    samples[7] = (struct wire_sample){times[7], tw_double_from_bits(TW_STALE_BITS)};
    samples[8] = (struct wire_sample){times[7], tw_double_from_bits(TW_NAN_BITS)};
    for (size_t n = 0; n <= 9; n++)
        wire_write_put_series(&body, up, samples, n);
    struct wire_write_reader reader;
    struct wire_write_entry entry;
    struct wire_samples gathered = {0};
    wire_write_reader_init(&reader, tw_buf_str(&body));
    reader.samples = &gathered;
    for (size_t n = 0; n <= 9; n++) {
        size_t before = gathered.count;
        next(&reader, &entry);
        ck_assert_int_eq(entry.kind, WIRE_WRITE_SERIES);
        ck_assert_uint_eq(entry.series.sample_count, n);
        ck_assert_uint_eq(gathered.count, before + n);
        for (size_t i = 0; i < n; i++) {
            const struct wire_sample *sample = &gathered.items[before + i];
            ck_assert_int_eq(sample->time_ms, samples[i].time_ms);
            ck_assert_uint_eq(tw_double_bits(sample->value), tw_double_bits(samples[i].value));
        }
        struct wire_sample sample;
        for (size_t i = 0; i < n; i++) {
            ck_assert(wire_write_series_sample(&entry.series, &sample));
            ck_assert_int_eq(sample.time_ms, samples[i].time_ms);
            ck_assert_uint_eq(tw_double_bits(sample.value), tw_double_bits(samples[i].value));
        }
        ck_assert(!wire_write_series_sample(&entry.series, &sample));
        struct wire_label items[WIRE_LABELS_COUNT_MAX];
        size_t count;
        unit_assert_ok(wire_write_series_labels(&entry.series, items, &count, &err), &err);
        ck_assert(wire_labels_equal((struct wire_labels){items, count}, up));
    }
    wire_samples_fini(&gathered);
    tw_buf_fini(&body);
}
END_TEST

/* Times of every length, and the same number written in more bytes than it needs. */
START_TEST(common_samples_are_read_at_once)
{
    struct wire_sample sample;
    for (unsigned bits = 0; bits <= 63; bits++) {
        uint64_t time =
            (UINT64_C(0x5a5a5a5a5a5a5a5a) | 1) & (UINT64_C(0xffffffffffffffff) >> (63 - bits));
        for (unsigned surplus = 0; surplus < 3; surplus++) {
            char message[32] = "\x09\x01\x02\x03\x04\x05\x06\x07\x08\x10";
            size_t size = 10;
            uint64_t left = time;
            do {
                message[size++] = (char)(left & 0x7f);
                left >>= 7;
            } while (left);
            size += surplus;
            for (size_t i = 10; i + 1 < size; i++)
                message[i] |= (char)0x80;
            bool is_common = wire_write_common_sample((struct tw_str){message, size}, &sample);
            ck_assert_int_eq(is_common, size <= 18);
            if (!is_common)
                continue;
            ck_assert_uint_eq((uint64_t)sample.time_ms, time);
            ck_assert_uint_eq(tw_double_bits(sample.value), UINT64_C(0x0807060504030201));
            /* One byte less, or a last one that promises more: not this form. */
            ck_assert(!wire_write_common_sample((struct tw_str){message, size - 1}, &sample));
            message[size - 1] |= (char)0x80;
            ck_assert(!wire_write_common_sample((struct tw_str){message, size}, &sample));
        }
    }
    ck_assert(!wire_write_common_sample(TW_STR("\x10\x01"), &sample));
    ck_assert(!wire_write_common_sample((struct tw_str){0}, &sample));
}
END_TEST

START_TEST(counts_histograms_and_exemplars_and_skips_the_unknown)
{
    struct tw_err err;
    struct wire_write_reader reader;
    struct wire_write_entry entry;
    struct wire_sample sample;
    wire_write_reader_init(
        &reader, BODY("\x12\x01x"                /* reserved field 2 */
                      "\x0a\x2a"                 /* series, 42 bytes */
                      "\x0a\x04\x0a\x00\x12\x00" /* label, both empty */
                      "\x1a\x02\x09\x09"         /* an exemplar */
                      "\x22\x01\x00"             /* two histograms */
                      "\x22\x00"
                      "\x12\x00"         /* sample 0 at 0 */
                      "\x12\x02\x10\x05" /* 0 at 5 */
                      "\x12\x0f\x10\x07\x18\x01\x09\x00\x00\x00\x00\x00\x00\xf0\x3f"
                      "\x10\x08" /* time first and twice, unknown inside */
                      "\x28\x01" /* unknown varint */
                      "\x0a\x00" /* a label behind the samples */
                      "\x25\x01\x02\x03\x04" /* unknown field 4 as fixed32 of the request */));
    next(&reader, &entry);
    ck_assert_uint_eq(entry.series.exemplar_count, 1);
    ck_assert_uint_eq(entry.series.histogram_count, 2);
    ck_assert_uint_eq(entry.series.label_count, 2);
    ck_assert_uint_eq(entry.series.raw_labels.size, 0);
    ck_assert_uint_eq(entry.series.sample_count, 3);
    ck_assert(wire_write_series_sample(&entry.series, &sample) && sample.time_ms == 0);
    ck_assert(wire_write_series_sample(&entry.series, &sample) && sample.time_ms == 5);
    ck_assert(wire_write_series_sample(&entry.series, &sample) && sample.time_ms == 8);
    ck_assert(sample.value == 1);
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    size_t count;
    unit_assert_ok(wire_write_series_labels(&entry.series, items, &count, &err), &err);
    ck_assert_uint_eq(count, 2);
    next(&reader, &entry);
    ck_assert_int_eq(entry.kind, WIRE_WRITE_END);
    ck_assert_uint_eq(reader.series_count, 1);
}
END_TEST

START_TEST(malformed_bodies_name_the_place)
{
    static const struct {
        struct tw_str body;
        const char *message;
    } cases[] = {
        {TW_STR_INIT("\x0a"), "byte 1 (series 0, metadata 0): a number is cut off"},
        {TW_STR_INIT("\x0a\x05x"), "byte 1 (series 0, metadata 0): a length goes past the end"},
        {TW_STR_INIT("\x0a\x02x"), "byte 1 (series 0, metadata 0): a length goes past the end"},
        {TW_STR_INIT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "goes past the end"},
        {TW_STR_INIT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "more than 64 bits"},
        {TW_STR_INIT("\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), "more than 64 bits"},
        {TW_STR_INIT("\x0a\x00\x0b\x00"), "byte 2 (series 1, metadata 0): a field is a group"},
        {TW_STR_INIT("\x0c"), "a field is a group"},
        {TW_STR_INIT("\x0e"), "unknown wire type"},
        {TW_STR_INIT("\x02\x00"), "field number is out of range"},
        {TW_STR_INIT("\xfa\xff\xff\xff\x7f\x00"), "field number is out of range"},
        {TW_STR_INIT("\x08\x01"), "byte 0 (series 0, metadata 0): a field has the wrong wire type"},
        {TW_STR_INIT("\x0a\x02\x08\x01"), "byte 2 (series 0, metadata 0): a field has the wrong"},
        {TW_STR_INIT("\x0a\x04\x12\x02\x0a\x00"),
         "byte 4 (series 0, metadata 0): a field has the wr"},
        {TW_STR_INIT("\x0a\x04\x12\x02\x09\x00"),
         "byte 5 (series 0, metadata 0): a value is cut off"},
        {TW_STR_INIT("\x0a\x04\x12\x02\x10\x80"), "byte 5 (series 0, metadata 0): a number is cut"},
        {TW_STR_INIT("\x1a\x02\x10\x01"), "byte 2 (series 0, metadata 0): a field has the wrong"},
        {TW_STR_INIT("\x1a\x02\x0a\x00"), "byte 2 (series 0, metadata 0): a field has the wrong"},
        {TW_STR_INIT("\x39\x00"), "a value is cut off"},
        {TW_STR_INIT("\x3d\x00"), "a value is cut off"},
    };
    struct tw_err err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire_write_reader reader;
        struct wire_write_entry entry = {0};
        enum tw_code code;
        wire_write_reader_init(&reader, cases[i].body);
        do
            code = wire_write_reader_next(&reader, &entry, &err);
        while (code == TW_OK && entry.kind != WIRE_WRITE_END);
        ck_assert_msg(code == TW_BAD_DATA, "case %zu was accepted", i);
        unit_assert_contains(err.message, cases[i].message);
        /* Nothing more is read after an error. */
        unit_assert_ok(wire_write_reader_next(&reader, &entry, &err), &err);
        ck_assert_int_eq(entry.kind, WIRE_WRITE_END);
    }
}
END_TEST

START_TEST(malformed_labels_name_the_place)
{
    struct tw_err err;
    struct wire_write_reader reader;
    struct wire_write_entry entry;
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    size_t count = 77;
    wire_write_reader_init(&reader, BODY("\x0a\x00\x0a\x04\x0a\x02\x0a\x09"));
    next(&reader, &entry);
    unit_assert_ok(wire_write_series_labels(&entry.series, items, &count, &err), &err);
    ck_assert_uint_eq(count, 0);
    next(&reader, &entry);
    unit_assert_code(wire_write_series_labels(&entry.series, items, &count, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "byte 7 (series 1): a length goes past");

    struct tw_buf body;
    tw_buf_init(&body, 1 << 16);
    tw_buf_append(&body, "\x0a\x82\x02", 3);
    for (int i = 0; i < WIRE_LABELS_COUNT_MAX + 1; i++)
        tw_buf_append(&body, "\x0a\x00", 2);
    wire_write_reader_init(&reader, tw_buf_str(&body));
    next(&reader, &entry);
    unit_assert_code(wire_write_series_labels(&entry.series, items, &count, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "129 labels, the limit is 128");
    tw_buf_fini(&body);
}
END_TEST

START_TEST(overflow_leaves_no_torn_series)
{
    struct tw_buf body;
    tw_buf_init(&body, 100);
    const struct wire_sample sample = {1000, 1};
    for (int i = 0; i < 5; i++)
        wire_write_put_series(&body, up, &sample, 1);
    ck_assert(body.overflow);
    ck_assert_uint_eq(body.size, 2 * 45);
    tw_buf_fini(&body);
}
END_TEST

/* Every prefix of a good body, every single-byte change of it, and seeded random changes; under the
 * sanitizers this finds reads past the end. */
/* A series of 2.0 with everything: each byte of it is damaged in turn, and each end cut off. */
START_TEST(version_2_survives_damage)
{
    static const char whole[] = "\x22\0\x22\x08__name__\x22\x02up\x22\x03job\x2a\x27"
                                "\x0a\x04\1\2\3\2\x12\x0f\x09\0\0\0\0\0\0\xf0\x3f\x10\xe8\x07\x18"
                                "\xf4\x03\x2a\x04\x08\x03\x18\x03\x1a\x02\x78\x01\x22\x00\x30\x01";
    uint8_t bytes[sizeof whole - 1];
    for (size_t i = 0; i < sizeof bytes; i++) {
        remote_write_fuzz((const uint8_t *)whole, i);
        for (int value = 0; value < 256; value++) {
            memcpy(bytes, whole, sizeof bytes);
            bytes[i] = (uint8_t)value;
            remote_write_fuzz(bytes, sizeof bytes);
        }
    }
}
END_TEST

START_TEST(hostile_bodies_do_no_harm)
{
    uint8_t bytes[GOLDEN_BYTES];
    for (size_t size = 0; size <= GOLDEN_BYTES; size++)
        remote_write_fuzz((const uint8_t *)golden, size);
    for (size_t i = 0; i < GOLDEN_BYTES; i++)
        for (int value = 0; value < 256; value++) {
            memcpy(bytes, golden, GOLDEN_BYTES);
            bytes[i] = (uint8_t)value;
            remote_write_fuzz(bytes, GOLDEN_BYTES);
        }
    uint64_t random = 42;
    for (int round = 0; round < 50000; round++) {
        memcpy(bytes, golden, GOLDEN_BYTES);
        for (int change = 0; change < 6; change++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            bytes[(random >> 33) % GOLDEN_BYTES] = (uint8_t)(random >> 56);
        }
        remote_write_fuzz(bytes, GOLDEN_BYTES);
    }
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(version_2_survives_damage),
        UNIT_CASE(writes_golden_bytes),
        UNIT_CASE(reads_golden_bytes),
        UNIT_CASE(round_trip_keeps_every_bit),
        UNIT_CASE(common_samples_are_read_at_once),
        UNIT_CASE(counts_histograms_and_exemplars_and_skips_the_unknown),
        UNIT_CASE(malformed_bodies_name_the_place),
        UNIT_CASE(malformed_labels_name_the_place),
        UNIT_CASE(overflow_leaves_no_torn_series),
        UNIT_CASE(hostile_bodies_do_no_harm),
        {0}};
    return unit_run("wire/remote_write", cases);
}
