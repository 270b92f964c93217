/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_guard: what LMDB calls wrong. Its numbers become errors that name the file; an assertion of
 * its own leaves the call, where that can be done.
 */
#include "config.h"

#include "tsdb/lmdb_int.h"

#include <errno.h>
#include <setjmp.h>

enum tw_code tsdb_env_fail(const struct tsdb_env *env, int number, const char *what,
                           struct tw_err *err)
{
    const char *path = env->path;
    switch (number) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return tw_err_set(err, TW_BUSY, "'%s': %s: the map is full", path, what);
    case MDB_READERS_FULL:
        return tw_err_set(err, TW_OVERLOAD, "'%s': %s: too many readers at once", path, what);
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return tw_err_set(err, TW_CORRUPT, "'%s': %s: not an LMDB file of a version that is known",
                          path, what);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
        return tw_err_set(err, TW_CORRUPT, "'%s': %s: %s", path, what, mdb_strerror(number));
    case EFBIG:
    case EDQUOT:
    case ENOSPC:
        return tw_err_errno(err, ENOSPC, "'%s': %s", path, what);
    default:
        if (number < 0)
            return tw_err_set(err, TW_IO, "'%s': %s: %s", path, what, mdb_strerror(number));
        return tw_err_errno(err, number, "'%s': %s", path, what);
    }
}

/* ---- LMDB's assertions ---- */

/* Its pages are checked when a file is opened; what is damaged later and trips an assertion of
 * LMDB's is not to end the process where that can be avoided: the call is left, the transaction
 * aborted. */
static _Thread_local jmp_buf *assert_exit;

void tsdb_env_leave_call(MDB_env *mdb, const char *text)
{
    (void)mdb, (void)text;
    if (assert_exit)
        longjmp(*assert_exit, 1);
}

int tsdb_env_guarded_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value)
{
    jmp_buf jump;
    int number = MDB_CORRUPTED;
    if (setjmp(jump) == 0) {
        assert_exit = &jump;
        number = mdb_get(txn, dbi, key, value);
    }
    assert_exit = NULL;
    return number;
}

int tsdb_env_guarded_move(MDB_cursor *cursor, MDB_val *key, MDB_val *value, MDB_cursor_op op)
{
    jmp_buf jump;
    int number = MDB_CORRUPTED;
    if (setjmp(jump) == 0) {
        assert_exit = &jump;
        number = mdb_cursor_get(cursor, key, value, op);
    }
    assert_exit = NULL;
    return number;
}

int tsdb_env_guarded_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags)
{
    jmp_buf jump;
    int number = MDB_CORRUPTED;
    if (setjmp(jump) == 0) {
        assert_exit = &jump;
        number = mdb_put(txn, dbi, key, value, flags);
    }
    assert_exit = NULL;
    return number;
}
