/* SPDX-License-Identifier: Apache-2.0
 *
 * state: what the server must remember that is not samples: alert state, notifications sent and not
 * yet sent, scaler decisions and models. One small transactional store of its own (an LMDB
 * environment); each module owns its tables and their record layout.
 *
 * A table is a short name; keys are bytes, ordered as memcmp orders them, 1 to
 * TSDB_STATE_KEY_BYTES_MAX. Values carry length and CRC32C; a damaged one reads as TW_CORRUPT and
 * never as something else. A commit that returned TW_OK survives a power cut.
 *
 * Threads: any; write transactions wait for each other. A transaction belongs to its thread, a
 * thread has at most one.
 */
#ifndef TW_TSDB_STATE_H
#define TW_TSDB_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define TSDB_STATE_KEY_BYTES_MAX 400
#define TSDB_STATE_TABLE_BYTES_MAX 32
#define TSDB_STATE_VALUE_BYTES_MAX (4 << 20)

struct tsdb_env_format;
struct tsdb_state;
struct tsdb_state_txn;

extern const struct tsdb_env_format tsdb_state_format;

/* folder is made if missing. */
TW_MUST_CHECK enum tw_code tsdb_state_open(const char *folder, struct tsdb_state **ret_state,
                                           struct tw_err *err);
struct tsdb_state *tsdb_state_close(struct tsdb_state *state); /* returns NULL */

/* Makes folder, which is missing, and in it a state with what is committed at this moment. */
TW_MUST_CHECK enum tw_code tsdb_state_copy(struct tsdb_state *state, const char *folder,
                                           struct tw_err *err);

/* For copying it elsewhere. */
struct tsdb_env *tsdb_state_env(struct tsdb_state *state);

TW_MUST_CHECK enum tw_code tsdb_state_begin(struct tsdb_state *state, bool write,
                                            struct tsdb_state_txn **ret_txn, struct tw_err *err);
/* Durable when it returns TW_OK; the transaction is over either way. */
TW_MUST_CHECK enum tw_code tsdb_state_commit(struct tsdb_state_txn *txn, struct tw_err *err);
void tsdb_state_abort(struct tsdb_state_txn *txn); /* NULL is fine */

TW_MUST_CHECK enum tw_code tsdb_state_put(struct tsdb_state_txn *txn, const char *table,
                                          struct tw_str key, struct tw_str value,
                                          struct tw_err *err);
/* TW_NOT_FOUND if it is not there. The value lives until the next write in, or the end of, txn. */
TW_MUST_CHECK enum tw_code tsdb_state_get(struct tsdb_state_txn *txn, const char *table,
                                          struct tw_str key, struct tw_str *ret_value,
                                          struct tw_err *err);
/* Fine if it is not there. */
TW_MUST_CHECK enum tw_code tsdb_state_delete(struct tsdb_state_txn *txn, const char *table,
                                             struct tw_str key, struct tw_err *err);
/* Calls visit for each key of the table that starts with prefix, from `from` on (empty = from the
 * first; reverse: from the last), in order, until it returns false. visit may not write. */
typedef bool tsdb_state_visit(void *user, struct tw_str key, struct tw_str value);
TW_MUST_CHECK enum tw_code tsdb_state_each(struct tsdb_state_txn *txn, const char *table,
                                           struct tw_str prefix, struct tw_str from, bool reverse,
                                           tsdb_state_visit *visit, void *user, struct tw_err *err);

#endif
