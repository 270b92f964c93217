/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/remote_read.h"

#include <inttypes.h>

#include "base/crc32c.h"
#include "base/number.h"
#include "base/utf8.h"
#include "wire/protobuf.h"

/* Fields, as in Prometheus's remote.proto and types.proto. */
enum { REQUEST_QUERIES = 1, REQUEST_TYPES = 2 };
enum { QUERY_START = 1, QUERY_END = 2, QUERY_MATCHERS = 3, QUERY_HINTS = 4 };
enum { MATCHER_TYPE = 1, MATCHER_NAME = 2, MATCHER_VALUE = 3 };
enum { HINTS_STEP = 1, HINTS_FUNCTION = 2, HINTS_RANGE = 7 };
enum { SERIES_SAMPLES = 2, SERIES_HISTOGRAMS = 4 };
enum { SAMPLE_VALUE = 1, SAMPLE_TIME = 2 };
enum { RESPONSE_RESULTS = 1, RESULT_SERIES = 1 };
enum { CHUNKED_SERIES = 1, CHUNKED_QUERY = 2 };
enum { SERIES_CHUNKS = 2 };
enum { CHUNK_FIRST = 1, CHUNK_LAST = 2, CHUNK_TYPE = 3, CHUNK_DATA = 4 };

#define WRONG_TYPE "a field has the wrong wire type"

/* ---- requests ---- */

struct decoder {
    struct tw_arena *arena;
    struct wire_read_query *queries;
    uint64_t *types;
    size_t query_count, query_capacity, type_count;
};

static bool take_number(struct wire_scan *scan, const struct wire_field *field, uint64_t *ret)
{
    if (field->type != WIRE_FIELD_VARINT)
        return wire_scan_fail(scan, WRONG_TYPE);
    *ret = field->value;
    return true;
}

static bool take_time(struct wire_scan *scan, const struct wire_field *field, int64_t *ret)
{
    uint64_t value = 0;
    if (!take_number(scan, field, &value))
        return false;
    *ret = (int64_t)value;
    return true;
}

static bool take_text(struct wire_scan *scan, const struct wire_field *field, struct tw_str *ret)
{
    if (field->type != WIRE_FIELD_BYTES)
        return wire_scan_fail(scan, WRONG_TYPE);
    if (!tw_utf8_valid(field->bytes))
        return wire_scan_fail(scan, "a text is not valid UTF-8");
    *ret = field->bytes;
    return true;
}

/* Runs take on each field of the message within field; a problem becomes the outer scan's. */
typedef bool take_field(struct wire_scan *scan, const struct wire_field *field, void *user);
static bool take_message(struct wire_scan *scan, const struct wire_field *field, take_field *take,
                         void *user)
{
    if (field->type != WIRE_FIELD_BYTES)
        return wire_scan_fail(scan, WRONG_TYPE);
    struct wire_scan inner = wire_scan(field->bytes);
    struct wire_field part;
    while (wire_scan_next(&inner, &part) && take(&inner, &part, user))
        ;
    return inner.problem == NULL || wire_scan_fail(scan, inner.problem);
}

static bool take_matcher_field(struct wire_scan *scan, const struct wire_field *field, void *user)
{
    struct wire_read_matcher *matcher = user;
    uint64_t op = 0;
    switch (field->number) {
    case MATCHER_TYPE:
        if (!take_number(scan, field, &op))
            return false;
        if (op > WIRE_READ_NOT_REGEX)
            return wire_scan_fail(scan, "a matcher is of a type that is not known");
        matcher->op = (enum wire_read_op)op;
        return true;
    case MATCHER_NAME:
        return take_text(scan, field, &matcher->name);
    case MATCHER_VALUE:
        return take_text(scan, field, &matcher->value);
    default:
        return true;
    }
}

static bool take_hint(struct wire_scan *scan, const struct wire_field *field, void *user)
{
    struct wire_read_query *query = user;
    switch (field->number) {
    case HINTS_STEP:
        return take_time(scan, field, &query->step_ms);
    case HINTS_FUNCTION:
        return take_text(scan, field, &query->function);
    case HINTS_RANGE:
        return take_time(scan, field, &query->range_ms);
    default:
        return true;
    }
}

/* A query as it is read: its matchers grow. */
struct reading {
    struct tw_arena *arena;
    struct wire_read_query query;
    struct wire_read_matcher *matchers;
    size_t capacity;
};

static bool take_matcher(struct wire_scan *scan, const struct wire_field *field,
                         struct reading *reading)
{
    struct wire_read_query *query = &reading->query;
    if (query->matcher_count == WIRE_READ_MATCHERS_MAX)
        return wire_scan_fail(scan, "more matchers than are taken");
    if (query->matcher_count == reading->capacity) {
        size_t wider = reading->capacity ? reading->capacity * 2 : 8;
        reading->matchers = tw_arena_grow(reading->arena, reading->matchers,
                                          reading->capacity * sizeof *reading->matchers,
                                          wider * sizeof *reading->matchers);
        reading->capacity = wider;
        query->matchers = reading->matchers;
    }
    struct wire_read_matcher *matcher = &reading->matchers[query->matcher_count++];
    *matcher = (struct wire_read_matcher){.name = {"", 0}, .value = {"", 0}};
    return take_message(scan, field, take_matcher_field, matcher);
}

static bool take_query_field(struct wire_scan *scan, const struct wire_field *field, void *user)
{
    struct reading *reading = user;
    switch (field->number) {
    case QUERY_START:
        return take_time(scan, field, &reading->query.start_ms);
    case QUERY_END:
        return take_time(scan, field, &reading->query.end_ms);
    case QUERY_MATCHERS:
        return take_matcher(scan, field, reading);
    case QUERY_HINTS:
        return take_message(scan, field, take_hint, &reading->query);
    default:
        return true;
    }
}

static bool take_query(struct wire_scan *scan, const struct wire_field *field,
                       struct decoder *decoder)
{
    if (decoder->query_count == WIRE_READ_QUERIES_MAX)
        return wire_scan_fail(scan, "more queries than are taken");
    struct reading reading = {.arena = decoder->arena, .query = {.function = {"", 0}}};
    if (!take_message(scan, field, take_query_field, &reading))
        return false;
    if (decoder->query_count == decoder->query_capacity) {
        size_t wider = decoder->query_capacity ? decoder->query_capacity * 2 : 4;
        decoder->queries = tw_arena_grow(decoder->arena, decoder->queries,
                                         decoder->query_capacity * sizeof *decoder->queries,
                                         wider * sizeof *decoder->queries);
        decoder->query_capacity = wider;
    }
    decoder->queries[decoder->query_count++] = reading.query;
    return true;
}

static bool add_type(struct wire_scan *scan, struct decoder *decoder, uint64_t type)
{
    if (decoder->type_count == WIRE_READ_TYPES_MAX)
        return wire_scan_fail(scan, "more response types than are taken");
    decoder->types[decoder->type_count++] = type;
    return true;
}

/* Packed or not. */
static bool take_types(struct wire_scan *scan, const struct wire_field *field,
                       struct decoder *decoder)
{
    if (!decoder->types)
        decoder->types = TW_ARENA_ARRAY(decoder->arena, uint64_t, WIRE_READ_TYPES_MAX);
    if (field->type == WIRE_FIELD_VARINT)
        return add_type(scan, decoder, field->value);
    if (field->type != WIRE_FIELD_BYTES)
        return wire_scan_fail(scan, WRONG_TYPE);
    struct wire_scan packed = wire_scan(field->bytes);
    while (packed.at != packed.limit) {
        uint64_t type;
        if (!wire_scan_varint(&packed, &type))
            return wire_scan_fail(scan, packed.problem);
        if (!add_type(scan, decoder, type))
            return false;
    }
    return true;
}

enum tw_code wire_read_request_decode(struct tw_str body, struct tw_arena *arena,
                                      struct wire_read_request *ret, struct tw_err *err)
{
    struct decoder decoder = {.arena = arena};
    struct wire_scan scan = wire_scan(body);
    struct wire_field field;
    while (wire_scan_next(&scan, &field)) {
        bool good = true;
        if (field.number == REQUEST_QUERIES)
            good = take_query(&scan, &field, &decoder);
        else if (field.number == REQUEST_TYPES)
            good = take_types(&scan, &field, &decoder);
        if (!good)
            break;
    }
    if (scan.problem)
        return tw_err_set(err, TW_BAD_DATA, "malformed read request at its byte %td, query %zu: %s",
                          scan.at - scan.start, decoder.query_count, scan.problem);
    *ret = (struct wire_read_request){decoder.queries, decoder.query_count, decoder.types,
                                      decoder.type_count};
    return TW_OK;
}

enum tw_code wire_read_choose_type(const struct wire_read_request *request,
                                   enum wire_read_type *ret, struct tw_err *err)
{
    if (request->type_count == 0) {
        *ret = WIRE_READ_SAMPLES;
        return TW_OK;
    }
    for (size_t i = 0; i < request->type_count; i++)
        if (request->types[i] <= WIRE_READ_STREAMED_XOR_CHUNKS) {
            *ret = (enum wire_read_type)request->types[i];
            return TW_OK;
        }
    return tw_err_set(err, TW_BAD_DATA,
                      "server does not support any of the requested response types: [%" PRIu64
                      "%s]; supported: map[SAMPLES:{} STREAMED_XOR_CHUNKS:{}]",
                      request->types[0], request->type_count > 1 ? " ..." : "");
}

/* ---- samples ---- */

/* By hand and without a buffer of its own: there are many. */
void wire_read_put_sample(struct tw_buf *ret, int64_t time_ms, double value)
{
    enum { FIXED64 = 1, VARINT = 0, BYTES = 2, SAMPLE_BYTES_MAX = 9 + 11 };
    unsigned char field[2 + SAMPLE_BYTES_MAX];
    size_t size = 2;
    uint64_t bits = tw_double_bits(value), time = (uint64_t)time_ms;
    if (bits != 0) {
        field[size++] = SAMPLE_VALUE << 3 | FIXED64;
        for (int i = 0; i < 8; i++)
            field[size++] = (unsigned char)(bits >> 8 * i);
    }
    if (time != 0) {
        field[size++] = SAMPLE_TIME << 3 | VARINT;
        for (; time >= 0x80; time >>= 7)
            field[size++] = (unsigned char)(time | 0x80);
        field[size++] = (unsigned char)time;
    }
    field[0] = SERIES_SAMPLES << 3 | BYTES;
    field[1] = (unsigned char)(size - 2);
    tw_buf_append(ret, field, size);
}

void wire_read_put_histogram(struct tw_buf *ret, const struct wire_histogram *histogram)
{
    struct tw_buf message;
    tw_buf_init(&message, ret->size_max);
    wire_histogram_encode(histogram, &message);
    ret->overflow |= message.overflow;
    wire_put_bytes_field(ret, SERIES_HISTOGRAMS, tw_buf_str(&message));
    tw_buf_fini(&message);
}

void wire_read_put_series(struct tw_buf *ret, struct tw_str series)
{
    wire_put_bytes_field(ret, RESULT_SERIES, series);
}

void wire_read_put_result(struct tw_buf *ret, struct tw_str result)
{
    wire_put_bytes_field(ret, RESPONSE_RESULTS, result);
}

/* ---- chunks ---- */

void wire_read_put_chunk(struct tw_buf *ret, enum wire_chunk_encoding encoding, int64_t first_ms,
                         int64_t last_ms, struct tw_str chunk)
{
    struct tw_buf message;
    tw_buf_init(&message, ret->size_max);
    if (first_ms != 0)
        wire_put_varint_field(&message, CHUNK_FIRST, (uint64_t)first_ms);
    if (last_ms != 0)
        wire_put_varint_field(&message, CHUNK_LAST, (uint64_t)last_ms);
    wire_put_varint_field(&message, CHUNK_TYPE, encoding);
    wire_put_bytes_field(&message, CHUNK_DATA, chunk);
    ret->overflow |= message.overflow;
    wire_put_bytes_field(ret, SERIES_CHUNKS, tw_buf_str(&message));
    tw_buf_fini(&message);
}

void wire_read_put_frame(struct tw_buf *ret, uint64_t query_index, struct tw_str series)
{
    struct tw_buf message;
    tw_buf_init(&message, ret->size_max);
    wire_put_bytes_field(&message, CHUNKED_SERIES, series);
    if (query_index != 0)
        wire_put_varint_field(&message, CHUNKED_QUERY, query_index);
    uint32_t sum = tw_crc32c(0, message.data, message.size);
    const unsigned char bytes[4] = {(unsigned char)(sum >> 24), (unsigned char)(sum >> 16),
                                    (unsigned char)(sum >> 8), (unsigned char)sum};
    wire_put_varint(ret, message.size);
    tw_buf_append(ret, bytes, sizeof bytes);
    tw_buf_append_str(ret, tw_buf_str(&message));
    ret->overflow |= message.overflow;
    tw_buf_fini(&message);
}
