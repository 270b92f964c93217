/* SPDX-License-Identifier: Apache-2.0
 *
 * blobs: what a request has for its series beside plain numbers (native histograms, exemplars),
 * each already in the bytes in which the log keeps it; and the section of a record that they
 * become. docs/format/log.md draws it.
 *
 * Threads: plain data.
 */
#ifndef TW_TSDB_BLOBS_H
#define TW_TSDB_BLOBS_H

#include "base/buf.h"
#include "tsdb/codec.h"

struct tsdb_blob {
    int64_t time_ms;
    uint32_t series;
    uint32_t first, size; /* of its bytes */
};

/* Zero is an empty list. */
struct tsdb_blobs {
    struct tw_buf bytes;
    struct tsdb_blob *items;
    size_t count, capacity;
};

void tsdb_blobs_fini(struct tsdb_blobs *blobs);
void tsdb_blobs_clear(struct tsdb_blobs *blobs); /* lets go of much memory */
/* Where the next blob's bytes are appended, before tsdb_blobs_add. */
struct tw_buf *tsdb_blobs_buf(struct tsdb_blobs *blobs);
/* The bytes appended since the last blob are one of this series and time. */
void tsdb_blobs_add(struct tsdb_blobs *blobs, uint32_t series, int64_t time_ms);
struct tw_str tsdb_blobs_bytes(const struct tsdb_blobs *blobs, size_t index);

/* Appends the blobs from index first on as a section with this number; nothing if there are none.
 */
void tsdb_blobs_write(const struct tsdb_blobs *blobs, size_t first, char section,
                      struct tw_buf *ret);
/* Reads a section behind its number, calling visit for each blob until it returns false. False for
 * what no writer makes. */
typedef bool tsdb_blob_visit(void *user, uint64_t series, int64_t time_ms, struct tw_str bytes);
bool tsdb_blobs_read(struct tsdb_reader *reader, tsdb_blob_visit *visit, void *user);

#endif
