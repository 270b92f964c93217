/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot: a copy of a running store, below its folder:
 *
 *   FOLDER/snapshots/NAME/default/{partitions,state}/..., default/catalog.mdb
 *
 * It is a store of its own: complete or absent (it is made as NAME.tmp, synced, and renamed), and
 * may be copied to another machine. Everything that was acknowledged before tsdb_snapshot_take is
 * in it; of what comes during it, some may be. Writes and queries go on meanwhile.
 *
 * Partitions are shared with the store where the file system can: by blocks (reflink), else as hard
 * links, else they are copied. Late samples are written into partitions of any age, in place; one
 * that has two names is copied before that, and a rewrite makes a new file anyway, so that a snapshot
 * never changes. Files count against tsdb_db_options.size_max as if they were copies.
 *
 * Threads: any; a snapshot excludes rewrites, and other snapshots, while it is made.
 */
#ifndef TW_TSDB_SNAPSHOT_H
#define TW_TSDB_SNAPSHOT_H

#include "tsdb/db.h"
#include "tsdb/state.h"

#define TSDB_SNAPSHOTS_MAX 16
#define TSDB_SNAPSHOT_NAME_BYTES 48

struct tsdb_snapshot {
    char name[TSDB_SNAPSHOT_NAME_BYTES];
    uint64_t bytes;
};

/* state may be NULL. skip_head: only what is in partitions already. TW_LIMIT when there are
 * TSDB_SNAPSHOTS_MAX, TW_NO_SPACE when it would not fit. Waits. */
TW_MUST_CHECK enum tw_code tsdb_snapshot_take(struct tsdb_db *db, struct tsdb_state *state,
                                              bool skip_head, struct tsdb_snapshot *ret,
                                              struct tw_err *err);
/* Oldest first; at most TSDB_SNAPSHOTS_MAX, which ret has room for. */
TW_MUST_CHECK enum tw_code tsdb_snapshot_list(struct tsdb_db *db, struct tsdb_snapshot *ret,
                                              size_t *ret_count, struct tw_err *err);
TW_MUST_CHECK enum tw_code tsdb_snapshot_remove(struct tsdb_db *db, struct tw_str name,
                                                struct tw_err *err);

/* Before each file that is copied. */
typedef void tsdb_restore_progress(const char *path);
/* Makes a store in the folder `to` of a snapshot: copies, checks the copy as `tidewatch verify`
 * does, then puts it in place. TW_CONFLICT when there is a store already, unless replace, which
 * removes that one at the end. TW_BUSY when a server has it. The snapshot is only read. */
TW_MUST_CHECK enum tw_code tsdb_restore_run(const char *snapshot, const char *to, bool replace,
                                            tsdb_restore_progress *progress, struct tw_err *err);

#endif
