/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/number.h"
#include "query/histogram_json.h"
#include "query/tally.h"

/* What is written in one go before the sender gets its turn. */
#define PIECE_BYTES ((size_t)64 << 10)
/* One series' labels can pass a piece: the largest set, each byte escaped as \u00XX. */
/* A native histogram of as many buckets as one may have. */
#define HISTOGRAM_BYTES_MAX ((size_t)2 * WIRE_HISTOGRAM_BUCKETS_MAX * 96)
#define BUFFER_BYTES_MAX                                                                           \
    (HISTOGRAM_BYTES_MAX + PIECE_BYTES + 8 * (size_t)WIRE_LABELS_BYTES_MAX + (1 << 20))

#define POINT_BYTES_MAX (QUERY_ANSWER_TIME_BYTES + TW_DOUBLE_BYTES + 8)

enum phase { PHASE_HEAD, PHASE_SERIES, PHASE_POINTS, PHASE_TAIL, PHASE_DONE };

struct answer {
    struct query_result *result;
    struct query_answer_options options;
    struct tw_buf text;
    struct tw_json_writer writer;
    enum phase phase;
    size_t series, series_count;
    size_t point;    /* of the series: numbers, then histograms */
    bool histograms; /* the array of histograms is begun */
    size_t sent;     /* bytes of text that are with the sender already */
};

size_t query_answer_time(int64_t time_ms, char *ret_text)
{
    uint64_t magnitude = time_ms < 0 ? -(uint64_t)time_ms : (uint64_t)time_ms;
    unsigned fraction = (unsigned)(magnitude % 1000);
    char *out = ret_text;
    if (time_ms < 0)
        *out++ = '-';
    out += tw_uint64_format(magnitude / 1000, out);
    if (fraction) {
        *out++ = '.';
        for (unsigned unit = 100; unit > 0; fraction %= unit, unit /= 10)
            *out++ = (char)('0' + fraction / unit);
    }
    *out = 0;
    return (size_t)(out - ret_text);
}

void query_answer_labels(struct tw_json_writer *writer, struct wire_labels labels)
{
    tw_json_begin_object(writer);
    for (size_t i = 0; i < labels.count; i++) {
        tw_json_key(writer, labels.items[i].name);
        tw_json_write_str(writer, labels.items[i].value);
    }
    tw_json_end_object(writer);
}

size_t query_answer_value(double value, char *ret_text)
{
    double magnitude = fabs(value);
    bool exponent = magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21);
    return exponent ? tw_double_format_general(value, ret_text)
                    : tw_double_format_fixed(value, ret_text);
}

/* [1435781430.781,"1.5"], as text of at most POINT_BYTES_MAX. */
static size_t format_point(const struct query_point *point, char *ret_text)
{
    size_t size = 0;
    ret_text[size++] = '[';
    size += query_answer_time(point->time_ms, ret_text + size);
    ret_text[size++] = ',';
    ret_text[size++] = '"';
    size += query_answer_value(point->value, ret_text + size);
    ret_text[size++] = '"';
    ret_text[size++] = ']';
    return size;
}

static void write_point(struct tw_json_writer *writer, const struct query_point *point)
{
    char text[POINT_BYTES_MAX];
    tw_json_write_raw(writer, (struct tw_str){text, format_point(point, text)});
}

/* As many as the text has room for; returns how many. count > 0. */
static size_t write_some_points(struct tw_json_writer *writer, const struct query_point *points,
                                size_t count)
{
    char text[8 * POINT_BYTES_MAX];
    size_t done = 0, size = 0;
    while (done < count && size + 1 + POINT_BYTES_MAX <= sizeof text) {
        if (done > 0)
            text[size++] = ',';
        size += format_point(&points[done++], text + size);
    }
    tw_json_write_raw(writer, (struct tw_str){text, size});
    return done;
}

static void write_string_result(struct answer *answer)
{
    char time_text[QUERY_ANSWER_TIME_BYTES];
    const struct query_result *result = answer->result;
    TW_ASSERT(result->count == 1 && result->series[0].count == 1);
    size_t size = query_answer_time(result->series[0].points[0].time_ms, time_text);
    tw_json_begin_array(&answer->writer);
    tw_json_write_raw(&answer->writer, (struct tw_str){time_text, size});
    tw_json_write_str(&answer->writer, result->string);
    tw_json_end_array(&answer->writer);
}

static void write_head(struct answer *answer)
{
    static const char *const type_names[] = {"scalar", "vector", "matrix", "string"};
    struct tw_json_writer *writer = &answer->writer;
    const struct query_result *result = answer->result;
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "status", "success");
    tw_json_key(writer, TW_STR("data"));
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "resultType", type_names[result->type]);
    tw_json_key(writer, TW_STR("result"));
    switch (result->type) {
    case QUERY_SCALAR:
        TW_ASSERT(result->count == 1 && result->series[0].count == 1);
        write_point(writer, &result->series[0].points[0]);
        answer->phase = PHASE_TAIL;
        return;
    case QUERY_STRING:
        write_string_result(answer);
        answer->phase = PHASE_TAIL;
        return;
    case QUERY_VECTOR:
    case QUERY_MATRIX:
        tw_json_begin_array(writer);
        answer->phase = PHASE_SERIES;
        return;
    }
}

static void begin_series(struct answer *answer)
{
    struct tw_json_writer *writer = &answer->writer;
    if (answer->series == answer->series_count) {
        tw_json_end_array(writer);
        answer->phase = PHASE_TAIL;
        return;
    }
    const struct query_series *series = &answer->result->series[answer->series];
    tw_json_begin_object(writer);
    tw_json_key(writer, TW_STR("metric"));
    query_answer_labels(writer, series->labels);
    if (answer->result->type == QUERY_VECTOR) {
        TW_ASSERT(series->count + series->histogram_count == 1);
        tw_json_key(writer, series->count ? TW_STR("value") : TW_STR("histogram"));
        if (series->count)
            write_point(writer, &series->points[0]);
        else
            query_histogram_write(writer, &series->histograms[0]);
        tw_json_end_object(writer);
        answer->series++;
        return;
    }
    answer->histograms = series->count == 0 && series->histogram_count > 0;
    tw_json_key(writer, answer->histograms ? TW_STR("histograms") : TW_STR("values"));
    tw_json_begin_array(writer);
    answer->point = 0;
    answer->phase = PHASE_POINTS;
}

/* Until the text holds at least `bytes`, or the series ends. */
static void write_points(struct answer *answer, size_t bytes)
{
    const struct query_series *series = &answer->result->series[answer->series];
    size_t count = answer->histograms ? series->histogram_count : series->count;
    while (answer->point < count && answer->text.size < bytes) {
        if (answer->histograms)
            query_histogram_write(&answer->writer, &series->histograms[answer->point++]);
        else
            answer->point += write_some_points(&answer->writer, series->points + answer->point,
                                               count - answer->point);
    }
    if (answer->point < count)
        return;
    tw_json_end_array(&answer->writer);
    if (!answer->histograms && series->histogram_count > 0) {
        tw_json_key(&answer->writer, TW_STR("histograms"));
        tw_json_begin_array(&answer->writer);
        answer->histograms = true;
        answer->point = 0;
        return;
    }
    tw_json_end_object(&answer->writer);
    answer->series++;
    answer->phase = PHASE_SERIES;
}

static void member_seconds(struct tw_json_writer *writer, const char *key, int64_t ns)
{
    tw_json_member_number(writer, key, (double)ns / 1e9);
}

static void write_tally(struct tw_json_writer *writer, const struct query_tally *tally)
{
    tw_json_key(writer, TW_STR("totalQueryableSamplesPerStep"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < tally->count; i++) {
        char text[QUERY_ANSWER_TIME_BYTES];
        size_t size = query_answer_time(tally->start_ms + (int64_t)i * tally->step_ms, text);
        tw_json_begin_array(writer);
        tw_json_write_raw(writer, (struct tw_str){text, size});
        tw_json_write_int(writer, (int64_t)tally->steps[i]);
        tw_json_end_array(writer);
    }
    tw_json_end_array(writer);
}

static void write_stats(struct answer *answer)
{
    struct tw_json_writer *writer = &answer->writer;
    const struct query_result *result = answer->result;
    const struct query_timings *timings = &result->timings;
    int64_t evaluated_ns = timings->prepare_ns + timings->evaluate_ns + timings->sort_ns;
    tw_json_key(writer, TW_STR("stats"));
    tw_json_begin_object(writer);
    tw_json_key(writer, TW_STR("timings"));
    tw_json_begin_object(writer);
    member_seconds(writer, "evalTotalTime", evaluated_ns);
    member_seconds(writer, "resultSortTime", timings->sort_ns);
    member_seconds(writer, "queryPreparationTime", timings->prepare_ns);
    member_seconds(writer, "innerEvalTime", timings->evaluate_ns);
    member_seconds(writer, "execQueueTime", answer->options.waited_ns);
    member_seconds(writer, "execTotalTime", answer->options.waited_ns + evaluated_ns);
    tw_json_end_object(writer);
    tw_json_key(writer, TW_STR("samples"));
    tw_json_begin_object(writer);
    if (answer->options.step_stats && result->tally)
        write_tally(writer, result->tally);
    tw_json_member_int(writer, "totalQueryableSamples",
                       result->tally ? (int64_t)result->tally->total : 0);
    tw_json_member_int(writer, "samplesRead", (int64_t)result->samples_read);
    tw_json_member_int(writer, "peakSamples", (int64_t)result->peak_samples);
    tw_json_end_object(writer);
    tw_json_end_object(writer);
}

static void write_strings(struct answer *answer, const char *key, const struct tw_str *items,
                          size_t count, const char *extra)
{
    if (count == 0 && !extra)
        return;
    struct tw_json_writer *writer = &answer->writer;
    tw_json_key(writer, tw_str(key));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < count; i++)
        tw_json_write_str(writer, items[i]);
    if (extra)
        tw_json_write_cstr(writer, extra);
    tw_json_end_array(writer);
}

static void write_tail(struct answer *answer)
{
    const struct query_result *result = answer->result;
    if (answer->options.stats)
        write_stats(answer);
    tw_json_end_object(&answer->writer);
    bool cut = answer->series_count < result->count && answer->result->type != QUERY_SCALAR;
    write_strings(answer, "warnings", result->warnings, result->warning_count,
                  cut ? "results truncated due to limit" : NULL);
    write_strings(answer, "infos", result->infos, result->info_count, NULL);
    tw_json_end_object(&answer->writer);
    answer->phase = PHASE_DONE;
}

/* Writes until the text holds at least `bytes` or all is written. */
static void write_until(struct answer *answer, size_t bytes)
{
    while (answer->phase != PHASE_DONE && answer->text.size < bytes) {
        switch (answer->phase) {
        case PHASE_HEAD:
            write_head(answer);
            break;
        case PHASE_SERIES:
            begin_series(answer);
            break;
        case PHASE_POINTS:
            write_points(answer, bytes);
            break;
        case PHASE_TAIL:
            write_tail(answer);
            break;
        case PHASE_DONE:
            break;
        }
    }
}

static ssize_t produce(void *user, char *ret_bytes, size_t capacity)
{
    struct answer *answer = user;
    if (answer->sent == answer->text.size) {
        tw_buf_clear(&answer->text);
        answer->sent = 0;
        write_until(answer, PIECE_BYTES);
    }
    if (answer->text.overflow)
        return -1;
    size_t left = answer->text.size - answer->sent;
    size_t count = left < capacity ? left : capacity;
    if (count)
        memcpy(ret_bytes, answer->text.data + answer->sent, count);
    answer->sent += count;
    return (ssize_t)count;
}

static void end(void *user)
{
    struct answer *answer = user;
    query_result_free(answer->result);
    tw_buf_fini(&answer->text);
    free(answer);
}

void query_answer_give(struct tw_http_exchange *exchange, struct query_result *result,
                       const struct query_answer_options *options)
{
    struct answer *answer = calloc(1, sizeof *answer);
    TW_ASSERT(answer != NULL);
    answer->result = result;
    answer->options = *options;
    answer->series_count = result->count;
    if (options->series_max && options->series_max < result->count)
        answer->series_count = options->series_max;
    tw_buf_init(&answer->text, QUERY_ANSWER_INLINE_BYTES + BUFFER_BYTES_MAX);
    tw_json_writer_init(&answer->writer, &answer->text);
    while (answer->phase != PHASE_DONE && answer->text.size < QUERY_ANSWER_INLINE_BYTES)
        write_until(answer, answer->text.size + 1);
    struct tw_http_response *response = &exchange->response;
    if (answer->phase == PHASE_DONE && !answer->text.overflow) {
        tw_buf_append_str(&response->body, tw_buf_str(&answer->text));
        end(answer);
        return;
    }
    response->produce = produce;
    response->produce_end = end;
    response->produce_user = answer;
}
