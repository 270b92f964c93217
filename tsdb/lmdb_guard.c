/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_guard: what LMDB calls wrong. Its numbers become errors that name the file; an assertion of
 * its own leaves the call, where that can be done.
 */
#include "config.h"

#include "tsdb/lmdb_int.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>

#include "base/file.h"

/* A disk with less than this left is full. */
#define FULL_BYTES ((uint64_t)64 << 10)

/* ---- LMDB's assertions ---- */

/* Its pages are checked when a file is opened. What is damaged later and trips an assertion of
 * LMDB's, which would end the process, has the call left instead: it did not return, and neither
 * its transaction nor the environment are to be given to LMDB again but to be closed. */
static _Thread_local jmp_buf *assert_exit;
static _Thread_local char assert_text[128]; /* of the last one */

void tsdb_env_leave_call(MDB_env *mdb, const char *text)
{
    (void)mdb;
    if (!assert_exit)
        return; /* LMDB ends the process */
    snprintf(assert_text, sizeof assert_text, "%s", text);
    longjmp(*assert_exit, 1);
}

/* What a call is given; each uses what it needs. */
struct call {
    int (*run)(const struct call *call);
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_dbi dbi, *ret_dbi;
    const char *name;
    MDB_val *key, *value;
    MDB_cursor_op op;
    unsigned flags;
};

static int run_guarded(const struct call *call)
{
    jmp_buf jump;
    int number = TSDB_ENV_ASSERTED;
    if (setjmp(jump) == 0) {
        assert_exit = &jump;
        number = call->run(call);
    }
    assert_exit = NULL;
    return number;
}

static int run_get(const struct call *call)
{
    return mdb_get(call->txn, call->dbi, call->key, call->value);
}

static int run_move(const struct call *call)
{
    return mdb_cursor_get(call->cursor, call->key, call->value, call->op);
}

static int run_put(const struct call *call)
{
    return mdb_put(call->txn, call->dbi, call->key, call->value, call->flags);
}

static int run_delete(const struct call *call)
{
    return mdb_del(call->txn, call->dbi, call->key, NULL);
}

static int run_open(const struct call *call)
{
    return mdb_dbi_open(call->txn, call->name, call->flags, call->ret_dbi);
}

static int run_commit(const struct call *call)
{
    return mdb_txn_commit(call->txn);
}

int tsdb_env_guarded_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value)
{
    return run_guarded(
        &(struct call){.run = run_get, .txn = txn, .dbi = dbi, .key = key, .value = value});
}

int tsdb_env_guarded_move(MDB_cursor *cursor, MDB_val *key, MDB_val *value, MDB_cursor_op op)
{
    return run_guarded(
        &(struct call){.run = run_move, .cursor = cursor, .key = key, .value = value, .op = op});
}

int tsdb_env_guarded_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags)
{
    return run_guarded(&(struct call){
        .run = run_put, .txn = txn, .dbi = dbi, .key = key, .value = value, .flags = flags});
}

int tsdb_env_guarded_delete(MDB_txn *txn, MDB_dbi dbi, MDB_val *key)
{
    return run_guarded(&(struct call){.run = run_delete, .txn = txn, .dbi = dbi, .key = key});
}

int tsdb_env_guarded_open(MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *ret_dbi)
{
    return run_guarded(&(struct call){
        .run = run_open, .txn = txn, .name = name, .flags = flags, .ret_dbi = ret_dbi});
}

int tsdb_env_guarded_commit(MDB_txn *txn)
{
    return run_guarded(&(struct call){.run = run_commit, .txn = txn});
}

/* ---- numbers ---- */

enum tw_code tsdb_env_fail(const struct tsdb_env *env, int number, const char *what,
                           struct tw_err *err)
{
    const char *path = env->path;
    uint64_t free_bytes;
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
    case TSDB_ENV_ASSERTED:
        return tw_err_set(err, TW_CORRUPT, "'%s': %s: what LMDB reads in it cannot be: %s", path,
                          what, assert_text);
    case EFBIG:
    case EDQUOT:
    case ENOSPC:
        return tw_err_errno(err, ENOSPC, "'%s': %s", path, what);
    case EIO:
        /* LMDB's word for a write that stopped short, which is what a full disk makes of it. */
        if (tw_file_free_bytes(path, &free_bytes, NULL) == TW_OK && free_bytes < FULL_BYTES)
            number = ENOSPC;
        return tw_err_errno(err, number, "'%s': %s", path, what);
    default:
        if (number < 0)
            return tw_err_set(err, TW_IO, "'%s': %s: %s", path, what, mdb_strerror(number));
        return tw_err_errno(err, number, "'%s': %s", path, what);
    }
}
