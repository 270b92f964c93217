/* SPDX-License-Identifier: Apache-2.0
 *
 * spool: rounds that the server has not taken yet, on disk: docs/format/spool.md draws the files.
 * First in, first out. Its size is bounded: over it, the oldest file goes, and what it held is
 * counted.
 *
 * A round that was appended survives the end of the process however it ends (it is in the
 * kernel's hands), and a power cut once agent_spool_sync returned. A file is never appended to by a
 * second process: after a start new rounds go to a new file. What is delivered twice after a crash
 * is the last batch at most.
 *
 * Threads: one appends (the sampler's), one reads (the shipper's); a lock inside.
 */
#ifndef TW_COLLECTOR_SPOOL_H
#define TW_COLLECTOR_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "collector/round.h"

/* A file is closed at this size: the unit of dropping. */
#define AGENT_SPOOL_FILE_BYTES ((uint64_t)1 << 20)
#define AGENT_SPOOL_BYTES_MIN (4 * AGENT_SPOOL_FILE_BYTES)

struct agent_spool;

struct agent_spool_counts {
    uint64_t bytes, files;    /* on disk now */
    uint64_t rounds_appended; /* since the start */
    uint64_t rounds_dropped;  /* not read before their file had to go */
    uint64_t files_damaged;   /* a record of theirs could not be read: its rest is lost */
};

/* folder is made if missing; what an earlier process left there is taken over. */
TW_MUST_CHECK enum tw_code agent_spool_open(const char *folder, uint64_t bytes_max,
                                            struct agent_spool **ret_spool, struct tw_err *err);
struct agent_spool *agent_spool_close(struct agent_spool *spool); /* returns NULL */

TW_MUST_CHECK enum tw_code agent_spool_append(struct agent_spool *spool,
                                              const struct agent_round *round, struct tw_err *err);
/* Makes durable what was appended before. */
TW_MUST_CHECK enum tw_code agent_spool_sync(struct agent_spool *spool, struct tw_err *err);
bool agent_spool_is_empty(struct agent_spool *spool);

struct agent_spool_batch {
    uint32_t rounds;
    uint64_t samples;
    int64_t first_ms, last_ms;
};

/* The oldest rounds not yet done, at most rounds_max, as a remote_write body (appended). rounds 0
 * when there is nothing. The same ones come again until agent_spool_done. Damage is skipped and
 * counted. */
TW_MUST_CHECK enum tw_code agent_spool_read(struct agent_spool *spool, uint32_t rounds_max,
                                            struct tw_buf *ret_body,
                                            struct agent_spool_batch *ret_batch,
                                            struct tw_err *err);
/* The batch that was read last needs no keeping: delivered, or refused for good. */
void agent_spool_done(struct agent_spool *spool);

void agent_spool_get_counts(struct agent_spool *spool, struct agent_spool_counts *ret_counts);

#endif
