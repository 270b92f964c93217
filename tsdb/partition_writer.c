/* SPDX-License-Identifier: Apache-2.0
 *
 * partition_writer: one run into one partition, in one transaction: the series that are new to it,
 * their postings, the columns, the blocks.
 *
 * Which series of the run the partition has, a map of ids knows (partition_map.h). Those that are
 * new, and their strings, get the next ids in the order in which they are met.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "tsdb/block.h"
#include "tsdb/codec.h"
#include "tsdb/partition_map.h"

#define PAGE_BYTES_MAX ((size_t)1 << 28)
#define FILL_TRIES 3
#define STRINGS_GUESS 512

struct writer {
    struct tsdb_env *env;
    struct tsdb_env_txn *txn;
    struct tsdb_run *run;
    const struct tsdb_index *index;  /* of the run */
    struct tsdb_partition_map *ids;  /* of its series in the partition */
    struct tsdb_ids strings, series; /* new to the partition, as ids of the index */
    /* By id in the run: id in the partition, and id of its metric there. */
    const uint32_t *series_ids;
    uint32_t *metrics;
    struct tw_buf page;
    size_t block_count;
    uint64_t sample_count;
};

static struct tw_str bytes_of(const unsigned char *bytes, size_t size)
{
    return (struct tw_str){(const char *)bytes, size};
}

/* ---- ids ---- */

static void add_string(struct writer *writer, uint32_t string)
{
    if (tsdb_id_table_get(&writer->ids->strings, string) != TSDB_NO_SERIES)
        return;
    tsdb_id_table_set(&writer->ids->strings, string, writer->ids->counts.strings++);
    tsdb_ids_append(&writer->strings, string);
}

static void add_series(struct writer *writer, uint32_t series)
{
    uint32_t names[WIRE_LABELS_COUNT_MAX], values[WIRE_LABELS_COUNT_MAX];
    size_t count = tsdb_index_label_ids(writer->index, series, names, values);
    for (size_t i = 0; i < count; i++) {
        add_string(writer, names[i]);
        add_string(writer, values[i]);
    }
    tsdb_id_table_set(&writer->ids->series, series, writer->ids->counts.series++);
    tsdb_ids_append(&writer->series, series);
}

static uint32_t metric_of(const struct writer *writer, uint32_t series)
{
    uint32_t names[WIRE_LABELS_COUNT_MAX], values[WIRE_LABELS_COUNT_MAX];
    size_t count = tsdb_index_label_ids(writer->index, series, names, values);
    for (size_t i = 0; i < count; i++)
        if (tw_str_is(tsdb_index_string(writer->index, names[i]), WIRE_METRIC_NAME))
            return tsdb_id_table_get(&writer->ids->strings, values[i]);
    return 0;
}

/* Ids for all series of the run. */
static void map_series(struct writer *writer)
{
    const struct tsdb_run *run = writer->run;
    uint32_t limit = 0;
    for (size_t i = 0; i < run->chunk_count; i++)
        limit = run->chunks[i].series >= limit ? run->chunks[i].series + 1 : limit;
    writer->metrics = malloc(((size_t)limit + 1) * sizeof *writer->metrics);
    TW_ASSERT(writer->metrics != NULL);
    memset(writer->metrics, 0xff, limit * sizeof *writer->metrics);
    add_string(writer, 0); /* the empty one */
    for (size_t i = 0; i < run->chunk_count; i++) {
        uint32_t series = run->chunks[i].series;
        if (writer->metrics[series] != TSDB_NO_SERIES)
            continue;
        if (tsdb_id_table_get(&writer->ids->series, series) == TSDB_NO_SERIES)
            add_series(writer, series);
        writer->metrics[series] = metric_of(writer, series);
    }
    writer->series_ids = writer->ids->series.items;
}

/* What was not written is not known either. */
static void take_back(struct writer *writer)
{
    struct tsdb_partition_map *ids = writer->ids;
    for (size_t i = 0; i < writer->strings.count; i++)
        tsdb_id_table_set(&ids->strings, writer->strings.items[i], TSDB_NO_SERIES);
    for (size_t i = 0; i < writer->series.count; i++)
        tsdb_id_table_set(&ids->series, writer->series.items[i], TSDB_NO_SERIES);
    ids->counts.strings -= (uint32_t)writer->strings.count;
    ids->counts.series -= (uint32_t)writer->series.count;
}

/* ---- pages of the index ---- */

/* Makes a page of the items [first, first + count) in writer->page. */
typedef void encode_page(struct writer *writer, const void *user, size_t first, size_t count);

/* A page that fills LMDB's to the brim: how many items that takes is guessed from the page before,
 * and tried again when it was wrong. Returns the count; *guess: 0 at first. */
static size_t fill_page(struct writer *writer, encode_page *encode, const void *user, size_t first,
                        size_t left, size_t *guess)
{
    size_t count = *guess && *guess < left ? *guess : left;
    for (int tries = 0;; tries++) {
        tw_buf_clear(&writer->page);
        encode(writer, user, first, count);
        size_t fitting = count * (TSDB_INDEX_PAGE_BYTES - TSDB_INDEX_PAGE_BYTES / 64) /
                         (writer->page.size ? writer->page.size : 1);
        bool too_large = writer->page.size > TSDB_INDEX_PAGE_BYTES && count > 1;
        bool too_small = count < left && writer->page.size < TSDB_INDEX_PAGE_BYTES / 8 * 7;
        fitting = fitting ? fitting : 1;
        if (tries == FILL_TRIES || (!too_large && !too_small)) {
            *guess = fitting;
            return count;
        }
        count = too_large && fitting >= count ? count - 1 : fitting < left ? fitting : left;
    }
}

static enum tw_code put_page(struct writer *writer, const char *table, uint32_t first,
                             struct tw_err *err)
{
    unsigned char key[4];
    tsdb_env_key_u32(key, first);
    return tsdb_env_put(writer->txn, table, bytes_of(key, sizeof key), tw_buf_str(&writer->page),
                        err);
}

static void encode_strings(struct writer *writer, const void *user, size_t first, size_t count)
{
    struct tw_str items[TSDB_PAGE_STRINGS_MAX];
    (void)user;
    for (size_t i = 0; i < count; i++)
        items[i] = tsdb_index_string(writer->index, writer->strings.items[first + i]);
    tsdb_strings_encode(items, count, &writer->page);
}

static enum tw_code write_strings(struct writer *writer, struct tw_err *err)
{
    size_t total = writer->strings.count, guess = STRINGS_GUESS;
    uint32_t before = writer->ids->counts.strings - (uint32_t)total;
    enum tw_code code = TW_OK;
    for (size_t first = 0; first < total && code == TW_OK;) {
        size_t left = total - first;
        size_t count =
            fill_page(writer, encode_strings, NULL, first,
                      left < TSDB_PAGE_STRINGS_MAX ? left : TSDB_PAGE_STRINGS_MAX, &guess);
        code = put_page(writer, TSDB_TABLE_STRINGS, before + (uint32_t)first, err);
        first += count;
    }
    return code;
}

static void encode_series(struct writer *writer, const void *user, size_t first, size_t count)
{
    (void)first;
    tsdb_series_page_encode(user, count, &writer->page);
}

/* Labels of a new series as ids of the partition. Returns the count. */
static size_t label_ids(const struct writer *writer, uint32_t series, uint32_t *ret_names,
                        uint32_t *ret_values)
{
    size_t count = tsdb_index_label_ids(writer->index, series, ret_names, ret_values);
    for (size_t i = 0; i < count; i++) {
        ret_names[i] = tsdb_id_table_get(&writer->ids->strings, ret_names[i]);
        ret_values[i] = tsdb_id_table_get(&writer->ids->strings, ret_values[i]);
    }
    return count;
}

static enum tw_code write_series(struct writer *writer, struct tw_err *err)
{
    uint32_t names[WIRE_LABELS_COUNT_MAX], values[WIRE_LABELS_COUNT_MAX];
    struct tsdb_series_page page = {0};
    size_t total = writer->series.count, guess = 0;
    uint32_t before = writer->ids->counts.series - (uint32_t)total;
    enum tw_code code = TW_OK;
    for (size_t first = 0; first < total && code == TW_OK;) {
        tsdb_series_page_clear(&page);
        for (size_t i = first; i < total && page.count < TSDB_PAGE_SERIES_MAX; i++) {
            size_t count = label_ids(writer, writer->series.items[i], names, values);
            tsdb_series_page_add(&page, names, values, count);
        }
        size_t count = fill_page(writer, encode_series, &page, first, page.count, &guess);
        code = put_page(writer, TSDB_TABLE_SERIES, before + (uint32_t)first, err);
        first += count;
    }
    tsdb_series_page_fini(&page);
    return code;
}

/* ---- postings ---- */

struct named_posting {
    uint32_t name;
    struct tsdb_posting posting;
};

static int compare_postings(const void *a, const void *b)
{
    const struct named_posting *x = a, *y = b;
    if (x->name != y->name)
        return x->name < y->name ? -1 : 1;
    if (x->posting.hash != y->posting.hash)
        return x->posting.hash < y->posting.hash ? -1 : 1;
    if (x->posting.value != y->posting.value)
        return x->posting.value < y->posting.value ? -1 : 1;
    return (x->posting.series > y->posting.series) - (x->posting.series < y->posting.series);
}

/* Of the series that the run brought, by name, hash of the value, value and series. */
static struct named_posting *list_postings(struct writer *writer, size_t *ret_count)
{
    uint32_t names[WIRE_LABELS_COUNT_MAX], values[WIRE_LABELS_COUNT_MAX];
    struct named_posting *postings = NULL;
    size_t count = 0, capacity = 0;
    uint32_t id = writer->ids->counts.series - (uint32_t)writer->series.count;
    for (size_t at = 0; at < writer->series.count; at++, id++) {
        uint32_t series = writer->series.items[at];
        size_t label_count = tsdb_index_label_ids(writer->index, series, names, values);
        if (count + label_count > capacity) {
            capacity = (count + label_count) * 2;
            postings = realloc(postings, capacity * sizeof *postings);
            TW_ASSERT(postings != NULL);
        }
        for (size_t i = 0; i < label_count; i++) {
            struct tw_str text = tsdb_index_string(writer->index, values[i]);
            postings[count++] =
                (struct named_posting){tsdb_id_table_get(&writer->ids->strings, names[i]),
                                       {(uint32_t)tw_hash64(text.data, text.size),
                                        tsdb_id_table_get(&writer->ids->strings, values[i]), id}};
        }
    }
    if (count)
        qsort(postings, count, sizeof *postings, compare_postings);
    *ret_count = count;
    return postings;
}

static enum tw_code put_postings(struct writer *writer, uint32_t name, uint32_t hash,
                                 uint32_t number, struct tw_err *err)
{
    unsigned char key[TSDB_POSTING_KEY_BYTES];
    tsdb_env_key_u32(key, name);
    tsdb_env_key_u64(key + 4, writer->run->number);
    tsdb_env_key_u32(key + 12, hash);
    tsdb_env_key_u32(key + 16, number);
    return tsdb_env_put(writer->txn, TSDB_TABLE_POSTINGS, bytes_of(key, sizeof key),
                        tw_buf_str(&writer->page), err);
}

static void encode_postings(struct writer *writer, const void *user, size_t first, size_t count)
{
    tsdb_postings_encode((const struct tsdb_posting *)user + first, count, &writer->page);
}

/* All postings of one name. */
static enum tw_code write_name(struct writer *writer, uint32_t name,
                               const struct tsdb_posting *items, size_t count, struct tw_err *err)
{
    enum tw_code code = TW_OK;
    size_t guess = 0;
    uint32_t number = 0;
    for (size_t first = 0; first < count && code == TW_OK;) {
        size_t left = count - first;
        size_t taken = fill_page(writer, encode_postings, items, first,
                                 left < TSDB_PAGE_IDS_MAX ? left : TSDB_PAGE_IDS_MAX, &guess);
        code = put_postings(writer, name, items[first].hash, number++, err);
        first += taken;
    }
    return code;
}

static enum tw_code write_postings(struct writer *writer, struct tw_err *err)
{
    size_t count;
    struct named_posting *named = list_postings(writer, &count);
    struct tsdb_posting *items = malloc((count + 1) * sizeof *items);
    TW_ASSERT(items != NULL);
    for (size_t i = 0; i < count; i++)
        items[i] = named[i].posting;
    enum tw_code code = TW_OK;
    for (size_t first = 0, limit; first < count && code == TW_OK; first = limit) {
        for (limit = first + 1; limit < count && named[limit].name == named[first].name; limit++)
            ;
        code = write_name(writer, named[first].name, items + first, limit - first, err);
    }
    free(named);
    free(items);
    return code;
}

/* ---- columns ---- */

static enum tw_code put_columns(struct writer *writer, const struct tsdb_run_column *columns,
                                size_t count, struct tw_err *err)
{
    unsigned char key[TSDB_COLUMN_KEY_BYTES];
    int64_t counts[TSDB_COLUMNS_PER_PAGE], sizes[TSDB_COLUMNS_PER_PAGE];
    tsdb_env_key_i64(key, columns[0].window);
    tsdb_env_key_u64(key + 8, writer->run->number);
    tsdb_env_key_u32(key + 16, columns[0].column);
    for (size_t i = 0; i < count; i++) {
        counts[i] = columns[i].count;
        sizes[i] = (int64_t)columns[i].times.size;
    }
    tw_buf_clear(&writer->page);
    tsdb_varint_append(&writer->page, count);
    tsdb_numbers_append(&writer->page, counts, count);
    tsdb_numbers_append(&writer->page, sizes, count);
    for (size_t i = 0; i < count; i++)
        tw_buf_append_str(&writer->page, columns[i].times);
    return tsdb_env_put(writer->txn, TSDB_TABLE_COLUMNS, bytes_of(key, sizeof key),
                        tw_buf_str(&writer->page), err);
}

/* Most that a page's two columns of numbers take: runs of equal ones cost next to nothing. */
#define COLUMN_BYTES 2

static enum tw_code write_columns(struct writer *writer, struct tw_err *err)
{
    const struct tsdb_run *run = writer->run;
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < run->column_count && code == TW_OK;) {
        size_t first = i, bytes = 0;
        while (i < run->column_count && i - first < TSDB_COLUMNS_PER_PAGE &&
               run->columns[i].window == run->columns[first].window &&
               (i == first ||
                bytes + run->columns[i].times.size + COLUMN_BYTES <= TSDB_PAGE_BYTES_MAX))
            bytes += run->columns[i++].times.size + COLUMN_BYTES;
        code = put_columns(writer, &run->columns[first], i - first, err);
    }
    return code;
}

/* ---- blocks ---- */

/* Chunks with what they are sorted by. */
struct placed {
    int64_t window;
    uint32_t metric, series;
    const struct tsdb_run_chunk *chunk;
};

static int compare_placed(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    if (x->window != y->window)
        return x->window < y->window ? -1 : 1;
    if (x->metric != y->metric)
        return x->metric < y->metric ? -1 : 1;
    return (x->series > y->series) - (x->series < y->series);
}

static enum tw_code put_block(struct writer *writer, struct tsdb_block_writer *block,
                              const struct placed *first, struct tw_err *err)
{
    unsigned char key[TSDB_BLOCK_KEY_BYTES];
    tsdb_env_key_i64(key, first->window);
    tsdb_env_key_u64(key + 8, writer->run->number);
    tsdb_env_key_u32(key + 16, first->metric);
    tsdb_env_key_u32(key + 20, first->series);
    tw_buf_clear(&writer->page);
    tsdb_block_writer_take(block, &writer->page);
    writer->block_count++;
    return tsdb_env_put(writer->txn, TSDB_TABLE_BLOCKS, bytes_of(key, sizeof key),
                        tw_buf_str(&writer->page), err);
}

static enum tw_code write_blocks(struct writer *writer, struct tw_err *err)
{
    const struct tsdb_run *run = writer->run;
    struct placed *placed = malloc((run->chunk_count + 1) * sizeof *placed);
    TW_ASSERT(placed != NULL);
    for (size_t i = 0; i < run->chunk_count; i++)
        placed[i] = (struct placed){run->chunks[i].window, writer->metrics[run->chunks[i].series],
                                    writer->series_ids[run->chunks[i].series], &run->chunks[i]};
    qsort(placed, run->chunk_count, sizeof *placed, compare_placed);
    struct tsdb_block_writer block;
    tsdb_block_writer_init(&block);
    enum tw_code code = TW_OK;
    size_t first = 0;
    for (size_t i = 0; i < run->chunk_count && code == TW_OK;) {
        const struct tsdb_run_chunk *chunk = placed[i].chunk;
        struct tsdb_block_entry entry = {placed[i].metric, placed[i].series, chunk->count,
                                         chunk->column,    chunk->kind,      chunk->values};
        bool same_window = i == first || placed[i].window == placed[i - 1].window;
        if (same_window && tsdb_block_writer_add(&block, &entry)) {
            i++;
            continue;
        }
        if (same_window)
            i -= tsdb_block_writer_settle(&block);
        code = put_block(writer, &block, &placed[first], err);
        first = i;
    }
    for (size_t i = 0; i < run->chunk_count; i++)
        writer->sample_count += run->chunks[i].count;
    if (code == TW_OK && run->chunk_count > 0)
        code = put_block(writer, &block, &placed[first], err);
    tsdb_block_writer_fini(&block);
    free(placed);
    return code;
}

/* ---- the run ---- */

static enum tw_code write_counts(struct writer *writer, struct tw_err *err)
{
    unsigned char key[8];
    const struct tsdb_partition_counts *counts = &writer->ids->counts;
    enum tw_code code = tsdb_partition_put_counts(writer->txn, counts, err);
    if (code != TW_OK)
        return code;
    tsdb_env_key_u64(key, writer->run->number);
    tw_buf_clear(&writer->page);
    tsdb_varint_append(&writer->page, writer->sample_count);
    tsdb_varint_append(&writer->page, writer->block_count);
    tsdb_varint_append(&writer->page, counts->series);
    return tsdb_env_put(writer->txn, TSDB_TABLE_RUNS, bytes_of(key, sizeof key),
                        tw_buf_str(&writer->page), err);
}

static enum tw_code write_parts(struct writer *writer, struct tw_err *err)
{
    enum tw_code code = write_strings(writer, err);
    if (code == TW_OK)
        code = write_series(writer, err);
    if (code == TW_OK)
        code = write_postings(writer, err);
    if (code == TW_OK)
        code = write_columns(writer, err);
    if (code == TW_OK)
        code = write_blocks(writer, err);
    if (code == TW_OK)
        code = write_counts(writer, err);
    return code;
}

/* ---- a partition in pieces, for who rewrites one ---- */

static enum tw_code end(struct writer *writer, enum tw_code code, struct tw_err *err)
{
    tw_buf_fini(&writer->page);
    tsdb_ids_fini(&writer->strings);
    tsdb_ids_fini(&writer->series);
    if (code == TW_OK)
        return tsdb_env_commit(writer->txn, err);
    tsdb_env_abort(writer->txn);
    return code;
}

enum tw_code tsdb_partition_write_index(struct tsdb_env *env, struct tsdb_index *index,
                                        uint64_t run, struct tw_err *err)
{
    struct tsdb_run only_number = {.number = run};
    struct tsdb_partition_map ids = {.index = 0};
    struct writer writer = {.env = env, .run = &only_number, .index = index, .ids = &ids};
    enum tw_code code = tsdb_env_begin(env, true, &writer.txn, err);
    if (code != TW_OK)
        return code;
    tw_buf_init(&writer.page, 4 * PAGE_BYTES_MAX);
    for (uint32_t id = 0; id < tsdb_index_string_count(index); id++)
        add_string(&writer, id);
    for (uint32_t id = 0; id < tsdb_index_count(index); id++)
        add_series(&writer, id);
    code = write_strings(&writer, err);
    if (code == TW_OK)
        code = write_series(&writer, err);
    if (code == TW_OK)
        code = write_postings(&writer, err);
    if (code == TW_OK)
        code = write_counts(&writer, err);
    tsdb_partition_map_fini(&ids);
    return end(&writer, code, err);
}

enum tw_code tsdb_partition_write_slice(struct tsdb_env *env, struct tsdb_run *run,
                                        uint32_t *series, uint32_t *metrics, size_t *ret_blocks,
                                        struct tw_err *err)
{
    struct writer writer = {.env = env, .run = run, .series_ids = series, .metrics = metrics};
    enum tw_code code = tsdb_env_begin(env, true, &writer.txn, err);
    if (code != TW_OK)
        return code;
    tw_buf_init(&writer.page, 4 * PAGE_BYTES_MAX);
    code = write_columns(&writer, err);
    if (code == TW_OK)
        code = write_blocks(&writer, err);
    code = end(&writer, code, err);
    *ret_blocks = code == TW_OK ? writer.block_count : 0;
    return code;
}

/* The run, which is not there yet, with the ids that are known. */
static enum tw_code write_with(struct writer *writer, size_t *ret_blocks, struct tw_err *err)
{
    enum tw_code code =
        tsdb_partition_map_load(writer->ids, writer->env, writer->txn, writer->run, err);
    if (code != TW_OK) {
        tsdb_partition_map_forget(writer->ids);
        return end(writer, code, err);
    }
    map_series(writer);
    code = write_parts(writer, err);
    if (code != TW_OK)
        take_back(writer);
    bool written = code == TW_OK;
    code = end(writer, code, err);
    if (written && code != TW_OK)
        tsdb_partition_map_forget(writer->ids); /* nobody knows what is there */
    *ret_blocks = code == TW_OK ? writer->block_count : 0;
    writer->ids->chunk_count = writer->run->chunk_count;
    free(writer->metrics);
    return code;
}

enum tw_code tsdb_partition_write_run(struct tsdb_env *env, struct tsdb_run *run,
                                      struct tsdb_partition_map *ids, size_t *ret_blocks,
                                      struct tw_err *err)
{
    struct tsdb_partition_map own = {.index = 0};
    struct writer writer = {.env = env, .run = run, .index = run->index, .ids = ids ? ids : &own};
    enum tw_code code = tsdb_env_begin(env, true, &writer.txn, err);
    if (code != TW_OK)
        return code;
    unsigned char key[8];
    struct tw_str there;
    tsdb_env_key_u64(key, run->number);
    code = tsdb_env_get(writer.txn, TSDB_TABLE_RUNS, bytes_of(key, sizeof key), &there, err);
    if (code != TW_NOT_FOUND) { /* written before, or an error */
        tsdb_env_abort(writer.txn);
        *ret_blocks = 0;
        return code;
    }
    tw_buf_init(&writer.page, 4 * PAGE_BYTES_MAX);
    code = write_with(&writer, ret_blocks, err);
    tsdb_partition_map_fini(&own);
    return code;
}
