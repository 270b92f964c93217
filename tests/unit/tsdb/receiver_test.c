/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>

#include "tests/unit/tsdb/store.h"
#include "tsdb/db_int.h"
#include "tsdb/receiver.h"
#include "wire/remote_write.h"
#include "wire/snappy.h"
#include "wire/zstd.h"

static struct tsdb_db *db;
static struct tsdb_receiver *receiver;
static struct tw_http_router *router;
static struct tw_metrics *metrics;
static struct tw_err err;

static void start(struct tsdb_db_options options)
{
    static int number;
    char path[4096];
    snprintf(path, sizeof path, "%s/r%d", unit_folder(), number++);
    metrics = tw_metrics_new();
    options.folder = path;
    options.metrics = metrics;
    options.manual = true;
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    receiver = tsdb_receiver_new(db, metrics);
    router = tw_http_router_new();
    tsdb_receiver_route(router, receiver);
}

static void stop(void)
{
    tw_http_router_free(router);
    tsdb_receiver_free(receiver);
    tsdb_db_close(db);
    tw_metrics_free(metrics);
}

/* Posts and returns the status; the answer's text is in `answer`. */
static char answer[1024], written[64], retry_after[16]; /* samples, histograms, exemplars: of 2.0 */
static int post(struct tw_str body, const char *type, const char *encoding)
{
    struct tw_http_pair headers[2] = {{TW_STR("Content-Type"), tw_str(type)},
                                      {TW_STR("Content-Encoding"), tw_str(encoding)}};
    struct tw_http_exchange *exchange;
    unit_assert_ok(tw_http_exchange_new(TW_HTTP_POST, TW_STR("/api/v1/write"), headers, 2, body,
                                        tw_clock_system(), &exchange, &err),
                   &err);
    tw_http_exchange_run(router, exchange);
    int status = exchange->response.status;
    written[0] = retry_after[0] = '\0';
    for (size_t i = 0; i < exchange->response.header_count; i++) {
        struct tw_http_pair *header = &exchange->response.headers[i];
        if (tw_str_starts(header->name, TW_STR("X-Prometheus-Remote-Write-")))
            snprintf(written + strlen(written), sizeof written - strlen(written), "%.*s ",
                     TW_STR_ARG(header->value));
        if (tw_str_is(header->name, "Retry-After"))
            snprintf(retry_after + strlen(retry_after), sizeof retry_after - strlen(retry_after),
                     "%.*s ", TW_STR_ARG(header->value));
    }
    snprintf(answer, sizeof answer, "%.*s", TW_STR_ARG(tw_buf_str(&exchange->response.body)));
    tw_http_exchange_free(exchange);
    return status;
}

static int post_plain(struct tw_buf *plain)
{
    struct tw_buf packed;
    tw_buf_init(&packed, (size_t)1 << 26);
    wire_snappy_encode(tw_buf_str(plain), &packed);
    int status = post(tw_buf_str(&packed), WIRE_WRITE_CONTENT_TYPE, WIRE_WRITE_ENCODING);
    tw_buf_fini(&packed);
    tw_buf_clear(plain);
    return status;
}

static void put(struct tw_buf *plain, const char *series, int64_t time_ms, double value)
{
    struct wire_label items[8];
    struct wire_sample sample = {time_ms, value};
    wire_write_put_series(plain, store_labels(series, items), &sample, 1);
}

static double metric(const char *line)
{
    struct tw_buf text;
    tw_buf_init(&text, (size_t)1 << 20);
    tw_metrics_write(metrics, &text);
    const char *at = strstr(tw_buf_cstr(&text), line);
    double value = at ? atof(at + strlen(line)) : -1;
    tw_buf_fini(&text);
    return value;
}

START_TEST(stores_a_request)
{
    start((struct tsdb_db_options){0});
    struct tw_buf plain;
    tw_buf_init(&plain, (size_t)1 << 26);
    put(&plain, "up,job=a", 1000, 1);
    put(&plain, "up,job=b", 1000, 0);
    put(&plain, "up,job=a", 2000, 1.5);
    ck_assert_int_eq(post_plain(&plain), 204);
    ck_assert_str_eq(answer, "");
    store_assert(db, "up", 0, 5000, "up{job=\"a\"}: 1000=1 2000=1.5\nup{job=\"b\"}: 1000=0\n");
    ck_assert_int_eq(post_plain(&plain), 204); /* an empty request */
    ck_assert(metric("\ntidewatch_tsdb_samples_appended_total ") == 3);
    ck_assert(metric("tidewatch_tsdb_write_requests_total{outcome=\"stored\"} ") == 2);
    tw_buf_fini(&plain);
    stop();
}
END_TEST

START_TEST(stores_a_request_in_zstd)
{
    start((struct tsdb_db_options){0});
    struct tw_buf plain, packed;
    tw_buf_init(&plain, (size_t)1 << 20);
    tw_buf_init(&packed, (size_t)1 << 26);
    put(&plain, "up,job=a", 1000, 1);
    wire_zstd_encode(tw_buf_str(&plain), 1, &packed);
    for (size_t size = 0; size < packed.size; size++)
        ck_assert_int_eq(post((struct tw_str){packed.data, size}, WIRE_WRITE_CONTENT_TYPE, "zstd"),
                         400);
    store_assert(db, "up", 0, 5000, "");
    ck_assert_int_eq(post(tw_buf_str(&packed), WIRE_WRITE_CONTENT_TYPE, "zstd"), 204);
    store_assert(db, "up", 0, 5000, "up{job=\"a\"}: 1000=1\n");
    /* More than the limit, in a few kilobytes. */
    char *zeros = calloc(1, TSDB_RECEIVER_PLAIN_BYTES_MAX + 1);
    tw_buf_clear(&packed);
    wire_zstd_encode((struct tw_str){zeros, TSDB_RECEIVER_PLAIN_BYTES_MAX + 1}, 1, &packed);
    ck_assert_int_eq(post(tw_buf_str(&packed), WIRE_WRITE_CONTENT_TYPE, "zstd"), 413);
    free(zeros);
    tw_buf_fini(&packed);
    tw_buf_fini(&plain);
    stop();
}
END_TEST

START_TEST(stores_a_large_request)
{
    start((struct tsdb_db_options){0});
    struct tw_buf plain;
    tw_buf_init(&plain, (size_t)1 << 26);
    for (int i = 0; i < 40000; i++) {
        char series[64];
        snprintf(series, sizeof series, "m,a=x%d,b=%x", i, i * 2654435761u);
        put(&plain, series, 1000, i);
    }
    ck_assert_int_eq(post_plain(&plain), 204);
    ck_assert(metric("\ntidewatch_tsdb_head_series ") == 40000);
    tw_buf_fini(&plain);
    stop();
}
END_TEST

/* Series in another order each time: they are recognised by their fingerprints, and each sample
 * comes to its own, also when two senders name a series differently. */
START_TEST(any_order_of_series_is_recognised)
{
    enum { COUNT = 1500, ROUNDS = 6 };
    start((struct tsdb_db_options){0});
    struct tw_buf plain;
    tw_buf_init(&plain, (size_t)1 << 26);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++) {
            int number = round % 2 ? COUNT - 1 - (i * 11 + round) % COUNT : (i * 7 + round) % COUNT;
            char series[64], value[16];
            snprintf(value, sizeof value, "%d", number);
            snprintf(series, sizeof series, "m,a=%d,z=1", number);
            struct wire_label unsorted[] = {{TW_STR("z"), TW_STR("1")},
                                            {TW_STR("a"), tw_str(value)},
                                            {TW_STR(WIRE_METRIC_NAME), TW_STR("m")}};
            struct wire_sample sample = {1000 * (round + 1), number};
            if (round % 3 == 2)
                wire_write_put_series(&plain, (struct wire_labels){unsorted, 3}, &sample, 1);
            else
                put(&plain, series, sample.time_ms, sample.value);
        }
        ck_assert_int_eq(post_plain(&plain), 204);
        if (round != 3)
            continue;
        /* All are written out to the segment of another generation again. */
        ck_assert(db->fingerprints.used >= COUNT && db->fingerprints.used <= 2 * COUNT);
        unit_assert_ok(tsdb_db_flush(db, &err), &err);
        ck_assert_uint_eq(db->fingerprints.used, 0);
    }
    ck_assert(metric("\ntidewatch_tsdb_head_series ") == COUNT);
    ck_assert(metric("\ntidewatch_tsdb_head_series_created_total ") == COUNT);
    char *text = store_read(db, "m", "a", "77", 0, 9000);
    ck_assert_str_eq(text,
                     "m{a=\"77\", z=\"1\"}: 1000=77 2000=77 3000=77 4000=77 5000=77 6000=77\n");
    free(text);
    tw_buf_fini(&plain);
    stop();
}
END_TEST

START_TEST(keeps_the_good_part)
{
    start((struct tsdb_db_options){0});
    struct tw_buf plain;
    tw_buf_init(&plain, (size_t)1 << 26);
    put(&plain, "up,job=a", 1000, 1);
    put(&plain, "up,job=b", INT64_C(1) << 60, 1);
    put(&plain, "1 bad,=b", 1000, 1);
    put(&plain, "up,job=c", 1000, 1);
    ck_assert_int_eq(post_plain(&plain), 400);
    unit_assert_contains(answer, "2 samples stored, 2 refused");
    unit_assert_contains(answer, "up{job=\"b\"}");
    unit_assert_contains(answer, "in the future");
    store_assert(db, "up", 0, 5000, "up{job=\"a\"}: 1000=1\nup{job=\"c\"}: 1000=1\n");
    ck_assert(metric("samples_refused_total{reason=\"bad_labels\"} ") == 1);
    ck_assert(metric("samples_refused_total{reason=\"future\"} ") == 1);
    /* Labels out of order are put into order. */
    struct wire_label unsorted[] = {{TW_STR("z"), TW_STR("1")},
                                    {TW_STR("empty"), TW_STR("")},
                                    {TW_STR(WIRE_METRIC_NAME), TW_STR("w")}};
    struct wire_sample sample = {1000, 7};
    wire_write_put_series(&plain, (struct wire_labels){unsorted, 3}, &sample, 1);
    ck_assert_int_eq(post_plain(&plain), 204);
    store_assert(db, "w", 0, 5000, "w{z=\"1\"}: 1000=7\n");
    tw_buf_fini(&plain);
    stop();
}
END_TEST

START_TEST(histograms_are_stored)
{
    start((struct tsdb_db_options){0});
    struct tw_buf plain, series;
    tw_buf_init(&plain, (size_t)1 << 20);
    tw_buf_init(&series, (size_t)1 << 20);
    struct wire_label items[8];
    wire_write_put_labels(&series, store_labels("h,a=b", items));
    tw_buf_append(&series, "\x12\x0c\x09\0\0\0\0\0\0\xf0\x3f\x10\xe8\x07", 14);
    tw_buf_append(&series, "\x22\x05\x08\x00\x78\xd0\x0f", 7); /* an empty one at 2000 */
    tw_buf_append(&series, "\x22\x02\x08\x01", 4);             /* count without a bucket */
    tw_buf_append(&series, "\x1a\x02\x18\x01", 4);             /* an exemplar at 1 */
    tw_buf_append(&series, "\x1a\x02\x10\x01", 4);             /* its value is no double */
    tw_buf_append_char(&plain, 0x0a);
    tw_buf_append_char(&plain, (char)series.size);
    tw_buf_append_str(&plain, tw_buf_str(&series));
    ck_assert_int_eq(post_plain(&plain), 400);
    unit_assert_contains(answer, "2 samples stored, 1 refused; the first: series h{a=\"b\"}: 0 "
                                 "observations found in buckets, but the Count field is 1");
    store_assert(db, "h", 0, 5000, "h{a=\"b\"}: 1000=1 2000=histogram\n");
    ck_assert(metric("samples_refused_total{reason=\"bad_histogram\"} ") == 1);
    ck_assert(metric("\ntidewatch_tsdb_histograms_appended_total ") == 1);
    ck_assert(metric("\ntidewatch_tsdb_exemplar_exemplars_appended_total ") == 1);
    ck_assert(metric("\ntidewatch_tsdb_exemplar_exemplars_in_storage ") == 1);
    ck_assert(metric("exemplars_refused_total{reason=\"bad_exemplar\"} ") == 1);
    tw_buf_fini(&series);
    tw_buf_fini(&plain);
    stop();
}
END_TEST

START_TEST(metadata_is_stored)
{
    start((struct tsdb_db_options){0});
    struct tw_buf plain;
    tw_buf_init(&plain, (size_t)1 << 20);
    wire_write_put_metadata(&plain, &(struct wire_metadata){.family = TW_STR("up"),
                                                            .help = TW_STR("Is it up?"),
                                                            .type = WIRE_TYPE_GAUGE});
    put(&plain, "up,job=a", 1000, 1);
    ck_assert_int_eq(post_plain(&plain), 204);
    struct tw_context context = store_context();
    struct tw_arena *arena = tw_arena_new(4096);
    struct tsdb_metadata *items;
    size_t count;
    unit_assert_ok(tsdb_metadata_list(tsdb_db_storage(db), &context, TW_STR("up"), arena, &items,
                                      &count, &err),
                   &err);
    ck_assert_uint_eq(count, 1);
    unit_assert_str(items[0].type, "gauge");
    unit_assert_str(items[0].help, "Is it up?");
    tw_arena_free(arena);
    tw_buf_fini(&plain);
    stop();
}
END_TEST

#define V2 "application/x-protobuf;proto=io.prometheus.write.v2.Request"

static int post_v2(const char *bytes, size_t size)
{
    struct tw_buf packed;
    tw_buf_init(&packed, 1 << 20);
    wire_snappy_encode((struct tw_str){bytes, size}, &packed);
    int status = post(tw_buf_str(&packed), V2, WIRE_WRITE_ENCODING);
    tw_buf_fini(&packed);
    return status;
}

/* Symbols: "", __name__, h_count, job, a, Help. One series with a sample of 1 at 1000 ms that began
 * at 500, metadata (a histogram), a native histogram at 2000, an exemplar and a creation time. */
#define SYMBOLS                                                                                    \
    "\x22\0\x22\x08__name__\x22\x07h_count\x22\x03job\x22\x01"                                     \
    "a\x22\x04Help"
#define SAMPLE "\x12\x0f\x09\0\0\0\0\0\0\xf0\x3f\x10\xe8\x07\x18\xf4\x03"

START_TEST(stores_version_2)
{
    start((struct tsdb_db_options){0});
    static const char plain[] = SYMBOLS "\x2a\x1d"
                                        "\x0a\x04\1\2\3\4" SAMPLE "\x2a\x04\x08\x03\x18\x05"
                                        "\x30\x01";
    for (int round = 0; round < 2; round++) { /* the second one by its fingerprint */
        ck_assert_int_eq(post_v2(plain, sizeof plain - 1), 204);
        ck_assert_str_eq(written, "1 0 0 ");
    }
    store_assert(db, "h_count", 0, 5000, "h_count{job=\"a\"}: 1000=1\n");
    /* Other references to the same strings, one by one, are the same series. */
    static const char turned[] = "\x22\0\x22\x01"
                                 "a\x22\x03job\x22\x07h_count\x22\x08__name__"
                                 "\x2a\x22"
                                 "\x08\4\x08\3\x08\2\x08\1" SAMPLE "\x1a\x05\x08\x00\x78\xd0\x0f"
                                 "\x22\x00";
    ck_assert_int_eq(post_v2(turned, sizeof turned - 1), 204);
    ck_assert_str_eq(written, "1 1 1 ");
    store_assert(db, "h_count", 0, 5000, "h_count{job=\"a\"}: 1000=1 2000=histogram\n");
    ck_assert(metric("\ntidewatch_tsdb_head_series ") == 1);
    struct tw_context context = store_context();
    struct tw_arena *arena = tw_arena_new(4096);
    struct tsdb_metadata *items;
    size_t count;
    unit_assert_ok(
        tsdb_metadata_list(tsdb_db_storage(db), &context, TW_STR("h"), arena, &items, &count, &err),
        &err);
    ck_assert_uint_eq(count, 1);
    unit_assert_str(items[0].type, "histogram");
    unit_assert_str(items[0].help, "Help");
    tw_arena_free(arena);
    stop();
}
END_TEST

/* A series (labels 1 2 3 4) with these fields: 6 + size - 1 bytes behind the symbols. */
static int post_v2_series(const char *fields, size_t size)
{
    struct tw_buf plain;
    tw_buf_init(&plain, 4096);
    tw_buf_append(&plain, SYMBOLS, sizeof SYMBOLS - 1);
    tw_buf_append_char(&plain, 0x2a);
    tw_buf_append_char(&plain, (char)(6 + size));
    tw_buf_append(&plain, "\x0a\x04\1\2\3\4", 6);
    tw_buf_append(&plain, fields, size);
    int status = post_v2(plain.data, plain.size);
    tw_buf_fini(&plain);
    return status;
}
#define POST_V2_SERIES(fields) post_v2_series((fields), sizeof(fields) - 1)
/* A sample of 1 at time (two bytes of varint) that says where counting began (likewise). */
#define STARTED(time, start) "\x12\x0f\x09\0\0\0\0\0\0\xf0\x3f\x10" time "\x18" start

START_TEST(starts_become_zeros_where_that_is_on)
{
    const char *wanted = "h_count{job=\"a\"}: 500=0 1000=1 1500=1 2500=0 3000=1\n";
    start((struct tsdb_db_options){0});
    ck_assert_int_eq(POST_V2_SERIES(SAMPLE), 204);
    store_assert(db, "h_count", 0, 9000, "h_count{job=\"a\"}: 1000=1\n");
    stop();
    start((struct tsdb_db_options){0});
    tsdb_receiver_zero_at_start(receiver, true);
    ck_assert_int_eq(POST_V2_SERIES(SAMPLE), 204);
    ck_assert_str_eq(written, "1 0 0 "); /* the zero is not the sender's */
    store_assert(db, "h_count", 0, 9000, "h_count{job=\"a\"}: 500=0 1000=1\n");
    /* The same again, with a later sample; another one behind that. */
    ck_assert_int_eq(POST_V2_SERIES(SAMPLE STARTED("\xdc\x0b", "\xf4\x03")), 204);
    ck_assert_int_eq(POST_V2_SERIES(STARTED("\xb8\x17", "\xc4\x13")), 204);
    store_assert(db, "h_count", 0, 9000, wanted);
    /* What the series has a sample behind is told too late: 2800; or in the future: 9000. */
    ck_assert_int_eq(POST_V2_SERIES(STARTED("\xb8\x17", "\xf0\x15")), 204);
    ck_assert_int_eq(POST_V2_SERIES(STARTED("\xb8\x17", "\xa8\x46")), 204);
    store_assert(db, "h_count", 0, 9000, wanted);
    ck_assert(metric("\ntidewatch_tsdb_start_zeros_added_total ") == 2);
    /* Of the series as a whole (3500), and of an empty histogram at 5000 that began at 4500. */
    ck_assert_int_eq(POST_V2_SERIES("\x12\x0c\x09\0\0\0\0\0\0\xf0\x3f\x10\xa0\x1f"
                                    "\x30\xac\x1b"),
                     204);
    ck_assert_int_eq(POST_V2_SERIES("\x1a\x09\x08\x00\x78\x88\x27\x88\x01\x94\x23"), 204);
    store_assert(db, "h_count", 3001, 9000,
                 "h_count{job=\"a\"}: 3500=0 4000=1 4500=histogram 5000=histogram\n");
    stop();
}
END_TEST

START_TEST(refuses_bad_version_2)
{
    start((struct tsdb_db_options){0});
    static const char plain[] = SYMBOLS "\x2a\x17"
                                        "\x0a\x04\1\2\3\4" SAMPLE;
    for (size_t size = 1; size < sizeof plain - 1; size++) {
        int status = post_v2(plain, size);
        ck_assert(status == 400 || (status == 204 && size < sizeof SYMBOLS));
        ck_assert_str_eq(written, "0 0 0 ");
    }
    static const char beyond[] = SYMBOLS "\x2a\x17"
                                         "\x0a\x04\1\2\3\6" SAMPLE;
    ck_assert_int_eq(post_v2(beyond, sizeof beyond - 1), 400);
    unit_assert_contains(answer, "past the end of the symbols");
    static const char half[] = SYMBOLS "\x2a\x16"
                                       "\x0a\x03\1\2\3" SAMPLE;
    ck_assert_int_eq(post_v2(half, sizeof half - 1), 400);
    unit_assert_contains(answer, "a name without a value");
    static const char wrong[] = SYMBOLS "\x2a\x08"
                                        "\x0a\x04\1\2\3\4"
                                        "\x10\x01";
    ck_assert_int_eq(post_v2(wrong, sizeof wrong - 1), 400);
    store_assert(db, "h_count", 0, 5000, "");
    /* One good, one without a name for the metric: partly written. */
    static const char partial[] = SYMBOLS "\x2a\x17"
                                          "\x0a\x04\1\2\3\4" SAMPLE "\x2a\x15"
                                          "\x0a\x02\3\4" SAMPLE;
    ck_assert_int_eq(post_v2(partial, sizeof partial - 1), 400);
    ck_assert_str_eq(written, "1 0 0 ");
    stop();
}
END_TEST

START_TEST(overload_is_told)
{
    start((struct tsdb_db_options){0});
    struct tw_buf plain;
    tw_buf_init(&plain, 1 << 20);
    tw_lock_take(&db->lock);
    size_t waiting = db->pending_samples;
    db->pending_samples = db->options.pending_samples_max + 1;
    tw_lock_release(&db->lock);
    put(&plain, "up,job=a", 1000, 1);
    ck_assert_int_eq(post_plain(&plain), 429);
    unit_assert_contains(answer, "try again later");
    ck_assert_str_eq(retry_after, "1 "); /* once */
    ck_assert(metric("tidewatch_tsdb_write_requests_total{outcome=\"overloaded\"} ") == 1);
    tw_lock_take(&db->lock);
    db->pending_samples = waiting;
    tw_lock_release(&db->lock);
    put(&plain, "up,job=a", 1000, 1);
    ck_assert_int_eq(post_plain(&plain), 204);
    ck_assert_str_eq(retry_after, "");
    tw_buf_fini(&plain);
    stop();
}
END_TEST

START_TEST(refuses_what_it_cannot_read)
{
    start((struct tsdb_db_options){0});
    struct tw_buf plain, packed;
    tw_buf_init(&plain, (size_t)1 << 26);
    tw_buf_init(&packed, (size_t)1 << 26);
    put(&plain, "up,job=a", 1000, 1);
    wire_snappy_encode(tw_buf_str(&plain), &packed);
    struct tw_str good = tw_buf_str(&packed);
    ck_assert_int_eq(post(good, "application/x-protobuf;proto=a.b", "snappy"), 415);
    unit_assert_contains(answer, "io.prometheus.write.v2.Request");
    ck_assert_int_eq(post(good, "application/x-protobuf", "gzip"), 415);
    unit_assert_contains(answer, "send snappy or zstd");
    ck_assert_int_eq(post(good, "application/x-protobuf", "zstd"), 400);
    unit_assert_contains(answer, "not Zstandard");
    ck_assert_int_eq(post(good, "text/plain", "snappy"), 415);
    ck_assert_int_eq(post(TW_STR("this is no snappy"), WIRE_WRITE_CONTENT_TYPE, "snappy"), 400);
    ck_assert_int_eq(post(TW_STR(""), WIRE_WRITE_CONTENT_TYPE, "snappy"), 400);
    /* 4 GB are declared */
    ck_assert_int_eq(post(TW_STR("\xff\xff\xff\xff\x0f...."), WIRE_WRITE_CONTENT_TYPE, "snappy"),
                     413);
    for (size_t size = 1; size < plain.size; size++) {
        struct tw_buf cut;
        tw_buf_init(&cut, 4096);
        tw_buf_append(&cut, plain.data, size);
        ck_assert_int_eq(post_plain(&cut), 400);
        tw_buf_fini(&cut);
    }
    store_assert(db, "up", 0, 5000, ""); /* nothing of a malformed request is kept */
    ck_assert_int_eq(post(good, "application/x-protobuf", "snappy"), 204);
    ck_assert_int_eq(post(good, "", "snappy"), 204);
    tw_buf_fini(&packed);
    tw_buf_fini(&plain);
    stop();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(stores_a_request),
                                      UNIT_CASE(stores_a_request_in_zstd),
                                      UNIT_CASE(stores_a_large_request),
                                      UNIT_CASE(any_order_of_series_is_recognised),
                                      UNIT_CASE(keeps_the_good_part),
                                      UNIT_CASE(histograms_are_stored),
                                      UNIT_CASE(metadata_is_stored),
                                      UNIT_CASE(overload_is_told),
                                      UNIT_CASE(starts_become_zeros_where_that_is_on),
                                      UNIT_CASE(stores_version_2),
                                      UNIT_CASE(refuses_bad_version_2),
                                      UNIT_CASE(refuses_what_it_cannot_read),
                                      {0}};
    return unit_run("tsdb/receiver", cases);
}
