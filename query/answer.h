/* SPDX-License-Identifier: Apache-2.0
 *
 * answer: a query result as the JSON of the Prometheus HTTP API, written piece by piece, so that a
 * large answer never stands in memory as text beside the result itself.
 *
 *   {"status":"success","data":{"resultType":"matrix","result":[...]},"warnings":[...]}
 *
 * Small answers (up to QUERY_ANSWER_INLINE_BYTES) become the response's body; larger ones are
 * produced while they are sent, by the thread that sends and by one of the engine's helpers if
 * there is an idle one. Of a large answer a few pieces are in memory.
 *
 * Threads: an answer belongs to the exchange that it answers.
 */
#ifndef TW_QUERY_ANSWER_H
#define TW_QUERY_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/http.h"
#include "base/json.h"
#include "query/engine.h"

#define QUERY_ANSWER_INLINE_BYTES ((size_t)256 << 10)

struct query_answer_options {
    size_t series_max;             /* 0 = all; what is cut off is said in a warning */
    bool stats;                    /* add data.stats; the result has a tally */
    bool step_stats;               /* with the samples of each step */
    int64_t waited_ns;             /* before it was worked on */
    struct query_helpers *helpers; /* of the engine; NULL: none; they outlive the answer */
};

/* Fills the response; takes the result over and frees it when the answer has been sent. */
void query_answer_give(struct tw_http_exchange *exchange, struct query_result *result,
                       const struct query_answer_options *options);

/* {"a":"b"}, in the order of the labels. */
void query_answer_labels(struct tw_json_writer *writer, struct wire_labels labels);
/* 1435781430.781: seconds, three decimals when there is a fraction. Returns the length. */
#define QUERY_ANSWER_TIME_BYTES 32
size_t query_answer_time(int64_t time_ms, char *ret_text);
/* A value without its quotes: an exponent only for the very small and large, as Prometheus writes.
 * ret_text holds TW_DOUBLE_BYTES (base/number.h). Returns the length. */
size_t query_answer_value(double value, char *ret_text);

#endif
