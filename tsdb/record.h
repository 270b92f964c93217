/* SPDX-License-Identifier: Apache-2.0
 *
 * record: one request as the log keeps it: the series that are new to the segment, with their
 * labels, and the samples, each value as its difference from what the segment last had for the
 * series. docs/format/log.md draws the bytes.
 *
 * A record is read in the context of all records before it in its segment, by replaying it into
 * the head that belongs to the segment.
 *
 * Threads: under the lock that guards the head.
 */
#ifndef TW_TSDB_RECORD_H
#define TW_TSDB_RECORD_H

#include "base/buf.h"
#include "tsdb/head.h"

struct tsdb_record_sample {
    uint32_t series;
    int64_t time_ms;
    uint64_t bits;
};

/* What the segment knows already. Zero for a new one. */
struct tsdb_record_state {
    uint32_t series_count;
    uint32_t string_count; /* of the head's index; its empty string 0 is known always */
};

/* Appends a record: every series of the head that is not registered yet, then the samples. */
void tsdb_record_encode(struct tsdb_head *head, struct tsdb_record_state *state,
                        const struct tsdb_record_sample *samples, size_t count, struct tw_buf *ret);
/* Applies a record to the head; TW_CORRUPT for what no encoder makes. */
TW_MUST_CHECK enum tw_code tsdb_record_replay(struct tsdb_head *head, struct tw_str record,
                                              struct tw_err *err);

#endif
