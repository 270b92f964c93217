/* SPDX-License-Identifier: Apache-2.0
 *
 * log: what is acknowledged and not yet in a partition, on disk. A folder of segments; a segment is
 * one small LMDB file that belongs to one head, and is unlinked when the head's samples are in
 * partitions. docs/format/log.md draws the bytes.
 *
 * One append = one group of records = one durable commit. Groups are numbered from 1 in each
 * segment without a gap, so that a lost one is seen.
 *
 * Threads: a segment belongs to one thread at a time (the committer's).
 */
#ifndef TW_TSDB_LOG_H
#define TW_TSDB_LOG_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct tsdb_env_format;
struct tsdb_segment;

extern const struct tsdb_env_format tsdb_segment_format;

/* A new segment in the folder, durably there. */
TW_MUST_CHECK enum tw_code tsdb_segment_create(const char *folder, uint64_t number,
                                               struct tsdb_segment **ret_segment,
                                               struct tw_err *err);
struct tsdb_segment *tsdb_segment_close(struct tsdb_segment *segment); /* returns NULL */
/* Durable on TW_OK. After an error the segment takes nothing more: close it. */
TW_MUST_CHECK enum tw_code tsdb_segment_append(struct tsdb_segment *segment, struct tw_str group,
                                               struct tw_err *err);
/* That its file occupies. */
uint64_t tsdb_segment_bytes(const struct tsdb_segment *segment);
/* Unlinks a closed segment; durable. Fine if it is not there. */
TW_MUST_CHECK enum tw_code tsdb_segment_remove(const char *folder, uint64_t number,
                                               struct tw_err *err);

/* Numbers of the segments in the folder, ascending; free() the array. Leftovers of a segment that
 * was never complete are removed. */
TW_MUST_CHECK enum tw_code tsdb_log_list(const char *folder, uint64_t **ret_numbers,
                                         size_t *ret_count, struct tw_err *err);
/* Calls visit for each group of a segment in order until it fails. */
typedef enum tw_code tsdb_log_visit(void *user, struct tw_str group, struct tw_err *err);
TW_MUST_CHECK enum tw_code tsdb_log_replay(const char *folder, uint64_t number,
                                           tsdb_log_visit *visit, void *user, struct tw_err *err);

#endif
