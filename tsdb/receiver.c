/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/receiver.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/workers.h"
#include "tsdb/extras.h"
#include "tsdb/survey.h"
#include "wire/remote_write.h"
#include "wire/remote_write_v2.h"
#include "wire/snappy.h"
#include "wire/zstd.h"

#define RECEIVER_MAGIC 0x7e5d4eceu
/* Compressed bytes of a request that is decoded on the event loop: about a millisecond's work. */
#define INLINE_BYTES_MAX ((size_t)64 << 10)
/* Series whose place in memory is asked for ahead. */
#define EXPECTED_AHEAD 8
#define WORKER_QUEUE_MAX 64
#define RETRY_AFTER TW_STR("1")
/* Room on a disk does not come in a second. */
#define RETRY_AFTER_ROOM TW_STR("10")

enum outcome { STORED, PARTIAL, BAD, OVERLOADED, FAILED, OUTCOME_COUNT };

struct tsdb_receiver {
    unsigned magic;
    struct tsdb_db *db;
    size_t plain_bytes_max;
    bool zero_at_start;
    struct tw_metric *requests[OUTCOME_COUNT];
    struct tsdb_surveys surveys;
    /* Guards workers, which are started by the first large request. */
    struct tw_lock lock;
    struct tw_workers *workers;
};

/* One write; lives in the exchange's arena. */
struct request {
    struct tsdb_receiver *receiver;
    struct tw_http_exchange *exchange;
    struct tsdb_ingest ingest;
    struct tsdb_extras extras;
    struct tsdb_metadata *metadata;
    size_t metadata_count;
    bool is_zstd; /* else Snappy */
    bool is_v2;   /* remote_write 2.0 */
    struct wire_write2_symbols symbols;
};

/* ---- answering ---- */

static void add_count(struct request *request, const char *name, uint64_t count)
{
    struct tw_http_exchange *exchange = request->exchange;
    tw_http_add_header(&exchange->response, name,
                       tw_arena_format(exchange->arena, "%" PRIu64, count));
}

/* A sender of 2.0 learns what was written from every answer, also from a bad one. */
static void add_written(struct request *request, uint64_t samples, uint64_t histograms,
                        uint64_t exemplars)
{
    if (!request->is_v2)
        return;
    add_count(request, WIRE_WRITE2_SAMPLES_HEADER, samples);
    add_count(request, WIRE_WRITE2_HISTOGRAMS_HEADER, histograms);
    add_count(request, WIRE_WRITE2_EXEMPLARS_HEADER, exemplars);
}

static void count(const struct request *request, enum outcome outcome)
{
    tw_metric_add(request->receiver->requests[outcome], 1);
}

static void answer_error(struct request *request, const struct tw_err *err)
{
    struct tw_http_exchange *exchange = request->exchange;
    bool retry = tw_code_retryable(err->code);
    count(request, err->code == TW_OVERLOAD ? OVERLOADED : retry ? FAILED : BAD);
    if (retry)
        tw_http_add_header(&exchange->response, "Retry-After",
                           err->code == TW_NO_SPACE ? RETRY_AFTER_ROOM : RETRY_AFTER);
    tw_http_error_text(exchange, err);
    add_written(request, 0, 0, 0);
}

/* Everything acceptable is durable; says what was not acceptable. */
static void answer_stored(struct request *request)
{
    const struct tsdb_ingest *ingest = &request->ingest;
    if (ingest->refused == 0) {
        count(request, STORED);
        request->exchange->response.status = 204;
        add_written(request, ingest->stored, ingest->histograms_stored, ingest->exemplars_stored);
        return;
    }
    struct tw_err err;
    if (ingest->stored + ingest->histograms_stored == 0 &&
        ingest->first_refusal.code == TW_OVERLOAD) {
        answer_error(request, &ingest->first_refusal); /* the same request may be taken later */
        return;
    }
    tw_err_set(&err, TW_BAD_DATA, "%" PRIu64 " samples stored, %" PRIu64 " refused; the first: %s",
               ingest->stored + ingest->histograms_stored, ingest->refused,
               ingest->first_refusal.message);
    count(request, PARTIAL);
    tw_http_error_text(request->exchange, &err);
    add_written(request, ingest->stored, ingest->histograms_stored, ingest->exemplars_stored);
}

static void finish(void *user, enum tw_code code, const struct tw_err *err)
{
    struct request *request = user;
    if (code == TW_OK)
        answer_stored(request);
    else
        answer_error(request, err);
    tw_http_finish(request->exchange);
}

/* ---- decoding ---- */

/* Without a parameter it is 1.0. */
static enum tw_code check_type(struct tw_str type, bool *ret_v2, struct tw_err *err)
{
    struct tw_str rest = type, part;
    bool known =
        tw_str_split(&rest, ';', &part) && tw_str_is(tw_str_trim(part), WIRE_WRITE_CONTENT_TYPE);
    while (known && tw_str_split(&rest, ';', &part)) {
        part = tw_str_trim(part);
        if (tw_str_is(part, "proto=" WIRE_WRITE2_MESSAGE))
            *ret_v2 = true;
        else if (tw_str_starts(part, TW_STR("proto=")))
            known = tw_str_is(part, "proto=" WIRE_WRITE_MESSAGE);
    }
    if (known)
        return TW_OK;
    return tw_err_set(err, TW_MEDIA_TYPE,
                      "Content-Type '%.*s' is not supported: send " WIRE_WRITE_CONTENT_TYPE
                      ";proto=" WIRE_WRITE_MESSAGE " or ;proto=" WIRE_WRITE2_MESSAGE,
                      TW_STR_ARG(type));
}

static enum tw_code check_headers(struct request *request, struct tw_err *err)
{
    const struct tw_http_request *from = &request->exchange->request;
    struct tw_str type, encoding;
    if (tw_http_header(from, "Content-Type", &type) && type.size > 0) {
        enum tw_code code = check_type(type, &request->is_v2, err);
        if (code != TW_OK)
            return code;
    }
    if (!tw_http_header(from, "Content-Encoding", &encoding))
        return TW_OK;
    request->is_zstd = tw_str_is(encoding, WIRE_WRITE_ENCODING_ZSTD);
    if (!request->is_zstd && !tw_str_is(encoding, WIRE_WRITE_ENCODING))
        return tw_err_set(err, TW_MEDIA_TYPE,
                          "Content-Encoding '%.*s' is not supported: send %s or %s",
                          TW_STR_ARG(encoding), WIRE_WRITE_ENCODING, WIRE_WRITE_ENCODING_ZSTD);
    return TW_OK;
}

static void keep_metadata(struct request *request, const struct wire_metadata *from,
                          size_t *capacity)
{
    if (request->metadata_count == *capacity) {
        size_t wider = *capacity ? *capacity * 2 : 64;
        request->metadata =
            tw_arena_grow(request->exchange->arena, request->metadata,
                          *capacity * sizeof *request->metadata, wider * sizeof *request->metadata);
        *capacity = wider;
    }
    request->metadata[request->metadata_count++] =
        (struct tsdb_metadata){.metric = from->family,
                               .type = tw_str(wire_metric_type_name(from->type)),
                               .help = from->help,
                               .unit = from->unit};
}

/* The whole body is read before the store sees any of it, so that a malformed one leaves no trace,
 * and before its lock is taken: other requests are read at the same time. */
static enum tw_code read_body(struct request *request, struct tsdb_survey *survey,
                              struct tw_err *err)
{
    struct wire_write_reader reader;
    struct wire_write_entry entry;
    size_t capacity = 0;
    wire_write_reader_init(&reader, tw_buf_str(&survey->plain));
    reader.samples = &survey->samples;
    for (;;) {
        enum tw_code code = wire_write_reader_next(&reader, &entry, err);
        if (code != TW_OK || entry.kind == WIRE_WRITE_END)
            return code;
        if (entry.kind == WIRE_WRITE_METADATA) {
            keep_metadata(request, &entry.metadata, &capacity);
            continue;
        }
        const struct wire_write_series *series = &entry.series;
        struct tw_str raw = series->raw_labels;
        size_t extra_count = series->histogram_count + series->exemplar_count;
        if (series->sample_count + extra_count > 0)
            tsdb_survey_add(survey, series, raw.size ? tw_hash64_private(raw.data, raw.size) : 0);
        if (extra_count > 0)
            tsdb_extras_series(&request->extras, series);
    }
}

static enum tw_code read_body_v2(struct request *request, struct tsdb_survey *survey,
                                 struct tw_err *err)
{
    struct wire_write2_reader reader;
    struct wire_write2_entry entry;
    size_t capacity = 0;
    enum tw_code code =
        wire_write2_reader_init(&reader, tw_buf_str(&survey->plain), request->exchange->arena, err);
    reader.samples = &survey->samples;
    while (code == TW_OK) {
        code = wire_write2_reader_next(&reader, &entry, err);
        if (code != TW_OK || entry.is_end)
            break;
        if (entry.metadata.family.size > 0)
            keep_metadata(request, &entry.metadata, &capacity);
        const struct wire_write_series *series = &entry.series;
        size_t extra_count = series->histogram_count + series->exemplar_count;
        if (series->sample_count + extra_count > 0)
            tsdb_survey_add(survey, series, entry.fingerprint);
        if (extra_count > 0 || request->extras.zero_at_start)
            tsdb_extras_series_v2(&request->extras, series, reader.symbols.items,
                                  reader.symbols.count);
    }
    request->symbols = reader.symbols;
    return code;
}

static bool is_canonical(const struct wire_label *items, size_t label_count)
{
    for (size_t i = 0; i < label_count; i++)
        if (items[i].value.size == 0 ||
            (i > 0 && tw_str_compare(items[i - 1].name, items[i].name) >= 0))
            return false;
    return true;
}

/* Takes the labels apart; false when the series is refused. */
static bool resolve_series(struct request *request, const struct tsdb_survey *survey,
                           const struct tsdb_survey_series *series, struct wire_label *items,
                           size_t *ret_label_count)
{
    struct tw_err err;
    size_t sample_count = series->sample_count + series->histogram_count;
    struct wire_write_series wire = tsdb_survey_wire(survey, series);
    enum tw_code code =
        request->is_v2
            ? wire_write2_series_labels(&wire, &request->symbols, items, ret_label_count, &err)
            : wire_write_series_labels(&wire, items, ret_label_count, &err);
    if (code == TW_OK && !is_canonical(items, *ret_label_count))
        code = wire_labels_canonical(items, ret_label_count, &err);
    if (code != TW_OK) {
        tw_err_wrap(&err, "series %" PRIu32 " of the request", series->index);
        tsdb_ingest_refuse(&request->ingest, TSDB_REFUSED_BAD_LABELS, sample_count, &err);
        return false;
    }
    return tsdb_ingest_series(&request->ingest, (struct wire_labels){items, *ret_label_count},
                              series->fingerprint, sample_count);
}

static void ingest_series(struct request *request, const struct tsdb_survey *survey,
                          const struct tsdb_survey_series *series,
                          const struct wire_sample *samples)
{
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    size_t label_count = 0;
    bool needs_labels = series->histogram_count + series->exemplar_count > 0;
    bool known = !needs_labels && tsdb_ingest_known(&request->ingest, series->fingerprint);
    if (!known && !resolve_series(request, survey, series, items, &label_count)) {
        tsdb_db_refuse_exemplars(request->receiver->db, TSDB_EXEMPLAR_REFUSED_SERIES,
                                 series->exemplar_count);
        return;
    }
    tsdb_ingest_samples(&request->ingest, samples, series->sample_count);
    if (tsdb_extras_has(&request->extras, series->index))
        tsdb_extras_ingest(&request->extras, series->index,
                           (struct wire_labels){items, label_count}, &request->ingest);
}

/* False when the answer is ready; else the committer gives it, and the request may be gone. */
static bool ingest(struct request *request, const struct tsdb_survey *survey, struct tw_err *err)
{
    struct tsdb_db *db = request->receiver->db;
    enum tw_code code = tsdb_ingest_begin(db, &request->exchange->context, &request->ingest, err);
    if (code != TW_OK)
        return false;
    const struct wire_sample *samples = survey->samples.items;
    for (size_t i = 0; i < survey->count; i++) {
        if (i + EXPECTED_AHEAD < survey->count)
            tsdb_ingest_expect(&request->ingest, survey->items[i + EXPECTED_AHEAD].fingerprint);
        ingest_series(request, survey, &survey->items[i], samples);
        samples += survey->items[i].sample_count;
    }
    tsdb_ingest_end(&request->ingest, finish, request);
    return true;
}

enum step { ANSWERED, PENDING, NEEDS_WORKER };

static enum step receive_plain(struct request *request, struct tsdb_survey *survey, bool may_wait,
                               struct tw_err *err)
{
    enum tw_code code =
        request->is_v2 ? read_body_v2(request, survey, err) : read_body(request, survey, err);
    if (code != TW_OK)
        return ANSWERED;
    if (request->metadata_count > 0 &&
        !tsdb_db_knows_metadata(request->receiver->db, request->metadata,
                                request->metadata_count)) {
        if (!may_wait)
            return NEEDS_WORKER;
        code = tsdb_append_metadata(tsdb_db_storage(request->receiver->db),
                                    &request->exchange->context, request->metadata,
                                    request->metadata_count, err);
        if (code != TW_OK)
            return ANSWERED;
    }
    return ingest(request, survey, err) ? PENDING : ANSWERED;
}

/* may_wait: this thread is one of the receiver's own. ANSWERED leaves the reason in *err. */
static enum step receive(struct request *request, bool may_wait, struct tw_err *err)
{
    struct tsdb_receiver *receiver = request->receiver;
    struct tw_str body = request->exchange->request.body;
    request->extras = (struct tsdb_extras){.arena = request->exchange->arena,
                                           .zero_at_start = request->receiver->zero_at_start};
    request->metadata = NULL;
    request->metadata_count = 0;
    struct tsdb_survey *survey = tsdb_surveys_take(&receiver->surveys, receiver->plain_bytes_max);
    enum step step = ANSWERED;
    enum tw_code code =
        request->is_zstd ? wire_zstd_decode(body, receiver->plain_bytes_max, &survey->plain, err)
                         : wire_snappy_decode(body, receiver->plain_bytes_max, &survey->plain, err);
    if (code == TW_OK)
        step = receive_plain(request, survey, may_wait, err);
    tsdb_surveys_give(&receiver->surveys, survey);
    return step;
}

static void receive_on_worker(void *argument)
{
    struct request *request = argument;
    struct tw_err err;
    enum step step = receive(request, true, &err);
    TW_ASSERT(step != NEEDS_WORKER);
    if (step == ANSWERED) {
        answer_error(request, &err);
        tw_http_finish(request->exchange);
    }
}

static enum tw_code give_to_worker(struct request *request, struct tw_err *err)
{
    struct tsdb_receiver *receiver = request->receiver;
    enum tw_code code = TW_OK;
    tw_lock_take(&receiver->lock);
    if (!receiver->workers)
        code = tw_workers_new("tsdb-receive", TSDB_RECEIVER_WORKERS, WORKER_QUEUE_MAX,
                              &receiver->workers, err);
    tw_lock_release(&receiver->lock);
    return code == TW_OK ? tw_workers_give(receiver->workers, receive_on_worker, request, err)
                         : code;
}

static enum tw_http_verdict write_samples(void *user, struct tw_http_exchange *exchange)
{
    struct tsdb_receiver *receiver = user;
    TW_CHECK_MAGIC(receiver, RECEIVER_MAGIC);
    struct request *request = TW_ARENA_NEW(exchange->arena, struct request);
    request->receiver = receiver;
    request->exchange = exchange;
    struct tw_err err;
    enum tw_code code = check_headers(request, &err);
    if (code == TW_OK) {
        enum step step = NEEDS_WORKER;
        if (exchange->request.body.size <= INLINE_BYTES_MAX)
            step = receive(request, false, &err);
        if (step == PENDING)
            return TW_HTTP_PENDING;
        if (step == NEEDS_WORKER && give_to_worker(request, &err) == TW_OK)
            return TW_HTTP_PENDING;
    }
    answer_error(request, &err);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict flush(void *user, struct tw_http_exchange *exchange)
{
    struct tsdb_receiver *receiver = user;
    struct tw_err err;
    if (tsdb_db_flush(receiver->db, &err) == TW_OK)
        exchange->response.status = 204;
    else
        tw_http_error_api(exchange, &err);
    return TW_HTTP_DONE;
}

/* ---- life ---- */

struct tsdb_receiver *tsdb_receiver_new(struct tsdb_db *db, struct tw_metrics *metrics)
{
    struct tsdb_receiver *receiver = calloc(1, sizeof *receiver);
    TW_ASSERT(receiver != NULL);
    receiver->magic = RECEIVER_MAGIC;
    receiver->db = db;
    receiver->plain_bytes_max = TSDB_RECEIVER_PLAIN_BYTES_MAX;
    tw_lock_init(&receiver->lock, TW_RANK_DAEMON, "tsdb.receiver");
    tsdb_surveys_init(&receiver->surveys);
    static const char *const labels[OUTCOME_COUNT] = {
        [STORED] = "outcome=\"stored\"", [PARTIAL] = "outcome=\"partial\"",
        [BAD] = "outcome=\"bad\"",       [OVERLOADED] = "outcome=\"overloaded\"",
        [FAILED] = "outcome=\"failed\"",
    };
    for (int i = 0; metrics && i < OUTCOME_COUNT; i++)
        receiver->requests[i] =
            tw_metrics_counter(metrics, "tidewatch_tsdb_write_requests_total", labels[i],
                               "remote_write requests, by how they ended.");
    return receiver;
}

void tsdb_receiver_limit(struct tsdb_receiver *receiver, size_t plain_bytes_max)
{
    TW_CHECK_MAGIC(receiver, RECEIVER_MAGIC);
    TW_ASSERT(plain_bytes_max <= TSDB_RECEIVER_PLAIN_BYTES_MAX);
    receiver->plain_bytes_max = plain_bytes_max;
}

void tsdb_receiver_zero_at_start(struct tsdb_receiver *receiver, bool zero_at_start)
{
    TW_CHECK_MAGIC(receiver, RECEIVER_MAGIC);
    receiver->zero_at_start = zero_at_start;
}

struct tsdb_receiver *tsdb_receiver_free(struct tsdb_receiver *receiver)
{
    if (!receiver)
        return NULL;
    TW_CHECK_MAGIC(receiver, RECEIVER_MAGIC);
    tw_workers_free(receiver->workers);
    tsdb_surveys_fini(&receiver->surveys);
    tw_lock_fini(&receiver->lock);
    receiver->magic = 0;
    free(receiver);
    return NULL;
}

void tsdb_receiver_route(struct tw_http_router *router, struct tsdb_receiver *receiver)
{
    tw_http_route(router, TW_HTTP_POST, "/api/v1/write", TW_HTTP_INLINE, write_samples, receiver);
    tw_http_route(router, TW_HTTP_POST | TW_HTTP_PUT, "/api/v1/admin/tsdb/flush", TW_HTTP_WORKER,
                  flush, receiver);
}
