/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "tsdb/lmdb.h"

#define STATE_MAGIC 0x7e5d5701u
#define TXN_MAGIC 0x7e5d5702u
#define STATE_MAP_BYTES ((size_t)64 << 20)
#define STATE_TABLE "state"

const struct tsdb_env_format tsdb_state_format = {
    .magic = "TWSTATE",
    .version = 1,
    .oldest_reader = 1,
    .oldest_version = 1,
    .map_bytes = STATE_MAP_BYTES,
    .tables_max = 4,
    .readers_max = 126,
    .key_sum = true,
};

struct tsdb_state {
    unsigned magic;
    struct tsdb_env *env;
    int lock_fd;
};

/* One write as it was asked for, so that a transaction can be repeated when the map has grown. */
struct edit {
    struct edit *next;
    bool removes;
    size_t key_size, value_size;
    char bytes[]; /* table name NUL key, then value */
};

struct tsdb_state_txn {
    unsigned magic;
    struct tsdb_state *state;
    struct tsdb_env_txn *txn;
    bool write;
    struct edit *first, **last;
};

enum tw_code tsdb_state_open(const char *folder, struct tsdb_state **ret_state, struct tw_err *err)
{
    enum tw_code code = tw_file_make_folder(folder, 0750, err);
    if (code != TW_OK)
        return code;
    struct tsdb_state *state = calloc(1, sizeof *state);
    TW_ASSERT(state != NULL);
    state->magic = STATE_MAGIC;
    state->lock_fd = -1;
    char *path = tw_file_join(folder, "state.mdb");
    code = tw_file_lock(folder, "LOCK", &state->lock_fd, err);
    if (code == TW_OK)
        code = tsdb_env_open(path, &tsdb_state_format, TSDB_ENV_OPEN_OR_CREATE, &state->env, err);
    free(path);
    if (code != TW_OK) {
        tsdb_state_close(state);
        return code;
    }
    *ret_state = state;
    return TW_OK;
}

struct tsdb_state *tsdb_state_close(struct tsdb_state *state)
{
    if (!state)
        return NULL;
    TW_CHECK_MAGIC(state, STATE_MAGIC);
    tsdb_env_close(state->env);
    if (state->lock_fd >= 0)
        close(state->lock_fd);
    state->magic = 0;
    free(state);
    return NULL;
}

enum tw_code tsdb_state_copy(struct tsdb_state *state, const char *folder, struct tw_err *err)
{
    TW_CHECK_MAGIC(state, STATE_MAGIC);
    enum tw_code code = tw_file_make_folder(folder, 0750, err);
    if (code != TW_OK)
        return code;
    char *path = tw_file_join(folder, "state.mdb");
    code = tsdb_env_copy(state->env, path, err);
    free(path);
    return code == TW_OK ? tw_file_sync_folder(folder, err) : code;
}

struct tsdb_env *tsdb_state_env(struct tsdb_state *state)
{
    return state->env;
}

enum tw_code tsdb_state_begin(struct tsdb_state *state, bool write, struct tsdb_state_txn **ret_txn,
                              struct tw_err *err)
{
    TW_CHECK_MAGIC(state, STATE_MAGIC);
    struct tsdb_state_txn *txn = calloc(1, sizeof *txn);
    TW_ASSERT(txn != NULL);
    *txn = (struct tsdb_state_txn){.magic = TXN_MAGIC, .state = state, .write = write};
    txn->last = &txn->first;
    enum tw_code code = tsdb_env_begin(state->env, write, &txn->txn, err);
    if (code != TW_OK) {
        free(txn);
        return code;
    }
    *ret_txn = txn;
    return TW_OK;
}

static void txn_free(struct tsdb_state_txn *txn)
{
    for (struct edit *edit = txn->first, *next; edit; edit = next) {
        next = edit->next;
        free(edit);
    }
    txn->magic = 0;
    free(txn);
}

/* The table's name and a NUL in front of the key: one tree holds all tables, so that a module may
 * have as many as it likes. */
static enum tw_code full_key(const char *table, struct tw_str key, char *ret_bytes,
                             struct tw_str *ret_key, struct tw_err *err)
{
    size_t length = strlen(table);
    TW_ASSERT(length > 0 && length <= TSDB_STATE_TABLE_BYTES_MAX);
    if (key.size > TSDB_STATE_KEY_BYTES_MAX)
        return tw_err_set(err, TW_TOO_LARGE, "a key of table '%s' has %zu bytes; %d are allowed",
                          table, key.size, TSDB_STATE_KEY_BYTES_MAX);
    memcpy(ret_bytes, table, length + 1);
    if (key.size)
        memcpy(ret_bytes + length + 1, key.data, key.size);
    *ret_key = (struct tw_str){ret_bytes, length + 1 + key.size};
    return TW_OK;
}

#define FULL_KEY_BYTES (TSDB_STATE_TABLE_BYTES_MAX + 1 + TSDB_STATE_KEY_BYTES_MAX)

static enum tw_code apply(struct tsdb_state_txn *txn, const struct edit *edit, struct tw_err *err)
{
    struct tw_str key = {edit->bytes, edit->key_size};
    struct tw_str value = {edit->bytes + edit->key_size, edit->value_size};
    return edit->removes ? tsdb_env_delete(txn->txn, STATE_TABLE, key, err)
                         : tsdb_env_put(txn->txn, STATE_TABLE, key, value, err);
}

/* Grows the map and does all writes of the transaction again. */
static enum tw_code repeat(struct tsdb_state_txn *txn, struct tw_err *err)
{
    enum tw_code code = TW_BUSY;
    while (code == TW_BUSY) {
        tsdb_env_abort(txn->txn);
        txn->txn = NULL;
        code = tsdb_env_grow(txn->state->env, err);
        if (code == TW_OK)
            code = tsdb_env_begin(txn->state->env, true, &txn->txn, err);
        for (struct edit *edit = txn->first; edit && code == TW_OK; edit = edit->next)
            code = apply(txn, edit, err);
    }
    return code;
}

static enum tw_code write_edit(struct tsdb_state_txn *txn, const char *table, struct tw_str key,
                               struct tw_str value, bool removes, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    TW_ASSERT(txn->write && key.size > 0);
    char bytes[FULL_KEY_BYTES];
    struct tw_str full;
    enum tw_code code = full_key(table, key, bytes, &full, err);
    if (code != TW_OK)
        return code;
    if (value.size > TSDB_STATE_VALUE_BYTES_MAX)
        return tw_err_set(err, TW_TOO_LARGE, "a value of table '%s' has %zu bytes; %d are allowed",
                          table, value.size, TSDB_STATE_VALUE_BYTES_MAX);
    if (!txn->txn)
        return tw_err_set(err, TW_UNAVAILABLE, "the transaction failed before");
    struct edit *edit = malloc(sizeof *edit + full.size + value.size);
    TW_ASSERT(edit != NULL);
    *edit = (struct edit){
        .removes = removes, .key_size = full.size, .value_size = value.size, .next = NULL};
    memcpy(edit->bytes, full.data, full.size);
    if (value.size)
        memcpy(edit->bytes + full.size, value.data, value.size);
    *txn->last = edit;
    txn->last = &edit->next;
    code = apply(txn, edit, err);
    return code == TW_BUSY ? repeat(txn, err) : code;
}

enum tw_code tsdb_state_commit(struct tsdb_state_txn *txn, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    enum tw_code code = TW_UNAVAILABLE;
    if (!txn->txn)
        code = tw_err_set(err, TW_UNAVAILABLE, "the transaction failed before");
    else
        code = tsdb_env_commit(txn->txn, err);
    txn->txn = NULL;
    if (code == TW_BUSY) {
        code = repeat(txn, err);
        if (code == TW_OK) {
            code = tsdb_env_commit(txn->txn, err);
            txn->txn = NULL;
        }
        tsdb_env_abort(txn->txn);
    }
    txn_free(txn);
    return code;
}

void tsdb_state_abort(struct tsdb_state_txn *txn)
{
    if (!txn)
        return;
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    tsdb_env_abort(txn->txn);
    txn_free(txn);
}

enum tw_code tsdb_state_put(struct tsdb_state_txn *txn, const char *table, struct tw_str key,
                            struct tw_str value, struct tw_err *err)
{
    return write_edit(txn, table, key, value, false, err);
}

enum tw_code tsdb_state_delete(struct tsdb_state_txn *txn, const char *table, struct tw_str key,
                               struct tw_err *err)
{
    return write_edit(txn, table, key, (struct tw_str){0}, true, err);
}

enum tw_code tsdb_state_get(struct tsdb_state_txn *txn, const char *table, struct tw_str key,
                            struct tw_str *ret_value, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    char bytes[FULL_KEY_BYTES];
    struct tw_str full;
    enum tw_code code = full_key(table, key, bytes, &full, err);
    if (code != TW_OK)
        return code;
    if (!txn->txn)
        return tw_err_set(err, TW_UNAVAILABLE, "the transaction failed before");
    return tsdb_env_get(txn->txn, STATE_TABLE, full, ret_value, err);
}

/* Puts the cursor on the first key to visit. *key: in the full key to start from, or the prefix. */
static enum tw_code first_key(struct tsdb_env_cursor *cursor, struct tw_str prefix, bool from_given,
                              bool reverse, struct tw_str *key, struct tw_str *ret_value,
                              struct tw_err *err)
{
    if (!reverse)
        return tsdb_env_cursor_move(cursor, TSDB_ENV_AT_OR_AFTER, key, ret_value, err);
    if (from_given)
        return tsdb_env_cursor_move(cursor, TSDB_ENV_AT_OR_BEFORE, key, ret_value, err);
    /* The last key with the prefix: the one before the first key above all of them. */
    char above[FULL_KEY_BYTES];
    memcpy(above, prefix.data, prefix.size);
    size_t size = prefix.size;
    while (size > 0 && (unsigned char)above[size - 1] == 0xff)
        size--;
    TW_ASSERT(size > 0); /* the NUL behind the table's name is below 0xff */
    above[size - 1] = (char)((unsigned char)above[size - 1] + 1);
    struct tw_str limit = {above, size}, at = limit;
    enum tw_code code = tsdb_env_cursor_move(cursor, TSDB_ENV_AT_OR_BEFORE, &at, ret_value, err);
    if (code == TW_OK && tw_str_equal(at, limit))
        code = tsdb_env_cursor_move(cursor, TSDB_ENV_PREVIOUS, &at, ret_value, err);
    *key = at;
    return code;
}

enum tw_code tsdb_state_each(struct tsdb_state_txn *txn, const char *table, struct tw_str prefix,
                             struct tw_str from, bool reverse, tsdb_state_visit *visit, void *user,
                             struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    char prefix_bytes[FULL_KEY_BYTES], from_bytes[FULL_KEY_BYTES];
    struct tw_str full_prefix, key;
    enum tw_code code = full_key(table, prefix, prefix_bytes, &full_prefix, err);
    if (code == TW_OK)
        code = full_key(table, from.size ? from : prefix, from_bytes, &key, err);
    if (code != TW_OK)
        return code;
    if (!txn->txn)
        return tw_err_set(err, TW_UNAVAILABLE, "the transaction failed before");
    /* A start outside of the prefix counts as its near end. */
    bool from_given = from.size > 0;
    if (from_given && !tw_str_starts(key, full_prefix)) {
        bool below = tw_str_compare(key, full_prefix) < 0;
        if (below == reverse)
            return TW_OK;
        key = full_prefix;
        from_given = false;
    }
    struct tsdb_env_cursor *cursor;
    code = tsdb_env_cursor_open(txn->txn, STATE_TABLE, &cursor, err);
    if (code != TW_OK)
        return code;
    struct tw_str value;
    code = first_key(cursor, full_prefix, from_given, reverse, &key, &value, err);
    size_t skip = strlen(table) + 1;
    while (code == TW_OK && tw_str_starts(key, full_prefix) &&
           visit(user, tw_str_slice(key, skip, key.size), value))
        code = tsdb_env_cursor_move(cursor, reverse ? TSDB_ENV_PREVIOUS : TSDB_ENV_NEXT, &key,
                                    &value, err);
    tsdb_env_cursor_close(cursor);
    return code == TW_NOT_FOUND ? TW_OK : code;
}
