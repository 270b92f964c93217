/* SPDX-License-Identifier: Apache-2.0
 *
 * remote_read: the messages of Prometheus's remote read, POST /api/v1/read: what is asked
 * (prometheus.ReadRequest), and the two kinds of answers, all samples in one message
 * (ReadResponse), or frames of chunks one behind the other (ChunkedReadResponse).
 *
 * A request may hold anything: every length is checked, unknown fields are skipped, groups are
 * refused, and what there may be many of is bounded.
 *
 * Answers are appended to a tw_buf, whose overflow is set when they outgrow it.
 *
 * Threads: plain data.
 */
#ifndef TW_WIRE_REMOTE_READ_H
#define TW_WIRE_REMOTE_READ_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "wire/chunk.h"
#include "wire/labels.h"

#define WIRE_READ_CONTENT_TYPE "application/x-protobuf"
#define WIRE_READ_STREAM_CONTENT_TYPE                                                              \
    "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
#define WIRE_READ_ENCODING "snappy"

#define WIRE_READ_QUERIES_MAX 1024
#define WIRE_READ_MATCHERS_MAX 1024 /* of one query */
#define WIRE_READ_TYPES_MAX 64

/* As numbered in prometheus.LabelMatcher.Type. */
enum wire_read_op { WIRE_READ_EQUAL, WIRE_READ_NOT_EQUAL, WIRE_READ_REGEX, WIRE_READ_NOT_REGEX };

struct wire_read_matcher {
    enum wire_read_op op;
    struct tw_str name, value;
};

struct wire_read_query {
    int64_t start_ms, end_ms; /* closed */
    const struct wire_read_matcher *matchers;
    size_t matcher_count;
    /* What the reader will do with it; advisory. */
    int64_t step_ms, range_ms;
    struct tw_str function;
};

/* As numbered in prometheus.ReadRequest.ResponseType. */
enum wire_read_type { WIRE_READ_SAMPLES, WIRE_READ_STREAMED_XOR_CHUNKS };

struct wire_read_request {
    const struct wire_read_query *queries;
    size_t query_count;
    /* What the reader takes, the best first; may have types that nobody knows. None: samples. */
    const uint64_t *types;
    size_t type_count;
};

/* Arrays in the arena, strings in the body. TW_BAD_DATA names the place. */
TW_MUST_CHECK enum tw_code wire_read_request_decode(struct tw_str body, struct tw_arena *arena,
                                                    struct wire_read_request *ret_request,
                                                    struct tw_err *err);
/* The first of the types that is known; TW_BAD_DATA in Prometheus's words when there is none. */
TW_MUST_CHECK enum tw_code wire_read_choose_type(const struct wire_read_request *request,
                                                 enum wire_read_type *ret_type, struct tw_err *err);

/* ---- samples: series (prometheus.TimeSeries) into a result, results into the answer ---- */
void wire_read_put_sample(struct tw_buf *ret_series, int64_t time_ms, double value);
void wire_read_put_histogram(struct tw_buf *ret_series, const struct wire_histogram *histogram);
/* series: labels (wire_write_put_labels) and samples. */
void wire_read_put_series(struct tw_buf *ret_result, struct tw_str series);
void wire_read_put_result(struct tw_buf *ret_answer, struct tw_str result);

/* ---- chunks ---- */

/* Readers need not take frames beyond this. One chunk of wide histograms may pass it. */
#define WIRE_READ_FRAME_BYTES ((size_t)1 << 20)

/* Appends a chunk to a series' fields, behind its labels. */
void wire_read_put_chunk(struct tw_buf *ret_series, enum wire_chunk_encoding encoding,
                         int64_t first_ms, int64_t last_ms, struct tw_str chunk);
/* Appends a frame with the one series: size, CRC-32C and message. */
void wire_read_put_frame(struct tw_buf *ret_answer, uint64_t query_index, struct tw_str series);

#endif
