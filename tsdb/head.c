/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/head.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/codec.h"

#define HEAD_MAGIC 0x7e5d4eadu
#define TAIL_CLASSES 4 /* 4, 8, 16, 32 points */
#define TAIL_FIRST 4

struct tsdb_head_chunk {
    const struct tsdb_head_chunk *older;
    int64_t first_ms, last_ms;
    uint16_t count, time_bytes, value_bytes;
    char bytes[];
};

struct series {
    const struct tsdb_head_chunk *newest;
    struct tsdb_point *tail;
    uint64_t log_bits;
    int64_t last_ms;
    uint32_t next;
    uint8_t tail_count, tail_class; /* class 0 = no tail yet */
    bool unordered;
};

struct tsdb_head {
    unsigned magic;
    atomic_uint references;
    uint64_t number;
    struct tsdb_index *index;
    struct tw_arena *arena; /* tails and chunks */
    struct series *series;
    size_t series_capacity;
    struct tsdb_point
        *free_tails[TAIL_CLASSES + 1]; /* by class; linked through the first 8 bytes */
    struct tw_buf scratch;
    uint64_t sample_count;
    int64_t first_ms, last_ms;
};

struct tsdb_head *tsdb_head_new(uint64_t number)
{
    struct tsdb_head *head = calloc(1, sizeof *head);
    TW_ASSERT(head != NULL);
    head->magic = HEAD_MAGIC;
    head->number = number;
    atomic_init(&head->references, 1);
    head->index = tsdb_index_new();
    head->arena = tw_arena_new(4096);
    head->first_ms = INT64_MAX;
    head->last_ms = INT64_MIN;
    tw_buf_init(&head->scratch, (size_t)1 << 20);
    return head;
}

void tsdb_head_ref(struct tsdb_head *head)
{
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    atomic_fetch_add_explicit(&head->references, 1, memory_order_relaxed);
}

void tsdb_head_unref(struct tsdb_head *head)
{
    if (!head)
        return;
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    if (atomic_fetch_sub_explicit(&head->references, 1, memory_order_acq_rel) != 1)
        return;
    tsdb_index_free(head->index);
    tw_arena_free(head->arena);
    free(head->series);
    tw_buf_fini(&head->scratch);
    head->magic = 0;
    free(head);
}

uint64_t tsdb_head_number(const struct tsdb_head *head)
{
    return head->number;
}

struct tsdb_index *tsdb_head_index(struct tsdb_head *head)
{
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    return head->index;
}

uint64_t tsdb_head_sample_count(const struct tsdb_head *head)
{
    return head->sample_count;
}

size_t tsdb_head_bytes(const struct tsdb_head *head)
{
    return tsdb_index_bytes(head->index) + tw_arena_bytes(head->arena) +
           head->series_capacity * sizeof *head->series;
}

bool tsdb_head_range(const struct tsdb_head *head, int64_t *ret_first_ms, int64_t *ret_last_ms)
{
    if (head->sample_count == 0)
        return false;
    *ret_first_ms = head->first_ms;
    *ret_last_ms = head->last_ms;
    return true;
}

uint32_t tsdb_head_add_series(struct tsdb_head *head, struct wire_labels labels, uint64_t hash)
{
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    uint32_t id = tsdb_index_append(head->index, labels, hash);
    if (id >= head->series_capacity) {
        size_t capacity = head->series_capacity ? head->series_capacity * 2 : 64;
        head->series = realloc(head->series, capacity * sizeof *head->series);
        TW_ASSERT(head->series != NULL);
        head->series_capacity = capacity;
    }
    head->series[id] = (struct series){.last_ms = INT64_MIN, .next = TSDB_NO_SERIES};
    return id;
}

static struct series *series_at(struct tsdb_head *head, uint32_t id)
{
    TW_ASSERT(id < tsdb_index_count(head->index));
    return &head->series[id];
}

uint64_t *tsdb_head_log_bits(struct tsdb_head *head, uint32_t series)
{
    return &series_at(head, series)->log_bits;
}

uint32_t *tsdb_head_next_series(struct tsdb_head *head, uint32_t series)
{
    return &series_at(head, series)->next;
}

/* ---- tails ---- */

static size_t tail_capacity(unsigned class)
{
    return class ? (size_t)TAIL_FIRST << (class - 1) : 0;
}

static_assert(TAIL_FIRST << (TAIL_CLASSES - 1) == TSDB_HEAD_TAIL_MAX,
              "the last class is the limit");

static void grow_tail(struct tsdb_head *head, struct series *series)
{
    unsigned class = series->tail_class + 1u;
    TW_ASSERT(class <= TAIL_CLASSES);
    struct tsdb_point *tail = head->free_tails[class];
    if (tail)
        memcpy(&head->free_tails[class], tail, sizeof(void *));
    else
        tail = tw_arena_alloc(head->arena, tail_capacity(class) * sizeof *tail);
    if (series->tail) {
        memcpy(tail, series->tail, series->tail_count * sizeof *tail);
        memcpy(series->tail, &head->free_tails[series->tail_class], sizeof(void *));
        head->free_tails[series->tail_class] = series->tail;
    }
    series->tail = tail;
    series->tail_class = (uint8_t) class;
}

/* Packs the full tail into a chunk. */
static void pack_tail(struct tsdb_head *head, struct series *series)
{
    struct tsdb_points points = {series->tail, series->tail_count, TSDB_HEAD_TAIL_MAX};
    tsdb_points_settle(&points);
    int64_t times[TSDB_HEAD_TAIL_MAX];
    uint64_t values[TSDB_HEAD_TAIL_MAX];
    for (size_t i = 0; i < points.count; i++) {
        times[i] = points.items[i].time_ms;
        values[i] = points.items[i].bits;
    }
    tw_buf_clear(&head->scratch);
    tsdb_codec_encode_times(times, points.count, &head->scratch);
    size_t time_bytes = head->scratch.size;
    tsdb_codec_encode_values(values, points.count, &head->scratch);
    TW_ASSERT(!head->scratch.overflow && head->scratch.size < UINT16_MAX);
    struct tsdb_head_chunk *chunk = tw_arena_alloc(head->arena, sizeof *chunk + head->scratch.size);
    *chunk = (struct tsdb_head_chunk){.older = series->newest,
                                      .first_ms = times[0],
                                      .last_ms = times[points.count - 1],
                                      .count = (uint16_t)points.count,
                                      .time_bytes = (uint16_t)time_bytes,
                                      .value_bytes = (uint16_t)(head->scratch.size - time_bytes)};
    memcpy(chunk->bytes, head->scratch.data, head->scratch.size);
    series->newest = chunk;
    series->tail_count = 0;
}

void tsdb_head_append(struct tsdb_head *head, uint32_t id, int64_t time_ms, uint64_t bits)
{
    struct series *series = series_at(head, id);
    if (series->tail_count == tail_capacity(series->tail_class)) {
        if (series->tail_count == TSDB_HEAD_TAIL_MAX)
            pack_tail(head, series);
        else
            grow_tail(head, series);
    }
    series->tail[series->tail_count++] = (struct tsdb_point){time_ms, bits};
    if (time_ms > series->last_ms)
        series->last_ms = time_ms;
    else
        series->unordered = true;
    head->first_ms = time_ms < head->first_ms ? time_ms : head->first_ms;
    head->last_ms = time_ms > head->last_ms ? time_ms : head->last_ms;
    head->sample_count++;
}

/* ---- views ---- */

size_t tsdb_head_tail_count(const struct tsdb_head *head, uint32_t series)
{
    return head->series[series].tail_count;
}

struct tsdb_head_view tsdb_head_view(const struct tsdb_head *head, uint32_t id,
                                     struct tsdb_point *room)
{
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    const struct series *series = &head->series[id];
    if (series->tail_count)
        memcpy(room, series->tail, series->tail_count * sizeof *room);
    return (struct tsdb_head_view){.newest = series->newest,
                                   .tail = room,
                                   .tail_count = series->tail_count,
                                   .ordered = !series->unordered,
                                   .last_ms = series->last_ms};
}

static void append_chunk(const struct tsdb_head_chunk *chunk, struct tsdb_points *ret)
{
    int64_t times[TSDB_HEAD_TAIL_MAX];
    uint64_t values[TSDB_HEAD_TAIL_MAX];
    struct tw_str time_bytes = {chunk->bytes, chunk->time_bytes};
    struct tw_str value_bytes = {chunk->bytes + chunk->time_bytes, chunk->value_bytes};
    /* Written by this process into its own memory: anything else is a bug. */
    TW_ASSERT(chunk->count <= TSDB_HEAD_TAIL_MAX &&
              tsdb_codec_decode_times(time_bytes, times, chunk->count) &&
              tsdb_codec_decode_values(value_bytes, values, chunk->count));
    struct tsdb_point *to = tsdb_points_reserve(ret, chunk->count);
    for (size_t i = 0; i < chunk->count; i++)
        to[i] = (struct tsdb_point){times[i], values[i]};
    ret->count += chunk->count;
}

/* Those that overlap the range, oldest first; free() the array. */
static const struct tsdb_head_chunk **
list_chunks(const struct tsdb_head_view *view, int64_t start_ms, int64_t end_ms, size_t *ret_count)
{
    size_t count = 0, capacity = 0;
    const struct tsdb_head_chunk **chunks = NULL;
    for (const struct tsdb_head_chunk *chunk = view->newest; chunk; chunk = chunk->older) {
        if (view->ordered && chunk->last_ms < start_ms)
            break;
        if (chunk->last_ms < start_ms || chunk->first_ms > end_ms)
            continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            chunks = realloc(chunks, capacity * sizeof *chunks);
            TW_ASSERT(chunks != NULL);
        }
        chunks[count++] = chunk;
    }
    *ret_count = count;
    return chunks;
}

void tsdb_head_view_points(const struct tsdb_head_view *view, int64_t start_ms, int64_t end_ms,
                           struct tsdb_points *ret)
{
    ret->count = 0;
    size_t chunk_count;
    const struct tsdb_head_chunk **chunks = list_chunks(view, start_ms, end_ms, &chunk_count);
    while (chunk_count-- > 0)
        append_chunk(chunks[chunk_count], ret);
    free(chunks);
    if (view->tail_count) {
        struct tsdb_point *to = tsdb_points_reserve(ret, view->tail_count);
        memcpy(to, view->tail, view->tail_count * sizeof *to);
        ret->count += view->tail_count;
    }
    if (!view->ordered)
        tsdb_points_settle(ret);
    size_t first = tsdb_points_find(ret->items, ret->count, start_ms);
    size_t limit =
        end_ms == INT64_MAX ? ret->count : tsdb_points_find(ret->items, ret->count, end_ms + 1);
    if (first > 0 && limit > first)
        memmove(ret->items, ret->items + first, (limit - first) * sizeof *ret->items);
    ret->count = limit > first ? limit - first : 0;
}
