/* SPDX-License-Identifier: Apache-2.0
 *
 * rewriter: reads a partition and writes what is to stay of it into a new file with one run, which
 * then takes its place. Merging runs, deleting samples and whatever else changes stored data is
 * this.
 *
 *   I1  The new file gets its name when all of it is durable, and the old one goes after that; so a
 *       crash at any moment leaves one of them that counts, and leftovers that the next start
 *       removes.
 *   I2  A run that is flushed into the partition meanwhile is in the new file as well: what came
 *       during the rewrite is carried over, the last of it while flushes into partitions wait.
 *   I3  The new partition remembers the numbers of all runs that went into it, so that a replay of
 *       one of them does nothing.
 *
 * Memory: the partition's index, and encoded samples of up to TSDB_REWRITE_SLICE_BYTES.
 * Threads: one rewrite at a time, on any thread; flushes and readers go on beside it.
 */
#ifndef TW_TSDB_REWRITER_H
#define TW_TSDB_REWRITER_H

#include "tsdb/partition.h"

#define TSDB_REWRITE_SLICE_BYTES ((size_t)16 << 20)

struct tsdb_rewrite {
    int64_t day;
    int64_t
        now_ms; /* kept as the time of the rewrite; what rules have removed by then is left out */
    /* What is to be left out, with a reference for the rewriter; asked once it has taken its view
     * of the partition, so that a tombstone that is older than a run there is in the list. NULL =
     * nothing is. */
    struct tsdb_erasers *(*erasers)(void *user);
    uint64_t flushed; /* all heads up to this number are in partitions */
    /* The step into which samples of a series are to be downsampled, 0 = they stay as they are.
     * NULL = all do. step_ms: the largest of them, which the partition keeps. */
    int64_t (*step)(void *user, int64_t day, int64_t now_ms, struct wire_labels labels);
    int64_t step_ms;
    /* True ends the rewrite with TW_CANCELLED; asked often. NULL = never. */
    bool (*cancelled)(void *user);
    void *user;
};

struct tsdb_rewrite_result {
    size_t runs_before;
    uint64_t bytes_before, bytes_after, samples;
    uint64_t closed; /* samples left out: their step was downsampled before they came */
};

/* Leaves out deleted samples and series that have none left. The partition as it was stays in place
 * on any error. TW_NOT_FOUND when there is none of the day.
 */
TW_MUST_CHECK enum tw_code tsdb_rewriter_run(struct tsdb_partitions *partitions,
                                             const struct tsdb_rewrite *rewrite,
                                             struct tsdb_rewrite_result *ret, struct tw_err *err);

#endif
