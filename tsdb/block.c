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
/* A single series of many samples may pass the usual size. */
#define BLOCK_PLAIN_BYTES_MAX ((size_t)1 << 28)
/* Compression must save this share to be worth the time of every reader. */
#define SNAPPY_GAIN_PERCENT 5

/* ---- writing ---- */

void tsdb_block_writer_init(struct tsdb_block_writer *writer)
{
    *writer = (struct tsdb_block_writer){.count = 0};
    tw_buf_init(&writer->directory, BLOCK_PLAIN_BYTES_MAX);
    tw_buf_init(&writer->values, BLOCK_PLAIN_BYTES_MAX);
    tw_buf_init(&writer->packed, 2 * BLOCK_PLAIN_BYTES_MAX);
}

void tsdb_block_writer_fini(struct tsdb_block_writer *writer)
{
    tw_buf_fini(&writer->directory);
    tw_buf_fini(&writer->values);
    tw_buf_fini(&writer->packed);
}

/* Most that one entry adds to the directory. */
#define ENTRY_BYTES_MAX (1 + 5 * 5)

bool tsdb_block_writer_add(struct tsdb_block_writer *writer, const struct tsdb_block_entry *entry)
{
    size_t size = HEADER_BYTES + 2 + writer->directory.size + writer->values.size;
    if (writer->count > 0 && (writer->count == TSDB_BLOCK_ENTRIES_MAX ||
                              size + ENTRY_BYTES_MAX + entry->values.size > TSDB_BLOCK_BYTES_MAX))
        return false;
    TW_ASSERT(writer->count == 0 || entry->metric > writer->metric ||
              (entry->metric == writer->metric && entry->series > writer->series));
    bool same_metric = writer->count > 0 && entry->metric == writer->metric;
    tsdb_varint_append(&writer->directory, entry->metric - writer->metric);
    tsdb_varint_append(&writer->directory,
                       same_metric ? entry->series - writer->series : entry->series);
    tw_buf_append_char(&writer->directory, (char)entry->kind);
    tsdb_varint_append(&writer->directory, entry->count);
    tsdb_varint_append(&writer->directory, entry->column);
    tsdb_varint_append(&writer->directory, entry->values.size);
    tw_buf_append_str(&writer->values, entry->values);
    writer->metric = entry->metric;
    writer->series = entry->series;
    writer->count++;
    return true;
}

void tsdb_block_writer_take(struct tsdb_block_writer *writer, struct tw_buf *ret)
{
    TW_ASSERT(writer->count > 0);
    struct tw_buf plain;
    tw_buf_init(&plain, 2 * BLOCK_PLAIN_BYTES_MAX);
    tsdb_varint_append(&plain, writer->count);
    tw_buf_append_str(&plain, tw_buf_str(&writer->directory));
    tw_buf_append_str(&plain, tw_buf_str(&writer->values));
    tw_buf_clear(&writer->packed);
    wire_snappy_encode(tw_buf_str(&plain), &writer->packed);
    bool packed = !writer->packed.overflow &&
                  writer->packed.size * 100 <= plain.size * (100 - SNAPPY_GAIN_PERCENT);
    tw_buf_append_char(ret, BLOCK_VERSION);
    tw_buf_append_char(ret, packed ? FLAG_SNAPPY : 0);
    tw_buf_append_str(ret, tw_buf_str(packed ? &writer->packed : &plain));
    tw_buf_fini(&plain);
    tw_buf_clear(&writer->directory);
    tw_buf_clear(&writer->values);
    writer->count = writer->metric = writer->series = 0;
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

static bool read_entry(struct tsdb_reader *reader, const struct tsdb_block_entry *before,
                       struct tsdb_block_entry *ret, uint64_t *ret_size)
{
    uint64_t metric = tsdb_read_varint(reader), series = tsdb_read_varint(reader);
    unsigned kind = tsdb_read_u8(reader);
    uint64_t count = tsdb_read_varint(reader), column = tsdb_read_varint(reader);
    *ret_size = tsdb_read_varint(reader);
    if (!reader->ok || metric > UINT32_MAX || series > UINT32_MAX || column > UINT32_MAX ||
        count == 0 || count > (uint64_t)TSDB_WINDOW_MS || kind != TSDB_KIND_FLOAT)
        return false;
    if (before) {
        if (metric == 0 && series == 0)
            return false;
        series += metric == 0 ? before->series : 0;
        metric += before->metric;
        if (metric > UINT32_MAX || series > UINT32_MAX)
            return false;
    }
    *ret = (struct tsdb_block_entry){.metric = (uint32_t)metric,
                                     .series = (uint32_t)series,
                                     .count = (uint32_t)count,
                                     .column = (uint32_t)column,
                                     .kind = (enum tsdb_kind)kind};
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
    uint64_t sizes[TSDB_BLOCK_ENTRIES_MAX];
    for (uint32_t i = 0; i < count; i++)
        if (!read_entry(&reader, i ? &block->entries[i - 1] : NULL, &block->entries[i], &sizes[i]))
            return false;
    for (uint32_t i = 0; i < count; i++)
        block->entries[i].values = tsdb_read_bytes(&reader, sizes[i]);
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
