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
    MDB_cursor *mdb;  /* NULL when the table is not there */
    size_t last_size; /* of the key moved to last, 0 = none */
    char last[TSDB_ENV_KEY_BYTES_MAX];
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
        number = tsdb_env_guarded_open_cursor(txn->mdb, dbi, &cursor->mdb);
        if (number) {
            free(cursor);
            return tsdb_env_fail_in(txn, number, "cannot open a cursor", err);
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

static int move_before(struct tsdb_env_cursor *cursor, MDB_val *key, MDB_val *value)
{
    MDB_val wanted = *key;
    int number = mdb_cursor_get(cursor->mdb, key, value, MDB_SET_RANGE);
    if (number == MDB_NOTFOUND)
        return mdb_cursor_get(cursor->mdb, key, value, MDB_LAST);
    if (number == 0 && (key->mv_size != wanted.mv_size ||
                        memcmp(key->mv_data, wanted.mv_data, wanted.mv_size) != 0))
        return mdb_cursor_get(cursor->mdb, key, value, MDB_PREV);
    return number;
}

static int move_mdb(struct tsdb_env_cursor *cursor, enum tsdb_env_move move, MDB_val *key,
                    MDB_val *value)
{
    switch (move) {
    case TSDB_ENV_FIRST:
        return mdb_cursor_get(cursor->mdb, key, value, MDB_FIRST);
    case TSDB_ENV_LAST:
        return mdb_cursor_get(cursor->mdb, key, value, MDB_LAST);
    case TSDB_ENV_NEXT:
        return mdb_cursor_get(cursor->mdb, key, value, MDB_NEXT);
    case TSDB_ENV_PREVIOUS:
        return mdb_cursor_get(cursor->mdb, key, value, MDB_PREV);
    case TSDB_ENV_AT_OR_AFTER:
        return mdb_cursor_get(cursor->mdb, key, value, MDB_SET_RANGE);
    case TSDB_ENV_AT_OR_BEFORE:
        return move_before(cursor, key, value);
    }
    TW_UNREACHABLE("all moves are listed");
}

static int compare(MDB_val key, struct tw_str other)
{
    size_t size = key.mv_size < other.size ? key.mv_size : other.size;
    int order = memcmp(key.mv_data, other.data, size);
    return order ? order : (key.mv_size > other.size) - (key.mv_size < other.size);
}

/* Whether the key lies where the move leads. In a damaged tree it may not, and the way through the
 * keys need not end. */
static bool is_on_the_way(const struct tsdb_env_cursor *cursor, enum tsdb_env_move move,
                          MDB_val key, struct tw_str wanted)
{
    struct tw_str last = {cursor->last, cursor->last_size};
    if (key.mv_size == 0 || key.mv_size > sizeof cursor->last)
        return false;
    switch (move) {
    case TSDB_ENV_FIRST:
    case TSDB_ENV_LAST:
        return true;
    case TSDB_ENV_NEXT:
        return cursor->last_size == 0 || compare(key, last) > 0;
    case TSDB_ENV_PREVIOUS:
        return cursor->last_size == 0 || compare(key, last) < 0;
    case TSDB_ENV_AT_OR_AFTER:
        return compare(key, wanted) >= 0;
    case TSDB_ENV_AT_OR_BEFORE:
        return compare(key, wanted) <= 0;
    }
    TW_UNREACHABLE("all moves are listed");
}

struct step {
    struct tsdb_env_cursor *cursor;
    enum tsdb_env_move move;
    MDB_val *key, *value;
};

static int run_step(void *user)
{
    const struct step *step = user;
    struct tsdb_env_cursor *cursor = step->cursor;
    struct tw_str wanted = tsdb_env_val_str(*step->key);
    int number = move_mdb(cursor, step->move, step->key, step->value);
    if (number)
        return number;
    if (!is_on_the_way(cursor, step->move, *step->key, wanted))
        return MDB_CORRUPTED;
    memcpy(cursor->last, step->key->mv_data, step->key->mv_size);
    cursor->last_size = step->key->mv_size;
    return 0;
}

static int move_cursor(struct tsdb_env_cursor *cursor, enum tsdb_env_move move, MDB_val *key,
                       MDB_val *value)
{
    return tsdb_env_guarded(run_step, &(struct step){cursor, move, key, value});
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
