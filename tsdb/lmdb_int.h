/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_int: what the files lmdb*.c share. Nobody else includes it, nor LMDB's own header.
 */
#ifndef TW_TSDB_LMDB_INT_H
#define TW_TSDB_LMDB_INT_H

#include "tsdb/lmdb.h"

#include <lmdb.h>

#include "base/lock.h"

#define TSDB_ENV_MAGIC 0x7e5db001u
#define TSDB_ENV_TXN_MAGIC 0x7e5db002u
#define TSDB_ENV_TABLES_MAX 16
#define TSDB_ENV_META_TABLE "meta"
#define TSDB_ENV_SUM_KEY "keys"
#define TSDB_ENV_SUM_BYTES 8
#define TSDB_ENV_ASSERTED (-29000) /* beside LMDB's own numbers */

struct tsdb_env_table {
    char name[TSDB_ENV_TABLE_BYTES];
    MDB_dbi dbi;
};

struct tsdb_env {
    unsigned magic;
    MDB_env *mdb;
    char *path;
    const struct tsdb_env_format *format;
    size_t map_bytes;
    bool single_thread;
    uint64_t file_bytes; /* at least so long is the file, as far as tsdb_env_lengthen knows */
    /* Guards what follows: the table of tables, and the gate that keeps transactions out while the
     * map is moved or the file is opened again. */
    struct tw_lock lock;
    struct tw_cond idle;
    unsigned readers;  /* open transactions */
    bool writing;      /* one of them writes */
    bool closing_gate; /* somebody waits for readers to become 0 */
    bool broken; /* a commit failed: LMDB gives no transaction any more until it is opened again */
    struct tsdb_env_table tables[TSDB_ENV_TABLES_MAX]; /* committed ones; only ever added to */
    unsigned table_count;
};

struct tsdb_env_txn {
    unsigned magic;
    struct tsdb_env *env;
    MDB_txn *mdb;
    bool write;
    bool lost;            /* an assertion failed in it: LMDB is not to see it again */
    unsigned table_count; /* committed tables that this snapshot knows for sure */
    struct tsdb_env_table fresh[TSDB_ENV_TABLES_MAX]; /* tables made in this transaction */
    unsigned fresh_count;
    uint64_t sum; /* of the keys added, less those removed */
};

static inline MDB_val tsdb_env_key_val(struct tw_str key)
{
    return (MDB_val){key.size, (void *)(uintptr_t)key.data};
}

static inline struct tw_str tsdb_env_val_str(MDB_val val)
{
    return (struct tw_str){val.mv_data, val.mv_size};
}

/* ---- lmdb.c ---- */
/* Counts a transaction in, after those that want the environment for themselves; opens the file
 * again when a commit failed before. */
TW_MUST_CHECK enum tw_code tsdb_env_enter_locked(struct tsdb_env *env, struct tw_err *err);
void tsdb_env_leave_locked(struct tsdb_env *env);

/* ---- lmdb_guard.c ---- */
/* An error of LMDB's or the system's (number, not 0) with the file's name. */
TW_MUST_CHECK enum tw_code tsdb_env_fail(const struct tsdb_env *env, int number, const char *what,
                                         struct tw_err *err);
/* For mdb_env_set_assert. */
void tsdb_env_leave_call(MDB_env *mdb, const char *text);
/* Once a process, before a file is mapped: SIGBUS and SIGSEGV within a guarded call leave it.
 * Elsewhere they do what they did before. */
void tsdb_env_guard_process(void);
/* What run returns, an LMDB number; TSDB_ENV_ASSERTED when it was left. run holds nothing that it
 * would have to give back. */
int tsdb_env_guarded(int (*run)(void *user), void *user);
/* LMDB's calls, in the same way. */
int tsdb_env_guarded_begin(MDB_env *mdb, unsigned flags, MDB_txn **ret_txn);
int tsdb_env_guarded_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value);
int tsdb_env_guarded_open_cursor(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **ret_cursor);
int tsdb_env_guarded_stat(MDB_txn *txn, MDB_dbi dbi, MDB_stat *ret_stat);
int tsdb_env_guarded_delete(MDB_txn *txn, MDB_dbi dbi, MDB_val *key);
int tsdb_env_guarded_open(MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *ret_dbi);
int tsdb_env_guarded_commit(MDB_txn *txn);
int tsdb_env_guarded_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags);

/* ---- lmdb_frame.c ---- */
size_t tsdb_env_framed_bytes(const char *table, struct tw_str key, size_t size);
void tsdb_env_write_frame(unsigned char *to, const char *table, struct tw_str key,
                          struct tw_str value);
/* tsdb_env_unframe with the whole sentence. */
TW_MUST_CHECK enum tw_code tsdb_env_unframe_value(const struct tsdb_env *env, const char *table,
                                                  struct tw_str key, struct tw_str framed,
                                                  struct tw_str *ret_value, struct tw_err *err);
/* What a key adds to the sum of all keys. The sum's own is not in it. */
uint64_t tsdb_env_key_sum(struct tw_str table, struct tw_str key);

/* ---- lmdb_txn.c ---- */
/* False if the table is not there (and make is not asked for); *ret_number an LMDB code. */
bool tsdb_env_find_table(struct tsdb_env_txn *txn, const char *name, bool make, MDB_dbi *ret_dbi,
                         int *ret_number);
/* tsdb_env_fail; damage that was not there when the file was opened has the next transaction open
 * it again, and what is found then is told. */
TW_MUST_CHECK enum tw_code tsdb_env_fail_in(struct tsdb_env_txn *txn, int number, const char *what,
                                            struct tw_err *err);

#endif
