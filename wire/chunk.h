/* SPDX-License-Identifier: Apache-2.0
 *
 * chunk: runs of samples in the encodings of Prometheus's blocks, as its streamed remote read sends
 * them: XOR for numbers, and one each for integer and float histograms. docs/format/chunk.md draws
 * the bits.
 *
 * A histogram chunk has one layout (schema, spans, bounds), and from its second sample on says that
 * there was no counter reset; so a chunk ends where the layout changes or counts go down, and after
 * a stale marker.
 *
 * Threads: plain data.
 */
#ifndef TW_WIRE_CHUNK_H
#define TW_WIRE_CHUNK_H

#include "base/buf.h"
#include "wire/histogram.h"

/* As numbered in prometheus.Chunk.Encoding. */
enum wire_chunk_encoding {
    WIRE_CHUNK_XOR = 1,
    WIRE_CHUNK_HISTOGRAM = 2,
    WIRE_CHUNK_FLOAT_HISTOGRAM = 3
};

/* Samples of one chunk; what Prometheus cuts at, too. */
#define WIRE_CHUNK_SAMPLES_MAX 120

/* Appends a chunk of count samples, 1 to WIRE_CHUNK_SAMPLES_MAX, in ascending time. */
void wire_chunk_put_floats(const int64_t *times_ms, const double *values, size_t count,
                           struct tw_buf *ret_chunk);

/* How many of the histograms, from the first on, one chunk takes: at least 1. All are of one kind.
 */
size_t wire_chunk_fit(const struct wire_histogram *const *items, size_t count);
/* Appends a chunk of that many. before: the sample of the series in front of it, NULL when there is
 * none or it is not known. */
void wire_chunk_put_histograms(const struct wire_histogram *before,
                               const struct wire_histogram *const *items, size_t count,
                               struct tw_buf *ret_chunk);
/* Whether counting began anew between the two, which are of one kind; true too when the layout
 * changed, so that it cannot be told. */
bool wire_chunk_is_reset(const struct wire_histogram *before, const struct wire_histogram *after);

#endif
