/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/head_chunk.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/codec.h"

/* An open chunk's memory, header included: it begins with the first, and grows by as much until the
 * second; larger, and twice as large each time, only with values so large that it would be closed
 * with few samples in it. */
#define OPEN_FIRST_BYTES 64
#define OPEN_STEPS_BYTES 256
#define CLOSED_SAMPLES_MIN 128
/* A segment that takes no more is mostly what each of them has to say anew: before an open chunk
 * grows for such ones, all it has becomes one segment, if that leaves room for some more. */
#define SEGMENT_SMALL_BYTES 12
#define SEGMENTS_MORE 2
/* A segment's bytes that follow the column: its count and sizes, and what regular times take. */
#define SEGMENT_HEADER_MAX 32
#define HEADER_BYTES offsetof(struct tsdb_head_chunk, bytes)

static_assert(TSDB_HEAD_CHUNK_MAX * 10 + HEADER_BYTES + SEGMENT_HEADER_MAX <
                  TSDB_HEAD_GRAINS_MAX * TSDB_HEAD_GRAIN,
              "chunks of any values are taken back");

/* ---- segments ---- */

/* Scrapes at a fixed interval need no times but the first and the step. */
static bool are_regular(const int64_t *times, size_t count)
{
    uint64_t step = count > 1 ? (uint64_t)times[1] - (uint64_t)times[0] : 0;
    bool regular = true;
    for (size_t i = 2; i < count; i++)
        regular &= (uint64_t)times[i] - (uint64_t)times[i - 1] == step;
    return regular;
}

/* Bytes that stand before others whose size is known only then. */
static void encode_sized(struct tw_buf *ret, const struct tsdb_head_column *column, bool is_times)
{
    size_t start = ret->size;
    tw_buf_append_char(ret, 0); /* most sizes fit in a byte */
    if (is_times)
        tsdb_codec_encode_times(column->times, column->count, ret);
    else
        tsdb_codec_encode_values_hastily(column->values, column->count, ret);
    size_t size = ret->size - start - 1;
    TW_ASSERT(!ret->overflow && size <= UINT16_MAX);
    if (size < 0x80) {
        ret->data[start] = (char)size;
        return;
    }
    char *more = tw_buf_reserve(ret, 2);
    TW_ASSERT(more != NULL);
    size_t width = size < 0x4000 ? 2 : 3;
    memmove(ret->data + start + width, ret->data + start + 1, size);
    for (size_t i = 0; i < width; i++)
        ret->data[start + i] = (char)((size >> (7 * i) & 0x7f) | (i + 1 < width ? 0x80u : 0u));
    ret->size += width - 1;
}

/* segment: varint samples; own times: varint bytes and times, or 0 and zigzag varint first time
 * (from first_ms), varint step; varint bytes and values. */
static void encode_segment(const struct tsdb_head_column *column, int64_t first_ms,
                           struct tw_buf *ret)
{
    tw_buf_clear(ret);
    tsdb_varint_append(ret, column->count);
    if (!column->shared) {
        if (are_regular(column->times, column->count)) {
            uint64_t first = (uint64_t)column->times[0];
            tw_buf_append_char(ret, 0);
            tsdb_varint_append(ret, tsdb_zigzag(first - (uint64_t)first_ms));
            tsdb_varint_append(ret, column->count > 1 ? (uint64_t)column->times[1] - first : 0);
        } else {
            encode_sized(ret, column, true);
        }
    }
    encode_sized(ret, column, false);
}

static void read_times(struct tsdb_reader *reader, int64_t first_ms, int64_t *ret_times,
                       size_t count)
{
    uint64_t size = tsdb_read_varint(reader);
    if (size > 0) {
        bool fine = tsdb_codec_decode_times(tsdb_read_bytes(reader, size), ret_times, count);
        TW_ASSERT(fine);
        return;
    }
    uint64_t time = (uint64_t)first_ms + tsdb_unzigzag(tsdb_read_varint(reader));
    uint64_t step = tsdb_read_varint(reader);
    for (size_t i = 0; i < count; i++)
        ret_times[i] = (int64_t)(time + i * step);
}

/* Written by this process into its own memory: anything but what is expected is a bug. */
void tsdb_head_chunk_read(const struct tsdb_head_chunk *chunk, struct tsdb_head_extent extent,
                          int64_t *ret_times, uint64_t *ret_values)
{
    struct tsdb_reader reader =
        tsdb_reader((struct tw_str){(const char *)chunk->bytes, extent.size});
    TW_ASSERT(extent.count <= TSDB_HEAD_CHUNK_MAX);
    size_t done = 0;
    while (tsdb_reader_left(&reader) > 0) {
        size_t count = tsdb_read_varint(&reader);
        TW_ASSERT(count <= extent.count - done);
        if (!chunk->shared)
            read_times(&reader, chunk->first_ms, ret_times + done, count);
        uint64_t size = tsdb_read_varint(&reader);
        bool fine =
            tsdb_codec_decode_values(tsdb_read_bytes(&reader, size), ret_values + done, count);
        TW_ASSERT(fine && reader.ok);
        done += count;
    }
    TW_ASSERT(done == extent.count);
    if (chunk->shared)
        tsdb_head_times_read(chunk->part, chunk->place, ret_times, done);
}

void tsdb_head_chunk_read_values(const struct tsdb_head_chunk *chunk,
                                 struct tsdb_head_extent extent, const int64_t *times,
                                 int64_t since_ms, uint64_t *ret_values)
{
    struct tsdb_reader reader =
        tsdb_reader((struct tw_str){(const char *)chunk->bytes, extent.size});
    size_t done = 0;
    TW_ASSERT(chunk->shared && extent.count <= TSDB_HEAD_CHUNK_MAX);
    while (tsdb_reader_left(&reader) > 0) {
        size_t count = tsdb_read_varint(&reader);
        struct tw_str bytes = tsdb_read_bytes(&reader, tsdb_read_varint(&reader));
        TW_ASSERT(reader.ok && count > 0 && count <= extent.count - done);
        if (times[done + count - 1] >= since_ms) {
            bool fine = tsdb_codec_decode_values(bytes, ret_values + done, count);
            TW_ASSERT(fine);
        }
        done += count;
    }
    TW_ASSERT(done == extent.count);
}

int64_t tsdb_head_chunk_first_ms(const struct tsdb_head_chunk *chunk)
{
    int64_t first_ms;
    if (!chunk->shared)
        return chunk->first_ms;
    tsdb_head_times_read(chunk->part, chunk->place, &first_ms, 1);
    return first_ms;
}

/* ---- chunks ---- */

/* Memory for so many bytes of an open chunk that holds so many samples; 0 = it is to be closed. */
static size_t open_bytes(size_t size, size_t count)
{
    size_t bytes = HEADER_BYTES + size, room = OPEN_FIRST_BYTES;
    while (room < bytes && room < OPEN_STEPS_BYTES)
        room += OPEN_FIRST_BYTES;
    while (room < bytes && count < CLOSED_SAMPLES_MIN)
        room *= 2;
    return room < bytes ? 0 : room;
}

static struct tsdb_head_chunk *make_chunk(struct tsdb_head_memory *memory,
                                          const struct tsdb_head_column *column, size_t bytes)
{
    struct tsdb_head_chunk *chunk = tsdb_head_memory_take(memory, bytes);
    chunk->capacity = (uint16_t)(bytes - HEADER_BYTES);
    chunk->shared = column->shared;
    chunk->place = column->place;
    if (column->shared)
        chunk->part = column->part;
    else
        chunk->first_ms = column->times[0];
    chunk->extent = (struct tsdb_head_extent){0};
    return chunk;
}

static void append(struct tsdb_head_chunk *chunk, const struct tsdb_head_column *column,
                   struct tw_str segment)
{
    TW_ASSERT(segment.size <= (size_t)chunk->capacity - chunk->extent.size);
    memcpy(chunk->bytes + chunk->extent.size, segment.data, segment.size);
    chunk->extent.size = (uint16_t)(chunk->extent.size + segment.size);
    chunk->extent.count = (uint16_t)(chunk->extent.count + column->count);
    chunk->extent.last_ms = column->times[column->count - 1];
}

struct tsdb_head_chunk *tsdb_head_chunk_new(struct tsdb_head_memory *memory,
                                            const struct tsdb_head_column *column,
                                            const struct tsdb_head_chunk *older,
                                            struct tw_buf *scratch)
{
    TW_ASSERT(column->count > 0 && column->count <= TSDB_HEAD_CHUNK_MAX);
    encode_segment(column, column->times[0], scratch);
    struct tsdb_head_chunk *chunk = make_chunk(memory, column, open_bytes(scratch->size, 0));
    chunk->older = older;
    chunk->open = true;
    append(chunk, column, tw_buf_str(scratch));
    return chunk;
}

static struct tsdb_head_chunk *copy_header(struct tsdb_head_memory *memory,
                                           const struct tsdb_head_chunk *chunk, size_t bytes)
{
    struct tsdb_head_chunk *copy = tsdb_head_memory_take(memory, bytes);
    memcpy(copy, chunk, HEADER_BYTES);
    copy->capacity = (uint16_t)(bytes - HEADER_BYTES);
    return copy;
}

/* What the chunk holds, into room. */
static void read_column(const struct tsdb_head_chunk *chunk, struct tsdb_head_column *room)
{
    tsdb_head_chunk_read(chunk, chunk->extent, room->times, room->values);
    room->count = chunk->extent.count;
    room->shared = chunk->shared;
    room->place = chunk->place;
    if (chunk->shared)
        room->part = chunk->part;
}

/* All as one segment in as much memory; NULL when that leaves no room for more such ones as the
 * column's, which is in scratch. */
static struct tsdb_head_chunk *consolidate(struct tsdb_head_memory *memory,
                                           const struct tsdb_head_chunk *chunk,
                                           const struct tsdb_head_column *column,
                                           struct tsdb_head_column *room, struct tw_buf *scratch)
{
    size_t segment_bytes = scratch->size;
    read_column(chunk, room);
    memcpy(room->times + room->count, column->times, column->count * sizeof *column->times);
    memcpy(room->values + room->count, column->values, column->count * sizeof *column->values);
    room->count += column->count;
    encode_segment(room, chunk->shared ? 0 : chunk->first_ms, scratch);
    if (scratch->size + SEGMENTS_MORE * segment_bytes > chunk->capacity)
        return NULL;
    struct tsdb_head_chunk *copy = copy_header(memory, chunk, HEADER_BYTES + chunk->capacity);
    copy->extent = (struct tsdb_head_extent){0};
    append(copy, room, tw_buf_str(scratch));
    return copy;
}

struct tsdb_head_chunk *tsdb_head_chunk_add(struct tsdb_head_memory *memory,
                                            struct tsdb_head_chunk *chunk,
                                            const struct tsdb_head_column *column,
                                            struct tsdb_head_column *room, struct tw_buf *scratch)
{
    TW_ASSERT(chunk->open && chunk->shared == column->shared &&
              column->times[0] > chunk->extent.last_ms);
    if (chunk->extent.count + column->count > TSDB_HEAD_CHUNK_MAX)
        return NULL;
    encode_segment(column, chunk->shared ? 0 : chunk->first_ms, scratch);
    if (scratch->size > (size_t)chunk->capacity - chunk->extent.size) {
        if (scratch->size <= SEGMENT_SMALL_BYTES) {
            struct tsdb_head_chunk *copy = consolidate(memory, chunk, column, room, scratch);
            if (copy)
                return copy;
            encode_segment(column, chunk->shared ? 0 : chunk->first_ms, scratch);
        }
        size_t bytes = open_bytes(chunk->extent.size + scratch->size, chunk->extent.count);
        if (bytes == 0)
            return NULL;
        struct tsdb_head_chunk *larger = copy_header(memory, chunk, bytes);
        memcpy(larger->bytes, chunk->bytes, chunk->extent.size);
        chunk = larger;
    }
    append(chunk, column, tw_buf_str(scratch));
    return chunk;
}

struct tsdb_head_chunk *tsdb_head_chunk_close(struct tsdb_head_memory *memory,
                                              const struct tsdb_head_chunk *chunk,
                                              struct tsdb_head_column *room, struct tw_buf *scratch)
{
    read_column(chunk, room);
    encode_segment(room, room->times[0], scratch);
    struct tsdb_head_chunk *closed = make_chunk(memory, room, HEADER_BYTES + scratch->size);
    closed->older = chunk->older;
    closed->open = false;
    append(closed, room, tw_buf_str(scratch));
    return closed;
}

void tsdb_head_chunk_drop(struct tsdb_head_memory *memory, const struct tsdb_head_chunk *chunk)
{
    tsdb_head_memory_give(memory, (void *)(uintptr_t)chunk, HEADER_BYTES + chunk->capacity);
}
