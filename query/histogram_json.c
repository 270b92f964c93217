/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/histogram_json.h"

#include "base/number.h"
#include "query/answer.h"
#include "query/histogram_value.h"

static void write_number(struct tw_json_writer *writer, double value)
{
    char text[TW_DOUBLE_BYTES + 2] = "\"";
    size_t size = 1 + query_answer_value(value, text + 1);
    text[size++] = '"';
    tw_json_write_raw(writer, (struct tw_str){text, size});
}

static void write_bucket(struct tw_json_writer *writer, const struct query_bucket_view *view)
{
    int rule =
        view->lower_inclusive ? (view->upper_inclusive ? 3 : 1) : (view->upper_inclusive ? 0 : 2);
    tw_json_begin_array(writer);
    tw_json_write_int(writer, rule);
    write_number(writer, view->lower);
    write_number(writer, view->upper);
    write_number(writer, view->count);
    tw_json_end_array(writer);
}

void query_histogram_write(struct tw_json_writer *writer, const struct query_histogram_point *point)
{
    const struct query_histogram *histogram = point->histogram;
    char time_text[QUERY_ANSWER_TIME_BYTES];
    bool any = false;
    size_t size = query_answer_time(point->time_ms, time_text);
    tw_json_begin_array(writer);
    tw_json_write_raw(writer, (struct tw_str){time_text, size});
    tw_json_begin_object(writer);
    tw_json_key(writer, TW_STR("count"));
    write_number(writer, histogram->count);
    tw_json_key(writer, TW_STR("sum"));
    write_number(writer, histogram->sum);
    for (size_t i = 0; i < query_histogram_positions(histogram); i++) {
        struct query_bucket_view view;
        if (!query_histogram_view(histogram, i, &view) || view.count == 0)
            continue;
        if (!any) {
            tw_json_key(writer, TW_STR("buckets"));
            tw_json_begin_array(writer);
        }
        any = true;
        write_bucket(writer, &view);
    }
    if (any)
        tw_json_end_array(writer);
    tw_json_end_object(writer);
    tw_json_end_array(writer);
}
