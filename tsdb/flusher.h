/* SPDX-License-Identifier: Apache-2.0
 *
 * flusher: a sealed head becomes runs in the partitions of its days: samples settled, cut at
 * windows, encoded; columns of timestamps shared.
 *
 * Threads: one at a time; the head is sealed.
 */
#ifndef TW_TSDB_FLUSHER_H
#define TW_TSDB_FLUSHER_H

#include "tsdb/head.h"
#include "tsdb/partition.h"

struct tsdb_flush_result {
    size_t partitions, blocks;
    uint64_t samples;
};

/* Durable on TW_OK. What an earlier try of the same head has written already is not written again.
 */
TW_MUST_CHECK enum tw_code tsdb_flusher_run(struct tsdb_partitions *partitions,
                                            struct tsdb_head *head, struct tsdb_flush_result *ret,
                                            struct tw_err *err);

#endif
