/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_live: a running store verified (verify.h) without a pause of writes or queries. What is in
 * memory is moved into partitions first. Then each file is copied as of one moment, the copy looked
 * at by a child process and removed again, so that only the largest file needs room twice; it
 * counts against tsdb_db_options.size_max. Files that were set aside as damaged are looked at where
 * they are. What comes meanwhile is in the log, whose segments are not looked at: replaying them
 * checks them.
 *
 * Threads: any; one verification at a time.
 */
#ifndef TW_TSDB_VERIFY_LIVE_H
#define TW_TSDB_VERIFY_LIVE_H

#include "tsdb/db.h"
#include "tsdb/state.h"
#include "tsdb/verify.h"

/* state may be NULL. TW_OK also when files are damaged; TW_CONFLICT while another one is under way,
 * TW_NO_SPACE when a copy would not fit, TW_CANCELLED when the context is cancelled. */
TW_MUST_CHECK enum tw_code tsdb_verify_live_run(struct tsdb_db *db, struct tsdb_state *state,
                                                const struct tw_context *context,
                                                struct tsdb_verify_report *ret, struct tw_err *err);
/* Removes what a verification left that a crash ended. */
TW_MUST_CHECK enum tw_code tsdb_verify_live_clean(struct tsdb_db *db, struct tw_err *err);

#endif
