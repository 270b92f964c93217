/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/answer_text.h"

#include <string.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/number.h"
#include "query/answer.h"
#include "query/histogram_json.h"
#include "query/histogram_value.h"
#include "query/tally.h"

#define POINT_BYTES_MAX (QUERY_ANSWER_TIME_BYTES + TW_DOUBLE_BYTES + 8)
/* Points for which room is made at once. */
#define POINTS_AT_ONCE 32
/* What is reckoned for them when pieces are cut. */
#define POINT_BYTES 32
#define LABEL_BYTES 32
#define SERIES_BYTES 40
#define HISTOGRAM_BYTES 100
#define BUCKET_BYTES 64

struct query_answer_text query_answer_text(const struct query_result *result,
                                           const struct query_answer_options *options)
{
    bool has_series = result->type == QUERY_VECTOR || result->type == QUERY_MATRIX;
    struct query_answer_text text = {.result = result, .options = *options};
    text.series_count = has_series ? result->count : 0;
    if (options->series_max && options->series_max < text.series_count)
        text.series_count = options->series_max;
    return text;
}

/* ---- places ---- */

bool query_answer_is_end(const struct query_answer_text *text, struct query_answer_place place)
{
    return place.series == text->series_count;
}

struct query_answer_place query_answer_next(const struct query_answer_text *text,
                                            struct query_answer_place from, size_t bytes)
{
    struct query_answer_place at = from;
    size_t cost = 0;
    while (at.series < text->series_count && cost < bytes) {
        const struct query_series *series = &text->result->series[at.series];
        if (at.point == 0)
            cost += SERIES_BYTES + series->labels.count * LABEL_BYTES;
        if (at.point < series->count) {
            size_t left = series->count - at.point;
            size_t fitting = cost < bytes ? (bytes - cost) / POINT_BYTES + 1 : 1;
            fitting = fitting < left ? fitting : left;
            at.point += fitting;
            cost += fitting * POINT_BYTES;
        } else if (at.point < series->count + series->histogram_count) {
            const struct query_histogram_point *point =
                &series->histograms[at.point++ - series->count];
            cost += HISTOGRAM_BYTES + query_histogram_positions(point->histogram) * BUCKET_BYTES;
        }
        if (at.point == series->count + series->histogram_count)
            at = (struct query_answer_place){at.series + 1, 0};
    }
    return at;
}

/* ---- points ---- */

/* What the points before were written as: times differ in their last digits, values often not at
 * all. */
struct pen {
    uint64_t ten_thousands; /* of seconds */
    char high[TW_UINT64_BYTES];
    size_t high_size;
    uint64_t bits;
    const char *value; /* where it was written; NULL: nowhere yet */
    size_t value_size;
};

static char *put_two(unsigned number, char *out)
{
    out[0] = (char)('0' + number / 10);
    out[1] = (char)('0' + number % 10);
    return out + 2;
}

static char *put_time(struct pen *pen, int64_t time_ms, char *out)
{
    uint64_t seconds = (uint64_t)time_ms / 1000, ten_thousands = seconds / 10000;
    unsigned low = (unsigned)(seconds % 10000), fraction = (unsigned)((uint64_t)time_ms % 1000);
    if (time_ms < 0 || ten_thousands == 0)
        return out + query_answer_time(time_ms, out);
    if (ten_thousands != pen->ten_thousands) {
        pen->ten_thousands = ten_thousands;
        pen->high_size = tw_uint64_format(ten_thousands, pen->high);
    }
    memcpy(out, pen->high, sizeof pen->high);
    out = put_two(low % 100, put_two(low / 100, out + pen->high_size));
    if (!fraction)
        return out;
    *out++ = '.';
    *out++ = (char)('0' + fraction / 100);
    return put_two(fraction % 100, out);
}

static char *put_value(struct pen *pen, double value, char *out)
{
    uint64_t bits = tw_double_bits(value);
    if (pen->value && pen->bits == bits)
        memcpy(out, pen->value, pen->value_size);
    else
        pen->value_size = query_answer_value(value, out);
    pen->value = out;
    pen->bits = bits;
    return out + pen->value_size;
}

/* [1435781430.781,"1.5"], at most POINT_BYTES_MAX. */
static char *put_point(struct pen *pen, const struct query_point *point, char *out)
{
    *out++ = '[';
    out = put_time(pen, point->time_ms, out);
    *out++ = ',';
    *out++ = '"';
    out = put_value(pen, point->value, out);
    *out++ = '"';
    *out++ = ']';
    return out;
}

/* is_first: of their array. */
static void write_points(const struct query_point *points, size_t count, bool is_first,
                         struct tw_buf *ret)
{
    struct pen pen = {0};
    for (size_t done = 0; done < count;) {
        size_t limit = count - done < POINTS_AT_ONCE ? count : done + POINTS_AT_ONCE;
        char *begin = tw_buf_reserve(ret, (limit - done) * (POINT_BYTES_MAX + 1)), *out = begin;
        if (!begin)
            return;
        pen.value = NULL; /* the text may have moved */
        for (; done < limit; done++, is_first = false) {
            if (!is_first)
                *out++ = ',';
            out = put_point(&pen, &points[done], out);
        }
        ret->size += (size_t)(out - begin);
    }
}

static void write_histogram(const struct query_histogram_point *point, struct tw_buf *ret)
{
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, ret);
    query_histogram_write(&writer, point);
}

/* ---- series ---- */

static void write_labels(struct wire_labels labels, struct tw_buf *ret)
{
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, ret);
    query_answer_labels(&writer, labels);
}

static void write_vector_series(const struct query_series *series, struct tw_buf *ret)
{
    TW_ASSERT(series->count + series->histogram_count == 1);
    tw_buf_append_str(ret, TW_STR("{\"metric\":"));
    write_labels(series->labels, ret);
    if (series->count) {
        tw_buf_append_str(ret, TW_STR(",\"value\":"));
        write_points(series->points, 1, true, ret);
    } else {
        tw_buf_append_str(ret, TW_STR(",\"histogram\":"));
        write_histogram(&series->histograms[0], ret);
    }
    tw_buf_append_char(ret, '}');
}

/* Points [from, to) of a series, with what stands around them. */
static void write_matrix_series(const struct query_series *series, size_t from, size_t to,
                                struct tw_buf *ret)
{
    size_t total = series->count + series->histogram_count;
    if (from == 0) {
        tw_buf_append_str(ret, TW_STR("{\"metric\":"));
        write_labels(series->labels, ret);
        tw_buf_append_str(ret, series->count || !series->histogram_count
                                   ? TW_STR(",\"values\":[")
                                   : TW_STR(",\"histograms\":["));
    }
    if (from < series->count) {
        size_t limit = to < series->count ? to : series->count;
        write_points(series->points + from, limit - from, from == 0, ret);
        from = limit;
    }
    for (; from < to; from++) {
        if (from == series->count && series->count)
            tw_buf_append_str(ret, TW_STR("],\"histograms\":["));
        else if (from > series->count)
            tw_buf_append_char(ret, ',');
        write_histogram(&series->histograms[from - series->count], ret);
    }
    if (to == total)
        tw_buf_append_str(ret, TW_STR("]}"));
}

/* ---- head and tail ---- */

static void write_head(const struct query_answer_text *text, struct tw_buf *ret)
{
    static const char *const type_names[] = {"scalar", "vector", "matrix", "string"};
    const struct query_result *result = text->result;
    tw_buf_append_str(ret, TW_STR("{\"status\":\"success\",\"data\":{\"resultType\":\""));
    tw_buf_append_cstr(ret, type_names[result->type]);
    tw_buf_append_str(ret, TW_STR("\",\"result\":"));
    if (result->type == QUERY_VECTOR || result->type == QUERY_MATRIX) {
        tw_buf_append_char(ret, '[');
        return;
    }
    TW_ASSERT(result->count == 1 && result->series[0].count == 1);
    if (result->type == QUERY_SCALAR) {
        write_points(result->series[0].points, 1, true, ret);
        return;
    }
    char time_text[QUERY_ANSWER_TIME_BYTES];
    struct tw_json_writer writer;
    size_t size = query_answer_time(result->series[0].points[0].time_ms, time_text);
    tw_json_writer_init(&writer, ret);
    tw_json_begin_array(&writer);
    tw_json_write_raw(&writer, (struct tw_str){time_text, size});
    tw_json_write_str(&writer, result->string);
    tw_json_end_array(&writer);
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

static void write_stats(const struct query_answer_text *text, struct tw_json_writer *writer)
{
    const struct query_result *result = text->result;
    const struct query_timings *timings = &result->timings;
    int64_t evaluated_ns = timings->prepare_ns + timings->evaluate_ns + timings->sort_ns;
    tw_json_begin_object(writer);
    tw_json_key(writer, TW_STR("timings"));
    tw_json_begin_object(writer);
    member_seconds(writer, "evalTotalTime", evaluated_ns);
    member_seconds(writer, "resultSortTime", timings->sort_ns);
    member_seconds(writer, "queryPreparationTime", timings->prepare_ns);
    member_seconds(writer, "innerEvalTime", timings->evaluate_ns);
    member_seconds(writer, "execQueueTime", text->options.waited_ns);
    member_seconds(writer, "execTotalTime", text->options.waited_ns + evaluated_ns);
    tw_json_end_object(writer);
    tw_json_key(writer, TW_STR("samples"));
    tw_json_begin_object(writer);
    if (text->options.step_stats && result->tally)
        write_tally(writer, result->tally);
    tw_json_member_int(writer, "totalQueryableSamples",
                       result->tally ? (int64_t)result->tally->total : 0);
    tw_json_member_int(writer, "samplesRead", (int64_t)result->samples_read);
    tw_json_member_int(writer, "peakSamples", (int64_t)result->peak_samples);
    tw_json_end_object(writer);
    tw_json_end_object(writer);
}

static void write_strings(const char *key, const struct tw_str *items, size_t count,
                          const char *extra, struct tw_buf *ret)
{
    struct tw_json_writer writer;
    if (count == 0 && !extra)
        return;
    tw_buf_append_str(ret, TW_STR(",\""));
    tw_buf_append_cstr(ret, key);
    tw_buf_append_str(ret, TW_STR("\":"));
    tw_json_writer_init(&writer, ret);
    tw_json_begin_array(&writer);
    for (size_t i = 0; i < count; i++)
        tw_json_write_str(&writer, items[i]);
    if (extra)
        tw_json_write_cstr(&writer, extra);
    tw_json_end_array(&writer);
}

static void write_tail(const struct query_answer_text *text, struct tw_buf *ret)
{
    const struct query_result *result = text->result;
    bool has_series = result->type == QUERY_VECTOR || result->type == QUERY_MATRIX;
    bool is_cut = has_series && text->series_count < result->count;
    if (has_series)
        tw_buf_append_char(ret, ']');
    if (text->options.stats) {
        struct tw_json_writer writer;
        tw_buf_append_str(ret, TW_STR(",\"stats\":"));
        tw_json_writer_init(&writer, ret);
        write_stats(text, &writer);
    }
    tw_buf_append_char(ret, '}');
    write_strings("warnings", result->warnings, result->warning_count,
                  is_cut ? "results truncated due to limit" : NULL, ret);
    write_strings("infos", result->infos, result->info_count, NULL, ret);
    tw_buf_append_char(ret, '}');
}

void query_answer_write(const struct query_answer_text *text, struct query_answer_place from,
                        struct query_answer_place to, struct tw_buf *ret)
{
    if (from.series == 0 && from.point == 0)
        write_head(text, ret);
    while (from.series < to.series || from.point < to.point) {
        const struct query_series *series = &text->result->series[from.series];
        size_t total = series->count + series->histogram_count;
        size_t limit = from.series == to.series ? to.point : total;
        if (from.series > 0 && from.point == 0)
            tw_buf_append_char(ret, ',');
        if (text->result->type == QUERY_VECTOR)
            write_vector_series(series, ret);
        else
            write_matrix_series(series, from.point, limit, ret);
        from.point = limit;
        if (limit == total)
            from = (struct query_answer_place){from.series + 1, 0};
    }
    if (query_answer_is_end(text, to))
        write_tail(text, ret);
}
