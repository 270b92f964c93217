/* SPDX-License-Identifier: Apache-2.0
 *
 * Remote read: what Prometheus 3.5.3 made of the same samples is what the encoder makes, and
 * requests that are none are refused with the place.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/number.h"
#include "tests/lib/histograms.h"
#include "tests/lib/unit.h"
#include "wire/protobuf.h"
#include "wire/remote_read.h"

#define T INT64_C(1700000000000)

static struct tw_err err;

static void assert_hex(const struct tw_buf *bytes, const char *wanted)
{
    struct tw_buf text;
    tw_buf_init(&text, 1 << 20);
    for (size_t i = 0; i < bytes->size; i++)
        tw_buf_appendf(&text, "%02x", (unsigned char)bytes->data[i]);
    ck_assert_str_eq(tw_buf_cstr(&text), wanted);
    tw_buf_fini(&text);
}

/* ---- chunks ---- */

START_TEST(numbers_as_prometheus_has_them)
{
    const int64_t times[] = {T,         T + 15000, T + 30000, T + 45001,
                             T + 60000, T + 75000, T + 75001, T + 1000000};
    const double values[] = {
        1.5, 1.5, 2.25, -0.0, 1e300, INFINITY, tw_double_from_bits(TW_STALE_BITS), 3.0};
    struct tw_buf chunk;
    tw_buf_init(&chunk, 4096);
    wire_chunk_put_floats(times, values, 8, &chunk);
    assert_hex(&chunk,
               "000880a0abfef9623ff80000000000009875309dffec000e03f000dfff60fbf8df90f22001d67"
               "80018071f90f22001d67dc569ff000000000f8000000000070ea362f7ff80000000000020");
    tw_buf_clear(&chunk);
    wire_chunk_put_floats(&(int64_t){T + 10000000}, &(double){3.1}, 1, &chunk);
    assert_hex(&chunk, "000180faef87fa624008cccccccccccd");
    tw_buf_fini(&chunk);
}
END_TEST

/* Schema 3, buckets -2, -1 and 3 above zero and 0 below; all counts grow with k. */
static const struct wire_histogram *make(struct tw_arena *arena, int64_t time_ms, uint64_t k,
                                         bool is_float, enum wire_reset_hint hint)
{
    static const struct wire_span above[] = {{-2, 2}, {3, 1}}, below[] = {{0, 1}};
    struct wire_histogram *h = TW_ARENA_NEW(arena, struct wire_histogram);
    union wire_count *counts = TW_ARENA_ARRAY(arena, union wire_count, 4);
    const uint64_t parts[] = {k, 2 * k, k, 2 * k, 7 * k, k};
    union wire_count *const places[] = {&counts[0], &counts[1], &counts[2],
                                        &counts[3], &h->count,  &h->zero_count};
    for (int i = 0; i < 6; i++)
        if (is_float)
            places[i]->real = 0.5 * (double)parts[i];
        else
            places[i]->integer = parts[i];
    h->time_ms = time_ms;
    h->is_float = is_float;
    h->reset_hint = hint;
    h->schema = 3;
    h->zero_threshold = 0.001;
    h->sum = 1.25 * (double)k;
    h->positive = (struct wire_buckets){above, counts, 2, 3};
    h->negative = (struct wire_buckets){below, counts + 3, 1, 1};
    return h;
}

static const struct wire_histogram *make_stale(struct tw_arena *arena, int64_t time_ms,
                                               bool is_float)
{
    struct wire_histogram *h = TW_ARENA_NEW(arena, struct wire_histogram);
    h->time_ms = time_ms;
    h->is_float = is_float;
    h->sum = tw_double_from_bits(TW_STALE_BITS);
    return h;
}

static void assert_chunk(const struct wire_histogram *const *items, size_t count,
                         const char *wanted)
{
    struct tw_buf chunk;
    tw_buf_init(&chunk, 4096);
    ck_assert_uint_eq(wire_chunk_fit(items, count), count);
    wire_chunk_put_histograms(NULL, items, count, &chunk);
    assert_hex(&chunk, wanted);
    tw_buf_fini(&chunk);
}

START_TEST(histograms_as_prometheus_has_them)
{
    struct tw_arena *arena = tw_arena_new(4096);
    const struct wire_histogram *const integers[] = {
        make(arena, T, 1, false, 0), make(arena, T + 15000, 2, false, 0),
        make(arena, T + 30000, 5, false, 0), make(arena, T + 44000, 5, false, 0)};
    assert_chunk(
        integers, 4,
        "000400ff3f50624dd2f1a9fc9ca568ce317f0000c5e7f2b4005e27fe800000000000118de5f07531878"
        "e12fffc637931d2d62f652b53d831abaab59ee8");
    const struct wire_histogram *const reals[] = {
        make(arena, T, 1, true, 0), make(arena, T + 15000, 2, true, 0),
        make(arena, T + 30000, 5, true, 0), make_stale(arena, T + 45000, true)};
    assert_chunk(
        reals, 4,
        "000400ff3f50624dd2f1a9fc9ca568ce317f0000c5e7f2b40020060000000000001ff00000000000001"
        "ffa0000000000001ff00000000000001ff80000000000001ff00000000000001ff80000000000007c1d"
        "4c6b07ac1e12fffeb0784bfffac1e12fffb50f6f09bffdd62f709bffdd61dc26fff758758508063a003"
        "8bdffa4000000000008");
    const struct wire_histogram *const gauges[] = {
        make(arena, T, 5, false, WIRE_RESET_GAUGE),
        make(arena, T + 15000, 1, false, WIRE_RESET_GAUGE)};
    assert_chunk(
        gauges, 2,
        "0002c0ff3f50624dd2f1a9fc9ca568ce317f0000c5e7f2b40068ea803200000000000185c2eef15f075"
        "31a4de613fff6ef3794dc00");
    tw_arena_free(arena);
}
END_TEST

START_TEST(custom_buckets_as_prometheus_has_them)
{
    struct tw_arena *arena = tw_arena_new(4096);
    static const struct wire_span spans[] = {{0, 1}, {1, 2}};
    static const double bounds[] = {0.005, 0.1, 1.0 / 3, 100};
    const union wire_count few[] = {{.integer = 1}, {.integer = 2}, {.integer = 3}};
    const union wire_count many[] = {{.integer = 10}, {.integer = 20}, {.integer = 30}};
    const struct wire_histogram first = {.time_ms = T,
                                         .schema = WIRE_HISTOGRAM_SCHEMA_CUSTOM,
                                         .count.integer = 6,
                                         .sum = 10.5,
                                         .positive = {spans, few, 2, 3},
                                         .custom_values = bounds,
                                         .custom_count = 4};
    struct wire_histogram second = first;
    second.time_ms += 15000;
    second.count.integer = 60;
    second.sum = 20.5;
    second.positive.counts = many;
    const struct wire_histogram *const items[] = {&first, &second,
                                                  make_stale(arena, T + 30000, false)};
    assert_chunk(
        items, 3,
        "00030000ee5ca29454b71947faaaaaaaaaaaaabf30d43fc0003179fcad001620128000000000004631f"
        "83a98e1b358d1e27138918bdff120000000000080");
    tw_arena_free(arena);
}
END_TEST

START_TEST(chunks_end_where_they_must)
{
    struct tw_arena *arena = tw_arena_new(4096);
    const struct wire_histogram *a = make(arena, T, 5, false, 0);
    const struct wire_histogram *more = make(arena, T + 1, 6, false, 0);
    const struct wire_histogram *less = make(arena, T + 2, 2, false, 0);
    const struct wire_histogram *yes = make(arena, T + 1, 9, false, WIRE_RESET_YES);
    const struct wire_histogram *gauge = make(arena, T + 1, 9, false, WIRE_RESET_GAUGE);
    const struct wire_histogram *other = histograms_plain(arena, T + 1, 100, 1);
    const struct wire_histogram *stale = make_stale(arena, T + 1, false);
    const struct wire_histogram *const nexts[] = {more, less, yes, gauge, other, stale};
    const size_t fits[] = {2, 1, 1, 1, 1, 2};
    for (int i = 0; i < 6; i++)
        ck_assert_uint_eq(wire_chunk_fit((const struct wire_histogram *const[]){a, nexts[i]}, 2),
                          fits[i]);
    ck_assert_uint_eq(wire_chunk_fit((const struct wire_histogram *const[]){stale, more}, 2), 1);
    ck_assert_uint_eq(wire_chunk_fit((const struct wire_histogram *const[]){stale, stale}, 2), 2);
    const struct wire_histogram *same[200];
    for (int i = 0; i < 200; i++)
        same[i] = a;
    ck_assert_uint_eq(wire_chunk_fit(same, 200), WIRE_CHUNK_SAMPLES_MAX);

    /* What the header says of the sample before. */
    const struct {
        const struct wire_histogram *before, *first;
        unsigned header;
    } headers[] = {{NULL, a, 0},     {a, more, 0x40}, {a, less, 0x80}, {a, yes, 0x80},
                   {a, gauge, 0xc0}, {gauge, a, 0},   {other, a, 0},   {stale, a, 0}};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct tw_buf chunk;
        tw_buf_init(&chunk, 4096);
        wire_chunk_put_histograms(headers[i].before, &headers[i].first, 1, &chunk);
        ck_assert_uint_eq((unsigned char)chunk.data[2], headers[i].header);
        tw_buf_fini(&chunk);
    }
    tw_arena_free(arena);
}
END_TEST

/* ---- answers ---- */

START_TEST(a_frame_has_size_and_checksum)
{
    struct tw_buf frame, series;
    tw_buf_init(&frame, 4096);
    tw_buf_init(&series, 4096);
    wire_read_put_chunk(&series, WIRE_CHUNK_XOR, 1, 2, TW_STR("ab"));
    wire_read_put_frame(&frame, 3, tw_buf_str(&series));
    static const char message[] = "\x0a\x0c\x12\x0a\x08\x01\x10\x02\x18\x01\x22\x02"
                                  "ab\x10\x03";
    const size_t size = sizeof message - 1;
    ck_assert_uint_eq(frame.size, 1 + 4 + size);
    ck_assert_uint_eq((unsigned char)frame.data[0], size);
    uint32_t sum = tw_crc32c(0, message, size);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq((unsigned char)frame.data[1 + i], sum >> (24 - 8 * i) & 0xff);
    ck_assert_mem_eq(frame.data + 5, message, size);
    tw_buf_fini(&series);
    tw_buf_fini(&frame);
}
END_TEST

START_TEST(samples_are_written_as_protobuf_does)
{
    struct tw_buf series;
    tw_buf_init(&series, 4096);
    wire_read_put_sample(&series, 0, 0);
    wire_read_put_sample(&series, -1, 1);
    assert_hex(&series, "1200"
                        "121409000000000000f03f10ffffffffffffffffff01");
    tw_buf_fini(&series);
}
END_TEST

/* ---- requests ---- */

#define MATCHER "\x1a\x0c\x08\x03\x12\x03job\x1a\x03^a$"
#define QUERY "\x0a\x20\x08\x05\x10\x64" MATCHER "\x22\x0c\x08\xe8\x07\x12\x04rate\x38\xac\x02"

START_TEST(requests_are_read)
{
    struct tw_arena *arena = tw_arena_new(4096);
    struct wire_read_request request;
    unit_assert_ok(
        wire_read_request_decode(TW_STR(QUERY "\x12\x02\x09\x01\x10\x00"), arena, &request, &err),
        &err);
    ck_assert_uint_eq(request.query_count, 1);
    const struct wire_read_query *query = request.queries;
    ck_assert_int_eq(query->start_ms, 5);
    ck_assert_int_eq(query->end_ms, 100);
    ck_assert_uint_eq(query->matcher_count, 1);
    ck_assert_int_eq(query->matchers[0].op, WIRE_READ_NOT_REGEX);
    unit_assert_str(query->matchers[0].name, "job");
    unit_assert_str(query->matchers[0].value, "^a$");
    ck_assert_int_eq(query->step_ms, 1000);
    ck_assert_int_eq(query->range_ms, 300);
    unit_assert_str(query->function, "rate");
    ck_assert_uint_eq(request.type_count, 3);
    enum wire_read_type type;
    unit_assert_ok(wire_read_choose_type(&request, &type, &err), &err);
    ck_assert_int_eq(type, WIRE_READ_STREAMED_XOR_CHUNKS);
    unit_assert_ok(wire_read_request_decode(TW_STR(""), arena, &request, &err), &err);
    unit_assert_ok(wire_read_choose_type(&request, &type, &err), &err);
    ck_assert_int_eq(type, WIRE_READ_SAMPLES);
    unit_assert_ok(wire_read_request_decode(TW_STR("\x10\x07"), arena, &request, &err), &err);
    unit_assert_code(wire_read_choose_type(&request, &type, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "does not support any of the requested response types: [7]");
    tw_arena_free(arena);
}
END_TEST

START_TEST(requests_that_are_none_are_refused)
{
    static const struct {
        struct tw_str body;
        const char *why;
    } cases[] = {
        {TW_STR_INIT("\x0a\x05\x08"), "goes past the end"},
        {TW_STR_INIT("\x08\x01"), "wrong wire type"},
        {TW_STR_INIT("\x0a\x02\x0a\x00"), "wrong wire type"},
        {TW_STR_INIT("\x0a\x04\x1a\x02\x08\x04"), "a type that is not known"},
        {TW_STR_INIT("\x0a\x05\x1a\x03\x12\x01\xff"), "not valid UTF-8"},
        {TW_STR_INIT("\x0b"), "group"},
        {TW_STR_INIT("\x12\x01\x80"), "cut off"},
    };
    struct tw_arena *arena = tw_arena_new(4096);
    struct wire_read_request request;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_assert_code(wire_read_request_decode(cases[i].body, arena, &request, &err),
                         TW_BAD_DATA);
        unit_assert_contains(err.message, cases[i].why);
        unit_assert_contains(err.message, "malformed read request at its byte");
    }
    struct tw_buf many;
    tw_buf_init(&many, 1 << 20);
    for (int i = 0; i <= WIRE_READ_QUERIES_MAX; i++)
        tw_buf_append(&many, "\x0a\x00", 2);
    unit_assert_code(wire_read_request_decode(tw_buf_str(&many), arena, &request, &err),
                     TW_BAD_DATA);
    unit_assert_contains(err.message, "more queries than are taken");
    tw_buf_fini(&many);
    tw_arena_free(arena);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(numbers_as_prometheus_has_them),
                                      UNIT_CASE(histograms_as_prometheus_has_them),
                                      UNIT_CASE(custom_buckets_as_prometheus_has_them),
                                      UNIT_CASE(chunks_end_where_they_must),
                                      UNIT_CASE(a_frame_has_size_and_checksum),
                                      UNIT_CASE(samples_are_written_as_protobuf_does),
                                      UNIT_CASE(requests_are_read),
                                      UNIT_CASE(requests_that_are_none_are_refused),
                                      {0}};
    return unit_run("wire/remote_read", cases);
}
