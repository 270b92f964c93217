/* SPDX-License-Identifier: Apache-2.0
 *
 * Remote read: the raw samples of what matchers select, for another Prometheus, as one message of
 * samples or as frames of chunks. Chunks are one to two bytes a sample; the answer stands in memory
 * as it is sent, within the limits of a query: samples, bytes, time. Reads are listed among the
 * running queries, and cancelled as they are.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "query/api.h"
#include "query/running.h"
#include "wire/remote_read.h"
#include "wire/remote_write.h"
#include "wire/snappy.h"

/* Of a request's plain bytes. */
#define BODY_BYTES_MAX ((size_t)4 << 20)
/* Of the text that says what is read. */
#define TEXT_BYTES_MAX 1024

struct reader {
    struct tw_http_exchange *exchange;
    struct tsdb_storage *storage;
    struct query_ticket ticket;
    uint64_t samples, samples_max, bytes_max;
    enum wire_read_type type;
    uint64_t query; /* which one of the request */
    struct tw_buf answer, result, series, chunk;
    size_t labels_bytes; /* of the series at its beginning */
};

/* ---- limits ---- */

static enum tw_code report(struct reader *reader, struct tw_err *err)
{
    const struct tw_buf *all[] = {&reader->answer, &reader->result, &reader->series};
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        bytes += all[i]->overflow ? reader->bytes_max : all[i]->capacity;
    if (reader->samples > reader->samples_max)
        return tw_err_set(err, TW_LIMIT,
                          "exceeded sample limit (%llu): ask for fewer series or a "
                          "shorter range, or see --query-samples-max",
                          (unsigned long long)reader->samples_max);
    if (bytes >= reader->bytes_max)
        return tw_err_set(err, TW_LIMIT,
                          "the answer needs more than the limit of %llu bytes of memory: ask for "
                          "fewer series or a shorter range, or see --query-memory-max",
                          (unsigned long long)reader->bytes_max);
    enum tw_code code = query_ticket_report(&reader->ticket, reader->samples, bytes, err);
    return code == TW_OK ? tw_context_check(&reader->exchange->context, err) : code;
}

/* ---- series ---- */

static void put_frame(struct reader *reader)
{
    wire_read_put_frame(&reader->answer, reader->query, tw_buf_str(&reader->series));
    reader->series.size = reader->labels_bytes;
}

static void put_chunk(struct reader *reader, enum wire_chunk_encoding encoding, int64_t first_ms,
                      int64_t last_ms)
{
    wire_read_put_chunk(&reader->series, encoding, first_ms, last_ms, tw_buf_str(&reader->chunk));
    if (reader->series.size > WIRE_READ_FRAME_BYTES)
        put_frame(reader);
}

static void put_chunks(struct reader *reader, const struct tsdb_column *column)
{
    const int64_t *times = column->times_ms;
    for (size_t at = 0, count; at < column->count; at += count) {
        tw_buf_clear(&reader->chunk);
        if (column->kind == TSDB_KIND_FLOAT) {
            count = column->count - at;
            count = count < WIRE_CHUNK_SAMPLES_MAX ? count : WIRE_CHUNK_SAMPLES_MAX;
            wire_chunk_put_floats(times + at, column->values + at, count, &reader->chunk);
            put_chunk(reader, WIRE_CHUNK_XOR, times[at], times[at + count - 1]);
            continue;
        }
        const struct wire_histogram *const *items = column->histograms + at;
        count = wire_chunk_fit(items, column->count - at);
        wire_chunk_put_histograms(at > 0 ? items[-1] : NULL, items, count, &reader->chunk);
        put_chunk(reader,
                  column->kind == TSDB_KIND_HISTOGRAM ? WIRE_CHUNK_HISTOGRAM
                                                      : WIRE_CHUNK_FLOAT_HISTOGRAM,
                  times[at], times[at + count - 1]);
    }
}

static void put_samples(struct reader *reader, const struct tsdb_column *column)
{
    for (size_t i = 0; i < column->count; i++)
        if (column->kind == TSDB_KIND_FLOAT)
            wire_read_put_sample(&reader->series, column->times_ms[i], column->values[i]);
        else
            wire_read_put_histogram(&reader->series, column->histograms[i]);
}

static enum tw_code read_series(struct reader *reader, struct tsdb_cursor *cursor,
                                struct wire_labels labels, struct tw_err *err)
{
    uint64_t before = reader->samples;
    tw_buf_clear(&reader->series);
    wire_write_put_labels(&reader->series, labels);
    reader->labels_bytes = reader->series.size;
    enum tw_code code = report(reader, err);
    while (code == TW_OK) {
        struct tsdb_column column;
        code = tsdb_cursor_next(cursor, &column, err);
        if (code != TW_OK || column.count == 0)
            break;
        reader->samples += column.count;
        if (reader->type == WIRE_READ_SAMPLES)
            put_samples(reader, &column);
        else
            put_chunks(reader, &column);
        code = report(reader, err);
    }
    if (code != TW_OK || reader->samples == before)
        return code;
    if (reader->type == WIRE_READ_SAMPLES)
        wire_read_put_series(&reader->result, tw_buf_str(&reader->series));
    else if (reader->series.size > reader->labels_bytes)
        put_frame(reader);
    return TW_OK;
}

/* ---- queries ---- */

static void fini_matchers(struct tsdb_matcher *matchers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tsdb_matcher_fini(&matchers[i]);
}

static enum tw_code make_matchers(const struct wire_read_query *query, struct tsdb_matcher *ret,
                                  struct tw_err *err)
{
    static const enum tsdb_match_op ops[] = {TSDB_MATCH_EQUAL, TSDB_MATCH_NOT_EQUAL,
                                             TSDB_MATCH_REGEX, TSDB_MATCH_NOT_REGEX};
    for (size_t i = 0; i < query->matcher_count; i++) {
        const struct wire_read_matcher *from = &query->matchers[i];
        enum tw_code code = tsdb_matcher_init(&ret[i], ops[from->op], from->name, from->value, err);
        if (code != TW_OK) {
            fini_matchers(ret, i);
            return code;
        }
    }
    return TW_OK;
}

static enum tw_code read_selection(struct reader *reader, struct tsdb_selection *selection,
                                   const struct wire_read_query *query, struct tw_err *err)
{
    struct tsdb_cursor *cursor;
    enum tw_code code = tsdb_cursor_open(selection, &cursor, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < tsdb_selection_count(selection) && code == TW_OK; i++) {
        tsdb_cursor_seek(cursor, i, query->start_ms, query->end_ms);
        code = read_series(reader, cursor, tsdb_selection_labels(selection, i), err);
    }
    tsdb_cursor_close(cursor);
    return code;
}

static enum tw_code read_query(struct reader *reader, const struct wire_read_query *query,
                               struct tw_err *err)
{
    const struct tsdb_hints hints = {
        .step_ms = query->step_ms, .range_ms = query->range_ms, .function = query->function};
    struct tsdb_matcher *matchers =
        TW_ARENA_ARRAY(reader->exchange->arena, struct tsdb_matcher, query->matcher_count + 1);
    struct tsdb_selection *selection;
    enum tw_code code = make_matchers(query, matchers, err);
    if (code != TW_OK)
        return code;
    tw_buf_clear(&reader->result);
    if (query->start_ms <= query->end_ms) {
        code =
            tsdb_select(reader->storage, &reader->exchange->context, matchers, query->matcher_count,
                        query->start_ms, query->end_ms, &hints, &selection, err);
        if (code == TW_OK) {
            code = read_selection(reader, selection, query, err);
            tsdb_selection_close(selection);
        }
    }
    if (code == TW_OK && reader->type == WIRE_READ_SAMPLES)
        wire_read_put_result(&reader->answer, tw_buf_str(&reader->result));
    fini_matchers(matchers, query->matcher_count);
    return code == TW_OK ? report(reader, err) : code;
}

/* ---- the request ---- */

/* What is read, for people. */
static struct tw_str describe(const struct wire_read_request *request, struct tw_arena *arena)
{
    static const char *const ops[] = {"=", "!=", "=~", "!~"};
    struct tw_buf text;
    tw_buf_init(&text, TEXT_BYTES_MAX);
    tw_buf_append_cstr(&text, "remote read");
    for (size_t i = 0; i < request->query_count; i++) {
        tw_buf_append_cstr(&text, i ? ", {" : " {");
        for (size_t j = 0; j < request->queries[i].matcher_count; j++) {
            const struct wire_read_matcher *matcher = &request->queries[i].matchers[j];
            tw_buf_appendf(&text, "%s%.*s%s\"%.*s\"", j ? "," : "", TW_STR_ARG(matcher->name),
                           ops[matcher->op], TW_STR_ARG(matcher->value));
        }
        tw_buf_append_char(&text, '}');
    }
    struct tw_str copy = tw_arena_str(arena, tw_buf_str(&text));
    tw_buf_fini(&text);
    return copy;
}

static enum tw_code decode(struct tw_http_exchange *exchange, struct wire_read_request *ret,
                           struct tw_err *err)
{
    struct tw_str encoding, plain;
    struct tw_buf body;
    if (tw_http_header(&exchange->request, "Content-Encoding", &encoding) &&
        !tw_str_is(encoding, WIRE_READ_ENCODING))
        return tw_err_set(err, TW_MEDIA_TYPE,
                          "Content-Encoding '%.*s' is not supported: send " WIRE_READ_ENCODING,
                          TW_STR_ARG(encoding));
    tw_buf_init(&body, BODY_BYTES_MAX);
    enum tw_code code = wire_snappy_decode(exchange->request.body, BODY_BYTES_MAX, &body, err);
    plain = tw_arena_str(exchange->arena, tw_buf_str(&body));
    tw_buf_fini(&body);
    return code == TW_OK ? wire_read_request_decode(plain, exchange->arena, ret, err) : code;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return b > 0 && b < a ? b : a;
}

static void begin(struct reader *reader, struct query_engine *engine,
                  const struct wire_read_request *request)
{
    const struct query_options *options = query_engine_options(engine);
    struct tw_context *context = &reader->exchange->context;
    int64_t deadline_ns = tw_clock_mono_ns(context->clock) + options->timeout_ms * 1000000;
    context->origin = reader->exchange->request.client;
    if (deadline_ns < context->deadline_mono_ns)
        context->deadline_mono_ns = deadline_ns;
    reader->samples_max = smaller(options->samples_max, context->limits.query_samples_max);
    reader->bytes_max = smaller(options->bytes_max, context->limits.query_bytes_max);
    tw_buf_init(&reader->answer, reader->bytes_max);
    tw_buf_init(&reader->result, reader->bytes_max);
    tw_buf_init(&reader->series, reader->bytes_max);
    tw_buf_init(&reader->chunk, reader->bytes_max);
    struct query_account account = {.text = describe(request, reader->exchange->arena),
                                    .origin = context->origin};
    for (size_t i = 0; i < request->query_count; i++) {
        const struct wire_read_query *query = &request->queries[i];
        account.start_ms =
            i == 0 || query->start_ms < account.start_ms ? query->start_ms : account.start_ms;
        account.end_ms = i == 0 || query->end_ms > account.end_ms ? query->end_ms : account.end_ms;
    }
    query_ticket_begin(&reader->ticket, query_engine_running(engine), &account);
}

static void answer(struct reader *reader)
{
    struct tw_http_response *response = &reader->exchange->response;
    if (reader->type == WIRE_READ_STREAMED_XOR_CHUNKS) {
        tw_buf_fini(&response->body);
        response->body = reader->answer;
        response->content_type = WIRE_READ_STREAM_CONTENT_TYPE;
        reader->answer = (struct tw_buf){.size_max = 1};
        return;
    }
    wire_snappy_encode(tw_buf_str(&reader->answer), &response->body);
    response->content_type = WIRE_READ_CONTENT_TYPE;
    tw_http_add_header(response, "Content-Encoding", TW_STR(WIRE_READ_ENCODING));
}

static enum tw_http_verdict handle_read(void *user, struct tw_http_exchange *exchange)
{
    struct query_engine *engine = user;
    struct wire_read_request request;
    struct reader reader = {.exchange = exchange, .storage = query_engine_storage(engine)};
    struct tw_err err;
    enum tw_code code = decode(exchange, &request, &err);
    if (code == TW_OK)
        code = wire_read_choose_type(&request, &reader.type, &err);
    if (code != TW_OK) {
        tw_http_error_text(exchange, &err);
        return TW_HTTP_DONE;
    }
    begin(&reader, engine, &request);
    for (size_t i = 0; i < request.query_count && code == TW_OK; i++) {
        reader.query = i;
        code = read_query(&reader, &request.queries[i], &err);
    }
    if (code == TW_OK)
        answer(&reader);
    else
        tw_http_error_text(exchange, &err);
    query_ticket_end(&reader.ticket, code, 0);
    tw_buf_fini(&reader.chunk);
    tw_buf_fini(&reader.series);
    tw_buf_fini(&reader.result);
    tw_buf_fini(&reader.answer);
    return TW_HTTP_DONE;
}

void query_api_read_route(struct tw_http_router *router, struct query_engine *engine)
{
    tw_http_route(router, TW_HTTP_POST, "/api/v1/read", TW_HTTP_WORKER, handle_read, engine);
}
