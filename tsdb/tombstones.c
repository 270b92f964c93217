/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/tombstones.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/lock.h"
#include "tsdb/codec.h"
#include "tsdb/lmdb.h"

#define TOMBSTONES_MAGIC 0x7e5d70b5u
/* Key 0 has the last id that was given. */
#define TABLE "tombstones"
#define VALUE_BYTES_MAX ((size_t)1 << 20)
#define MATCHERS_MAX 1000

struct tsdb_tombstones {
    unsigned magic;
    struct tsdb_env *env; /* the catalog's */
    /* Guards the list, and makes a change of disk and memory one. */
    struct tw_lock lock;
    struct tsdb_erasers *list;
    uint64_t last_id;
};

static struct tw_str key_of(uint64_t id, unsigned char *bytes)
{
    tsdb_env_key_u64(bytes, id);
    return (struct tw_str){(const char *)bytes, 8};
}

/* ---- reading ---- */

static enum tw_code damaged(const struct tsdb_tombstones *tombstones, uint64_t id,
                            struct tw_err *err)
{
    return tw_err_set(err, TW_CORRUPT, "'%s': damaged tombstone %" PRIu64,
                      tsdb_env_path(tombstones->env), id);
}

enum tw_code tsdb_tombstone_read(struct tw_str value, uint64_t id, struct tsdb_erasers *list,
                                 struct tw_err *err)
{
    struct tsdb_reader reader = tsdb_reader(value);
    struct tsdb_tombstone tombstone = {.id = id};
    tombstone.erasure.start_ms = (int64_t)tsdb_unzigzag(tsdb_read_varint(&reader));
    tombstone.erasure.end_ms = (int64_t)tsdb_unzigzag(tsdb_read_varint(&reader));
    tombstone.erasure.run_max = tsdb_read_varint(&reader);
    uint64_t count = tsdb_read_varint(&reader);
    if (!reader.ok || count > MATCHERS_MAX)
        return tw_err_set(err, TW_CORRUPT, "damaged tombstone %" PRIu64, id);
    struct tsdb_matcher *matchers = calloc(count + 1, sizeof *matchers);
    TW_ASSERT(matchers != NULL);
    for (uint64_t i = 0; i < count; i++) {
        uint8_t op = tsdb_read_u8(&reader);
        reader.ok = reader.ok && op <= TSDB_MATCH_NOT_REGEX;
        matchers[i].op = (enum tsdb_match_op)op;
        matchers[i].name = tsdb_read_bytes(&reader, tsdb_read_varint(&reader));
        matchers[i].value = tsdb_read_bytes(&reader, tsdb_read_varint(&reader));
    }
    tombstone.matchers = matchers;
    tombstone.matcher_count = count;
    enum tw_code code = reader.ok && tsdb_reader_left(&reader) == 0
                            ? tsdb_erasers_add_tombstone(list, &tombstone, err)
                            : tw_err_set(err, TW_CORRUPT, "damaged tombstone %" PRIu64, id);
    free(matchers);
    return code;
}

static enum tw_code read_one(struct tsdb_tombstones *tombstones, uint64_t id, struct tw_str value,
                             struct tw_err *err)
{
    enum tw_code code = tsdb_tombstone_read(value, id, tombstones->list, err);
    return code == TW_OK ? code : tw_err_wrap(err, "'%s'", tsdb_env_path(tombstones->env));
}

static enum tw_code load(struct tsdb_tombstones *tombstones, struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    struct tsdb_env_cursor *cursor = NULL;
    enum tw_code code = tsdb_env_begin(tombstones->env, false, &txn, err);
    if (code != TW_OK)
        return code;
    code = tsdb_env_cursor_open(txn, TABLE, &cursor, err);
    struct tw_str key = {0}, value;
    while (code == TW_OK &&
           (code = tsdb_env_cursor_move(cursor, TSDB_ENV_NEXT, &key, &value, err)) == TW_OK) {
        uint64_t id = key.size == 8 ? tsdb_env_key_get_u64(key.data) : 0;
        if (key.size == 8 && id == 0 && value.size == 8) {
            tombstones->last_id = tsdb_env_key_get_u64(value.data);
            continue;
        }
        code = id ? read_one(tombstones, id, value, err) : damaged(tombstones, id, err);
        tombstones->last_id = id > tombstones->last_id ? id : tombstones->last_id;
    }
    tsdb_env_cursor_close(cursor);
    tsdb_env_abort(txn);
    return code == TW_NOT_FOUND ? TW_OK : code;
}

/* ---- life ---- */

enum tw_code tsdb_tombstones_open(struct tsdb_catalog *catalog, const struct tsdb_erasers *rules,
                                  struct tsdb_tombstones **ret_tombstones, struct tw_err *err)
{
    struct tsdb_tombstones *tombstones = calloc(1, sizeof *tombstones);
    TW_ASSERT(tombstones != NULL);
    tombstones->magic = TOMBSTONES_MAGIC;
    tombstones->env = tsdb_catalog_env(catalog);
    tombstones->list = rules ? tsdb_erasers_copy(rules, UINT64_MAX) : tsdb_erasers_new();
    tw_lock_init(&tombstones->lock, TW_RANK_STATE, "tsdb.tombstones");
    enum tw_code code = load(tombstones, err);
    if (code != TW_OK) {
        tsdb_tombstones_close(tombstones);
        return code;
    }
    *ret_tombstones = tombstones;
    return TW_OK;
}

struct tsdb_tombstones *tsdb_tombstones_close(struct tsdb_tombstones *tombstones)
{
    if (!tombstones)
        return NULL;
    TW_CHECK_MAGIC(tombstones, TOMBSTONES_MAGIC);
    tsdb_erasers_unref(tombstones->list);
    tw_lock_fini(&tombstones->lock);
    tombstones->magic = 0;
    free(tombstones);
    return NULL;
}

struct tsdb_erasers *tsdb_tombstones_list(struct tsdb_tombstones *tombstones)
{
    TW_CHECK_MAGIC(tombstones, TOMBSTONES_MAGIC);
    tw_lock_take(&tombstones->lock);
    struct tsdb_erasers *list = tsdb_erasers_ref(tombstones->list);
    tw_lock_release(&tombstones->lock);
    return list;
}

static void take_list(struct tsdb_tombstones *tombstones, struct tsdb_erasers *list)
{
    tsdb_erasers_unref(tombstones->list);
    tombstones->list = list;
}

void tsdb_tombstones_take_rules(struct tsdb_tombstones *tombstones,
                                const struct tsdb_erasers *rules)
{
    TW_CHECK_MAGIC(tombstones, TOMBSTONES_MAGIC);
    tw_lock_take(&tombstones->lock);
    struct tsdb_erasers *list = tsdb_erasers_copy(rules, UINT64_MAX);
    for (size_t i = 0; i < tsdb_erasers_tombstone_count(tombstones->list); i++) {
        struct tsdb_tombstone tombstone = tsdb_erasers_tombstone(tombstones->list, i);
        enum tw_code code = tsdb_erasers_add_tombstone(list, &tombstone, NULL);
        TW_ASSERT(code == TW_OK); /* its matchers were compiled before */
    }
    take_list(tombstones, list);
    tw_lock_release(&tombstones->lock);
}

/* ---- adding ---- */

static void append_text(struct tw_buf *value, struct tw_str text)
{
    tsdb_varint_append(value, text.size);
    tw_buf_append_str(value, text);
}

static enum tw_code put(struct tsdb_env_txn *txn, const struct tsdb_tombstone *tombstone,
                        struct tw_buf *value, struct tw_err *err)
{
    unsigned char key[8];
    tw_buf_clear(value);
    tsdb_varint_append(value, tsdb_zigzag((uint64_t)tombstone->erasure.start_ms));
    tsdb_varint_append(value, tsdb_zigzag((uint64_t)tombstone->erasure.end_ms));
    tsdb_varint_append(value, tombstone->erasure.run_max);
    tsdb_varint_append(value, tombstone->matcher_count);
    for (size_t i = 0; i < tombstone->matcher_count; i++) {
        tw_buf_append_char(value, (char)tombstone->matchers[i].op);
        append_text(value, tombstone->matchers[i].name);
        append_text(value, tombstone->matchers[i].value);
    }
    if (value->overflow || tombstone->matcher_count > MATCHERS_MAX)
        return tw_err_set(err, TW_TOO_LARGE, "the selector is too long");
    return tsdb_env_put(txn, TABLE, key_of(tombstone->id, key), tw_buf_str(value), err);
}

static enum tw_code write(struct tsdb_tombstones *tombstones, const struct tsdb_erasers *list,
                          size_t first, uint64_t last_id, struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    enum tw_code code = tsdb_env_begin(tombstones->env, true, &txn, err);
    if (code != TW_OK)
        return code;
    struct tw_buf value;
    unsigned char key[8], last[8];
    tw_buf_init(&value, VALUE_BYTES_MAX);
    for (size_t i = first; i < tsdb_erasers_tombstone_count(list) && code == TW_OK; i++) {
        struct tsdb_tombstone tombstone = tsdb_erasers_tombstone(list, i);
        code = put(txn, &tombstone, &value, err);
    }
    if (code == TW_OK)
        code = tsdb_env_put(txn, TABLE, key_of(0, key), key_of(last_id, last), err);
    tw_buf_fini(&value);
    if (code == TW_OK)
        return tsdb_env_commit(txn, err);
    tsdb_env_abort(txn);
    return code;
}

enum tw_code tsdb_tombstones_add(struct tsdb_tombstones *tombstones,
                                 const struct tsdb_selector *selectors, size_t count,
                                 struct tsdb_erasure erasure, uint64_t id_above, struct tw_err *err)
{
    TW_CHECK_MAGIC(tombstones, TOMBSTONES_MAGIC);
    tw_lock_take(&tombstones->lock);
    size_t first = tsdb_erasers_tombstone_count(tombstones->list);
    uint64_t id = tombstones->last_id > id_above ? tombstones->last_id : id_above;
    enum tw_code code = TW_OK;
    if (first + count > TSDB_TOMBSTONES_MAX)
        code = tw_err_set(err, TW_OVERLOAD,
                          "%zu deletions wait to be carried out, the limit is %d: ask again later, "
                          "or wait for clean_tombstones",
                          first, TSDB_TOMBSTONES_MAX);
    struct tsdb_erasers *list = tsdb_erasers_copy(tombstones->list, 0);
    for (size_t i = 0; i < count && code == TW_OK; i++) {
        struct tsdb_tombstone tombstone = {++id, erasure, selectors[i].matchers,
                                           selectors[i].count};
        code = tsdb_erasers_add_tombstone(list, &tombstone, err);
    }
    if (code == TW_OK)
        while ((code = write(tombstones, list, first, id, err)) == TW_BUSY)
            if ((code = tsdb_env_grow(tombstones->env, err)) != TW_OK)
                break;
    if (code == TW_OK) {
        tombstones->last_id = id;
        take_list(tombstones, list);
    } else {
        tsdb_erasers_unref(list);
    }
    tw_lock_release(&tombstones->lock);
    return code;
}

/* ---- retiring ---- */

enum tw_code tsdb_tombstones_retire(struct tsdb_tombstones *tombstones, uint64_t id,
                                    struct tw_err *err)
{
    TW_CHECK_MAGIC(tombstones, TOMBSTONES_MAGIC);
    struct tsdb_env_txn *txn;
    tw_lock_take(&tombstones->lock);
    enum tw_code code = tsdb_env_begin(tombstones->env, true, &txn, err);
    if (code == TW_OK) {
        for (size_t i = 0; i < tsdb_erasers_tombstone_count(tombstones->list) && code == TW_OK;
             i++) {
            unsigned char key[8];
            uint64_t its = tsdb_erasers_tombstone(tombstones->list, i).id;
            if (its <= id)
                code = tsdb_env_delete(txn, TABLE, key_of(its, key), err);
        }
        if (code == TW_OK)
            code = tsdb_env_commit(txn, err);
        else
            tsdb_env_abort(txn);
    }
    if (code == TW_OK)
        take_list(tombstones, tsdb_erasers_copy(tombstones->list, id));
    tw_lock_release(&tombstones->lock);
    return code;
}
