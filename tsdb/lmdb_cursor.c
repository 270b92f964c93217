/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_cursor: the keys of a table in their order.
 */
#include "config.h"

#include "tsdb/lmdb_int.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"

#define CURSOR_MAGIC 0x7e5db003u

struct tsdb_env_cursor {
    unsigned magic;
    struct tsdb_env_txn *txn;
    const char *table;
    MDB_cursor *mdb; /* NULL when the table is not there */
};

enum tw_code tsdb_env_cursor_open(struct tsdb_env_txn *txn, const char *table,
                                  struct tsdb_env_cursor **ret_cursor, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TSDB_ENV_TXN_MAGIC);
    struct tsdb_env_cursor *cursor = calloc(1, sizeof *cursor);
    TW_ASSERT(cursor != NULL);
    *cursor = (struct tsdb_env_cursor){.magic = CURSOR_MAGIC, .txn = txn, .table = table};
    MDB_dbi dbi;
    int number;
    if (tsdb_env_find_table(txn, table, false, &dbi, &number)) {
        number = mdb_cursor_open(txn->mdb, dbi, &cursor->mdb);
        if (number) {
            free(cursor);
            return tsdb_env_fail(txn->env, number, "cannot open a cursor", err);
        }
    }
    *ret_cursor = cursor;
    return TW_OK;
}

struct tsdb_env_cursor *tsdb_env_cursor_close(struct tsdb_env_cursor *cursor)
{
    if (!cursor)
        return NULL;
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    if (cursor->mdb)
        mdb_cursor_close(cursor->mdb);
    cursor->magic = 0;
    free(cursor);
    return NULL;
}

static int move_cursor(struct tsdb_env_cursor *cursor, enum tsdb_env_move move, MDB_val *key,
                       MDB_val *value)
{
    switch (move) {
    case TSDB_ENV_FIRST:
        return tsdb_env_guarded_move(cursor->mdb, key, value, MDB_FIRST);
    case TSDB_ENV_LAST:
        return tsdb_env_guarded_move(cursor->mdb, key, value, MDB_LAST);
    case TSDB_ENV_NEXT:
        return tsdb_env_guarded_move(cursor->mdb, key, value, MDB_NEXT);
    case TSDB_ENV_PREVIOUS:
        return tsdb_env_guarded_move(cursor->mdb, key, value, MDB_PREV);
    case TSDB_ENV_AT_OR_AFTER:
        return tsdb_env_guarded_move(cursor->mdb, key, value, MDB_SET_RANGE);
    case TSDB_ENV_AT_OR_BEFORE: {
        MDB_val wanted = *key;
        int number = tsdb_env_guarded_move(cursor->mdb, key, value, MDB_SET_RANGE);
        if (number == MDB_NOTFOUND)
            return tsdb_env_guarded_move(cursor->mdb, key, value, MDB_LAST);
        if (number == 0 && (key->mv_size != wanted.mv_size ||
                            memcmp(key->mv_data, wanted.mv_data, wanted.mv_size) != 0))
            return tsdb_env_guarded_move(cursor->mdb, key, value, MDB_PREV);
        return number;
    }
    }
    TW_UNREACHABLE("all moves are listed");
}

enum tw_code tsdb_env_cursor_move(struct tsdb_env_cursor *cursor, enum tsdb_env_move move,
                                  struct tw_str *key, struct tw_str *ret_value, struct tw_err *err)
{
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    MDB_val mdb_key = tsdb_env_key_val(*key), framed;
    int number = cursor->mdb ? move_cursor(cursor, move, &mdb_key, &framed) : MDB_NOTFOUND;
    if (number == MDB_NOTFOUND)
        return TW_NOT_FOUND; /* the usual end of a scan: no sentence is made for it */
    if (number)
        return tsdb_env_fail_in(cursor->txn, number, "cannot read", err);
    if (ret_value) {
        enum tw_code code =
            tsdb_env_unframe_value(cursor->txn->env, cursor->table, tsdb_env_val_str(mdb_key),
                                   tsdb_env_val_str(framed), ret_value, err);
        if (code != TW_OK)
            return code;
    }
    *key = tsdb_env_val_str(mdb_key);
    return TW_OK;
}

enum tw_code tsdb_env_cursor_locate(struct tsdb_env_cursor *cursor, enum tsdb_env_move move,
                                    struct tw_str *key, struct tw_str *ret_framed,
                                    struct tw_err *err)
{
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    MDB_val mdb_key = tsdb_env_key_val(*key), framed;
    int number = cursor->mdb ? move_cursor(cursor, move, &mdb_key, &framed) : MDB_NOTFOUND;
    if (number == MDB_NOTFOUND)
        return TW_NOT_FOUND;
    if (number)
        return tsdb_env_fail_in(cursor->txn, number, "cannot read", err);
    *key = tsdb_env_val_str(mdb_key);
    *ret_framed = tsdb_env_val_str(framed);
    return TW_OK;
}

void tsdb_env_fetch(struct tw_str framed)
{
    uintptr_t start = (uintptr_t)framed.data & ~(uintptr_t)(TSDB_ENV_PAGE_BYTES - 1);
    uintptr_t end = (uintptr_t)framed.data + framed.size;
    posix_madvise((void *)start, end - start, POSIX_MADV_WILLNEED); /* advice: may fail */
}

enum tw_code tsdb_env_read_located(const struct tsdb_env *env, const char *table, struct tw_str key,
                                   struct tw_str framed, struct tw_str *ret_value,
                                   struct tw_err *err)
{
    return tsdb_env_unframe_value(env, table, key, framed, ret_value, err);
}
