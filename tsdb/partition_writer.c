/* SPDX-License-Identifier: Apache-2.0
 *
 * partition_writer: one run into one partition, in one transaction: the series that are new to the
 * day, their postings, the columns, the blocks.
 *
 * The partition's index is read back into memory for this (and let go again), so that ids go on
 * where they ended: a tsdb_index gives strings and series the ids that they have on disk, because
 * it meets them in the same order.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "tsdb/block.h"
#include "tsdb/codec.h"
#include "tsdb/partition_int.h"

#define PAGE_BYTES_MAX ((size_t)1 << 28)

struct writer {
    struct tsdb_env *env;
    struct tsdb_env_txn *txn;
    struct tsdb_run *run;
    struct tsdb_index *index; /* of the partition */
    struct tsdb_partition_counts before;
    uint32_t *series;  /* by id in the run: id in the partition */
    uint32_t *metrics; /* by id in the run */
    struct tw_buf page;
    size_t block_count;
    uint64_t sample_count;
};

static struct tw_str bytes_of(const unsigned char *bytes, size_t size)
{
    return (struct tw_str){(const char *)bytes, size};
}

/* ---- the index ---- */

static enum tw_code load_index(struct writer *writer, struct tw_err *err)
{
    struct tw_arena *arena = tw_arena_new(4096);
    struct tsdb_partition_view view;
    struct tsdb_series_entry entry;
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    enum tw_code code = tsdb_partition_view_init(&view, writer->env, writer->txn, arena, err);
    writer->before = view.counts;
    for (uint32_t id = 0; code == TW_OK && id < view.counts.series; id++) {
        code = tsdb_partition_view_series(&view, id, &entry, err);
        if (code == TW_OK)
            code = tsdb_partition_view_labels(&view, &entry, items, err);
        if (code == TW_OK)
            tsdb_index_append(writer->index, (struct wire_labels){items, entry.label_count},
                              entry.hash);
    }
    if (code == TW_OK && view.counts.strings != 0 &&
        tsdb_index_string_count(writer->index) != view.counts.strings)
        code = tsdb_partition_corrupt(writer->env, "index: strings and series do not agree", err);
    tw_arena_free(arena);
    return code;
}

static void map_series(struct writer *writer)
{
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    uint32_t names[WIRE_LABELS_COUNT_MAX], values[WIRE_LABELS_COUNT_MAX];
    const struct tsdb_run *run = writer->run;
    size_t count = tsdb_index_count(run->index);
    writer->series = malloc((count + 1) * sizeof *writer->series);
    writer->metrics = malloc((count + 1) * sizeof *writer->metrics);
    TW_ASSERT(writer->series != NULL && writer->metrics != NULL);
    memset(writer->series, 0xff, count * sizeof *writer->series);
    for (size_t i = 0; i < run->chunk_count; i++) {
        uint32_t from = run->chunks[i].series;
        if (writer->series[from] != TSDB_NO_SERIES)
            continue;
        struct wire_labels labels = tsdb_index_labels(run->index, from, items);
        uint64_t hash = tsdb_index_hash(run->index, from);
        uint32_t id = tsdb_index_find(writer->index, labels, hash);
        if (id == TSDB_NO_SERIES)
            id = tsdb_index_append(writer->index, labels, hash);
        writer->series[from] = id;
        writer->metrics[from] = 0;
        size_t label_count = tsdb_index_label_ids(writer->index, id, names, values);
        for (size_t j = 0; j < label_count; j++)
            if (tw_str_is(tsdb_index_string(writer->index, names[j]), WIRE_METRIC_NAME))
                writer->metrics[from] = values[j];
    }
}

static enum tw_code put_page(struct writer *writer, const char *table, uint32_t number,
                             struct tw_err *err)
{
    unsigned char key[4];
    tsdb_env_key_u32(key, number);
    return tsdb_env_put(writer->txn, table, bytes_of(key, sizeof key), tw_buf_str(&writer->page),
                        err);
}

static enum tw_code write_strings(struct writer *writer, struct tw_err *err)
{
    size_t total = tsdb_index_string_count(writer->index);
    uint32_t first_page = writer->before.strings / TSDB_STRINGS_PER_PAGE;
    if (total == writer->before.strings)
        return TW_OK;
    enum tw_code code = TW_OK;
    for (size_t first = (size_t)first_page * TSDB_STRINGS_PER_PAGE; first < total && code == TW_OK;
         first += TSDB_STRINGS_PER_PAGE) {
        size_t limit =
            first + TSDB_STRINGS_PER_PAGE < total ? first + TSDB_STRINGS_PER_PAGE : total;
        tw_buf_clear(&writer->page);
        tsdb_varint_append(&writer->page, limit - first);
        for (size_t id = first; id < limit; id++)
            tsdb_varint_append(&writer->page, tsdb_index_string(writer->index, (uint32_t)id).size);
        for (size_t id = first; id < limit; id++)
            tw_buf_append_str(&writer->page, tsdb_index_string(writer->index, (uint32_t)id));
        code = put_page(writer, TSDB_TABLE_STRINGS, (uint32_t)(first / TSDB_STRINGS_PER_PAGE), err);
    }
    return code;
}

static void append_series(struct writer *writer, uint32_t id, struct tw_buf *ret)
{
    uint32_t names[WIRE_LABELS_COUNT_MAX], values[WIRE_LABELS_COUNT_MAX];
    size_t count = tsdb_index_label_ids(writer->index, id, names, values);
    tsdb_append_u64(ret, tsdb_index_hash(writer->index, id));
    tsdb_varint_append(ret, count);
    for (size_t i = 0; i < count; i++) {
        tsdb_varint_append(ret, names[i]);
        tsdb_varint_append(ret, values[i]);
    }
}

static enum tw_code write_series(struct writer *writer, struct tw_err *err)
{
    size_t total = tsdb_index_count(writer->index);
    if (total == writer->before.series)
        return TW_OK;
    struct tw_buf entries;
    tw_buf_init(&entries, PAGE_BYTES_MAX);
    enum tw_code code = TW_OK;
    for (size_t first = writer->before.series / TSDB_SERIES_PER_PAGE * TSDB_SERIES_PER_PAGE;
         first < total && code == TW_OK; first += TSDB_SERIES_PER_PAGE) {
        size_t limit = first + TSDB_SERIES_PER_PAGE < total ? first + TSDB_SERIES_PER_PAGE : total;
        tw_buf_clear(&writer->page);
        tw_buf_clear(&entries);
        tsdb_varint_append(&writer->page, limit - first);
        for (size_t id = first; id < limit; id++) {
            size_t before = entries.size;
            append_series(writer, (uint32_t)id, &entries);
            tsdb_varint_append(&writer->page, entries.size - before);
        }
        tw_buf_append_str(&writer->page, tw_buf_str(&entries));
        code = put_page(writer, TSDB_TABLE_SERIES, (uint32_t)(first / TSDB_SERIES_PER_PAGE), err);
    }
    tw_buf_fini(&entries);
    return code;
}

/* ---- postings ---- */

struct posting {
    uint32_t name, hash, value, series;
};

static int compare_postings(const void *a, const void *b)
{
    const struct posting *x = a, *y = b;
    if (x->name != y->name)
        return x->name < y->name ? -1 : 1;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return (x->series > y->series) - (x->series < y->series);
}

static struct posting *list_postings(struct writer *writer, size_t *ret_count)
{
    uint32_t names[WIRE_LABELS_COUNT_MAX], values[WIRE_LABELS_COUNT_MAX];
    struct posting *postings = NULL;
    size_t count = 0, capacity = 0;
    for (size_t id = writer->before.series; id < tsdb_index_count(writer->index); id++) {
        size_t label_count = tsdb_index_label_ids(writer->index, (uint32_t)id, names, values);
        if (count + label_count > capacity) {
            capacity = (count + label_count) * 2;
            postings = realloc(postings, capacity * sizeof *postings);
            TW_ASSERT(postings != NULL);
        }
        for (size_t i = 0; i < label_count; i++) {
            struct tw_str text = tsdb_index_string(writer->index, values[i]);
            postings[count++] = (struct posting){
                names[i], (uint32_t)tw_hash64(text.data, text.size), values[i], (uint32_t)id};
        }
    }
    if (count)
        qsort(postings, count, sizeof *postings, compare_postings);
    *ret_count = count;
    return postings;
}

/* Appends one value's list, or as much of it as a page may hold; returns how many ids it took. */
static size_t append_posting(const struct posting *postings, size_t count, struct tw_buf *ids,
                             struct tw_buf *page)
{
    size_t taken = 0;
    uint32_t before = 0;
    tw_buf_clear(ids);
    while (taken < count && postings[taken].value == postings[0].value &&
           postings[taken].name == postings[0].name && ids->size + 64 < TSDB_PAGE_BYTES_MAX) {
        tsdb_varint_append(ids, postings[taken].series - before);
        before = postings[taken++].series;
    }
    tsdb_varint_append(page, postings[0].hash);
    tsdb_varint_append(page, postings[0].value);
    tsdb_varint_append(page, taken);
    tsdb_varint_append(page, ids->size);
    tw_buf_append_str(page, tw_buf_str(ids));
    return taken;
}

static enum tw_code put_postings(struct writer *writer, uint32_t name, uint32_t hash,
                                 uint32_t number, struct tw_err *err)
{
    unsigned char key[TSDB_POSTING_KEY_BYTES];
    tsdb_env_key_u32(key, name);
    tsdb_env_key_u64(key + 4, writer->run->number);
    tsdb_env_key_u32(key + 12, hash);
    tsdb_env_key_u32(key + 16, number);
    enum tw_code code = tsdb_env_put(writer->txn, TSDB_TABLE_POSTINGS, bytes_of(key, sizeof key),
                                     tw_buf_str(&writer->page), err);
    tw_buf_clear(&writer->page);
    return code;
}

static enum tw_code write_postings(struct writer *writer, struct tw_err *err)
{
    size_t count;
    struct posting *postings = list_postings(writer, &count);
    struct tw_buf ids, entry;
    tw_buf_init(&ids, PAGE_BYTES_MAX);
    tw_buf_init(&entry, PAGE_BYTES_MAX);
    tw_buf_clear(&writer->page);
    enum tw_code code = TW_OK;
    uint32_t name = 0, first_hash = 0, number = 0;
    for (size_t i = 0; i < count && code == TW_OK;) {
        tw_buf_clear(&entry);
        size_t taken = append_posting(postings + i, count - i, &ids, &entry);
        bool cut = writer->page.size > 0 && (postings[i].name != name ||
                                             writer->page.size + entry.size > TSDB_PAGE_BYTES_MAX);
        if (cut)
            code = put_postings(writer, name, first_hash, number++, err);
        if (writer->page.size == 0) {
            number = i > 0 && postings[i].name == name ? number : 0;
            name = postings[i].name;
            first_hash = postings[i].hash;
        }
        tw_buf_append_str(&writer->page, tw_buf_str(&entry));
        i += taken;
    }
    if (code == TW_OK && writer->page.size > 0)
        code = put_postings(writer, name, first_hash, number, err);
    tw_buf_fini(&ids);
    tw_buf_fini(&entry);
    free(postings);
    return code;
}

/* ---- columns ---- */

static void append_numbers(struct writer *writer, const int64_t *numbers, size_t count)
{
    struct tw_buf encoded;
    tw_buf_init(&encoded, PAGE_BYTES_MAX);
    tsdb_codec_encode_times(numbers, count, &encoded);
    tsdb_varint_append(&writer->page, encoded.size);
    tw_buf_append_str(&writer->page, tw_buf_str(&encoded));
    tw_buf_fini(&encoded);
}

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
    append_numbers(writer, counts, count);
    append_numbers(writer, sizes, count);
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
                                    writer->series[run->chunks[i].series], &run->chunks[i]};
    qsort(placed, run->chunk_count, sizeof *placed, compare_placed);
    struct tsdb_block_writer block;
    tsdb_block_writer_init(&block);
    enum tw_code code = TW_OK;
    size_t first = 0;
    for (size_t i = 0; i < run->chunk_count && code == TW_OK; i++) {
        const struct tsdb_run_chunk *chunk = placed[i].chunk;
        struct tsdb_block_entry entry = {placed[i].metric, placed[i].series, chunk->count,
                                         chunk->column,    chunk->kind,      chunk->values};
        if ((i > 0 && placed[i].window != placed[i - 1].window) ||
            !tsdb_block_writer_add(&block, &entry)) {
            code = put_block(writer, &block, &placed[first], err);
            first = i;
            TW_ASSERT(tsdb_block_writer_add(&block, &entry));
        }
        writer->sample_count += chunk->count;
    }
    if (code == TW_OK && run->chunk_count > 0)
        code = put_block(writer, &block, &placed[first], err);
    tsdb_block_writer_fini(&block);
    free(placed);
    return code;
}

/* ---- the run ---- */

static enum tw_code write_counts(struct writer *writer, struct tw_err *err)
{
    unsigned char counts[8], key[8];
    tsdb_env_key_u32(counts, (uint32_t)tsdb_index_string_count(writer->index));
    tsdb_env_key_u32(counts + 4, (uint32_t)tsdb_index_count(writer->index));
    enum tw_code code = tsdb_env_put(writer->txn, TSDB_TABLE_META, TW_STR(TSDB_COUNTS_KEY),
                                     bytes_of(counts, sizeof counts), err);
    if (code != TW_OK)
        return code;
    tsdb_env_key_u64(key, writer->run->number);
    tw_buf_clear(&writer->page);
    tsdb_varint_append(&writer->page, writer->sample_count);
    tsdb_varint_append(&writer->page, writer->block_count);
    return tsdb_env_put(writer->txn, TSDB_TABLE_RUNS, bytes_of(key, sizeof key),
                        tw_buf_str(&writer->page), err);
}

static enum tw_code write_parts(struct writer *writer, struct tw_err *err)
{
    enum tw_code code = load_index(writer, err);
    if (code != TW_OK)
        return code;
    map_series(writer);
    code = write_strings(writer, err);
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
    if (code == TW_OK)
        return tsdb_env_commit(writer->txn, err);
    tsdb_env_abort(writer->txn);
    return code;
}

enum tw_code tsdb_partition_write_index(struct tsdb_env *env, struct tsdb_index *index,
                                        uint64_t run, struct tw_err *err)
{
    struct tsdb_run only_number = {.number = run};
    struct writer writer = {.env = env, .run = &only_number, .index = index};
    enum tw_code code = tsdb_env_begin(env, true, &writer.txn, err);
    if (code != TW_OK)
        return code;
    tw_buf_init(&writer.page, 4 * PAGE_BYTES_MAX);
    code = write_strings(&writer, err);
    if (code == TW_OK)
        code = write_series(&writer, err);
    if (code == TW_OK)
        code = write_postings(&writer, err);
    if (code == TW_OK)
        code = write_counts(&writer, err);
    return end(&writer, code, err);
}

enum tw_code tsdb_partition_write_slice(struct tsdb_env *env, struct tsdb_run *run,
                                        uint32_t *series, uint32_t *metrics, size_t *ret_blocks,
                                        struct tw_err *err)
{
    struct writer writer = {.env = env, .run = run, .series = series, .metrics = metrics};
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

enum tw_code tsdb_partition_write_run(struct tsdb_env *env, struct tsdb_run *run,
                                      size_t *ret_blocks, struct tw_err *err)
{
    struct writer writer = {.env = env, .run = run};
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
    writer.index = tsdb_index_new();
    tw_buf_init(&writer.page, 4 * PAGE_BYTES_MAX);
    code = write_parts(&writer, err);
    tw_buf_fini(&writer.page);
    tsdb_index_free(writer.index);
    free(writer.series);
    free(writer.metrics);
    if (code != TW_OK) {
        tsdb_env_abort(writer.txn);
        return code;
    }
    code = tsdb_env_commit(writer.txn, err);
    if (code == TW_OK)
        *ret_blocks = writer.block_count;
    return code;
}
