/* SPDX-License-Identifier: Apache-2.0
 *
 * answer_text: a query result as JSON, in pieces that may be written in any order and by any
 * thread; one behind the other they are the answer.
 *
 *   {"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"],...
 *   |<- head                                                    |<- place {0, 0}       |<- {0, 1}
 *
 * A piece goes from one place to another: the first has the head as well, the last what follows the
 * result. Where a piece ends is told without writing it.
 *
 * Threads: a text is not changed once it is made.
 */
#ifndef TW_QUERY_ANSWER_TEXT_H
#define TW_QUERY_ANSWER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "query/answer.h"
#include "query/engine.h"

struct query_answer_text {
    const struct query_result *result;
    struct query_answer_options options;
    size_t series_count; /* those of the result that are given */
};

struct query_answer_place {
    size_t series;
    size_t point; /* of the series: numbers, then histograms */
};

struct query_answer_text query_answer_text(const struct query_result *result,
                                           const struct query_answer_options *options);
/* The place behind a piece of about so many bytes that begins there. */
struct query_answer_place query_answer_next(const struct query_answer_text *text,
                                            struct query_answer_place from, size_t bytes);
/* Is the answer whole once all before this place is written? */
bool query_answer_is_end(const struct query_answer_text *text, struct query_answer_place place);
/* Appends a piece: from is where the one before ended; zero for the first. */
void query_answer_write(const struct query_answer_text *text, struct query_answer_place from,
                        struct query_answer_place to, struct tw_buf *ret);

#endif
