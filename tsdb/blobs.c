/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/blobs.h"

#include <stdlib.h>

#include "base/assert.h"

#define BYTES_MAX ((size_t)1 << 31)
/* Buffers above this are not kept for the next request. */
#define SPARE_BYTES_MAX ((size_t)1 << 20)
#define SPARE_ITEMS_MAX 16384

void tsdb_blobs_fini(struct tsdb_blobs *blobs)
{
    tw_buf_fini(&blobs->bytes);
    free(blobs->items);
    *blobs = (struct tsdb_blobs){.count = 0};
}

void tsdb_blobs_clear(struct tsdb_blobs *blobs)
{
    if (blobs->bytes.capacity > SPARE_BYTES_MAX || blobs->capacity > SPARE_ITEMS_MAX) {
        tsdb_blobs_fini(blobs);
        return;
    }
    tw_buf_clear(&blobs->bytes);
    blobs->count = 0;
}

struct tw_buf *tsdb_blobs_buf(struct tsdb_blobs *blobs)
{
    if (blobs->bytes.size_max == 0)
        tw_buf_init(&blobs->bytes, BYTES_MAX);
    return &blobs->bytes;
}

void tsdb_blobs_add(struct tsdb_blobs *blobs, uint32_t series, int64_t time_ms)
{
    TW_ASSERT(!blobs->bytes.overflow); /* requests that wait are bounded */
    if (blobs->count == blobs->capacity) {
        blobs->capacity = blobs->capacity ? blobs->capacity * 2 : 64;
        blobs->items = realloc(blobs->items, blobs->capacity * sizeof *blobs->items);
        TW_ASSERT(blobs->items != NULL);
    }
    const struct tsdb_blob *last = blobs->items + blobs->count - 1;
    uint32_t first = blobs->count ? last->first + last->size : 0;
    blobs->items[blobs->count++] =
        (struct tsdb_blob){time_ms, series, first, (uint32_t)blobs->bytes.size - first};
}

struct tw_str tsdb_blobs_bytes(const struct tsdb_blobs *blobs, size_t index)
{
    TW_ASSERT(index < blobs->count);
    const struct tsdb_blob *blob = &blobs->items[index];
    return (struct tw_str){blobs->bytes.data + blob->first, blob->size};
}

void tsdb_blobs_write(const struct tsdb_blobs *blobs, size_t first, char section,
                      struct tw_buf *ret)
{
    if (first == blobs->count)
        return;
    tw_buf_append_char(ret, section);
    tsdb_varint_append(ret, blobs->count - first);
    uint64_t expected = 0, time_ms = 0;
    for (size_t i = first; i < blobs->count; i++) {
        const struct tsdb_blob *blob = &blobs->items[i];
        tsdb_varint_append(ret, tsdb_zigzag(blob->series - expected));
        tsdb_varint_append(ret, tsdb_zigzag((uint64_t)blob->time_ms - time_ms));
        tsdb_varint_append(ret, blob->size);
        tw_buf_append_str(ret, tsdb_blobs_bytes(blobs, i));
        expected = blob->series + UINT64_C(1);
        time_ms = (uint64_t)blob->time_ms;
    }
}

bool tsdb_blobs_read(struct tsdb_reader *reader, tsdb_blob_visit *visit, void *user)
{
    uint64_t count = tsdb_read_varint(reader), expected = 0, time_ms = 0;
    if (!reader->ok || count == 0)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t series = expected + tsdb_unzigzag(tsdb_read_varint(reader));
        time_ms += tsdb_unzigzag(tsdb_read_varint(reader));
        struct tw_str bytes = tsdb_read_bytes(reader, tsdb_read_varint(reader));
        if (!reader->ok || !visit(user, series, (int64_t)time_ms, bytes))
            return false;
        expected = series + 1;
    }
    return true;
}
