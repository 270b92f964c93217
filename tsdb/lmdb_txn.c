/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_txn: transactions, and the values of their tables.
 */
#include "config.h"

#include "tsdb/lmdb_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Writers wait for each other here, and not in LMDB: it does not let go of one that was lost. */
static enum tw_code take_turn_locked(struct tsdb_env *env, struct tw_err *err)
{
    while (env->writing)
        tw_cond_wait(&env->idle, &env->lock);
    env->writing = true;
    enum tw_code code = tsdb_env_enter_locked(env, err);
    if (code != TW_OK) {
        env->writing = false;
        tw_cond_broadcast(&env->idle);
    }
    return code;
}

static void leave_locked(struct tsdb_env *env, bool write)
{
    if (write) {
        env->writing = false;
        tw_cond_broadcast(&env->idle);
    }
    tsdb_env_leave_locked(env);
}

/* A writer has LMDB's mutex from here to its end, and takes ours when it commits: so not the other
 * way round. The tables stay as they are meanwhile, as only a writer adds some. A reader takes
 * table_count and snapshot under our lock: it knows all tables that the snapshot has. */
static int begin_mdb_locked(struct tsdb_env_txn *txn)
{
    struct tsdb_env *env = txn->env;
    txn->table_count = env->table_count;
    if (!txn->write)
        return tsdb_env_guarded_begin(env->mdb, MDB_RDONLY, &txn->mdb);
    tw_lock_release(&env->lock);
    int number = tsdb_env_guarded_begin(env->mdb, 0, &txn->mdb);
    tw_lock_take(&env->lock);
    return number;
}

enum tw_code tsdb_env_begin(struct tsdb_env *env, bool write, struct tsdb_env_txn **ret_txn,
                            struct tw_err *err)
{
    TW_CHECK_MAGIC(env, TSDB_ENV_MAGIC);
    struct tsdb_env_txn *txn = calloc(1, sizeof *txn);
    TW_ASSERT(txn != NULL);
    *txn = (struct tsdb_env_txn){.magic = TSDB_ENV_TXN_MAGIC, .env = env, .write = write};
    tw_lock_take(&env->lock);
    enum tw_code code = write ? take_turn_locked(env, err) : tsdb_env_enter_locked(env, err);
    if (code != TW_OK) {
        tw_lock_release(&env->lock);
        free(txn);
        return code;
    }
    int number = begin_mdb_locked(txn);
    if (number) {
        env->broken |= number == MDB_PANIC || number == TSDB_ENV_ASSERTED;
        leave_locked(env, write);
    }
    tw_lock_release(&env->lock);
    if (number) {
        free(txn);
        return tsdb_env_fail(env, number, "cannot begin a transaction", err);
    }
    *ret_txn = txn;
    return TW_OK;
}

static void end(struct tsdb_env_txn *txn)
{
    struct tsdb_env *env = txn->env;
    tw_lock_take(&env->lock);
    leave_locked(env, txn->write);
    tw_lock_release(&env->lock);
    txn->magic = 0;
    free(txn);
}

/* The sum of all keys goes with every transaction that changes it. */
static enum tw_code write_sum(struct tsdb_env_txn *txn, struct tw_err *err)
{
    struct tw_str before;
    enum tw_code code =
        tsdb_env_get(txn, TSDB_ENV_META_TABLE, TW_STR(TSDB_ENV_SUM_KEY), &before, err);
    if (code != TW_OK && code != TW_NOT_FOUND)
        return code;
    uint64_t sum = txn->sum;
    unsigned char bytes[TSDB_ENV_SUM_BYTES];
    if (code == TW_OK && before.size == TSDB_ENV_SUM_BYTES)
        sum += tsdb_env_key_get_u64(before.data);
    tsdb_env_key_u64(bytes, sum);
    return tsdb_env_put(txn, TSDB_ENV_META_TABLE, TW_STR(TSDB_ENV_SUM_KEY),
                        (struct tw_str){(const char *)bytes, sizeof bytes}, err);
}

enum tw_code tsdb_env_commit(struct tsdb_env_txn *txn, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TSDB_ENV_TXN_MAGIC);
    struct tsdb_env *env = txn->env;
    if (txn->lost) {
        end(txn);
        return tsdb_env_fail(env, MDB_BAD_TXN, "cannot commit", err);
    }
    if (txn->write && txn->sum != 0 && env->format->key_sum) {
        enum tw_code code = write_sum(txn, err);
        if (code != TW_OK) {
            tsdb_env_abort(txn);
            return code;
        }
    }
    /* New tables are known at the very moment in which a snapshot may have them: a reader that
     * begins takes the lock for both. */
    bool fresh = txn->fresh_count > 0;
    if (fresh)
        tw_lock_take(&env->lock);
    int number = tsdb_env_guarded_commit(txn->mdb);
    if (!fresh)
        tw_lock_take(&env->lock);
    for (unsigned i = 0; i < txn->fresh_count && number == 0; i++) {
        TW_ASSERT(env->table_count < TSDB_ENV_TABLES_MAX);
        env->tables[env->table_count++] = txn->fresh[i];
    }
    if (number && number != MDB_MAP_FULL && number != MDB_TXN_FULL)
        env->broken = true;
    tw_lock_release(&env->lock);
    end(txn);
    return number ? tsdb_env_fail(env, number, "cannot commit", err) : TW_OK;
}

void tsdb_env_abort(struct tsdb_env_txn *txn)
{
    if (!txn)
        return;
    TW_CHECK_MAGIC(txn, TSDB_ENV_TXN_MAGIC);
    if (!txn->lost)
        mdb_txn_abort(txn->mdb);
    end(txn);
}

/* False if the table is not there (and create is not asked for); *ret_number an LMDB code. */
bool tsdb_env_find_table(struct tsdb_env_txn *txn, const char *name, bool make, MDB_dbi *ret_dbi,
                         int *ret_number)
{
    struct tsdb_env *env = txn->env;
    *ret_number = txn->lost ? MDB_BAD_TXN : 0;
    if (txn->lost)
        return false;
    for (unsigned i = 0; i < txn->table_count; i++)
        if (strcmp(env->tables[i].name, name) == 0) {
            *ret_dbi = env->tables[i].dbi;
            return true;
        }
    for (unsigned i = 0; i < txn->fresh_count; i++)
        if (strcmp(txn->fresh[i].name, name) == 0) {
            *ret_dbi = txn->fresh[i].dbi;
            return true;
        }
    if (!make)
        return false;
    TW_ASSERT(txn->write && txn->fresh_count + txn->table_count < TSDB_ENV_TABLES_MAX);
    struct tsdb_env_table *table = &txn->fresh[txn->fresh_count];
    TW_ASSERT(strlen(name) < sizeof table->name);
    *ret_number = tsdb_env_guarded_open(txn->mdb, name, MDB_CREATE, &table->dbi);
    if (*ret_number)
        return false;
    strcpy(table->name, name);
    *ret_dbi = table->dbi;
    txn->fresh_count++;
    return true;
}

/* Damage that was not there when the file was opened: the next transaction opens it again, and what
 * is found then is told. */
enum tw_code tsdb_env_fail_in(struct tsdb_env_txn *txn, int number, const char *what,
                              struct tw_err *err)
{
    if (number == MDB_CORRUPTED || number == MDB_PAGE_NOTFOUND || number == TSDB_ENV_ASSERTED) {
        txn->lost |= txn->write; /* its pages may be damaged copies of damaged ones */
        tw_lock_take(&txn->env->lock);
        txn->env->broken = true;
        tw_lock_release(&txn->env->lock);
    }
    return tsdb_env_fail(txn->env, number, what, err);
}

/* flags: MDB_NOOVERWRITE, after which what is there is replaced, or MDB_APPEND. */
static enum tw_code write_value(struct tsdb_env_txn *txn, const char *table, struct tw_str key,
                                struct tw_str value, unsigned flags, const char *what,
                                struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TSDB_ENV_TXN_MAGIC);
    TW_ASSERT(key.size > 0 && key.size <= TSDB_ENV_KEY_BYTES_MAX && value.size < UINT32_MAX / 2);
    MDB_dbi dbi;
    int number;
    if (!tsdb_env_find_table(txn, table, true, &dbi, &number))
        return tsdb_env_fail_in(txn, number, "cannot make a table", err);
    MDB_val mdb_key = tsdb_env_key_val(key);
    size_t size = tsdb_env_framed_bytes(table, key, value.size);
    MDB_val framed = {size, NULL};
    int number_of_new = tsdb_env_guarded_put(txn->mdb, dbi, &mdb_key, &framed, MDB_RESERVE | flags);
    number = number_of_new;
    if (number == MDB_KEYEXIST && flags == MDB_NOOVERWRITE) {
        framed = (MDB_val){size, NULL};
        number = tsdb_env_guarded_put(txn->mdb, dbi, &mdb_key, &framed, MDB_RESERVE);
    }
    if (number)
        return tsdb_env_fail_in(txn, number, what, err);
    if (number_of_new == 0)
        txn->sum += tsdb_env_key_sum(tw_str(table), key);
    tsdb_env_write_frame(framed.mv_data, table, key, value);
    return TW_OK;
}

enum tw_code tsdb_env_put(struct tsdb_env_txn *txn, const char *table, struct tw_str key,
                          struct tw_str value, struct tw_err *err)
{
    return write_value(txn, table, key, value, MDB_NOOVERWRITE, "cannot write", err);
}

enum tw_code tsdb_env_append(struct tsdb_env_txn *txn, const char *table, struct tw_str key,
                             struct tw_str value, struct tw_err *err)
{
    return write_value(txn, table, key, value, MDB_APPEND, "cannot append", err);
}

enum tw_code tsdb_env_get(struct tsdb_env_txn *txn, const char *table, struct tw_str key,
                          struct tw_str *ret_value, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TSDB_ENV_TXN_MAGIC);
    MDB_dbi dbi;
    MDB_val mdb_key = tsdb_env_key_val(key), framed;
    int number = MDB_NOTFOUND;
    if (tsdb_env_find_table(txn, table, false, &dbi, &number))
        number = tsdb_env_guarded_get(txn->mdb, dbi, &mdb_key, &framed);
    else if (number == 0)
        number = MDB_NOTFOUND;
    if (number == MDB_NOTFOUND)
        return tw_err_set(err, TW_NOT_FOUND, "'%s': no such key in table '%s'", txn->env->path,
                          table);
    if (number)
        return tsdb_env_fail_in(txn, number, "cannot read", err);
    return tsdb_env_unframe_value(txn->env, table, key, tsdb_env_val_str(framed), ret_value, err);
}

enum tw_code tsdb_env_delete(struct tsdb_env_txn *txn, const char *table, struct tw_str key,
                             struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TSDB_ENV_TXN_MAGIC);
    MDB_dbi dbi;
    int number;
    if (!tsdb_env_find_table(txn, table, false, &dbi, &number))
        return number ? tsdb_env_fail(txn->env, number, "cannot delete", err) : TW_OK;
    MDB_val mdb_key = tsdb_env_key_val(key);
    number = tsdb_env_guarded_delete(txn->mdb, dbi, &mdb_key);
    if (number == 0)
        txn->sum -= tsdb_env_key_sum(tw_str(table), key);
    return number && number != MDB_NOTFOUND ? tsdb_env_fail_in(txn, number, "cannot delete", err)
                                            : TW_OK;
}
