/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/partition_cache.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "tsdb/codec.h"
#include "tsdb/db.h"
#include "tsdb/partition_int.h"

/* Most blocks that are fetched ahead, of 64 kB. */
#define AHEAD_BLOCKS_MAX 32

/* Kept by all readers of the process, and how much that may be. */
static atomic_size_t total_bytes, limit_bytes;

static void keep(struct tsdb_cache_source *source, int64_t bytes)
{
    source->bytes += (size_t)bytes; /* modulo 2^64: less, when negative */
    atomic_fetch_add_explicit(&total_bytes, (size_t)bytes, memory_order_relaxed);
}

#define LANE_KEY_BYTES 16

struct tsdb_cached_block {
    uint32_t metric, series; /* the first in it */
    struct tw_str framed;
    struct tsdb_block *block; /* NULL until it is read */
    bool fetched;             /* was asked for */
};

struct tsdb_cached_page {
    uint32_t first, count;
    struct tw_str framed;
    /* NULL until it is read; then of count columns. */
    struct tw_str *encoded;
    uint32_t *counts;
    int64_t **times; /* each NULL until it is decoded */
};

void tsdb_cache_init(struct tsdb_cache *cache, int64_t window, uint64_t run)
{
    *cache = (struct tsdb_cache){.window = window, .run = run};
}

static void forget_page(struct tsdb_cached_page *page)
{
    for (uint32_t i = 0; page->times && i < page->count; i++)
        free(page->times[i]);
    free(page->encoded);
    free(page->counts);
    free(page->times);
    page->encoded = NULL;
    page->counts = NULL;
    page->times = NULL;
}

static void forget(struct tsdb_cache *cache)
{
    for (size_t i = 0; i < cache->block_count; i++)
        if (cache->blocks[i].block) {
            tsdb_block_fini(cache->blocks[i].block);
            free(cache->blocks[i].block);
            cache->blocks[i].block = NULL;
        }
    for (size_t i = 0; i < cache->page_count; i++)
        forget_page(&cache->pages[i]);
}

void tsdb_cache_fini(struct tsdb_cache *cache)
{
    forget(cache);
    free(cache->blocks);
    free(cache->pages);
    *cache = (struct tsdb_cache){0};
}

static struct tsdb_block *free_block(struct tsdb_block *block)
{
    if (block) {
        tsdb_block_fini(block);
        free(block);
    }
    return NULL;
}

void tsdb_cache_source_fini(struct tsdb_cache_source *source)
{
    source->spare = free_block(source->spare);
    keep(source, -(int64_t)source->bytes);
}

void tsdb_cache_forget(struct tsdb_cache *cache, struct tsdb_cache_source *source)
{
    forget(cache);
    keep(source, -(int64_t)source->bytes);
}

/* ---- the limit of all ---- */

void tsdb_cache_limit(size_t bytes)
{
    atomic_store(&limit_bytes, bytes);
}

size_t tsdb_cache_total(void)
{
    return atomic_load_explicit(&total_bytes, memory_order_relaxed);
}

bool tsdb_cache_is_large(const struct tsdb_cache_source *source)
{
    size_t limit = atomic_load_explicit(&limit_bytes, memory_order_relaxed);
    return source->bytes > TSDB_CACHE_BYTES_MAX ||
           (limit > 0 && source->bytes > 0 && tsdb_cache_total() > limit);
}

/* ---- places ---- */

static void *grow(void *items, size_t *capacity, size_t count, size_t item_bytes)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 16;
    items = realloc(items, *capacity * item_bytes);
    TW_ASSERT(items != NULL);
    return items;
}

static void put_lane_key(const struct tsdb_cache *cache, unsigned char *ret_key)
{
    tsdb_env_key_i64(ret_key, cache->window);
    tsdb_env_key_u64(ret_key + 8, cache->run);
}

/* Calls add for each value of the lane in a table; the values are not looked at. */
typedef void add_place(struct tsdb_cache *cache, struct tw_str key, struct tw_str framed);
static enum tw_code list(struct tsdb_cache *cache, const struct tsdb_cache_source *source,
                         struct tsdb_env_cursor *cursor, size_t key_bytes, add_place *add,
                         struct tw_err *err)
{
    unsigned char prefix[LANE_KEY_BYTES];
    put_lane_key(cache, prefix);
    struct tw_str key = {(const char *)prefix, sizeof prefix}, framed;
    enum tw_code code = tsdb_env_cursor_locate(cursor, TSDB_ENV_AT_OR_AFTER, &key, &framed, err);
    while (code == TW_OK && key.size >= sizeof prefix &&
           memcmp(key.data, prefix, sizeof prefix) == 0) {
        if (key.size != key_bytes)
            return tsdb_partition_corrupt(source->env, "key of a block or a column", err);
        add(cache, key, framed);
        code = tsdb_env_cursor_locate(cursor, TSDB_ENV_NEXT, &key, &framed, err);
    }
    return code == TW_NOT_FOUND ? TW_OK : code;
}

static void add_block(struct tsdb_cache *cache, struct tw_str key, struct tw_str framed)
{
    cache->blocks =
        grow(cache->blocks, &cache->block_capacity, cache->block_count, sizeof *cache->blocks);
    cache->blocks[cache->block_count++] =
        (struct tsdb_cached_block){.metric = tsdb_env_key_get_u32(key.data + LANE_KEY_BYTES),
                                   .series = tsdb_env_key_get_u32(key.data + LANE_KEY_BYTES + 4),
                                   .framed = framed};
}

static void add_page(struct tsdb_cache *cache, struct tw_str key, struct tw_str framed)
{
    cache->pages =
        grow(cache->pages, &cache->page_capacity, cache->page_count, sizeof *cache->pages);
    cache->pages[cache->page_count++] = (struct tsdb_cached_page){
        .first = tsdb_env_key_get_u32(key.data + LANE_KEY_BYTES), .framed = framed};
}

static enum tw_code list_lane(struct tsdb_cache *cache, const struct tsdb_cache_source *source,
                              struct tw_err *err)
{
    if (cache->listed)
        return TW_OK;
    cache->block_count = cache->page_count = 0;
    enum tw_code code = list(cache, source, source->blocks, TSDB_BLOCK_KEY_BYTES, add_block, err);
    if (code == TW_OK)
        code = list(cache, source, source->columns, TSDB_COLUMN_KEY_BYTES, add_page, err);
    cache->listed = code == TW_OK;
    return code;
}

/* ---- blocks ---- */

static bool is_after(const struct tsdb_cached_block *block, uint32_t metric, uint32_t series)
{
    return block->metric > metric || (block->metric == metric && block->series > series);
}

/* The last block that begins at or before the series; SIZE_MAX if none does. */
static size_t find_block(const struct tsdb_cache *cache, uint32_t metric, uint32_t series)
{
    size_t first = 0, limit = cache->block_count, at = cache->block_at;
    if (at < limit && !is_after(&cache->blocks[at], metric, series) &&
        (at + 1 == limit || is_after(&cache->blocks[at + 1], metric, series)))
        return at;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (is_after(&cache->blocks[middle], metric, series))
            limit = middle;
        else
            first = middle + 1;
    }
    return first - 1;
}

/* Asks for the block, and the more a reader reads of the lane, for the more around it: series that
 * are read one after the other lie near to each other, though seldom in the same order. */
static void fetch(struct tsdb_cache *cache, size_t at)
{
    size_t around = cache->ahead < AHEAD_BLOCKS_MAX ? cache->ahead * 2 : AHEAD_BLOCKS_MAX;
    cache->ahead = around ? around : 1;
    size_t first = at > around / 2 ? at - around / 2 : 0;
    for (size_t i = first; i < at + around && i < cache->block_count; i++)
        if (!cache->blocks[i].fetched) {
            cache->blocks[i].fetched = true;
            tsdb_env_fetch(cache->blocks[i].framed);
        }
}

/* What lies side by side is asked for in one call. */
static void extend(struct tw_str *stretch, struct tw_str framed)
{
    const char *end = stretch->data + stretch->size;
    if (stretch->size > 0 && framed.data >= end &&
        (size_t)(framed.data - end) < TSDB_ENV_PAGE_BYTES) {
        stretch->size = (size_t)(framed.data - stretch->data) + framed.size;
        return;
    }
    if (stretch->size > 0)
        tsdb_env_fetch(*stretch);
    *stretch = framed;
}

enum tw_code tsdb_cache_fetch(struct tsdb_cache *cache, struct tsdb_cache_source *source,
                              size_t *left, struct tw_err *err)
{
    enum tw_code code = list_lane(cache, source, err);
    struct tw_str stretch = {0};
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < cache->page_count; i++)
        extend(&stretch, cache->pages[i].framed);
    for (size_t i = 0; i<cache->block_count && * left> 0; i++) {
        struct tsdb_cached_block *block = &cache->blocks[i];
        *left -= block->framed.size < *left ? block->framed.size : *left;
        if (!block->fetched)
            extend(&stretch, block->framed);
        block->fetched = true;
    }
    if (stretch.size > 0)
        tsdb_env_fetch(stretch);
    return TW_OK;
}

static size_t block_bytes(const struct tsdb_block *block)
{
    return sizeof *block + block->count * sizeof *block->entries + block->plain.size;
}

/* A block to be read into. In order, the lane's block before is done with, and its memory, which is
 * near, serves again. */
static struct tsdb_block *take_block(struct tsdb_cache *cache, struct tsdb_cache_source *source)
{
    struct tsdb_cached_block *before = &cache->blocks[cache->block_at];
    struct tsdb_block *block = source->spare;
    source->spare = NULL;
    if (source->in_order && before->block) {
        keep(source, -(int64_t)block_bytes(before->block));
        source->spare = before->block;
        before->block = NULL;
    }
    if (!block) {
        block = malloc(sizeof *block);
        TW_ASSERT(block != NULL);
        tsdb_block_init(block);
    }
    return block;
}

static enum tw_code read_block(struct tsdb_cache *cache, struct tsdb_cache_source *source,
                               size_t at, struct tw_err *err)
{
    struct tsdb_cached_block *cached = &cache->blocks[at];
    unsigned char bytes[TSDB_BLOCK_KEY_BYTES];
    struct tw_str key = {(const char *)bytes, sizeof bytes}, value;
    put_lane_key(cache, bytes);
    tsdb_env_key_u32(bytes + LANE_KEY_BYTES, cached->metric);
    tsdb_env_key_u32(bytes + LANE_KEY_BYTES + 4, cached->series);
    fetch(cache, at);
    enum tw_code code =
        tsdb_env_read_located(source->env, TSDB_TABLE_BLOCKS, key, cached->framed, &value, err);
    if (code != TW_OK)
        return code;
    struct tsdb_block *block = take_block(cache, source);
    if (!tsdb_block_parse(block, value)) {
        free_block(block);
        return tsdb_partition_corrupt(source->env, "block", err);
    }
    cached->block = block;
    keep(source, (int64_t)block_bytes(block));
    return TW_OK;
}

enum tw_code tsdb_cache_find(struct tsdb_cache *cache, struct tsdb_cache_source *source,
                             uint32_t metric, uint32_t series,
                             const struct tsdb_block_entry **ret_entry, struct tw_err *err)
{
    *ret_entry = NULL;
    enum tw_code code = list_lane(cache, source, err);
    if (code != TW_OK)
        return code;
    size_t at = find_block(cache, metric, series);
    if (at == SIZE_MAX)
        return TW_OK;
    if (!cache->blocks[at].block) {
        code = read_block(cache, source, at, err);
        if (code != TW_OK)
            return code;
    }
    cache->block_at = at;
    *ret_entry = tsdb_block_find(cache->blocks[at].block, metric, series);
    return TW_OK;
}

/* ---- columns ---- */

static bool parse_page(struct tsdb_cached_page *page, struct tw_str bytes)
{
    struct tsdb_reader reader = tsdb_reader(bytes);
    uint64_t count = tsdb_read_varint(&reader);
    if (!reader.ok || count == 0 || count > TSDB_COLUMNS_PER_PAGE)
        return false;
    int64_t counts[TSDB_COLUMNS_PER_PAGE], sizes[TSDB_COLUMNS_PER_PAGE];
    if (!tsdb_codec_decode_times(tsdb_read_bytes(&reader, tsdb_read_varint(&reader)), counts,
                                 count) ||
        !tsdb_codec_decode_times(tsdb_read_bytes(&reader, tsdb_read_varint(&reader)), sizes, count))
        return false;
    page->encoded = calloc(count, sizeof *page->encoded);
    page->counts = calloc(count, sizeof *page->counts);
    page->times = calloc(count, sizeof *page->times);
    TW_ASSERT(page->encoded != NULL && page->counts != NULL && page->times != NULL);
    page->count = (uint32_t)count;
    for (uint64_t i = 0; i < count; i++) {
        if (counts[i] < 1 || counts[i] > TSDB_WINDOW_MS || sizes[i] < 0)
            return false;
        page->counts[i] = (uint32_t)counts[i];
        page->encoded[i] = tsdb_read_bytes(&reader, (uint64_t)sizes[i]);
    }
    return reader.ok && tsdb_reader_left(&reader) == 0;
}

static enum tw_code read_page(const struct tsdb_cache *cache, struct tsdb_cache_source *source,
                              struct tsdb_cached_page *page, struct tw_err *err)
{
    unsigned char bytes[TSDB_COLUMN_KEY_BYTES];
    struct tw_str key = {(const char *)bytes, sizeof bytes}, value;
    put_lane_key(cache, bytes);
    tsdb_env_key_u32(bytes + LANE_KEY_BYTES, page->first);
    tsdb_env_fetch(page->framed);
    enum tw_code code =
        tsdb_env_read_located(source->env, TSDB_TABLE_COLUMNS, key, page->framed, &value, err);
    if (code != TW_OK)
        return code;
    if (!parse_page(page, value)) {
        forget_page(page);
        return tsdb_partition_corrupt(source->env, "page of columns", err);
    }
    keep(source, (int64_t)(page->count *
                           (sizeof *page->encoded + sizeof *page->counts + sizeof *page->times)));
    return TW_OK;
}

static size_t find_page(const struct tsdb_cache *cache, uint32_t column)
{
    size_t first = 0, limit = cache->page_count, at = cache->page_at;
    if (at < limit && cache->pages[at].first <= column &&
        (at + 1 == limit || cache->pages[at + 1].first > column))
        return at;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (cache->pages[middle].first > column)
            limit = middle;
        else
            first = middle + 1;
    }
    return first - 1;
}

/* Order is what all that follows relies on. */
static bool are_in_order(const int64_t *times, size_t count, int64_t window)
{
    bool fine = true;
    for (size_t i = 1; i < count; i++)
        fine &= times[i] > times[i - 1];
    return fine && tw_floor_div(times[0], TSDB_WINDOW_MS) == window &&
           tw_floor_div(times[count - 1], TSDB_WINDOW_MS) == window;
}

enum tw_code tsdb_cache_times(struct tsdb_cache *cache, struct tsdb_cache_source *source,
                              uint32_t column, struct tsdb_cached_times *ret, struct tw_err *err)
{
    enum tw_code code = list_lane(cache, source, err);
    if (code != TW_OK)
        return code;
    size_t at = find_page(cache, column);
    if (at == SIZE_MAX)
        return tsdb_partition_corrupt(source->env, "column: it is missing", err);
    struct tsdb_cached_page *page = &cache->pages[at];
    if (!page->times)
        code = read_page(cache, source, page, err);
    if (code != TW_OK)
        return code;
    cache->page_at = at;
    uint32_t place = column - page->first;
    if (place >= page->count)
        return tsdb_partition_corrupt(source->env, "column: it is missing", err);
    if (!page->times[place]) {
        size_t count = page->counts[place];
        int64_t *times = malloc(count * sizeof *times);
        TW_ASSERT(times != NULL);
        if (!tsdb_codec_decode_times(page->encoded[place], times, count) ||
            !are_in_order(times, count, cache->window)) {
            free(times);
            return tsdb_partition_corrupt(source->env, "column", err);
        }
        page->times[place] = times;
        keep(source, (int64_t)(count * sizeof *times));
    }
    *ret = (struct tsdb_cached_times){page->times[place], page->counts[place]};
    return TW_OK;
}
