/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_guard: what LMDB calls wrong. Its numbers become errors that name the file; an assertion of
 * its own leaves the call, and so does a fault that reading a damaged file makes.
 */
#include "config.h"

#include "tsdb/lmdb_int.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

/* A disk with less than this left is full. */
#define FULL_BYTES ((uint64_t)64 << 10)

/* ---- what ends the process elsewhere ---- */

/* LMDB's pages are checked when a file is opened. What is damaged later may trip an assertion of
 * LMDB's, or lead it to memory that is not there: beyond the end of a file that was cut off
 * (SIGBUS), or anywhere (SIGSEGV). Either has the call left instead of ending the process: it did
 * not return, and neither its transaction, if it writes, nor the environment are to be given to
 * LMDB again but to be closed. */
static _Thread_local jmp_buf *call_exit;
static _Thread_local char exit_text[128]; /* why the last one was left */

/* Of the signals, what was there before us: it is for those who are in no call. */
static const int fault_signals[] = {SIGBUS, SIGSEGV};
#define FAULT_SIGNALS (sizeof fault_signals / sizeof *fault_signals)
static struct sigaction before[FAULT_SIGNALS];

void tsdb_env_leave_call(MDB_env *mdb, const char *text)
{
    (void)mdb;
    if (!call_exit)
        return; /* LMDB ends the process */
    snprintf(exit_text, sizeof exit_text, "%s", text);
    longjmp(*call_exit, 1);
}

static void set_exit_text(const char *text)
{
    size_t size = strlen(text) + 1; /* in a signal's handler: no printf */
    memcpy(exit_text, text, size < sizeof exit_text ? size : sizeof exit_text);
}

static void leave_at_fault(int number, siginfo_t *info, void *context)
{
    if (call_exit && info->si_code > 0) { /* the thread's own doing, and nobody's kill */
        set_exit_text(number == SIGBUS ? "the file ends before what is named in it"
                                       : "it leads to memory that is not there");
        longjmp(*call_exit, 1);
    }
    const struct sigaction *other = &before[number == SIGBUS ? 0 : 1];
    if (other->sa_flags & SA_SIGINFO) {
        other->sa_sigaction(number, info, context);
    } else if (other->sa_handler != SIG_DFL && other->sa_handler != SIG_IGN) {
        other->sa_handler(number);
    } else { /* it comes again, and ends the process as ever */
        sigaction(number, other, NULL);
        if (info->si_code <= 0)
            raise(number);
    }
}

static void install_guard(void)
{
    /* SA_NODEFER: the handler is left by a jump, which unblocks nothing. */
    struct sigaction action = {.sa_sigaction = leave_at_fault,
                               .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < FAULT_SIGNALS; i++)
        sigaction(fault_signals[i], &action, &before[i]);
}

void tsdb_env_guard_process(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_guard);
}

int tsdb_env_guarded(int (*run)(void *user), void *user)
{
    jmp_buf jump, *outer = call_exit;
    int number = TSDB_ENV_ASSERTED;
    if (setjmp(jump) == 0) {
        call_exit = &jump;
        number = run(user);
    }
    call_exit = outer;
    return number;
}

/* ---- LMDB's calls ---- */

/* What a call is given; each uses what it needs. */
struct call {
    MDB_env *mdb;
    MDB_txn *txn, **ret_txn;
    MDB_dbi dbi, *ret_dbi;
    MDB_cursor **ret_cursor;
    MDB_stat *ret_stat;
    const char *name;
    MDB_val *key, *value;
    unsigned flags;
};

static int run_begin(void *user)
{
    const struct call *call = user;
    return mdb_txn_begin(call->mdb, NULL, call->flags, call->ret_txn);
}

static int run_get(void *user)
{
    const struct call *call = user;
    return mdb_get(call->txn, call->dbi, call->key, call->value);
}

static int run_put(void *user)
{
    const struct call *call = user;
    return mdb_put(call->txn, call->dbi, call->key, call->value, call->flags);
}

static int run_delete(void *user)
{
    const struct call *call = user;
    return mdb_del(call->txn, call->dbi, call->key, NULL);
}

static int run_open(void *user)
{
    const struct call *call = user;
    return mdb_dbi_open(call->txn, call->name, call->flags, call->ret_dbi);
}

/* These two read the table's root when the transaction has not yet. */
static int run_open_cursor(void *user)
{
    const struct call *call = user;
    return mdb_cursor_open(call->txn, call->dbi, call->ret_cursor);
}

static int run_stat(void *user)
{
    const struct call *call = user;
    return mdb_stat(call->txn, call->dbi, call->ret_stat);
}

static int run_commit(void *user)
{
    const struct call *call = user;
    return mdb_txn_commit(call->txn);
}

int tsdb_env_guarded_begin(MDB_env *mdb, unsigned flags, MDB_txn **ret_txn)
{
    return tsdb_env_guarded(run_begin,
                            &(struct call){.mdb = mdb, .flags = flags, .ret_txn = ret_txn});
}

int tsdb_env_guarded_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value)
{
    return tsdb_env_guarded(run_get,
                            &(struct call){.txn = txn, .dbi = dbi, .key = key, .value = value});
}

int tsdb_env_guarded_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags)
{
    return tsdb_env_guarded(
        run_put,
        &(struct call){.txn = txn, .dbi = dbi, .key = key, .value = value, .flags = flags});
}

int tsdb_env_guarded_delete(MDB_txn *txn, MDB_dbi dbi, MDB_val *key)
{
    return tsdb_env_guarded(run_delete, &(struct call){.txn = txn, .dbi = dbi, .key = key});
}

int tsdb_env_guarded_open(MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *ret_dbi)
{
    return tsdb_env_guarded(
        run_open, &(struct call){.txn = txn, .name = name, .flags = flags, .ret_dbi = ret_dbi});
}

int tsdb_env_guarded_open_cursor(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **ret_cursor)
{
    return tsdb_env_guarded(run_open_cursor,
                            &(struct call){.txn = txn, .dbi = dbi, .ret_cursor = ret_cursor});
}

int tsdb_env_guarded_stat(MDB_txn *txn, MDB_dbi dbi, MDB_stat *ret_stat)
{
    return tsdb_env_guarded(run_stat, &(struct call){.txn = txn, .dbi = dbi, .ret_stat = ret_stat});
}

int tsdb_env_guarded_commit(MDB_txn *txn)
{
    return tsdb_env_guarded(run_commit, &(struct call){.txn = txn});
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
                          what, exit_text);
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
