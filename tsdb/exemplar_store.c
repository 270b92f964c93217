/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/exemplar_store.h"

#include <stdlib.h>

#include "base/assert.h"
#include "tsdb/codec.h"

#define EXEMPLARS_TABLE "exemplars"
#define STATE_TABLE "state"
#define SEGMENT_KEY "segment"
#define NUMBER_BYTES 8
/* Of one save: far beyond a full ring of the longest exemplars. */
#define PENDING_BYTES_MAX ((size_t)2 << 30)
#define VALUE_BYTES_MAX ((size_t)1 << 24)

const struct tsdb_env_format tsdb_exemplars_format = {
    .magic = "TWEXMPL",
    .version = 1,
    .oldest_reader = 1,
    .oldest_version = 1,
    .map_bytes = (size_t)16 << 20,
    .tables_max = 4,
    .readers_max = 16,
    .key_sum = true,
};

struct tsdb_exemplar_store {
    struct tsdb_env *env;
    struct tsdb_exemplar_ring *ring;
    /* What the environment has, ascending. */
    uint64_t *numbers;
    size_t count, capacity;
    uint64_t segment;
    uint64_t changes; /* of the ring, when it was saved */
};

static void add_number(struct tsdb_exemplar_store *store, uint64_t number)
{
    if (store->count == store->capacity) {
        store->capacity = store->capacity ? store->capacity * 2 : 256;
        store->numbers = realloc(store->numbers, store->capacity * sizeof *store->numbers);
        TW_ASSERT(store->numbers != NULL);
    }
    store->numbers[store->count++] = number;
}

/* ---- values ---- */

static void append_value(struct wire_labels series, int64_t time_ms, struct tw_str blob,
                         struct tw_buf *ret)
{
    tsdb_varint_append(ret, tsdb_zigzag((uint64_t)time_ms));
    tsdb_varint_append(ret, series.count);
    for (size_t i = 0; i < series.count; i++) {
        tsdb_varint_append(ret, series.items[i].name.size);
        tw_buf_append_str(ret, series.items[i].name);
        tsdb_varint_append(ret, series.items[i].value.size);
        tw_buf_append_str(ret, series.items[i].value);
    }
    tw_buf_append_str(ret, blob);
}

static bool restore(struct tsdb_exemplar_store *store, uint64_t number, struct tw_str value)
{
    struct tsdb_reader reader = tsdb_reader(value);
    int64_t time_ms = (int64_t)tsdb_unzigzag(tsdb_read_varint(&reader));
    uint64_t count = tsdb_read_varint(&reader);
    struct wire_label series[WIRE_LABELS_COUNT_MAX], items[WIRE_EXEMPLAR_LABELS_MAX];
    if (!reader.ok || count > WIRE_LABELS_COUNT_MAX)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        series[i].name = tsdb_read_bytes(&reader, tsdb_read_varint(&reader));
        series[i].value = tsdb_read_bytes(&reader, tsdb_read_varint(&reader));
    }
    struct wire_exemplar exemplar;
    struct wire_labels labels = {series, count};
    return reader.ok && wire_labels_check(labels, NULL) == TW_OK &&
           tsdb_exemplar_read(tsdb_read_bytes(&reader, tsdb_reader_left(&reader)), time_ms, items,
                              &exemplar) &&
           tsdb_exemplar_ring_restore(store->ring, number, labels, &exemplar);
}

/* ---- life ---- */

static enum tw_code load_segment(struct tsdb_exemplar_store *store, struct tsdb_env_txn *txn,
                                 struct tw_err *err)
{
    struct tw_str value;
    enum tw_code code = tsdb_env_get(txn, STATE_TABLE, TW_STR(SEGMENT_KEY), &value, err);
    if (code == TW_NOT_FOUND)
        return TW_OK;
    if (code == TW_OK && value.size != NUMBER_BYTES)
        return tw_err_set(err, TW_CORRUPT, "'%s': the number of the segment is damaged",
                          tsdb_env_path(store->env));
    if (code == TW_OK)
        store->segment = tsdb_env_key_get_u64(value.data);
    return code;
}

static enum tw_code load(struct tsdb_exemplar_store *store, struct tsdb_env_txn *txn,
                         struct tw_err *err)
{
    struct tsdb_env_cursor *cursor = NULL;
    enum tw_code code = load_segment(store, txn, err);
    if (code == TW_OK)
        code = tsdb_env_cursor_open(txn, EXEMPLARS_TABLE, &cursor, err);
    struct tw_str key = {0}, value;
    while (code == TW_OK &&
           (code = tsdb_env_cursor_move(cursor, TSDB_ENV_NEXT, &key, &value, err)) == TW_OK) {
        uint64_t number = key.size == NUMBER_BYTES ? tsdb_env_key_get_u64(key.data) : 0;
        if (key.size != NUMBER_BYTES || !restore(store, number, value))
            code = tw_err_set(err, TW_CORRUPT, "'%s': exemplar %llu is damaged",
                              tsdb_env_path(store->env), (unsigned long long)number);
        else
            add_number(store, number);
    }
    tsdb_env_cursor_close(cursor);
    return code == TW_NOT_FOUND ? TW_OK : code;
}

enum tw_code tsdb_exemplar_store_open(const char *path, struct tsdb_exemplar_ring *ring,
                                      struct tsdb_exemplar_store **ret_store, struct tw_err *err)
{
    struct tsdb_env *env;
    struct tsdb_env_txn *txn;
    enum tw_code code =
        tsdb_env_open(path, &tsdb_exemplars_format, TSDB_ENV_OPEN_OR_CREATE, &env, err);
    if (code != TW_OK)
        return code;
    struct tsdb_exemplar_store *store = calloc(1, sizeof *store);
    TW_ASSERT(store != NULL);
    store->env = env;
    store->ring = ring;
    code = tsdb_env_begin(env, false, &txn, err);
    if (code == TW_OK) {
        code = load(store, txn, err);
        tsdb_env_abort(txn);
    }
    if (code != TW_OK) {
        tsdb_exemplar_store_close(store);
        return code;
    }
    struct tsdb_exemplar_counts counts;
    tsdb_exemplar_ring_count(ring, &counts);
    store->changes = counts.changes;
    *ret_store = store;
    return TW_OK;
}

struct tsdb_exemplar_store *tsdb_exemplar_store_close(struct tsdb_exemplar_store *store)
{
    if (!store)
        return NULL;
    tsdb_env_close(store->env);
    free(store->numbers);
    free(store);
    return NULL;
}

uint64_t tsdb_exemplar_store_segment(const struct tsdb_exemplar_store *store)
{
    return store->segment;
}

struct tsdb_env *tsdb_exemplar_store_env(struct tsdb_exemplar_store *store)
{
    return store->env;
}

/* ---- saving ---- */

/* What is to change: numbers that are in the environment and not in the ring, and new ones with
 * their values, each with its size in front. */
struct pending {
    const struct tsdb_exemplar_store *store;
    size_t at; /* the first number that was not compared yet */
    uint64_t *gone, *fresh;
    size_t gone_count, fresh_count, fresh_capacity;
    struct tw_buf values, value;
};

static void pass(struct pending *pending, uint64_t below)
{
    const struct tsdb_exemplar_store *store = pending->store;
    while (pending->at < store->count && store->numbers[pending->at] < below)
        pending->gone[pending->gone_count++] = store->numbers[pending->at++];
}

static void collect(void *user, uint64_t number, struct wire_labels series, int64_t time_ms,
                    struct tw_str blob)
{
    struct pending *pending = user;
    pass(pending, number);
    if (pending->at < pending->store->count && pending->store->numbers[pending->at] == number) {
        pending->at++;
        return;
    }
    if (pending->fresh_count == pending->fresh_capacity) {
        pending->fresh_capacity = pending->fresh_capacity ? pending->fresh_capacity * 2 : 256;
        pending->fresh = realloc(pending->fresh, pending->fresh_capacity * sizeof *pending->fresh);
        TW_ASSERT(pending->fresh != NULL);
    }
    pending->fresh[pending->fresh_count++] = number;
    tw_buf_clear(&pending->value);
    append_value(series, time_ms, blob, &pending->value);
    TW_ASSERT(!pending->value.overflow);
    tsdb_varint_append(&pending->values, pending->value.size);
    tw_buf_append_str(&pending->values, tw_buf_str(&pending->value));
}

static struct tw_str key_of(uint64_t number, unsigned char *ret_bytes)
{
    tsdb_env_key_u64(ret_bytes, number);
    return (struct tw_str){(const char *)ret_bytes, NUMBER_BYTES};
}

static enum tw_code write_pending(struct tsdb_exemplar_store *store, const struct pending *pending,
                                  uint64_t segment, struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    unsigned char key[NUMBER_BYTES];
    enum tw_code code = tsdb_env_begin(store->env, true, &txn, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < pending->gone_count && code == TW_OK; i++)
        code = tsdb_env_delete(txn, EXEMPLARS_TABLE, key_of(pending->gone[i], key), err);
    struct tsdb_reader reader = tsdb_reader(tw_buf_str(&pending->values));
    for (size_t i = 0; i < pending->fresh_count && code == TW_OK; i++)
        code = tsdb_env_append(txn, EXEMPLARS_TABLE, key_of(pending->fresh[i], key),
                               tsdb_read_bytes(&reader, tsdb_read_varint(&reader)), err);
    if (code == TW_OK)
        code = tsdb_env_put(txn, STATE_TABLE, TW_STR(SEGMENT_KEY), key_of(segment, key), err);
    if (code != TW_OK) {
        tsdb_env_abort(txn);
        return code;
    }
    return tsdb_env_commit(txn, err);
}

static void remember(struct tsdb_exemplar_store *store, const struct pending *pending)
{
    size_t kept = 0, gone = 0;
    for (size_t i = 0; i < store->count; i++)
        if (gone < pending->gone_count && store->numbers[i] == pending->gone[gone])
            gone++;
        else
            store->numbers[kept++] = store->numbers[i];
    store->count = kept;
    for (size_t i = 0; i < pending->fresh_count; i++)
        add_number(store, pending->fresh[i]);
}

enum tw_code tsdb_exemplar_store_save(struct tsdb_exemplar_store *store, uint64_t segment,
                                      struct tw_err *err)
{
    struct tsdb_exemplar_counts counts;
    struct pending pending = {.store = store};
    segment = segment > store->segment ? segment : store->segment; /* after a deletion */
    /* Before they are collected: what changes in between is seen again the next time. */
    tsdb_exemplar_ring_count(store->ring, &counts);
    tw_buf_init(&pending.values, PENDING_BYTES_MAX);
    tw_buf_init(&pending.value, VALUE_BYTES_MAX);
    pending.gone = malloc((store->count + 1) * sizeof *pending.gone);
    TW_ASSERT(pending.gone != NULL);
    tsdb_exemplar_ring_visit(store->ring, segment, collect, &pending);
    pass(&pending, UINT64_MAX);
    bool changed = counts.changes != store->changes || pending.gone_count + pending.fresh_count > 0;
    enum tw_code code = TW_OK;
    if (pending.values.overflow)
        code = tw_err_set(err, TW_LIMIT, "the exemplars that are to be saved pass %zu bytes",
                          PENDING_BYTES_MAX);
    else if (changed)
        while ((code = write_pending(store, &pending, segment, err)) == TW_BUSY)
            if ((code = tsdb_env_grow(store->env, err)) != TW_OK)
                break;
    if (code == TW_OK && changed) {
        remember(store, &pending);
        store->segment = segment;
        store->changes = counts.changes;
    }
    tw_buf_fini(&pending.values);
    tw_buf_fini(&pending.value);
    free(pending.gone);
    free(pending.fresh);
    return code;
}
