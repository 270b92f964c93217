/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/lock.h"
#include "tsdb/codec.h"
#include "tsdb/lmdb.h"

#define CATALOG_MAGIC 0x7e5dca7au
#define METADATA_TABLE "metadata"

const struct tsdb_env_format tsdb_catalog_format = {
    .magic = "TWCATLG",
    .version = 1,
    .oldest_reader = 1,
    .oldest_version = 1,
    .map_bytes = (size_t)16 << 20,
    .tables_max = 4,
    .readers_max = 16,
    .key_sum = true,
};

/* One heap block: the struct, then the four texts. */
struct item {
    struct tsdb_metadata metadata;
    char bytes[];
};

struct tsdb_catalog {
    unsigned magic;
    struct tsdb_env *env;
    /* Makes a change of disk and memory one. Taken before lock. */
    struct tw_lock writing;
    /* Guards the items; never held while the disk is waited for. */
    struct tw_lock lock;
    struct item **items; /* sorted by metric */
    size_t count, capacity;
};

static struct tw_str put_text(char **at, struct tw_str text)
{
    struct tw_str copy = {*at, text.size};
    if (text.size)
        memcpy(*at, text.data, text.size);
    *at += text.size;
    return copy;
}

static struct item *item_new(const struct tsdb_metadata *from)
{
    struct item *item = malloc(sizeof *item + from->metric.size + from->type.size +
                               from->help.size + from->unit.size);
    TW_ASSERT(item != NULL);
    char *at = item->bytes;
    item->metadata.metric = put_text(&at, from->metric);
    item->metadata.type = put_text(&at, from->type);
    item->metadata.help = put_text(&at, from->help);
    item->metadata.unit = put_text(&at, from->unit);
    return item;
}

/* First item not below metric. */
static size_t find(const struct tsdb_catalog *catalog, struct tw_str metric, bool *ret_there)
{
    size_t first = 0, limit = catalog->count;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (tw_str_compare(catalog->items[middle]->metadata.metric, metric) < 0)
            first = middle + 1;
        else
            limit = middle;
    }
    *ret_there =
        first < catalog->count && tw_str_equal(catalog->items[first]->metadata.metric, metric);
    return first;
}

static void keep(struct tsdb_catalog *catalog, const struct tsdb_metadata *metadata)
{
    bool there;
    size_t at = find(catalog, metadata->metric, &there);
    if (there) {
        free(catalog->items[at]);
    } else {
        if (catalog->count == catalog->capacity) {
            catalog->capacity = catalog->capacity ? catalog->capacity * 2 : 64;
            catalog->items = realloc(catalog->items, catalog->capacity * sizeof *catalog->items);
            TW_ASSERT(catalog->items != NULL);
        }
        memmove(catalog->items + at + 1, catalog->items + at,
                (catalog->count - at) * sizeof *catalog->items);
        catalog->count++;
    }
    catalog->items[at] = item_new(metadata);
}

static struct tw_str read_text(struct tsdb_reader *reader)
{
    return tsdb_read_bytes(reader, tsdb_read_varint(reader));
}

static enum tw_code load(struct tsdb_catalog *catalog, struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    struct tsdb_env_cursor *cursor = NULL;
    enum tw_code code = tsdb_env_begin(catalog->env, false, &txn, err);
    if (code != TW_OK)
        return code;
    code = tsdb_env_cursor_open(txn, METADATA_TABLE, &cursor, err);
    struct tw_str key = {0}, value;
    while (code == TW_OK &&
           (code = tsdb_env_cursor_move(cursor, TSDB_ENV_NEXT, &key, &value, err)) == TW_OK) {
        struct tsdb_reader reader = tsdb_reader(value);
        struct tsdb_metadata metadata = {.metric = key};
        metadata.type = read_text(&reader);
        metadata.help = read_text(&reader);
        metadata.unit = read_text(&reader);
        if (!reader.ok)
            code = tw_err_set(err, TW_CORRUPT, "'%s': damaged metadata of '%.*s'",
                              tsdb_env_path(catalog->env), TW_STR_ARG(key));
        else
            keep(catalog, &metadata);
    }
    tsdb_env_cursor_close(cursor);
    tsdb_env_abort(txn);
    return code == TW_NOT_FOUND ? TW_OK : code;
}

enum tw_code tsdb_catalog_open(const char *path, struct tsdb_catalog **ret_catalog,
                               struct tw_err *err)
{
    struct tsdb_env *env;
    enum tw_code code =
        tsdb_env_open(path, &tsdb_catalog_format, TSDB_ENV_OPEN_OR_CREATE, &env, err);
    if (code != TW_OK)
        return code;
    struct tsdb_catalog *catalog = calloc(1, sizeof *catalog);
    TW_ASSERT(catalog != NULL);
    catalog->magic = CATALOG_MAGIC;
    catalog->env = env;
    tw_lock_init(&catalog->writing, TW_RANK_LOG, "tsdb.catalog.writing");
    tw_lock_init(&catalog->lock, TW_RANK_STATE, "tsdb.catalog");
    code = load(catalog, err);
    if (code != TW_OK) {
        tsdb_catalog_close(catalog);
        return code;
    }
    *ret_catalog = catalog;
    return TW_OK;
}

struct tsdb_catalog *tsdb_catalog_close(struct tsdb_catalog *catalog)
{
    if (!catalog)
        return NULL;
    TW_CHECK_MAGIC(catalog, CATALOG_MAGIC);
    for (size_t i = 0; i < catalog->count; i++)
        free(catalog->items[i]);
    free(catalog->items);
    tw_lock_fini(&catalog->lock);
    tw_lock_fini(&catalog->writing);
    tsdb_env_close(catalog->env);
    catalog->magic = 0;
    free(catalog);
    return NULL;
}

struct tsdb_env *tsdb_catalog_env(struct tsdb_catalog *catalog)
{
    TW_CHECK_MAGIC(catalog, CATALOG_MAGIC);
    return catalog->env;
}

static bool is_known(const struct tsdb_catalog *catalog, const struct tsdb_metadata *metadata)
{
    bool there;
    size_t at = find(catalog, metadata->metric, &there);
    if (!there)
        return false;
    const struct tsdb_metadata *known = &catalog->items[at]->metadata;
    return tw_str_equal(known->type, metadata->type) && tw_str_equal(known->help, metadata->help) &&
           tw_str_equal(known->unit, metadata->unit);
}

static void append_text(struct tw_buf *value, struct tw_str text)
{
    tsdb_varint_append(value, text.size);
    tw_buf_append_str(value, text);
}

static enum tw_code write_items(struct tsdb_catalog *catalog, const struct tsdb_metadata *items,
                                size_t count, struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    enum tw_code code = tsdb_env_begin(catalog->env, true, &txn, err);
    if (code != TW_OK)
        return code;
    struct tw_buf value;
    tw_buf_init(&value, (size_t)1 << 20);
    for (size_t i = 0; i < count && code == TW_OK; i++) {
        tw_buf_clear(&value);
        append_text(&value, items[i].type);
        append_text(&value, items[i].help);
        append_text(&value, items[i].unit);
        code = tsdb_env_put(txn, METADATA_TABLE, items[i].metric, tw_buf_str(&value), err);
    }
    tw_buf_fini(&value);
    if (code != TW_OK) {
        tsdb_env_abort(txn);
        return code;
    }
    return tsdb_env_commit(txn, err);
}

/* In canonical form; false when there is nothing to keep. */
static bool trim(struct tsdb_metadata *metadata)
{
    metadata->help = tw_str_slice(metadata->help, 0, TSDB_METADATA_HELP_BYTES_MAX);
    metadata->unit = tw_str_slice(metadata->unit, 0, TSDB_METADATA_NAME_BYTES_MAX);
    metadata->type = tw_str_slice(metadata->type, 0, TSDB_METADATA_NAME_BYTES_MAX);
    return metadata->metric.size > 0 && metadata->metric.size <= TSDB_METADATA_NAME_BYTES_MAX;
}

bool tsdb_catalog_knows_metadata(struct tsdb_catalog *catalog, const struct tsdb_metadata *items,
                                 size_t count)
{
    TW_CHECK_MAGIC(catalog, CATALOG_MAGIC);
    bool known = true;
    tw_lock_take(&catalog->lock);
    for (size_t i = 0; i < count && known; i++) {
        struct tsdb_metadata item = items[i];
        known = !trim(&item) || is_known(catalog, &item);
    }
    tw_lock_release(&catalog->lock);
    return known;
}

/* Those of the items that say something new, in canonical form; free() it. writing is held. */
static struct tsdb_metadata *pick_new(struct tsdb_catalog *catalog,
                                      const struct tsdb_metadata *items, size_t count,
                                      size_t *ret_count, size_t *ret_known_count)
{
    struct tsdb_metadata *picked = NULL;
    size_t kept = 0;
    tw_lock_take(&catalog->lock);
    for (size_t i = 0; i < count; i++) {
        struct tsdb_metadata item = items[i];
        if (!trim(&item) || is_known(catalog, &item))
            continue;
        if (!picked) {
            picked = malloc((count - i) * sizeof *picked);
            TW_ASSERT(picked != NULL);
        }
        picked[kept++] = item;
    }
    *ret_known_count = catalog->count;
    tw_lock_release(&catalog->lock);
    *ret_count = kept;
    return picked;
}

enum tw_code tsdb_catalog_put_metadata(struct tsdb_catalog *catalog,
                                       const struct tsdb_metadata *items, size_t count,
                                       struct tw_err *err)
{
    TW_CHECK_MAGIC(catalog, CATALOG_MAGIC);
    tw_lock_take(&catalog->writing);
    size_t new_count, known_count;
    struct tsdb_metadata *picked = pick_new(catalog, items, count, &new_count, &known_count);
    enum tw_code code = TW_OK;
    if (new_count && known_count + new_count > TSDB_METADATA_COUNT_MAX)
        code =
            tw_err_set(err, TW_LIMIT, "metadata of more than %d metrics", TSDB_METADATA_COUNT_MAX);
    else if (new_count)
        while ((code = write_items(catalog, picked, new_count, err)) == TW_BUSY)
            if ((code = tsdb_env_grow(catalog->env, err)) != TW_OK)
                break;
    tw_lock_take(&catalog->lock);
    for (size_t i = 0; i < new_count && code == TW_OK; i++)
        keep(catalog, &picked[i]);
    tw_lock_release(&catalog->lock);
    tw_lock_release(&catalog->writing);
    free(picked);
    return code;
}

void tsdb_catalog_list_metadata(struct tsdb_catalog *catalog, struct tw_str metric,
                                struct tw_arena *arena, struct tsdb_metadata **ret_items,
                                size_t *ret_count)
{
    TW_CHECK_MAGIC(catalog, CATALOG_MAGIC);
    tw_lock_take(&catalog->lock);
    size_t first = 0, limit = catalog->count;
    if (metric.size) {
        bool there;
        first = find(catalog, metric, &there);
        limit = first + there;
    }
    struct tsdb_metadata *items =
        TW_ARENA_ARRAY(arena, struct tsdb_metadata, limit - first ? limit - first : 1);
    for (size_t i = first; i < limit; i++) {
        const struct tsdb_metadata *from = &catalog->items[i]->metadata;
        items[i - first] = (struct tsdb_metadata){
            tw_arena_str(arena, from->metric), tw_arena_str(arena, from->type),
            tw_arena_str(arena, from->help), tw_arena_str(arena, from->unit)};
    }
    tw_lock_release(&catalog->lock);
    *ret_items = items;
    *ret_count = limit - first;
}
