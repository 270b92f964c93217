/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/block.h"

#include <stdlib.h>

#include "base/assert.h"
#include "tsdb/codec.h"
#include "tsdb/db.h"
#include "wire/snappy.h"

#define BLOCK_VERSION 1
#define FLAG_SNAPPY 1
#define HEADER_BYTES 2
/* Of its key, and what stands for it in the leaf. */
#define BLOCK_KEY_BYTES 64
/* A single series of many samples may pass the usual size. */
#define BLOCK_PLAIN_BYTES_MAX ((size_t)1 << 28)
/* Compression must save this share to be worth the time of every reader. */
#define SNAPPY_GAIN_PERCENT 5

/* ---- writing ---- */

void tsdb_block_writer_init(struct tsdb_block_writer *writer)
{
    *writer = (struct tsdb_block_writer){.count = 0};
    writer->columns = calloc(TSDB_BLOCK_COLUMNS, sizeof *writer->columns);
    TW_ASSERT(writer->columns != NULL);
    tw_buf_init(&writer->directory, BLOCK_PLAIN_BYTES_MAX);
    tw_buf_init(&writer->values, BLOCK_PLAIN_BYTES_MAX);
    tw_buf_init(&writer->packed, 2 * BLOCK_PLAIN_BYTES_MAX);
}

void tsdb_block_writer_fini(struct tsdb_block_writer *writer)
{
    free(writer->columns);
    tw_buf_fini(&writer->directory);
    tw_buf_fini(&writer->values);
    tw_buf_fini(&writer->packed);
}

/* The directory of all entries so far, into writer->directory. */
static void encode_directory(struct tsdb_block_writer *writer)
{
    tw_buf_clear(&writer->directory);
    tsdb_varint_append(&writer->directory, writer->count);
    for (int i = 0; i < TSDB_BLOCK_COLUMNS; i++) {
        tw_buf_clear(&writer->packed);
        tsdb_codec_encode_times(writer->columns[i], writer->count, &writer->packed);
        tsdb_varint_append(&writer->directory, writer->packed.size);
        tw_buf_append_str(&writer->directory, tw_buf_str(&writer->packed));
    }
    writer->directory_bytes = writer->directory.size;
    writer->directory_count = writer->count;
}

/* Columns of few entries cost at most so much each. */
#define ENTRY_BYTES_MAX (TSDB_BLOCK_COLUMNS * 5)

static size_t bytes_at_most(const struct tsdb_block_writer *writer, size_t more)
{
    return HEADER_BYTES + writer->values.size + more + writer->directory_bytes +
           (writer->count - writer->directory_count) * ENTRY_BYTES_MAX;
}

/* Whether the block, with the last entry of size bytes added, is still within the limit. */
static bool fits(struct tsdb_block_writer *writer, size_t size)
{
    if (bytes_at_most(writer, size) <= TSDB_BLOCK_BYTES_MAX)
        return true;
    if (HEADER_BYTES + writer->values.size + size > TSDB_BLOCK_BYTES_MAX)
        return false;
    encode_directory(writer);
    return bytes_at_most(writer, size) <= TSDB_BLOCK_BYTES_MAX;
}

bool tsdb_block_writer_add(struct tsdb_block_writer *writer, const struct tsdb_block_entry *entry)
{
    if (writer->count == TSDB_BLOCK_ENTRIES_MAX)
        return false;
    uint32_t at = writer->count;
    TW_ASSERT(at == 0 || entry->metric > writer->columns[TSDB_BLOCK_METRIC][at - 1] ||
              (entry->metric == writer->columns[TSDB_BLOCK_METRIC][at - 1] &&
               entry->series > writer->columns[TSDB_BLOCK_SERIES][at - 1]));
    writer->columns[TSDB_BLOCK_METRIC][at] = entry->metric;
    writer->columns[TSDB_BLOCK_SERIES][at] = entry->series;
    writer->columns[TSDB_BLOCK_KIND][at] = entry->kind;
    writer->columns[TSDB_BLOCK_COUNT][at] = entry->count;
    writer->columns[TSDB_BLOCK_TIMES][at] = entry->column;
    writer->columns[TSDB_BLOCK_SIZE][at] = (int64_t)entry->values.size;
    writer->count++;
    if (writer->count > 1 && !fits(writer, entry->values.size)) {
        writer->count--;
        return false;
    }
    tw_buf_append_str(&writer->values, entry->values);
    return true;
}

/* What a block of so many bytes takes of the file, its key and place in the tree included. */
static size_t bytes_in_file(size_t bytes)
{
    const size_t around = TSDB_ENV_PAGE_HEADER_BYTES + TSDB_ENV_FRAME_BYTES;
    return (bytes + around + TSDB_ENV_PAGE_BYTES - 1) / TSDB_ENV_PAGE_BYTES * TSDB_ENV_PAGE_BYTES +
           BLOCK_KEY_BYTES;
}

uint32_t tsdb_block_writer_settle(struct tsdb_block_writer *writer)
{
    const int64_t *sizes = writer->columns[TSDB_BLOCK_SIZE];
    uint32_t best = writer->count;
    size_t values = writer->values.size, kept_values = values, best_share = SIZE_MAX;
    encode_directory(writer);
    size_t around = HEADER_BYTES + writer->directory_bytes; /* at most, for fewer entries too */
    for (uint32_t count = writer->count; count > 0 && values >= TSDB_BLOCK_BYTES_MAX / 2; count--) {
        size_t share = bytes_in_file(around + values) * 4096 / values;
        if (share < best_share) {
            best_share = share;
            best = count;
            kept_values = values;
        }
        values -= (size_t)sizes[count - 1];
    }
    uint32_t given_back = writer->count - best;
    writer->count = best;
    writer->values.size = kept_values;
    return given_back;
}

void tsdb_block_writer_take(struct tsdb_block_writer *writer, struct tw_buf *ret)
{
    TW_ASSERT(writer->count > 0);
    encode_directory(writer);
    tw_buf_append_str(&writer->directory, tw_buf_str(&writer->values));
    tw_buf_clear(&writer->packed);
    wire_snappy_encode(tw_buf_str(&writer->directory), &writer->packed);
    bool packed = !writer->packed.overflow &&
                  writer->packed.size * 100 <= writer->directory.size * (100 - SNAPPY_GAIN_PERCENT);
    tw_buf_append_char(ret, BLOCK_VERSION);
    tw_buf_append_char(ret, packed ? FLAG_SNAPPY : 0);
    tw_buf_append_str(ret, tw_buf_str(packed ? &writer->packed : &writer->directory));
    tw_buf_clear(&writer->values);
    writer->count = writer->directory_count = 0;
    writer->directory_bytes = 0;
}

/* ---- reading ---- */

void tsdb_block_init(struct tsdb_block *block)
{
    *block = (struct tsdb_block){.entries = NULL};
    tw_buf_init(&block->plain, BLOCK_PLAIN_BYTES_MAX);
}

void tsdb_block_fini(struct tsdb_block *block)
{
    free(block->entries);
    tw_buf_fini(&block->plain);
    *block = (struct tsdb_block){.entries = NULL};
}

static bool read_directory(struct tsdb_reader *reader, int64_t *column, size_t count)
{
    return tsdb_codec_decode_times(tsdb_read_bytes(reader, tsdb_read_varint(reader)), column,
                                   count) &&
           reader->ok;
}

/* One column of the directory into all entries; false for what no entry has. */
static bool set_column(struct tsdb_block *block, enum tsdb_block_column column,
                       const int64_t *items, size_t count)
{
    int64_t least = column == TSDB_BLOCK_COUNT || column == TSDB_BLOCK_KIND;
    int64_t most = column == TSDB_BLOCK_COUNT  ? TSDB_WINDOW_MS
                   : column == TSDB_BLOCK_KIND ? TSDB_KIND_BUCKETS
                   : column == TSDB_BLOCK_SIZE ? (int64_t)BLOCK_PLAIN_BYTES_MAX
                                               : UINT32_MAX;
    bool fine = true;
    for (size_t i = 0; i < count; i++)
        fine &= items[i] >= least && items[i] <= most;
    for (size_t i = 0; fine && i < count; i++) {
        struct tsdb_block_entry *entry = &block->entries[i];
        switch (column) {
        case TSDB_BLOCK_METRIC:
            entry->metric = (uint32_t)items[i];
            break;
        case TSDB_BLOCK_SERIES:
            entry->series = (uint32_t)items[i];
            break;
        case TSDB_BLOCK_KIND:
            entry->kind = (enum tsdb_kind)items[i];
            break;
        case TSDB_BLOCK_COUNT:
            entry->count = (uint32_t)items[i];
            break;
        case TSDB_BLOCK_TIMES:
            entry->column = (uint32_t)items[i];
            break;
        case TSDB_BLOCK_SIZE:
        case TSDB_BLOCK_COLUMNS:
            entry->values.size = (size_t)items[i];
            break;
        }
    }
    return fine;
}

static bool ascends(const struct tsdb_block_entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (entries[i].metric < entries[i - 1].metric ||
            (entries[i].metric == entries[i - 1].metric &&
             entries[i].series <= entries[i - 1].series))
            return false;
    return true;
}

bool tsdb_block_parse(struct tsdb_block *block, struct tw_str bytes)
{
    block->count = 0;
    if (bytes.size < HEADER_BYTES || bytes.data[0] != BLOCK_VERSION ||
        (bytes.data[1] & ~FLAG_SNAPPY) != 0)
        return false;
    struct tw_str plain = tw_str_slice(bytes, HEADER_BYTES, bytes.size);
    if (bytes.data[1] & FLAG_SNAPPY) {
        tw_buf_clear(&block->plain);
        if (wire_snappy_decode(plain, BLOCK_PLAIN_BYTES_MAX, &block->plain, NULL) != TW_OK)
            return false;
        plain = tw_buf_str(&block->plain);
    }
    struct tsdb_reader reader = tsdb_reader(plain);
    uint64_t count = tsdb_read_varint(&reader);
    if (!reader.ok || count == 0 || count > TSDB_BLOCK_ENTRIES_MAX)
        return false;
    if (count > block->capacity) {
        block->entries = realloc(block->entries, count * sizeof *block->entries);
        TW_ASSERT(block->entries != NULL);
        block->capacity = (uint32_t)count;
    }
    int64_t items[TSDB_BLOCK_ENTRIES_MAX];
    for (int i = 0; i < TSDB_BLOCK_COLUMNS; i++)
        if (!read_directory(&reader, items, count) ||
            !set_column(block, (enum tsdb_block_column)i, items, count))
            return false;
    if (!ascends(block->entries, count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        block->entries[i].values = tsdb_read_bytes(&reader, block->entries[i].values.size);
    if (!reader.ok || tsdb_reader_left(&reader) != 0)
        return false;
    block->count = (uint32_t)count;
    return true;
}

const struct tsdb_block_entry *tsdb_block_find(const struct tsdb_block *block, uint32_t metric,
                                               uint32_t series)
{
    uint32_t first = 0, limit = block->count;
    while (first < limit) {
        uint32_t middle = first + (limit - first) / 2;
        const struct tsdb_block_entry *entry = &block->entries[middle];
        if (entry->metric < metric || (entry->metric == metric && entry->series < series))
            first = middle + 1;
        else
            limit = middle;
    }
    const struct tsdb_block_entry *entry = &block->entries[first];
    return first < block->count && entry->metric == metric && entry->series == series ? entry
                                                                                      : NULL;
}
