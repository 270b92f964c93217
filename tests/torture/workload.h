/* SPDX-License-Identifier: Apache-2.0
 *
 * workload: a script of everything that a store is asked to do (ingest, new series, native
 * histograms, exemplars, late and overwritten samples, deletions, metadata, state, flush, rewriting, retention, reopening), and the
 * knowledge of what was acknowledged when. The store lies in FOLDER/data, the state in
 * FOLDER/data/state.
 *
 * The script is the same each time, so that the n-th write of one run is the n-th of the next.
 *
 * What a check demands at a position p of the recording (disk.h):
 *   - the last version of a sample that was acknowledged before p, or a later one that was begun
 *     before p, is there, bit for bit; unless retention or a deletion may have taken it;
 *   - what an acknowledged deletion took is gone;
 *   - nothing is there that was never written;
 *   - a transaction of the state is there as a whole or not at all, and when acknowledged, it is;
 *   - acknowledged metadata is there, and acknowledged exemplars;
 *   - verify (tsdb/verify.h) finds nothing, before and after the folder was opened.
 */
#ifndef TW_TESTS_TORTURE_WORKLOAD_H
#define TW_TESTS_TORTURE_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>

#define WORKLOAD_WHY_BYTES 1024

/* Runs the script in the watched folder, whatever fails; then tells the disk to fail no more and
 * demands that the store works again without having been reopened, that all is there, and all is
 * there after reopening. False with the reason. */
bool workload_run(const char *folder, char *why);
/* Opens the folder (a power cut's leftover, or the original) and checks it as of the position. */
bool workload_check(const char *folder, size_t position, char *why);
/* Samples acknowledged by the last run. */
size_t workload_acknowledged(void);
void workload_fini(void);

#endif
